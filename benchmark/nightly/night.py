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
from pathlib import Path
from typing import Any

from benchmark import store
from benchmark.contract import RunRecord
from benchmark.errors import InfrastructureError
from benchmark.lease import Lease
from benchmark.ledger import Ledger
from benchmark.nightly import aftermath, failing, failures, front, queue, reproducing, watch
from benchmark.nightly.boards import basis
from benchmark.nightly.chronicle import Chronicle
from benchmark.nightly.failures import Failure
from benchmark.nightly.gather import Surroundings, gather, image_key
from benchmark.nightly.hands import Hands
from benchmark.nightly.memory import Memory
from benchmark.nightly.plan import plan
from benchmark.nightly.queue import Item, Queue
from benchmark.nightly.report import Failed, Reproduced, RowPlaced, RunDone, ScoreDone, SiteChange
from benchmark.nightly.state import State
from benchmark.nightly.work import Place, Plan, Run, ScoreRun, TakeIn

LOOK_SECONDS = 30.0
"""How often disk, lease and clock are looked at while work goes on."""

WORDS = {
    "take_ins": "to take in",
    "runs": "to run",
    "scores": "to score",
    "rows": "to place",
    "reproductions": "to run again",
    "sites": "to publish",
}
"""What is to be done, by the sort of work."""

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
    reproduced: Reproduced | None = None
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
    outdated: bool = False
    """Whether another night took the lease, since this one was held still: what follows is that one's to write."""

    def __post_init__(self) -> None:
        self._begun: dict[Future[Any], tuple[Item, float]] = {}
        self._gpu_seen = self._opened = False
        self._counted: set[str] = set()
        self._taken = 0
        self._start = watch.Clocks.of(self.hands)
        self.chronicle = Chronicle(Ledger(self.around.ledger.path, clock=self.hands.now))
        self.memory = Memory(self.around.work)

    def carry_out(self) -> None:
        """Do all that is due. Raises `KeyboardInterrupt` after it has put an end to what was under way."""
        try:
            first = self.make_plan()
            self._clock(first_look=True)
            self._open(first)
            self._work()
            reproducing.take(self)
            front.publish(self)
        except KeyboardInterrupt:
            self.interrupted = True
            self.notes.append("It was ended from outside; what was not done is due in the next night.")
            raise
        finally:
            self.hands.close()
            if not self.outdated:
                self._remember()

    @property
    def under_way(self) -> tuple[Item, ...]:
        """What was begun and has not ended; after the night, what was cut off."""
        return tuple(item for item, _ in self._begun.values())

    # Planning ---------------------------------------------------------------------------------------------------------------

    def make_plan(self) -> Plan:
        """Read the state and plan from it; what is new in the plan is taken up."""
        self.state = gather(self.around, self.hands.now())
        cases = (case for held in self.state.editions.values() for edition in held for case in edition.cases)
        self.sealed = frozenset(case.id for case in cases if case.split == "test")
        self.plan = plan(self.state)
        self.queue.add(self.plan)
        if self._opened:
            self._note_submitted()  # what was handed in meanwhile: its line comes before those of its run
        if not self._gpu_seen and any("gpu" in run.flags for run in self.plan.runs):
            self._gpu_seen = not self.hands.gpu_lost()
        return self.plan

    def _open(self, first: Plan) -> None:
        assert self.state is not None
        self.planned = counts(first)
        if aftermath.catch_up(self):
            self.state = gather(self.around, self.hands.now())
        for wrong in self.state.unreadable.values():
            self.needs_person(f"inbox: {wrong}")
        self._note_submitted()
        self._opened = True
        if not first.empty:
            self.chronicle.night_started(self.folder.name, sorted(self.around.folders), self.planned)
            self.say("due: " + ", ".join(f"{count} {WORDS[name]}" for name, count in self.planned.items()))

    def _note_submitted(self) -> None:
        assert self.state is not None
        for found in self.state.entries:
            if found.entry.id not in self.state.handed_in:
                self.chronicle.submitted(found.entry)

    # Working ----------------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        looked = -LOOK_SECONDS
        while True:
            self.still_ours()
            now = self.hands.monotonic()
            if now - looked >= LOOK_SECONDS:
                self.look()
                looked = now
            for item in self._startable(now):
                self._begin(item)
            if self._begun:
                until = self.queue.next_moment()
                seconds = LOOK_SECONDS if until is None else min(LOOK_SECONDS, max(0.0, until - now))
                done, _ = wait(self._begun, timeout=seconds, return_when=FIRST_COMPLETED)
                self.still_ours()
                for future in done:
                    self._end(future)
                self._after_images()
            elif (until := self.queue.next_moment()) is not None:
                self.hands.sleep(max(0.0, min(until - now, LOOK_SECONDS)))
            elif not self._rows_ready():
                self.look()
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
            self.chronicle.run_started(item, self.queue.tries[item.key])
        begin = self.hands.monotonic()
        future: Future[Any]
        if isinstance(item, TakeIn):
            future = self.hands.take_in(item)
        else:
            future = self.hands.run(item) if isinstance(item, Run) else self.hands.score(item)
        self._begun[future] = (item, begin)

    def _room(self, item: Run) -> bool:
        """Whether the disk has room for a run; if not, none is begun any more."""
        if self.has_room():
            return True
        self.queue.again(item, self.hands.monotonic())
        return False

    def has_room(self) -> bool:
        """Whether the disk has as much room as the organiser asks for; else nothing is run any more, and it is said."""
        low = watch.low_disk(self.hands.free_gb(), self.around.config.nightly.disk_low_gb, self.around.work.root)
        if low is not None:
            self.queue.halted.setdefault("everything", low.sentence)
            self.needs_person(low.sentence)
        return low is None

    def look(self) -> None:
        """Look at lease and clock. Raises what the lease raises when it was taken over."""
        self.still_ours()
        self._clock()

    def still_ours(self) -> None:
        """Raise `InfrastructureError('busy')` when another night took the lease while this process or its machine was held still."""
        try:
            if self.lease is not None:
                self.lease.check()
        except InfrastructureError:
            self.outdated = True
            raise

    def _clock(self, *, first_look: bool = False) -> None:
        now = watch.Clocks.of(self.hands)
        if first_look:
            found = watch.behind_ledger(now.day, self.state.last_line if self.state else None)
        else:
            found = watch.drifted(self._start, now)
        if slept := watch.slept(self._start, now):
            self.notes.append(slept)
        if found is not None or slept:
            self._start = now
        if found is not None:
            self.needs_person(found.sentence)

    def _end(self, future: Future[Any]) -> None:
        item, begin = self._begun.pop(future)
        seconds = self.hands.monotonic() - begin
        try:
            result = future.result()
            if isinstance(item, Run | ScoreRun) and result != item.key:
                raise InfrastructureError(
                    "changed_meanwhile",
                    f"the {queue.kind(item)} that was planned as {item.key} came out as {result}",
                    expected="task, data and code as they were when it was planned",
                )
        except Exception as error:
            lost = self._gpu_seen and isinstance(item, Run) and "gpu" in item.flags and self.hands.gpu_lost()
            failing.fail(self, item, error, seconds, gpu_lost=lost)
            return
        self.queue.finish(item)
        if isinstance(item, TakeIn):
            self._taken += 1
            self._note_image(item, result.digest, result.flags)
        elif isinstance(item, Run):
            self._ran(item, seconds)
        elif isinstance(item, ScoreRun):
            score = store.load_score(self.around.work.store, item.key)
            assert score is not None, f"score {item.key} is said to be done and is not in the store"
            self.chronicle.scored(score)
            self.scores.append(
                ScoreDone(
                    task=item.task, edition=item.edition, names=item.names, key=item.key, why=item.why, seconds=seconds
                )
            )

    def _ran(self, item: Run, seconds: float) -> None:
        record = store.load_run(self.around.work.store, item.key)
        assert record is not None, f"run {item.key} is said to be done and is not in the store"
        codes = dict(sorted(Counter(case.code for case in record.cases if case.code).items()))
        self.chronicle.run_finished(item, record, codes, seconds)
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
            assert self.state is not None
            self._counted.add(placement.entry)
            reused = placement.run not in self.queue.done and self.state.noted.reused(placement.run, placement.entry)
            self.chronicle.attempt_made(item, reused=reused)
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
            self.make_plan()

    def needs_person(self, sentence: str) -> None:
        """Note, and say once, why a person must look."""
        sentence = failures.cleaned(sentence, self.sealed)
        if sentence not in self.person:
            self.person.append(sentence)
            self.say(f"needs a person: {sentence}")

    # Ending -----------------------------------------------------------------------------------------------------------------

    def _note_image(self, item: TakeIn, digest: str, flags: tuple[str, ...]) -> None:
        images = self.memory.load("images")
        key = image_key(self.around.config, "gpu" in flags)
        images.setdefault(key, {})[item.entry] = {"digest": digest, "flags": list(flags)}
        self.memory.save("images", images)

    def _remember(self) -> None:
        """Note for the next night what it is helped by."""
        if self.state is None or self.plan is None:
            return
        if self.refused:
            known = self.memory.load("refused")
            for entry, found in self.refused.items():
                known[entry] = {"group": found.group, "code": found.code, "sentence": found.sentence}
            self.memory.save("refused", known)
        nights = {f.key: f.nights for f in self.failed if f.nights}
        kept = {key: n for key, n in self.state.failed_nights.items() if key in self.queue.todo}
        self.memory.save("failures", {**kept, **nights})
        open_boards = {(item.task, item.edition) for item in self.plan.runs}
        open_boards |= {(item.task, item.edition) for item in self.plan.scores}
        old = self.memory.load("basis")
        new = {
            name: old.get(name) if tuple(name.split("/")) in open_boards else asdict(found)
            for name, found in basis(self.state).items()
        }
        self.memory.save("basis", {name: found for name, found in new.items() if found})


def counts(found: Plan) -> dict[str, int]:
    """Pieces of work in a plan, by sort; only those that there are."""
    sizes = {
        "take_ins": len(found.take_ins),
        "runs": len(found.runs),
        "scores": len(found.scores),
        "rows": len(found.places),
        "reproductions": int(found.reproduce is not None),
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
