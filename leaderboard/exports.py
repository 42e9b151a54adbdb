"""Tables and citations to take away: tidy CSV and JSON of all values, BibTeX of a row. Untrusted text is made harmless."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from benchmark.contract import Board, Row, Score

KIND = {"phantom": "phantom", "real": "real sample"}
"""What the data are called wherever their scores show."""

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""A spreadsheet takes a text cell that starts with one of these for a formula."""

_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
}  # fmt: skip


def clean(text: str) -> str:
    """Text without control characters and without the marks that turn the direction of writing, which can disguise a name.

    Line feed and tab stay.
    """
    return "".join(
        c for c in text if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING)
    )


def cell(value: object) -> object:
    """A CSV cell: numbers as they are, at full precision; text cleaned, and quoted where a spreadsheet would run it."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str):
        return value
    text = clean(value)
    return "'" + text if text.lstrip(" ").startswith(_FORMULA) else text


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV as RFC 4180 has it, but with plain line feeds; UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([cell(value) for value in row])
    return text.getvalue().encode("utf-8")


def json_bytes(value: Any) -> bytes:
    """Sorted, indented JSON. It has no infinity, so infinite values are the strings "inf" and "-inf"."""
    return (json.dumps(_finite(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return clean(value) if isinstance(value, str) else value


CASE_COLUMNS = (
    "task",
    "task_version",
    "data",
    "edition",
    "split",
    "submission",
    "case",
    "metric",
    "value",
    "unit",
    "status",
    "reason",
)


def _case_rows(board: Board, tables: Iterable[tuple[str, Sequence[Score]]]) -> list[tuple[object, ...]]:
    data = board.dataset
    head = (board.task.name, board.task.version, KIND[data.kind], data.edition, board.split)
    return [
        (*head, name, s.case, s.metric, s.value, s.unit, s.status, s.reason) for name, scores in tables for s in scores
    ]


def cases_csv(board: Board, tables: Sequence[tuple[str, Sequence[Score]]]) -> bytes:
    """The tidy per-case table: one row a submission, case and metric. Tables are pairs of submission name and scores."""
    return table(CASE_COLUMNS, _case_rows(board, tables))


def cases_json(board: Board, tables: Sequence[tuple[str, Sequence[Score]]]) -> bytes:
    """The same rows as a list of objects."""
    return json_bytes([dict(zip(CASE_COLUMNS, row, strict=True)) for row in _case_rows(board, tables)])


AGGREGATE_COLUMNS = (
    "task", "task_version", "data", "edition", "split", "submission", "title", "family", "rank", "rank_low", "rank_high",
    "tied_with", "metric", "unit", "direction", "value", "low", "high", "level", "n", "n_worst", "n_excluded", "median",
    "interval", "failed", "seconds_median", "digest", "scorer",
)  # fmt: skip


def aggregates_csv(board: Board) -> bytes:
    """The board: one row a submission and metric."""
    data = board.dataset
    info = {metric.id: metric for metric in board.metrics}
    head = (board.task.name, board.task.version, KIND[data.kind], data.edition, board.split)
    return table(
        AGGREGATE_COLUMNS,
        [
            (
                *head, row.method.name, row.method.title, row.method.family, row.rank, row.rank_low, row.rank_high,
                " ".join(row.tied_with), a.metric, info[a.metric].unit, info[a.metric].direction, a.value, a.low, a.high,
                a.level, a.n, a.n_worst, a.n_excluded, a.median, a.method, row.failed, row.seconds_median, row.digest,
                board.scorer,
            )
            for row in board.rows
            for a in row.aggregates
        ],
    )  # fmt: skip


def board_json(board: Board) -> bytes:
    """The whole record: task, data edition, metrics, rows."""
    return json_bytes(board.model_dump(exclude={"dataset": {"files"}}))


def row_json(board: Board, row: Row) -> bytes:
    """One row with what is needed to read it alone."""
    kept = board.model_dump(exclude={"rows": True, "dataset": {"files"}})
    return json_bytes({**kept, "row": row.model_dump()})


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped, on one line."""
    return re.sub(r"\s+", " ", "".join(_LATEX.get(c, c) for c in clean(text))).strip()


def bibtex(board: Board, row: Row, edition: str, year: str) -> str:
    """A BibTeX entry for one row of one edition; `edition` and `year` may be placeholders."""
    method, data = row.method, board.dataset
    fields = {
        "author": f"{{{latex(method.team or 'The radbench developers')}}}",
        "title": f"{{{latex(f'{method.title} on {board.task.title}')}}}",
        "howpublished": f"radbench leaderboard, edition {edition}",
        "year": year,
        "note": latex(
            f"Task {board.task.name} version {board.task.version}, data {data.edition} ({KIND[data.kind]}), "
            f"split {board.split}, run {row.digest}, scorer {board.scorer}"
        ),
    }
    key = re.sub(r"[^A-Za-z0-9]+", "-", f"radbench-{board.task.name}-{method.name}")
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{key}-{edition},\n{body}\n}}\n"
