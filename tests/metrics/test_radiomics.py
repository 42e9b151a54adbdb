"""Radiomics features against the IBSI's digital phantom and its consensus values, scikit-image and hand-worked runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.feature import graycomatrix, graycoprops

from benchmark.metrics import radiomics as r

N = 0
PHANTOM = np.array([
    [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
    [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [N, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
    [[1, 4, 4, N, N], [1, 1, 1, 1, 1], [1, 1, N, 1, 1], [1, 1, 6, 1, 1]],
    [[1, 4, 4, N, N], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
])  # fmt: skip
"""The IBSI digital phantom, 74 voxels in the region; 0 is outside."""

# Consensus values of the IBSI reference manual (arXiv 1612.07003), given to three digits.
IBSI_FIRST_ORDER = {
    "mean": 2.15, "variance": 3.05, "skewness": 1.08, "excess_kurtosis": -0.355, "median": 1, "minimum": 1, "percentile_10": 1,
    "percentile_90": 4, "maximum": 6, "interquartile_range": 3, "range": 5, "mean_absolute_deviation": 1.55,
    "robust_mean_absolute_deviation": 1.11, "median_absolute_deviation": 1.15, "energy": 567, "root_mean_square": 2.77,
    "histogram_entropy": 1.27, "histogram_uniformity": 0.512,
}  # fmt: skip
IBSI_GLCM_2D = {
    "joint_maximum": 0.519, "joint_average": 2.14, "joint_variance": 2.69, "joint_entropy": 2.05, "difference_average": 1.42,
    "difference_variance": 2.90, "difference_entropy": 1.40, "sum_average": 4.28, "sum_variance": 5.47, "sum_entropy": 1.60,
    "angular_second_moment": 0.368, "contrast": 5.28, "inverse_difference": 0.678, "normalised_inverse_difference": 0.851,
    "inverse_difference_moment": 0.619, "normalised_inverse_difference_moment": 0.899, "inverse_variance": 0.0567,
    "correlation": -0.0121, "autocorrelation": 5.09, "cluster_shade": 7.00, "cluster_prominence": 79.1,
    "information_correlation_1": -0.155, "information_correlation_2": 0.487,
}  # fmt: skip
IBSI_GLRLM_2D = {
    "short_runs_emphasis": 0.641, "long_runs_emphasis": 3.78, "low_grey_level_run_emphasis": 0.604,
    "high_grey_level_run_emphasis": 9.82, "short_run_low_grey_level_emphasis": 0.294,
    "short_run_high_grey_level_emphasis": 8.57, "long_run_low_grey_level_emphasis": 3.14,
    "long_run_high_grey_level_emphasis": 17.4, "grey_level_non_uniformity": 5.20,
    "normalised_grey_level_non_uniformity": 0.46, "run_length_non_uniformity": 6.12,
    "normalised_run_length_non_uniformity": 0.492, "run_percentage": 0.627, "grey_level_variance": 3.35,
    "run_length_variance": 0.761, "run_entropy": 2.17,
}  # fmt: skip


def close(value: float, expected: float) -> bool:
    """Equal to the three digits that the manual gives (the last one may differ by rounding)."""
    return abs(value - expected) <= 0.006 * abs(expected)


def test_phantom_first_order() -> None:
    assert (PHANTOM > 0).sum() == 74
    values = dict(zip(r.FIRST_ORDER, r.first_order(PHANTOM.astype(float), PHANTOM > 0, bins=6), strict=True))
    wrong = {name: (values[name], want) for name, want in IBSI_FIRST_ORDER.items() if not close(values[name], want)}
    assert not wrong


def test_phantom_texture_by_slice() -> None:
    # "2D, averaged": every slice and direction on its own, then the mean.
    found = np.mean([r.texture(plane, bins=6) for plane in PHANTOM], axis=0)
    values = dict(zip((*r.GLCM, *r.GLRLM), found, strict=True))
    expected = {**IBSI_GLCM_2D, **IBSI_GLRLM_2D}
    assert set(expected) == set(values)
    wrong = {name: (values[name], want) for name, want in expected.items() if not close(values[name], want)}
    assert not wrong


def test_phantom_texture_in_the_volume() -> None:
    values = dict(zip((*r.GLCM, *r.GLRLM), r.texture(PHANTOM, bins=6), strict=True))
    for name, want in {"joint_maximum": 0.503, "joint_average": 2.14, "joint_variance": 3.10, "contrast": 5.32}.items():
        assert close(values[name], want), (name, values[name], want)


def test_cooccurrence_equals_scikit_image() -> None:
    levels = np.random.default_rng(0).integers(1, 9, (30, 21))
    counts = r.cooccurrence(levels[None], r.directions(2), 8)
    by_step = {tuple(step): matrix for step, matrix in zip(r.directions(2).tolist(), counts, strict=True)}
    angles = {(0, 0, 1): 0.0, (0, 1, 1): np.pi / 4, (0, 1, 0): np.pi / 2, (0, 1, -1): 3 * np.pi / 4}
    assert set(angles) == set(by_step)
    for step, angle in angles.items():
        theirs = graycomatrix((levels - 1).astype(np.uint8), [1], [angle], levels=8, symmetric=True)
        np.testing.assert_array_equal(by_step[step], theirs[:, :, 0, 0])
        features = dict(zip(r.GLCM, r.glcm_features(by_step[step]), strict=True))
        normalised = theirs / theirs.sum()
        for ours, name in (("contrast", "contrast"), ("inverse_difference_moment", "homogeneity"), ("correlation", "correlation"),
                           ("angular_second_moment", "ASM"), ("difference_average", "dissimilarity")):  # fmt: skip
            assert features[ours] == pytest.approx(graycoprops(normalised, name)[0, 0], rel=1e-10), ours


def test_runs_by_hand() -> None:
    levels = np.array([[1, 1, 2], [2, 1, 0], [2, 2, 2]])
    counts = dict(
        zip(map(tuple, r.directions(2).tolist()), r.run_lengths(levels[None], r.directions(2), 2), strict=True)
    )
    np.testing.assert_array_equal(counts[0, 0, 1], [[1, 1, 0], [2, 0, 1]])  # rows: 11|2, 2|1, 222
    np.testing.assert_array_equal(counts[0, 1, 0], [[1, 1, 0], [3, 1, 0]])  # columns: 1|22, 11|2, 2|0|2
    np.testing.assert_array_equal(counts[0, 1, 1], [[1, 1, 0], [3, 1, 0]])  # diagonals: 11|2, 1|0, 2|2 → 22, 2, 2
    for matrix in counts.values():  # every voxel belongs to exactly one run
        assert (matrix @ [1, 2, 3]).sum() == 8


def brute_runs(levels: np.ndarray, step: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Run counts by walking every line of the slice."""
    found: dict[tuple[int, int], int] = {}
    height, width = levels.shape
    starts = [
        (y, x)
        for y in range(height)
        for x in range(width)
        if not (0 <= y - step[0] < height and 0 <= x - step[1] < width)
    ]
    for y, x in starts:
        line = []
        while 0 <= y < height and 0 <= x < width:
            line.append(int(levels[y, x]))
            y, x = y + step[0], x + step[1]
        i = 0
        while i < len(line):
            j = i
            while j < len(line) and line[j] == line[i]:
                j += 1
            if line[i]:
                found[line[i], j - i] = found.get((line[i], j - i), 0) + 1
            i = j
    return found


def test_runs_equal_a_walk_along_every_line() -> None:
    levels = np.random.default_rng(1).integers(0, 4, (12, 9))
    for step, matrix in zip(r.directions(2).tolist(), r.run_lengths(levels[None], r.directions(2), 3), strict=True):
        ours = {(int(i) + 1, int(j) + 1): int(matrix[i, j]) for i, j in zip(*np.nonzero(matrix), strict=True)}
        assert ours == brute_runs(levels, (step[1], step[2]))


def test_laplacian_of_gaussian_scale_and_spacing() -> None:
    y, x = np.mgrid[-40:41, -40:41].astype(float)
    blob = np.exp(-(y**2 + x**2) / (2 * 6.0**2))
    responses = [r.laplacian_of_gaussian(blob, sigma, (1.0, 1.0))[40, 40] for sigma in (4.0, 6.0, 9.0)]
    assert np.argmin(responses) == 1  # strongest where σ is the blob's own
    # −σ²·2·s²/(s²+σ²)² at the centre of a Gaussian blob of width s: −1/2 for σ = s
    assert responses[1] == pytest.approx(-0.5, rel=0.01)
    coarse = blob[::2, :]
    np.testing.assert_allclose(r.laplacian_of_gaussian(coarse, 6.0, (2.0, 1.0))[20, 40], responses[1], rtol=0.01)


masks = hnp.arrays(bool, (9, 7))
images = hnp.arrays(np.float32, (9, 7), elements=st.floats(0, 1, width=32))


@settings(max_examples=40, deadline=None)
@given(images, masks)
def test_every_slice_has_finite_features(image: np.ndarray, mask: np.ndarray) -> None:
    values = r.slice_features(image, mask)
    assert values.shape == (len(r.NAMES),) and np.isfinite(values).all()


def test_constant_and_tiny_regions() -> None:
    one = np.zeros((6, 6), bool)
    one[2, 3] = True
    for image in (np.full((6, 6), 0.7), np.random.default_rng(2).random((6, 6))):
        assert np.isfinite(r.slice_features(image, one)).all()
    constant = dict(zip(r.NAMES, r.slice_features(np.full((6, 6), 0.1), np.ones((6, 6), bool)), strict=True))
    assert constant["original_variance"] == pytest.approx(0, abs=1e-30) and constant["original_skewness"] == 0
    assert constant["original_joint_maximum"] == 1 and constant["log_3_contrast"] == 0


def test_texture_ignores_what_lies_outside_the_mask() -> None:
    rng = np.random.default_rng(3)
    image, mask = rng.random((20, 20)), np.zeros((20, 20), bool)
    mask[5:15, 4:12] = True
    other = np.where(mask, image, 99.0)
    np.testing.assert_array_equal(r.texture(r.discretise(image, mask)), r.texture(r.discretise(other, mask)))
    np.testing.assert_array_equal(r.first_order(image, mask), r.first_order(other, mask))
    flipped = r.texture(r.discretise(image, mask)[::-1].copy())
    np.testing.assert_allclose(flipped, r.texture(r.discretise(image, mask)), rtol=1e-10)
