"""The whole way in one call: prepare, run every baseline, score, publish. What is unchanged is reused."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from baselines import catalogue
from benchmark import board, dataset, inference, publishing, scoring, tasks
from benchmark.container.process import ProcessEngine
from benchmark.contract import Board, RunRecord
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace
from leaderboard.site import Published

TASKS = ("mri_to_ct", "denoising")
"""What the demo shows."""

Progress = Callable[[str, int, int], None]


def choose_edition(
    folder: TaskFolder, work: Workplace, cache: Path, say: Callable[[str], None], progress: Progress
) -> Edition:
    """The real sample where the task has one and it can be fetched, else the phantom edition; says which and why."""
    if hasattr(folder.data(), "sample"):
        try:
            return make_edition(folder, "sample", work, progress, cache=cache, say=say)
        except InfrastructureError as error:
            say(f"{folder.task.title}: no real sample ({error.sentence}) Going on with phantoms.")
    return make_edition(folder, "phantom", work, progress)


def make_edition(
    folder: TaskFolder,
    kind: str,
    work: Workplace,
    progress: Progress,
    *,
    cache: Path | None = None,
    say: Callable[[str], None] | None = None,
    **options: int,
) -> Edition:
    """Prepare the `phantom` or `sample` edition of a task; one that is there already is reused."""
    plan = folder.maker(kind)(cache, progress=say) if kind == "sample" else folder.maker(kind)(**options)
    label = f"{folder.task.name}/{plan.info.edition}"
    return dataset.prepare(work.data, folder.task, plan, progress=lambda done, total: progress(label, done, total))


def run_baselines(
    jobs: Sequence[tuple[TaskFolder, Edition, catalogue.Baseline]], root: Path, progress: Progress, workers: int = 0
) -> list[RunRecord]:
    """Run baselines side by side, one thread each, and return their records in the order of the jobs."""

    def one(job: tuple[TaskFolder, Edition, catalogue.Baseline]) -> RunRecord:
        folder, edition, baseline = job
        label = f"{folder.task.name}: {baseline.name}"
        return inference.run(
            folder.task,
            edition,
            baseline.method,
            baseline.digest,
            ProcessEngine(baseline),
            root=root,
            progress=lambda _, done, total: progress(label, done, total),
        )

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
    editions = [choose_edition(folder, work, cache, say, progress) for folder in folders]
    found = [(f, e, b) for f, e in zip(folders, editions, strict=True) for b in catalogue.baselines(f.task.name)]
    if train:
        found = [(f, e, _trained(f, b, work, cache, say, progress)) for f, e, b in found]
    records = run_baselines(found, work.store, progress)
    entries: list[publishing.Entry] = []
    references = scoring.ReferenceCache()
    for folder, edition in zip(folders, editions, strict=True):
        scored = []
        for (_, _, baseline), record in zip(found, records, strict=True):
            if baseline.task == folder.task.name:
                label = f"score {folder.task.name}: {baseline.name}"
                scored.append(
                    (
                        record,
                        scoring.score_run(
                            folder.task,
                            edition,
                            record,
                            work.store,
                            cache=references,
                            progress=lambda done, total, label=label: progress(label, done, total),
                        ),
                    )
                )  # type: ignore[misc]
        entries.append((folder.task, edition, scored))
    published = publishing.publish_boards(entries, work.store, work.site, datetime.date.today().isoformat())
    return [board.make(task, edition, scored, work.store) for task, edition, scored in entries], published
