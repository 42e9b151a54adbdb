"""The files of an edition, filled in and written; where there are many, by several processes.

Rows make up nearly all files of a large edition, and no other file needs their bytes, so they are written apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from leaderboard import downloads, forks
from leaderboard.marks import fill
from leaderboard.pages import Snapshot

ROWS = "/submissions/"
"""Part of the path of every file of a row."""

MANY = 2000
"""Files from which further processes are worth their start."""


def shared(snapshot: Snapshot, edition: str) -> dict[str, bytes]:
    """All files but those of rows, with their marks filled in."""
    paths = [path for path in (*snapshot.pages, *snapshot.assets) if ROWS not in path]
    return dict(_filled(snapshot, edition, paths))


def rows(folder: Path, snapshot: Snapshot, edition: str) -> dict[str, str]:
    """Write the files of all rows below `folder`; their sha256 by path."""
    paths = sorted(path for path in (*snapshot.pages, *snapshot.assets) if ROWS in path)
    count = forks.cores() if len(paths) >= MANY else 1
    parts = [paths[len(paths) * i // count : len(paths) * (i + 1) // count] for i in range(count)]

    def part(number: int) -> dict[str, str]:
        return write(folder, _filled(snapshot, edition, parts[number]))

    hashes: dict[str, str] = {}
    for found in forks.each(part, count) if count > 1 else [part(0)]:
        hashes |= found
    return hashes


def write(folder: Path, files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Write files by path below `folder`; their sha256. They are on disk once the folder is put in place."""
    hashes: dict[str, str] = {}
    made: set[str] = set()
    for path, data in files:
        above = path.rpartition("/")[0]
        if above not in made:
            (folder / above).mkdir(parents=True, exist_ok=True)
            made.add(above)
        with open(f"{folder}/{path}", "wb") as handle:  # noqa: PTH123 - tens of thousands of these
            handle.write(data)
        hashes[path] = hashlib.sha256(data).hexdigest()
    return hashes


def _filled(snapshot: Snapshot, edition: str, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        text = snapshot.pages.get(path)
        if text is not None:
            yield path, fill(text, path, edition, front=False)
            continue
        data = snapshot.assets[path]
        marked = path.endswith(downloads.MARKED)
        yield path, fill(data.decode("utf-8"), path, edition, front=False) if marked else data
