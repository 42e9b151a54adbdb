"""Two measures against each other, one sign a submission. A script can move the signs: see `static/board.js`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.charts.svg import Axis, c, chart, el, marker, path, shorten, text

WIDTH, HEIGHT = 520.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 500.0, 16.0, 322.0
LABELLED = 10
"""With more submissions than this only the first ones are written beside their signs; all have a tooltip."""


@dataclass(frozen=True)
class Measure:
    """One axis: what it shows, and how."""

    id: str
    title: str
    unit: str
    better: str
    """`higher` or `lower`."""
    low: float
    high: float
    log: bool = False

    @property
    def name(self) -> str:
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    def axis(self, start: float, end: float) -> Axis:
        return Axis(self.low, self.high, start, end, self.log)


@dataclass(frozen=True)
class Point:
    """One submission."""

    name: str
    title: str
    kind: str
    x: tuple[float, float, float]
    """Value, lower and upper end of its interval."""
    y: tuple[float, float, float]
    words: str
    """What the tooltip says."""


def scatter(id: str, points: Sequence[Point], horizontal: Measure, vertical: Measure) -> Markup:
    """The plot; what lies beyond an axis stands hollow at its edge."""
    across, up = horizontal.axis(LEFT, RIGHT), vertical.axis(BOTTOM, TOP)
    xs, ys = across.ticks(6), up.ticks(6)
    body = [
        el(
            "g",
            path("".join(f"M{c(across.at(v))} {c(TOP)}V{c(BOTTOM)}" for v, _ in xs), "grid"),
            *(text(across.at(v), BOTTOM + 18, label, "tick", "middle") for v, label in xs),
            text((LEFT + RIGHT) / 2, BOTTOM + 42, _heading(horizontal, "→", "←"), "axis-name", "middle"),
            class_="x-axis",
        ),
        el(
            "g",
            path("".join(f"M{c(LEFT)} {c(up.at(v))}H{c(RIGHT)}" for v, _ in ys), "grid"),
            *(text(LEFT - 8, up.at(v) + 4, label, "tick", "end") for v, label in ys),
            el(
                "text",
                _heading(vertical, "↑", "↓", vertical=True),
                class_="axis-name",
                text_anchor="middle",
                transform=f"translate(14 {c((TOP + BOTTOM) / 2)}) rotate(-90)",
            ),
            class_="y-axis",
        ),
    ]
    places = place_labels([(across.at(p.x[0]), up.at(p.y[0]), p.title) for p in points[:LABELLED]])
    # The first are drawn last, so that they lie on top.
    for i, p in reversed(list(enumerate(points))):
        x, y = across.at(p.x[0]), up.at(p.y[0])
        out = across.outside(p.x[0]) or up.outside(p.y[0])
        whiskers = (
            f"M{c(across.at(p.x[1]) - x)} 0H{c(across.at(p.x[2]) - x)}M0 {c(up.at(p.y[1]) - y)}V{c(up.at(p.y[2]) - y)}"
        )
        label = []
        if i < LABELLED:
            dx, dy, anchor = places[i]
            label = [text(dx, dy, shorten(p.title, 24), "label", anchor)]
        body.append(
            el(
                "g",
                el("title", p.words),
                path(whiskers, f"whiskers k-{p.kind}"),
                marker(p.kind, 0.0, 0.0),
                *label,
                class_="point out" if out else "point",
                data_name=p.name,
                transform=f"translate({c(x)} {c(y)})",
            )
        )
    described = f"{horizontal.title} across, {vertical.title} up. " + "; ".join(p.words for p in points[:LABELLED])
    return chart(id, WIDTH, HEIGHT, f"{vertical.title} against {horizontal.title}", described + ".", body, "scatter")


def _heading(measure: Measure, more: str, less: str, *, vertical: bool = False) -> str:
    arrow = more if measure.better == "higher" else less
    if vertical:  # turned by a quarter, the arrow along the text points up or down by itself
        arrow = "→" if measure.better == "higher" else "←"
    return f"{measure.name}, {measure.better} is better {arrow}"


def place_labels(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Offset and anchor of each label: right, left, above or below its sign or in a corner, where it meets the fewest others."""
    boxes: list[tuple[float, float, float, float]] = [(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points]
    chosen = []
    for x, y, title in points:
        wide = 6.6 * min(len(title), 24) + 4  # some air, so that two labels do not read as one
        options = [
            (9.0, 4.0, "start", (x + 9, y - 8, x + 9 + wide, y + 6)),
            (-9.0, 4.0, "end", (x - 9 - wide, y - 8, x - 9, y + 6)),
            (0.0, -11.0, "middle", (x - wide / 2, y - 23, x + wide / 2, y - 9)),
            (0.0, 20.0, "middle", (x - wide / 2, y + 8, x + wide / 2, y + 22)),
            (-9.0, -11.0, "end", (x - 9 - wide, y - 23, x - 9, y - 9)),
            (-9.0, 20.0, "end", (x - 9 - wide, y + 8, x - 9, y + 22)),
            (9.0, -11.0, "start", (x + 9, y - 23, x + 9 + wide, y - 9)),
            (9.0, 20.0, "start", (x + 9, y + 8, x + 9 + wide, y + 22)),
        ]
        best = min(options, key=lambda option: _crowd(option[3], boxes))
        boxes.append(best[3])
        chosen.append((best[0], best[1], best[2]))
    return chosen


def _crowd(box: tuple[float, float, float, float], others: Sequence[tuple[float, float, float, float]]) -> float:
    """Area that a label shares with signs and labels; what sticks out of the plot, and may be cut off, weighs more than any of that."""
    shared = sum(
        max(0.0, min(box[2], o[2]) - max(box[0], o[0])) * max(0.0, min(box[3], o[3]) - max(box[1], o[1]))
        for o in others
    )
    return shared + 200 * (max(0.0, LEFT - box[0]) + max(0.0, box[2] - RIGHT) + max(0.0, TOP - box[1]))
