"""The bones below and before the skull's vault, with what they enclose: eyes, nose, airways, air cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.anatomy import Array, Canvas, Space, smooth_min
from tasks.head.outline import Envelope
from tasks.head.patient import Head


def _bone(
    canvas: Canvas, envelope: Envelope, space: Space, distance: Array, shell: float, core: str = "marrow"
) -> None:
    """A bone with a cortex of `shell` mm; it keeps below the skin."""
    distance = np.maximum(distance, space.crop(envelope.skin) + np.float32(2.4))
    canvas.fill(distance, "cortical_bone", space)
    if shell > 0:
        canvas.fill(distance + shell, core, space)


def skull_base(canvas: Canvas, envelope: Envelope) -> None:
    """Sphenoid body, clivus, petrous pyramids, mastoids, condyles: what fills the angles below the braincase."""
    space = canvas.near((0, -20, -47), 20)
    _bone(canvas, envelope, space, space.ellipsoid((0, -22, -47), (16, 17, 12)), 1.6)
    space = canvas.near((0, 4, -58), 24)
    _bone(canvas, envelope, space, space.capsule((0, -8, -48), (0, 12, -70), 7), 1.8)
    for s in (-1, 1):
        space = canvas.near((s * 33, 9, -50), (30, 26, 18))
        canvas.fill(space.capsule((s * 50, 20, -52), (s * 16, -2, -48), 9, 6), "petrous_bone", space)
        canvas.fill(space.capsule((s * 36, 11, -46), (s * 28, 6, -46), 1.8), "csf", space)  # cochlea and canals
        space = canvas.near((s * 55, 24, -60), 22)
        mastoid = space.ellipsoid((s * 52, 24, -58), (12, 14, 18), turn=s * 10)
        _bone(canvas, envelope, space, np.maximum(mastoid, space.crop(envelope.skin) + 6), 1.8)
        space = canvas.near((s * 17, 16, -74), 14)
        _bone(canvas, envelope, space, space.ellipsoid((s * 17, 16, -74), (7, 11, 8), turn=s * 25), 1.6)
        space = canvas.near((s * 16, -20, -68), 24)
        canvas.fill(
            space.capsule((s * 13, -20, -56), (s * 16, -22, -88), 1.8), "cortical_bone", space
        )  # pterygoid plates


def face(canvas: Canvas, envelope: Envelope, head: Head, fields: Mapping[str, Array]) -> None:
    """Orbits with eyes, nose, cheek bones, upper jaw with teeth, rami of the lower jaw."""
    for s, size, fluid in zip((-1, 1), head.maxillary_sinus, head.maxillary_fluid, strict=True):
        # Cheek bone, its arch, the jaw's ramus and the upper jaw are laid first; the cavities are cut into them.
        space = canvas.near((s * 44, -66, -62), 16)
        _bone(canvas, envelope, space, space.ellipsoid((s * 45, -63, -62), (11, 9, 10), turn=-s * 30), 1.8)
        space = canvas.near((s * 58, -38, -58), 34)
        _bone(canvas, envelope, space, space.capsule((s * 50, -60, -60), (s * 63, -34, -58), 3.6, 3.0), 1.5)
        _bone(canvas, envelope, space, space.capsule((s * 63, -34, -58), (s * 58, -4, -56), 3.0, 3.4), 1.5)
        space = canvas.near((s * 49, -14, -86), 36)
        _bone(canvas, envelope, space, space.ellipsoid((s * 49, -12, -86), (5.2, 14, 26), tilt=8), 2.0)
        space = canvas.near((s * 30, -60, -66), 26)
        _bone(
            canvas,
            envelope,
            space,
            space.ellipsoid((s * 27, -58, -70), (15.5 * size, 18 * size, 18 * size)),
            1.8,
            "mucosa",
        )
        canvas.fill(space.ellipsoid((s * 27, -58, -70), (12.6 * size, 15.1 * size, 15.1 * size)), "air", space)
        if fluid:
            level = np.maximum(
                space.ellipsoid((s * 27, -58, -70), (12.6 * size, 15.1 * size, 15.1 * size)),
                -58 + 15 * (1 - 2 * fluid) - space.y,
            )
            canvas.fill(level, "vitreous", space)
        _orbit(canvas, envelope, s)
    # Upper jaw: arch of bone with teeth, palate, nasal cavity with septum and turbinates, nasal bones.
    space = canvas.near((0, -58, -92), (34, 36, 18))
    arch = np.sqrt((space.x / 26) ** 2 + ((space.y + 46) / 34) ** 2)
    jaw = np.maximum(np.maximum(np.abs(arch - 1) * 28 - 5.5, np.abs(space.z + 90) - 8), space.y + 40)
    _bone(canvas, envelope, space, jaw, 1.6)
    angle = np.arctan2(space.x / 26, -(space.y + 46) / 34)
    teeth = np.maximum(np.maximum(np.abs(arch - 1) * 28 - 3.6, np.abs(space.z + 98) - 7), space.y + 44)
    teeth = np.maximum(teeth, space.crop(envelope.skin) + 3)
    canvas.paint(canvas.coverage(teeth) * (0.55 + 0.45 * np.cos(angle * 14)), "tooth", space)
    palate = np.maximum(np.maximum(arch * 28 - 28, np.abs(space.z + 84) - 1.8), space.y + 22)
    canvas.fill(palate, "cortical_bone", space)

    space = canvas.near((0, -54, -62), (18, 40, 24))
    canvas.fill(space.ellipsoid((0, -54, -64), (15, 37, 19)), "mucosa", space)
    passage = space.ellipsoid((0, -54, -64), (13, 36, 17.5))
    canvas.fill(passage, "air", space)
    for height in (-76.0, -66.0, -56.0):  # turbinates
        for s in (-1, 1):
            turbinate = space.capsule((s * 8.5, -72, height), (s * 8.5, -36, height), 3.6)
            canvas.paint(canvas.coverage(turbinate) * canvas.coverage(passage), "mucosa", space)
            canvas.paint(canvas.coverage(turbinate + 2.6) * canvas.coverage(passage), "cortical_bone", space)
    wavy = np.abs(space.x + np.float32(1.2) * fields["skull"][space.box])
    canvas.paint(canvas.sheet(wavy, 3.2) * canvas.coverage(passage), "mucosa", space)
    canvas.paint(canvas.sheet(wavy, 1.0) * canvas.coverage(passage) * (space.y > -74), "cortical_bone", space)
    space = canvas.near((0, -82, -46), 14)
    _bone(canvas, envelope, space, space.capsule((0, -79, -38), (0, -86, -54), 3.0), 0.0)
    for s in (-1, 1):  # nostrils
        space = canvas.near((s * 6, -82, -74), 12)
        canvas.fill(space.capsule((s * 6, -84, -78), (s * 5, -78, -66), 3.4), "air", space)


def _orbit(canvas: Canvas, envelope: Envelope, s: int) -> None:
    """One eye socket: bony cone, fat, globe with lens, optic nerve, the four straight muscles. `s` is the side, ±1."""
    space = canvas.near((s * 28, -56, -46), (24, 42, 24))
    cone = smooth_min(
        space.ellipsoid((s * 31, -66, -46), (18.5, 17, 17)),
        space.capsule((s * 29, -58, -46), (s * 13, -28, -45), 13, 5),
        6.0,
    )
    opening = -75 - space.y
    _bone(canvas, envelope, space, np.maximum(cone - 2.2, opening + 1.5), 0.0)
    canvas.fill(np.maximum(cone, opening), "fat", space)
    globe = space.ellipsoid((s * 31, -70.5, -46), (12, 12, 12))
    apex = (s * 15, -32, -45)
    for dx, dz in ((0, 10.5), (0, -10.5), (10.5, 0), (-10.5, 0)):
        canvas.fill(space.capsule((s * 31 + dx, -64, -46 + dz), apex, 2.2, 1.4), "muscle", space)
    canvas.fill(space.capsule((s * 30, -59, -46), apex, 2.2), "white_matter", space)
    canvas.fill(globe, "muscle", space)
    canvas.fill(globe + 1.0, "vitreous", space)
    canvas.fill(space.ellipsoid((s * 31, -79, -46), (4.6, 2.2, 4.6)), "lens", space)


def neck(canvas: Canvas, envelope: Envelope) -> None:
    """Pharynx, tongue base, first two vertebrae; the spinal canal is laid with the brain."""
    space = canvas.near((0, 6, -96), (40, 40, 26))
    spine = np.sqrt((space.x / 1.25) ** 2 + (space.y - 24) ** 2)
    ring = np.maximum(np.abs(spine - 14.5) - 3.6, np.abs(space.z + 86) - 5.5)
    _bone(canvas, envelope, space, ring, 1.4)
    for s in (-1, 1):
        _bone(canvas, envelope, space, space.ellipsoid((s * 21, 18, -87), (11, 9, 7)), 1.4)
    _bone(canvas, envelope, space, space.capsule((0, 8, -80), (0, 7, -104), 5.4, 8.0), 1.4)
    space = canvas.near((0, -8, -84), (14, 14, 40))
    canvas.fill(space.capsule((0, -10, -68), (0, -6, -130), 8.5, 7.0), "mucosa", space)
    canvas.fill(space.capsule((0, -11, -68), (0, -7, -130), 6.2, 5.0), "air", space)


def air_cells(canvas: Canvas, envelope: Envelope, head: Head, fields: Mapping[str, Array]) -> None:
    """Air inside bone: frontal, ethmoid and sphenoid sinuses, mastoid cells, ear canals. MR shows it as dark as the bone."""
    cells = fields["cells"]
    for s, size in zip((-1, 1), head.frontal_sinus, strict=True):
        if size:
            # Within the frontal bone, whatever its shape: an ellipse seen from the front, between the two tables.
            space = canvas.near((s * 11, -80, -20), (14 * size + 4, 16, 16 * size + 4))
            outline = np.hypot((space.x - s * 11 * size) / (10.5 * size), (space.z + 24 - 5 * size) / (14.0 * size))
            thickness = space.crop(envelope.thickness)
            middle = np.abs(space.crop(envelope.cavity) - 0.5 * thickness)
            sinus = np.maximum((outline - 1) * 9 * size, middle - (0.5 * thickness - 1.7)).astype(np.float32)
            sinus = np.maximum(sinus, space.y + 60)
            canvas.fill(sinus - 1.0, "cortical_bone", space)
            canvas.fill(sinus, "mucosa", space)
            canvas.fill(sinus + 0.5, "air", space)
        space = canvas.near((s * 7, -58, -44), (10, 24, 14))
        ethmoid = space.ellipsoid((s * 6.5, -58, -44), (6.5, 20, 11))
        canvas.fill(ethmoid, "mucosa", space)
        canvas.fill(ethmoid + 0.8, "air", space)
        walls = canvas.sheet(np.abs(space.crop(cells)) * 3.0, 1.1) * canvas.coverage(ethmoid)
        canvas.paint(0.8 * walls, "cortical_bone", space)
        centre = (s * 53, 25, -58)
        space = canvas.near(centre, 20)
        mastoid = space.ellipsoid(centre, (9.5, 11.5, 15), turn=s * 10)
        mastoid = np.maximum(mastoid, space.crop(envelope.skin) + 8)
        share = np.clip(0.5 + (space.crop(cells) + 2.2 * (head.mastoid_air - 0.5)) * 1.6, 0, 1) * canvas.coverage(
            mastoid
        )
        canvas.paint((0.9 * share).astype(np.float32), "air", space)
        space = canvas.near((s * 60, 15, -50), (22, 10, 10))
        canvas.fill(space.capsule((s * 76, 17, -50), (s * 48, 13, -50), 3.6, 2.8), "air", space)
        canvas.fill(space.ellipsoid((s * 45, 12, -49), (3.6, 5.5, 6.5)), "air", space)
    size = head.sphenoid_sinus
    space = canvas.near((0, -24, -48), (18, 18, 14))
    sphenoid = np.minimum(
        space.ellipsoid((-6.8, -24, -48), (7.0 * size, 11.5 * size, 8.0 * size)),
        space.ellipsoid((6.8, -24, -48), (6.4 * size, 11.5 * size, 8.4 * size)),
    )
    canvas.fill(sphenoid, "air", space)
