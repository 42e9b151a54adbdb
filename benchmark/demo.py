"""The whole way in one call: prepare, run every baseline, score, publish. What is unchanged is reused."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

from baselines import catalogue
from benchmark import editions, inference, learning, publishing, scoring, store, tasks
from benchmark.container.process import ProcessEngine
from benchmark.container.servers import Ended, Servers
from benchmark.contract import Board, RunRecord
from benchmark.dataset import Edition
from benchmark.executor.admission import cores_here
from benchmark.references import ReferenceCache
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace
from leaderboard.site import Published

TASKS = ("mri_to_ct", "denoising", "segmentation", "nodule_detection")
"""What the demo shows."""

Progress = Callable[[str, int, int], None]


Job = tuple[TaskFolder, Edition, catalogue.Baseline]
"""A baseline, and what it is run on."""

Result = tuple[RunRecord, store.ScoreRecord]
"""Its run, and the scores of that."""


def run_and_score(jobs: Sequence[Job], root: Path, progress: Progress) -> list[Result]:
    """Run baselines side by side, one thread each, and score each run; the results in the order of the jobs.

    Threads and not `benchmark.executor`: a baseline is a process already, whose server the thread waits for, and a process around
    each would only add its start, a second or two, to a demonstration of which each second counts. The last jobs begin: networks
    and large images come later in the lists, and short pieces at the end leave no core idle.
    """
    servers, references, scoring_now = Servers(forked=True), ReferenceCache(), threading.Lock()

    def shown(label: str, done: int, total: int) -> None:
        if servers.ended:
            raise Ended  # between two cases: what is done is kept
        progress(label, done, total)

    def one(job: Job) -> Result:
        folder, edition, baseline = job
        label = f"{folder.task.name}: {baseline.name}"
        found = inference.run(
            folder.task,
            edition,
            baseline.method,
            baseline.digest,
            ProcessEngine(baseline, servers),
            root=root,
            progress=lambda _, done, total: shown(label, done, total),
        )
        # A run that was there already says of the model what was known then; titles and training seeds are no part of its key.
        record = found.model_copy(update={"method": baseline.method})
        with scoring_now:  # the references are for one at a time
            show = partial(shown, f"score {label}")
            return record, scoring.score_run(folder.task, edition, record, root, cache=references, progress=show)

    with ThreadPoolExecutor(cores_here()) as pool:
        futures = [pool.submit(one, job) for job in reversed(jobs)]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            servers.end()
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in reversed(futures)]


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
    results = run_and_score(found, work.store, progress)
    entries: list[publishing.Entry] = []
    for folder, edition in zip(folders, prepared, strict=True):
        scored = [result for (own, _, _), result in zip(found, results, strict=True) if own is folder]
        entries.append((folder.task, edition, scored))
    date = datetime.date.today().isoformat()
    made = publishing.boards(entries, work.store, date)
    return [data.board for data in made], publishing.publish_made(made, work.store, work.site, date)


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
