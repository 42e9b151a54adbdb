"""A phase of a challenge: from when to when it takes submissions, how many, and on which data."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from pydantic import AwareDatetime, Field, field_validator, model_validator

from benchmark.contract.names import Name
from benchmark.record import Record


class Phase(Record):
    """One `[[phases]]` of a task. Without any, submissions are taken at all times and in any number."""

    name: Name
    """Short name, unique in the task, such as `validation` or `final`."""
    title: str = ""
    """What a participant reads."""
    opens: AwareDatetime
    """From when on submissions are run: a day (its first moment in UTC), or a moment with its offset from UTC."""
    closes: AwareDatetime | None = None
    """A submission that is handed in at or after this moment is no longer of this phase; absent: it never closes."""
    attempts_per_week: int | None = Field(default=None, gt=0)
    """Attempts of a team that count in any seven days; absent: no limit."""
    attempts_total: int | None = Field(default=None, gt=0)
    """Attempts of a team that count in the whole phase; absent: no limit."""
    edition: Name | None = None
    """Data edition that its submissions run on; absent: those that the night is configured with."""

    @field_validator("opens", "closes", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        """A day stands for its first moment in UTC."""
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, str) and len(value) == 10:
            return f"{value}T00:00:00Z"
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Phase:
        if self.closes is not None and self.closes <= self.opens:
            raise ValueError(f"closes: found {self.closes.isoformat()}, expected a moment after opens")
        return self


def check_phases(phases: tuple[Phase, ...]) -> None:
    """Names are unique, and no two phases are open at once, so that the moment of handing in settles the phase.

    Raises `ValueError`.
    """
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ValueError(f"phases: names must be unique, found {names}")
    for first, second in pairwise(sorted(phases, key=lambda phase: phase.opens)):
        if first.closes is None or first.closes > second.opens:
            raise ValueError(
                f"phases: {first.name} and {second.name} are open at once; expected {first.name} to close when "
                f"{second.name} opens, or before"
            )
