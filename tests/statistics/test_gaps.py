"""Gaps by group against fairlearn, scipy and brute force; what is planted is found, what is not is not, labels trade as they may."""

from itertools import permutations
from math import comb

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, equalized_odds_difference
from scipy import stats
from sklearn.metrics import recall_score

from benchmark.statistics import bootstrap, gaps


def plan(groups: np.ndarray, units: np.ndarray | None = None, given: np.ndarray | None = None) -> gaps.Shuffling:
    made = gaps.shuffling(groups, np.arange(len(groups)) if units is None else units, given)
    assert made is not None
    return made


def test_values_gap_and_ratio_equal_fairlearn() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.beta(8, 2, (60, 3)), rng.integers(0, 4, 60)
    found = gaps.by_group(gaps.mean_measure(values), groups, 4)
    for column in range(3):
        frame = MetricFrame(
            metrics=lambda true, pred: float(np.mean(pred)),
            y_true=values[:, column],
            y_pred=values[:, column],
            sensitive_features=groups,
        )
        np.testing.assert_allclose(found[:, column], frame.by_group.to_numpy(float))
        assert gaps.spread(found)[column] == pytest.approx(frame.difference("between_groups"))
        assert gaps.ratio(found)[column] == pytest.approx(frame.ratio("between_groups"))


def test_rates_equal_fairlearn_and_equalised_odds() -> None:
    rng = np.random.default_rng(1)
    truth, called, groups = rng.integers(0, 2, 120), rng.integers(0, 2, 120), rng.integers(0, 3, 120)
    rates = {}
    for name, of in (("tpr", truth == 1), ("fpr", truth == 0)):
        whole = of[:, None].astype(float)
        rates[name] = gaps.by_group(gaps.ratio_measure(called[:, None] * whole, whole), groups, 3)
    frame = MetricFrame(metrics=recall_score, y_true=truth, y_pred=called, sensitive_features=groups)
    np.testing.assert_allclose(rates["tpr"][:, 0], frame.by_group.to_numpy(float))
    both = max(gaps.spread(rates["tpr"])[0], gaps.spread(rates["fpr"])[0])
    assert both == pytest.approx(equalized_odds_difference(truth, called, sensitive_features=groups))


def test_a_group_without_positives_has_no_rate_and_no_part_in_the_gap() -> None:
    whole = np.array([1.0, 1, 1, 1, 0, 0])[:, None]
    part = np.array([1.0, 0, 1, 1, 0, 0])[:, None]
    found = gaps.by_group(gaps.ratio_measure(part, whole), np.array([0, 0, 1, 1, 2, 2]), 3)
    assert found[:2, 0].tolist() == [0.5, 1.0] and np.isnan(found[2, 0])  # fairlearn would say 0 and a gap of 1
    assert gaps.spread(found)[0] == 0.5


def test_p_equals_counting_all_permutations() -> None:
    rng = np.random.default_rng(2)
    values, labels = rng.normal(size=7), np.array([0, 0, 0, 1, 1, 2, 2])

    def gap(order: tuple[int, ...]) -> float:
        means = [values[[i for i, label in enumerate(order) if label == g]].mean() for g in range(3)]
        return max(means) - min(means)

    every = np.array([gap(order) for order in set(permutations(labels.tolist()))])
    found = gaps.gap_test(gaps.mean_measure(values[:, None]), plan(labels), 3, 20_000)
    assert found.gap[0] == pytest.approx(gap(tuple(labels)))
    exact = np.mean(every >= found.gap[0] - 1e-12)
    assert found.p[0] == pytest.approx(exact, abs=0.012)  # three standard errors of 20 000 shuffles
    assert found.null_mean[0] == pytest.approx(every.mean(), rel=0.02)
    assert found.null_high[0] == pytest.approx(np.quantile(every, 0.95), rel=0.03)


def test_two_groups_equal_scipy() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 8), rng.normal(0.9, 1, 9)
    theirs = stats.permutation_test(
        (a, b), lambda x, y, axis: np.abs(x.mean(axis=axis) - y.mean(axis=axis)), alternative="greater", vectorized=True
    )
    found = gaps.gap_test(
        gaps.mean_measure(np.concatenate([a, b])[:, None]), plan(np.repeat([0, 1], [8, 9])), 2, 20_000
    )
    assert comb(17, 8) > 20_000
    assert found.p[0] == pytest.approx(theirs.pvalue, abs=0.01)


def test_null_of_small_groups_is_above_zero() -> None:
    """Groups of 100, 60, 30, 8 and 2 without any difference: the mean gap of a Beta(8, 2) score is about 0.1."""
    rng = np.random.default_rng(4)
    values = rng.beta(8, 2, (200, 50))
    found = gaps.gap_test(gaps.mean_measure(values), plan(np.repeat(np.arange(5), [100, 60, 30, 8, 2])), 5, 500)
    assert found.null_mean.mean() == pytest.approx(0.099, abs=0.01)
    assert found.gap.mean() == pytest.approx(found.null_mean.mean(), abs=0.02)


TRIALS = 1200


def rejections(values: np.ndarray, groups: np.ndarray, *, given: np.ndarray | None = None) -> float:
    """Share of columns in which the gap is more than chance at 5 %."""
    found = gaps.gap_test(gaps.mean_measure(values), plan(groups, given=given), int(groups.max()) + 1, 399)
    return float(np.mean(found.p <= 0.05))


@pytest.mark.parametrize("sizes", [[12, 12], [8, 8, 8], [30, 15, 10, 11]])
def test_absent_gaps_are_found_at_no_more_than_the_nominal_rate(sizes: list[int]) -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = rng.beta(8, 2, (sum(sizes), TRIALS))
    assert rejections(values, groups) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)  # 5 % and three standard errors


def test_planted_gaps_are_found_at_the_planned_power() -> None:
    """Two groups of 24 and a gap of 1 standard deviation: a t-test has a power of 92 %; the permutation test comes near."""
    rng = np.random.default_rng(6)
    groups = np.repeat([0, 1], 24)
    values = rng.normal(size=(48, TRIALS)) + groups[:, None]
    effect = np.sqrt(12) * 1.0
    critical = stats.t.ppf(0.975, 46)
    planned = stats.nct.sf(critical, 46, effect) + stats.nct.cdf(-critical, 46, effect)
    assert planned == pytest.approx(0.92, abs=0.01)
    assert rejections(values, groups) >= planned - 0.03


def test_labels_held_fixed_within_another_are_not_blamed_for_it() -> None:
    """Women are mostly scanned on the bad scanner. Sex does nothing; shuffled freely it is blamed, within scanners it is not."""
    rng = np.random.default_rng(7)
    scanner = np.repeat([0, 1], 30)
    sex = np.concatenate([np.repeat([0, 1], [24, 6]), np.repeat([0, 1], [6, 24])])
    values = rng.normal(size=(60, TRIALS)) + 1.5 * scanner[:, None]
    assert rejections(values, sex) > 0.5
    assert rejections(values, sex, given=scanner) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)
    real = values + 1.2 * sex[:, None]
    assert rejections(real, sex, given=scanner) > 0.7  # and a gap of sex's own is still found


def test_patients_trade_labels_whole() -> None:
    rng = np.random.default_rng(8)
    units = np.repeat(np.arange(12), 8)
    groups = (np.arange(12) % 2)[units]
    made = plan(groups, units)
    assert len(made.label) == 12
    for labels in gaps.shuffled(made, 50):
        assert all(len(set(row[units == u])) == 1 for row in labels for u in range(12))
        assert ((labels == 1).sum(axis=1) == 48).all()
    values = rng.normal(size=(12, TRIALS))[units] + 0.1 * rng.normal(size=(96, TRIALS))
    test = gaps.gap_test(gaps.mean_measure(values), made, 2, 399)
    assert np.mean(test.p <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)
    assert rejections(values, groups) > 0.3  # what taking slices for patients would do


def test_a_label_that_differs_within_a_patient_trades_within_the_patient() -> None:
    units = np.repeat(np.arange(10), 2)
    dose = np.tile([0, 1], 10)
    rng = np.random.default_rng(9)
    values = rng.normal(0, 10, (10, 1))[units] + 0.5 * dose[:, None] + 0.3 * rng.normal(size=(20, 1))
    found = gaps.gap_test(gaps.mean_measure(values), plan(dose, units), 2, 2000)
    assert found.p[0] < 0.01  # paired: what patients differ in cancels
    assert rejections(values, dose) == 0


def test_what_one_determines_the_other_cannot_be_told_apart() -> None:
    made = plan(np.array([0, 0, 0, 1, 1, 1]), given=np.array([0, 0, 0, 1, 1, 1]))
    assert made.movable == 0
    values = np.array([0.0, 0, 0, 5, 5, 5])[:, None]
    assert gaps.gap_test(gaps.mean_measure(values), made, 2, 99).p[0] == 1


def test_cases_without_a_group_never_move() -> None:
    made = plan(np.array([0, 1, -1, 0, 1, -1]))
    for labels in gaps.shuffled(made, 40):
        assert (labels[:, [2, 5]] == -1).all() and ((labels == 0).sum(axis=1) == 2).all()


def test_group_intervals_cover_and_the_gap_is_within_its_interval() -> None:
    rng = np.random.default_rng(10)
    groups = np.repeat([0, 1, -1], [10, 14, 3])
    values = rng.normal(size=(27, TRIALS)) + np.array([0.0, 2.0, 50.0])[groups][:, None]
    found = gaps.group_intervals(
        gaps.mean_measure(values), groups, 2, np.array([True, True]), np.arange(27), values=values, draws=600
    )
    for g, truth in ((0, 0.0), (1, 2.0)):
        assert 0.93 <= np.mean((found.low[g] <= truth) & (found.high[g] >= truth)) <= 0.97
    gap = gaps.spread(gaps.by_group(gaps.mean_measure(values), groups, 2))
    assert np.mean((found.gap_low <= gap) & (gap <= found.gap_high)) > 0.99
    assert 0.90 <= np.mean((found.gap_low <= 2) & (found.gap_high >= 2)) <= 0.98  # percentiles of 10 and 14 cases
    even = (
        values - np.array([0.0, 2.0, 0.0])[groups][:, None]
    )  # no difference in truth: the interval still holds the gap seen
    none = gaps.group_intervals(
        gaps.mean_measure(even), groups, 2, np.array([True, True]), np.arange(27), values=even, draws=600
    )
    seen = gaps.spread(gaps.by_group(gaps.mean_measure(even), groups, 2))
    assert np.mean((none.gap_low <= seen) & (seen <= none.gap_high)) > 0.99 and np.mean(none.gap_low == 0) > 0.85


def test_infinite_values_do_not_become_nan() -> None:
    values = np.array([1.0, 2.0, np.inf, 4.0])[:, None]
    found = gaps.gap_test(gaps.mean_measure(values), plan(np.array([0, 0, 1, 1])), 2, 50)
    assert found.gap[0] == np.inf and found.p[0] == 1  # in every shuffle some group holds it


def test_frame_of_labels_is_read_as_pandas_would() -> None:
    rng = np.random.default_rng(11)
    values, groups = rng.normal(size=(30, 2)), rng.integers(0, 3, 30)
    theirs = pd.DataFrame(values).groupby(groups).mean().to_numpy()
    np.testing.assert_allclose(gaps.by_group(gaps.mean_measure(values), groups, 3), theirs)


def test_blocks_of_columns_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bounds the memory of a large board changes nothing; and the gap is that of the same two groups in every draw."""
    rng = np.random.default_rng(11)
    values, groups = rng.normal(size=(90, 200)), rng.integers(-1, 3, 90)
    values[:, 0], values[0, 1], values[1, 1], values[2, 2] = 1.0, np.inf, -np.inf, np.inf
    compared, units = np.ones(3, dtype=bool), np.arange(90)

    def found() -> tuple[gaps.GroupIntervals, gaps.GapTest]:
        measure = gaps.mean_measure(values)
        return (
            gaps.group_intervals(measure, groups, 3, compared, units, values=values),
            gaps.gap_test(measure, plan(groups), 3, 499),
        )

    whole = found()
    monkeypatch.setattr(gaps, "BLOCK", 1 << 20)  # 64 columns, or some 200 shuffles, at a time
    parted = found()
    for name in ("low", "high", "method", "gap_low", "gap_high"):
        np.testing.assert_array_equal(getattr(whole[0], name), getattr(parted[0], name), err_msg=name)
    np.testing.assert_array_equal(whole[1].p, parted[1].p)
    for name in ("gap", "null_mean", "null_high"):
        np.testing.assert_allclose(getattr(whole[1], name), getattr(parted[1], name), rtol=1e-12, err_msg=name)
    drawn = []
    for g in range(3):
        members = np.flatnonzero(groups == g)
        counts = bootstrap.resampling(len(members), draws=gaps.DRAWS, seed=bootstrap.SEED + g).counts
        drawn.append(counts @ values[members][:, 3:] / len(members))
    seen = np.stack([values[groups == g, 3:].mean(axis=0) for g in range(3)])
    for c in range(seen.shape[1]):
        difference = drawn[seen[:, c].argmax()][:, c] - drawn[seen[:, c].argmin()][:, c]
        ends = np.quantile(difference, [0.025, 0.975], method="nearest").clip(min=0)
        np.testing.assert_allclose([whole[0].gap_low[3 + c], whole[0].gap_high[3 + c]], ends, atol=1e-12)
