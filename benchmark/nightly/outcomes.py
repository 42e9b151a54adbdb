"""What a participant may see of their submission: `outcome.json` in its inbox entry, and the attempts that the ledger counts.

On sealed cases it has numbers by error code and no more; nothing that the container said is quoted there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from benchmark import atomic
from benchmark.contract import RunRecord
from benchmark.nightly.quota import Attempt
from benchmark.record import Record

FILE = "outcome.json"

Status = Literal["done", "waiting", "refused", "will_not_run"]

MEANING = {
    "ran": "It ran to its end.",
    "submission_failed": "It was refused for what is in it.",
    "infrastructure": "It failed by our fault; it is tried again.",
    "data": "The task or its data was broken; it is tried again.",
    "duplicate": "The same submission was counted before.",
    "reused": "It was run before, under the same image and limits.",
    "organiser": "By decision of the organiser.",
}
"""What a line of the ledger says, in a sentence."""


class AttemptLine(Record):
    """An attempt, as its team may see it."""

    at: datetime
    """When it was decided, in UTC."""
    submission: str
    """Name of the submission."""
    entry: str
    """Id of the inbox entry."""
    task: str
    """Task name."""
    edition: str = ""
    """Data edition."""
    phase: str = ""
    """Phase of the task; empty where it has none."""
    counted: bool
    """Whether it counts."""
    code: str = ""
    """Error code; empty when it ran."""
    sentence: str
    """What happened."""


class CanaryFailure(Record):
    """A canary case without a valid output. Canary cases are public."""

    case: str
    """Case id."""
    code: str
    """Error code."""
    reason: str
    """What was found."""


class Outcome(Record):
    """`outcome.json`: what became of a submission."""

    schema_version: int = 1
    """Version of this record."""
    entry: str
    """Id of the inbox entry."""
    name: str
    """Name of the submission."""
    task: str
    """Task name."""
    state: Status
    """`done`: it ran and has a row; `refused`: final; `waiting`: nothing need be done by the participant unless the sentence says so."""
    code: str = ""
    """Error code; empty for none."""
    sentence: str
    """What happened and what to do."""
    counted: bool
    """Whether an attempt was counted for it."""
    until: datetime | None = None
    """Until when it waits, where that is known."""
    editions: dict[str, str] = Field(default_factory=dict)
    """By data edition, the key of the run that stands for it."""
    canary_failures: tuple[CanaryFailure, ...] = ()
    """Canary cases without a valid output."""
    test_failures: dict[str, int] = Field(default_factory=dict)
    """Sealed cases without a valid output, by error code."""
    attempts: tuple[AttemptLine, ...] = ()
    """The team's attempts on this task, oldest first."""


def lines(attempts: Sequence[Attempt]) -> tuple[AttemptLine, ...]:
    """Attempts in words."""
    return tuple(
        AttemptLine(
            at=a.at,
            submission=a.name,
            entry=a.entry,
            task=a.task,
            edition=a.edition,
            phase=a.phase,
            counted=a.counted,
            code=a.code,
            sentence=MEANING[a.why],
        )
        for a in attempts
    )


def ran(entry: str, name: str, task: str, runs: Sequence[tuple[RunRecord, frozenset[str]]], counted: bool) -> Outcome:
    """The outcome of what ran; with each run the ids of its canary cases."""
    canary: list[CanaryFailure] = []
    sealed: Counter[str] = Counter()
    cases = 0
    for record, public in runs:
        cases += len(record.cases)
        for case in record.cases:
            if case.code and case.case in public:
                canary.append(CanaryFailure(case=case.case, code=case.code, reason=case.reason))
            elif case.code:
                sealed[case.code] += 1
    bad = len(canary) + sum(sealed.values())
    sentence = (
        f"All {cases} cases gave a valid output."
        if not bad
        else f"{bad} of {cases} cases gave no valid output and take each metric's worst value; docs/errors.md explains the codes."
    )
    first = canary[0].code if canary else next(iter(sorted(sealed)), "")
    return Outcome(
        entry=entry,
        name=name,
        task=task,
        state="done",
        code=first,
        sentence=sentence,
        counted=counted,
        editions={record.edition: record.key for record, _ in runs},
        canary_failures=tuple(canary),
        test_failures=dict(sorted(sealed.items())),
    )


def read(folder: Path) -> Outcome | None:
    """The outcome in an entry's folder; None where there is none that can be read."""
    try:
        return Outcome.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def write(folder: Path, outcome: Outcome) -> None:
    """Put the outcome into the entry's folder, where it says something else than what is there."""
    path, new = folder / FILE, outcome.model_dump_json(indent=1) + "\n"
    if folder.is_dir() and not (path.is_file() and path.read_text("utf-8") == new):
        atomic.write_text(path, new)
