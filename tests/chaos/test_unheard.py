"""The command where nobody can hear it: descriptors closed, standard output full or gone, an environment with nothing in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.places import small

RADBENCH = [sys.executable, "-c", "from benchmark.cli import main; main()"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a submission, and no engine that could run it: a night has much to say and ends with 1."""
    place = small(tmp_path_factory.mktemp("unheard"))
    place.submit("one", "a", day=1)
    text = '[nightly]\ntasks = ["toy"]\nbaselines = "none"\nengine = "podman"\ndisk_low_gb = 0\nretries.times = 0\n'
    (place.work.root / "radbench.toml").write_text(text)
    return place.work.root


def night(folder: Path, *, around: str = '"$@"', **more: Any) -> tuple[int, dict[str, Any]]:
    """Hold one as a line of a shell would, in cron's environment or less; its exit code and its report."""
    before = set(folder.glob("nights/*/report.json"))
    words = [*RADBENCH, "nightly", "--work", str(folder), "--tasks", str(folder.parent / "tasks")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["/bin/sh", "-c", around, "sh", *words], env=environment, cwd="/", timeout=120, check=False, **more
    )
    (report,) = set(folder.glob("nights/*/report.json")) - before
    return done.returncode, json.loads(report.read_text())


@pytest.mark.parametrize(
    "around",
    [
        '"$@" </dev/null >/dev/null 2>&1',
        '"$@" 0<&- 1>&- 2>&-',
        '"$@" 2>&-',
        '"$@" >/dev/full 2>&1',
        '"$@" 2>/dev/full >/dev/null',
        'PYTHONIOENCODING=ascii "$@" >/dev/null 2>&1',
    ],
)
def test_what_nobody_hears_changes_neither_report_nor_exit_code(folder: Path, around: str) -> None:
    code, report = night(folder, around=around)
    assert code == report["exit_code"] == 1
    assert [(item["what"], item["code"]) for item in report["failed"]] == [("take in", "no_engine")]
    assert (folder / "nights" / report["night"] / "report.txt").read_text().startswith("Night ")


def test_a_reader_that_went_away(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, report = night(folder, stdout=writing, stderr=writing)
    os.close(writing)
    assert code == report["exit_code"] == 1 and report["failed"][0]["code"] == "no_engine"
