"""Do two outputs for the same case agree? Asked of a warm server at the end of a run: one that answers its first case
differently after the others has carried something from case to case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmark import geometry
from benchmark.contract import Task
from benchmark.errors import SubmissionError
from benchmark.image import Volume
from benchmark.validation import output_file, read_prediction

TOLERANCE = 1e-3
"""Largest difference, as a share of the first output's range, that still agrees: arithmetic on GPUs is not the same each time."""


def disagreement(task: Task, first: Path, second: Path) -> str:
    """How the declared outputs below two output folders differ; empty when they agree.

    Volumes agree on the same grid with voxels within 0.1 % of the first one's range; numbers in JSON within 0.1 % of their size;
    outputs that are refused for the same reason agree as well.
    """
    for socket in task.outputs:
        results: list[Any] = []
        for folder in (first, second):
            try:
                results.append(read_prediction(output_file(folder, socket), task, socket, None))
            except SubmissionError as error:
                results.append(error)
        one, other = results
        if isinstance(one, SubmissionError) or isinstance(other, SubmissionError):
            if getattr(one, "code", "") != getattr(other, "code", ""):
                return f"{socket.slug} was valid only once"
        elif isinstance(one, Volume):
            if words := _volumes(one, other):
                return f"{socket.slug}: {words}"
        elif not _values(one, other):
            return f"{socket.slug} holds other values"
    return ""


def _volumes(one: Volume, other: Volume) -> str:
    if geometry.difference(one, other):
        return "the grids differ"
    a, b = np.asarray(one.array, dtype=np.float64), np.asarray(other.array, dtype=np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return "other voxels are finite"
    if not finite.any():
        return ""
    worst = float(np.abs(a - b, where=finite, out=np.zeros_like(a)).max())
    span = float(np.ptp(a[finite]))
    # Without the numbers: the model chooses them, after it has seen the sealed cases, and the row shows the words.
    return "voxels differ by more than 0.1 % of their range" if worst > TOLERANCE * span else ""


def _values(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_values(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_values(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
