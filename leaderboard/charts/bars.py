"""An interval drawn into a table cell, and the same at larger size with ticks."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from leaderboard.charts.svg import Axis, c, el, marker, text
from leaderboard.scale import PAD, WIDTH, Scale, Side

HEIGHT = 16
END = WIDTH - PAD

_ENDS = f'<path class="ends" d="M{c(PAD)} 1v14M{c(END)} 1v14"/><path class="base" d="M{c(PAD)} 8H{c(END)}"/>'
_HEAD = f'<svg class="bar" viewBox="0 0 {c(WIDTH)} {HEIGHT}" width="{c(WIDTH)}" height="{HEIGHT}" aria-hidden="true">'
ARROWS: dict[Side, str] = {
    "low": f"M{c(PAD - 7)} 8l7 -4.5v9z",
    "high": f"M{c(END + 7)} 8l-7 -4.5v9z",
}
"""What stands for a value beyond an end of the scale."""
_GOES_ON: dict[Side, str] = {
    "low": f"M{c(PAD - 1)} 5l-3.5 3l3.5 3",
    "high": f"M{c(END + 1)} 5l3.5 3l-3.5 3",
}


def bar(scale: Scale | None, value: float, low: float, high: float) -> Markup:
    """A line for the interval, a dot for the value, faint ends of the scale; beyond the scale an arrow instead of the dot."""
    if scale is None:
        return Markup("")
    side = scale.side(value)
    parts = [_HEAD, _ENDS]
    parts.append(f'<line class="range" x1="{c(scale.x(low))}" x2="{c(scale.x(high))}" y1="8" y2="8"/>')
    for end, position in ((scale.side(low), low), (scale.side(high), high)):
        if end and not side and abs(position) != float("inf"):
            parts.append(f'<path class="on" d="{_GOES_ON[end]}"/>')
    if side:
        parts.append(f'<path class="beyond" d="{ARROWS[side]}"/>')
    else:
        parts.append(f'<circle class="dot" cx="{c(scale.x(value))}" cy="8" r="4"/>')
    parts.append("</svg>")
    return Markup("".join(parts))


def wide(axis: Axis, kind: str, value: float, low: float, high: float, width: float) -> Markup:
    """The same for the front's figure: larger, on an axis of its own, with the sign of the kind of model."""
    y = 11.0
    ticks = "".join(f"M{c(axis.at(v))} 0v22" for v, _ in axis.ticks())
    return el(
        "svg",
        el("path", d=ticks, class_="grid"),
        el("line", x1=axis.at(low), x2=axis.at(high), y1=y, y2=y, class_=f"range k-{kind}"),
        marker(kind, axis.at(value), y),
        class_="bar wide",
        view_box=f"0 0 {c(width)} 22",
        width=c(width),
        height="22",
        aria_hidden="true",
    )


def tick_row(axis: Axis, width: float, ticks: Sequence[tuple[float, str]] | None = None) -> Markup:
    """The labels of an axis on a line of their own."""
    shown = axis.ticks() if ticks is None else ticks
    return el(
        "svg",
        *(text(axis.at(v), 11, label, "tick", "middle") for v, label in shown),
        class_="bar wide",
        view_box=f"0 0 {c(width)} 15",
        width=c(width),
        height="15",
        aria_hidden="true",
    )
