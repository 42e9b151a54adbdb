"""Data editions and code by their hashes, without hashing everything every night: only files whose size or time changed."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import benchmark
import leaderboard
from benchmark import dataset
from benchmark.contract import FEDERATED, Task
from benchmark.errors import DataError
from benchmark.nightly.state import EditionState, Problem

LIBRARIES = ("jinja2", "markupsafe", "matplotlib", "numpy", "pillow", "pydantic", "scipy")
"""Other people's code that the site's bytes depend on."""


def edition_names(data: Path, task: str) -> list[str]:
    """Names of the prepared editions of a task; a federated one has no images to run on."""
    names = (path.parent.name for path in (data / task).glob("[!.]*/dataset.json"))
    return sorted(name for name in names if name != FEDERATED)


def edition_state(data: Path, task: Task, name: str, known: dict[str, Any]) -> tuple[EditionState, dict[str, Any]]:
    """An edition by its hashes, checked against the files; and what to remember of it.

    `known` is what was remembered: by file `[size, time, inode]` when its hash was last found right. A file for which that still
    holds is not read.
    """
    try:
        edition = dataset.load(data, task, name)
    except DataError as error:
        return EditionState(task.name, name, (), "", "", "", Problem(error.group, error.code, error.sentence)), {}
    problem, seen = None, {}
    try:
        seen = _checked(edition.root, edition.info.files, known)
    except DataError as error:
        problem = Problem(error.group, error.code, error.sentence)
    if not edition.split("test"):
        problem = Problem("data", "edition_broken", f"{edition.root} has no test cases.")
    cases = (*edition.split("canary"), *edition.split("test"))
    content = hashlib.sha256()
    for file in ("dataset.json", "cases.csv"):
        content.update((edition.root / file).read_bytes())
    inputs, references = edition.hash_of("inputs", cases), edition.hash_of("references", cases)
    return EditionState(task.name, name, cases, inputs, references, content.hexdigest(), problem), seen


def _checked(root: Path, files: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    """Size, time and inode of every file, after those for which they changed were hashed. Raises `DataError('edition_broken')`."""
    seen: dict[str, Any] = {}
    for name, digest in files.items():
        path = f"{root}/{name}"
        try:
            found = os.stat(path)  # noqa: PTH116 - thousands of files, each night
        except OSError:
            raise DataError("edition_broken", f"{path} is missing", expected="every file of dataset.json") from None
        mark = [found.st_size, found.st_mtime_ns, found.st_ino, digest]
        if known.get(name) != mark and (actual := dataset.sha256_of(Path(path))) != digest:
            raise DataError("edition_broken", f"{path}: found {actual}", expected=f"sha256 {digest}")
        seen[name] = mark
    return seen


@cache
def code() -> str:
    """A hash of all code, templates and styles that numbers and pages are made with."""
    total = hashlib.sha256()
    for package in (benchmark, leaderboard):
        root = Path(str(package.__file__)).parent
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".html", ".css", ".js", ".svg")):
            # The night itself and the commands have no part in a page.
            inner = path.relative_to(root.parent).as_posix()
            if not inner.startswith(("benchmark/nightly/", "benchmark/cli", "benchmark/executor/")):
                total.update(f"{inner}\n".encode())
                total.update(path.read_bytes())
    for name in LIBRARIES:
        total.update(f"{name} {metadata.version(name)}\n".encode())
    return total.hexdigest()
