"""The record beside the weights of how much a baseline's figures hang on the seed of its training. Made by `seeds`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from benchmark.contract import Name, Record, TrainingFigure, TrainingSpread
from benchmark.errors import DataError


class Column(Record):
    """A metric that was measured."""

    id: Name
    """Id in the task."""
    title: str
    """Heading, with what the task fixes of it."""
    unit: str = ""
    """Unit; empty for ratios."""
    direction: Literal["higher", "lower"]
    """Which way is better."""


class Seed(Record):
    """One training."""

    seed: int
    """Its seed."""
    weights_sha256: str
    """Hash of its weights file."""
    seconds: float | None = None
    """Wall-clock seconds of learning; absent for the shipped weights, whose card has them."""
    cpu_seconds: float | None = None
    """Processor seconds, likewise."""
    figures: dict[Name, dict[Name, float]]
    """Figures on the val split by edition and metric id."""


class SeedRecord(Record):
    """`<task>.seeds.json`. The weights of the other seeds are not kept here; `command` makes them again."""

    schema_version: int = 1
    """Version of this record."""
    task: Name
    """Task name."""
    task_version: str
    """Its version."""
    baseline: Name
    """Name of the baseline."""
    shipped: int
    """Seed of the shipped weights, fixed before any was trained."""
    command: str
    """How to train the seeds again."""
    hardware: str
    """Processor or GPU on which it was made."""
    inputs: dict[Name, str]
    """Hash of train and val splits by edition, the same for all seeds."""
    cases: dict[Name, int]
    """Val cases by edition."""
    metrics: tuple[Column, ...]
    """What was measured, in the task's order."""
    seeds: tuple[Seed, ...] = Field(min_length=2)
    """The trainings."""

    @model_validator(mode="after")
    def _complete(self) -> SeedRecord:
        for one in self.seeds:
            for edition in self.cases:
                absent = {column.id for column in self.metrics} - set(one.figures.get(edition, {}))
                if absent:
                    raise ValueError(f"seeds: seed {one.seed} has no {', '.join(sorted(absent))} on {edition}")
        return self

    @property
    def spread(self) -> TrainingSpread:
        """The same as the leaderboard shows it."""
        return TrainingSpread(
            seeds=tuple(one.seed for one in self.seeds),
            shipped=self.shipped,
            cases=self.cases,
            figures=tuple(
                TrainingFigure(
                    edition=edition,
                    metric=column.id,
                    title=column.title,
                    unit=column.unit,
                    direction=column.direction,
                    values=tuple(one.figures[edition][column.id] for one in self.seeds),
                )
                for edition in self.cases
                for column in self.metrics
            ),
            command=self.command,
        )

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights that are shipped; empty when the shipped seed is not among them."""
        return next((one.weights_sha256 for one in self.seeds if one.seed == self.shipped), "")


def read(path: Path) -> SeedRecord | None:
    """The record, or None where there is none. Raises `DataError('record_invalid')` when it cannot be read."""
    try:
        return SeedRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DataError(
            "record_invalid",
            f"{path} is not a record of seeds: {error.errors()[0]['msg']}",
            action="Make it again with `radbench train … --seeds 3 --install`.",
        ) from None
