"""Carries a plan out: takes images in, runs, scores, places rows, publishes. Killed at any moment, the next night goes on.

What was done is in the store and the ledger the moment it is done; nothing else is needed to go on. Only here and in
`hands` does a night have effects.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import benchmark
from benchmark import atomic, store
from benchmark.contract import RunRecord
from benchmark.lease import Lease
from benchmark.ledger import Ledger
from benchmark.nightly import failures, front, queue, watch
from benchmark.nightly.failures import Failure, Stage
from benchmark.nightly.gather import Surroundings, gather, image_key, newest_hash
from benchmark.nightly.hands import Hands
from benchmark.nightly.memory import Memory
from benchmark.nightly.plan import basis, plan
from benchmark.nightly.queue import Item, Queue
from benchmark.nightly.report import Failed, RowPlaced, RunDone, ScoreDone, SiteChange
from benchmark.nightly.state import State
from benchmark.nightly.work import Place, Plan, Run, ScoreRun, TakeIn

LOOK_SECONDS = 30.0
"""How often disk, lease and clock are looked at while work goes on."""

Say = Callable[[str], None]


@dataclass
class Night:
    """A night under way, and what it has done so far."""

    around: Surroundings
    hands: Hands
    folder: Path
    """The night's own folder."""
    say: Say
    lease: Lease | None = None
    queue: Queue = field(default_factory=Queue)
    runs: list[RunDone] = field(default_factory=list)
    records: list[RunRecord] = field(default_factory=list)
    scores: list[ScoreDone] = field(default_factory=list)
    rows: list[RowPlaced] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    refused: dict[str, Failure] = field(default_factory=dict)
    """By entry, what was refused in this night."""
    ours: dict[str, Failure] = field(default_factory=dict)
    """By entry, what failed by our fault in this night."""
    notes: list[str] = field(default_factory=list)
    person: list[str] = field(default_factory=list)
    site: SiteChange = field(default_factory=SiteChange)
    planned: dict[str, int] = field(default_factory=dict)
    plan: Plan | None = None
    """The last plan that was made."""
    state: State | None = None
    """The state that it was made from."""
    sealed: frozenset[str] = frozenset()
    """Ids of test cases, which no sentence may hold."""
    interrupted: bool = False

    def __post_init__(self) -> None:
        self._begun: dict[Future[Any], tuple[Item, float]] = {}
        self._gpu_seen = False
        self._counted: set[str] = set()
        self._taken = 0
        self._start = (self.hands.now(), self.hands.monotonic())
        self.ledger = Ledger(self.around.ledger.path, clock=self.hands.now)
        self._memory = Memory(self.around.work)

    def carry_out(self) -> None:
        """Do all that is due. Raises `KeyboardInterrupt` after it has put an end to what was under way."""
        try:
            first = self._plan()
            self._clock(first_look=True)
            self._open(first)
            self._work()
            self._publish()
        except KeyboardInterrupt:
            self.interrupted = True
            self.notes.append("It was ended from outside; what was not done is due in the next night.")
            raise
        finally:
            self.hands.close()
            self._remember()

    # Planning ---------------------------------------------------------------------------------------------------------------

    def _plan(self) -> Plan:
        self.state = gather(self.around, self.hands.now())
        cases = (case for held in self.state.editions.values() for edition in held for case in edition.cases)
        self.sealed = frozenset(case.id for case in cases if case.split == "test")
        self.plan = plan(self.state)
        self.queue.add(self.plan)
        return self.plan

    def _open(self, first: Plan) -> None:
        assert self.state is not None
        self.planned = counts(first)
        self._gpu_seen = any("gpu" in run.flags for run in first.runs) and not self.hands.gpu_lost()
        for found in self.state.entries:
            if found.entry.id not in self.state.handed_in:
                submission = found.entry.submission
                self.ledger.append(
                    "submitted",
                    task=submission.task,
                    submission=submission.method.name,
                    entry=found.entry.id,
                    team=submission.method.team[:300],
                    received=found.entry.received,
                    digest=submission.digest,
                )
        if not first.empty:
            self.ledger.append(
                "night_started",
                night=self.folder.name,
                tasks=sorted(self.around.folders),
                planned=self.planned,
                version=benchmark.__version__,
            )
            work = ", ".join(f"{count} × {name.replace('_', ' ')}" for name, count in self.planned.items())
            self.say(f"due: {work}")

    # Working ----------------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        looked = -LOOK_SECONDS
        while True:
            now = self.hands.monotonic()
            if now - looked >= LOOK_SECONDS:
                self._look()
                looked = now
            for item in self._startable(now):
                self._begin(item)
            if self._begun:
                until = self.queue.next_moment()
                seconds = LOOK_SECONDS if until is None else min(LOOK_SECONDS, max(0.0, until - now))
                done, _ = wait(self._begun, timeout=seconds, return_when=FIRST_COMPLETED)
                for future in done:
                    self._end(future)
                self._after_images()
            elif (until := self.queue.next_moment()) is not None:
                self.hands.sleep(max(0.0, min(until - now, LOOK_SECONDS)))
            elif not self._rows_ready():
                self._look()
                return

    def _startable(self, now: float) -> Iterator[Item]:
        room = self.hands.window - len(self._begun)
        for item in self.queue.begin(now) if room > 0 or self._rows_ready() else ():
            yield item
            room -= not isinstance(item, Place)
            if room <= 0:
                return

    def _rows_ready(self) -> bool:
        return any(
            isinstance(item, Place) and set(item.waits_for) <= self.queue.done and not self.queue.reason(item)
            for item in self.queue.todo.values()
        )

    def _begin(self, item: Item) -> None:
        if isinstance(item, Place):
            self._place(item)
            return
        if isinstance(item, Run) and not self._room(item):
            return
        names = ", ".join(queue.names(item))
        self.say(f"{queue.kind(item)} {'/'.join(filter(None, queue.board(item)))}: {names} ({item.why})")
        if isinstance(item, Run):
            self.ledger.append(
                "run_started",
                **self._about(item),
                digest=item.digest,
                engine=item.flags[0] if item.flags else "",
                flags=item.flags,
                limits=item.limits.model_dump(),
                attempt=self.queue.tries[item.key],
            )
        begin = self.hands.monotonic()
        future: Future[Any]
        if isinstance(item, TakeIn):
            future = self.hands.take_in(item)
        else:
            future = self.hands.run(item) if isinstance(item, Run) else self.hands.score(item)
        self._begun[future] = (item, begin)

    def _room(self, item: Run) -> bool:
        """Whether the disk has room for a run; if not, none is begun any more."""
        low = watch.low_disk(self.hands.free_gb(), self.around.config.nightly.disk_low_gb, self.around.work.root)
        if low is None:
            return True
        self.queue.halted.setdefault("everything", low.sentence)
        self.queue.again(item, self.hands.monotonic())
        self.needs_person(low.sentence)
        return False

    def _look(self) -> None:
        if self.lease is not None:
            self.lease.check()
        self._clock()

    def _clock(self, *, first_look: bool = False) -> None:
        now = self.hands.now(), self.hands.monotonic()
        if first_look:
            found = watch.behind_ledger(now[0], self.state.last_line if self.state else None)
        else:
            found = watch.drifted(self._start, now)
        if found is not None:
            self.needs_person(found.sentence)
            self._start = now

    def _end(self, future: Future[Any]) -> None:
        item, begin = self._begun.pop(future)
        seconds = self.hands.monotonic() - begin
        try:
            result = future.result()
            if isinstance(item, Run | ScoreRun) and result != item.key:
                raise RuntimeError(
                    f"{queue.kind(item)} {item.key} came out as {result}: the plan and the work see another state"
                )
        except Exception as error:
            self._fail(item, error, seconds)
            return
        self.queue.finish(item)
        if isinstance(item, TakeIn):
            self._taken += 1
            self._note_image(item, result.digest, result.flags)
        elif isinstance(item, Run):
            self._ran(item, seconds)
        elif isinstance(item, ScoreRun):
            self.ledger.append("scored", **self._about(item), score=item.key, scorer=store.scorer_version())
            self.scores.append(
                ScoreDone(
                    task=item.task, edition=item.edition, names=item.names, key=item.key, why=item.why, seconds=seconds
                )
            )

    def _ran(self, item: Run, seconds: float) -> None:
        record = store.load_run(self.around.work.store, item.key)
        assert record is not None, f"run {item.key} is said to be done and is not in the store"
        codes = dict(sorted(Counter(case.code for case in record.cases if case.code).items()))
        self.ledger.append(
            "run_finished",
            **self._about(item),
            cases=len(record.cases),
            codes=codes,
            seconds=round(seconds, 3),
            hardware=record.hardware[:300],
        )
        self.records.append(record)
        self.runs.append(
            RunDone(
                task=item.task,
                edition=item.edition,
                names=item.names,
                key=item.key,
                why=item.why,
                seconds=seconds,
                cases=len(record.cases),
                codes=codes,
                hardware=record.hardware,
                cost=record.cost,
            )
        )

    def _place(self, item: Place) -> None:
        placement = item.placement
        counts = item.counts and placement.entry not in self._counted  # once, on however many editions it runs
        if counts:
            self._counted.add(placement.entry)
            reused = placement.run not in self.queue.done
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
        store.save_placement(self.around.work.store, placement)
        self.queue.finish(item)
        self.rows.append(
            RowPlaced(
                task=placement.task,
                edition=placement.edition,
                name=placement.method.name,
                why=item.why,
                counted=counts,
            )
        )

    def _after_images(self) -> None:
        """Plan again once all images that can be are taken in: their runs are known now."""
        taking = any(isinstance(item, TakeIn) for item, _ in self._begun.values())
        if self._taken and not taking and not self.queue.pending([TakeIn]):
            self._taken = 0
            self._plan()

    # Failing ----------------------------------------------------------------------------------------------------------------

    def _fail(self, item: Item, error: BaseException, seconds: float) -> None:
        lost = self._gpu_seen and isinstance(item, Run) and "gpu" in item.flags and self.hands.gpu_lost()
        stage: Stage = "take_in" if isinstance(item, TakeIn) else "run" if isinstance(item, Run) else "score"
        found = failures.classify(error, stage, archived=self._archived(item), gpu_lost=lost)
        tries, retries = self.queue.tries[item.key], self.around.config.nightly.retries
        again = found.retry and tries <= retries.times
        sentence = failures.cleaned(found.sentence, self.sealed)
        self.say(
            f"failed: {queue.kind(item)} {', '.join(queue.names(item))}: {found.group} error [{found.code}]: {sentence}"
        )
        if isinstance(item, Run):
            self.ledger.append(
                "run_failed",
                **self._about(item),
                group=found.group,
                code=found.code,
                retry=again,
                attempt=tries,
                seconds=round(seconds, 3),
            )
        if again:
            pause = failures.pause(retries, item.key, tries)
            self.say(f"tried again in {pause:.0f} s ({tries} of {retries.times})")
            self.queue.again(item, self.hands.monotonic() + pause)
            return
        self.queue.stop(found, item)
        nights = self._failed_nights(item.key) + 1 if found.group == "infrastructure" else 0
        task, edition = queue.board(item)
        self.failed.append(
            Failed(
                what=queue.kind(item),
                task=task,
                edition=edition,
                names=queue.names(item),
                key=item.key,
                group=found.group,
                code=found.code,
                sentence=sentence,
                tries=tries,
                nights=nights,
                details=self._details(item.key, found),
            )
        )
        self._consequences(item, found)

    def _consequences(self, item: Item, found: Failure) -> None:
        """What a failure means for the attempts of whom it concerns, and whether a person must look."""
        where = f"{queue.kind(item)} {', '.join(queue.names(item))}"
        entry = getattr(item, "entry", "")
        if found.group == "submission" and entry:
            self.refused[entry] = found
            self._attempt(item, entry, counted=True, why="submission_failed", found=found)
            return
        if entry:
            self.ours[entry] = found
            why = {"infrastructure": "infrastructure", "data": "data"}.get(found.group)
            if why:
                self._attempt(item, entry, counted=False, why=why, found=found)
        if found.group == "infrastructure":
            said = next((s for s in self.person if found.sentence in s), "")
            if not said:
                self.needs_person(f"{where}: {found.sentence}")
        elif found.group == "data":
            self.needs_person(f"{'/'.join(filter(None, queue.board(item)))} is stopped: {found.sentence}")
        elif found.group == "submission":
            self.needs_person(f"{where}: {found.sentence}")

    def _attempt(self, item: Item, entry: str, *, counted: bool, why: str, found: Failure) -> None:
        assert self.state is not None
        known = next((e.entry for e in self.state.entries if e.entry.id == entry), None)
        if known is None or (counted and any(a.entry == entry and a.counted for a in self.state.attempts)):
            return
        from benchmark.nightly.quota import phase_of

        task, edition = queue.board(item)
        phase = phase_of(self.state.tasks[task], datetime.fromisoformat(known.received))
        self.ledger.append(
            "attempt",
            task=task,
            submission=known.submission.method.name,
            entry=entry,
            edition=edition,
            counted=counted,
            why=why,
            group=found.group,
            code=found.code,
            phase=phase.name if phase else "",
        )

    def _details(self, key: str, found: Failure) -> str:
        """Keep the traceback for the organiser alone; its name in the night's folder."""
        name = f"errors/{key.replace(':', '-').replace('/', '-')}.txt"
        atomic.write_text(self.folder / name, found.details)
        (self.folder / name).chmod(0o600)
        return name

    def _archived(self, item: Item) -> bool:
        entry = getattr(item, "entry", "")
        found = next((e.entry for e in self.state.entries if e.entry.id == entry), None) if self.state else None
        return found is None or bool(found.archive)

    def _failed_nights(self, key: str) -> int:
        return int(self.state.failed_nights.get(key, 0)) if self.state else 0

    def needs_person(self, sentence: str) -> None:
        """Note, and say once, why a person must look."""
        sentence = failures.cleaned(sentence, self.sealed)
        if sentence not in self.person:
            self.person.append(sentence)
            self.say(f"needs a person: {sentence}")

    def broke(self, found: Failure) -> None:
        """Note a fault that is in no piece of work but in the night itself."""
        self.failed.append(
            Failed(
                what="night",
                group=found.group,
                code=found.code,
                sentence=failures.cleaned(found.sentence, self.sealed),
                details=self._details("night", found),
            )
        )

    def _about(self, item: Run | ScoreRun) -> dict[str, Any]:
        run = item.key if isinstance(item, Run) else item.run
        entry = item.entry if isinstance(item, Run) else ""
        return {"task": item.task, "submission": item.names[0], "entry": entry, "edition": item.edition, "run": run}

    # Ending -----------------------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Make the site, unless nothing that it shows has changed or a row would be lost by it."""
        before, old = newest_hash(self.around.work), front.record(self.around.work.site)
        if not self.queue.known and self.plan is not None and self.plan.publish is None:
            return
        found = self._plan()
        assert self.state is not None
        if found.shown == self.state.published or not (self.state.placements or self.state.runs):
            return
        why = self.plan.publish.why if self.plan and self.plan.publish else ""
        if held := front.unready(self.around, self.state, found):
            self.site = SiteChange(why=held, held=True)
            self.needs_person(f"The site is held as it is: {held}")
            return
        self.say("publish")
        try:
            published = self.hands.publish(self.hands.now().date().isoformat())
        except Exception as error:
            failure = failures.classify(error, "publish")
            sentence = failures.cleaned(failure.sentence, self.sealed)
            self.failed.append(
                Failed(
                    what="publish",
                    group=failure.group,
                    code=failure.code,
                    sentence=sentence,
                    details=self._details("publish", failure),
                )
            )
            self.site = SiteChange(why=sentence, held=True)
            self.needs_person(f"The site could not be made: {sentence}")
            return
        if published is None:
            return
        changed = newest_hash(self.around.work) != before
        said = front.news(old, front.record(self.around.work.site))
        self.site = SiteChange(edition=published.edition, changed=changed, why=why, sentences=said)
        self._memory.save("published", {"shown": found.shown, "newest": newest_hash(self.around.work)})
        if changed:
            boards = sorted({f"{p.task}/{p.edition}" for p in self.state.placements})
            self.ledger.append("published", edition=published.edition, boards=boards)

    def _note_image(self, item: TakeIn, digest: str, flags: tuple[str, ...]) -> None:
        images = self._memory.load("images")
        key = image_key(self.around.config, "gpu" in flags)
        images.setdefault(key, {})[item.entry] = {"digest": digest, "flags": list(flags)}
        self._memory.save("images", images)

    def _remember(self) -> None:
        """Note for the next night what it is helped by."""
        if self.state is None or self.plan is None:
            return
        if self.refused:
            known = self._memory.load("refused")
            for entry, found in self.refused.items():
                known[entry] = {"group": found.group, "code": found.code, "sentence": found.sentence}
            self._memory.save("refused", known)
        nights = {f.key: f.nights for f in self.failed if f.nights}
        kept = {key: n for key, n in self.state.failed_nights.items() if key in self.queue.todo}
        self._memory.save("failures", {**kept, **nights})
        open_boards = {(item.task, item.edition) for item in self.plan.runs}
        open_boards |= {(item.task, item.edition) for item in self.plan.scores}
        old = self._memory.load("basis")
        new = {
            name: old.get(name) if tuple(name.split("/")) in open_boards else asdict(found)
            for name, found in basis(self.state).items()
        }
        self._memory.save("basis", {name: found for name, found in new.items() if found})


def counts(found: Plan) -> dict[str, int]:
    """Pieces of work in a plan, by sort; only those that there are."""
    sizes = {
        "take_ins": len(found.take_ins),
        "runs": len(found.runs),
        "scores": len(found.scores),
        "rows": len(found.places),
        "sites": int(found.publish is not None),
    }
    return {name: size for name, size in sizes.items() if size}


def new_folder(root: Path, day: str) -> Path:
    """Make the folder of the next night of that day: `<root>/<day>-<n>`."""
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        target = root / f"{day}-{number}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(target)  # noqa: PTH102 - atomic, so that two nights never share a folder
            return target
        number += 1
