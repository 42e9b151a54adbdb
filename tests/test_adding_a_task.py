"""`docs/adding-a-task.md`, followed word for word in an empty folder: every file written, every command typed, in the page's order."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import RADBENCH

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding-a-task.md"
pytestmark = pytest.mark.timeout(900)  # a dozen commands, each of which starts Python anew: 25 s on an idle machine
FENCE = re.compile(r"^(?:`(?P<name>[^`\n]+)`:\n\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """(file name or "", language, content) of every block of the page, in order."""
    return [(m["name"] or "", m["kind"], m["body"]) for m in FENCE.finditer(PAGE.read_text("utf-8"))]


PACKAGES = ("benchmark", "leaderboard", "baselines", "tasks")


def contents(harness: Path) -> dict[str, str]:
    """Hash of every file of the harness, by path; what Python and numba compile is theirs."""
    files = sorted(path for path in harness.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(harness)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_page_has_what_it_promises() -> None:
    named = [name for name, _, _ in blocks() if name]
    assert named == ["tasks/shading/task.toml", "tasks/shading/README.md", "tasks/shading/data.py", "model.py"]
    assert [kind for name, kind, _ in blocks() if not name] == ["", "sh", "sh", "sh", "sh", "sh"]
    assert PAGE.read_text("utf-8").count("```") == 2 * len(blocks())  # none is overlooked


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, so that it can be seen whether anything wrote into them."""
    folder = tmp_path_factory.mktemp("harness")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns(".*"))
    return folder


@pytest.fixture(scope="module")
def followed(harness: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder after the whole page, and what each command printed."""
    before = contents(harness)
    folder = tmp_path_factory.mktemp("challenge")
    tools = folder / ".tools"
    tools.mkdir()
    start = f'#!/bin/sh\nexec {shlex.join(RADBENCH)} "$@"\n'
    (tools / "radbench").write_text(start)
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RADBENCH_")}
    environment |= {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(harness),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
    }
    printed = []
    for name, kind, body in blocks():
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(body, "utf-8")
        elif kind == "sh":
            for line in body.splitlines():
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", line],
                    cwd=folder,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=300,
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                printed.append(f"$ {line}\n{done.stdout}")
    assert contents(harness) == before, "something wrote into the harness"
    return folder, printed


def output(followed: tuple[Path, list[str]], command: str) -> str:
    """What the first command that starts so printed."""
    return next(text for text in followed[1] if text.startswith(f"$ {command}"))


def test_the_page_leads_to_a_published_leaderboard(followed: tuple[Path, list[str]]) -> None:
    site = followed[0] / "work" / "site"
    editions = [p for p in (site / "editions").iterdir() if p.is_dir() and not p.name.startswith(".")]
    assert len(editions) == 1
    page = (editions[0] / "tasks" / "shading" / "index.html").read_text("utf-8")
    assert "Divided by its own blur" in page and "No correction" in page
    assert "Scored from files; not run here." in next(editions[0].rglob("smooth/index.html")).read_text("utf-8")
    assert "MR shading removal" in (site / "index.html").read_text("utf-8")
    assert "0 differences" in output(followed, "radbench verify")
    assert "Divided by its own blur" in output(followed, "radbench cite")


def test_the_entry_beats_the_floor_and_every_case_counts(followed: tuple[Path, list[str]]) -> None:
    summaries = {
        name: json.loads((followed[0] / "scored" / name / "summary.json").read_text("utf-8"))
        for name in ("none", "smooth", "pairs")
    }
    errors = {name: summary["metrics"]["nmse"] for name, summary in summaries.items()}
    assert errors["smooth"]["value"] < 0.6 * errors["none"]["value"]
    assert [errors[name]["n"] for name in ("none", "smooth", "pairs")] == [24, 24, 2]
    assert all(
        not summary["problems"] and not summary["ignored"] for name, summary in summaries.items() if name == "pairs"
    )
    assert summaries["pairs"]["kind"] == "real" and summaries["smooth"]["kind"] == "phantom"


def test_the_audit_finds_the_gap_that_the_page_plants(followed: tuple[Path, list[str]]) -> None:
    found = json.loads((followed[0] / "work/audits/shading/phantom/smooth/audit.json").read_text("utf-8"))
    gaps = [gap for gap in found["fairness"]["gaps"] if gap["partition"] == "coil" and gap["measure"] == "nmse"]
    truth = json.loads((followed[0] / "work/data/shading/phantom/truth.json").read_text("utf-8"))
    assert [gap["worst"] for gap in gaps] == [truth["harder"]["coil"]]
    assert gaps[0]["more_than_chance"]


def test_the_commands_ran_the_copy_that_did_not_change(harness: Path, followed: tuple[Path, list[str]]) -> None:
    """That nothing in it changed is asserted where the page is followed; here, that it is what was run."""
    done = subprocess.run(
        ["radbench", "tasks", "--json"],
        cwd=followed[0],
        env={**os.environ, "PATH": f"{followed[0] / '.tools'}:{os.environ['PATH']}", "PYTHONPATH": str(harness)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "shading" not in done.stdout and done.returncode == 0  # without --tasks there is no such task
    where = subprocess.run(
        [followed[0] / ".tools/python", "-c", "import benchmark; print(benchmark.__file__)"],
        cwd=followed[0],
        env={**os.environ, "PYTHONPATH": str(harness)},
        capture_output=True,
        text=True,
    ).stdout
    assert Path(where.strip()).is_relative_to(harness)
