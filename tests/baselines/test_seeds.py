"""Several training seeds of a baseline: what is trained, what is not trained again, and what the record says."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from baselines import card, catalogue, seeds, spread, training
from baselines.catalogue import Baseline
from benchmark import tasks
from benchmark.contract import Method, Task, TrainingFigure, TrainingSpread
from benchmark.dataset import Edition, sha256_of
from benchmark.errors import DataError, UsageError
from benchmark.submission import Submission

Tiny = Callable[..., Baseline]
Prepared = tuple[Task, Edition]
RECORDED = [
    baseline
    for folder in tasks.load_all()
    for baseline in catalogue.baselines(folder.task.name)
    if baseline.seeds.exists()
]


def seeds_that_learned(events: list[tuple[int, dict[str, Any]]]) -> set[int]:
    return {seed for seed, event in events if event["event"] == "step"}


def test_every_seed_is_trained_once(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    task, edition = heads
    baseline = tiny(task.name, "unet", steps=2)
    events: list[tuple[int, dict[str, Any]]] = []

    def measured(count: int) -> spread.SeedRecord:
        events.clear()
        return seeds.measure(
            task, [edition], baseline, tmp_path / "out", count=count, device="cpu", progress=lambda *e: events.append(e)
        )

    first = measured(2)
    assert seeds_that_learned(events) == {0, 1}
    assert len({one.weights_sha256 for one in first.seeds}) == 2
    assert spread.read(tmp_path / "out" / "mri_to_ct.seeds.json") == first
    assert measured(2) == first
    assert seeds_that_learned(events) == set()
    third = measured(3)
    assert seeds_that_learned(events) == {2}
    assert third.seeds[:2] == first.seeds
    # A figure of the record is that of the training alone.
    alone = training.train(task, [edition], baseline, tmp_path / "alone", seed=1, device="cpu")
    assert third.seeds[1].figures == alone.figures
    assert third.seeds[1].weights_sha256 == alone.weights_sha256
    # Other settings are another training.
    longer = tiny(task.name, "unet", steps=3)
    events.clear()
    seeds.measure(
        task, [edition], longer, tmp_path / "out", count=2, device="cpu", progress=lambda *e: events.append(e)
    )
    assert seeds_that_learned(events) == {0, 1}


def test_the_shipped_weights_are_evaluated_and_kept(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    task, edition = heads
    made = training.train(task, [edition], tiny(task.name, "gan", steps=2), tmp_path / "own", seed=0, device="cpu")
    assert made.baseline.weights is not None
    settings = tmp_path / "own" / "mri_to_ct.toml"
    settings.write_bytes(made.baseline.config.read_bytes())
    shipped = dataclasses.replace(made.baseline, config=settings)
    before = sha256_of(made.baseline.weights)
    events: list[tuple[int, dict[str, Any]]] = []
    record = seeds.measure(
        task, [edition], shipped, tmp_path / "out", count=2, device="cpu", progress=lambda *e: events.append(e)
    )
    assert seeds_that_learned(events) == {1}
    assert record.seeds[0].figures == made.figures
    assert record.seeds[0].weights_sha256 == before == sha256_of(made.baseline.weights)

    seeds.install(shipped, record)
    once = shipped.card.read_text("utf-8")
    assert once.count("## Over two training seeds") == 1
    assert once.index("## Over two") < once.index("## How it was made")
    assert "radbench train mri_to_ct gan --seeds 2" in once and "radbench train mri_to_ct gan --seed 0" in once
    seeds.install(shipped, record)
    assert shipped.card.read_text("utf-8") == once

    found = catalogue.with_spread(shipped).method.training
    assert found == record.spread
    assert catalogue.with_spread(shipped.with_weights(tmp_path / "absent")).method.training is None
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"other weights")
    assert catalogue.with_spread(shipped.with_weights(other)).method.training is None

    text = once.replace(training.hash_of(edition)[:16], "0" * 16)
    shipped.card.write_text(text, "utf-8")
    with pytest.raises(DataError, match="did not learn from the edition"):
        seeds.measure(task, [edition], shipped, tmp_path / "out", count=2, device="cpu")


def test_what_has_no_seed_has_no_spread(heads: Prepared, tiny: Tiny, tmp_path: Path) -> None:
    task, edition = heads
    with pytest.raises(UsageError, match="fitted without a seed"):
        seeds.measure(task, [edition], catalogue.find(task.name, "classical"), tmp_path)
    with pytest.raises(UsageError, match="1 seeds; expected at least 2"):
        seeds.measure(task, [edition], tiny(task.name, "unet"), tmp_path, count=1)


def test_mean_deviation_and_range_by_hand() -> None:
    figure = TrainingFigure(
        edition="phantom", metric="mae", title="MAE", unit="HU", direction="lower", values=(1.0, 2.0, 6.0)
    )
    assert (figure.mean, figure.low, figure.high) == (3.0, 1.0, 6.0)
    assert figure.sd == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    with pytest.raises(ValidationError, match="3 values for 2 seeds"):
        TrainingSpread(seeds=(0, 1), shipped=0, figures=(figure,), command="")
    with pytest.raises(ValidationError, match="shipped: found 5"):
        TrainingSpread(seeds=(0, 1, 2), shipped=5, figures=(figure,), command="")


def test_a_manifest_cannot_bring_a_spread() -> None:
    figure = {"edition": "phantom", "metric": "mae", "title": "MAE", "direction": "lower", "values": [1, 2]}
    content: dict[str, Any] = {
        "method": {"name": "mine", "title": "Mine"},
        "task": "mri_to_ct",
        "task_version": "1",
        "image": "mine.tar",
        "contact": "a@b.org",
    }
    Submission.model_validate(content)
    content["method"]["training"] = {"seeds": [0, 1], "shipped": 0, "figures": [figure], "command": "true"}
    assert Method.model_validate(content["method"]).training is not None
    with pytest.raises(ValidationError, match="training are not for manifests"):
        Submission.model_validate(content)


def test_a_broken_record_is_said_to_be_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.seeds.json"
    assert spread.read(path) is None
    path.write_text("{", "utf-8")
    with pytest.raises(DataError, match="not a record of seeds"):
        spread.read(path)


@pytest.mark.parametrize("baseline", RECORDED, ids=lambda b: f"{b.task}-{b.name}")
def test_shipped_records_belong_to_the_shipped_weights_and_stand_in_the_card(baseline: Baseline) -> None:
    record = spread.read(baseline.seeds)
    assert record is not None and baseline.weights is not None
    assert record.weights_sha256 == sha256_of(baseline.weights)
    assert baseline.method.training == record.spread
    assert (record.task, record.baseline) == (baseline.task, baseline.name)
    task = tasks.load_task(baseline.task)
    assert record.task_version == task.version
    assert {column.id for column in record.metrics} == {metric.id for metric in task.metrics}
    assert len({one.weights_sha256 for one in record.seeds}) == len(record.seeds) == 3
    text = baseline.card.read_text("utf-8")
    assert card.with_spread(text, record) == text
    for edition, sha in record.inputs.items():
        assert f"`{edition}`" in text and sha[:16] in text
    # Seed 0's figures are those of the card.
    row = next(line for line in text.splitlines() if line.startswith("| `"))
    edition, _, *figures = (cell.strip() for cell in row.strip("| ").split("|"))
    first = record.seeds[0].figures[edition.strip("`")]
    for cell, column in zip(figures, record.metrics, strict=True):
        assert first[column.id] == pytest.approx(float(cell), rel=2e-3, abs=1e-6)
    for figure in record.spread.figures:
        assert figure.mean == pytest.approx(statistics.fmean(figure.values))
