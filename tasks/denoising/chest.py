"""A chest by formula: one slab at one level, painted in HU.

Millimetres, LPS: x to the left, y to the back, z to the head; z = 0 is the carina. CT numbers are those of textbooks (air
−1000, lung −860, fat −100, muscle 50, blood 45, spongy bone 200, cortical bone 700 HU), each varied from subject to subject.
"""

from __future__ import annotations

import numpy as np

from tasks.anatomy import Array, Canvas, Grid, Space, place, smooth_field, smooth_max, smooth_min

LEVELS = {"shoulders": 105.0, "hila": 0.0, "liver": -105.0}
"""Height of the middle of the slab above the carina, before ±15 mm of variation."""

COARSE = 65
"""Below this many pixels the vessels are left out: they would be lost there, and take most of the time."""

HU = {
    "air": -1000.0, "fat": -100.0, "muscle": 52.0, "lung": -860.0, "vessel": 40.0, "heart": 45.0, "blood": 48.0,
    "liver": 60.0, "spleen": 52.0, "disc": 80.0, "marrow": 190.0, "cortex": 700.0, "canal": 18.0, "gas": -980.0,
    "couch": -250.0,
}  # fmt: skip
"""CT number of each material."""


def _radial(space: Space, a: float | Array, b: float | Array, power: float, y: float = 0.0) -> Array:
    """Distance, along the ray from the axis, to a superelliptic cylinder of half-axes a (x) and b (y)."""
    u, v = space.x, space.y - np.float32(y)
    r = (np.abs(u / a) ** power + np.abs(v / b) ** power) ** np.float32(1 / power)
    return np.where(r > 1e-3, np.hypot(u, v) * (1 - 1 / np.maximum(r, 1e-3)), -np.minimum(a, b)).astype(np.float32)


def paint(rng: np.random.Generator, grid: Grid, level: str) -> Canvas:
    """A canvas with the layer "hu" of a chest whose slab lies at that level."""
    height = LEVELS[level] + rng.uniform(-15, 15)
    warp = [3.0 * smooth_field(rng, grid, 60.0, reach=420.0) for _ in range(2)]
    space = place(
        grid, shift=(rng.uniform(-6, 6), rng.uniform(-6, 6), -height), warp=(warp[0], warp[1], np.zeros_like(warp[0]))
    )
    palette = {
        name: value + (0 if value < -900 else rng.normal(0, 0.04 * abs(value) + 1)) for name, value in HU.items()
    }
    if rng.random() < 0.5:  # a contrast-enhanced scan
        palette["blood"], palette["vessel"] = rng.uniform(130, 300), rng.uniform(100, 200)
        palette["heart"] += 50
        palette["liver"] += 30
    canvas = Canvas(space, grid.spacing[1], tuple(HU), {"hu": palette})
    z = space.z

    # Trunk: skin, fat, muscle. Towards the shoulders it widens and flattens.
    rise = np.clip((z - 60) / 50, 0, 1).astype(np.float32)
    fat = rng.uniform(9, 24)
    a, b = rng.uniform(138, 148) + fat, rng.uniform(91, 99) + fat
    trunk = _radial(space, np.float32(a) + 20 * rise, np.float32(b) - 12 * rise, 2.4)
    _couch(canvas, b)
    canvas.fill(trunk, "fat")
    canvas.fill(trunk + np.float32(fat), "muscle")

    # Cage: narrows to the top. Lungs are what it holds less the mediastinum, above the diaphragm.
    narrow = (1 - 0.5 * np.clip((z - 20) / 120, 0, 1) ** 1.5).astype(np.float32)
    cage = _radial(space, np.float32(a - fat - 14) * narrow, np.float32(b - fat - 12) * narrow, 2.2, y=-4.0)
    middle = 20 + 16 * np.exp(-(((space.y - 36) / 26) ** 2)) + 8 * np.exp(-((z / 40) ** 2))
    lungs = smooth_max(cage + 7, (middle - np.abs(space.x)).astype(np.float32), 14.0)
    side = np.where(space.x < 0, np.float32(0), np.float32(-14))  # the liver lifts the right dome
    dome = -62 + side - 55 * ((np.abs(space.x) - 75) / 85) ** 2 - 45 * ((space.y + 5) / 80) ** 2
    lungs = smooth_max(lungs, ((dome - z) * 0.6).astype(np.float32), 6.0)
    belly = np.maximum(cage + 10, ((z - dome) * 0.6).astype(np.float32))
    canvas.fill(np.maximum(belly, space.x - 30), "liver")
    canvas.fill(np.maximum(belly, 45 - space.x + 0.4 * np.maximum(-space.y, 0)), "spleen")
    canvas.fill(np.maximum(smooth_max(belly + 6, 12 - space.x, 8.0), space.y + 8), "fat")
    if rng.random() < 0.7:  # a gas bubble in the stomach
        canvas.fill(np.maximum(belly + 12, space.ellipsoid((70, -45, -110), (30, 20, 34))), "gas")
    canvas.fill(lungs, "lung")
    gravity = (30 * space.y / 100).astype(np.float32)
    canvas.layers["hu"] += np.where(canvas.labels == canvas.materials.index("lung"), gravity, 0)
    if grid.shape[1] >= COARSE:
        _vessels(canvas, rng.spawn(1)[0], lungs)
    _mediastinum(canvas, rng)
    _spine(canvas, rng.uniform(0, 32), (np.float32(b - fat - 99) - 12 * rise).astype(np.float32))
    _ribs(canvas, cage, rng.uniform(0, 28))
    if level == "shoulders":
        _shoulders(canvas, trunk, rng)
    return canvas


def _couch(canvas: Canvas, b: float) -> None:
    """A curved table top under the back."""
    space = canvas.space
    bow = space.y - np.float32(b + 14) + (space.x / 90) ** 2 * 8
    canvas.fill(np.maximum(np.abs(bow) - 3, np.abs(space.x) - 170).astype(np.float32), "couch")


def _vessels(canvas: Canvas, rng: np.random.Generator, lungs: Array) -> None:
    """Trees from both hila that split in two, five times; radii follow Murray's law (child = parent × 2^(−1/3))."""
    share = canvas.coverage(lungs + 1)
    for sign in (-1, 1):
        for trunk in rng.standard_normal((16, 3)):
            heading = np.array([sign * 1.0, 0.0, 0.0]) + 0.9 * trunk
            branches = [((sign * 34.0, 0.0, -8.0), heading / np.linalg.norm(heading), 5.5)]
            for generation in range(5):
                grown = []
                for start, direction, radius in branches:
                    length = (30 - 3 * generation) * rng.uniform(0.7, 1.2)
                    end = tuple(np.add(start, length * direction).tolist())
                    near = canvas.near(tuple(np.add(start, end) / 2), length / 2 + radius)
                    if near.x.size:
                        tube = near.capsule(start, end, radius, radius * 0.85)
                        canvas.paint(canvas.coverage(tube) * near.crop(share), "vessel", near)
                    turns = rng.standard_normal((2, 3)) * 0.55
                    for turn in turns if generation < 3 else turns[:1]:
                        onward = direction + turn
                        grown.append((end, onward / np.linalg.norm(onward), radius * 2 ** (-1 / 3)))
                branches = grown


def _mediastinum(canvas: Canvas, rng: np.random.Generator) -> None:
    """Heart with its chambers, aorta with arch, vena cava, oesophagus, trachea and main bronchi."""
    space, wide = canvas.space, rng.uniform(0.9, 1.1)
    canvas.fill(space.ellipsoid((18, -22, -62), (64 * wide, 50 * wide, 52), turn=-20), "fat")
    canvas.fill(space.ellipsoid((20, -20, -62), (58 * wide, 44 * wide, 47), turn=-20), "heart")
    for centre, radii in (((38, -22, -66), (24, 18, 30)), ((-6, -30, -60), (24, 16, 28)), ((8, 4, -48), (26, 13, 20))):
        canvas.fill(space.ellipsoid(centre, radii, turn=-20), "blood")
    canvas.fill(space.capsule((4, -24, -40), (-12, -22, 28), 15 * wide), "blood")
    canvas.fill(space.capsule((-12, -22, 34), (22, 22, 38), 13 * wide, 12), "blood")
    canvas.fill(space.capsule((26, 20, 34), (26, 24, -160), 12 * wide, 10), "blood")
    canvas.fill(space.capsule((-26, -12, -30), (-22, -10, 70), 9), "blood")
    canvas.fill(space.capsule((10, -24, -10), (-30, -4, -12), 10), "blood")
    canvas.fill(space.capsule((10, -24, -10), (34, 2, -10), 10), "blood")
    for sign in (-1, 1):
        canvas.fill(space.capsule((sign * 12, -4, 40), (sign * 24, -6, 120), 5), "blood")
        canvas.fill(space.capsule((0, 0, 2), (sign * 36, 2, -22), 7, 5), "gas")
    canvas.fill(space.capsule((0, 0, 2), (0, -2, 150), 8.5), "gas")
    canvas.fill(space.capsule((6, 6, -150), (4, 14, 150), 7), "muscle")


def _spine(canvas: Canvas, phase: float, forward: Array) -> None:
    """Vertebrae every 32 mm with discs between, canal, arch and processes; their tips lie below the skin of the back."""
    space = Space(canvas.space.x, canvas.space.y - forward, canvas.space.z)
    along = np.abs((space.z + phase) % 32 - 16)
    body = _radial(space, 19.0, 16.0, 2.3, y=38.0)
    canvas.fill(body, "disc")
    vertebra = np.maximum(body, along - 12)
    canvas.fill(vertebra, "cortex")
    canvas.fill(vertebra + 2.2, "marrow")
    x, y = space.x, space.y
    ring = np.hypot(x, y - 63)
    for shape in (
        np.maximum(np.abs(ring - 12) - 3, along - 13),
        np.maximum(np.hypot(np.maximum(np.abs(x) - 30, 0) + np.maximum(14 - np.abs(x), 0), y - 66) - 5, along - 8),
        np.maximum(np.hypot(x, np.maximum(np.abs(y - 80) - 8, 0)) - 4, along - 11),
    ):
        canvas.fill(shape.astype(np.float32), "cortex")
        canvas.fill((shape + 2.5).astype(np.float32), "marrow")
    canvas.fill((ring - 9).astype(np.float32), "canal")


def _ribs(canvas: Canvas, cage: Array, phase: float) -> None:
    """Oblique ribs on the cage, one every 28 mm, lower in front; sternum."""
    space = canvas.space
    along = np.abs((space.z + 0.45 * (110 - space.y) + phase) % 28 - 14)
    rib = (np.hypot((cage - 1) / 5.0, along / 7.0) - 1) * 5
    gap = np.maximum(rib, 26 - np.abs(space.x)).astype(np.float32)
    canvas.fill(gap, "cortex")
    canvas.fill(gap + 2.0, "marrow")
    sternum = smooth_max(np.abs(cage - 2) - 5, np.abs(space.x) - 17, 5.0)
    sternum = np.maximum(sternum, np.maximum(space.y + 20, -70 - space.z)).astype(np.float32)
    canvas.fill(sternum, "cortex")
    canvas.fill(sternum + 2.5, "marrow")


def _shoulders(canvas: Canvas, trunk: Array, rng: np.random.Generator) -> None:
    """Humeral heads, shoulder blades and collar bones: what starves the beam from side to side."""
    space, out = canvas.space, rng.uniform(140, 150)
    for sign in (-1, 1):
        joint = (sign * out, 4.0, 104.0)
        head = smooth_min(
            space.ellipsoid(joint, (23, 24, 26)), space.capsule(joint, (sign * (out + 12), -4, 20), 15), 8
        )
        glenoid = space.capsule((sign * (out - 32), 22, 104), (sign * (out - 26), 16, 80), 9)
        blade = space.capsule((sign * (out - 32), 24, 100), (sign * (out - 78), 74, 80), 7, 4)
        collar = space.capsule((sign * 24, -52, 96), (sign * (out - 20), -20, 122), 7)
        for shape in (head, glenoid, blade, collar):
            inside = np.maximum(shape, trunk + 5)
            canvas.fill(inside, "cortex")
            canvas.fill(inside + 3, "marrow")
