"""The brain: folded cortex, nuclei, ventricles, cerebellum, brain stem, and the sheets of dura between its parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.anatomy import Array, Canvas, Grid, sheet_distance, smooth_max, smooth_min
from tasks.head.outline import Envelope
from tasks.head.patient import Head


def brain(
    canvas: Canvas,
    envelope: Envelope,
    head: Head,
    fields: Mapping[str, Array],
    grid: Grid,
    *,
    slope: float = 0.22,
    insula: float = 0.0,
) -> None:
    """Paint the brain. The lateral fissures rise backwards with `slope`; `insula` is half the height in mm of the cleft at their
    inner end, over the insula (0: none)."""
    space, cavity = canvas.space, envelope.cavity
    x, y, z = space.x, space.y, space.z
    side = np.abs(x)
    canal = space.capsule((0, 22, -58), (0, 24, -190), 10.5)
    canvas.fill(np.minimum(cavity, canal - 1.2), "dura")
    canvas.fill(np.minimum(cavity + 0.9, canal), "csf")

    # Cerebrum: the cavity less the fluid around it and less the compartment below the tentorium.
    fluid = 1.6 + 2.6 * head.atrophy
    tent = -13 - 0.26 * (y - 15) - 0.36 * side
    below = np.maximum(z - tent, 14 - y)
    cerebrum = smooth_max(cavity + np.float32(fluid), (1.2 - below).astype(np.float32), 3.0)
    depth = -cerebrum
    # Fluid sheets: sulci fold at random and end at a random depth; the fissure between the hemispheres ends above the corpus
    # callosum; the lateral fissures run inwards to the insula.
    width = np.float32(0.7 + 2.0 * head.atrophy)
    end = np.float32(15.0) + np.float32(4.0) * fields["depth"]
    sulci = np.hypot(sheet_distance(fields["sulci"], grid), np.maximum(depth - end, 0)) - width / 2
    radius = np.sqrt((y / 50) ** 2 + ((z - 2) / 28) ** 2)
    fissure = np.hypot(side, np.maximum(1 - radius, 0) * 32) - (width + 1.0) / 2
    lateral = np.abs(z + 6 - slope * y + np.float32(1.5) * fields["depth"]) * 0.97
    lateral = (
        np.hypot(np.hypot(lateral, np.maximum(33 - side, 0)), np.maximum(np.abs(y + 8) - 27, 0)) - (width + 1.4) / 2
    )
    if insula:
        height = np.maximum(np.abs(z + 4 - slope * y) - insula, 0)
        cleft = np.hypot(
            np.hypot(side - 36 - np.float32(1.2) * fields["depth"], height), np.maximum(np.abs(y + 8) - 22, 0)
        )
        lateral = np.minimum(lateral, cleft - (width + 1.2) / 2)
    gaps = np.minimum(np.minimum(sulci, fissure), lateral)
    ribbon = np.float32(2.9 - 0.35 * head.atrophy)
    inside = canvas.coverage(cerebrum)
    canvas.paint(inside, "grey_matter")
    canvas.paint(canvas.coverage(np.maximum(ribbon - depth, ribbon - gaps)), "white_matter")
    canvas.paint(inside * canvas.coverage(gaps), "csf")
    _deep_brain(canvas, head, fields)
    # Falx and tentorium: thin sheets of dura; the great vein's sinus runs along the top.
    falx = canvas.sheet(side + np.maximum(1.25 - radius, 0) * 60, 1.2) * canvas.coverage(cavity) * (z > -24)
    canvas.paint(falx, "dura")
    canvas.paint(canvas.sheet(np.abs(z - tent) + np.maximum(16 - y, 0) * 2, 1.2) * canvas.coverage(cavity), "dura")
    sinus = np.maximum(np.maximum(side * 1.6, 0) + np.abs(cavity + 2.0) - 5.0, np.maximum(-y - 40, tent - 4 - z))
    canvas.fill(np.maximum(sinus, cavity + 0.6), "blood")
    _hindbrain(canvas, envelope, head, fields)


def _deep_brain(canvas: Canvas, head: Head, fields: Mapping[str, Array]) -> None:
    """Nuclei, ventricles, white-matter lesions around them, and calcifications that come with age."""
    v = head.ventricles
    box = canvas.near((0, 2, 2), (46, 66, 40))
    for s in (-1, 1):
        for centre, radii, turn in (
            ((s * 11.5, 9, -1), (8, 14, 9), -s * 18),  # thalamus
            ((s * 25, -4, -2), (7, 17, 10), s * 14),  # lentiform nucleus
            ((s * (12.5 + 3.5 * v), -22, 5), (5.5, 9.5, 9), -s * 8),  # head of the caudate nucleus
        ):
            canvas.fill(box.ellipsoid(centre, radii, turn=turn), "deep_grey_matter", box)
    horns = []
    for s in (-1, 1):
        body = box.ellipsoid((s * (6.0 + 3.4 * v), -4, 10), (4.6 * v, 27 * v**0.5, 6.4 * v), turn=s * 4, tilt=-6)
        back = box.capsule((s * 17, 22, 6), (s * 22, 48 + 4 * v, 1), 5.4 * v, 2.8 * v)
        lower = box.capsule((s * 20, 24, 2), (s * 31, -10, -25), 4.2 * v, 2.2 * v)
        horns.append(smooth_min(smooth_min(body, back, 5.0), lower, 4.0))
    lateral = np.minimum(horns[0], horns[1])
    if head.white_lesions > 0.02:
        rim = np.clip(1 - lateral / (4 + 10 * head.white_lesions), 0, 1) * (lateral > 0)
        spots = np.clip((box.crop(fields["lesion"]) - (2.2 - 1.6 * head.white_lesions * (0.4 + rim))) * 2, 0, 1)
        white = box.crop(canvas.labels) == canvas.materials.index("white_matter")
        canvas.paint((np.maximum(spots, rim * 0.35) * rim**0.5 * white).astype(np.float32), "lesion", box)
    canvas.fill(lateral, "csf", box)
    septum = canvas.sheet(np.abs(box.x), 1.4) * canvas.coverage(box.ellipsoid((0, -6, 8), (8, 24, 8)))
    canvas.paint(septum, "white_matter", box)
    canvas.fill(box.ellipsoid((0, 4, -6), (1.9 * v**1.5, 13, 9)), "csf", box)
    if head.calcified:
        for centre, radius in (((0.5, 24, -4), 2.6), ((-19.5, 29, 6), 2.4), ((19.5, 29, 6), 2.2)):
            near = canvas.near(centre, radius)
            canvas.fill(near.ellipsoid(centre, (radius,) * 3), "calcification", near)


def _hindbrain(canvas: Canvas, envelope: Envelope, head: Head, fields: Mapping[str, Array]) -> None:
    """Cerebellum with its leaves, brain stem, spinal cord, fourth ventricle."""
    space = canvas.near((0, 40, -45), (56, 44, 36))
    roof = np.maximum(
        space.crop(envelope.cavity) + 2.5, 2.0 + space.z + 13 + 0.26 * (space.y - 15) + 0.36 * np.abs(space.x)
    )
    lobes = smooth_min(
        smooth_min(space.ellipsoid((-25, 42, -44), (34, 34, 27)), space.ellipsoid((25, 42, -44), (34, 34, 27)), 5.0),
        space.ellipsoid((0, 42, -38), (16, 28, 26)),
        6.0,
    )
    lobes = np.maximum(lobes, roof.astype(np.float32))
    canvas.fill(lobes, "grey_matter", space)
    leaves = np.abs(np.sin((space.z + 0.25 * space.y + 2.0 * space.crop(fields["depth"])) * np.float32(np.pi / 7.0)))
    canvas.paint(0.75 * canvas.coverage(lobes + 5.5 + 7.0 * leaves), "white_matter", space)
    canvas.paint(
        canvas.coverage(lobes) * canvas.sheet(leaves * 2.2, 0.5 + 0.7 * head.atrophy) * (lobes > -9), "csf", space
    )
    space = canvas.near((0, 18, -70), (26, 36, 62))
    stem = smooth_min(
        space.capsule((0, 8, -18), (0, 13, -50), 10, 10), space.capsule((0, 13, -50), (0, 22, -72), 9, 6.5), 4.0
    )
    stem = smooth_min(stem, space.ellipsoid((0, 4, -39), (16, 12, 13)), 4.0)
    for s in (-1, 1):  # peduncles
        stem = smooth_min(stem, space.capsule((s * 7, 2, -32), (s * 13, -1, -16), 7.5), 3.0)
    stem = np.minimum(stem, space.capsule((0, 22, -72), (0, 24, -190), 6.2, 5.6))
    cistern = np.maximum(np.maximum(stem - 3.5, space.crop(envelope.cavity)), space.z + 19)
    canvas.fill(cistern, "csf", space)
    canvas.fill(stem, "white_matter", space)
    canvas.fill(space.ellipsoid((0, 24, -42), (6 * head.ventricles, 4.5, 9)), "csf", space)
