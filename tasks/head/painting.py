"""Paint a head from the outside in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.anatomy import Array, Canvas, Grid, generator, place, rotation, smooth_field
from tasks.head import bones, brain, outline
from tasks.head.patient import EXTENT, MATERIALS, Head

_FIELDS = {
    "warp_x": 42.0, "warp_y": 42.0, "warp_z": 42.0, "skull": 26.0, "scalp": 24.0, "muscle": 13.0, "sulci": 5.8, "depth": 20.0,
    "lesion": 9.0, "cells": 5.0,
}  # fmt: skip
"""Smooth random fields and the distance in mm between their knots."""

_LANDMARKS = ((0, -88, -67), (0, -86, -10), (0, 87, 0), (0, 0, 83), (0, 20, 81), (-80, 20, -44), (80, 20, -44))
"""Tip of the nose, forehead, occiput, crown (twice), ears: points (x, y, z) that mark the extent of the mean head, in mm."""


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
    envelope = outline.envelope_of(head, space, fields)
    outline.soft_parts(canvas, envelope, fields, head)
    outline.vault(canvas, envelope)
    bones.skull_base(canvas, envelope)
    bones.face(canvas, envelope, head, fields)
    bones.neck(canvas, envelope)
    brain.brain(canvas, envelope, head, fields, grid)
    bones.air_cells(canvas, envelope, head, fields)
    return canvas, envelope.skin
