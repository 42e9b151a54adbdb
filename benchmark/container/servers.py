"""The processes that serve baselines: how they start, and how all of them end.

A server is a process of its own or, where many are wanted soon after one another, a fork of a process that has made their imports
once (`baselines.nursery`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from baselines.catalogue import Family
from baselines.nursery import PACKET

GRACE_SECONDS = 5.0
"""Time between TERM and KILL."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    # glibc gives feature maps of a few MiB back to the kernel after each layer and has them filled with zeros for the next one,
    # which takes a good part of a network's time. So it keeps them.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
"""What servers find in their environment, beside what we have in ours."""


class Ended(Exception):
    """`Servers.end` was called: there is no server, and what it was asked for has no answer."""


class Server:
    """A process that serves one baseline, whoever its parent is.

    Its standard input is the other end of `lifeline`. So it ends when we end, however we do, and we see when it has ended.
    """

    def __init__(
        self,
        pid: int,
        lifeline: socket.socket,
        *,
        imports_seconds: float = 0.0,
        child: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self.pid = pid
        self.imports_seconds = imports_seconds
        """What it took to start Python and make its imports, where that was done before, for it and others."""
        self._lifeline = lifeline
        self._child = child
        """Where its parent is this process."""

    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended_within(0)

    def stop(self) -> None:
        """TERM to it and all that it started, five seconds, KILL."""
        # A fork that has just been made leads no group yet that a signal could reach; then the end of its input ends it.
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)
        for sent in (signal.SIGTERM, signal.SIGKILL):
            self._send(sent)
            if self._ended_within(GRACE_SECONDS):
                break
        self.kill()  # what it started
        self._lifeline.close()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(GRACE_SECONDS)

    def kill(self) -> None:
        """KILL, from any thread; `stop` is still to be called."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _ended_within(self, seconds: float) -> bool:
        watch = select.poll()
        watch.register(self._lifeline, select.POLLIN)
        return bool(watch.poll(seconds * 1000))


class Servers:
    """Starts servers, and ends all that run when another thread says so.

    `forked`: from one process, which starts with the first server. It holds half a gigabyte until `end`, or until we are killed;
    therefore only for many runs soon after one another, such as a demonstration.
    """

    def __init__(self, *, forked: bool = False) -> None:
        self.forked = forked
        self.ended = False
        """Whether `end` was called."""
        self._starting = threading.Lock()
        self._running: set[Server] = set()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._asked: socket.socket | None = None

    def start(self, family: Family, arguments: Sequence[str], folder: Path, log: Path) -> Server:
        """Start `python -m baselines.entry` with these arguments in `folder`; what it prints is added to `log`.

        Raises `Ended`, and `OSError` where it could not be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs, log.open("ab") as printed, self._starting:
                if self.ended:
                    raise Ended
                begin = self._fork if self.forked else _spawn
                server = begin(family, arguments, folder, ours, (theirs.fileno(), printed.fileno()))
                self._running.add(server)
        except OSError as error:
            ours.close()
            if self.ended:
                raise Ended from error
            raise
        except BaseException:
            ours.close()
            raise
        if self.ended:  # meanwhile, and perhaps before it was among those that run
            self.stop(server)
            raise Ended
        return server

    def stop(self, server: Server) -> None:
        """Stop one of them."""
        self._running.discard(server)
        server.stop()

    def end(self) -> None:
        """Kill all that run, at once, and start none from now on."""
        self.ended = True
        for server in list(self._running):
            server.kill()
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery.wait()
        with self._starting:
            if self._asked is not None:
                self._asked.close()

    def _fork(
        self, family: Family, arguments: Sequence[str], folder: Path, lifeline: socket.socket, streams: tuple[int, int]
    ) -> Server:
        if self._asked is None or self._nursery is None or self._nursery.poll() is not None:
            self._begin()
        assert self._asked is not None
        request = {"family": family, "arguments": list(arguments), "folder": str(folder)}
        socket.send_fds(self._asked, [json.dumps(request).encode()], streams)
        answer = self._asked.recv(PACKET)
        if not answer:
            raise BrokenPipeError("the process that forks servers has ended")
        born = json.loads(answer)
        return Server(born["pid"], lifeline, imports_seconds=born["imports_seconds"])

    def _begin(self) -> None:
        if self._asked is not None:
            self._asked.close()
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "baselines.nursery", str(theirs.fileno()), repr(time.monotonic())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        if self.ended:  # just now, when there was nothing to kill
            self._nursery.kill()


def _spawn(
    family: Family, arguments: Sequence[str], folder: Path, lifeline: socket.socket, streams: tuple[int, int]
) -> Server:
    given, printed = streams
    child = subprocess.Popen(
        [sys.executable, "-m", "baselines.entry", *arguments],
        stdin=given,
        stdout=printed,
        stderr=printed,
        env={**os.environ, **ENVIRONMENT},
        cwd=folder,
        start_new_session=True,  # a session of its own, so that a signal reaches everything that it starts
    )
    return Server(child.pid, lifeline, child=child)
