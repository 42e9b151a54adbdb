"""The command `run`: submissions and baselines, now and by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark import console, dataset, tasks
from benchmark.cli_options import AsJson, TaskDirs, Work, print_json, say, workplace
from benchmark.cli_participant import EngineName
from benchmark.errors import UsageError


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(run)


def run(
    task: Annotated[str, typer.Argument(help="Task name.")],
    data: Annotated[str, typer.Option(help="Edition name.")] = "phantom",
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="Baseline; may be given several times (default: all, unless --submission is given)."),
    ] = None,
    submission: Annotated[
        list[str] | None,
        typer.Option(help="Entry of the inbox by name or id, a submission.toml, or `all`; may be given several times."),
    ] = None,
    engine: EngineName = None,
    gpu: Annotated[
        str, typer.Option(help="`none`, `all`, an index or a UUID (default: one for what asks for it).")
    ] = "",
    workers: Annotated[int, typer.Option(help="Jobs side by side; 0 means one a core.")] = 0,
    config: Annotated[
        Path | None, typer.Option(help="Where [executor] is read from (default: radbench.toml in --work).")
    ] = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Run submissions and baselines on an edition, score them and print their board, as the night would; no attempt is counted."""
    from baselines import catalogue
    from benchmark import board, byhand
    from benchmark.executor import config as settings
    from benchmark.jobs import RunJob

    place = workplace(work)
    folder = tasks.find(task, task_dirs or ())
    edition = dataset.load(place.data, folder.task, data)
    if config is not None and not config.exists():
        raise UsageError("path", f"there is no {config}", expected=f"a {settings.FILE}")
    executor = settings.load(config or place.root / settings.FILE)
    if workers:
        executor = executor.model_copy(update={"workers": workers})
    if gpu not in ("", "none", "all") and executor.kind == "local":
        executor = executor.model_copy(update={"gpus": (gpu,)})
    entries = byhand.chosen(submission or (), folder, place.inbox)
    named = [catalogue.find(task, name) for name in baseline or ()]
    if not named and not submission:
        named = catalogue.baselines(task)
    if not named and not entries:
        raise UsageError(
            "unknown_name",
            f"there is nothing to run for task {task!r}: no such entry in the inbox, no reference model in this distribution",
            expected="predictions (`radbench score --publish-as`) or a container (`radbench submit`)",
        )
    runs = [RunJob(folder.root, place.data, data, place.store, baseline=item.name) for item in named]
    runs += [
        RunJob(
            folder.root,
            place.data,
            data,
            place.store,
            entry=place.inbox / entry.id,
            engine=engine or "",
            gpu=gpu,
            cache=place.root / "images",
        )
        for entry in entries
    ]
    with console.Bars() as bars:
        done = byhand.run_jobs(runs, executor, progress=bars.update, say=say)
    scored = [(item.run, item.score) for item in done if item.run is not None and item.score is not None]
    failed = [item for item in done if item.error is not None]
    if scored:
        result = board.make(folder.task, edition, scored, place.store)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            console.out.print(console.board_table(result))
    for item in failed:
        assert item.error is not None
        console.err.print(
            f"{item.name}: {item.error.group} error [{item.error.code}]: {item.error.sentence}", markup=False
        )
    if failed:
        sys.exit(max(item.error.exit_code for item in failed if item.error is not None))
