"""Which edition of a task, made how: phantoms by formula, or the small real sample from the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark import dataset
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace

Progress = Callable[[str, int, int], None]
"""Called with a label, cases done, cases in all."""


def make(
    folder: TaskFolder,
    kind: str,
    work: Workplace,
    progress: Progress,
    *,
    cache: Path,
    say: Callable[[str], None],
    **options: int,
) -> Edition:
    """Prepare the `phantom` or `sample` edition of a task; one that is there already is reused.

    Raises `UsageError` when the task has none of that kind and `InfrastructureError` when the sample cannot be fetched.
    """
    maker = folder.maker(kind)
    plan = maker(cache, progress=say) if kind == "sample" else maker(**options)
    label = f"{folder.task.name}/{plan.info.edition}"
    return dataset.prepare(work.data, folder.task, plan, progress=lambda done, total: progress(label, done, total))


def best(
    folder: TaskFolder, work: Workplace, progress: Progress, *, cache: Path, say: Callable[[str], None]
) -> Edition:
    """What a demonstration shows: the real sample where the task shows one and it can be fetched, else the phantoms.

    Says so when a sample cannot be had.
    """
    if folder.task.shown_edition == "sample" and hasattr(folder.data(), "sample"):
        try:
            return make(folder, "sample", work, progress, cache=cache, say=say)
        except InfrastructureError as error:
            say(f"{folder.task.title}: no real sample. {error.sentence} Going on with phantoms.")
    return make(folder, "phantom", work, progress, cache=cache, say=say)
