"""Agreement of rules: Kendall's τ against a count of pairs, the podium, and a hand-made table that a third team reorders."""

from itertools import combinations

import numpy as np
import pytest

from benchmark.statistics import agreement, bootstrap, ranking


def sampling(n: int) -> bootstrap.Resampling:
    return bootstrap.resampling(n, draws=1)


def tau_b(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's τ-b by counting pairs."""
    same = sum(np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i, j in combinations(range(len(a)), 2))
    untied = [sum(x[i] != x[j] for i, j in combinations(range(len(x)), 2)) for x in (a, b)]
    return float(same / np.sqrt(untied[0] * untied[1]))


def test_tau_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = (rng.integers(1, 6, 7).astype(float) for _ in range(2))
        assert agreement.tau(a, b) == pytest.approx(tau_b(a, b))
    assert agreement.tau(np.ones(4), np.arange(4.0)) is None


def test_rules_that_agree_say_nothing() -> None:
    losses = np.arange(4.0)[:, None, None] + np.random.default_rng(1).normal(0, 0.01, (4, 30, 2))
    found = agreement.agreement(losses, list("abcd"), "mean_of_ranks", sampling(30))
    assert found.podium_agrees and not found.warnings and not found.reorderings
    assert found.orders[0].rule == "mean_of_ranks" and found.orders[0].declared
    assert {tau.tau for tau in found.taus} == {1.0} and len(found.taus) == 6


def test_a_podium_that_hangs_on_the_rule_is_said_plainly() -> None:
    # a is a little better on most cases and far worse on one.
    losses = np.array([[1.0] * 9 + [100.0], [2.0] * 10])[..., None]
    found = agreement.agreement(
        losses, ["a", "b"], "mean_of_ranks", sampling(10), titles={"a": "Team A", "b": "Team B"}
    )
    assert not found.podium_agrees
    (sentence,) = [w for w in found.warnings if "podium" in w]
    assert "by the mean of the ranks, this board's rule, it is Team A; Team B" in sentence
    assert "the rank of the means" in sentence and "Team B; Team A" in sentence


def test_a_rule_that_only_ties_more_does_not_contradict() -> None:
    assert not agreement.contradicts(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]))
    assert agreement.contradicts(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0]))
    below = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0, 5.0, 4.0])
    assert not agreement.contradicts(*below)  # not on the podium


def test_ties_stand_together_on_the_podium() -> None:
    places = agreement.podium(np.array([1.0, 1.0, 3.0, 4.0]), ["b", "a", "c", "d"])
    assert places == (("a", "b"), ("c",))


def test_synthrad_is_reordered_by_a_bad_team_leaving() -> None:
    """Means by hand, smaller is better: a (0, 6), b (3, 0), c (100, 6). With c: a 0 + 1, b .03 + 0. Without c: a 0 + 1, b 1 + 0: tied."""
    means = np.array([[0.0, 6.0], [3.0, 0.0], [100.0, 6.0]])
    losses = np.repeat(means[:, None, :], 5, axis=1)
    found = agreement.leave_one_out(losses, ["a", "b", "c"])
    assert [(item.without, item.pairs) for item in found] == [("c", (("a", "b"),))]
    told = agreement.agreement(losses, ["a", "b", "c"], "synthrad2023", sampling(5)).warnings
    assert any("without c, a would gain on b" in sentence and "this board's rule" in sentence for sentence in told)


def test_leave_one_out_equals_ranking_the_rest_again() -> None:
    rng = np.random.default_rng(3)
    losses = rng.normal(size=(6, 10, 3))
    names = [f"t{i}" for i in range(6)]
    found = {item.without: set(item.pairs) for item in agreement.leave_one_out(losses, names)}
    whole = ranking.statistic(losses, "synthrad2023", sampling(10))
    for out in range(6):
        rest = [i for i in range(6) if i != out]
        again = ranking.statistic(losses[rest], "synthrad2023", sampling(10))
        expected = set()
        for x, y in combinations(range(5), 2):
            before, after = whole[rest[x]] - whole[rest[y]], again[x] - again[y]
            if np.sign(before) != np.sign(after):
                gains, loses = (x, y) if after < before else (y, x)
                expected.add((names[rest[gains]], names[rest[loses]]))
        assert found.get(names[out], set()) == expected
    assert found  # the example is one in which something happens


def test_one_submission_cannot_disagree() -> None:
    with pytest.raises(ValueError, match="two submissions"):
        agreement.agreement(np.zeros((1, 3, 1)), ["a"], "mean_of_ranks", sampling(3))
