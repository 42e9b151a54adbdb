"""A real engine and real images for tests, made on the machine itself: no registry is needed.

The base is a Debian with Python by `mmdebstrap`, kept below ~/.cache/radbench-tests; further images are built from it, without
network, and named by a hash of what they are made of, so that a second run builds nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from benchmark.container import ImageRecord, Runtime, find_engine, intake, ownership
from benchmark.container.commands import OWNER_LABEL
from benchmark.errors import InfrastructureError

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "radbench-tests"
REPOSITORY = "localhost/radbench-test"
PACKAGES = "python3,python-is-python3"
SUITE = "bookworm"
PYTHON = (3, 11)
"""Python of that Debian; packages of a virtual environment of the same version run in it."""
REQUIREMENTS = Path(__file__).parents[2] / "baselines/classical/requirements.txt"
"""What the classical baselines need: enough for any image that reads and writes volumes."""

USER = "RUN useradd --create-home --uid 10001 algorithm\nUSER algorithm\n"
"""Lines of a Containerfile that make an ordinary user."""


def required() -> bool:
    """Whether a test that needs an engine must not be skipped, as in CI."""
    return "engine" in os.environ.get("RADBENCH_REQUIRE", "").split(",")


def lacking(why: str) -> None:
    """Skip, or fail where an engine is required."""
    if required():
        pytest.fail(f"no container engine for tests: {why}")
    pytest.skip(f"NO CONTAINER ENGINE: {why}; install podman, runc, catatonit and mmdebstrap to run this test")


@cache
def engine() -> Runtime:
    """Podman, set up for machines with control groups of version 1 and low limits; skips where there is none."""
    if "CONTAINERS_CONF" not in os.environ:
        lines = ["[engine]"]
        if not Path("/sys/fs/cgroup/cgroup.controllers").exists() and shutil.which("runc"):
            lines.append('runtime = "runc"')  # crun does not start containers there
        lines += ["[containers]", 'default_ulimits = ["nofile=1024:1024", "nproc=512:512"]']
        CACHE.mkdir(parents=True, exist_ok=True)
        path = CACHE / f"containers-{os.getpid()}.conf"
        path.write_text("\n".join([*lines, ""]), "utf-8")
        path = path.replace(CACHE / "containers.conf")
        os.environ["CONTAINERS_CONF"] = str(path)
    try:
        return find_engine("podman")
    except InfrastructureError as error:
        return lacking(str(error))  # type: ignore[return-value]


def podman(*arguments: str, seconds: float = 600) -> str:
    """Run podman; its standard output. Raises `RuntimeError` with its errors."""
    done = subprocess.run(
        [engine().executable, *arguments], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise RuntimeError(f"podman {' '.join(arguments[:3])}: {done.stderr[-2000:]}")
    return done.stdout.strip()


def exists(reference: str) -> bool:
    """Whether the engine has the image."""
    return subprocess.run([engine().executable, "image", "exists", reference], capture_output=True).returncode == 0


def base_image() -> str:
    """A Debian with Python (`python3`, also as `python`) and a shell."""
    reference = f"{REPOSITORY}/base:{_hash(SUITE, PACKAGES)}"
    if exists(reference):
        return reference
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "base.lock"):
        if not exists(reference):
            tree = CACHE / f"rootfs-{_hash(SUITE, PACKAGES)}.tar"
            if not tree.exists():
                if shutil.which("mmdebstrap") is None:
                    lacking("mmdebstrap is not installed")
                partial = tree.with_suffix(".partial.tar")
                subprocess.run(
                    ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(partial)],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    timeout=900,
                )
                partial.replace(tree)
            podman("import", "--quiet", str(tree), reference)
    return reference


def build(name: str, containerfile: str, files: Mapping[str, str | bytes] | None = None, base: str = "") -> str:
    """Build an image `FROM` the base (or `base`) with these lines and files; its name. Built once for each content."""
    parent = base or base_image()
    content = [f"{path}={hashlib.sha256(_bytes(data)).hexdigest()}" for path, data in sorted((files or {}).items())]
    reference = f"{REPOSITORY}/{name}:{_hash(parent, containerfile, *content)}"
    if not exists(reference):
        with tempfile.TemporaryDirectory(prefix="radbench-build-") as folder:
            context = Path(folder)
            for path, data in (files or {}).items():
                (context / path).parent.mkdir(parents=True, exist_ok=True)
                (context / path).write_bytes(_bytes(data))
            build_folder(context, f"FROM {parent}\n{containerfile}", reference)
    return reference


def build_folder(context: Path, containerfile: str, reference: str, *arguments: str) -> None:
    """Build a folder with a Containerfile's text, without network."""
    with tempfile.NamedTemporaryFile("w", suffix=".Containerfile") as handle:
        handle.write(containerfile)
        handle.flush()
        podman(
            "build", "--quiet", "--network=none", "--pull=never", "--layers=false", *arguments,
            f"--file={handle.name}", f"--tag={reference}", str(context), seconds=900,
        )  # fmt: skip


def python_image(name: str, source: str, *, invoke: bool = False, base: str = "", extra: str = "") -> str:
    """An image whose entry point is this Python source, run by an ordinary user."""
    label = 'LABEL org.grand-challenge.api-method="invoke"\n' if invoke else ""
    lines = f'COPY main.py /opt/main.py\n{label}{extra}{USER}ENTRYPOINT ["python3", "-u", "/opt/main.py"]\n'
    return build(name, lines, {"main.py": source}, base)


SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_GET(self):
        self.answer(200)
    def do_POST(self):
        self.answer(invoke() or 201)
    def log_message(self, *words):
        pass
def serve():
    HTTPServer(("0.0.0.0", 4743), Handler).serve_forever()
"""
"""The smallest server: define `invoke()`, then call `serve()`."""


def science_image(extra: tuple[str, ...] = ()) -> str:
    """The base with pip and the packages of REQUIREMENTS (and `extra`), taken from the environment that runs the tests."""
    if sys.version_info[:2] != PYTHON:
        pytest.skip(f"packages of Python {sys.version_info[:2]} do not run in an image with {PYTHON}")
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    needed = [re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in lines if line and not line.startswith("#")]
    names = _closure((*needed, "pip", *extra))
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in names]
    reference = f"{REPOSITORY}/science:{_hash(base_image(), *versions)}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "science.lock"):
        if not exists(reference):
            with tempfile.TemporaryDirectory(prefix="radbench-build-", dir=CACHE) as folder:
                for name in names:
                    _stage(name, Path(folder) / "packages")
                script = Path(folder) / "pip"
                script.write_text('#!/bin/sh\nexec python3 -m pip "$@"\n', "utf-8")
                script.chmod(0o755)
                containerfile = (
                    f"FROM {base_image()}\nCOPY packages /usr/local/lib/python3.11/dist-packages\n"
                    "COPY pip /usr/local/bin/pip\nRUN rm -f /usr/lib/python3.11/EXTERNALLY-MANAGED\n"
                )
                build_folder(Path(folder), containerfile, reference)
    return reference


def taken_in(reference: str) -> ImageRecord:
    """The record of an image in the store."""
    return intake(reference, engine())


def residue() -> dict[str, list[str]]:
    """What is there of containers, mounts, loop devices and scratch folders of this process or of harnesses that are dead.

    What belongs to another process that lives is at work, not left behind.
    """

    def ours(owner: str) -> bool:
        return owner == ownership.owner() or not ownership.alive(owner)

    form = f'{{{{.Names}}}} {{{{index .Labels "{OWNER_LABEL}"}}}}'
    listed = podman("ps", "--all", f"--format={form}", f"--filter=label={OWNER_LABEL}").splitlines()
    folders = []
    for folder in Path(tempfile.gettempdir()).glob(f"{ownership.PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if ours((folder / ownership.OWNER_FILE).read_text("utf-8")):
                folders.append(str(folder))
    mounts = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True).stdout.splitlines()
    return {
        "containers": sorted(line.split()[0] for line in listed if ours(line.split()[1])),
        "folders": sorted(folders),
        "mounts": [line for line in mounts if any(folder in line for folder in folders) or "deleted" in line],
        "loops": [line for line in loops if "(deleted)" in line or any(folder in line for folder in folders)],
    }


@contextlib.contextmanager
def clean_machine() -> Iterator[None]:
    """Run a test alone among those that start containers, and fail when it leaves a container, mount, loop device or folder."""
    engine()
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "machine.lock"):
        before = residue()
        volumes = podman("volume", "ls", "--quiet").split()
        yield
        assert residue() == before
        assert set(podman("volume", "ls", "--quiet").split()) <= set(volumes)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _closure(names: tuple[str, ...]) -> list[str]:
    """These distributions and all that they require in this environment."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # a requirement for another platform
        found[name] = None
        waiting += [re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in requires if "extra ==" not in line]
    return sorted(found)


def _stage(name: str, target: Path) -> None:
    """Copy a distribution's files, by hard links where that works."""
    distribution = importlib.metadata.distribution(name)
    root = Path(str(distribution.locate_file(""))).resolve()
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file))).resolve()
        if not source.is_file() or not source.is_relative_to(root) or "__pycache__" in source.parts:
            continue
        place = target / source.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            try:
                os.link(source, place)
            except OSError:
                shutil.copy2(source, place)
