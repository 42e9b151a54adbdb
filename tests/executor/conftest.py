"""Dask clusters for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dask_cluster import DaskCluster


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = DaskCluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster of two workers, one of them with two GPUs, for tests that kill nothing but jobs."""
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.add(1)
        cluster.add(1, resources="MEMORY=8e9 CPU=4 GPU=2", gpus="5,7")
        yield cluster
    finally:
        cluster.close()
