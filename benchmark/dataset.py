"""Data editions on disk: made from a plan, whole or absent, the same bytes each time, inputs apart from references.

<data>/<task>/<edition>/dataset.json     what it is, how it was made, sha256 of every file
                        cases.csv        case, split, attributes
                        inputs/<case>/   exactly what a container finds below /input
                        references/<case>/   what only the scorer reads
                        truth.json       what was planted (phantoms); only the audit reads it
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from benchmark import atomic, image
from benchmark.contract import SPLITS, Case, DatasetInfo, Socket, Source, Split, Task
from benchmark.errors import DataError, InfrastructureError, UsageError
from benchmark.image import Volume
from benchmark.pools import end_with_parent

Content = Volume | dict[str, Any] | list[Any] | str | int | float | None
"""What a socket holds: a volume, or a JSON value."""


@dataclass(frozen=True)
class CaseFiles:
    """The content of one case, by socket slug."""

    inputs: Mapping[str, Content]
    references: Mapping[str, Content]


@dataclass(frozen=True)
class PlannedCase:
    """A case that will be made: its row, and a function that can be pickled and gives the same content each time."""

    case: Case
    make: Callable[[], CaseFiles]


@dataclass(frozen=True)
class Plan:
    """All that determines an edition. A task's `data.py` makes plans; `prepare` carries them out."""

    info: DatasetInfo
    """Without `counts` and `files`, which `prepare` fills in."""
    cases: Sequence[PlannedCase]
    truth: Mapping[str, Any] = field(default_factory=dict)
    """What was planted, such as the subgroup gaps of a phantom; hidden from participants."""
    compress: bool = False
    """Write volumes compressed: worth it for large real data."""


@dataclass(frozen=True)
class Edition:
    """A prepared edition: paths and records, no pixel data."""

    root: Path
    info: DatasetInfo
    cases: tuple[Case, ...]

    def split(self, *splits: Split) -> tuple[Case, ...]:
        """The cases of these splits, in file order."""
        return tuple(case for case in self.cases if case.split in splits)

    def case(self, id: str) -> Case:
        """The case of that id."""
        for case in self.cases:
            if case.id == id:
                return case
        raise UsageError("unknown_name", f"edition {self.info.edition!r} has no case {id!r}")

    def input_folder(self, case: str) -> Path:
        """What the container sees as /input."""
        return self.root / "inputs" / case

    def reference_folder(self, case: str) -> Path:
        """What only the scorer sees."""
        return self.root / "references" / case

    def read_input(self, socket: Socket, case: str) -> Any:
        """Content of an input socket: a `Volume` or a parsed JSON value."""
        return read_content(self.input_folder(case), socket, case)

    def has_input(self, socket: Socket, case: str) -> bool:
        """Whether a case has this input; only an optional one may be absent."""
        return (self.input_folder(case) / socket.file(case)).exists()

    def read_reference(self, socket: Socket, case: str) -> Any:
        """Content of a reference socket: a `Volume` or a parsed JSON value."""
        return read_content(self.reference_folder(case), socket, case)

    @property
    def truth(self) -> dict[str, Any]:
        """What was planted; empty for real data."""
        path = self.root / "truth.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def hash_of(self, tree: str, cases: Sequence[Case]) -> str:
        """One hash over the `inputs` or `references` of these cases, from the file hashes in `dataset.json`."""
        wanted = {case.id for case in cases}
        lines = [
            f"{path} {digest}"
            for path, digest in sorted(self.info.files.items())
            if path.split("/")[0] == tree and path.split("/")[1] in wanted
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def marks(self, tree: str, cases: Sequence[Case]) -> list[list[str | int]]:
        """Name, size, time and inode of each file of the `inputs` or `references` of these cases: what tells, without reading them
        again, whether somebody changed or replaced them."""
        found: list[list[str | int]] = []
        for case in cases:
            for folder, _, names in sorted(os.walk(self.root / tree / case.id)):
                for name in sorted(names):
                    with contextlib.suppress(FileNotFoundError):  # one that is gone is missing from the list
                        mark = os.stat(f"{folder}/{name}")  # noqa: PTH116 - many files
                        found.append([case.id, name, mark.st_size, mark.st_mtime_ns, mark.st_ino])
        return found


def read_content(folder: Path, socket: Socket, case: str) -> Any:
    """Read a socket's file of our own making; `DataError` names the file when it is missing or broken."""
    path = folder / socket.file(case)
    try:
        if socket.is_volume:
            return image.read(path)
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError("edition_broken", f"{path} is missing", expected="every file that dataset.json lists") from None
    except (ValueError, RuntimeError, OSError) as error:
        raise DataError("edition_broken", f"{path} cannot be read ({error})") from error


def write_content(folder: Path, socket: Socket, case: str, content: Content, *, compress: bool = False) -> None:
    """Write a socket's file below a case's folder."""
    path = folder / socket.file(case)
    path.parent.mkdir(parents=True, exist_ok=True)
    if socket.is_volume:
        if not isinstance(content, Volume):
            raise TypeError(f"{socket.slug}: a volume is needed, not {type(content).__name__}")
        image.write(path, content, compress=compress)
    else:
        path.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8")


def interfaces(sockets: Sequence[Socket]) -> list[dict[str, Any]]:
    """Content of `/input/inputs.json`: the sockets that a case has, in Grand Challenge's form."""
    kinds = {"image": "Image", "segmentation": "Segmentation", "points": "Multiple points", "value": "Anything"}
    return [
        {"interface": {"slug": s.slug, "kind": kinds[s.kind], "relative_path": s.path, "title": s.title or s.slug}}
        for s in sockets
    ]


def locate(data: Path, task: Task, edition: str) -> Path:
    """Folder of an edition."""
    return data / task.name / edition


def prepare(
    data: Path,
    task: Task,
    plan: Plan,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Edition:
    """Carry out a plan and return the edition; one that is already there, whole and of the same parameters is reused.

    Cases are made in `workers` processes (0: one a core); the bytes do not depend on how many. A killed run leaves only a
    hidden `.partial` folder, which the next one removes. Raises `InfrastructureError("busy")` when another process is at it.
    """
    target = locate(data, task, plan.info.edition)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.parent / f".{target.name}.lock", timeout=600):
            existing = _reusable(target, task, plan)
            if existing is not None:
                return existing
            with atomic.folder(target) as folder:
                _fill(folder, task, plan, workers, progress)
    except Timeout:
        raise InfrastructureError("busy", f"another process has been preparing {target} for ten minutes") from None
    return load(data, task, plan.info.edition)


def _reusable(target: Path, task: Task, plan: Plan) -> Edition | None:
    """The edition on disk when it was made by the same plan; the hashes of its files are trusted here, not recomputed."""
    try:
        edition = load(target.parent.parent, task, target.name)
    except DataError:
        return None
    wanted = plan.info.model_copy(update={"counts": edition.info.counts, "files": edition.info.files})
    # The key comes with the files, so a plan cannot know it.
    same_cases = [c.case for c in plan.cases] == [case.model_copy(update={"key": ""}) for case in edition.cases]
    whole = all((edition.root / path).exists() for path in edition.info.files)
    return (
        edition
        if same_cases and whole and edition.info == DatasetInfo.model_validate_json(wanted.model_dump_json())
        else None
    )


def _make_one(root: Path, task: Task, planned: PlannedCase, compress: bool) -> dict[str, str]:
    """Make one case below `root` and return the hashes of its files."""
    id = planned.case.id
    files = planned.make()
    for tree, sockets, contents in (
        ("inputs", task.inputs, files.inputs),
        ("references", task.references, files.references),
    ):
        folder = root / tree / id
        folder.mkdir(parents=True)
        for socket in sockets:
            if socket.slug in contents:
                write_content(folder, socket, id, contents[socket.slug], compress=compress)
            elif tree == "inputs" and not socket.optional:
                raise DataError("reference_invalid", f"case {id} has no content for input {socket.slug!r}")
    given = [socket for socket in task.inputs if socket.slug in files.inputs]
    if not any(socket.is_volume for socket in given) and any(socket.is_volume for socket in task.inputs):
        raise DataError("reference_invalid", f"case {id} has no volume among its inputs")
    (root / "inputs" / id / "inputs.json").write_text(
        json.dumps(interfaces(given), indent=1, sort_keys=True) + "\n", "utf-8"
    )
    return {
        path.relative_to(root).as_posix(): sha256_of(path)
        for tree in ("inputs", "references")
        for path in sorted((root / tree / id).rglob("*"))
        if path.is_file()
    }


def _fill(folder: Path, task: Task, plan: Plan, workers: int, progress: Callable[[int, int], None] | None) -> None:
    ids = [planned.case.id for planned in plan.cases]
    if len(set(ids)) < len(ids):
        raise DataError("record_invalid", f"edition {plan.info.edition!r} has two cases of one id")
    hashes: dict[str, str] = {}
    for done, result in enumerate(_results(folder, task, plan, workers or os.cpu_count() or 1), start=1):
        hashes.update(result)
        if progress:
            progress(done, len(ids))
    table = write_cases([planned.case for planned in plan.cases])
    (folder / "cases.csv").write_text(table, "utf-8")
    hashes["cases.csv"] = sha256_of(folder / "cases.csv")
    if plan.truth:
        atomic.write_json(folder / "truth.json", plan.truth)
        hashes["truth.json"] = sha256_of(folder / "truth.json")
    counts = {split: sum(p.case.split == split for p in plan.cases) for split in SPLITS}
    info = plan.info.model_copy(
        update={"counts": {k: v for k, v in counts.items() if v}, "files": dict(sorted(hashes.items()))}
    )
    atomic.write_json(folder / "dataset.json", info.model_dump(mode="json"))


def _results(folder: Path, task: Task, plan: Plan, workers: int) -> Iterator[dict[str, str]]:
    if workers <= 1 or len(plan.cases) <= 2:
        for planned in plan.cases:
            yield _make_one(folder, task, planned, plan.compress)
        return
    # fork: third-party task folders, loaded from a path, are already imported in the children.
    context = multiprocessing.get_context("fork")
    count = min(workers, len(plan.cases))
    with ProcessPoolExecutor(count, mp_context=context, initializer=end_with_parent) as pool:
        futures = [pool.submit(_make_one, folder, task, planned, plan.compress) for planned in plan.cases]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def write_cases(cases: Sequence[Case]) -> str:
    """`cases.csv`: case, split, then every attribute in sorted order."""
    columns = sorted({name for case in cases for name in case.attributes})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "split", *columns])
    for case in cases:
        writer.writerow([case.id, case.split, *(case.attributes.get(name, "unknown") for name in columns)])
    return text.getvalue()


def load(data: Path, task: Task, edition: str, *, check: bool = False) -> Edition:
    """Open a prepared edition. With `check`, every file is hashed again. Raises `DataError` when absent or broken."""
    root = locate(data, task, edition)
    path = root / "dataset.json"
    if not path.exists():
        present = sorted(p.parent.name for p in root.parent.glob("[!.]*/dataset.json")) if root.parent.exists() else []
        raise DataError(
            "edition_missing",
            f"there is no edition {edition!r} of {task.name} in {data}",
            expected=f"one of {', '.join(present)}" if present else "",
            action=f"Run `radbench prepare {task.name}` first.",
        )
    try:
        info = DatasetInfo.model_validate_json(path.read_text("utf-8"))
        # Phantoms can be made again by anyone, so there is nothing to hide, and their draws must not hang on how a file is packed.
        keys = {} if info.kind == "phantom" else _reference_keys(info.files)
        cases = tuple(
            case.model_copy(update={"key": keys.get(case.id, "")}) for case in _read_cases(root / "cases.csv")
        )
    except (ValidationError, ValueError, OSError, KeyError) as error:
        raise DataError("edition_broken", f"{root} cannot be read ({error})") from error
    if check:
        for name, digest in info.files.items():
            file = root / name
            found = sha256_of(file) if file.exists() else "no file"
            if found != digest:
                raise DataError("edition_broken", f"{file}: found {found}", expected=f"sha256 {digest}")
    return Edition(root, info, cases)


def _read_cases(path: Path) -> Iterator[Case]:
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            id, split = row.pop("case"), row.pop("split")
            yield Case.model_validate({"id": id, "split": split, "attributes": row})


def _reference_keys(files: Mapping[str, str]) -> dict[str, str]:
    """By case: a hash over the hashes of its reference files, see `Case.key`."""
    by_case: dict[str, list[str]] = {}
    for path, digest in sorted(files.items()):
        tree, _, rest = path.partition("/")
        if tree == "references":
            by_case.setdefault(rest.partition("/")[0], []).append(f"{rest.partition('/')[2]} {digest}")
    return {case: hashlib.sha256("\n".join(lines).encode()).hexdigest() for case, lines in by_case.items()}


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


__all__ = [
    "CaseFiles",
    "Content",
    "Edition",
    "Plan",
    "PlannedCase",
    "Source",
    "interfaces",
    "load",
    "locate",
    "prepare",
    "read_content",
    "sha256_of",
    "write_cases",
    "write_content",
]
