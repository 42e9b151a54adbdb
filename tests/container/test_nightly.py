"""A night with a real engine: an image is handed in, taken in, run in its sandbox, scored, placed and published; the next is idle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark import dataset, inbox, tasks
from benchmark.container import Runtime
from benchmark.nightly import gather, session
from benchmark.nightly.attempts import read
from benchmark.nightly.config import Config, Nightly
from benchmark.nightly.report import NightReport
from benchmark.workplace import Workplace
from tests.conftest import write_toy
from tests.container import base

COPY = """
import pathlib, shutil
target = pathlib.Path("/output/images/clean")
target.mkdir(parents=True)
(source,) = pathlib.Path("/input/images/noisy").iterdir()
shutil.copy(source, target / source.name)
"""

MANIFEST = """
task = "toy"
task_version = "1"
image = "image.tar"
contact = "someone@example.org"

[method]
name = "{name}"
title = "{title}"
team = "Team"
description = "Gives back what it gets."
citation = "None."
licence = "CC0-1.0"
"""


def hand_in(folder: Path, work: Workplace, tasks_root: Path, name: str, image: str, title: str) -> inbox.Entry:
    """Save an image as an archive and hand it in with its manifest."""
    folder.mkdir(parents=True)
    base.podman("save", "--quiet", "--format=docker-archive", f"--output={folder / 'image.tar'}", image)
    manifest = folder / "submission.toml"
    manifest.write_text(MANIFEST.format(name=name, title=title))
    entry, _ = inbox.submit(manifest, tasks.find("toy", [tasks_root]).task, work.inbox)
    return entry


def night(work: Workplace, tasks_root: Path) -> NightReport:
    config = Config(nightly=Nightly(baselines="none", engine="podman", disk_low_gb=0))
    report, error = session.hold(gather.surroundings(work, config, [tasks_root]), say=lambda line: None)
    assert report is not None, error
    return report


@pytest.mark.timeout(600)
def test_a_night_with_podman(engine: Runtime, clean: None, tmp_path: Path) -> None:
    work, root = Workplace(tmp_path / "work"), write_toy(tmp_path / "tasks")
    folder = tasks.find("toy", [root])
    dataset.prepare(work.data, folder.task, folder.maker("phantom")(), workers=1)
    image = base.python_image("night-copy", COPY)
    one = hand_in(tmp_path / "one", work, root, "one", image, "First")
    two = hand_in(tmp_path / "two", work, root, "two", image, "Second")
    report = night(work, root)
    assert report.exit_code == 0, report
    (run,) = report.runs  # two submissions of one image share a run
    assert run.names == ("one", "two") and run.cases == 7 and run.codes == {}
    assert report.cost.case_seconds > 0 and report.cost.peak_memory_mb
    board = json.loads(next((work.site / "editions").glob("*/tasks/toy/board.json")).read_text())
    rows = {row["method"]["title"]: row for row in board["rows"]}
    assert rows.keys() == {"First", "Second"} and {row["engine"] for row in rows.values()} == {"podman/exec"}
    # The toy's model gives back an image that is 10 HU off.
    assert {a["value"] for row in rows.values() for a in row["aggregates"] if a["metric"] == "mae"} == {10.0}
    for entry in (one, two):
        told = json.loads((work.inbox / entry.id / "outcome.json").read_text())
        assert told["state"] == "done" and told["counted"]
    assert [a.counted for a in read(work)] == [True, True]
    before = {p: p.read_bytes() for p in work.site.rglob("*") if p.is_file()}
    idle = night(work, root)
    assert idle.planned == {} and idle.exit_code == 0
    # Handed in anew under another title: no container is started for that.
    hand_in(tmp_path / "again", work, root, "one", image, "First, renamed")
    assert {p: p.read_bytes() for p in work.site.rglob("*") if p.is_file()} == before
    report = night(work, root)
    assert not report.runs and [row.why for row in report.rows] == ["it says something else of itself: title"]
    assert any("First, renamed" in text for text in [(work.site / "tasks/toy/index.html").read_text()])
