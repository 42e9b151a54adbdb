"""Intervals against scipy and by simulation; the shared count matrix against its own definition."""

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics import bootstrap


def test_counts_are_draws_with_replacement() -> None:
    sampling = bootstrap.resampling(7, draws=2000)
    assert sampling.counts.shape == (2000, 7)
    assert (sampling.counts.sum(axis=1) == 7).all()
    assert abs(sampling.counts.mean() - 1) < 1e-12
    assert abs(sampling.counts.var() - (1 - 1 / 7)) < 0.02  # binomial(7, 1/7)


def test_strata_keep_their_sizes() -> None:
    strata = ["A"] * 5 + ["B"] * 2
    counts = bootstrap.resampling(7, strata=strata, draws=500).counts
    assert (counts[:, :5].sum(axis=1) == 5).all()
    assert (counts[:, 5:].sum(axis=1) == 2).all()


def test_clusters_are_drawn_whole() -> None:
    clusters = [f"p{i // 2}" for i in range(16)]
    sampling = bootstrap.resampling(16, clusters=clusters, draws=500)
    assert sampling.scheme == "clusters"
    assert (sampling.counts[:, ::2] == sampling.counts[:, 1::2]).all()


def test_few_clusters_are_resampled_within() -> None:
    clusters = ["a"] * 4 + ["b"] * 6
    sampling = bootstrap.resampling(10, clusters=clusters, draws=500)
    assert sampling.scheme == "within clusters"
    assert (sampling.counts[:, :4].sum(axis=1) == 4).all()
    assert "not other patients" in sampling.speaks_for


def test_same_seed_same_result() -> None:
    a, b = bootstrap.resampling(9, draws=50), bootstrap.resampling(9, draws=50)
    assert (a.counts == b.counts).all()


def test_means_equal_the_loop() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(6, 3))
    sampling = bootstrap.resampling(6, draws=20)
    fast = bootstrap.means(sampling.counts, values)
    for row, counts in zip(fast, sampling.counts, strict=True):
        np.testing.assert_allclose(row, np.repeat(values, counts.astype(int), axis=0).mean(axis=0))


def test_bca_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).lognormal(0, 1, 40)
    ours = bootstrap.mean_interval(values, bootstrap.resampling(40, draws=40_000), widen=False)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=40_000, method="BCa", rng=5).confidence_interval
    width = theirs.high - theirs.low
    assert ours.method.startswith("BCa")
    assert abs(ours.low - theirs.low) < 0.03 * width
    assert abs(ours.high - theirs.high) < 0.03 * width


TRIALS = 1500
"""A coverage of 95 % is then known to 1.1 % (two binomial standard errors): 93 to 97 % is nearly four of them."""


@pytest.mark.parametrize("n", [8, 15, 24, 60])
@pytest.mark.parametrize("shape", ["normal", "beta"])
def test_mean_intervals_cover_at_the_nominal_rate(n: int, shape: str) -> None:
    rng = np.random.default_rng([11, n])
    values = rng.normal(5, 2, (n, TRIALS)) if shape == "normal" else rng.beta(8, 2, (n, TRIALS))
    found = bootstrap.mean_intervals(values, bootstrap.resampling(n, draws=1500))
    truth = 5 if shape == "normal" else 0.8
    coverage = np.mean((found.low <= truth) & (truth <= found.high))
    assert 0.93 <= coverage <= 0.97
    assert all(method.startswith("BCa" if n >= bootstrap.BCA_FROM else "percentile") for method in found.method)


def test_without_widening_few_cases_are_covered_too_rarely() -> None:
    values = np.random.default_rng(2).normal(size=(8, TRIALS))
    found = bootstrap.mean_intervals(values, bootstrap.resampling(8, draws=1000), widen=False)
    assert np.mean((found.low <= 0) & (found.high >= 0)) < 0.92


def test_stratified_intervals_cover() -> None:
    rng = np.random.default_rng(5)
    sites = ["A"] * 8 + ["B"] * 8 + ["C"] * 8
    values = rng.normal(size=(24, TRIALS)) + np.repeat([0.0, 5.0, 20.0], 8)[:, None]
    found = bootstrap.mean_intervals(values, bootstrap.resampling(24, strata=sites, draws=1000))
    truth = 25 / 3
    assert 0.93 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.97
    free = bootstrap.mean_intervals(values, bootstrap.resampling(24, draws=1000))
    assert (found.high - found.low).mean() < 0.3 * (free.high - free.low).mean()


def test_clustered_intervals_cover_where_cases_of_a_patient_are_alike() -> None:
    rng = np.random.default_rng(6)
    patients = np.repeat(np.arange(14), 5)
    values = rng.normal(size=(14, TRIALS))[patients] + 0.2 * rng.normal(size=(70, TRIALS))
    by_patient = bootstrap.mean_intervals(
        values, bootstrap.resampling(70, clusters=[f"p{i:02d}" for i in patients], draws=1000)
    )
    assert 0.93 <= np.mean((by_patient.low <= 0) & (by_patient.high >= 0)) <= 0.97
    by_case = bootstrap.mean_intervals(values, bootstrap.resampling(70, draws=1000))
    assert np.mean((by_case.low <= 0) & (by_case.high >= 0)) < 0.8  # what taking slices for patients would do


@pytest.mark.parametrize("n", [10, 25, 41])
def test_median_intervals_cover(n: int) -> None:
    values = np.random.default_rng([3, n]).beta(8, 2, (n, TRIALS))
    found = bootstrap.median_intervals(values, bootstrap.resampling(n, draws=1000))
    truth = stats.beta(8, 2).median()
    # An interval that ends on order statistics cannot be exact: it may cover a little more than 97 %, never less than 93 %.
    assert 0.93 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.98


def test_medians_equal_the_loop() -> None:
    rng = np.random.default_rng(4)
    for n in (2, 5, 8):
        values = np.round(rng.normal(size=n), 1)  # with ties
        sampling = bootstrap.resampling(n, draws=400)
        order = np.argsort(values, kind="stable")
        fast = bootstrap._medians(sampling.counts.astype(np.int32), order, values[order])
        slow = [np.median(np.repeat(values, counts.astype(int))) for counts in sampling.counts]
        np.testing.assert_allclose(fast, slow)


def test_paired_differences_cover_and_are_narrower_than_unpaired() -> None:
    rng = np.random.default_rng(9)
    n, teams = 30, 40
    hard = rng.normal(0, 10, (n, 1))  # what makes a case hard for all
    values = hard + rng.normal(size=(n, teams))
    differences, found = bootstrap.difference_intervals(values, bootstrap.resampling(n, draws=1000))
    first, second = np.triu_indices(teams, 1)
    np.testing.assert_allclose(differences, values.mean(axis=0)[first] - values.mean(axis=0)[second])
    assert 0.90 <= np.mean((found.low <= 0) & (found.high >= 0)) <= 0.99  # pairs share submissions: 780 pairs of 40
    one = bootstrap.mean_interval(values[:, 3] - values[:, 17], bootstrap.resampling(n, draws=1000))
    pair = int(np.flatnonzero((first == 3) & (second == 17))[0])
    assert (found.low[pair], found.high[pair]) == pytest.approx((one.low, one.high), rel=1e-9)
    alone = bootstrap.mean_interval(values[:, 3], bootstrap.resampling(n, draws=1000))
    assert found.high[pair] - found.low[pair] < 0.5 * (alone.high - alone.low)


def test_listing_cases_otherwise_changes_nothing() -> None:
    rng = np.random.default_rng(12)
    values, names = rng.normal(size=20), [f"case-{i:02d}" for i in range(20)]
    sites = [f"s{i % 3}" for i in range(20)]
    order = rng.permutation(20)
    for strata in (None, sites):
        a = bootstrap.resampling(20, strata=strata, keys=names, draws=300)
        moved = None if strata is None else [strata[i] for i in order]
        b = bootstrap.resampling(20, strata=moved, keys=[names[i] for i in order], draws=300)
        np.testing.assert_array_equal(a.counts[:, order], b.counts)
        x, y = bootstrap.mean_interval(values, a), bootstrap.mean_interval(values[order], b)
        assert (x.low, x.high) == pytest.approx((y.low, y.high), rel=1e-12)


def test_infinite_values_make_infinite_ends_and_no_nan() -> None:
    values = np.array([1.0, 2.0, 3.0, np.inf] + [2.0] * 8)
    found = bootstrap.mean_interval(values, bootstrap.resampling(12, draws=500))
    assert np.isfinite(found.low) and found.high == np.inf


def test_columns_do_not_depend_on_the_block_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=(25, 7))
    sampling = bootstrap.resampling(25, draws=400)
    whole = bootstrap.mean_intervals(values, sampling)
    _, pairs = bootstrap.difference_intervals(values, sampling)
    monkeypatch.setattr(bootstrap, "BLOCK", 8 * 400 * 2)
    parted = bootstrap.mean_intervals(values, sampling)
    np.testing.assert_allclose(parted.low, whole.low, rtol=1e-12)
    np.testing.assert_allclose(bootstrap.difference_intervals(values, sampling)[1].high, pairs.high, rtol=1e-12)


def test_one_case_and_equal_cases_say_so() -> None:
    assert bootstrap.mean_interval(np.array([2.0]), bootstrap.resampling(1)).method == "none: one case"
    equal = bootstrap.mean_interval(np.full(30, 2.0), bootstrap.resampling(30))
    assert (equal.low, equal.high, equal.method) == (2.0, 2.0, "none: all cases equal")


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap.resampling(0)
    with pytest.raises(ValueError, match="labels"):
        bootstrap.resampling(3, strata=["A"])
