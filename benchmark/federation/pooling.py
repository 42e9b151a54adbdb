"""Over the sites of a board: one table a row, from the values by case of some sites and the sums of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark import metrics
from benchmark.contract import Attribute, Case, DatasetInfo, Score, SiteMetric, SiteValue, Task
from benchmark.errors import DataError
from benchmark.statistics import sites as statistics

if TYPE_CHECKING:
    from benchmark.federation.bundle import Bundle

SITE = "site"
"""Attribute of the cases of a federated edition."""


def task_of(task: Task, info: DatasetInfo) -> Task:
    """The task as a federated edition is scored by it: drawn within sites, and the site its only attribute. Else the task itself.

    Raises `DataError('task_invalid')` for a ranking rule that needs other attributes.
    """
    if not info.sites:
        return task
    if task.ranking.attributes:
        raise DataError(
            "task_invalid",
            f"{task.name} is ranked by gaps of {', '.join(task.ranking.attributes)}, which no bundle tells by case",
            expected="a rule without attributes for federated scoring",
        )
    return task.model_copy(
        update={
            "stratify": SITE,
            "attributes": (Attribute(name=SITE, title="Site"),),
            "fairness": task.fairness.model_copy(update={"crossings": ()}),
        }
    )


def by_site(
    task: Task, cases: Sequence[Case], table: Sequence[Score], summed: Sequence[Bundle]
) -> tuple[SiteMetric, ...]:
    """The table of one row: a metric a line. Metrics of the set, and those that are infinite somewhere, have none."""
    place = {case.id: case.attributes[SITE] for case in cases}
    values: dict[str, dict[str, list[float]]] = {}
    for score in table:
        if score.case in place and score.status != "excluded":
            values.setdefault(score.metric, {}).setdefault(place[score.case], []).append(score.value)
    found = []
    for used in task.metrics:
        own = values.get(used.id, {})
        if metrics.find(used.name).level == "set" or not all(np.isfinite(v).all() for v in own.values()):
            continue
        known = {
            name: (statistics.Site(len(v), float(np.mean(v)), float(np.var(v, ddof=1)) if len(v) > 1 else 0.0), "cases")
            for name, v in own.items()
        }
        for bundle in summed:
            for s in bundle.sums:
                if s.metric == used.id:
                    known[bundle.site] = (statistics.Site(s.n, s.mean, s.variance), "sums")
        if known:
            found.append(_metric(task, used.id, {name: known[name] for name in sorted(known)}))
    return tuple(found)


def _metric(task: Task, id: str, known: dict[str, tuple[statistics.Site, str]]) -> SiteMetric:
    lines = []
    for name, (site, kind) in known.items():
        low, high = _within(id, task, statistics.interval(site))
        lines.append(SiteValue(site=name, n=site.n, value=site.mean, low=low, high=high, by_case=kind == "cases"))
    all_sites = [site for site, _ in known.values()]
    mean, *ends = statistics.pooled(all_sites)
    low, high = _within(id, task, (ends[0], ends[1]))
    means = [site.mean for site in all_sites]
    return SiteMetric(
        metric=id,
        sites=tuple(lines),
        value=mean,
        low=low,
        high=high,
        n=sum(site.n for site in all_sites),
        range=max(means) - min(means),
        i_squared=statistics.heterogeneity(all_sites),
    )


def _within(id: str, task: Task, ends: tuple[float, float]) -> tuple[float, float]:
    """An interval, cut where the metric ends: t intervals of few cases reach beyond."""
    low, high = metrics.find(task.metric(id).name).range
    return max(ends[0], low), min(ends[1], high)
