"""A process of its own for jobs, from the side of whoever asks: started, asked, ended.

Why not a pool of the standard library: there a worker that is killed takes its whole pool with it, and Dask's workers may not have
children by `multiprocessing`. A process alone is also the one thing that can be ended with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.executor.serve import ENDED, receive, send

GRACE_SECONDS = 30.0
"""Between TERM and KILL: a little more than what the process allows its job for removing containers."""


class WorkerLost(Exception):
    """The process ended in the middle of a job. The text says how."""


class Worker:
    """One process, which does one job after another. It is started by the first one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Lock()
        self._ended = False

    @property
    def pid(self) -> int:
        """Its process id; 0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def resident_mb(self) -> int:
        """Memory that it holds now, in MiB; 0 while there is no process."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

    @property
    def usable(self) -> bool:
        """Whether it can take a further job."""
        return not self._ended

    def call(
        self,
        function: Callable[[Any], Any],
        job: Any,
        *,
        environment: Mapping[str, str | None] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Any:
        """`function(job)`, done there. `environment` changes variables, None removes one. Raises what the function raises, and
        `WorkerLost` when the process ended before it answered; after that this worker is of no more use."""
        process = self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            send(process.stdin, (function, job, dict(environment or {})))
            while True:
                kind, value, text = receive(process.stdout)
                if kind == "progress":
                    if progress:
                        # It is only shown; and an error from here would leave the answer lying for whoever asks next.
                        with contextlib.suppress(Exception):
                            progress(*value)
                elif kind == "done":
                    return value
                else:
                    if not hasattr(value, "sentence"):
                        value.add_note(f"In the worker:\n{text}")
                    raise value
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.end(grace=0.0)
            raise WorkerLost(_how(process.returncode)) from None

    def end(self, grace: float = GRACE_SECONDS) -> None:
        """TERM, `grace` seconds, KILL, to it and what it started. Can be called from any thread."""
        with self._ending:
            self._ended = True
            process = self._process
            if process is None:
                return
            if process.poll() is None and grace:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace)
            if process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)  # its end was seen before the kernel says so
            # What it started and did not end, such as a client of the engine; its group is its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]

    def _start(self) -> subprocess.Popen[bytes]:
        with self._ending:
            if self._ended:
                raise WorkerLost("it was ended")
            if self._process is None:
                paths = [os.path.abspath(path) for path in sys.path if path]  # noqa: PTH100 – may be a zip file
                paths = [os.getcwd(), *paths] if "" in sys.path else paths  # noqa: PTH109
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "benchmark.executor.serve"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
                    start_new_session=True,  # so that Ctrl-C reaches us alone, and a signal all that it starts
                )
            return self._process


def _how(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        return f"it was ended by {name}{hint}"
    return "it was asked to end" if code == ENDED else f"it ended with code {code}"
