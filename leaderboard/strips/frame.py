"""What all kinds of strips share: who takes part, the words around the pictures."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.contract import Socket
from leaderboard import numbers, pictures
from leaderboard.records import CanaryCase, Content
from leaderboard.views import BoardView, Line

_SIDES = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}


def lines_of(canary: CanaryCase, view: BoardView) -> Iterator[tuple[Line, Content | None]]:
    """The rows that have something to show or to say for the case, with their prediction, in board order."""
    for line in view.lines:
        name = line.row.method.name
        if name in canary.predictions or name in canary.scores:
            load = canary.predictions.get(name)
            yield line, load() if load is not None else None


def place(look: pictures.View) -> str:
    """`axial slice 7 of 20`."""
    return f"{plane_name(look)} slice {look.index + 1} of {look.count}".strip()


def plane_name(look: pictures.View) -> str:
    """axial, coronal or sagittal; empty where the grid does not say."""
    sides = {frozenset("LR"): 0, frozenset("AP"): 1, frozenset("SI"): 2}
    axes = {sides[frozenset(pair)] for pair in (look.marks[:2], look.marks[2:]) if all(pair)}
    return {frozenset((0, 1)): "axial", frozenset((0, 2)): "coronal", frozenset((1, 2)): "sagittal"}.get(
        frozenset(axes), ""
    )


def sides(look: pictures.View) -> str:
    """Which side of the patient is on the left, for who does not see the marks."""
    return f", the patient's {_SIDES[look.marks[0]]} on the left" if look.marks[0] else ""


def sides_sentence(look: pictures.View) -> str:
    """What the letters in the pictures are."""
    return f" {look.marks[0]} and {look.marks[1]} are the patient's sides." if look.marks[0] else ""


def window_text(window: tuple[float, float], unit: str, *, by_percentile: bool = False) -> str:
    """A window with its unit."""
    low, high = (numbers.plain(float(f"{v:.3g}")) if by_percentile else numbers.plain(v) for v in window)
    tail = " (1st to 99th percentile)" if by_percentile else ""
    return f"{low} to {high}{' ' + unit if unit else ''}{tail}"


def sentence(words: str) -> str:
    """With a capital letter at the front."""
    return words[:1].upper() + words[1:]


def unit_of(socket: Socket) -> str:
    return f" {socket.unit}" if socket.unit else ""
