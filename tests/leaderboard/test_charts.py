"""Charts are drawn to the scale that their own ticks say: every position is turned back into the value that it stands for."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from leaderboard.charts import bars, difference, rows, scatter
from leaderboard.charts.svg import Axis, el, round_out, round_out_log
from leaderboard.scale import PAD, WIDTH, Scale


def tree(drawn: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawn))


def find(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if kind in node.get("class", "").split()]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def reading(ticks: list[tuple[float, float]], log: bool = False):
    """From a coordinate to a value, by the first and the last tick: what a reader with a ruler would do."""
    (c0, v0), (c1, v1) = ticks[0], ticks[-1]
    a, b = (math.log(v0), math.log(v1)) if log else (v0, v1)

    def value(coordinate: float) -> float:
        found = a + (coordinate - c0) / (c1 - c0) * (b - a)
        return math.exp(found) if log else found

    return value


def place(node: ElementTree.Element) -> tuple[float, float]:
    x, y = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", node.get("transform", "")).groups()
    return float(x), float(y)


def test_scatter_is_to_scale_with_intervals_and_marks_what_lies_beyond() -> None:
    quality = scatter.Measure("mae", "MAE", "HU", "lower", 40, 100)
    cost = scatter.Measure("time", "Time", "s/case", "lower", 0.1, 20, log=True)
    points = [
        scatter.Point("a", "A", "generative", (0.5, 0.5, 0.5), (50, 45, 56), "A"),
        scatter.Point("b", "B", "learned", (7.0, 7.0, 7.0), (80, 78, 99), "B"),
        scatter.Point("c", "C", "traditional", (1.0, 1.0, 1.0), (433, 210, 760), "C"),
    ]
    root = tree(scatter.scatter("s", points, cost, quality))
    across, up = find(root, "x-axis")[0], find(root, "y-axis")[0]
    x = reading([(float(t.get("x")), number(t.text)) for t in find(across, "tick")], log=True)
    y = reading([(float(t.get("y")) - 4, number(t.text)) for t in find(up, "tick")])
    drawn = {p.get("data-name"): p for p in find(root, "point")}
    assert set(drawn) == {"a", "b", "c"}
    for point in points[:2]:
        px, py = place(drawn[point.name])
        assert x(px) == pytest.approx(point.x[0], rel=1e-3) and y(py) == pytest.approx(point.y[0], abs=0.01)
        down, top = re.search(r"M0 ([-\d.]+)V([-\d.]+)$", find(drawn[point.name], "whiskers")[0].get("d")).groups()
        assert y(py + float(down)) == pytest.approx(point.y[1], abs=0.01)
        assert y(py + float(top)) == pytest.approx(point.y[2], abs=0.01)
        assert "out" not in drawn[point.name].get("class").split()
    assert "out" in drawn["c"].get("class").split() and y(place(drawn["c"])[1]) == pytest.approx(100)


def test_kinds_of_model_differ_by_shape() -> None:
    from leaderboard.charts.svg import MARKERS

    assert len(set(MARKERS.values())) == len(MARKERS) == 4


def test_distribution_shows_every_case_and_the_quartiles() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(50, 3, 25), rng.normal(60, 4, 25)]
    lines = [rows.Cases("First", "learned", groups[0], 0), rows.Cases("Second", "generative", groups[1], 2)]
    root = tree(rows.distribution("d", lines, "MAE", "HU", "lower", 1))
    x = reading([(float(t.get("x")), number(t.text)) for t in find(root, "tick")])
    for group, dots, box, median in zip(
        groups, find(root, "dots"), find(root, "box"), find(root, "median"), strict=True
    ):
        shown = sorted(x(float(v)) for v in re.findall(r"M([-\d.]+) ", dots.get("d")))
        assert shown == pytest.approx(sorted(group), abs=0.02)
        q1, q2, q3 = np.quantile(group, [0.25, 0.5, 0.75])
        left = float(box.get("x"))
        assert x(left) == pytest.approx(q1, abs=0.02)
        assert x(left + float(box.get("width"))) == pytest.approx(q3, abs=0.03)
        assert x(float(re.match(r"M([-\d.]+)", median.get("d"))[1])) == pytest.approx(q2, abs=0.02)
    assert "2 failed" in "".join(root.itertext())


def test_distribution_counts_what_a_poor_row_puts_beyond_the_axis() -> None:
    good, poor = np.linspace(50, 60, 11), np.linspace(400, 900, 11)
    lines = [
        rows.Cases("A", "learned", good, 0),
        rows.Cases("B", "learned", good + 1, 0),
        rows.Cases("C", "other", poor, 0),
    ]
    root = tree(rows.distribution("d", lines, "MAE", "HU", "lower", 1))
    assert "11 beyond" in "".join(root.itertext())
    ticks = [number(t.text) for t in find(root, "tick")]
    assert max(ticks) < 100
    assert len(find(root, "dots")) == 2 and len(find(root, "beyond")) == 1


def test_critical_difference_places_mean_ranks_and_joins_only_what_is_tied_all_round() -> None:
    tied = [{1}, {0, 2}, {1}, set()]
    placed = [
        difference.Placed(f"M{i}", "learned", rank, frozenset(tied[i])) for i, rank in enumerate([1.2, 1.9, 2.6, 3.95])
    ]
    assert difference.groups(placed) == [(0, 1), (1, 2)]
    root = tree(difference.critical_difference("c", placed))
    x = reading([(float(t.get("x")), number(t.text)) for t in find(root, "tick")])
    assert sorted(x(place(m)[0]) for m in find(root, "mark")) == pytest.approx([1.2, 1.9, 2.6, 3.95], abs=0.01)
    bars_ = find(root, "clique")
    assert len(bars_) == 2
    for bar, (a, b) in zip(bars_, [(1.2, 1.9), (1.9, 2.6)], strict=True):
        assert x(float(bar.get("x1"))) < a < b < x(float(bar.get("x2")))
    # The two bars overlap at M1, so they lie on different levels.
    assert bars_[0].get("y1") != bars_[1].get("y1")


def test_all_tied_gives_one_bar_and_none_tied_gives_none() -> None:
    def some(tied: bool) -> list[difference.Placed]:
        others = [frozenset(set(range(4)) - {i}) if tied else frozenset() for i in range(4)]
        return [difference.Placed(str(i), "other", 1 + i / 10, others[i]) for i in range(4)]

    assert difference.groups(some(True)) == [(0, 3)] and difference.groups(some(False)) == []


def test_area_of_a_disc_is_the_part_of_the_draws() -> None:
    lines = [
        rows.Stability("A", "learned", [0.8, 0.2, 0.0], 1, 1, 2),
        rows.Stability("B", "generative", [0.2, 0.7, 0.1], 2, 1, 3),
        rows.Stability("C", "traditional", [0.0, 0.1, 0.9], 3, 2, 3),
    ]
    root = tree(rows.stability("r", lines, 3))
    x = reading([(float(t.get("x")), number(t.text)) for t in find(root, "tick")])
    discs = find(root, "blob")
    assert len(discs) == 7
    largest = max(float(d.get("r")) for d in discs)
    parts = [(round(x(float(d.get("cx")))), (float(d.get("r")) / largest) ** 2 * 0.9) for d in discs]
    wanted = [(r, p) for line in lines for r, p in enumerate(line.frequency, 1) if p]
    assert [r for r, _ in parts] == [r for r, _ in wanted]
    assert [p for _, p in parts] == pytest.approx([p for _, p in wanted], abs=0.01)
    spans = [(x(float(s.get("x1"))), x(float(s.get("x2")))) for s in find(root, "span")]
    assert np.array(spans) == pytest.approx(np.array([(1, 2), (1, 3), (2, 3)]), abs=0.01)


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5), st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted))
def test_a_bar_keeps_the_order_and_stays_inside(low: float, length: float, parts: list[float]) -> None:
    scale = Scale(low, low + length)
    triple = [low + length * p for p in parts]
    root = tree(bars.bar(scale, triple[1], triple[0], triple[2]))
    line, dot = find(root, "range")[0], find(root, "dot")[0]
    assert PAD <= float(line.get("x1")) <= float(dot.get("cx")) <= float(line.get("x2")) <= WIDTH - PAD
    assert not find(root, "beyond") and not find(root, "on")


def test_a_bar_beyond_its_scale_is_an_arrow_on_the_right_side() -> None:
    scale = Scale(40, 60)
    for value, right in ((433, True), (12, False), (math.inf, True), (-math.inf, False)):
        root = tree(bars.bar(scale, value, value - 1, value + 1))
        arrow = find(root, "beyond")[0].get("d")
        assert not find(root, "dot") and (float(re.match(r"M([-\d.]+)", arrow)[1]) > WIDTH / 2) is right
    cut = tree(bars.bar(scale, 55, 50, 75))
    assert find(cut, "dot") and len(find(cut, "on")) == 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_round_ends_hold_all_values(values: list[float]) -> None:
    low, high = round_out(values)
    slack = 1e-9 * max(abs(low), abs(high), 1)
    assert low - slack <= min(values) and max(values) <= high + slack and low < high
    ticks = Axis(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 14 and all(low - slack <= v <= high + slack for v, _ in ticks)


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=8))
def test_round_ends_of_a_logarithmic_axis(values: list[float]) -> None:
    low, high = round_out_log(values)
    assert 0 < low <= min(values) * (1 + 1e-9) and max(values) <= high * (1 + 1e-9) and low < high


def test_text_in_a_chart_is_escaped_and_cleaned() -> None:
    nasty = "<script>alert(1)</script>\x02\u202e\"'"
    made = el("text", nasty, data_name=nasty)
    root = tree(made)
    assert root.text == root.get("data-name") == "<script>alert(1)</script>\"'"
    assert "<script" not in str(made)
