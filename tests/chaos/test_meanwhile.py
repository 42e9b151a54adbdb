"""What is changed around a night while it works: data, inbox, the lease, the machine's sleep."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmark import inbox, lease, store
from benchmark.ledger import Ledger, verify
from benchmark.nightly.attempts import read
from benchmark.nightly.memory import Memory
from tests.chaos.places import small, unsound
from tests.nightly.scripted import Place


class Meanwhile(list):  # type: ignore[type-arg]
    """Does something once, the moment before the hands do what they are asked."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__([1])
        self.act = act

    def pop(self, index: int = 0) -> None:  # type: ignore[override]
        super().pop(index)
        self.act()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One submission, and no night yet."""
    made = small(tmp_path)
    made.submit("one", "a", day=1)
    return made


def lines(place: Place) -> list[tuple[str, str]]:
    """Of each line of the ledger its kind and whom it concerns."""
    return [(e.kind, str(e.facts.get("submission", ""))) for e in Ledger(place.work.ledger).entries()]


def test_an_edition_that_is_replaced_between_plan_and_run_is_no_fault_of_radbench(place: Place) -> None:
    report = place.night(fails={"run one": Meanwhile(lambda: place.prepare(seed=2))})
    assert report.exit_code == 1 and [(f.what, f.code) for f in report.failed] == [("run", "changed_meanwhile")]
    assert any("as they were when it was planned" in line for line in report.person)
    assert not report.rows
    assert [a.counted for a in read(place.work)] == [False]
    report = place.night()
    assert report.exit_code == 0 and len(report.scores) == len(report.rows) == 1 and report.site.changed
    assert place.did.count("run one") == 0, "what was run on the new edition was kept"
    assert unsound(place.work.root) == [] and place.night().exit_code == 0 and place.did == []


def test_what_is_handed_in_in_mid_night_has_its_line_before_its_run(place: Place) -> None:
    late = Meanwhile(lambda: place.submit("two", "b", day=2))
    report = place.night(fails={"take-in one": late}, window=1)
    assert report.exit_code == 0 and {r.names for r in report.runs} == {("one",), ("two",)}
    told = lines(place)
    assert [told.count(("submitted", name)) for name in ("one", "two")] == [1, 1]
    assert told.index(("submitted", "two")) < told.index(("run_started", "two"))
    assert [a.counted for a in read(place.work)] == [True, True] and verify(place.work.ledger) == []
    assert place.night().exit_code == 0 and place.did == []


@pytest.mark.parametrize("when", ["run one", "score one", "publish"])
def test_what_is_handed_in_late_in_the_night_runs_in_the_next(place: Place, when: str) -> None:
    """Also a new version of what is being run: the night ends with the one that it began with."""

    def hand_in() -> None:
        place.submit("one", "c", day=20)
        place.submit("two", "b", day=21)

    report = place.night(fails={when: Meanwhile(hand_in)}, window=1)
    assert report.exit_code == 0 and [r.names for r in report.runs] == [("one",)] and report.site.changed
    report = place.night()
    assert report.exit_code == 0 and {r.names for r in report.runs} == {("one",), ("two",)}
    assert [a.counted for a in read(place.work)] == [True, True, True]
    assert place.night().exit_code == 0 and place.did == []


def test_a_folder_that_is_half_copied_in_mid_night_costs_the_others_nothing(place: Place) -> None:
    broken = place.work.inbox / "aaaaaaaaaaaaaaaaaaaa"

    def copy_half() -> None:
        broken.mkdir()
        (broken / "entry.json").write_text('{"id": "aaa')

    report = place.night(fails={"run one": Meanwhile(copy_half)}, window=1)
    assert report.exit_code == 0 and [r.names for r in report.runs] == [("one",)] and report.site.changed
    report = place.night()  # it is there still
    assert report.exit_code == 1 and any("aaaaaaaaaaaaaaaaaaaa" in line for line in report.person)
    next(iter(broken.iterdir())).unlink()
    broken.rmdir()
    assert place.night().exit_code == 0 and place.did == []


def test_a_night_that_lost_its_lease_writes_nothing_more(place: Place) -> None:
    """It was held still, such as by a suspended machine, and another one took over: what follows is that one's to write."""
    lock = place.work.root / lease.FOLDER

    def take_over() -> None:
        (mine,) = lock.glob("*.holder")
        other = json.loads(mine.read_text()) | {"host": "elsewhere", "token": "another"}
        (lock / f"{int(mine.stem) + 1:06d}.holder").write_text(json.dumps(other))

    report = place.night(fails={"run one": Meanwhile(take_over)})
    assert report.exit_code == 1 and any("was taken over by radbench nightly" in line for line in report.person)
    assert place.last is not None and place.last.closed and place.did == ["take-in one", "run one"]
    kinds = [kind for kind, _ in lines(place)]
    assert kinds == ["submitted", "night_started", "run_started"], "neither its run's end nor its own"
    (entry,) = inbox.entries(place.work.inbox)
    assert not (place.work.inbox / entry.id / "outcome.json").exists() and not place.work.site.exists()
    assert not store.load_placements(place.work.store) and not Memory(place.work).load("basis")
    (other,) = lock.glob("000001.holder")
    other.with_suffix(".released").touch()
    report = place.night()  # as the one that took over would: the run is there
    assert report.exit_code == 0 and "run one" not in place.did and report.site.changed
    assert [a.counted for a in read(place.work)] == [True] and unsound(place.work.root) == []


def test_a_machine_that_slept_in_mid_night_is_no_clock_that_was_set(place: Place) -> None:
    def sleep() -> None:
        assert place.last is not None
        place.last.asleep += timedelta(hours=3).total_seconds()

    report = place.night(fails={"run one": Meanwhile(sleep)})
    assert report.exit_code == 0 and report.notes == ("The machine was suspended for 3.0 h in the night.",)


def test_a_virtual_machine_that_was_held_still_may_be_what_moved_the_clock(place: Place) -> None:
    """Its own clocks stand still; only the time of day, set right afterwards, tells."""

    def stop() -> None:
        assert place.last is not None
        place.last.time += timedelta(hours=3)

    report = place.night(fails={"run one": Meanwhile(stop)})
    assert report.exit_code == 1
    assert any("set forward by 3.0 h during the night, or the machine was held" in line for line in report.person)
