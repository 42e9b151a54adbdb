"""How much a reference model hangs on the seed of its training: figures of the validation split, never of the test split."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.contract import Method
from benchmark.contract.run import TrainingFigure
from leaderboard import numbers


@dataclass(frozen=True)
class SpreadLine:
    """One figure over the seeds."""

    title: str
    unit: str
    edition: str
    mean: str
    sd: str
    span: str
    values: str
    """The value of each seed, in the order of the seeds."""


def spread_lines(method: Method) -> tuple[SpreadLine, ...]:
    """The figures of a method's training seeds; empty where they were not measured."""
    return tuple(_line(figure) for figure in method.training.figures) if method.training else ()


def in_brief(method: Method, edition: str, metric: str) -> str:
    """One sentence on a metric; empty where it was not measured on that edition."""
    training = method.training
    found = (
        next((f for f in training.figures if (f.edition, f.metric) == (edition, metric)), None) if training else None
    )
    if training is None or found is None:
        return ""
    line = _line(found)
    return (
        f"spread over {len(training.seeds)} training seeds, validation split: {line.mean} ± {line.sd}"
        f"{' ' + line.unit if line.unit else ''} ({line.span})"
    )


def _line(figure: TrainingFigure) -> SpreadLine:
    places = _places(figure)
    return SpreadLine(
        figure.title,
        figure.unit,
        figure.edition,
        numbers.number(figure.mean, places),
        numbers.number(figure.sd, places),
        numbers.span(figure.low, figure.high, places),
        ", ".join(numbers.number(value, places) for value in figure.values),
    )


def _places(figure: TrainingFigure) -> int:
    """Decimals that show the first two digits of the standard deviation, within reason."""
    if not figure.sd > 0:
        return 3
    text = f"{figure.sd:.0e}"
    return min(max(1 - int(text[text.index("e") + 1 :]), 0), 4)
