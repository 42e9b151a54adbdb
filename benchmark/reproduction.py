"""An archived run, run again: the same digest, inputs, limits and engine, in a scratch folder, and what came out otherwise.

It answers whether a row could be had again today: the image is still there, the machine still does what it did, and the model
gives the same outputs. It never changes the archived run, a score or an attempt. Whose turn it is, and what a night does about the
answer, is in `benchmark.nightly.turns` and `reproducing`.
"""

from __future__ import annotations

import filecmp
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import dataset, geometry, inference, jobs, store
from benchmark.container import Engine
from benchmark.contract import Case, Method, Reproduction, RunRecord, Socket, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError, InfrastructureError, SubmissionError
from benchmark.executor import progress
from benchmark.image import Volume
from benchmark.repeatability import TOLERANCE
from benchmark.validation import output_file, read_prediction


@dataclass(frozen=True)
class ReproduceJob:
    """Run an archived run again, as a job for an executor."""

    run: jobs.RunJob
    """What ran, and in which store it is kept."""
    key: str
    """Inference key of the archived run."""
    scratch: Path
    """What comes out lies beside it, in a folder of this name and a suffix, which is removed after."""
    when: str
    """Day, for the record."""
    tolerance: float = TOLERANCE
    """See `Reproduction.tolerance`."""


def reproduce(job: ReproduceJob) -> Reproduction:
    """Run again and compare. Raises what `jobs.run` raises, and `DataError('record_invalid')` when there is no such run."""
    resolved = jobs.resolve(job.run)
    archived = store.load_run(job.run.store, job.key)
    if archived is None:
        raise DataError("record_invalid", f"there is no run {job.key} in {job.run.store}", action="Run it first.")
    edition = dataset.load(job.run.data, resolved.task, job.run.edition)
    engine, digest = jobs.engine_of(job.run, resolved)
    return again(
        resolved.task,
        edition,
        archived,
        resolved.method,
        digest,
        engine,
        root=job.run.store,
        scratch=job.scratch,
        when=job.when,
        tolerance=job.tolerance,
        say=lambda done, total: progress.report(f"reproduce {resolved.method.name}", done, total),
    )


def again(
    task: Task,
    edition: Edition,
    archived: RunRecord,
    method: Method,
    digest: str,
    engine: Engine,
    *,
    root: Path,
    scratch: Path,
    when: str,
    tolerance: float = TOLERANCE,
    say: Callable[[int, int], None] | None = None,
) -> Reproduction:
    """Run `digest` on the edition in a folder of its own, `<scratch>-…`, compare with the run of the store `root`, and leave nothing
    behind: what a killed process left of such folders goes too.

    `task` has the limits that the archived run had. Raises `InfrastructureError('worker_unfit')` when key and hence image, inputs,
    limits or engine are not those of the archived run, and what `inference.run` raises.
    """
    scratch.parent.mkdir(parents=True, exist_ok=True)
    for old in scratch.parent.glob(f"{scratch.name}-*"):
        shutil.rmtree(old, ignore_errors=True)
    # A new one each time: a worker whose night was killed may still be at the last, and removes it when it ends.
    own = Path(tempfile.mkdtemp(prefix=f"{scratch.name}-", dir=scratch.parent))
    try:
        report = (lambda _, done, total: say(done, total)) if say else None
        record = inference.run(task, edition, method, digest, engine, root=own, progress=report)
        if record.key != archived.key:
            raise InfrastructureError(
                "worker_unfit",
                f"run {archived.key} came out under the key {record.key}",
                expected="the image, inputs, limits and engine of the archived run",
            )
        return compare(task, edition, archived, record, root, own, when=when, tolerance=tolerance)
    finally:
        shutil.rmtree(own, ignore_errors=True)


@dataclass(frozen=True)
class Change:
    """How one output differs from another."""

    same: bool
    """Whether they are equal byte for byte (or refused for the same reason)."""
    within: bool
    """Whether they agree within the tolerance."""
    relative: float = 0.0
    """Largest difference as a share of the first one's range, or of the voxels; infinite where they cannot be subtracted."""
    absolute: float | None = 0.0
    """Largest difference; None where they cannot be subtracted."""
    unit: str = ""
    """Its unit."""


EQUAL = Change(True, True)
OTHER = Change(False, False, math.inf, None)
"""Another outcome: another code, grid or number of points."""


def compare(
    task: Task,
    edition: Edition,
    archived: RunRecord,
    repeated: RunRecord,
    root: Path,
    scratch: Path,
    *,
    when: str,
    tolerance: float = TOLERANCE,
) -> Reproduction:
    """What differs between the run of the store `root` and the one in `scratch`, which has the same key.

    Metrics are compared only where an output differs, since equal files have equal scores; they need a score of the archived run by
    the present scorer, else they are left out.
    """
    first, second = (store.run_folder(place, archived.key) / "predictions" for place in (root, scratch))
    codes = {case.case: case.code for case in repeated.cases}
    changes: list[Change] = []
    for case in archived.cases:
        if case.code or codes[case.case]:
            changes.append(EQUAL if case.code == codes[case.case] else OTHER)
            continue
        found = [output_change(task, s, first / case.case, second / case.case, tolerance) for s in task.outputs]
        changes.append(max(found, key=lambda change: (not change.within, not change.same, change.relative)))
    differing = [change for change in changes if not change.same]
    worst = max(differing, key=lambda change: change.relative, default=EQUAL)
    metric, metric_difference = _metrics(task, edition, archived, repeated, root, scratch) if differing else ("", None)
    return Reproduction(
        when=when,
        same=not differing,
        within=all(change.within for change in changes),
        tolerance=tolerance,
        cases=len(changes),
        changed=len(differing),
        difference=None if worst.absolute is None else rounded_up(worst.absolute),
        unit=worst.unit,
        metric=metric,
        metric_difference=metric_difference,
        hardware=repeated.hardware,
    )


def output_change(task: Task, socket: Socket, first: Path, second: Path, tolerance: float) -> Change:
    """How one declared output below two output folders differs.

    Images: the largest difference of a voxel, held against the first one's range. Labels: the share of voxels that have another.
    JSON: the largest difference of two numbers at the same place, held against the larger of the two.
    """
    results: list[Any] = []
    paths = []
    for folder in (first, second):
        try:
            paths.append(output_file(folder, socket))
            results.append(read_prediction(paths[-1], task, socket, None))
        except SubmissionError as error:
            results.append(error)
    one, other = results
    if isinstance(one, SubmissionError) or isinstance(other, SubmissionError):
        return EQUAL if getattr(one, "code", "") == getattr(other, "code", "") else OTHER
    if filecmp.cmp(paths[0], paths[1], shallow=False):
        return EQUAL
    if isinstance(one, Volume):
        return _volumes(one, other, socket, tolerance)
    pairs = list(_pairs(one, other))
    if None in pairs:
        return OTHER
    numbers = [(a, b) for pair in pairs if pair is not None for a, b in [pair]]
    relative = max((abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in numbers), default=0.0)
    return Change(
        False, relative <= tolerance, relative, max((abs(a - b) for a, b in numbers), default=0.0), socket.unit
    )


def _volumes(one: Volume, other: Volume, socket: Socket, tolerance: float) -> Change:
    if geometry.difference(one, other):
        return OTHER
    if socket.kind == "segmentation":
        share = float(np.mean(np.asarray(one.array) != np.asarray(other.array)))
        return Change(False, share <= tolerance, share, share, "of all voxels")
    a, b = np.asarray(one.array, dtype=np.float64), np.asarray(other.array, dtype=np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return OTHER
    worst = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    span = float(np.ptp(a[finite])) if finite.any() else 0.0
    relative = worst / span if span else (math.inf if worst else 0.0)
    return Change(False, relative <= tolerance, relative, worst, socket.unit)


def _pairs(one: Any, other: Any) -> Iterator[tuple[float, float] | None]:
    """Numbers at the same place of two JSON values; None where they are built otherwise."""
    number = (int, float)
    if (
        isinstance(one, number)
        and isinstance(other, number)
        and not isinstance(one, bool)
        and not isinstance(other, bool)
    ):
        yield float(one), float(other)
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from _pairs(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for a, b in zip(one, other, strict=True):
            yield from _pairs(a, b)
    elif type(one) is not type(other) or one != other:
        yield None


def _metrics(
    task: Task, edition: Edition, archived: RunRecord, repeated: RunRecord, root: Path, scratch: Path
) -> tuple[str, float | None]:
    """The metric that differs most as a share of its first value, and its largest difference, rounded up."""
    from benchmark import scoring  # here, since the metrics are heavy to import and equal outputs need none

    cases: list[Case] = [*edition.split("canary"), *edition.split("test")]
    before = store.load_score(root, store.scoring_key(archived.key, task, edition, cases))
    if before is None:
        return "", None
    after = scoring.score_run(task, edition, repeated, scratch)
    first, second = _values(before, root), _values(after, scratch)
    found: dict[str, tuple[float, float]] = {}
    for (case, metric), value in first.items():
        new = second[case, metric]
        if value != new:
            difference = abs(value - new)
            share = difference / max(abs(value), abs(new)) if math.isfinite(difference) else math.inf
            found[metric] = max(found.get(metric, (0.0, 0.0)), (share, difference))
    if not found:
        return "", None
    metric = max(found, key=lambda id: (found[id], id))
    difference = found[metric][1]
    return metric, rounded_up(difference) if math.isfinite(difference) else None


def _values(score: store.ScoreRecord, root: Path) -> Mapping[tuple[str, str], float]:
    """Values by case and metric, and over the whole set under the case ""."""
    values = {(row.case, row.metric): row.value for row in store.load_case_scores(root, score.key)}
    return values | {("", item.metric): item.value for item in score.aggregates}


def rounded_up(value: float) -> float:
    """To one significant digit, never below `value`, so that a bound stays one."""
    if value == 0 or not math.isfinite(value):
        return value
    power = math.floor(math.log10(value))
    digit = math.ceil(value / 10.0**power - 1e-9)
    return float(f"{digit}e{power}")
