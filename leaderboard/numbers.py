"""Numbers as people read them: digits by unit and by how wide the interval is, a real minus sign, ∞ in words of one sign."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache

from benchmark.contract import Aggregate

_DECIMALS = {"HU": 1, "dB": 1, "%": 1, "mm": 2, "s": 1, "ms": 0}
"""Decimals that the field writes for a unit; other units and plain ratios go by magnitude."""

_EXTRA = 2
"""At most so many further decimals where an interval is narrower than the last digit."""


def decimals(unit: str, aggregates: Iterable[Aggregate]) -> int:
    """Decimals for a whole column, so that its numbers line up and an interval is not rounded away.

    The unit says the least; a column whose median half-width is below one unit of the last digit gets up to two more.
    """
    items = list(aggregates)
    sizes = [abs(v) for a in items for v in (a.value, a.low, a.high) if math.isfinite(v)]
    largest = max(sizes, default=0.0)
    if unit in _DECIMALS:
        base = _DECIMALS[unit]
    elif largest < 10:
        base = 3
    else:
        base = max(0, 2 - math.floor(math.log10(largest)))
    halves = sorted((a.high - a.low) / 2 for a in items if math.isfinite(a.high - a.low) and a.high > a.low)
    if halves:
        needed = math.ceil(-math.log10(halves[len(halves) // 2]))
        return min(max(base, needed), base + _EXTRA)
    return base


def number(value: float, places: int) -> str:
    """Fixed decimals, with a minus sign (U+2212) that is as wide as a digit, and no negative zero."""
    if not math.isfinite(value):
        return "—" if math.isnan(value) else "∞" if value > 0 else "−∞"
    text = f"{value:.{places}f}"
    if text[0] != "-":
        return text
    return text[1:] if float(text) == 0 else f"−{text[1:]}"


def span(low: float, high: float, places: int) -> str:
    """An interval, with "to" where a dash beside a minus sign would be misread."""
    joint = " to " if low < 0 or high < 0 else "–"
    return f"{number(low, places)}{joint}{number(high, places)}"


def plain(value: float) -> str:
    """A declared number such as a window's end or a limit: as short as it can be."""
    text = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    return text.replace("-", "−") if math.isfinite(value) else number(value, 0)


def grouped(words: str) -> str:
    """Words whose integers of five digits and more are set in groups of three: `10,000 draws`."""
    return re.sub(r"(?<![\w.,])\d{5,}(?![\w.])", lambda found: f"{int(found[0]):,}", words)


def seconds(value: float | None) -> str:
    """A duration to two digits or so; a dash where none was measured."""
    if value is None:
        return "—"
    if value < 0.01:
        return "<0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def rank(value: float) -> str:
    """A rank: an integer unless the rule shares ranks."""
    return f"{value:g}"


def rank_span(low: float, high: float) -> str:
    """The ranks that the data allow: `2`, or `1–3`."""
    return rank(low) if low == high else f"{rank(low)}–{rank(high)}"


@lru_cache(maxsize=64)
def percent(level: float) -> str:
    """A confidence level: `95 %`, with a space that does not break."""
    return f"{100 * level:g}\u00a0%"
