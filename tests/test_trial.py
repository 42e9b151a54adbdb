"""A trial gives the organiser's verdict, shows what the model prints, and never ends without a file that says why."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import dataset, image, inference, scoring, store, tasks, trial
from benchmark.container.engine import CaseOutcome
from benchmark.contract import CaseCost, Limits, Method
from benchmark.dataset import Edition
from benchmark.errors import DataError, InfrastructureError, SubmissionError, UsageError
from benchmark.references import ReferenceCache
from benchmark.tasks import TaskFolder
from benchmark.verdict import Verdict
from tests.command import RADBENCH
from tests.container import base

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "submissions/template"


class Model:
    """An engine whose model takes `offset` away; by case it may do something else."""

    name = "scripted/exec"

    def __init__(self, offset: float = 10, tricks: dict[str, str] | None = None, say: str = "") -> None:
        self.offset, self.tricks, self.say = offset, tricks or {}, say

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> Iterator[Model]:
        self.start_seconds = 0.25
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(self.say)
        yield self

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        (file,) = (inputs / "images/noisy").iterdir()
        trick = self.tricks.get(file.stem, "")
        if trick == "crash":
            return CaseOutcome(1.5, "crashed", "the container ended with exit code 1.")
        if trick == "engine":
            raise InfrastructureError("engine_failed", "the engine went away")
        volume = image.read(file)
        array = volume.array - int(self.offset)
        result = volume.like(array[:, :, ::-1] if trick == "flip" else array)
        if trick == "spacing":
            result = dataclasses.replace(result, spacing=(1.0, 1.0, 1.0))
        (output / "images/clean").mkdir(parents=True)
        image.write(output / "images/clean" / file.name, result)
        return CaseOutcome(0.5, cost=CaseCost(peak_memory_mb=12.0), log=b"hello")


FOUND = trial.Source("image", "localhost/some/model:v1")
METHOD = Method(name="mine", title="Mine")


def judge(toy: TaskFolder, edition: Edition, engine: Model, folder: Path, root: Path | None = None) -> Verdict:
    folder.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    verdict = trial.judge(
        toy.task, edition, FOUND, engine, "sha256:0", METHOD, folder=folder, root=root or folder, say=said.append
    )
    (folder / "said.txt").write_text("\n".join(said))
    return verdict


def test_the_verdict_is_what_the_organiser_s_run_says(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    """The same model through an organiser's whole run: equal rows for every canary case and metric."""
    tricks = {"c4": "spacing"}
    verdict = judge(toy, toy_edition, Model(7, tricks), tmp_path / "mine")
    record = inference.run(toy.task, toy_edition, METHOD, "sha256:0", Model(7, tricks), root=tmp_path / "theirs")
    score = scoring.score_run(toy.task, toy_edition, record, tmp_path / "theirs")
    canary = {case.id for case in toy_edition.split("canary")}
    theirs = [s for s in store.load_case_scores(tmp_path / "theirs", score.key) if s.case in canary]
    mine = [s for case in verdict.cases for s in case.scores]
    assert sorted(mine, key=repr) == sorted(theirs, key=repr)
    assert {case.case for case in verdict.cases} == canary
    assert verdict.scorer == score.scorer
    assert [store.scores_from_csv((tmp_path / "mine/cases.csv").read_text())] == [mine]


def test_a_model_that_works_passes(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    verdict = judge(toy, toy_edition, Model(7), tmp_path)
    assert verdict.outcome == "passed" and verdict.exit_code == 0 and verdict.code == ""
    assert [(case.case, case.ok, case.seconds) for case in verdict.cases] == [("c3", True, 0.5), ("c4", True, 0.5)]
    assert verdict.cases[0].cost == CaseCost(peak_memory_mb=12.0)
    assert verdict.aggregates[0].metric == "mae" and verdict.aggregates[0].value == 3.0
    assert (tmp_path / "predictions/c3/images/clean/c3.mha").is_file()
    assert (tmp_path / "logs/open/c3.log").read_text() == "hello"
    assert not (tmp_path / "runs").exists()
    assert any("phantoms" in note for note in verdict.notes)
    assert any("radbench run toy --data phantom" in note for note in verdict.notes)


def test_an_output_that_is_refused_says_code_and_reason(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    verdict = judge(toy, toy_edition, Model(10, {"c4": "spacing"}), tmp_path)
    assert (verdict.outcome, verdict.code, verdict.exit_code) == ("failed", "geometry", 3)
    good, bad = verdict.cases
    assert good.ok and not bad.ok
    assert bad.code == "geometry" and "z is 1 mm where 2 mm was expected" in bad.reason
    assert not bad.reason.startswith("geometry")
    assert verdict.sentence.startswith("1 of 2 canary cases have no valid output (geometry:")
    assert "the others count" in verdict.sentence


def test_a_first_case_that_crashes_ends_an_organiser_s_run(
    toy: TaskFolder, toy_edition: Edition, tmp_path: Path
) -> None:
    verdict = judge(toy, toy_edition, Model(10, {"c3": "crash"}), tmp_path)
    assert verdict.outcome == "failed" and verdict.code == "crashed"
    assert "would stop here" in verdict.sentence
    assert [case.code for case in verdict.cases] == ["crashed", "crashed"]
    assert "Not run" in verdict.cases[1].reason


def test_a_flipped_image_gets_a_hint(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    verdict = judge(toy, toy_edition, Model(10, {"c4": "flip"}), tmp_path)
    assert verdict.outcome == "passed"
    assert verdict.cases[0].hint == "" and "flipping it along x" in verdict.cases[1].hint


def test_the_model_s_words_are_shown_without_control_characters(
    toy: TaskFolder, toy_edition: Edition, tmp_path: Path
) -> None:
    words = "loading\x1b[2J weights\n" + "x" * 1000 + "\nlast words"
    judge(toy, toy_edition, Model(10, say=words), tmp_path)
    said = (tmp_path / "said.txt").read_text().splitlines()
    assert said[0] == "  │ loading [2J weights"
    assert len(said[1]) < 400 and said[1].endswith("…")
    assert said[2] == "  │ last words"


def test_the_baselines_of_the_store_stand_beside(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    root = tmp_path / "store"
    floor = Method(name="floor", title="Floor", baseline=True)
    for method, digest, offset in ((floor, "a", 4), (floor, "b", 9), (METHOD, "c", 10)):
        run = inference.run(toy.task, toy_edition, method, digest, Model(offset), root=root)
        scoring.score_run(toy.task, toy_edition, run, root)
        os.utime(store.run_folder(root, run.key) / "run.json", (len(digest), {"a": 1e9, "b": 2e9, "c": 3e9}[digest]))
        if digest == "b":
            again = trial._again(toy.task, toy_edition, toy_edition.split("canary"), run, root, ReferenceCache())
    verdict = judge(toy, toy_edition, Model(7), tmp_path / "mine", root)
    assert [item.title for item in verdict.baselines] == ["Floor"]
    assert verdict.baselines[0].aggregates[0].value == 1.0  # the newest run; the other was off by 6
    assert list(verdict.baselines[0].aggregates) == again  # from the stored table, and from the stored outputs
    assert not any("radbench run" in note for note in verdict.notes)


def test_a_failure_of_the_engine_is_no_verdict(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError):
        judge(toy, toy_edition, Model(10, {"c4": "engine"}), tmp_path)
    assert not (tmp_path / "verdict.json").exists()
    assert list(tmp_path.glob("runs/.*/logs/model.log"))  # what it printed so far is kept


def test_an_edition_without_canary_cases_cannot_be_tried(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no canary"):
        judge(toy, dataclasses.replace(toy_edition, cases=toy_edition.split("test")), Model(), tmp_path)


def test_what_a_word_on_the_command_line_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("My Model", "empty", "old"):
        (tmp_path / name).mkdir()
    (tmp_path / "My Model/Containerfile").touch()
    (tmp_path / "old/Dockerfile").touch()
    (tmp_path / "old/submission.toml").touch()
    (tmp_path / "net.tar.gz").touch()
    kinds = {
        "My Model": ("folder", "my-model"),
        "old": ("folder", "old"),
        "old/submission.toml": ("manifest", "old"),
        "net.tar.gz": ("archive", "net"),
        "registry.example.org/team/net:v2": ("image", "net-v2"),
        "net": ("image", "net"),
    }
    assert {text: (trial.source(text).kind, trial.source(text).name) for text in kinds} == kinds
    for text in ("empty", "./nothing", "gone.tar.gz", "/nowhere/submission.toml"):
        with pytest.raises(UsageError):
            trial.source(text)


def test_the_template_passes_its_own_tests() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEMPLATE)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout or "..." in result.stdout


def radbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RADBENCH, *map(str, arguments)], capture_output=True, text=True, timeout=200, cwd=ROOT)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The canary cases of small MRI → CT phantoms."""
    folder = tasks.find("mri_to_ct")
    plan = folder.maker("phantom")(size=32)
    plan = dataclasses.replace(plan, cases=[case for case in plan.cases if case.case.split == "canary"][:2])
    return dataset.prepare(tmp_path_factory.mktemp("small"), folder.task, plan, workers=1).root


def test_the_template_gets_the_same_verdict_in_both_modes(small: Path, tmp_path: Path) -> None:
    """From the folder that a participant copies to the verdict, through a real engine."""
    base.engine()
    science = base.science_image()
    values = {}
    for mode in ("exec", "invoke"):
        result = radbench(
            *("try", TEMPLATE, "--task", "mri_to_ct", "--data", small, "--work", tmp_path, "--engine", "podman"),
            *("--build-arg", f"BASE={science}", "--build-arg", f"MODE={mode}"),
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert "PASSED" in result.stdout
        folder = tmp_path / "trials/mri_to_ct/template"
        verdict = Verdict.model_validate_json((folder / "verdict.json").read_text())
        assert verdict.engine == f"podman/{mode}" and verdict.image.startswith("sha256:")
        assert f"{verdict.cases[0].case}.mha: (32, 32, 32)" in result.stderr  # what the model prints, while it runs
        assert verdict.seconds < 300
        values[mode] = [score.value for case in verdict.cases for score in case.scores]
    assert values["exec"] == values["invoke"] and len(values["exec"]) == 8


def test_what_cannot_be_built_or_taken_in_is_refused_with_a_verdict(small: Path, tmp_path: Path) -> None:
    runtime = base.engine()
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "Containerfile").write_text(f"FROM {base.base_image()}\nRUN echo no such thing && exit 3\n")
    result = radbench(
        "try", folder, "--task", "mri_to_ct", "--data", small, "--work", tmp_path, "--engine", "podman", "--json"
    )
    assert result.returncode == 3, result.stderr
    verdict = json.loads(result.stdout)
    assert (verdict["outcome"], verdict["code"]) == ("refused", "build_failed")
    assert "no such thing" in result.stderr and "Traceback" not in result.stderr

    task = tasks.find("mri_to_ct").task
    edition = dataset.load(small.parent.parent, task, small.name)
    said: list[str] = []
    found = trial.source(base.base_image())
    verdict = trial.run(task, edition, found, runtime, trials=tmp_path / "trials", root=tmp_path, say=said.append)
    assert (verdict.outcome, verdict.code, verdict.exit_code) == ("refused", "image_root", 3)
    written = tmp_path / "trials/mri_to_ct" / found.name / "verdict.json"
    assert Verdict.model_validate_json(written.read_text()) == verdict
    shutil.rmtree(tmp_path / "trials")


def test_apptainer_builds_nothing_and_build_arguments_have_a_form(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    runtime = trial.Runtime(name="apptainer", executable="/usr/bin/apptainer")
    with pytest.raises(UsageError, match="Apptainer"):
        trial.build(trial.source(str(tmp_path)), runtime, (), print)
    with pytest.raises(UsageError, match="NAME=VALUE"):
        trial.build(trial.source(str(tmp_path)), runtime.model_copy(update={"name": "podman"}), ["--privileged"], print)


def test_a_manifest_that_is_wrong_ends_before_anything_runs(
    tmp_path: Path, toy: TaskFolder, toy_edition: Edition
) -> None:
    (tmp_path / "submission.toml").write_text("task = 'toy'\n")
    runtime = trial.Runtime(name="podman", executable="/nonexistent")
    with pytest.raises(SubmissionError, match="task_version"):
        trial.run(
            toy.task,
            toy_edition,
            trial.source(str(tmp_path / "submission.toml")),
            runtime,
            trials=tmp_path / "t",
            root=tmp_path,
            say=print,
        )
