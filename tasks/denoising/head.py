"""A head by formula: one slab at one level, painted in HU.

Millimetres, LPS: x to the left, y to the back, z to the head; z = 0 is the level of the lateral ventricles' bodies. CT
numbers: scalp −20, cortical bone 1200, diploë 550, CSF 8, white matter 29, grey matter 38 HU, varied from subject to
subject (ranges of clinical textbooks).
"""

from __future__ import annotations

import numpy as np

from tasks.anatomy import Canvas, Grid, place, sheet_distance, smooth_field

LEVELS = {"skull base": -42.0, "ventricles": 2.0, "vertex": 44.0}
"""Height of the middle of the slab, before ±5 mm of variation."""

HU = {
    "air": -1000.0, "scalp": -25.0, "cortex": 1200.0, "diploe": 550.0, "csf": 8.0, "grey matter": 38.0,
    "white matter": 29.0, "falx": 55.0, "calcification": 300.0, "fat": -85.0, "muscle": 50.0, "vitreous": 10.0,
    "gas": -980.0, "petrous": 1000.0, "holder": -100.0,
}  # fmt: skip
"""CT number of each material."""


def paint(rng: np.random.Generator, grid: Grid, level: str) -> Canvas:
    """A canvas with the layer "hu" of a head whose slab lies at that level."""
    height = LEVELS[level] + rng.uniform(-5, 5)
    warp = [1.5 * smooth_field(rng, grid, 40.0) for _ in range(2)]
    space = place(
        grid, shift=(rng.uniform(-4, 4), rng.uniform(-4, 4), -height), warp=(warp[0], warp[1], np.zeros_like(warp[0]))
    )
    palette = {
        name: value + (0 if value < -900 else rng.normal(0, 0.03 * abs(value) + 0.5)) for name, value in HU.items()
    }
    canvas = Canvas(space, grid.spacing[1], tuple(HU), {"hu": palette})
    a, b, c = rng.normal(75, 2), rng.normal(93, 2.5), rng.normal(86, 2)
    scalp, skull, atrophy = rng.uniform(4, 6.5), rng.uniform(6, 8.5), rng.random()

    holder = np.abs(np.hypot(space.x, space.y) - 112) - 2
    canvas.fill(np.maximum(holder, 20 - space.y).astype(np.float32), "holder")
    outer = space.ellipsoid((0, 0, -8), (a, b, c))
    canvas.fill(outer, "scalp")
    bone = outer + np.float32(scalp)
    canvas.fill(bone, "cortex")
    canvas.fill(bone + np.float32(0.3 * skull), "diploe")
    canvas.fill(bone + np.float32(0.7 * skull), "cortex")
    _brain(canvas, grid, bone + np.float32(skull), rng, atrophy)
    if level == "skull base":
        _base(canvas, grid, bone, rng)
    return canvas


def _brain(canvas: Canvas, grid: Grid, inner: np.ndarray, rng: np.random.Generator, atrophy: float) -> None:
    """Cerebrospinal fluid, grey and white matter, sulci, ventricles, falx; more room for fluid with atrophy."""
    space = canvas.space
    canvas.fill(inner, "csf")
    surface = inner + np.float32(1.5 + 2 * atrophy)
    canvas.fill(surface, "grey matter")
    border = surface + (6 + 2.5 * smooth_field(rng, grid, 12.0)).astype(np.float32)
    canvas.fill(border, "white matter")
    folds = sheet_distance(smooth_field(rng, grid, 17.0), grid)
    outside = canvas.coverage(-(surface + 14))
    for thickness, material in ((6.0, "grey matter"), (1.0 + 1.5 * atrophy, "csf")):
        canvas.paint(canvas.sheet(folds, thickness) * outside * canvas.coverage(surface), material)
    wide = 1 + 0.7 * atrophy
    for sign in (-1, 1):
        canvas.fill(space.ellipsoid((sign * 27, 2, -8), (10, 24, 15), turn=sign * 12), "grey matter")
        canvas.fill(space.ellipsoid((sign * 9, 14, -4), (7, 12, 9)), "grey matter")
        canvas.fill(space.ellipsoid((sign * 10 * wide, -6, 6), (5.5 * wide, 30, 9), turn=sign * 14), "csf")
        canvas.fill(space.ellipsoid((sign * 22, 38, 0), (6 * wide, 13, 11), turn=-sign * 20), "csf")
        if rng.random() < 0.7:
            canvas.fill(space.ellipsoid((sign * 22, 38, 0), (2.2, 3.5, 3.5)), "calcification")
    canvas.fill(space.ellipsoid((0, 10, -12), (1.8 * wide, 12, 10)), "csf")
    if rng.random() < 0.7:
        canvas.fill(space.ellipsoid((0, 26, -6), (2.5, 3, 3)), "calcification")
    falx = canvas.sheet(np.abs(space.x), 1.6) * canvas.coverage(inner)
    front_or_back = np.maximum(38 - np.abs(space.y - 4), -(space.z - 16))
    canvas.paint(falx * canvas.coverage(np.minimum(front_or_back, 24 - space.z)), "falx")


def _base(canvas: Canvas, grid: Grid, bone: np.ndarray, rng: np.random.Generator) -> None:
    """Petrous pyramids with mastoid cells, sphenoid sinus, orbits and ethmoid: dense bone beside air, hence streaks."""
    space = canvas.space
    cells = smooth_field(rng, grid, 5.0)
    face = np.maximum(bone + 4, space.y + 34)
    canvas.fill(face, "muscle")
    for sign in (-1, 1):
        petrous = space.capsule((sign * 14, 6, -42), (sign * 56, 28, -44), 7, 11)
        canvas.fill(np.maximum(petrous, bone + 2), "petrous")
        mastoid = np.maximum(space.ellipsoid((sign * 55, 32, -46), (11, 13, 14)), bone + 4)
        canvas.fill(np.maximum(mastoid, (-6 * cells).astype(np.float32)), "gas")
        canvas.fill(space.ellipsoid((sign * 40, 20, -43), (3, 2.5, 3)), "gas")
        wall = space.capsule((sign * 20, -36, -42), (sign * 56, -44, -42), 3)
        canvas.fill(np.maximum(wall, bone), "cortex")
        orbit = np.maximum(space.ellipsoid((sign * 33, -60, -40), (19, 26, 18)), bone + 2)
        canvas.fill(orbit - 2, "cortex")
        canvas.fill(orbit, "fat")
        canvas.fill(space.ellipsoid((sign * 34, -68, -40), (12, 12, 12)), "muscle")
        canvas.fill(space.ellipsoid((sign * 34, -68, -40), (10.5, 10.5, 10.5)), "vitreous")
        canvas.fill(space.capsule((sign * 32, -56, -40), (sign * 16, -34, -42), 2.5), "muscle")
    middle = np.maximum(space.ellipsoid((0, -50, -44), (13, 32, 22)), bone + 6)
    canvas.fill(middle - 2, "cortex")
    canvas.fill(middle, "gas")
    walls = np.abs((space.x + 6.5 + 3 * cells) % 13 - 6.5)
    canvas.paint(canvas.sheet(walls.astype(np.float32), 1.0) * canvas.coverage(middle), "cortex")
    canvas.fill(space.capsule((0, -8, -60), (0, -12, -42), 9), "cortex")
    canvas.fill(space.ellipsoid((0, 14, -52), (15, 11, 30)), "white matter")
