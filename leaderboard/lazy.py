"""Data that only some readers need: scripts that the board's tools load when they are used, which works from disk too."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from leaderboard import numbers
from leaderboard.tables import Tables
from leaderboard.views import BoardView, Line, about

COMPARED = 200
"""So many rows, the best ranked ones, can be compared case by case."""


def script(key: str, data: Any) -> bytes:
    """A script that hands over data. `<` is written so that no text can end an element, whatever the script is put into."""
    text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"radbench.receive({json.dumps(key)}, {text});\n".encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def further_rows(view: BoardView, first: int) -> bytes:
    """The rows that are not on the board's first page."""
    return script("rows", {"rows": [_row(line) for line in view.lines[first:]], "base": ""})


def _row(line: Line) -> dict[str, Any]:
    row = line.row
    return {
        "name": row.method.name,
        "title": row.method.title,
        "about": about(line),
        "kind": line.kind,
        "rank": row.rank,
        "rankText": line.rank,
        "rankSpan": line.rank_span,
        "tied": line.tied_text if line.tied else "",
        "flags": list(row.flags),
        "tiedWith": " ".join(row.tied_with[:60]),
        "valid": line.valid,
        "failed": row.failed,
        "seconds": row.seconds_median,
        "secondsText": numbers.seconds(row.seconds_median),
        "values": [[cell.aggregate.value, cell.aggregate.low, cell.aggregate.high] for cell in line.cells],
    }


def case_values(view: BoardView, tables: Tables) -> bytes:
    """Values of single cases by submission and metric, in one order of cases; null where a metric has none."""
    data = {}
    for r, line in enumerate(view.lines[:COMPARED]):
        columns = []
        for m, column in enumerate(view.columns):
            values = tables.values[r, :, m]
            columns.append(None if np.isnan(values).all() else [float(f"{v:.{column.places + 3}f}") for v in values])
        data[line.row.method.name] = columns
    return script("cases", data)
