"""Masks that the tests of several metric families share."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def blob(shape: tuple[int, ...], seed: int, share: float = 0.15, smooth: float = 2.0) -> np.ndarray:
    """A seeded smooth random mask with about that share of foreground."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    field = ndimage.gaussian_filter(noise, smooth, mode="wrap")
    return field > np.quantile(field, 1 - share)


def organ(shape: tuple[int, int, int], seed: int, roughness: float = 4.0, radius: float = 0.227) -> np.ndarray:
    """A rough ellipsoid in the middle of the volume, about 5 % of it by default."""
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal(shape), [max(2, n // 32) for n in shape]
    )
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    r = np.sqrt(sum(((a - n / 2) / (n * radius)) ** 2 for a, n in zip(axes, shape, strict=True)))
    return r < 1 + noise / noise.std() * roughness / 100


def with_dtype(mask: np.ndarray, kind: str) -> np.ndarray:
    """The mask as that dtype, as Fortran order, or as a view that is not contiguous."""
    if kind == "fortran":
        return np.asfortranarray(mask)
    if kind == "strided":
        wide = np.zeros(tuple(2 * n for n in mask.shape), np.uint8)
        view = wide[tuple(slice(1, None, 2) for _ in mask.shape)]
        view[...] = mask
        return view
    return mask.astype(kind)


KINDS = ("bool", "uint8", "int16", "int64", "float16", "float32", "float64", "fortran", "strided")
