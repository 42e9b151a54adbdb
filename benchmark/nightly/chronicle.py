"""What a night writes into the ledger: who handed in what, what ran where and how it ended, which attempts count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import benchmark
from benchmark.contract import Reproduction, RunRecord, Task
from benchmark.inbox import Entry
from benchmark.ledger import Ledger
from benchmark.nightly.failures import Failure, cleaned
from benchmark.nightly.quota import phase_of
from benchmark.nightly.work import Place, Reproduce, Run
from benchmark.store import ScoreRecord

MOST = 300
"""Characters of a text in the ledger."""


class Chronicle:
    """Writes lines. What a stranger or an engine wrote becomes one printable line, so that no name of a file can stop a night."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def submitted(self, entry: Entry) -> None:
        """Somebody handed in a submission."""
        submission = entry.submission
        self.ledger.append(
            "submitted",
            task=submission.task,
            submission=submission.method.name,
            entry=entry.id,
            team=_line(submission.method.team),
            received=entry.received,
            digest=submission.digest,
        )

    def night_started(self, night: str, tasks: list[str], planned: Mapping[str, int]) -> None:
        """A night begins that has something to do."""
        self.ledger.append(
            "night_started", night=night, tasks=tasks, planned=dict(planned), version=benchmark.__version__
        )

    def run_started(self, item: Run, tries: int) -> None:
        """A container or a reference model is about to run."""
        self.ledger.append(
            "run_started",
            **_about(item),
            digest=item.digest,
            engine=item.flags[0] if item.flags else "",
            flags=[_line(flag) for flag in item.flags],
            limits=item.limits.model_dump(),
            attempt=tries,
        )

    def run_finished(self, item: Run, record: RunRecord, codes: Mapping[str, int], seconds: float) -> None:
        """A run is in the store."""
        self.ledger.append(
            "run_finished",
            **_about(item),
            cases=len(record.cases),
            codes=dict(codes),
            seconds=round(seconds, 3),
            hardware=_line(record.hardware),
        )

    def run_found(self, begun: Mapping[str, Any], record: RunRecord) -> None:
        """A run is in the store of which an earlier night could only say that it began."""
        codes = Counter(case.code for case in record.cases if case.code)
        self.ledger.append(
            "run_finished",
            **{name: begun[name] for name in ("task", "submission", "entry", "edition", "run") if name in begun},
            cases=len(record.cases),
            codes=dict(sorted(codes.items())),
            seconds=round(record.start_seconds + sum(case.seconds for case in record.cases), 3),
            hardware=_line(record.hardware),
        )

    def run_failed(self, item: Run, found: Failure, tries: int, seconds: float, *, again: bool) -> None:
        """A run could not be carried out."""
        self.ledger.append(
            "run_failed",
            **_about(item),
            group=found.group,
            code=found.code,
            retry=again,
            attempt=tries,
            seconds=round(seconds, 3),
        )

    def scored(self, score: ScoreRecord) -> None:
        """A score is in the store. It is named after the submission whose run it is, whoever else waits for it."""
        self.ledger.append(
            "scored",
            task=score.task,
            submission=score.method.name,
            entry="",
            edition=score.edition,
            run=score.run,
            score=score.key,
            scorer=score.scorer,
        )

    def reproduced(self, item: Reproduce, found: Reproduction) -> None:
        """An archived run was run again."""
        self.ledger.append(
            "reproduced",
            **_repeated(item),
            same=found.same,
            within=found.within,
            largest=found.metric_difference or 0.0,
            metric=found.metric,
        )

    def not_reproduced(self, item: Reproduce, found: Failure) -> None:
        """An archived run could not be run again."""
        self.ledger.append(
            "reproduced", **_repeated(item), same=False, within=False, group=found.group, code=found.code
        )

    def attempt_made(self, item: Place, *, reused: bool) -> None:
        """The attempt of a submission that has its row."""
        placement = item.placement
        self.ledger.append(
            "attempt",
            task=placement.task,
            submission=placement.method.name,
            entry=placement.entry,
            edition=placement.edition,
            run=placement.run,
            counted=True,
            why="reused" if reused else "ran",
            phase=item.phase,
        )

    def attempt_failed(self, entry: Entry, task: Task, edition: str, found: Failure) -> None:
        """The attempt of a submission that has none: its own fault counts, others do not."""
        phase = phase_of(task, datetime.fromisoformat(entry.received))
        counted = found.group == "submission"
        self.ledger.append(
            "attempt",
            task=task.name,
            submission=entry.submission.method.name,
            entry=entry.id,
            edition=edition,
            counted=counted,
            why="submission_failed" if counted else found.group,
            group=found.group,
            code=found.code,
            phase=phase.name if phase else "",
        )


def _about(item: Run) -> dict[str, Any]:
    return {
        "task": item.task,
        "submission": item.names[0],
        "entry": item.entry,
        "edition": item.edition,
        "run": item.key,
    }


def _repeated(item: Reproduce) -> dict[str, Any]:
    return {
        "task": item.task,
        "submission": item.name,
        "entry": item.entry,
        "edition": item.edition,
        "run": item.key,
    }


def _line(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in text)
    return cleaned(line, ())[:MOST]
