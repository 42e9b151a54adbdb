"""Lesion matching beside PI-CAI's way of it and BraTS's, same volumes, same run.

    pytest -o addopts= -s tests/speed/test_lesion_speed.py

The peers are their published procedures written out: full-volume masks for each pair, full-volume dilation for each lesion.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from peers import compare
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from benchmark.metrics import CaseInputs, find
from benchmark.metrics.panoptic import lesion_detections

SHAPE = (256, 256, 128)
CUBE = np.ones((3, 3, 3))
np.__dict__.setdefault("Inf", np.inf)  # surface-distance, released in 2018, names an alias that is gone since numpy 2
warnings.simplefilter("ignore")


@pytest.fixture(scope="module")
def case():
    """5 lesions, 15 candidates: 4 on lesions, the rest elsewhere."""
    rng = np.random.default_rng(3)
    a, scores = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.float32)
    places = [(40 + 45 * i, 50 + 40 * j, 30 + 60 * k) for i in range(4) for j in range(4) for k in range(2)]
    places = [places[k] for k in rng.permutation(len(places))]
    for k, centre in enumerate(places[:16]):
        radius = rng.uniform(5, 12)
        ball = sum((g - c) ** 2 for g, c in zip(np.ogrid[tuple(map(slice, SHAPE))], centre, strict=True)) < radius**2
        if k < 5:
            a[ball] = 1
        if k > 0:
            scores[np.roll(ball, 2, axis=0)] = rng.uniform(0.1, 1)
    return a, scores


def picai(reference, detection_map, minimum=0.1):
    """Every pair of lesion and candidate by masks of the whole volume, then the Hungarian method."""
    candidate, m = ndimage.label(detection_map, CUBE)
    confidence = [detection_map[candidate == k + 1].max() for k in range(m)]
    lesion, n = ndimage.label(reference, CUBE)
    overlap = np.zeros((n, m))
    for i in range(n):
        own = lesion == i + 1
        for k in range(m):
            other = candidate == k + 1
            shared = np.sum(other[own == 1])
            overlap[i, k] = (shared + 1e-8) / (np.sum(other) + np.sum(own) - shared + 1e-8)
    overlap[overlap < minimum] = 0
    overlap[overlap > 0] += 1
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return sorted(float(confidence[k]) for i, k in zip(rows, columns, strict=True) if overlap[i, k] > 0)


def test_matching_beside_picai(benchmark, case):
    got = lesion_detections(*case)
    assert sorted(got.hits[~np.isnan(got.hits)]) == pytest.approx(picai(*case)) and len(got.hits) == 5
    title = "matching 15 candidates to 5 lesions in 256 x 256 x 128 (PI-CAI's way)"
    size = case[0].nbytes + case[1].nbytes
    assert compare(benchmark, title, lambda: lesion_detections(*case), lambda: picai(*case), floor_bytes=size) >= 20


def brats(a, b, spacing):
    """Lesion by lesion with dilations, copies and distances of the whole volume."""
    package = pytest.importorskip("surface_distance")
    neighbours = ndimage.generate_binary_structure(3, 2)
    merged = ndimage.label(ndimage.binary_dilation(a, neighbours, iterations=3), CUBE)[0] * a
    predicted, _ = ndimage.label(b, CUBE)
    scores, seen = [], set()
    for lesion in range(1, merged.max() + 1):
        own = merged == lesion
        mine = set(np.unique(predicted * ndimage.binary_dilation(own, neighbours, iterations=3))) - {0}
        seen |= mine
        theirs = np.isin(predicted, list(mine))
        hd95 = 374.0
        if mine:
            hd95 = package.compute_robust_hausdorff(package.compute_surface_distances(own, theirs, spacing), 95)
        scores.append((2 * (own & theirs).sum() / (own.sum() + theirs.sum()), hd95))
    extra = predicted.max() - len(seen)
    return [
        sum(s[0] for s in scores) / (len(scores) + extra),
        (sum(s[1] for s in scores) + 374 * extra) / (len(scores) + extra),
    ]


def test_lesion_wise_scores_beside_brats(benchmark, case):
    a, b = (m > 0 for m in case)
    spacing = (1.0, 1.0, 1.0)

    def ours():
        inputs = CaseInputs(a, b, None, spacing)
        return [find(name).evaluate(inputs).value for name in ("lesion_dice", "lesion_hd95")]

    assert ours() == pytest.approx(brats(a, b, spacing), rel=1e-9)
    title = "lesion-wise Dice and HD95 of 5 lesions and 15 components (BraTS 2023's way)"
    assert compare(benchmark, title, ours, lambda: brats(a, b, spacing), peer_rounds=1, floor_bytes=2 * a.size) >= 20
