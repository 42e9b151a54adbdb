"""Every number of a board's record: changed, it is noticed from the per-case tables, or it is of a kind that is named here."""

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import honest
import pytest
from tampering import forged, newest, resealed

from benchmark import store
from benchmark.contract import Board, Cost, Reproduction
from leaderboard import recomputed, verification
from leaderboard.records import BoardData

STATED = {
    "task.limits", "task.display", "task.claims", "task.shown_edition", "task.overlay",
    "dataset.schema_version", "dataset.parameters",
    "rows.*.method", "rows.*.seconds_median", "rows.*.seconds_start", "rows.*.cost", "rows.*.reproduction",
}  # fmt: skip
"""Numbers of every board that were declared or measured: no table gives them."""

IDLE = {
    "task.ranking.fairness_weight", "task.ranking.bounds", "task.fairness.minimum", "task.fairness.minimum_phantom",
    "task.fairness.minimum_class", "task.fairness.association", "task.fairness.alpha", "task.fairness.attributes_by_case",
    "task.inputs", "task.outputs", "task.references",
}  # fmt: skip
"""Declarations that are noticed only where another number follows from them on that board."""

BY_GROUP = {
    f"rows.*.fairness.gaps.*.{name}"
    for name in ("values", "gap_low", "gap_high", "null_mean", "null_high", "p", "given")
}
"""Of sealed patients, the numbers of the audit that need attributes of single cases, beside who they are."""
OF_PATIENTS = BY_GROUP | {"population.partitions", "population.associations"}


COST = Cost(
    start_seconds=1.0, seconds_median=0.5, seconds_p95=0.75, peak_memory_mb=256.0, cpu_seconds=0.25, hardware="2 cores"
)
AGAIN = Reproduction(
    when="2026-11-20", same=False, within=True, tolerance=0.01, cases=3, changed=1, difference=0.5, unit="HU"
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number, truth value and absence in a record, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    elif value is None or isinstance(value, int | float):
        yield path, value


def another(value: Any) -> Any:
    """A value that a reader would take for one."""
    if value is None or isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value + max(1e-6, abs(value) * 1e-6)


def changed(record: Any, path: Sequence[Any], value: Any) -> Any:
    """The record with another value at that path; the rest is shared."""
    if not path:
        return value
    copy = dict(record) if isinstance(record, dict) else list(record)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def kind(path: Sequence[Any]) -> str:
    return ".".join("*" if isinstance(step, int) else str(step) for step in path)


def under(name: str, kinds: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in kinds)


def boards() -> dict[str, Any]:
    people = honest.cases(24, 8)
    rich = {"attributes": [{"name": "site", "title": "Site"}, {"name": "sex", "title": "Sex"}]}
    fair = {"rule": "performance_and_fairness", "metrics": ["psnr"], "attributes": ["sex"], "bounds": {"psnr": [40, 0]}}
    return {
        "phantom": lambda root: honest.standard(root),
        "patients": lambda root: honest.standard(
            root, declared=honest.task(cluster="patient", fairness={"minimum": 3}), tested=people, kind="real"
        ),
        "sealed": lambda root: honest.standard(root, declared=honest.task(stratify="site"), kind="real"),
        "fair": lambda root: honest.standard(root, declared=honest.task(ranking=fair)),
        "chest": lambda root: honest.detecting(
            root, {"keen": 0.7, "near": 0.68, "lax": 0.3}, fairness={"minimum_class": 2}, **rich
        ),
    }


@pytest.fixture(scope="module", params=["phantom", "patients", "sealed", "fair", "chest"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    place = boards()[request.param](tmp_path_factory.mktemp(request.param))
    first, (run, score) = next(iter(place.scored.items()))
    place.scored[first] = (run.model_copy(update={"cost": COST}), score)
    store.save_reproduction(place.store, run.key, AGAIN)
    place.publish()
    return request.param, place.site


def folder(published: tuple[str, Path]) -> Path:
    return next((newest(published[1]) / "tasks").iterdir())


def chosen(record: Any, most: int) -> list[tuple[tuple[Any, ...], Any]]:
    """Of every kind of number so many at random."""
    kinds: dict[str, list[tuple[tuple[Any, ...], Any]]] = {}
    for path, value in leaves(record):
        kinds.setdefault(kind(path), []).append((path, value))
    rng = random.Random(11)
    # A declaration is looked at by recomputing everything, so fewer of them.
    return [
        one
        for name, own in kinds.items()
        for one in rng.sample(own, min(max(1, most // 3) if name.startswith("task.") else most, len(own)))
    ]


def beside(path: Sequence[Any], record: Any, made: recomputed.Recomputed) -> tuple[Any, recomputed.Recomputed]:
    """The part of both that holds the path; the whole where more than the changed number may have become another."""
    if path[0] in ("task", "dataset"):
        return record, made
    if path[0] != "rows":
        return {path[0]: record[path[0]]}, made
    rows = made.values["rows"]
    return {"rows": [record["rows"][path[1]]]}, replace(made, values={"rows": [rows[path[1]]]})


def unnoticed(data: BoardData, most: int, besides: Sequence[str] = ()) -> dict[str, tuple[Any, ...]]:
    """By kind, the path of a number that can be changed without anyone noticing; looks at `most` of a kind, but for kinds `besides`."""
    record = data.board.model_dump()
    made = recomputed.recomputed(data)
    assert recomputed.compared(record, made) == recomputed.Compared(numbers=recomputed.compared(record, made).numbers)
    found = {}
    for path, value in chosen(record, most):
        if under(kind(path), set(besides)):
            continue
        other = changed(record, path, another(value))
        again = made
        if path[0] in ("task", "dataset"):
            try:
                board = Board.model_validate(other)
                again = recomputed.recomputed(replace(data, board=board))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # no board at all, which is noticed when it is read or recomputed
        compared = recomputed.compared(*beside(path, other, again))
        if not compared.differences and not compared.further:
            found[kind(path)] = path
    return found


MOST = [3, pytest.param(10**6, marks=pytest.mark.slow)]
"""Of a kind: a few, and all."""


@pytest.mark.parametrize("most", MOST)
def test_every_changed_number_is_noticed_or_named(published: tuple[str, Path], most: int) -> None:
    name, _ = published
    data = verification.read_board(folder(published))
    # What the task says of limits and looks has no part in any number, whatever the board.
    silent = unnoticed(data, most, besides=[] if name == "phantom" else ["task.limits", "task.display"])
    allowed = STATED | IDLE | {"sealed": OF_PATIENTS, "patients": OF_PATIENTS}.get(name, set())
    assert not [path for one, path in silent.items() if not under(one, allowed)]
    # What is let through is said: by the reasons of this board, or those of every board.
    said = {*recomputed.STATED, *recomputed.recomputed(data).unchecked}
    assert not [one for one in silent if not under(one, said)]
    assert any(under(one, {"rows.*.cost"}) for one in silent), "the walk reaches what nothing gives"


FORGED = {
    "phantom": ["rows.*.fairness.gaps.*.values.*.low", "rows.*.fairness.gaps.*.p", "agreement.taus.*.tau", "population.associations.*.p",
                "rows.*.rank_high"],
    "patients": ["rows.*.fairness.gaps.*.gap", "rows.*.fairness.tests", "population.patients"],
    "sealed": ["rows.*.fairness.gaps.*.p_holm"],
    "fair": ["rows.*.rank_low", "agreement.orders.*.ranks.beta"],
    "chest": ["rows.*.rank_high", "rows.*.fairness.odds.*.difference", "rows.*.aggregates.*.low"],
}  # fmt: skip


def test_numbers_of_a_forged_edition_are_noticed(published: tuple[str, Path], tmp_path: Path) -> None:
    """The whole way: record and every table that follows from it, hashes and seal, all made to fit."""
    name, whole = published
    for number, wanted in enumerate(FORGED[name]):
        root = tmp_path / str(number)
        shutil.copytree(whole, root)
        edition = newest(root)
        board = verification.read_board(next((edition / "tasks").iterdir())).board
        record = board.model_dump()
        path, value = next((p, v) for p, v in leaves(record) if kind(p) == wanted and isinstance(v, float | int))
        forged(edition, Board.model_validate(changed(record, path, another(value))))
        found = verification.verify(root)
        assert any("the cases give" in text for text in found.differences), wanted
        # The forger made tables, not pages, which are found out on their own.
        tables = [t for t in found.differences if "/editions/" in t and not re.search(r"\.(html|js): |ro-crate", t)]
        assert not any("sha256" in text or "tables give" in text for text in tables)
        shutil.rmtree(root)


def test_a_table_taken_out_of_the_list_is_missed(published: tuple[str, Path], tmp_path: Path) -> None:
    """Without the attributes of phantoms, or without what scans add, numbers could not be recomputed; so their files must be there."""
    name, whole = published
    if name not in ("phantom", "chest"):
        return
    root = tmp_path / "site"
    shutil.copytree(whole, root)
    edition = newest(root)
    record = json.loads((edition / "edition.json").read_text())
    gone = next(path for path in record["files"] if path.endswith("attributes.json"))
    (edition / gone).unlink()
    resealed(edition, files={path: sha for path, sha in record["files"].items() if path != gone})
    assert any("attributes.json" in text and "missing" in text for text in verification.verify(root).differences)


def test_what_is_published_of_patients(published: tuple[str, Path]) -> None:
    name, root = published
    told = (folder(published) / "attributes.json").is_file()
    assert told is (name not in ("sealed", "patients"))
    unchecked = verification.verify(root).unchecked
    assert any("by group" in text and "sealed patients" in text for text in unchecked) is not told


def test_patients_among_whom_nobody_stands_out_are_told_when_asked(tmp_path: Path) -> None:
    rules = {"attributes_by_case": True, "minimum": 3}
    place = honest.standard(tmp_path, declared=honest.task(fairness=rules), kind="real")
    place.publish()
    data = verification.read_board(next((newest(place.site) / "tasks").iterdir()))
    assert data.attributes_told and data.board.population is not None and data.board.population.minimum == 3
    found = verification.verify(place.site)
    assert found.differences == [] and not any("by group" in text for text in found.unchecked)
    silent = unnoticed(data, 1, besides=["task"])
    assert not [path for one, path in silent.items() if not under(one, STATED | IDLE)]
