"""One common scale a column, so that bars in different rows can be compared by eye."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.contract import Aggregate, MetricInfo

WIDTH = 132.0
"""Width of a bar's drawing in SVG units."""
PAD = 6.0
"""Room left and right of the scale, so that a dot at an end is not cut."""


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high`, drawn from `PAD` to `WIDTH - PAD`."""

    low: float
    high: float

    def x(self, value: float) -> float:
        """Position in SVG units, to a hundredth; what lies outside (only infinity can) is drawn at the end."""
        part = (value - self.low) / (self.high - self.low) if math.isfinite(value) else (1.0 if value > 0 else 0.0)
        return round(PAD + (WIDTH - 2 * PAD) * min(max(part, 0.0), 1.0), 2)

    @property
    def places(self) -> int:
        """Decimals that its ends need."""
        return next((p for p in range(7) if all(abs(v - round(v, p)) < 1e-9 for v in (self.low, self.high))), 6)


def scale_of(aggregates: Iterable[Aggregate], metric: MetricInfo | None = None) -> Scale | None:
    """The scale over all finite values and interval ends, rounded outwards to a step of 1, 2 or 5 times a power of ten.

    It never goes past what the metric can be. None where there is no finite value to draw.
    """
    values = [v for a in aggregates for v in (a.value, a.low, a.high) if math.isfinite(v)]
    if not values:
        return None
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(low), abs(high)):
        margin = 0.1 * abs(low) or 1.0  # all rows alike: the dot stands in the middle
        low, high = low - margin, high + margin
    step = _step((high - low) / 5)
    # Each end is rounded to 12 digits, else 3 × 0.1 is not 0.3 and the printed end would lie.
    below, above = (float(f"{k * step:.12g}") for k in (math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)))
    if metric is not None and metric.low is not None and below < metric.low <= low:
        below = metric.low
    if metric is not None and metric.high is not None and above > metric.high >= high:
        above = metric.high
    return Scale(below, above)


def _step(size: float) -> float:
    """The nearest of 1, 2, 5 × 10ᵏ at or above `size`."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= size * (1 - 1e-9))
