"""A real Dask cluster of several processes on this machine, and waiting for things to happen."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent


class DaskCluster:
    """`dask scheduler` and workers that were started by hand, each a process to be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file), "--no-dashboard")
        end = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < end and self.scheduler.poll() is None, (folder / "0.log").read_text()
            time.sleep(0.05)
        from distributed import Client

        self.client = Client(scheduler_file=str(file), set_as_default=False)
        self.address = str(self.client.scheduler.address)  # type: ignore[union-attr]

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        paths = [str(HERE), str(HERE.parents[1])]
        log = (self.folder / f"{len(self.workers)}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def add(self, count: int, *, resources: str = "MEMORY=8e9 CPU=4", threads: int = 2, gpus: str = "") -> None:
        """Start workers and wait for them."""
        for _ in range(count):
            options = ["--nthreads", str(threads), "--no-nanny", "--resources", resources, "--no-dashboard"]
            worker = self._start("worker", self.address, *options, CUDA_VISIBLE_DEVICES=gpus)
            self.workers.append(worker)
        self.client.wait_for_workers(sum(worker.poll() is None for worker in self.workers), timeout=60)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL to one worker, and to nothing that it started."""
        worker.kill()
        worker.wait()

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(Exception):
            self.client.close(timeout=2)
        for process in (*self.workers, self.scheduler):
            assert process is not None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a function gives something true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.02)


def organiser(where: str, folder: Path) -> subprocess.Popen[bytes]:
    """A process that hands in a long job and waits: to `local` workers, or to the scheduler of that address."""
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    command = [sys.executable, str(HERE / "asks_for_long.py"), where, str(folder)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, start_new_session=True)
