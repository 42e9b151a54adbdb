"""Set-level metrics in each draw of the cases, for ranks with intervals: as the board draws its cases, so are these taken again.

A metric such as CPM has one value a submission and none a case. What each case adds to it is kept (`store.load_parts`), so it can be
taken of any draw. All submissions and metrics of a board share the draws: what makes a draw hard is hard for all, and cancels in ranks.

The draws are the first `SET_DRAWS` of the board's bootstrap, those of the intervals of the values. Metrics without a fast way over many
draws get `SLOW_DRAWS`. Where one of the metrics depends on the number of cases (`Metric.interval` is false: the Fréchet distance), a
bootstrap would mislead, and all metrics are drawn by half-samples, see `benchmark.statistics.halves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import metrics
from benchmark.contract import Case, Task, TaskMetric
from benchmark.metrics import Metric
from benchmark.scoring import SET_DRAWS, drawing_groups, sampling_for
from benchmark.statistics.bootstrap import Resampling
from benchmark.statistics.fairness import SLOW_DRAWS
from benchmark.statistics.halves import half_samples, recentred

Floats = NDArray[np.float64]


def ranked_by(task: Task) -> list[tuple[TaskMetric, Metric]]:
    """The set-level metrics of the task's ranking."""
    used = [(task.metric(id), metrics.find(task.metric(id).name)) for id in task.ranking.metrics]
    return [(use, declared) for use, declared in used if declared.level == "set"]


def sampling(task: Task, cases: Sequence[Case]) -> Resampling | None:
    """The draws in which this board's ranks are taken, its columns in the order of `cases`; None where the bootstrap over cases will do:
    no metric of the ranking is set-level, the rule tests cases (`significance`), or there is one case alone."""
    used = [declared for _, declared in ranked_by(task)]
    if not used or len(cases) < 2 or task.ranking.rule == "significance":
        return None
    draws = SET_DRAWS if all(declared.reduce_many is not None for declared in used) else SLOW_DRAWS
    if all(declared.interval for declared in used):
        whole = sampling_for(task, cases)
        return replace(whole, counts=np.ascontiguousarray(whole.counts[:draws]))
    whole = sampling_for(task, cases, draws=1)
    if whole.units < 2:
        return None
    by = {"strata": (task.stratify, "unknown"), "within clusters": (task.cluster, "")}.get(whole.scheme)
    blocks = drawing_groups(cases, *by) if by else {}
    # By the order of drawing, so that listing the cases otherwise changes nothing.
    order = np.argsort([case.drawing for case in cases], kind="stable")
    _, unit = np.unique(whole.unit[order], return_inverse=True)
    counts = half_samples(unit.tolist(), [blocks.get(cases[i].id, "") for i in order], draws)
    return replace(whole, counts=np.ascontiguousarray(counts[:, np.argsort(order, kind="stable")]))


def drawn(
    task: Task, cases: Sequence[Case], parts: Mapping[str, Mapping[str, Any]], sampling: Resampling
) -> dict[str, Floats] | None:
    """One submission's losses by metric id (draws,), where smaller is better; None where a metric's part of some case is not there.

    `parts` are by metric id and case id, and may hold more cases; `sampling` is that of these very cases.
    """
    # In the order of drawing, so that the last digit does not depend on the order in which cases are listed.
    order = sorted(range(len(cases)), key=lambda i: cases[i].drawing)
    counts = sampling.counts[:, order]
    used = ranked_by(task)
    halves = not all(declared.interval for _, declared in used)
    found = {}
    for use, declared in used:
        own = parts.get(use.id, {})
        if not all(case.id in own for case in cases):
            return None
        listed = [own[cases[i].id] for i in order]
        options = {**declared.options, **use.options}
        assert declared.reduce is not None
        if declared.reduce_many is not None:
            values = np.asarray(declared.reduce_many(listed, counts, **options), np.float64)
        else:
            values = np.array([declared.reduce(listed, row, **options).value for row in counts])
        if halves:
            values = recentred(values, float(declared.reduce(listed, np.ones(len(listed)), **options).value))
        found[use.id] = values if declared.direction == "lower" else -values
    return found
