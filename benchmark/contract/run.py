"""A submission and what running it on an edition gave and took."""

from __future__ import annotations

from datetime import date
from typing import Literal

from benchmark.contract.names import Name
from benchmark.record import Record


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
    """What was run: image digest, or hash of a baseline's code and weights."""
    engine: str
    """Engine and mode, such as `process/invoke`."""
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
