"""All that a night says, on standard error and in `night.log` of its folder, with the time; without credentials."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmark import console
from benchmark.nightly.failures import cleaned

BETWEEN = 30.0
"""Seconds between two lines of one bar in the file."""


class NightLog:
    """Writes lines into the night's file and passes them on."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._file = (folder / "night.log").open("a", encoding="utf-8", buffering=1)
        self._say = say
        self._last: dict[str, float] = {}

    def say(self, line: str) -> None:
        """A line for whoever watches, and for the file."""
        line = cleaned(line, ())
        self.note(line)
        with console.unheard():
            self._say(line)

    def note(self, line: str) -> None:
        """A line for the file alone. A full disk must not end the night for want of a log."""
        try:
            stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
            for part in cleaned(line, ()).splitlines() or [""]:
                self._file.write(f"{stamp} {part}\n")
        except OSError:
            pass

    def progress(self, label: str, done: int, total: int) -> None:
        """How far a piece of work is: begin, end and now and then between."""
        now = time.monotonic()
        if done == total or now - self._last.get(label, -BETWEEN) >= BETWEEN:
            self._last[label] = now
            self.note(f"{label}: {done}/{total}")

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()
