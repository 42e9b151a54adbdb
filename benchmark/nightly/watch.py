"""What may go wrong around a night without any piece of work failing: a disk that fills, a clock that is turned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import InfrastructureError

if TYPE_CHECKING:
    from benchmark.nightly.hands import Hands

CLOCK_SECONDS = 300.0
"""By so much the time of day may run away from the monotonic clock in a night, or be behind the ledger, before it is said."""


@dataclass(frozen=True)
class Clocks:
    """What the clocks say at one moment."""

    day: datetime
    """Time of day."""
    monotonic: float
    """Seconds that only grow, and stand still while the machine sleeps."""
    suspended: float
    """Seconds that the machine has slept since it was started."""

    @classmethod
    def of(cls, hands: Hands) -> Clocks:
        """Now."""
        return cls(hands.now(), hands.monotonic(), hands.suspended())


def low_disk(free_gb: float, least_gb: float, root: Path) -> InfrastructureError | None:
    """Whether there is too little room to begin a run."""
    if free_gb >= least_gb:
        return None
    return InfrastructureError(
        "low_disk", f"{free_gb:.1f} GB are free in {root}", expected=f"{least_gb:g} GB, or no run is begun"
    )


def behind_ledger(now: datetime, last: datetime | None) -> InfrastructureError | None:
    """Whether the clock stands before the last line of the ledger."""
    behind = (last - now).total_seconds() if last else 0.0
    if behind <= CLOCK_SECONDS:
        return None
    return InfrastructureError(
        "clock_jumped", f"the clock stands {behind / 3600:.1f} h before the last line of the ledger"
    )


def drifted(before: Clocks, now: Clocks) -> InfrastructureError | None:
    """Whether the clock was turned between two looks; that it is later after a sleep is no turn."""
    passed = now.monotonic - before.monotonic + now.suspended - before.suspended
    drift = (now.day - before.day).total_seconds() - passed
    if abs(drift) <= CLOCK_SECONDS:
        return None
    way = "forward" if drift > 0 else "back"
    still = ", or the machine was held still that long" if drift > 0 else ""
    return InfrastructureError(
        "clock_jumped", f"the clock was set {way} by {abs(drift) / 3600:.1f} h during the night{still}"
    )


def slept(before: Clocks, now: Clocks) -> str:
    """That the machine was suspended between two looks, in a sentence; empty where it was not, or not for long."""
    seconds = now.suspended - before.suspended
    return f"The machine was suspended for {seconds / 3600:.1f} h in the night." if seconds > CLOCK_SECONDS else ""
