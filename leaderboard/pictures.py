"""Slices as pictures: upright and in true proportion, in grey or, for errors, in colour.

Array axes are (z, y, x), geometry is LPS (see `benchmark.image`). A slice is taken along array axis 0 and shown as a
radiologist expects it: the patient's front at the top, the patient's right on the left of the picture. An oblique slice
is shown on its own axes, turned and mirrored to the nearest such view.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.contract import Display
from benchmark.image import Volume

LONG_SIDE = 288
"""Longer side of a picture in pixels: enough for a retina screen at the size shown, small enough for the page."""

COLOURS = "RdBu_r"
"""Diverging and safe for colour-blind readers: blue where the prediction is too low, white at 0, red where too high."""

_NEGATIVE, _POSITIVE = {"L": "R", "P": "A", "S": "I"}, {"x": "L", "y": "P", "z": "S"}


@dataclass(frozen=True)
class View:
    """How to lay a slice of a grid upright."""

    index: int
    """Which slice along array axis 0."""
    count: int
    """Of how many."""
    transpose: bool
    flip_rows: bool
    flip_columns: bool
    pixel: tuple[float, float]
    """Height and width of a voxel in the picture, in mm."""
    marks: tuple[str, str, str, str]
    """Letters at the left, right, top and bottom: R and L, A and P, S and I; empty where the grid says nothing."""

    def lay(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """The plane turned upright."""
        if self.transpose:
            plane = plane.T
        return plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows."""

    png: bytes
    width: int
    height: int
    low: float
    high: float
    """What the darkest and the brightest value stand for."""


def view_of(volume: Volume, mask: Volume | None) -> View:
    """The slice that shows most of the mask (the middle one without a mask; of equals the one nearest the middle), upright."""
    count = volume.array.shape[0]
    middle = (count - 1) / 2
    if mask is not None and mask.array.any():
        areas = np.count_nonzero(mask.array, axis=(1, 2))
        index = min(range(count), key=lambda k: (-int(areas[k]), abs(k - middle)))
    else:
        index = int(middle)
    return orient(volume, index)


def orient(volume: Volume, index: int) -> View:
    """How to lay slice `index` upright, from the dominant anatomical direction of the two axes of the slice."""
    row, column = (volume.direction[:, axis] for axis in (1, 2))  # along which rows follow each other; likewise columns
    # The pair of different anatomical axes that fits best: at 45° both could be nearest to the same one.
    row_axis, column_axis = max(
        ((i, j) for i in range(3) for j in range(3) if i != j), key=lambda pair: abs(row[pair[0]] * column[pair[1]])
    )
    # Upright: columns run along x (else y, as in a sagittal view), rows along y (else z).
    transpose = row_axis < column_axis
    down, across = (column, row) if transpose else (row, column)
    down_axis, across_axis = (column_axis, row_axis) if transpose else (row_axis, column_axis)
    spacing = (volume.spacing[2], volume.spacing[1]) if transpose else (volume.spacing[1], volume.spacing[2])
    # Down the picture goes to the back (+y) or to the feet (−z); across goes to the patient's left (+x) or back (+y).
    flip_rows = bool(down[down_axis] > 0) if down_axis == 2 else bool(down[down_axis] < 0)
    flip_columns = bool(across[across_axis] < 0)
    bottom = _letter(down_axis, down_axis != 2)
    right = _letter(across_axis, True)
    top, left = _opposite(bottom), _opposite(right)
    # A single image without a place in space, such as a photograph, has no sides to name.
    placed = volume.array.shape[0] > 1 or any(volume.origin)
    return View(
        index, volume.array.shape[0], transpose, flip_rows, flip_columns, spacing,
        (left, right, top, bottom) if placed else ("", "", "", ""),
    )  # fmt: skip


def _letter(axis: int, positive: bool) -> str:
    letter = _POSITIVE["xyz"[axis]]
    return letter if positive else _NEGATIVE[letter]


def _opposite(letter: str) -> str:
    return _NEGATIVE.get(letter) or {v: k for k, v in _NEGATIVE.items()}[letter]


def matching_slice(reference: Volume, index: int, other: Volume) -> int:
    """Index of the slice of `other` that lies nearest to the middle of the reference's slice `index`, in physical space."""
    corner = np.array([index, *((n - 1) / 2 for n in reference.array.shape[1:])])
    point = np.asarray(reference.origin) + reference.direction @ (np.asarray(reference.spacing) * corner)
    inside = np.linalg.solve(other.direction, point - np.asarray(other.origin)) / np.asarray(other.spacing)
    return int(np.clip(round(float(inside[0])), 0, other.array.shape[0] - 1))


def input_window(display: Display, plane: NDArray[np.floating]) -> tuple[float, float]:
    """The declared window of the input; `[0, 0]` means from the 1st to the 99th percentile of the slice."""
    declared = display.input_window or display.window
    if declared == (0, 0):
        low, high = (float(v) for v in np.percentile(plane, (1, 99)))
        return (low, high) if high > low else (low, low + 1)
    return declared


def error_range(display: Display) -> tuple[float, float]:
    """The declared range of the error map, else a quarter of the window to either side of 0."""
    if display.error is not None:
        return display.error
    quarter = (display.window[1] - display.window[0]) / 4
    return (-quarter, quarter)


def plane_of(volume: Volume, view: View) -> NDArray[np.float32]:
    """The upright slice as float32; non-finite voxels, which a prediction may hold outside the mask, become 0."""
    plane = view.lay(volume.array[view.index]).astype(np.float32)
    return np.nan_to_num(plane, nan=0.0, posinf=0.0, neginf=0.0)


def size_of(shape: tuple[int, ...], pixel: tuple[float, float], long_side: int = LONG_SIDE) -> tuple[int, int]:
    """Height and width in pixels of a picture of that many voxels, in true proportion, with that longer side."""
    tall, wide = shape[0] * pixel[0], shape[1] * pixel[1]
    scale = long_side / max(tall, wide)
    return max(1, round(tall * scale)), max(1, round(wide * scale))


def resize(plane: NDArray[np.float32], size: tuple[int, int], *, labels: bool = False) -> NDArray[np.float32]:
    """Resample to (height, width): linear, averaging where it shrinks; nearest neighbour for labels."""
    method = Image.Resampling.NEAREST if labels else Image.Resampling.BILINEAR
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize((size[1], size[0]), method)
    return np.asarray(picture, np.float32)


def grey(plane: NDArray[np.float32], pixel: tuple[float, float], window: tuple[float, float]) -> Picture:
    """A slice in grey: black at or below the window's low end, white at or above its high end."""
    return png(Image.fromarray(levels(plane, size_of(plane.shape, pixel), window)), *window)


def levels(plane: NDArray[np.float32], size: tuple[int, int], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Grey levels of a slice as a picture of (height, width): 0 at or below the window's low end, 255 at or above its high end."""
    low, high = window
    return np.round(np.clip((resize(plane, size) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def diverging(
    error: NDArray[np.float32],
    inside: NDArray[np.bool_] | None,
    pixel: tuple[float, float],
    limits: tuple[float, float],
) -> Picture:
    """An error map in colour. Outside the mask nothing is scored, so it is left in even grey."""
    low, high = limits
    size = size_of(error.shape, pixel)
    parts = np.clip((resize(error, size) - low) / (high - low), 0, 1)
    # 251 steps: an odd number, so that an error of 0 is exactly the middle colour; the last entry is the ground outside.
    steps = np.round(parts * 250).astype(np.uint8)
    if inside is not None:
        steps[resize(inside.astype(np.float32), size, labels=True) < 0.5] = 251
    picture = Image.fromarray(steps).convert("P")
    picture.putpalette([*_palette().ravel().tolist(), *_GROUND])
    return png(picture, low, high)


_GROUND = (128, 132, 136)


def _palette() -> NDArray[np.uint8]:
    colours = matplotlib.colormaps[COLOURS](np.linspace(0, 1, 251))[:, :3]
    return np.round(colours * 255).astype(np.uint8)


def stops(count: int = 11) -> list[tuple[float, str]]:
    """Offsets (0 to 1) and `#rrggbb` of the colour bar, low to high."""
    palette = _palette()
    places = np.linspace(0, 1, count)
    return [(float(round(p, 4)), "#" + "".join(f"{c:02x}" for c in palette[round(p * 250)])) for p in places]


def palette_text() -> str:
    """The 251 colours of the error map, low to high, as hexadecimal digits."""
    return _palette().tobytes().hex()


def png(picture: Image.Image, low: float, high: float) -> Picture:
    """Encode without any metadata, so that the same picture is the same bytes."""
    out = io.BytesIO()
    # In colour the last 12 % of size would take ten times as long.
    picture.save(out, format="PNG", **({"compress_level": 6} if picture.mode == "RGB" else {"optimize": True}))
    return Picture(out.getvalue(), picture.width, picture.height, low, high)
