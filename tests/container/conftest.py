"""A real engine, and a check after every test that nothing of a container is left on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.container import Runtime
from benchmark.contract import Limits
from tests.container import base


@pytest.fixture(scope="session")
def engine() -> Runtime:
    """Podman; the test is skipped loudly, or fails in CI, where there is none."""
    return base.engine()


@pytest.fixture
def clean(engine: Runtime) -> Iterator[None]:
    """Fails when the test leaves a container, a volume, a mount, a loop device or a scratch folder behind."""
    with base.clean_machine():
        yield


@pytest.fixture
def limits() -> Limits:
    """Small limits."""
    return Limits(seconds=20, start_seconds=30, memory_mb=256, output_mb=8, shm_mb=32, log_kb=16, cpus=1, pids=64)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """An input folder with one value."""
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "value.json").write_text("7")
    return folder
