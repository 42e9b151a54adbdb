"""`store check` finds every damage that a test can think of, and nothing in a store that is whole."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import small

from benchmark import store
from benchmark.errors import DataError
from benchmark.store.check import check


def test_a_store_of_the_real_code_is_whole(filled: Path) -> None:
    found = check(filled)
    assert found.findings == ()
    assert (found.layout, found.runs, found.scores, found.placements, found.keys) == (2, 2, 2, 3, 4)
    noted = json.loads(next(filled.glob("runs/*/files.json")).read_text())
    assert found.files > 20 and "predictions/c3/images/clean/c3.mha" in noted["files"]
    assert noted["canary"] == ["c3", "c4"]


def test_no_store(tmp_path: Path) -> None:
    assert check(tmp_path / "nothing").layout == 0


def run_of(root: Path) -> Path:
    return sorted(root.glob("runs/[!.]*"))[0]


def score_of(root: Path) -> Path:
    return sorted(root.glob("scores/[!.]*"))[0]


def prediction(root: Path) -> Path:
    return run_of(root) / "predictions/c6/images/clean/c6.mha"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def reseal(folder: Path) -> None:
    """What a tamperer does who knows of `files.json`."""
    from benchmark.store import manifest

    manifest.seal(folder, canary=[])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit of a prediction": (lambda r: flip(prediction(r)), "not what its hash says"),
    "a prediction cut": (lambda r: os.truncate(prediction(r), 10), "has 10 bytes"),
    "a prediction gone": (lambda r: prediction(r).unlink(), "is missing"),
    "a prediction added": (lambda r: (run_of(r) / "predictions/c6/more.mha").touch(), "does not belong there"),
    "a link": (lambda r: (prediction(r).unlink(), prediction(r).symlink_to("/etc/hostname")), "is a link"),
    "a linked folder": (lambda r: (run_of(r) / "predictions/more").symlink_to("/etc"), "does not belong there"),
    "one bit of a score table": (lambda r: flip(score_of(r) / "cases.csv"), "cases.csv"),
    "no record": (lambda r: (run_of(r) / "run.json").unlink(), "has no run.json"),
    "a record that is no JSON": (lambda r: (run_of(r) / "run.json").write_text("{"), "problems"),
    "no hashes": (lambda r: (run_of(r) / "files.json").unlink(), "has no files.json"),
    "hashes that cannot be read": (lambda r: (run_of(r) / "files.json").write_text("[]"), "problems"),
    "a run under another's key": (lambda r: run_of(r).rename(r / "runs" / ("0" * 20)), "holds the run"),
    "a score without its run": (lambda r: shutil.rmtree(run_of(r)), "which is not there"),
    "a foreign folder": (lambda r: (r / "runs" / "copy of a run").mkdir(), "its name is no key"),
    "a foreign file": (lambda r: (r / "scores" / "notes.txt").touch(), "its name is no key"),
    "another digest, with new hashes": (
        lambda r: (edit(run_of(r) / "run.json", digest="sha256:other"), reseal(run_of(r))),
        "was made for the submission",
    ),
    "another case list, with new hashes": (
        lambda r: (edit(run_of(r) / "run.json", cases=[]), reseal(run_of(r))),
        "cases are not those",
    ),
    "another key basis, with new hashes": (
        lambda r: (edit(run_of(r) / "key.json", inputs="others"), reseal(run_of(r))),
        "gives the key",
    ),
    "another scorer, with new hashes": (
        lambda r: (edit(score_of(r) / "score.json", scorer="9"), reseal(score_of(r))),
        "was made for the scorer",
    ),
    "a placement that cannot be read": (lambda r: next(r.glob("submissions/*/*/*.json")).write_text("1"), "problems"),
    "a placement in another's place": (
        lambda r: next(r.glob("submissions/*/*/*.json")).rename(r / "submissions/toy/phantom/zzz.json"),
        "is that of",
    ),
    "a placement of a run that is gone": (
        lambda r: edit(next(r.glob("submissions/*/*/*.json")), run="0" * 20),
        "which is not there",
    ),
    "something among the placements": (lambda r: (r / "submissions/readme").touch(), "it is no placement"),
    "pins that cannot be read": (lambda r: (r / "pins.json").write_text("{"), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_nothing_is_changed(filled: Path, name: str) -> None:
    harm, words = DAMAGE[name]
    harm(filled)
    before = small.tree(filled)
    found = check(filled)
    assert any(words in finding.text for finding in found.problems), found.findings
    assert small.tree(filled) == before


def test_the_quick_check_sees_sizes_and_not_bits(filled: Path) -> None:
    flip(prediction(filled))
    assert not check(filled, content=False).problems and check(filled).problems
    os.truncate(prediction(filled), 10)
    assert check(filled, content=False).problems


def test_what_a_killed_process_leaves_is_a_note(filled: Path) -> None:
    (filled / "runs" / f".{'1' * 20}.partial" / "done").mkdir(parents=True)
    (filled / "runs" / f".{'1' * 20}.partial" / "done" / "c3.json").touch()
    (filled / "scores" / f".{'2' * 20}.partial").mkdir()
    (filled / ".import.partial").mkdir()
    (filled / "submissions/toy/phantom/.first.json.partial").touch()
    found = check(filled)
    assert found.problems == () and len(found.findings) == 4
    assert any("1 finished cases" in finding.text for finding in found.findings)


def test_a_later_layout_is_refused_everywhere(filled: Path) -> None:
    (filled / "store.json").write_text('{"schema_version": 3}')
    for look in (check, store.open_store):
        with pytest.raises(DataError, match="layout 3") as caught:
            look(filled)
        assert caught.value.code == "store_newer"
