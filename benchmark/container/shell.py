"""Calling an engine's command: arguments as a list, never through a shell, out of reach of the terminal's Ctrl-C."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from benchmark.container.records import Runtime
from benchmark.errors import InfrastructureError

SECONDS = 120.0
"""An engine that does not answer a plain question for this long is broken."""


def call(
    runtime: Runtime, *arguments: str, seconds: float = SECONDS, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run `<engine> <arguments>` to its end.

    Raises `InfrastructureError`: `engine_failed` when it does not answer in time or, with `check`, ends with an error.
    """
    try:
        done = run([runtime.executable, *arguments], seconds)
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            "engine_failed", f"`{runtime.name} {arguments[0]}` gave no answer within {seconds:.0f} s"
        ) from None
    except OSError as error:
        raise InfrastructureError("engine_failed", f"{runtime.executable} cannot be run ({error})") from None
    if check and done.returncode:
        raise InfrastructureError("engine_failed", f"`{runtime.name} {arguments[0]}`: {last_line(done.stderr)}")
    return done


def run(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a session of its own, so that Ctrl-C ends us and we end it, in that order."""
    return subprocess.run(
        list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, start_new_session=True
    )


def parse(runtime: Runtime, answer: bytes) -> Any:
    """An engine's answer as JSON. Raises `InfrastructureError('engine_failed')`."""
    try:
        return json.loads(answer)
    except ValueError:
        raise InfrastructureError(
            "engine_failed", f"{runtime.name} answered something that is not JSON: {answer[:100]!r}"
        ) from None


def last_line(text: bytes) -> str:
    """The last line that an engine printed: its error."""
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else "no message"
