"""What several commands of `radbench` share: options, where things lie, how results are printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import console, dataset
from benchmark.contract import Task
from benchmark.errors import DataError, UsageError
from benchmark.workplace import Workplace, default

TaskDirs = Annotated[
    list[Path] | None, typer.Option("--tasks", help="Further folder of tasks; may be given several times.")
]
Work = Annotated[
    Path | None, typer.Option("--work", help="Folder for data, store and site (default: ./work or $RADBENCH_WORK).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def workplace(path: Path | None) -> Workplace:
    """The folder that was named, or the default one."""
    return default() if path is None else Workplace(path)


def existing(path: Path | None) -> Workplace:
    """As `workplace`, for commands that only make sense where work has been done. Raises `UsageError('path')` where there is no such
    folder: a mistyped one must not look like one in which all is well."""
    place = workplace(path)
    if not place.root.is_dir():
        raise UsageError(
            "path",
            f"there is no work folder {place.root}",
            expected="the folder of `radbench prepare`, `run` or `import`",
            action="Name it with --work or $RADBENCH_WORK.",
        )
    return place


def print_json(value: Any) -> None:
    """JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """A line for the person who waits, on standard error."""
    console.err.print(f"  {text}", markup=False)


def edition(task: Task, data: str, work: Workplace) -> dataset.Edition:
    """The edition of that name, or the one at that path. Raises `DataError` when there is none or it is another task's."""
    path = Path(data)
    if (path / "dataset.json").exists():
        root = path.resolve()
        if root.parent.name != task.name:
            raise DataError(
                "edition_missing", f"{path} is an edition of {root.parent.name!r}", expected=f"one of {task.name!r}"
            )
        return dataset.load(root.parent.parent, task, root.name)
    return dataset.load(work.data, task, data)
