"""The pictures of a board's canary cases, as files of the snapshot and as what the templates lay out."""

from __future__ import annotations

from leaderboard.records import BoardData
from leaderboard.shown import Strip, compared
from leaderboard.strips import images, labels, points
from leaderboard.views import BoardView

_MAKERS = {"image": images.strip, "labels": labels.strip, "points": points.strip}


def strips(data: BoardData, view: BoardView) -> tuple[tuple[Strip, ...], dict[str, bytes]]:
    """Strips in the order of the canary cases, and their files by path in the snapshot.

    Raises `ValueError` for a case of another split: pictures of sealed cases must never be made.
    """
    kind = compared(data.board.task)
    if kind is None:
        return (), {}
    made: list[Strip] = []
    files: dict[str, bytes] = {}
    for canary in data.canary:
        if canary.case.split != "canary":
            raise ValueError(f"case {canary.case.id} is of split {canary.case.split!r}; only canary cases are pictured")
        strip, own = _MAKERS[kind](canary, data, view)
        made.append(strip)
        files.update(own)
    return tuple(made), files
