"""Digits by unit and interval; scales that hold everything and are written as they are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.contract import Aggregate, MetricInfo
from leaderboard import numbers
from leaderboard.scale import PAD, WIDTH, scale_of


def aggregate(value: float, low: float, high: float) -> Aggregate:
    return Aggregate(metric="m", value=value, low=low, high=high, n=5)


@pytest.mark.parametrize(
    ("unit", "triple", "expected"),
    [
        ("HU", (71.46, 68.0, 75.0), "71.5"),
        ("dB", (29.31, 28.0, 30.0), "29.3"),
        ("", (0.9412, 0.93, 0.95), "0.941"),
        ("", (0.94123, 0.9410, 0.9414), "0.9412"),  # an interval narrower than the third decimal brings the fourth
        ("mm", (3.217, 2.0, 4.0), "3.22"),
        ("ml", (1523.4, 1400.0, 1600.0), "1523"),
        ("HU", (-0.01, -0.9, 0.9), "0.0"),  # no negative zero
        ("HU", (-12.34, -20.0, -5.0), "−12.3"),
    ],
)
def test_digits(unit: str, triple: tuple[float, float, float], expected: str) -> None:
    item = aggregate(*triple)
    assert numbers.number(item.value, numbers.decimals(unit, [item])) == expected


def test_words_for_what_is_no_plain_number() -> None:
    assert numbers.number(math.inf, 1) == "∞"
    assert numbers.number(-math.inf, 1) == "−∞"
    assert numbers.span(1.0, 3.0, 1) == "1.0–3.0"
    assert numbers.span(-1.0, 3.0, 1) == "−1.0 to 3.0"
    assert numbers.rank_span(1, 3) == "1–3"
    assert numbers.rank_span(2, 2) == "2"
    assert numbers.plain(-160.0) == "−160"
    assert [numbers.seconds(s) for s in (0.001, 0.423, 12.34, 345.6)] == ["<0.01", "0.42", "12.3", "346"]


@given(
    st.lists(
        st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False)] * 3)
        .map(sorted)
        .filter(lambda t: t[2] - t[0] > 1e-3 or t[0] == t[2]),
        min_size=1,
        max_size=6,
    )
)
def test_a_scale_holds_all_and_keeps_order(triples: list[list[float]]) -> None:
    items = [aggregate(mid, low, high) for low, mid, high in triples]
    scale = scale_of(items)
    assert scale is not None
    slack = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - slack <= a.low and a.high <= scale.high + slack for a in items)
    assert PAD <= scale.x(items[0].low) <= scale.x(items[0].value) <= scale.x(items[0].high) <= WIDTH - PAD


def test_a_scale_wastes_little_and_ends_on_round_numbers() -> None:
    scale = scale_of([aggregate(71.5, 68.2, 75.1), aggregate(88.0, 84.0, 91.7)])
    assert scale is not None and (scale.low, scale.high) == (65, 95)
    assert scale_of([aggregate(math.inf, math.inf, math.inf)]) is None
    alone = scale_of([aggregate(5.0, 5.0, 5.0)])
    assert alone is not None and alone.x(5.0) == WIDTH / 2
    open_ended = scale_of([aggregate(40.0, 30.0, math.inf)])
    assert open_ended is not None and open_ended.x(math.inf) == WIDTH - PAD


def test_rows_that_are_all_perfect_do_not_stretch_the_scale_past_what_can_be() -> None:
    best = MetricInfo(
        id="m", name="m", title="M", unit="", direction="higher", low=0, high=1, worst="0", definition="d", citation="c"
    )
    scale = scale_of([aggregate(1.0, 1.0, 1.0)] * 3, best)
    assert scale is not None and scale.high == 1.0 and scale.low < 1.0
    none = scale_of([aggregate(0.0, 0.0, 0.0)] * 3, best)
    assert none is not None and none.low == 0.0 and none.high > 0.0
