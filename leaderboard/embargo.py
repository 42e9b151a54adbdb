"""Rows that are anonymous until a day: everywhere in the site, under a pseudonym that stays their address ever after.

The pseudonym is a keyed hash (HMAC-SHA256) of the submission's name. Its key is random and lies in the store, never in the site, so
knowing all names does not help. What else could give a submission away is withheld with it: title, team, description, citation,
licence, what the model said when it failed, and the digests of run and container, which whoever holds the container can compute.
Kind of model, rank, values, times and hardware stay: they are the result.

From the day on the row says who it is, and keeps its address. Editions from before stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date as Date
from pathlib import Path

from benchmark import secret
from benchmark.contract import Method, Row, Score
from benchmark.errors import CATALOGUE, DataError
from benchmark.workplace import Workplace
from leaderboard.records import BoardData

KEY_FILE = Workplace(Path()).embargo_key.name
"""The key, in the store. Lost, all pseudonyms change, and with them the addresses of the rows that have one."""

DIGITS = 12
"""Hexadecimal digits of a pseudonym: 48 bits."""


def load_key(store: Path) -> bytes:
    """The store's key; made when there is none. Raises `DataError` when the file is not what this made."""
    return secret.load_key(store / KEY_FILE)


def pseudonym(name: str, key: bytes) -> str:
    """What a submission is called as long as it is anonymous, and its address for ever."""
    return f"anon-{secret.keyed(key, 'name', name)[:DIGITS]}"


def hidden(method: Method, today: Date) -> bool:
    """Whether the submission is anonymous in an edition of that day."""
    return method.embargo is not None and today < method.embargo


def veiled(method: Method, today: Date, key: bytes) -> Method:
    """What an edition of that day says of the submission. One that never had an embargo is itself; one whose embargo has ended
    says who it is under the name that its address has."""
    # What a manifest claims of these two is not believed.
    method = method.model_copy(update={"anonymous": False, "submitted_as": ""})
    if method.embargo is None:
        return method
    name = pseudonym(method.name, key)
    if not hidden(method, today):
        return method.model_copy(update={"name": name, "submitted_as": method.name})
    return Method(
        name=name, title=f"Anonymous {name.removeprefix('anon-')[:6]}", family=method.family, embargo=method.embargo, anonymous=True
    )  # fmt: skip


def veiled_board(data: BoardData, real: Mapping[str, Method], key: bytes) -> BoardData:
    """The board made with veiled methods, without what would still give the anonymous ones away. `real` has their true methods by
    pseudonym.

    The harness veils methods before it makes the board, so names are not in it; what is left are keys and digests, reasons, and
    texts in which a model or an error speaks.
    """
    anonymous = {row.method.name for row in data.board.rows if row.method.anonymous}
    if not anonymous:
        return data
    rows = tuple(
        _veiled_row(row, real.get(row.method.name), key) if row.method.name in anonymous else row
        for row in data.board.rows
    )
    scores = {
        name: [_veiled_score(s) for s in table] if name in anonymous else table for name, table in data.scores.items()
    }
    canary = [
        replace(
            case,
            scores={n: [_veiled_score(s) for s in t] if n in anonymous else t for n, t in case.scores.items()},
        )
        for case in data.canary
    ]
    made = replace(data, board=data.board.model_copy(update={"rows": rows}), scores=scores, canary=canary)
    _check(made, {name: real[name] for name in anonymous if name in real})
    return made


def _veiled_row(row: Row, method: Method | None, key: bytes) -> Row:
    words = [w.casefold() for w in (method.name, method.title, method.team) if w] if method else []
    withheld = {
        name: f"withheld-{secret.keyed(key, name, getattr(row, name))[:20]}" for name in ("run", "score", "digest")
    }
    flags = tuple(
        "A remark on this run is withheld until the embargo ends." if any(w in flag.casefold() for w in words) else flag
        for flag in row.flags
    )
    return row.model_copy(update={**withheld, "flags": flags})


def _veiled_score(score: Score) -> Score:
    """The reason keeps its code and says what the code means, not what this model did."""
    if not score.reason:
        return score
    code = score.reason.partition(":")[0]
    kind = CATALOGUE["submission"].get(code)
    return score.model_copy(update={"reason": f"{code}: {kind.meaning}" if kind else "withheld until the embargo ends"})


def guard(boards: Sequence[BoardData], today: Date) -> None:
    """Refuse boards in which a row under embargo is named. Raises `DataError`, which does not name it either."""
    for data in boards:
        if any(hidden(row.method, today) and not row.method.anonymous for row in data.board.rows):
            raise DataError(
                "record_invalid",
                f"the board of {data.board.task.name} names a submission that is under embargo on {today}",
                action="Publish through `radbench publish`, which puts a pseudonym in its place.",
            )


def _check(data: BoardData, real: Mapping[str, Method]) -> None:
    """Refuse to publish a board that still holds a hidden name as a name. Raises `DataError`."""
    names = {method.name for method in real.values()}
    found = names & (
        {row.method.name for row in data.board.rows}
        | {tied for row in data.board.rows for tied in row.tied_with}
        | set(data.scores)
        | {name for case in data.canary for name in (*case.predictions, *case.scores)}
    )
    if found:
        raise DataError(
            "record_invalid",
            f"{len(found)} submissions under embargo are still named in the board of {data.board.task.name}",
            action="This is a fault of radbench; nothing was published. Please report it.",
        )
