"""Tiny editions for the baselines' tests: real phantoms of both tasks, few cases, small grids."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from baselines import catalogue, config
from baselines.catalogue import Baseline
from benchmark import dataset, tasks
from benchmark.contract import Task
from benchmark.dataset import Edition

COUNTS = {"train": 2, "val": 1, "canary": 0, "test": 1}


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def heads(data_folder: Path) -> tuple[Task, Edition]:
    """MRI → CT: heads on 32³ voxels."""
    folder = tasks.find("mri_to_ct")
    return folder.task, dataset.prepare(
        data_folder, folder.task, folder.maker("phantom")(size=32, cases=COUNTS), workers=1
    )


@pytest.fixture(scope="session")
def slabs(data_folder: Path) -> tuple[Task, Edition]:
    """Low-dose CT on 64 × 64 pixels."""
    folder = tasks.find("denoising")
    return folder.task, dataset.prepare(
        data_folder, folder.task, folder.maker("phantom")(size=64, cases=COUNTS), workers=1
    )


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Baseline]:
    """A baseline with small networks and few steps: the shipped configuration with some keys replaced, in a folder of its own."""

    def make(task: str, name: str, steps: int = 4, **replacements: str) -> Baseline:
        baseline = catalogue.find(task, name)
        keys = {
            "features = [16, 16, 32, 64, 128, 16]": "features = [8, 8, 8, 8, 8, 8]",
            "features = [16, 32, 32]": "features = [8, 8, 8]",
            **replacements,
        }
        lines = []
        for line in baseline.config.read_text("utf-8").splitlines():
            key = line.split(" = ")[0]
            line = {"steps": f"steps = {steps}", "batch": "batch = 4", "patch": "patch = 32"}.get(key, line)
            lines.append(keys.get(line, line))
            if line.startswith("steps ="):
                lines.append("checkpoint_every = 3")
        path = tmp_path / "settings" / baseline.family / baseline.config.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        config.load(path, baseline.family)
        weights = path.with_suffix(".safetensors") if baseline.weights else None
        return dataclasses.replace(baseline, config=path, weights=weights)

    return make
