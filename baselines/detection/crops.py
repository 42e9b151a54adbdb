"""Cubes around places of a scan, sampled at one pitch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]


def cut(
    volume: Array,
    spacing: Sequence[float],
    index: NDArray[np.float64],
    edge: int,
    pitch: float,
) -> Array:
    """Cubes (n, edge, edge, edge) around voxel indices (n, 3), by linear interpolation; beyond the volume its border is repeated."""
    offsets = (np.arange(edge) - (edge - 1) / 2) * pitch
    axes = [index[:, axis, None] + offsets[None] / step for axis, step in enumerate(spacing)]
    grid = np.stack(
        np.broadcast_arrays(axes[0][:, :, None, None], axes[1][:, None, :, None], axes[2][:, None, None, :])
    )
    return np.asarray(ndimage.map_coordinates(volume, grid, order=1, mode="nearest"), np.float32)
