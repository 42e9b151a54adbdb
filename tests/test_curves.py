"""FROC and ROC of a row: the numbers of the metrics, at fixed places."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from benchmark import scoring
from benchmark.contract import Case, Score, Task
from benchmark.contract.board import Curve
from benchmark.curves import curves
from benchmark.metrics import detection
from benchmark.metrics.points import Scan

TASK = Task.model_validate(
    {
        "name": "nodules", "version": "1", "title": "N", "summary": "s", "modality": "CT", "anatomy": "chest",
        "inputs": [{"slug": "ct", "kind": "image", "path": "images/ct"}],
        "outputs": [{"slug": "marks", "kind": "points", "path": "marks.json"}],
        "references": [{"slug": "nodules", "kind": "points", "path": "nodules.json"}],
        "scoring": {"prediction": "marks", "reference": "nodules"},
        "metrics": [
            {"name": "cpm"}, *({"id": f"s{i}", "name": "froc_sensitivity", "rate": rate} for i, rate in enumerate(detection.RATES)),
            {"name": "scan_auc"}, {"name": "candidate_auc"},
        ],
        "ranking": {"rule": "rank_of_means", "metrics": ["cpm"]},
        "cluster": "patient",
        "display": {"input": "ct", "window": [-1000, 400]},
    }
)  # fmt: skip


def scans(seed: int, n: int = 30) -> dict[str, Scan]:
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(n):
        hits = np.where(rng.random(rng.integers(0, 4)) < 0.2, -np.inf, 0.0)
        hits = np.where(np.isfinite(hits), rng.beta(4, 2, len(hits)).round(2), hits)
        false = rng.beta(1, 5, rng.integers(0, 12)).round(2)
        found[f"case-{i:02d}"] = Scan(hits, false, float(max([*hits, *false], default=-np.inf)))
    return found


def cases(n: int = 30) -> list[Case]:
    return [Case(id=f"case-{i:02d}", split="test", attributes={"patient": f"p{i // 2}"}) for i in range(n)]


def by_kind(made: tuple[Curve, ...]) -> dict[str, Curve]:
    return {curve.kind: curve for curve in made}


def test_the_froc_curve_goes_through_the_metrics_values_and_has_their_intervals() -> None:
    parts, listed = scans(1), cases()
    metrics = ("cpm", *(f"s{i}" for i in range(7)), "scan_auc", "candidate_auc")
    aligned = {id: [parts[case.id] for case in listed] for id in metrics}
    table: list[Score] = []
    values = {a.metric: a for a in scoring.aggregate(TASK, listed, table, aligned)}
    curve = by_kind(curves(TASK, listed, {"cpm": parts}))["froc"]
    assert curve.x[0] == 0.125 and curve.x[-1] == 8.0 and list(curve.x) == sorted(curve.x)
    for i, rate in enumerate(detection.RATES):
        at = int(np.argmin(np.abs(np.array(curve.x) - rate)))
        assert curve.x[at] == pytest.approx(rate, rel=1e-12)
        own = values[f"s{i}"]
        assert curve.y[at] == pytest.approx(own.value, abs=1e-12)
        assert (curve.low[i], curve.high[i]) == pytest.approx((own.low, own.high), abs=1e-12)
    seven = [curve.y[8 * i] for i in range(7)]
    assert float(np.mean(seven)) == pytest.approx(values["cpm"].value, abs=1e-12)


def test_two_scans_by_hand() -> None:
    """Two scans; lesions at 0.9 and 0.5, one missed; false marks at 0.7 and 0.4: (0, 1/3), (1/2, 1/3), (1/2, 2/3), (1, 2/3)."""
    parts = {
        "case-00": Scan(np.array([0.9, -np.inf]), np.array([0.7]), 0.9),
        "case-01": Scan(np.array([0.5]), np.array([0.4]), 0.5),
    }
    made = by_kind(curves(TASK, cases(2), {"cpm": parts}))
    froc = made["froc"]
    values = dict(zip(froc.x, froc.y, strict=True))
    assert values[0.125] == pytest.approx(1 / 3) and values[1.0] == values[8.0] == pytest.approx(2 / 3)
    # Candidates: the hit at 0.9 before the false mark at 0.7, the hit at 0.5 after it, the false mark at 0.4 last.
    candidates = made["roc_candidates"]
    assert (candidates.y[0], candidates.y[-1]) == (0.5, 1.0)
    assert "roc_scans" not in made, "every scan holds a lesion: there is no specificity"


@pytest.mark.parametrize("seed", range(4))
def test_roc_is_that_of_scikit_learn(seed: int) -> None:
    parts, listed = scans(seed), cases()
    made = by_kind(curves(TASK, listed, {"cpm": parts}))
    own = [parts[case.id] for case in listed]
    truth = [scan.positive for scan in own]
    score = [max(scan.highest, -1e9) for scan in own]
    candidates = [(True, h) for s in own for h in s.hits if np.isfinite(h)] + [
        (False, f) for s in own for f in s.false_positives
    ]
    for kind, labels, values in (
        ("roc_scans", truth, score),
        ("roc_candidates", [c[0] for c in candidates], [c[1] for c in candidates]),
    ):
        curve = made[kind]
        fpr, tpr, _ = roc_curve(labels, values, drop_intermediate=False)
        for x, y in zip(curve.x, curve.y, strict=True):
            below, above = np.interp(x - 1e-9, fpr, tpr), np.interp(x + 1e-9, fpr, tpr)
            assert min(below, above) - 1e-6 <= y <= max(below, above) + 1e-6
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(roc_auc_score(labels, values), abs=0.02)


def test_the_order_of_cases_does_not_matter_and_missing_scans_count() -> None:
    parts, listed = scans(3), cases()
    assert curves(TASK, listed, {"cpm": parts}) == curves(TASK, listed[::-1], {"cpm": parts})
    worse = {**parts, "case-00": Scan(np.full(2, -np.inf), np.zeros(0), -np.inf, missing=True)}
    better = {**parts, "case-00": Scan(np.ones(2), np.zeros(0), 1.0)}
    one, two = (by_kind(curves(TASK, listed, {"cpm": p}))["froc"] for p in (worse, better))
    assert all(a < b for a, b in zip(one.y, two.y, strict=True))


def test_other_tasks_have_no_curves() -> None:
    assert curves(TASK, cases(), {}) == () == curves(TASK, cases(), {"kid": dict.fromkeys(scans(0), 1.0)})
    some = dict(list(scans(0).items())[:5])
    assert curves(TASK, cases(), {"cpm": some}) == (), "a part is missing: no curve of the others alone"
    healthy = {case.id: Scan(np.zeros(0), np.array([0.3]), 0.3) for case in cases()}
    assert curves(TASK, cases(), {"cpm": healthy}) == ()
