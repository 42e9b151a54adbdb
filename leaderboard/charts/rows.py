"""Charts with one line a submission: values case by case, and how ranks vary over the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from leaderboard import numbers
from leaderboard.charts.svg import Axis, c, chart, el, path, round_out, shorten, text

LABEL = 178.0
"""Width of the labels at the left."""
RIGHT = 940.0
"""Where the plot of single cases ends."""
NARROW = 600.0
"""Where the plot of ranks ends, which stands beside another."""
LINE = 30.0
"""Height of a line."""
TOP = 14.0
STRETCH = 3.0
"""Rows of the poorer half are cut off where they would make the axis more than this many times as long."""


@dataclass(frozen=True)
class Cases:
    """One line of the distribution."""

    title: str
    kind: str
    values: NDArray[np.float64]
    """Values of valid outputs."""
    failed: int
    """Cases without one, which count with the worst value."""


def distribution(
    id: str, lines: Sequence[Cases], metric: str, unit: str, direction: Literal["higher", "lower"], places: int
) -> Markup:
    """Each case a dot, with the quartiles as a box and the median as a stroke; one line a submission, best first.

    Dots are spread over the height of the line in the order of the cases, so that they hide each other less; the height
    means nothing else. Dots beyond the axis are counted at its end.
    """
    low, high = axis_range([line.values for line in lines])
    axis = Axis(low, high, LABEL + 12, RIGHT - 14)
    bottom = TOP + LINE * len(lines)
    ticks = axis.ticks(6)
    body = [path("".join(f"M{c(axis.at(v))} {c(TOP - 6)}V{c(bottom)}" for v, _ in ticks), "grid")]
    words = []
    for i, line in enumerate(lines):
        middle = TOP + LINE * (i + 0.5)
        body.append(text(LABEL, middle + 4, shorten(line.title, 24), "label", "end"))
        body += _line(line, axis, middle)
        if line.values.size:
            q1, median, q3 = np.quantile(line.values, [0.25, 0.5, 0.75])
            words.append(
                f"{line.title}: median {numbers.number(median, places)}, middle half "
                f"{numbers.span(q1, q3, places)}{f', {line.failed} failed' if line.failed else ''}"
            )
        else:
            words.append(f"{line.title}: no valid output")
    body += [text(axis.at(v), bottom + 15, label, "tick", "middle") for v, label in ticks]
    name = f"{metric} [{unit}]" if unit else metric
    arrow = f"{name}, {direction} is better {'→' if direction == 'higher' else '←'}"
    body.append(text((axis.start + axis.end) / 2, bottom + 34, arrow, "axis-name", "middle"))
    return chart(id, RIGHT, bottom + 42, f"{metric} case by case", "; ".join(words) + ".", body, "distribution")


def axis_range(groups: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """The range of all values, unless the poorer half of the groups would stretch it more than `STRETCH` times."""
    filled = [g[np.isfinite(g)] for g in groups]
    full = [g for g in filled if g.size]
    if not full:
        return (0.0, 1.0)
    good = np.concatenate(full[: max(2, math.ceil(len(full) / 2))])
    every = np.concatenate(full)
    use = good if 0 < STRETCH * np.ptp(good) < np.ptp(every) else every
    return round_out(use.tolist(), 6)


def _line(line: Cases, axis: Axis, middle: float) -> list[Markup]:
    inside = [v for v in line.values.tolist() if not axis.outside(v)]
    spread = LINE * 0.3
    dots = "".join(
        # The golden ratio scatters successive cases evenly over the height.
        f"M{c(axis.at(v))} {c(middle + spread * (2 * math.modf(0.5 + 0.618034 * k)[0] - 1))}h0"
        for k, v in enumerate(inside)
    )
    parts = [path(dots, f"dots k-{line.kind}")] if dots else []
    if line.values.size:
        q1, median, q3 = (float(q) for q in np.quantile(line.values, [0.25, 0.5, 0.75]))
        if not (axis.outside(q1) and axis.outside(q3)) or (q1 < axis.low and q3 > axis.high):
            x1, x3 = axis.at(q1), axis.at(q3)
            parts.insert(0, el("rect", x=x1, y=middle - 9, width=max(x3 - x1, 0.5), height=18.0, class_="box"))
        if not axis.outside(median):
            parts.append(path(f"M{c(axis.at(median))} {c(middle - 11)}v22", "median"))
    beyond = [v for v in line.values.tolist() if axis.outside(v)]
    for side, values in (("low", [v for v in beyond if v < axis.low]), ("high", [v for v in beyond if v > axis.high])):
        if values:
            x, step = (axis.start, -1) if side == "low" else (axis.end, 1)
            parts.append(path(f"M{c(x + 9 * step)} {c(middle)}l{-7 * step} -4.5v9z", "beyond"))
            words = f"{len(values)} beyond"
            parts.append(text(x - 4 * step, middle + 4, words, "note", "start" if side == "low" else "end"))
    if line.failed:
        parts.append(text(axis.end - (62 if beyond else 0), middle + 4, f"{line.failed} failed", "note bad", "end"))
    return parts


@dataclass(frozen=True)
class Stability:
    """One line of the rank plot."""

    title: str
    kind: str
    frequency: Sequence[float]
    """Part of the draws in which it took rank 1, 2, …"""
    rank: float
    """Its rank on all cases."""
    low: float
    high: float
    """The ranks that the data allow."""


def stability(id: str, lines: Sequence[Stability], ranks: int) -> Markup:
    """A disc for each rank that a submission takes in the bootstrap, its area the part of the draws; ranks up to `ranks`.

    After the blob plots of Wiesenfarth et al., Scientific Reports 11:2369, 2021.
    """
    axis = Axis(0.5, ranks + 0.5, LABEL + 12, NARROW - 14)
    step = (axis.end - axis.start) / ranks
    largest = min(step, LINE) * 0.46
    bottom = TOP + LINE * len(lines)
    every = max(1, math.ceil(ranks / 20))
    body = [path("".join(f"M{c(axis.at(r))} {c(TOP - 6)}V{c(bottom)}" for r in range(1, ranks + 1)), "grid")]
    words = []
    for i, line in enumerate(lines):
        middle = TOP + LINE * (i + 0.5)
        body.append(text(LABEL, middle + 4, shorten(line.title, 24), "label", "end"))
        if line.low <= ranks:
            x1, x2 = axis.at(line.low), axis.at(min(line.high, ranks + 0.5))
            body.append(el("line", x1=x1, x2=x2, y1=middle, y2=middle, class_="span"))
        for r, part in enumerate(line.frequency[:ranks], 1):
            if part > 0:
                body.append(
                    el(
                        "circle",
                        el("title", f"{line.title}: rank {r} in {100 * part:.3g} % of the draws"),
                        cx=axis.at(r),
                        cy=middle,
                        r=round(largest * math.sqrt(part), 2),
                        class_=f"blob k-{line.kind}",
                    )
                )
        if line.rank <= ranks:
            body.append(path(f"M{c(axis.at(line.rank))} {c(middle - 5)}v10", "median"))
        shown = ", ".join(f"rank {r} in {100 * part:.3g} %" for r, part in enumerate(line.frequency, 1) if part >= 0.05)
        words.append(f"{line.title}: {shown}")
    body += [
        text(axis.at(r), bottom + 15, str(r), "tick", "middle") for r in range(1, ranks + 1) if (r - 1) % every == 0
    ]
    body.append(text((axis.start + axis.end) / 2, bottom + 34, "Rank", "axis-name", "middle"))
    return chart(id, NARROW, bottom + 42, "How stable the ranks are", "; ".join(words) + ".", body, "stability")
