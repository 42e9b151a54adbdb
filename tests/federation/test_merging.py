"""Bundles of several sites: the numbers of pooling the raw data, on a board of their own; what does not belong is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmark import board, dataset, publishing, store
from benchmark.contract import FEDERATED, Task, TaskMetric
from benchmark.errors import DataError, UsageError
from benchmark.federation import bundle, making, merging, pooling
from benchmark.federation.bundle import Bundle
from benchmark.metrics.points import Scan
from benchmark.nightly import sources
from benchmark.statistics import bootstrap, sites
from benchmark.store.check import check as check_store
from benchmark.tasks import TaskFolder
from leaderboard import verification
from tests.federation.hospitals import Hospital


def reseal(one: Bundle, **changes: object) -> Bundle:
    return bundle.sealed(one.model_copy(update=changes))


@pytest.fixture
def both(north: Hospital, south: Hospital, task: Task) -> list[Bundle]:
    return [north.bundle(task), south.bundle(task)]


def merged(found: list[Bundle], task: Task, work: Path, **more: object) -> merging.Merged:
    return merging.merge(found, task, work / "data", work / "store", **more)  # type: ignore[arg-type]


def test_mean_and_interval_are_those_of_the_raw_data(
    north: Hospital, south: Hospital, task: Task, both: list[Bundle], tmp_path: Path
) -> None:
    result = merged(both, task, tmp_path)
    assert (result.sites, result.rows, result.waiting) == (("north", "south"), ("magic",), {})
    edition = dataset.load(tmp_path / "data", task, FEDERATED)
    assert len(edition.split("test")) == 26
    declared = pooling.task_of(task, edition.info)
    ((run, score),) = publishing.scored(declared, edition, tmp_path / "store")
    assert run.engine == "federated" and not run.ran and merging.FLAG in run.flags
    for metric in ("mae", "psnr"):
        found = next(a for a in score.aggregates if a.metric == metric)
        # From the hospitals' own tables, which never left: all values, each under the id that its hospital alone can make.
        raw = sorted(
            (f"{h.name}-{making.keyed(h.key, 'case', 'toy', '1', s.case)}", h.name, s.value)
            for h in (north, south)
            for s in h.scored.scores
            if s.metric == metric
        )
        values = np.array([value for *_, value in raw])
        assert found.value == values.mean() and found.n == 26 and found.n_worst == 2
        drawn = bootstrap.resampling(26, strata=[name for _, name, _ in raw])
        expected = bootstrap.mean_interval(values, drawn)
        assert (found.low, found.high) == (expected.low, expected.high)
        assert "within strata" in found.method


def test_the_board_shows_sites_and_the_site_can_be_verified(
    both: list[Bundle], task: Task, root: Path, tmp_path: Path
) -> None:
    merged(both, task, tmp_path)
    folder = TaskFolder(task, root / "tasks" / "toy")
    entries = publishing.entries([folder], tmp_path / "data", tmp_path / "store")
    published = publishing.publish_boards(entries, tmp_path / "store", tmp_path / "site", "2026-05-01")
    ((declared, edition, scored),) = entries
    (row,) = board.make(declared, edition, scored, tmp_path / "store").rows
    mae = next(item for item in row.sites if item.metric == "mae")
    assert [s.site for s in mae.sites] == ["north", "south"] and mae.value == pytest.approx(row.aggregate("mae").value)
    assert row.fairness is not None and {g.partition for g in row.fairness.gaps} == {"site"}
    found = verification.verify(tmp_path / "site")
    assert found.differences == []
    page = next(
        p for p in (tmp_path / "site" / "editions").rglob("*.html") if p.parent.name == "magic" or p.stem == "magic"
    )
    text = page.read_text()
    assert "north" in text and "south" in text and "site by site" in text.lower()
    assert check_store(tmp_path / "store").findings == ()
    # Again changes nothing.
    before = {p: p.read_bytes() for p in (tmp_path / "site").rglob("*") if p.is_file()}
    assert merged(both, task, tmp_path).added == ()
    again = publishing.publish_boards(entries, tmp_path / "store", tmp_path / "site", "2026-05-02")
    assert not again.changed and again.edition == published.edition
    assert before == {p: p.read_bytes() for p in (tmp_path / "site").rglob("*") if p.is_file()}


def test_the_night_does_not_try_to_run_on_it(both: list[Bundle], task: Task, tmp_path: Path) -> None:
    merged(both, task, tmp_path)
    assert sources.edition_names(tmp_path / "data", "toy") == []


def test_sums_alone_count_in_the_table_by_site(north: Hospital, south: Hospital, task: Task, tmp_path: Path) -> None:
    result = merged([north.bundle(task), south.bundle(task, sums_only=True)], task, tmp_path)
    assert (result.sites, result.summed, result.rows) == (("north",), ("south",), ("magic",))
    edition = dataset.load(tmp_path / "data", task, FEDERATED)
    declared = pooling.task_of(task, edition.info)
    (row,) = board.make(
        declared, edition, publishing.scored(declared, edition, tmp_path / "store"), tmp_path / "store"
    ).rows
    mae = next(item for item in row.sites if item.metric == "mae")
    assert [(s.site, s.n, s.by_case) for s in mae.sites] == [("north", 14, True), ("south", 12, False)]
    raw = [[s.value for s in h.scored.scores if s.metric == "mae"] for h in (north, south)]
    assert mae.value == pytest.approx(np.mean(raw[0] + raw[1])) and mae.n == 26
    assert row.aggregate("mae").n == 14


def test_froc_over_sites_is_that_of_all_scans(north: Hospital, south: Hospital, task: Task, tmp_path: Path) -> None:
    from benchmark import metrics

    froc = task.model_copy(update={"metrics": (*task.metrics, TaskMetric(id="cpm", name="cpm"))})
    rng = np.random.default_rng(5)
    every, found = [], []
    for h in (north, south):
        own = {}
        for case in h.edition.cases:
            hits = np.where(rng.random(2) < 0.7, rng.integers(1, 10000, 2) / 10000, -np.inf)
            false = rng.integers(1, 10000, 3) / 10000
            own[case.id] = Scan(hits, false, float(max(hits.max(), false.max())))
        every += list(own.values())
        found.append(
            making.make(froc, h.edition, h.scored.scores, {"cpm": own}, site=h.name, key=h.key, submission="magic")
        )
    merged(found, froc, tmp_path)
    edition = dataset.load(tmp_path / "data", froc, FEDERATED)
    ((_, score),) = publishing.scored(pooling.task_of(froc, edition.info), edition, tmp_path / "store")
    metric = metrics.find("cpm")
    assert metric.reduce is not None
    expected = metric.reduce(every, np.ones(26), **metric.options).value
    assert next(a for a in score.aggregates if a.metric == "cpm").value == pytest.approx(expected, abs=1e-12)


WRONG: list[tuple[str, Callable[[list[Bundle]], list[Bundle]], str]] = [
    ("task version", lambda b: [b[0], reseal(b[1], task_version="2")], "version of the task 2; expected 1"),
    ("scorer", lambda b: [b[0], reseal(b[1], scorer="0.0.1+abc")], r"scorer 0.0.1\+abc; expected"),
    ("metrics", lambda b: [b[0], reseal(b[1], metrics="f" * 20)], "metric section f+; expected"),
    ("kind of data", lambda b: [b[0], reseal(b[1], data="phantom")], "south scored phantom data, north real data"),
    ("digest", lambda b: [b[0], reseal(b[1], digest="sha256:" + "b" * 64)], "the same submission at all sites"),
    ("the same data twice", lambda b: [b[0], reseal(b[0], site="west", references="0" * 16)], "same values of magic in every case"),
    ("range", lambda b: [b[0], worst(b[1])], "mae has the value -1; expected from 0 to"),
    ("metric missing", lambda b: [b[0], without(b[1])], "other metrics than the task"),
    ("a group of free text", lambda b: [b[0], grouped(b[1], group="Mrs Smith")], "has a group that the task does not declare"),
    ("a small group", lambda b: [b[0], grouped(b[1], patients=2)], "shows a group by .* of 2 patients"),
    ("few", lambda b: [reseal(b[0], minimum=2), b[1]], "at least 4"),
]  # fmt: skip


def worst(one: Bundle) -> Bundle:
    first = one.cases[0].model_copy(update={"values": {**one.cases[0].values, "mae": -1.0}})
    return reseal(one, cases=(first, *one.cases[1:]))


def grouped(one: Bundle, **changes: object) -> Bundle:
    shown = next(i for i, g in enumerate(one.groups) if not g.suppressed)
    groups = [g.model_copy(update=changes) if i == shown else g for i, g in enumerate(one.groups)]
    return reseal(one, groups=tuple(groups))


def without(one: Bundle) -> Bundle:
    first = one.cases[0].model_copy(update={"values": {"mae": 1.0}})
    return reseal(one, cases=(first, *one.cases[1:]))


@pytest.mark.parametrize(("change", "words"), [(c, w) for _, c, w in WRONG], ids=[n for n, _, _ in WRONG])
def test_what_does_not_belong_is_refused_and_nothing_is_written(
    both: list[Bundle], task: Task, tmp_path: Path, change: Callable[[list[Bundle]], list[Bundle]], words: str
) -> None:
    with pytest.raises(DataError, match=words) as error:
        merged(change(both), task, tmp_path)
    assert error.value.code == "bundle_invalid"
    assert not list(tmp_path.rglob("*"))


def test_a_second_bundle_replaces_only_when_told(
    both: list[Bundle], task: Task, tmp_path: Path, north: Hospital
) -> None:
    merged(both, task, tmp_path)
    scores = [s.model_copy(update={"value": s.value + 1}) if s.status == "ok" else s for s in north.scored.scores]
    other = making.make(
        task, north.edition, scores, {}, site="north", key=north.key, submission="magic", digest="sha256:" + "a" * 64
    )
    with pytest.raises(UsageError, match="has sent a bundle of magic before"):
        merged([other], task, tmp_path)
    result = merged([other], task, tmp_path, replace=True)
    assert result.added == (other.sha256,) and len(merging.kept(tmp_path / "store", "toy")) == 2
    edition = dataset.load(tmp_path / "data", task, FEDERATED)
    ((_, score),) = publishing.scored(pooling.task_of(task, edition.info), edition, tmp_path / "store")
    ok = [s.value for s in scores if s.metric == "mae"] + [c.values["mae"] for c in both[1].cases]
    assert score.aggregates[0].value == pytest.approx(np.mean(np.array(ok, float)))


def test_a_row_needs_every_site_and_is_never_lost(
    both: list[Bundle], task: Task, tmp_path: Path, north: Hospital, south: Hospital
) -> None:
    second = north.bundle(task, submission="second", digest="sha256:" + "c" * 64)
    result = merged([*both, second], task, tmp_path)
    assert result.rows == ("magic",) and result.waiting == {"second": ("south",)}
    result = merged([south.bundle(task, submission="second", digest="sha256:" + "c" * 64)], task, tmp_path)
    assert result.rows == ("magic", "second") and result.waiting == {}
    west = reseal(worse(both[0]), site="west", references="1" * 16)
    with pytest.raises(UsageError, match="second would lose the row"):
        merged([west], task, tmp_path)
    assert len(store.load_placements(tmp_path / "store", "toy", FEDERATED)) == 2


def worse(one: Bundle) -> Bundle:
    sums = tuple(s.model_copy(update={"mean": s.mean + (s.metric == "mae")}) for s in one.sums)
    return reseal(
        one,
        sums=sums,
        cases=tuple(
            c.model_copy(update={"values": {**c.values, "mae": float(c.values["mae"]) + 1}}) for c in one.cases
        ),
    )


def test_other_cases_of_the_same_site_are_refused(
    both: list[Bundle], task: Task, tmp_path: Path, north: Hospital
) -> None:
    other = making.make(task, north.edition, north.scored.scores, {}, site="north", key=b"z" * 32, submission="second")
    with pytest.raises(DataError, match="other cases, or with another secret key"):
        merged([*both, other], task, tmp_path)


# The formulas of sites ------------------------------------------------------------------------------------------------------------


def test_pooled_mean_and_interval_by_hand() -> None:
    one, two = sites.Site(4, 10.0, 4.0), sites.Site(6, 20.0, 9.0)
    mean, low, high = sites.pooled([one, two])
    variance = 0.4**2 * 4 / 4 + 0.6**2 * 9 / 6
    freedom = variance**2 / ((0.4**2 * 1) ** 2 / 3 + (0.6**2 * 1.5) ** 2 / 5)
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    assert (mean, low, high) == pytest.approx((16.0, 16 - half, 16 + half))
    values = np.random.default_rng(1).normal(5, 2, 9)
    expected = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert sites.interval(sites.Site(9, values.mean(), values.var(ddof=1))) == pytest.approx(expected)


def test_heterogeneity_by_hand_and_at_its_ends() -> None:
    # w = 1, 1; centre 2; Q = 2·4² = 32; I² = 31/32.
    assert sites.heterogeneity([sites.Site(4, -2.0, 4.0), sites.Site(9, 6.0, 9.0)]) == pytest.approx(31 / 32)
    assert sites.heterogeneity([sites.Site(4, 1.0, 4.0), sites.Site(9, 1.1, 9.0)]) == 0.0
    assert sites.heterogeneity([sites.Site(4, 1.0, 4.0)]) is None
    assert sites.heterogeneity([sites.Site(4, 1.0, 0.0), sites.Site(4, 2.0, 1.0)]) is None


def test_the_pooled_interval_covers() -> None:
    """Of 400 pairs of sites with other means and spreads, the interval holds the true mean in about 95 of 100."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        drawn = [rng.normal(0, 1, 12), rng.normal(3, 4, 20)]
        _, low, high = sites.pooled([sites.Site(len(v), v.mean(), v.var(ddof=1)) for v in drawn])
        held += low <= 20 * 3 / 32 <= high
    assert 0.92 <= held / 400 <= 0.98
