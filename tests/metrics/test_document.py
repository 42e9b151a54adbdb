"""The metrics page is what the declarations say."""

from __future__ import annotations

import pytest

from benchmark.metrics import REGISTRY, document
from benchmark.metrics.registry import Metric


def test_the_page_is_current():
    text = document.TARGET.read_text(encoding="utf-8")
    assert text == document.render(), "run `python -m benchmark.metrics.document`"


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_declarations_are_complete(name):
    metric = REGISTRY[name]
    assert metric.name == name and metric.title and metric.family
    assert metric.definition.endswith(".") and "\n" not in metric.definition
    assert metric.citation.strip()
    assert metric.range[0] < metric.range[1]
    if not isinstance(metric.worst, str):
        assert metric.range[0] <= metric.worst <= metric.range[1]
    assert metric.level == "case" or metric.reduce is not None
    assert metric.needs <= {"mask", "spacing"}


def test_every_fact_is_on_the_page():
    made_up = Metric(
        name="made_up",
        title="Made up",
        family="new_family",
        unit="mm",
        direction="lower",
        range=(-1.5, float("inf")),
        worst="diagonal",
        definition="Nothing.",
        citation="Nobody 1900",
        needs=frozenset({"spacing"}),
        options={"side": 3, "mode": "plain", "labels": None, "rates": (1.0, 2.5), "strict": False},
        compute=lambda inputs: None,
    )
    page = document.render([made_up])
    for fact in (
        "## new_family",
        "### `made_up`: Made up",
        "lower is better; range −1.5 to ∞ mm; worst value diagonal; one value a case; needs spacing",
        '`side = 3`, `mode = "plain"`, `labels = (absent)`, `rates = [1.0, 2.5]`, `strict = false`',
        "source: Nobody 1900",
    ):
        assert fact in page
