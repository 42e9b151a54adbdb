"""Invoke mode: a server that is started once and answers case after case, or is started afresh for each."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.container.commands import GRACE_SECONDS
from benchmark.container.engine import CaseOutcome
from benchmark.container.reach import Reach
from benchmark.container.records import MODE_LABEL
from benchmark.container.running import Container
from benchmark.container.session import ContainerSession, outcome
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError, SubmissionError

if TYPE_CHECKING:
    from benchmark.container.sandboxed import ContainerEngine

HEALTH_SECONDS = 0.2
"""Between two questions for the server's health."""


class InvokeSession(ContainerSession):
    """A server that answers case after case. One that fails in a case is removed, and the next case gets a new one.

    Between cases it is held still, so that nothing in it changes the folders while they are read and filled again.
    """

    def __init__(self, engine: ContainerEngine, limits: Limits, folder: Path, log: Path) -> None:
        super().__init__(engine, limits, folder, log)
        self.warm = not engine.is_cold
        self._server: Container | None = None
        self._reach: Reach | None = None

    def open(self) -> None:
        """Start the server; when it does not come up, the first case says so."""
        with contextlib.suppress(SubmissionError):
            self._start()

    def close(self) -> None:
        """Stop the server and remove everything."""
        try:
            self._stop()
        finally:
            super().close()

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        """Call the server once on fresh folders; hold it still, or end it, before its output is read."""
        problem: SubmissionError | None = None
        seconds, cost = 0.0, None
        try:
            if self._server is None or not self._server.alive:
                self._stop()
                self._start()
            server, reach = self._server, self._reach
            assert server is not None and reach is not None
            self.fresh_folders(inputs)
            before = server.snapshot()
            server.unpause()
            begin = time.monotonic()
            try:
                reach.invoke(self.limits.seconds)
            finally:
                seconds = time.monotonic() - begin
                cost = server.cost(before)
        except SubmissionError as error:
            problem = self._why(error)
            self._stop()
        except InfrastructureError:
            # The helper fails when the container goes away under it.
            if self._server is None or self._server.alive:
                raise
            problem = self._why(SubmissionError("crashed", "the server ended while it worked on the case"))
            self._stop()
        if problem is None:
            problem = self._take(output)
        else:
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
        return outcome(seconds, problem, cost, self.log.section())

    def _take(self, output: Path) -> SubmissionError | None:
        """Read the output while nothing in the container can change it."""
        server = self._server
        assert server is not None
        if not self.warm:
            self._stop()
            return server.verdict or self.collected(output)
        self._hold(server)
        return server.verdict or self.collected(output)

    def _why(self, error: SubmissionError) -> SubmissionError:
        """What the container's end says, where that says more than a broken connection."""
        server = self._server
        if server is None or error.code != "crashed":
            return (server.verdict if server else None) or error
        server.wait(1.0)
        if server.verdict is not None:
            return server.verdict
        if not server.alive:
            ended = server.failure()
            if ended is not None and ended.code == "out_of_memory":
                return ended
        elif server.snapshot().reading.oom_kills:
            return SubmissionError(
                "out_of_memory", "the container hit its memory limit", expected=f"at most {self.limits.memory_mb} MiB"
            )
        return error

    def _start(self) -> None:
        """Start a server and wait until it is ready. Raises `SubmissionError`: `crashed`, `timeout`, `out_of_memory`."""
        self.area.renew()
        begin = time.monotonic()
        server = self.container()
        self._server = server
        try:
            server.start()
            end = begin + self.limits.start_seconds
            while not (self._reached(server) and self._reach is not None and self._healthy(server)):
                if not server.alive:
                    raise server.failure() or SubmissionError(
                        "crashed",
                        "the server ended before it was ready, with exit code 0",
                        expected=f"a server on port 4743, as the image's label {MODE_LABEL} promises",
                    )
                if time.monotonic() > end:
                    raise SubmissionError(
                        "timeout",
                        f"the server was not ready after {self.limits.start_seconds:.0f} s",
                        expected="GET /health on port 4743 to answer 200",
                    )
                time.sleep(HEALTH_SECONDS)
            ready = time.monotonic() - begin
            if self.warm:
                self._hold(server)
        except BaseException:
            self._stop()
            raise
        self.start_seconds = self.start_seconds or ready

    @staticmethod
    def _hold(server: Container) -> None:
        """Hold the server still; one that ended by itself is still enough."""
        try:
            server.pause()
        except InfrastructureError:
            if not server.wait(1.0):
                raise

    def _reached(self, server: Container) -> bool:
        """Whether the helper is in the container's network, which it can be once the container has a process."""
        if self._reach is not None and self._reach.closed:
            self._reach = None
        if self._reach is None and server.alive and (pid := server.pid()):
            self._reach = Reach(self.engine.runtime, server.name, pid)
        return self._reach is not None

    def _healthy(self, server: Container) -> bool:
        assert self._reach is not None
        try:
            return self._reach.healthy()
        except InfrastructureError:
            if server.alive and server.wait(GRACE_SECONDS) is False:
                raise
            return False

    def _stop(self) -> None:
        server, self._server = self._server, None
        reach, self._reach = self._reach, None
        try:
            if reach is not None:
                reach.close()
        finally:
            if server is not None:
                try:
                    server.stop()
                finally:
                    server.remove()
