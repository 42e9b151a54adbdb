"""Ranking rules on tables small enough to rank by hand, and as properties."""

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics import bootstrap, paired, ranking

RULES = ["mean_of_ranks", "rank_of_means", "significance", "synthrad2023"]


def sampling(n: int) -> bootstrap.Resampling:
    return bootstrap.resampling(n, draws=500)


def test_mean_of_ranks_by_hand() -> None:
    # Ranks a case and metric: A 1,1 | 2,1 ; B 2,2 | 1,2 ; C 3,3 | 3,3.
    losses = np.array([[[1, 10], [2, 1]], [[2, 20], [1, 2]], [[3, 30], [3, 3]]], dtype=float)
    result = ranking.rank(losses, "mean_of_ranks", sampling(2))
    np.testing.assert_allclose(result.statistic, [1.25, 1.75, 3.0])
    np.testing.assert_array_equal(result.rank, [1, 2, 3])


def test_the_rules_can_disagree() -> None:
    # A is a little better on most cases and far worse on one.
    losses = np.array([[[1.0]] * 9 + [[100.0]], [[2.0]] * 10])[:, :, 0]
    losses = losses[..., None]
    assert ranking.rank(losses, "mean_of_ranks", sampling(10)).rank.tolist() == [1, 2]
    assert ranking.rank(losses, "rank_of_means", sampling(10)).rank.tolist() == [2, 1]


def test_synthrad2023_by_hand() -> None:
    means = np.array([[0.0, 10.0], [5.0, 0.0], [10.0, 10.0]])
    losses = np.repeat(means[:, None, :], 4, axis=1)
    result = ranking.rank(losses, "synthrad2023", sampling(4))
    np.testing.assert_allclose(result.statistic, [1.0, 0.5, 2.0])
    np.testing.assert_array_equal(result.rank, [2, 1, 3])


def test_significance_counts_better_methods() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 40)
    losses = np.stack([base, base + rng.normal(0, 0.01, 40), base + 1])[..., None]
    result = ranking.rank(losses, "significance", bootstrap.resampling(40, draws=50))
    assert result.rank.tolist() == [1, 1, 3]


@pytest.mark.parametrize("rule", RULES)
def test_identical_submissions_tie_and_order_does_not_matter(rule: str) -> None:
    rng = np.random.default_rng(4)
    losses = rng.normal(size=(4, 12, 2))
    losses[3] = losses[0]
    result = ranking.rank(losses, rule, sampling(12))
    assert result.rank[0] == result.rank[3]
    assert result.tied[0, 3]
    order = [2, 0, 3, 1]
    shuffled = ranking.rank(losses[order], rule, sampling(12))
    np.testing.assert_allclose(shuffled.statistic, result.statistic[order])
    np.testing.assert_array_equal(shuffled.rank, result.rank[order])
    np.testing.assert_array_equal(shuffled.low, result.low[order])


@pytest.mark.parametrize("rule", RULES)
def test_intervals_hold_the_rank_and_a_clear_winner_is_certain(rule: str) -> None:
    rng = np.random.default_rng(5)
    losses = rng.normal(size=(3, 30, 1))
    losses[1] -= 20
    result = ranking.rank(losses, rule, bootstrap.resampling(30, draws=100))
    assert (result.low <= result.rank).all() and (result.rank <= result.high).all()
    assert (result.rank[1], result.low[1], result.high[1]) == (1, 1, 1)
    assert not result.tied[1, 0]


def test_signed_rank_equals_scipy() -> None:
    rng = np.random.default_rng(8)
    for differences in (
        rng.normal(size=25),
        rng.integers(-3, 4, 30).astype(float),
        np.array([1.0, 2.0, 0.0, -1.0, 5.0]),
    ):
        z = paired.signed_rank_z(differences[None, :, None])[0, 0]
        kept = differences[differences != 0]
        expected = stats.wilcoxon(kept, alternative="less", method="asymptotic", correction=False).pvalue
        assert stats.norm.cdf(z) == pytest.approx(expected, rel=1e-9)
    assert paired.signed_rank_z(np.zeros((1, 5, 1)))[0, 0] == 0


def test_unknown_rule() -> None:
    with pytest.raises(ValueError, match="unknown ranking rule"):
        ranking.rank(np.zeros((2, 2, 1)), "best_friend", sampling(2))


def test_holm_against_the_textbook() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    # Sorted .005 .01 .03 .04 against .0125 .0167 .025 .05: stops at .03.
    assert paired.holm(p).tolist() == [True, False, False, True]
    assert stats.false_discovery_control(p).max() < 1  # the p-values are usable; Holm is stricter than this
