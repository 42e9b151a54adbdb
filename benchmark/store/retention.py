"""Which predictions may go, and taking them away. Scores and records stay for ever, and so do the canary's for the pictures.

Predictions are what a store is large of. Without them a run cannot be scored by a later scorer, only run again; so they go only
where a declared rule lets them, and only of runs that have been scored.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import Field

from benchmark import atomic
from benchmark.contract import Record, RunRecord
from benchmark.store import manifest
from benchmark.store.pins import load_pins
from benchmark.store.placements import load_placements
from benchmark.store.records import load_run, load_score, run_folder
from benchmark.store.schema import open_store

LEFTOVER = re.compile(r"^\.[0-9a-f]+(\.old)?\.partial$")
LOCK = re.compile(r"^\.([0-9a-f]+)\.lock$")


class Retention(Record):
    """Which predictions are kept: those that any of the rules keeps. Without a rule all are."""

    keep_runs: int | None = Field(default=None, ge=0)
    """Those of the newest so many runs of each submission on each edition; absent: no such rule."""
    keep_days: int | None = Field(default=None, ge=0)
    """Those of runs that are younger than so many days; absent: no such rule."""
    keep_placed: bool = True
    """Those of runs that stand for a submission now, and hence on the newest board."""

    @property
    def declared(self) -> bool:
        """Whether there is a rule that lets anything go."""
        return self.keep_runs is not None or self.keep_days is not None

    def __str__(self) -> str:
        parts = [
            f"the newest {self.keep_runs} runs of each submission" if self.keep_runs is not None else "",
            f"runs younger than {self.keep_days} days" if self.keep_days is not None else "",
            "runs that stand on the board" if self.keep_placed else "",
        ]
        return "kept are " + (", ".join(part for part in parts if part) or "none")


class Removal(Record):
    """Predictions of one run that may go."""

    run: str
    """Inference key."""
    task: str
    """Task name."""
    edition: str
    """Edition name."""
    submission: str
    """Name of the submission that ran it first."""
    files: tuple[str, ...]
    """Paths below the run's folder that are there now."""
    bytes: int
    """Their size."""


class Plan(Record):
    """What a collection would remove."""

    removals: tuple[Removal, ...] = ()
    """Runs whose predictions go."""
    leftovers: tuple[str, ...] = ()
    """What killed processes left, below the store."""
    leftover_bytes: int = 0
    """Its size."""
    kept: dict[str, int] = Field(default_factory=dict)
    """Runs that keep their predictions, by why."""

    @property
    def bytes(self) -> int:
        """Bytes that become free."""
        return sum(removal.bytes for removal in self.removals) + self.leftover_bytes


Canary = Callable[[RunRecord], Collection[str] | None]
"""The canary cases of a run's edition; None when the edition is not at hand."""


def plan(
    root: Path,
    rule: Retention,
    *,
    canary: Canary = lambda run: None,
    published: Collection[str] = (),
    now: datetime | None = None,
) -> Plan:
    """What the rule lets go; nothing is changed.

    `published` are keys of further runs to keep. `canary` is asked for runs of an older layout, which do not say it themselves; where
    it is not known, nothing of the run goes. Raises `DataError('record_invalid')` for records that cannot be read.
    """
    now = now or datetime.now(UTC)
    runs = [run for path in sorted(root.glob("runs/[!.]*/run.json")) if (run := load_run(root, path.parent.name))]
    scored = {
        score.run
        for path in sorted(root.glob("scores/[!.]*/score.json"))
        if (score := load_score(root, path.parent.name))
    }
    placements = load_placements(root)
    names: dict[str, set[tuple[str, str, str]]] = {run.key: {(run.task, run.edition, run.method.name)} for run in runs}
    for placement in placements:
        names.setdefault(placement.run, set()).add((placement.task, placement.edition, placement.method.name))
    pins, placed = load_pins(root), {placement.run for placement in placements} | set(published)
    age = {run.key: _age(root, run.key, now) for run in runs}
    newest = _newest(runs, names, age, rule.keep_runs or 0)
    boards = {(placement.task, placement.edition) for placement in placements}
    # Where nothing says what stands on a board, it is the newest run of each submission, as `radbench publish` takes it.
    placed |= _newest([run for run in runs if (run.task, run.edition) not in boards], names, age, 1)
    removals: list[Removal] = []
    kept: dict[str, int] = {}
    for run in runs:
        folder = run_folder(root, run.key)
        why = ""
        if not rule.declared:
            why = "no rule lets go of anything"
        elif run.key in pins or any(name in pins for _, _, name in names[run.key]):
            why = "pinned"
        elif run.key not in scored:
            why = "not scored yet"
        elif rule.keep_placed and run.key in placed:
            why = "stands on the board"
        elif run.key in newest:
            why = "among the newest"
        elif rule.keep_days is not None and age[run.key] < rule.keep_days * 86400:
            why = "young"
        elif (files := _removable(folder, run, canary)) is None:
            why = "its canary cases are not known"
        elif files:
            size = sum((folder / path).lstat().st_size for path in files)
            removals.append(
                Removal(
                    run=run.key, task=run.task, edition=run.edition, submission=run.method.name, files=files, bytes=size
                )
            )
        else:
            why = "nothing left but the canary"
        if why:
            kept[why] = kept.get(why, 0) + 1
    leftovers = sorted(path for top in ("runs", "scores") for path in _leftovers(root / top))
    return Plan(
        removals=tuple(removals),
        leftovers=tuple(path.relative_to(root).as_posix() for path in leftovers),
        leftover_bytes=sum(_size(path) for path in leftovers),
        kept=dict(sorted(kept.items())),
    )


def collect(root: Path, planned: Plan, rule: Retention, *, now: datetime | None = None) -> Plan:
    """Remove what was planned; what was removed. Safe to kill: a run's `removed.json` is on disk before its first file goes, and the
    next collection removes what is left. A run that another process is at is passed over.

    Raises `InfrastructureError`: `no_space`, `read_only`.
    """
    open_store(root)
    when = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    done = []
    with atomic.refusals(root):
        for removal in planned.removals:
            folder = run_folder(root, removal.run)
            with _alone(folder) as alone:
                if alone:
                    _remove(folder, removal, rule, when)
                    done.append(removal)
        for name in planned.leftovers:
            path = root / name
            key = path.name.removeprefix(".").removesuffix(".partial").removesuffix(".old")
            with _alone(path.with_name(key)) as alone:
                if alone:
                    shutil.rmtree(path, ignore_errors=True)
                    path.unlink(missing_ok=True)
    return planned.model_copy(update={"removals": tuple(done)})


def _remove(folder: Path, removal: Removal, rule: Retention, when: str) -> None:
    before = manifest.load_removed(folder)
    files = tuple(sorted({*(before.files if before else ()), *removal.files}))
    record = manifest.Removed(when=when, rule=str(rule), files=files)
    atomic.write_json(folder / manifest.REMOVED, record.model_dump(mode="json"))
    for path in removal.files:
        (folder / path).unlink(missing_ok=True)
    for parent in sorted({p for path in removal.files for p in (folder / path).parents}, key=lambda p: -len(p.parts)):
        if folder in parent.parents and parent.name != "predictions":
            with contextlib.suppress(OSError):  # it holds something else
                parent.rmdir()


def _newest(
    runs: Sequence[RunRecord], names: dict[str, set[tuple[str, str, str]]], age: dict[str, float], count: int
) -> set[str]:
    """The newest so many runs of each submission on each edition; a shared run counts for each of its submissions."""
    by_name: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        for name in names[run.key]:
            by_name.setdefault(name, []).append(run.key)
    return {key for keys in by_name.values() for key in sorted(keys, key=lambda key: (age[key], key))[:count]}


def _age(root: Path, key: str, now: datetime) -> float:
    """Seconds since the run was finished, by the time of its record's file."""
    return now.timestamp() - (run_folder(root, key) / "run.json").stat().st_mtime


def _removable(folder: Path, run: RunRecord, canary: Canary) -> tuple[str, ...] | None:
    """The predictions that are there and are not of a canary case; None when those are not known."""
    noted = manifest.load_files(folder)
    if noted is None:
        return None
    kept = noted.canary if noted.canary is not None else canary(run)
    if kept is None:
        return None
    tops = {case.case for case in run.cases} - set(kept)
    return tuple(
        path
        for path in manifest.paths_below(noted, "predictions")
        if path.split("/")[1] in tops and (folder / path).exists()
    )


def _leftovers(top: Path) -> Iterator[Path]:
    """What killed processes left there and no later one goes on with: everything hidden but interrupted runs."""
    for path in sorted(top.iterdir()) if top.is_dir() else ():
        if LEFTOVER.match(path.name) and not (top.name == "runs" and not path.name.endswith(".old.partial")):
            target = path.with_name(path.name.removeprefix(".").removesuffix(".old.partial"))
            if not path.name.endswith(".old.partial") or target.exists():
                yield path


def _size(path: Path) -> int:
    return sum(p.lstat().st_size for p in path.rglob("*") if p.is_file())


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[bool]:
    """The lock that `inference.run` holds on a run; False when it does."""
    lock = FileLock(target.parent / f".{target.name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
