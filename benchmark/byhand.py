"""Running chosen submissions now: baselines by name, entries of the inbox, or a manifest that is handed in on the way.

The jobs are those of the night, on the same executor; the ledger and the quotas are the night's alone, so nothing here counts as an
attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark import inbox, jobs, store, submission
from benchmark.contract import RunRecord
from benchmark.errors import RadbenchError, UsageError
from benchmark.executor import Executor, ExecutorConfig, open_executor
from benchmark.jobs import RunJob, ScoreJob
from benchmark.store import ScoreRecord
from benchmark.tasks import TaskFolder


@dataclass(frozen=True)
class Done:
    """What came of one submission: a run and its score, or an error."""

    name: str
    """Name of the submission."""
    run: RunRecord | None = None
    """The stored run, with what this submission says of itself."""
    score: ScoreRecord | None = None
    """The stored score."""
    error: RadbenchError | None = None
    """Why there is none."""


def chosen(words: Sequence[str], folder: TaskFolder, place: Path) -> list[inbox.Entry]:
    """The entries of the inbox at `place` that the words mean: an id or its beginning, a submission's name (its newest entry), a
    manifest (which is handed in first), or `all` (the newest entry of each submission).

    Raises `UsageError`: `unknown_name` lists what there is, `bad_value` for another task's; `SubmissionError` for a refused manifest.
    """
    task = folder.task.name
    present = [entry for entry in inbox.entries(place) if entry.submission.task == task]
    newest = {entry.submission.method.name: entry for entry in present}
    found: list[inbox.Entry] = []
    for word in words:
        if word == "all":
            found += newest.values()
        elif word.endswith(".toml"):
            declared = submission.load(Path(word))
            if declared.task != task:
                raise UsageError("bad_value", f"{word} is for task {declared.task!r}", expected=f"one for {task!r}")
            found.append(inbox.submit(Path(word), folder.task, place, declared)[0])
        elif word in newest:
            found.append(newest[word])
        else:
            matches = [entry for entry in present if len(word) >= 4 and entry.id.startswith(word)]
            if len(matches) != 1:
                names = ", ".join(f"{name} ({entry.id[:8]})" for name, entry in newest.items()) or "none so far"
                raise UsageError(
                    "unknown_name",
                    f"there is no submission {word!r} for {task} in {place}",
                    expected=f"a manifest, `all`, or one of these: {names}",
                    action="Hand it in with `radbench submit`, or name its manifest.",
                )
            found += matches
    return list({entry.id: entry for entry in found}.values())


def run_jobs(
    runs: Sequence[RunJob],
    config: ExecutorConfig,
    *,
    progress: Callable[[str, int, int], None],
    say: Callable[[str], None],
) -> list[Done]:
    """Run each job and score it as soon as its run is done; in the order of the jobs. One that fails takes no other with it.

    Raises `InfrastructureError` when the executor cannot be had. An error that is none of ours passes through.
    """
    with open_executor(config, progress=progress, say=say) as executor:
        scores = [_run_and_score(executor, replace(job, **_whole(job))) for job in runs]
        return [_done(job, score) for job, score in zip(runs, scores, strict=True)]


def _whole(job: RunJob) -> dict[str, Any]:
    """Paths that mean the same to a worker in another folder."""
    names = ("task", "data", "store", "entry", "cache")
    return {name: path.resolve() for name in names if (path := getattr(job, name)) is not None}


def _run_and_score(executor: Executor, job: RunJob) -> Future[tuple[str, str]]:
    """The keys of run and score, once both are there. Scoring waits in no queue behind other runs that have the GPU."""
    result: Future[tuple[str, str]] = Future()
    name = jobs.resolve(job).method.name

    def scored(run: str, future: Future[str]) -> None:
        _hand_on(future, result, lambda key: result.set_result((run, key)))

    def score(run: str) -> None:
        after = ScoreJob(task=job.task, data=job.data, edition=job.edition, store=job.store, run=run)
        future = executor.submit(jobs.score, after, jobs.resources(after), key=f"score {name}")
        future.add_done_callback(lambda future: scored(run, future))

    first = executor.submit(jobs.run, job, jobs.resources(job), key=f"run {name}")
    first.add_done_callback(lambda future: _hand_on(future, result, score))
    return result


def _hand_on(future: Future[str], result: Future[tuple[str, str]], then: Callable[[str], None]) -> None:
    """Go on with what a future gave; what went wrong is the result's."""
    try:
        then(future.result())
    except BaseException as error:
        if not result.done():
            result.set_exception(error)


def _done(job: RunJob, keys: Future[tuple[str, str]]) -> Done:
    method = jobs.resolve(job).method
    try:
        run, score = keys.result()
    except RadbenchError as error:
        return Done(method.name, error=error)
    record, scored = store.load_run(job.store, run), store.load_score(job.store, score)
    assert record is not None and scored is not None
    # Equal images share a run, whose record names the first of them.
    return Done(method.name, record.model_copy(update={"method": method}), scored.model_copy(update={"method": method}))
