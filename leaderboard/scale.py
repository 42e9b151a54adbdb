"""One common scale a column, so that bars in different rows can be compared by eye.

A row that is far worse than the rest would stretch the scale until the intervals of the good rows vanish behind their dots.
So a scale may leave out the poorest rows: they are drawn as an arrow at the end at which they lie, with their number in
full beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.contract import Aggregate, MetricInfo

WIDTH = 132.0
"""Width of a bar's drawing in SVG units."""
PAD = 8.0
"""Room left and right of the scale, for a dot at an end and for the arrow of what lies beyond it."""

SEEN = 0.14
"""The median interval of the rows that a scale is made for should span at least this part of it: twice the dot's width."""
STRETCH = 8.0
"""Where rows have no interval, the poorest are left out if they make the scale this many times as long."""

Side = Literal["", "low", "high"]


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high`, drawn from `PAD` to `WIDTH - PAD`."""

    low: float
    high: float

    def x(self, value: float) -> float:
        """Position in SVG units, to a hundredth; what lies outside is drawn at the end (see `side`)."""
        part = (value - self.low) / (self.high - self.low) if math.isfinite(value) else (1.0 if value > 0 else 0.0)
        return round(PAD + (WIDTH - 2 * PAD) * min(max(part, 0.0), 1.0), 2)

    def side(self, value: float) -> Side:
        """Beyond which end the value lies; empty where it is on the scale."""
        slack = 1e-9 * (self.high - self.low)
        return "low" if value < self.low - slack else "high" if value > self.high + slack else ""

    @property
    def places(self) -> int:
        """Decimals that its ends need."""
        return next((p for p in range(7) if all(abs(v - round(v, p)) < 1e-9 for v in (self.low, self.high))), 6)


def scale_of(aggregates: Iterable[Aggregate], metric: MetricInfo | None = None) -> Scale | None:
    """The scale over the finite values and interval ends of the rows that `kept` names, rounded outwards to 1, 2 or 5 × 10ᵏ.

    It never goes past what the metric can be. None where there is no finite value to draw.
    """
    items = list(aggregates)
    values = _values(items if metric is None else kept(items, metric.direction)) or _values(items)
    if not values:
        return None
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(low), abs(high)):
        margin = 0.1 * abs(low) or 1.0  # all rows alike: the dot stands in the middle
        low, high = low - margin, high + margin
    step = nice((high - low) / 5)
    # Each end is rounded to 12 digits, else 3 × 0.1 is not 0.3 and the printed end would lie.
    below, above = (float(f"{k * step:.12g}") for k in (math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)))
    if metric is not None and metric.low is not None and below < metric.low <= min(values):
        below = metric.low
    if metric is not None and metric.high is not None and above > metric.high >= max(values):
        above = metric.high
    return Scale(below, above)


def kept(aggregates: Sequence[Aggregate], direction: Literal["higher", "lower"]) -> list[Aggregate]:
    """The rows that the scale is made for: all, or all but the poorest, and never fewer than half of them or than two.

    The fewest rows are left out that let the median interval of the better half be seen (`SEEN`). None is left out where that
    would not shorten the scale to a half.
    """
    sign = 1 if direction == "lower" else -1
    rows = sorted((a for a in aggregates if math.isfinite(a.value)), key=lambda a: sign * a.value)
    fewest = min(len(rows), max(2, math.ceil(len(rows) / 2)))
    if len(rows) == fewest:
        return rows
    lengths = _lengths(rows)
    widths = sorted(a.high - a.low for a in rows[:fewest] if math.isfinite(a.high - a.low))
    typical = widths[len(widths) // 2] if widths else 0.0
    most = typical / SEEN if typical > 0 else max(lengths[-1] / STRETCH, lengths[fewest - 1])
    count = next((n for n in range(len(rows), fewest, -1) if lengths[n - 1] <= most), fewest)
    return rows[:count] if 2 * lengths[count - 1] <= lengths[-1] else rows


def _values(aggregates: Sequence[Aggregate]) -> list[float]:
    return [v for a in aggregates for v in (a.value, a.low, a.high) if math.isfinite(v)]


def _lengths(rows: Sequence[Aggregate]) -> list[float]:
    """How long a scale for the first row would be, for the first two, for the first three …"""
    low, high, lengths = math.inf, -math.inf, []
    for a in rows:
        for v in (a.value, a.low, a.high):
            if math.isfinite(v):
                low, high = min(low, v), max(high, v)
        lengths.append(high - low)
    return lengths


def nice(size: float) -> float:
    """The nearest of 1, 2, 5 × 10ᵏ at or above `size`, a positive number."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= size * (1 - 1e-9))
