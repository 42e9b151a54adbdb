"""Connected components of masks, their boxes, their dilation, and which of two labellings overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.metrics import surface

Boxes = tuple[slice, ...]


def components(mask: NDArray[Any]) -> tuple[NDArray[np.uint32], int]:
    """26-connected components of what is not 0 in a (z, y, x) volume (8-connected in one slice), numbered from 1."""
    try:
        import cc3d
    except ImportError:
        return components_plain(mask)
    if mask.size == 0:
        return np.zeros(mask.shape, np.uint32), 0
    found, n = cc3d.connected_components(
        np.ascontiguousarray(mask != 0).view(np.uint8), connectivity=26, return_N=True, out_dtype=np.uint32
    )
    return found.astype(np.uint32, copy=False), int(n)


def components_plain(mask: NDArray[Any]) -> tuple[NDArray[np.uint32], int]:
    """The same by scipy, for machines without cc3d; the numbering may differ."""
    found, n = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return found.astype(np.uint32), int(n)


def dilated(mask: NDArray[np.bool_], times: int) -> NDArray[np.uint8]:
    """`times` dilations by the 18-neighbourhood (a voxel, its faces and its edges), in one step, as 0 and 1.

    So many steps reach offsets with no axis beyond `times` and no sum of axes beyond 2·`times`; only border voxels need them.
    """
    out = mask.astype(np.uint8)
    if times > 0 and mask.any():
        axis = np.arange(-times, times + 1)
        ball = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
        ball = ball[np.abs(ball).sum(axis=1) <= 2 * times]
        _stamp_ball(out, surface.voxel_surface(mask).points, ball)
    return out


@njit(cache=True)
def _stamp_ball(box: Any, points: Any, ball: Any) -> None:
    nz, ny, nx = box.shape
    for i in range(points.shape[0]):
        for j in range(ball.shape[0]):
            z = points[i, 0] + ball[j, 0]
            y = points[i, 1] + ball[j, 1]
            x = points[i, 2] + ball[j, 2]
            if 0 <= z < nz and 0 <= y < ny and 0 <= x < nx:
                box[z, y, x] = 1


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Which components of two labellings share voxels; only pairs that do are listed, in order of (first, second)."""

    first: NDArray[np.int64]
    """Component of the first labelling, from 0."""
    second: NDArray[np.int64]
    """Component of the second labelling, from 0."""
    shared: NDArray[np.int64]
    """Voxels they share."""
    first_sizes: NDArray[np.int64]
    """Voxels of each component of the first labelling."""
    second_sizes: NDArray[np.int64]
    """Voxels of each component of the second labelling."""

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        return self.shared / (self.first_sizes[self.first] + self.second_sizes[self.second] - self.shared)


def overlaps(a: NDArray[np.uint32], b: NDArray[np.uint32], n_a: int, n_b: int) -> Overlaps:
    """Pairs of components that share voxels, from one pass over the voxels where both are set."""
    both = (a > 0) & (b > 0)
    keys = (a[both].astype(np.int64) - 1) * n_b + (b[both].astype(np.int64) - 1)
    if n_a * n_b <= 1 << 20:
        counts = np.bincount(keys, minlength=0)
        pairs = np.flatnonzero(counts)
        shared = counts[pairs]
    else:
        pairs, shared = np.unique(keys, return_counts=True)
    first, second = np.divmod(pairs, max(n_b, 1))
    sizes = (np.bincount(label[label > 0], minlength=n + 1)[1:] for label, n in ((a, n_a), (b, n_b)))
    return Overlaps(first, second, shared, *sizes)
