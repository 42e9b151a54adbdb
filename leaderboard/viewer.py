"""The volumes of a canary case for the slice viewer: small scripts of 16-bit values, loaded when a reader asks for them.

A page that is opened from disk may not read files, nor the pixels of a picture that it shows; but it may load scripts. So
each volume is a script that hands over its values: quantised, differences along x, low and high bytes apart, deflated,
base64. The browser gets real numbers back (a reader sees HU, not grey levels), makes every window from them, cuts in three
planes, and subtracts the reference itself.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from benchmark.contract import Task
from benchmark.image import Volume
from leaderboard import pictures
from leaderboard.rings import Finding, Mark, index_of
from leaderboard.rings import shown as rings_shown
from leaderboard.shown import compared

MODELS = 12
"""So many submissions can be looked at in the viewer, the best ranked ones."""
IN_PLANE, SLICES = 320, 160
"""Largest size along x or y, and along z; of larger volumes every second (third …) voxel is kept."""
THIN = 12
"""With fewer slices than this, only the plane of the slices is offered."""

HU_WINDOWS = (
    ("Soft tissue", -160.0, 240.0),
    ("Brain", 0.0, 80.0),
    ("Bone", -450.0, 1050.0),
    ("Lung", -1350.0, 150.0),
)
"""Usual windows of CT, from level and width: 40/400, 40/80, 300/1500, −600/1500."""


@dataclass(frozen=True)
class Grid:
    """How a volume is turned so that z runs to the head, y to the back and x to the patient's left, and thinned out."""

    order: tuple[int, int, int]
    """Array axis that becomes z, y, x."""
    flip: tuple[bool, bool, bool]
    step: tuple[int, int, int]
    spacing: tuple[float, float, float]
    """In mm, of what is kept; z, y, x."""
    placed: bool
    """Whether the grid says where the patient's sides are."""

    def lay(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """The array turned and thinned."""
        turned = array.transpose(self.order)
        for axis, flipped in enumerate(self.flip):
            if flipped:
                turned = np.flip(turned, axis)
        return turned[tuple(slice(step // 2 if step > 1 else 0, None, step) for step in self.step)]

    def place(self, index: NDArray[np.float64], shape: Sequence[int]) -> tuple[float, float, float]:
        """Where a continuous array index comes to lie in the laid array."""
        placed = []
        for axis, flipped, step in zip(self.order, self.flip, self.step, strict=True):
            own = shape[axis] - 1 - float(index[axis]) if flipped else float(index[axis])
            placed.append((own - (step // 2 if step > 1 else 0)) / step)
        return (placed[0], placed[1], placed[2])

    def slice_of(self, index: int, count: int) -> int:
        """Where slice `index` of `count` along array axis 0 comes to lie along its new axis."""
        axis = self.order.index(0)
        turned = count - 1 - index if self.flip[axis] else index
        return turned // self.step[axis]


def grid_of(volume: Volume) -> Grid:
    """The nearest turn by right angles that makes a grid upright."""
    direction = np.abs(volume.direction)
    # Physical x, y, z (rows) against array axes (columns): the assignment that fits best.
    best = max(_permutations(), key=lambda p: direction[2, p[0]] + direction[1, p[1]] + direction[0, p[2]])
    signs = [volume.direction[row, axis] for row, axis in zip((2, 1, 0), best, strict=True)]
    shape = [volume.array.shape[axis] for axis in best]
    step = (math.ceil(shape[0] / SLICES), math.ceil(shape[1] / IN_PLANE), math.ceil(shape[2] / IN_PLANE))
    spacing = [volume.spacing[axis] * s for axis, s in zip(best, step, strict=True)]
    placed = volume.array.shape[0] > 1 or any(volume.origin)
    return Grid(
        best, (bool(signs[0] < 0), bool(signs[1] < 0), bool(signs[2] < 0)), step, (spacing[0], spacing[1], spacing[2]), placed
    )  # fmt: skip


def _permutations() -> list[tuple[int, int, int]]:
    return [(a, b, c) for a in range(3) for b in range(3) for c in range(3) if len({a, b, c}) == 3]


def on_grid(volume: Volume, reference: Volume) -> NDArray[np.float32]:
    """The volume's values at the reference's voxels, linear between its own; its lowest value outside of it."""
    same = (
        volume.array.shape == reference.array.shape
        and np.allclose(volume.spacing, reference.spacing)
        and np.allclose(volume.origin, reference.origin)
        and np.allclose(volume.direction, reference.direction)
    )
    array = np.nan_to_num(volume.array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if same:
        return array
    # index = (D S)⁻¹ (origin_ref + D_ref S_ref index_ref − origin)
    back = np.linalg.inv(volume.direction * np.asarray(volume.spacing))
    matrix = back @ (reference.direction * np.asarray(reference.spacing))
    shift = back @ (np.asarray(reference.origin) - np.asarray(volume.origin))
    index = np.indices(reference.array.shape, dtype=np.float32).reshape(3, -1)
    places = matrix.astype(np.float32) @ index + shift.astype(np.float32)[:, None]
    values = map_coordinates(array, places, order=1, mode="constant", cval=float(array.min()))
    return np.asarray(values, np.float32).reshape(reference.array.shape)


def packed(key: str, array: NDArray[np.generic], step: float) -> bytes:
    """The script that hands over a volume (z, y, x) under `key`, its values rounded to multiples of `step`."""
    values = array.astype(np.float64)
    low = float(np.floor(values.min() / step) * step)
    steps = np.clip(np.rint((values - low) / step), 0, 65535).astype(np.uint16)
    difference = np.diff(steps, axis=2, prepend=np.uint16(0)).astype(
        np.uint16
    )  # wraps around, as the reader's sum does
    planes = np.concatenate([(difference & 255).astype(np.uint8).ravel(), (difference >> 8).astype(np.uint8).ravel()])
    record = {
        "shape": list(array.shape),
        "low": low,
        "step": step,
        "data": base64.b64encode(_deflated(planes.tobytes())).decode(),
    }
    return f"radbench.receive({json.dumps(key)}, {json.dumps(record, separators=(',', ':'))});\n".encode()


def _deflated(data: bytes) -> bytes:
    # Differences of noisy values are what Z_FILTERED is for: as small as at level 9, at a twentieth of the time.
    deflate = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    return deflate.compress(data) + deflate.flush()


def step_of(array: NDArray[np.generic], unit: str) -> float:
    """How finely values are kept: whole HU; labels as they are; else 1/4096 of the range, as scanners store it."""
    if unit == "HU" or np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_:
        return max(1.0, math.ceil(float(np.ptp(array)) / 65535)) if array.size else 1.0
    spread = float(np.ptp(array))
    return spread / 4095 if spread > 0 else 1.0


@dataclass(frozen=True)
class Points:
    """Findings of the reference, and the marks of each submission as (name, title, marks) in board order."""

    findings: Sequence[Finding]
    models: Sequence[tuple[str, str, Sequence[Mark]]]


@dataclass(frozen=True)
class Loaded:
    """What the viewer of one case is made from."""

    input: Volume
    reference: Volume | None
    """None for a task of points."""
    mask: Volume | None
    predictions: Sequence[tuple[str, str, Volume]]
    """(name, title, volume) in board order."""
    index: int
    """Slice along array axis 0 that the page shows without the viewer."""
    labels: tuple[int, ...] = ()
    """Of a segmentation: its labels in the order of their line styles."""
    points: Points | None = None


def viewer(task: Task, case: str, folder: str, loaded: Loaded) -> tuple[str, dict[str, bytes]]:
    """The viewer's description as JSON, for the page, and its scripts by path in the snapshot."""
    display, kind = task.display, compared(task)
    socket = task.reference(task.scoring.reference)
    base = loaded.reference if loaded.reference is not None else loaded.input
    grid = grid_of(base)
    files: dict[str, bytes] = {}

    def put(name: str, array: NDArray[np.generic], unit: str) -> dict[str, object]:
        laid = np.ascontiguousarray(grid.lay(array))
        path = f"{folder}cases/{case}/{name}.js"
        files[path] = packed(
            f"{case}/{name}", laid, 1.0 if kind == "labels" and name != "input" else step_of(laid, unit)
        )
        return {"key": f"{case}/{name}", "path": path, "bytes": len(files[path])}

    ground = on_grid(loaded.input, base)
    unit = task.input(display.input).unit
    shown_unit = unit if kind == "points" else socket.unit
    records = {"input": put("input", ground, unit)}
    if loaded.reference is not None:
        records["reference"] = put("reference", _finite(loaded.reference), socket.unit)
    if loaded.mask is not None:
        records["mask"] = put("mask", (loaded.mask.array != 0).astype(np.uint8), "")
    models: list[dict[str, object]] = [
        {"name": name, "title": title, **put(f"p-{name}", _finite(volume), socket.unit)}
        for name, title, volume in loaded.predictions[:MODELS]
    ]
    own = display.input_window or display.window
    description = {
        "case": case,
        "kind": kind,
        "volumes": records,
        "models": models,
        "spacing": grid.spacing,
        "thin": base.array.shape[grid.order[0]] < THIN,
        "placed": grid.placed,
        "plane": ("axial", "coronal", "sagittal")[grid.order.index(0)],
        "slice": grid.slice_of(loaded.index, base.array.shape[0]),
        "every": max(grid.step),
        "unit": shown_unit,
        "windows": [["Task's window", *display.window], *(HU_WINDOWS if shown_unit == "HU" else ())],
        "inputUnit": unit,
        "inputWindows": _input_windows(ground, own, unit, shown_unit),
        "error": pictures.error_range(display),
        "palette": pictures.palette_text() if kind == "image" else "",
        "labels": [[value, display.labels.get(value, f"label {value}")] for value in loaded.labels],
    }
    if loaded.points is not None:
        description |= _points(loaded.points, base, grid)
    return json.dumps(description, separators=(",", ":"), sort_keys=True), files


def _points(points: Points, volume: Volume, grid: Grid) -> dict[str, object]:
    """Findings and marks at continuous indices of the laid volume (z, y, x), with lengths in mm."""

    def at(point: Sequence[float]) -> list[float]:
        return [float(f"{v:.6g}") for v in grid.place(index_of(volume, point), volume.array.shape)]

    return {
        "findings": [{"at": at(f.point), "radius": f.radius, "number": f.number} for f in points.findings],
        "marks": {
            name: [
                {"at": at(m.point), "reach": m.reach, "p": m.probability, "kind": m.kind, "on": m.on}
                for m in rings_shown(marks)
            ]
            for name, _, marks in points.models
        },
        "models": [{"name": name, "title": title} for name, title, _ in points.models],
    }


def _finite(volume: Volume) -> NDArray[np.generic]:
    array = volume.array
    return array if np.issubdtype(array.dtype, np.integer) else np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)


def _input_windows(
    ground: NDArray[np.float32], declared: tuple[float, float], unit: str, reference_unit: str
) -> list[list[object]]:
    """Windows of the input where its values are not those of the reference; empty where one window serves both."""
    if unit == reference_unit and unit:
        return []
    found: list[list[object]] = [] if declared == (0, 0) else [["Task's window", *declared]]
    for low, high, name in ((1, 99, "1st to 99th percentile"), (0, 100, "Whole range"), (25, 99.5, "Bright parts")):
        a, b = (float(f"{v:.4g}") for v in np.percentile(ground, (low, high)))
        found.append([name, a, b if b > a else a + 1])
    return found
