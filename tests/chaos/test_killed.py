"""A night is killed at every place at which it writes something, and held again: the end is that of a night that was not killed.

Equal are every byte of the store and the site, the outcomes, the ledger's facts and what is remembered; times are not, and neither is
how often a run was begun. Nothing is left behind, and a further night finds nothing to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.conftest import Story
from tests.chaos.faults import Fault, Point
from tests.chaos.places import different, held, hold, processes, unsound
from tests.command import RADBENCH

KINDS = {
    "store", "store/runs", "store/scores", "store/submissions", "ledger", "lease", "report", "memory", "outcome", "edition", "front",
    "cache", "process",
}  # fmt: skip
"""All that a night writes."""
LEAST = 50
"""Points that are tried at least."""


def places_of(points: Iterable[Point]) -> list[Point]:
    """The first time that each place is reached."""
    found: dict[str, Point] = {}
    for point in points:
        found.setdefault(point.label, point)
    return list(found.values())


SAME_WHEN_KILLED = ("fsync", "os.mkdir")
"""What SIGKILL cannot tell from the next thing that happens: only a power cut knows what was flushed, and folders are made anew."""


def chosen(stories: dict[str, Story], *, all_of_them: bool) -> list[tuple[Story, Fault]]:
    """Where to kill. By default every place that renames, links, removes, appends, starts, or writes beside nothing, at its first
    time, and some with half of a file on disk; in the long test also where a file that is to be renamed is opened, flushes and
    folders, both nights, and every place at its last time."""
    one, other = stories["first"], stories["later"]
    found: list[tuple[Story, Fault]] = []
    seen: set[str] = set()
    for story in (one, other):
        for point in places_of(story.points):
            if point.label in seen and not (all_of_them and _tells(point)):
                continue
            if all_of_them or (_tells(point) and not point.label.startswith("open atomic.py")):
                found.append((story, Fault("kill", point.label, point.nth)))
                seen.add(point.label)
    torn = [p for p in places_of(one.points) if p.event in ("fsync", "write")]
    found += [(one, Fault("torn", p.label, p.nth)) for p in (torn if all_of_them else torn[:: len(torn) // 4])]
    if all_of_them:
        for story in (one, other):
            last = [p for p in places_of(reversed(story.points)) if p.nth and _tells(p)]
            found += [(story, Fault("kill", p.label, p.nth)) for p in last]
    return found


def _tells(point: Point) -> bool:
    """Whether being killed there leaves something else behind than at the next point."""
    return point.event not in SAME_WHEN_KILLED and (point.kind != "ledger" or point.event == "write")


def survived(story: Story, fault: Fault, folder: Path) -> list[str]:
    """Kill a night there, hold it again until nothing is due, and say what is not as it should be."""
    place = story.before.copy(folder)
    number = 20
    try:
        killed = hold(place, number=number, fault=fault)
        if killed.exit != -9:
            return [f"it was not killed: {killed}"]
        end = time.monotonic() + 20
        while (left := processes(place.work.root)) and time.monotonic() < end:
            time.sleep(0.01)
        if left:
            return [f"process left behind: {left}"]
        repaired = hold(place, number=number + 1)
        if repaired.trace or repaired.report is None or repaired.report["exit_code"] != 0:
            return [f"the next night: {repaired.error}{repaired.trace}{(repaired.report or {}).get('person')}"]
        idle = hold(place, number=number + 2)
        lines = [] if idle.report and not idle.report["planned"] else [f"the night after has work: {idle.report}"]
        lines += different(story.wanted, held(place.work.root))
        torn = fault.mode == "torn"
        lines += [line for line in unsound(place.work.root) if not (torn and line.startswith("torn: ledger"))]
        return lines
    finally:
        shutil.rmtree(folder)


def sweep(faults: Sequence[tuple[Story, Fault]], root: Path) -> dict[str, list[str]]:
    """What is not as it should be, by point; two at a time."""
    with ThreadPoolExecutor(max(2, (os.cpu_count() or 2) // 2)) as pool:
        futures = {
            f"{story.name}: {fault.mode} at {fault.label} ({fault.nth})": pool.submit(
                survived, story, fault, root / str(number)
            )
            for number, (story, fault) in enumerate(faults)
        }
        return {name: lines for name, future in futures.items() if (lines := future.result())}


def report(bad: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}\n    " + "\n    ".join(lines) for name, lines in bad.items())


def test_a_night_writes_all_that_is_to_be_interrupted(stories: dict[str, Story]) -> None:
    """Else the test below would miss something without a word."""
    assert {point.kind for story in stories.values() for point in story.points} == KINDS
    events = {point.event for point in stories["first"].points}
    assert events >= {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "fsync", "write", "subprocess.Popen"}


@pytest.mark.timeout(900)
def test_killed_anywhere_the_next_night_leads_to_the_same_end(stories: dict[str, Story], tmp_path: Path) -> None:
    faults = chosen(stories, all_of_them=False)
    assert len(faults) >= LEAST
    bad = sweep(faults, tmp_path)
    assert not bad, report(bad)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_anywhere_and_late(stories: dict[str, Story], tmp_path: Path) -> None:
    bad = sweep(chosen(stories, all_of_them=True), tmp_path)
    assert not bad, report(bad)


def test_what_the_sites_say_follows_from_their_tables(stories: dict[str, Story]) -> None:
    """Sites after a kill are these byte for byte, so what holds of one holds of all."""
    for story in stories.values():
        done = subprocess.run(
            [*RADBENCH, "verify", str(story.after / "site")],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0 and "0 differences" in done.stdout, done.stdout + done.stderr
