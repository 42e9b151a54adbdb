"""Files before their edition has an id: some of them together, in memory or in one file of the cache.

Each goes by its hash, so that what an edition holds is known without its bytes, and bytes that are no longer the ones are found out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

KEPT = ":"
"""Begins the names of what is kept beside the files and never published; no path of a site holds it."""


class Rotten(Exception):
    """A file of the cache no longer holds what was put into it."""


@dataclass(frozen=True)
class Bundle:
    """Files by path, marks and all."""

    hashes: Mapping[str, str]
    """sha256 of every file, in the order of their bytes."""
    held: Mapping[str, bytes] | None = None
    """The files, where they are in memory."""
    source: Path | None = None
    """Where they are on disk, where they are not."""
    lengths: tuple[int, ...] = ()
    """Bytes of each file on disk."""
    start: int = 0
    """Where the first one begins."""
    trusted: bool = False
    """Whether this run wrote them, so that they need no second look."""

    def items(self) -> Iterator[tuple[str, bytes]]:
        """All files with their paths. Raises `Rotten` for one that is not what it was."""
        if self.held is not None:
            yield from self.held.items()
            return
        with self._opened() as handle:
            handle.seek(self.start)
            for (path, sha), length in zip(self.hashes.items(), self.lengths, strict=True):
                yield path, self._checked(handle.read(length), sha)

    def content(self, path: str) -> bytes:
        """One file. Raises `Rotten` where it is not what it was, `KeyError` where there is none."""
        if self.held is not None:
            return self.held[path]
        if path not in self.hashes:
            raise KeyError(path)
        number = list(self.hashes).index(path)
        with self._opened() as handle:
            handle.seek(self.start + sum(self.lengths[:number]))
            return self._checked(handle.read(self.lengths[number]), self.hashes[path])

    def _opened(self) -> BinaryIO:
        assert self.source is not None
        try:
            return self.source.open("rb")
        except OSError as error:
            raise Rotten(f"{self.source}: {error}") from error

    def _checked(self, content: bytes, sha: str) -> bytes:
        if not self.trusted and hashlib.sha256(content).hexdigest() != sha:
            raise Rotten(f"{self.source}: a file in it changed")
        return content


def in_memory(files: Mapping[str, bytes]) -> Bundle:
    """These files."""
    return Bundle({path: hashlib.sha256(content).hexdigest() for path, content in files.items()}, held=files)


def write(target: Path, files: Mapping[str, bytes]) -> Bundle:
    """Put files into one at `target`, which appears whole or not at all.

    It is not synced: what a power cut leaves half is found out by its hashes and made again.
    """
    hashes = in_memory(files).hashes
    lengths = tuple(map(len, files.values()))
    index = json.dumps([list(hashes), list(hashes.values()), lengths]).encode()
    head = hashlib.sha256(index).hexdigest().encode() + b"\n" + index + b"\n"
    partial = target.with_name(f".{target.name}.partial")
    with partial.open("wb") as handle:
        handle.write(head)
        handle.writelines(files.values())
    partial.replace(target)
    return Bundle(hashes, source=target, lengths=lengths, start=len(head), trusted=True)


def read(source: Path) -> Bundle | None:
    """What `write` put there, its files unread; None where there is nothing whole."""
    with suppress(OSError, ValueError):
        with source.open("rb") as handle:
            sha, index = handle.readline()[:-1].decode(), handle.readline()[:-1]
            start, size = handle.tell(), source.stat().st_size
        if hashlib.sha256(index).hexdigest() == sha:
            paths, hashes, lengths = json.loads(index)
            if start + sum(lengths) == size:
                return Bundle(dict(zip(paths, hashes, strict=True)), source=source, lengths=tuple(lengths), start=start)
    return None


def published(bundles: Iterable[Bundle]) -> dict[str, str]:
    """sha256 of every file that goes into the edition, by path in order."""
    return dict(sorted((p, sha) for bundle in bundles for p, sha in bundle.hashes.items() if not p.startswith(KEPT)))
