"""F1 of the marks of one scan, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmark import metrics
from benchmark.errors import DataError
from benchmark.metrics.registry import CaseInputs

F1 = metrics.find("detection_f1")


def value(lesions, marks, irrelevant=(), **options):
    """Lesions and irrelevant findings (x, diameter) and marks (x, probability) on a line."""
    reference = {
        key: [{"point": [x, 0, 0], "diameter": d} for x, d in found]
        for key, found in (("points", lesions), ("irrelevant", irrelevant))
    }
    prediction = {"points": [{"point": [x, 0, 0], "probability": p} for x, p in marks]}
    return F1.evaluate(CaseInputs(reference, prediction), options)


def test_by_hand() -> None:
    lesions = [(0, 6), (20, 6), (40, 6)]
    assert value(lesions, [(0, 0.9), (21, 0.8), (60, 0.7)]).value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert value(lesions, [(0, 0.9), (1, 0.8), (60, 0.4)]).value == pytest.approx(
        2 / (2 + 2)
    )  # twice on one, one uncalled
    assert value(lesions, [(3, 0.9)]).value == 0  # on the rim is outside
    assert value(lesions, [(0, 0.9), (60, 0.4)], threshold=0.3).value == pytest.approx(2 / (2 + 1 + 2))
    assert value([(0, 6)], [(0, 0.9), (9, 0.9)], irrelevant=[(9, 4)]).value == 1


def test_empty_scans_say_so() -> None:
    assert value([], [])[:2] == (1.0, "both_empty")
    assert value([], [(0, 0.4)])[:2] == (1.0, "both_empty")
    assert value([], [(0, 0.5)])[:2] == (0.0, "ref_empty")
    assert value([(0, 6)], [(0, 0.4)])[:2] == (0.0, "pred_empty")


def test_equals_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        lesions = [(20 * k, 6) for k in range(rng.integers(1, 5))]
        hit = rng.random(len(lesions)) < 0.6
        false = int(rng.integers(0, 4))
        marks = [(x, 0.9) for (x, _), h in zip(lesions, hit, strict=True) if h] + [
            (1000 + k, 0.9) for k in range(false)
        ]
        truth = [True] * len(lesions) + [False] * false
        called = [*hit, *[True] * false]
        assert value(lesions, marks).value == pytest.approx(f1_score(truth, called, zero_division=0))


def test_what_cannot_be_read() -> None:
    broken = F1.evaluate(CaseInputs({"points": []}, {"points": "none"}))
    assert broken.value == 0 and broken.status == "invalid"
    with pytest.raises(DataError):
        F1.evaluate(CaseInputs({"points": [{"point": [0, 0, 0]}]}, {"points": []}))
    with pytest.raises(DataError, match="threshold"):
        F1.evaluate(CaseInputs({"points": []}, {"points": []}), {"threshold": float("nan")})
