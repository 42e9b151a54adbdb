"""A chest without nodules, painted in HU: trunk, ribs, spine, heart, lungs with vessels, bronchi and fissures.

Millimetres, LPS: x to the left, y to the back, z to the head; the origin of the patient's frame is the carina. What lies outside
the lungs is there to be recognised and to be touched by nodules; the lungs are where the detail is. CT numbers are those of
textbooks (air −1000, lung −860, fat −100, muscle 50, blood 45, spongy bone 200, cortical bone 700 HU), varied from patient to
patient. Shapes are the first-order distances of `tasks.anatomy`, painted in boxes around them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.anatomy import Array, Grid, Point, Space, generator, smooth_field, smooth_max, smooth_min
from tasks.nodule_detection import tubes

CALIBRE = 4.6
"""Radius in mm of a vessel where it leaves the hilum; textbook figures are 4 to 6."""

TREES, LEVELS = 22, 7
"""Vessel trees a lung, and how often each splits."""

HILUM = (33.0, 1.0, -14.0)
"""Where vessels leave the left hilum, mm; the right one lies mirrored."""

WAYS, WAY_LEVELS = 5, 3
"""Bronchi that leave a hilum, and how often each splits."""


@dataclass(frozen=True)
class Build:
    """What varies from patient to patient."""

    key: tuple[object, ...]
    """Seeds every draw."""
    scale: float
    """Size of the chest relative to a man's."""
    height: float
    """Height of the middle of the scanned slab above the carina, mm."""
    fat: float
    """Thickness of the fat below the skin, mm."""
    emphysema: float
    """0: even lung; 1: ±60 HU of holes and crowded tissue."""
    contrast: float
    """HU that contrast agent adds to blood; 0 without."""


@dataclass(eq=False)
class Chest:
    """A chest on a grid, in the making."""

    grid: Grid
    space: Space
    """The patient's frame: x (1, 1, n), y (1, n, 1), z (n, 1, 1), in mm."""
    hu: Array
    """CT numbers (z, y, x)."""
    lung: Array
    """Distance in mm to the pleura, negative in the lung."""
    fissure: Array
    """Distance in mm to the nearest fissure."""
    scale: float
    """Millimetres on the grid a millimetre of the patient's frame: the body is painted at a man's size."""
    vessels: tubes.Tubes
    """Pieces of the vessels in the lungs, in the patient's frame."""

    def near(self, centre: Point, reach: float) -> Space:
        """The voxels within `reach` mm of a point, by axis."""
        box = []
        for axis, c in zip(
            (self.space.z.ravel(), self.space.y.ravel(), self.space.x.ravel()), centre[::-1], strict=True
        ):
            inside = np.flatnonzero(np.abs(axis - np.float32(c)) <= reach + self.grid.voxel)
            box.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
        k, j, i = box
        return Space(self.space.x[:, :, i], self.space.y[:, j], self.space.z[k], (k, j, i))

    def coverage(self, distance: Array) -> Array:
        """Share of a voxel inside a shape whose border is flat at the scale of a voxel."""
        return np.clip(np.float32(0.5) - distance * np.float32(1 / self.grid.voxel), 0, 1)

    def cover(self, share: Array, value: float | Array, space: Space | None = None) -> None:
        """Replace a share (0 to 1) of each voxel by a material of that CT number, in a box or everywhere."""
        part = self.hu[(space or self.space).box]
        part += share * (np.asarray(value, np.float32) - part)

    def draw(self, pieces: tubes.Tubes) -> Array:
        """Share of each voxel that these tubes cover."""
        origin = tuple(float(a.ravel()[0]) for a in (self.space.z, self.space.y, self.space.x))
        return tubes.draw(pieces, self.grid.shape, origin, self.grid.spacing)  # type: ignore[arg-type]


def paint(build: Build, grid: Grid) -> Chest:
    """Paint a chest on a grid whose middle is the middle of the slab."""
    rng = generator(*build.key, "thorax")
    x, y, z = (
        ((grid.axis(a) - np.float32(shift)) / np.float32(build.scale)).reshape(shape)
        for a, shift, shape in (
            (2, rng.uniform(-4, 4), (1, 1, -1)),
            (1, rng.uniform(-3, 3) + 2, (1, -1, 1)),
            (0, -build.height, (-1, 1, 1)),
        )
    )
    space = Space(x, y, z)
    a, b, fat = rng.uniform(130, 139), rng.uniform(87, 94), build.fat

    # Skin, fat and muscle are the same at all levels; only ribs, lungs and organs vary along the body.
    trunk = _ring(x, y, np.float32(a + fat), np.float32(b + fat))
    plane = np.full(trunk.shape, -1000, np.float32)
    for distance, value in ((trunk, -105), (trunk + np.float32(fat), 50)):
        plane += np.clip(0.5 - distance / grid.spacing[1], 0, 1) * (np.float32(value + rng.normal(0, 4)) - plane)
    hu = np.broadcast_to(plane, grid.shape).copy()
    none = np.zeros((0, 8), np.float32)
    chest = Chest(grid, space, hu, np.zeros(0, np.float32), np.zeros(0, np.float32), build.scale, none)

    narrow = (1 - 0.5 * np.clip((z - 20) / 120, 0, 1) ** 1.5).astype(np.float32)
    cage = _ring(x, y + np.float32(4), np.float32(a - 14) * narrow, np.float32(b - 12) * narrow)
    _ribs(chest, cage, rng.uniform(0, 28))
    middle = (
        17
        + 7 * np.exp(-(((y - 36) / 24) ** 2))
        + 9 * np.exp(-(((y + 6) / 34) ** 2)) * (0.6 + 0.9 * np.exp(-((z / 40) ** 2)))
    )
    chest.cover(chest.coverage(np.maximum(cage + np.float32(9), np.abs(x) - 60)), -90)
    lung = smooth_max(cage + np.float32(7), (middle - np.abs(x)).astype(np.float32), 14.0)
    side = np.where(x < 0, np.float32(0), np.float32(-14))  # the liver lifts the right dome
    dome = (-66 + side - 55 * ((np.abs(x) - 70) / 85) ** 2 - 45 * ((y + 5) / 80) ** 2).astype(np.float32)
    below = (dome - z) * np.float32(0.6)
    chest.cover(chest.coverage(np.maximum(cage + np.float32(8), below)), 58 + rng.normal(0, 4))
    lung = smooth_max(lung, below, 6.0)
    lung += np.float32(1.8) * smooth_field(generator(*build.key, "outline"), grid, 38.0, reach=340.0)
    chest.lung = lung
    _parenchyma(chest, build)
    _mediastinum(chest, build, rng)
    _spine(chest, rng.uniform(0, 32), float(b - 94))
    _airways(chest, build)
    _vessels(chest, build)
    _fissures(chest, build, rng)
    return chest


def _ring(x: Array, y: Array, a: Array | np.float32, b: Array | np.float32) -> Array:
    """Distance, along the ray from the axis, to an elliptic cylinder of half-axes a (x) and b (y)."""
    r = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    return np.sqrt(x * x + y * y) * (1 - 1 / np.maximum(r, np.float32(0.05)))


def _ribs(chest: Chest, cage: Array, phase: float) -> None:
    """Oblique ribs on the cage, one every 28 mm, lower in front; sternum."""
    x, y, z = chest.space.x, chest.space.y, chest.space.z
    along = (np.abs((z + 0.45 * (110 - y) + phase) % 28 - 14) / 7).astype(np.float32)
    rib = (np.sqrt(((cage - 1) / 5) ** 2 + along * along) - 1) * 5
    rib = np.maximum(rib, 26 - np.abs(x))
    chest.cover(chest.coverage(rib), 680)
    chest.cover(chest.coverage(rib + np.float32(2.2)), 200)
    sternum = np.maximum(np.maximum(np.abs(cage - 2) - 5, np.abs(x) - 17), y + 20)
    chest.cover(chest.coverage(sternum), 550)
    chest.cover(chest.coverage(sternum + np.float32(2.5)), 160)


def _parenchyma(chest: Chest, build: Build) -> None:
    """Lung: denser to the back, where one lies; uneven; with holes where there is emphysema."""
    rng = generator(*build.key, "parenchyma")
    base = -865 + rng.normal(0, 12) + 0.3 * chest.space.y
    fine = smooth_field(generator(*build.key, "fine"), chest.grid, 7.0, reach=340.0)
    coarse = smooth_field(generator(*build.key, "coarse"), chest.grid, 19.0, reach=340.0)
    uneven = np.float32(9) * fine + np.float32(8 + 60 * build.emphysema) * np.minimum(coarse, np.float32(0.9))
    chest.cover(chest.coverage(chest.lung), np.maximum((base + uneven).astype(np.float32), -985))


def _mediastinum(chest: Chest, build: Build, rng: np.random.Generator) -> None:
    """Fat and heart, aorta with its arch, vena cava, lung arteries, oesophagus, trachea and main bronchi."""
    wide, blood = rng.uniform(0.9, 1.08), 45 + rng.normal(0, 4) + build.contrast
    muscle = 45 + build.contrast / 3

    def put(distance: Array, value: float, box: Space) -> None:
        chest.cover(chest.coverage(distance), value, box)
        lung = box.crop(chest.lung)
        np.maximum(lung, -distance, out=lung)  # the lung ends where an organ begins

    def ball(centre: Point, radii: Point, value: float) -> None:
        box = chest.near(centre, 1.1 * max(radii))
        put(box.ellipsoid(centre, radii, turn=-20), value, box)

    def rod(start: Point, end: Point, radius: float, last: float, value: float) -> None:
        half = np.abs(np.subtract(end, start)) / 2
        box = chest.near(tuple((np.add(start, end) / 2).tolist()), float(half.max()) + max(radius, last))
        put(box.capsule(start, end, radius, last), value, box)

    ball((16, -20, -58), (58 * wide, 46 * wide, 50), -95.0)
    ball((18, -18, -58), (53 * wide, 41 * wide, 45), muscle)
    ball((34, -20, -62), (22, 16, 28), blood)
    ball((-6, -28, -56), (22, 15, 27), blood)
    ball((8, 4, -46), (25, 13, 19), blood)
    rod((4, -22, -40), (-12, -20, 28), 15 * wide, 15 * wide, blood)
    rod((-12, -20, 34), (20, 22, 38), 13 * wide, 12, blood)
    rod((24, 20, 34), (24, 24, -160), 12 * wide, 10, blood)
    rod((-24, -12, -30), (-22, -10, 70), 8.5, 8.5, blood)
    rod((10, -24, -10), (-32, -2, -12), 10, 8, blood)
    rod((10, -24, -10), (34, 2, -10), 10, 8, blood)
    for sign in (-1, 1):
        rod((sign * 12, -4, 40), (sign * 22, -6, 120), 5, 5, blood)
    for sign in (-1, 1):
        rod((0, 0, 2), (sign * 38, 4, -24), 8.6, 6.6, 20)
        rod((0, 0, 2), (sign * 38, 4, -24), 7, 5, -985)
    rod((0, 0, 2), (0, -2, 150), 10, 10, 20)
    rod((0, 0, 2), (0, -2, 150), 8.4, 8.4, -990)
    rod((6, 12, -150), (4, 14, 150), 7, 7, 40)


def _spine(chest: Chest, phase: float, back: float) -> None:
    """Vertebrae every 32 mm with discs between, canal, arch and spinous process."""
    box = chest.near((0, 62 + back, float(chest.space.z.mean())), 90)
    x, y, z = box.x, box.y - np.float32(back), box.z
    near = slice(None), slice(None), slice(None)
    along = np.abs((z + np.float32(phase)) % 32 - 16)
    body = _ring(x, y - 38, np.float32(19), np.float32(16))
    chest.cover(chest.coverage(body), 80, box)
    vertebra = np.maximum(body, along - 12)
    ring = np.sqrt(x * x + (y - 63) ** 2)
    arch = np.maximum(np.abs(ring - 12) - 3, along - 13)
    wing = np.maximum(
        np.sqrt((np.maximum(np.abs(x) - 30, 0) + np.maximum(14 - np.abs(x), 0)) ** 2 + (y - 66) ** 2) - 5, along - 8
    )
    process = np.maximum(np.sqrt(x * x + np.maximum(np.abs(y - 80) - 8, 0) ** 2) - 4, along - 11)
    bone = np.minimum(np.minimum(vertebra, arch), np.minimum(wing, process))[near]
    chest.cover(chest.coverage(bone), 620, box)
    chest.cover(chest.coverage(bone + np.float32(2.2)), 190, box)
    chest.cover(chest.coverage(ring - 9), 18, box)


def _headings(rng: np.random.Generator, sign: float, count: int) -> tuple[Array, Array]:
    """Directions from a hilum that fan out over a lung, and how far the lung reaches each way, mm."""
    rise = np.linspace(-1.15, 1.3, count) + rng.normal(0, 0.06, count)  # from the foot to the head
    swing = np.where(np.arange(count) % 2 == 0, 1, -1) * rng.uniform(0.1, 1.25, count) + 0.15
    heading = np.column_stack([sign * np.cos(swing) * np.cos(rise), np.sin(swing) * np.cos(rise), np.sin(rise)])
    reach = 66 + 55 * np.maximum(np.sin(rise), 0) + 20 * np.abs(np.sin(swing))
    return heading, reach


def _airways(chest: Chest, build: Build) -> None:
    """Bronchi: a wall a little denser than lung can show, air inside."""
    rng = generator(*build.key, "airways")
    trees = []
    for sign in (-1.0, 1.0):
        heading, reach = _headings(rng, sign, WAYS)
        root = np.array([sign * 38.0, 5.0, -22.0])
        trees.append(tubes.grow(rng, root, heading, 0.6 * reach, 4.0, WAY_LEVELS))
    lumen = np.concatenate(trees)
    wall = lumen.copy()
    wall[:, 6:] = wall[:, 6:] * 1.25 + 0.35
    chest.cover(chest.draw(wall), -60.0)
    chest.cover(chest.draw(lumen), -960.0)


def _vessels(chest: Chest, build: Build) -> None:
    """Arteries and veins from both hila to the pleura."""
    rng = generator(*build.key, "vessels")
    trees = []
    for sign in (-1.0, 1.0):
        heading, reach = _headings(rng, sign, TREES)
        root = np.array([sign * HILUM[0], *HILUM[1:]])
        trees.append(tubes.grow(rng, root, heading, reach, CALIBRE * rng.uniform(0.9, 1.1), LEVELS))
    chest.vessels = np.concatenate(trees)
    share = chest.draw(chest.vessels) * chest.coverage(chest.lung)
    chest.cover(share, 35 + build.contrast * 0.8)


def _fissures(chest: Chest, build: Build, rng: np.random.Generator) -> None:
    """An oblique fissure in both lungs, a horizontal one in the right: bent sheets less than a voxel thick."""
    x, y, z = chest.space.x, chest.space.y, chest.space.z
    bend = np.float32(6) * smooth_field(generator(*build.key, "fissure"), chest.grid, 52.0, reach=340.0)
    slope = rng.uniform(0.75, 0.95)
    oblique = (z - np.float32(rng.uniform(0, 12)) - slope * y) / np.float32(np.hypot(1, slope)) + bend
    level = np.maximum(np.abs(z - np.float32(rng.uniform(-12, 2)) + bend), x)
    level = np.maximum(level, -oblique)  # in front of the oblique one alone
    chest.fissure = smooth_min(np.abs(oblique), np.abs(level), 1.0)
    half = np.float32(rng.uniform(0.35, 0.6))
    share = chest.coverage(chest.fissure - half) - chest.coverage(chest.fissure + half)
    chest.cover(share * chest.coverage(chest.lung), 0.0)
