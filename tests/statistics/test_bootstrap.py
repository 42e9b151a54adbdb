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


def test_intervals_cover_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(11)
    sampling = bootstrap.resampling(60, draws=1000)
    hits = 0
    for _ in range(600):
        interval = bootstrap.mean_interval(rng.normal(5, 2, 60), sampling)
        hits += interval.low <= 5 <= interval.high
    assert 0.92 <= hits / 600 <= 0.975  # binomial sd at 600 trials is 0.9 %


def test_one_case_and_equal_cases_say_so() -> None:
    assert bootstrap.mean_interval(np.array([2.0]), bootstrap.resampling(1)).method == "none: one case"
    equal = bootstrap.mean_interval(np.full(30, 2.0), bootstrap.resampling(30))
    assert (equal.low, equal.high, equal.method) == (2.0, 2.0, "none: all cases equal")


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap.resampling(0)
    with pytest.raises(ValueError, match="labels"):
        bootstrap.resampling(3, strata=["A"])
