"""Whose turn it is to be run again: a pure function of what the ledger says, see `benchmark.nightly.reproducing`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from benchmark.ledger import Entry

Often = Literal["each night", "weekly", "off"]
PAUSES: Mapping[str, timedelta] = {"each night": timedelta(hours=20), "weekly": timedelta(days=6, hours=20)}
"""By setting, how long after the last reproduction the next one is due; less than a day or a week, since nights begin at about the
same hour and not at the same second."""
ARCHIVED = timedelta(hours=20)
"""How old a run must be."""


@dataclass(frozen=True)
class Turns:
    """What the ledger says of runs and reproductions."""

    finished: Mapping[str, str] = field(default_factory=dict)
    """By run, when it ended, where a night ran it."""
    tried: Mapping[str, str] = field(default_factory=dict)
    """By run, when it was last run again."""
    differing: frozenset[str] = frozenset()
    """Runs whose last reproduction differed beyond the tolerance."""

    @classmethod
    def of(cls, log: Iterable[Entry]) -> Turns:
        """From the lines of the ledger."""
        finished: dict[str, str] = {}
        tried: dict[str, str] = {}
        differing: set[str] = set()
        for line in log:
            if line.kind == "run_finished":
                finished[line.facts["run"]] = line.time
            elif line.kind == "reproduced":
                run = line.facts["run"]
                tried[run] = line.time
                if not line.facts.get("code"):
                    (differing.discard if line.facts.get("within", True) else differing.add)(run)
        return cls(finished, tried, frozenset(differing))


def due(turns: Turns, often: Often, now: datetime) -> bool:
    """Whether it is time for another one."""
    if often == "off":
        return False
    last = max(map(datetime.fromisoformat, turns.tried.values()), default=None)
    return last is None or now - last >= PAUSES[often]


def archived(turns: Turns, run: str, now: datetime) -> bool:
    """Whether a run is old enough. One that no night ran, such as by `radbench run`, is."""
    made = turns.finished.get(run)
    return made is None or now - datetime.fromisoformat(made) >= ARCHIVED
