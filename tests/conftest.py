"""A toy task outside the shipped folders: small volumes, quick to make, with every feature of the contract in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark import dataset, tasks
from benchmark.dataset import Edition
from benchmark.tasks import TaskFolder

# Tests run two at a time on two cores; a thread pool in each would make them fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TOY_TOML = """
name = "{name}"
version = "1"
title = "Toy"
summary = "Remove an offset."
modality = "CT"
anatomy = "none"
stratify = "site"

[[inputs]]
slug = "noisy"
kind = "image"
path = "images/noisy"

[[outputs]]
slug = "clean"
kind = "image"
path = "images/clean"
unit = "HU"

[[references]]
slug = "truth"
kind = "image"
path = "images/truth"

[[references]]
slug = "mask"
kind = "segmentation"
path = "images/mask"

[[attributes]]
name = "site"
title = "Site"
values = ["A", "B"]

[scoring]
prediction = "clean"
reference = "truth"
mask = "mask"

[[metrics]]
name = "mae"

[[metrics]]
name = "psnr"
profile = "synthrad2023"

[ranking]
rule = "mean_of_ranks"
metrics = ["mae", "psnr"]

[limits]
seconds = 20
output_mb = 4

[display]
input = "noisy"
window = [-200, 200]
error = [-100, 100]
"""

TOY_DATA = """
from functools import partial

import numpy as np

from benchmark.contract import Case, DatasetInfo
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.image import Volume


def make(index, seed):
    rng = np.random.default_rng([seed, index])
    truth = rng.normal(0, 50, (6, 8, 10)).astype(np.int16)
    mask = np.zeros_like(truth, dtype=np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    grid = Volume(truth, (2.0, 1.5, 1.0), (10.0, -20.0, 5.0))
    noisy = grid.like(truth + 10)
    return CaseFiles({"noisy": noisy}, {"truth": grid, "mask": grid.like(mask)})


def phantom(*, seed=1, cases=None):
    splits = ["train"] * 2 + ["val"] + ["canary"] * 2 + ["test"] * 5
    planned = [
        PlannedCase(Case(id=f"c{i}", split=split, attributes={"site": "AB"[i % 2]}), partial(make, i, seed))
        for i, split in enumerate(splits)
    ]
    info = DatasetInfo(task=NAME, task_version="1", edition="phantom", kind="phantom", title="Toy phantoms",
                       description="Noise.", licence="CC0-1.0", parameters={"seed": seed})
    return Plan(info, planned, {"gap": 0})
"""


def write_toy(root: Path, name: str = "toy") -> Path:
    """Write the toy task's folder below `root` and return `root`."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(TOY_TOML.format(name=name))
    (folder / "data.py").write_text(f"NAME = {name!r}\n" + TOY_DATA)
    return root


@pytest.fixture(scope="session")
def toy_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the toy task."""
    return write_toy(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="session")
def toy(toy_tasks: Path) -> TaskFolder:
    """The toy task."""
    return tasks.find("toy", [toy_tasks])


@pytest.fixture(scope="session")
def toy_edition(toy: TaskFolder, tmp_path_factory: pytest.TempPathFactory) -> Edition:
    """The toy task's phantom edition; treat as read-only."""
    return dataset.prepare(tmp_path_factory.mktemp("data"), toy.task, toy.maker("phantom")())


ENGINE_TESTS = (
    "tests/container/",
    "tests/adversarial/",
    "tests/test_trial.py",
    "tests/test_doctor.py",
    "tests/test_submit.py",
)
"""Tests that start containers and look for what is left behind: they must not run beside one another."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses the container engine, so that it can be run by itself."""
    if item.nodeid.startswith(ENGINE_TESTS):
        item.add_marker(pytest.mark.engine)
