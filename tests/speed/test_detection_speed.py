"""FROC with its bootstrap at the size of LUNA16, beside the published way of it.

pytest -o addopts= -s tests/speed/test_detection_speed.py
"""

from __future__ import annotations

import numpy as np
import pytest
from peers import compare, milliseconds
from sklearn.metrics import roc_curve

from benchmark.metrics import CaseInputs, find
from benchmark.metrics.detection import RATES

SCANS, MARKS, DRAWS = 888, 100, 1000


@pytest.fixture(scope="module")
def scans():
    """888 scans with 1.3 lesions and 100 marks each, as parsed JSON."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(SCANS):
        lesions = rng.uniform(0, 300, (rng.poisson(1.33), 3))
        hits = lesions[rng.random(len(lesions)) < 0.9] + rng.normal(0, 1, 3)
        where = np.concatenate([hits, rng.uniform(0, 300, (MARKS - len(hits), 3))])
        score = np.concatenate([rng.beta(5, 2, len(hits)), rng.beta(1, 12, MARKS - len(hits))])
        reference = {"points": [{"point": p, "diameter": 8.0} for p in lesions.tolist()]}
        prediction = {"points": [{"point": p, "probability": q} for p, q in zip(where.tolist(), score, strict=True)]}
        found.append(CaseInputs(reference, prediction))
    return found


def collected(scans):
    metric = find("cpm")
    return [metric.collect(CaseInputs(s.reference, s.prediction), **metric.options) for s in scans]


def published(parts, counts):
    """One draw as LUNA16's script does it: concatenate the drawn scans, roc_curve, interpolate."""
    truth, score, total = [], [], 0
    for part, count in zip(parts, counts, strict=True):
        for _ in range(int(count)):
            found = part.hits[part.hits > -np.inf]
            truth += [np.ones(len(found)), np.zeros(len(part.false_positives))]
            score += [found, part.false_positives]
            total += len(part.hits)
    truth, score = np.concatenate(truth), np.concatenate(score)
    fpr, tpr, _ = roc_curve(truth, score)
    return np.interp(RATES, fpr * (1 - truth).sum() / counts.sum(), tpr * truth.sum() / total).mean()


def test_cpm_with_bootstrap(benchmark, scans):
    metric = find("cpm")
    parts = collected(scans)
    counts = np.random.default_rng(1).multinomial(SCANS, np.full(SCANS, 1 / SCANS), DRAWS)

    def whole():
        found = collected(scans)
        return metric.reduce(found, np.ones(SCANS), **metric.options).value, metric.reduce_many(
            found, counts, **metric.options
        )

    few = counts[:3]
    np.testing.assert_allclose(
        metric.reduce_many(parts, few, **metric.options), [published(parts, c) for c in few], rtol=1e-9
    )
    whole()
    took = min(milliseconds(whole) for _ in range(3))
    print(f"\nFROC from JSON, {SCANS} scans x {MARKS} marks, {DRAWS} bootstraps: {took:.0f} ms in all")
    assert took < 2000
    ratio = compare(
        benchmark,
        f"{DRAWS} bootstraps of CPM (LUNA16's way, from 3 draws)",
        lambda: metric.reduce_many(parts, counts, **metric.options),
        lambda: [published(parts, c) for c in few],
        times=DRAWS / len(few),
    )
    assert ratio >= 100
