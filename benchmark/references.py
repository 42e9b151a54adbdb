"""What a case is scored against, read once for many submissions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.contract import Case, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError
from benchmark.image import Volume


@dataclass(frozen=True, eq=False)
class Reference:
    """What a case is scored against, and intermediate results that depend on it alone."""

    content: Any
    """`Volume` or parsed JSON."""
    mask: Volume | None
    grid: Volume | None
    """The volume whose grid the output must have."""
    memo: dict[Any, Any] = field(default_factory=dict)


class ReferenceCache:
    """References of recent cases, at most `max_bytes` of arrays, least recently used out first.

    Scoring many submissions case after case reads each reference once and computes its side of each metric once.
    """

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[tuple[str, str], Reference] = OrderedDict()

    def get(self, task: Task, edition: Edition, case: Case) -> Reference:
        """The reference of a case, read when it is not here."""
        key = (str(edition.root), case.id)
        entry = self._entries.pop(key, None) or read_reference(task, edition, case)
        self._entries[key] = entry
        while len(self._entries) > 1 and sum(map(_size, self._entries.values())) > self.max_bytes:
            self._entries.popitem(last=False)
        return entry


def _size(value: Any) -> int:
    """Bytes held by the arrays in a nested value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Volume):
        return value.array.nbytes
    if isinstance(value, Reference):
        return _size(value.content) + _size(value.mask) + _size(value.memo)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 0


def read_reference(task: Task, edition: Edition, case: Case) -> Reference:
    """Read what a case is scored against. Raises `DataError` when it is missing, broken or its mask is empty."""
    content = edition.read_reference(task.reference(task.scoring.reference), case.id)
    mask = edition.read_reference(task.reference(task.scoring.mask), case.id) if task.scoring.mask else None
    like = task.output(task.scoring.prediction).like
    grid = edition.read_reference(task.reference(like), case.id) if like else content
    if mask is not None and not np.any(mask.array > 0):
        raise DataError("reference_invalid", f"case {case.id}: the mask is empty")
    return Reference(content, mask, grid if isinstance(grid, Volume) else None)
