"""Phases and attempts: when a submission may run, what it costs, and until when one over quota waits.

An attempt is counted once a submission, when its first run has ended or it was refused for what is in its image. Runs that the
organiser causes (other data, limits or engine) cost nothing, and neither does a failure that is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from benchmark.contract import Phase, Task

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Attempt:
    """An `attempt` of the ledger."""

    entry: str
    """Id of the inbox entry."""
    name: str
    """Name of the submission."""
    team: str
    """Who handed it in."""
    task: str
    """Task name."""
    edition: str
    """Data edition; empty where it did not come so far."""
    phase: str
    """Phase of the task; empty where it has none."""
    at: datetime
    """When it was decided, in UTC."""
    counted: bool
    """Whether it counts."""
    why: str
    """As in `benchmark.ledger_facts.Attempt`."""
    code: str = ""
    """Error code; empty when it ran."""


@dataclass(frozen=True)
class Verdict:
    """Whether a submission may run."""

    phase: Phase | None
    """Its phase; None where the task has none, or it belongs to none."""
    allowed: bool
    """Whether it may run now."""
    sentence: str = ""
    """Why not."""
    until: datetime | None = None
    """From when on it may; None for never, or now."""


def team_of(team: str) -> str:
    """Teams are told apart without regard to case and spaces."""
    return " ".join(team.split()).casefold()


def phase_of(task: Task, received: datetime) -> Phase | None:
    """The phase that a submission belongs to: that in which it was handed in, else the next that opens. None after the last."""
    for phase in sorted(task.phases, key=lambda phase: phase.opens):
        if phase.closes is None or received < phase.closes:
            return phase
    return None


def admit(
    task: Task,
    received: datetime,
    now: datetime,
    used: Sequence[datetime] = (),
    *,
    planned: int = 0,
    spent: bool = False,
) -> Verdict:
    """Whether a submission that was handed in at `received` may run now.

    `used` are the moments of the attempts that count for its team in its phase, `planned` how many more of the team are to run in
    this night. One that has `spent` its attempt already may always run again.
    """
    if not task.phases or spent:
        return Verdict(phase_of(task, received), True)
    phase = phase_of(task, received)
    if phase is None:
        last = max(phase.closes for phase in task.phases if phase.closes is not None)
        return Verdict(
            None, False, f"The last phase closed on {moment(last)}, before this was handed in; it will not run."
        )
    if now < phase.opens:
        return Verdict(
            phase, False, f"The phase {phase.name!r} opens on {moment(phase.opens)}; it waits until then.", phase.opens
        )
    if phase.attempts_total is not None and len(used) + planned >= phase.attempts_total:
        return Verdict(
            phase,
            False,
            f"The team has used all {phase.attempts_total} attempts of the phase {phase.name!r}; it will not run.",
        )
    if phase.attempts_per_week is not None:
        return _weekly(phase, phase.attempts_per_week, sorted(used), now, planned)
    return Verdict(phase, True)


def _weekly(phase: Phase, most: int, times: Sequence[datetime], now: datetime, planned: int) -> Verdict:
    recent = [at for at in times if at > now - WEEK] + [now] * planned
    if len(recent) < most:
        return Verdict(phase, True)
    # It may run once so many have aged that fewer than `most` are younger than a week.
    until = recent[len(recent) - most] + WEEK
    return Verdict(
        phase,
        False,
        f"The team has used its {most} attempt{'s' if most > 1 else ''} a week of the phase {phase.name!r}; it waits until "
        f"{moment(until)}.",
        until,
    )


def moment(when: datetime) -> str:
    """A moment in words, in UTC."""
    return when.strftime("%Y-%m-%d %H:%M UTC")
