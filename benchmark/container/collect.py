"""Taking a container's output out of its hands: plain files and folders are copied under limits, anything else is refused.

It is called when no process of the container can run any more. No link is followed, nothing but plain files is opened, and a
file is never read beyond the size that was counted for it.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SubmissionError

MOST_ENTRIES = 1000
"""Files and folders below /output; a task asks for a handful."""
MOST_DEPTH = 8
"""Levels of folders."""
CHUNK = 2**20


@dataclass
class _Budget:
    bytes: int
    entries: int
    limit_mb: int


def collect(source: Path, target: Path, limit_mb: int) -> None:
    """Copy what lies below `source` to the new folder `target`.

    Raises `SubmissionError`: `output_too_large` for more than `limit_mb` MiB, 1000 entries or eight levels; `unreadable` for a link, a
    device, a pipe, a socket or a name that is not text. `target` then holds what was copied so far.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    descriptor = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _folder(descriptor, target, "", 1, _Budget(limit_mb * 2**20, MOST_ENTRIES, limit_mb))
    finally:
        os.close(descriptor)


def _folder(descriptor: int, target: Path, shown: str, depth: int, budget: _Budget) -> None:
    with closing(os.scandir(descriptor)) as entries:
        for entry in entries:
            budget.entries -= 1
            if budget.entries < 0 or depth > MOST_DEPTH:
                raise SubmissionError(
                    "output_too_large",
                    f"/output holds more than {MOST_ENTRIES} files or {MOST_DEPTH} levels of folders",
                    expected="only what the task asks for",
                )
            path = f"{shown}{entry.name}"
            if not path.isprintable():
                raise SubmissionError("unreadable", "/output holds a name that is not printable text")
            _entry(descriptor, entry.name, target / entry.name, path, depth, budget)


def _entry(parent: int, name: str, target: Path, shown: str, depth: int, budget: _Budget) -> None:
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        inner = _open(parent, name, flags, shown)
        try:
            target.mkdir()
            _folder(inner, target, f"{shown}/", depth + 1, budget)
        finally:
            os.close(inner)
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a device, pipe or socket"
        raise SubmissionError("unreadable", f"{shown} is {kind}", expected="plain files and folders in /output")
    inner = _open(parent, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, shown)
    with os.fdopen(inner, "rb") as source:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SubmissionError("unreadable", f"{shown} changed while it was read", expected="plain files")
        budget.bytes -= status.st_size
        if budget.bytes < 0:
            raise SubmissionError(
                "output_too_large",
                f"/output holds more than the {budget.limit_mb} MiB that are allowed ({shown} has "
                f"{status.st_size / 2**20:.0f} MiB)",
                expected=f"at most {budget.limit_mb} MiB",
            )
        left = status.st_size
        with target.open("wb") as copy:
            while left and (chunk := source.read(min(CHUNK, left))):
                copy.write(chunk)
                left -= len(chunk)


def _open(parent: int, name: str, flags: int, shown: str) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except PermissionError:
        # The owner took away reading; without root that also holds for us, who share its number.
        os.chmod(name, 0o700, dir_fd=parent)  # pathlib knows no dir_fd
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        raise SubmissionError("unreadable", f"{shown} cannot be opened ({error.strerror})") from None


def empty(folder: Path) -> None:
    """Remove everything below a folder that a container wrote, also folders that it closed."""
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, onerror=_unlock)
        else:
            Path(entry.path).unlink(missing_ok=True)


def _unlock(function: object, path: str, error: object) -> None:
    """A folder without permissions: give them back and remove it again; a second failure is the caller's to see."""
    parent = Path(path).parent
    for folder in (parent, Path(path)):
        if not folder.is_symlink() and folder.is_dir():
            folder.chmod(0o700)
    if Path(path).is_dir() and not Path(path).is_symlink():
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)
