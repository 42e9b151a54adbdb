"""The command that trains reference models. Thin, as `benchmark.cli` is, which it is added to."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark import console, tasks
from benchmark.cli_options import TaskDirs, Work, say, workplace
from benchmark.download import cache_folder
from benchmark.errors import UsageError


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(train)


def train(
    task: Annotated[str, typer.Argument(help="Task name.")],
    baseline: Annotated[str, typer.Argument(help="Baseline, such as unet; `all` trains each in turn.")],
    steps: Annotated[int | None, typer.Option(help="Optimiser steps (default: the baseline's config).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and noise.")] = 0,
    seeds: Annotated[
        int | None, typer.Option(help="Train with seeds 0, 1, … (so many) and report how the figures spread.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    install: Annotated[bool, typer.Option("--install", help="Replace the weights that this repository ships.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget an interrupted training instead of resuming it.")
    ] = False,
    task_dirs: TaskDirs = None,
    work: Work = None,
) -> None:
    """Train a reference model on the train split; goes on where an interrupted training stopped."""
    from benchmark import learning

    folder, place = tasks.find(task, task_dirs or ()), workplace(work)
    if seeds is not None and (steps is not None or seed):
        raise UsageError("bad_value", "--seeds with --steps or --seed", expected="--seeds alone: all else as shipped")
    with console.Bars() as bars:
        if seeds is None:
            for trained in learning.train(
                folder,
                baseline,
                place,
                cache_folder(),
                steps=steps,
                device=device,
                seed=seed,
                threads=threads,
                install=install,
                resume=not fresh,
                say=say,
                progress=bars.update,
            ):
                console.out.print(f"{task} {trained.name}: {trained.weights}", markup=False)
            return
        for measured, record in learning.measure_seeds(
            folder,
            baseline,
            place,
            cache_folder(),
            count=seeds,
            device=device,
            threads=threads,
            install=install,
            resume=not fresh,
            say=say,
            progress=bars.update,
        ):
            for figure in record.spread.figures:
                unit = f" {figure.unit}" if figure.unit else ""
                console.out.print(
                    f"{task} {measured.name}, {figure.edition}: {figure.title} {figure.mean:.4g} ± "
                    f"{figure.sd:.2g}{unit} ({figure.low:.4g} to {figure.high:.4g}) over {len(figure.values)} seeds",
                    markup=False,
                )
