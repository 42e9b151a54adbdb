"""Runs, scores and placements as one file, to take to another store: the same content gives the same bytes.

An uncompressed tar: first `radbench-store.json` (a list of all files with sizes and hashes), then the files in order of name, all
with the same owner, mode and time. What comes in is a stranger's: only plain files under names that a store has, no larger than
the list says and the disk has room for, each with its hash, into a folder beside; then each folder is checked as
`radbench store check` does, and only then put in place. A folder that is there already is never changed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from pydantic import Field, ValidationError

from benchmark import atomic
from benchmark.contract import Record
from benchmark.contract.names import NAME
from benchmark.dataset import sha256_of
from benchmark.errors import DataError, InfrastructureError, UsageError
from benchmark.store import manifest
from benchmark.store.check import KEY, check
from benchmark.store.manifest import FileEntry
from benchmark.store.placements import load_placements, placement_file
from benchmark.store.records import load_run, load_score, run_folder, score_folder
from benchmark.store.schema import VERSION, open_store

LIST = "radbench-store.json"
MOST_LIST_BYTES = 256 * 2**20
"""Largest list of files that is read; about a million files."""
MOST_PATH = 400
"""Characters of a path."""
BLOCK = 2**20
PART = re.compile(r"^[^/\0\\]{1,255}$")


class Contents(Record):
    """`radbench-store.json`: what an archive holds."""

    schema_version: int = 1
    """Version of this record."""
    layout: int
    """Layout of the store that it was made of."""
    runs: tuple[str, ...]
    """Inference keys."""
    scores: tuple[str, ...]
    """Scoring keys."""
    files: dict[str, FileEntry] = Field(max_length=2_000_000)
    """All further files, by path below the store."""


class Exported(Record):
    """What `export` wrote."""

    sha256: str
    """Hash of the archive, to be handed over by another way than the archive."""
    bytes: int
    """Its size."""
    runs: int
    """Runs in it."""
    scores: int
    """Scores in it."""
    placements: int
    """Placements in it."""


class Imported(Record):
    """What `take_in` did."""

    sha256: str
    """Hash of the archive."""
    runs: tuple[str, ...] = ()
    """Runs that are new in the store."""
    scores: tuple[str, ...] = ()
    """Scores that are new in the store."""
    placements: int = 0
    """Placements that are new in the store."""
    same: int = 0
    """Folders and placements that were there already, with the same content."""
    bytes: int = 0
    """Bytes that were added."""


def export(
    root: Path, target: Path, *, task: str | None = None, edition: str | None = None, submission: str | None = None
) -> Exported:
    """Write what belongs to a task, an edition and a submission (each: all of them when None) into the archive `target`.

    Raises `DataError('store_broken')` when something that would go into it is not whole, `UsageError('unknown_name')` when there is
    nothing of that name, and `InfrastructureError`: `no_space`, `read_only`.
    """
    open_store(root)
    placements = [
        item for item in load_placements(root, task, edition) if submission is None or item.method.name == submission
    ]
    placed = {item.run for item in placements}
    runs = []
    for path in sorted(root.glob("runs/[!.]*/run.json")):
        run = load_run(root, path.parent.name)
        if (run and run.key in placed) or (
            run and _wanted(run.task, run.edition, run.method.name, task, edition, submission)
        ):
            runs.append(run.key)
    if not runs:
        raise UsageError(
            "unknown_name", f"the store has no run of {submission or task or 'anything'}", expected="a name on a board"
        )
    scores = [
        path.parent.name
        for path in sorted(root.glob("scores/[!.]*/score.json"))
        if (score := load_score(root, path.parent.name)) and score.run in runs
    ]
    folders = [*(run_folder(root, key) for key in runs), *(score_folder(root, key) for key in scores)]
    for folder in folders:
        if wrong := next(manifest.differences(folder), ""):
            raise DataError("store_broken", f"{folder}: {wrong}")
    paths = [folder / path for folder in folders for path in _all_files(folder)]
    paths += [placement_file(root, item.task, item.edition, item.method.name) for item in placements]
    files = {
        path.relative_to(root).as_posix(): FileEntry(bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in paths
    }
    contents = Contents(layout=VERSION, runs=tuple(runs), scores=tuple(scores), files=dict(sorted(files.items())))
    partial = target.with_name(f".{target.name}.partial")
    with atomic.refusals(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
                data = contents.model_dump_json().encode()
                tar.addfile(_member(LIST, len(data)), io.BytesIO(data))
                for name, entry in contents.files.items():
                    with (root / name).open("rb") as handle:
                        tar.addfile(_member(name, entry.bytes), handle)
            digest, size = sha256_of(partial), partial.stat().st_size
            atomic.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return Exported(sha256=digest, bytes=size, runs=len(runs), scores=len(scores), placements=len(placements))


def take_in(
    archive: Path, root: Path, *, sha256: str = "", progress: Callable[[int, int], None] | None = None
) -> Imported:
    """Put what an archive holds into the store. All of it, or nothing where anything is wrong; killed in between, call it again.

    Raises `DataError('archive_invalid')` for an archive that is not one of `export`'s, is damaged or hostile, is not that of `sha256`
    (where given), or holds a folder that differs from one of the same key in the store; `UsageError('path')` when there is no such
    file; `InfrastructureError`: `no_space`, `read_only`.
    """
    if not archive.is_file():
        raise UsageError("path", f"there is no file {archive}", expected="an archive of `radbench store export`")
    open_store(root)
    digest = sha256_of(archive)
    if sha256 and sha256.removeprefix("sha256:") != digest:
        raise DataError("archive_invalid", f"{archive} has the hash {digest}", expected=sha256)
    with atomic.refusals(root), _beside(root / ".import.partial") as folder:
        with archive.open("rb") as handle:
            contents = _unpack(handle, archive, folder, progress)
        _note_layout(folder)
        return _place(archive, contents, folder, root).model_copy(update={"sha256": digest})


def _place(archive: Path, contents: Contents, folder: Path, root: Path) -> Imported:
    wrong = [f for f in check(folder).problems if not f.text.startswith("is the score of run")]
    known = {path.parent.name for path in (*root.glob("runs/[!.]*/run.json"), *folder.glob("runs/*/run.json"))}
    orphans = [key for key in contents.scores if (score := load_score(folder, key)) and score.run not in known]
    if wrong or orphans:
        text = f"{wrong[0].where}: {wrong[0].text}" if wrong else f"the score {orphans[0]} has no run"
        raise DataError("archive_invalid", f"{archive}: {text}", expected="what `radbench store check` finds whole")
    names = [*(f"runs/{key}" for key in contents.runs), *(f"scores/{key}" for key in contents.scores)]
    names += [name for name in contents.files if name.startswith("submissions/")]
    differ = [name for name in names if (root / name).exists() and not _same(folder / name, root / name)]
    if differ:
        raise DataError(
            "archive_invalid",
            f"{archive}: {differ[0]} differs from the one in the store ({len(differ)} of {len(names)} do)",
            expected="the same, or none",
            action="Nothing was changed. Import it into an empty store, and look at both.",
        )
    new = [name for name in names if not (root / name).exists()]
    for name in new:  # runs, then scores, then placements: a kill in between leaves nothing that points to nothing
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (folder / name).is_dir():
            atomic.place(folder / name, root / name)
        else:
            atomic.write_bytes(root / name, (folder / name).read_bytes())
    return Imported(
        sha256="",
        runs=tuple(name.split("/")[1] for name in new if name.startswith("runs/")),
        scores=tuple(name.split("/")[1] for name in new if name.startswith("scores/")),
        placements=sum(name.startswith("submissions/") for name in new),
        same=len(names) - len(new),
        bytes=sum(e.bytes for path, e in contents.files.items() if path in new or "/".join(path.split("/")[:2]) in new),
    )


def _unpack(handle: BinaryIO, archive: Path, folder: Path, progress: Callable[[int, int], None] | None) -> Contents:
    """Write the archive's files below `folder`, each with its hash. Raises `DataError('archive_invalid')`."""
    contents: Contents | None = None
    seen: set[str] = set()
    try:
        with tarfile.open(
            fileobj=handle, mode="r:"
        ) as tar:  # `r:` takes no compressed archive, so what is there is its size
            for member in tar:
                # Only regular files, and not sparse ones, which unpack to more than they hold.
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                    raise _refused(archive, f"{member.name!r} is no plain file", "plain files alone")
                stream = tar.extractfile(member)
                assert stream is not None
                if contents is None:
                    if member.name != LIST or member.size > MOST_LIST_BYTES:
                        raise _refused(archive, f"it begins with {member.name!r} ({member.size} bytes)", LIST)
                    contents = _contents(archive, stream.read(), folder)
                    continue
                entry = contents.files.get(member.name)
                if entry is None or member.name in seen or member.size != entry.bytes:
                    raise _refused(archive, f"{member.name!r} is not, or not so, in its list", "each listed file once")
                seen.add(member.name)
                _write(folder / member.name, stream, entry, archive)
                if progress:
                    progress(len(seen), len(contents.files))
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ):
            raise _refused(
                archive, f"two of its paths exclude each other, or one is too long ({error.strerror})", LIST
            ) from error
        raise
    except (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise _refused(archive, f"it cannot be read ({error})", "an uncompressed tar file") from error
    if contents is None:
        raise _refused(archive, "it is empty", LIST)
    if missing := sorted(set(contents.files) - seen):
        raise _refused(archive, f"{missing[0]!r} is missing ({len(missing)} files are)", "all files of its list")
    return contents


def _contents(archive: Path, data: bytes, folder: Path) -> Contents:
    try:
        contents = Contents.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise _refused(
            archive, f"its list cannot be read ({error.error_count()} problems: {first['msg']})", LIST
        ) from None
    if contents.layout != VERSION:
        raise _refused(archive, f"it was made of layout {contents.layout}", f"layout {VERSION}")
    for path in contents.files:
        if not _is_stores(path, contents):
            raise _refused(archive, f"{path[:MOST_PATH]!r} is no path of a store", "runs/…, scores/… or submissions/…")
    heads = [
        *(f"runs/{key}/run.json" for key in contents.runs),
        *(f"scores/{key}/score.json" for key in contents.scores),
    ]
    if missing := [path for path in heads if path not in contents.files]:
        raise _refused(archive, f"its list has no {missing[0]!r}", "the record of each run and score")
    needed, free = sum(entry.bytes for entry in contents.files.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise InfrastructureError("no_space", f"{archive} unpacks to {needed} bytes, and {folder.parent} has {free}")
    return contents


def _is_stores(path: str, contents: Contents) -> bool:
    parts = path.split("/")
    if len(path) > MOST_PATH or not all(PART.match(part) and part not in (".", "..") for part in parts):
        return False
    if any(not character.isprintable() for character in path) or PurePosixPath(path).as_posix() != path:
        return False
    if parts[0] == "submissions":
        return len(parts) == 4 and all(NAME.match(part) for part in parts[1:]) and path.endswith(".json")
    keys = {"runs": contents.runs, "scores": contents.scores}.get(parts[0], ())
    return len(parts) >= 3 and bool(KEY.match(parts[1])) and parts[1] in keys


def _write(path: Path, stream: IO[bytes], entry: FileEntry, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    total = hashlib.sha256()
    with path.open("xb") as out:
        while block := stream.read(BLOCK):
            total.update(block)
            out.write(block)
    if path.stat().st_size != entry.bytes or total.hexdigest() != entry.sha256:
        raise _refused(archive, f"{path.name!r} is not what its hash says", f"sha256 {entry.sha256}")


def _refused(archive: Path, found: str, expected: str) -> DataError:
    return DataError("archive_invalid", f"{archive}: {found}", expected=expected)


def _same(mine: Path, theirs: Path) -> bool:
    """Whether two folders or files of the store have the same content. Predictions that one of them gave up do not count."""
    if mine.is_file():
        return theirs.is_file() and mine.read_bytes() == theirs.read_bytes()
    return manifest.load_files(mine) == manifest.load_files(theirs)


def _all_files(folder: Path) -> list[str]:
    speak = [name for name in (manifest.FILES, manifest.REMOVED) if (folder / name).exists()]
    gone = set(removed.files) if (removed := manifest.load_removed(folder)) else set()
    return sorted([*(path for path in manifest.present(folder) if path not in gone), *speak])


def _note_layout(folder: Path) -> None:
    atomic.write_json(folder / "store.json", {"schema_version": VERSION})


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def _wanted(task: str, edition: str, name: str, *asked: str | None) -> bool:
    return all(want is None or want == found for want, found in zip(asked, (task, edition, name), strict=True))


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
