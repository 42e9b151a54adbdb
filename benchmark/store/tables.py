"""The tidy per-case table as CSV."""

from __future__ import annotations

import csv
import io
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
    """The inverse of `scores_to_csv`."""
    return [Score.model_validate({**row, "value": float(row["value"])}) for row in csv.DictReader(io.StringIO(text))]
