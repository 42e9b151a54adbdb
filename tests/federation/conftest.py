"""Two hospitals, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.contract import Task
from tests.federation.hospitals import Hospital, hospital, toy_task


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("federation")


@pytest.fixture(scope="session")
def task(root: Path) -> Task:
    return toy_task(root / "tasks")


@pytest.fixture(scope="session")
def north(root: Path, task: Task) -> Hospital:
    return hospital(root, task, "north", seed=3)


@pytest.fixture(scope="session")
def south(root: Path, task: Task) -> Hospital:
    return hospital(root, task, "south", seed=9, patients=12, spread=9)
