"""Apptainer's images: SIF files, made from the archives and names that the other engines take as well."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmark.container import archive, shell, siffile
from benchmark.container.intake import FORBIDDEN, check, check_annotations, environment, file_digest
from benchmark.container.records import ImageRecord, Runtime
from benchmark.download import cache_folder
from benchmark.errors import InfrastructureError, SubmissionError

BUILD_SECONDS = 3600.0
SIF_LABEL = "radbench.sif"
"""Label that we add: hash of the SIF file, which differs from making to making since it holds the time."""


def from_file(path: Path, runtime: Runtime, *, most_mb: int, digest: str, cache: Path | None) -> ImageRecord:
    """Take in an archive, which becomes a SIF file in the cache, or a SIF file, which stays where it is.

    The user of a SIF file is whoever runs it, so that it is not asked for one. Raises as `intake.intake`.
    """
    if siffile.is_sif(path):
        return _sif(path, runtime, most_mb, digest)
    held = archive.inspect(path, most_mb * 2**20)
    check(held.config, held.size, most_mb, path.name)
    check_annotations(held.annotations, path.name)
    if digest and digest != held.digest:
        raise SubmissionError("image_changed", f"{path.name} holds {held.digest[:19]}", expected=digest[:19])
    target = _folder(cache) / f"{held.digest[7:]}.sif"
    _build(f"{held.kind}:{path.resolve()}", target, runtime, path.name)
    inner = held.config.get("config") or {}
    return _record(str(path), target, held.config, inner, held.size, held.digest)


def from_registry(reference: str, runtime: Runtime, *, most_mb: int, digest: str, cache: Path | None) -> ImageRecord:
    """Fetch an image by name. Raises as `intake.intake`."""
    name = reference.removeprefix("docker://")
    pinned = f"{name.split('@')[0]}@{digest}" if digest else name
    target = _folder(cache) / f"{hashlib.sha256(pinned.encode()).hexdigest()}.sif"
    _build(f"docker://{pinned}", target, runtime, reference)
    return _sif(target, runtime, most_mb, "", reference)


def recheck(image: ImageRecord) -> None:
    """Check that the SIF file is the one that was taken in. Raises `SubmissionError('image_changed')`."""
    path = Path(image.location)
    expected = image.labels[SIF_LABEL]
    if not path.is_file():
        raise SubmissionError("image_changed", f"{path} is gone", action="Take the image in again.")
    if (found := file_digest(path)) != expected:
        raise SubmissionError("image_changed", f"{path.name} is now {found[:19]}", expected=expected[:19])


def _folder(cache: Path | None) -> Path:
    folder = (cache or cache_folder()) / "sif"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(source: str, target: Path, runtime: Runtime, name: str) -> None:
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    done = shell.call(runtime, "build", "--force", str(partial), source, seconds=BUILD_SECONDS, check=False)
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise SubmissionError("image_unreadable", f"apptainer cannot read {name}: {shell.last_line(done.stderr)}")
    partial.replace(target)


def _sif(path: Path, runtime: Runtime, most_mb: int, digest: str, reference: str = "") -> ImageRecord:
    found = file_digest(path)
    if digest and digest != found:
        raise SubmissionError("image_changed", f"{path.name} is {found[:19]}", expected=digest[:19])
    answer = shell.parse(
        runtime, shell.call(runtime, "inspect", "--json", "--labels", "--environment", str(path)).stdout
    )
    try:
        attributes = answer["data"]["attributes"]
        labels = {str(k): str(v) for k, v in (attributes.get("labels") or {}).items()}
        # The environment is a map of shell scripts by their path.
        scripts = "\n".join(str(text) for text in (attributes.get("environment") or {}).values())
    except (KeyError, TypeError, AttributeError):
        raise InfrastructureError(
            "engine_failed", f"apptainer describes {path.name} in a way that is not known"
        ) from None
    env = [f"{name}=set" for name in FORBIDDEN if f"{name}=" in scripts]
    architecture = labels.get("org.label-schema.build-arch", "amd64")
    inner: dict[str, Any] = {"Env": env, "User": "caller", "Labels": labels}
    config = {"os": "linux", "architecture": architecture, "config": inner}
    check(config, path.stat().st_size, most_mb, path.name)
    return _record(reference or str(path), path, config, inner, path.stat().st_size, found)


def _record(
    reference: str, target: Path, config: dict[str, Any], inner: dict[str, Any], size: int, digest: str
) -> ImageRecord:
    user = str(inner.get("User") or "")
    labels = {str(k): str(v) for k, v in (inner.get("Labels") or {}).items()}
    return ImageRecord(
        digest=digest,
        reference=reference,
        location=str(target.resolve()),
        architecture=str(config.get("architecture", "amd64")),
        user=user,
        uid=1,
        gid=1,
        home="/",
        workdir=str(inner.get("WorkingDir") or ""),
        labels={**labels, SIF_LABEL: file_digest(target)},
        environment=environment(inner),
        volumes=tuple(sorted(inner.get("Volumes") or ())),
        size=size,
    )
