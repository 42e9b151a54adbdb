"""Points as signs on slices: nodules as rings of their true size, marks by what they hit, with their probability.

A sphere of radius R at distance d from a slice is a ring of radius √(R² − d²) there. A mark is a point: it is shown on slices
nearer than the radius of what it hits, or than `REACH`. Which mark hits what is decided as `benchmark.metrics.points.match`
decides it, from the same parsed records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.image import Volume
from benchmark.metrics.points import strongest
from benchmark.points import parse_findings, parse_marks
from leaderboard import ink, pictures

Kind = Literal["hit", "false", "ignored"]
"""On a lesion; on nothing; on a finding that counts neither way."""

REACH = 2.5
"""In mm: how far from a mark that hits nothing slices still show it; half the slices' distance where that is more."""

SHOWN_FROM = 0.1
"""Marks less probable than this are not drawn; they count in the scores all the same."""

LONG_SIDE = 384
"""Longer side of a picture in pixels."""

DETAIL = 48.0
"""Side of a detail in mm."""


@dataclass(frozen=True)
class Finding:
    """One finding of the reference."""

    point: tuple[float, float, float]
    """Centre in mm (LPS: x, y, z)."""
    radius: float
    """In mm."""
    number: int
    """From 1, the largest lesion first; 0 for what counts neither way."""

    @property
    def counts(self) -> bool:
        return self.number > 0


@dataclass(frozen=True)
class Mark:
    """One mark of a prediction."""

    point: tuple[float, float, float]
    """In mm (LPS: x, y, z)."""
    probability: float
    kind: Kind
    on: tuple[int, ...]
    """Numbers of the lesions that it hits, more than one where they overlap."""
    reach: float
    """In mm: how far from it slices show it."""


def findings(reference: Any) -> tuple[Finding, ...]:
    """The findings of a reference, lesions first and the largest first. Raises `DataError` for one that cannot be read."""
    centres, radii, irrelevant = parse_findings(reference)
    order = sorted(range(len(radii)), key=lambda i: (bool(irrelevant[i]), -float(radii[i]), centres[i].tolist()))
    return tuple(
        Finding(_point(centres[i]), float(radii[i]), 0 if irrelevant[i] else number)
        for number, i in enumerate(order, start=1)
    )


def marks(found: Sequence[Finding], prediction: Any, most: int, apart: float) -> tuple[Mark, ...]:
    """The marks that count, the most probable first. `apart` is the distance of slices in mm."""
    points, probabilities = parse_marks(prediction)
    kept = strongest(probabilities, most)
    made = []
    for point, probability in zip(points[kept], probabilities[kept], strict=True):
        with np.errstate(over="ignore"):
            near = [
                f for f in found if float(((point - np.asarray(f.point)) ** 2).sum()) < f.radius**2
            ]  # strictly, as `match` has it
        lesions = [f for f in near if f.counts]
        kind: Kind = "hit" if lesions else "ignored" if near else "false"
        reach = max([f.radius for f in near] or [max(REACH, apart / 2)])
        made.append(Mark(_point(point), float(probability), kind, tuple(f.number for f in lesions), reach))
    return tuple(sorted(made, key=lambda m: (-m.probability, m.point)))


def _point(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


def index_of(volume: Volume, point: Sequence[float]) -> NDArray[np.float64]:
    """Continuous array index of a point in mm."""
    return np.linalg.solve(volume.direction, np.asarray(point) - np.asarray(volume.origin)) / np.asarray(volume.spacing)


@dataclass(frozen=True)
class Pane:
    """A part of an upright slice as a picture: where things come to lie."""

    volume: Volume
    view: pictures.View
    rows: tuple[int, int]
    """First row of the upright slice, and the one after the last."""
    columns: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        shape = (self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])
        return pictures.size_of(shape, self.view.pixel, LONG_SIDE)

    @property
    def scale(self) -> float:
        """Pixels a millimetre."""
        return self.size[1] / ((self.columns[1] - self.columns[0]) * self.view.pixel[1])

    def place(self, point: Sequence[float]) -> tuple[float, float, float]:
        """x and y in pixels of the picture, and the distance from the slice in mm."""
        i = index_of(self.volume, point)
        distance = abs(float(i[0]) - self.view.index) * self.volume.spacing[0]
        row, column = upright(self.volume, self.view, float(i[1]), float(i[2]))
        height, width = self.size
        x = (column + 0.5 - self.columns[0]) * width / (self.columns[1] - self.columns[0])
        y = (row + 0.5 - self.rows[0]) * height / (self.rows[1] - self.rows[0])
        return x, y, distance

    def ground(self, window: tuple[float, float]) -> NDArray[np.uint8]:
        """The picture's grey levels."""
        plane = pictures.plane_of(self.volume, self.view)
        part = plane[self.rows[0] : self.rows[1], self.columns[0] : self.columns[1]]
        return pictures.levels(part, self.size, window)


def upright(volume: Volume, view: pictures.View, i: float, j: float) -> tuple[float, float]:
    """Row and column of the upright slice for continuous indices along array axes 1 and 2."""
    rows, columns = volume.array.shape[1:]
    if view.transpose:
        i, j, rows, columns = j, i, columns, rows
    return (rows - 1 - i if view.flip_rows else i), (columns - 1 - j if view.flip_columns else j)


def slice_at(volume: Volume, point: Sequence[float]) -> int:
    """The slice along array axis 0 that lies nearest to a point."""
    return int(np.clip(round(float(index_of(volume, point)[0])), 0, volume.array.shape[0] - 1))


def whole(volume: Volume, index: int) -> Pane:
    """All of a slice."""
    view = pictures.orient(volume, index)
    rows, columns = view.lay(volume.array[index]).shape
    return Pane(volume, view, (0, rows), (0, columns))


def detail(volume: Volume, point: Sequence[float]) -> Pane:
    """A square of `DETAIL` mm around a point on the slice nearest to it, moved inwards at the border."""
    full = whole(volume, slice_at(volume, point))
    i = index_of(volume, point)
    centre = upright(volume, full.view, float(i[1]), float(i[2]))
    spans = []
    for middle, count, pixel in zip(centre, (full.rows[1], full.columns[1]), full.view.pixel, strict=True):
        length = min(count, max(1, round(DETAIL / pixel)))
        first = min(max(round(middle - (length - 1) / 2), 0), count - length)
        spans.append((first, first + length))
    return Pane(volume, full.view, spans[0], spans[1])


def picture(
    pane: Pane,
    window: tuple[float, float],
    found: Sequence[Finding],
    predicted: Sequence[Mark] | None = None,
    *,
    sizes: bool = False,
) -> pictures.Picture:
    """The pane with rings, and with the signs of marks: a cross in a circle's place for a hit, a triangle for a false mark.

    A ring is dashed where `predicted` has no mark on it. With `sizes` diameters stand beside the rings.
    """
    lines: list[ink.Line] = []
    words: list[ink.Word] = []
    hit = {number for mark in shown(predicted or ()) for number in mark.on}
    for f in found:
        x, y, distance = pane.place(f.point)
        if distance >= f.radius or not _inside(pane, x, y):
            continue
        radius = math.sqrt(f.radius**2 - distance**2) * pane.scale
        dash = ink.DASHES[1] if predicted is not None and f.counts and f.number not in hit else ()
        if not f.counts:
            lines.append(ink.Line(ink.circle(x, y, radius), ink.PALE, 1.4, ink.DASHES[2]))
            continue
        lines.append(ink.Line(ink.circle(x, y, radius), ink.REFERENCE, 2.0, dash))
        if radius < SMALL:  # a ring too small to be found on the whole slice: four strokes point to it
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                ends = np.array([[x + dx * r, y + dy * r] for r in (radius + 3, radius + 11)])
                lines.append(ink.Line(ends, ink.REFERENCE, 2.0))
        if sizes:
            aside = max(radius, 14) + 5
            words.append(ink.Word(f"{2 * f.radius:.1f} mm", x + aside, y, ink.REFERENCE, x - aside))
    for mark in shown(predicted or ()):
        x, y, distance = pane.place(mark.point)
        if distance > mark.reach or not _inside(pane, x, y):
            continue
        colour = {"hit": ink.PREDICTION, "false": ink.FALSE, "ignored": ink.PALE}[mark.kind]
        strokes = {
            "hit": ink.cross(x, y, 7.0),
            "false": [ink.triangle(x, y, 9.0)],
            "ignored": [ink.square(x, y, 7.0)],
        }[mark.kind]
        lines += [ink.Line(points, colour, 2.2) for points in strokes]
        words.append(ink.Word(probability(mark.probability), x + 14, y, colour, x - 14))
    return pictures.png(ink.drawn(pane.ground(window), lines, words), *window)


SMALL = 16.0
"""Rings of a smaller radius, in pixels, are pointed at."""


def shown(predicted: Sequence[Mark]) -> tuple[Mark, ...]:
    """The marks that are drawn."""
    return tuple(mark for mark in predicted if mark.probability >= SHOWN_FROM)


def probability(value: float) -> str:
    """A probability to two digits that never reads as certain where it is not."""
    if 0.995 <= value < 1:
        return ">0.99"
    return f"{value:.2f}"


def _inside(pane: Pane, x: float, y: float) -> bool:
    return 0 <= x <= pane.size[1] and 0 <= y <= pane.size[0]
