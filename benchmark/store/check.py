"""Is everything in the store readable, whole, under its own key, and what its hashes say?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from benchmark.contract import Record
from benchmark.errors import DataError
from benchmark.store import manifest
from benchmark.store.keys import KEY_LENGTH
from benchmark.store.pins import FILE as PINS
from benchmark.store.pins import load_pins
from benchmark.store.placements import load_placement
from benchmark.store.records import ScoreRecord, load_case_scores, load_parts, load_run, load_score
from benchmark.store.reproductions import load_reproduction
from benchmark.store.schema import NAME, VERSION, version_of
from benchmark.workplace import Workplace

KEY = re.compile(rf"^[0-9a-f]{{{KEY_LENGTH}}}$")
LEFTOVER = re.compile(r"^\..+\.partial$")
LOCK = re.compile(r"^\..+\.lock$")
EMBARGO_KEY = Workplace(Path()).embargo_key.name
"""The key of pseudonyms; whether it is one is for who uses it to say."""
Progress = Callable[[int, int], None]
Board = tuple[str, str]
"""Task and edition: what is remembered of a run, for the scores and placements that name it."""


class Finding(Record):
    """One thing that a check found."""

    level: Literal["problem", "note"]
    """A problem needs a person; a note is what a killed process leaves behind and the next one clears away or goes on with."""
    where: str
    """Path below the store."""
    text: str
    """What was found, in a sentence."""


class Report(Record):
    """What a check of a store found."""

    schema_version: int = 1
    """Version of this record."""
    layout: int
    """Version of the store's layout; 0 when there is no store."""
    runs: int = 0
    """Runs that were looked at."""
    scores: int = 0
    """Scores that were looked at."""
    placements: int = 0
    """Placements that were looked at."""
    files: int = 0
    """Files whose hashes were compared."""
    bytes: int = 0
    """Their size."""
    keys: int = 0
    """Runs and scores whose keys were recomputed."""
    findings: tuple[Finding, ...] = ()
    """What was found, in order of place."""

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What needs a person."""
        return tuple(finding for finding in self.findings if finding.level == "problem")


def check(root: Path, *, content: bool = True, progress: Progress | None = None) -> Report:
    """Look at everything in the store at `root`, and change nothing. `content=False` reads no predictions: names and sizes only.

    Raises `DataError`: `store_newer`, `record_invalid` when `store.json` cannot be read.
    """
    layout = version_of(root)
    findings: list[Finding] = []
    if layout == 0:
        return Report(layout=0)
    if layout < VERSION:
        text = f"has layout {layout}; the next run brings it to layout {VERSION}, which has hashes"
        findings.append(Finding(level="note", where=".", text=text))
    runs, scores = _folders(root, "runs", findings), _folders(root, "scores", findings)
    seen = _Seen(layout, content)
    boards: dict[str, Board] = {}
    for number, folder in enumerate([*runs, *scores], 1):
        where = folder.relative_to(root).as_posix()
        texts = seen.run(root, folder, boards) if number <= len(runs) else seen.score(root, folder, boards)
        findings += [Finding(level="problem", where=where, text=text) for text in texts]
        if progress:
            progress(number, len(runs) + len(scores))
    placements = sorted((root / "submissions").rglob("*")) if (root / "submissions").exists() else []
    files = [path for path in placements if not path.is_dir() or path.is_symlink()]
    for path in files:
        findings += _placement(root, path, boards)
    findings += [Finding(level="problem", where=PINS, text=text) for text in _pins(root)]
    findings += _reproductions(root, boards)
    known = {"runs", "scores", "submissions", "reproductions", "bundles", PINS, EMBARGO_KEY, NAME}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.name not in known and not path.name.startswith("."):
            findings.append(Finding(level="note", where=path.name, text="is not the store's"))
        elif LEFTOVER.match(path.name):
            findings.append(Finding(level="note", where=path.name, text="was left by a process that was killed"))
    return Report(
        layout=layout,
        runs=len(runs),
        scores=len(scores),
        placements=len(files),
        files=seen.files,
        bytes=seen.bytes,
        keys=seen.keys,
        findings=tuple(sorted(findings, key=lambda finding: (finding.where, finding.text))),
    )


def _folders(root: Path, name: str, findings: list[Finding]) -> list[Path]:
    """The folders of runs or scores; what else lies there goes to the findings."""
    found = []
    for path in sorted((root / name).iterdir()) if (root / name).is_dir() else ():
        where = path.relative_to(root).as_posix()
        if path.is_dir() and not path.is_symlink() and KEY.match(path.name):
            found.append(path)
        elif LOCK.match(path.name):
            continue
        elif LEFTOVER.match(path.name):
            replaced = path.name.endswith(".old.partial")
            target = path.with_name(path.name.removeprefix(".").removesuffix(".old.partial"))
            if replaced and not target.exists():
                text = f"is {name}/{target.name}, moved aside when the writer of the new one was killed"
            elif name == "runs" and (path / manifest.WORK).is_dir():
                count = sum(1 for _ in (path / manifest.WORK).glob("*.json"))
                text = f"is an interrupted run with {count} finished cases; it goes on from there"
            else:
                text = "was left by a process that was killed"
            findings.append(Finding(level="note", where=where, text=text))
        else:
            findings.append(Finding(level="problem", where=where, text="does not belong there: its name is no key"))
    return found


class _Seen:
    """What has been looked at so far."""

    def __init__(self, layout: int, content: bool) -> None:
        self.layout, self.content = layout, content
        self.files = self.bytes = self.keys = 0

    def run(self, root: Path, folder: Path, boards: dict[str, Board]) -> Iterator[str]:
        yield from self._files(folder)
        try:
            record, payload = load_run(root, folder.name), manifest.load_payload(folder)
        except DataError as error:
            yield error.found
            return
        if record is None:
            yield "has no run.json"
            return
        boards[folder.name] = (record.task, record.edition)
        if record.key != folder.name:
            yield f"holds the run {record.key}"
        if payload is not None:
            self.keys += 1
            yield from _payload_of(folder.name, payload, {"submission": record.digest})
            if payload.get("cases") != [case.case for case in record.cases]:
                yield f"its cases are not those that its key was made of ({manifest.KEY})"

    def score(self, root: Path, folder: Path, boards: dict[str, Board]) -> Iterator[str]:
        yield from self._files(folder)
        try:
            record, payload = load_score(root, folder.name), manifest.load_payload(folder)
        except DataError as error:
            yield error.found
            return
        if record is None:
            yield "has no score.json"
            return
        if record.key != folder.name:
            yield f"holds the score {record.key}"
        ran = boards.get(record.run)
        if ran is None:
            yield f"is the score of run {record.run}, which is not there"
        elif (record.task, record.edition) != ran:
            yield f"is for {record.task}/{record.edition}, and its run for {'/'.join(ran)}"
        if payload is not None:
            self.keys += 1
            yield from _payload_of(folder.name, payload, {"run": record.run, "scorer": record.scorer})
        yield from _tables(root, folder, record)

    def _files(self, folder: Path) -> Iterator[str]:
        if self.layout < 2:
            return
        try:
            yield from manifest.differences(folder, content=self.content)
            noted = manifest.load_files(folder)
        except DataError as error:
            yield error.found
            return
        for entry in noted.files.values() if noted else ():
            self.files += 1
            self.bytes += entry.bytes


def _payload_of(key: str, payload: dict[str, object], expected: dict[str, str]) -> Iterator[str]:
    if (made := manifest.key_of(payload)) != key:
        yield f"{manifest.KEY} gives the key {made}"
    for name, value in expected.items():
        if payload.get(name) != value:
            yield f"{manifest.KEY} was made for the {name} {payload.get(name)!r}, and the record says {value!r}"


def _tables(root: Path, folder: Path, record: ScoreRecord) -> Iterator[str]:
    try:
        rows = load_case_scores(root, folder.name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"cases.csv cannot be read ({type(error).__name__})"
        return
    pairs = [(row.case, row.metric) for row in rows]
    if len(set(pairs)) != len(pairs):
        yield "cases.csv has a case and metric twice"
    try:
        load_parts(root, folder.name)
    except DataError as error:
        yield error.found


def _placement(root: Path, path: Path, boards: dict[str, Board]) -> Iterator[Finding]:
    where = path.relative_to(root).as_posix()
    if LEFTOVER.match(path.name):
        yield Finding(level="note", where=where, text="was left by a process that was killed")
        return
    if path.is_symlink() or path.suffix != ".json" or len(path.relative_to(root).parts) != 4:
        yield Finding(level="problem", where=where, text="does not belong there: it is no placement")
        return
    try:
        placement = load_placement(path)
    except DataError as error:
        yield Finding(level="problem", where=where, text=error.found)
        return
    ran = boards.get(placement.run)
    if ran is None:
        yield Finding(level="problem", where=where, text=f"points to run {placement.run}, which is not there")
    elif ran != (placement.task, placement.edition):
        yield Finding(level="problem", where=where, text=f"points to a run on {'/'.join(ran)}")


def _reproductions(root: Path, boards: dict[str, Board]) -> Iterator[Finding]:
    for path in sorted((root / "reproductions").iterdir()) if (root / "reproductions").is_dir() else ():
        where = path.relative_to(root).as_posix()
        if LEFTOVER.match(path.name):
            yield Finding(level="note", where=where, text="was left by a process that was killed")
        elif path.is_symlink() or not path.is_file() or path.suffix != ".json" or not KEY.match(path.stem):
            yield Finding(level="problem", where=where, text="does not belong there: it is no reproduction")
        else:
            try:
                load_reproduction(root, path.stem)
            except DataError as error:
                yield Finding(level="problem", where=where, text=error.found)
            if path.stem not in boards:
                yield Finding(level="problem", where=where, text=f"is of run {path.stem}, which is not there")


def _pins(root: Path) -> Iterator[str]:
    try:
        load_pins(root)
    except DataError as error:
        yield error.found
