"""FROC and ROC: a line a submission, drawn over each other, named at the side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard import numbers
from leaderboard.charts.svg import Axis, c, chart, el, marker, path, shorten, text

WIDTH, HEIGHT = 570.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 372.0, 16.0, 322.0
LINES = 8
"""So many submissions are drawn, the best ranked ones; more could not be told apart."""

DASHES = ("", "7 4", "2 3", "8 3 2 3")
"""Line styles: of several submissions of one kind the first has a whole line, the next a dashed one, and so on."""

RATES = ((0.125, "1/8"), (0.25, "1/4"), (0.5, "1/2"), (1.0, "1"), (2.0, "2"), (4.0, "4"), (8.0, "8"))
"""False positives a scan at which CPM averages, and how they are written."""


@dataclass(frozen=True)
class Drawn:
    """The curve of one submission."""

    title: str
    kind: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    """Intervals at the seven rates; empty where there are none."""
    high: Sequence[float] = ()


def at_rates(curve: Drawn) -> list[float]:
    """Sensitivity at the seven rates."""
    return [curve.y[min(range(len(curve.x)), key=lambda i: abs(curve.x[i] - rate))] for rate, _ in RATES]


def froc(id: str, curves: Sequence[Drawn]) -> Markup:
    """Sensitivity over false positives a scan from 1/8 to 8, on a logarithmic axis, with intervals at the seven rates of CPM."""
    across, up = Axis(RATES[0][0], RATES[-1][0], LEFT, RIGHT, log=True), Axis(0.0, 1.0, BOTTOM, TOP)
    body = _axes(across, up, RATES, "False positives a scan", "Sensitivity")
    for i, curve in reversed(list(enumerate(curves[:LINES]))):
        body.append(_line(across, up, curve, _dash(curves, i)))
        for (rate, _), value, span in zip(RATES, at_rates(curve), _spans(curve), strict=True):
            if span is not None:
                # Beside each other by a pixel or two, so that intervals do not hide one another.
                x = across.at(rate) + 2.0 * (i - (min(len(curves), LINES) - 1) / 2)
                body.append(path(f"M{c(x)} {c(up.at(span[0]))}V{c(up.at(span[1]))}", f"whiskers k-{curve.kind}"))
            body.append(marker(curve.kind, across.at(rate), up.at(value)))
    body += _names(curves, [up.at(curve.y[-1]) for curve in curves[:LINES]])
    words = "; ".join(
        f"{curve.title}: "
        + ", ".join(f"{numbers.number(v, 2)} at {name}" for (_, name), v in zip(RATES, at_rates(curve), strict=True))
        for curve in curves[:LINES]
    )
    return chart(id, WIDTH, HEIGHT, "FROC: sensitivity over false positives a scan", f"{words}.", body, "curves")


def roc(id: str, title: str, curves: Sequence[Drawn]) -> Markup:
    """True-positive over false-positive rate; the diagonal is what guessing gives."""
    across, up = Axis(0.0, 1.0, LEFT, RIGHT), Axis(0.0, 1.0, BOTTOM, TOP)
    ticks = [(k / 5, f"{k / 5:.1f}") for k in range(6)]
    body = _axes(across, up, ticks, "False-positive rate", "True-positive rate")
    body.append(path(f"M{c(LEFT)} {c(BOTTOM)}L{c(RIGHT)} {c(TOP)}", "chance"))
    for i, curve in reversed(list(enumerate(curves[:LINES]))):
        body.append(_line(across, up, curve, _dash(curves, i)))
    # Lines meet in the corner; the names stand beside where they are farthest apart.
    body += _names(curves, [up.at(curve.y[len(curve.y) // 10]) for curve in curves[:LINES]], leaders=False)
    words = "; ".join(
        f"{curve.title}: {numbers.number(curve.y[len(curve.y) // 10], 2)} at a false-positive rate of 0.1"
        for curve in curves[:LINES]
    )
    return chart(id, WIDTH, HEIGHT, title, f"{words}.", body, "curves")


def _axes(across: Axis, up: Axis, ticks: Sequence[tuple[float, str]], x: str, y: str) -> list[Markup]:
    levels = [(k / 5, f"{k / 5:.1f}") for k in range(6)]
    return [
        path("".join(f"M{c(across.at(v))} {c(TOP)}V{c(BOTTOM)}" for v, _ in ticks), "grid"),
        path("".join(f"M{c(LEFT)} {c(up.at(v))}H{c(RIGHT)}" for v, _ in levels), "grid"),
        *(text(across.at(v), BOTTOM + 18, label, "tick", "middle") for v, label in ticks),
        *(text(LEFT - 8, up.at(v) + 4, label, "tick", "end") for v, label in levels),
        text((LEFT + RIGHT) / 2, BOTTOM + 42, x, "axis-name", "middle"),
        el(
            "text", y, class_="axis-name", text_anchor="middle",
            transform=f"translate(14 {c((TOP + BOTTOM) / 2)}) rotate(-90)",
        ),
    ]  # fmt: skip


def _line(across: Axis, up: Axis, curve: Drawn, dash: str) -> Markup:
    points = "L".join(f"{c(across.at(x))} {c(up.at(y))}" for x, y in zip(curve.x, curve.y, strict=True))
    return el("path", d=f"M{points}", class_=f"trace k-{curve.kind}", stroke_dasharray=dash or None)


def _dash(curves: Sequence[Drawn], index: int) -> str:
    before = sum(curve.kind == curves[index].kind for curve in curves[:index])
    return DASHES[before % len(DASHES)]


def _spans(curve: Drawn) -> list[tuple[float, float] | None]:
    if len(curve.low) != len(RATES) or len(curve.high) != len(RATES):
        return [None] * len(RATES)
    return list(zip(curve.low, curve.high, strict=True))


def _names(curves: Sequence[Drawn], ends: Sequence[float], *, leaders: bool = True) -> list[Markup]:
    """Titles at the right, in the order of the lines' ends, moved apart; a thin line leads from each curve to its name."""
    order = sorted(range(len(ends)), key=lambda i: (ends[i], i))
    places: dict[int, float] = {}
    lowest = TOP - 8
    for i in order:
        lowest = max(ends[i], lowest + 16)
        places[i] = lowest
    overflow = max(0.0, lowest - BOTTOM)
    found = []
    for i in order:
        y = places[i] - overflow
        if leaders:
            found.append(path(f"M{c(RIGHT + 2)} {c(ends[i])}L{c(RIGHT + 14)} {c(y)}", "leader"))
        found.append(
            el(
                "path",
                d=f"M{c(RIGHT + 16)} {c(y)}h16",
                class_=f"trace k-{curves[i].kind}",
                stroke_dasharray=_dash(curves, i) or None,
            )
        )
        found.append(marker(curves[i].kind, RIGHT + 24, y))
        found.append(text(RIGHT + 37, y + 4, shorten(curves[i].title, 24), "label"))
    return found
