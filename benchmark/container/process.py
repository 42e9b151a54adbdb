"""The `process` engine: one of this repository's baselines as a warm server in a plain subprocess.

It has the container's folders and speaks the same invoke protocol, so that the demo needs no container engine. There is no
sandbox around it; therefore it takes a `baselines.catalogue.Baseline` and nothing else.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from baselines.catalogue import Baseline
from benchmark.container import ownership
from benchmark.container.engine import CaseOutcome
from benchmark.container.invoke import invoke, wait_until_healthy
from benchmark.container.servers import Ended, Server, Servers
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError, SubmissionError

HOST = "127.0.0.1"


class ProcessEngine:
    """Runs one baseline. Raises `SubmissionError('not_allowed')` for anything that is not a baseline of this repository."""

    name = "process/invoke"
    trusted = True
    """What it runs is ours, and may say what went wrong on a sealed split too."""

    def __init__(self, baseline: Baseline, servers: Servers | None = None) -> None:
        """`servers`: who starts its servers and may end them; without, each is a process of its own."""
        if not isinstance(baseline, Baseline):
            raise SubmissionError(
                "not_allowed",
                "the process engine was given something that is not a baseline",
                expected="a container engine for submissions",
            )
        self.baseline = baseline
        self.servers = servers or Servers()

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> Iterator[ProcessSession]:
        """Start the baseline's server; stop it and remove its folders at the end, whatever happens."""
        ownership.sweep_folders()  # of a harness that was killed
        folder = Path(tempfile.mkdtemp(prefix=ownership.PREFIX))
        ownership.mark(folder)
        session = ProcessSession(self.baseline, self.servers, limits, folder, log)
        try:
            session.start()
            yield session
        finally:
            session.stop()
            shutil.rmtree(folder, ignore_errors=True)


class ProcessSession:
    """A running server. A case that times out or ends the server costs that case only: the next one starts it again.

    Once `Servers.end` was called, `start` and `run` raise `Ended`: nothing is said about a case that was under way.
    """

    def __init__(self, baseline: Baseline, servers: Servers, limits: Limits, folder: Path, log: Path) -> None:
        self.baseline, self.servers, self.limits, self.folder, self.log = baseline, servers, limits, folder, log
        self.start_seconds = 0.0
        """From the start of the process until it was ready; of a fork with the seconds in which the imports were made for it."""
        self._server: Server | None = None
        self._port = 0

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        self.stop()
        for name in ("input", "output"):
            _empty(self.folder / name)
        self._port = _free_port()
        arguments = [
            "--baseline",
            self.baseline.name,
            "--task",
            self.baseline.task,
            "--threads",
            "1",
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
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._server = self.servers.start(self.baseline.family, arguments, self.folder, self.log.resolve())
        except OSError as error:
            raise InfrastructureError("start_failed", f"{self.baseline.name} could not be started ({error})") from error
        try:
            ready = wait_until_healthy(HOST, self._port, self.limits.start_seconds, self._alive)
            self.start_seconds = self._server.imports_seconds + ready
        except SubmissionError as error:
            self._unless_ended()
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
            self._unless_ended()
            code, reason = error.code, error.sentence
            self.stop()
        seconds = time.monotonic() - begin
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.folder / "output", output)
        (self.folder / "output").mkdir()
        return CaseOutcome(seconds, code, reason)

    def stop(self) -> None:
        """Stop the server, if there is one."""
        server, self._server = self._server, None
        if server is not None:
            self.servers.stop(server)

    def _unless_ended(self) -> None:
        if self.servers.ended:
            raise Ended

    def _alive(self) -> bool:
        return self._server is not None and self._server.alive()


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
