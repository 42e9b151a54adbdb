"""A submission's scores by columns: their shape, which most submissions of a board share, and the values, which are its own.

A board may hold a million scores, nearly all for the same cases and metrics. What is made from the shape alone is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import cast, overload

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Score, Status

Entry = tuple[str, str, str, Status, str]
"""A score but for its value: case, metric, unit, status and reason."""

_ENTRY = attrgetter("case", "metric", "unit", "status", "reason")


@dataclass(frozen=True, eq=False)
class Shape:
    """All of a submission's scores but the values. One is equal to itself alone, which is quick to find out."""

    entries: tuple[Entry, ...]
    """One a score, in the order of the table."""


class Measured(Sequence[Score]):
    """A submission's scores, which can be read one by one too."""

    def __init__(self, shape: Shape, values: NDArray[np.float64]) -> None:
        self.shape, self.values = shape, values

    def __len__(self) -> int:
        return len(self.shape.entries)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Score]: ...
    def __getitem__(self, index: int | slice) -> Score | Sequence[Score]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        case, metric, unit, status, reason = self.shape.entries[index]
        # They were validated when they were made.
        return Score.model_construct(
            case=case, metric=metric, value=float(self.values[index]), unit=unit, status=status, reason=reason
        )


def measured(scores: Mapping[str, Sequence[Score]]) -> dict[str, Measured]:
    """Score tables by columns, by submission; equal shapes are one."""
    shapes: dict[tuple[Entry, ...], Shape] = {}
    found = {}
    for name, table in scores.items():
        if not isinstance(table, Measured):
            entries = cast(tuple[Entry, ...], tuple(map(_ENTRY, table)))
            shape = shapes.setdefault(entries, Shape(entries))
            table = Measured(shape, np.array([s.value for s in table], np.float64))
        found[name] = table
    return found


def by_columns(scores: Sequence[Score]) -> Measured:
    """The same of one submission."""
    return measured({"": scores})[""]
