"""The type of an error decides what becomes of it: retried, explained, stopped, or kept as a fault of ours; the night goes on."""

from __future__ import annotations

import errno
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmark import store
from benchmark.errors import DataError, InfrastructureError, SubmissionError
from benchmark.nightly import failures
from benchmark.nightly.attempts import read
from benchmark.nightly.config import Retries
from benchmark.nightly.outcomes import Outcome
from tests.nightly.scripted import Place

ENGINE = InfrastructureError("engine_failed", "podman did not answer")


def outcome(place: Place, entry: str) -> Outcome:
    return Outcome.model_validate_json((place.work.inbox / entry / "outcome.json").read_text())


def test_an_infrastructure_error_is_retried_with_growing_pauses_and_costs_nothing(place: Place) -> None:
    entry = place.submit("one")
    report = place.night(fails={"run": [ENGINE, ENGINE]})
    assert report.exit_code == 0 and [r.names for r in report.runs] == [("one",)]
    assert place.last is not None
    first, second = place.last.slept
    assert 8 <= first <= 12 and 16 <= second <= 24  # 10 s doubled, each with a fifth drawn
    assert [(a.counted, a.why) for a in read(place.work)] == [(True, "ran")]
    assert outcome(place, entry.id).counted


def test_after_its_retries_it_waits_for_the_next_night(place: Place) -> None:
    entry = place.submit("one")
    report = place.night(fails={"run": [ENGINE] * 3})
    (failed,) = report.failed
    assert (report.exit_code, failed.group, failed.code, failed.tries, failed.nights) == (
        1,
        "infrastructure",
        "engine_failed",
        3,
        1,
    )
    assert [(a.counted, a.why, a.code) for a in read(place.work)] == [(False, "infrastructure", "engine_failed")]
    told = outcome(place, entry.id)
    assert (told.state, told.counted) == ("waiting", False) and "no fault of yours" in told.sentence
    again = place.night(fails={"run": [ENGINE] * 3})
    assert again.failed[0].nights == 2
    assert place.night().exit_code == 0
    assert outcome(place, entry.id).state == "done"
    assert place.night().planned == {}


def test_pauses_are_declared_capped_and_drawn_from_a_seed() -> None:
    rules = Retries(first_seconds=30, most_seconds=100, jitter=0.2)
    pauses = [failures.pause(rules, "key", tries) for tries in range(1, 6)]
    assert pauses == [failures.pause(rules, "key", tries) for tries in range(1, 6)]
    assert all(0.8 * base <= pause <= 1.2 * base for pause, base in zip(pauses, (30, 60, 100, 100, 100), strict=True))
    assert failures.pause(rules, "other", 1) != pauses[0]
    assert failures.pause(rules.model_copy(update={"jitter": 0}), "key", 2) == 60


def test_a_refused_image_is_final_counted_and_explained(place: Place) -> None:
    entry, other = place.submit("one"), place.submit("two", "b", day=2)
    root = SubmissionError("image_root", "the image runs as root", expected="an ordinary user")
    report = place.night(fails={"take-in one": [root]})
    assert report.exit_code == 0  # nothing for the organiser to do
    assert [f.code for f in report.failed] == ["image_root"] and [r.names for r in report.runs] == [("two",)]
    told = outcome(place, entry.id)
    assert (told.state, told.code, told.counted) == ("refused", "image_root", True) and "ordinary user" in told.sentence
    assert outcome(place, other.id).state == "done"
    assert place.night().planned == {} and place.did == []
    assert [(a.name, a.counted) for a in read(place.work)].count(("one", True)) == 1


def test_a_broken_edition_stops_its_task_and_not_the_night(place: Place) -> None:
    place.submit("one")
    assert place.night().exit_code == 0
    before = place.site()
    path = place.work.data / "toy/phantom/references/c5/images/truth/c5.mha"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    place.submit("two", "b", day=9)
    report = place.night()
    assert report.exit_code == 1 and [(s.task, s.edition, s.code) for s in report.stopped] == [
        ("toy", "phantom", "edition_broken")
    ]
    assert place.did == [] and place.site() == before
    assert "c5" not in report.model_dump_json().replace("[sealed case]", "")


def test_a_data_error_in_the_middle_stops_the_board_only(place: Place) -> None:
    place.submit("one")
    place.submit("two", "b", day=2)
    broken = DataError("reference_invalid", "case c5: the mask is empty")
    report = place.night(fails={"score one": [broken]}, window=1)
    assert report.exit_code == 1 and report.failed[0].code == "reference_invalid"
    assert "c5" not in report.failed[0].sentence and "[sealed case]" in report.failed[0].sentence
    assert (not report.rows and [left.what for left in report.left] == ["row", "run", "score"]) or report.left
    assert [(a.counted, a.why) for a in read(place.work) if a.counted] == []


def test_a_bug_fails_its_item_with_a_traceback_and_exit_code_2(place: Place) -> None:
    place.submit("one")
    place.submit("two", "b", day=2)
    report = place.night(fails={"run one": [ZeroDivisionError("of all things")]})
    assert report.exit_code == 2 and [r.names for r in report.runs] == [("two",)]
    (failed,) = report.failed
    details = place.work.root / "nights" / report.night / failed.details
    assert "ZeroDivisionError: of all things" in details.read_text() and details.stat().st_mode & 0o077 == 0
    assert failed.group == "bug" and report.site.changed
    assert not any(a.counted for a in read(place.work) if a.name == "one")


def test_an_engine_that_is_gone_stops_containers_and_not_scoring(settled: Place) -> None:
    settled.submit("four", "c", day=9)
    settled.submit("five", "d", day=10)
    settled.edit('[[metrics]]\nname = "mae"', '[[metrics]]\nname = "mae"\n\n[[metrics]]\nid = "again"\nname = "mae"')
    report = settled.night(fails={"take-in": [InfrastructureError("no_engine", "podman is not installed")]}, window=1)
    assert report.exit_code == 1 and len(report.scores) == 2 and not report.runs
    assert [(left.what, left.count) for left in report.left] == [("take in", 1)]
    assert sum("podman is not installed" in line for line in report.person) == 1 and report.site.changed


def test_a_low_disk_begins_no_run_and_says_so(settled: Place) -> None:
    settled.submit("four", "c", day=9)
    report = settled.night(free=3.0)
    assert report.exit_code == 1 and not report.runs
    (line,) = report.person
    assert "3.0 GB are free" in line and "10 GB" in line
    assert settled.night(free=30.0).exit_code == 0


def test_a_full_disk_is_ours_whatever_it_was_raised_as(settled: Place) -> None:
    settled.submit("four", "c", day=9)
    report = settled.night(fails={"run": [OSError(errno.ENOSPC, "No space left on device", "/x")]})
    assert [(f.group, f.code) for f in report.failed] == [("infrastructure", "no_space")]


def test_a_gpu_that_is_lost_stops_what_needs_one(place: Place) -> None:
    nightly = place.config.nightly.model_copy(update={"gpu": "all"})
    place.config = place.config.model_copy(update={"nightly": nightly})
    place.submit("one", gpu=True)
    place.submit("two", "b", gpu=True, day=2)
    place.submit("three", "c", day=3)
    place.night(fails={"run": [InfrastructureError("engine_unfit", "x")] * 3})  # all images are taken in now

    class Dying(list):  # type: ignore[type-arg]
        def pop(self, index: int = 0) -> BaseException | None:  # type: ignore[override]
            assert place.last is not None
            place.last.gpu_dead = True
            return ENGINE

    report = place.night(fails={"run one": Dying([1])}, window=1)
    assert [(f.code, f.names) for f in report.failed] == [("gpu_lost", ("one",))]
    assert [r.names for r in report.runs] == [("three",)]
    assert any("GPU went away" in line for line in report.person)


def test_an_image_that_vanished_is_ours_where_it_was_named_and_not_handed_in(place: Place) -> None:
    entry = place.submit("one", archive="")
    gone = SubmissionError("image_unreadable", "podman neither has nor can fetch registry.example/x")
    report = place.night(fails={"take-in": [gone] * 3})
    assert [(f.group, f.code) for f in report.failed] == [("infrastructure", "image_gone")]
    assert not outcome(place, entry.id).counted and outcome(place, entry.id).state == "waiting"
    assert place.night().exit_code == 0
    changed = failures.classify(SubmissionError("image_changed", "x is now y"), "take_in", archived=False)
    assert (changed.group, changed.code) == ("submission", "image_changed")
    pruned = failures.classify(SubmissionError("image_changed", "not in podman's store"), "run")
    assert (pruned.group, pruned.code, pruned.retry) == ("infrastructure", "image_gone", True)


def test_a_clock_that_is_behind_the_ledger_is_said(settled: Place) -> None:
    settled.day -= timedelta(days=3)
    report = settled.night()
    assert report.exit_code == 1 and "before the last line of the ledger" in report.person[0]


def test_a_clock_that_is_turned_in_the_night_is_said(place: Place) -> None:
    place.submit("one")

    class Turning(list):  # type: ignore[type-arg]
        def pop(self, index: int = 0) -> BaseException | None:  # type: ignore[override]
            assert place.last is not None
            place.last.time += timedelta(hours=2)
            return ENGINE if len(place.last.slept) < 2 else None

    around = place.night(fails={"run one": Turning([1])})
    assert any("set forward by 2.0 h" in line for line in around.person) or any(
        "set forward" in line for line in around.person
    )


def test_an_interrupt_ends_cleanly_and_the_next_night_goes_on(place: Place) -> None:
    place.submit("one")
    place.submit("two", "b", day=2)
    report = place.night(fails={"run two": [KeyboardInterrupt()]}, window=1)
    assert report.interrupted and place.last is not None and place.last.closed
    assert json.loads((place.work.root / "nights" / report.night / "report.json").read_text())["interrupted"]
    report = place.night()
    assert report.exit_code == 0 and len(store.load_placements(place.work.store)) == 2
    assert [a.counted for a in read(place.work)] == [True, True]


def test_a_site_that_would_lose_rows_is_held(settled: Place) -> None:
    before = settled.site()
    settled.edit('[[metrics]]\nname = "mae"', '[[metrics]]\nname = "mae"\n\n[[metrics]]\nid = "again"\nname = "mae"')
    report = settled.night(fails={"score one": [MemoryError()]})
    assert report.site.held and "2 rows have no score" in report.site.why and settled.site() == before
    assert report.exit_code == 2
    assert settled.night().exit_code == 0 and settled.site() != before


def test_nothing_that_looks_like_a_secret_is_in_report_or_log(settled: Place) -> None:
    settled.submit("four", "c", day=9)
    secret = InfrastructureError("engine_failed", "login with password=hunter2andmore failed")
    report = settled.night(fails={"run": [secret] * 3})
    folder = settled.work.root / "nights" / report.night
    for name in ("report.json", "report.txt", "night.log"):
        assert "hunter2" not in (folder / name).read_text(), name
    assert "[withheld]" in report.failed[0].sentence


def test_names_of_another_team_and_of_old_versions_are_refused_without_cost(settled: Place) -> None:
    thief = settled.submit("one", "d", team="Thieves", day=8)
    report = settled.night()
    assert settled.did == [] and report.exit_code == 0
    told = outcome(settled, thief.id)
    assert (told.state, told.code, told.counted) == ("refused", "manifest", False) and "another team" in told.sentence
    settled.edit('version = "1"', 'version = "2"')
    mine = settled.submit("five", "e", day=9)
    settled.night()
    assert "version '2' now" in outcome(settled, mine.id).sentence


def test_a_stranger_s_words_stop_no_night(place: Place) -> None:
    place.submit("one", team="password=hunter2\nandmore \u202e" + "x" * 400, title="token: abcdefghijk\x1b[2J")
    report = place.night()
    assert report.exit_code == 0 and len(report.rows) == 1
    assert "hunter2" not in (place.work.root / "ledger.jsonl").read_text()


@pytest.mark.parametrize("text", ["case c5 is bad", "references/c5/images", "c5"])
def test_cleaning_takes_sealed_ids_and_leaves_words(text: str) -> None:
    assert "c5" not in failures.cleaned(text, {"c5"})
    assert failures.cleaned("abc5d c55", {"c5"}) == "abc5d c55"


def test_two_nights_at_once_are_one(settled: Place, tmp_path: Path) -> None:
    from benchmark import lease
    from benchmark.nightly import session

    with lease.hold(settled.work.root, "another"):
        report, error = session.hold(settled.around(), say=lambda line: None)
    assert report is None and isinstance(error, InfrastructureError) and error.code == "busy"
    assert isinstance(datetime.now(), datetime)
