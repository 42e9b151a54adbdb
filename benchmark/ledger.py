"""What happened, when and in which order: JSON lines, each with the hash of the line before.

    <work>/ledger.jsonl         one entry a line
    <work>/ledger.jsonl.head    number and hash of the last line, for seeing that lines are gone from the end
    <work>/ledger.jsonl.torn-…  what a killed writer left of a line, moved aside by the next one

Any edit, deletion, insertion or reordering breaks the chain from there on. Lines cut from the end leave a whole chain; they are
missed because a head that was noted before (beside the ledger, on the published site) is then no line's. Who can rewrite the
ledger, its head file and every published head can rewrite history; a hash proves nothing to somebody who holds no earlier one.

An entry is on disk when `append` returns. A kill before that leaves nothing or a torn line, which counts as nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from benchmark import atomic
from benchmark.contract import Record
from benchmark.errors import DataError, InfrastructureError
from benchmark.ledger_facts import RECORDS, Facts, Kind

START = "0" * 64
"""What stands for the hash of the line before the first."""
UNLINKED = "does not follow from the line before: one of them was changed, or one between them removed"
LOCK_SECONDS = 60
"""How long an append waits for another one."""


class Entry(Record):
    """One line of the ledger."""

    sequence: int = Field(ge=0)
    """Number of the line, from 0."""
    time: str
    """When it was written, in UTC with milliseconds; the order of events is that of the lines, not that of the clock."""
    kind: Kind
    """What happened."""
    facts: dict[str, Any]
    """What is known of it: the fields of that kind's record in `benchmark.ledger_facts`, as far as they were given."""
    clock_back: bool = False
    """True when the clock stood earlier than at the line before."""
    torn_bytes: int = Field(default=0, ge=0)
    """Bytes of a torn line, left by a kill, that were cut off before this entry was written."""
    previous: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the line before, without its line end; zeros for the first."""

    @property
    def line(self) -> bytes:
        """The entry as it stands in the file, without the line end."""
        values = self.model_dump(mode="json")
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @property
    def head(self) -> Head:
        """Number and hash of this line."""
        return Head(sequence=self.sequence, hash=hashlib.sha256(self.line).hexdigest())

    @property
    def record(self) -> Facts:
        """The facts as their kind's record."""
        return RECORDS[self.kind].model_validate(self.facts)


class Head(Record):
    """Where a ledger ended when it was looked at."""

    sequence: int = Field(ge=0)
    """Number of the last line."""
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the last line."""

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The inverse of `str`. Raises `DataError('ledger_broken')` for anything else."""
        number, _, digest = text.strip().partition(":")
        try:
            return cls(sequence=int(number), hash=digest)
        except ValueError:
            raise DataError(
                "ledger_broken", f"{text[:90]!r} is no head of a ledger", expected="NUMBER:SHA256"
            ) from None


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger in a file, which need not exist yet. Any number of processes of one machine may append.

    `sealed` holds words that no entry may contain, such as the case ids of sealed splits; `clock` is for tests.
    """

    def __init__(self, path: Path, *, sealed: Collection[str] = (), clock: Callable[[], datetime] = _now) -> None:
        self.path, self.sealed, self._clock = path, frozenset(sealed), clock
        self.torn: list[str] = []
        """What this object cut off and where it put it, in sentences."""

    def append(self, kind: Kind, **facts: Any) -> Entry:
        """Write an entry to disk and return it.

        Raises `DataError`: `ledger_fact` for facts that the kind's record does not have or that hold what must not be written
        down, `ledger_broken` when the end of the file is no entry; `InfrastructureError`: `no_space`, `read_only`, `busy`.
        """
        given = self._checked(kind, facts)
        with atomic.refusals(self.path), _locked(self.path):
            last, torn = self._mend()
            now = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
            entry = Entry(
                sequence=last.sequence + 1 if last else 0,
                time=now,
                kind=kind,
                facts=given,
                clock_back=last is not None and now < last.time,
                torn_bytes=torn,
                previous=last.head.hash if last else START,
            )
            self._write(entry)
            return entry

    def entries(self) -> list[Entry]:
        """All entries in order. Raises `DataError('ledger_broken')` for a line that is none; a torn last line is left out."""
        return [_parsed(self.path, number, line) for number, line in enumerate(_lines(self.path))]

    def chain(self) -> list[Entry]:
        """As `entries`, and `DataError('ledger_broken')` also where a line does not follow from the one before, or lines are gone from
        the end: what whoever acts on the ledger looks at first. `verify` says all that is wrong, this the first of it."""
        kept = ""
        with contextlib.suppress(FileNotFoundError):
            kept = head_file(self.path).read_text("utf-8")  # before the lines, which others may add to meanwhile
        found: list[Entry] = []
        hashes, broken = [START], ""
        for number, line in enumerate(_lines(self.path)):
            found.append(_parsed(self.path, number, line))
            if found[-1].previous != hashes[-1] and not broken:
                broken = f"line {number + 1} {UNLINKED}"
            hashes.append(hashlib.sha256(line).hexdigest())
        if kept and not broken:
            head = Head.parse(kept)
            if head.sequence >= len(found):
                broken = f"lines are missing at the end: the head kept beside it is line {head.sequence + 1}, it has {len(found)}"
            elif hashes[head.sequence + 1] != head.hash:
                broken = f"line {head.sequence + 1} is not the one whose head was kept beside it"
        if broken:
            raise DataError("ledger_broken", f"{self.path}: {broken}")
        return found

    def head(self) -> Head | None:
        """Number and hash of the last line, to be published; None for an empty ledger."""
        last = _last_line(self.path)
        return _parsed(self.path, None, last).head if last else None

    def _checked(self, kind: Kind, facts: dict[str, Any]) -> dict[str, Any]:
        if kind not in RECORDS:
            raise DataError("ledger_fact", f"there is no kind {kind!r}", expected=f"one of {', '.join(RECORDS)}")
        try:
            record = RECORDS[kind].model_validate(facts)
        except ValidationError as error:
            # The value is not quoted: it may be the very thing that must not be written down.
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "facts"
            raise DataError("ledger_fact", f"{kind}: {where}: {first['msg']}") from None
        given = record.model_dump(mode="json", exclude_unset=True)
        if self.sealed and (found := sorted(_words(given) & self.sealed)):
            raise DataError(
                "ledger_fact", f"{kind}: holds {len(found)} sealed words", expected="no case ids, only counts"
            )
        return given

    def _mend(self) -> tuple[Entry | None, int]:
        """The last entry, after what a killed writer left has been moved aside; and how many bytes that was."""
        if not self.path.exists():
            return None, 0
        whole = _whole_bytes(self.path)
        torn = self.path.stat().st_size - whole
        if torn:
            with self.path.open("rb") as handle:
                handle.seek(whole)
                rest = handle.read()
            aside = self.path.with_name(f"{self.path.name}.torn-{hashlib.sha256(rest).hexdigest()[:8]}")
            atomic.write_bytes(aside, rest)
            with self.path.open("r+b") as handle:
                handle.truncate(whole)
                os.fsync(handle.fileno())
            self.torn.append(f"a torn line of {torn} bytes at the end of {self.path} was moved to {aside.name}")
        last = _last_line(self.path)
        return (_parsed(self.path, None, last) if last else None), torn

    def _write(self, entry: Entry) -> None:
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            data = entry.line + b"\n"
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            except OSError:
                # A full disk takes part of a line; without this the part would wait for the next append.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if new:
            atomic.sync_folder(self.path.parent)
        # Later than the line: a kill in between leaves the head of an earlier line, which is in the chain.
        with contextlib.suppress(OSError):
            atomic.write_text(head_file(self.path), f"{entry.head}\n")


def head_file(path: Path) -> Path:
    """File with the head of the ledger at `path`."""
    return path.with_name(f"{path.name}.head")


def sweep(path: Path) -> None:
    """Remove what a writer that was killed, or whose disk refused, left of the head file. A disk that still refuses is left alone."""
    head = head_file(path)
    partial = head.with_name(f".{head.name}.partial")
    if partial.exists():
        with contextlib.suppress(OSError, InfrastructureError), _locked(path):
            partial.unlink(missing_ok=True)


def adopt(path: Path, other: Path) -> Literal["new", "same", "other"]:
    """Put the whole ledger in `other` at `path`, where there is none or only its beginning (`new`). Lines that are there are never
    changed: `same` where all of `other` is among them already, `other` where they are of another chain, and nothing is written.

    Raises `InfrastructureError`: `no_space`, `read_only`, `busy`.
    """
    with atomic.refusals(path), _locked(path):
        ours, theirs = list(_lines(path)), list(_lines(other))
        if ours[: len(theirs)] == theirs:
            return "same"
        if theirs[: len(ours)] != ours or torn_bytes(path):
            return "other"
        if head_file(path).exists():  # of a ledger that lost lines: those must be among the ones that come
            kept = Head.parse(head_file(path).read_text("utf-8"))
            if kept.hash not in {
                hashlib.sha256(line).hexdigest() for line in theirs[kept.sequence : kept.sequence + 1]
            }:
                return "other"
        atomic.write_bytes(path, b"".join(line + b"\n" for line in theirs))
        atomic.write_text(head_file(path), f"{_parsed(other, None, theirs[-1]).head}\n")
        return "new"


def torn_bytes(path: Path) -> int:
    """Bytes of a torn line at the end, which the next append moves aside."""
    return path.stat().st_size - _whole_bytes(path) if path.exists() else 0


def count(path: Path) -> int:
    """Whole lines of the ledger at `path`."""
    return sum(1 for _ in _lines(path))


def verify(path: Path, published: Sequence[str | Head] = ()) -> list[str]:
    """What is wrong with a ledger, one sentence each; empty when nothing is.

    Every line must be an entry with the next number, the hash of the line before and facts of its kind, written as this code
    writes it. The head beside the ledger and every `published` one (as `str(head)`) must be lines of it. A torn last line is no
    problem: it was never acknowledged.
    """
    problems: list[str] = []
    heads: dict[int, str] = {}
    previous, time, total = START, "", 0
    if path.exists():
        for number, line in enumerate(_lines(path)):
            total += 1
            heads[number] = hashlib.sha256(line).hexdigest()
            try:
                entry = _parsed(path, number, line)
            except DataError as error:
                problems.append(f"line {number + 1}: {error.found}")
            else:
                problems += [f"line {number + 1}: {text}" for text in _wrong(entry, number, line, previous, time)]
                time = entry.time
            previous = heads[number]
    known: list[tuple[str, str | Head]] = [("published", head) for head in published]
    with contextlib.suppress(FileNotFoundError):
        known.append(("kept beside it", head_file(path).read_text("utf-8")))
    for where, text in known:
        try:
            head = text if isinstance(text, Head) else Head.parse(text)
        except DataError as error:
            problems.append(f"the head {where}: {error.found}")
            continue
        if head.sequence >= total:
            problems.append(
                f"lines are missing at the end: the head {where} is line {head.sequence + 1}, the ledger has {total}"
            )
        elif heads[head.sequence] != head.hash:
            problems.append(f"line {head.sequence + 1} is not the one whose head was {where}")
    return problems


def _wrong(entry: Entry, number: int, line: bytes, previous: str, time: str) -> Iterator[str]:
    if entry.sequence != number:
        yield f"has number {entry.sequence}, expected {number}: a line is missing, moved or added"
    if entry.previous != previous:
        yield UNLINKED
    if entry.line != line:
        yield "is not written as the ledger writes it"
    if entry.clock_back != (bool(time) and entry.time < time):
        yield "says something else of the clock than its time and that of the line before"
    try:
        entry.record  # noqa: B018 - read for its check
    except ValidationError as error:
        yield f"holds facts that {entry.kind} does not have ({error.error_count()} problems)"


def _parsed(path: Path, number: int | None, line: bytes) -> Entry:
    try:
        return Entry.model_validate_json(line)
    except ValidationError as error:
        where = "its last line" if number is None else f"line {number + 1}"
        raise DataError(
            "ledger_broken", f"{path}: {where} is no entry ({error.error_count()} problems)", expected="a line of JSON"
        ) from None


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines, without their ends."""
    if not path.exists():
        return
    with path.open("rb") as handle:
        for line in handle:
            if line.endswith(b"\n"):
                yield line[:-1]


def _whole_bytes(path: Path) -> int:
    """Where the last line end is, counted from the start of the file."""
    with path.open("rb") as handle:
        end = handle.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            handle.seek(start)
            block = handle.read(end - start)
            if (found := block.rfind(b"\n")) >= 0:
                return start + found + 1
            end = start
    return 0


def _last_line(path: Path) -> bytes:
    """The last whole line without its end, read from the end; empty when there is none."""
    if not path.exists():
        return b""
    whole = _whole_bytes(path)
    tail = b""
    with path.open("rb") as handle:
        end = max(0, whole - 1)
        while end > 0:
            start = max(0, end - 65536)
            handle.seek(start)
            tail = handle.read(end - start) + tail
            if (found := tail.rfind(b"\n")) >= 0:
                return tail[found + 1 :]
            end = start
    return tail


def _words(value: Any) -> set[str]:
    """Every string in it, and the parts of each between separators."""
    if isinstance(value, str):
        parts = {value}
        for separator in (" ", "/", ",", ";", ":", "=", "(", ")", "'", '"'):
            parts |= {piece for part in parts for piece in part.split(separator)}
        return parts
    if isinstance(value, dict):
        return set().union(*(_words(item) for pair in value.items() for item in pair)) if value else set()
    if isinstance(value, list):
        return set().union(*map(_words, value)) if value else set()
    return set()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise InfrastructureError("busy", f"another process has held {path} for {LOCK_SECONDS} s") from None
    try:
        yield
    finally:
        lock.release()
