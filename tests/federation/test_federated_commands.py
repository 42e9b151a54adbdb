"""The commands at the site and at the organiser's, with right and wrong calls."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark import dataset, loose, publishing, scoring, tasks
from benchmark.cli import app
from benchmark.contract import Method, Task
from benchmark.errors import RadbenchError
from benchmark.ledger import Ledger
from tests.federation.hospitals import Hospital


def radbench(*words: object) -> str:
    """What the command prints. Raises its error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def scored(h: Hospital, root: Path, file: Path, *more: object) -> str:
    return radbench(
        "score", "toy", "--tasks", root / "tasks", "--data", h.edition.root, "--predictions", h.root / "predictions", "--bundle", file,
        "--site", h.name, "--submission", "magic", "--work", file.parent / f"{h.name}-work", *more,
    )  # fmt: skip


def test_from_sites_to_a_verified_site(north: Hospital, south: Hospital, root: Path, tmp_path: Path) -> None:
    shared, work = tmp_path / "shared.key", tmp_path / "organiser"
    shared.write_text("between us\n")
    for h in (north, south):
        said = scored(h, root, tmp_path / f"{h.name}.json", "--shared-key", shared)
        assert "withheld" in said and "left out, since their values are not declared: scanner" in said
    files = [tmp_path / "north.json", tmp_path / "south.json"]
    said = json.loads(
        radbench("merge", *files, "--shared-key", shared, "--tasks", root / "tasks", "--work", work, "--json")
    )
    assert said["sites"] == ["north", "south"] and said["rows"] == ["magic"] and len(said["added"]) == 2
    lines = [e.facts for e in Ledger(work / "ledger.jsonl").entries()]
    assert [line["archive"] for line in lines] == said["added"]
    assert "new edition" in radbench("publish", "--tasks", root / "tasks", "--work", work, "--date", "2026-05-01")
    assert "0 differences" in radbench("verify", work / "site")
    again = json.loads(radbench("merge", *files, "--tasks", root / "tasks", "--work", work, "--json"))
    assert again["added"] == [] and "unchanged" in radbench(
        "publish", "--tasks", root / "tasks", "--work", work, "--date", "2026-05-02"
    )
    files[0].with_name("north.json.hmac").write_text("0" * 64 + "\n")
    with pytest.raises(RadbenchError, match="not what was signed"):
        radbench("merge", files[0], "--shared-key", shared, "--tasks", root / "tasks", "--work", work)


def test_a_stored_run_gives_the_numbers_of_its_files(north: Hospital, task: Task, root: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    edition = dataset.load(north.root / "data", task, "own")
    run = loose.keep(task, edition, north.root / "predictions", Method(name="magic", title="Magic"), work / "store")
    scoring.score_run(task, edition, run, work / "store")
    key = tmp_path / "site.key"
    for word, file in (("magic", "a.json"), (run.key, "b.json")):
        radbench(
            "score", "toy", "--tasks", root / "tasks", "--data", edition.root, "--run", word, "--bundle", tmp_path / file,
            "--site", "north", "--key", key, "--work", work,
        )  # fmt: skip
    scored(north, root, tmp_path / "c.json", "--key", key, "--digest", run.digest)
    first = (tmp_path / "a.json").read_bytes()
    assert (tmp_path / "b.json").read_bytes() == first == (tmp_path / "c.json").read_bytes()
    assert run.method.title not in first.decode()


def test_a_bundle_does_not_take_the_address_of_a_board_run_here(
    north: Hospital, south: Hospital, task: Task, root: Path, tmp_path: Path
) -> None:
    """Both editions are real: the one that was run here comes first, though `federated` comes before `own` in the alphabet."""
    work = tmp_path / "work"
    shutil.copytree(north.root / "data", work / "data")
    edition = dataset.load(work / "data", task, "own")
    run = loose.keep(task, edition, north.root / "predictions", Method(name="magic", title="Magic"), work / "store")
    scoring.score_run(task, edition, run, work / "store")
    for h in (north, south):
        scored(h, root, tmp_path / f"{h.name}.json")
    radbench("merge", tmp_path / "north.json", tmp_path / "south.json", "--tasks", root / "tasks", "--work", work)
    found = publishing.entries([tasks.find("toy", [root / "tasks"])], work / "data", work / "store")
    assert [item.info.edition for _, item, _ in found] == ["own", "federated"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bundle", "x.json", "--site", "a"], "both or neither of --predictions and --run"),
        (["--run", "k"], "--run without --bundle"),
        (["--predictions", "."], "neither --out nor --bundle"),
        (["--predictions", ".", "--bundle", "x.json", "--split", "val"], "--bundle with --split val"),
        (["--predictions", ".", "--bundle", "x.json", "--site", "Dr X", "--submission", "m"], "site 'Dr X'"),
        (["--predictions", ".", "--bundle", "x.json", "--site", "x"], "--bundle without --submission"),
    ],
)
def test_a_wrong_call_says_so_before_anything_is_scored(
    words: list[str], message: str, north: Hospital, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(RadbenchError, match=message):
        radbench("score", "toy", "--tasks", root / "tasks", "--data", north.edition.root, "--work", tmp_path, *words)
    assert not list(tmp_path.iterdir())


def test_merge_without_anything(tmp_path: Path, root: Path) -> None:
    with pytest.raises(RadbenchError, match="no bundle and no --task"):
        radbench("merge", "--tasks", root / "tasks", "--work", tmp_path)
    with pytest.raises(RadbenchError, match="there is no bundle of toy"):
        radbench("merge", "--task", "toy", "--tasks", root / "tasks", "--work", tmp_path)
