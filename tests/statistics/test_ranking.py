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


def test_weights_by_hand() -> None:
    # Metric 1: A before B; metric 2: B before A. Three to one for metric 1.
    losses = np.array([[[1.0, 2.0]] * 3, [[2.0, 1.0]] * 3])
    even = ranking.rank(losses, "mean_of_ranks", sampling(3))
    assert even.rank.tolist() == [1, 1]
    for rule in RULES[:2] + RULES[3:]:
        weighted = ranking.rank(losses, rule, sampling(3), options=ranking.Options(weights=[3, 1]))
        assert weighted.rank.tolist() == [1, 2], rule
    ranks = ranking.rank(losses, "mean_of_ranks", sampling(3), options=ranking.Options(weights=[3, 1])).statistic
    np.testing.assert_allclose(ranks, [1.25, 1.75])
    with pytest.raises(ValueError, match="weights"):
        ranking.rank(losses, "mean_of_ranks", sampling(3), options=ranking.Options(weights=[1]))


@pytest.mark.parametrize("rule", RULES)
def test_draws_in_blocks_are_the_same_draws(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = np.random.default_rng(6).normal(size=(4, 15, 3))
    whole = ranking.rank(losses, rule, sampling(15))
    monkeypatch.setattr(ranking, "BLOCK", 8 * 4 * 3 * 7)
    monkeypatch.setattr(paired, "BLOCK", 8 * 6 * 3 * 7)
    parted = ranking.rank(losses, rule, sampling(15))
    np.testing.assert_array_equal(whole.low, parted.low)
    np.testing.assert_array_equal(whole.tied, parted.tied)


def test_rank_intervals_cover_the_true_rank() -> None:
    """Four submissions of known order: the interval of each holds the rank that endless cases would give."""
    rng = np.random.default_rng(10)
    truth = np.array([0.0, 0.3, 0.6, 1.5])
    held = np.zeros(4)
    trials = 150
    drawing = bootstrap.resampling(40, draws=300)
    for _ in range(trials):
        losses = truth[:, None, None] + rng.normal(size=(4, 40, 1))
        found = ranking.rank(losses, "rank_of_means", drawing)
        held += (found.low <= [1, 2, 3, 4]) & (found.high >= [1, 2, 3, 4])
    assert (held / trials >= 0.93).all()


def test_performance_and_fairness_by_hand() -> None:
    # Two groups of two. A: losses .1 .1 | .3 .3: mean .2, range .2. B: .25 everywhere: mean .25, range 0.
    losses = np.array([[0.1, 0.1, 0.3, 0.3], [0.25] * 4])[..., None]
    options = ranking.Options(groups=[np.array([0, 0, 1, 1])])
    found = ranking.rank(losses, "performance_and_fairness", sampling(4), options=options)
    np.testing.assert_allclose(found.statistic, [0.5 * 0.2 + 0.5 * 0.2, 0.5 * 0.25])
    assert found.rank.tolist() == [2, 1]
    performance = ranking.Options(groups=options.groups, fairness_weight=0.0)
    assert ranking.rank(losses, "performance_and_fairness", sampling(4), options=performance).rank.tolist() == [1, 2]


def test_performance_and_fairness_as_mama_mia_writes_it() -> None:
    """performance = ½(mean Dice + 1 − mean NormHD); fairness of an attribute = 1 − ½(range Dice + range NormHD); half and half."""
    rng = np.random.default_rng(12)
    dice, hd = rng.beta(8, 2, (3, 40)), rng.uniform(0, 0.4, (3, 40))
    attributes = [rng.integers(0, 3, 40), rng.integers(-1, 2, 40)]  # the second with unknowns
    expected = []
    for d, h in zip(dice, hd, strict=True):
        fair = []
        for groups in attributes:
            a = [d[groups == g].mean() for g in range(groups.max() + 1)]
            b = [h[groups == g].mean() for g in range(groups.max() + 1)]
            fair.append(1 - 0.5 * (max(a) - min(a)) - 0.5 * (max(b) - min(b)))
        expected.append(0.5 * 0.5 * (d.mean() + 1 - h.mean()) + 0.5 * np.mean(fair))
    losses = np.stack([1 - dice, hd], axis=2)
    options = ranking.Options(groups=attributes)
    found = ranking.statistic(losses, "performance_and_fairness", sampling(40), options=options)
    np.testing.assert_allclose(1 - found, expected)


def test_performance_and_fairness_needs_groups_and_bounds() -> None:
    with pytest.raises(ValueError, match="groups"):
        ranking.rank(np.zeros((2, 4, 1)), "performance_and_fairness", sampling(4))
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        options = ranking.Options(groups=[np.array([0, 0, 1, 1])])
        ranking.rank(np.full((2, 4, 1), 2.0), "performance_and_fairness", sampling(4), options=options)
