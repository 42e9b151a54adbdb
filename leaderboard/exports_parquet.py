"""The whole edition as two Parquet files: every per-case value, and every aggregate with its interval and rank.

Bytes depend on the content and on the version of pyarrow alone: no times, no compression, one fixed page format, strings by
dictionary in the order of their appearance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.contract import Board
from leaderboard import exports
from leaderboard.measured import Measured, by_columns, measured
from leaderboard.records import BoardData

CASES, AGGREGATES = "scores.parquet", "aggregates.parquet"
"""Names of the files."""

TEXT = pa.dictionary(pa.int32(), pa.string())
"""Texts, each stored once."""

CASE_SCHEMA = pa.schema(
    [(name, pa.float64() if name == "value" else TEXT) for name in exports.CASE_COLUMNS],
    metadata={"title": "radbench: per-case scores of an edition"},
)
"""One row a submission, case and metric of every board."""

_NUMBERS = {
    "rank", "rank_low", "rank_high", "value", "low", "high", "level", "median", "median_low", "median_high", "seconds_median",
    *(name for name in exports.COST_COLUMNS if name != "hardware"),
}  # fmt: skip
_COUNTS = {"n", "n_worst", "n_excluded", "failed"}

AGGREGATE_SCHEMA = pa.schema(
    [
        (name, pa.float64() if name in _NUMBERS else pa.int64() if name in _COUNTS else TEXT)
        for name in exports.AGGREGATE_COLUMNS
    ],
    metadata={"title": "radbench: aggregates, intervals and ranks of an edition"},
)
"""One row a submission and metric of every board."""


def cases_table(boards: Sequence[BoardData]) -> pa.Table:
    """All per-case values, board by board and row by row in the order of the pages."""
    parts = []
    for data in boards:
        board = data.board
        scores = measured(data.scores)
        tables = [scores.get(row.method.name) or by_columns(()) for row in board.rows]
        count = sum(map(len, tables))
        columns: list[pa.Array] = [_repeated(text, count) for text in exports.board_identity(board)]
        names = [[row.method.name] * len(table) for row, table in zip(board.rows, tables, strict=True)]
        columns.append(_texts([name for own in names for name in own]))
        case, metric, unit, status, reason = _shaped(tables)
        values = pa.array(np.concatenate([table.values for table in tables] or [np.empty(0)]), pa.float64())
        columns += [case, metric, values, unit, status, reason]
        parts.append(pa.table(columns, schema=CASE_SCHEMA))
    return _joined(parts, CASE_SCHEMA)


def _shaped(tables: Sequence[Measured]) -> list[pa.Array]:
    """Columns of cases, metrics, units, statuses and reasons; where all submissions share them, they are worked out once."""
    shapes = [table.shape.entries for table in tables]
    if any(shape != shapes[0] for shape in shapes):
        return [_texts(column) for column in zip(*(one for shape in shapes for one in shape), strict=True)]
    columns = list(zip(*shapes[0], strict=True)) if shapes and shapes[0] else [()] * 5
    found = []
    for one in map(_texts, columns):
        index = np.tile(one.indices.to_numpy(zero_copy_only=False), len(shapes))
        found.append(pa.DictionaryArray.from_arrays(index, one.dictionary))
    return found


@dataclass(frozen=True)
class Part:
    """Both tables of some rows, in a form that can be kept and sent between processes."""

    cases: bytes
    aggregates: bytes


def part(data: BoardData) -> Part:
    """The tables of one board, or of some of its rows."""
    return Part(_ipc(cases_table([data])), _ipc(aggregates_table([data.board])))


def joined(parts: Sequence[Part]) -> tuple[bytes, bytes]:
    """Both files of an edition, from the parts of all its rows."""
    cases = _joined([_table(part.cases) for part in parts], CASE_SCHEMA)
    aggregates = _joined([_table(part.aggregates) for part in parts], AGGREGATE_SCHEMA)
    return parquet_bytes(cases), parquet_bytes(aggregates)


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _table(content: bytes) -> pa.Table:
    return pa.ipc.open_stream(content).read_all()


def aggregates_table(boards: Iterable[Board]) -> pa.Table:
    """All aggregates, board by board and row by row."""
    parts = []
    for board in boards:
        rows = exports.aggregates(board, board.rows)
        columns: list[pa.Array] = []
        for name, values in zip(
            exports.AGGREGATE_COLUMNS, zip(*rows, strict=True) if rows else [()] * len(AGGREGATE_SCHEMA), strict=True
        ):
            kind = AGGREGATE_SCHEMA.field(name).type
            columns.append(_texts([str(v) for v in values]) if kind == TEXT else pa.array(values, kind))
        parts.append(pa.table(columns, schema=AGGREGATE_SCHEMA))
    return _joined(parts, AGGREGATE_SCHEMA)


def parquet_bytes(table: pa.Table) -> bytes:
    """The file. Arrow's own schema is left out of it, since it repeats in binary what the columns say."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        version="2.6",
        data_page_version="1.0",
        compression="none",
        use_dictionary=[f.name for f in table.schema if f.type == TEXT],
        write_statistics=True,
        row_group_size=1 << 20,
        store_schema=False,
    )
    return bytes(sink.getvalue())


def _joined(parts: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    table = pa.concat_tables(parts) if parts else schema.empty_table()
    return table.unify_dictionaries().combine_chunks()


def _repeated(text: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([exports.clean(text)], pa.string()))


def _texts(values: Sequence[str]) -> pa.Array:
    """A column of texts that repeat, as numbers into the list of different ones; built so since there may be millions."""
    column = pa.array(values, pa.string()).dictionary_encode()
    cleaned = [exports.clean(value) for value in column.dictionary.to_pylist()]
    different = list(dict.fromkeys(cleaned))
    index = column.indices.to_numpy(zero_copy_only=False)
    if len(different) < len(cleaned):  # texts that only cleaning made equal
        place = {text: i for i, text in enumerate(different)}
        index = np.array([place[text] for text in cleaned], np.int32)[index]
    return pa.DictionaryArray.from_arrays(index, pa.array(different, pa.string()))
