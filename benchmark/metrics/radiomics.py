"""Radiomics features: first order, grey-level co-occurrence and run lengths, as the IBSI defines them (Zwanenburg et al. 2020).

Texture features are computed for each direction and averaged (the IBSI's aggregation "2D:avg" for a slice, "3D:avg" for a
volume), with fixed-bin-number discretisation in the mask. The vector for the Fréchet radiomics distance holds the features of
the image and of four Laplacian-of-Gaussian images. Names of features are the IBSI's; features that repeat another (dissimilarity
is difference average, cluster tendency is sum variance) or are undefined around a mean of 0 (coefficients of variation and of
dispersion) are left out.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]

FIRST_ORDER = (
    "mean", "variance", "skewness", "excess_kurtosis", "median", "minimum", "percentile_10", "percentile_90", "maximum",
    "interquartile_range", "range", "mean_absolute_deviation", "robust_mean_absolute_deviation",
    "median_absolute_deviation", "energy", "root_mean_square", "histogram_entropy", "histogram_uniformity",
)  # fmt: skip
"""First-order features, in the order of the vector."""

GLCM = (
    "joint_maximum", "joint_average", "joint_variance", "joint_entropy", "difference_average", "difference_variance",
    "difference_entropy", "sum_average", "sum_variance", "sum_entropy", "angular_second_moment", "contrast",
    "inverse_difference", "normalised_inverse_difference", "inverse_difference_moment",
    "normalised_inverse_difference_moment", "inverse_variance", "correlation", "autocorrelation", "cluster_shade",
    "cluster_prominence", "information_correlation_1", "information_correlation_2",
)  # fmt: skip
"""Features of the grey-level co-occurrence matrix at distance 1."""

GLRLM = (
    "short_runs_emphasis", "long_runs_emphasis", "low_grey_level_run_emphasis", "high_grey_level_run_emphasis",
    "short_run_low_grey_level_emphasis", "short_run_high_grey_level_emphasis", "long_run_low_grey_level_emphasis",
    "long_run_high_grey_level_emphasis", "grey_level_non_uniformity", "normalised_grey_level_non_uniformity",
    "run_length_non_uniformity", "normalised_run_length_non_uniformity", "run_percentage", "grey_level_variance",
    "run_length_variance", "run_entropy",
)  # fmt: skip
"""Features of the grey-level run-length matrix."""

LOG_SIGMAS = (2.0, 3.0, 4.0, 5.0)
"""Widths of the Laplacian-of-Gaussian filters, in mm (in pixels where there is no spacing)."""

BINS = 32
"""Grey levels after discretisation."""

IMAGES = ("original", *(f"log_{sigma:g}" for sigma in LOG_SIGMAS))

NAMES = tuple(f"{image}_{feature}" for image in IMAGES for feature in (*FIRST_ORDER, *GLCM, *GLRLM))
"""Names of the entries of `slice_features`."""


def directions(ndim: int) -> NDArray[np.int64]:
    """The 4 directions of a slice or the 13 of a volume, one of each opposite pair, as (dz, dy, dx)."""
    steps = np.array([(z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)], np.int64)
    first = steps[np.arange(len(steps)), (steps != 0).argmax(axis=1)]
    steps = steps[(first > 0)]
    return steps if ndim == 3 else steps[steps[:, 0] == 0]


def discretise(image: Array, mask: NDArray[np.bool_], bins: int = BINS) -> NDArray[np.int64]:
    """Grey levels 1 … `bins` of equal width between the extremes in the mask, 0 outside; a constant region has level 1."""
    inside = image[mask]
    levels = np.zeros(image.shape, np.int64)
    if inside.size:
        low, high = float(inside.min()), float(inside.max())
        span = high - low
        scaled = np.floor((inside - low) / span * bins) if span > 0 else np.zeros(inside.shape)
        levels[mask] = np.minimum(scaled, bins - 1).astype(np.int64) + 1
    return levels


@njit(cache=True, nogil=True)
def cooccurrence(
    levels: NDArray[np.int64], steps: NDArray[np.int64], bins: int
) -> Array:  # pragma: no cover - compiled
    """Symmetric co-occurrence counts (directions, bins, bins) of levels (z, y, x); level 0 is outside."""
    depth, height, width = levels.shape
    counts = np.zeros((len(steps), bins, bins))
    for s in range(len(steps)):
        dz, dy, dx = steps[s]
        for z in range(max(0, -dz), min(depth, depth - dz)):
            for y in range(max(0, -dy), min(height, height - dy)):
                for x in range(max(0, -dx), min(width, width - dx)):
                    a, b = levels[z, y, x], levels[z + dz, y + dy, x + dx]
                    if a > 0 and b > 0:
                        counts[s, a - 1, b - 1] += 1.0
                        counts[s, b - 1, a - 1] += 1.0
    return counts


@njit(cache=True, nogil=True)
def run_lengths(levels: NDArray[np.int64], steps: NDArray[np.int64], bins: int) -> Array:  # pragma: no cover - compiled
    """Counts (directions, bins, longest possible run) of maximal runs of equal level inside the mask."""
    depth, height, width = levels.shape
    counts = np.zeros((len(steps), bins, max(depth, height, width)))
    for s in range(len(steps)):
        dz, dy, dx = steps[s]
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    a = levels[z, y, x]
                    if a == 0:
                        continue
                    pz, py, px = z - dz, y - dy, x - dx
                    inside = 0 <= pz < depth and 0 <= py < height and 0 <= px < width
                    if inside and levels[pz, py, px] == a:
                        continue  # not the first of its run
                    length = 1
                    qz, qy, qx = z + dz, y + dy, x + dx
                    while 0 <= qz < depth and 0 <= qy < height and 0 <= qx < width and levels[qz, qy, qx] == a:
                        length += 1
                        qz, qy, qx = qz + dz, qy + dy, qx + dx
                    counts[s, a - 1, length - 1] += 1.0
    return counts


def _entropy(probabilities: NDArray[np.number]) -> float:
    positive = probabilities[probabilities > 0].astype(np.float64)
    return float(-(positive * np.log2(positive)).sum())


def first_order(image: Array, mask: NDArray[np.bool_], bins: int = BINS) -> Array:
    """First-order features of the pixels in the mask, in the order of `FIRST_ORDER`; zeros for an empty mask."""
    x = np.asarray(image, np.float64)[mask]
    if x.size == 0:
        return np.zeros(len(FIRST_ORDER))
    mean, low, high = float(x.mean()), float(x.min()), float(x.max())
    centred = x - mean
    square = centred * centred
    variance = float(square.mean())
    p10, p25, median, p75, p90 = (float(v) for v in np.percentile(x, (10, 25, 50, 75, 90)))
    # A spread that is rounding error has no shape: its skewness would be noise.
    shaped = variance > 1e-24 * max(low * low, high * high)
    skewness = float((square * centred).mean()) / variance**1.5 if shaped else 0.0
    kurtosis = float((square * square).mean()) / variance**2 - 3.0 if shaped else 0.0
    core = x[(x >= p10) & (x <= p90)]
    histogram = (
        np.bincount(discretise(np.asarray(image, np.float64), mask, bins)[mask], minlength=bins + 1)[1:] / x.size
    )
    energy = float(x @ x)
    return np.array([
        mean, variance, skewness, kurtosis, median, low, p10, p90, high, p75 - p25, high - low,
        np.abs(centred).mean(), np.abs(core - core.mean()).mean() if core.size else 0.0, np.abs(x - median).mean(),
        energy, np.sqrt(energy / x.size), _entropy(histogram), (histogram**2).sum(),
    ])  # fmt: skip


def glcm_features(counts: Array) -> Array:
    """Features of one symmetric co-occurrence matrix of counts (bins, bins), in the order of `GLCM`."""
    bins = len(counts)
    p = counts / counts.sum()
    i = np.arange(1.0, bins + 1.0)
    marginal = p.sum(axis=1)
    mean = float(i @ marginal)
    variance = float((i - mean) ** 2 @ marginal)
    gap = np.abs(i[:, None] - i)
    total = i[:, None] + i
    difference = np.bincount(gap.astype(int).ravel(), weights=p.ravel(), minlength=bins).astype(np.float64)
    sums = np.bincount(total.astype(int).ravel() - 2, weights=p.ravel(), minlength=2 * bins - 1).astype(np.float64)
    k_difference, k_sum = np.arange(bins, dtype=float), np.arange(2.0, 2.0 * bins + 1.0)
    difference_mean, sum_mean = float(k_difference @ difference), float(k_sum @ sums)
    off = gap > 0
    autocorrelation = float(i @ p @ i)
    centred = total - 2.0 * mean
    joint, single = _entropy(p), _entropy(marginal)
    product = np.outer(marginal, marginal)
    positive = product > 0
    cross_1 = float(-(p[positive] * np.log2(product[positive])).sum())
    cross_2 = _entropy(product)
    return np.array([
        p.max(), mean, variance, joint,
        difference_mean, (k_difference - difference_mean) ** 2 @ difference, _entropy(difference),
        sum_mean, (k_sum - sum_mean) ** 2 @ sums, _entropy(sums),
        (p**2).sum(), (gap**2 * p).sum(),
        (p / (1.0 + gap)).sum(), (p / (1.0 + gap / bins)).sum(),
        (p / (1.0 + gap**2)).sum(), (p / (1.0 + (gap / bins) ** 2)).sum(), (p[off] / gap[off] ** 2).sum(),
        (autocorrelation - mean * mean) / variance if variance > 1e-12 else 1.0,
        autocorrelation, (centred**3 * p).sum(), (centred**4 * p).sum(),
        (joint - cross_1) / single if single > 0 else 0.0,
        np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * max(0.0, cross_2 - joint)))),
    ])  # fmt: skip


def glrlm_features(counts: Array, voxels: int) -> Array:
    """Features of one run-length matrix of counts (bins, lengths), in the order of `GLRLM`; `voxels` in the mask."""
    runs = float(counts.sum())
    p = counts / runs
    i, j = np.arange(1.0, counts.shape[0] + 1.0), np.arange(1.0, counts.shape[1] + 1.0)
    by_level, by_length = p.sum(axis=1), p.sum(axis=0)
    level_mean, length_mean = float(i @ by_level), float(j @ by_length)
    return np.array([
        by_length @ j**-2, by_length @ j**2, by_level @ i**-2, by_level @ i**2,
        i**-2 @ p @ j**-2, i**2 @ p @ j**-2, i**-2 @ p @ j**2, i**2 @ p @ j**2,
        runs * (by_level**2).sum(), (by_level**2).sum(), runs * (by_length**2).sum(), (by_length**2).sum(),
        runs / voxels, (i - level_mean) ** 2 @ by_level, (j - length_mean) ** 2 @ by_length, _entropy(p),
    ])  # fmt: skip


def texture(levels: NDArray[np.int64], bins: int = BINS) -> Array:
    """GLCM and GLRLM features of grey levels 1 … bins (0 outside) on a slice (y, x) or volume (z, y, x), averaged over directions.

    A direction without a pair of neighbours is left out of the GLCM average; where none has one, those features are 0.
    """
    voxels = int(np.count_nonzero(levels))
    if voxels == 0:
        return np.zeros(len(GLCM) + len(GLRLM))
    steps = directions(levels.ndim)
    volume = np.ascontiguousarray(levels if levels.ndim == 3 else levels[None])
    pairs = [glcm_features(counts) for counts in cooccurrence(volume, steps, bins) if counts.any()]
    runs = [glrlm_features(counts, voxels) for counts in run_lengths(volume, steps, bins)]
    return np.concatenate([np.mean(pairs, axis=0) if pairs else np.zeros(len(GLCM)), np.mean(runs, axis=0)])


def laplacian_of_gaussian(image: Array, sigma: float, spacing: tuple[float, ...]) -> Array:
    """σ²-normalised Laplacian of Gaussian of width σ mm on a grid with that spacing in mm (Lindeberg 1998)."""
    widths = [sigma / step for step in spacing]
    total = np.zeros(image.shape)
    for axis, width in enumerate(widths):
        order = [2 if a == axis else 0 for a in range(image.ndim)]
        total += width**2 * ndimage.gaussian_filter(image, widths, order=order, mode="nearest")
    return total


def slice_features(
    image: NDArray[np.floating], mask: NDArray[np.bool_], spacing: tuple[float, float] = (1.0, 1.0)
) -> Array:
    """All features of one slice (y, x), in the order of `NAMES`: finite numbers for any mask, also an empty one.

    Filters run over the whole slice, features are taken in the mask. A region that is constant to rounding counts as constant.
    """
    original = np.asarray(image, np.float64)
    parts = []
    for filtered in (original, *(laplacian_of_gaussian(original, sigma, spacing) for sigma in LOG_SIGMAS)):
        inside = filtered[mask]
        if inside.size and float(np.ptp(inside)) <= 1e-9 * max(float(np.abs(original).max()), 1e-300):
            filtered = np.full(filtered.shape, float(inside.mean()))
        parts += [first_order(filtered, mask), texture(discretise(filtered, mask))]
    return np.concatenate(parts)
