"""A night with a real engine: an image is handed in, taken in, run in its sandbox, scored, placed and published; the next is idle."""

from __future__ import annotations

import html
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
from tests.chaos.places import small
from tests.conftest import write_toy
from tests.container import base
from tests.nightly import otherdays

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


NOISE = """
import gzip, os, pathlib
target = pathlib.Path("/output/images/clean")
target.mkdir(parents=True)
(source,) = pathlib.Path("/input/images/noisy").iterdir()
data = bytearray(gzip.decompress(source.read_bytes()))
for at in range(352, 384, 2):  # the first sixteen voxels, of 16 bits each
    data[at : at + 2] = os.urandom(1) + b"\\0"
(target / source.name).write_bytes(gzip.compress(bytes(data)))
"""
"""Gives back what it gets, and in sixteen voxels something else each time."""


def hand_in(
    folder: Path, work: Workplace, tasks_root: Path, name: str, image: str, title: str, requests: str = ""
) -> inbox.Entry:
    """Save an image as an archive and hand it in with its manifest."""
    folder.mkdir(parents=True)
    base.podman("save", "--quiet", "--format=docker-archive", f"--output={folder / 'image.tar'}", image)
    manifest = folder / "submission.toml"
    manifest.write_text(MANIFEST.format(name=name, title=title) + requests)
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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_containers_are_run_again_also_after_a_kill(engine: Runtime, clean: None, tmp_path: Path) -> None:
    """One that repeats itself and one that does not, in turn, a night each; the first of these nights is killed in the middle."""
    place = small(tmp_path)
    work, root = place.work, place.tasks
    config = Config(nightly=Nightly(baselines="none", engine="podman", disk_low_gb=0), executor={"workers": 1})
    for name, source in (("same", COPY), ("wild", NOISE)):
        image = base.python_image(f"night-{name}", source)
        hand_in(tmp_path / name, work, root, name, image, name.title(), '\n[requests]\ninputs = "nifti"\n')
    first = otherdays.night(work, config, [root], days=0)
    assert first is not None and first.exit_code == 0 and first.reproduced is None, first
    runs = {run.names[0]: run.key for run in first.runs}
    report = otherdays.killed_and_again(work, config, [root], days=1)
    assert report.exit_code == 0 and report.reproduced is not None and not report.site.changed
    assert (report.reproduced.run, report.reproduced.result.same) == (runs["same"], True)
    following = otherdays.night(work, config, [root], days=2)
    assert following is not None and following.reproduced is not None, following
    found = following.reproduced.result
    assert (following.reproduced.run, found.same, found.within, found.changed) == (runs["wild"], False, False, 3)
    assert found.difference is not None and 0 < found.difference <= 300 and found.unit == "HU"
    # It is said in the morning, and both rows show how they came out.
    assert following.exit_code == 1 and any("wild does not give again" in line for line in following.person)
    assert following.site.changed
    newest = json.loads((work.site / "newest.json").read_text())["edition"]
    board = json.loads((work.site / "editions" / newest / "tasks/toy/board.json").read_text())
    shown = {row["method"]["name"]: row["reproduction"] for row in board["rows"]}
    assert shown["same"] == report.reproduced.result.model_dump(mode="json")
    assert shown["wild"] == found.model_dump(mode="json")
    pages = "".join(path.read_text() for path in (work.site / "editions" / newest).rglob("*.html"))
    pages = html.unescape(pages)
    assert report.reproduced.result.sentence in pages and found.sentence in pages
    assert [(line["run"], line["same"]) for line in otherdays.reproductions(work)] == [
        (runs["same"], True),
        (runs["wild"], False),
    ]
    assert otherdays.idle(work, config, [root], days=2) and otherdays.sound(work)
