"""An archived run, run again: what counts as the same, whose turn it is, and what a night does about a difference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmark import image, reproduction, store
from benchmark.contract import Socket, Task
from benchmark.errors import InfrastructureError
from benchmark.image import Volume
from benchmark.ledger import Ledger
from benchmark.nightly import gather
from benchmark.nightly.config import Config
from benchmark.nightly.plan import plan
from benchmark.store.check import check
from benchmark.tasks import TaskFolder
from tests.nightly.conftest import fresh, whole  # noqa: F401 - a settled workplace, made as the night's tests make it
from tests.nightly.scripted import Place

GRID = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4) * 10, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
"""Range 230."""


@pytest.fixture
def daily(whole: Place, tmp_path: Path) -> Iterator[Place]:  # noqa: F811
    """The workplace with three rows of two runs, one of which is run again each night."""
    place = whole.copy(tmp_path)
    nightly = place.config.nightly.model_copy(update={"reproduce": "each night"})
    yield replace(place, config=Config(nightly=nightly))


def lines(place: Place) -> list[dict[str, object]]:
    return [e.facts for e in Ledger(place.work.root / "ledger.jsonl").entries() if e.kind == "reproduced"]


def test_one_a_night_in_turn_and_not_a_byte_of_the_site(daily: Place) -> None:
    before = daily.site()
    names = []
    for _ in range(4):
        report = daily.night()
        assert report.exit_code == 0, report.person
        assert report.reproduced is not None and report.reproduced.result.same
        assert report.reproduced.result.cases == 7
        names.append(report.reproduced.run)
        assert daily.did == [f"reproduce {report.reproduced.name}"]
    # Two submissions share a run: two runs in turn.
    assert len(set(names[:2])) == 2 and names[2:] == names[:2]
    assert daily.site() == before
    assert not (daily.work.root / "scratch").exists() or not any((daily.work.root / "scratch").iterdir())
    assert [line["same"] for line in lines(daily)] == [True] * 4
    assert check(daily.work.store).findings == ()


def test_a_second_night_on_the_day_does_nothing_and_the_plan_is_pure(daily: Place) -> None:
    around = daily.around()
    state = gather.gather(around, daily.day)
    item = plan(state).reproduce
    assert item is not None and plan(state).reproduce == item and item.why == "never run again so far"
    daily.night()
    daily.day -= timedelta(hours=23)
    report = daily.night()
    assert report.reproduced is None and report.planned == {} and daily.did == []
    weekly = gather.gather(around, daily.day + timedelta(days=2))
    assert plan(replace(weekly, reproduce="weekly")).reproduce is None
    assert plan(replace(weekly, reproduce="each night")).reproduce is not None
    assert plan(replace(weekly, reproduce="off")).empty


def test_a_run_of_the_same_night_is_not_archived_yet(fresh: Place, tmp_path: Path) -> None:  # noqa: F811
    place = fresh.copy(tmp_path)
    place.config = Config(nightly=place.config.nightly.model_copy(update={"reproduce": "each night"}))
    place.submit("one")
    assert place.night().reproduced is None
    place.day -= timedelta(hours=20)
    assert place.night().reproduced is None
    assert place.night().reproduced is not None


def test_predictions_that_were_removed_are_passed_over(daily: Place) -> None:
    state = gather.gather(daily.around(), daily.day)
    first = plan(state).reproduce
    assert first is not None
    second = plan(replace(state, removed=frozenset({first.key}))).reproduce
    assert second is not None and second.key != first.key
    assert plan(replace(state, removed=state.runs)).reproduce is None


def test_a_difference_is_a_line_an_exit_code_and_a_new_edition_but_no_attempt(daily: Place) -> None:
    before, placements = daily.site(), store.load_placements(daily.work.store)
    attempts = [e for e in Ledger(daily.work.root / "ledger.jsonl").entries() if e.kind == "attempt"]
    report = daily.night(drift=3)
    assert report.exit_code == 1 and report.reproduced is not None
    found = report.reproduced.result
    assert (found.same, found.within, found.changed, found.difference, found.unit) == (False, False, 7, 3.0, "HU")
    # The toy's error is |10 − shift|: three more taken away changes the mean absolute error by exactly three.
    assert any(f"{report.reproduced.name} does not give again" in line for line in report.person)
    (line,) = lines(daily)
    assert line["within"] is False and line["metric"] == found.metric and line["largest"] == found.metric_difference
    assert "publish" in daily.did and daily.site() != before
    pages = b"".join(text for name, text in daily.site().items() if name.endswith("submission.html") or "/toy/" in name)
    assert b"beyond the tolerance" in pages
    assert store.load_placements(daily.work.store) == placements
    log = Ledger(daily.work.root / "ledger.jsonl").entries()
    assert [e for e in log if e.kind == "attempt"] == attempts
    # Until its next turn it stays said, and the site as it is.
    after = daily.site()
    daily.config = Config(nightly=daily.config.nightly.model_copy(update={"reproduce": "off"}))
    assert daily.night().exit_code == 0 and daily.site() == after
    # When it agrees again, that is news too.
    daily.config = Config(nightly=daily.config.nightly.model_copy(update={"reproduce": "each night"}))
    others = daily.night()
    assert others.reproduced is not None and others.reproduced.run != report.reproduced.run and daily.site() == after
    again = daily.night()
    assert again.reproduced is not None and again.reproduced.run == report.reproduced.run
    assert again.exit_code == 0 and again.site.changed


def test_a_difference_that_a_killed_night_could_not_report_is_in_the_next_report(daily: Place) -> None:
    with pytest.raises(SystemExit):
        daily.night(drift=3, fails={"publish": [SystemExit()]})
    daily.day -= timedelta(days=1) - timedelta(hours=1)
    report = daily.night(drift=3)
    assert len(lines(daily)) == 1 and report.reproduced is None and daily.did == ["publish"]
    assert report.exit_code == 1 and any("does not give again what it gave: 7 of 7" in line for line in report.person)
    assert daily.night().exit_code == 0


def test_one_that_fails_costs_nothing_and_the_next_has_its_turn(daily: Place) -> None:
    error = InfrastructureError("engine_failed", "podman went away")
    report = daily.night(fails={"reproduce": [error]})
    assert report.exit_code == 1 and report.reproduced is None
    (failed,) = report.failed
    assert (failed.what, failed.code) == ("reproduce", "engine_failed")
    (line,) = lines(daily)
    assert line["group"] == "infrastructure" and line["code"] == "engine_failed"
    assert (
        not any((daily.work.store / "reproductions").glob("*"))
        if (daily.work.store / "reproductions").exists()
        else True
    )
    following = daily.night()
    assert following.exit_code == 0 and following.reproduced is not None
    assert following.reproduced.run != line["run"]
    state = gather.gather(daily.around(), daily.day)
    assert state.turns.differing == frozenset(), "what could not be run has not differed"


def test_the_row_shows_it_with_the_next_edition(daily: Place) -> None:
    report = daily.night()
    assert report.reproduced is not None and not report.site.changed
    daily.submit("four", "d", day=9)
    report = daily.night()
    assert report.site.changed
    (name,) = [p for p in daily.site() if p.startswith("editions/") and p.endswith("board.json")][-1:]
    rows = {row["run"]: row["reproduction"] for row in json.loads(daily.site()[name])["rows"]}
    shown = [found for found in rows.values() if found]
    assert shown and all(found["same"] and found["when"].startswith("2026-05-") for found in shown)


# What counts as the same ------------------------------------------------------------------------------------------------------


def write(folder: Path, volume: Volume) -> Path:
    path = folder / "images/clean/c.mha"
    path.parent.mkdir(parents=True)
    image.write(path, volume)
    return folder


@pytest.mark.parametrize(
    ("second", "same", "within", "absolute"),
    [
        (GRID.array, True, True, 0.0),
        (GRID.array + 0.2, False, True, 0.2),
        (GRID.array + 0.24, False, False, 0.24),
        (np.where(GRID.array > 200, np.nan, GRID.array), False, False, None),
        (GRID.array[:, :2], False, False, None),
    ],
)
def test_images_are_held_against_their_range(
    toy: TaskFolder, tmp_path: Path, second: np.ndarray, same: bool, within: bool, absolute: float | None
) -> None:
    one = write(tmp_path / "a", GRID)
    other = write(tmp_path / "b", Volume(second.astype(np.float32), GRID.spacing, GRID.origin))
    found = reproduction.output_change(toy.task, toy.task.outputs[0], one, other, 0.001)
    assert (found.same, found.within) == (same, within)
    assert found.absolute == (None if absolute is None else pytest.approx(absolute, abs=1e-4))


def test_labels_are_counted(toy: TaskFolder, tmp_path: Path) -> None:
    socket = Socket(slug="labels", kind="segmentation", path="images/clean")
    task: Task = toy.task
    labels = np.zeros((10, 10, 10), np.uint8)
    changed = labels.copy()
    changed[0, 0, 0] = 7
    one = write(tmp_path / "a", Volume(labels, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    other = write(tmp_path / "b", Volume(changed, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    assert reproduction.output_change(task, socket, one, other, 0.001).within
    found = reproduction.output_change(task, socket, one, other, 0.0009)
    assert not found.within and found.absolute == pytest.approx(0.001)


def test_values_in_json(toy: TaskFolder, tmp_path: Path) -> None:
    socket = Socket(slug="value", kind="value", path="value.json")
    for name, content in (("a", [0.5, 1]), ("b", [0.5004, 1]), ("c", [0.5, 1, 2])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "value.json").write_text(json.dumps(content))

    def change(other: str) -> reproduction.Change:
        return reproduction.output_change(toy.task, socket, tmp_path / "a", tmp_path / other, 0.001)

    assert change("a").same
    assert change("b").within and not change("b").same and change("b").absolute == pytest.approx(0.0004)
    assert change("c") == reproduction.OTHER
    assert change("nothing") == reproduction.OTHER


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0.0), (0.1, 0.1), (0.11, 0.2), (3.0, 3.0), (9.5, 10.0), (1.2e-7, 2e-7), (0.3, 0.3)]
)
def test_a_bound_has_one_digit_and_is_never_below(value: float, expected: float) -> None:
    assert reproduction.rounded_up(value) == pytest.approx(expected)
    assert reproduction.rounded_up(value) >= value * (1 - 1e-9)


def test_another_engine_is_no_reproduction(whole: Place, tmp_path: Path) -> None:  # noqa: F811
    from benchmark import dataset
    from tests.nightly.scripted import DIGESTS, Model

    place = whole.copy(tmp_path)
    task = place.around().folders["toy"].task
    edition = dataset.load(place.work.data, task, "phantom")
    placement = next(p for p in store.load_placements(place.work.store) if p.method.name == "two")
    archived = store.load_run(place.work.store, placement.run)
    assert archived is not None
    with pytest.raises(InfrastructureError, match="came out under the key"):
        reproduction.again(
            task, edition, archived, archived.method, DIGESTS["b"], Model(DIGESTS["b"], ("docker/exec",)),
            root=place.work.store, scratch=tmp_path / "scratch", when="2026-05-01",
        )  # fmt: skip
    assert not (tmp_path / "scratch").exists()
