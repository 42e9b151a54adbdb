"""The outside of a head: its surface, the cranial cavity, the skull's layers, and the soft parts over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.anatomy import Array, Canvas, Space, smooth_max, smooth_min
from tasks.head.patient import Head


@dataclass(frozen=True, eq=False)
class Envelope:
    """Distances (mm) that everything else hangs on, on the whole grid."""

    cavity: Array
    """To the inner table of the skull: negative inside the cranial cavity."""
    thickness: Array
    """Of the skull."""
    skin: Array
    """To the surface of the head."""


def _sigmoid(x: Array) -> Array:
    return np.float32(1) / (1 + np.exp(-np.clip(x, -30, 30)))


def envelope_of(head: Head, space: Space, fields: Mapping[str, Array]) -> Envelope:
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
    floor = (
        -25 - 22 * middle * (1 - 0.45 * np.exp(-((x / 13) ** 2))) - 20 * back * (1 - np.clip((side - 30) / 60, 0, 0.6))
    )
    # The roofs of the orbits bulge up, the cribriform plate between them lies lower.
    floor = floor + (7 * np.exp(-(((side - 31) / 16) ** 2)) - 5 * np.exp(-((side / 9) ** 2))) * np.exp(
        -(((y + 56) / 22) ** 2)
    )
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


def soft_parts(canvas: Canvas, envelope: Envelope, fields: Mapping[str, Array], head: Head) -> None:
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
            canvas.paint(
                canvas.coverage(near.ellipsoid(centre, radii)) * canvas.coverage(near.crop(skin) + 3), material, near
            )


def vault(canvas: Canvas, envelope: Envelope) -> None:
    """Outer table, diploë, inner table; where the skull is thin the two tables meet."""
    thickness = envelope.thickness
    inner, outer = 0.30 * np.minimum(thickness, 6) + 0.1, 0.30 * np.minimum(thickness, 6) + 0.3
    canvas.fill(envelope.cavity - thickness, "cortical_bone")
    canvas.paint(canvas.coverage(envelope.cavity - thickness + outer), "marrow")
    canvas.paint(canvas.coverage(envelope.cavity - np.minimum(inner, thickness / 2)), "cortical_bone")
