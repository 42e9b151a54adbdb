"""What a night does with its hands: images taken in, runs, scores, the site; a clock, a disk and a GPU to look at.

`Hands` is the interface; `MachineHands` are the real ones, on an executor that is opened when the first job comes. Tests have
others, which fail as they are told.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmark import inbox
from benchmark.errors import SubmissionError
from benchmark.nightly.gather import Surroundings, engine_name
from benchmark.nightly.state import Image
from benchmark.nightly.work import Reproduce, Run, ScoreRun, TakeIn

if TYPE_CHECKING:
    from benchmark.contract import Reproduction
    from benchmark.executor import Executor
    from benchmark.jobs import RunJob
    from leaderboard.records import Published

TAKE_IN_MB = 600
"""Memory of taking in an image, in MiB; archives are read in a stream."""
CLUSTER_WINDOW = 1000
"""Jobs that a cluster is given at once; on one machine it is twice its cores."""


class Hands(Protocol):
    """What a night does and looks at."""

    window: int
    """Jobs that may be under way at once."""

    def take_in(self, item: TakeIn) -> Future[Image]:
        """Take in an image."""

    def run(self, item: Run) -> Future[str]:
        """Run a submission; the inference key."""

    def score(self, item: ScoreRun) -> Future[str]:
        """Score a run; the scoring key."""

    def reproduce(self, item: Reproduce, day: str) -> Future[Reproduction]:
        """Run an archived run again, and compare."""

    def publish(self, date: str) -> Published | None:
        """Make the site; None where there is nothing to show."""

    def free_gb(self) -> float:
        """Free space in the work folder, in GB."""

    def gpu_lost(self) -> bool:
        """Whether there was a GPU and it does not answer any more."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def suspended(self) -> float:
        """Seconds that the machine has slept since it was started, which `monotonic` leaves out."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def close(self) -> None:
        """End what is under way, and remove its containers."""


@dataclass(frozen=True)
class TakeInJob:
    """Take in the image of an entry."""

    entry: Path
    """Folder of the entry."""
    engine: str
    """Name of the engine."""
    gpu: str
    """GPU that its container will get; empty for none."""
    cache: Path
    """Where Apptainer keeps images."""


def take_in(job: TakeInJob) -> Image:
    """Take the image in; what keys need of it. Raises what `container.intake` raises."""
    from benchmark import jobs

    entry = jobs.entry_in(job.entry)
    try:
        engine = jobs.container_of(job.entry, entry, job.engine, gpu=job.gpu, cache=job.cache)
    except SubmissionError:
        if inbox.intact(job.entry, entry):
            raise
        raise jobs.gone(f"{job.entry} does not hold what was handed in any more") from None
    return Image(engine.digest, engine.flags)


class MachineHands:
    """The real hands."""

    def __init__(
        self,
        around: Surroundings,
        *,
        progress: Callable[[str, int, int], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        from benchmark.executor.config import parse

        self._around, self._progress, self._say = around, progress, say
        gpu = around.config.nightly.gpu
        only = (
            {"gpus": [gpu]} if gpu not in ("", "all") and around.config.executor.get("kind", "local") == "local" else {}
        )
        self._config = parse({**only, **around.config.executor}, "radbench.toml")
        self.window = CLUSTER_WINDOW if self._config.kind == "dask" else 2 * (os.cpu_count() or 1)
        self._stack = contextlib.ExitStack()
        self._executor: Executor | None = None

    def take_in(self, item: TakeIn) -> Future[Image]:
        """Take in an image, where jobs are done."""
        from benchmark.jobs import Resources

        place = self._around.work.inbox / item.entry
        entry = inbox.load(place)
        gpu = self._around.config.nightly.gpu if entry is not None and entry.submission.requests.gpu else ""
        job = TakeInJob(place.resolve(), engine_name(self._around.config), gpu, self._cache)
        return self._submit(take_in, job, lambda: Resources(TAKE_IN_MB), f"take in {item.name}")

    def run(self, item: Run) -> Future[str]:
        """Run a submission on an edition."""
        from benchmark import jobs

        job = self._job(item, item.names[0])
        return self._submit(jobs.run, job, lambda: jobs.resources(job), f"run {item.task}/{item.names[0]}")

    def reproduce(self, item: Reproduce, day: str) -> Future[Reproduction]:
        """Run an archived run again in a scratch folder of the work folder, which every worker sees."""
        from benchmark import jobs, reproduction

        job = reproduction.ReproduceJob(
            run=self._job(item, item.name),
            key=item.key,
            scratch=(self._around.work.root / "scratch" / "reproduction").resolve(),
            when=day,
            tolerance=self._around.config.nightly.reproduce_tolerance,
        )
        return self._submit(
            reproduction.reproduce, job, lambda: jobs.resources(job.run), f"reproduce {item.task}/{item.name}"
        )

    def _job(self, item: Run | Reproduce, name: str) -> RunJob:
        from benchmark import jobs

        around = self._around
        return jobs.RunJob(
            task=around.folders[item.task].root.resolve(),
            data=around.work.data.resolve(),
            edition=item.edition,
            store=around.work.store.resolve(),
            baseline="" if item.entry else name,
            entry=(around.work.inbox / item.entry).resolve() if item.entry else None,
            engine=engine_name(around.config) if item.entry else "",
            gpu=around.config.nightly.gpu if "gpu" in item.flags else "none",
            cache=self._cache,
        )

    def score(self, item: ScoreRun) -> Future[str]:
        """Score a run."""
        from benchmark import jobs

        around = self._around
        job = jobs.ScoreJob(
            task=around.folders[item.task].root.resolve(),
            data=around.work.data.resolve(),
            edition=item.edition,
            store=around.work.store.resolve(),
            run=item.run,
        )
        return self._submit(jobs.score, job, lambda: jobs.resources(job), f"score {item.task}/{item.names[0]}")

    def _submit(self, function: Callable[[Any], Any], job: Any, resources: Callable[[], Any], key: str) -> Future[Any]:
        """Hand a job over; what goes wrong before it begins is in the future too."""
        failed: Future[Any] = Future()
        try:
            if self._executor is None:
                from benchmark.executor import open_executor

                self._executor = self._stack.enter_context(
                    open_executor(self._config, progress=self._progress, say=self._say)
                )
            return self._executor.submit(function, job, resources(), key=key)
        except Exception as error:
            failed.set_exception(error)
            return failed

    def publish(self, date: str) -> Published | None:
        """Make the site from the store."""
        from benchmark import publishing

        around = self._around
        found = publishing.entries(list(around.folders.values()), around.work.data, around.work.store)
        if not found:
            return None
        return publishing.publish_boards(found, around.work.store, around.work.site, date, around.config.site.base_url)

    def free_gb(self) -> float:
        """Free space in the work folder, in GB."""
        return shutil.disk_usage(self._around.work.root).free / 1e9

    def gpu_lost(self) -> bool:
        """Whether the configured GPU does not answer."""
        from benchmark.container import gauge

        name = self._around.config.nightly.gpu
        if not name:
            return False
        found = gauge.open_gpu(name)
        if found is None:
            return True
        found.close()
        return False

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def suspended(self) -> float:
        """Seconds that the machine has slept since it was started; 0 where the system does not tell."""
        clock = getattr(time, "CLOCK_BOOTTIME", None)
        return 0.0 if clock is None else time.clock_gettime(clock) - time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def close(self) -> None:
        """End what is under way."""
        self._executor = None
        # Called while Ctrl-C is on its way, this ends the jobs; else it waits for them.
        self._stack.__exit__(*sys.exc_info())

    @property
    def _cache(self) -> Path:
        return (self._around.work.root / "images").resolve()
