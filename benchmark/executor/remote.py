"""What a Dask worker does with a job: it hands it to a process of its own, which ends when the worker ends or the job is taken back.

So a container never outlives the worker that would have collected its output, a job that is killed for want of memory does not take
the worker with it, and what Dask measures of its worker is not the job's memory.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmark.errors import InfrastructureError
from benchmark.executor.admission import gpus_here
from benchmark.executor.worker import Worker

LOOK_SECONDS = 0.5
"""Between two looks whether the job is still wanted, or a GPU free."""

_idle: list[Worker] = []
_lock = threading.Lock()


@cache
def version() -> str:
    """What must be alike on both sides: the code that makes keys and scores."""
    from benchmark import store

    return store.scorer_version()


def carry_out(function: Callable[[Any], Any], job: Any, gpus: int, expected: str, topic: str) -> Any:
    """`function(job)` in a process beside this one. Called by Dask, in a thread of its worker.

    Raises what the function raises, `WorkerLost` when the process was killed, and `InfrastructureError('worker_unfit')` when this machine
    has another version of radbench or fewer GPUs than it was declared to have.
    """
    from distributed import get_worker

    here = get_worker()
    if version() != expected:
        raise InfrastructureError(
            "worker_unfit",
            f"{os.uname().nodename} scores with {version()}",
            expected=f"{expected}, as the organiser's machine has",
            action="Install the same version of radbench there, and start the Dask workers again.",
        )
    key = here.get_current_task()
    with _lock:
        worker = _idle.pop() if _idle else Worker()
    watch = _Watch(worker, lambda: _wanted(here, key))
    try:
        with devices(gpus) as given, watch:
            result = worker.call(
                function,
                job,
                environment={"CUDA_VISIBLE_DEVICES": ",".join(given)},
                progress=(lambda *told: here.log_event(topic, told)) if topic else None,
            )
    finally:
        with _lock:
            if worker.usable:
                _idle.append(worker)
    return result


def _wanted(here: Any, key: object) -> bool:
    """Whether the scheduler still wants the task; one that was released while it ran is kept as cancelled."""
    state = here.state.tasks.get(key)
    return state is not None and state.state not in ("cancelled", "released", "forgotten")


class _Watch:
    """Ends the process when its job is no longer wanted."""

    def __init__(self, worker: Worker, wanted: Callable[[], bool]) -> None:
        self.worker, self.wanted = worker, wanted
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            if not self.wanted():
                self.worker.end()
                return


@contextlib.contextmanager
def devices(count: int, folder: Path | None = None) -> Iterator[tuple[str, ...]]:
    """`count` GPUs of this machine that no other job has, in any process of this user: each is a file lock that ends with its holder.

    Dask counts GPUs; it does not say which. Raises `InfrastructureError('worker_unfit')` when there are fewer.
    """
    seen = gpus_here()
    if count > len(seen):
        raise InfrastructureError(
            "worker_unfit", f"{os.uname().nodename} was declared to have a GPU, and {len(seen)} are seen"
        )
    place = folder or Path(tempfile.gettempdir())
    with contextlib.ExitStack() as held:
        given: list[str] = []
        while len(given) < count:
            for device in (name for name in seen if name not in given):
                with contextlib.suppress(Timeout):
                    held.enter_context(FileLock(place / f"radbench-gpu-{os.geteuid()}-{device}.lock", timeout=0))
                    given.append(device)
                    if len(given) == count:
                        break
            else:
                time.sleep(LOOK_SECONDS)
        yield tuple(given)
