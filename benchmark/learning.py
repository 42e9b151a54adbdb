"""Train reference models: prepare the editions that a baseline learns from, train, and install the result where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from baselines import catalogue
from baselines.spread import SeedRecord
from benchmark import atomic, editions
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace

Progress = Callable[[str, int, int, str], None]
"""Called with a label, steps done, steps in all, and a note such as the loss."""


def train(
    folder: TaskFolder,
    name: str,
    work: Workplace,
    cache: Path,
    *,
    steps: int | None = None,
    device: str = "auto",
    seed: int = 0,
    threads: int = 1,
    install: bool = False,
    resume: bool = True,
    say: Callable[[str], None],
    progress: Progress,
) -> Iterator[catalogue.Baseline]:
    """Train the baseline `name` of a task (`all`: each that learns) and yield it with its new weights.

    Weights, card and log go to `<work>/training/<task>/<baseline>/`; with `install` the weights and the card also replace
    those of this repository. Raises what preparing and training raise.
    """
    training, _ = _modules()
    task = folder.task
    for baseline in _chosen(task.name, name):
        if baseline.weights is None:
            if name != "all":
                say(f"{baseline.name} has no parameters: there is nothing to train")
            continue
        label = f"train {task.name}: {baseline.name}"
        report = training.train(
            task,
            _editions(folder, training.usual_editions(baseline), work, cache, say, progress),
            baseline,
            work.training / task.name / baseline.name,
            steps=steps,
            device=device,
            seed=seed,
            threads=threads,
            resume=resume,
            progress=partial(_show, label, progress),
        )
        trained = report.baseline
        if install and trained.weights is not None:
            atomic.write_bytes(baseline.weights, trained.weights.read_bytes())
            atomic.write_text(baseline.card, trained.weights.with_suffix(".md").read_text("utf-8"))
            baseline.seeds.unlink(missing_ok=True)  # it was about the weights before
            trained = baseline
        yield trained


def measure_seeds(
    folder: TaskFolder,
    name: str,
    work: Workplace,
    cache: Path,
    *,
    count: int = 3,
    device: str = "auto",
    threads: int = 1,
    install: bool = False,
    resume: bool = True,
    say: Callable[[str], None],
    progress: Progress,
) -> Iterator[tuple[catalogue.Baseline, SeedRecord]]:
    """Train the baseline `name` of a task (`all`: each network) with seeds 0 to `count` - 1 and yield it with the record of their figures.

    Weights that are shipped count as seed 0's. Records and weights go to `<work>/training/<task>/<baseline>/`; with `install`
    the record and the card of this repository are replaced, the weights never. Raises what `seeds.measure` raises.
    """
    training, seeds = _modules()
    task = folder.task
    for baseline in _chosen(task.name, name):
        if not training.has_seed(baseline):
            if name != "all":
                say(f"{baseline.name} is fitted without a seed: there is no spread to measure")
            continue
        given = _editions(folder, training.usual_editions(baseline), work, cache, say, progress)

        def show(seed: int, event: dict[str, Any], name: str = baseline.name) -> None:
            _show(f"train {task.name}: {name}, seed {seed}", progress, event)

        record = seeds.measure(
            task,
            given,
            baseline,
            work.training / task.name / baseline.name,
            count=count,
            device=device,
            threads=threads,
            resume=resume,
            progress=show,
        )
        if install:
            seeds.install(baseline, record)
        yield baseline, record


def _chosen(task: str, name: str) -> list[catalogue.Baseline]:
    return catalogue.baselines(task) if name == "all" else [catalogue.find(task, name)]


def _modules() -> tuple[Any, Any]:
    """The modules that train, which need the extra `baselines`."""
    try:
        from baselines import seeds, training
    except ImportError as error:
        raise InfrastructureError(
            "missing_extra",
            f"training needs {error.name}",
            action="Install it with `pip install 'radbench[baselines]'`.",
        ) from None
    return training, seeds


def _editions(
    folder: TaskFolder,
    kinds: tuple[str, ...],
    work: Workplace,
    cache: Path,
    say: Callable[[str], None],
    progress: Progress,
) -> list[Edition]:
    made = []
    for kind in kinds:
        try:
            made.append(
                editions.make(
                    folder,
                    kind,
                    work,
                    lambda label, done, total: progress(label, done, total, ""),
                    cache=cache,
                    say=say,
                )
            )
        except InfrastructureError as error:
            if kind == "phantom":
                raise
            say(f"{folder.task.name}: training without the {kind} edition ({error.sentence})")
    return made


def _show(label: str, progress: Progress, event: dict[str, Any]) -> None:
    """Turn a training event into a bar."""
    if "step" in event and "steps" in event:
        note = f"loss {event['loss']:.4f}" if "loss" in event else ""
        progress(label, event["step"], event["steps"], note)
