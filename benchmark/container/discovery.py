"""Which container engine there is, and what it can do."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
from pathlib import Path
from typing import Any, get_args

from benchmark.container import shell
from benchmark.container.records import EngineName, Runtime
from benchmark.errors import InfrastructureError, UsageError

NAMES: tuple[EngineName, ...] = get_args(EngineName)
"""Engines in the order in which they are tried: Podman first, since it needs no daemon and no root."""
OPEN_FILES = 16384
"""Enough for data loaders with many workers."""
INITS = ("/usr/libexec/podman/catatonit", "/usr/lib/podman/catatonit", "/usr/local/libexec/podman/catatonit")
"""Where Podman looks for the init process that `--init` needs."""
PROCESSES = 32768
"""The most that is asked for: Podman lowers its own limit, and what it gives up no container can have."""
ANSWER_SECONDS = 30.0


def find_engine(name: str | None = None) -> Runtime:
    """The engine of that name, or the first that works of Podman, Docker and Apptainer.

    Raises `UsageError('unknown_name')` for a name that is no engine's, and `InfrastructureError`: `no_engine` when none is installed
    or running, `engine_unfit` when the one that was named cannot hold a container to its limits.
    """
    if name is not None and name not in NAMES:
        raise UsageError("unknown_name", f"there is no engine {name!r}", expected=f"one of {', '.join(NAMES)}")
    found: list[str] = []
    for candidate in NAMES if name is None else [n for n in NAMES if n == name]:
        executable = shutil.which(candidate)
        if executable is None:
            found.append(f"{candidate} is not installed")
            continue
        try:
            return _PROBES[candidate](executable)
        except InfrastructureError as error:
            if name is not None:
                raise
            found.append(error.found)
    raise InfrastructureError("no_engine", "; ".join(found), expected="one of podman, docker or apptainer")


def _podman(executable: str) -> Runtime:
    info = _info(executable, "podman", "info", "--format", "json")
    host = info.get("host", {})
    rootless = bool(host.get("security", {}).get("rootless"))
    _needs("podman", {"memory", "pids", "cpu"} - set(host.get("cgroupControllers") or ()))
    return _runtime(
        "podman",
        executable,
        str(info.get("version", {}).get("Version", "")),
        rootless=rootless,
        init=any(Path(path).exists() for path in INITS) or shutil.which("catatonit") is not None,
    )


def _docker(executable: str) -> Runtime:
    info = _info(executable, "docker", "info", "--format", "{{json .}}")
    if not info.get("ServerVersion"):
        errors = info.get("ServerErrors") or ["the daemon does not answer"]
        raise InfrastructureError("no_engine", f"docker: {errors[0]}", action="Start the Docker daemon.")
    if any("name=rootless" in option for option in info.get("SecurityOptions") or ()):
        raise InfrastructureError(
            "engine_unfit",
            "rootless Docker leaves files in /output that its user can neither read nor delete",
            expected="rootless Podman or Docker with its usual daemon",
        )
    wanted = {"memory": "MemoryLimit", "pids": "PidsLimit", "cpu": "CpuCfsQuota"}
    _needs("docker", {what for what, key in wanted.items() if not info.get(key)})
    return _runtime("docker", executable, str(info["ServerVersion"]))


def _apptainer(executable: str) -> Runtime:
    try:
        done = shell.run([executable, "--version"], ANSWER_SECONDS)
    except Exception as error:
        raise InfrastructureError("no_engine", f"apptainer cannot be run ({error})") from None
    if done.returncode:
        raise InfrastructureError("no_engine", f"apptainer: {shell.last_line(done.stderr)}")
    version = done.stdout.decode("utf-8", "replace").strip().rsplit(" ", 1)[-1]
    return _runtime("apptainer", executable, version, rootless=os.geteuid() != 0, init=False, limits=delegated())


def delegated(root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")) -> bool:
    """Whether this user may make control groups of version 2 that limit memory and processes, as Apptainer needs."""
    try:
        line = next(line for line in proc.read_text("utf-8").splitlines() if line.startswith("0::"))
        group = root / line[3:].lstrip("/")
        if not (root / "cgroup.controllers").exists():
            return False
        # Apptainer asks the user's systemd for a scope; what is delegated to that service is what counts.
        if os.geteuid() != 0:
            group = root / f"user.slice/user-{os.geteuid()}.slice/user@{os.geteuid()}.service"
        return {"memory", "pids"} <= set((group / "cgroup.controllers").read_text("utf-8").split())
    except (OSError, StopIteration):
        return False


_PROBES = {"podman": _podman, "docker": _docker, "apptainer": _apptainer}


def _runtime(
    name: EngineName, executable: str, version: str, *, rootless: bool = False, init: bool = True, limits: bool = True
) -> Runtime:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return Runtime(
        name=name,
        executable=executable,
        version=version,
        rootless=rootless,
        init=init,
        limits=limits,
        nofile=OPEN_FILES if files == resource.RLIM_INFINITY else min(OPEN_FILES, files),
        nproc=PROCESSES if processes == resource.RLIM_INFINITY else min(PROCESSES, processes),
    )


def _info(executable: str, name: str, *arguments: str) -> dict[str, Any]:
    if platform.system() != "Linux":
        raise InfrastructureError(
            "engine_unfit",
            f"this machine runs {platform.system()}",
            expected="Linux, whose control groups hold containers",
        )
    try:
        done = shell.run([executable, *arguments], ANSWER_SECONDS)
        info = json.loads(done.stdout)
    except Exception as error:
        raise InfrastructureError("no_engine", f"{name} does not answer ({error})") from None
    if not isinstance(info, dict):
        raise InfrastructureError("no_engine", f"{name} does not answer: {shell.last_line(done.stderr)}")
    return info


def _needs(name: str, lacking: set[str]) -> None:
    if lacking:
        raise InfrastructureError(
            "engine_unfit",
            f"{name} cannot limit {', '.join(sorted(lacking))} here",
            expected="control groups with memory, pids and cpu",
            action="Use control groups of version 2 with these controllers delegated to the user, or run as root.",
        )
