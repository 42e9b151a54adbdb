"""Lines, signs and numbers over a grey picture: drawn large and made small, so that they are smooth, with a dark rim.

The rim keeps colours apart from bright and dark tissue alike. Colours are of Okabe and Ito's set, which readers with any
common colour vision tell apart; shape, line style or a word says the same as the colour everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

REFERENCE, PREDICTION = (230, 159, 0), (86, 180, 233)
"""Orange for what is true, sky blue for what was predicted."""
FALSE, OTHER = (240, 228, 66), (204, 121, 167)
"""Yellow for false marks, reddish purple for the wrong label."""
PALE = (200, 205, 210)
"""For what counts neither way."""

FINE = 4
"""Drawn so many times larger."""

Dash = tuple[float, ...]
"""Lengths of strokes and gaps in turn, in pixels of the picture; empty for a whole line."""

DASHES: tuple[Dash, ...] = ((), (7.0, 4.0), (2.0, 3.0), (8.0, 3.0, 2.0, 3.0))
"""Line styles of labels in their order: whole, dashed, dotted, dash and dot."""
DASH_NAMES = ("whole line", "dashed", "dotted", "dash-dotted")


@dataclass(frozen=True)
class Line:
    """A line through points (n, 2), each (x, y) in pixels of the picture."""

    points: NDArray[np.float64]
    colour: tuple[int, int, int]
    width: float = 2.0
    dash: Dash = ()


@dataclass(frozen=True)
class Word:
    """A short text that begins at (x, y), its middle at y; where it would leave the picture it ends at `before` instead."""

    text: str
    x: float
    y: float
    colour: tuple[int, int, int]
    before: float


def circle(x: float, y: float, radius: float) -> NDArray[np.float64]:
    """A closed circle as a line of points."""
    angles = np.linspace(0, 2 * np.pi, max(24, int(radius * 4)) + 1)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def dashed(points: NDArray[np.float64], dash: Dash) -> list[NDArray[np.float64]]:
    """The strokes of a line, gaps left out; the pattern goes on around corners. The whole line without a pattern."""
    if not dash or len(points) < 2:
        return [points]
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    if length[-1] == 0:
        return []
    strokes, start, k = [], 0.0, 0
    while start < length[-1]:
        end = start + dash[k % len(dash)]
        if k % 2 == 0:
            stops = np.concatenate([[start], length[(length > start) & (length < end)], [min(end, length[-1])]])
            strokes.append(np.stack([np.interp(stops, length, points[:, axis]) for axis in (0, 1)], axis=1))
        start, k = end, k + 1
    return strokes


def drawn(ground: NDArray[np.uint8], lines: Sequence[Line], words: Sequence[Word] = ()) -> Image.Image:
    """The picture (height, width) or (height, width, 3) in 8 bits with lines and words on it, later ones on top."""
    base = Image.fromarray(ground).convert("RGB")
    sheet = Image.new("RGBA", (base.width * FINE, base.height * FINE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    for line in lines:
        for rim in (True, False):
            colour = (0, 0, 0, 150) if rim else (*line.colour, 255)
            width = round((line.width + 1.6 * rim) * FINE)
            for stroke in dashed(line.points, line.dash):
                if len(stroke) > 1:
                    # Coordinates of a pixel's middle are halves; the joint keeps corners closed.
                    pen.line(
                        [(float(x) * FINE, float(y) * FINE) for x, y in stroke], fill=colour, width=width, joint="curve"
                    )
    font = ImageFont.load_default(size=SIZE * FINE)
    for word in _apart(words, base.size):
        place = (word.x * FINE, word.y * FINE)
        edge, bold = round(2.2 * FINE), round(0.3 * FINE)
        pen.text(place, word.text, fill=(0, 0, 0, 225), font=font, anchor="lm", stroke_width=edge)
        pen.text(place, word.text, fill=(*word.colour, 255), font=font, anchor="lm", stroke_width=bold)
    small = sheet.resize(base.size, Image.Resampling.BOX)
    base.paste(small, (0, 0), small)
    return base


SIZE = 25.0
"""Height of letters in pixels of the picture."""
WIDE = 0.54
"""Width of a letter in heights, on the average of digits."""


SIDE = (50.0, 20.0)
"""Width, and half the height, that the page's letters for the patient's sides take at the middle of the left and right edge."""


def _apart(words: Sequence[Word], size: tuple[int, int]) -> list[Word]:
    """The words moved so that they lie inside the picture and neither on each other nor on a side's letter, as far as there is room."""
    placed: list[Word] = []
    for word in words:
        wide = WIDE * SIZE * len(word.text)
        x = word.x if word.x + wide <= size[0] - 2 else max(2.0, word.before - wide)
        # First where it should be, then ever farther above and below.
        for step in sorted(range(-8, 9), key=abs):
            y = word.y + step * SIZE
            free = all(abs(y - w.y) >= SIZE or x + wide < w.x or w.x + WIDE * SIZE * len(w.text) < x for w in placed)
            beside = SIDE[0] <= x and x + wide <= size[0] - SIDE[0]
            free = free and (beside or abs(y - size[1] / 2) >= SIDE[1] + SIZE / 2)
            if free and SIZE / 2 <= y <= size[1] - SIZE / 2:
                placed.append(Word(word.text, x, y, word.colour, word.before))
                break
    return placed


def cross(x: float, y: float, size: float) -> list[NDArray[np.float64]]:
    """An upright cross."""
    return [np.array([[x - size, y], [x + size, y]]), np.array([[x, y - size], [x, y + size]])]


def triangle(x: float, y: float, size: float) -> NDArray[np.float64]:
    """A closed triangle that points up, its middle at (x, y)."""
    angles = np.deg2rad([-90, 30, 150, -90, 30])  # one side twice, so that the last corner is closed
    return np.stack([x + size * np.cos(angles), y + size * np.sin(angles)], axis=1)


def square(x: float, y: float, size: float) -> NDArray[np.float64]:
    """A closed square, its middle at (x, y)."""
    half = size / math.sqrt(2)
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1), (1, -1)]
    return np.array([[x + half * a, y + half * b] for a, b in corners])
