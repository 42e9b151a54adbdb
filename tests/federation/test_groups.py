"""Why means by group stay with the bundle: beside the values of single cases, which a board publishes, they say who is in a group."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmark import publishing
from benchmark.contract import Task
from benchmark.federation import bundle, making, merging
from benchmark.federation.bundle import Bundle
from benchmark.tasks import TaskFolder
from tests.federation.hospitals import Hospital


def bundles(h: Hospital, task: Task, count: int) -> list[Bundle]:
    """Bundles of so many submissions on the same patients, each with an error of its own on each of them."""
    made = []
    for number in range(count):
        rng = np.random.default_rng([7, number])
        scores = [
            s.model_copy(update={"value": s.value * rng.uniform(0.5, 2)}) if s.status == "ok" else s
            for s in h.scored.scores
        ]
        made.append(making.make(task, h.edition, scores, {}, site=h.name, key=h.key, submission=f"m{number}"))
    return made


def fitting(found: list[Bundle], partition: str, group: str) -> list[tuple[int, ...]]:
    """Every choice of cases, by their place in the bundle, that has the group's size and means in all bundles."""
    own = [next(g for g in b.groups if (g.partition, g.group) == (partition, group)) for b in found]
    choices = np.array(list(itertools.combinations(range(found[0].n), own[0].n or 0)))
    fit = np.ones(len(choices), bool)
    for b, line in zip(found, own, strict=True):
        for metric, mean in line.means.items():
            values = np.array([float(c.values[metric]) for c in b.cases])[choices].mean(axis=1)
            fit &= np.array([float(f"{v:.3g}") == mean for v in values])
    return [tuple(map(int, choice)) for choice in choices[fit]]


def test_values_by_case_and_means_by_group_give_the_groups_away(north: Hospital, task: Task) -> None:
    """docs/federated.md names these numbers."""
    names = {case.id: making.keyed(north.key, "case", task.name, task.version, case.id) for case in north.edition.cases}
    alike = north.bundle(task)  # an error that hardly differs between patients
    (differs,) = bundles(north, task, 1)
    ids = [line.id for line in alike.cases]
    truth = tuple(sorted(ids.index(names[c.id]) for c in north.edition.cases if c.attributes["age_band"] == "40-64"))
    assert len(truth) == 5 and north.edition.info.counts == {"test": 14}
    assert len(list(itertools.combinations(range(14), 5))) == 2002
    left = fitting([alike], "age_band", "40-64")
    assert truth in left and len(left) == 24
    assert fitting([differs], "age_band", "40-64") == [truth]


@pytest.mark.parametrize("sums_only", [False, True])
def test_no_word_of_a_group_is_published(
    north: Hospital, task: Task, root: Path, tmp_path: Path, sums_only: bool
) -> None:
    others = [north.bundle(task, sums_only=True).model_copy(update={"site": "west"})] if sums_only else []
    merging.merge([north.bundle(task), *map(bundle.sealed, others)], task, tmp_path / "data", tmp_path / "store")
    entries = publishing.entries([TaskFolder(task, root / "tasks" / "toy")], tmp_path / "data", tmp_path / "store")
    publishing.publish_boards(entries, tmp_path / "store", tmp_path / "site", "2026-05-01")
    pages = b"".join(path.read_bytes() for path in sorted((tmp_path / "site").rglob("*")) if path.is_file())
    assert b"north" in pages
    for word in (b"age_band", b"40-64"):
        assert word not in pages
