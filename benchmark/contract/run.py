"""A submission and what running it on an edition gave and took."""

from __future__ import annotations

import statistics
from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from benchmark.contract.data import FEDERATED
from benchmark.contract.names import Name
from benchmark.record import Record


class TrainingFigure(Record):
    """One figure on the validation split, once for each training seed."""

    edition: Name
    """Data edition whose validation split it was taken on."""
    metric: Name
    """Metric id in the task."""
    title: str
    """Heading of the metric, with what the task fixes of it."""
    unit: str = ""
    """Unit; empty for ratios."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    values: tuple[float, ...] = Field(min_length=2)
    """The figure of each seed, in the order of `TrainingSpread.seeds`."""

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float:
        """Standard deviation of the sample of seeds (divisor n - 1)."""
        return statistics.stdev(self.values)

    @property
    def low(self) -> float:
        """Lowest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """Highest value."""
        return max(self.values)


class TrainingSpread(Record):
    """How much a method's figures hang on the seed of its training. All else was equal: data, settings, code, hardware's kind."""

    seeds: tuple[int, ...] = Field(min_length=2)
    """Seeds that were trained."""
    shipped: int
    """The seed whose weights are the ones that run; chosen before any was trained, not by its figures."""
    split: Literal["val"] = "val"
    """Split of the figures. The test split is never used for this."""
    cases: dict[Name, int] = Field(default_factory=dict)
    """Validation cases by edition."""
    figures: tuple[TrainingFigure, ...]
    """One for each edition and metric, in the task's order of metrics."""
    command: str
    """How to train the same seeds again."""

    @model_validator(mode="after")
    def _one_value_a_seed(self) -> Self:
        if self.shipped not in self.seeds:
            raise ValueError(f"shipped: found {self.shipped}, expected one of {list(self.seeds)}")
        for figure in self.figures:
            if len(figure.values) != len(self.seeds):
                raise ValueError(
                    f"figures: {figure.metric} has {len(figure.values)} values for {len(self.seeds)} seeds"
                )
        return self


class Method(Record):
    """What a submission says of itself; for a stranger's, the manifest."""

    name: Name
    """Identifier of the submission."""
    title: str
    """Name on the leaderboard."""
    family: Literal["classical", "unet", "gan", "vae", "diffusion", "transformer", "other"] = "other"
    """Kind of model; `gan`, `vae` and `diffusion` count as generative, `classical` as traditional."""
    team: str = ""
    """Who submitted it."""
    description: str = ""
    """What it does, in a few sentences."""
    citation: str = ""
    """How to cite the method."""
    licence: str = ""
    """Licence of code and weights."""
    baseline: bool = False
    """True for the reference models of this repository."""
    embargo: date | None = None
    """The row is anonymous in every edition published before this day; absent: it is named from the start."""
    anonymous: bool = False
    """Whether what is said here is a pseudonym. Set when a board is published, never by a manifest."""
    submitted_as: str = ""
    """After an embargo: the submission's own name, where `name` is still the pseudonym that its addresses are made of."""
    training: TrainingSpread | None = None
    """What training with other seeds gives, for a reference model where that was measured. Never from a manifest; no part of any key."""

    @property
    def generative(self) -> bool:
        """Whether it counts as a generative model."""
        return self.family in ("gan", "vae", "diffusion")


class CaseCost(Record):
    """What one case took beside its time; absent where it was not measured."""

    peak_memory_mb: float | None = None
    """Most memory that its control group held so far, in MiB."""
    cpu_seconds: float | None = None
    """Processor seconds."""
    gpu_memory_mb: float | None = None
    """Most GPU memory in use beyond what was in use before the start, in MiB."""
    gpu_joules: float | None = None
    """Energy that the GPU took, all of it, in joules."""


class Cost(Record):
    """What a run took, over its cases that ran."""

    start_seconds: float
    """Cold start: seconds until the model was ready."""
    seconds_median: float
    """Median wall-clock seconds a case."""
    seconds_p95: float
    """95th percentile of the wall-clock seconds a case."""
    peak_memory_mb: float | None = None
    """Most memory that the control group held, in MiB."""
    cpu_seconds: float | None = None
    """Median processor seconds a case."""
    gpu_memory_mb: float | None = None
    """Most GPU memory in use, in MiB."""
    gpu_joules: float | None = None
    """Median GPU energy a case, in joules."""
    hardware: str = ""
    """Processor and GPU that it ran on."""


class Reproduction(Record):
    """An archived run that was run again with the same digest, inputs, limits and engine, and what came out otherwise.

    Differences are rounded up to one digit: a model that is not repeatable chooses them after it has seen sealed cases, and could
    write into further digits what it saw.
    """

    when: str
    """Day, in UTC."""
    same: bool
    """Whether every output came out byte for byte."""
    within: bool
    """Whether all that differs does so within the tolerance, and every case ended as before."""
    tolerance: float
    """Largest difference that the organiser takes for the same, as a share of the first output's range (of labels, of the voxels)."""
    cases: int
    """Cases that were run again."""
    changed: int = 0
    """Cases whose output is not the same byte for byte, or that ended with another code."""
    difference: float | None = None
    """Largest difference between two outputs; absent where they cannot be subtracted, such as points of another number."""
    unit: str = ""
    """Unit of that difference."""
    metric: str = ""
    """Metric that differs most, as a share of its first value; empty where none differs."""
    metric_difference: float | None = None
    """Its largest difference, of one case or of the set; absent where none differs, or one of both is infinite."""
    hardware: str = ""
    """Where it ran this time."""

    @property
    def sentence(self) -> str:
        """What came out, in words; no word of it comes from the model."""
        if self.same:
            return f"All {self.cases} outputs are the same, byte for byte."
        largest = "some cannot be compared by number (another outcome, grid or number of points)"
        if self.difference is not None:
            largest = f"the largest difference is at most {self.difference:g}{' ' + self.unit if self.unit else ''}"
        metric = ""
        if self.metric and self.metric_difference is not None:
            metric = f"; {self.metric} differs by at most {self.metric_difference:g}"
        beyond = "" if self.within else f", which is beyond the tolerance of {self.tolerance:g} of an output's range"
        return f"{self.changed} of {self.cases} outputs differ, {largest}{metric}{beyond}."


class CaseRun(Record):
    """What running one case gave."""

    case: str
    """Case id."""
    seconds: float
    """Wall-clock seconds of this case."""
    code: str = ""
    """Error code of the submission group when it failed; empty when it ran."""
    reason: str = ""
    """One sentence for the participant when it failed; on a sealed split nothing in it comes from the container."""
    cost: CaseCost | None = None
    """What it took, where the engine measures it."""


PREDICTIONS = "predictions"
"""Engine of a run whose outputs came as files: nothing was run here, and nothing is known of what made them."""


class RunRecord(Record):
    """`run.json`: one submission run on one edition; the predictions lie beside it in `predictions/<case>/`."""

    schema_version: int = 1
    """Version of this record."""
    key: str
    """Inference key: hash of submission digest, inputs, limits and flags."""
    task: str
    """Task name."""
    edition: str
    """Edition name."""
    method: Method
    """The submission."""
    digest: str
    """What was run: image digest, or hash of a baseline's code and weights; of predictions, hash over the files."""
    engine: str
    """Engine and mode, such as `process/invoke`; `predictions` where the outputs came as files."""
    hardware: str
    """Processor or GPU that it ran on."""
    start_seconds: float
    """Time until the model was ready."""
    cases: tuple[CaseRun, ...]
    """One entry a case, in case order."""
    flags: tuple[str, ...] = ()
    """Sentences that the row must carry, such as that outputs changed with the order of the cases."""
    cost: Cost | None = None
    """What it took; absent when no case ran."""

    @property
    def ran(self) -> bool:
        """Whether a model was run here, so that times mean something."""
        return self.engine not in (PREDICTIONS, FEDERATED)
