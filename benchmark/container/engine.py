"""What an engine is. `process` runs this repository's own baselines; container engines come behind the same two calls."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.contract import CaseCost, Limits


@dataclass(frozen=True)
class CaseOutcome:
    """What came of one case: an output folder on success, else a code of the submission group and a sentence."""

    seconds: float
    code: str = ""
    reason: str = ""
    """For the participant; it may quote the container, and is shown as it is on open splits only."""
    cost: CaseCost | None = None
    """What it took, where the engine measures it."""
    log: bytes = b""
    """What the model printed during this case, cut to the task's limit."""

    @property
    def ok(self) -> bool:
        """Whether the model ran to its end."""
        return not self.code


class Session(Protocol):
    """A started model. It may further have `warm: bool`, true while one server answers all cases and could carry state."""

    start_seconds: float
    """Wall-clock seconds until it was ready."""

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        """Run one case: `inputs` is what it sees as /input; what it wrote is in `output` afterwards. Never raises for
        anything that the model does; raises `InfrastructureError` when the engine itself fails."""


class Engine(Protocol):
    """A way to run models. One whose session can be warm also has `cold()`, the same engine with a fresh start a case."""

    @property
    def name(self) -> str:
        """Name on the row, such as `process/invoke`."""

    def session(self, limits: Limits, log: Path) -> AbstractContextManager[Session]:
        """Start the model under these limits; its standard output and error go to `log`. Everything is gone on exit."""
