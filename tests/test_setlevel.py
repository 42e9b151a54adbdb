"""Ranks by metrics of the whole set: the same intervals as from going through the draws one by one, and they cover."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from benchmark import board, metrics, scoring, setlevel
from benchmark.contract import Case, Score, Task
from benchmark.metrics.generation import FeaturePart
from benchmark.metrics.points import Scan
from benchmark.statistics import bootstrap, ranking
from benchmark.statistics.halves import half_samples, recentred

CHEST: dict[str, Any] = {
    "name": "nodules", "version": "1", "title": "Nodules", "summary": "Find nodules.", "modality": "CT", "anatomy": "chest",
    "inputs": [{"slug": "ct", "kind": "image", "path": "images/ct", "unit": "HU"}],
    "outputs": [{"slug": "marks", "kind": "points", "path": "marks.json"}],
    "references": [{"slug": "nodules", "kind": "points", "path": "nodules.json"}],
    "scoring": {"prediction": "marks", "reference": "nodules"},
    "metrics": [{"name": "cpm"}, {"name": "candidate_sensitivity", "threshold": 0.4}, {"name": "detection_f1"}],
    "ranking": {"rule": "rank_of_means", "metrics": ["cpm", "detection_f1"]},
    "display": {"input": "ct", "window": [-1000, 400]},
}  # fmt: skip


def value(listed: Sequence[Scan]) -> float:
    """CPM of these scans."""
    cpm = metrics.find("cpm")
    assert cpm.reduce is not None
    return cpm.reduce(listed, np.ones(len(listed)), **cpm.options).value


def task(rule: str = "rank_of_means", by: Sequence[str] = ("cpm", "detection_f1"), **more: Any) -> Task:
    return Task.model_validate({**CHEST, "ranking": {"rule": rule, "metrics": list(by)}, **more})


def cases(n: int, **attributes: Any) -> list[Case]:
    return [
        Case(id=f"scan-{i:03d}", split="test", attributes={k: v(i) for k, v in attributes.items()}) for i in range(n)
    ]


def scans(listed: Sequence[Case], skill: float, seed: int) -> dict[str, Scan]:
    """Every third scan holds no lesion; the higher the skill, the more lesions are found and the fewer marks are false."""
    rng = np.random.default_rng(seed)
    own = {}
    for i, case in enumerate(listed):
        hits = np.where(rng.random(i % 3) < skill, rng.random(i % 3), -np.inf)
        false = 0.9 * rng.random(rng.integers(0, 4))
        own[case.id] = Scan(hits, false, float(max([*hits, *false], default=-np.inf)))
    return own


def tables(
    declared: Task, listed: Sequence[Case], every: Sequence[Mapping[str, Scan]]
) -> tuple[list[Any], list[Any], list[Any]]:
    """Per-case tables, aggregates and parts of these submissions."""
    scored, summed, parts = [], [], []
    f1 = metrics.find("detection_f1")
    for own in every:
        rows = []
        for case in listed:
            scan = own[case.id]
            found, false = int((scan.hits >= 0.5).sum()), int((scan.false_positives >= 0.5).sum())
            value = 2 * found / (found + false + len(scan.hits)) if found + false + len(scan.hits) else 1.0
            rows.append(Score(case=case.id, metric="detection_f1", value=value, unit=f1.unit, status="ok"))
        by_metric = {m.id: own for m in declared.metrics if m.id != "detection_f1"}
        aligned = {id: [own[case.id] for case in listed] for id in by_metric}
        scored.append(rows)
        summed.append(scoring.aggregate(declared, listed, rows, aligned))
        parts.append(by_metric)
    return scored, summed, parts


def ranked(declared: Task, listed: Sequence[Case], every: Sequence[Mapping[str, Scan]]) -> Any:
    scored, summed, parts = tables(declared, listed, every)
    draws = setlevel.sampling(declared, listed)
    drawn = [setlevel.drawn(declared, listed, own, draws) for own in parts] if draws is not None else []
    return board.ranked(declared, listed, scored, summed, [own for own in drawn if own is not None])


def one_by_one(declared: Task, listed: Sequence[Case], every: Sequence[Mapping[str, Scan]]) -> tuple[Any, Any]:
    """The ends of the rank intervals from a loop: draw the cases, list them, take both metrics of the list, rank."""
    counts = bootstrap.resampling(len(listed), keys=[case.id for case in listed]).counts[: scoring.SET_DRAWS]
    scored, *_ = tables(declared, listed, every)
    ranks = []
    for row in counts.astype(int):
        again = [i for i, often in enumerate(row) for _ in range(often)]
        if not any(len(every[0][listed[i].id].hits) for i in again):
            continue  # without a lesion there is no sensitivity
        statistic = np.zeros(len(every))
        for metric in declared.ranking.metrics:
            if metric == "cpm":
                losses = [-value([own[listed[i].id] for i in again]) for own in every]
                statistic += rankdata(losses, method="min")
                continue
            values = np.array([[s.value for s in rows if s.metric == metric] for rows in scored])[:, again]
            if declared.ranking.rule == "mean_of_ranks":
                statistic += rankdata(-values, method="min", axis=0).mean(axis=1)
            else:
                statistic += rankdata(-values.mean(axis=1).round(12), method="min")
        ranks.append(rankdata(statistic.round(9), method="min"))
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="nearest")
    return low, high


@pytest.mark.parametrize("rule", ["rank_of_means", "mean_of_ranks"])
@pytest.mark.parametrize("by", [("cpm",), ("cpm", "detection_f1")])
def test_ranks_are_those_of_a_loop_over_draws(rule: str, by: tuple[str, ...]) -> None:
    declared, listed = task(rule, by), cases(9)
    every = [scans(listed, skill, seed) for seed, skill in enumerate((0.9, 0.6, 0.5, 0.1))]
    found = ranked(declared, listed, every)
    low, high = one_by_one(declared, listed, every)
    np.testing.assert_array_equal(found.low, np.minimum(low, found.rank))
    np.testing.assert_array_equal(found.high, np.maximum(high, found.rank))
    assert (found.high > found.low).any(), "nine scans do not settle the order"


@pytest.mark.parametrize("rule", ["rank_of_means", "mean_of_ranks", "synthrad2023", "significance"])
def test_order_of_rows_and_cases_does_not_matter(rule: str) -> None:
    declared, listed = task(rule), cases(12)
    every = [scans(listed, skill, seed) for seed, skill in enumerate((0.7, 0.6, 0.6, 0.2))]
    every.append(every[1])
    found = ranked(declared, listed, every)
    assert found.tied[1, 4] and found.rank[1] == found.rank[4] and found.low[1] == found.low[4]
    order = [3, 0, 4, 2, 1]
    turned = ranked(declared, listed[::-1], [every[i] for i in order])
    for name in ("rank", "low", "high"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(found, name)[order])
    np.testing.assert_array_equal(turned.tied, found.tied[np.ix_(order, order)])


def test_performance_and_fairness_draws_too() -> None:
    listed = cases(20, sex=lambda i: "mf"[i % 2])
    declared = task(
        attributes=[{"name": "sex", "title": "Sex"}],
        ranking={"rule": "performance_and_fairness", "metrics": ["cpm"], "attributes": ["sex"]},
    )
    found = ranked(declared, listed, [scans(listed, skill, seed) for seed, skill in enumerate((0.7, 0.6, 0.1))])
    assert found.tied[0, 1] and (found.low[0], found.high[0]) == (1, 2)
    np.testing.assert_array_equal(found.rank[2], 3)


def test_rank_intervals_by_cpm_cover_the_true_rank() -> None:
    """Three submissions of known order on many sets of scans: the interval holds the rank that endless scans would give."""
    declared, listed = task(by=("cpm",), metrics=[{"name": "cpm"}]), cases(60)
    draws = setlevel.sampling(declared, listed)
    assert draws is not None
    held, certain, trials = np.zeros(3), 0, 100
    for trial in range(trials):
        every = [scans(listed, skill, 10 * trial + k) for k, skill in enumerate((0.7, 0.6, 0.3))]
        drawn = np.stack(
            [(setlevel.drawn(declared, listed, {"cpm": own}, draws) or {})["cpm"] for own in every], axis=1
        )
        values = np.array([-value(list(own.values())) for own in every])
        losses = np.repeat(values[:, None], 60, axis=1)[..., None]
        found = ranking.rank(losses, "rank_of_means", draws, options=ranking.Options(drawn={0: drawn}))
        held += (found.low <= [1, 2, 3]) & (found.high >= [1, 2, 3])
        certain += int(found.high[0] == 1)
    assert (held / trials >= 0.93).all(), held
    assert certain < trials, "the first two are close; an interval that is never wide says nothing"


def test_without_parts_the_board_says_so() -> None:
    declared, listed = task(), cases(9)
    draws = setlevel.sampling(declared, listed)
    own = scans(listed, 0.5, 1)
    assert draws is not None and draws.draws == scoring.SET_DRAWS
    assert setlevel.drawn(declared, listed, {"cpm": {k: own[k] for k in list(own)[1:]}}, draws) is None
    assert "leave out" in board.set_level_warning(declared, 3, 2)[0] and not board.set_level_warning(declared, 3, 3)
    assert "sees ties" in board.set_level_warning(task("significance"), 3, 0)[0]
    assert setlevel.sampling(task("significance"), listed) is None
    assert setlevel.sampling(task(by=("detection_f1",)), listed) is None


# ---------------------------------------------------------------- half-samples


def test_half_samples_hold_half_of_each_block_and_whole_units() -> None:
    unit = [0, 0, 1, 2, 3, 3, 4, 5, 6]
    block = ["a", "a", "a", "a", "a", "a", "b", "b", "b"]
    counts = half_samples(unit, block, 400)
    assert set(np.unique(counts)) == {0.0, 1.0}
    np.testing.assert_array_equal(counts[:, 0], counts[:, 1])
    np.testing.assert_array_equal(counts[:, [0, 2, 3, 4]].sum(axis=1), 2)
    assert set(counts[:, 6:].sum(axis=1)) == {1.0, 2.0}
    assert (abs(counts.mean(axis=0) - 0.5) < 0.1).all()
    assert half_samples([0, 1], ["a", "b"], 200).any(axis=1).all()
    with pytest.raises(ValueError, match="two units"):
        half_samples([3, 3], ["a", "a"], 5)


def test_the_spread_of_half_samples_is_the_standard_error() -> None:
    """Over all halves of six numbers the variance of the mean is S²/n to the last digit; drawn ones come near it."""
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0, 7.0])
    every = [np.mean(half) for half in itertools.combinations(values, 3)]
    assert np.var(every) == pytest.approx(values.var(ddof=1) / 6, rel=1e-12)
    counts = half_samples(range(6), [""] * 6, 4000)
    drawn = counts @ values / counts.sum(axis=1)
    assert np.var(drawn) == pytest.approx(values.var(ddof=1) / 6, rel=0.1)
    moved = recentred(drawn, 10.0)
    assert moved.mean() == pytest.approx(10) and np.var(moved) == pytest.approx(np.var(drawn))


def test_the_frechet_distance_is_drawn_by_halves_about_its_value() -> None:
    """A bootstrap of so few cases would move it by more than its own spread; half-samples about its value do not."""
    declared = task(metrics=[{"name": "fd_radiomics"}], ranking={"rule": "rank_of_means", "metrics": ["fd_radiomics"]})
    listed = cases(16, site=lambda i: "AB"[i % 2])
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(16, 4, 6)).astype(np.float32)

    def parts(shift: float) -> dict[str, Any]:
        noise = np.random.default_rng(8).normal(size=truth.shape) * 0.1
        made = (truth + shift + noise).astype(np.float32)
        return {"fd_radiomics": {case.id: FeaturePart(truth[i], made[i]) for i, case in enumerate(listed)}}

    draws = setlevel.sampling(declared, listed)
    assert draws is not None and set(np.unique(draws.counts)) == {0.0, 1.0} and (draws.counts.sum(axis=1) == 8).all()
    near, far = (setlevel.drawn(declared, listed, parts(shift), draws) for shift in (0.5, 0.505))
    assert near is not None and far is not None
    metric = metrics.find("fd_radiomics")
    assert metric.reduce is not None
    own = parts(0.5)["fd_radiomics"]
    value = metric.reduce([own[c.id] for c in listed], np.ones(16), **metric.options).value
    assert near["fd_radiomics"].mean() == pytest.approx(value)
    # Both have the same noise: in the same half the farther one is farther, however much the halves differ.
    assert (far["fd_radiomics"] > near["fd_radiomics"]).all()
    assert np.ptp(near["fd_radiomics"]) > far["fd_radiomics"].mean() - near["fd_radiomics"].mean()
    stratified = setlevel.sampling(task(stratify="site", attributes=[{"name": "site", "title": "S"}], metrics=declared.metrics,
                                        ranking={"rule": "rank_of_means", "metrics": ["fd_radiomics"]}), listed)  # fmt: skip
    assert stratified is not None and (stratified.counts[:, ::2].sum(axis=1) == 4).all()
