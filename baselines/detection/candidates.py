"""Places that may hold a bright ball: peaks of the Laplacian of Gaussian at several scales (Lindeberg 1998), those first whose
brightness falls off in every direction (the dot filter of Li, Sone and Doi 2003), which vessels do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.sections import Detection

Array = NDArray[np.float32]

FAINTEST = 20.0
"""Answers of the Laplacian below this, in HU, are noise."""

WINDOW = (-1000.0, 100.0)
"""HU beyond which brightness counts no more: bone and contrast agent are no brighter than soft tissue."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What was found in a scan, strongest first."""

    index: NDArray[np.float64]
    """Places as voxel indices (n, 3), fractional, in array-axis order."""
    sigma: NDArray[np.float64]
    """Scale in mm (n,); a ball of radius r answers most at r / √3."""
    curvature: NDArray[np.float64]
    """How fast brightness falls off along the three principal axes (n, 3), σ²-normalised, HU, fastest first; negative where it rises."""

    @property
    def roundness(self) -> NDArray[np.float64]:
        """Slowest fall squared over the fastest (n,), HU: what the candidates are ordered by. 0 where it rises along an axis."""
        return roundness(self.curvature)

    def __len__(self) -> int:
        return len(self.sigma)

    def first(self, count: int) -> Candidates:
        """The strongest ones."""
        return Candidates(self.index[:count], self.sigma[:count], self.curvature[:count])


def roundness(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """λ₃² / λ₁ of principal curvatures (n, 3), highest first; 0 where λ₃ is not above 0."""
    slowest, fastest = np.maximum(curvature[:, 2], 0), np.maximum(curvature[:, 0], 1e-6)
    return np.asarray(slowest**2 / fastest)


def find(
    hu: NDArray[np.floating], spacing: Sequence[float], inside: NDArray[np.bool_], settings: Detection
) -> Candidates:
    """The roundest candidates inside the mask, no two of them nearer than the settings say. Empty where there is none."""
    if not inside.any():
        return Candidates(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3)))
    steps = np.asarray(spacing, float)
    window = _box(inside, np.ceil(3 * max(settings.scales_mm) / steps).astype(int))
    image, within = np.clip(hu[window], *WINDOW).astype(np.float32), inside[window]
    places, scales, curvatures = [], [], []
    for sigma in settings.scales_mm:
        smooth = ndimage.gaussian_filter(image, sigma / steps, truncate=3, mode="nearest")
        bright = -(sigma**2) * laplacian(smooth, steps)
        top = np.argwhere((bright == ndimage.maximum_filter(bright, 3)) & within & (bright > FAINTEST))
        places.append(refined(bright, top))
        scales.append(np.full(len(top), sigma))
        curvatures.append(-(sigma**2) * principal_curvatures(smooth, top, steps))
    place, scale, curvature = np.concatenate(places), np.concatenate(scales), np.concatenate(curvatures)
    order = np.lexsort((*place.T[::-1], -roundness(curvature)))
    order = order[roundness(curvature)[order] > 0][: 8 * settings.candidates]
    kept = order[apart(place[order] * steps, settings.apart_mm)][: settings.candidates]
    start = np.array([part.start for part in window])
    return Candidates(place[kept] + start, scale[kept], curvature[kept])


def laplacian(image: Array, steps: NDArray[np.float64]) -> Array:
    """Second differences along the axes, summed; per mm²."""
    total = np.zeros(image.shape, np.float32)
    for axis, step in enumerate(steps):
        total += ndimage.correlate1d(image, np.array([1, -2, 1]) / step**2, axis, mode="nearest")
    return total


def principal_curvatures(image: Array, places: NDArray[np.integer], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvalues of the Hessian by differences at voxels (n, 3): (n, 3), lowest first, per mm²."""
    inner = np.clip(places, 1, np.maximum(np.array(image.shape) - 2, 1))

    def at(*offset: int) -> NDArray[np.float64]:
        index = np.minimum(inner + np.array(offset), np.array(image.shape) - 1)
        return np.asarray(image[tuple(index.T)], np.float64)

    unit = np.eye(3, dtype=int)
    hessian = np.zeros((len(places), 3, 3))
    for i in range(3):
        hessian[:, i, i] = (at(*unit[i]) + at(*-unit[i]) - 2 * at(0, 0, 0)) / steps[i] ** 2
        for j in range(i):
            a, b = unit[i] + unit[j], unit[i] - unit[j]
            hessian[:, i, j] = hessian[:, j, i] = (at(*a) + at(*-a) - at(*b) - at(*-b)) / (4 * steps[i] * steps[j])
    return np.asarray(np.linalg.eigvalsh(hessian))


def apart(points: NDArray[np.floating], distance: float) -> list[int]:
    """Positions of the points (n, 3) that are left when each, in order, drives off later ones nearer than `distance`."""
    kept: list[int] = []
    for i, point in enumerate(points):
        if not kept or ((points[kept] - point) ** 2).sum(1).min() >= distance**2:
            kept.append(i)
    return kept


def refined(values: NDArray[np.floating], places: NDArray[np.integer]) -> NDArray[np.float64]:
    """Places (n, 3) moved to the top of the parabola through each and its two neighbours, axis by axis; half a voxel at most."""
    out = places.astype(np.float64)
    for axis in range(3):
        step = np.zeros(3, int)
        step[axis] = 1
        top = np.asarray(values.shape) - 1
        low = values[tuple(np.clip(places - step, 0, top).T)].astype(np.float64)
        high = values[tuple(np.clip(places + step, 0, top).T)].astype(np.float64)
        middle = values[tuple(places.T)].astype(np.float64)
        curve = low - 2 * middle + high
        inner = (places[:, axis] > 0) & (places[:, axis] < top[axis]) & (curve < 0)
        shift = np.where(inner, (low - high) / np.where(curve < 0, 2 * curve, 1), 0)
        out[:, axis] += np.clip(shift, -0.5, 0.5)
    return out


def _box(inside: NDArray[np.bool_], margin: NDArray[np.integer]) -> tuple[slice, ...]:
    """The part of the volume that holds the mask and a margin."""
    found = ndimage.find_objects(inside.astype(np.uint8))[0]
    return tuple(
        slice(max(0, part.start - int(m)), min(size, part.stop + int(m)))
        for part, m, size in zip(found, margin, inside.shape, strict=True)
    )
