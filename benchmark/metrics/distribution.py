"""Distances between sets of images, as functions of their features: Fréchet, KID, precision/recall/density/coverage.

Everything here takes feature arrays of shape (n, d) and knows nothing of networks or images; `features` makes such arrays and
`generation` declares the metrics. All arithmetic is in float64.

Errors, the same everywhere: `DataError` when the reference features cannot be used (empty, not finite, not numbers),
`SubmissionError` when the predicted ones cannot, `ValueError` when the two sets differ in dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import DataError, SubmissionError

Array = NDArray[np.float64]

BLOCK_BYTES = 64 << 20
"""Upper bound on one block of a distance matrix, so that memory does not grow with the square of n."""


def feature_array(values: ArrayLike, side: Literal["reference", "prediction"]) -> Array:
    """`values` as a float64 array (n, d) with n, d ≥ 1 and finite entries; a vector counts as n samples of one feature."""
    fail: Any = DataError if side == "reference" else SubmissionError
    code = "reference_invalid" if side == "reference" else "non_finite"
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise fail(
            "reference_invalid" if side == "reference" else "not_numeric", f"the {side} features are not numbers"
        ) from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise fail(
            "reference_invalid" if side == "reference" else "missing",
            f"the {side} features have shape {array.shape}",
            expected="(samples, features), at least one of each",
        )
    if not np.isfinite(array).all():
        raise fail(
            code,
            f"{int((~np.isfinite(array)).any(axis=1).sum())} of {len(array)} {side} feature vectors are not finite",
        )
    return array


def _pair(reference: ArrayLike, prediction: ArrayLike) -> tuple[Array, Array]:
    x, y = feature_array(reference, "reference"), feature_array(prediction, "prediction")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"reference features have {x.shape[1]} columns, predicted ones {y.shape[1]}")
    return x, y


# ---------------------------------------------------------------- Fréchet distance


@dataclass
class Moments:
    """Count, mean (d,) and scatter Σ(x−μ)(x−μ)ᵀ (d, d) of a stream of features, in float64.

    `mean` and `scatter` are numpy arrays or, when the features come as torch tensors, float64 tensors on the same device, so
    that features computed on a GPU need not leave it. Batches are merged by the pairwise update of Chan, Golub and LeVeque
    (1979), which loses no digits to a large mean as Σx² − nμ² would.
    """

    count: int = 0
    mean: Any = 0.0
    scatter: Any = 0.0

    def update(self, batch: Any) -> Moments:
        """Add features (n, d), array or tensor; gives self. An empty batch changes nothing."""
        if len(batch) == 0:
            return self
        x = batch.double() if hasattr(batch, "double") else np.asarray(batch, dtype=np.float64)
        mean = x.mean(0)
        centred = x - mean
        return self.merge(Moments(len(x), mean, centred.T @ centred))

    def merge(self, other: Moments) -> Moments:
        """Add the samples that `other` has seen; gives self."""
        if other.count == 0:
            return self
        if self.count == 0:
            self.count, self.mean, self.scatter = other.count, other.mean, other.scatter
            return self
        total = self.count + other.count
        shift = other.mean - self.mean
        self.scatter = (
            self.scatter + other.scatter + shift[:, None] * shift[None, :] * (self.count * other.count / total)
        )
        self.mean = self.mean + shift * (other.count / total)
        self.count = total
        return self

    def gaussian(self) -> tuple[Array, Array]:
        """Mean (d,) and covariance (d, d; divisor n − 1, zero for a single sample), as numpy arrays."""
        mean, scatter = (part.cpu().numpy() if hasattr(part, "cpu") else part for part in (self.mean, self.scatter))
        return np.atleast_1d(np.asarray(mean, np.float64)), np.atleast_2d(np.asarray(scatter, np.float64)) / max(
            self.count - 1, 1
        )


def frechet_from_gaussians(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """Squared Fréchet distance |μ₁−μ₂|² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) of two Gaussians (Dowson and Landau 1982).

    tr (Σ₁Σ₂)^½ is the sum of the square roots of the eigenvalues of L₁ᵀΣ₂L₁ with Σ₁ = L₁L₁ᵀ: symmetric, so real and, rounding
    aside, not negative; no ε on the diagonal. Takes means (d,) and covariances (d, d); never negative.
    """
    values, vectors = np.linalg.eigh(covariance_1)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    inner = np.linalg.eigvalsh(root.T @ covariance_2 @ root)
    trace_root = float(np.sqrt(np.clip(inner, 0.0, None)).sum())
    shift = mean_1 - mean_2
    return max(0.0, float(shift @ shift + np.trace(covariance_1) + np.trace(covariance_2) - 2.0 * trace_root))


def frechet_distance(reference: ArrayLike, prediction: ArrayLike) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two feature sets (n, d) and (m, d): FID, on any features.

    With centred features A and B over √(n−1), Σ₁ = AᵀA and Σ₂ = BᵀB, so tr (Σ₁Σ₂)^½ is the sum of the singular values of ABᵀ.
    That needs no d × d matrix, no square root of a matrix and no ε, and cannot turn complex or NaN where n < d. From n > 4d on
    both sides, eigenvalues of the moments are faster. A set of one sample has covariance 0. The estimate is biased upwards
    for small sets: compare values at equal n only, beside `frechet_floor`. Heusel et al. 2017.
    """
    x, y = _pair(reference, prediction)
    if min(len(x), len(y)) > 4 * x.shape[1]:
        return frechet_from_gaussians(*Moments().update(x).gaussian(), *Moments().update(y).gaussian())
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a = (x - mean_x) / np.sqrt(max(len(x) - 1, 1))
    b = (y - mean_y) / np.sqrt(max(len(y) - 1, 1))
    traces = float(np.vdot(a, a) + np.vdot(b, b))
    trace_root = float(np.linalg.svd(_short(a) @ _short(b).T, compute_uv=False).sum())
    shift = mean_x - mean_y
    return max(0.0, float(shift @ shift) + traces - 2.0 * trace_root)


def _short(a: Array) -> Array:
    """A matrix with the same aᵀa and at most d rows: a tall one is replaced by its triangular factor."""
    if a.shape[0] <= a.shape[1]:
        return a
    return cast(Array, np.linalg.qr(a, mode="r"))


def frechet_floor(reference: ArrayLike, *, seed: int = 0, draws: int = 5) -> float:
    """Real against real: the mean Fréchet distance between random halves of the reference features, 0 for fewer than two.

    What a perfect generator would get at n/2 samples; a distance is to be read beside it.
    """
    x = feature_array(reference, "reference")
    half = len(x) // 2
    if half == 0:
        return 0.0
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)) for _ in range(draws)]
    return float(np.mean([frechet_distance(x[order[:half]], x[order[half : 2 * half]]) for order in orders]))


# ---------------------------------------------------------------- kernel inception distance


def polynomial_kernel(x: Array, y: Array) -> Array:
    """(x·y / d + 1)³ for all pairs of rows, shape (n, m): the kernel of Bińkowski et al. 2018."""
    product = x @ y.T
    product /= x.shape[1]
    product += 1.0
    return product * product * product


class KernelMatrices(NamedTuple):
    """The three blocks of the joint kernel matrix of a reference and a predicted set."""

    xx: Array
    """Reference against reference."""
    yy: Array
    """Prediction against prediction."""
    xy: Array
    """Reference against prediction."""


def kernel_matrices(reference: ArrayLike, prediction: ArrayLike) -> KernelMatrices:
    """Polynomial kernel of all pairs; 8·(n² + m² + nm) bytes."""
    x, y = _pair(reference, prediction)
    return KernelMatrices(polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y))


def _within(kernel: Array, weights: Array) -> float:
    """Weighted mean of k(i, j) over i ≠ j; over all pairs where only one sample is left."""
    diagonal = np.diagonal(kernel)
    pairs = weights.sum() ** 2 - (weights**2).sum()
    full = float(weights @ kernel @ weights)
    if pairs <= 0.0:
        return full / float(weights.sum() ** 2)
    return (full - float((weights**2) @ diagonal)) / float(pairs)


def mmd2(kernels: KernelMatrices, x_weights: Array | None = None, y_weights: Array | None = None) -> float:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3), with a weight for every sample.

    Weights are how often a bootstrap drew a sample: a sample is never paired with its own copy, which would bring back the
    bias that leaving out the diagonal removes. A side with one sample falls back to its own (biased) diagonal.
    """
    wx = np.ones(len(kernels.xx)) if x_weights is None else np.asarray(x_weights, np.float64)
    wy = np.ones(len(kernels.yy)) if y_weights is None else np.asarray(y_weights, np.float64)
    cross = float(wx @ kernels.xy @ wy) / float(wx.sum() * wy.sum())
    return _within(kernels.xx, wx) + _within(kernels.yy, wy) - 2.0 * cross


def kid_from_kernels(
    kernels: KernelMatrices,
    *,
    subsets: int = 50,
    subset_size: int = 100,
    seed: int = 0,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
) -> float:
    """KID from kernel matrices: the mean of `mmd2` over `subsets` seeded subsets of `subset_size`, drawn without replacement.

    With `subsets` = 0, or where neither side has more than `subset_size` samples, it is `mmd2` of the whole sets: what the
    subsets estimate, without their noise.
    """
    wx = np.ones(len(kernels.xx), np.int64) if x_weights is None else np.asarray(x_weights).astype(np.int64)
    wy = np.ones(len(kernels.yy), np.int64) if y_weights is None else np.asarray(y_weights).astype(np.int64)
    if subsets <= 0 or max(wx.sum(), wy.sum()) <= subset_size:
        return mmd2(kernels, wx.astype(float), wy.astype(float))
    rng = np.random.default_rng(seed)
    drawn_x, drawn_y = np.repeat(np.arange(len(wx)), wx), np.repeat(np.arange(len(wy)), wy)
    values = []
    for _ in range(subsets):
        i = rng.choice(drawn_x, min(subset_size, len(drawn_x)), replace=False)
        j = rng.choice(drawn_y, min(subset_size, len(drawn_y)), replace=False)
        (i, count_i), (j, count_j) = np.unique(i, return_counts=True), np.unique(j, return_counts=True)
        part = KernelMatrices(kernels.xx[np.ix_(i, i)], kernels.yy[np.ix_(j, j)], kernels.xy[np.ix_(i, j)])
        values.append(mmd2(part, count_i.astype(float), count_j.astype(float)))
    return float(np.mean(values))


def kid(
    reference: ArrayLike, prediction: ArrayLike, *, subsets: int = 50, subset_size: int = 100, seed: int = 0
) -> float:
    """Kernel inception distance of two feature sets (n, d), (m, d); unbiased, so it may be slightly negative.

    Bińkowski et al. 2018, on any features. See `kid_from_kernels` for the subsets.
    """
    return kid_from_kernels(kernel_matrices(reference, prediction), subsets=subsets, subset_size=subset_size, seed=seed)


# ---------------------------------------------------------------- nearest neighbours


def squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances (n, m) by one matrix product; pairs that lie so close that it loses digits are redone exactly.

    Without that, a copy would lie at 10⁻⁷ of the norm instead of 0, and sets of equal rows would get radii made of rounding.
    """
    origin = y.mean(axis=0)
    u, v = x - origin, y - origin
    norm_u, norm_v = np.einsum("ij,ij->i", u, u), np.einsum("ij,ij->i", v, v)
    squared = u @ v.T
    squared *= -2.0
    squared += norm_u[:, None]
    squared += norm_v
    scale = float(norm_u.max() + norm_v.max())
    rows, columns = np.nonzero(squared <= 1e-9 * scale)
    step = max(1, BLOCK_BYTES // (8 * x.shape[1]))
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        difference = x[i] - y[j]
        squared[i, j] = np.einsum("ij,ij->i", difference, difference)
    return squared


def distance_blocks(x: Array, y: Array) -> Iterator[tuple[slice, Array]]:
    """Squared distances of x to y in blocks of rows, each at most `BLOCK_BYTES` large: (rows, block)."""
    step = max(1, BLOCK_BYTES // (8 * len(y)))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        yield rows, squared_distances(x[rows], y)


def neighbour_radii(x: Array, k: int) -> Array:
    """Squared distance (n,) of each row to its k-th nearest other row; k is cut to n − 1, and a single row gets 0."""
    k = min(k, len(x) - 1)
    radii = np.zeros(len(x))
    if k > 0:
        for rows, block in distance_blocks(x, x):
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 0.0  # itself comes first
            radii[rows] = np.partition(block, k, axis=1)[:, k]
    return radii


class PRDC(NamedTuple):
    """Fidelity and diversity of a generated set."""

    precision: float
    """Share of generated samples inside the ball of any real one; 0 to 1."""
    recall: float
    """Share of real samples inside the ball of any generated one; 0 to 1."""
    density: float
    """Mean number of real balls around a generated sample over k; 0 to n/k."""
    coverage: float
    """Share of real samples with a generated one inside their own ball; 0 to 1."""


class Balls(NamedTuple):
    """Per-sample counts from which PRDC are averages."""

    real_balls: Array
    """For each generated sample: the number of real balls that it lies in."""
    in_generated: NDArray[np.bool_]
    """For each real sample: whether it lies in any generated ball."""
    covered: NDArray[np.bool_]
    """For each real sample: whether a generated sample lies in its ball."""
    k: int
    """Neighbours that make a ball, after the cut to n − 1."""


def balls(reference: ArrayLike, prediction: ArrayLike, k: int = 5) -> Balls:
    """Who lies in whose k-nearest-neighbour ball (open, as in the published code); memory bounded by `BLOCK_BYTES`."""
    x, y = _pair(reference, prediction)
    x_radii, y_radii = neighbour_radii(x, k), neighbour_radii(y, k)
    counts = np.zeros(len(y))
    in_generated, covered = np.zeros(len(x), bool), np.zeros(len(x), bool)
    for rows, block in distance_blocks(x, y):
        inside = block < x_radii[rows, None]
        counts += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        in_generated[rows] = (block < y_radii).any(axis=1)
    return Balls(counts, in_generated, covered, max(1, min(k, len(x) - 1)))


def prdc_from_balls(found: Balls, x_weights: Array | None = None, y_weights: Array | None = None) -> PRDC:
    """The four averages, samples weighted; the balls stay those of the full sets, since copies would shrink them to points."""
    return PRDC(
        precision=float(np.average(found.real_balls > 0, weights=y_weights)),
        recall=float(np.average(found.in_generated, weights=x_weights)),
        density=float(np.average(found.real_balls, weights=y_weights)) / found.k,
        coverage=float(np.average(found.covered, weights=x_weights)),
    )


def prdc(reference: ArrayLike, prediction: ArrayLike, k: int = 5) -> PRDC:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020) of two feature sets.

    Same numbers as the published implementation, with strict inequalities; balls of sets smaller than k + 1 are made of the
    neighbours there are, and a single sample has an empty ball.
    """
    return prdc_from_balls(balls(reference, prediction, k))
