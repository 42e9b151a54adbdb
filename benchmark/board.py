"""From the scores of several submissions on one edition to a board: rows in order, with rank intervals and ties."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark import metrics, store
from benchmark.contract import Aggregate, Board, Case, MetricInfo, Row, RunRecord, Score, Task
from benchmark.dataset import Edition
from benchmark.scoring import iterate_losses, sampling_for
from benchmark.statistics import ranking

MANY_CASES = 20
"""Below this many test cases the page says that intervals are wide and ranks unsettled."""


def make(task: Task, edition: Edition, scored: Sequence[tuple[RunRecord, store.ScoreRecord]], root: Path) -> Board:
    """The board of these runs; the order of the input does not matter."""
    cases = edition.split("test")
    ordered = sorted(scored, key=lambda pair: pair[0].method.name)
    tables = [store.load_case_scores(root, score.key) for _, score in ordered]
    rows = _rows(task, cases, ordered, tables) if ordered else ()
    return Board(
        task=task,
        dataset=edition.info.model_copy(update={"files": {}}),
        split="test",
        metrics=tuple(describe(task)),
        rows=rows,
        scorer=store.scorer_version(),
        data_digest=store.digest(edition.info.files),
        notes=tuple(notes(task, edition, cases, rows)),
    )


def _rows(
    task: Task,
    cases: Sequence[Case],
    ordered: Sequence[tuple[RunRecord, store.ScoreRecord]],
    tables: Sequence[Sequence[Score]],
) -> tuple[Row, ...]:
    ranks = ranked(task, cases, tables, [score.aggregates for _, score in ordered])
    names = [run.method.name for run, _ in ordered]
    tests = {case.id for case in cases}
    rows = []
    for i, (run, score) in enumerate(ordered):
        worst = {s.case for s in tables[i] if s.case in tests and s.status in ("missing", "invalid")}
        rows.append(
            Row(
                method=run.method,
                run=run.key,
                score=score.key,
                digest=run.digest,
                engine=run.engine,
                hardware=run.hardware,
                rank=ranks.rank[i],
                rank_low=ranks.low[i],
                rank_high=ranks.high[i],
                tied_with=tuple(name for j, name in enumerate(names) if j != i and ranks.tied[i, j]),
                aggregates=score.aggregates,
                seconds_median=float(np.median([case.seconds for case in run.cases if case.case in tests])),
                seconds_start=run.start_seconds,
                failed=len(worst),
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.rank, row.method.name)))


def ranked(
    task: Task, cases: Sequence[Case], tables: Sequence[Sequence[Score]], aggregates: Sequence[Sequence[Aggregate]]
) -> ranking.Ranks:
    """Ranks, rank intervals and ties of the submissions with these per-case tables, in the order that they come in.

    It looks at the cases in the order of drawing whatever the order of `cases`, so a reader of the published tables gets the
    same ranks.
    """
    cases = sorted(cases, key=lambda case: case.drawing)
    losses = np.stack(list(iterate_losses(task, cases, tables, aggregates)))
    return ranking.rank(losses, task.ranking.rule, sampling_for(task, cases))


def describe(task: Task) -> list[MetricInfo]:
    """The task's columns in words."""
    infos = []
    for used in task.metrics:
        declared = metrics.find(used.name)
        low, high = declared.range
        infos.append(
            MetricInfo(
                id=used.id,
                name=used.name,
                title=used.title or declared.title,
                unit=declared.unit,
                direction=declared.direction,
                low=low if np.isfinite(low) else None,
                high=high if np.isfinite(high) else None,
                worst="diagonal of the volume in mm" if declared.worst == "diagonal" else f"{declared.worst:g}",
                definition=declared.definition,
                citation=declared.citation,
                options={**declared.options, **used.options},
            )
        )
    return infos


def notes(task: Task, edition: Edition, cases: Sequence[Case], rows: Sequence[Row]) -> list[str]:
    """What the page must say in plain sentences."""
    said = []
    if edition.info.kind == "phantom":
        said.append(
            "These are phantom results: the images are made by formula, not by a scanner, and no score here speaks for patients."
        )
    else:
        said.append("The images are of real patients.")
    sampling = sampling_for(task, cases, draws=2)
    groups = sorted({case.attributes.get(task.cluster, case.id) for case in cases}) if task.cluster else []
    if sampling.scheme == "within clusters":
        said.append(
            f"The {len(cases)} test cases come from {len(groups)} {task.cluster}s only; intervals and ranks speak for "
            f"{sampling.speaks_for}."
        )
    elif len(cases) < MANY_CASES:
        said.append(f"With {len(cases)} test cases, intervals are wide.")
    said += _generative_against_traditional(task, rows)
    return said


def _generative_against_traditional(task: Task, rows: Sequence[Row]) -> list[str]:
    """One sentence on the question that the field asks, from the first metric of the task."""
    info = describe(task)[0]
    sign = 1 if info.direction == "lower" else -1

    def best(kind: Sequence[Row]) -> Row | None:
        return min(kind, key=lambda row: sign * row.aggregate(info.id).value, default=None)

    traditional = best([row for row in rows if row.method.family == "classical"])
    learned = best([row for row in rows if row.method.family not in ("classical", "other")])
    generative = best([row for row in rows if row.method.generative])
    said = []
    for label, row in (("learned", learned), ("generative", generative)):
        if traditional is None or row is None:
            continue
        a, b = row.aggregate(info.id), traditional.aggregate(info.id)
        better = sign * (a.value - b.value) < 0
        said.append(
            f"By {info.title}, the best {label} model ({row.method.title}: {_shown(a.value)}{_unit(info.unit)}) is "
            f"{'better' if better else 'not better'} than the best classical one ({traditional.method.title}: "
            f"{_shown(b.value)}{_unit(info.unit)})."
        )
    return said


def _shown(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
