"""Files and folders that are either whole or absent, also when the process is killed.

Pattern: write beside the target under a name that no reader looks at, flush to disk, rename over the target. A rename
within one folder is atomic on POSIX, so a reader sees the old thing or the new thing, never a half. Trade-offs: twice
the space while writing, and a kill leaves a `*.partial` behind, which the next writer of the same target removes.
Scope: one writer a target at a time (callers that may race take a lock); local and NFSv4 file systems.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import InfrastructureError

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a disk says that did not keep what it was given; of a flush anything else is that there is none for folders here."""
MANY = 100
"""From so many files on the whole system is flushed once, which is quicker than each file by itself."""


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, atomically; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # half of it on a full disk would only take the space
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_partial(path: Path, data: bytes) -> None:
    """Lay `data` ready for `place_many` to put it at `path`; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f".{path.name}.partial").write_bytes(data)


def place_many(paths: Sequence[Path]) -> None:
    """Put what `write_partial` laid ready in place, in that order; all is on disk before the first file is renamed.

    A thousand files take one flush of the disk and not a thousand.
    """
    _sync_files([path.with_name(f".{path.name}.partial") for path in paths])
    for path in paths:
        path.with_name(f".{path.name}.partial").replace(path)
    for folder in sorted({path.parent for path in paths}) if len(paths) <= MANY else ():
        sync_folder(folder)
    if len(paths) > MANY:
        os.sync()


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path` as UTF-8 with the line ends that it has, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Put `value` at `path` as sorted, indented JSON; NaN and infinity are refused, since JSON has none."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """`value` as `write_json` writes it."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


@contextlib.contextmanager
def folder(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` when the block ends well, and vanishes when it does not.

    An older `target` is replaced. What a killed writer left behind is removed first, so running again starts clean.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    place(partial, target)


def place(partial: Path, target: Path) -> None:
    """Make the finished folder `partial` be `target`. An older `target` is moved aside for the moment of the change."""
    sync_tree(partial)
    old = target.with_name(f".{target.name}.old.partial")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    partial.rename(target)
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def replace(partial: Path, target: Path) -> None:
    """Make the finished file `partial` be `target`, on disk."""
    _sync_files([partial])
    partial.replace(target)
    sync_folder(target.parent)


def sync_tree(top: Path) -> None:
    """Flush every file and folder below `top`, and `top` itself, to disk; nothing where there is no such folder."""
    if not top.is_dir():
        return
    files: list[str] = []
    folders: list[str] = []
    for folder, _, names in os.walk(top):
        folders.append(folder)
        files += [path for name in names if not os.path.islink(path := f"{folder}/{name}")]  # noqa: PTH114
    _sync_files(files)
    for path in reversed(folders):  # the names in a folder are the folder's content
        sync_folder(path)


def _sync_files(paths: Sequence[Path | str]) -> None:
    """Flush files to disk; where there are many the whole system's first, which leaves little to do for each.

    Each is asked in any case: a flush of the system does not say that a file could not be written.
    """
    if len(paths) > MANY:
        os.sync()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_folder(path: Path | str) -> None:
    """Make a rename survive a power cut; file systems that cannot sync a folder are left alone, a disk that refuses is not."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in REFUSED:
            raise


def refusal(error: OSError, path: Path) -> Exception:
    """What a failed write at `path` means: an `InfrastructureError` (`no_space`, `read_only`), or the error itself."""
    where = error.filename if isinstance(error.filename, str) else path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InfrastructureError("no_space", f"there is no space left for {where}")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return InfrastructureError("read_only", f"{where} cannot be written ({os.strerror(error.errno)})")
    return error


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turns what a disk refuses inside the block into an `InfrastructureError`; `path` is what was to be written."""
    try:
        yield
    except OSError as error:
        found = refusal(error, path)
        if found is error:
            raise
        raise found from error
