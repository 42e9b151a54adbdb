"""What training may look at: the train split to learn, the validation split to choose. Nothing else is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.config import Data
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
    reference: NDArray[np.float32]
    """Reference in HU, or labels; axes (z, y, x)."""
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
        reference = edition.read_reference(task.reference(task.scoring.reference), case.id)
        if task.scoring.mask:
            mask = np.asarray(edition.read_reference(task.reference(task.scoring.mask), case.id).array) > 0
        else:
            mask = np.ones(reference.array.shape, bool)
        hu = np.asarray(reference.array, np.float32)
        yield Example(edition.info.edition, case.id, inputs, hu, mask & np.isfinite(hu))


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


def score(
    task: Task, examples: Sequence[Example], predict: Callable[[Mapping[str, Volume]], NDArray[np.generic]]
) -> dict[str, float]:
    """Mean over cases of each of the task's case metrics, as the scorer computes them, by metric id."""
    from benchmark import metrics  # compiles kernels: only where it is needed
    from benchmark.metrics.registry import CaseInputs

    values: dict[str, list[float]] = {}
    for example in examples:
        array = predict(example.inputs)
        spacing = next(iter(example.inputs.values())).spacing
        inputs = CaseInputs(example.reference, np.asarray(array, np.float32), example.mask, spacing)
        for used in task.metrics:
            metric = metrics.find(used.name)
            if metric.level == "case":
                values.setdefault(used.id, []).append(metric.evaluate(inputs, used.options).value)
    return {id: float(np.mean(items)) for id, items in values.items()}
