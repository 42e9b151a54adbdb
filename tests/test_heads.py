"""Every edition notes where the ledger ends, whoever publishes it: by that, lines cut from the ledger's end are missed later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark import dataset, demo, loose, scoring
from benchmark.cli import app
from benchmark.contract import Method
from benchmark.dataset import Edition
from benchmark.ledger import Ledger
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace


@pytest.fixture
def place(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> Workplace:
    """A work folder with a run, its score and a ledger of two lines."""
    work = Workplace(tmp_path / "work")
    shutil.copytree(toy_edition.root, work.data / "toy" / "phantom")
    edition = dataset.load(work.data, toy.task, "phantom")
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for case in edition.split("test"):
        shutil.copy(edition.input_folder(case.id) / "images" / "noisy" / f"{case.id}.mha", predictions)
    run = loose.keep(toy.task, edition, predictions, Method(name="m", title="M"), work.store)
    scoring.score_run(toy.task, edition, run, work.store)
    book = Ledger(work.ledger)
    for number in (1, 2):
        book.append("night_finished", night=f"2026-01-0{number}", exit_code=0)
    return work


def head(place: Workplace) -> str:
    (record,) = place.site.glob("editions/*/edition.json")
    return str(json.loads(record.read_text()).get("ledger_head", ""))


@pytest.mark.parametrize("whoever", ["publish", "demo"])
def test_the_head_is_noted_and_lines_that_are_cut_off_are_missed(
    whoever: str, place: Workplace, toy: TaskFolder, toy_tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def radbench(*words: str) -> int:
        return CliRunner().invoke(app, ["--tasks", str(toy_tasks), *words, "--work", str(place.root)]).exit_code

    if whoever == "publish":
        assert radbench("publish") == 0
    else:  # without the reference models, of which the toy has none: what was run and scored stands in for them
        edition = dataset.load(place.data, toy.task, "phantom")
        (run,) = place.store.glob("runs/*/run.json")
        (score,) = place.store.glob("scores/*/score.json")
        from benchmark import store

        own = store.load_run(place.store, run.parent.name), store.load_score(place.store, score.parent.name)
        monkeypatch.setattr(demo.editions, "best", lambda *_, **__: edition)
        monkeypatch.setattr(demo.catalogue, "baselines", lambda name: [None])
        monkeypatch.setattr(demo, "run_and_score", lambda *_: [own])
        demo.run(place, place.root, names=["toy"], extra=[toy_tasks], say=print, progress=lambda *_: None)
    assert head(place) == str(Ledger(place.ledger).head())
    assert radbench("verify") == 0
    lines = place.ledger.read_bytes().splitlines(keepends=True)
    place.ledger.write_bytes(lines[0])
    place.ledger.with_name("ledger.jsonl.head").unlink()
    assert radbench("verify") != 0


def test_without_a_ledger_none_is_noted(place: Workplace, toy_tasks: Path) -> None:
    place.ledger.unlink()
    result = CliRunner().invoke(app, ["--tasks", str(toy_tasks), "publish", "--work", str(place.root)])
    assert result.exit_code == 0 and head(place) == "" and not place.ledger.exists()
