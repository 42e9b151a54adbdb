"""A store that the real code made: two submissions that share a run, and one of their own."""

import shutil
from pathlib import Path

import pytest
import small

from benchmark.dataset import Edition
from benchmark.tasks import TaskFolder


@pytest.fixture(scope="session")
def made_store(toy: TaskFolder, toy_edition: Edition, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Treat as read-only."""
    root = tmp_path_factory.mktemp("made") / "store"
    small.submit(root, toy, toy_edition, "first", 10)
    small.submit(root, toy, toy_edition, "twin", 10)
    small.submit(root, toy, toy_edition, "other", 8)
    return root


@pytest.fixture
def filled(made_store: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    root = tmp_path / "work" / "store"
    shutil.copytree(made_store, root)
    return root
