"""Do two volumes lie on the same grid, and if not, in words that a participant can act on, how do they differ?

Tolerances: spacing and origin 1e-3 mm, direction cosines 1e-3. Axes are named as the field names them: x, y, z are the
columns, rows and slices of the stored array (numpy's axes 2, 1, 0).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from benchmark.image import Volume

SPACING_TOLERANCE = 1e-3
"""Largest difference of a voxel size or an origin coordinate, in mm, that counts as equal."""
DIRECTION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine that counts as equal."""

AXES = ("z", "y", "x")
"""Names of the array axes 0, 1, 2."""


def difference(reference: Volume, prediction: Volume) -> str:
    """A sentence that says how the prediction's grid differs from the reference's; empty when they are the same grid.

    Names the axis and the amount, and says so when a swap of axes or a flip along an axis explains the whole difference.
    """
    parts = _shape(reference, prediction) or [
        *_per_axis("spacing", reference.spacing, prediction.spacing, AXES),
        *_per_axis("origin", reference.origin, prediction.origin, ("x", "y", "z")),
        *_direction(reference, prediction),
    ]
    if not parts:
        return ""
    sentence = "; ".join(parts)
    if why := explanation(reference, prediction):
        sentence += f"; {why}"
    return sentence


def explanation(reference: Volume, prediction: Volume) -> str:
    """Whether a swap of axes, a flip, or a mix-up of LPS and RAS takes the prediction's grid to the reference's."""
    for order in permutations(range(3)):
        for flips in np.ndindex(2, 2, 2):
            if order == (0, 1, 2) and not any(flips):
                continue
            if _same(reference, _rearranged(prediction, order, flips)):
                return _in_words(order, flips)
    mirrored = Volume(
        prediction.array,
        prediction.spacing,
        (-prediction.origin[0], -prediction.origin[1], prediction.origin[2]),
        np.diag([-1.0, -1.0, 1.0]) @ prediction.direction,
    )
    if _same(reference, mirrored):
        return "the header looks like RAS where LPS was expected: the signs of x and y are swapped"
    swapped = [
        order
        for order in permutations(range(3))
        if order != (0, 1, 2) and tuple(prediction.array.shape[a] for a in order) == reference.array.shape
    ]
    if swapped and prediction.array.shape != reference.array.shape:
        axes = ", ".join(AXES[a] for a in swapped[0])
        return f"reading the array's axes in the order ({axes}) would give the right shape: were axes swapped when it was saved?"
    return ""


def content_hint(
    reference: NDArray[np.generic], prediction: NDArray[np.generic], mask: NDArray[np.bool_] | None
) -> str:
    """A hint where the grid is right but the content looks flipped, swapped, shifted by 1024 HU or rescaled.

    Compares the mean absolute error inside the mask with that of the changed prediction; a hint is given only when the change
    takes away at least half of the error. Both arrays have axes (z, y, x) and one shape. Never changes a score.
    """
    step = max(1, round((reference.size / 2e5) ** (1 / 3)))
    thin = (slice(None, None, step),) * reference.ndim
    g = np.asarray(reference[thin], dtype=np.float64)
    p = np.asarray(prediction[thin], dtype=np.float64)
    inside = np.ones(g.shape, dtype=bool) if mask is None else mask[thin]
    if not inside.any() or not np.isfinite(p).all():
        return ""
    error = float(np.abs(g - p)[inside].mean())
    candidates: list[tuple[float, str]] = []
    for axis in range(g.ndim):
        name = AXES[axis - g.ndim + 3] if g.ndim <= 3 else str(axis)
        candidates.append((_mae(g, np.flip(p, axis), inside), f"flipping it along {name}"))
    for first in range(g.ndim):
        for second in range(first + 1, g.ndim):
            if p.shape[first] == p.shape[second]:
                names = f"{AXES[first - g.ndim + 3]} and {AXES[second - g.ndim + 3]}"
                candidates.append((_mae(g, np.swapaxes(p, first, second), inside), f"swapping its axes {names}"))
    for shift in (-1024.0, 1024.0):
        candidates.append((_mae(g, p + shift, inside), f"adding {shift:+.0f} HU"))
    low, high = float(p[inside].min()), float(p[inside].max())
    if low >= -0.01 and high <= 1.01 and high > low and np.ptp(g[inside]) > 10:
        scaled = g[inside].min() + (p - low) / (high - low) * np.ptp(g[inside])
        candidates.append((_mae(g, scaled, inside), "scaling it from [0, 1] to the unit that the task asks for"))
    best = min(candidates, default=(error, ""))
    if error > 0 and best[0] < 0.5 * error:
        return f"the grid is right, but {best[1]} would take away {100 * (1 - best[0] / error):.0f} % of the error"
    return ""


def _mae(g: NDArray[np.float64], p: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    return float(np.abs(g - p)[inside].mean())


def _shape(reference: Volume, prediction: Volume) -> list[str]:
    found, expected = prediction.array.shape, reference.array.shape
    if found == expected:
        return []
    words = [
        f"{name} has {f} voxels where {e} were expected"
        for name, f, e in zip(AXES, found, expected, strict=True)
        if f != e
    ]
    return ["size: " + ", ".join(reversed(words))]


def _per_axis(what: str, expected: tuple[float, ...], found: tuple[float, ...], names: tuple[str, ...]) -> list[str]:
    pairs = zip(names, found, expected, strict=True)
    words = [
        f"{name} is {f:.6g} mm where {e:.6g} mm was expected"
        for name, f, e in pairs
        if not abs(f - e) <= SPACING_TOLERANCE
    ]
    return [f"{what}: " + ", ".join(sorted(words))] if words else []


def _direction(reference: Volume, prediction: Volume) -> list[str]:
    off = np.abs(reference.direction - prediction.direction).max(axis=0)
    words = []
    for axis in (2, 1, 0):
        if not off[axis] <= DIRECTION_TOLERANCE:
            cosine = float(np.clip(reference.direction[:, axis] @ prediction.direction[:, axis], -1, 1))
            words.append(f"axis {AXES[axis]} is turned by {np.degrees(np.arccos(cosine)):.3g}°")
    return ["direction: " + ", ".join(words)] if words else []


def _same(a: Volume, b: Volume) -> bool:
    return (
        a.array.shape == b.array.shape
        and np.allclose(a.spacing, b.spacing, rtol=0, atol=SPACING_TOLERANCE)
        and np.allclose(a.origin, b.origin, rtol=0, atol=SPACING_TOLERANCE * 10)
        and np.allclose(a.direction, b.direction, rtol=0, atol=DIRECTION_TOLERANCE)
    )


def _rearranged(volume: Volume, order: tuple[int, ...], flips: tuple[int, ...]) -> Volume:
    """The same physical image with its array axes taken in another order and some of them reversed."""
    array = np.transpose(volume.array, order)
    spacing = tuple(volume.spacing[a] for a in order)
    direction = volume.direction[:, list(order)].copy()
    origin = np.asarray(volume.origin, dtype=float)
    for axis, flip in enumerate(flips):
        if flip:
            origin = origin + direction[:, axis] * spacing[axis] * (array.shape[axis] - 1)
            direction[:, axis] *= -1
            array = np.flip(array, axis)
    x, y, z = (float(v) for v in origin)
    return Volume(array, (spacing[0], spacing[1], spacing[2]), (x, y, z), direction)


def _in_words(order: tuple[int, ...], flips: tuple[int, ...]) -> str:
    words = []
    if order != (0, 1, 2):
        words.append(f"stored with its axes in the order ({', '.join(AXES[a] for a in order)})")
    if any(flips):
        words.append("flipped along " + " and ".join(AXES[axis] for axis, flip in enumerate(flips) if flip))
    return f"the same image, {' and '.join(words)}: save it on the grid of the input instead"
