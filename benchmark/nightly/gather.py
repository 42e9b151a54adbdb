"""Reads the state of the workplace that a plan follows from. It writes only what it remembers of files' times."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from baselines import catalogue
from benchmark import inbox, store, tasks
from benchmark.container.records import EngineName
from benchmark.contract import Task
from benchmark.errors import DataError, RadbenchError, UsageError
from benchmark.ledger import Ledger
from benchmark.nightly import attempts, sources
from benchmark.nightly.aftermath import Noted
from benchmark.nightly.config import Config
from benchmark.nightly.memory import Memory
from benchmark.nightly.state import BaselineState, Basis, EntryState, Image, Problem, State
from benchmark.nightly.turns import Turns
from benchmark.store import load_placements
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace

PROCESS_FLAGS = ("process/invoke",)
"""What the engine of the reference models adds to their key; a test holds it to `ProcessEngine`."""


@dataclass(frozen=True)
class Surroundings:
    """What a night works with: the workplace, its settings and the tasks' folders."""

    work: Workplace
    config: Config
    folders: Mapping[str, TaskFolder]
    """Tasks that take part, by name."""
    problems: Mapping[str, Problem]
    """Tasks that would take part and cannot."""

    @property
    def ledger(self) -> Ledger:
        """The ledger of the workplace."""
        return Ledger(self.work.ledger)


def surroundings(work: Workplace, config: Config, extra: Sequence[Path] = ()) -> Surroundings:
    """Find the tasks that take part. Raises `UsageError` for a task or a reference model that the configuration names and that does
    not exist."""
    paths = {path.name: path for path in tasks.folders(extra)}
    wanted = config.nightly.tasks
    named = [*(wanted or ()), *config.nightly.editions, *(_table(config) or ())]
    for name in named:
        if name not in paths:
            raise UsageError(
                "config", f"radbench.toml: there is no task {name!r}", expected=f"one of {', '.join(sorted(paths))}"
            )
    if wanted is None:
        wanted = tuple(sorted(name for name in paths if sources.edition_names(work.data, name)))
    for task, names in (_table(config) or {}).items():
        _named(task, names)
    folders: dict[str, TaskFolder] = {}
    problems: dict[str, Problem] = {}
    for name in wanted:
        try:
            # Whether its metrics exist is for the scorer to say, which has them imported.
            folders[name] = TaskFolder(tasks.read(paths[name] / "task.toml", check_metrics=False), paths[name])
        except DataError as error:
            problems[name] = Problem(error.group, error.code, error.sentence)
    return Surroundings(work, config, folders, problems)


def gather(around: Surroundings, now: datetime) -> State:
    """The state of the workplace at that moment.

    Raises `DataError` for a ledger or a placement that cannot be read, and `UsageError` for a reference model that does not exist.
    """
    work, config, memory = around.work, around.config, Memory(around.work)
    declared = {name: folder.task for name, folder in around.folders.items()}
    remembered, seen = memory.load("editions"), {}
    editions, problems = {}, dict(around.problems)
    for name, task in declared.items():
        held = []
        for edition in sources.edition_names(work.data, name):
            state, seen[f"{name}/{edition}"] = sources.edition_state(
                work.data, task, edition, remembered.get(f"{name}/{edition}", {})
            )
            held.append(state)
        editions[name] = tuple(held)
    memory.save("editions", seen)
    log = around.ledger.chain()
    teams = attempts.teams_of(log)
    known = frozenset(teams)
    whole, unreadable = inbox.sorted_out(work.inbox)
    entries = _entries(whole, memory, config)
    teams |= {found.entry.id: found.entry.submission.method.team for found in entries}
    runs = _keys(work.store / "runs")
    return State(
        now=now,
        last_line=datetime.fromisoformat(log[-1].time) if log else None,
        handed_in=known,
        tasks=declared,
        task_problems=problems,
        editions=editions,
        chosen={name: _chosen(config, task, [e.name for e in editions[name]]) for name, task in declared.items()},
        entries=entries,
        baselines=_baselines(config, declared),
        runs=runs,
        scores=_keys(work.store / "scores"),
        removed=frozenset(key for key in runs if store.predictions_removed(store.run_folder(work.store, key))),
        placements=load_placements(work.store),
        attempts=attempts.of(log, teams),
        gpu=config.nightly.gpu,
        base_url=config.site.base_url,
        code=sources.code(),
        published=_published(work, memory),
        before={name: Basis(**found) for name, found in memory.load("basis").items()},
        turns=Turns.of(log),
        reproduce=config.nightly.reproduce,
        failed_nights=memory.load("failures"),
        noted=Noted.of(log),
        unreadable=unreadable,
    )


def engine_name(config: Config) -> EngineName:
    """The engine that runs strangers' images: the configured one, else the first that is installed (it is asked nothing yet)."""
    if config.nightly.engine:
        return config.nightly.engine
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for name in get_args(EngineName):
        if any(os.access(f"{folder}/{name}", os.X_OK) for folder in path):
            found: EngineName = name
            return found
    return "podman"


def image_key(config: Config, gpu: bool) -> str:
    """Under what an image is remembered: the engine, and whether it gets a GPU, which is one of its flags."""
    return f"{engine_name(config)}{'+gpu' if gpu else ''}"


def _entries(whole: Sequence[inbox.Entry], memory: Memory, config: Config) -> list[EntryState]:
    images, refused = memory.load("images"), memory.load("refused")
    found = []
    for entry in whole:
        key = image_key(config, entry.submission.requests.gpu)
        image, why = images.get(key, {}).get(entry.id), refused.get(entry.id)
        found.append(
            EntryState(
                entry,
                Image(image["digest"], tuple(image["flags"])) if image else None,
                Problem(**why) if why else None,
            )
        )
    return found


def _chosen(config: Config, task: Task, present: Sequence[str]) -> tuple[str, ...]:
    """Editions that submissions without a phase's edition run on. One that is named and not prepared is kept, and asked for."""
    if task.name in config.nightly.editions:
        return config.nightly.editions[task.name]
    phases = {phase.edition for phase in task.phases}
    return tuple(name for name in present if name not in phases)


def _table(config: Config) -> dict[str, tuple[str, ...]] | None:
    return config.nightly.baselines if isinstance(config.nightly.baselines, dict) else None


def _baselines(config: Config, declared: Mapping[str, Task]) -> list[BaselineState]:
    wanted, table = config.nightly.baselines, _table(config)
    found: list[BaselineState] = []
    for task in declared if wanted != "none" else ():
        for baseline in catalogue.baselines(task) if table is None else _named(task, table.get(task, ())):
            if baseline.weights is None or baseline.weights.exists():
                found.append(BaselineState(task, baseline.method, Image(baseline.digest, PROCESS_FLAGS)))
    return found


def _named(task: str, names: Sequence[str]) -> list[catalogue.Baseline]:
    try:
        return [catalogue.find(task, name) for name in names]
    except RadbenchError as error:
        raise UsageError(
            "config", f"radbench.toml: nightly.baselines: {error.found}", expected=error.expected
        ) from None


def _keys(folder: Path) -> frozenset[str]:
    """Keys in a part of the store: a folder is there whole or not at all."""
    if not folder.is_dir():
        return frozenset()
    with os.scandir(folder) as listing:
        return frozenset(item.name for item in listing if not item.name.startswith("."))


def newest_hash(work: Workplace) -> str:
    """Hash of the site's record of its front; empty where there is no site."""
    path = work.site / "newest.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _published(work: Workplace, memory: Memory) -> str:
    noted = memory.load("published")
    return str(noted.get("shown", "")) if noted and noted.get("newest") == newest_hash(work) else ""
