"""Nodules in a chest, and what looks like them: bulges on vessels, bands, thickenings of the pleura, nodules too small to count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks.anatomy import Array, Point
from tasks.nodule_detection import difficulty
from tasks.nodule_detection.design import Kind, Nodule, Place
from tasks.nodule_detection.thorax import HILUM, Chest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """A nodule in its place."""

    centre: Point
    """In the patient's frame, mm."""
    diameter: float
    """In the patient's frame, mm."""
    kind: Kind
    place: Place
    irregular: bool


class Places:
    """Where things may lie: voxels of the lung with their depth below the pleura, on every second row and column."""

    def __init__(self, chest: Chest, margin: float) -> None:
        step = (slice(None), slice(None, None, 2), slice(None, None, 2))
        self.depth = -chest.lung[step]
        axes = chest.space.x[:, :, ::2], chest.space.y[:, ::2], chest.space.z
        x, y, z = np.broadcast_arrays(*axes)
        inside = self.depth > 0
        # At the hilum so many vessels meet that no reader would call anything a nodule.
        inside &= (np.abs(x) - HILUM[0]) ** 2 + (y - HILUM[1]) ** 2 + (z - HILUM[2]) ** 2 > 26**2
        inside &= np.abs(z - z.mean()) <= (z.max() - z.min()) / 2 - margin
        self.depth = self.depth[inside]
        self.points = np.column_stack([a[inside] for a in (x, y, z)]).astype(np.float64)

    def draw(self, rng: np.random.Generator, least: float, most: float) -> Floats:
        """A point between these depths in mm; anywhere where there is none."""
        found = np.flatnonzero((self.depth >= least) & (self.depth <= most))
        chosen = int(rng.choice(found)) if len(found) else int(rng.integers(len(self.points)))
        return self.points[chosen] + rng.uniform(-0.9, 0.9, 3)


def place(rng: np.random.Generator, chest: Chest, wanted: Sequence[Nodule]) -> list[Placed]:
    """Find a place for each nodule: on a vessel, on the pleura or away from both, and none on another. Large ones first.

    A nodule's diameter is in millimetres of the grid; what comes back is in the patient's frame throughout.
    """
    wanted = [replace(nodule, diameter=nodule.diameter / chest.scale) for nodule in wanted]
    edge = {i: max(4.0, 0.6 * nodule.diameter) for i, nodule in enumerate(wanted)}
    placed: dict[int, Placed] = {}
    for i in sorted(edge, key=lambda i: -wanted[i].diameter):
        nodule, radius = wanted[i], wanted[i].diameter / 2
        places = Places(chest, edge[i])
        pieces = _pieces(chest, edge[i])
        best, most = None, -np.inf
        for _ in range(60):
            if nodule.place == "vessel" and len(pieces):
                point = _beside(rng, pieces, radius)
            elif nodule.place == "pleura":
                point = places.draw(rng, 0.65 * radius, 0.9 * radius + 0.5)
            else:
                point = places.draw(rng, radius + 3, np.inf)
            clear = min((_gap(point, radius, other) for other in placed.values()), default=9.0)
            crowded = _crowded(chest.vessels, point, radius) if nodule.place != "vessel" else 0.0
            score = min(clear, 6.0) - crowded
            if score > most:
                best, most = point, score
            if score >= 6.0:
                break
        assert best is not None
        placed[i] = Placed(_point(best), nodule.diameter, nodule.kind, nodule.place, nodule.irregular)
    return [placed[i] for i in range(len(wanted))]


def _gap(point: Floats, radius: float, other: Placed) -> float:
    return float(np.linalg.norm(point - other.centre)) - radius - other.diameter / 2


def _pieces(chest: Chest, margin: float) -> NDArray[np.float32]:
    """Pieces of vessels of 0.8 to 2.6 mm radius that lie in the lung, away from the ends of the slab."""
    tubes = chest.vessels
    middle = (tubes[:, :3] + tubes[:, 3:6]) / 2
    z = chest.space.z.ravel()
    inside = (middle[:, 2] > z.min() + margin) & (middle[:, 2] < z.max() - margin)
    chosen = inside & (tubes[:, 6] > 0.8) & (tubes[:, 6] < 2.6) & (depth_at(chest, middle) > 4.0)
    return tubes[chosen]


def depth_at(chest: Chest, points: NDArray[np.floating]) -> Array:
    """Depth in mm below the pleura at points (n, 3) of the patient's frame: that of the nearest voxel; negative outside."""
    index = []
    for axis, c in zip((chest.space.z, chest.space.y, chest.space.x), points.T[::-1], strict=True):
        values = axis.ravel()
        steps = (c - values[0]) / (values[1] - values[0])
        index.append(np.clip(np.rint(steps).astype(int), 0, len(values) - 1))
    return -chest.lung[index[0], index[1], index[2]]


def _beside(rng: np.random.Generator, pieces: NDArray[np.float32], radius: float) -> Floats:
    """A centre from which a nodule of that radius touches a vessel."""
    ax, ay, az, bx, by, bz, thick, _ = (float(v) for v in pieces[int(rng.integers(len(pieces)))])
    along = np.array([bx - ax, by - ay, bz - az])
    side = rng.standard_normal(3)
    side -= (side @ along) / max(float(along @ along), 1e-6) * along
    side /= np.linalg.norm(side)
    return np.array([ax, ay, az]) + rng.random() * along + side * (0.75 * radius + 0.7 * thick)


def _crowded(pieces: NDArray[np.float32], point: Floats, radius: float) -> float:
    """By how many mm a vessel comes too near (0: none does)."""
    if not len(pieces):
        return 0.0
    thick = pieces[pieces[:, 6] > 0.8]
    away = np.linalg.norm((thick[:, :3] + thick[:, 3:6]) / 2 - point, axis=1) - thick[:, 6] - radius
    return float(max(0.0, 2.5 - away.min()))


def paint(rng: np.random.Generator, chest: Chest, nodules: Sequence[Placed]) -> None:
    """Draw nodules into the lung."""
    for nodule in nodules:
        radius = nodule.diameter / 2
        box = chest.near(nodule.centre, 1.3 * radius + 1)
        dx, dy, dz = (a - np.float32(c) for a, c in zip((box.x, box.y, box.z), nodule.centre, strict=True))
        away = np.sqrt(dx * dx + dy * dy + dz * dz)
        reach = np.full(away.shape, radius, np.float32)
        if nodule.irregular:
            lobes = rng.standard_normal((int(rng.integers(5, 10)), 3))
            lobes /= np.linalg.norm(lobes, axis=1, keepdims=True)
            bumps = np.zeros(away.shape, np.float32)
            for u, v, w in lobes.astype(np.float32):
                toward = (dx * u + dy * v + dz * w) / np.maximum(away, np.float32(1e-3))
                bumps = np.maximum(bumps, np.exp(np.float32(7) * (toward - 1)))
            reach *= 1 + np.float32(2 * difficulty.LOBES) * (bumps - np.float32(0.5))
        else:
            flat = rng.uniform(0.88, 1.12, 3)
            flat = (flat / np.prod(flat) ** (1 / 3)).astype(np.float32)
            away = np.sqrt((dx / flat[0]) ** 2 + (dy / flat[1]) ** 2 + (dz / flat[2]) ** 2)
        inside = chest.coverage(box.crop(chest.lung))
        share = chest.coverage(away - reach) * inside
        if nodule.kind == "solid":
            chest.cover(share, _hu(rng, "solid"), box)
            continue
        # Ground glass lets vessels shine through: it only ever makes lung denser.
        value = np.float32(_hu(rng, "ground_glass" if nodule.kind == "ground_glass" else "shell"))
        chest.cover(share, np.maximum(box.crop(chest.hu), value), box)
        if nodule.kind == "part_solid":
            core = chest.coverage(away - np.float32(0.5) * reach) * inside
            chest.cover(core, _hu(rng, "solid"), box)


def _hu(rng: np.random.Generator, tissue: str) -> float:
    mean, spread = difficulty.HU_KIND[tissue]
    return float(rng.normal(mean, spread))


def _point(values: Floats) -> Point:
    """A point of the patient's frame, to a hundredth of a millimetre."""
    x, y, z = (round(float(v), 2) for v in values)
    return x, y, z


def small(rng: np.random.Generator, chest: Chest) -> list[Point]:
    """Draw nodules of 1.6 to 3 mm and return their centres."""
    places, found = Places(chest, 4.0), []
    for _ in range(int(rng.poisson(difficulty.MICRONODULES))):
        point, radius = _point(places.draw(rng, 3.0, np.inf)), float(rng.uniform(0.8, 1.5))
        box = chest.near(point, radius)
        share = chest.coverage(box.ellipsoid(point, (radius,) * 3)) * chest.coverage(box.crop(chest.lung))
        chest.cover(share, float(rng.normal(20, 40)), box)
        found.append(point)
    return found


def distract(rng: np.random.Generator, chest: Chest, age_band: str) -> None:
    """Draw what looks like a nodule and is none, more of it with age."""
    places = Places(chest, 0.0)
    pieces = _pieces(chest, 0.0)
    bulges = []
    for _ in range(int(rng.poisson(difficulty.SPOTS[age_band])) if len(pieces) else 0):
        ax, ay, az, bx, by, bz, thick, _ = (float(v) for v in pieces[int(rng.integers(len(pieces)))])
        along = np.array([bx - ax, by - ay, bz - az])
        along *= rng.uniform(1, 6) / max(float(np.linalg.norm(along)), 1e-3)
        radius = min(max(thick * rng.uniform(1.4, 2.3), 1.7), 4.4)
        bulges.append([ax, ay, az, *(np.array([ax, ay, az]) + along), radius, radius * rng.uniform(0.6, 1.0)])
    if bulges:
        share = chest.draw(np.array(bulges, np.float32)) * chest.coverage(chest.lung)
        chest.cover(share, 25.0)
    for _ in range(int(rng.poisson(difficulty.BANDS[age_band]))):
        _band(rng, chest, places)
    for _ in range(int(rng.poisson(difficulty.PLAQUES[age_band]))):
        centre, radius = _point(places.draw(rng, 0.0, 2.5)), float(rng.uniform(5, 11))
        box = chest.near(centre, radius)
        lung = box.crop(chest.lung)
        sheet = chest.coverage(-lung - np.float32(rng.uniform(1.5, 3.5))) * chest.coverage(lung)
        chest.cover(chest.coverage(box.ellipsoid(centre, (radius,) * 3)) * sheet, 20.0, box)


def _band(rng: np.random.Generator, chest: Chest, places: Places) -> None:
    """A plate of collapsed lung or a scar that begins near the pleura."""
    centre = places.draw(rng, 4.0, 16.0)
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
    length, width, thick = rng.uniform(10, 26), rng.uniform(4, 11), rng.uniform(0.9, 1.7)
    box = chest.near(_point(centre), length)
    d = [a - np.float32(c) for a, c in zip((box.x, box.y, box.z), centre, strict=True)]
    u, v, w = (d[0] * e[0] + d[1] * e[1] + d[2] * e[2] for e in axes)
    w = w + (u / np.float32(length)) ** 2 * np.float32(rng.uniform(-4, 4))
    within = np.maximum(np.sqrt((u / length) ** 2 + (v / width) ** 2) - 1, 0) * np.float32(width)
    sheet = chest.coverage(np.abs(w) - np.float32(thick)) - chest.coverage(np.abs(w) + np.float32(thick))
    share = sheet * chest.coverage(np.maximum(within - 1, -9)) * chest.coverage(box.crop(chest.lung))
    chest.cover(share.astype(np.float32), float(rng.normal(0, 40)), box)
