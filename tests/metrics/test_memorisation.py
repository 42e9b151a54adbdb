"""Memorisation measures: copies must be caught, fresh draws must not, and the numbers must equal the definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from benchmark import metrics
from benchmark.errors import DataError, SubmissionError
from benchmark.metrics import memorisation as m
from benchmark.metrics.generation import FeaturePart


def draws(seed: int, n: int = 400, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_copies_are_caught() -> None:
    train, holdout = draws(1), draws(2)
    assert m.membership_auc(train, train, holdout) == 1.0
    assert m.membership_tpr(train, train, holdout) == 1.0
    assert m.auth_percent(train, train) == 0.0
    assert m.neighbour_distance_ratio(train, train, holdout) == 0.0
    assert m.copy_share(train, train, holdout) == 1.0
    noisy = train + 0.01 * draws(3)
    assert m.membership_auc(noisy, train, holdout) > 0.99 and m.auth_percent(noisy, train) < 2
    assert m.neighbour_distance_ratio(noisy, train, holdout) < 0.05


def test_fresh_draws_are_not() -> None:
    values = np.array([
        (
            m.membership_auc(draws(s), draws(s + 100), draws(s + 200)),
            m.auth_percent(draws(s), draws(s + 100)),
            m.neighbour_distance_ratio(draws(s), draws(s + 100), draws(s + 200)),
            m.copy_share(draws(s), draws(s + 100), draws(s + 200)),
            m.membership_tpr(draws(s), draws(s + 100), draws(s + 200)),
        )
        for s in range(12)
    ])  # fmt: skip
    auc, auth, ratio, share, tpr = values.mean(axis=0)
    assert 0.45 < auc < 0.55 and (np.abs(values[:, 0] - 0.5) < 0.08).all()
    assert 35 < auth < 65
    assert 0.95 < ratio < 1.05
    assert 0.02 < share < 0.09
    assert tpr < 0.03


def test_half_a_copier_lies_between() -> None:
    train, holdout = draws(1), draws(2)
    mixed = np.concatenate([train[:200], draws(5)[:200]])
    assert 0.7 < m.membership_auc(mixed, train, holdout) < 0.8
    assert 15 < m.auth_percent(mixed, train) < 35


def test_numbers_equal_the_definitions() -> None:
    from sklearn.metrics import roc_auc_score

    g, t, h = draws(1, 30), draws(2, 25), draws(3, 25)
    labels = np.r_[np.ones(25), np.zeros(25)]
    scores = np.r_[-cdist(t, g).min(1), -cdist(h, g).min(1)]
    assert m.membership_auc(g, t, h) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    weights = np.random.default_rng(4).integers(0, 4, 25)
    weighted = roc_auc_score(labels, scores, sample_weight=np.r_[np.ones(25), weights])
    assert m.membership_auc(g, t, h, holdout_weights=weights) == pytest.approx(weighted, abs=1e-12)
    distances, among = cdist(g, t), cdist(t, t) + np.diag(np.full(25, np.inf))
    expected = np.mean([distances[i].min() > among[distances[i].argmin()].min() for i in range(30)])
    assert m.auth_percent(g, t) == pytest.approx(100 * expected)
    ratio = np.median(distances.min(1) / cdist(g, h).min(1))
    assert m.neighbour_distance_ratio(g, t, h) == pytest.approx(ratio, rel=1e-12)
    repeated = np.repeat(np.arange(30), np.r_[np.full(15, 2), np.full(15, 1)])
    by_weight = m.neighbour_distance_ratio(g, t, h, weights=np.r_[np.full(15, 2.0), np.full(15, 1.0)])
    assert by_weight == pytest.approx(m.neighbour_distance_ratio(g[repeated], t, h), rel=1e-12)


def test_a_larger_training_set_does_not_look_like_memory() -> None:
    generated, holdout = draws(1), draws(2)
    large = np.concatenate([draws(s) for s in range(10, 20)])
    assert 0.9 < m.neighbour_distance_ratio(generated, large, holdout) < 1.1


def test_ties_count_half() -> None:
    same = np.ones((5, 2))
    assert m.membership_auc(same, same, same) == 0.5
    assert m.neighbour_distance_ratio(same, same, same) == 1.0
    assert m.neighbour_distance_ratio(same, same + 1, same) == 1e9


sets = hnp.arrays(np.float32, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(-4, 4, width=32))


@settings(max_examples=60, deadline=None)
@given(sets, sets, sets)
def test_total_and_bounded(g: np.ndarray, t: np.ndarray, h: np.ndarray) -> None:
    assert 0.0 <= m.membership_auc(g, t, h) <= 1.0
    assert m.membership_auc(g, t, h) == pytest.approx(1 - m.membership_auc(g, h, t), abs=1e-12)
    assert 0.0 <= m.membership_tpr(g, t, h) <= 1.0
    assert 0.0 <= m.auth_percent(g, t) <= 100.0
    assert 0.0 <= m.neighbour_distance_ratio(g, t, h) <= 1e9
    assert 0.0 <= m.copy_share(g, t, h) <= 1.0


def test_unusable_sets() -> None:
    good, bad = draws(1, 5), np.full((5, 6), np.inf)
    with pytest.raises(SubmissionError):
        m.membership_auc(bad, good, good)
    with pytest.raises(DataError):
        m.membership_auc(good, bad, good)
    with pytest.raises(ValueError, match="columns"):
        m.membership_auc(good, good, np.ones((5, 2)))


def test_as_metrics(tmp_path: Path) -> None:
    train, holdout = draws(1, 40, 5), draws(2, 40, 5)
    bank = tmp_path / "train.npy"
    np.save(bank, train)
    copies = [FeaturePart(h[None].astype(np.float32), g[None]) for h, g in zip(holdout, train, strict=True)]
    ones = np.ones(40)
    weights = np.random.default_rng(9).integers(0, 3, 40)
    fresh = [FeaturePart(h[None].astype(np.float64), g[None]) for h, g in zip(holdout, draws(3, 40, 5), strict=True)]
    generated = np.concatenate([part.prediction for part in fresh])
    expected = {
        "membership_auc_lite0": m.membership_auc(generated, train, holdout, holdout_weights=weights),
        "authpct_lite0": m.auth_percent(generated, train, weights=weights),
        "neighbour_ratio_lite0": m.neighbour_distance_ratio(generated, train, holdout, weights=weights),
    }
    for name, value in expected.items():
        reduce = metrics.find(name).reduce
        assert reduce is not None
        assert reduce(fresh, weights, train_file=str(bank)).value == pytest.approx(value, rel=1e-12)
    for name, copied in (("membership_auc_lite0", 1.0), ("authpct_lite0", 0.0), ("neighbour_ratio_lite0", 0.0)):
        metric = metrics.find(name)
        assert metric.reduce is not None
        value = metric.reduce(copies, ones, **{**metric.options, "train_file": str(bank)})
        assert value.value == pytest.approx(copied, abs=1e-6) and value.status == "ok"
        assert metric.range[0] <= metric.worst_value() <= metric.range[1]
        with pytest.raises(DataError, match="train_file"):
            metric.reduce(copies, ones, **metric.options)
        with pytest.raises(DataError, match="cannot be read"):
            metric.reduce(copies, ones, train_file=str(tmp_path / "none.npy"))
        other = [FeaturePart(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))]
        with pytest.raises(DataError, match="columns"):
            metric.reduce(other, [1.0], train_file=str(bank))
        gone = [FeaturePart(part.reference, part.prediction, "missing", "missing: none") for part in copies]
        assert metric.reduce(gone, ones, train_file=str(bank)) == (
            metric.worst,
            "missing",
            "no case has a usable output",
        )
