"""The attempts in the ledger, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from benchmark import inbox
from benchmark.ledger import Entry, Ledger
from benchmark.nightly.quota import Attempt, team_of
from benchmark.workplace import Workplace


def read(work: Workplace) -> list[Attempt]:
    """All attempts of a workplace, oldest first. Raises `DataError` for a ledger that cannot be read."""
    log = Ledger(work.ledger).entries()
    teams = teams_of(log)
    teams |= {entry.id: entry.submission.method.team for entry in inbox.sorted_out(work.inbox)[0]}
    return of(log, teams)


def teams_of(log: Sequence[Entry]) -> dict[str, str]:
    """By entry id, who handed it in, as the ledger knows it."""
    return {e.facts["entry"]: e.facts.get("team", "") for e in log if e.kind == "submitted" and e.facts.get("entry")}


def of(log: Sequence[Entry], teams: Mapping[str, str]) -> list[Attempt]:
    """The attempts among the ledger's lines."""
    found = []
    for line in log:
        if line.kind == "attempt":
            facts: dict[str, Any] = line.facts
            found.append(
                Attempt(
                    entry=facts.get("entry", ""),
                    name=facts["submission"],
                    team=teams.get(facts.get("entry", ""), ""),
                    task=facts["task"],
                    edition=facts.get("edition", ""),
                    phase=facts.get("phase", ""),
                    at=datetime.fromisoformat(line.time),
                    counted=facts["counted"],
                    why=facts["why"],
                    code=facts.get("code", ""),
                )
            )
    return found


def concerns(attempt: Attempt, who: str) -> bool:
    """Whether an attempt is that of a team or a submission of that name, or of the entry of that id."""
    return who in (attempt.entry, attempt.name) or (bool(attempt.team) and team_of(who) == team_of(attempt.team))
