"""The command line from outside: a process with arguments, its output and its exit code."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark import image
from benchmark.dataset import Edition
from tests.command import RADBENCH


def radbench(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RADBENCH, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture
def predictions(toy_edition: Edition, tmp_path: Path) -> Path:
    folder = tmp_path / "predictions"
    folder.mkdir()
    for case in toy_edition.split("test"):
        shutil.copy(toy_edition.input_folder(case.id) / f"images/noisy/{case.id}.mha", folder)
    return folder


def test_tasks_lists_names_and_editions() -> None:
    result = radbench("tasks")
    assert result.returncode == 0
    assert "mri_to_ct" in result.stdout and "imports: synthrad2023" in result.stdout
    listed = json.loads(radbench("tasks", "--json").stdout)
    assert {task["name"] for task in listed} >= {"mri_to_ct", "denoising"}


def test_score_writes_the_table_and_the_summary(
    toy_tasks: Path, toy_edition: Edition, predictions: Path, tmp_path: Path
) -> None:
    (predictions / "c9.mha").unlink()
    result = radbench(
        "score",
        "toy",
        "--tasks",
        toy_tasks,
        "--data",
        toy_edition.root,
        "--predictions",
        predictions,
        "--out",
        tmp_path / "o",
    )
    assert result.returncode == 0, result.stderr
    assert "c9: missing: no prediction for case c9" in result.stdout
    lines = (tmp_path / "o/cases.csv").read_text().splitlines()
    assert lines[0] == "case,metric,value,unit,status,reason"
    assert lines[1] == "c5,mae,10.0,HU,ok,"
    summary = json.loads((tmp_path / "o/summary.json").read_text())
    assert summary["metrics"]["mae"]["n_worst"] == 1
    assert summary["problems"]["c9"].startswith("missing: ")
    assert summary["kind"] == "phantom"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["prepare", "mri_to_cd"], 2, "did you mean 'mri_to_ct'"),
        (["prepare", "mri_to_ct", "--size", "4"], 2, "32 to 128"),
        (["prepare", "mri_to_ct", "--sample"], 2, "no sample edition"),
        (["import", "dicomm", "."], 2, "synthrad2023"),
        (["import", "synthrad2023", "/nowhere"], 2, "no folder"),
        (["run", "mri_to_ct", "--data", "nothing"], 5, "radbench prepare mri_to_ct"),
        (["score", "mri_to_ct", "--predictions", "/nowhere", "--out", "x"], 2, "no folder"),
        (["score", "mri_to_ct", "--predictions", ".", "--out", "x", "--split", "tset"], 2, "train, val, canary, test"),
        (["publish"], 2, "radbench run"),
        (["publish", "--date", "yesterday"], 2, "2026-01-31"),
        (["train", "denoising", "unett"], 2, "did you mean 'unet'"),
        (["run", "denoising", "--baseline", "x"], 5, "prepare"),
    ],
)
def test_wrong_calls_end_with_a_sentence_and_a_code(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    result = radbench(*arguments, env={"RADBENCH_WORK": str(tmp_path)})
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_a_bug_is_a_plain_sentence_with_the_details_in_a_file(toy_tasks: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_tasks, tmp_path / "tasks")
    data = tmp_path / "tasks/toy/data.py"
    data.write_text(data.read_text() + "\ndef phantom(): raise ZeroDivisionError('planted')\n")
    arguments = ["prepare", "toy", "--tasks", tmp_path / "tasks", "--work", tmp_path]
    result = radbench(*arguments)
    assert result.returncode == 70
    assert "bug in radbench" in result.stderr and "Traceback" not in result.stderr
    path = Path(result.stderr.split("details are in ")[1].split(". Please")[0])
    assert "planted" in path.read_text()
    path.unlink()
    assert "Traceback" in radbench(*arguments, env={"RADBENCH_DEBUG": "1"}).stderr


def test_a_task_folder_from_elsewhere_is_prepared(toy_tasks: Path, tmp_path: Path) -> None:
    result = radbench("prepare", "toy", "--tasks", toy_tasks, "--work", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 canary, 5 test, 2 train, 1 val" in result.stdout
    assert image.read(tmp_path / "data/toy/phantom/inputs/c0/images/noisy/c0.mha").array.shape == (6, 8, 10)
