"""The classical methods themselves, as functions of arrays and a few fitted numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

Array = NDArray[np.float32]

TV_ITERATIONS = 30
"""Chambolle's iteration runs this long, whatever its stopping rule says: the range of CT would let it stop far too early."""

SOFT_TISSUE = (-300.0, 300.0)
"""HU between which noise is estimated: air clips and bone has edges."""


def smoothed(mr: Array, spacing: Sequence[float], sigma_mm: float) -> Array:
    """Gaussian smoothing with a standard deviation in mm."""
    return ndimage.gaussian_filter(mr, [sigma_mm / step for step in spacing]) if sigma_mm > 0 else mr


def depth(body: NDArray[np.bool_], spacing: Sequence[float]) -> Array:
    """Distance in mm from each voxel of the body to the nearest one outside; what lies beyond the volume is outside."""
    padded = np.pad(body, 1)
    distance = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]
    return np.asarray(distance, np.float32)


def table_cells(mr: Array, depths: Array, edges: Array, depths_mm: Array) -> NDArray[np.intp]:
    """Flat index of the table cell of each voxel: intensity bin times number of depth bins plus depth bin."""
    intensity = np.searchsorted(edges, mr, side="right")
    layer = np.clip(np.searchsorted(depths_mm, depths, side="right") - 1, 0, len(depths_mm) - 1)
    return np.asarray(intensity * len(depths_mm) + layer, np.intp)


def fit_table(cells: NDArray[np.intp], hu: Array, count: int, statistic: str) -> Array:
    """Mean or median HU of each cell; a cell with no voxel takes the value of its nearest filled neighbour in index order."""
    filled = np.bincount(cells, minlength=count) > 0
    if statistic == "mean":
        values = np.bincount(cells, weights=hu, minlength=count) / np.maximum(np.bincount(cells, minlength=count), 1)
    else:
        index = np.arange(count)
        values = np.nan_to_num(ndimage.median(hu, labels=cells, index=index))
    if not filled.any():
        raise ValueError("there is no voxel to fit to")
    nearest = ndimage.distance_transform_edt(~filled, return_distances=False, return_indices=True)[0]
    return np.asarray(values[nearest], np.float32)


def noise(image: Array, mask: NDArray[np.bool_]) -> float:
    """Noise of a slice (y, x) in its own unit: Immerkær's Laplacian estimate with a median, where the mask is.

    Immerkær, "Fast noise variance estimation", CVIU 64 (1996): the kernel [[1,-2,1],[-2,4,-2],[1,-2,1]] has the norm 6. The
    median of the absolute value of a normal variable is 0.6745 standard deviations. 0 where the mask is empty.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(ndimage.convolve(image, kernel, mode="nearest"))[mask]
    return float(np.median(response)) / (6 * 0.6745) if response.size else 0.0


def denoise(method: str, ct: Array, strength: float) -> Array:
    """Denoise a CT slice by slice: axes (z, y, x), HU in and out; `strength` counts in estimated noise levels.

    `tv`: Chambolle's total variation; `nlm`: fast non-local means. Both from scikit-image.
    """
    out = np.empty_like(ct, np.float32)
    for k, image in enumerate(ct):
        soft = (image > SOFT_TISSUE[0]) & (image < SOFT_TISSUE[1])
        sigma = max(noise(image, soft), 1.0)
        # Scaled so that the noise is 1: a strength then means the same at every dose.
        scaled = image / sigma
        if method == "tv":
            out[k] = sigma * denoise_tv_chambolle(scaled, weight=strength, eps=1e-9, max_num_iter=TV_ITERATIONS)
        elif method == "nlm":
            out[k] = sigma * denoise_nl_means(scaled, patch_size=5, patch_distance=5, h=strength, fast_mode=True)
        else:
            raise ValueError(f"there is no method {method!r}")
    return out
