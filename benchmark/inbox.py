"""Handing a submission in: its manifest is checked, and manifest, image and weights are placed in the inbox as one entry.

    <inbox>/<id>/entry.json        what was handed in, with the image's digest filled in
                 submission.toml   the manifest, as it was written
                 image             the archive, where the image is one; a SIF file of Apptainer is `image.sif`
                 model/            weights that came apart from the image

The id is a hash of what was handed in, so the same submission is one entry however often it comes. An entry is whole or absent.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import atomic, store, submission
from benchmark.container import archive, siffile
from benchmark.container.intake import MOST_MB, check_annotations, file_digest
from benchmark.container.intake import check as check_image
from benchmark.contract import Task
from benchmark.dataset import sha256_of
from benchmark.errors import DataError, SubmissionError
from benchmark.record import Record
from benchmark.submission import Submission

REQUIRED_TEXTS = ("description", "citation", "licence", "team")
"""Keys of `[method]` that a row needs and that may not be empty."""
MOST_MODEL_FILES = 10_000
"""Files of weights; a model that has more keeps them in an archive."""


class Entry(Record):
    """`entry.json`: a submission that waits for the organiser's run."""

    schema_version: int = 1
    """Version of this record."""
    id: str
    """Hash of manifest, image and weights."""
    submission: Submission
    """The manifest; `digest` is filled in where the image was at hand."""
    archive: str = ""
    """Name of the archive in the entry's folder; empty when the image is in a registry or in the engine's store."""
    model: str = ""
    """Name of the folder of weights in the entry's folder; empty for none."""
    received: str
    """When it was handed in, in UTC."""


def check(manifest: Path, found: Submission, task: Task, *, most_mb: int = MOST_MB) -> Submission:
    """Check a manifest against the task and its image as far as that needs no engine; the manifest with the digest filled in.

    Raises `SubmissionError`: `manifest` for keys that are empty or do not fit the task, `not_allowed` for requests beyond the
    task's limits, and for an archive or a SIF file `image_unreadable`, `image_platform`, `image_too_large`, `image_root`,
    `image_environment` and `image_changed`.
    """
    empty = [f"method.{name}" for name in REQUIRED_TEXTS if not getattr(found.method, name).strip()]
    if empty:
        raise SubmissionError("manifest", f"{manifest.name}: {', '.join(empty)}: found nothing", expected="a few words")
    if found.task_version != task.version:
        raise SubmissionError(
            "manifest",
            f"{manifest.name}: task_version: found {found.task_version!r}",
            expected=f"{task.version!r}, the version that {task.name} has now",
        )
    found.limits(task)
    image = archive_of(manifest, found)
    if image is None:
        if not found.digest:
            raise SubmissionError(
                "manifest",
                f"{manifest.name}: image: there is no file {found.image}, and the name of an image alone may change its meaning",
                expected="the path of an archive beside the manifest, or `digest` with the image's sha256",
            )
        return found
    config, size, digest = _held(image, most_mb)
    check_image(config, size, most_mb, image.name)
    if found.digest and found.digest != digest:
        raise SubmissionError("image_changed", f"{image.name} holds {digest}", expected=found.digest)
    return found.model_copy(update={"digest": digest})


def _held(image: Path, most_mb: int) -> tuple[dict[str, Any], int, str]:
    """Configuration, bytes and digest of an archive, or of a SIF file, whose digest is that of the file."""
    if siffile.is_sif(image):
        return siffile.inspect(image).config, image.stat().st_size, file_digest(image)
    held = archive.inspect(image, most_mb * 2**20)
    check_annotations(held.annotations, image.name)
    return held.config, held.size, held.digest


def archive_of(manifest: Path, found: Submission) -> Path | None:
    """The archive that a manifest names; None when `image` is the name of an image.

    Raises `SubmissionError('manifest')` for a path that leads out of the manifest's folder: what is handed in is copied, and the
    manifest may be a stranger's.
    """
    path = _beside(manifest, found.image, "image")
    return path if path.is_file() else None


def model_of(manifest: Path, found: Submission) -> Path | None:
    """The folder of weights that a manifest names; None for none. Raises `SubmissionError('manifest')`."""
    if not found.model:
        return None
    path = _beside(manifest, found.model, "model")
    if not path.is_dir():
        raise SubmissionError(
            "manifest", f"{manifest.name}: model: there is no folder {found.model}", expected="a folder"
        )
    return path


def _beside(manifest: Path, value: str, key: str) -> Path:
    folder = manifest.resolve().parent
    path = (folder / value).resolve()
    if path != folder and folder not in path.parents and (path.exists() or value.startswith(("/", "../", "./"))):
        raise SubmissionError(
            "manifest",
            f"{manifest.name}: {key}: {value} is not below the manifest's folder",
            expected="a path relative to the manifest, without links that lead out of its folder",
        )
    return path


def place(manifest: Path, found: Submission, inbox: Path) -> tuple[Entry, bool]:
    """Put a checked submission into the inbox; the entry, and whether it is new.

    Raises `SubmissionError('manifest')` when image or weights are not where the manifest says, or no plain files.
    """
    image, model = archive_of(manifest, found), model_of(manifest, found)
    weights = _weights(model) if model else []
    content = _content(found, image, model, weights)
    id = store.digest(content)
    target = inbox / id
    if (existing := load(target)) is not None:
        return existing, False
    name = "" if image is None else "image.sif" if siffile.is_sif(image) else "image"
    entry = Entry(
        id=id,
        submission=found,
        archive=name,
        model="model" if model else "",
        received=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    with atomic.folder(target) as folder:
        (folder / "submission.toml").write_bytes(manifest.read_bytes())
        if image:
            shutil.copyfile(image, folder / name)
        for path in weights:
            assert model is not None
            copy = folder / "model" / path.relative_to(model)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        # Hashed before and copied after: what changed in between must not stand under the old hash.
        if image and sha256_of(folder / name) != content["archive"]:
            raise SubmissionError("image_changed", f"{image.name} changed while it was copied")
        atomic.write_json(folder / "entry.json", entry.model_dump(mode="json"))
    return entry, True


def _content(found: Submission, image: Path | None, model: Path | None, weights: Sequence[Path]) -> dict[str, Any]:
    """What an entry's id is the hash of."""
    return {
        "submission": found.model_dump(mode="json"),
        "archive": sha256_of(image) if image else "",
        "model": [[path.relative_to(model).as_posix(), sha256_of(path)] for path in weights] if model else [],
    }


def _weights(model: Path) -> list[Path]:
    """The files below a folder of weights, in order. Links and devices are refused, since a copy would follow them."""
    files = []
    for folder, subfolders, names in os.walk(model):
        for name in [*subfolders, *names]:
            path = Path(folder) / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise SubmissionError(
                    "manifest", f"model: {path.relative_to(model)} is a link or a device", expected="plain files"
                )
        files += [Path(folder) / name for name in names]
        if len(files) > MOST_MODEL_FILES:
            raise SubmissionError(
                "manifest",
                f"model: more than {MOST_MODEL_FILES} files",
                expected="few large files, such as a .safetensors",
            )
    return sorted(files)


def load(folder: Path) -> Entry | None:
    """The entry in a folder; None when there is none. Raises `DataError('record_invalid')` when it cannot be read."""
    path = folder / "entry.json"
    if not path.exists():
        return None
    try:
        return Entry.model_validate_json(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise DataError("record_invalid", f"{path} cannot be read ({error})") from error


def entries(inbox: Path) -> Sequence[Entry]:
    """What waits in the inbox, in the order in which it came."""
    found = [entry for path in sorted(inbox.glob("[!.]*")) if (entry := load(path)) is not None]
    return sorted(found, key=lambda entry: (entry.received, entry.id))


def sorted_out(inbox: Path) -> tuple[Sequence[Entry], dict[str, str]]:
    """As `entries`, and by name what is wrong with folders that are no whole entry, such as one that is being copied there.

    One that cannot be read says nothing of the others; an inbox that is not there is empty.
    """
    found: list[Entry] = []
    wrong: dict[str, str] = {}
    for path in sorted(inbox.glob("[!.]*")):
        try:
            entry = load(path)
        except DataError as error:
            wrong[path.name] = error.found
            continue
        if entry is None:
            wrong[path.name] = f"{path} has no entry.json: it was not handed in whole"
        else:
            found.append(entry)
    return sorted(found, key=lambda entry: (entry.received, entry.id)), wrong


def intact(folder: Path, entry: Entry) -> bool:
    """Whether the folder of an entry still holds what was handed in: its id is the hash of that."""
    try:
        image = folder / entry.archive if entry.archive else None
        model = folder / entry.model if entry.model else None
        content = _content(entry.submission, image, model, _weights(model) if model else [])
    except (OSError, SubmissionError):
        return False
    return store.digest(content) == entry.id


def submit(manifest: Path, task: Task, inbox: Path, found: Submission | None = None) -> tuple[Entry, bool]:
    """Check a manifest and place it; the entry, and whether it is new. Raises what `check` and `place` raise."""
    checked = check(manifest, found or submission.load(manifest), task)
    return place(manifest, checked, inbox)


def next_steps(entry: Entry, task: Task) -> list[str]:
    """What becomes of an entry, in sentences for who handed it in."""
    limits = entry.submission.limits(task)
    return [
        f"Image {entry.submission.digest[:19]}… is held to from now on.",
        "The next run takes it in: its first canary case alone at first; if that fails, nothing else is run.",
        f"Then every case of {task.name} runs without a network, with at most {limits.seconds:g} s and {limits.memory_mb} MiB a case.",
        "A case that fails takes the worst value of each metric with its reason (docs/errors.md). What is our fault is run again "
        "and does not count as an attempt.",
        "On the test cases you will see system messages only; the logs of the canary cases are open.",
        "`radbench try` on the manifest shows today what the canary cases will say.",
    ]
