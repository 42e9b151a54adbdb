"""What lies in a folder of the store, by hash: written when the folder is made, so that rot and tampering are seen later.

files.json      size and sha256 of every other file
key.json        what the folder's key is the hash of, so that the key can be checked without the data
removed.json    which of the files the retention rule took away, and when (runs only)
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from benchmark import atomic
from benchmark.contract import Record, RunRecord
from benchmark.dataset import sha256_of
from benchmark.errors import DataError
from benchmark.store.keys import canonical, digest_of_text

FILES, KEY, REMOVED = "files.json", "key.json", "removed.json"
Kind = TypeVar("Kind", bound=Record)
WORK = "done"
"""Folder of an unfinished run that does not become part of it."""


class FileEntry(Record):
    """One file."""

    bytes: int = Field(ge=0)
    """Its size."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of its content."""


class Files(Record):
    """`files.json`: all other files of a folder of the store."""

    schema_version: int = 1
    """Version of this record."""
    files: dict[str, FileEntry]
    """By path with `/` below the folder."""
    canary: tuple[str, ...] | None = None
    """Of a run: its canary cases, whose predictions stay for the pictures; absent where nothing is known of them."""
    migrated: bool = False
    """True when it was written for a folder of an older layout: what was changed before that day is not seen."""


class Removed(Record):
    """`removed.json`: what the retention rule took out of a run."""

    schema_version: int = 1
    """Version of this record."""
    when: str
    """When, in UTC."""
    rule: str
    """The rule in words."""
    files: tuple[str, ...]
    """Paths as in `files.json`."""


def seal(
    folder: Path,
    payload: Mapping[str, Any] | None = None,
    canary: Iterable[str] | None = None,
    *,
    migrated: bool = False,
    flush: bool = True,
) -> None:
    """Write `key.json` (what the key is the hash of, if given) and then `files.json` into a folder that is otherwise finished.

    `flush=False` leaves it to whoever puts the folder in place to get these two onto the disk.
    """
    write = atomic.write_text if flush else lambda path, text: path.write_text(text, "utf-8")
    if payload is not None:
        write(folder / KEY, canonical(payload) + "\n")
    paths = present(folder)
    files = {path: FileEntry(bytes=(folder / path).stat().st_size, sha256=sha256_of(folder / path)) for path in paths}
    record = Files(files=files, canary=None if canary is None else tuple(canary), migrated=migrated)
    write(folder / FILES, atomic.json_text(record.model_dump(mode="json")))


def seal_run(
    folder: Path, record: RunRecord, payload: Mapping[str, Any] | None = None, canary: Iterable[str] | None = None
) -> None:
    """Finish the folder of a run that is about to be put in place: its record, what its key is made of, and its hashes."""
    atomic.write_json(folder / "run.json", record.model_dump(mode="json"))
    seal(folder, payload, canary)


def sealed_run(folder: Path, key: str) -> RunRecord | None:
    """The record of a run that was finished in `folder` and killed before it was put in place; None when it is not whole."""
    try:
        record = RunRecord.model_validate_json((folder / "run.json").read_bytes())
        whole = not any(True for _ in differences(folder)) and (folder / FILES).exists()
    except (OSError, ValidationError, DataError):
        return None
    return record if whole and record.key == key else None


def present(folder: Path) -> list[str]:
    """Paths of the files below a folder of the store but those that speak of the others, sorted. Links count as files, and what
    cannot be listed as empty."""
    own = {FILES, REMOVED, *([WORK] if (folder / WORK).is_dir() else [])}
    return sorted(path for path in _below(folder, "", own) if "/" in path or not _is_partial(path))


def _below(folder: Path | str, above: str, passed_over: Collection[str]) -> Iterator[str]:
    """Paths of the files below, each behind `above`. A store holds hundreds of thousands: no `Path` is made for each."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = above + entry.name
        if path in passed_over:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, path + "/", ())
        else:
            yield path


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(".partial")


def load_files(folder: Path) -> Files | None:
    """What should lie in a folder; None where that was never noted. Raises `DataError('record_invalid')`."""
    return _load(folder / FILES, Files)


def load_removed(folder: Path) -> Removed | None:
    """What was taken out of a run; None when nothing was. Raises `DataError('record_invalid')`."""
    return _load(folder / REMOVED, Removed)


def load_payload(folder: Path) -> dict[str, Any] | None:
    """What the folder's key is the hash of; None where that was not kept. Raises `DataError('record_invalid')`."""
    try:
        found = json.loads((folder / KEY).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError("record_invalid", f"{folder / KEY} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise DataError("record_invalid", f"{folder / KEY} holds no record")
    return found


def _load(path: Path, record: type[Kind]) -> Kind | None:
    try:
        return record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        what = f"{error.error_count()} problems" if isinstance(error, ValidationError) else str(error)
        raise DataError("record_invalid", f"{path}: {what}") from error


def differences(folder: Path, *, content: bool = True) -> Iterator[str]:
    """How a folder differs from its `files.json`, one sentence each. `content=False` compares names and sizes alone.

    Raises `DataError('record_invalid')` when `files.json` or `removed.json` cannot be read. A file that the retention rule took away
    may be there still, where its removal was interrupted.
    """
    noted, removed = load_files(folder), load_removed(folder)
    if noted is None:
        yield f"has no {FILES}"
        return
    gone = set(removed.files) if removed else set()
    if unknown := sorted(gone - set(noted.files)):
        yield f"{REMOVED} names {unknown[0]!r}, which never was there"
    there = present(folder)
    for path in sorted(set(there) - set(noted.files)):
        yield f"{path!r} does not belong there"
    for path in sorted(set(noted.files) - set(there) - gone):
        yield f"{path!r} is missing"
    for path in sorted(set(noted.files) & set(there)):
        entry = noted.files[path]
        try:
            found = os.lstat(f"{folder}/{path}")
        except FileNotFoundError:
            yield f"{path!r} is missing"
            continue
        if not stat.S_ISREG(found.st_mode):
            yield f"{path!r} is a link or a device, expected a file"
        elif found.st_size != entry.bytes:
            yield f"{path!r} has {found.st_size} bytes, expected {entry.bytes}"
        elif content and sha256_of(folder / path) != entry.sha256:
            yield f"{path!r} is not what its hash says"


def key_of(payload: Mapping[str, Any]) -> str:
    """The key that belongs to what `key.json` holds."""
    return digest_of_text(canonical(payload))


def predictions_removed(folder: Path) -> bool:
    """Whether the retention rule took predictions out of a run, so that it cannot be scored anew."""
    return (folder / REMOVED).exists()


def paths_below(files: Files, top: str) -> Sequence[str]:
    """The files of a folder's list that lie below `top`."""
    return [path for path in files.files if path.startswith(f"{top}/")]
