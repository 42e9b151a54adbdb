"""What training may look at: the train split to learn, the validation split to choose. Nothing else is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.sections import Data
from benchmark.contract import Split, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError
from benchmark.image import Volume

OPEN_SPLITS: tuple[Split, ...] = ("train", "val")
"""Splits that training may read."""


@dataclass(frozen=True, eq=False)
class Example:
    """A case with its reference, in memory."""

    edition: str
    """Name of its edition."""
    case: str
    """Its id."""
    inputs: Mapping[str, Volume]
    """Input volumes by slug."""
    reference: Any
    """Reference in HU, or labels, float32 with axes (z, y, x); of points, the parsed JSON."""
    mask: NDArray[np.bool_]
    """Where it counts."""


def read(task: Task, edition: Edition, split: Split, data: Data) -> Iterator[Example]:
    """The cases of an open split, one by one. Raises `ValueError` for a split that is not open to training."""
    if split not in OPEN_SPLITS:
        raise ValueError(f"training never reads the {split} split")
    for case in edition.split(split):
        sockets = [task.input(slug) for slug in data.sockets]
        inputs = {
            s.slug: edition.read_input(s, case.id) for s in sockets if not s.optional or edition.has_input(s, case.id)
        }
        socket = task.reference(task.scoring.reference)
        content = edition.read_reference(socket, case.id)
        shape = (content if socket.is_volume else next(iter(inputs.values()))).array.shape
        if task.scoring.mask:
            mask = np.asarray(edition.read_reference(task.reference(task.scoring.mask), case.id).array) > 0
        else:
            mask = np.ones(shape, bool)
        if socket.is_volume:
            content = np.asarray(content.array, np.float32)
            mask = mask & np.isfinite(content)
        yield Example(edition.info.edition, case.id, inputs, content, mask)


def check(task: Task, editions: Sequence[Edition]) -> None:
    """Raise `DataError` when there is no edition, or one has no train or val cases."""
    if not editions:
        raise DataError("edition_missing", f"no edition of {task.name} was given to train on")
    for edition in editions:
        for split in OPEN_SPLITS:
            if not edition.split(split):
                raise DataError(
                    "edition_broken",
                    f"edition {edition.info.edition!r} of {task.name} has no {split} cases",
                    expected="a train and a val split",
                    action="Train on another edition.",
                )


def score(task: Task, examples: Sequence[Example], predict: Callable[[Mapping[str, Volume]], Any]) -> dict[str, float]:
    """Each of the task's metrics as the scorer computes it, by metric id: the mean over cases, or the value of the set.

    `predict` gives an array, or of points the JSON.
    """
    from benchmark import metrics  # compiles kernels: only where it is needed
    from benchmark.metrics.registry import CaseInputs

    values: dict[str, list[Any]] = {used.id: [] for used in task.metrics}
    declared = {used.id: metrics.find(used.name) for used in task.metrics}
    of_volume = task.output(task.scoring.prediction).is_volume
    for example in examples:
        found = predict(example.inputs)
        spacing = next(iter(example.inputs.values())).spacing
        if of_volume:
            inputs = CaseInputs(example.reference, np.asarray(found, np.float32), example.mask, spacing)
        else:
            inputs = CaseInputs(example.reference, found)
        for used in task.metrics:
            metric = declared[used.id]
            if metric.level == "case":
                values[used.id].append(metric.evaluate(inputs, used.options).value)
            else:
                assert metric.collect is not None
                values[used.id].append(metric.collect(inputs, **{**metric.options, **used.options}))
    result = {}
    for used in task.metrics:
        metric, parts = declared[used.id], values[used.id]
        if metric.level == "case":
            result[used.id] = float(np.mean(parts))
        else:
            assert metric.reduce is not None
            whole = metric.reduce(parts, np.ones(len(parts)), **{**metric.options, **used.options})
            result[used.id] = float(whole.value)
    return result
