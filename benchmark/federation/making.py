"""At the site: from scores to a bundle. What could name anybody is dropped or replaced here, before anything is written."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

import benchmark
from benchmark import metrics, secret, store
from benchmark.contract import Case, Score, Task
from benchmark.dataset import Edition
from benchmark.errors import CATALOGUE, UsageError
from benchmark.fairness import UNKNOWN
from benchmark.federation.bundle import (
    Bundle,
    CaseLine,
    GroupLine,
    Parts,
    ScanPart,
    Software,
    Sums,
    check_site,
    encoded,
    sealed,
)
from benchmark.metrics.points import Scan
from benchmark.statistics import population

OTHER = "other"
"""Stands for a value that the task does not declare."""
DIGITS = 4
"""Digits of a probability that leaves: enough for FROC, and 13 bits a mark for a model that would write into them."""


def keyed(key: bytes, *words: str) -> str:
    """64 bits that only a holder of the key can make, or test a guess of."""
    return secret.keyed(key, *words)[:16]


def metrics_hash(task: Task) -> str:
    """Hash of all of a task that scores depend on besides data and code."""
    return hashlib.sha256(
        store.canonical(
            {
                "metrics": [metric.model_dump(mode="json", exclude={"title"}) for metric in task.metrics],
                "scoring": task.scoring.model_dump(mode="json"),
                "outputs": [socket.model_dump(mode="json", exclude={"title"}) for socket in task.outputs],
                "resampling": [task.cluster, task.stratify],
            }
        ).encode()
    ).hexdigest()[:20]


def make(
    task: Task,
    edition: Edition,
    scores: Sequence[Score],
    parts: Mapping[str, Mapping[str, Any]],
    *,
    site: str,
    key: bytes,
    submission: str,
    digest: str = "",
    engine: str = "predictions",
    sums_only: bool = False,
) -> Bundle:
    """The bundle of one submission on the test cases of an edition.

    `parts` are what cases add to set-level metrics, by metric and case id. Raises `UsageError('bad_value')` for a bad site name, for
    fewer patients than the task's `fairness.minimum`, and for a task with a metric that needs features of images.
    """
    check_site(site)
    cases = edition.split("test")
    units = {case.attributes.get(task.cluster, "") or f"\0{case.id}" if task.cluster else case.id for case in cases}
    minimum = task.fairness.minimum
    if len(units) < minimum:
        raise UsageError(
            "bad_value",
            f"the edition has {len(units)} patients in its test split",
            expected=f"at least {minimum} (fairness.minimum of the task), or their numbers would be those of few people",
        )
    _refuse_images(task, parts)
    names = {case.id: keyed(key, "case", task.name, task.version, case.id) for case in cases}
    by_case: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.case in names:
            by_case.setdefault(score.case, {})[score.metric] = score
    declared = [
        attribute for attribute in task.attributes if attribute.values and attribute.name not in ("site", task.stratify)
    ]
    own = {attribute.name for attribute in declared}
    lines = [_line(task, case, names, by_case[case.id], key) for case in cases]
    return sealed(
        Bundle(
            kind="sums" if sums_only else "cases",
            site=site,
            task=task.name,
            task_version=task.version,
            data=edition.info.kind,
            scorer=store.scorer_version(),
            metrics=metrics_hash(task),
            references=keyed(key, "references", edition.hash_of("references", cases)),
            submission=submission,
            digest=digest,
            engine=engine,
            software=Software(
                radbench=benchmark.__version__,
                python=platform.python_version(),
                numpy=metadata.version("numpy"),
                scipy=metadata.version("scipy"),
            ),
            minimum=minimum,
            n=len(cases),
            patients=len(units),
            cases=() if sums_only else tuple(sorted(lines, key=lambda line: line.id)),
            parts=() if sums_only else _parts(task, parts, names),
            sums=tuple(_sums(task, cases, by_case)),
            groups=tuple(_groups(task.model_copy(update={"attributes": tuple(declared)}), cases, by_case)),
            left_out=tuple(
                sorted(a.name for a in task.attributes if a.name not in own and a.name not in ("site", task.stratify))
            ),
        )
    )


def _refuse_images(task: Task, parts: Mapping[str, Mapping[str, Any]]) -> None:
    for used in task.metrics:
        if metrics.find(used.name).level == "set" and not all(
            isinstance(part, Scan) for part in parts.get(used.id, {"": None}).values()
        ):
            raise UsageError(
                "bad_value",
                f"{used.id} is a metric of the whole set, and what a case adds to it are features of its image",
                expected="values by case, or probabilities of marks: features can be turned back into pictures, and stay in the house",
                action="Have the organiser make a version of the task without it for federated scoring.",
            )


def _line(task: Task, case: Case, names: Mapping[str, str], own: Mapping[str, Score], key: bytes) -> CaseLine:
    codes = {score.reason.partition(":")[0] for score in own.values() if score.status in ("missing", "invalid")}
    known = sorted(codes & set(CATALOGUE["submission"]))
    label = case.attributes.get(task.cluster, "") if task.cluster else ""
    return CaseLine(
        id=names[case.id],
        patient=keyed(key, "patient", task.name, label) if label else None,
        values={id: encoded(score.value) for id, score in own.items()},
        status={id: score.status for id, score in own.items() if score.status != "ok"},
        code=known[0] if known else "",
    )


def _parts(task: Task, parts: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> tuple[Parts, ...]:
    """Metrics with the same parts, of which detection has many, share one table."""
    found: dict[str, Parts] = {}
    for used in task.metrics:
        if used.id not in parts:
            continue
        scans = {names[case]: _scan(part) for case, part in sorted(parts[used.id].items(), key=lambda p: names[p[0]])}
        same = store.canonical({id: scan.model_dump() for id, scan in scans.items()})
        before = found.get(same)
        found[same] = Parts(metrics=(*(before.metrics if before else ()), used.id), scans=scans)
    return tuple(found.values())


def _scan(part: Scan) -> ScanPart:
    return ScanPart(
        hits=tuple(None if math.isinf(p) else round(float(p), DIGITS) for p in part.hits),
        false_positives=tuple(sorted((round(float(p), DIGITS) for p in part.false_positives), reverse=True)),
        highest=None if math.isinf(part.highest) else round(float(part.highest), DIGITS),
        missing=part.missing,
    )


def _kept(cases: Sequence[Case], by_case: Mapping[str, Mapping[str, Score]], metric: str) -> list[Score]:
    rows = [by_case[case.id][metric] for case in cases if metric in by_case[case.id]]
    return [row for row in rows if row.status != "excluded"]


def _sums(task: Task, cases: Sequence[Case], by_case: Mapping[str, Mapping[str, Score]]) -> list[Sums]:
    found = []
    for used in task.metrics:
        rows = _kept(cases, by_case, used.id)
        values = np.array([row.value for row in rows])
        if len(rows) >= task.fairness.minimum and np.isfinite(values).all():
            worst = sum(row.status in ("missing", "invalid") for row in rows)
            found.append(
                Sums(
                    metric=used.id,
                    n=len(rows),
                    mean=float(values.mean()),
                    variance=float(values.var(ddof=1)),
                    n_worst=worst,
                )
            )
    return found


def _groups(task: Task, cases: Sequence[Case], by_case: Mapping[str, Mapping[str, Score]]) -> list[GroupLine]:
    """Means by group in the task's own words, small groups and what would reveal them withheld; always by the rule for patients."""
    if not task.attributes:
        return []
    allowed = {attribute.name: {*attribute.values, UNKNOWN} for attribute in task.attributes}
    crossings = task.fairness.crossings
    if crossings is not None:
        crossings = tuple(names for names in crossings if set(names) <= set(allowed))
    task = task.model_copy(update={"fairness": task.fairness.model_copy(update={"crossings": crossings})})
    coarse = [
        case.model_copy(
            update={
                "attributes": {
                    **{name: _word(case.attributes.get(name, ""), values) for name, values in allowed.items()},
                    **({task.cluster: case.attributes.get(task.cluster, "")} if task.cluster else {}),
                }
            }
        )
        for case in cases
    ]
    grouped = population.group(task, coarse, "real")
    found = []
    for partition, index in zip(grouped.population.partitions, grouped.groups, strict=True):
        for g, group in enumerate(partition.groups):
            shown = group.suppressed in ("", "empty")
            members = [case for case, at in zip(grouped.cases, index, strict=True) if at == g] if shown else []
            found.append(
                GroupLine(
                    partition=partition.name,
                    group=group.name,
                    suppressed=group.suppressed,
                    n=group.n,
                    patients=group.patients,
                    means=_means(task, members, by_case) if members else {},
                )
            )
    return found


def _word(value: str, allowed: set[str]) -> str:
    return value if value in allowed else OTHER if value else UNKNOWN


def _means(task: Task, cases: Sequence[Case], by_case: Mapping[str, Mapping[str, Score]]) -> dict[str, float]:
    """Means to three digits: with all of them, single values next to them would say who is in the group."""
    found = {}
    for used in task.metrics:
        values = [row.value for row in _kept(cases, by_case, used.id)]
        if len(values) == len(cases) and np.isfinite(values).all():
            found[used.id] = float(f"{float(np.mean(values)):.3g}")
    return found
