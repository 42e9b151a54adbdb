"""Which entries of the inbox take part: one a submission, the newest that may run; what becomes of the others is said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmark.contract import Phase, Task
from benchmark.errors import SubmissionError
from benchmark.nightly import quota
from benchmark.nightly.state import EntryState, State
from benchmark.nightly.work import Waiting


@dataclass(frozen=True)
class Admitted:
    """An entry that takes part."""

    state: EntryState
    phase: Phase | None


def admit(state: State) -> tuple[list[Admitted], list[Waiting]]:
    """Who takes part, and who does not and why, each in the order in which they were handed in."""
    admitted: list[Admitted] = []
    waiting: list[Waiting] = []
    lines: dict[tuple[str, str], list[EntryState]] = {}
    owners: dict[tuple[str, str], str] = {(b.task, b.method.name): "\0" for b in state.baselines}
    for found in state.entries:
        task, name = found.entry.submission.task, found.entry.submission.method.name
        problem = _problem(found, state, owners)
        if problem is not None:
            waiting.append(problem)
            continue
        owners.setdefault((task, name), quota.team_of(found.entry.submission.method.team))
        lines.setdefault((task, name), []).append(found)
    history = _History(state.attempts)
    # Among submissions the one that came first has the first slot; of one submission, the version that came last.
    for line in sorted(lines.values(), key=lambda line: (line[-1].entry.received, line[-1].entry.id)):
        taken = False
        for found in reversed(line):
            if taken:
                waiting += [] if found.entry.id in history.ran else [_superseded(found, line[-1])]
                continue
            declared = state.tasks[found.entry.submission.task]
            verdict = history.verdict(found, declared, state.now)
            if verdict.allowed:
                taken = True
                admitted.append(Admitted(found, verdict.phase))
            else:
                late = verdict.until is None
                phase = verdict.phase.name if verdict.phase else ""
                waiting.append(_waits(found, verdict.sentence, phase=phase, until=verdict.until, final=late))
    order = {found.entry.id: number for number, found in enumerate(state.entries)}
    return sorted(admitted, key=lambda a: order[a.state.entry.id]), sorted(waiting, key=lambda w: order[w.entry])


class _History:
    """The attempts by whose they are, and what more is to run in this night."""

    def __init__(self, attempts: Sequence[quota.Attempt]) -> None:
        self.used: dict[tuple[str, str, str], list[datetime]] = {}
        self.spent: set[tuple[str, str]] = set()
        self.ran = {a.entry for a in attempts if a.counted and not a.code}
        self.planned: Counter[tuple[str, str, str]] = Counter()
        for attempt in attempts:
            if attempt.counted:
                slot = (attempt.task, attempt.phase, quota.team_of(attempt.team))
                self.used.setdefault(slot, []).append(attempt.at)
                self.spent.add((attempt.entry, attempt.phase))

    def verdict(self, found: EntryState, task: Task, now: datetime) -> quota.Verdict:
        """Whether an entry may run now; if it may, it has its slot."""
        received = datetime.fromisoformat(found.entry.received)
        phase = quota.phase_of(task, received)
        name = phase.name if phase else ""
        slot = (task.name, name, quota.team_of(found.entry.submission.method.team))
        spent = (found.entry.id, name) in self.spent
        verdict = quota.admit(task, received, now, self.used.get(slot, ()), planned=self.planned[slot], spent=spent)
        if verdict.allowed and not spent:
            self.planned[slot] += 1
        return verdict


def _problem(found: EntryState, state: State, owners: Mapping[tuple[str, str], str]) -> Waiting | None:
    """What keeps an entry from taking part whatever the others are."""
    submission = found.entry.submission
    task = state.tasks.get(submission.task)
    if found.refused is not None:
        return _waits(found, found.refused.sentence, code=found.refused.code, final=True)
    if task is None:
        broken = state.task_problems.get(submission.task)
        if broken is not None:
            return _waits(found, "The task is being mended by the organiser; this waits.", person=True)
        return _waits(
            found, f"The task {submission.task!r} takes no part in the organiser's runs at present; this waits."
        )
    if submission.task_version != task.version:
        sentence = (
            f"It was made for version {submission.task_version!r} of {task.name}, which has version {task.version!r} now. "
            "Hand it in again with that `task_version`."
        )
        return _waits(found, sentence, code="manifest", final=True)
    try:
        submission.limits(task)
    except SubmissionError as error:
        return _waits(found, error.sentence, code=error.code, final=True)
    owner = owners.get((task.name, submission.method.name))
    if owner is not None and owner != quota.team_of(submission.method.team):
        whose = "a reference model" if owner == "\0" else "another team's submission"
        sentence = (
            f"The name {submission.method.name!r} is that of {whose}. Hand it in again under another `method.name`."
        )
        return _waits(found, sentence, code="manifest", final=True)
    if submission.requests.gpu and not state.gpu:
        return _waits(found, "It asks for a GPU, and the organiser's machine has none set up; it waits.", person=True)
    return None


def _superseded(found: EntryState, newest: EntryState) -> Waiting:
    """Said only of what never had a result: for the others, their own outcome stands."""
    sentence = f"A newer version was handed in at {newest.entry.received} before this one had run; only that one runs."
    return _waits(found, sentence, final=True)


def _waits(
    found: EntryState,
    sentence: str,
    *,
    phase: str = "",
    code: str = "",
    until: datetime | None = None,
    final: bool = False,
    person: bool = False,
) -> Waiting:
    submission = found.entry.submission
    return Waiting(
        entry=found.entry.id,
        name=submission.method.name,
        team=submission.method.team,
        task=submission.task,
        phase=phase,
        code=code,
        sentence=sentence,
        until=until,
        final=final,
        person=person,
    )
