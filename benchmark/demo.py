"""The whole way in one call: prepare, run every baseline, score, publish. What is unchanged is reused."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from baselines import catalogue
from benchmark import editions, inference, learning, publishing, scoring, store, tasks
from benchmark.container.process import ProcessEngine
from benchmark.contract import Board, RunRecord
from benchmark.dataset import Edition
from benchmark.references import ReferenceCache
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace
from leaderboard.site import Published, publish

TASKS = ("mri_to_ct", "denoising", "segmentation", "nodule_detection")
"""What the demo shows."""

Progress = Callable[[str, int, int], None]


def run_baselines(
    jobs: Sequence[tuple[TaskFolder, Edition, catalogue.Baseline]], root: Path, progress: Progress, workers: int = 0
) -> list[RunRecord]:
    """Run baselines side by side, one thread each, and return their records in the order of the jobs.

    Threads and not `benchmark.executor`: a baseline is a process already, whose server the thread waits for, and a process around
    each would only add its start, a second or two, to a demonstration of which each second counts.
    """

    def one(job: tuple[TaskFolder, Edition, catalogue.Baseline]) -> RunRecord:
        folder, edition, baseline = job
        label = f"{folder.task.name}: {baseline.name}"
        record = inference.run(
            folder.task,
            edition,
            baseline.method,
            baseline.digest,
            ProcessEngine(baseline),
            root=root,
            progress=lambda _, done, total: progress(label, done, total),
        )
        # A run that was there already says of the model what was known then; titles and training seeds are no part of its key.
        return record.model_copy(update={"method": baseline.method})

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        futures = [pool.submit(one, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run(
    work: Workplace,
    cache: Path,
    *,
    names: Sequence[str] = TASKS,
    extra: Sequence[Path] = (),
    train: bool = False,
    say: Callable[[str], None],
    progress: Progress,
) -> tuple[list[Board], Published]:
    """Do it all and return the boards and the published site."""
    folders = [tasks.find(name, extra) for name in names]
    prepared = [editions.best(folder, work, progress, cache=cache, say=say) for folder in folders]
    found = [(f, e, b) for f, e in zip(folders, prepared, strict=True) for b in catalogue.baselines(f.task.name)]
    if train:
        found = [(f, e, _trained(f, b, work, cache, say, progress)) for f, e, b in found]
    records = run_baselines(found, work.store, progress)
    entries: list[publishing.Entry] = []
    references = ReferenceCache()
    for folder, edition in zip(folders, prepared, strict=True):
        scored: list[tuple[RunRecord, store.ScoreRecord]] = []
        for (_, _, baseline), record in zip(found, records, strict=True):
            if baseline.task == folder.task.name:
                show = partial(progress, f"score {folder.task.name}: {baseline.name}")
                score = scoring.score_run(folder.task, edition, record, work.store, cache=references, progress=show)
                scored.append((record, score))
        entries.append((folder.task, edition, scored))
    date = datetime.date.today().isoformat()
    made = publishing.boards(entries, work.store, date)
    return [data.board for data in made], publish(work.site, made, date=date)


def _trained(
    folder: TaskFolder,
    baseline: catalogue.Baseline,
    work: Workplace,
    cache: Path,
    say: Callable[[str], None],
    progress: Progress,
) -> catalogue.Baseline:
    """The baseline with weights trained here; as it is when it has nothing to learn."""
    if baseline.weights is None:
        return baseline
    shown = learning.train(
        folder,
        baseline.name,
        work,
        cache,
        say=say,
        progress=lambda label, done, total, note: progress(label, done, total),
    )
    return next(shown)
