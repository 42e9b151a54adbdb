"""A workplace with the toy task, submissions in its inbox, and hands that run Python functions and fail as they are told."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import atomic, dataset, image, inbox, inference, publishing, reproduction, scoring, store, tasks
from benchmark.container.engine import CaseOutcome
from benchmark.contract import Limits, Method, Reproduction
from benchmark.inbox import Entry
from benchmark.nightly import gather, session
from benchmark.nightly.config import Config, Nightly, Retries
from benchmark.nightly.report import NightReport
from benchmark.nightly.state import Image
from benchmark.nightly.work import Reproduce, Run, ScoreRun, TakeIn
from benchmark.submission import Requests, Submission
from benchmark.workplace import Workplace
from tests.conftest import write_toy

DIGESTS = {name: "sha256:" + character * 64 for name, character in zip("abcdef", "123456", strict=True)}
"""Digests of images, by a letter."""


class Model:
    """An engine whose model takes an offset away; how much depends on the image's digest."""

    name = "podman/exec"

    def __init__(self, digest: str, flags: tuple[str, ...], broken: Sequence[str] = (), drift: int = 0) -> None:
        self.shift, self.flags, self.broken = int(digest[7], 16) + drift, flags, broken

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> Iterator[Model]:
        self.start_seconds = 0.1
        yield self

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        (file,) = (inputs / "images/noisy").iterdir()
        if file.stem in self.broken:
            return CaseOutcome(0.1, "crashed", "the model ended with exit code 1.")
        volume = image.read(file)
        (output / "images/clean").mkdir(parents=True, exist_ok=True)
        image.write(output / "images/clean" / file.name, volume.like(volume.array - np.int16(self.shift)))
        return CaseOutcome(0.1)


@dataclass
class ScriptedHands:
    """Hands of which a test says what fails: `fails[what]` are errors that are raised one after another; None lets one pass."""

    around: gather.Surroundings
    fails: dict[str, list[BaseException | None]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    """What was done, in order: `run NAME`, `score NAME`, `take in NAME`, `publish`."""
    slept: list[float] = field(default_factory=list)
    broken: Sequence[str] = ()
    """Cases on which models crash."""
    drift: int = 0
    """What models add when they are run again."""
    free: float = 1000.0
    window: int = 4
    gpu_dead: bool = False
    time: datetime = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)
    clock: float = 0.0
    asleep: float = 0.0
    """Seconds that the machine has been suspended."""
    closed: bool = False

    def _do(self, what: str, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self.did.append(what)
        waiting = self.fails.get(what) or self.fails.get(what.split()[0]) or []
        error = waiting.pop(0) if waiting else None
        if isinstance(error, KeyboardInterrupt):
            raise error
        try:
            if error is not None:
                raise error
            future.set_result(work())
        except Exception as raised:
            future.set_exception(raised)
        return future

    def take_in(self, item: TakeIn) -> Future[Image]:
        entry = inbox.load(self.around.work.inbox / item.entry)
        assert entry is not None
        gpu = ("gpu",) if entry.submission.requests.gpu else ()
        return self._do(f"take-in {item.name}", lambda: Image(entry.submission.digest, ("podman/exec", *gpu)))

    def run(self, item: Run) -> Future[str]:
        def work() -> str:
            task = self.around.folders[item.task].task.model_copy(update={"limits": item.limits})
            edition = dataset.load(self.around.work.data, task, item.edition)
            method = next(
                e.submission.method for e in inbox.sorted_out(self.around.work.inbox)[0] if e.id == item.entry
            )
            engine = Model(item.digest, item.flags, self.broken)
            return inference.run(
                task, edition, method, item.digest, engine, root=self.around.work.store, again=True
            ).key

        return self._do(f"run {item.names[0]}", work)

    def score(self, item: ScoreRun) -> Future[str]:
        def work() -> str:
            task = self.around.folders[item.task].task
            edition = dataset.load(self.around.work.data, task, item.edition)
            run = store.load_run(self.around.work.store, item.run)
            assert run is not None
            return scoring.score_run(task, edition, run, self.around.work.store).key

        return self._do(f"score {item.names[0]}", work)

    def reproduce(self, item: Reproduce, day: str) -> Future[Reproduction]:
        def work() -> Reproduction:
            entry = next(e for e in inbox.sorted_out(self.around.work.inbox)[0] if e.id == item.entry)
            task = self.around.folders[item.task].task
            task = task.model_copy(update={"limits": entry.submission.limits(task)})
            edition = dataset.load(self.around.work.data, task, item.edition)
            archived = store.load_run(self.around.work.store, item.key)
            assert archived is not None
            engine = Model(entry.submission.digest, item.flags, self.broken, self.drift)
            return reproduction.again(
                task, edition, archived, archived.method, entry.submission.digest, engine,
                root=self.around.work.store, scratch=self.around.work.root / "scratch", when=day,
            )  # fmt: skip

        return self._do(f"reproduce {item.name}", work)

    def publish(self, date: str) -> Any:
        found = publishing.entries(list(self.around.folders.values()), self.around.work.data, self.around.work.store)
        return self._do(
            "publish", lambda: publishing.publish_boards(found, self.around.work.store, self.around.work.site, date)
        ).result()

    def free_gb(self) -> float:
        return self.free

    def gpu_lost(self) -> bool:
        return self.gpu_dead

    def now(self) -> datetime:
        return self.time + timedelta(seconds=self.clock + self.asleep)

    def monotonic(self) -> float:
        return self.clock

    def suspended(self) -> float:
        return self.asleep

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds

    def close(self) -> None:
        self.closed = True


CONFIG = Config(nightly=Nightly(baselines="none", engine="podman", reproduce="off", retries=Retries(first_seconds=10)))


@dataclass
class Place:
    """A workplace for tests."""

    work: Workplace
    tasks: Path
    config: Config = field(default_factory=lambda: CONFIG)
    day: datetime = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)
    last: ScriptedHands | None = None

    @classmethod
    def make(cls, root: Path) -> Place:
        """The toy task with its phantoms, in a folder of its own, so that a test may change it."""
        place = cls(Workplace(root / "work"), write_toy(root / "tasks"))
        place.prepare()
        return place

    def copy(self, root: Path) -> Place:
        """The same in another folder."""
        shutil.copytree(self.work.root, root / "work")
        shutil.copytree(self.tasks, root / "tasks")
        return replace(self, work=Workplace(root / "work"), tasks=root / "tasks")

    def prepare(self, seed: int = 1) -> dataset.Edition:
        """Make the toy's phantoms."""
        folder = tasks.find("toy", [self.tasks])
        return dataset.prepare(self.work.data, folder.task, folder.maker("phantom")(seed=seed), workers=1)

    def around(self) -> gather.Surroundings:
        """Settings and tasks as they are now."""
        return gather.surroundings(self.work, self.config, [self.tasks])

    def submit(
        self,
        name: str,
        image: str = "a",
        *,
        title: str = "",
        team: str = "Team",
        day: int = 1,
        archive: str = "image",
        **more: Any,
    ) -> Entry:
        """Hand a submission in, on that day of April."""
        requests = Requests(**{key: more.pop(key) for key in ("memory_mb", "gpu", "inputs") if key in more})
        method = Method(name=name, title=title or name.title(), team=team, **more)
        manifest = Submission(
            method=method, task="toy", task_version="1", image="x.tar", digest=DIGESTS[image], contact="a@b.c", requests=requests
        )  # fmt: skip
        received = f"2026-04-{day:02d}T12:00:00+00:00"
        id = store.digest([manifest.model_dump(mode="json"), received])
        entry = Entry(id=id, submission=manifest, archive=archive, received=received)
        atomic.write_json(self.work.inbox / id / "entry.json", entry.model_dump(mode="json"))
        return entry

    def edit(self, old: str, new: str) -> None:
        """Change the task's declaration."""
        path = self.tasks / "toy" / "task.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def night(self, **hands: Any) -> NightReport:
        """Hold a night with hands like this."""
        around = self.around()

        def make(log: Any) -> ScriptedHands:
            self.last = ScriptedHands(around, **{"time": self.day, **hands})
            return self.last

        report, error = session.hold(around, say=lambda line: None, hands=make)
        assert report is not None, error
        self.day += timedelta(days=1)
        return report

    @property
    def did(self) -> list[str]:
        """What the hands of the last night did."""
        assert self.last is not None
        return self.last.did

    def site(self) -> dict[str, bytes]:
        """Every byte of the site."""
        root = self.work.site
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
