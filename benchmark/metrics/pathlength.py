"""Water-equivalent path length: how far a proton or photon beam would be mis-ranged by planning on a synthetic CT.

HU become electron density relative to water, and the error is the mean absolute difference of its line integrals over
parallel beams in the axial plane. Line integrals are exact for a grid of constant voxels (Siddon 1985).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import DataError
from benchmark.metrics.paired import Pair, Problem, paired
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

Array = NDArray[np.float64]

CALIBRATION = ((-1000.0, 0.0), (0.0, 1.0), (1950.0, 2.0))
"""(HU, relative electron density): the two lines 1 + HU/1000 and 1 + HU/1950 of Thomas 1999 (Br J Radiol 72:781), joined where they
meet, at water. Thomas changes from the first to the second at 100 HU, with a step of 0.05 that would make an error of 1 HU look
like one of 50; a task may give its scanner's own points."""

BEAMS = 36
"""Beam directions over 180°: opposite beams run along the same lines."""


def relative_electron_density(hu: ArrayLike, calibration: Sequence[Sequence[float]] = CALIBRATION) -> Array:
    """Electron density relative to water, linear between the points (HU, density), with the last slope beyond the last point
    and the first density below the first; any shape. Raises `DataError` for points that do not rise in HU."""
    points = np.asarray(calibration, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not (np.diff(points[:, 0]) > 0).all():
        raise DataError("task_invalid", f"calibration {calibration!r}", expected="two or more [HU, density], HU rising")
    x = np.asarray(hu, np.float64)
    inside = np.interp(x, points[:, 0], points[:, 1])
    slope = (points[-1, 1] - points[-2, 1]) / (points[-1, 0] - points[-2, 0])
    density: Array = inside + slope * np.maximum(x - points[-1, 0], 0.0)
    return density


@njit(cache=True, nogil=True)
def _project(
    volume: Array, row_step: float, column_step: float, cosines: Array, sines: Array, offsets: Array
) -> Array:  # pragma: no cover - compiled
    """Line integrals of volume (y, x, z) along every beam and offset, all z at once: (beams, offsets, z)."""
    height, width, depth = volume.shape
    out = np.zeros((len(cosines), len(offsets), depth))
    half_y, half_x = height * row_step / 2.0, width * column_step / 2.0
    for beam in range(len(cosines)):
        dx, dy = cosines[beam], sines[beam]
        for ray in range(len(offsets)):
            px, py = -dy * offsets[ray], dx * offsets[ray]
            enter, leave = -np.inf, np.inf
            if abs(dx) > 1e-12:
                a, b = (-half_x - px) / dx, (half_x - px) / dx
                enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
            elif abs(px) >= half_x:
                continue
            if abs(dy) > 1e-12:
                a, b = (-half_y - py) / dy, (half_y - py) / dy
                enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
            elif abs(py) >= half_y:
                continue
            if leave - enter <= 1e-9:
                continue
            # Start a hair inside, so that the first pixel is the one entered and not its neighbour.
            start = enter + 1e-9 * (leave - enter)
            x = min(max(int((px + start * dx + half_x) / column_step), 0), width - 1)
            y = min(max(int((py + start * dy + half_y) / row_step), 0), height - 1)
            next_x, next_y, step_x, step_y, move_x, move_y = np.inf, np.inf, np.inf, np.inf, 0, 0
            if abs(dx) > 1e-12:
                move_x = 1 if dx > 0 else -1
                step_x = column_step / abs(dx)
                next_x = ((x + (1 if dx > 0 else 0)) * column_step - half_x - px) / dx
            if abs(dy) > 1e-12:
                move_y = 1 if dy > 0 else -1
                step_y = row_step / abs(dy)
                next_y = ((y + (1 if dy > 0 else 0)) * row_step - half_y - py) / dy
            t = enter
            while 0 <= x < width and 0 <= y < height and t < leave:
                end = min(next_x, next_y, leave)
                length = end - t
                if length > 0.0:
                    for z in range(depth):
                        out[beam, ray, z] += length * volume[y, x, z]
                    t = end
                if next_x <= next_y:
                    x += move_x
                    next_x += step_x
                else:
                    y += move_y
                    next_y += step_y
    return out


def line_integrals(volume: NDArray[np.generic], spacing: Sequence[float], beams: int = BEAMS) -> Array:
    """Integrals of a volume (z, y, x) of constant voxels along parallel rays in its axial planes, in its unit times mm.

    `beams` directions i·180°/beams from the x axis; rays lie one smallest in-plane spacing apart, symmetrically about the
    centre of the grid. Shape (beams, rays, z).
    """
    _, row, column = (float(step) for step in spacing)
    _, height, width = volume.shape
    gap = min(row, column)
    count = int(np.ceil(np.hypot(height * row, width * column) / gap)) | 1
    offsets = np.asarray((np.arange(count) - count // 2) * gap, np.float64)
    angles = np.arange(beams) * np.pi / beams
    columns_last = np.ascontiguousarray(np.moveaxis(np.asarray(volume, np.float64), 0, 2))
    projected: Array = _project(columns_last, row, column, np.cos(angles), np.sin(angles), offsets)
    return projected


def wepl_error(
    pair: Pair, calibration: Sequence[Sequence[float]] = CALIBRATION, beams: int = BEAMS, chords: Array | None = None
) -> float:
    """Mean |∫ Δ(relative electron density)| in mm over all rays that run through the mask for at least one pixel.

    Images in HU; outside the mask both count as equal. `chords` are the `line_integrals` of the mask, where they are known.
    """
    if beams < 1:
        raise DataError("task_invalid", f"beams = {beams}", expected="at least 1")
    reference, prediction = (np.where(pair.mask, image, -1000.0) for image in (pair.reference, pair.prediction))
    difference = relative_electron_density(prediction, calibration) - relative_electron_density(reference, calibration)
    if chords is None:
        chords = line_integrals(pair.mask, pair.spacing, beams)
    hit = chords >= min(pair.spacing[1:]) * (1.0 - 1e-9)
    return float(np.abs(line_integrals(difference, pair.spacing, beams)[hit]).mean())


def _wepl(inputs: CaseInputs, beams: int = BEAMS, calibration: Sequence[Sequence[float]] = CALIBRATION) -> MetricValue:
    pair = paired(inputs)
    if inputs.spacing is None:
        raise DataError("reference_invalid", "metric 'wepl' needs the voxel spacing, and the reference has none")
    diagonal = WEPL.worst_value(np.shape(inputs.reference), inputs.spacing[-np.ndim(inputs.reference) :])
    if isinstance(pair, Problem):
        return MetricValue(diagonal, pair.status, pair.reason)
    chords = inputs.reference_side(
        ("pathlength.chords", beams), lambda: line_integrals(pair.mask, pair.spacing, beams).astype(np.float32)
    )
    value = wepl_error(pair, calibration, beams, chords)
    return MetricValue(min(value, diagonal))


WEPL = register(
    Metric(
        name="wepl",
        title="WEPL error",
        family="clinical",
        unit="mm",
        direction="lower",
        range=(0.0, float("inf")),
        worst="diagonal",
        definition="Mean absolute error of the water-equivalent path length over 36 beam directions in the axial plane: line "
        "integrals of relative electron density, bilinear in HU; at most the diagonal of the volume.",
        citation="Thomas 1999, Br J Radiol 72:781, doi:10.1259/bjr.72.860.10624344 (calibration); Siddon 1985, Med Phys 12:252 "
        "(line integrals)",
        needs=frozenset({"spacing"}),
        options={"beams": BEAMS, "calibration": CALIBRATION},
        compute=_wepl,
    )
)
