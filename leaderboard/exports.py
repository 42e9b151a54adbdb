"""Tables to take away: tidy CSV and JSON of every value, per board and per row. Untrusted text is made harmless.

The per-case table of a submission is written once and serves its own page and, joined to the others, the board's.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from benchmark import release
from benchmark.contract import Aggregate, Board, MetricInfo, Row, Score
from benchmark.scoring import drawing_groups
from benchmark.statistics import bootstrap
from leaderboard.measured import Shape, by_columns
from leaderboard.records import BoardData

KIND = {"phantom": "phantom", "real": "real sample"}
"""What the data are called wherever their scores show."""

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""A spreadsheet takes a text cell that starts with one of these for a formula."""

_INNER_FORMULA = re.compile("([;\t\n|])(?=[\\s\"']*[=+\\-@＝＋－＠])")
"""Where a spreadsheet of another locale may see the start of a cell: it splits at semicolons or tabs."""

_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

_QUOTED = re.compile('[",\r\n]')


def clean(text: str) -> str:
    """Text without control characters and without the marks that turn the direction of writing, which can disguise a name.

    Line feed and tab stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c for c in text if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING)
    )


def cell(value: object) -> object:
    """A CSV cell: numbers as they are, at full precision; text cleaned, and quoted where a spreadsheet would run it."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str):
        return value
    return _text_cell(value)


@lru_cache(maxsize=4096)
def _text_cell(value: str) -> str:
    text = _INNER_FORMULA.sub(r"\1'", clean(value))
    return "'" + text if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def field(value: object) -> str:
    """A CSV cell as it stands in the file, quoted where it must be."""
    if isinstance(value, str):
        return _text_field(value)
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


@lru_cache(maxsize=4096)
def _text_field(value: str) -> str:
    text = _text_cell(value)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


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
    return (json.dumps(finite(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8"
    )


def _line(value: Any) -> str:
    """The same on one line, which is much faster for the large files."""
    return json.dumps(finite(value), sort_keys=True, ensure_ascii=False, allow_nan=False)


def finite(value: Any) -> Any:
    """A value for JSON: texts cleaned, infinity as a word."""
    if isinstance(value, float):
        return value if math.isfinite(value) or math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


CASE_COLUMNS = (
    "task", "task_version", "data", "edition", "split", "submission", "case", "metric", "value", "unit", "status", "reason",
)  # fmt: skip


def board_identity(board: Board) -> tuple[str, ...]:
    """Task, version, kind of data, data edition, split: the first columns of every table."""
    data = board.dataset
    return (board.task.name, board.task.version, KIND[data.kind], data.edition, board.split)


def case_lines_csv(board: Board, name: str, scores: Sequence[Score], values: Sequence[str] | None = None) -> str:
    """The tidy per-case table of one submission, without a heading: one line a case and metric.

    `values` are the scores' as `repr` gives them, where somebody has them: to make them is most of the work.
    """
    table = by_columns(scores)
    values = list(map(repr, table.values.tolist())) if values is None else values
    head = ",".join(field(value) for value in (*board_identity(board), name))
    form = _csv_form(table.shape)
    return form % tuple(text for value in values for text in (head, value))


@lru_cache(maxsize=32)
def _csv_form(shape: Shape) -> str:
    """The lines with `%s` for what stands before the case and for the value."""
    return "".join(
        f"%s,{_form(case)},{_form(metric)},%s,{_form(field(unit))},{status},{_form(field(reason))}\n"
        for case, metric, unit, status, reason in shape.entries
    )


def _form(text: str) -> str:
    return text.replace("%", "%%")


def cases_csv(bodies: Iterable[str]) -> bytes:
    """A per-case table of one or several submissions, from their `case_lines_csv`."""
    return "".join((",".join(CASE_COLUMNS), "\n", *bodies)).encode("utf-8")


def case_lines_json(name: str, scores: Sequence[Score], values: Sequence[str] | None = None) -> str:
    """The same as JSON objects, one a line, separated by commas."""
    table = by_columns(scores)
    values = list(map(repr, table.values.tolist())) if values is None else values
    own = json.dumps(name)
    form = _json_form(table.shape)
    return form % tuple(text for value in values for text in (own, _INFINITE.get(value, value)))


_INFINITE = {"inf": '"inf"', "-inf": '"-inf"'}
"""How JSON has what it has no number for."""


@lru_cache(maxsize=32)
def _json_form(shape: Shape) -> str:
    """The lines with `%s` for the submission and the value."""
    lines = []
    for case, metric, unit, status, reason in shape.entries:
        words, why = (json.dumps(clean(text), ensure_ascii=False) for text in (unit, reason))
        lines.append(
            f'{{"submission":%s,"case":"{_form(case)}","metric":"{_form(metric)}","value":%s,"unit":{_form(words)},'
            f'"status":"{status}","reason":{_form(why)}}}'
        )
    return ",\n".join(lines)


def cases_json(board: Board, bodies: Iterable[str]) -> bytes:
    """An object with the board's identity and `rows`, from the `case_lines_json` of its submissions."""
    before, after = cases_json_ends(board)
    return b"".join((before, ",\n".join(body for body in bodies if body).encode(), after))


def cases_json_ends(board: Board) -> tuple[bytes, bytes]:
    """What stands before and after the lines of `cases_json`."""
    head = _line(dict(zip(CASE_COLUMNS, board_identity(board), strict=False)))
    return f'{head[:-1]}, "rows": [\n'.encode(), b"\n]}\n"


COST_COLUMNS = (
    "seconds_start", "seconds_p95", "peak_memory_mb", "cpu_seconds", "gpu_memory_mb", "gpu_joules", "hardware",
)  # fmt: skip
"""What a run took; empty where it was not measured."""

AGGREGATE_COLUMNS = (
    "task", "task_version", "data", "edition", "split", "submission", "title", "team", "family", "rank", "rank_low",
    "rank_high", "tied_with", "metric", "unit", "direction", "value", "low", "high", "level", "n", "n_worst", "n_excluded",
    "median", "median_low", "median_high", "interval", "failed", "seconds_median", *COST_COLUMNS, "flags", "digest", "scorer",
)  # fmt: skip


def aggregates(board: Board, rows: Sequence[Row]) -> list[tuple[object, ...]]:
    """One tuple of `AGGREGATE_COLUMNS` a submission and metric."""
    info = {metric.id: metric for metric in board.metrics}
    found = []
    for row in rows:
        before, after = _of_row(board, row)
        found += [(*before, *_of_metric(info[a.metric], a), *after) for a in row.aggregates]
    return found


def _of_row(board: Board, row: Row) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """The first and the last values of `AGGREGATE_COLUMNS`, which all metrics of a row share."""
    method = row.method
    before = (
        *board_identity(board), method.name, method.title, method.team, method.family, row.rank, row.rank_low, row.rank_high,
        " ".join(row.tied_with),
    )  # fmt: skip
    after = (row.failed, row.seconds_median, *cost_values(row), "; ".join(row.flags), row.digest, board.scorer)
    return before, after


def _of_metric(info: MetricInfo, a: Aggregate) -> tuple[object, ...]:
    """The values between them."""
    return (
        a.metric, info.unit, info.direction, a.value, a.low, a.high, a.level, a.n, a.n_worst, a.n_excluded, a.median, a.median_low,
        a.median_high, a.method,
    )  # fmt: skip


def cost_values(row: Row) -> tuple[object, ...]:
    """What the run took, in the order of `COST_COLUMNS`; None where it was not measured."""
    cost = row.cost
    if cost is None:
        return (row.seconds_start, None, None, None, None, None, row.hardware)
    return (
        cost.start_seconds, cost.seconds_p95, cost.peak_memory_mb, cost.cpu_seconds, cost.gpu_memory_mb, cost.gpu_joules,
        cost.hardware or row.hardware,
    )  # fmt: skip


def aggregates_csv(board: Board, rows: Sequence[Row] | None = None) -> bytes:
    """The board, or some of its rows: one line a submission and metric."""
    rows = board.rows if rows is None else rows
    lines = [",".join(AGGREGATE_COLUMNS) + "\n"]
    info = {metric.id: metric for metric in board.metrics}
    for row in rows:
        before, after = _of_row(board, row)
        start, end = ",".join(map(field, before)), ",".join(map(field, after))
        for a in row.aggregates:
            own = ",".join(map(field, _of_metric(info[a.metric], a)))
            lines.append(f"{start},{own},{end}\n")
    return "".join(lines).encode("utf-8")


_HIDDEN = {"dataset": {"files"}}
"""Paths and hashes of single files of the data: of no use to a reader, and they name the cases."""


def row_line(row: Row) -> str:
    """A row's record on one line."""
    return _line(row.model_dump(mode="json"))


def board_json(board: Board, lines: Iterable[str] | None = None) -> bytes:
    """The whole record: task, data edition, metrics, rows (one a line, as `row_line` made them)."""
    head = _line(board.model_dump(mode="json", exclude={**_HIDDEN, "rows": True}))
    rows = ",\n".join(map(row_line, board.rows) if lines is None else lines)
    return f'{head[:-1]}, "rows": [\n{rows}\n]}}\n'.encode()


def row_head(board: Board) -> str:
    """What every row's own file repeats of the board: all but the rows and what compares them."""
    return _line(board.model_dump(mode="json", exclude={**_HIDDEN, "rows": True, "agreement": True}))


def row_json(head: str, row: Row, line: str | None = None) -> bytes:
    """One row with what is needed to read it alone; `head` is the board's `row_head`, `line` the row's `row_line`."""
    return f'{head[:-1]}, "row": {row_line(row) if line is None else line}}}\n'.encode()


def line_of(head: str, content: bytes) -> str:
    """The row's `row_line` out of its `row_json`."""
    return content.decode()[len(head) + len(', "row": ') - 1 : -len("}\n")]


FAIRNESS_COLUMNS = (
    "task", "task_version", "data", "edition", "split", "submission", "partition", "measure", "group", "value", "low", "high",
    "n", "n_worst", "interval", "reason", "best", "worst", "gap", "gap_low", "gap_high", "ratio", "p", "p_holm",
    "more_than_chance",
)  # fmt: skip


def fairness_csv(board: Board, rows: Sequence[Row]) -> bytes:
    """The audit: one line a submission, partition, measure and group; the gap is repeated on each of its groups."""
    return table(
        FAIRNESS_COLUMNS,
        [
            (
                *board_identity(board), row.method.name, gap.partition, gap.measure, v.group, v.value, v.low, v.high, v.n, v.n_worst,
                v.method, v.reason, gap.best, gap.worst, gap.gap, gap.gap_low, gap.gap_high, gap.ratio, gap.p, gap.p_holm,
                gap.more_than_chance,
            )
            for row in rows
            if row.fairness is not None
            for gap in row.fairness.gaps
            for v in gap.values
        ],
    )  # fmt: skip


def sampling_record(data: BoardData) -> dict[str, Any]:
    """All that is needed to draw the bootstrap again: seed, number of draws, level, and the cases in the order of drawing.

    Patients and sites are opaque numbers, counted from the first case drawn; no other attribute of a case is told here.
    """
    task = data.board.task
    clusters = drawing_groups(data.cases, task.cluster, "")
    strata = drawing_groups(data.cases, task.stratify, "unknown")
    cases: list[Mapping[str, str]] = [
        {"case": case.id}
        | ({"cluster": clusters[case.id]} if clusters else {})
        | ({"stratum": strata[case.id]} if strata else {})
        for case in sorted(data.cases, key=lambda case: case.drawing)
    ]
    return {
        "seed": bootstrap.SEED,
        "draws": bootstrap.DRAWS,
        "level": bootstrap.LEVEL,
        "split": data.board.split,
        "cases": cases,
    }


def attributes_json(data: BoardData) -> bytes | None:
    """The declared attributes of each case, one a line, by which the fairness audit can be taken again; None where there are none, or
    they may not be told, see `benchmark.release`."""
    board = data.board
    if board.population is None or release.withheld(board.task, data.cases, board.dataset.kind):
        return None
    lines = ",\n".join(map(_line, release.attributes(board.task, data.cases)))
    return f'{{"cases": [\n{lines}\n]}}\n'.encode()
