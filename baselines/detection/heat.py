"""Findings as a heat map over the voxels, and peaks of a heat map as marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.detection import candidates, marks
from baselines.sections import Detection
from benchmark import points
from benchmark.image import Volume

Array = NDArray[np.float32]


def target(grid: Volume, reference: Any, settings: Detection) -> tuple[Array, Array]:
    """The heat map of a reference and where it counts, both (z, y, x) in 0 … 1.

    A Gaussian of height 1 on each finding, as wide as `settings` say, 0 beyond three standard deviations; of two the higher.
    Irrelevant findings count neither way.
    """
    centres, radii, irrelevant = points.parse_findings(reference)
    heat, weight = np.zeros(grid.array.shape, np.float32), np.ones(grid.array.shape, np.float32)
    for centre, radius, ignored in zip(marks.to_index(grid, centres), radii, irrelevant, strict=True):
        sigma = float(np.clip(settings.heat * radius, *settings.heat_mm))
        window, squared = _around(centre, radius if ignored else 3 * sigma, grid.array.shape, grid.spacing)
        if ignored:
            weight[window][squared < radius**2] = 0
        else:
            value = np.where(squared < (3 * sigma) ** 2, np.exp(-squared / (2 * sigma**2)), 0)
            np.maximum(heat[window], value, out=heat[window], casting="unsafe")
    # What lies on a finding that counts does count.
    return heat, np.maximum(weight, (heat > 0).astype(np.float32))


def peaks(
    heat: Array, spacing: Sequence[float], inside: NDArray[np.bool_], settings: Detection
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest maxima of a heat map inside the mask: voxel indices (n, 3), fractional, and the heat there (n,), highest first."""
    smooth = ndimage.gaussian_filter(heat, [settings.heat_mm[0] / 2 / s for s in spacing])
    top = (smooth == ndimage.maximum_filter(smooth, 3)) & inside & (smooth > 0)
    places, height = np.argwhere(top), smooth[top]
    order = np.lexsort((*places.T[::-1], -height))[: 8 * settings.marks]
    places, height = places[order], height[order]
    kept = candidates.apart(places * np.asarray(spacing), settings.apart_mm)[: settings.marks]
    return candidates.refined(smooth, places[kept]), height[kept].astype(np.float64)


def _around(
    centre: NDArray[np.float64], radius: float, shape: Sequence[int], spacing: Sequence[float]
) -> tuple[tuple[slice, ...], NDArray[np.float64]]:
    """The part of the grid within `radius` mm of a voxel index, along each axis, and the squared distances in it."""
    window, axes = [], []
    for middle, size, step in zip(centre, shape, spacing, strict=True):
        low, high = int(np.ceil(middle - radius / step)), int(np.floor(middle + radius / step)) + 1
        low, high = min(max(low, 0), size), min(max(high, 0), size)
        window.append(slice(low, max(low, high)))
        axes.append((np.arange(low, max(low, high)) - middle) * step)
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return tuple(window), z**2 + y**2 + x**2
