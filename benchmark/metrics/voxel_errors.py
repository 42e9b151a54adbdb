"""Sums of errors voxel by voxel, from which MAE, PSNR and NMSE follow: one pass over both images for all of them.

Compiled (`ssim_kernels`) and, with `plain=True`, in numpy. Both work plane by plane, so that no copy of a whole volume is
made, whatever its type and layout. Differences are float64 of the values as they are; unsigned numbers do not wrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.structure import Array, kernels

LARGEST = float(np.finfo(np.float32).max)
"""What is larger in magnitude counts as infinite: squares of it could not be summed."""

Clip = tuple[float, float]


@dataclass(frozen=True)
class ErrorSums:
    """Sums over the mask of reference g and prediction p, d = g − p. Unusable voxels count as 0 in the sums."""

    voxels: int
    """Voxels in the mask."""
    absolute: float
    """Σ|d|."""
    square: float
    """Σd²."""
    power: float
    """Σg²."""
    clipped: dict[Clip, float]
    """Σd² of both images clipped to a range."""
    unusable_prediction: int
    """Masked voxels of the prediction that are NaN, infinite, or beyond single precision."""
    unusable_reference: int
    """The same of the reference."""


def error_sums(
    reference: Array, prediction: Array, mask: NDArray[np.bool_], clips: tuple[Clip, Clip], *, plain: bool = False
) -> ErrorSums:
    """All sums in one pass. Arrays of one shape, real numbers of any type; two clip ranges (lo, hi)."""
    ranges = np.array([*clips[0], *clips[1]], np.float64)
    sums = np.zeros(7)
    voxels = 0
    for g, p, m in _planes(reference, prediction, mask):
        voxels += int(np.count_nonzero(m))
        if plain:
            sums += _sums_plain(g, p, m, ranges)
        else:
            kernels().errors(g, p, m, ranges, sums)
    a, s, power, first, second, bad_p, bad_g = sums.tolist()
    return ErrorSums(voxels, a, s, power, {clips[1]: second, clips[0]: first}, int(bad_p), int(bad_g))


def tissue_sums(
    reference: Array,
    prediction: Array,
    mask: NDArray[np.bool_],
    air_below: float,
    bone_above: float,
    *,
    plain: bool = False,
) -> NDArray[np.float64]:
    """Σ|d| over air, soft tissue and bone, then their numbers of voxels (6 values); images finite inside the mask.

    Air is where the reference is below `air_below`, bone where it is above `bone_above`, soft tissue all else in the mask.
    """
    sums = np.zeros(6)
    for g, p, m in _planes(reference, prediction, mask):
        if plain:
            inside = m != 0
            g, d = g[inside], np.abs(g[inside].astype(np.float64) - p[inside])
            for k, where in enumerate((g < air_below, ~(g < air_below) & ~(g > bone_above), g > bone_above)):
                sums[k] += d[where].sum()
                sums[3 + k] += where.sum()
        else:
            kernels().tissue_errors(g, p, m, float(air_below), float(bone_above), sums)
    return sums


def _planes(
    reference: Array, prediction: Array, mask: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.uint8]]]:
    """Contiguous rows of voxels, of types that the kernels know; in slabs, since tiny planes would cost calls."""
    depth = max(1, (1 << 16) // max(1, mask[:1].size))
    for k in range(0, len(mask), depth):
        g, p, m = reference[k : k + depth], prediction[k : k + depth], mask[k : k + depth]
        if not (g.dtype == p.dtype == np.int16):
            single = g.dtype in (np.int16, np.float32) and p.dtype in (np.int16, np.float32)
            kind = np.float32 if single else np.float64  # int16 loses nothing in float32
            g, p = g.astype(kind, copy=False), p.astype(kind, copy=False)
        yield (
            np.require(g, requirements=("C", "A")).reshape(-1),
            np.require(p, requirements=("C", "A")).reshape(-1),
            np.ascontiguousarray(m).reshape(-1).view(np.uint8),
        )


def _sums_plain(
    g: NDArray[np.generic], p: NDArray[np.generic], m: NDArray[np.uint8], ranges: NDArray[np.float64]
) -> NDArray[np.float64]:
    a, b = g[m != 0].astype(np.float64), p[m != 0].astype(np.float64)
    good_a, good_b = np.abs(a) <= LARGEST, np.abs(b) <= LARGEST
    a, b = np.where(good_a, a, 0), np.where(good_b, b, 0)
    first, second = (np.clip(a, *r) - np.clip(b, *r) for r in (ranges[:2], ranges[2:]))
    parts = (np.abs(a - b), (a - b) ** 2, a * a, first**2, second**2, ~good_b, ~good_a)
    return np.array([part.sum() for part in parts], np.float64)
