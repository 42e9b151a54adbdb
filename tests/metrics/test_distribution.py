"""Fréchet distance, KID and PRDC against closed forms, published formulas and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.errors import DataError, SubmissionError
from benchmark.metrics import distribution as dist


def sqrtm_frechet(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook formula, as the reference implementation of FID evaluates it."""
    m1, m2 = x.mean(0), y.mean(0)
    s1, s2 = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    root = scipy.linalg.sqrtm(s1 @ s2)
    return float((m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real)


def two_sets(n: int, m: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mix + 3.0, rng.normal(size=(m, d)) @ (mix + 0.3 * rng.normal(size=(d, d)))


@pytest.mark.parametrize(
    ("n", "m", "d"), [(60, 70, 8), (60, 30, 8), (33, 200, 8), (20, 25, 12), (400, 500, 3), (9, 50, 1)]
)
def test_frechet_equals_sqrtm_where_that_is_well_conditioned(n: int, m: int, d: int) -> None:
    x, y = two_sets(n, m, d)
    assert dist.frechet_distance(x, y) == pytest.approx(sqrtm_frechet(x, y), rel=1e-8)


def test_frechet_paths_agree_around_the_switch() -> None:
    x, y = two_sets(50, 50, 10)
    moments = dist.frechet_from_gaussians(*dist.Moments().update(x).gaussian(), *dist.Moments().update(y).gaussian())
    assert dist.frechet_distance(x[:40], y[:40]) > 0  # at most 4d samples: singular values
    assert dist.frechet_distance(x, y) == pytest.approx(moments, rel=1e-12)
    a, b = x - x.mean(0), y - y.mean(0)
    by_hand = (
        ((x.mean(0) - y.mean(0)) ** 2).sum()
        + (a**2).sum() / 49
        + (b**2).sum() / 49
        - 2 * np.linalg.svd(a @ b.T / 49, compute_uv=False).sum()
    )
    assert moments == pytest.approx(by_hand, rel=1e-10)


def test_frechet_closed_form_of_axis_aligned_gaussians() -> None:
    s1, s2, m1, m2 = (
        np.array([1.0, 4.0, 0.25]),
        np.array([9.0, 1.0, 0.0]),
        np.array([0.0, 1.0, 2.0]),
        np.array([1.0, 1.0, 0.0]),
    )
    expected = ((m1 - m2) ** 2).sum() + ((np.sqrt(s1) - np.sqrt(s2)) ** 2).sum()
    assert dist.frechet_from_gaussians(m1, np.diag(s1), m2, np.diag(s2)) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_one_dimension_is_the_wasserstein_distance_of_normals() -> None:
    x, y = np.array([0.0, 2.0, 4.0]), np.array([10.0, 11.0, 12.0])  # mean 2, sd 2 and mean 11, sd 1
    assert dist.frechet_distance(x, y) == pytest.approx((2 - 11) ** 2 + (2 - 1) ** 2)


@pytest.mark.parametrize(("n", "d"), [(30, 200), (100, 464), (200, 20), (1, 5), (2, 5), (5, 1)])
def test_frechet_of_a_set_with_itself_is_zero_below_full_rank_too(n: int, d: int) -> None:
    x = np.random.default_rng(1).normal(size=(n, d)) * 10 + 50
    assert 0.0 <= dist.frechet_distance(x, x) <= 1e-9 * n * d


def test_frechet_of_a_scaled_set_below_full_rank() -> None:
    # y = 2x: Σ₂ = 4Σ₁, so the distance is |μ|² + tr Σ₁ exactly, however singular Σ₁ is.
    x = np.random.default_rng(2).normal(size=(40, 300)) + 1
    expected = (x.mean(0) ** 2).sum() + x.var(0, ddof=1).sum()
    assert dist.frechet_distance(x, 2 * x) == pytest.approx(expected, rel=1e-10)


def test_moments_stream_like_one_batch_and_survive_a_large_mean() -> None:
    x = np.random.default_rng(3).normal(size=(1000, 6)) + 1e7
    streamed = dist.Moments()
    for batch in np.split(x, [1, 7, 7, 300, 650]):
        streamed.update(batch)
    mean, covariance = streamed.gaussian()
    assert streamed.count == 1000
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(covariance, np.cov(x - 1e7, rowvar=False), rtol=1e-6, atol=1e-7)
    halves = dist.Moments().update(x[:400]).merge(dist.Moments().update(x[400:]))
    np.testing.assert_allclose(halves.gaussian()[1], covariance, rtol=1e-9, atol=1e-9)


def test_moments_of_tensors_equal_those_of_arrays() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(4).normal(size=(50, 4)).astype(np.float32)
    streamed = dist.Moments().update(torch.from_numpy(x[:20])).update(torch.from_numpy(x[20:]))
    assert streamed.scatter.dtype == torch.float64
    for a, b in zip(streamed.gaussian(), dist.Moments().update(x).gaussian(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


matrices = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 12), st.just(4)), elements=st.floats(-5, 5, allow_nan=False, width=32)
)


@settings(max_examples=60, deadline=None)
@given(matrices, matrices)
def test_frechet_properties(x: np.ndarray, y: np.ndarray) -> None:
    value = dist.frechet_distance(x, y)
    scale = 1.0 + (x**2).sum() + (y**2).sum()
    assert 0.0 <= value < np.inf
    assert dist.frechet_distance(y, x) == pytest.approx(value, abs=1e-9 * scale)
    assert dist.frechet_distance(x + 3.0, y + 3.0) == pytest.approx(value, abs=1e-8 * scale)
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    assert dist.frechet_distance(x @ rotation, y @ rotation) == pytest.approx(value, abs=1e-8 * scale)
    assert value >= ((x.mean(0) - y.mean(0)) ** 2).sum() - 1e-8 * scale


def brute_kid(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kid_equals_the_double_sum_and_torchmetrics_kernel() -> None:
    x, y = two_sets(13, 9, 5)
    assert dist.kid(x, y) == pytest.approx(brute_kid(x, y), rel=1e-10)
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("torchmetrics.image.kid")
    f = [torch.from_numpy(part) for part in (x, y[:9], x[:9])]
    theirs = peer.poly_mmd(f[2], f[1], degree=3, gamma=None, coef=1.0).item()
    assert dist.kid(x[:9], y) == pytest.approx(theirs, rel=1e-10)


def test_kid_weights_are_repetition_without_self_pairs() -> None:
    x, y = two_sets(6, 5, 3)
    wx, wy = np.array([2, 0, 1, 1, 3, 0]), np.array([1, 1, 0, 2, 0])
    kernels = dist.kernel_matrices(x, y)
    rows, columns = np.repeat(np.arange(6), wx), np.repeat(np.arange(5), wy)
    k = dist.polynomial_kernel

    def within(z: np.ndarray, index: np.ndarray) -> float:
        pairs = [(i, j) for i in index for j in index if i != j]
        return float(np.mean([k(z[i : i + 1], z[j : j + 1])[0, 0] for i, j in pairs]))

    expected = within(x, rows) + within(y, columns) - 2 * k(x[rows], y[columns]).mean()
    assert dist.mmd2(kernels, wx, wy) == pytest.approx(expected, rel=1e-10)


def test_kid_subsets_are_seeded_and_estimate_the_whole() -> None:
    x, y = two_sets(300, 280, 6)
    whole = dist.kid(x, y, subsets=0)
    parts = dist.kid(x, y, subsets=200, subset_size=60, seed=1)
    assert parts == dist.kid(x, y, subsets=200, subset_size=60, seed=1)
    assert parts != dist.kid(x, y, subsets=200, subset_size=60, seed=2)
    assert parts == pytest.approx(whole, rel=0.2)


def test_kid_is_unbiased_where_the_frechet_distance_is_not() -> None:
    rng = np.random.default_rng(6)
    kids, distances = [], []
    for _ in range(200):
        x, y = rng.normal(size=(25, 8)), rng.normal(size=(25, 8))
        kids.append(dist.kid(x, y))
        distances.append(dist.frechet_distance(x, y))
    assert abs(np.mean(kids)) < 3 * np.std(kids) / np.sqrt(200)
    assert np.mean(distances) > 0.5
    assert dist.frechet_floor(rng.normal(size=(50, 8))) == pytest.approx(np.mean(distances), rel=0.4)


def brute_prdc(x: np.ndarray, y: np.ndarray, k: int) -> dist.PRDC:
    def radius(z: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(z[i] - z[j]) for j in range(len(z)) if j != i)[k - 1]

    rx, ry = [radius(x, i) for i in range(len(x))], [radius(y, i) for i in range(len(y))]
    d = np.array([[np.linalg.norm(a - b) for b in y] for a in x])
    inside = d < np.array(rx)[:, None]
    return dist.PRDC(
        inside.any(0).mean(), (d < np.array(ry)).any(1).mean(), inside.sum(0).mean() / k, (d.min(1) < rx).mean()
    )


@pytest.mark.parametrize("seed", range(4))
def test_prdc_equals_brute_force(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(40, 6)) + 20, rng.normal(size=(35, 6)) * 1.3 + 20.5
    np.testing.assert_allclose(dist.prdc(x, y), brute_prdc(x, y, 5), rtol=1e-12)
    monkeypatch.setattr(dist, "BLOCK_BYTES", 1000)  # a few rows a block
    np.testing.assert_allclose(dist.prdc(x, y), brute_prdc(x, y, 5), rtol=1e-12)


def test_prdc_guardrails() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 4))
    same = dist.prdc(x, x)
    assert same.precision == same.recall == same.coverage == 1.0
    assert same.density == pytest.approx(
        1.0, abs=1e-12
    )  # each sample lies in the open balls of exactly k − 1 others and its own, on average
    mean_image = dist.prdc(x, np.tile(x.mean(0), (200, 1)) + 1e-3 * rng.normal(size=(200, 4)))
    assert mean_image.recall == 0.0 and mean_image.coverage < 0.3
    noise = dist.prdc(x, 50 + rng.normal(size=(200, 4)))
    assert noise == dist.PRDC(0.0, 0.0, 0.0, 0.0)


def test_prdc_weights_leave_the_balls_alone() -> None:
    x, y = two_sets(20, 15, 3)
    found = dist.balls(x, y)
    wx, wy = np.r_[np.zeros(10), np.ones(10)], np.r_[np.ones(5) * 3, np.zeros(10)]
    weighted = dist.prdc_from_balls(found, wx, wy)
    assert weighted.precision == pytest.approx((found.real_balls[:5] > 0).mean())
    assert weighted.coverage == pytest.approx(found.covered[10:].mean())


def test_distances_of_copies_are_exactly_zero() -> None:
    x = np.random.default_rng(8).normal(size=(30, 50)) + 1e4
    assert (np.diagonal(dist.squared_distances(x, x)) == 0).all()
    from scipy.spatial.distance import cdist

    np.testing.assert_allclose(dist.squared_distances(x[:10], x[10:]), cdist(x[:10], x[10:], "sqeuclidean"), rtol=1e-9)
    constant = np.full((8, 5), 3.3)
    assert (dist.squared_distances(constant, constant) == 0).all()


@settings(max_examples=60, deadline=None)
@given(matrices, matrices, st.integers(1, 7))
def test_prdc_and_kid_are_total_and_bounded(x: np.ndarray, y: np.ndarray, k: int) -> None:
    values = dist.prdc(x, y, k)
    for value in (values.precision, values.recall, values.coverage):
        assert 0.0 <= value <= 1.0
    assert 0.0 <= values.density <= len(x) / max(1, min(k, len(x) - 1))
    assert np.isfinite(dist.kid(x, y)) and np.isfinite(dist.kid(x, y, subsets=3, subset_size=2))
    assert dist.kid(x, y) == pytest.approx(dist.kid(y, x), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float16", "float32"])
def test_dtypes_orders_and_views(dtype: str) -> None:
    x = (np.random.default_rng(9).normal(size=(24, 4)) * 20 + 100).astype(dtype)
    y = np.asfortranarray(x[::-1][:12])
    expected = dist.frechet_distance(x.astype(float), np.ascontiguousarray(y).astype(float))
    assert dist.frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_unusable_sets_say_whose_fault_it_is() -> None:
    good, bad = np.ones((4, 3)), np.full((4, 3), np.nan)
    for function in (dist.frechet_distance, dist.kid, dist.prdc):
        with pytest.raises(DataError, match="reference"):
            function(bad, good)
        with pytest.raises(SubmissionError, match="4 of 4"):
            function(good, bad)
        with pytest.raises(DataError):
            function(np.empty((0, 3)), good)
        with pytest.raises(SubmissionError):
            function(good, np.empty((0, 3)))
        with pytest.raises(SubmissionError):
            function(good, [["a", "b", "c"]])
        with pytest.raises(ValueError, match="columns"):
            function(good, np.ones((4, 2)))
