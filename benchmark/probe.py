"""A look from inside: a child container in the very sandbox of a submission, which reports what holds it.

Its image is made on the spot from two programs of this machine and their libraries, so that nothing has to be fetched.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.container import commands, ownership, shell
from benchmark.container.records import Invocation, Runtime, Sandbox
from benchmark.errors import InfrastructureError

REPOSITORY = "localhost/radbench-probe"
USER = 65534
SANDBOX = Sandbox(uid=USER, gid=USER, memory_mb=256, cpus=1, pids=64, shm_mb=2048, tmp_mb=64, file_mb=64)
"""What the child asks for, and is then looked at whether it got it."""
FILES = (
    "/proc/self/status",
    "/proc/self/mounts",
    "/proc/net/dev",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/pids.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/pids/pids.max",
)
"""What the child reads."""
START_SECONDS = 60.0
LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")


@dataclass(frozen=True)
class Inside:
    """What the child saw, by file: lines."""

    lines: dict[str, list[str]] = field(default_factory=dict)

    def status(self, name: str) -> str:
        """A field of /proc/self/status."""
        prefix = f"{name}:"
        found = (line for line in self.lines.get("/proc/self/status", []) if line.startswith(prefix))
        return next(found, prefix).removeprefix(prefix).strip()

    def mount(self, point: str) -> str:
        """Options of the mount at that point; empty when there is none."""
        for line in reversed(self.lines.get("/proc/self/mounts", [])):
            parts = line.split()
            if len(parts) > 3 and parts[1] == point:
                return parts[3]
        return ""

    def number(self, *paths: str) -> int | None:
        """The number in the first of these files that there is."""
        for path in paths:
            if (text := "".join(self.lines.get(path, []))).isdigit():
                return int(text)
        return None

    @property
    def networks(self) -> list[str]:
        """Network interfaces."""
        return [line.split(":")[0].strip() for line in self.lines.get("/proc/net/dev", []) if ":" in line]


def parse(text: str) -> Inside:
    """What `grep -H "" FILES` printed."""
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        if path in FILES:
            lines.setdefault(path, []).append(rest)
    return Inside(lines)


def gaps(inside: Inside, sandbox: Sandbox = SANDBOX) -> list[str]:
    """What of the sandbox does not hold, in words; empty when all does."""
    said = []
    if inside.status("Uid").split()[:1] in (["0"], []):
        said.append("the container runs as root")
    if int(inside.status("CapEff") or "1", 16):
        said.append("the container has capabilities")
    if inside.status("NoNewPrivs") != "1":
        said.append("no-new-privileges is not set")
    if inside.status("Seccomp") != "2":
        said.append("no seccomp filter is set")
    if "ro" not in inside.mount("/").split(","):
        said.append("the root file system is writable")
    if set(inside.networks) - {"lo"}:
        said.append(f"the container has a network ({', '.join(sorted(set(inside.networks) - {'lo'}))})")
    memory = inside.number("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    if memory != sandbox.memory_mb * 2**20:
        said.append("the memory limit is not set" if memory is None else f"the memory limit is {memory // 2**20} MiB")
    pids = inside.number("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")
    if pids != sandbox.pids:
        said.append("the limit of processes is not set")
    return said


def shared_mb(inside: Inside) -> int | None:
    """Size of /dev/shm in MiB."""
    match = re.search(r"\bsize=(\d+)k\b", inside.mount("/dev/shm"))
    return int(match[1]) // 1024 if match else None


@contextmanager
def image(runtime: Runtime) -> Iterator[str]:
    """Import the probe's image; it is removed when the block ends.

    Raises `InfrastructureError('engine_failed')` when the engine cannot, or when this machine lacks the programs.
    """
    name = f"{REPOSITORY}:{uuid.uuid4().hex[:12]}"
    archive = _archive(["grep", *(program for program in ("unshare", "nvidia-smi") if shutil.which(program))])
    try:
        done = subprocess.run(
            [runtime.executable, "import", "-", name], input=archive, capture_output=True, timeout=shell.SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfrastructureError("engine_failed", f"{runtime.name} cannot import an image ({error})") from None
    if done.returncode:
        raise InfrastructureError(
            "engine_failed", f"{runtime.name} cannot import an image: {shell.last_line(done.stderr)}"
        )
    try:
        yield name
    finally:
        shell.call(runtime, "rmi", "--force", name, check=False)


def look(runtime: Runtime, name: str) -> Inside:
    """Start the child and return what it saw. Raises `InfrastructureError('engine_failed')` when it does not start."""
    done = _run(runtime, name, ["grep", "-sH", "", *FILES])
    inside = parse(done.stdout.decode("utf-8", "replace"))
    if not inside.lines:
        raise InfrastructureError("engine_failed", f"a container does not start: {shell.last_line(done.stderr)}")
    return inside


def namespaces(runtime: Runtime, name: str) -> bool | None:
    """Whether a child could make a user namespace, which the profile of system calls forbids; None where there is no program to try.

    Raises `InfrastructureError('engine_failed')` when the child does not start.
    """
    if shutil.which("unshare") is None:
        return None
    done = _run(runtime, name, ["unshare", "--user", "grep", "-sH", "", "/proc/self/status"])
    if b"unshare" not in done.stderr and not done.stdout:
        raise InfrastructureError("engine_failed", f"a container does not start: {shell.last_line(done.stderr)}")
    return bool(done.stdout)


def gpus(runtime: Runtime, name: str) -> list[str]:
    """The GPUs that a child with `all` of them sees. Raises `InfrastructureError('engine_failed')`, which quotes the engine."""
    done = _run(runtime, name, ["nvidia-smi", "-L"], gpu="all")
    seen = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("GPU ")]
    if not seen:
        raise InfrastructureError("engine_failed", shell.last_line(done.stderr or done.stdout))
    return seen


def _run(runtime: Runtime, name: str, command: Sequence[str], gpu: str = "") -> subprocess.CompletedProcess[bytes]:
    invocation = Invocation(
        name=f"radbench-probe-{uuid.uuid4().hex[:12]}",
        image=name,
        mode="exec",
        sandbox=SANDBOX,
        binds=(),
        environment={"LD_LIBRARY_PATH": "/usr/lib/x86_64-linux-gnu:/usr/lib64:/usr/local/nvidia/lib64"},
        gpu=gpu,
        owner=ownership.owner(),
    )
    try:
        made = shell.run([*commands.create(runtime, invocation), *command], START_SECONDS)
        if made.returncode:
            return made
        return shell.run([runtime.executable, "start", "--attach", invocation.name], START_SECONDS)
    except subprocess.TimeoutExpired:
        raise InfrastructureError("engine_failed", f"a container did not end within {START_SECONDS:.0f} s") from None
    finally:
        shell.call(runtime, "rm", "--force", "--volumes", invocation.name, check=False)


def _archive(programs: Sequence[str]) -> bytes:
    """A root file system with these programs and what they link to, each file at its own path."""
    files: dict[str, Path] = {}
    for program in programs:
        path = shutil.which(program)
        if path is None:
            raise InfrastructureError("engine_failed", f"this machine has no {program} to look with")
        if program != "nvidia-smi":  # the GPU's own toolkit brings it into the container, in the driver's version
            files[f"/usr/bin/{program}"] = Path(path)
        try:
            linked = subprocess.run(["ldd", path], capture_output=True, timeout=30).stdout.decode("utf-8", "replace")
        except (OSError, subprocess.TimeoutExpired):
            raise InfrastructureError("engine_failed", "this machine has no ldd to look with") from None
        files |= {found: Path(found) for found in LIBRARY.findall(linked)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("proc", "sys", "dev", "tmp", "etc", "run", "input", "output"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, source in sorted(files.items()):
            data = source.read_bytes()
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
