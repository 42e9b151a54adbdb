"""Segmentation without a network: thresholds, morphology, the largest component. Functions of arrays and a few fitted numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def bright_region(image: Array, level: float, opening: int) -> Mask:
    """The largest 6-connected component of what is brighter than `level`, after an opening of so many voxels, holes filled.

    Axes (z, y, x). Empty where nothing is as bright.
    """
    region = image > level
    if opening:
        region = ndimage.binary_opening(region, iterations=opening)
    parts, count = ndimage.label(region)
    if not count:
        return np.zeros(image.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(parts == largest), bool)


def enclosed(shell: Mask, within: Mask) -> Mask:
    """What a shell encloses, slice by slice and after closing its gaps by a voxel; at most `within`, the shell itself left out."""
    closed = ndimage.binary_closing(shell, iterations=1)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in closed]) if len(closed) else closed
    return np.asarray(filled & within & ~shell, bool)


def dice(found: Mask, reference: Mask) -> float:
    """2|A∩B| / (|A| + |B|); 1 where both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(found & reference) / total if total else 1.0


def best_level(images: Sequence[Array], references: Sequence[Mask], levels: Sequence[float]) -> float:
    """The level above which the images agree best with the references: highest mean Dice, the first of equals."""
    means = [
        np.mean([dice(image > level, reference) for image, reference in zip(images, references, strict=True)])
        for level in levels
    ]
    return float(levels[int(np.argmax(means))])
