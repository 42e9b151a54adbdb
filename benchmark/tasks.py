"""Tasks as folders: find them, read and check `task.toml`, load the `data.py` beside it.

A folder is a task when it holds a `task.toml`. The tasks that come with radbench lie in the package `tasks`; further folders
are given with `--tasks DIR`, before or after the command, or in the environment variable `RADBENCH_TASKS` (separated as in PATH).
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

import tasks as shipped
from benchmark.contract import Task
from benchmark.errors import DataError, UsageError


@dataclass(frozen=True)
class TaskFolder:
    """A task and the folder that declares it."""

    task: Task
    root: Path

    def data(self) -> ModuleType:
        """The task's `data.py`, imported: `phantom(...)`, perhaps `sample(cache)`, perhaps `IMPORTERS`."""
        path = self.root / "data.py"
        if not path.exists():
            raise DataError("task_invalid", f"{self.root} has no data.py", expected="a module that makes the editions")
        if self.root.parent == shipped_folder():
            return importlib.import_module(f"tasks.{self.root.name}.data")
        return _import_from(self.root)

    def maker(self, kind: str) -> Callable[..., Any]:
        """The function `phantom` or `sample` of `data.py`; `UsageError` when this task has none."""
        function = getattr(self.data(), kind, None)
        if function is None:
            raise UsageError("unknown_name", f"task {self.task.name!r} has no {kind} edition")
        return function


def shipped_folder() -> Path:
    """Where the tasks of this distribution lie."""
    return Path(str(shipped.__file__)).parent


def folders(extra: Sequence[Path] = ()) -> list[Path]:
    """Every folder that holds a `task.toml`: the shipped ones, those below `extra`, those below $RADBENCH_TASKS."""
    roots = [shipped_folder(), *extra]
    roots += [Path(part) for part in os.environ.get("RADBENCH_TASKS", "").split(os.pathsep) if part]
    found: list[Path] = []
    for root in roots:
        if not root.is_dir():
            raise UsageError("path", f"there is no folder {root}", expected="a folder that holds task folders")
        below = [root] if (root / "task.toml").exists() else sorted(path.parent for path in root.glob("*/task.toml"))
        found += [path.resolve() for path in below if path.resolve() not in found]
    return found


@contextlib.contextmanager
def also(extra: Sequence[Path]) -> Iterator[None]:
    """Tasks below these folders are found as well, here and in every process started meanwhile.

    Raises `UsageError` for a folder that does not exist.
    """
    for root in extra:
        if not root.is_dir():
            raise UsageError("path", f"there is no folder {root}", expected="a folder that holds task folders")
    before = os.environ.get("RADBENCH_TASKS")
    os.environ["RADBENCH_TASKS"] = os.pathsep.join([*(str(p.resolve()) for p in extra), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["RADBENCH_TASKS"]
        else:
            os.environ["RADBENCH_TASKS"] = before


def find(name: str, extra: Sequence[Path] = (), *, check_metrics: bool = True) -> TaskFolder:
    """The task of that name. `UsageError` lists the names when there is none. `check_metrics` as in `read`."""
    names = {}
    for folder in folders(extra):
        if folder.name == name:
            return TaskFolder(read(folder / "task.toml", check_metrics=check_metrics), folder)
        names[folder.name] = folder
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UsageError("unknown_name", f"there is no task {name!r}{hint}", expected=f"one of {', '.join(sorted(names))}")


def load_task(name: str, extra: Sequence[Path] = ()) -> Task:
    """The declaration of that task."""
    return find(name, extra).task


def load_all(extra: Sequence[Path] = ()) -> list[TaskFolder]:
    """Every task, shipped ones first, by name."""
    return [TaskFolder(read(folder / "task.toml"), folder) for folder in folders(extra)]


def read(path: Path, *, check_metrics: bool = True) -> Task:
    """Read and check a `task.toml`. `DataError` names file, key and expectation for everything that is wrong.

    Without `check_metrics` the metrics' names are taken as they are: a model's container needs no scorer.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError("task_invalid", f"there is no {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError("task_invalid", f"{path} is not TOML: {error}") from None
    try:
        task = Task.model_validate(data)
    except ValidationError as error:
        raise DataError("task_invalid", f"{path}: " + "; ".join(_explain(item) for item in error.errors())) from None
    if task.name != path.parent.name:
        raise DataError(
            "task_invalid",
            f"{path}: key name: found {task.name!r}",
            expected=f"the folder's name, {path.parent.name!r}",
        )
    if check_metrics:
        _check_metrics(path, task)
    return task


def _check_metrics(path: Path, task: Task) -> None:
    from benchmark import metrics  # here, since the metric families are heavy to import and records alone are not

    for used in task.metrics:
        try:
            metric = metrics.find(used.name)
            metric.check_options(used.options)
        except DataError as error:
            raise DataError(error.code, f"{path}: metrics.{used.id}: {error.found}", expected=error.expected) from None
        if "mask" in metric.needs and not task.scoring.mask:
            raise DataError(
                "task_invalid", f"{path}: metrics.{used.id} needs a mask", expected="scoring.mask to name one"
            )


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        return f"key {key} is missing"
    if item["type"] == "extra_forbidden":
        return f"key {key} is not known"
    found = item["input"]
    shown = "" if isinstance(found, dict | list) else f"found {found!r}; "
    return f"key {key}: {shown}{message[0].lower()}{message[1:]}"


def _import_from(root: Path) -> ModuleType:
    """Import the folder of a third-party task as a package of its own, so that its modules can import one another."""
    # Two folders of one name, in different places, are two packages.
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    package = f"radbench_task_{root.name}_{place}"
    if package not in sys.modules:
        initial = root / "__init__.py"
        if initial.exists():
            spec = importlib.util.spec_from_file_location(package, initial, submodule_search_locations=[str(root)])
        else:
            spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
            spec.submodule_search_locations = [str(root)]
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[package] = module
        if spec.loader is not None:
            spec.loader.exec_module(module)
    return importlib.import_module(f"{package}.data")
