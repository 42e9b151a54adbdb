"""The tidy per-case table as CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable

from benchmark.contract import Score

COLUMNS = ("case", "metric", "value", "unit", "status", "reason")
"""Columns of a per-case table."""


def scores_to_csv(scores: Iterable[Score]) -> str:
    """The tidy table as CSV; values with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for score in scores:
        writer.writerow([score.case, score.metric, repr(float(score.value)), score.unit, score.status, score.reason])
    return text.getvalue()


def scores_from_csv(text: str) -> list[Score]:
    """The inverse of `scores_to_csv`.

    A board of a thousand rows holds hundreds of thousands of these at once: what repeats (names, units, which fields were given) is
    held once.
    """
    return [_shared({**row, "value": float(row["value"])}) for row in csv.DictReader(io.StringIO(text))]


GIVEN = set(COLUMNS)
"""Which fields a row of a table gives: all. A set of its own would be most of what a record takes."""


def _shared(row: dict[str, object]) -> Score:
    score = Score.model_validate(
        {key: sys.intern(value) if isinstance(value, str) else value for key, value in row.items()}
    )
    if len(score.model_fields_set) == len(GIVEN):
        object.__setattr__(score, "__pydantic_fields_set__", GIVEN)
    return score
