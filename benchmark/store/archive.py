"""What the store holds as one file, to take to another store: the same content gives the same bytes.

An uncompressed tar: first `radbench-store.json` (a list of all files with sizes and hashes), then the files in order of name, all
with the same owner, mode and time. What goes along with runs, scores and placements is said in `belongings`. What comes in is
unpacked into a folder beside (`unpacking`); then each folder is checked as `radbench store check` does, and only then put in place.
A folder that is there already is never changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from benchmark import atomic, ledger
from benchmark.contract import FEDERATED, Record
from benchmark.dataset import sha256_of
from benchmark.errors import DataError, UsageError
from benchmark.store import belongings, manifest
from benchmark.store.check import check
from benchmark.store.manifest import FileEntry
from benchmark.store.placements import load_placements
from benchmark.store.records import load_run, load_score, run_folder, score_folder
from benchmark.store.schema import VERSION, open_store
from benchmark.store.unpacking import LIST, Contents, refused, unpack

MOST_NAMES = 20
"""Names that an error lists."""


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
    reproductions: int = 0
    """Reproductions in it."""
    bundles: int = 0
    """Bundles of federated scores in it."""
    pins: bool = False
    """Whether something in it is pinned."""
    ledger: bool = False
    """Whether the ledger is in it."""
    keys: tuple[str, ...] = ()
    """Secret keys in it, by path in the work folder."""
    embargoed: int = 0
    """Submissions in it that have an embargo: their addresses are made under `store/embargo.key`."""


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
    reproductions: int = 0
    """Reproductions that are new, or of a later day than those that were there."""
    bundles: int = 0
    """Bundles that are new in the store."""
    pins: int = 0
    """Runs and submissions that are pinned now and were not before."""
    keys: tuple[str, ...] = ()
    """Secret keys that are new, by path in the work folder."""
    ledger: Literal["", "new", "same", "other"] = ""
    """`new`: the ledger of the archive is now that of the work folder, which had none, or its beginning; `same`: it was so already;
    `other`: there is one of another chain here, and it stays; empty where the archive has none."""
    same: int = 0
    """Folders and placements that were there already, with the same content."""
    bytes: int = 0
    """Bytes that were added."""


def export(
    root: Path,
    target: Path,
    *,
    task: str | None = None,
    edition: str | None = None,
    submission: str | None = None,
    keys: bool = False,
) -> Exported:
    """Write what belongs to a task, an edition and a submission (each: all of them when None) into the archive `target`.

    The ledger goes along where nothing is left out, the house's secret keys only with `keys`; the archive is then for its owner's
    eyes alone. Raises `DataError('store_broken')` when something that would go into it is not whole, `ledger_broken` where the ledger
    is not, `UsageError('unknown_name')` when there is nothing of that name, and `InfrastructureError`: `no_space`, `read_only`.
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
            runs.append(run)
    if not runs:
        raise _nothing(root, task, edition, submission)
    chosen = {run.key for run in runs}
    scores = [
        path.parent.name
        for path in sorted(root.glob("scores/[!.]*/score.json"))
        if (score := load_score(root, path.parent.name)) and score.run in chosen
    ]
    folders = [*(run_folder(root, run.key) for run in runs), *(score_folder(root, key) for key in scores)]
    for folder in folders:
        if wrong := next(manifest.differences(folder), ""):
            raise DataError("store_broken", f"{folder}: {wrong}")
    federated = {run.task for run in runs if run.edition == FEDERATED}
    if submission is None and edition in (None, FEDERATED):  # bundles that wait for those of other sites
        federated |= {name for name in belongings.tasks_with_bundles(root) if task in (None, name)}
    along = belongings.of_runs(root, runs, placements) | belongings.of_federation(root, federated)
    if task is None and edition is None and submission is None:
        along |= belongings.of_ledger(root)
    secret = belongings.of_keys(root) if keys else {}
    paths = [folder / path for folder in folders for path in _all_files(folder)]
    files = {
        path.relative_to(root).as_posix(): FileEntry(bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in paths
    } | {
        name: FileEntry(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in (along | secret).items()
    }
    contents = Contents(
        layout=VERSION,
        runs=tuple(run.key for run in runs),
        scores=tuple(scores),
        finished={run.key: (run_folder(root, run.key) / "run.json").stat().st_mtime_ns for run in runs},
        files=dict(sorted(files.items())),
    )
    digest, size = _write(target, root, contents, along | secret, 0o600 if secret else 0o666)
    names = list(along)
    return Exported(
        sha256=digest,
        bytes=size,
        runs=len(runs),
        scores=len(scores),
        placements=len(placements),
        reproductions=sum(name.startswith("reproductions/") for name in names),
        bundles=sum(name.startswith("bundles/") for name in names),
        pins=belongings.PINS in along,
        ledger=belongings.LEDGER in along,
        keys=tuple(belongings.shown(name) for name in secret),
        embargoed=belongings.embargoed([*(run.method for run in runs), *(item.method for item in placements)]),
    )


def _nothing(root: Path, task: str | None, edition: str | None, submission: str | None) -> UsageError:
    wanted = [word for word in (submission, edition, task) if word is not None]
    runs = [load_run(root, path.parent.name) for path in sorted(root.glob("runs/[!.]*/run.json"))]
    held = {f"{run.task}/{run.edition}/{run.method.name}" for run in runs if run}
    held |= {f"{item.task}/{item.edition}/{item.method.name}" for item in load_placements(root)}
    if not held:
        return UsageError("path", f"there is no run in {root}", expected="a work folder in which something was run")
    found = f"the store has no run of {' on '.join(map(repr, wanted))}"
    return UsageError("unknown_name", found, expected=f"what is in {', '.join(sorted(held)[:MOST_NAMES])}")


def _write(target: Path, root: Path, contents: Contents, held: Mapping[str, bytes], mode: int) -> tuple[str, int]:
    """Write the archive, with what is `held` and the rest from the store; its hash and size."""
    partial = target.with_name(f".{target.name}.partial")
    with atomic.refusals(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.unlink(missing_ok=True)
            opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(opened, "wb") as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                data = contents.model_dump_json().encode()
                tar.addfile(_member(LIST, len(data)), io.BytesIO(data))
                for name, entry in contents.files.items():
                    with io.BytesIO(held[name]) if name in held else (root / name).open("rb") as handle:
                        tar.addfile(_member(name, entry.bytes), handle)
            digest, size = sha256_of(partial), partial.stat().st_size
            atomic.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return digest, size


def take_in(
    archive: Path, root: Path, *, sha256: str = "", progress: Callable[[int, int], None] | None = None
) -> Imported:
    """Put what an archive holds into the work folder of the store at `root`. All of it, or nothing where anything is wrong; killed in
    between, call it again.

    Raises `DataError('archive_invalid')` for an archive that is not one of `export`'s, is damaged or hostile, is not that of `sha256`
    (where given), or holds a folder or a secret key that differs from the one in the same place; `UsageError('path')` when there is
    no such file; `InfrastructureError`: `no_space`, `read_only`.
    """
    if not archive.is_file():
        raise UsageError("path", f"there is no file {archive}", expected="an archive of `radbench store export`")
    open_store(root)
    digest = sha256_of(archive)
    if sha256 and sha256.removeprefix("sha256:") != digest:
        raise DataError("archive_invalid", f"{archive} has the hash {digest}", expected=sha256)
    with atomic.refusals(root), _beside(root / ".import.partial") as folder:
        with archive.open("rb") as handle:
            contents = unpack(handle, archive, folder, progress)
        _note_layout(folder)
        _check(archive, contents, folder, root)
        return _place(archive, contents, folder, root).model_copy(update={"sha256": digest})


def _check(archive: Path, contents: Contents, folder: Path, root: Path) -> None:
    """Whether all that was unpacked is whole and agrees with itself. Raises `DataError('archive_invalid')`."""
    wrong = [
        f"{found.where}: {found.text}"
        for found in check(folder).problems
        if not found.text.startswith("is the score of run")
    ]
    known = {path.parent.name for path in (*root.glob("runs/[!.]*/run.json"), *folder.glob("runs/*/run.json"))}
    orphans = [key for key in contents.scores if (score := load_score(folder, key)) and score.run not in known]
    wrong += [f"the score {key} has no run" for key in orphans]
    wrong += belongings.wrong(folder, contents.files.keys(), contents.runs)
    if wrong:
        raise refused(archive, wrong[0].replace(f"{folder}/", ""), "what `radbench store check` finds whole")


def _place(archive: Path, contents: Contents, folder: Path, root: Path) -> Imported:
    """Put in place what is new: keys, runs, scores, bundles and the editions of them, then placements, so that a kill in between
    leaves nothing that points to nothing; then what was said of them."""
    files = contents.files
    editions = {name.rpartition("/")[0] for name in files if name.startswith(f"{belongings.WORK}data/")}
    names = [*(f"runs/{key}" for key in contents.runs), *(f"scores/{key}" for key in contents.scores)]
    names += [name for name in files if name.startswith("bundles/")]
    names += sorted(editions)
    names += [name for name in files if name.startswith("submissions/")]
    where = {name: belongings.place_of(root, name) for name in names}
    differ = [name for name in names if where[name].exists() and not _same(folder / name, where[name])]
    differ += belongings.differing_keys(files, folder, root)
    if differ:
        name = differ[0].removeprefix(belongings.WORK)
        place = "store" if name == differ[0] else "work folder"
        raise DataError(
            "archive_invalid",
            f"{archive}: {name} differs from the one in the {place} ({len(differ)} of {len(names)} do)",
            expected="the same, or none",
            action="Nothing was changed. Import it into an empty work folder, and look at both.",
        )
    keys = belongings.put_keys(folder, root, files.keys())
    new = [name for name in names if not where[name].exists()]
    for name in new:
        if name in editions:
            belongings.put_edition(folder, root, name)
            continue
        where[name].parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("runs/") and (when := contents.finished.get(name.partition("/")[2])) is not None:
            os.utime(folder / name / "run.json", ns=(when, when))
        if (folder / name).is_dir():
            atomic.place(folder / name, where[name])
        else:
            atomic.write_bytes(where[name], (folder / name).read_bytes())
    reproductions = sum(belongings.put_reproduction(folder, root, key) for key in contents.runs)
    return Imported(
        sha256="",
        runs=tuple(name.split("/")[1] for name in new if name.startswith("runs/")),
        scores=tuple(name.split("/")[1] for name in new if name.startswith("scores/")),
        placements=sum(name.startswith("submissions/") for name in new),
        reproductions=reproductions,
        bundles=sum(name.startswith("bundles/") for name in new),
        pins=belongings.put_pins(folder, root),
        keys=keys,
        ledger=ledger.adopt(belongings.place_of(root, belongings.LEDGER), folder / belongings.LEDGER)
        if belongings.LEDGER in files
        else "",
        same=len(names) - len(new),
        bytes=sum(e.bytes for path, e in files.items() if path in new or "/".join(path.split("/")[:2]) in new),
    )


def _same(mine: Path, theirs: Path) -> bool:
    """Whether two folders or files of the store have the same content. Predictions that one of them gave up do not count."""
    if mine.is_file():
        return theirs.is_file() and mine.read_bytes() == theirs.read_bytes()
    if mine.name == FEDERATED:
        return all((theirs / name).is_file() and _same(mine / name, theirs / name) for name in belongings.EDITION_FILES)
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
