"""The files of an edition, filled in and written, and its pages as they stand at the front; by several processes where there are many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import atomic
from leaderboard import downloads, forks
from leaderboard.bundle import KEPT, Bundle
from leaderboard.marks import fill
from leaderboard.pages import PAGE, Snapshot

MANY = 2000
"""Files from which further processes are worth their start."""


@dataclass
class Written:
    """What was written."""

    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    """sha256 and length of each file of the edition, by path."""
    front: dict[str, str] = field(default_factory=dict)
    """sha256 of each of its pages at the front, by path."""
    new: list[str] = field(default_factory=list)
    """Those that are not there yet, or otherwise; each lies ready beside its place."""

    def add(self, other: Written) -> None:
        """Take in what another process wrote."""
        self.files |= other.files
        self.front |= other.front
        self.new += other.new


def everything(snapshot: Snapshot, edition: str, folder: Path | None, site: Path) -> Written:
    """Write all files below `folder` (None: they are there) and lay the pages of the front ready below `site`.

    The files are on disk once the folder is put in place, the pages once they are.
    """
    parts = snapshot.bundles

    def part(number: int) -> Written:
        return _part(parts[number], edition, folder, site)

    total = Written()
    several = len(snapshot.hashes) >= MANY and forks.cores() > 1
    for written in forks.each(part, len(parts)) if several else map(part, range(len(parts))):
        total.add(written)
    return total


def _part(bundle: Bundle, edition: str, folder: Path | None, site: Path) -> Written:
    made = Written()
    above: set[str] = set()
    for path, content in bundle.items():
        if path.startswith(KEPT):
            continue
        page = path.endswith(PAGE)
        text = content.decode() if page or path.endswith(downloads.MARKED) else None
        if folder is not None:
            data, sha = content, bundle.hashes[path]
            if text is not None:
                data = fill(text, path, edition, front=False)
                sha = hashlib.sha256(data).hexdigest()
            _write(folder, path, data, above)
            made.files[path] = (sha, len(data))
        if page and text is not None:
            ready(site, path, fill(text, path, edition, front=True), made)
    return made


def ready(site: Path, path: str, page: bytes, made: Written) -> None:
    """Lay a page of the front ready, where another one stands or none; `made` takes note of it."""
    target = site / path
    made.front[path] = hashlib.sha256(page).hexdigest()
    try:
        same = target.read_bytes() == page
    except OSError:
        same = False
    if not same:
        atomic.write_partial(target, page)
        made.new.append(path)


def _write(folder: Path, path: str, data: bytes, above: set[str]) -> None:
    parent = path.rpartition("/")[0]
    if parent not in above:
        (folder / parent).mkdir(parents=True, exist_ok=True)
        above.add(parent)
    with open(f"{folder}/{path}", "wb") as handle:  # noqa: PTH123 - tens of thousands of these
        handle.write(data)


def write(folder: Path, files: Iterable[tuple[str, bytes]], made: Written) -> None:
    """Write further files by path below `folder`; `made` takes note of them."""
    above: set[str] = set()
    for path, data in files:
        _write(folder, path, data, above)
        made.files[path] = (hashlib.sha256(data).hexdigest(), len(data))
