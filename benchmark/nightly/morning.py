"""From a night to what is left of it in the morning: the report, the outcomes in the inbox, the lines of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import benchmark
from benchmark import atomic, store
from benchmark.contract import RunRecord
from benchmark.nightly import failures, outcomes, queue, report
from benchmark.nightly.gather import gather
from benchmark.nightly.night import Night
from benchmark.nightly.outcomes import Outcome
from benchmark.nightly.quota import Attempt, team_of
from benchmark.nightly.report import BROKE, PERSON, WELL, Left, NightReport, Total
from benchmark.nightly.state import EntryState, State
from benchmark.nightly.work import Plan, Waiting
from benchmark.store import Placement


def made(night: Night, started: datetime, seconds: float) -> NightReport:
    """The report of a night that has ended."""
    stopped = night.plan.stopped if night.plan else ()
    waiting = night.plan.waiting if night.plan else ()
    person = list(night.person)
    for item in stopped:
        person.append(f"{'/'.join(filter(None, (item.task, item.edition)))} is stopped: {item.sentence}")
    person += sorted({f"{w.task}: {w.name}: {w.sentence}" for w in waiting if w.person and not w.final})
    bugs = [bug for bug in night.failed if bug.group == "bug"]
    for bug in bugs:
        person.append(f"A fault of radbench: {' '.join((bug.what, *bug.names))}: {bug.code}; see {bug.details}.")
    code = BROKE if bugs else PERSON if person else WELL
    return NightReport(
        night=night.folder.name,
        version=benchmark.__version__,
        started=started.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        exit_code=code,
        interrupted=night.interrupted,
        planned=night.planned,
        runs=tuple(night.runs),
        scores=tuple(night.scores),
        rows=tuple(night.rows),
        reproduced=night.reproduced,
        failed=tuple(night.failed),
        stopped=tuple(
            item.model_copy(update={"sentence": failures.cleaned(item.sentence, night.sealed)}) for item in stopped
        ),
        waiting=waiting,
        left=tuple(_left(night)),
        notes=tuple(failures.cleaned(note, night.sealed) for note in night.notes),
        person=tuple(dict.fromkeys(failures.cleaned(line, night.sealed) for line in person)),
        site=night.site,
        cost=total(night),
    )


def _left(night: Night) -> list[Left]:
    """What was due and not done, by sort and reason."""
    missed = {item.key for item in night.failed}
    reasons: Counter[tuple[str, str]] = Counter()
    for item in night.under_way:
        reasons[queue.kind(item), "the night was ended while it was under way; the next one goes on with it"] += 1
    for item in night.queue.todo.values():
        why = night.queue.reason(item)
        if not why:
            needs = set(getattr(item, "waits_for", ())) - night.queue.done
            why = "what it waits for failed" if needs & missed else "what it waits for was not done"
            if not needs:
                why = "the night ended before"
        reasons[queue.kind(item), failures.cleaned(why, night.sealed)] += 1
    return [Left(what=what, count=count, why=why) for (what, why), count in sorted(reasons.items())]


def total(night: Night) -> Total:
    """What the runs of a night took, added up where every part of it is known of at least one case."""
    cases = [case for record in night.records for case in record.cases]
    cpu = [case.cost.cpu_seconds for case in cases if case.cost and case.cost.cpu_seconds is not None]
    joules = [case.cost.gpu_joules for case in cases if case.cost and case.cost.gpu_joules is not None]
    peaks = [r.cost.peak_memory_mb for r in night.records if r.cost and r.cost.peak_memory_mb is not None]
    return Total(
        run_seconds=sum(run.seconds for run in night.runs),
        score_seconds=sum(score.seconds for score in night.scores),
        case_seconds=sum(case.seconds for case in cases),
        cpu_seconds=sum(cpu) if cpu else None,
        gpu_joules=sum(joules) if joules else None,
        peak_memory_mb=max(peaks, default=None),
    )


def keep(found: NightReport, folder: Path) -> None:
    """Write the report into the night's folder, as record and as text."""
    atomic.write_json(folder / "report.json", found.model_dump(mode="json"))
    atomic.write_text(folder / "report.txt", report.text(found))


def tell(night: Night) -> None:
    """Write the outcome of every submission whose state is not told yet into its inbox entry."""
    if night.state is None or night.plan is None:
        return
    inbox = night.around.work.inbox
    worked = {row.name for row in night.rows} | set(night.refused) | set(night.ours)
    # Attempts of this night are in the ledger, and not in the state that was planned from.
    state = gather(night.around, night.hands.now()) if worked else night.state
    attempts = _by_team(state.attempts)
    waiting = {w.entry: w for w in night.plan.waiting}
    by_entry: dict[str, list[Placement]] = {}
    for placement in state.placements:
        by_entry.setdefault(placement.entry, []).append(placement)
    counted = {a.entry for a in state.attempts if a.counted}
    placed = {(row.task, row.name) for row in night.rows}
    for found in state.entries:
        entry, submission = found.entry, found.entry.submission
        fresh = (submission.task, submission.method.name) in placed
        outcome: Outcome | None = None
        if entry.id in night.refused or found.refused is not None:
            refused = night.refused.get(entry.id)
            code = refused.code if refused else found.refused.code if found.refused else ""
            sentence = refused.sentence if refused else found.refused.sentence if found.refused else ""
            outcome = _outcome(found, "refused", sentence, entry.id in counted, code=code)
        elif entry.id in night.ours:
            code = night.ours[entry.id].code
            sentence = f"It could not be run, by no fault of yours ({code}). It is tried again and costs no attempt."
            outcome = _outcome(found, "waiting", sentence, entry.id in counted)
        elif entry.id in waiting:
            outcome = _waiting(found, waiting[entry.id], entry.id in counted)
        elif entry.id in by_entry and (fresh or _untold(night, inbox / entry.id, by_entry[entry.id])):
            runs = _runs(night, state, by_entry[entry.id])
            outcome = outcomes.ran(entry.id, submission.method.name, submission.task, runs, entry.id in counted)
        if outcome is not None:
            own = attempts.get((submission.task, team_of(submission.method.team)), ())
            sentence = failures.cleaned(outcome.sentence, night.sealed)
            told = outcome.model_copy(update={"attempts": outcomes.lines(own), "sentence": sentence})
            outcomes.write(inbox / entry.id, told)


def _untold(night: Night, folder: Path, placed: Sequence[Placement]) -> bool:
    """Whether an outcome is not there, or is of other runs, since the night that placed them was killed before it could say so."""
    told = outcomes.read(folder)
    if told is None or night.state is None or not night.state.noted.night:
        return told is None
    return told.editions != {placement.edition: placement.run for placement in placed}


def _by_team(attempts: Sequence[Attempt]) -> Mapping[tuple[str, str], Sequence[Attempt]]:
    found: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        found.setdefault((attempt.task, team_of(attempt.team)), []).append(attempt)
    return found


def _outcome(found: EntryState, state: outcomes.Status, sentence: str, counted: bool, *, code: str = "") -> Outcome:
    return Outcome(
        entry=found.entry.id,
        name=found.entry.submission.method.name,
        task=found.entry.submission.task,
        state=state,
        code=code,
        sentence=sentence,
        counted=counted,
    )


def _waiting(found: EntryState, line: Waiting, counted: bool) -> Outcome:
    state: outcomes.Status = "waiting" if not line.final else "refused" if line.code else "will_not_run"
    return _outcome(found, state, line.sentence, counted, code=line.code).model_copy(update={"until": line.until})


def _runs(night: Night, state: State, placed: Sequence[Placement]) -> list[tuple[RunRecord, frozenset[str]]]:
    """The runs that stand for a submission, each with the ids of its edition's canary cases."""
    found = []
    for item in placed:
        editions = state.editions.get(item.task, ())
        public = {case.id for e in editions if e.name == item.edition for case in e.cases if case.split == "canary"}
        record = store.load_run(night.around.work.store, item.run)
        if record is not None:
            found.append((record.model_copy(update={"edition": item.edition}), frozenset(public)))
    return found


def plan_lines(found: Plan) -> list[str]:
    """A plan in words, for `--dry-run`."""
    lines: list[str] = []
    lines += [f"take in  {item.task}: {item.name}: {item.why}" for item in found.take_ins]
    for run in found.runs:
        lines.append(f"run      {run.key}  {run.task}/{run.edition}: {', '.join(run.names)}: {run.why}")
    for score in found.scores:
        after = f", after run {score.run}" if score.waits_for else ""
        lines.append(
            f"score    {score.key}  {score.task}/{score.edition}: {', '.join(score.names)}: {score.why}{after}"
        )
    lines += [
        f"row      {item.key}: {item.why}{', counts as an attempt' if item.counts else ''}" for item in found.places
    ]
    if found.reproduce:
        again = found.reproduce
        lines.append(f"again    {again.key}  {again.task}/{again.edition}: {again.name}: {again.why}")
    if found.publish:
        lines.append(f"publish  {found.publish.why}")
    lines += [f"waits    {w.task}: {w.name} ({w.team}): {w.sentence}" for w in found.waiting if not w.final]
    lines += [f"stopped  {s.task}{f'/{s.edition}' if s.edition else ''}: {s.code}: {s.sentence}" for s in found.stopped]
    return lines or ["Nothing is due."]
