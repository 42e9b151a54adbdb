"""Do two volumes lie on the same grid, and if not, in words that a participant can act on, how do they differ?

Tolerances: spacing and origin 1e-3 mm, direction cosines 1e-3. Axes are named as the field names them: x, y, z are the
columns, rows and slices of the stored array (numpy's axes 2, 1, 0).
"""

from __future__ import annotations

from collections.abc import Iterator
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

    Names the axis and the amount, and says so when one usual mistake explains the whole difference.
    """
    parts = [
        *_shape(reference, prediction),
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
    """The usual mistake that takes the prediction's grid to the reference's; empty when none does.

    A header that was not copied; axes swapped or flipped; LPS and RAS mixed up; numbers in the order (z, y, x) instead of
    (x, y, z); centimetres or metres; an origin at a voxel's corner; a resampled, cropped or padded image.
    """
    if _bare(prediction) and not _bare(reference):
        said = "the header says nothing (spacing 1, origin 0): was the input's not copied, as CopyInformation does?"
        return f"{said} {swap}" if (swap := _swapped_shape(reference, prediction)) else said
    mirrored = _mirrored(prediction)
    for candidate, ras in ((prediction, False), (mirrored, True)):
        for order in permutations(range(3)):
            for flips in np.ndindex(2, 2, 2):
                changed = order != (0, 1, 2) or any(flips)
                if (changed or ras) and _same(reference, _rearranged(candidate, order, flips)):
                    mistakes = [RAS] if ras else []
                    return "; ".join([*mistakes, *([_in_words(order, flips)] if changed else [])])
    for wrong, words in _reordered(prediction):
        if _same(reference, wrong):
            return words
    if reference.array.shape == prediction.array.shape:
        return _shifted(reference, prediction)
    return _swapped_shape(reference, prediction) or _resized(reference, prediction)


RAS = "the header looks like RAS where LPS was expected: the signs of x and y are swapped"


def _mirrored(volume: Volume) -> Volume:
    """The same numbers with the other sign of x and y."""
    x, y, z = volume.origin
    return Volume(volume.array, volume.spacing, (-x, -y, z), np.diag([-1.0, -1.0, 1.0]) @ volume.direction)


def _bare(volume: Volume) -> bool:
    """Whether its header holds what a writer fills in when it is told nothing."""
    return _same(volume, Volume(volume.array))


def _reordered(volume: Volume) -> Iterator[tuple[Volume, str]]:
    """What the header would be if one of its entries had been meant otherwise, and that in words."""
    array, spacing, origin, direction = volume.array, volume.spacing, volume.origin, volume.direction
    turned = (spacing[2], spacing[1], spacing[0])
    back = (origin[2], origin[1], origin[0])
    order = "the header's numbers are in the order (z, y, x) where (x, y, z) was expected"
    yield Volume(array, turned, origin, direction), f"spacing: {order}"
    yield Volume(array, spacing, back, direction), f"origin: {order}"
    yield Volume(array, turned, back, direction), f"spacing and origin: {order}"
    mirrored = _mirrored(volume)
    yield Volume(array, spacing, mirrored.origin, direction), f"origin: {RAS}"
    yield Volume(array, spacing, origin, mirrored.direction), f"direction: {RAS}"
    for factor, unit in ((10.0, "centimetres"), (1000.0, "metres")):
        z, y, x = (factor * v for v in spacing)
        i, j, k = (factor * v for v in origin)
        yield Volume(array, (z, y, x), (i, j, k), direction), f"the header is in {unit} where millimetres were expected"
        yield Volume(array, (z, y, x), origin, direction), f"the spacing is in {unit} where millimetres were expected"


def _shifted(reference: Volume, prediction: Volume) -> str:
    """Whether the grid is the reference's but for a shift by half a voxel or by whole ones."""
    if not _same(reference, Volume(prediction.array, prediction.spacing, reference.origin, prediction.direction)):
        return ""
    step = np.asarray(prediction.origin) - np.asarray(reference.origin)
    voxels = reference.direction.T @ step / np.asarray(reference.spacing)
    if np.allclose(np.abs(voxels), 0.5, atol=0.01):
        return "the origin is at a corner of the first voxel where its centre was expected"
    if np.allclose(voxels, np.round(voxels), atol=0.01):
        moves = ", ".join(f"{v:+.0f} along {AXES[a]}" for a, v in reversed(list(enumerate(voxels))) if abs(v) > 0.5)
        return f"the origin is off by whole voxels ({moves})"
    return ""


def _swapped_shape(reference: Volume, prediction: Volume) -> str:
    """Whether another order of the array's axes would give the reference's shape."""
    found, expected = prediction.array.shape, reference.array.shape
    for order in permutations(range(3)):
        if found != expected and tuple(found[a] for a in order) == expected:
            axes = ", ".join(AXES[a] for a in order)
            return f"reading the array's axes in the order ({axes}) would give the right shape: were axes swapped when it was saved?"
    return ""


def _resized(reference: Volume, prediction: Volume) -> str:
    """Whether it covers the reference's extent in other voxels, or is a part of its grid, or has it as a part."""
    if not np.allclose(reference.direction, prediction.direction, rtol=0, atol=DIRECTION_TOLERANCE):
        return ""
    found, expected = np.asarray(prediction.array.shape), np.asarray(reference.array.shape)
    here, there = np.asarray(prediction.spacing), np.asarray(reference.spacing)
    if np.allclose(here, there, rtol=0, atol=SPACING_TOLERANCE):
        step = np.asarray(prediction.origin) - np.asarray(reference.origin)
        start = reference.direction.T @ step / there
        if np.allclose(start, np.round(start), atol=0.01):
            if (start >= -0.01).all() and (start + found <= expected + 0.01).all():
                return "it is a part of the expected grid: was the image cropped and not put back?"
            if (start <= 0.01).all() and (start + found >= expected - 0.01).all():
                return "the expected grid is a part of it: was the image padded and not cut back?"
    elif np.allclose(found * here, expected * there, rtol=0.02):
        return "it covers the same extent with other voxels: resample it to the grid of the input before saving"
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
    inside = np.ones(g.shape, dtype=bool) if mask is None else np.asarray(mask[thin], dtype=bool)
    g = g[inside]
    p = np.asarray(prediction[thin], dtype=np.float64)[inside]
    if not g.size or not np.isfinite(p).all() or not np.isfinite(g).all():
        return ""
    error = float(np.abs(g - p).mean())
    candidates: list[tuple[float, str]] = []
    for moved, words in _moved(prediction):
        # Moved before it is thinned: every other voxel of a flipped image is not every other voxel flipped.
        candidates.append((_mae(g, np.asarray(moved[thin], dtype=np.float64)[inside]), words))
    for shift in (-1024.0, 1024.0, -1000.0, 1000.0):
        candidates.append((_mae(g, p + shift), f"adding {shift:+.0f} HU"))
    candidates += _rescaled(g, p)
    best = min(candidates, key=lambda candidate: candidate[0], default=(error, ""))
    if error > 0 and best[0] < 0.5 * error:
        return f"the grid is right, but {best[1]} would take away {100 * (1 - best[0] / error):.0f} % of the error"
    return ""


def _moved(array: NDArray[np.generic]) -> Iterator[tuple[NDArray[np.generic], str]]:
    """The array with axes flipped and swapped in every way that keeps its shape, simplest first, and that in words."""
    if array.ndim != 3:
        return
    ways = [(order, flips) for order in permutations(range(3)) for flips in np.ndindex(2, 2, 2)]
    ways.sort(key=lambda way: (way[0] != (0, 1, 2), sum(way[1])))
    for order, flips in ways:
        if order == (0, 1, 2) and not any(flips):
            continue
        moved = np.transpose(array, order)
        if moved.shape != array.shape:
            continue
        moved = np.flip(moved, tuple(axis for axis, flip in enumerate(flips) if flip))
        words = []
        if order != (0, 1, 2):
            pair = [AXES[axis] for axis, old in enumerate(order) if axis != old]
            words.append(
                f"swapping its axes {' and '.join(pair)}"
                if len(pair) == 2
                else f"taking its axes in the order ({', '.join(AXES[a] for a in order)})"
            )
        if any(flips):
            words.append("flipping it along " + _flipped(flips))
        said = " and ".join(words)
        if order == (0, 1, 2) and flips == (0, 1, 1):
            said += ", as after a mix-up of LPS and RAS,"
        yield moved, said


LEAST_CORRELATION = 0.7
"""Below this, a straight line through prediction and reference explains nothing."""


def _rescaled(g: NDArray[np.float64], p: NDArray[np.float64]) -> list[tuple[float, str]]:
    """The error that is left when the prediction is mapped by a straight line, where its range is that of a normalised image."""
    low, high = float(p.min()), float(p.max())
    ranges = {"[0, 1]": (-0.01, 1.01), "[-1, 1]": (-1.01, 1.01), "[0, 255]": (-0.5, 255.5)}
    name = next((name for name, (least, most) in ranges.items() if least <= low and high <= most), "")
    # A prediction in few values, or a reference whose own range is small, is no normalised image.
    if not name or high <= low or np.ptp(g) <= 2 * (ranges[name][1] - ranges[name][0]):
        return []
    slope, intercept = np.polyfit(p, g, 1)
    if slope <= 0 or np.corrcoef(p, g)[0, 1] < LEAST_CORRELATION:
        return []
    return [(_mae(g, slope * p + intercept), f"scaling it from {name} to the unit that the task asks for")]


def _mae(g: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """Mean absolute error; infinite where it is no number, as when a NaN outside the mask is moved inside."""
    value = float(np.abs(g - p).mean())
    return value if np.isfinite(value) else float("inf")


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
        words.append("flipped along " + _flipped(flips))
    return f"the same image, {' and '.join(words)}: save it on the grid of the input instead"


def _flipped(flips: tuple[int, ...]) -> str:
    """Names of the axes that are flipped, x first."""
    return " and ".join(AXES[axis] for axis in (2, 1, 0) if flips[axis])
