"""Reaching a server in a container that has no network: by a helper inside the container's network namespace.

As root the helper is a process of ours that `nsenter` puts there; with rootless Podman the same inside Podman's user namespace. With
Docker and no root it is Python of the image itself, run in the container: it can say no more than the server, which is a
stranger's as well, could say itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmark.container import helper
from benchmark.container.invoke import OK, check_answer
from benchmark.container.records import Runtime
from benchmark.errors import InfrastructureError, SubmissionError

PORT = 4743
"""Grand Challenge's port."""
SCRIPT = Path(helper.__file__)
ANSWER_BYTES = 64 * 1024
POLL_SECONDS = 0.05


def command(runtime: Runtime, name: str, pid: int, *, root: bool) -> list[str]:
    """The command that starts the helper in the network namespace of the container `name`, whose first process is `pid`."""
    python = [sys.executable, "-I", "-S", str(SCRIPT), str(PORT)]
    enter = ["nsenter", f"--target={pid}", "--net"]
    if root:
        return [*enter, *python]
    if runtime.name == "podman":
        return [runtime.executable, "unshare", *enter, *python]
    if runtime.name == "apptainer":
        return [*enter, "--user", "--preserve-credentials", *python]
    return [
        runtime.executable,
        "exec",
        "--interactive",
        name,
        "python3",
        "-I",
        "-c",
        SCRIPT.read_text("utf-8"),
        str(PORT),
    ]


class Reach:
    """A started helper. Use as a context manager or call `close`."""

    def __init__(self, runtime: Runtime, name: str, pid: int) -> None:
        """Raises `InfrastructureError('engine_failed')` when the helper cannot be started."""
        line = command(runtime, name, pid, root=os.geteuid() == 0)
        try:
            self._process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise InfrastructureError("engine_failed", f"{line[0]} cannot be run ({error})") from None

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the helper."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def healthy(self) -> bool:
        """Whether `GET /health` answers 200; a redirect counts as no."""
        answer = self._ask("health", 10)
        return answer is not None and answer.get("status") == OK

    def invoke(self, seconds: float) -> None:
        """`POST /invoke`. Raises `SubmissionError`: `timeout`, or `crashed` for any answer but 201."""
        answer = self._ask(f"invoke {seconds}", seconds)
        if answer is None or answer.get("error") == "timeout":
            raise SubmissionError("timeout", f"no answer within {seconds:g} s")
        if "error" in answer:
            raise SubmissionError("crashed", f"the server broke off the connection ({answer.get('text', '')})")
        check_answer(answer.get("status"), str(answer.get("text", "")))

    def _ask(self, line: str, seconds: float) -> dict[str, Any] | None:
        """One answer of the helper; None when there is none in time. A server that drips bytes does not move the deadline."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        end = time.monotonic() + seconds
        text = b""
        try:
            stdin.write(f"{line}\n".encode())
            stdin.flush()
        except BrokenPipeError:
            raise self._broken() from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not text.endswith(b"\n"):
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self.close()  # its answer to this question would be taken for one to the next
                    return None
                chunk = os.read(stdout.fileno(), ANSWER_BYTES)
                if not chunk or len(text) > ANSWER_BYTES:
                    raise self._broken()
                text += chunk
        try:
            answer = json.loads(text)
        except ValueError:
            raise self._broken() from None
        return answer if isinstance(answer, dict) else None

    def _broken(self) -> InfrastructureError:
        error = b""
        if self._process.poll() is not None and self._process.stderr is not None:
            error = self._process.stderr.read(2000)
        reason = error.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it ended"]
        return InfrastructureError(
            "engine_failed",
            f"the helper in the container's network failed ({reason[0]})",
            action="Use Podman, or run as root; Docker without root needs python3 in the image.",
        )
