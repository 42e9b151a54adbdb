"""Volumes on disk and in memory. The one place that knows about file formats and axis orders.

Axis order, written down once: `Volume.array[k, j, i]` has k along slices (z), j along rows (y), i along columns (x), the
order that SimpleITK's `GetArrayFromImage` gives. *All* geometry here is in array-axis order: `spacing[a]` is the distance in
mm between neighbours along array axis a, and column a of `direction` is the unit vector of array axis a. Physical points
are LPS (x to the left, y to the back, z to the head), in mm:

    point(index) = origin + direction @ (spacing * index)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

AXIAL: NDArray[np.float64] = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Direction of a plain axial volume: array axes (z, y, x) run along physical (z, y, x)."""


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


def read(path: Path) -> Volume:
    """Read `.mha`, `.mhd`, `.nii`, `.nii.gz`, `.nrrd`, `.png`, or a folder that holds one DICOM series."""
    raise NotImplementedError


def write(path: Path, volume: Volume, *, compress: bool = False) -> None:
    """Write by suffix (`.mha`, `.nii.gz`, `.nii`, `.png`); the same volume gives the same bytes."""
    raise NotImplementedError
