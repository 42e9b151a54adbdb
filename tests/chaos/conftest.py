"""Work folders that are made once and copied; nights in processes that are forked from one that has everything imported."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faults import Point
from tests.chaos.places import first, held, hold, later, small, unsound
from tests.nightly.scripted import Place


@dataclass(frozen=True)
class Story:
    """A night: what it finds, what it writes, and what is there afterwards when nothing goes wrong."""

    name: str
    before: Place
    """The work folder before it; to be copied."""
    after: Path
    """The work folder after it."""
    points: tuple[Point, ...]
    """All that it wrote, in order."""
    wanted: dict[str, Any]
    """What is there afterwards."""


@pytest.fixture(scope="session", autouse=True)
def forked() -> None:
    """Nights are forked from a process that has their modules, and no threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    multiprocessing.set_forkserver_preload(["tests.chaos.preload"])


@pytest.fixture(scope="session")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    """The first night of a work folder, and a later one, each told without a fault."""
    root = tmp_path_factory.mktemp("chaos")
    found = {}
    start, change, number = small(root / "fresh"), first, 0
    for name in ("first", "later"):
        before = start.copy(root / f"{name}-before")
        change(before)
        after = before.copy(root / f"{name}-after")
        told = hold(after, number=number, count=True)
        assert told.exit == 0 and not told.trace and told.report and told.report["exit_code"] == 0, told
        again = hold(after, number=number + 1)
        assert again.report is not None and not again.report["planned"], again.report
        assert unsound(after.work.root) == []
        found[name] = Story(name, before, after.work.root, told.points, held(after.work.root))
        start, change, number = after, later, 10
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Place], Place]:
    """Copies of a work folder, each in a folder of its own."""
    count = 0

    def made(place: Place) -> Place:
        nonlocal count
        count += 1
        return place.copy(tmp_path / str(count))

    return made
