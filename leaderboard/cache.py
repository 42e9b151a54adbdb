"""Pages that were made before and would come out the same are not made again.

A board's files are kept in bundles, marks and all, under a hash of everything that they are made from: the record of the board, every
score, the cases, the pictured volumes (by the hash that comes with them), and the code. The cache lies beside the site, is
not part of it, and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import benchmark
import leaderboard
from leaderboard import bundle, setparts
from leaderboard.bundle import Bundle, Rotten
from leaderboard.measured import Shape, measured
from leaderboard.records import BoardData

LIBRARIES = ("jinja2", "markupsafe", "matplotlib", "numpy", "pillow", "pydantic", "scipy")
"""Other people's code that a page's bytes depend on."""


FRONT = "front"
"""The entry that says what stands at the front."""


class Cache:
    """A folder with bundles of files, by key. Entries that a run did not use are removed at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._used = folder, set[str]()

    def load(self, key: str) -> Bundle | None:
        """What was kept under a key; None where there is nothing whole. What the files hold is looked at when they are read."""
        return bundle.read(self._folder / key)

    def store(self, key: str, files: Mapping[str, bytes]) -> Bundle:
        """Put files there, for this run and, when `use` says so, the next."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return bundle.write(self._folder / key, files)

    def use(self, entry: Bundle) -> None:
        """Keep an entry beyond this run, also one that another process stored."""
        if entry.source is not None:
            self._used.add(entry.source.name)

    def sweep(self) -> None:
        """Remove what was not used."""
        for path in self._entries():
            if path.name not in self._used and path.name != FRONT:
                path.unlink()

    def stands(self, key: str) -> dict[str, str] | None:
        """sha256 by path of the pages that were put at the front under a key; None where it was another one."""
        found = bundle.read(self._folder / FRONT)
        with suppress(KeyError, Rotten):
            return dict(json.loads(found.content(key))) if found else None
        return None

    def stand(self, key: str, front: Mapping[str, str]) -> None:
        """Take note of the pages at the front."""
        self.store(FRONT, {key: json.dumps(front).encode()})

    def clear(self) -> None:
        """Remove everything."""
        for path in self._entries():
            path.unlink()

    def _entries(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from sorted(self._folder.iterdir())


def key_of(data: BoardData, slug: str, base_url: str) -> str | None:
    """A hash of everything that the board's files are made from; None where a picture's volumes have none."""
    if any(not canary.key for canary in data.canary):
        return None
    total = hashlib.sha256(code().encode())
    total.update(repr((slug, base_url)).encode())
    total.update(data.board.model_dump_json().encode())
    for name, table in sorted(measured(data.scores).items()):
        total.update(f"\n{name} {len(table)}\n".encode())
        total.update(_told(table.shape))
        total.update(table.values.tobytes())
    for name, parts in sorted(data.parts.items()):
        total.update(f"\n{name} parts\n".encode() + setparts.to_json(parts))
    rest = {
        "cases": [case.model_dump() for case in data.cases],
        "keys": sorted(data.case_keys.items()),
        "canary": [
            [
                canary.case.model_dump(),
                canary.key,
                sorted(canary.predictions),
                {name: [score.model_dump() for score in table] for name, table in canary.scores.items()},
            ]
            for canary in data.canary
        ],
    }
    total.update(json.dumps(rest, sort_keys=True).encode())
    return total.hexdigest()


@lru_cache(maxsize=32)
def _told(shape: Shape) -> bytes:
    return "\n".join(map("\t".join, shape.entries)).encode()


def key_of_edition(keys: Sequence[str], base_url: str) -> str:
    """A hash of everything that the files of an edition as a whole are made from; `keys` are those of its boards."""
    return hashlib.sha256("\n".join([code(), repr(base_url), *keys]).encode()).hexdigest()


@lru_cache(maxsize=1)
def code() -> str:
    """A hash of the code, templates and style that pages are made with."""
    total = hashlib.sha256()
    for package in (benchmark, leaderboard):
        root = Path(str(package.__file__)).parent
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".html", ".css", ".js", ".svg")):
            total.update(f"{path.relative_to(root.parent).as_posix()}\n".encode())
            total.update(path.read_bytes())
    for name in LIBRARIES:
        total.update(f"{name} {metadata.version(name)}\n".encode())
    return total.hexdigest()
