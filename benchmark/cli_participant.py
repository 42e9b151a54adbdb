"""The commands of a participant: `try`, `submit` and `doctor`. Thin, as `benchmark.cli` is, which they are added to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from benchmark import console, editions, tasks
from benchmark.cli_options import AsJson, TaskDirs, Work, edition, print_json, say, workplace
from benchmark.contract import Method, Task
from benchmark.errors import UsageError

EngineName = Annotated[
    str | None, typer.Option("--engine", help="podman, docker or apptainer (default: the first that works).")
]


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("try")(try_submission)
    app.command()(submit)
    app.command()(doctor)


def method_of(task: Task, name: str, title: str, family: str, team: str, split: str) -> Method:
    """What a row of loose predictions says of itself. Raises `UsageError` for a name that cannot be one or is a reference model's."""
    from baselines import catalogue

    if split != "test":
        raise UsageError(
            "bad_value", f"--publish-as with --split {split}", expected="the test split, which boards show"
        )
    if name in {baseline.name for baseline in catalogue.baselines(task.name)}:
        raise UsageError("bad_value", f"{name!r} is a reference model's name", expected="another name")
    try:
        return Method.model_validate({"name": name, "title": title or name, "family": family, "team": team})
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("name",):
            lower = "at most 64 of a-z, 0-9, `_`, `-`, `.`, a letter or digit first"
            raise UsageError("bad_value", f"--publish-as {name!r}", expected=lower) from None
        raise UsageError("bad_value", f"--{first['loc'][0]} {first['input']!r}", expected=first["msg"]) from None


def try_submission(
    source: Annotated[
        str, typer.Argument(help="Folder with a Containerfile, image archive, submission.toml, or name of an image.")
    ],
    task: Annotated[
        str, typer.Option("--task", help="Task name, see `radbench tasks` (default: the manifest's).")
    ] = "",
    data: Annotated[
        str, typer.Option(help="Edition name, or the path of an edition; phantoms are made when they are not there.")
    ] = "phantom",
    engine: EngineName = None,
    gpu: Annotated[
        str, typer.Option(help="`all`, an index or a UUID (default: none, or what the manifest asks for).")
    ] = "",
    inputs: Annotated[
        str,
        typer.Option(
            help="File format of the volumes in /input: mha, or nifti for .nii.gz (a manifest says it itself)."
        ),
    ] = "mha",
    build_arg: Annotated[
        list[str] | None,
        typer.Option("--build-arg", help="NAME=VALUE for the Containerfile; may be given several times."),
    ] = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Try a submission on the public canary cases with the organiser's code: does it run, and what would it score?"""
    from benchmark import board, submission, trial
    from benchmark.container import find_engine
    from benchmark.container.staging import SUFFIXES

    found = trial.source(source)
    place = workplace(work)
    form = next((name for name in SUFFIXES if name == inputs), None)
    if form is None:
        raise UsageError("bad_value", f"--inputs {inputs}", expected=" or ".join(SUFFIXES))
    if not task and found.kind == "manifest" and found.path is not None:
        task = submission.load(found.path).task
    if not task:
        raise UsageError("bad_value", "no task was named", expected="--task and one of the names of `radbench tasks`")
    folder = tasks.find(task, task_dirs or ())
    runtime = find_engine(engine)
    with console.Bars() as bars:
        if data == "phantom":
            from benchmark.download import cache_folder

            used = editions.make(folder, "phantom", place, bars.update, cache=cache_folder(), say=say)
        else:
            used = edition(folder.task, data, place)
        verdict = trial.run(
            folder.task,
            used,
            found,
            runtime,
            trials=place.trials,
            root=place.store,
            gpu=gpu,
            inputs=form,
            build_arguments=build_arg or (),
            say=say,
            progress=lambda label, done, total: bars.update(f"{label}: canary", done, total),
        )
    if as_json:
        print_json(verdict.model_dump(mode="json"))
    else:
        console.print_verdict(verdict, board.describe(folder.task))
        where = place.trials / folder.task.name / found.name
        console.out.print(f"Verdict file: {where / 'verdict.json'}; logs, outputs and scores beside it.", markup=False)
    sys.exit(verdict.exit_code)


def submit(
    manifest: Annotated[Path, typer.Argument(help="submission.toml; submissions/README.md lists its keys.")],
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Check a submission's manifest and image, and place them in the inbox of the organiser's next run."""
    from benchmark import inbox, submission

    if not manifest.is_file():
        raise UsageError("path", f"there is no file {manifest}", expected="a submission.toml")
    found = submission.load(manifest)
    folder = tasks.find(found.task, task_dirs or ())
    place = workplace(work)
    entry, new = inbox.submit(manifest, folder.task, place.inbox, found)
    if as_json:
        print_json({"new": new, "path": str(place.inbox / entry.id), **entry.model_dump(mode="json")})
        return
    state = "placed in the inbox" if new else f"in the inbox already, since {entry.received}; nothing was changed"
    console.out.print(f"{found.method.name}: {state}: {place.inbox / entry.id}", markup=False)
    for line in inbox.next_steps(entry, folder.task):
        console.out.print(f"  {line}", markup=False)


def doctor(
    engine: EngineName = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings count as failures: for who runs strangers' images.")
    ] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Check what a run needs of this machine: engine, sandbox, GPU inside a container, versions with known escapes, disk, clock."""
    from benchmark import doctor as examination

    place = workplace(work)
    with console.Bars() as bars:
        findings = examination.examine(
            place.root, engine, progress=lambda done, total: bars.update("doctor", done, total)
        )
    bad = examination.failed(findings, strict=strict)
    if as_json:
        print_json({"ok": not bad, "findings": [finding.model_dump(mode="json") for finding in findings]})
    else:
        for line in examination.lines(findings):
            console.out.print(line, markup=False)
        console.out.print(examination.summary(findings, strict=strict), markup=False)
    sys.exit(1 if bad else 0)
