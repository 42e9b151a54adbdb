"""The `process` engine: one of this repository's baselines as a warm server in a plain subprocess.

It has the container's folders and speaks the same invoke protocol, so that the demo needs no container engine. There is no
sandbox around it; therefore it takes a `baselines.catalogue.Baseline` and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from baselines.catalogue import Baseline
from benchmark.container import ownership
from benchmark.container.engine import CaseOutcome
from benchmark.container.invoke import invoke, wait_until_healthy
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError, SubmissionError

HOST = "127.0.0.1"
GRACE_SECONDS = 5.0
"""Time between TERM and KILL."""


class ProcessEngine:
    """Runs one baseline. Raises `SubmissionError('not_allowed')` for anything that is not a baseline of this repository."""

    name = "process/invoke"
    trusted = True
    """What it runs is ours, and may say what went wrong on a sealed split too."""

    def __init__(self, baseline: Baseline, *, threads: int = 1) -> None:
        if not isinstance(baseline, Baseline):
            raise SubmissionError(
                "not_allowed",
                "the process engine was given something that is not a baseline",
                expected="a container engine for submissions",
            )
        self.baseline = baseline
        self.threads = threads

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> Iterator[ProcessSession]:
        """Start the baseline's server; stop it and remove its folders at the end, whatever happens."""
        ownership.sweep_folders()  # of a harness that was killed
        folder = Path(tempfile.mkdtemp(prefix=ownership.PREFIX))
        ownership.mark(folder)
        session = ProcessSession(self.baseline, self.threads, limits, folder, log)
        try:
            session.start()
            yield session
        finally:
            session.stop()
            shutil.rmtree(folder, ignore_errors=True)


class ProcessSession:
    """A running server. A case that times out or ends the server costs that case only: the next one starts it again."""

    def __init__(self, baseline: Baseline, threads: int, limits: Limits, folder: Path, log: Path) -> None:
        self.baseline, self.threads, self.limits, self.folder, self.log = baseline, threads, limits, folder, log
        self.start_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        for name in ("input", "output"):
            _empty(self.folder / name)
        self._port = _free_port()
        command = [
            sys.executable,
            "-m",
            "baselines.entry",
            "--baseline",
            self.baseline.name,
            "--task",
            self.baseline.task,
            "--threads",
            str(self.threads),
            *(["--weights", str(self.baseline.weights.resolve())] if self.baseline.weights else []),
            "serve",
            "--while-stdin",  # the server ends with us, also when we are killed and can stop nothing
            "--host",
            HOST,
            "--port",
            str(self._port),
            "--input",
            str(self.folder / "input"),
            "--output",
            str(self.folder / "output"),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "PYTHONUNBUFFERED": "1"}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as handle:
            try:
                # A session of its own, so that a signal reaches everything that it starts.
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=handle,
                    stderr=handle,
                    env=environment,
                    cwd=self.folder,
                    start_new_session=True,
                )
            except OSError as error:
                raise InfrastructureError(
                    "start_failed", f"{self.baseline.name} could not be started ({error})"
                ) from error
        try:
            self.start_seconds = wait_until_healthy(HOST, self._port, self.limits.start_seconds, self._alive)
        except SubmissionError as error:
            self.stop()
            tail = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["no output"]
            raise InfrastructureError(
                "start_failed",
                f"baseline {self.baseline.name} did not start: {error.found} (log {self.log}: {tail[0][:300]})",
            ) from None

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        """Give the server fresh folders, call it once, move what it wrote to `output`."""
        if not self._alive():
            self.start()
        _empty(self.folder / "input")
        _empty(self.folder / "output")
        shutil.copytree(inputs, self.folder / "input", dirs_exist_ok=True)
        begin = time.monotonic()
        try:
            invoke(HOST, self._port, self.limits.seconds)
            code = reason = ""
        except SubmissionError as error:
            code, reason = error.code, error.sentence
            self.stop()
        seconds = time.monotonic() - begin
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.folder / "output", output)
        (self.folder / "output").mkdir()
        return CaseOutcome(seconds, code, reason)

    def stop(self) -> None:
        """TERM to the whole group, five seconds, KILL."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
