"""The fairness audit: what was measured, on whom, which gaps are more than chance, and what could not be measured.

It starts from stored scores, so it needs no model. Set-level metrics and rates have no value by case; for them it needs the parts
that scoring collects, one a case, see `benchmark.metrics.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import metrics, store
from benchmark import parts as stored_parts
from benchmark.contract import Aggregate, Case, Method, MetricInfo, Record, RunRecord, Score, Source, Split, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError, UsageError
from benchmark.fairness import Fairness, Population
from benchmark.metrics import Metric
from benchmark.metrics.classification import Labelled
from benchmark.metrics.points import Scan
from benchmark.statistics import fairness as statistics
from benchmark.statistics import gaps, population
from benchmark.statistics.fairness import FPR, TPR, Audited
from benchmark.statistics.population import Grouped

Floats = NDArray[np.float64]
Parts = Mapping[str, Sequence[Any]]
"""By metric id, what each case contributes to a set-level metric, in the order of the cases."""
THRESHOLD = 0.5
"""Probability from which a scan is called positive, where no metric of the task says otherwise."""


class Audit(Record):
    """The whole audit of one submission, for an organiser or a regulator."""

    schema_version: int = 1
    """Version of this record."""
    task: str
    """Task name."""
    task_title: str
    """Task heading."""
    task_version: str
    """Task version."""
    edition: str
    """Data edition."""
    edition_title: str
    """Heading of the data edition."""
    kind: str
    """`phantom` (images made by formula: nothing here speaks for patients) or `real`."""
    sources: tuple[Source, ...] = ()
    """Where real data came from."""
    split: Split
    """The split that was scored."""
    method: Method
    """The submission."""
    run: str = ""
    """Inference key: what was run, on which inputs, under which limits."""
    score: str = ""
    """Scoring key."""
    scorer: str = ""
    """Version and hash of the scoring code."""
    metrics: tuple[MetricInfo, ...]
    """What was measured, with definitions and what a failed case takes."""
    aggregates: tuple[Aggregate, ...]
    """Over all cases."""
    population: Population
    """On whom."""
    fairness: Fairness
    """By group."""
    limits: tuple[str, ...]
    """What this audit does not say, in plain sentences."""

    @property
    def unmeasurable(self) -> tuple[str, ...]:
        """Everything that could not be measured, of people and of metrics."""
        return (*self.population.unmeasurable, *self.fairness.unmeasurable)


def auditable(task: Task, cases: Sequence[Case]) -> bool:
    """Whether there is anything to audit: cases, and attributes that the task declares."""
    return bool(cases and task.attributes)


def fairness(
    task: Task,
    cases: Sequence[Case],
    kind: str,
    tables: Sequence[Sequence[Score]],
    parts: Sequence[Parts] | None = None,
    *,
    permutations: int = gaps.PERMUTATIONS,
) -> tuple[Population, list[Fairness]]:
    """Audit the submissions with these per-case tables, one `Fairness` each, over the same groups, draws and shuffles.

    `parts` are for set-level metrics and rates, one mapping a submission, their lists in the order of `cases`; without them these
    are named as not measured. Raises `ValueError` where there is nothing to audit, `DataError` where a table lacks a case.
    """
    grouped = population.group(task, cases, kind)
    place = {case.id: i for i, case in enumerate(cases)}
    order = [place[case.id] for case in grouped.cases]
    aligned = None if parts is None else [{id: [own[i] for i in order] for id, own in one.items()} for one in parts]
    audited, missing = _audited(task, grouped, tables, aligned)
    result = statistics.fairness(
        grouped, audited, len(tables), task.fairness, unmeasurable=missing, permutations=permutations
    )
    return grouped.population, result


def audit(
    task: Task,
    edition: Edition,
    method: Method,
    scores: Sequence[Score],
    aggregates: Sequence[Aggregate],
    infos: Sequence[MetricInfo],
    *,
    split: Split = "test",
    parts: Parts | None = None,
    run: str = "",
    score: str = "",
    scorer: str = "",
) -> Audit:
    """The audit of one submission on one split. Raises `DataError` where the task declares no attribute or the split has no case."""
    cases = edition.split(split)
    if not auditable(task, cases):
        raise DataError(
            "task_invalid",
            f"task {task.name!r} declares no attributes" if cases else f"the edition has no {split} cases",
            expected="[[attributes]] in task.toml and cases to audit",
        )
    people, (found,) = fairness(task, cases, edition.info.kind, [scores], None if parts is None else [parts])
    return Audit(
        task=task.name,
        task_title=task.title,
        task_version=task.version,
        edition=edition.info.edition,
        edition_title=edition.info.title,
        kind=edition.info.kind,
        sources=edition.info.sources,
        split=split,
        method=method,
        run=run,
        score=score,
        scorer=scorer,
        metrics=tuple(infos),
        aggregates=tuple(aggregates),
        population=people,
        fairness=found,
        limits=tuple(_limits(task, edition, people, found)),
    )


def of_store(
    task: Task,
    edition: Edition,
    scored: Sequence[tuple[RunRecord, store.ScoreRecord]],
    submission: str,
    root: Path,
    infos: Sequence[MetricInfo],
) -> Audit:
    """The audit of the stored submission of that name. Raises `UsageError` that lists the names where there is none."""
    chosen = next(((run, score) for run, score in scored if run.method.name == submission), None)
    if chosen is None:
        names = ", ".join(sorted(run.method.name for run, _ in scored))
        raise UsageError(
            "unknown_name",
            f"no submission {submission!r} of {task.name} has been scored on edition {edition.info.edition!r} by this version",
            expected=f"one of {names}" if names else f"a scored submission: run `radbench run {task.name}` first",
        )
    run, score = chosen
    cases = [case.id for case in edition.split("test")]
    return audit(
        task,
        edition,
        run.method,
        store.load_case_scores(root, score.key),
        score.aggregates,
        infos,
        parts=stored_parts.aligned(store.load_parts(root, score.key), cases) or None,
        run=run.key,
        score=score.key,
        scorer=score.scorer,
    )


def _limits(task: Task, edition: Edition, people: Population, found: Fairness) -> list[str]:
    said = []
    if edition.info.kind == "phantom":
        said.append(
            "The images are phantoms, made by formula. Groups differ as they were made to; nothing speaks for patients."
        )
    names = ", ".join(attribute.title for attribute in task.attributes)
    said.append(
        f"Only the attributes that the task declares were looked at: {names}. Of others, and of groups within these groups beyond "
        "the crossings shown, nothing is known."
    )
    said.append(
        f"The test cases are {people.n} cases of {people.patients} patients; who is rare among them is judged on few. Groups below "
        f"{people.minimum} patients are withheld."
    )
    said.append(
        f"Each gap was held against {found.permutations} shuffles of the labels and {found.tests} gaps were tested together (Holm), so a "
        "gap that is not called more than chance may still be real."
    )
    said.append(
        "A gap says that a model serves groups unequally well, not why; two groups served equally badly show none."
    )
    return said


def _audited(
    task: Task, grouped: Grouped, tables: Sequence[Sequence[Score]], parts: Sequence[Parts] | None
) -> tuple[list[Audited], list[str]]:
    """The measures, and sentences on those that there is no way to measure."""
    found: list[Audited] = []
    missing: list[str] = []
    failed = _failed(grouped.cases, tables)
    for used in task.metrics:
        declared = metrics.find(used.name)
        title = used.title or declared.title
        if declared.level == "case":
            values, counted = _values(grouped.cases, tables, used.id)
            found.append(
                Audited(
                    id=used.id,
                    title=title,
                    unit=declared.unit,
                    direction=declared.direction,
                    measure=gaps.mean_measure(values, counted),
                    values=values if counted.all() else None,
                    failed=failed,
                )
            )
        elif parts is None or not all(used.id in own for own in parts):
            missing.append(
                f"{title} has no value by case, and what the cases contribute to it is not stored: not measured by group."
            )
        elif not declared.interval:
            missing.append(
                f"{title} depends on the number of cases, so groups of different size cannot be compared by it."
            )
        else:
            own = [one[used.id] for one in parts]
            options = {**declared.options, **used.options}
            found.append(
                Audited(
                    id=used.id,
                    title=title,
                    unit=declared.unit,
                    direction=declared.direction,
                    measure=_set_measure(declared, own, options),
                    counts=_classes(task, used.name, own[0]),
                    failed=failed,
                    slow=declared.reduce_many is None,
                )
            )
    if parts is not None:
        found += _rates(task, parts, failed)
    return found, missing


def _values(cases: Sequence[Case], tables: Sequence[Sequence[Score]], metric: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Values and which of them count, (cases, submissions)."""
    values, counted = np.zeros((len(cases), len(tables))), np.ones((len(cases), len(tables)), dtype=bool)
    for s, table in enumerate(tables):
        by_case = {row.case: row for row in table if row.metric == metric}
        for i, case in enumerate(cases):
            if case.id not in by_case:
                raise DataError("record_invalid", f"the per-case table has no {metric} of case {case.id}")
            row = by_case[case.id]
            counted[i, s] = row.status != "excluded"
            values[i, s] = row.value if counted[i, s] else 0.0
    return values, counted


def _failed(cases: Sequence[Case], tables: Sequence[Sequence[Score]]) -> NDArray[np.bool_]:
    worst = [{row.case for row in table if row.status in ("missing", "invalid")} for table in tables]
    return np.array([[case.id in own for own in worst] for case in cases], dtype=bool).reshape(len(cases), len(tables))


def _set_measure(declared: Metric, parts: Sequence[Sequence[Any]], options: Mapping[str, Any]) -> gaps.Measure:
    """A set-level metric as a measure: one column a submission."""
    many, one = declared.reduce_many, declared.reduce

    def value(own: Sequence[Any], weights: Floats) -> float:
        assert one is not None
        result = one(own, weights, **options)
        return float("nan") if result.status == "ref_empty" else float(result.value)

    def column(own: Sequence[Any], weights: Floats) -> Floats:
        if many is not None:
            return np.asarray(many(own, weights, **options), np.float64)
        held = weights.sum(axis=1) > 0
        return np.array([value(own, row) if any_case else np.nan for row, any_case in zip(weights, held, strict=True)])

    return lambda weights: np.stack([column(own, weights) for own in parts], axis=1)


def _positive(part: Any) -> bool | None:
    """Whether the reference of a case is positive; None for parts of metrics that know no such thing."""
    if isinstance(part, Scan):
        return part.positive
    return part.label > 0 if isinstance(part, Labelled) else None


def _called(part: Any, threshold: float) -> bool:
    """Whether a case is called positive; without a valid prediction it is called wrong."""
    if isinstance(part, Scan):
        return not part.positive if part.missing else part.highest >= threshold
    if part.probabilities is None:
        return not part.label > 0
    return bool(sum(part.probabilities[1:]) >= threshold)


def _classes(task: Task, metric: str, parts: Sequence[Any]) -> tuple[tuple[NDArray[np.bool_], int], ...]:
    """Which cases, and how many, a group needs for that metric: both kinds for an area under a curve, else positive ones."""
    kinds = [_positive(part) for part in parts]
    if None in kinds:
        return ()
    positive = np.array(kinds, dtype=bool)
    least = task.fairness.minimum_class
    if "specificity" in metric or "false_positive" in metric:
        return ((~positive, least),) if "specificity" in metric else ()
    return ((positive, least), (~positive, least)) if "auc" in metric else ((positive, least),)


def _rates(task: Task, parts: Sequence[Parts], failed: NDArray[np.bool_]) -> list[Audited]:
    """True- and false-positive rates of cases, for detection and classification; nothing for other tasks."""
    chosen = next((used for used in task.metrics if _rated(parts[0].get(used.id, ()))), None)
    if chosen is None or not all(chosen.id in own for own in parts):
        return []
    threshold = next((float(m.options["threshold"]) for m in task.metrics if "threshold" in m.options), THRESHOLD)
    own = [one[chosen.id] for one in parts]
    positive = np.array([_positive(part) for part in own[0]], dtype=bool)
    called = np.array([[_called(part, threshold) for part in one] for one in own], dtype=bool).T
    kinds: list[tuple[str, str, Any, NDArray[np.bool_]]] = [
        (TPR, "true-positive rate", "higher", positive),
        (FPR, "false-positive rate", "lower", ~positive),
    ]
    return [
        Audited(
            id=id,
            title=title,
            unit="",
            direction=direction,
            measure=_rate_measure(called, of),
            counts=((of, task.fairness.minimum_class),),
            failed=failed,
            rate=(called, of),
        )
        for id, title, direction, of in kinds
    ]


def _rated(parts: Sequence[Any]) -> bool:
    return bool(parts) and all(_positive(part) is not None for part in parts)


def _rate_measure(called: NDArray[np.bool_], of: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    whole = np.repeat(of[:, None], called.shape[1], axis=1).astype(np.float64)
    return gaps.ratio_measure(called * whole, whole)
