"""Phases and attempts: who may run when, what counts, and until when one over quota waits."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from benchmark.contract import Phase
from benchmark.contract.phase import check_phases
from benchmark.errors import InfrastructureError
from benchmark.nightly import quota
from benchmark.nightly.outcomes import Outcome
from tests.command import RADBENCH
from tests.nightly.scripted import Place

PHASES = """
[[phases]]
name = "first"
opens = 2026-04-01
closes = 2026-05-10
attempts_per_week = 1
attempts_total = 3

[[phases]]
name = "final"
opens = 2026-06-01
closes = 2026-07-01
attempts_total = 1

[limits]
"""


@pytest.fixture
def phased(place: Place) -> Place:
    place.edit("[limits]\n", PHASES)
    return place


def outcome(place: Place, entry: str) -> Outcome:
    return Outcome.model_validate_json((place.work.inbox / entry / "outcome.json").read_text())


def test_one_over_quota_waits_says_until_when_and_then_runs(phased: Place) -> None:
    first, second = phased.submit("one", "a"), phased.submit("two", "b", day=2)
    other = phased.submit("three", "c", team="Others", day=3)
    report = phased.night()  # the first of May
    assert {run.names for run in report.runs} == {("one",), ("three",)} and report.exit_code == 0
    told = outcome(phased, second.id)
    assert told.state == "waiting" and not told.counted and told.until == datetime(2026, 5, 8, 2, 0, tzinfo=UTC)
    assert "2026-05-08 02:00 UTC" in told.sentence and [line.submission for line in told.attempts] == ["one"]
    assert outcome(phased, first.id).counted and outcome(phased, other.id).counted
    for _ in range(6):
        assert phased.night().planned == {}
    assert [run.names for run in phased.night().runs] == [("two",)]  # the eighth


def test_a_total_is_a_total(phased: Place) -> None:
    phased.edit("attempts_per_week = 1\n", "")
    entries = [phased.submit(f"m{n}", "abcd"[n], day=n + 1) for n in range(4)]
    assert len(phased.night().runs) == 3
    assert outcome(phased, entries[3].id).state == "will_not_run"
    assert "all 3 attempts" in outcome(phased, entries[3].id).sentence
    assert phased.night().planned == {}


def test_teams_are_told_apart_without_case_and_spaces(phased: Place) -> None:
    phased.submit("one", "a", team="The  Team")
    phased.submit("two", "b", team="the team ", day=2)
    assert len(phased.night().runs) == 1


def test_our_failures_and_our_changes_cost_nothing(phased: Place) -> None:
    phased.submit("one", "a")
    phased.night(fails={"run": [InfrastructureError("engine_failed", "x")] * 3})
    phased.night()
    phased.edit("seconds = 20", "seconds = 30")  # another run of the same submission, by the organiser's doing
    report = phased.night()
    assert len(report.runs) == 1 and not any(row.counted for row in report.rows)
    text = (phased.work.root / "ledger.jsonl").read_text()
    counted = [
        json.loads(line)["facts"]["counted"] for line in text.splitlines() if json.loads(line)["kind"] == "attempt"
    ]
    assert counted == [False, True]


def test_the_attempts_command_shows_them(phased: Place) -> None:
    phased.submit("one", "a")
    phased.night(fails={"run": [InfrastructureError("engine_failed", "x")] * 3})
    phased.night()
    for who in ("Team", "team", "one"):
        command = [
            *RADBENCH,
            "attempts",
            who,
            "--work",
            str(phased.work.root),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert "toy/first  one  not counted [engine_failed]" in lines[0] and "one  counted" in lines[1]
        assert lines[-1] == "1 counted of 2"


def test_before_between_and_after_the_phases(phased: Place) -> None:
    phased.day = datetime(2026, 5, 20, tzinfo=UTC)
    task = phased.around().folders["toy"].task

    def verdict(received: str, now: str) -> quota.Verdict:
        return quota.admit(task, datetime.fromisoformat(received), datetime.fromisoformat(now))

    assert verdict("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z").until == datetime(2026, 4, 1, tzinfo=UTC)
    assert verdict("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z").allowed
    between = verdict("2026-05-10T00:00:00Z", "2026-05-11T00:00:00Z")
    assert between.phase is not None and between.phase.name == "final" and not between.allowed
    late = verdict("2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z")
    assert late.phase is None and not late.allowed and late.until is None and "2026-07-01" in late.sentence
    # What was handed in in time runs also when the night comes after the end.
    assert verdict("2026-06-30T23:59:59Z", "2026-07-02T00:00:00Z").allowed


def test_a_week_slides() -> None:
    phase = Phase.model_validate({"name": "a", "opens": "2026-01-01", "attempts_per_week": 2})
    now = datetime(2026, 2, 1, tzinfo=UTC)
    days = [now - timedelta(days=n) for n in (8, 6, 1)]
    found = quota._weekly(phase, 2, sorted(days), now, 0)
    assert not found.allowed and found.until == now + timedelta(days=1)
    assert quota._weekly(phase, 2, sorted(days), now + timedelta(days=1), 0).allowed
    assert not quota._weekly(phase, 2, sorted(days), now + timedelta(days=1), 1).allowed


def test_a_phase_may_have_an_edition_of_its_own(phased: Place) -> None:
    phased.edit("attempts_per_week = 1\nattempts_total = 3", 'edition = "small"')
    entry = phased.submit("one", "a")
    report = phased.night()
    assert not report.runs and report.exit_code == 1 and "'small' has not been prepared" in report.person[0]
    assert outcome(phased, entry.id).state == "waiting"
    another_edition(phased, "small")
    report = phased.night()
    assert [(run.edition, run.names) for run in report.runs] == [("small", ("one",))]


def another_edition(place: Place, name: str) -> None:
    """A copy of the toy's edition under another name."""
    target = place.work.data / "toy" / name
    shutil.copytree(place.work.data / "toy/phantom", target)
    info = json.loads((target / "dataset.json").read_text())
    (target / "dataset.json").write_text(json.dumps({**info, "edition": name}))


def test_an_attempt_counts_once_on_however_many_editions(phased: Place) -> None:
    another_edition(phased, "other")
    entry = phased.submit("one", "a")
    report = phased.night()
    assert len(report.runs) == 1 and report.exit_code == 0  # the same inputs: one run for both
    assert {row.edition for row in report.rows} == {"phantom", "other"}
    assert {path.split("/")[1] for path in phased.site() if path.startswith("tasks/")} == {"toy", "toy@phantom"}
    assert [row.counted for row in report.rows].count(True) == 1
    assert [line.counted for line in outcome(phased, entry.id).attempts] == [True]
    assert set(outcome(phased, entry.id).editions) == {"phantom", "other"}


def test_phases_must_make_sense() -> None:
    def phase(name: str, opens: str, closes: str | None = None) -> Phase:
        return Phase.model_validate({"name": name, "opens": opens, "closes": closes})

    check_phases((phase("a", "2026-01-01", "2026-02-01"), phase("b", "2026-02-01")))
    with pytest.raises(ValueError, match="open at once"):
        check_phases((phase("b", "2026-01-15"), phase("a", "2026-01-01", "2026-02-01")))
    with pytest.raises(ValueError, match="unique"):
        check_phases((phase("a", "2026-01-01", "2026-02-01"), phase("a", "2026-02-01")))
    with pytest.raises(ValidationError, match="after opens"):
        phase("a", "2026-02-01", "2026-01-01")
    with pytest.raises(ValidationError, match="timezone"):
        phase("a", "2026-02-01T12:00:00")
