"""One convention of exit codes for all commands (docs/errors.md): the same code for the same kind of problem, and one line that says it."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import typer.main

from benchmark import cli, console, dataset
from benchmark.cli import app
from benchmark.dataset import Edition
from benchmark.errors import CATALOGUE, DataError, InfrastructureError, SubmissionError, UsageError
from benchmark.errors_document import EXIT_CODES
from benchmark.tasks import TaskFolder

COMMANDS: dict[str, list[str]] = {
    "tasks": [],
    "prepare": ["TASK"],
    "import": ["synthrad2023", "FILE"],
    "audit": ["TASK", "NAME"],
    "publish": [],
    "cite": ["newest"],
    "verify": [],
    "demo": ["--task", "TASK"],
    "nightly": ["--dry-run"],
    "attempts": ["NAME"],
    "run": ["TASK", "--submission", "NAME"],
    "score": ["TASK", "--run", "NAME", "--bundle", "OUT", "--site", "x"],
    "merge": ["--task", "TASK"],
    "try": ["FILE", "--task", "TASK"],
    "submit": ["FILE"],
    "doctor": [],
    "train": ["TASK", "NAME"],
    "store check": [],
    "store gc": [],
    "store pin": ["NAME"],
    "store unpin": ["NAME"],
    "store export": ["OUT", "--submission", "NAME"],
    "store import": ["FILE"],
    "ledger show": [],
    "ledger verify": [],
}
"""Every command as it is called. What stands in capitals is filled in."""
USAGE, DATA = UsageError.exit_code, DataError.exit_code

NOTHING_THERE = {
    "import": USAGE, "audit": DATA, "publish": USAGE, "cite": USAGE, "verify": USAGE, "attempts": USAGE, "run": DATA, "score": DATA,
    "merge": USAGE, "try": USAGE, "submit": USAGE, "train": USAGE, "store check": USAGE, "store gc": USAGE, "store pin": USAGE,
    "store unpin": USAGE, "store export": USAGE, "store import": USAGE, "nightly": 0, "ledger show": 0, "ledger verify": 0,
}  # fmt: skip
"""In a work folder that is there and empty. What needs an edition says that it has not been prepared; a night has nothing to do,
and a ledger that has not been begun has nothing wrong with it."""
NO_FOLDER = NOTHING_THERE | {"nightly": USAGE, "ledger show": USAGE, "ledger verify": USAGE}
"""Where there is no such folder: nothing that looks as if all were well."""
NO_TASK = {
    name: USAGE for name, words in COMMANDS.items() if "TASK" in words and name != "try"
}  # `try` looks at what is tried first
NO_SUBMISSION = {
    name: USAGE for name, words in COMMANDS.items() if "NAME" in words and name != "train"
}  # `train` takes a reference model


def paths(command: object, above: tuple[str, ...] = ()) -> list[str]:
    """All commands below one, in words."""
    below = getattr(command, "commands", None)
    if below is None:
        return [" ".join(above)]
    return [path for name, one in below.items() for path in paths(one, (*above, name))]


def filled(command: str, tmp_path: Path, *, task: str, name: str = "nobody") -> list[str]:
    here = {"TASK": task, "NAME": name, "FILE": str(tmp_path / "nowhere" / "x"), "OUT": str(tmp_path / "out")}
    return [*command.split(), *(here.get(word, word) for word in COMMANDS[command])]


def radbench(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Exit code and output of the command in this process."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["radbench", *words])
    monkeypatch.setattr(console.out, "_file", None)
    capsys.readouterr()
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        assert isinstance(end.code, int | None)
        code = end.code or 0
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr()
    return code, said.out, said.err


def is_one_line(code: int, out: str, err: str) -> None:
    """An error is one line that names its type and its code; all else is no error."""
    assert "Traceback" not in out + err
    if code == 0:
        assert "error [" not in err
        return
    types = (UsageError, SubmissionError, InfrastructureError, DataError)
    group = {one.exit_code: one.group for one in types}[code]
    (line,) = [line for line in err.splitlines() if not line.startswith("  ")]  # progress is indented
    found = re.match(rf"{group} error \[(\w+)\]: \S.*\.$", line)
    assert found and found[1] in CATALOGUE[group], line
    assert out == ""


def test_every_command_is_in_the_table() -> None:
    assert sorted(paths(typer.main.get_command(app))) == sorted(COMMANDS)
    unasked = {"tasks", "prepare", "demo", "doctor"}  # they ask for nothing in a work folder, or make it themselves
    assert NOTHING_THERE.keys() == NO_FOLDER.keys() == COMMANDS.keys() - unasked
    told = dict(re.findall(r"^\| (\d+) \| ([^|;:]+)", EXIT_CODES, re.M))
    for kind in (UsageError, SubmissionError, InfrastructureError, DataError):
        assert str(kind.exit_code) in told
    assert {"0", "1", "70", str(cli.INTERRUPTED), "141"} <= told.keys()


@pytest.mark.parametrize("command", NOTHING_THERE)
def test_an_empty_work_folder(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    said = radbench([*filled(command, tmp_path, task="denoising"), "--work", str(work)], monkeypatch, capsys)
    assert said[0] == NOTHING_THERE[command], said
    is_one_line(*said)
    assert not (tmp_path / "out").exists() and not (work / "data").exists() and not (work / "site").exists()


@pytest.mark.parametrize("command", NO_FOLDER)
def test_a_work_folder_that_is_not_there(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*filled(command, tmp_path, task="denoising"), "--work", str(tmp_path / "mistyped" / "work")]
    said = radbench(words, monkeypatch, capsys)
    assert said[0] == NO_FOLDER[command], said
    is_one_line(*said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", NO_TASK)
def test_a_task_that_is_not_there(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    said = radbench([*filled(command, tmp_path, task="denoisin"), "--work", str(work)], monkeypatch, capsys)
    assert said[0] == USAGE and "did you mean 'denoising'?" in said[2], said
    is_one_line(*said)
    assert list(work.iterdir()) == []


@pytest.fixture(scope="module")
def house(toy: TaskFolder, toy_edition: Edition, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with an edition, a run, its score and a site; treat as read-only."""
    from benchmark import loose, publishing, scoring
    from benchmark.contract import Method

    work = tmp_path_factory.mktemp("house")
    shutil.copytree(toy_edition.root, work / "data" / "toy" / "phantom")
    edition = dataset.load(work / "data", toy.task, "phantom")
    predictions = tmp_path_factory.mktemp("predictions")
    for case in edition.split("test"):
        shutil.copy(edition.input_folder(case.id) / "images" / "noisy" / f"{case.id}.mha", predictions)
    run = loose.keep(toy.task, edition, predictions, Method(name="m", title="M"), work / "store")
    scoring.score_run(toy.task, edition, run, work / "store")
    entries = publishing.entries([toy], work / "data", work / "store")
    publishing.publish_boards(entries, work / "store", work / "site", "2026-01-01")
    return work


@pytest.mark.parametrize("command", [*NO_SUBMISSION, "cite"])
def test_a_submission_that_is_not_there(
    command: str,
    house: Path,
    toy_tasks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = filled(command, tmp_path, task="toy")
    if command == "cite":
        words[1] = "newest/toy/nobody"
    said = radbench(["--tasks", str(toy_tasks), *words, "--work", str(house)], monkeypatch, capsys)
    assert said[0] == USAGE and "[unknown_name]" in said[2] and "'nobody'" in said[2], said
    is_one_line(*said)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_found(
    house: Path, toy_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same calls with the name that there is: what the other tests see is the name, and not the folder."""
    for command in ("audit", "store export", "cite", "store pin", "store unpin"):
        words = filled(command, tmp_path, task="toy", name="m")
        if command == "cite":
            words[1] = "newest/toy/m"
        words += ["--out", str(tmp_path / "audit")] if command == "audit" else []
        assert radbench(["--tasks", str(toy_tasks), *words, "--work", str(house)], monkeypatch, capsys)[0] == 0, command
