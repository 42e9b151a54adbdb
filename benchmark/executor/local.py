"""Jobs side by side in processes on this machine, never more than its memory, cores and GPUs hold.

A job starts when what it needs is free. Of those that fit, the one that waits longest goes first; one that was passed over often
holds the others back, so that a large one has its turn. A job that needs more than there is runs alone. Each process does one job
after another; one that is killed costs its own job only, which is then done again, alone, in a new process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from benchmark.errors import InfrastructureError
from benchmark.executor.admission import Capacity, Room, capacity
from benchmark.executor.config import ExecutorConfig
from benchmark.executor.resources import Resources
from benchmark.executor.worker import Worker, WorkerLost


@dataclass(eq=False)
class _Waiting:
    """A job, from when it is handed in until it is done."""

    function: Callable[[Any], Any]
    job: Any
    needs: Resources
    key: str
    future: Future[Any] = field(default_factory=Future)
    lost: list[str] = field(default_factory=list)
    """How its workers ended, one after another."""
    passed: int = 0
    """How often a later job was started before it."""


class LocalExecutor:
    """See `benchmark.executor`. Leaving the block waits for what was handed in; an exception or Ctrl-C ends it instead."""

    def __init__(
        self,
        config: ExecutorConfig,
        *,
        progress: Callable[[str, int, int], None] | None = None,
        say: Callable[[str], None] | None = None,
        box: Capacity | None = None,
    ) -> None:
        """`box`: what there is, for tests (default: what `admission.capacity` finds)."""
        self.retries, self.progress, self.say = config.retries, progress, say or (lambda text: None)
        self.room = Room(box or capacity(config))
        self._lock = threading.RLock()
        self._waiting: list[_Waiting] = []
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(self.room.box.jobs, thread_name_prefix="job")

    def submit(self, function: Callable[[Any], Any], job: Any, resources: Resources, *, key: str = "") -> Future[Any]:
        """See `benchmark.executor.Executor`. The future fails with `InfrastructureError`: `worker_unfit` for a GPU where there is
        none, `worker_lost` when the job's processes were killed again and again."""
        waiting = _Waiting(function, job, resources, key or getattr(function, "__name__", "job"))
        if resources.gpus > len(self.room.box.devices):
            waiting.future.set_exception(
                InfrastructureError(
                    "worker_unfit",
                    f"{waiting.key} needs {_plural(resources.gpus, 'GPU')}, and there are {len(self.room.box.devices)} here",
                    action="Look at `nvidia-smi`, or set gpus of [executor] in radbench.toml.",
                )
            )
            return waiting.future
        if not self.room.holds(resources):
            self.say(
                f"{waiting.key} needs {resources.memory_mb} MiB, more than the {self.room.box.memory_mb} MiB for jobs here: "
                "it runs alone and may be killed."
            )
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            self._waiting.append(waiting)
        self._admit()
        return waiting.future

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._drain()
            except BaseException:
                self._end()
                raise
        self._end()

    def _drain(self) -> None:
        """Wait until everything that was handed in is done."""
        done = threading.Event()
        while True:
            with self._lock:
                if not self._waiting and self.room.empty:
                    return
            done.wait(0.05)

    def _end(self) -> None:
        """Forget what waits, end what runs, with the containers."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            workers = list(self._workers)
        for item in waiting:
            item.future.cancel()
        enders = [threading.Thread(target=worker.end) for worker in workers]
        for thread in enders:
            thread.start()
        for thread in enders:
            thread.join()
        self._threads.shutdown(wait=True)

    def _admit(self) -> None:
        """Start what fits."""
        with self._lock:
            if self._closed:
                return
            self._waiting = [item for item in self._waiting if not item.future.cancelled()]
            while (chosen := self._next()) is not None:
                self._waiting.remove(chosen)
                if not chosen.lost and not chosen.future.set_running_or_notify_cancel():
                    continue
                devices = self.room.take(chosen, chosen.needs, alone=bool(chosen.lost))
                self._threads.submit(self._carry_out, chosen, devices)

    def _next(self) -> _Waiting | None:
        """The longest waiting job that fits, unless one before it has been passed over too often."""
        for index, item in enumerate(self._waiting):
            if self.room.fits(item.needs, alone=bool(item.lost)):
                for earlier in self._waiting[:index]:
                    earlier.passed += 1
                return item
            if item.passed >= MOST_PASSED or item.lost:
                return None
        return None

    def _carry_out(self, item: _Waiting, devices: tuple[str, ...]) -> None:
        """Do one job in a process, and hand on what came of it."""
        with self._lock:
            worker = self._idle.pop() if self._idle else Worker()
            self._workers.add(worker)
            surplus = self._surplus()
        for other in surplus:
            other.end()
        try:
            visible = ",".join(devices)
            result = worker.call(
                item.function, item.job, environment={"CUDA_VISIBLE_DEVICES": visible}, progress=self.progress
            )
        except WorkerLost as lost:
            self._finish(item, worker, lost=str(lost))
        except BaseException as error:
            self._finish(item, worker, error=error)
        else:
            self._finish(item, worker, result=result)

    def _surplus(self) -> list[Worker]:
        """Take idle processes off the stack, those idle longest first, until what the others still hold fits beside what runs."""
        taken = []
        while self._idle and sum(worker.resident_mb for worker in self._idle) > self.room.free_mb:
            taken.append(self._idle.pop(0))
            self._workers.discard(taken[-1])
        return taken

    def _finish(
        self, item: _Waiting, worker: Worker, *, result: Any = None, error: BaseException | None = None, lost: str = ""
    ) -> None:
        again = False
        with self._lock:
            if lost:
                self._workers.discard(worker)
                item.lost.append(lost)
                again = len(item.lost) <= self.retries and not self._closed
                if again:
                    self._waiting.insert(0, item)
            else:
                self._idle.append(worker)
            self.room.give_back(item)
        if again:
            self.say(f"{item.key}: its worker was lost ({lost}). It is done again, alone.")
        elif lost:
            what = f"{item.key}: its worker was lost {_plural(len(item.lost), 'time')}: {'; '.join(item.lost)}"
            item.future.set_exception(InfrastructureError("worker_lost", what))
        elif error is not None:
            item.future.set_exception(error)
        else:
            item.future.set_result(result)
        self._admit()


MOST_PASSED = 16
"""So many later jobs may start before one that does not fit yet; then the others wait for it."""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
