"""The critical-difference diagram: mean ranks on a line, with a bar over those whose order the data do not settle.

After Demšar, JMLR 7:1, 2006. His bar is Nemenyi's critical difference; here it joins the rows that the board itself calls
tied, by the paired bootstrap of the ranking, so that diagram and table cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.charts.svg import Axis, c, chart, el, marker, path, shorten, text

WIDTH = 640.0
LEFT, RIGHT = 238.0, 402.0
AXIS = 34.0
STEP = 20.0


@dataclass(frozen=True)
class Placed:
    """One submission on the diagram."""

    title: str
    kind: str
    mean_rank: float
    tied: frozenset[int]
    """Places in the sequence that it is tied with."""


def groups(placed: Sequence[Placed]) -> list[tuple[int, int]]:
    """(first, last) places of each largest run, in the order of mean rank, in which all are tied with each other."""
    found: list[tuple[int, int]] = []
    for first in range(len(placed)):
        last = first
        while last + 1 < len(placed) and all(k in placed[last + 1].tied for k in range(first, last + 1)):
            last += 1
        if last > first and not any(a <= first and last <= b for a, b in found):
            found.append((first, last))
    return found


def critical_difference(id: str, placed: Sequence[Placed]) -> Markup:
    """The diagram; `placed` in the order of mean rank, best first."""
    low = math.floor(min(p.mean_rank for p in placed) - 1e-9)
    high = math.ceil(max(p.mean_rank for p in placed) + 1e-9)
    axis = Axis(low, high if high > low else low + 1, LEFT, RIGHT)
    bars = groups(placed)
    levels = _levels(bars)
    depth = AXIS + 14 + 9 * (max(levels, default=-1) + 1)
    half = math.ceil(len(placed) / 2)
    ticks = axis.ticks(5)
    body = [
        path(f"M{c(LEFT)} {c(AXIS)}H{c(RIGHT)}", "axis"),
        path("".join(f"M{c(axis.at(v))} {c(AXIS)}v-6" for v, _ in ticks), "axis"),
        *(text(axis.at(v), AXIS - 11, label, "tick", "middle") for v, label in ticks),
        text(LEFT - 22, AXIS - 11, "better", "note", "end"),
        text(RIGHT + 22, AXIS - 11, "worse", "note"),
    ]
    for (first, last), level in zip(bars, levels, strict=True):
        y = AXIS + 12 + 9 * level
        x1, x2 = axis.at(placed[first].mean_rank) - 5, axis.at(placed[last].mean_rank) + 5
        body.append(el("line", x1=x1, x2=x2, y1=y, y2=y, class_="clique"))
    for i, p in enumerate(placed):
        x = axis.at(p.mean_rank)
        left = i < half
        line = i if left else len(placed) - 1 - i
        y = depth + STEP * (line + 0.5)
        edge = LEFT - 16 if left else RIGHT + 16
        body.append(path(f"M{c(x)} {c(AXIS)}V{c(y)}H{c(edge)}", "leader"))
        body.append(marker(p.kind, x, AXIS))
        words = f"{shorten(p.title, 22)}  {p.mean_rank:.2f}"
        body.append(text(edge + (-5 if left else 5), y + 4, words, "label", "end" if left else "start"))
    height = depth + STEP * half + 10
    tied = [" and ".join([placed[k].title for k in range(a, b + 1)]) for a, b in bars]
    described = "; ".join(f"{p.title}: mean rank {p.mean_rank:.2f}" for p in placed)
    described += f". Not settled among: {'; '.join(tied)}." if tied else ". No two next to each other are tied."
    return chart(id, WIDTH, height, "Mean ranks and ties", described, body, "difference")


def _levels(bars: Sequence[tuple[int, int]]) -> list[int]:
    """For each bar the first level at which it meets no other."""
    levels: list[int] = []
    for i, (a, b) in enumerate(bars):
        taken = {levels[k] for k in range(i) if bars[k][0] <= b and a <= bars[k][1]}
        levels.append(next(n for n in range(len(bars)) if n not in taken))
    return levels
