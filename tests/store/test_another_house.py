"""What one work folder holds goes to an empty one, by the real commands: nothing is due there, and its site is the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.command import ONE_MODEL, RADBENCH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORK = ("take_ins", "runs", "scores", "places", "publish", "reproduce", "waiting", "stopped")
"""All parts of a plan."""


def radbench(work: Path, *words: object, code: int = 0) -> str:
    done = subprocess.run(
        [*RADBENCH, *map(str, words), "--work", str(work)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def files(top: Path) -> dict[str, bytes]:
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def bundle(work: Path, site: str, target: Path, seed: int) -> Path:
    """A hospital scores the reference model on images of its own, in a work folder of its own."""
    radbench(work, "prepare", "denoising", "--size", 32, "--seed", seed)
    radbench(work, "run", "denoising", "--data", "phantom-32", "--baseline", "classical")
    radbench(
        work, "score", "denoising", "--data", "phantom-32", "--run", "classical", "--bundle", target, "--site", site
    )
    return target


def without_head(tree: dict[str, bytes]) -> dict[str, Any]:
    """A site but for where the ledger ended when its edition was made, and the seal over that."""
    shown: dict[str, Any] = dict(tree)
    for path in tree:
        if path.endswith("/edition.json"):
            record = json.loads(tree[path])
            assert record.pop("ledger_head") and record.pop("seal")
            shown[path] = record
    return shown


def test_all_that_one_house_holds_stands_in_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    radbench(first, "prepare", "denoising", "--size", 32)
    (first / "radbench.toml").write_text(ONE_MODEL)
    radbench(first, "run", "denoising", "--data", "phantom-32", "--baseline", "classical")
    radbench(first, "nightly")
    assert "All 23 outputs are the same" in radbench(first, "nightly")  # the run is run again
    radbench(first, "store", "pin", "classical")
    radbench(first, "merge", bundle(tmp_path / "hospital", "north", tmp_path / "north.json", 9))
    radbench(first, "nightly")
    radbench(first, "publish", "--date", "2026-01-31")
    assert "Nothing is due." in radbench(first, "nightly", "--dry-run")
    said = json.loads(radbench(first, "store", "export", tmp_path / "all.tar", "--json"))
    counts = {key: said[key] for key in ("runs", "scores", "placements", "reproductions", "bundles", "pins", "ledger")}
    assert counts == {
        "runs": 2, "scores": 2, "placements": 2, "reproductions": 1, "bundles": 1, "pins": True, "ledger": True
    }  # fmt: skip

    radbench(second, "store", "import", tmp_path / "all.tar", "--sha256", said["sha256"])
    assert files(second / "store") == files(first / "store")
    assert files(second / "data") == {
        path: data for path, data in files(first / "data").items() if path.startswith("denoising/federated/")
    }
    radbench(second, "prepare", "denoising", "--size", 32)  # the same call gives the same bytes
    assert files(second / "data") == files(first / "data")
    (second / "radbench.toml").write_text(ONE_MODEL)
    assert "0 problems" in radbench(second, "store", "check") and "0 problems" in radbench(second, "ledger", "verify")

    # With its site, and what the last night noted of it: nothing is due, and publishing changes not a byte.
    shutil.copytree(first / "site", second / "site")
    shutil.copytree(first / "nights" / "memory", second / "nights" / "memory")
    due = json.loads(radbench(second, "nightly", "--dry-run", "--json"))
    assert {part: due[part] for part in WORK if due[part]} == {}
    assert "unchanged" in radbench(second, "publish", "--date", "2026-02-01")
    assert files(second / "site") == files(first / "site")
    assert "0 differences" in radbench(second, "verify", second / "site")
    assert "Nothing was due." in radbench(second, "nightly")
    assert files(second / "site") == files(first / "site")

    # Without it: only the site is due, and it comes out as the first house makes it anew.
    for house in (first, second):
        shutil.rmtree(house / "site")
        shutil.rmtree(house / ".site.cache", ignore_errors=True)
    due = json.loads(radbench(second, "nightly", "--dry-run", "--json"))
    assert [part for part in WORK if due[part]] == ["publish"]
    for house in (first, second):
        radbench(house, "publish", "--date", "2026-01-31")
    assert without_head(files(second / "site")) == without_head(files(first / "site"))
    assert "0 differences" in radbench(second, "verify", second / "site")

    # What a night reads and what an export leaves out is in the documents, all of it.
    named = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
    for path in (*first.iterdir(), *(first / "store").iterdir()):
        if path.suffix != ".lock" and not path.name.startswith("."):
            name = f"store/{path.name}" if path.parent.name == "store" else path.name
            assert f"`{name}" in named or f"\n    {name}" in named, name
