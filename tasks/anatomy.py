"""Analytic anatomy: seeded generators, smooth random fields, shapes in millimetres, and painting with partial volume.

Shapes are signed distances in mm, negative inside. A volume is painted from the outside in: each shape covers what lies
below it by its coverage of the voxel, so a voxel that a border crosses holds a mixture (partial volume), also where the
layers are thinner than a voxel. Anatomy lives on fixed lattices in mm and not on voxels, so the same subject can be painted
on any grid. Only element-wise float operations are used (no BLAS), so that bytes do not depend on threads.

Axes: arrays are (z, y, x); points are (x, y, z) in mm, LPS (x to the left, y to the back, z to the head).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.image import Volume

Array = NDArray[Any]
"""Single-precision values on a grid, axes (z, y, x)."""
Point = tuple[float, float, float]


def generator(*key: object) -> np.random.Generator:
    """A random generator that depends on the key alone, such as (task, version, seed, case, "shape").

    Give each purpose a key of its own: what one part of a phantom draws then never shifts what another part draws.
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
    return np.random.Generator(np.random.PCG64(np.frombuffer(digest, "<u4").tolist()))


@dataclass(frozen=True)
class Grid:
    """A plain axial grid around the point (0, 0, 0)."""

    shape: tuple[int, int, int]
    """Voxels (z, y, x)."""
    spacing: tuple[float, float, float]
    """Voxel size in mm (z, y, x)."""

    @classmethod
    def cube(cls, size: int, extent: float) -> Grid:
        """`size`³ voxels that fill a cube of `extent` mm."""
        return cls((size, size, size), (extent / size,) * 3)

    def axis(self, a: int) -> Array:
        """Positions of the voxel centres along array axis a, in mm."""
        n = self.shape[a]
        return ((np.arange(n) - (n - 1) / 2) * self.spacing[a]).astype(np.float32)

    @property
    def voxel(self) -> float:
        """Side in mm of a cube of a voxel's volume: the width over which borders blur."""
        return float(np.prod(self.spacing) ** (1 / 3))

    def volume(self, array: NDArray[Any]) -> Volume:
        """`array` as a `Volume` on this grid."""
        z, y, x = (float(self.axis(a)[0]) for a in range(3))
        return Volume(array, self.spacing, (x, y, z))


def smooth_field(rng: np.random.Generator, grid: Grid, knots: float, *, reach: float = 260.0) -> Array:
    """A stationary smooth random field of zero mean and unit variance on the grid.

    White noise on a cubic lattice of `knots` mm that spans `reach` mm around the centre, under a cubic B-spline. The lattice
    does not depend on the grid, so grids of different voxel size sample the same field.
    """
    n = int(np.ceil(reach / knots)) + 4
    values = rng.standard_normal((n, n, n)).astype(np.float32)
    for a in range(3):
        # Position in lattice steps; the four B-spline weights of each voxel, then a weighted sum of four slices.
        u = (grid.axis(a).astype(np.float64) + reach / 2) / knots + 1.0
        k = np.clip(np.floor(u).astype(int), 1, n - 3)
        t = u - k
        weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
        shape = [1, 1, 1]
        shape[a] = -1
        out = None
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            part = np.take(values, k + offset, axis=a) * weight.astype(np.float32).reshape(shape)
            out = part if out is None else np.add(out, part, out=out)
        assert out is not None
        values = out
    # A cubic B-spline of unit white noise has variance 151/315 an axis, averaged over the phase within a lattice cell.
    return values / np.float32((151 / 315) ** 1.5)


def sheet_distance(values: Array, grid: Grid) -> Array:
    """Distance in mm to the zero surface of a smooth field, to first order: |f| / |∇f|. Such sheets fold like sulci."""
    slopes = np.gradient(values, *(np.float32(s) for s in grid.spacing))
    steepness = np.sqrt(sum((s * s for s in slopes), np.zeros_like(values)))
    return np.abs(values) / np.maximum(steepness, 0.35 * float(np.sqrt(np.mean(steepness**2))))


def smooth_max(a: Array, b: Array, blend: float) -> Array:
    """Intersection of two shapes whose edge is rounded over `blend` mm."""
    h = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.maximum(a, b) + h * h * np.float32(blend / 4)


def smooth_min(a: Array, b: Array, blend: float) -> Array:
    """Union of two shapes whose crease is filled over `blend` mm."""
    return -smooth_max(-a, -b, blend)


@dataclass(frozen=True, eq=False)
class Space:
    """Coordinates in the patient's own frame, in mm, at the voxels of a grid or of a box in it."""

    x: Array
    y: Array
    z: Array
    box: tuple[slice, slice, slice] = (slice(None), slice(None), slice(None))
    """Where these voxels lie in the whole grid."""

    def crop(self, array: NDArray[Any]) -> NDArray[Any]:
        """The part of a whole-grid array that lies in this box."""
        return array[self.box]

    def ellipsoid(self, centre: Point, radii: Point, *, tilt: float = 0.0, turn: float = 0.0) -> Array:
        """Distance to an ellipsoid, first order (exact on the surface).

        `tilt` (degrees) rotates about the x axis, raising its back end; `turn` about the z axis, moving its back end to +x.
        """
        x, y, z = self.x - np.float32(centre[0]), self.y - np.float32(centre[1]), self.z - np.float32(centre[2])
        if tilt:
            c, s = np.float32(np.cos(np.deg2rad(tilt))), np.float32(np.sin(np.deg2rad(tilt)))
            y, z = c * y + s * z, c * z - s * y
        if turn:
            c, s = np.float32(np.cos(np.deg2rad(turn))), np.float32(np.sin(np.deg2rad(turn)))
            x, y = c * x - s * y, c * y + s * x
        ax, ay, az = (np.float32(1 / r) for r in radii)
        u, v, w = x * ax, y * ay, z * az
        k = np.sqrt(u * u + v * v + w * w)
        slope = np.sqrt((u * ax) ** 2 + (v * ay) ** 2 + (w * az) ** 2)
        # At the very centre both vanish; the distance there is the smallest radius.
        return np.where(k > 1e-4, k * (k - 1) / np.maximum(slope, 1e-6), np.float32(-min(radii)))

    def capsule(self, a: Point, b: Point, radius: float, end_radius: float | None = None) -> Array:
        """Distance to a rod with round ends from a to b, whose radius goes linearly to `end_radius`."""
        ab = np.subtract(b, a)
        px, py, pz = self.x - np.float32(a[0]), self.y - np.float32(a[1]), self.z - np.float32(a[2])
        dot = px * np.float32(ab[0]) + py * np.float32(ab[1]) + pz * np.float32(ab[2])
        t = np.clip(dot / np.float32(ab @ ab), 0, 1)
        dx, dy, dz = px - t * np.float32(ab[0]), py - t * np.float32(ab[1]), pz - t * np.float32(ab[2])
        end = radius if end_radius is None else end_radius
        return np.sqrt(dx * dx + dy * dy + dz * dz) - (np.float32(radius) + t * np.float32(end - radius))


@dataclass(eq=False)
class Canvas:
    """A volume in the making: one float layer a property (HU, MR signal …) and the label of what covers each voxel most."""

    space: Space
    """The patient's frame on the whole grid."""
    voxel: float
    """Width in mm over which a border blurs."""
    materials: Sequence[str]
    """Names; the position in the sequence is the label. The first one fills the canvas."""
    palettes: Mapping[str, Mapping[str, float]]
    """By layer: the value of each material."""
    layers: dict[str, Array] = field(init=False)
    """By name, whole grid."""
    labels: NDArray[np.uint8] = field(init=False)
    """Material of each voxel."""

    def __post_init__(self) -> None:
        shape = self.space.x.shape
        ground = self.materials[0]
        self.layers = {name: np.full(shape, table[ground], np.float32) for name, table in self.palettes.items()}
        self.labels = np.zeros(shape, np.uint8)
        # Per coordinate: its range over each slice of the array axis that it mostly runs along.
        self._spans = [
            (c.min(axis=others), c.max(axis=others))
            for c, others in ((self.space.z, (1, 2)), (self.space.y, (0, 2)), (self.space.x, (0, 1)))
        ]

    def near(self, centre: Point, radii: Point | float) -> Space:
        """The voxels that may lie within `radii` (plus a voxel) of `centre`: paint small things there, and it is quick."""
        reach = (radii,) * 3 if isinstance(radii, int | float) else radii
        box = []
        for (low, high), c, r in zip(self._spans, centre[::-1], reach[::-1], strict=True):
            inside = np.flatnonzero((high >= c - r - self.voxel) & (low <= c + r + self.voxel))
            box.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
        cut = (box[0], box[1], box[2])
        return Space(self.space.x[cut], self.space.y[cut], self.space.z[cut], cut)

    def coverage(self, distance: Array) -> Array:
        """Share of the voxel that lies inside a shape whose border is flat at the scale of a voxel."""
        return np.clip(np.float32(0.5) - distance * np.float32(1 / self.voxel), 0, 1)

    def sheet(self, distance: Array, thickness: float | Array) -> Array:
        """Share of the voxel that lies in a sheet, from the distance (≥ 0) to its middle; right below a voxel too."""
        half = thickness / 2
        return self.coverage(distance - half) - self.coverage(distance + half)

    def paint(self, share: Array, material: str, space: Space | None = None) -> None:
        """Cover by `share` (0 to 1) with a material, in the whole grid or in the box of `space`."""
        box = (space or self.space).box
        for name, layer in self.layers.items():
            part = layer[box]
            part += share * (np.float32(self.palettes[name][material]) - part)
        self.labels[box][share >= 0.5] = self.materials.index(material)

    def fill(self, distance: Array, material: str, space: Space | None = None) -> None:
        """Cover the inside of a shape with a material."""
        self.paint(self.coverage(distance), material, space)


def rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """3×3 rotation from degrees about x (pitch: nod), z (yaw: turn) and y (roll: lean)."""
    p, w, r = np.deg2rad([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(w), -np.sin(w), 0], [np.sin(w), np.cos(w), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    return about_z @ about_y @ about_x


def place(
    grid: Grid,
    *,
    turn: NDArray[np.float64] | None = None,
    scale: Point = (1.0, 1.0, 1.0),
    shift: Point = (0.0, 0.0, 0.0),
    warp: tuple[Array, Array, Array] | None = None,
) -> Space:
    """The patient's frame seen from the grid: undo shift (mm), rotation and scale (x, y, z), then add a warp (mm; x, y, z)."""
    inverse = np.diag(1 / np.asarray(scale, float)) @ (np.eye(3) if turn is None else turn.T)
    z, y, x = np.meshgrid(*(grid.axis(a) for a in range(3)), indexing="ij", sparse=True)
    x, y, z = x - np.float32(shift[0]), y - np.float32(shift[1]), z - np.float32(shift[2])
    rows = [np.float32(r[0]) * x + np.float32(r[1]) * y + np.float32(r[2]) * z for r in inverse]
    if warp is not None:
        rows = [row + w for row, w in zip(rows, warp, strict=True)]
    x, y, z = (np.ascontiguousarray(row, np.float32) for row in rows)
    return Space(x, y, z)
