"""Paired tests against scipy and brute force; the rule `significance` holds its level; clusters are no trick to find differences."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from benchmark.statistics import bootstrap, paired, ranking, resampled


def test_sign_flips_equal_scipy_where_all_are_counted() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, 9)
    below, above = paired.sign_flip_p(differences[None, :, None])
    for ours, side in ((below, "less"), (above, "greater")):
        theirs = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", alternative=side, n_resamples=np.inf
        )
        assert ours[0, 0] == pytest.approx(theirs.pvalue, rel=1e-12)


def test_many_sign_flips_come_near_and_are_never_zero() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1, 30)
    below, above = paired.sign_flip_p(differences[None, :, None])
    assert above[0, 0] == pytest.approx(stats.ttest_1samp(differences, 0, alternative="greater").pvalue, abs=0.02)
    assert below[0, 0] + above[0, 0] == pytest.approx(1, abs=0.01)
    far = paired.sign_flip_p(np.full((1, 30, 1), 5.0))[1]
    assert far[0, 0] == 1 / (paired.FLIPS + 1)


def test_holm_equals_the_adjusted_values_of_the_textbook() -> None:
    # Holm 1979 by hand: sorted .005 .01 .03 .04 times 4 3 2 1, then the running maximum.
    np.testing.assert_allclose(paired.holm_adjusted(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_drawn_wilcoxon_equals_resampling_by_hand() -> None:
    rng = np.random.default_rng(3)
    # With ties and zeros, and without, also of one sign.
    rows = rng.integers(-3, 4, (6, 14)).astype(float)
    counts = bootstrap.resampling(14, draws=60).counts
    rows = np.concatenate([rows, rng.normal(0.5, 1, (6, 14)), -np.abs(rng.normal(size=(1, 14)))])
    fast = resampled.Draws(counts).signed_ranks(rows)
    for b, row in enumerate(counts):
        drawn = np.repeat(rows, row.astype(int), axis=1)[..., None]
        np.testing.assert_allclose(fast[:, b], paired.signed_rank_z(drawn)[:, 0], atol=1e-12)
    many = resampled.Draws(np.full((1, 14), 3000.0))  # sums of ranks that go beyond 32 bits
    assert many.whole.dtype == np.int64
    drawn = np.repeat(rows, 3000, axis=1)[..., None]
    np.testing.assert_allclose(many.signed_ranks(rows)[:, 0], paired.signed_rank_z(drawn)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("test", ["wilcoxon", "permutation"])
def test_drawn_wins_equal_wins_of_the_drawn_cases(test: paired.PairedTest) -> None:
    rng = np.random.default_rng(4)
    losses = rng.normal(size=(14, 25, 2)) + np.linspace(0, 2.5, 14)[:, None, None]
    sampling = bootstrap.resampling(25, draws=15)
    testable = np.ones(2, dtype=bool)
    fast = resampled.drawn_wins(losses, sampling, testable, test)
    for b, row in enumerate(sampling.counts):
        drawn = losses[:, np.repeat(np.arange(25), row.astype(int))]
        d = drawn[np.triu_indices(14, 1)[0]] - drawn[np.triu_indices(14, 1)[1]]
        z = paired.signed_rank_z(d) if test == "wilcoxon" else d.sum(axis=1) / np.sqrt((d**2).sum(axis=1))
        expected = paired._counted(ndtr(z), ndtr(-z), 14, testable, 0.05)
        np.testing.assert_array_equal(fast[b], expected)


@pytest.mark.parametrize("test", ["wilcoxon", "permutation"])
def test_the_rule_holds_its_level(test: paired.PairedTest) -> None:
    """Five submissions that are equal in truth: any win is false. Family-wise at most 5 %, each team one of 10 pairs, both sides:
    Holm over 20 one-sided tests at 5 % in all."""
    rng = np.random.default_rng(7)
    trials = 400
    sampling = bootstrap.resampling(30, draws=1)
    false = 0
    for _ in range(trials):
        losses = rng.normal(size=(30, 1)) + rng.normal(size=(5, 30, 1))
        false += bool(paired.wins(losses, sampling, np.ones(1, dtype=bool), test).any())
    assert false / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)  # three binomial standard errors: 3.3 %


def test_slices_of_one_patient_are_not_independent_evidence() -> None:
    rng = np.random.default_rng(8)
    patients = np.repeat(np.arange(8), 12)
    clustered = bootstrap.resampling(96, clusters=[str(p) for p in patients], draws=1)
    plain = bootstrap.resampling(96, draws=1)
    wrong = right = 0
    for _ in range(200):
        losses = rng.normal(size=(2, 8))[:, patients, None] + 0.1 * rng.normal(size=(2, 96, 1))
        wrong += bool(paired.wins(losses, plain, np.ones(1, dtype=bool)).any())
        right += bool(paired.wins(losses, clustered, np.ones(1, dtype=bool)).any())
    assert right / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert wrong / 200 > 0.4  # what taking slices for patients would do


def test_a_metric_with_one_value_for_all_cases_is_no_evidence() -> None:
    losses = np.repeat(np.array([[1.0], [2.0], [3.0]])[:, None, :], 20, axis=1)
    sampling = bootstrap.resampling(20, draws=50)
    taken_for_cases = ranking.rank(losses, "significance", sampling)
    assert taken_for_cases.rank.tolist() == [1, 2, 3]
    declared = ranking.rank(losses, "significance", sampling, options=ranking.Options(set_level=[True]))
    assert declared.rank.tolist() == [1, 1, 1] and declared.tied.all()


def test_unknown_test() -> None:
    with pytest.raises(ValueError, match="unknown paired test"):
        paired.wins(np.zeros((2, 3, 1)), bootstrap.resampling(3, draws=1), np.ones(1, dtype=bool), "coin")  # type: ignore[arg-type]
