"""What a worker does: run one submission on one edition, or score one run.

A job is a small frozen record of paths and names, so that it can be handed to another process or another machine; what it names
is read there. Its result is the key under which the work lies in the store, so a job that is done twice is there once.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import dataset, inbox, inference, store, tasks
from benchmark.container import ContainerEngine, Engine, find_engine, intake
from benchmark.contract import Method, Socket, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError, InfrastructureError, UsageError
from benchmark.executor import progress
from benchmark.executor.resources import Resources
from benchmark.image import metaimage

if TYPE_CHECKING:
    from benchmark.references import ReferenceCache

BUSY_SECONDS = 40.0
"""So long a job waits for another process that is at the same run: a little longer than one that was told to end may take."""
HARNESS_MB = 300
"""Memory of the harness beside a container, in MiB."""
SCORER_MB = 1500
"""Memory of a scoring process before it holds a volume, with its cache of references full, in MiB: 350 of code, 1024 of cache."""
SCORER_BYTES = 32
"""Memory of scoring, in bytes a voxel of references and predictions of the largest case. Volumes of 64³ to 256³ took 8 to 22 bytes with the
metrics of MRI → CT, denoising and segmentation."""
BASELINE_MB = 1200
"""Memory of a baseline's server before it holds a volume, in MiB: mostly torch."""
BASELINE_BYTES = 64
"""Memory of a baseline, in bytes a voxel of the largest case's inputs."""


@dataclass(frozen=True)
class RunJob:
    """Run one submission on the canary and test cases of one edition. Either `baseline` or `entry` is given."""

    task: Path
    """The task's folder."""
    data: Path
    """Root of the editions."""
    edition: str
    """Name of the edition."""
    store: Path
    """Root of the store."""
    baseline: str = ""
    """Name of a baseline of this repository; empty for an entry."""
    entry: Path | None = None
    """Folder of an entry of the inbox."""
    engine: str = ""
    """Container engine for an entry; empty: the first that works."""
    gpu: str = ""
    """Empty: one GPU where the manifest asks for it; `none`: none; anything else: one. Which one is the executor's to say; where it
    says nothing, an index, a UUID or `all` is taken as it is."""
    cache: Path | None = None
    """Where Apptainer keeps images that were taken in."""

    def __post_init__(self) -> None:
        if bool(self.baseline) == (self.entry is not None):
            raise UsageError("bad_value", "a job with both or neither of baseline and entry", expected="one of them")


@dataclass(frozen=True)
class ScoreJob:
    """Score one stored run."""

    task: Path
    """The task's folder."""
    data: Path
    """Root of the editions."""
    edition: str
    """Name of the edition."""
    store: Path
    """Root of the store."""
    run: str
    """Inference key of the run."""


Job = RunJob | ScoreJob


@dataclass(frozen=True)
class Resolved:
    """What a `RunJob` names, found and read."""

    task: Task
    """The task, with the limits that the submission runs under."""
    method: Method
    """What the submission says of itself."""
    gpu: bool
    """Whether it runs with a GPU."""
    entry: inbox.Entry | None
    """The entry; None for a baseline."""


def run(job: RunJob) -> str:
    """Run the submission and return the inference key; a run that is in the store already is taken as it is.

    Raises `SubmissionError` when the image is refused, `InfrastructureError` when the engine fails or another process is at the same
    run, `DataError` for a broken task, edition or entry. What the model does in a case raises nothing: it is in the record.
    """
    _reachable(job)
    resolved, edition = resolve(job), _edition(job)
    engine, digest = engine_of(job, resolved)
    label = f"{resolved.task.name}: {resolved.method.name}"
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            record = inference.run(
                resolved.task,
                edition,
                resolved.method,
                digest,
                engine,
                root=job.store,
                again=True,
                progress=lambda _, done, total: progress.report(label, done, total),
            )
            return record.key
        except InfrastructureError as error:
            # A worker that was killed may still be removing its container, while this one was given its job.
            if error.code != "busy" or time.monotonic() > end:
                raise


def score(job: ScoreJob) -> str:
    """Score the run and return the scoring key; a score that is in the store already is taken as it is.

    Raises `DataError`: `record_invalid` when the store has no such run, and what a broken edition raises.
    """
    from benchmark import scoring  # here, since the metrics are heavy to import and a run needs none

    _reachable(job)
    task, edition = _task(job), _edition(job)
    record = store.load_run(job.store, job.run)
    if record is None:
        raise DataError(
            "record_invalid", f"there is no run {job.run} in {job.store}", action="Run the submission first."
        )
    # Other editions' references, and those of this one as it was before, must not be found in the cache.
    content = store.digest([task.model_dump(mode="json"), edition.hash_of("references", edition.cases)])
    label = f"score {task.name}: {record.method.name}"
    try:
        return scoring.score_run(
            task,
            edition,
            record,
            job.store,
            cache=_references(str(edition.root), content),
            progress=lambda done, total: progress.report(label, done, total),
        ).key
    except InfrastructureError:
        _references.cache_clear()  # where references were changed meanwhile, some of it is of others
        raise


def resolve(job: RunJob) -> Resolved:
    """Read the task and the submission that the job names; no engine is asked.

    Raises `DataError` for a broken task or entry, `InfrastructureError('image_gone')` for an entry that is not there any more,
    `SubmissionError('not_allowed')` for requests beyond the task's limits, and `UsageError('unknown_name')` when there is no such
    baseline.
    """
    task = _task(job)
    if job.entry is None:
        from baselines import catalogue

        return Resolved(task, catalogue.find(task.name, job.baseline).method, False, None)
    entry = entry_in(job.entry)
    limited = task.model_copy(update={"limits": entry.submission.limits(task)})
    wants = entry.submission.requests.gpu if not job.gpu else job.gpu != "none"
    return Resolved(limited, entry.submission.method, wants, entry)


def resources(job: Job) -> Resources:
    """What the job needs: a container what its limits allow; a baseline and the scorer an estimate from the headers of the
    edition's volumes. Raises what `resolve` raises, and `DataError` when the edition cannot be read."""
    if isinstance(job, ScoreJob):
        task = _task(job)
        sockets = (("references", task.references), ("references", task.references))  # predictions are as large
        voxels = largest_case(job.data, task, job.edition, sockets)
        return Resources(SCORER_MB + voxels * SCORER_BYTES // 2**20)
    resolved = resolve(job)
    limits = resolved.task.limits
    if resolved.entry is None:
        voxels = largest_case(job.data, resolved.task, job.edition, (("inputs", resolved.task.inputs),))
        return Resources(min(BASELINE_MB + voxels * BASELINE_BYTES // 2**20, limits.memory_mb + HARNESS_MB))
    return Resources(limits.memory_mb + HARNESS_MB, limits.cpus, int(resolved.gpu))


def largest_case(data: Path, task: Task, edition: str, trees: tuple[tuple[str, tuple[Socket, ...]], ...]) -> int:
    """Voxels of all volumes of these trees (`inputs` or `references`) and sockets, in the case that has most; from headers alone."""
    root = dataset.locate(data, task, edition)
    found = dataset.load(data, task, edition)
    cases = tuple(case.id for case in found.split("canary", "test"))
    paths = tuple((tree, socket.path) for tree, sockets in trees for socket in sockets if socket.is_volume)
    return _largest(root, cases, paths, found.hash_of("inputs", found.cases))


@lru_cache(maxsize=64)
def _largest(root: Path, cases: tuple[str, ...], paths: tuple[tuple[str, str], ...], content: str) -> int:
    """As `largest_case`; `content` is a hash of the edition, so that another one of the same name is read afresh."""
    most = 0
    for case in cases:
        voxels = 0
        for tree, path in paths:
            file = root / tree / case / path / f"{case}.mha"
            if file.exists():
                voxels += math.prod(metaimage.information(file, "MetaImageIO").GetSize())
        most = max(most, voxels)
    return most


def _reachable(job: Job) -> None:
    """A worker on another machine must see the folders under the same names."""
    for path in (job.task, job.data):
        if not path.is_dir():
            raise InfrastructureError(
                "worker_unfit",
                f"this worker ({os.uname().nodename}) sees no folder {path}",
                expected="the same folders on every worker",
                action="Mount them under the same path, or correct the path.",
            )


def _task(job: Job) -> Task:
    return tasks.read(job.task / "task.toml")


def _edition(job: Job) -> Edition:
    return dataset.load(job.data, tasks.read(job.task / "task.toml", check_metrics=False), job.edition)


def engine_of(job: RunJob, resolved: Resolved) -> tuple[Engine, str]:
    """The engine that runs the submission, and the digest of what it runs."""
    if resolved.entry is None:
        from baselines import catalogue
        from benchmark.container.process import ProcessEngine

        baseline = catalogue.find(resolved.task.name, job.baseline)
        return ProcessEngine(baseline), baseline.digest
    assert job.entry is not None
    # Only Apptainer runs its own files.
    name = job.engine or ("apptainer" if resolved.entry.archive.endswith(".sif") else None)
    engine = container_of(job.entry, resolved.entry, name, gpu=device(job, resolved), cache=job.cache)
    return engine, engine.digest


def entry_in(folder: Path) -> inbox.Entry:
    """The entry in a folder of the inbox. Raises `InfrastructureError('image_gone')` when it is not there any more."""
    entry = inbox.load(folder)
    if entry is None:
        raise gone(f"there is no entry in {folder}")
    return entry


def gone(found: str) -> InfrastructureError:
    """What was handed in is not there any more."""
    return InfrastructureError("image_gone", found, action="Put it back from a copy, or have it handed in again.")


def container_of(
    folder: Path, entry: inbox.Entry, engine: str | None, *, gpu: str = "", cache: Path | None = None
) -> ContainerEngine:
    """The engine for an entry's image, which is taken in, with its weights and the file format that it asks for.

    All that its flags, and so the key of its run, depend on is settled here. Raises what `find_engine` and `intake` raise.
    """
    runtime = find_engine(engine)
    reference = folder / entry.archive if entry.archive else entry.submission.image
    image = intake(reference, runtime, digest=entry.submission.digest, cache=cache)
    model = folder / entry.model if entry.model else None
    return ContainerEngine(image, runtime, gpu=gpu, model=model, inputs=entry.submission.requests.inputs)


def device(job: RunJob, resolved: Resolved) -> str:
    """The GPU for the container: the one that the executor gave this process, else what the job names; empty for none."""
    if not resolved.gpu:
        return ""
    given = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return given[0] if given else "all" if job.gpu in ("", "any") else job.gpu


@lru_cache(maxsize=1)
def _references(root: str, content: str) -> ReferenceCache:
    """The cache of references that jobs of one worker share, as long as they are on one edition."""
    from benchmark.references import ReferenceCache

    return ReferenceCache()
