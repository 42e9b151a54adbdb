"""The little that every chart needs: elements with escaped text, coordinates to a hundredth, linear and logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from leaderboard import numbers
from leaderboard.exports import clean
from leaderboard.scale import nice


def c(value: float) -> str:
    """A coordinate, to a hundredth and no longer than need be."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def el(tag: str, *children: Markup | str, **attributes: object) -> Markup:
    """One element. Text is cleaned and escaped; `class_` and `view_box` stand for what Python or SVG would not allow as names.

    Attributes that are None are left out; floats are written as coordinates; `_` in a name becomes `-`.
    """
    parts = []
    for name, value in attributes.items():
        if value is None:
            continue
        name = {"class_": "class", "view_box": "viewBox", "for_": "for"}.get(name, name.replace("_", "-"))
        parts.append(f' {name}="{c(value) if isinstance(value, float) else escape(clean(str(value)))}"')
    inner = "".join(child if isinstance(child, Markup) else escape(clean(child)) for child in children)
    return Markup(f"<{tag}{''.join(parts)}>{inner}</{tag}>")


def text(x: float, y: float, words: str, kind: str = "", anchor: str | None = None) -> Markup:
    """A line of text; `anchor` is start (default), middle or end."""
    return el("text", words, x=float(x), y=float(y), class_=kind or None, text_anchor=anchor)


def path(d: str, kind: str) -> Markup:
    """A path of our own making."""
    return el("path", d=d, class_=kind)


def chart(
    id: str, width: float, height: float, title: str, description: str, body: Iterable[Markup], kind: str = ""
) -> Markup:
    """A whole drawing with its name and description for those who do not see it."""
    return el(
        "svg",
        el("title", title, id=f"{id}-t"),
        el("desc", description, id=f"{id}-d"),
        *body,
        id=id,
        class_=f"chart {kind}".strip(),
        view_box=f"0 0 {c(width)} {c(height)}",
        width=c(width),
        height=c(height),
        role="img",
        aria_labelledby=f"{id}-t {id}-d",
    )


def shorten(words: str, limit: int) -> str:
    """Text of at most `limit` characters, cut with an ellipsis."""
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


MARKERS = {
    "traditional": "M-4.6 -4.6h9.2v9.2h-9.2z",
    "learned": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "generative": "M0 -6.2L6 4.4H-6z",
    "other": "M0 -6L6 0L0 6L-6 0z",
}
"""Outlines around (0, 0), one a kind of model, so that kinds differ by shape and not by colour alone."""


def marker(kind: str, x: float, y: float, **attributes: object) -> Markup:
    """The sign of a kind of model at a place."""
    return el("path", d=MARKERS[kind], class_=f"mark k-{kind}", transform=f"translate({c(x)} {c(y)})", **attributes)


@dataclass(frozen=True)
class Axis:
    """From values to coordinates: `low` lies at `start`, `high` at `end` (which may be smaller, as up a page)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Coordinate of a value, to a hundredth; beyond the ends it is held at the end."""
        if self.log:
            part = math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low) if math.isfinite(value) else float(value > 0)
        return round(self.start + (self.end - self.start) * min(max(part, 0.0), 1.0), 2)

    def outside(self, value: float) -> bool:
        """Whether the value lies beyond an end."""
        slack = 1e-9 * (self.high - self.low)
        return not self.low - slack <= value <= self.high + slack

    def ticks(self, about: int = 5) -> list[tuple[float, str]]:
        """Values for tick marks with their labels: round numbers on the axis, `about` as many."""
        if self.log:
            return log_ticks(self.low, self.high)
        step = nice((self.high - self.low) / about)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(float(f"{k * step:.12g}"), numbers.number(k * step, places)) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """1, 10, 100 …, with 2 and 5 between where the axis spans less than about two decades, and all digits on a short axis."""
    steps: Sequence[int] = range(1, 10) if high / low <= 5 else (1, 2, 5) if high / low < 200 else (1,)
    found = []
    for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1):
        for step in steps:
            value = float(f"{step * 10.0**power:.12g}")
            if low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
                found.append((value, numbers.plain(value)))
    return found


def round_out(values: Iterable[float], about: int = 5) -> tuple[float, float]:
    """The finite values' range, rounded outwards to round numbers; (0, 1) where there are none."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return (0.0, 1.0)
    low, high = min(finite), max(finite)
    if high - low < 1e-12 * max(1.0, abs(low), abs(high)):
        margin = 0.1 * abs(low) or 1.0
        low, high = low - margin, high + margin
    step = nice((high - low) / about)
    return (
        float(f"{math.floor(low / step + 1e-9) * step:.12g}"),
        float(f"{math.ceil(high / step - 1e-9) * step:.12g}"),
    )


def round_out_log(values: Iterable[float]) -> tuple[float, float]:
    """The positive values' range rounded outwards to 1, 2 or 5 × 10ᵏ; (1, 10) where there are none."""
    positive = [v for v in values if math.isfinite(v) and v > 0]
    if not positive:
        return (1.0, 10.0)
    high = nice(max(positive))
    low_power = 10.0 ** math.floor(math.log10(min(positive)))
    low = next(low_power * m for m in (5, 2, 1) if low_power * m <= min(positive) * (1 + 1e-9))
    return (float(f"{low:.12g}"), float(f"{high if high > low else 10 * low:.12g}"))
