"""What may go wrong around a night without any piece of work failing: a disk that fills, a clock that is turned."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from benchmark.errors import InfrastructureError

CLOCK_SECONDS = 300.0
"""By so much the time of day may run away from the monotonic clock in a night, or be behind the ledger, before it is said."""


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


def drifted(before: tuple[datetime, float], now: tuple[datetime, float]) -> InfrastructureError | None:
    """Whether the clock was turned between two looks at time of day and monotonic clock."""
    drift = (now[0] - before[0]).total_seconds() - (now[1] - before[1])
    if abs(drift) <= CLOCK_SECONDS:
        return None
    way = "forward" if drift > 0 else "back"
    return InfrastructureError("clock_jumped", f"the clock was set {way} by {abs(drift) / 3600:.1f} h during the night")
