"""Ends a process, or fails its disk, at a chosen point of what it writes. No product code is changed for it.

An audit hook sees each file that is opened for writing, each rename, link, removal and process *before* it happens; `os.fsync` and
`os.write` are wrapped. A point is named by where in the harness it comes from, and by how often that place was reached before, so
that it is the same one in each night that does the same work. A hook cannot be taken out again: use it in a process of its own.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import benchmark
import leaderboard

HARNESS = tuple(str(Path(str(package.__file__)).parent) + os.sep for package in (benchmark, leaderboard))
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.symlink")
HELPERS = ("atomic.py", "ledger.py", "memory.py")
"""What writes for others: a point is told by whom it does it for."""
Mode = Literal["kill", "torn", "full", "read_only"]
"""What happens there: SIGKILL; SIGKILL with half of what was written and not flushed on disk; no space or no writing from there on."""


@dataclass(frozen=True)
class Point:
    """A moment at which a night writes something."""

    label: str
    """What, and from where in the harness: `os.rename atomic.py:120 < records.py:98`."""
    nth: int
    """How often that place was reached before, in the same process."""
    kind: str
    """What is written, see `kind_of`."""
    event: str
    """What happens: an event of the audit, `fsync` or `write`."""


@dataclass(frozen=True)
class Fault:
    """What is to happen at a point."""

    mode: Mode
    label: str
    nth: int
    below: str = ""
    """For a disk that fails: only what is written below this part of the work folder."""


def kind_of(path: str) -> str:
    """What a file of a work folder is part of, given its path below it."""
    if "ledger.jsonl" in path:
        return "ledger"
    parts = path.split("/")
    first = parts[0]
    if first == "store":
        return "/".join(parts[:2]) if len(parts) > 2 else "store"
    if first == "nights":
        return "memory" if parts[1:2] == ["memory"] else "report"
    if first == "inbox":
        return "outcome"
    if first == "site":
        return "edition" if parts[1:2] == ["editions"] and len(parts) > 3 else "front"
    return {"organiser.lock": "lease", ".site.cache": "cache", ".site.lock": "front"}.get(first, first)


class Faults:
    """Notes each point, and lets one fault happen."""

    def __init__(self, root: Path, fault: Fault | None, note: Callable[[Point], None] | None = None) -> None:
        self.root, self.fault, self.note = str(root) + os.sep, fault, note
        self.seen: Counter[str] = Counter()
        self.failing = 0
        """Number of the error of a disk that fails since the fault."""
        self.active = True
        self._inside = threading.local()
        self._flushed: dict[int, int] = {}
        """By inode that was written to since its last flush, its size then: what is flushed is not torn."""
        self._fsync, self._write = os.fsync, os.write

    def install(self) -> None:
        """From now on."""
        os.fsync, os.write = self._wrapped("fsync", self._fsync), self._wrapped("write", self._write)
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not isinstance(flags, int) or not flags & WRITES:
                return
            self._reached("open", path)
        elif event in CHANGES:
            self._reached(event, args[0])
        elif event == "subprocess.Popen":
            self._reached(event, None)

    def _wrapped(self, event: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(descriptor: int, *data: Any) -> Any:
            if event == "write" and descriptor <= 2:
                return function(descriptor, *data)
            self._reached(event, descriptor, descriptor, *data)
            found = os.fstat(descriptor)
            if event == "write":
                self._flushed.setdefault(found.st_ino, found.st_size)
            else:
                self._flushed.pop(found.st_ino, None)
            return function(descriptor, *data)

        return wrapped

    def _reached(self, event: str, where: Any, descriptor: int = -1, data: bytes = b"") -> None:
        if not self.active or getattr(self._inside, "now", False) or threading.current_thread().name == "lease":
            return
        self._inside.now = True
        try:
            path = self._below(where)
            if path is None:
                return
            label = f"{event} {_caller(sys._getframe(2))}"
            nth = self.seen[label]
            self.seen[label] += 1
            point = Point(label, nth, kind_of(path) if path else "process", event)
            if self.note:
                self.note(point)
            if self.failing:
                self._fail(path)
            elif self.fault and (label, nth) == (self.fault.label, self.fault.nth):
                self._strike(path, descriptor, data)
        finally:
            self._inside.now = False

    def _strike(self, path: str, descriptor: int, data: bytes) -> None:
        assert self.fault is not None
        if self.fault.mode in ("full", "read_only"):
            self.failing = errno.ENOSPC if self.fault.mode == "full" else errno.EROFS
            self._fail(path)
            return
        if self.fault.mode == "torn" and data:
            self._write(descriptor, data[: len(data) // 2])
        elif self.fault.mode == "torn" and descriptor >= 0 and not os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            found = os.fstat(descriptor)
            os.truncate(f"/proc/self/fd/{descriptor}", (self._flushed.get(found.st_ino, 0) + found.st_size) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    def _fail(self, path: str) -> None:
        assert self.fault is not None
        if path and path.startswith(self.fault.below):
            raise OSError(self.failing, os.strerror(self.failing), self.root + path)

    def _below(self, where: Any) -> str | None:
        """Path below the work folder; empty where it has none, None where it is elsewhere."""
        if where is None:
            return ""
        if isinstance(where, int):
            try:
                where = os.readlink(f"/proc/self/fd/{where}")  # noqa: PTH115
            except OSError:
                return None
        path = os.path.abspath(os.fsdecode(where))  # noqa: PTH100 - links are not to be followed
        return path.removeprefix(self.root) if path.startswith(self.root) else None


def _caller(frame: FrameType | None) -> str:
    """The innermost place in the harness; where that is a helper that writes files, whom it does it for too."""
    found: list[str] = []
    while frame is not None and (not found or found[-1].startswith(HELPERS)):
        file = frame.f_code.co_filename
        if file.startswith(HARNESS):
            found.append(f"{Path(file).name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found) or "elsewhere"
