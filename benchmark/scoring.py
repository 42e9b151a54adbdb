"""From files to the tidy per-case table, and from that to aggregates with intervals.

Loose predictions and stored runs go through the same function, so a participant at home gets the organiser's numbers. A
case without a valid output takes each metric's declared worst value and a reason; it is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics, store, validation
from benchmark.contract import Aggregate, Case, RunRecord, Score, Socket, Split, Task
from benchmark.dataset import Edition
from benchmark.errors import CATALOGUE, DataError, InfrastructureError, SubmissionError, in_words
from benchmark.hints import hint
from benchmark.image import Volume
from benchmark.metrics import CaseInputs, Metric, MetricValue
from benchmark.references import Reference, ReferenceCache, read_reference
from benchmark.statistics import bootstrap

SET_DRAWS = 1000
"""Bootstrap draws for set-level metrics, which cost a whole evaluation each."""

Finder = Callable[[Case, Socket], Path]
"""Path of a case's output; raises `SubmissionError` where there is none."""


@dataclass(frozen=True)
class Scored:
    """The outcome of scoring: the product is `scores`; the rest follows from it."""

    scores: list[Score]
    aggregates: list[Aggregate]
    hints: dict[str, str]
    """By case: what would explain a surprisingly large error."""
    ignored: dict[str, str]
    """Predictions of cases that this split does not hold, with the reason."""
    parts: dict[str, list[Any]] = field(default_factory=dict)
    """By set-level metric, what each case contributes, in the order of the cases."""


def score_cases(
    task: Task,
    edition: Edition,
    cases: Sequence[Case],
    finder: Finder,
    *,
    cache: ReferenceCache | None = None,
    failed: Mapping[str, str] | None = None,
    hints: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Score the outputs of `cases`, found by `finder`.

    `failed` gives, by case id, the reason for which a run has no output. With `hints`, for those who hold the references, a bad
    output is looked at for what would explain it, and reasons are whole sentences on the test split too; without, a reason on the
    test split is in fixed words (`sealed_reason`). Raises `DataError` for a broken edition; nothing that is wrong with an output
    raises.
    """
    cache = cache or ReferenceCache()
    used = [(metric, metrics.find(metric.name)) for metric in task.metrics]
    scores: list[Score] = []
    parts: dict[str, list[Any]] = {metric.id: [] for metric, found in used if found.level == "set"}
    found_hints: dict[str, str] = {}
    for done, case in enumerate(cases, start=1):
        reference = cache.get(task, edition, case)
        inputs: CaseInputs | None = None
        reason = (failed or {}).get(case.id, "")
        if not reason:
            try:
                inputs = case_inputs(task, case, reference, finder)
            except SubmissionError as error:
                reason = f"{error.code}: {error.sentence}"
        for metric, declared in used:
            if declared.level == "case":
                score = _case_score(task, case, metric.id, metric.options, declared, inputs, reference, reason)
                if case.split == "test" and not hints:
                    score = score.model_copy(update={"reason": sealed_reason(score.reason)})
                scores.append(score)
            else:
                options = {**declared.options, **metric.options}
                assert declared.collect is not None
                parts[metric.id].append(declared.collect(inputs or _inputs(reference, None), **options))
        if hints and inputs is not None and (words := hint(task, edition, case, inputs)):
            found_hints[case.id] = words
        if progress:
            progress(done, len(cases))
    return Scored(scores, aggregate(task, cases, scores, parts), found_hints, {}, parts)


def sealed_reason(reason: str) -> str:
    """What may be said of a sealed case: the code and its fixed words, and nothing that the model's output had a part in.

    A sentence that quotes a file's name, a value or a number of millimetres would carry out what the model saw, since the model
    chooses them. Whoever holds the references sees whole sentences by scoring the stored predictions as loose ones.
    """
    code, _, _ = reason.partition(":")
    if code in CATALOGUE["submission"]:
        return f"{code}: {in_words('submission', code)}"
    # A metric's own remark, such as that the reference is empty; numbers in it are the prediction's or the reference's.
    return code if any(character.isdigit() for character in reason) else reason


def case_inputs(task: Task, case: Case, reference: Reference, finder: Finder) -> CaseInputs:
    """Everything a metric may look at for one case. Raises `SubmissionError` when the output is not what was asked for."""
    for socket in task.outputs:
        content = validation.read_prediction(
            finder(case, socket), task, socket, reference.grid if socket.is_volume else None
        )
        if socket.slug == task.scoring.prediction:
            prediction = content
    return _inputs(reference, prediction)


def _inputs(reference: Reference, prediction: Any) -> CaseInputs:
    is_volume = isinstance(reference.content, Volume)
    return CaseInputs(
        reference=reference.content.array if is_volume else reference.content,
        prediction=prediction.array if isinstance(prediction, Volume) else prediction,
        mask=None if reference.mask is None else np.asarray(reference.mask.array) > 0,
        spacing=reference.grid.spacing if reference.grid is not None else None,
        reference_memo=reference.memo,
    )


def _case_score(
    task: Task,
    case: Case,
    id: str,
    options: Mapping[str, Any],
    metric: Metric,
    inputs: CaseInputs | None,
    reference: Reference,
    reason: str,
) -> Score:
    if inputs is None:
        grid = reference.grid
        worst = metric.worst_value(grid.array.shape if grid else None, grid.spacing if grid else None)
        status = "missing" if reason.startswith("missing") else "invalid"
        return Score(case=case.id, metric=id, value=worst, unit=metric.unit, status=status, reason=reason)
    value = metric.evaluate(inputs, options)
    return Score(
        case=case.id, metric=id, value=float(value.value), unit=metric.unit, status=value.status, reason=value.reason
    )


def sampling_for(task: Task, cases: Sequence[Case], draws: int = bootstrap.DRAWS) -> bootstrap.Resampling:
    """The task's resampling of these cases: by its cluster or stratum attribute."""
    return bootstrap.resampling(
        len(cases),
        strata=list(strata.values()) if (strata := drawing_groups(cases, task.stratify, "unknown")) else None,
        clusters=list(clusters.values()) if (clusters := drawing_groups(cases, task.cluster, "")) else None,
        keys=[case.drawing for case in cases],
        draws=draws,
    )


def drawing_groups(cases: Sequence[Case], attribute: str, absent: str) -> dict[str, str]:
    """By case id: the number of its group by that attribute, counted from the first case in the order of drawing.

    Numbers stand in for the labels, since draws depend on the order of groups, and an order by label would have to be
    published with it. Cases without the attribute are the group `absent`, or each its own where that
    is empty. Empty where no attribute is named.
    """
    if not attribute:
        return {}
    labels = {case.id: case.attributes.get(attribute, absent or f"\0{case.id}") for case in cases}
    numbers: dict[str, str] = {}
    for case in sorted(cases, key=lambda case: case.drawing):
        numbers.setdefault(labels[case.id], f"{len(numbers) + 1:06d}")
    return {id: numbers[label] for id, label in labels.items()}


def aggregate(
    task: Task, cases: Sequence[Case], scores: Sequence[Score], parts: Mapping[str, Sequence[Any]] | None = None
) -> list[Aggregate]:
    """One aggregate a metric of the task: mean with interval for case metrics, value with interval for set metrics."""
    if not cases:
        return []
    # Always in the order of drawing, so that the last digit does not depend on the order in which cases are listed.
    order = sorted(range(len(cases)), key=lambda i: cases[i].drawing)
    cases = [cases[i] for i in order]
    parts = {id: [own[i] for i in order] for id, own in (parts or {}).items()}
    sampling = sampling_for(task, cases)
    by_metric: dict[str, dict[str, Score]] = {}
    for score in scores:
        by_metric.setdefault(score.metric, {})[score.case] = score
    result = []
    for metric in task.metrics:
        declared = metrics.find(metric.name)
        if declared.level == "set":
            result.append(_set_aggregate(metric.id, declared, metric.options, parts[metric.id], sampling))
            continue
        rows = [by_metric[metric.id][case.id] for case in cases]
        kept = [row for row in rows if row.status != "excluded"]
        if not kept:
            raise DataError("task_invalid", f"every case is excluded from metric {metric.id!r}")
        values = np.array([row.value for row in kept])
        drawing = sampling
        if len(kept) < len(rows):
            drawing = sampling_for(task, [c for c, row in zip(cases, rows, strict=True) if row.status != "excluded"])
        interval, median = bootstrap.mean_interval(values, drawing), bootstrap.median_interval(values, drawing)
        result.append(
            Aggregate(
                metric=metric.id,
                value=float(values.mean()),
                low=interval.low,
                high=interval.high,
                n=len(kept),
                n_worst=sum(row.status in ("missing", "invalid") for row in kept),
                n_excluded=len(rows) - len(kept),
                method=interval.method,
                median=float(np.median(values)),
                median_low=median.low,
                median_high=median.high,
            )
        )
    return result


def _set_aggregate(
    id: str, metric: Metric, options: Mapping[str, Any], parts: Sequence[Any], sampling: bootstrap.Resampling
) -> Aggregate:
    assert metric.reduce is not None
    merged = {**metric.options, **options}
    point: MetricValue = metric.reduce(parts, np.ones(len(parts)), **merged)
    low = high = point.value
    method = "none: the metric depends on the number of cases"
    if metric.interval and len(parts) > 1:
        counts = sampling.counts[:SET_DRAWS]
        if metric.reduce_many is not None:
            drawn = np.asarray(metric.reduce_many(parts, counts, **merged), np.float64)
        else:
            drawn = np.array([metric.reduce(parts, row, **merged).value for row in counts])
        drawn = drawn[~np.isnan(drawn)]  # a draw may lack what the metric needs, such as any healthy scan
        if len(drawn):
            low, high = bootstrap.widened_interval(drawn, sampling)
        method = f"percentile bootstrap, {len(drawn)} draws, widened{sampling.wording}"
    return Aggregate(metric=id, value=float(point.value), low=low, high=high, n=len(parts), method=method)


def score_loose(
    task: Task,
    edition: Edition,
    predictions: Path,
    split: Split = "test",
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Score loose prediction files of one split. A prediction of a case that the split does not hold is listed with the
    worst value and the reason `unknown_case`, and does not enter any mean."""
    cases = edition.split(split)
    if not cases:
        raise DataError("edition_broken", f"edition {edition.info.edition!r} has no {split} cases")
    scored = score_cases(
        task,
        edition,
        cases,
        lambda case, socket: validation.loose_file(predictions, case, socket),
        hints=True,
        progress=progress,
    )
    known = {case.id for case in cases}
    grid = read_reference(task, edition, cases[0]).grid
    ignored = {}
    for name in sorted(validation.loose_names(predictions) - known):
        error = SubmissionError("unknown_case", f"{name!r} is not a case of the split {split!r}")
        ignored[name] = f"{error.code}: {error.sentence}"
        for metric in task.metrics:
            declared = metrics.find(metric.name)
            if declared.level == "case":
                worst = declared.worst_value(grid.array.shape if grid else None, grid.spacing if grid else None)
                scored.scores.append(
                    Score(
                        case=name,
                        metric=metric.id,
                        value=worst,
                        unit=declared.unit,
                        status="invalid",
                        reason=ignored[name],
                    )
                )
    return replace(scored, ignored=ignored)


def score_run(
    task: Task,
    edition: Edition,
    run: RunRecord,
    root: Path,
    *,
    cache: ReferenceCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> store.ScoreRecord:
    """Score a stored run's test and canary cases, put the score into the store and return it; a score that is there is
    reused. The aggregates are over the test split alone. Raises `InfrastructureError('predictions_removed')` when the retention
    rule left nothing to score, and `changed_meanwhile` when somebody changed the references meanwhile."""
    canary, test = edition.split("canary"), edition.split("test")
    key = store.scoring_key(run.key, task, edition, [*canary, *test])
    store.open_store(root)
    existing = store.load_score(root, key)
    if existing is not None:
        return existing
    if store.predictions_removed(store.run_folder(root, run.key)):
        # Without this every case would be scored as missing.
        raise InfrastructureError(
            "predictions_removed", f"the retention rule took predictions out of run {run.key} ({run.method.name})"
        )
    folder = store.run_folder(root, run.key) / "predictions"
    failed = {case.case: f"{case.code}: {case.reason}" for case in run.cases if case.code}

    def finder(case: Case, socket: Socket) -> Path:
        return validation.output_file(folder / case.id, socket)

    cache = cache or ReferenceCache()
    marks = edition.marks("references", [*canary, *test])
    scored = score_cases(task, edition, test, finder, cache=cache, failed=failed, progress=progress)
    shown = score_cases(task, edition, canary, finder, cache=cache, failed=failed, hints=True)
    if edition.marks("references", [*canary, *test]) != marks:
        raise InfrastructureError(
            "changed_meanwhile",
            f"the references of {task.name}/{edition.info.edition} were changed while they were used",
        )
    record = store.ScoreRecord(
        key=key,
        run=run.key,
        task=task.name,
        task_version=task.version,
        edition=edition.info.edition,
        method=run.method,
        scorer=store.scorer_version(),
        aggregates=tuple(scored.aggregates),
    )
    contributions = {id: dict(zip((case.id for case in test), own, strict=True)) for id, own in scored.parts.items()}
    payload = store.scoring_payload(run.key, task, edition, [*canary, *test])
    store.save_score(root, record, [*scored.scores, *shown.scores], contributions, payload)
    return record


def iterate_losses(
    task: Task, cases: Sequence[Case], tables: Sequence[Sequence[Score]], aggregates: Sequence[Sequence[Aggregate]]
) -> Iterator[np.ndarray]:
    """For each submission an array (cases, ranking metrics) where smaller is better; a set metric repeats its value."""
    for table, summary in zip(tables, aggregates, strict=True):
        values: MutableMapping[tuple[str, str], float] = {(s.case, s.metric): s.value for s in table}
        columns = []
        for id in task.ranking.metrics:
            declared = metrics.find(task.metric(id).name)
            sign = 1.0 if declared.direction == "lower" else -1.0
            if declared.level == "set":
                column = np.full(len(cases), next(a.value for a in summary if a.metric == id))
            else:
                column = np.array([values[case.id, id] for case in cases])
            columns.append(sign * column)
        yield np.stack(columns, axis=1)


def summary(task: Task, edition: Edition, split: str, scored: Scored) -> dict[str, Any]:
    """`summary.json`: what was scored with what, the aggregates, and every problem with its reason."""
    problems = {
        s.case: s.reason for s in scored.scores if s.status in ("missing", "invalid") and s.case not in scored.ignored
    }
    return {
        "task": task.name,
        "task_version": task.version,
        "edition": edition.info.edition,
        "kind": edition.info.kind,
        "split": split,
        "scorer": store.scorer_version(),
        "metrics": {item.metric: item.model_dump(mode="json", exclude={"metric"}) for item in scored.aggregates},
        "problems": problems,
        "ignored": scored.ignored,
        "hints": scored.hints,
    }
