"""From the scores of several submissions on one edition to a board: rows in order, with rank intervals and ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import audit, curves, metrics, parts, setlevel, store
from benchmark.contract import (
    Aggregate,
    Board,
    Case,
    DatasetInfo,
    Method,
    MetricInfo,
    Reproduction,
    Row,
    RunRecord,
    Score,
    SiteMetric,
    Task,
)
from benchmark.contract.board import Curve
from benchmark.dataset import Edition
from benchmark.errors import DataError
from benchmark.fairness import UNKNOWN, Agreement, Fairness, Population
from benchmark.scoring import iterate_losses, sampling_for
from benchmark.statistics import agreement as rules
from benchmark.statistics import ranking
from benchmark.statistics.bootstrap import Resampling

MANY_CASES = 20
"""Below this many test cases the page says that intervals are wide and ranks unsettled."""


def make(task: Task, edition: Edition, scored: Sequence[tuple[RunRecord, store.ScoreRecord]], root: Path) -> Board:
    """The board of these runs; the order of the input does not matter."""
    cases = edition.split("test")
    ordered = sorted(scored, key=lambda pair: pair[0].method.name)
    tables = [store.load_case_scores(root, score.key) for _, score in ordered]
    people, fair = _fairness(task, edition, cases, ordered, tables, root)
    draws = setlevel.sampling(task, cases) if cases else None
    found = [_from_parts(task, cases, store.load_parts(root, score.key), draws) for _, score in ordered]
    places = [_sites(task, edition, run, table, root) for (run, _), table in zip(ordered, tables, strict=True)]
    again = [store.load_reproduction(root, run.key) for run, _ in ordered]
    drawn = [values for _, values in found if values is not None]
    ranks = ranked(task, cases, tables, [score.aggregates for _, score in ordered], drawn) if ordered else None
    rows = _rows(cases, ordered, tables, ranks, fair, [own for own, _ in found], places, again) if ranks else ()
    certain = set_level_warning(task, len(ordered), len(drawn))
    compared = None
    if len(ordered) > 1:
        compared = agreement(
            task, cases, tables, [run.method for run, _ in ordered], [score.aggregates for _, score in ordered]
        )
    return Board(
        task=task,
        dataset=edition.info.model_copy(update={"files": {}}),
        split="test",
        metrics=tuple(describe(task)),
        rows=rows,
        scorer=store.scorer_version(),
        data_digest=store.digest(edition.info.files),
        notes=tuple(notes(task, edition.info, cases, rows, drawn=not certain)),
        warnings=(*certain, *(compared.warnings if compared else ())),
        agreement=compared,
        population=people,
    )


def _sites(task: Task, edition: Edition, run: RunRecord, table: Sequence[Score], root: Path) -> tuple[SiteMetric, ...]:
    """By metric the values of single sites, where the edition is put together from such."""
    if not edition.info.sites:
        return ()
    from benchmark.federation import merging, pooling  # few boards are

    return pooling.by_site(
        task, edition.split("test"), table, merging.summed(root, task, edition.info, run.method.name)
    )


def _fairness(
    task: Task,
    edition: Edition,
    cases: Sequence[Case],
    ordered: Sequence[tuple[RunRecord, store.ScoreRecord]],
    tables: Sequence[Sequence[Score]],
    root: Path,
) -> tuple[Population | None, Sequence[Fairness | None]]:
    """Who was scored, and one audit a row; nothing where the task declares no attributes."""
    if not ordered or not audit.auditable(task, cases):
        return None, [None] * len(ordered)
    stored = [parts.aligned(store.load_parts(root, score.key), [case.id for case in cases]) for _, score in ordered]
    whole = [own for own in stored if own]
    return audit.fairness(task, cases, edition.info.kind, tables, whole if len(whole) == len(stored) else None)


def _from_parts(
    task: Task, cases: Sequence[Case], own: Mapping[str, Mapping[str, Any]], draws: Resampling | None
) -> tuple[tuple[Curve, ...], dict[str, NDArray[np.float64]] | None]:
    """Curves, and losses by set-level metric in each draw, of one submission: what its cases add is held for one at a time."""
    return curves.curves(task, cases, own), setlevel.drawn(task, cases, own, draws) if draws is not None else None


def set_level_warning(task: Task, rows: int, drawn: int) -> list[str]:
    """Where a metric of the ranking has no value by case and was not drawn again for all rows, the order takes it as certain."""
    names = [declared.title for _, declared in setlevel.ranked_by(task)]
    if not names or drawn == rows:
        return []
    subject = f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} no value by case"
    if task.ranking.rule == "significance":
        return [f"{subject}: the rule tests nothing there and sees ties; see the intervals of the values."]
    return [
        f"{subject}, and what single cases add is not stored for every submission: rank intervals and ties leave out how uncertain "
        "that is; see the intervals of the values."
    ]


def _rows(
    cases: Sequence[Case],
    ordered: Sequence[tuple[RunRecord, store.ScoreRecord]],
    tables: Sequence[Sequence[Score]],
    ranks: ranking.Ranks,
    fair: Sequence[Fairness | None],
    drawn: Sequence[tuple[Curve, ...]],
    places: Sequence[tuple[SiteMetric, ...]],
    again: Sequence[Reproduction | None],
) -> tuple[Row, ...]:
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
                seconds_median=float(np.median([case.seconds for case in run.cases if case.case in tests]))
                if run.ran
                else None,
                seconds_start=run.start_seconds if run.ran else None,
                failed=len(worst),
                flags=run.flags,
                cost=run.cost,
                fairness=fair[i],
                sites=places[i],
                reproduction=again[i],
                curves=drawn[i],
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.rank, row.method.name)))


def ranked(
    task: Task,
    cases: Sequence[Case],
    tables: Sequence[Sequence[Score]],
    aggregates: Sequence[Sequence[Aggregate]],
    drawn: Sequence[Mapping[str, NDArray[np.float64]]] = (),
) -> ranking.Ranks:
    """Ranks, rank intervals and ties of the submissions with these per-case tables, in the order that they come in.

    `drawn` are their losses by set-level metric in the draws of `setlevel.sampling`; where they are not of all submissions, such
    metrics are taken as certain. It looks at the cases in the order of drawing whatever the order of `cases`, so a reader of the
    published tables gets the same ranks.
    """
    cases = sorted(cases, key=lambda case: case.drawing)
    losses = np.stack(list(iterate_losses(task, cases, tables, aggregates)))
    rule, options = task.ranking.rule, rule_options(task, cases)
    sampling = setlevel.sampling(task, cases) if len(drawn) == len(tables) else None
    if sampling is not None:
        by_metric = {id: np.stack([own[id] for own in drawn], axis=1) for id in drawn[0]}
        options = replace(options, drawn={task.ranking.metrics.index(id): own for id, own in by_metric.items()})
    if rule == "performance_and_fairness":
        losses = bounded(task, losses)
        scaled = {m: bounded_metric(task, task.ranking.metrics[m], own) for m, own in options.drawn.items()}
        options = replace(options, drawn=scaled)
    return ranking.rank(losses, rule, sampling or sampling_for(task, cases), options=options)


def agreement(
    task: Task,
    cases: Sequence[Case],
    tables: Sequence[Sequence[Score]],
    methods: Sequence[Method],
    aggregates: Sequence[Sequence[Aggregate]],
) -> Agreement:
    """What the other ranking rules would say of the same tables. Their order is that of the record."""
    cases = sorted(cases, key=lambda case: case.drawing)
    sampling, options = sampling_for(task, cases, draws=1), rule_options(task, cases)
    losses = np.stack(list(iterate_losses(task, cases, tables, aggregates)))
    names = [method.name for method in methods]
    declared = None
    if task.ranking.rule == "performance_and_fairness":
        found = ranking.statistic(bounded(task, losses), task.ranking.rule, sampling, options=options)
        declared = dict(zip(names, ranking.competition(found).tolist(), strict=True))
    return rules.agreement(
        losses,
        names,
        task.ranking.rule,
        sampling,
        options=options,
        declared=declared,
        titles={method.name: method.title for method in methods},
    )


def rule_options(task: Task, cases: Sequence[Case]) -> ranking.Options:
    """What the task's ranking section says, for `cases` in this order."""
    declared = task.ranking
    groups = []
    for name in declared.attributes:
        values = [case.attributes.get(name, "") or UNKNOWN for case in cases]
        sizes = Counter(values)
        # As in the audit: who is unknown, or too few for an interval, is in no gap.
        known = sorted(v for v, n in sizes.items() if v != UNKNOWN and n >= task.fairness.minimum_phantom)
        groups.append(np.array([known.index(value) if value in known else -1 for value in values]))
    return ranking.Options(
        weights=declared.weights,
        set_level=[metrics.find(task.metric(id).name).level == "set" for id in declared.metrics],
        test=declared.test,
        groups=groups,
        fairness_weight=declared.fairness_weight,
    )


def bounded(task: Task, losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses (submissions, cases, metrics) on the scale where 0 is the best value that the task names and 1 the worst.

    Raises `DataError` for a metric without bounds.
    """
    columns = [bounded_metric(task, id, losses[..., m]) for m, id in enumerate(task.ranking.metrics)]
    return np.stack(columns, axis=-1)


def bounded_metric(task: Task, id: str, losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for the losses by one metric, of any shape."""
    declared = metrics.find(task.metric(id).name)
    sign = 1.0 if declared.direction == "lower" else -1.0
    ends = declared.range if sign < 0 else declared.range[::-1]
    zero, one = (sign * end for end in task.ranking.bounds.get(id, ends))
    if not np.isfinite([zero, one]).all():
        raise DataError(
            "task_invalid",
            f"performance_and_fairness: the range of {id!r} is not finite",
            expected=f"ranking.bounds.{id} = [value that counts as 0, value that counts as 1]",
        )
    return np.asarray(np.clip((losses - one) / (zero - one), 0, 1))


WORST: Mapping[object, str] = {"diagonal": "diagonal of the image in mm", "volume": "volume of the image in ml"}
"""Worst values that depend on the image, in words."""


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
                worst=WORST.get(declared.worst) or f"{declared.worst:g}",
                definition=declared.definition,
                citation=declared.citation,
                options={**declared.options, **used.options},
            )
        )
    return infos


def notes(task: Task, info: DatasetInfo, cases: Sequence[Case], rows: Sequence[Row], *, drawn: bool) -> list[str]:
    """What the page must say in plain sentences. `drawn`: ranks and ties know how uncertain every metric of the ranking is."""
    said = []
    if info.kind == "phantom":
        said.append(
            "These are phantom results: the images are made by formula, not by a scanner, and no score here speaks for patients."
        )
    else:
        said.append("The images are of real patients.")
    if info.sites:
        said.append(
            f"The values were computed by {len(info.sites)} sites on their own images ({', '.join(info.sites)}), which "
            "nobody here has seen; intervals are drawn within sites and speak for these sites."
        )
    sampling = sampling_for(task, cases, draws=2)
    groups = sorted({case.attributes.get(task.cluster, case.id) for case in cases}) if task.cluster else []
    if sampling.scheme == "within clusters":
        said.append(
            f"The {len(cases)} test cases come from {len(groups)} {task.cluster}s only; intervals and ranks speak for "
            f"{sampling.speaks_for}."
        )
    elif len(cases) < MANY_CASES:
        said.append(f"With {len(cases)} test cases, intervals are wide.")
    said += _generative_against_traditional(task, rows, drawn)
    return said


def _generative_against_traditional(task: Task, rows: Sequence[Row], drawn: bool) -> list[str]:
    """One sentence on the question that the field asks, from the first metric of the task."""
    info = describe(task)[0]
    sign = 1 if info.direction == "lower" else -1

    def best(kind: Sequence[Row]) -> Row | None:
        return min(kind, key=lambda row: sign * row.aggregate(info.id).value, default=None)

    traditional = best([row for row in rows if row.method.family == "classical"])
    # As on the front: learned is what is trained and generates nothing.
    learned = best(
        [row for row in rows if row.method.family not in ("classical", "other") and not row.method.generative]
    )
    generative = best([row for row in rows if row.method.generative])
    said = []
    for label, row in (("learned", learned), ("generative", generative)):
        if traditional is None or row is None:
            continue
        a, b = row.aggregate(info.id), traditional.aggregate(info.id)
        better = sign * (a.value - b.value) < 0
        # Ties are those of the rule, which looks at both rows in the same draws. A metric of the whole set may be no part of it; then
        # its intervals must do.
        doubt = ""
        tested = metrics.find(info.name).level == "case" or (drawn and info.id in task.ranking.metrics)
        if traditional.method.name in row.tied_with:
            doubt = "; the ranking holds them for tied"
        elif not tested and a.low <= b.high and b.low <= a.high:
            doubt = "; their intervals overlap, so these cases do not settle it"
        said.append(
            f"By {info.title}, the best {label} model ({row.method.title}: {_shown(a.value)}{_unit(info.unit)}) is "
            f"{'better' if better else 'not better'} than the best classical one ({traditional.method.title}: "
            f"{_shown(b.value)}{_unit(info.unit)}){doubt}."
        )
    return said


def _shown(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
