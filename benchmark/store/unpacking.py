"""An archive of the store, read as a stranger's: into a folder beside, and only what its list says.

Plain files alone, each once, under names that a store has, no larger than the list says and the disk has room for, each with its
hash.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, BinaryIO, Literal

from pydantic import Field, ValidationError

from benchmark.contract import Record
from benchmark.errors import DataError, InfrastructureError
from benchmark.store import belongings
from benchmark.store.check import KEY
from benchmark.store.manifest import FileEntry
from benchmark.store.schema import VERSION

LIST = "radbench-store.json"
MOST_LIST_BYTES = 256 * 2**20
"""Largest list of files that is read; about a million files."""
MOST_PATH = 400
"""Characters of a path."""
BLOCK = 2**20
PART = re.compile(r"^[^/\0\\]{1,255}$")


class Contents(Record):
    """`radbench-store.json`: what an archive holds."""

    schema_version: Literal[1, 2] = 2
    """Version of this record; 1 held runs, scores and placements alone."""
    layout: int
    """Layout of the store that it was made of."""
    runs: tuple[str, ...]
    """Inference keys."""
    scores: tuple[str, ...]
    """Scoring keys."""
    finished: dict[str, Annotated[int, Field(ge=0, lt=2**62)]] = Field(default_factory=dict)
    """By inference key, when the run was finished, in nanoseconds since 1970: which run of a name is the newest, and how old one is,
    follows from that. Absent in version 1."""
    files: dict[str, FileEntry] = Field(max_length=2_000_000)
    """All further files, by path: below the store, or below `work/` where they lie beside it."""


def unpack(handle: BinaryIO, archive: Path, folder: Path, progress: Callable[[int, int], None] | None) -> Contents:
    """Write the archive's files below `folder`, each with its hash.

    Raises `DataError('archive_invalid')`, and `InfrastructureError('no_space')` where they would not fit.
    """
    contents: Contents | None = None
    seen: set[str] = set()
    try:
        # `r:` takes no compressed archive, so what is there is its size.
        with tarfile.open(fileobj=handle, mode="r:") as tar:
            for member in tar:
                # Only regular files, and not sparse ones, which unpack to more than they hold.
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                    raise refused(archive, f"{member.name!r} is no plain file", "plain files alone")
                stream = tar.extractfile(member)
                assert stream is not None
                if contents is None:
                    if member.name != LIST or member.size > MOST_LIST_BYTES:
                        raise refused(archive, f"it begins with {member.name!r} ({member.size} bytes)", LIST)
                    contents = _contents(archive, stream.read(), folder)
                    continue
                entry = contents.files.get(member.name)
                if entry is None or member.name in seen or member.size != entry.bytes:
                    raise refused(archive, f"{member.name!r} is not, or not so, in its list", "each listed file once")
                seen.add(member.name)
                _write(folder / member.name, stream, entry, archive)
                if progress:
                    progress(len(seen), len(contents.files))
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ):
            raise refused(
                archive, f"two of its paths exclude each other, or one is too long ({error.strerror})", LIST
            ) from error
        raise
    except (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise refused(archive, f"it cannot be read ({error})", "an uncompressed tar file") from error
    if contents is None:
        raise refused(archive, "it is empty", LIST)
    if missing := sorted(set(contents.files) - seen):
        raise refused(archive, f"{missing[0]!r} is missing ({len(missing)} files are)", "all files of its list")
    return contents


def _contents(archive: Path, data: bytes, folder: Path) -> Contents:
    try:
        contents = Contents.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise refused(
            archive, f"its list cannot be read ({error.error_count()} problems: {first['msg']})", LIST
        ) from None
    if contents.layout != VERSION:
        raise refused(archive, f"it was made of layout {contents.layout}", f"layout {VERSION}")
    for path in contents.files:
        if not _is_stores(path, contents):
            raise refused(
                archive, f"{path[:MOST_PATH]!r} is no path of a store", "what an export holds (docs/store.md)"
            )
    heads = [
        *(f"runs/{key}/run.json" for key in contents.runs),
        *(f"scores/{key}/score.json" for key in contents.scores),
    ]
    heads += [
        f"{path.rpartition('/')[0]}/{name}"
        for path in contents.files
        if path.startswith(f"{belongings.WORK}data/")
        for name in belongings.EDITION_FILES
    ]
    if unknown := sorted(set(contents.finished) - set(contents.runs)):
        raise refused(archive, f"its list says when {unknown[0][:MOST_PATH]!r} was finished", "its own runs")
    if missing := [path for path in heads if path not in contents.files]:
        raise refused(archive, f"its list has no {missing[0]!r}", "the record of each run and score")
    needed, free = sum(entry.bytes for entry in contents.files.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise InfrastructureError("no_space", f"{archive} unpacks to {needed} bytes, and {folder.parent} has {free}")
    return contents


def _is_stores(path: str, contents: Contents) -> bool:
    parts = path.split("/")
    if len(path) > MOST_PATH or not all(PART.match(part) and part not in (".", "..") for part in parts):
        return False
    if any(not character.isprintable() for character in path) or PurePosixPath(path).as_posix() != path:
        return False
    if parts[0] in ("runs", "scores"):
        keys = contents.runs if parts[0] == "runs" else contents.scores
        return len(parts) >= 3 and bool(KEY.match(parts[1])) and parts[1] in keys
    return belongings.may_be(path, contents.runs)


def _write(path: Path, stream: IO[bytes], entry: FileEntry, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    total = hashlib.sha256()
    # Nobody else may look at a key, not even while it lies beside.
    mode = 0o600 if path.suffix == ".key" else 0o666
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        while block := stream.read(BLOCK):
            total.update(block)
            out.write(block)
    if path.stat().st_size != entry.bytes or total.hexdigest() != entry.sha256:
        raise refused(archive, f"{path.name!r} is not what its hash says", f"sha256 {entry.sha256}")


def refused(archive: Path, found: str, expected: str) -> DataError:
    """The error for an archive that is not taken in."""
    return DataError("archive_invalid", f"{archive}: {found}", expected=expected)
