"""A human head by formula, from the crown to the upper jaw: what a head CT or MR shows, in any number of contrasts.

Sizes in mm are those of an adult; sources: intracranial and brain volumes by sex, Caspi et al., PMC10511609; tissue layers and
sinuses, textbook values. It is a phantom: the shapes are plausible, no patient's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.anatomy import Array, Canvas, Grid, Space, generator, place, rotation, sheet_distance, smooth_field
from tasks.anatomy import smooth_max, smooth_min

EXTENT = 192.0
"""Side in mm of the cube that holds the head: 64 voxels of 3 mm."""

MATERIALS = (
    "air", "skin", "fat", "muscle", "gland", "mucosa", "cortical_bone", "marrow", "petrous_bone", "tooth", "csf", "grey_matter",
    "white_matter", "deep_grey_matter", "lesion", "dura", "blood", "vitreous", "lens", "calcification",
)  # fmt: skip
"""What a head is made of here; the position is the label."""

HU: dict[str, float] = {
    "air": -1000, "skin": 20, "fat": -90, "muscle": 55, "gland": 15, "mucosa": 35, "cortical_bone": 1250, "marrow": 520,
    "petrous_bone": 1550, "tooth": 2100, "csf": 8, "grey_matter": 38, "white_matter": 29, "deep_grey_matter": 36, "lesion": 22,
    "dura": 60, "blood": 50, "vitreous": 8, "lens": 75, "calcification": 300,
}  # fmt: skip
"""CT numbers in Hounsfield units (soft tissue: ITK wiki and textbook ranges; marrow is the mixture in the diploë)."""


@dataclass(frozen=True)
class Head:
    """What sets one head apart. All but `key` are drawn by `draw` from the patient's sex and age."""

    key: tuple[object, ...]
    """Seeds everything that is not a number below: folds, warps, sinus septa."""
    scale: tuple[float, float, float]
    """Size relative to the mean head (x, y, z)."""
    shift: tuple[float, float, float]
    """How far off the middle of the field of view it lies, mm (x, y, z)."""
    angles: tuple[float, float, float]
    """Pitch, yaw, roll in degrees."""
    atrophy: float
    """0 (young) to about 1.3 (old): widens sulci, ventricles and the space around the brain."""
    ventricles: float
    """Linear size of the ventricles relative to the mean young adult's."""
    white_lesions: float
    """0 to 1: extent of white-matter lesions around the ventricles."""
    skull: float
    """Thickness of the skull relative to the mean."""
    bone: float
    """Density of cortical bone relative to the mean; falls with age."""
    scalp: float
    """Thickness of the subcutaneous fat relative to the mean."""
    frontal_sinus: tuple[float, float]
    """Size of the right and left frontal sinus; 0 where it did not form."""
    sphenoid_sinus: float
    """Size of the sphenoid sinus."""
    mastoid_air: float
    """0 to 1: share of air in the mastoid cells."""
    maxillary_sinus: tuple[float, float]
    """Size of the right and left maxillary sinus."""
    maxillary_fluid: tuple[float, float]
    """0 to 1: how full of mucus each maxillary sinus is."""
    calcified: bool
    """Whether pineal gland and choroid plexus are calcified."""


def draw(key: tuple[object, ...], *, sex: str, age: float) -> Head:
    """A head for a patient: `sex` is "female" or "male", `age` in years.

    Men's heads are 1.034 times as large in each direction (intracranial volume +10.4 %) and their ventricles a little more
    (volume +33 % in all); atrophy and white-matter lesions come with age, skull density goes (about 0.3 % a year from 30).
    """
    rng = generator(*key, "head")

    def spread(mean: float, sd: float, limit: float = 2.0) -> float:
        return float(mean + sd * np.clip(rng.standard_normal(), -limit, limit))

    male = sex == "male"
    size = (1.034 if male else 1.0) * 0.962
    common = spread(1.0, 0.013)
    scale = tuple(size * common * spread(mean, sd) for mean, sd in ((1.008, 0.018), (0.984, 0.009), (1.008, 0.016)))
    past = max(0.0, age - 30) / 50
    atrophy = max(0.0, spread(0.15 + 0.85 * past**1.4, 0.12))
    return Head(
        key=key,
        scale=(scale[0], scale[1], scale[2]),
        shift=(spread(0, 1.5), spread(0, 0.6), spread(0, 1.0)),
        angles=(spread(0, 3.5), spread(0, 3.5), spread(0, 2.5)),
        atrophy=atrophy,
        ventricles=max(0.75, spread(1.0 + 0.42 * atrophy, 0.08)) * (1.065 if male else 1.0),
        white_lesions=float(np.clip(spread(1.1 * (past - 0.35), 0.25), 0, 1)),
        skull=max(0.7, spread(1.0, 0.11)),
        bone=spread(1.0 - 0.003 * (age - 50), 0.05),
        scalp=max(0.6, spread(1.0, 0.2)),
        frontal_sinus=(0.0 if rng.random() < 0.08 else spread(0.95, 0.22), 0.0 if rng.random() < 0.08 else spread(0.95, 0.22)),
        sphenoid_sinus=spread(1.0, 0.15),
        mastoid_air=float(np.clip(spread(0.55, 0.2), 0.1, 0.9)),
        maxillary_sinus=(spread(1.0, 0.09), spread(1.0, 0.09)),
        maxillary_fluid=tuple(float(rng.uniform(0.2, 0.8)) if rng.random() < 0.15 else 0.0 for _ in range(2)),  # type: ignore[arg-type]
        calcified=bool(rng.random() < np.clip((age - 15) / 60, 0.05, 0.85)),
    )


@dataclass(frozen=True, eq=False)
class Envelope:
    """Distances (mm) that everything else hangs on, on the whole grid."""

    cavity: Array
    """To the inner table of the skull: negative inside the cranial cavity."""
    thickness: Array
    """Of the skull."""
    skin: Array
    """To the surface of the head."""


def paint(head: Head, grid: Grid, palettes: Mapping[str, Mapping[str, float]]) -> tuple[Canvas, Array]:
    """Paint the head. `palettes` gives, by layer, the value of each of `MATERIALS`.

    Returns the canvas (layers without any point spread or noise) and the distance in mm to the head's surface, negative inside.
    """
    fields = {name: smooth_field(generator(*head.key, "field", name), grid, knots) for name, knots in _FIELDS.items()}
    turn = rotation(*head.angles)
    # As a technician would: the head in the middle between nose and occiput and between the ears, the crown near the top.
    marks = np.array(_LANDMARKS) * head.scale @ turn.T
    low, high = marks.min(0), marks.max(0)
    centre = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, EXTENT / 2 - 10 - high[2]]) + head.shift
    space = place(
        grid,
        turn=turn,
        scale=head.scale,
        shift=(float(centre[0]), float(centre[1]), float(centre[2])),
        warp=tuple(np.float32(1.6) * fields[f"warp_{a}"] for a in "xyz"),  # type: ignore[arg-type]
    )
    canvas = Canvas(space, grid.voxel, MATERIALS, palettes)
    envelope = _envelope(head, space, fields)
    _soft_parts(canvas, envelope, fields, head)
    _skull(canvas, envelope)
    _skull_base(canvas, envelope)
    _face(canvas, head, fields)
    _neck(canvas, envelope)
    _brain(canvas, envelope, head, fields, grid)
    _air_cells(canvas, envelope, head, fields)
    return canvas, envelope.skin


_FIELDS = {
    "warp_x": 42.0, "warp_y": 42.0, "warp_z": 42.0, "skull": 26.0, "scalp": 24.0, "muscle": 13.0, "sulci": 5.8, "depth": 20.0,
    "lesion": 9.0, "cells": 5.0,
}  # fmt: skip
"""Smooth random fields and the distance in mm between their knots."""


_LANDMARKS = ((0, -88, -67), (0, -86, -10), (0, 87, 0), (0, 0, 83), (0, 20, 81), (-80, 20, -44), (80, 20, -44))
"""Tip of the nose, forehead, occiput, crown (twice), ears: points (x, y, z) that mark the extent of the mean head, in mm."""


def _sigmoid(x: Array) -> Array:
    return np.float32(1) / (1 + np.exp(-np.clip(x, -30, 30)))


def _envelope(head: Head, space: Space, fields: Mapping[str, Array]) -> Envelope:
    x, y, z = space.x, space.y, space.z
    side = np.abs(x)
    # Braincase: a superellipsoid (exponent 2.5) that is wider at the back.
    u = side / (np.float32(65.0) * (1 + np.float32(0.0009) * y))
    v, w = np.abs(y) / np.float32(73.2), np.abs(z) / np.float32(70.5)
    total = u * u * np.sqrt(u) + v * v * np.sqrt(v) + w * w * np.sqrt(w)
    k = np.maximum(total, 1e-6) ** np.float32(0.4)
    slope = np.sqrt(u**3 / np.float32(65.0**2) + v**3 / np.float32(73.2**2) + w**3 / np.float32(70.5**2)) / k**1.5
    dome = np.where(k > 0.05, (k - 1) / np.maximum(slope, 1e-5), np.float32(-63))
    # Floor: anterior fossa, a step down to the middle fossa (the sella stays higher), a step down to the posterior fossa,
    # and the petrous ridges between the two.
    middle, back = _sigmoid((y + 27) / 3.5), _sigmoid((y - 16) / 5)
    floor = -25 - 22 * middle * (1 - 0.45 * np.exp(-((x / 13) ** 2))) - 20 * back * (1 - np.clip((side - 30) / 60, 0, 0.6))
    # The roofs of the orbits bulge up, the cribriform plate between them lies lower.
    floor = floor + (7 * np.exp(-(((side - 31) / 16) ** 2)) - 5 * np.exp(-((side / 9) ** 2))) * np.exp(-(((y + 56) / 22) ** 2))
    t = np.clip(((50 - side) * 36 + (20 - y) * 23) / (36**2 + 23**2), 0, 1)
    ridge = (side - 50 + 36 * t) ** 2 + (y - 20 + 23 * t) ** 2
    floor = floor + 11 * np.exp(-ridge / 60)
    base = ((floor - z) * np.float32(0.85)).astype(np.float32)
    cavity = smooth_max(dome, base, 8.0)

    temporal = np.exp(-(((y + 22) / 30) ** 2) - ((z + 14) / 24) ** 2 - ((side - 66) / 22) ** 2).astype(np.float32)
    thickness = head.skull * (np.float32(6.7) + np.float32(0.8) * fields["skull"] - 3.2 * temporal)
    glabella = np.exp(-((side / 22) ** 2) - ((z + 22) / 15) ** 2) * (y < 0)
    thickness = thickness + 1.5 * _sigmoid((y - 60) / 6) + np.float32(5.0 * max(head.frontal_sinus)) * glabella
    # The floor of the anterior and middle fossa is thin.
    thin = _sigmoid((base - dome) / 3) * _sigmoid((18 - y) / 5)
    thickness = np.maximum(thickness + thin * (2.8 - thickness), np.float32(2.2))
    scalp = head.scalp * (np.float32(4.2) + np.float32(0.5) * fields["scalp"]) + 5.5 * temporal
    outer = cavity - (thickness + np.maximum(scalp, 2.5)).astype(np.float32)

    face = space.ellipsoid((0, -28, -74), (67, 58, 92))
    neck = space.capsule((0, 24, -40), (0, 22, -190), 55)
    surface = smooth_min(smooth_min(outer, face, 14.0), neck, 16.0)
    for s in (-1, 1):
        surface = smooth_min(surface, space.ellipsoid((s * 31, -70, -46), (14.5, 14.5, 14.5)), 8.0)
        surface = smooth_min(surface, space.ellipsoid((s * 78, 16, -44), (3.6, 13, 25), tilt=12, turn=s * 16), 5.0)
    surface = smooth_min(surface, space.ellipsoid((0, -76, -63), (12, 10.5, 20), tilt=-24), 10.0)
    return Envelope(cavity, thickness.astype(np.float32), surface)


def _soft_parts(canvas: Canvas, envelope: Envelope, fields: Mapping[str, Array], head: Head) -> None:
    """Skin, fat, muscle with fat between its bundles, and the parotid glands."""
    space, skin = canvas.space, envelope.skin
    canvas.fill(skin, "skin")
    canvas.fill(skin + 1.8, "fat")
    # Muscle begins deeper below the skin over the face than over the temple, and not at all on the crown.
    deep = np.maximum(skin + np.float32(5.2 * head.scalp) + np.float32(1.2) * fields["scalp"], space.z - 22)
    canvas.fill(deep, "muscle")
    bundles = canvas.sheet(np.abs(fields["muscle"]) * np.float32(9.0), 1.5) * canvas.coverage(deep)
    canvas.paint(np.float32(0.75) * bundles * (space.z < -30), "fat")
    for s in (-1, 1):
        for centre, radii, material in (
            ((s * 60, -2, -76), (8, 14, 20), "gland"),
            ((s * 42, -58, -84), (11, 12, 14), "fat"),
        ):
            near = canvas.near(centre, radii)
            canvas.paint(canvas.coverage(near.ellipsoid(centre, radii)) * canvas.coverage(near.crop(skin) + 3), material, near)


def _skull(canvas: Canvas, envelope: Envelope) -> None:
    """Outer table, diploë, inner table; where the skull is thin the two tables meet."""
    thickness = envelope.thickness
    inner, outer = 0.30 * np.minimum(thickness, 6) + 0.1, 0.30 * np.minimum(thickness, 6) + 0.3
    canvas.fill(envelope.cavity - thickness, "cortical_bone")
    canvas.paint(canvas.coverage(envelope.cavity - thickness + outer), "marrow")
    canvas.paint(canvas.coverage(envelope.cavity - np.minimum(inner, thickness / 2)), "cortical_bone")


def _bone(canvas: Canvas, space: Space, distance: Array, shell: float, core: str = "marrow") -> None:
    """A bone with a cortex of `shell` mm."""
    canvas.fill(distance, "cortical_bone", space)
    if shell > 0:
        canvas.fill(distance + shell, core, space)


def _skull_base(canvas: Canvas, envelope: Envelope) -> None:
    """Sphenoid body, clivus, petrous pyramids, mastoids, condyles: what fills the angles below the braincase."""
    space = canvas.near((0, -20, -47), 20)
    _bone(canvas, space, space.ellipsoid((0, -22, -47), (16, 17, 12)), 1.6)
    space = canvas.near((0, 4, -58), 24)
    _bone(canvas, space, space.capsule((0, -8, -48), (0, 12, -70), 7), 1.8)
    for s in (-1, 1):
        space = canvas.near((s * 33, 9, -50), (30, 26, 18))
        canvas.fill(space.capsule((s * 50, 20, -52), (s * 16, -2, -48), 9, 6), "petrous_bone", space)
        canvas.fill(space.capsule((s * 36, 11, -46), (s * 28, 6, -46), 1.8), "csf", space)  # cochlea and canals
        space = canvas.near((s * 55, 24, -60), 22)
        mastoid = space.ellipsoid((s * 52, 24, -58), (12, 14, 18), turn=s * 10)
        _bone(canvas, space, np.maximum(mastoid, space.crop(envelope.skin) + 6), 1.8)
        space = canvas.near((s * 17, 16, -74), 14)
        _bone(canvas, space, space.ellipsoid((s * 17, 16, -74), (7, 11, 8), turn=s * 25), 1.6)
        space = canvas.near((s * 16, -20, -68), 24)
        canvas.fill(space.capsule((s * 13, -20, -56), (s * 16, -22, -88), 1.8), "cortical_bone", space)  # pterygoid plates


def _face(canvas: Canvas, head: Head, fields: Mapping[str, Array]) -> None:
    """Orbits with eyes, nose, cheek bones, upper jaw with teeth, rami of the lower jaw."""
    for s, size, fluid in zip((-1, 1), head.maxillary_sinus, head.maxillary_fluid, strict=True):
        # Cheek bone, its arch, the jaw's ramus and the upper jaw are laid first; the cavities are cut into them.
        space = canvas.near((s * 44, -66, -62), 16)
        _bone(canvas, space, space.ellipsoid((s * 45, -63, -62), (11, 9, 10), turn=-s * 30), 1.8)
        space = canvas.near((s * 58, -38, -58), 34)
        _bone(canvas, space, space.capsule((s * 50, -60, -60), (s * 63, -34, -58), 3.6, 3.0), 1.5)
        _bone(canvas, space, space.capsule((s * 63, -34, -58), (s * 58, -4, -56), 3.0, 3.4), 1.5)
        space = canvas.near((s * 49, -14, -86), 36)
        _bone(canvas, space, space.ellipsoid((s * 49, -12, -86), (5.2, 14, 26), tilt=8), 2.0)
        space = canvas.near((s * 30, -60, -66), 26)
        _bone(canvas, space, space.ellipsoid((s * 27, -58, -70), (15.5 * size, 18 * size, 18 * size)), 1.8, "mucosa")
        canvas.fill(space.ellipsoid((s * 27, -58, -70), (12.6 * size, 15.1 * size, 15.1 * size)), "air", space)
        if fluid:
            level = np.maximum(
                space.ellipsoid((s * 27, -58, -70), (12.6 * size, 15.1 * size, 15.1 * size)), -58 + 15 * (1 - 2 * fluid) - space.y
            )
            canvas.fill(level, "vitreous", space)
        _orbit(canvas, s)
    # Upper jaw: arch of bone with teeth, palate, nasal cavity with septum and turbinates, nasal bones.
    space = canvas.near((0, -58, -92), (34, 36, 18))
    arch = np.sqrt((space.x / 26) ** 2 + ((space.y + 46) / 34) ** 2)
    jaw = np.maximum(np.maximum(np.abs(arch - 1) * 28 - 5.5, np.abs(space.z + 90) - 8), space.y + 40)
    _bone(canvas, space, jaw, 1.6)
    angle = np.arctan2(space.x / 26, -(space.y + 46) / 34)
    teeth = np.maximum(np.maximum(np.abs(arch - 1) * 28 - 3.6, np.abs(space.z + 98) - 7), space.y + 44)
    canvas.paint(canvas.coverage(teeth) * (0.55 + 0.45 * np.cos(angle * 14)), "tooth", space)
    palate = np.maximum(np.maximum(arch * 28 - 28, np.abs(space.z + 84) - 1.8), space.y + 22)
    canvas.fill(palate, "cortical_bone", space)

    space = canvas.near((0, -54, -62), (18, 40, 24))
    canvas.fill(space.ellipsoid((0, -54, -64), (15, 37, 19)), "mucosa", space)
    passage = space.ellipsoid((0, -54, -64), (13, 36, 17.5))
    canvas.fill(passage, "air", space)
    for level in (-76.0, -66.0, -56.0):  # turbinates
        for s in (-1, 1):
            turbinate = space.capsule((s * 8.5, -72, level), (s * 8.5, -36, level), 3.6)
            canvas.paint(canvas.coverage(turbinate) * canvas.coverage(passage), "mucosa", space)
            canvas.paint(canvas.coverage(turbinate + 2.6) * canvas.coverage(passage), "cortical_bone", space)
    wavy = np.abs(space.x + np.float32(1.2) * fields["skull"][space.box])
    canvas.paint(canvas.sheet(wavy, 3.2) * canvas.coverage(passage), "mucosa", space)
    canvas.paint(canvas.sheet(wavy, 1.0) * canvas.coverage(passage) * (space.y > -74), "cortical_bone", space)
    space = canvas.near((0, -82, -46), 14)
    canvas.fill(space.capsule((0, -79, -38), (0, -86, -54), 3.0), "cortical_bone", space)
    for s in (-1, 1):  # nostrils
        space = canvas.near((s * 6, -82, -74), 12)
        canvas.fill(space.capsule((s * 6, -84, -78), (s * 5, -78, -66), 3.4), "air", space)


def _orbit(canvas: Canvas, s: int) -> None:
    """One eye socket: bony cone, fat, globe with lens, optic nerve, the four straight muscles. `s` is the side, ±1."""
    space = canvas.near((s * 28, -56, -46), (24, 42, 24))
    cone = smooth_min(
        space.ellipsoid((s * 31, -66, -46), (18.5, 17, 17)), space.capsule((s * 29, -58, -46), (s * 13, -28, -45), 13, 5), 6.0
    )
    opening = -75 - space.y
    canvas.fill(np.maximum(cone - 2.2, opening + 1.5), "cortical_bone", space)
    canvas.fill(np.maximum(cone, opening), "fat", space)
    globe = space.ellipsoid((s * 31, -70.5, -46), (12, 12, 12))
    apex = (s * 15, -32, -45)
    for dx, dz in ((0, 10.5), (0, -10.5), (10.5, 0), (-10.5, 0)):
        canvas.fill(space.capsule((s * 31 + dx, -64, -46 + dz), apex, 2.2, 1.4), "muscle", space)
    canvas.fill(space.capsule((s * 30, -59, -46), apex, 2.2), "white_matter", space)
    canvas.fill(globe, "muscle", space)
    canvas.fill(globe + 1.0, "vitreous", space)
    canvas.fill(space.ellipsoid((s * 31, -79, -46), (4.6, 2.2, 4.6)), "lens", space)


def _neck(canvas: Canvas, envelope: Envelope) -> None:
    """Pharynx, tongue base, first two vertebrae; the spinal canal is laid with the brain."""
    space = canvas.near((0, 6, -96), (40, 40, 26))
    spine = np.sqrt((space.x / 1.25) ** 2 + (space.y - 24) ** 2)
    ring = np.maximum(np.abs(spine - 14.5) - 3.6, np.abs(space.z + 86) - 5.5)
    _bone(canvas, space, ring, 1.4)
    for s in (-1, 1):
        _bone(canvas, space, space.ellipsoid((s * 21, 18, -87), (11, 9, 7)), 1.4)
    _bone(canvas, space, space.capsule((0, 8, -80), (0, 7, -104), 5.4, 8.0), 1.4)
    space = canvas.near((0, -8, -84), (14, 14, 40))
    canvas.fill(space.capsule((0, -10, -68), (0, -6, -130), 8.5, 7.0), "mucosa", space)
    canvas.fill(space.capsule((0, -11, -68), (0, -7, -130), 6.2, 5.0), "air", space)


def _brain(canvas: Canvas, envelope: Envelope, head: Head, fields: Mapping[str, Array], grid: Grid) -> None:
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
    lateral = np.abs(z + 6 - 0.22 * y + np.float32(1.5) * fields["depth"]) * 0.97
    lateral = np.hypot(np.hypot(lateral, np.maximum(33 - side, 0)), np.maximum(np.abs(y + 8) - 27, 0)) - (width + 1.4) / 2
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
    roof = np.maximum(space.crop(envelope.cavity) + 2.5, 2.0 + space.z + 13 + 0.26 * (space.y - 15) + 0.36 * np.abs(space.x))
    lobes = smooth_min(
        smooth_min(space.ellipsoid((-25, 42, -44), (34, 34, 27)), space.ellipsoid((25, 42, -44), (34, 34, 27)), 5.0),
        space.ellipsoid((0, 42, -38), (16, 28, 26)),
        6.0,
    )
    lobes = np.maximum(lobes, roof.astype(np.float32))
    canvas.fill(lobes, "grey_matter", space)
    leaves = np.abs(np.sin((space.z + 0.25 * space.y + 2.0 * space.crop(fields["depth"])) * np.float32(np.pi / 7.0)))
    canvas.paint(0.75 * canvas.coverage(lobes + 5.5 + 7.0 * leaves), "white_matter", space)
    canvas.paint(canvas.coverage(lobes) * canvas.sheet(leaves * 2.2, 0.5 + 0.7 * head.atrophy) * (lobes > -9), "csf", space)
    space = canvas.near((0, 18, -70), (26, 36, 62))
    stem = smooth_min(space.capsule((0, 8, -18), (0, 13, -50), 10, 10), space.capsule((0, 13, -50), (0, 22, -72), 9, 6.5), 4.0)
    stem = smooth_min(stem, space.ellipsoid((0, 4, -39), (16, 12, 13)), 4.0)
    for s in (-1, 1):  # peduncles
        stem = smooth_min(stem, space.capsule((s * 7, 2, -32), (s * 13, -1, -16), 7.5), 3.0)
    stem = np.minimum(stem, space.capsule((0, 22, -72), (0, 24, -190), 6.2, 5.6))
    cistern = np.maximum(np.maximum(stem - 3.5, space.crop(envelope.cavity)), space.z + 19)
    canvas.fill(cistern, "csf", space)
    canvas.fill(stem, "white_matter", space)
    canvas.fill(space.ellipsoid((0, 24, -42), (6 * head.ventricles, 4.5, 9)), "csf", space)


def _air_cells(canvas: Canvas, envelope: Envelope, head: Head, fields: Mapping[str, Array]) -> None:
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
        share = np.clip(0.5 + (space.crop(cells) + 2.2 * (head.mastoid_air - 0.5)) * 1.6, 0, 1) * canvas.coverage(mastoid)
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
