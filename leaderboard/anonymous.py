"""Sealed cases under anonymous ids: the same on every page, export and edition, and of no use for finding the case.

An id is the beginning of a hash over what only the holder of the sealed data has: the hashes of the case's reference files.
A hash over the case's own id would be undone by trying all ids. The order of pages and tables is that of the anonymous ids,
so that it does not give the original one away either. Public cases (train, val, canary) keep their names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.contract import Case
from leaderboard.measured import Entry, Measured, Shape, measured
from leaderboard.records import BoardData
from leaderboard.setparts import renamed

DIGITS = 8
"""Characters of an id (5 bits each); more where two cases of one board would share them."""


def anonymised(data: BoardData, names: Mapping[str, str] | None = None) -> BoardData:
    """The board with sealed cases renamed and put in the order of their new names, in the listing, the scores and the reasons.

    `names` are the `aliases` of the whole board, where `data` holds some of its rows alone.
    """
    if data.board.split != "test":
        return data
    names = aliases(data) if names is None else names
    cases = sorted(
        # The order of drawing stays that of the original ids: the same intervals must come out of the published tables.
        (case.model_copy(update={"id": names[case.id], "key": case.drawing}) for case in data.cases),
        key=lambda case: case.id,
    )
    tables = measured(data.scores)
    shapes = {shape: _renamed(shape, names) for shape in {table.shape for table in tables.values()}}
    scores = {name: _of_shape(table, *shapes[table.shape]) for name, table in tables.items()}
    parts = {name: renamed(own, names) for name, own in data.parts.items()}
    return replace(data, cases=tuple(cases), scores=scores, case_keys={}, parts=parts)


def aliases(data: BoardData) -> dict[str, str]:
    """Anonymous id of every case that the board's tables name."""
    board = data.board
    shapes = {table.shape for table in measured(data.scores).values()}
    ids = sorted({case.id for case in data.cases} | {case for shape in shapes for case, *_ in shape.entries})
    hashes = {id: _digits(f"{board.task.name}/{board.dataset.edition}/{data.case_keys.get(id, '')}/{id}") for id in ids}
    length = next(n for n in range(DIGITS, 53) if len({h[:n] for h in hashes.values()}) == len(ids))
    return {id: f"t-{digits[:length]}" for id, digits in hashes.items()}


def key_of(case: Case, files: Mapping[str, str]) -> str:
    """What identifies a sealed case to its holder alone: one hash over those of its reference files, by path in the edition."""
    prefix = f"references/{case.id}/"
    own = sorted(f"{path} {sha}" for path, sha in files.items() if path.startswith(prefix))
    return hashlib.sha256("\n".join(own).encode()).hexdigest() if own else ""


def _digits(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=").lower()


def _renamed(shape: Shape, names: Mapping[str, str]) -> tuple[Shape, list[int]]:
    """The shape under the new names and in their order, and where each of its entries was."""
    order = sorted(range(len(shape.entries)), key=lambda i: names[shape.entries[i][0]])
    return Shape(tuple(_entry(shape.entries[i], names) for i in order)), order


def _entry(entry: Entry, names: Mapping[str, str]) -> Entry:
    case, metric, unit, status, reason = entry
    alias = names[case]
    if reason:
        reason = re.sub(rf"(?<![\w-]){re.escape(case)}(?![\w-])", alias, reason)
    return alias, metric, unit, status, reason


def _of_shape(table: Measured, shape: Shape, order: Sequence[int]) -> Measured:
    return Measured(shape, table.values[order])
