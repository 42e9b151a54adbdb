"""What a night that was killed did and could no longer say: found in the store, and written down by the next one.

Work is in the store before the ledger says so, and on the site before that is remembered, so that a line never stands for what is not
there. A kill in between leaves work without its line; a run or a score that is there is not made again, so nobody else would
write it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import store
from benchmark.ledger import Entry
from benchmark.nightly import reproducing

if TYPE_CHECKING:
    from benchmark.nightly.night import Night


@dataclass(frozen=True)
class Noted:
    """What the ledger says of entries, runs, scores and the site."""

    night: str = ""
    """The last night that had work, where it did not come to its end."""
    reproduced: Mapping[str, Any] | None = None
    """What that night said of the run that it had run again."""
    begun: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By key, what was said of a run when it began, where nothing was said of its end."""
    finished: Mapping[str, int] = field(default_factory=dict)
    """By key of a run, number of the line that first said that it ended."""
    submitted: Mapping[str, int] = field(default_factory=dict)
    """By entry, number of the line that said that it was handed in."""
    scored: frozenset[str] = frozenset()
    """Keys of scores."""
    edition: str = ""
    """The site's edition that was published last."""
    editions: tuple[str, ...] = ()
    """All that were published."""
    told: str = ""
    """The one that was published last before a night came to its end."""

    @classmethod
    def of(cls, log: Iterable[Entry]) -> Noted:
        """From the lines of the ledger."""
        night = edition = told = ""
        reproduced: Mapping[str, Any] | None = None
        editions: dict[str, None] = {}
        begun: dict[str, Mapping[str, Any]] = {}
        finished: dict[str, int] = {}
        submitted: dict[str, int] = {}
        scored: set[str] = set()
        for line in log:
            facts = line.facts
            if line.kind == "night_started":
                # A night that goes on after a killed one tells what that one could not.
                night, reproduced = facts["night"], reproduced if night else None
            elif line.kind == "night_finished":
                night, told, reproduced = "", edition, None
            elif line.kind == "reproduced":
                reproduced = facts
            elif line.kind == "run_started":
                begun[facts["run"]] = facts
            elif line.kind == "run_finished":
                begun.pop(facts["run"], None)
                finished.setdefault(facts["run"], line.sequence)
            elif line.kind == "submitted":
                submitted.setdefault(facts.get("entry", ""), line.sequence)
            elif line.kind == "scored":
                scored.add(facts.get("score", ""))
            elif line.kind == "published":
                edition = facts["edition"]
                editions[edition] = None
        return cls(night, reproduced, begun, finished, submitted, frozenset(scored), edition, tuple(editions), told)

    def reused(self, run: str, entry: str) -> bool:
        """Whether a run that is in the store was made before the entry was handed in, or by hand, and not for it."""
        ended = self.finished.get(run)
        return ended is None or ended < self.submitted.get(entry, ended)


def catch_up(night: Night) -> bool:
    """Write down what the night before did and did not say; whether there was anything."""
    state = night.state
    assert state is not None
    noted, root = state.noted, night.around.work.store
    ended, kept, wrote = set(noted.finished), state.runs - state.removed, False
    for key, facts in noted.begun.items():
        record = store.load_run(root, key) if key in kept else None
        if record is not None:
            night.chronicle.run_found(facts, record)
            ended.add(key)
            wrote = True
    if not noted.night and not wrote:
        return False
    for key in sorted(state.scores - noted.scored):
        score = store.load_score(root, key)
        if score is not None and score.run in ended:
            night.chronicle.scored(score)
            wrote = True
    if noted.night:
        night.notes.append(
            f"The night {noted.night} was ended before its report was written; what it did is kept, the rest is due."
        )
        if noted.reproduced is not None:
            reproducing.remind(night, noted.reproduced)
    return wrote


def sweep(nights: Path) -> None:
    """Remove what killed nights were writing into their folders."""
    for partial in nights.glob("*/**/.*.partial"):
        with contextlib.suppress(OSError):
            partial.unlink()
