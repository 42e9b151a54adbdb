"""The record of an image on a grid, and the checks that every reader shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

AXIAL: NDArray[np.float64] = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Direction of a plain axial volume: array axes (z, y, x) run along physical (z, y, x)."""

MOST_MM = 1e9
"""No spacing and no origin is longer than a thousand kilometres; what is overflows where lengths are multiplied."""

MAX_VOXELS = 2**30
"""Largest volume that is read unless the caller says otherwise: 1024³."""


@dataclass(frozen=True, eq=False)
class Volume:
    """An image on a grid. A 2-D image is a volume with one slice."""

    array: NDArray[np.generic]
    """Values, axes (z, y, x)."""
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Distance between neighbours in mm, in array-axis order (z, y, x)."""
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Physical point (x, y, z) in mm, LPS, of voxel [0, 0, 0]."""
    direction: NDArray[np.float64] = field(default_factory=lambda: AXIAL.copy())
    """3×3; column a is the unit vector (x, y, z; LPS) along which array axis a runs."""

    def like(self, array: NDArray[np.generic]) -> Volume:
        """Another image on the same grid. Raises `ValueError` when the shapes differ."""
        if array.shape != self.array.shape:
            raise ValueError(f"shape {array.shape} on a grid of {self.array.shape}")
        return Volume(array, self.spacing, self.origin, self.direction)

    def point(self, index: Sequence[float]) -> NDArray[np.float64]:
        """Physical point (x, y, z), mm, LPS, of a voxel index (z, y, x); fractions lie between voxels."""
        step = np.asarray(self.spacing, float) * np.asarray(index, float)
        return np.asarray(self.origin, float) + np.asarray(self.direction, float) @ step


def made(array: NDArray[np.generic], spacing: Sequence[float], origin: Sequence[float], direction: object) -> Volume:
    """A volume as a reader found it; raises `ValueError` where its geometry cannot be one.

    All arguments are in array-axis order, as in `Volume`. The tolerance of 1e-3 lets directions pass that were stored
    in single precision or with few digits; a sheared grid (gantry tilt) does not pass.
    """
    steps = np.asarray(spacing, float)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"the spacing {tuple(steps.tolist())} is not positive in every axis")
    start = np.asarray(origin, float)
    if not np.isfinite(start).all():
        raise ValueError(f"the origin {tuple(start.tolist())} is not finite")
    if max(steps.max(), np.abs(start).max()) > MOST_MM:
        raise ValueError(f"a spacing {tuple(steps.tolist())} or origin {tuple(start.tolist())} beyond {MOST_MM:g} mm")
    axes = np.asarray(direction, float)
    if not np.isfinite(axes).all() or np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3:
        raise ValueError("the direction is not made of three perpendicular unit vectors")
    z, y, x = (float(step) for step in steps)
    return Volume(array, (z, y, x), (float(start[0]), float(start[1]), float(start[2])), axes)


def from_affine(array: NDArray[np.generic], matrix: NDArray[np.float64], origin: Sequence[float]) -> Volume:
    """A volume from a 3×3 matrix whose column a is the step in mm (LPS) along array axis a."""
    steps = np.linalg.norm(matrix, axis=0)
    return made(array, steps.tolist(), origin, matrix / np.where(steps > 0, steps, 1))


def three_dimensional(shape: Sequence[int], max_voxels: int) -> tuple[int, int, int]:
    """(z, y, x) from sizes given fastest axis first, as file headers have them.

    Missing axes are 1, further axes must be 1. Raises `ValueError` for more axes, empty axes or too many voxels.
    """
    sizes = [int(size) for size in shape]
    if any(size < 1 for size in sizes):
        raise ValueError(f"the header declares a size of {sizes}")
    if any(size != 1 for size in sizes[3:]):
        raise ValueError(f"the image has {len(sizes)} axes of sizes {sizes}; one volume is needed")
    x, y, z = [*sizes, 1, 1, 1][:3]
    if x * y * z > max_voxels:
        raise ValueError(f"the header promises {x} × {y} × {z} voxels, more than the {max_voxels} allowed")
    return z, y, x


def enough(found: int, shape: Sequence[int], dtype: np.dtype[np.generic]) -> int:
    """Bytes that the voxels take; raises `ValueError` when only `found` are there."""
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if found < needed:
        raise ValueError(f"truncated: {found} bytes of voxels where the header promises {needed}")
    return needed


def native(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same values in the byte order of this machine."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
