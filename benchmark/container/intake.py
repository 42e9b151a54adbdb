"""Taking an image in: from an archive, a registry or the engine's store to a record that pins it, or a refusal that says why."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmark.container import archive, shell, siffile
from benchmark.container.archive import ArchiveImage
from benchmark.container.records import ImageRecord, Runtime
from benchmark.errors import InfrastructureError, SubmissionError

MOST_MB = 32 * 1024
"""Largest image that is taken in, in MiB unpacked: three times what a usual one with PyTorch and CUDA has."""
FORBIDDEN = ("LD_PRELOAD", "LD_AUDIT")
"""Variables that reach into whatever program starts the container: known escapes from GPU toolkits used the first."""
HARMLESS = "org.opencontainers.image."
"""Beginning of the annotations that only describe. Podman hands an image's annotations to the low-level runtime, where others give
orders: crun takes a filter of system calls or a file of the host to write to from them, hooks of the machine are set off."""
LOAD_SECONDS = 3600.0
PASSWD_BYTES = 2**20
REPOSITORY = "localhost/radbench"
"""Repository of the tags by which images that were taken in are kept from being pruned."""


def intake(
    source: str | Path, runtime: Runtime, *, most_mb: int = MOST_MB, digest: str = "", cache: Path | None = None
) -> ImageRecord:
    """Take an image in and check it: linux/amd64, size, an ordinary user, a harmless environment.

    `source` is the path of an archive (`docker save`, gzipped or not, or an OCI archive; for Apptainer also a SIF file) or a
    name in the engine's store or a registry. With `digest` (of the image's configuration, or of its manifest in a registry) it must
    be that very image. `cache` is where Apptainer's SIF files are kept.

    Raises `SubmissionError`: `image_unreadable`, `image_platform`, `image_too_large`, `image_root`, `image_environment`,
    `image_changed`; `InfrastructureError`: `engine_failed` when the engine cannot load it, `engine_unfit` for a SIF file where the
    engine is not Apptainer.
    """
    path = Path(source)
    if path.is_dir():
        raise SubmissionError(
            "image_unreadable", f"{source} is a folder", expected="an archive or the name of an image"
        )
    if path.is_file():
        if runtime.name == "apptainer":
            from benchmark.container import sif

            return sif.from_file(path, runtime, most_mb=most_mb, digest=digest, cache=cache)
        if siffile.is_sif(path):
            raise InfrastructureError(
                "engine_unfit",
                f"{path.name} is a SIF file, which {runtime.name} does not run",
                expected="apptainer",
                action="Install Apptainer, or use the archive that the file was built from.",
            )
        return _from_archive(path, runtime, most_mb, digest)
    if isinstance(source, Path) or str(source).endswith((".tar", ".tar.gz", ".tgz", ".sif")):
        raise SubmissionError("image_unreadable", f"there is no file {source}", expected="an image archive")
    if runtime.name == "apptainer":
        from benchmark.container import sif

        return sif.from_registry(str(source), runtime, most_mb=most_mb, digest=digest, cache=cache)
    return _from_store(str(source), runtime, most_mb, digest)


def recheck(image: ImageRecord, runtime: Runtime) -> None:
    """Check before a run that the engine still has the image that was taken in.

    Raises `SubmissionError`: `image_changed` when it does not, `image_environment` when it has other annotations.
    """
    if runtime.name == "apptainer":
        from benchmark.container import sif

        sif.recheck(image)
        return
    found = lookup(image.digest, runtime)
    if found is None:
        raise SubmissionError(
            "image_changed",
            f"image {image.digest[:19]} of {image.reference} is not in {runtime.name}'s store",
            action="Take the image in again.",
        )
    if _digest(found) != image.digest:
        raise SubmissionError(
            "image_changed", f"{image.reference} is now {_digest(found)[:19]}", expected=image.digest[:19]
        )
    # The digest is that of the configuration, which says nothing of them.
    check_annotations(found.get("Annotations") or (), image.reference)


def lookup(reference: str, runtime: Runtime) -> dict[str, Any] | None:
    """What the engine knows of an image in its store; None when it has none of that name or digest."""
    done = shell.call(runtime, "image", "inspect", reference, check=False)
    if done.returncode:
        return None
    found = shell.parse(runtime, done.stdout)
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else None


def check(config: dict[str, Any], size: int, most_mb: int, name: str) -> None:
    """The rules that need no look into the image. `config` has `architecture`, `os` and `config` as in the OCI's format.

    Raises `SubmissionError`: `image_platform`, `image_too_large`, `image_root`, `image_environment`.
    """
    platform = f"{config.get('os', '?')}/{config.get('architecture', '?')}"
    if platform != "linux/amd64":
        raise SubmissionError("image_platform", f"{name} is for {platform}", expected="linux/amd64")
    if size > most_mb * 2**20:
        raise SubmissionError("image_too_large", f"{name} has {size // 2**20} MiB", expected=f"at most {most_mb} MiB")
    inner = config.get("config") or {}
    for variable in FORBIDDEN:
        if variable in environment(inner):
            raise SubmissionError("image_environment", f"{name} sets {variable}", expected=f"no {variable}")
    user = str(inner.get("User") or "").split(":")[0].strip()
    if user in ("", "root") or (user.isdigit() and int(user) == 0):
        raise SubmissionError(
            "image_root", f"{name} runs as {user or 'root, since it names no user'}", expected="an ordinary user"
        )


def check_annotations(names: Iterable[str], name: str) -> None:
    """Only what describes the image. Raises `SubmissionError('image_environment')`."""
    if orders := sorted(str(key) for key in names if not str(key).startswith(HARMLESS)):
        raise SubmissionError(
            "image_environment", f"{name} has the annotation {orders[0]}", expected=f"none but {HARMLESS}…"
        )


def environment(config: dict[str, Any]) -> dict[str, str]:
    """The environment of an image's configuration."""
    pairs = (str(item).partition("=") for item in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def resolve_user(user: str, passwd: str, group: str) -> tuple[int, int, str]:
    """(uid, gid, home) of a USER by the image's own /etc/passwd and /etc/group.

    A group of root becomes the user's own number. Raises `SubmissionError`: `image_root` when the user's number is 0,
    `image_unreadable` when the name or number is none.
    """
    name, _, group_name = user.partition(":")
    users = [line.split(":") for line in passwd.splitlines() if line.count(":") >= 6]
    found = next((u for u in users if u[0] == name), None) or next((u for u in users if u[2] == name), None)
    groups = {line.split(":")[0]: line.split(":")[2] for line in group.splitlines() if line.count(":") >= 3}
    uid = found[2] if found else name
    gid = groups.get(group_name, group_name) if group_name else (found[3] if found else "0")
    if not (_number(uid) and _number(gid)):
        raise SubmissionError(
            "image_unreadable", f"USER {user!r} is not in the image's /etc/passwd", expected="a user that it holds"
        )
    if int(uid) == 0:
        raise SubmissionError("image_root", f"USER {user!r} has the number 0", expected="an ordinary user")
    return int(uid), int(gid) or int(uid), (found[5] or "/") if found else "/"


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**32 - 1


def _from_archive(path: Path, runtime: Runtime, most_mb: int, digest: str) -> ImageRecord:
    held = archive.inspect(path, most_mb * 2**20)
    check(held.config, held.size, most_mb, path.name)
    check_annotations(held.annotations, path.name)
    if digest and digest != held.digest:
        raise SubmissionError("image_changed", f"{path.name} holds {held.digest[:19]}", expected=digest[:19])
    found = lookup(held.digest, runtime) or _load(path, held, runtime)
    return _record(found, str(path), runtime, most_mb)


def _load(path: Path, held: ArchiveImage, runtime: Runtime) -> dict[str, Any]:
    """Load an archive without letting its tags take the names of other images."""
    before = {tag: lookup(tag, runtime) for tag in held.tags}
    with _plain(path) as plain:
        done = shell.call(runtime, "load", "--quiet", "--input", str(plain), seconds=LOAD_SECONDS, check=False)
    if done.returncode:
        raise SubmissionError(
            "image_unreadable", f"{path.name} cannot be loaded by {runtime.name}: {shell.last_line(done.stderr)}"
        )
    found = lookup(held.digest, runtime)
    if found is None:  # Docker with containerd's store names images by their manifest
        printed = done.stdout.decode("utf-8", "replace").strip().splitlines()
        found = lookup(printed[-1].split(": ", 1)[-1].strip(), runtime) if printed else None
    if found is None:
        raise InfrastructureError("engine_failed", f"{runtime.name} loaded {path.name} but does not find it")
    shell.call(runtime, "tag", found["Id"], f"{REPOSITORY}:{held.digest[7:23]}")
    for tag, owner in before.items():
        if owner is not None and owner.get("Id") != found["Id"]:
            shell.call(runtime, "tag", owner["Id"], tag)
        elif owner is None:
            shell.call(runtime, "rmi", tag, check=False)
    return found


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """The archive without gzip, which Podman 4 does not take; how much it unpacks to has been checked."""
    with path.open("rb") as handle:
        zipped = handle.read(2) == archive.GZIP
    if not zipped:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="radbench-image-", suffix=".tar") as unpacked:
        with gzip.open(path) as source:
            shutil.copyfileobj(source, unpacked, 2**22)
        unpacked.flush()
        yield Path(unpacked.name)


def _from_store(reference: str, runtime: Runtime, most_mb: int, digest: str) -> ImageRecord:
    found = lookup(reference, runtime)
    if found is None:
        done = shell.call(runtime, "pull", "--quiet", reference, seconds=LOAD_SECONDS, check=False)
        found = lookup(reference, runtime) if done.returncode == 0 else None
        if found is None:
            raise SubmissionError(
                "image_unreadable",
                f"{runtime.name} neither has nor can fetch {reference} ({shell.last_line(done.stderr)})",
                expected="an archive, or the name of an image that can be fetched",
            )
    if digest:
        known = {_digest(found), *(str(d).rsplit("@", 1)[-1] for d in found.get("RepoDigests") or ())}
        if digest not in known:
            raise SubmissionError("image_changed", f"{reference} is {_digest(found)[:19]}", expected=digest[:19])
    return _record(found, reference, runtime, most_mb)


def _digest(found: dict[str, Any]) -> str:
    return "sha256:" + str(found.get("Id", "")).removeprefix("sha256:")


def _record(found: dict[str, Any], reference: str, runtime: Runtime, most_mb: int) -> ImageRecord:
    """Check what the engine has, which is what will run, and write it down."""
    config = found.get("Config") or {}
    size = int(found.get("Size") or 0)
    as_oci = {"os": found.get("Os"), "architecture": found.get("Architecture"), "config": config}
    name = Path(reference).name if os.sep in reference and Path(reference).exists() else reference
    check(as_oci, size, most_mb, name)
    check_annotations(found.get("Annotations") or (), name)
    digest = _digest(found)
    user = str(config.get("User") or "")
    passwd, group = _files(digest, runtime, ("/etc/passwd", "/etc/group"))
    uid, gid, home = resolve_user(user, passwd, group)
    return ImageRecord(
        digest=digest,
        reference=reference,
        location=digest,
        architecture=str(found.get("Architecture")),
        system=str(found.get("Os")),
        user=user,
        uid=uid,
        gid=gid,
        home=home,
        workdir=str(config.get("WorkingDir") or ""),
        labels={str(k): str(v) for k, v in (config.get("Labels") or {}).items()},
        environment=environment(config),
        volumes=tuple(sorted(config.get("Volumes") or ())),
        size=size,
    )


def _files(digest: str, runtime: Runtime, paths: tuple[str, ...]) -> list[str]:
    """Text of files of an image, read from a container that is never started; empty where there is no plain file."""
    name = f"radbench-intake-{uuid.uuid4().hex[:12]}"
    # A command, since an image without one cannot be made a container of; it is not run.
    shell.call(runtime, "create", f"--name={name}", "--network=none", "--pull=never", "--entrypoint=/x", digest, "x")
    texts = []
    try:
        for path in paths:
            texts.append(_only_file(_at_most([runtime.executable, "cp", f"{name}:{path}", "-"])))
    finally:
        shell.call(runtime, "rm", "--force", "--volumes", name, check=False)
    return texts


def _at_most(command: list[str]) -> bytes:
    """The first bytes that a command prints: an image may call anything, of any size, /etc/passwd."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None
        data = process.stdout.read(2 * PASSWD_BYTES)
        process.kill()
    return data


def _only_file(data: bytes) -> str:
    with contextlib.suppress(tarfile.TarError, ValueError), tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isreg() else None
            if source is not None and member.size <= PASSWD_BYTES:
                return source.read().decode("utf-8", "replace")
    return ""


def file_digest(path: Path) -> str:
    """`sha256:…` of a file."""
    with path.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()
