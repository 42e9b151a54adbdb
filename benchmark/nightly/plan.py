"""From the state of the workplace to what is due. A pure function: it reads no file, asks no clock and starts nothing.

Two keys decide. A run is due when the store has none under its *inference* key: image, inputs, limits, flags. A score is due when
there is none under its *scoring* key: run, references, scorer, metric section. A row changes when the run that stands for a
submission, or what the submission says of itself, does. The site is made anew when anything that a page shows has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from benchmark import store
from benchmark.nightly import turns
from benchmark.nightly.admission import Admitted, admit
from benchmark.nightly.boards import Board, Subject, boards_of
from benchmark.nightly.reasons import REMOVED, what_changed, why_run, why_score
from benchmark.nightly.state import Image, State
from benchmark.nightly.work import Place, Plan, Publish, Reproduce, Run, ScoreRun, Stopped, TakeIn, Waiting
from benchmark.store import Placement


def plan(state: State) -> Plan:
    """What is due. The same state gives the same plan, whatever the order of its parts."""
    admitted, waiting = admit(state)
    subjects, take_ins = _subjects(state, admitted)
    runs: list[Run] = []
    scores: list[ScoreRun] = []
    places: list[Place] = []
    boards = boards_of(state)
    for (task_name, edition_name), wanting in sorted(subjects.items()):
        edition = next((e for e in state.editions.get(task_name, ()) if e.name == edition_name), None)
        if edition is None or edition.problem is not None:
            waiting += [_stuck(s, task_name, edition_name, edition is None) for s in wanting if s.entry]
            continue
        own_runs, own_scores, own_places = _board_work(state, boards[f"{task_name}/{edition_name}"], wanting)
        runs, scores, places = [*runs, *own_runs], [*scores, *own_scores], [*places, *own_places]
    scores += _orphans(state, boards)
    # Editions with the same inputs share runs.
    runs = list({run.key: run for run in sorted(runs, key=_urgency, reverse=True)}.values())
    scores = list({score.key: score for score in scores}.values())
    runs.sort(key=_urgency)
    position = {run.key: number for number, run in enumerate(runs)}
    shown = _shown(state, boards)
    return Plan(
        take_ins=tuple(take_ins),
        runs=tuple(runs),
        scores=tuple(sorted(scores, key=lambda s: (position.get(s.run, -1), s.key))),
        places=tuple(sorted(places, key=lambda p: p.key)),
        publish=_publish(state, shown, places, scores),
        reproduce=_reproduce(state, subjects, boards),
        waiting=tuple(waiting),
        stopped=tuple(_stopped(state)),
        shown=shown,
    )


def _urgency(run: Run) -> tuple[Any, ...]:
    """Those for which most rows wait first; then strangers' before our own, the oldest first."""
    return (-len(run.names), not run.entry, run.received, run.task, run.edition, run.key)


def _subjects(state: State, admitted: Sequence[Admitted]) -> tuple[dict[tuple[str, str], list[Subject]], list[TakeIn]]:
    """Who wants a row on which edition; whose image must be taken in first."""
    subjects: dict[tuple[str, str], list[Subject]] = {}
    take_ins: list[TakeIn] = []
    counted = {a.entry for a in state.attempts if a.counted}
    for found in admitted:
        entry, submission = found.state.entry, found.state.entry.submission
        task = state.tasks[submission.task]
        own = found.phase.edition if found.phase else None
        editions = (own,) if own else state.chosen.get(task.name, ())
        usable = {e.name for e in state.editions.get(task.name, ()) if e.problem is None}
        image = found.state.image
        if image is None and usable & set(editions):
            why = f"handed in at {entry.received}; its image has not been taken in by this engine yet"
            take_ins.append(
                TakeIn(key=f"image:{entry.id}", entry=entry.id, name=submission.method.name, task=task.name, why=why)
            )
        for edition in editions:
            if image is not None or edition not in usable:
                subject = Subject(
                    submission.method,
                    image or Image("", ()),
                    submission.limits(task),
                    entry.id,
                    entry.received,
                    found.phase.name if found.phase else "",
                    entry.id not in counted,
                )
                subjects.setdefault((task.name, edition), []).append(subject)
    for baseline in state.baselines:
        if baseline.task in state.tasks:
            task = state.tasks[baseline.task]
            phases = tuple(phase.edition for phase in task.phases if phase.edition)
            for edition in dict.fromkeys((*state.chosen.get(task.name, ()), *phases)):
                subject = Subject(baseline.method, baseline.image, task.limits)
                subjects.setdefault((task.name, edition), []).append(subject)
    return subjects, take_ins


def _board_work(
    state: State, board: Board, wanting: Sequence[Subject]
) -> tuple[list[Run], list[ScoreRun], list[Place]]:
    task, edition = board.task.name, board.edition.name
    by_run: dict[str, list[Subject]] = {}
    for subject in wanting:
        by_run.setdefault(board.run_key(subject), []).append(subject)
    before = state.before.get(f"{task}/{edition}")
    runs, scores, places = [], [], []
    for key, sharing in by_run.items():
        sharing = sorted(sharing, key=lambda s: (not s.entry, s.received, s.method.name))
        names = tuple(s.method.name for s in sharing)
        needs: list[str] = []
        first = sharing[0]
        score = board.score_key(key)
        if key not in state.runs or (key in state.removed and score not in state.scores):
            needs.append(key)
            runs.append(
                Run(
                    key=key,
                    task=task,
                    edition=edition,
                    digest=first.image.digest,
                    flags=first.image.flags,
                    limits=first.limits,
                    names=names,
                    entry=first.entry,
                    received=first.received,
                    why=REMOVED if key in state.runs else why_run(state, board, sharing, before),
                )
            )
        if score not in state.scores:
            why = "its run is due" if needs else why_score(state, board, sharing, key, before)
            scores.append(
                ScoreRun(key=score, run=key, task=task, edition=edition, names=names, why=why, waits_for=tuple(needs))
            )
            needs.append(score)
        places += _places(state, board, key, sharing, tuple(needs))
    return runs, scores, places


def _places(state: State, board: Board, run: str, sharing: Sequence[Subject], needs: tuple[str, ...]) -> list[Place]:
    found = []
    for subject in sharing:
        wanted = Placement(
            method=subject.method,
            entry=subject.entry,
            task=board.task.name,
            edition=board.edition.name,
            run=run,
            received=subject.received,
            limits=subject.limits,
        )
        standing = state.standing.get((wanted.task, wanted.edition, wanted.method.name))
        counts = subject.counts and bool(subject.entry)
        if standing == wanted and not counts:
            continue
        if standing is None:
            why = "new row"
        elif standing.run != run:
            why = "another run stands for it"
        elif standing == wanted:
            why = "its attempt has not been counted yet"
        else:
            why = what_changed(standing, wanted)
        found.append(
            Place(
                key=f"{wanted.task}/{wanted.edition}/{wanted.method.name}",
                placement=wanted,
                phase=subject.phase,
                counts=counts,
                why=why,
                waits_for=needs,
            )
        )
    return found


def _orphans(state: State, boards: Mapping[str, Board]) -> Iterable[ScoreRun]:
    """Scores for rows whose entry was taken out of the inbox: they stand, as long as their predictions do."""
    known = {found.entry.id for found in state.entries} | {""}
    kept = state.runs - state.removed
    for item in state.placements:
        board = boards.get(f"{item.task}/{item.edition}")
        if item.entry in known or board is None or board.edition.problem is not None or item.run not in kept:
            continue
        key = board.score_key(item.run)
        if key not in state.scores:
            why = "it has no score by the present scorer; its entry is not in the inbox any more"
            names = (item.method.name,)
            yield ScoreRun(key=key, run=item.run, task=item.task, edition=item.edition, names=names, why=why)


def _reproduce(
    state: State, subjects: Mapping[tuple[str, str], Sequence[Subject]], boards: Mapping[str, Board]
) -> Reproduce | None:
    """Whose turn it is: of the rows that stand as they are wanted, the one that was run again longest ago, or never."""
    if not turns.due(state.turns, state.reproduce, state.now):
        return None
    found: list[tuple[str, str, str, str, Reproduce]] = []
    for (task, edition), wanting in subjects.items():
        board = boards.get(f"{task}/{edition}")
        for subject in wanting if board is not None and board.edition.problem is None else ():
            name = subject.method.name
            standing = state.standing.get((task, edition, name))
            if standing is None or standing.run not in state.runs or standing.run in state.removed:
                continue
            assert board is not None
            run = board.run_key(subject)
            if standing.run != run or not turns.archived(state.turns, run, state.now):
                continue
            tried = state.turns.tried.get(run, "")
            why = f"last run again at {tried[:10]}" if tried else "never run again so far"
            item = Reproduce(
                key=run, task=task, edition=edition, name=name, entry=subject.entry, flags=subject.image.flags, why=why
            )
            found.append((tried, task, edition, name, item))
    return min(found, key=lambda one: one[:4])[-1] if found else None


def _stuck(subject: Subject, task: str, edition: str, missing: bool) -> Waiting:
    """A submission whose edition cannot be used."""
    what = "has not been prepared yet" if missing else "is being mended by the organiser"
    return Waiting(
        entry=subject.entry,
        name=subject.method.name,
        team=subject.method.team,
        task=task,
        phase=subject.phase,
        sentence=f"The data edition {edition!r} {what}; it waits.",
        person=True,
    )


def _stopped(state: State) -> Iterable[Stopped]:
    for name, problem in sorted(state.task_problems.items()):
        yield Stopped(task=name, code=problem.code, sentence=problem.sentence)
    for name, editions in sorted(state.editions.items()):
        for edition in editions:
            if edition.problem is not None:
                problem = edition.problem
                yield Stopped(task=name, edition=edition.name, code=problem.code, sentence=problem.sentence)


def _publish(state: State, shown: str, places: Sequence[Place], scores: Sequence[ScoreRun]) -> Publish | None:
    if needs := [*(s.key for s in scores), *(p.key for p in places)]:
        rows = sorted({p.key for p in places} | {f"{s.task}/{s.edition}/{n}" for s in scores for n in s.names})
        why = f"{len(rows)} row{'s' if len(rows) != 1 else ''} change" + ("s" if len(rows) == 1 else "")
        return Publish(digest="", why=why, waits_for=tuple(needs))
    if shown == state.published:
        return None
    if not state.placements and not state.runs:
        return None
    if not state.published:
        why = "the site has not been published yet, or is not as it was left"
    else:
        why = "something that a page shows has changed: a title, a task's text, an embargo that ended, or the code of the pages"
    return Publish(digest=shown, why=why)


def _shown(state: State, boards: Mapping[str, Board]) -> str:
    """Hash of all that a page is made from, without reading a run or a score: those never change under their keys."""
    today: date = state.now.date()
    rows: dict[str, list[Any]] = {}
    for placement in state.placements:
        name = f"{placement.task}/{placement.edition}"
        board = boards.get(name)
        if board is None:
            rows.setdefault(name, []).append([placement.run, placement.method.model_dump_json()])
            continue
        score = board.score_key(placement.run)
        method = placement.method
        hidden = method.embargo is not None and today < method.embargo
        rows.setdefault(name, []).append(
            [placement.run, score if score in state.scores else "", method.model_dump_json(), hidden]
        )
    return store.digest(
        {
            "code": state.code,
            "base_url": state.base_url,
            "tasks": {name: task.model_dump(mode="json") for name, task in state.tasks.items()},
            "editions": {
                f"{name}/{edition.name}": edition.content for name, held in state.editions.items() for edition in held
            },
            "rows": {name: sorted(own) for name, own in rows.items()},
            # Those that agree are no news, see `reproducing`.
            **({"differing": sorted(state.turns.differing)} if state.turns.differing else {}),
            # Runs without a placement, such as those of `radbench run`, have rows too.
            "runs": store.digest(sorted(state.runs)),
            "scores": store.digest(sorted(state.scores)),
        }
    )
