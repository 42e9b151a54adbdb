"""Predictions that came as files, kept as a run: scored as `radbench score` scores them, flagged, without times."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark import atomic, board, loose, scoring, store
from benchmark.contract import PREDICTIONS, Method
from benchmark.dataset import Edition
from benchmark.errors import SubmissionError, UsageError
from benchmark.tasks import TaskFolder

MINE = Method(name="mine", title="Mine")


@pytest.fixture
def predictions(toy_edition: Edition, tmp_path: Path) -> Path:
    folder = tmp_path / "predictions"
    folder.mkdir()
    for case in toy_edition.split("canary", "test"):
        shutil.copy(toy_edition.input_folder(case.id) / f"images/noisy/{case.id}.mha", folder)
    return folder


def test_a_row_from_files_has_the_scores_of_the_files_and_says_that_nobody_ran_it(
    toy: TaskFolder, toy_edition: Edition, predictions: Path, tmp_path: Path
) -> None:
    record = loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)
    score = scoring.score_run(toy.task, toy_edition, record, tmp_path)
    direct = scoring.score_loose(toy.task, toy_edition, predictions)
    assert [a.value for a in score.aggregates] == [a.value for a in direct.aggregates]
    (row,) = board.make(toy.task, toy_edition, [(record, score)], tmp_path).rows
    assert (row.engine, row.seconds_median, row.seconds_start, row.failed) == (PREDICTIONS, None, None, 0)
    assert row.flags == (loose.FLAG,) and row.cost is None


def test_the_same_files_are_kept_once_and_another_file_is_another_run(
    toy: TaskFolder, toy_edition: Edition, predictions: Path, tmp_path: Path
) -> None:
    first = loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)
    assert loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path) == first
    assert len(list((tmp_path / "runs").glob("[!.]*"))) == 1
    shutil.copy(predictions / "c5.mha", predictions / "c6.mha")
    second = loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)
    assert second.digest != first.digest and second.key != first.key


def test_a_missing_case_takes_the_worst_value_and_none_at_all_is_refused(
    toy: TaskFolder, toy_edition: Edition, predictions: Path, tmp_path: Path
) -> None:
    (predictions / "c9.mha").unlink()
    record = loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)
    assert [case.case for case in record.cases if case.code == "missing"] == ["c9"]
    score = scoring.score_run(toy.task, toy_edition, record, tmp_path)
    assert {a.n_worst for a in score.aggregates} == {1}
    for case in toy_edition.split("test"):
        (predictions / f"{case.id}.mha").unlink(missing_ok=True)
    with pytest.raises(SubmissionError, match="none of the 5 test cases"):
        loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)


def test_the_name_of_something_that_was_run_is_refused(
    toy: TaskFolder, toy_edition: Edition, predictions: Path, tmp_path: Path
) -> None:
    record = loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)
    ran = record.model_copy(update={"engine": "podman/exec", "key": "f" * store.KEY_LENGTH})
    atomic.write_json(store.run_folder(tmp_path, ran.key) / "run.json", ran.model_dump(mode="json"))
    with pytest.raises(UsageError, match="what was run with podman/exec"):
        loose.keep(toy.task, toy_edition, predictions, MINE, tmp_path)
    loose.keep(toy.task, toy_edition, predictions, MINE.model_copy(update={"name": "other"}), tmp_path)
