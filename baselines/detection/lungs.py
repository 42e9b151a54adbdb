"""Where the lungs are in a chest CT: thresholds and morphology, as textbooks have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.sections import Detection
from benchmark.image import Volume

AIR = -450.0
"""HU below which there is air or lung: between lung (about -850) and soft tissue (about 0)."""

SMALLEST_ML = 60.0
"""Smaller spaces of air are bowel, windpipe or noise."""

Mask = NDArray[np.bool_]


def region(grid: Volume, settings: Detection) -> Mask:
    """Where findings are looked for: the lungs of a scan in HU and a margin around them, axes (z, y, x)."""
    inside = mask(np.nan_to_num(np.asarray(grid.array, np.float32)), grid.spacing, settings.closing_mm)
    if not settings.margin_mm or inside.all():
        return inside
    away = ndimage.distance_transform_edt(~inside, sampling=grid.spacing)
    return np.asarray(away <= settings.margin_mm, bool)


def mask(hu: NDArray[np.floating], spacing: Sequence[float], closing_mm: float = 8.0) -> Mask:
    """The lungs with their vessels and what lies on their border, axes (z, y, x); spacing in mm.

    Air that touches the image's border in a slice is outside the body. What a ball of `closing_mm` closes is inside, so that
    nodules on the pleura are. Where no lung is found, everything counts: a scan must not lose its marks to a threshold.
    """
    smooth = ndimage.uniform_filter(hu, (1, 3, 3))
    parts, count = ndimage.label(_enclosed(smooth < AIR))
    if not count:
        return np.ones(hu.shape, bool)
    volumes = np.bincount(parts.ravel()) * float(np.prod(spacing)) / 1000
    large = volumes >= SMALLEST_ML
    large[0] = False
    if not large.any():
        return np.ones(hu.shape, bool)
    lungs = large[parts]
    # Slice by slice: the lungs leave the volume at its ends, and a ball would close from outside.
    closed = np.zeros(hu.shape, bool)
    for k, plane in enumerate(lungs):
        if plane.any():
            closed[k] = _closed(plane, spacing[1:], closing_mm)
    return closed


def _enclosed(air: Mask) -> Mask:
    """Air without what is connected, in its slice, with the border of the image."""
    framed = np.pad(air, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    cross = np.zeros((3, 3, 3), bool)
    cross[1] = ndimage.generate_binary_structure(2, 1)
    parts, _ = ndimage.label(framed, cross)
    # The frame of a slice is one part.
    outside = np.unique(parts[:, 0, 0])
    inside: Mask = ~np.isin(parts, outside) & framed
    return inside[:, 1:-1, 1:-1]


def _closed(plane: Mask, spacing: Sequence[float], radius: float) -> Mask:
    """Closing with a disc, by distances: two transforms, however large the disc is."""
    margin = [int(np.ceil(radius / step)) + 1 for step in spacing]
    padded = np.pad(plane, [(m, m) for m in margin])
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= radius
    shrunk = ndimage.distance_transform_edt(grown, sampling=spacing) > radius
    inner = tuple(slice(m, -m) for m in margin)
    return np.asarray(ndimage.binary_fill_holes((shrunk | padded)[inner]), bool)
