"""What changed from one edition to the next: who is new, who is gone, who moved and why. Works on the editions' own records.

An old edition keeps its numbers; a change names the page of the row in both, and every page of an old edition leads to the same
page of the newest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from leaderboard.charts.svg import shorten
from leaderboard.exports import finite, json_bytes
from leaderboard.numbers import rank as shown_rank
from leaderboard.records import BoardData

Kind = Literal["new", "gone", "moved", "changed", "revealed"]
"""`changed`: other numbers at the same rank; `revealed`: an embargo ended and nothing else happened."""

NEW_RUN, NEW_SCORER, NEW_DATA = "new run", "new scorer", "new data"
NEW_RULES, NEW_VERSION, OTHERS = "new metrics or ranking rule", "new task version", "other submissions came or left"

NAMED = "no longer anonymous"
"""What is said of a row whose embargo ended and that moved or changed too."""

MANY = 12
"""So many rows of a board are named in the sentences on what happened to it; `changes.json` has all."""


@dataclass(frozen=True)
class RowChange:
    """What happened to one row of a board."""

    submission: str
    title: str
    kind: Kind
    reasons: tuple[str, ...]
    rank_before: float | None
    rank_after: float | None
    values_before: Mapping[str, float | str]
    """By metric; only those that changed."""
    values_after: Mapping[str, float | str]
    path_before: str
    """Page in the older edition, below the site; empty for what is new."""
    path_after: str
    """Page in the newer edition, below the site; empty for what is gone."""


@dataclass(frozen=True)
class BoardChange:
    """What happened to one board."""

    task: str
    title: str
    dataset: str
    split: str
    kind: Literal["new", "gone", "kept"]
    reasons: tuple[str, ...]
    """What is new for all rows: data, scorer, metrics, task version."""
    rows: tuple[RowChange, ...]


@dataclass(frozen=True)
class Change:
    """What an edition brought."""

    edition: str
    before: str
    """The edition before it."""
    boards: tuple[BoardChange, ...]


def summary(data: BoardData, slug: str) -> dict[str, Any]:
    """What a later edition is compared by: who, on what, scored by what, with which result."""
    board = data.board
    # Without defaults: a later version that adds a setting has not changed the rules of a task that does not use it.
    rules = {
        "metrics": [metric.model_dump(mode="json", exclude_defaults=True) for metric in board.metrics],
        "ranking": board.task.ranking.model_dump(mode="json", exclude_defaults=True),
    }
    return {
        "slug": slug,
        "task": board.task.name,
        "task_version": board.task.version,
        "title": board.task.title,
        "dataset": board.dataset.edition,
        "kind": board.dataset.kind,
        "data_digest": board.data_digest,
        "split": board.split,
        "scorer": board.scorer,
        "rules": hashlib.sha256(json.dumps(rules, sort_keys=True, default=str).encode()).hexdigest()[:20],
        "rows": [
            {
                "submission": r.method.name,
                "title": r.method.title,
                "anonymous": r.method.anonymous,
                "submitted_as": r.method.submitted_as,
                "run": r.run,
                "score": r.score,
                "digest": r.digest,
                "rank": r.rank,
                "values": {a.metric: finite(a.value) for a in r.aggregates},
            }
            for r in board.rows
        ],
    }


def change(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """From one edition's record to a later one's."""
    old = {_identity(board): board for board in before["boards"]}
    new = {_identity(board): board for board in after["boards"]}
    boards = []
    for key, board in new.items():
        boards.append(_board_change(old.get(key), board, before["id"], after["id"]))
    boards += [_board_change(board, None, before["id"], after["id"]) for key, board in old.items() if key not in new]
    return Change(after["id"], before["id"], tuple(boards))


def changes(records: Sequence[Mapping[str, Any]]) -> dict[str, Change]:
    """By edition id; `records` are oldest first, and the first has nothing before it."""
    return {b["id"]: change(a, b) for a, b in pairwise(records)}


def change_bytes(found: Change) -> bytes:
    """The change as JSON."""
    return json_bytes(asdict(found))


def _identity(board: Mapping[str, Any]) -> tuple[str, str, str]:
    return board["task"], board["dataset"], board["split"]


def _board_change(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, before: str, after: str) -> BoardChange:
    shown = new or old
    assert shown is not None
    name = (shown["task"], shown["title"], shown["dataset"], shown["split"])
    old_rows = {row["submission"]: row for row in old["rows"]} if old else {}
    new_rows = {row["submission"]: row for row in new["rows"]} if new else {}
    common = _common_reasons(old, new) if old and new else ()
    crowd = old_rows.keys() != new_rows.keys() or any(
        _differ(old_rows[s], new_rows[s], ("values", "run")) for s in old_rows.keys() & new_rows.keys()
    )
    rows = []
    for submission in [*new_rows, *(s for s in old_rows if s not in new_rows)]:
        a, b = old_rows.get(submission), new_rows.get(submission)
        paths = tuple(
            f"editions/{id}/tasks/{board.get('slug', board['task'])}/submissions/{submission}/index.html"
            if row is not None and board is not None else ""
            for row, board, id in ((a, old, before), (b, new, after))
        )  # fmt: skip
        found = _row_change(a, b, common, crowd, (paths[0], paths[1]))
        if found is not None:
            rows.append(found)
    return BoardChange(*name, "kept" if old and new else "new" if new else "gone", common, tuple(rows))


def _differ(a: Mapping[str, Any], b: Mapping[str, Any], keys: Sequence[str]) -> bool:
    return any(a.get(key) != b.get(key) for key in keys)


def _common_reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for key, reason in (
        ("task_version", NEW_VERSION),
        ("data_digest", NEW_DATA),
        ("scorer", NEW_SCORER),
        ("rules", NEW_RULES),
    ):
        # Records of older versions lack some of these; what was not recorded is not called new.
        if key in old and key in new and old[key] != new[key]:
            found.append(reason)
    return tuple(found)


def _row_change(
    a: Mapping[str, Any] | None,
    b: Mapping[str, Any] | None,
    common: tuple[str, ...],
    crowd: bool,
    paths: tuple[str, str],
) -> RowChange | None:
    if a is None or b is None:
        row = b or a
        assert row is not None
        return RowChange(
            row["submission"], row.get("title", row["submission"]), "new" if a is None else "gone", (),
            a["rank"] if a else None, b["rank"] if b else None, {}, {}, *paths,
        )  # fmt: skip
    old_values, new_values = a.get("values", {}), b.get("values", {})
    differing = sorted(m for m in old_values.keys() | new_values.keys() if old_values.get(m) != new_values.get(m))
    revealed = bool(a.get("anonymous")) and not b.get("anonymous")
    moved = a["rank"] != b["rank"]
    if not moved and not differing and not revealed and a["run"] == b["run"]:
        return None
    reasons = list(common)
    # An embargo hides run and digest too, so that they differ afterwards says nothing.
    if not revealed and (a["digest"] != b["digest"] or (a["run"] != b["run"] and NEW_DATA not in reasons)):
        reasons.insert(0, NEW_RUN)
    if moved and crowd and (not reasons or not differing):
        reasons.append(OTHERS)
    kind: Kind = "moved" if moved else "revealed" if revealed and not differing else "changed"
    if revealed and kind != "revealed":
        reasons.append(NAMED)
    return RowChange(
        b["submission"], b.get("title", b["submission"]), kind, tuple(dict.fromkeys(reasons)), a["rank"], b["rank"],
        {m: old_values[m] for m in differing if m in old_values}, {m: new_values[m] for m in differing if m in new_values}, *paths,
    )  # fmt: skip


def sentences(found: Change) -> list[str]:
    """The change in plain sentences, a few a board."""
    said: list[str] = []
    for board in found.boards:
        name = f"{board.title} ({board.dataset})"
        if board.kind != "kept":
            said.append(f"{name}: {'new board' if board.kind == 'new' else 'no longer shown'}.")
            continue
        if board.reasons:
            said.append(f"{name}: {_listed(board.reasons)} for all rows.")
        by_kind = {
            kind: [row for row in board.rows if row.kind == kind]
            for kind in ("new", "gone", "moved", "changed", "revealed")
        }
        if by_kind["new"]:
            said.append(f"{name}: new: {_some([_with_rank(row, row.rank_after) for row in by_kind['new']])}.")
        if by_kind["gone"]:
            said.append(f"{name}: gone: {_some([_short(row) for row in by_kind['gone']])}.")
        for row in by_kind["moved"][:MANY]:
            why = f" ({_listed(row.reasons)})" if row.reasons else ""
            said.append(
                f"{name}: {_short(row)} moved from rank {_rank(row.rank_before)} to {_rank(row.rank_after)}{why}."
            )
        said += _further(name, by_kind["moved"], "moved")
        other = [row for row in by_kind["changed"] if set(row.reasons) - set(board.reasons) or not board.reasons]
        for row in other[:MANY]:
            why = f" ({_listed(row.reasons)})" if row.reasons else ""
            said.append(f"{name}: {_short(row)} has new numbers at rank {_rank(row.rank_after)}{why}.")
        said += _further(name, other, "got new numbers at their ranks")
        for row in by_kind["revealed"]:
            said.append(f"{name}: {_short(row)} is no longer anonymous.")
    return said


def _with_rank(row: RowChange, rank: float | None) -> str:
    return f"{_short(row)} (rank {_rank(rank)})"


def _short(row: RowChange) -> str:
    return shorten(row.title, 60)


def _further(name: str, rows: Sequence[RowChange], did: str) -> list[str]:
    more = len(rows) - MANY
    return [f"{name}: {more} more row{'s' if more > 1 else ''} {did}."] if more > 0 else []


def _rank(value: float | None) -> str:
    return "—" if value is None else shown_rank(value)


def _some(items: Sequence[str]) -> str:
    more = len(items) - MANY
    return _listed([*items[:MANY], f"and {more} more"] if more > 0 else items)


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items)
