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

from benchmark.contract import Case, Score
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
    scores = {name: tuple(_renamed(table, names)) for name, table in data.scores.items()}
    parts = {name: renamed(own, names) for name, own in data.parts.items()}
    return replace(data, cases=tuple(cases), scores=scores, case_keys={}, parts=parts)


def aliases(data: BoardData) -> dict[str, str]:
    """Anonymous id of every case that the board's tables name."""
    board = data.board
    ids = sorted({case.id for case in data.cases} | {s.case for table in data.scores.values() for s in table})
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


def _renamed(table: Sequence[Score], names: Mapping[str, str]) -> list[Score]:
    by_case: dict[str, list[Score]] = {}
    for score in table:
        alias = names[score.case]
        values = score.__dict__.copy()
        values["case"] = alias
        if score.reason:
            values["reason"] = re.sub(rf"(?<![\w-]){re.escape(score.case)}(?![\w-])", alias, score.reason)
        own = by_case.get(alias)
        if own is None:
            own = by_case[alias] = []
        own.append(_copy(score, values))
    return [score for alias in sorted(by_case) for score in by_case[alias]]


def _copy(score: Score, values: dict[str, object]) -> Score:
    """The record with other values, by hand: a board may hold a million scores, all of them validated when they were made."""
    copy = _NEW(Score)
    _SET(copy, "__dict__", values)
    _SET(copy, "__pydantic_fields_set__", score.__pydantic_fields_set__)
    _SET(copy, "__pydantic_extra__", None)
    _SET(copy, "__pydantic_private__", None)
    return copy


_NEW, _SET = Score.__new__, object.__setattr__
