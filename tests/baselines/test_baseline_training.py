"""Training for real on tiny editions: deterministic, resumable, blind to sealed splits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from baselines import config as configuration
from baselines import prediction, training
from baselines.catalogue import Baseline
from benchmark import dataset
from benchmark.contract import Task
from benchmark.dataset import Edition, sha256_of
from benchmark.errors import DataError, InfrastructureError, UsageError

Tiny = Callable[..., Baseline]
Prepared = tuple[Task, Edition]


class Stopped(Exception):
    """Raised by a test in the middle of a training."""


def sealed(edition: Edition, folder: Path) -> Edition:
    """A copy of the edition without a single file of the canary and test splits."""
    root = folder / "sealed" / edition.info.task / edition.info.edition
    shutil.copytree(edition.root, root)
    for case in edition.split("canary", "test"):
        for tree in ("inputs", "references"):
            shutil.rmtree(root / tree / case.id)
    return Edition(root, edition.info, edition.cases)


@pytest.mark.parametrize("name", ["unet", "gan", "vae"])
@pytest.mark.parametrize("which", ["heads", "slabs"])
def test_every_family_learns_both_tasks(
    name: str, which: str, request: pytest.FixtureRequest, tiny: Tiny, tmp_path: Path
) -> None:
    task, edition = request.getfixturevalue(which)
    edition = sealed(edition, tmp_path)
    baseline = tiny(task.name, name, steps=5)
    events: list[dict[str, object]] = []
    report = training.train(task, [edition], baseline, tmp_path / "out", device="cpu", progress=events.append)
    assert report.steps == 5 and report.resumed_from == 0
    assert [e["step"] for e in events if e["event"] == "step"] == [1, 2, 3, 4, 5]
    assert events[-1]["event"] == "done"
    ids = {used.id for used in task.metrics}
    assert set(report.figures[edition.info.edition]) == ids
    assert all(np.isfinite(list(report.figures[edition.info.edition].values())))
    made = report.baseline.weights
    assert made is not None and sha256_of(made) == report.weights_sha256
    assert report.weights_sha256 in (tmp_path / "out" / f"{baseline.stem}.md").read_text("utf-8")
    log = [
        json.loads(line) for line in (tmp_path / "out" / f"{baseline.stem}.log.jsonl").read_text("utf-8").splitlines()
    ]
    assert log[-1] == {"event": "val", "figures": report.figures}
    left = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".lock"}
    assert left == {f"{baseline.stem}{suffix}" for suffix in (".safetensors", ".md", ".log.jsonl")}
    case = edition.split("val")[0]
    inputs = {slug: edition.read_input(task.input(slug), case.id) for slug in prediction.needed(baseline)}
    out = prediction.load(report.baseline, device="cpu")(inputs)
    assert out.content.shape == next(iter(inputs.values())).array.shape


@pytest.mark.parametrize("name", ["unet", "gan", "vae"])
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    name: str, heads: Prepared, tiny: Tiny, tmp_path: Path
) -> None:
    task, edition = heads
    baseline = tiny(task.name, name, steps=6)

    def stop(event: dict[str, object]) -> None:
        if event.get("step") == 4:
            raise Stopped

    whole = training.train(task, [edition], baseline, tmp_path / "whole", device="cpu")
    with pytest.raises(Stopped):
        training.train(task, [edition], baseline, tmp_path / "parts", device="cpu", progress=stop)
    assert not list((tmp_path / "parts").glob("*.safetensors"))
    parts = training.train(task, [edition], baseline, tmp_path / "parts", device="cpu")
    assert (whole.resumed_from, parts.resumed_from) == (0, 3)
    assert parts.weights_sha256 == whole.weights_sha256
    assert parts.figures == whole.figures
    assert [line["loss"] for line in parts.log] == [line["loss"] for line in whole.log]


def test_a_training_that_was_killed_goes_on(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    """The process dies without a chance to clean up, in the step after a checkpoint."""
    task, edition = heads
    baseline = tiny(task.name, "unet", steps=6)
    code = f"""
import os
from pathlib import Path
from dataclasses import replace
from baselines import catalogue, training
from benchmark import dataset, tasks
task = tasks.load_task("mri_to_ct")
edition = dataset.load(Path({str(edition.root.parent.parent)!r}), task, {edition.info.edition!r})
baseline = replace(catalogue.find("mri_to_ct", "unet"), config=Path({str(baseline.config)!r}))
training.train(task, [edition], baseline, Path({str(tmp_path / "killed")!r}), device="cpu",
               progress=lambda e: os._exit(9) if e.get("step") == 5 else None)
"""
    root = Path(training.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 9
    killed = training.train(task, [edition], baseline, tmp_path / "killed", device="cpu")
    whole = training.train(task, [edition], baseline, tmp_path / "whole", device="cpu")
    assert killed.resumed_from == 3
    assert killed.weights_sha256 == whole.weights_sha256


def test_a_checkpoint_of_another_training_or_a_broken_one_is_not_used(
    heads: Prepared, tiny: Tiny, tmp_path: Path
) -> None:
    task, edition = heads
    baseline = tiny(task.name, "unet", steps=5)

    def stop(event: dict[str, object]) -> None:
        if event.get("step") == 4:
            raise Stopped

    def interrupted(seed: int) -> None:
        with pytest.raises(Stopped):
            training.train(task, [edition], baseline, tmp_path / "out", seed=seed, device="cpu", progress=stop)

    interrupted(seed=1)
    assert training.train(task, [edition], baseline, tmp_path / "out", seed=2, device="cpu").resumed_from == 0
    interrupted(seed=1)
    assert (
        training.train(task, [edition], baseline, tmp_path / "out", seed=1, device="cpu", resume=False).resumed_from
        == 0
    )
    interrupted(seed=1)
    checkpoint = next((tmp_path / "out").glob(".*.checkpoint"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert training.train(task, [edition], baseline, tmp_path / "out", seed=1, device="cpu").resumed_from == 0


def test_the_seed_matters(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    task, edition = heads
    hashes = {
        training.train(
            task, [edition], tiny(task.name, "unet", steps=2), tmp_path / "o", seed=seed, device="cpu"
        ).weights_sha256
        for seed in (0, 1)
    }
    assert len(hashes) == 2


def test_the_loss_goes_down(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    task, edition = heads
    losses: list[float] = []
    baseline = tiny(task.name, "unet", steps=60)
    training.train(
        task,
        [edition],
        baseline,
        tmp_path,
        device="cpu",
        progress=lambda e: losses.append(e["loss"]) if "loss" in e else None,
    )
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


@pytest.mark.parametrize(("which", "name"), [("heads", "classical"), ("slabs", "classical"), ("slabs", "classical-tv")])
def test_classical_methods_are_fitted(which: str, name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from baselines import catalogue

    task, edition = request.getfixturevalue(which)
    report = training.train(task, [sealed(edition, tmp_path)], catalogue.find(task.name, name), tmp_path / "out")
    assert report.steps == sum(line["event"] == "trial" for line in report.log)
    chosen = report.log[-1]
    values = [line["value"] for line in report.log[:-1]]
    assert chosen["event"] == "chosen"
    assert chosen["value"] == (min(values) if task.name == "mri_to_ct" else max(values))
    measured = report.figures[edition.info.edition][chosen["metric"]]
    assert measured == pytest.approx(chosen["value"], rel=2e-3)  # the file is in half precision


def test_water_gets_a_card_and_no_weights(heads: Prepared, tmp_path: Path) -> None:
    from baselines import catalogue

    task, edition = heads
    report = training.train(task, [edition], catalogue.find(task.name, "classical-water"), tmp_path)
    assert report.weights_sha256 == "" and report.baseline.weights is None
    assert not list(tmp_path.glob("*.safetensors"))
    assert "no fitted parameters" in (tmp_path / "mri_to_ct.water.md").read_text("utf-8")


def test_what_cannot_be_trained_is_refused(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    task, edition = heads
    baseline = tiny(task.name, "unet")
    with pytest.raises(UsageError, match="0 steps"):
        training.train(task, [edition], baseline, tmp_path, steps=0)
    with pytest.raises(DataError, match="no edition"):
        training.train(task, [], baseline, tmp_path)
    no_val = Edition(edition.root, edition.info, tuple(case for case in edition.cases if case.split != "val"))
    with pytest.raises(DataError, match="no val cases"):
        training.train(task, [no_val], baseline, tmp_path)
    lock = FileLock(tmp_path / f".{baseline.family}.{baseline.stem}.lock")
    with lock, pytest.raises(InfrastructureError, match="another process is training unet"):
        training.train(task, [edition], baseline, tmp_path)


def test_training_reads_only_open_splits(heads: Prepared) -> None:
    from baselines import editions

    task, edition = heads
    settings = configuration.load(Path(training.__file__).parent / "unet" / "mri_to_ct.toml", "unet")
    with pytest.raises(ValueError, match="never reads the test split"):
        list(editions.read(task, edition, "test", settings.data))


def test_editions_are_mixed(slabs: Prepared, data_folder: Path, tiny: Tiny, tmp_path: Path) -> None:
    """Two editions of different sizes train one network; the card names both."""
    from benchmark import tasks

    task, edition = slabs
    folder = tasks.find(task.name)
    other = dataset.prepare(
        data_folder,
        task,
        folder.maker("phantom")(size=48, cases={"train": 1, "val": 1, "canary": 0, "test": 0}),
        workers=1,
    )
    report = training.train(task, [edition, other], tiny(task.name, "unet", steps=2), tmp_path, device="cpu")
    card = (tmp_path / "denoising.md").read_text("utf-8")
    assert set(report.figures) == {"phantom-64", "phantom-48"}
    assert "| `phantom-64` | 1 |" in card and "| `phantom-48` | 1 |" in card
    assert "Not there at training, and so not learned from: `phantom`, `sample`" in card
