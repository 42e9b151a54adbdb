"""Pages that were made before and would come out the same are not made again.

A board's files are kept, marks and all, under a hash of everything that they are made from: the record of the board, every
score, the cases, the pictured volumes (by the hash that comes with them), and the code. The cache lies beside the site, is
not part of it, and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import benchmark
import leaderboard
from leaderboard import setparts
from leaderboard.boardpages import Made
from leaderboard.records import BoardData

LIBRARIES = ("jinja2", "markupsafe", "matplotlib", "numpy", "pillow", "pydantic", "scipy")
"""Other people's code that a page's bytes depend on."""


class Cache:
    """A folder with the files of boards, by key. Entries that a run did not use are removed at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._used = folder, set[str]()

    def load(self, key: str) -> Made | None:
        """What was kept under a key; None where there is nothing whole."""
        with suppress(OSError, ValueError, KeyError):
            with (self._folder / key).open("rb") as handle:
                record = json.loads(handle.readline())
                body = memoryview(handle.read())
            if hashlib.sha256(body).hexdigest() == record["sha256"]:
                self._used.add(key)
                return _unpacked(record, body)
        return None

    def store(self, key: str, made: Made) -> None:
        """Keep a board's files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{key}.{os.getpid()}"
        # No need to sync: what a power cut leaves half is found out by its hash and made again.
        with partial.open("wb") as handle:
            handle.writelines(_packed(made))
        partial.replace(self._folder / key)
        self._used.add(key)

    def sweep(self) -> None:
        """Remove what was not used."""
        for path in self._entries():
            if path.name not in self._used:
                path.unlink()

    def _entries(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from sorted(self._folder.iterdir())


def _packed(made: Made) -> list[bytes]:
    """What an entry holds, in pieces: they are never joined, since a board's files may be a hundred megabytes."""
    parts: list[bytes] = []
    index: list[tuple[str, str, int]] = []
    for path, text in made.pages.items():
        parts.append(text.encode("utf-8"))
        index.append(("page", path, len(parts[-1])))
    for path, content in made.assets.items():
        parts.append(content)
        index.append(("asset", path, len(content)))
    parts.append(made.part)
    index.append(("part", "", len(made.part)))
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    head = {"sha256": total.hexdigest(), "files": index}
    return [json.dumps(head).encode(), b"\n", *parts]


def _unpacked(record: dict, body: memoryview) -> Made:
    made, start = Made(), 0
    for kind, path, length in record["files"]:
        content = body[start : start + length]
        start += length
        if kind == "page":
            made.pages[path] = str(content, "utf-8")
        elif kind == "part":
            made.part = bytes(content)
        else:
            made.assets[path] = bytes(content)
    return made


def key_of(data: BoardData, slug: str, base_url: str) -> str | None:
    """A hash of everything that the board's files are made from; None where a picture's volumes have none."""
    if any(not canary.key for canary in data.canary):
        return None
    total = hashlib.sha256(code().encode())
    total.update(repr((slug, base_url)).encode())
    total.update(data.board.model_dump_json().encode())
    for name, table in sorted(data.scores.items()):
        texts = [f"{s.case}\t{s.metric}\t{s.unit}\t{s.status}\t{s.reason}" for s in table]
        total.update(f"\n{name} {len(texts)}\n".encode())
        total.update("\n".join(texts).encode())
        total.update(array("d", [s.value for s in table]).tobytes())
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
