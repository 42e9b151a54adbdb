"""What a run needs of this machine, looked at one by one: a line each, with what to do where something is amiss.

A failure means that submissions cannot be run, or not be held; a warning, that something is worse than it should be, such as a
version with a known way out of the container.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmark import probe
from benchmark.container import find_engine, shell
from benchmark.container.records import Runtime
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError
from benchmark.escapes import Escape, affecting, distribution_fixed, parse
from benchmark.machine import Finding, architecture, clock, control_groups, disk, memory, synchronised, user_namespaces

ANSWER_SECONDS = 30.0
"""A command that says nothing for this long says nothing."""

Check = Callable[[], "list[Finding]"]


def examine(root: Path, engine: str | None = None, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Examine this machine for runs that keep their files below `root`. Raises `UsageError` for the name of no engine."""
    runtime, first = find(engine)
    info = information(runtime)
    checks: list[Check] = [
        lambda: [architecture(platform.machine(), platform.system())],
        lambda: [control_groups(Path("/sys/fs/cgroup"), runtime)],
        lambda: [user_namespaces(Path("/proc/sys"), runtime, os.geteuid())],
        lambda: versions(runtime, info),
        lambda: inside(runtime),
        lambda: [disk(place, what) for what, place in places(root, info)],
        lambda: [memory(Path("/proc/meminfo"), Limits())],
        lambda: [clock(time.time(), synchronised())],
    ]
    found = [first]
    for done, check in enumerate(checks, 1):
        found += check()
        if progress:
            progress(done, len(checks))
    return found


def failed(findings: Sequence[Finding], *, strict: bool = False) -> bool:
    """Whether the examination as a whole is failed."""
    return any(f.state == "failure" or (strict and f.state == "warning") for f in findings)


def lines(findings: Sequence[Finding]) -> list[str]:
    """One line a finding."""
    marks = {"ok": "ok  ", "warning": "WARN", "failure": "FAIL", "skipped": "–   "}
    width = max(len(f.name) for f in findings)
    return [f"{marks[f.state]}  {f.name:<{width}}  {f.found}{f'. {f.fix}' if f.fix else ''}" for f in findings]


def summary(findings: Sequence[Finding], *, strict: bool = False) -> str:
    """The examination in a sentence."""
    counts = {state: sum(f.state == state for f in findings) for state in ("failure", "warning")}
    if failed(findings, strict=strict):
        return f"Not fit: {counts['failure']} failures, {counts['warning']} warnings."
    if counts["warning"]:
        return f"Fit to try submissions; mend the {counts['warning']} warnings before running strangers' images."
    return "Fit to run submissions."


def find(name: str | None) -> tuple[Runtime | None, Finding]:
    """The engine, and the line on it."""
    try:
        runtime = find_engine(name)
    except InfrastructureError as error:
        return None, Finding(name="engine", state="failure", found=error.found, fix=error.action)
    rights = "rootless" if runtime.rootless else "as root"
    found = f"{runtime.name} {runtime.version}, {rights} ({runtime.executable})"
    if not runtime.limits:
        fix = "Let the user's systemd delegate the controllers memory and pids (Delegate=yes); limits are not held until then."
        return runtime, Finding(
            name="engine", state="warning", found=f"{found} cannot limit memory and processes", fix=fix
        )
    if not runtime.init and runtime.name == "podman":
        fix = "Install catatonit (`apt-get install catatonit`)."
        return runtime, Finding(name="engine", state="warning", found=f"{found} has no init for containers", fix=fix)
    return runtime, Finding(name="engine", state="ok", found=found)


def information(runtime: Runtime | None) -> dict[str, Any]:
    """What the engine says of itself, in its own form; empty when it says nothing."""
    if runtime is None or runtime.name == "apptainer":
        return {}
    form = "json" if runtime.name == "podman" else "{{json .}}"
    try:
        info = shell.parse(runtime, shell.call(runtime, "info", "--format", form).stdout)
        if runtime.name == "docker":
            version = shell.call(runtime, "version", "--format", "{{json .Server}}", check=False)
            info["Components"] = (shell.parse(runtime, version.stdout) or {}).get("Components") or []
    except InfrastructureError:
        return {}
    return info if isinstance(info, dict) else {}


def versions(runtime: Runtime | None, info: dict[str, Any]) -> list[Finding]:
    """Engine, low-level runtime, GPU toolkit and driver against what is known of their versions."""
    found = []
    for program, text, packages in installed(runtime, info):
        fixed = [distribution_fixed(package) for package in packages]
        open_ways = affecting(program, text, lambda id, fixed=fixed: any(f(id) for f in fixed))  # type: ignore[misc]
        found.append(version_line(program, text, open_ways))
    return found


def version_line(program: str, text: str, ways: Sequence[Escape]) -> Finding:
    """The line on a program's version and the ways out that it leaves open."""
    shown = text.splitlines()[0].strip() if text.strip() else "no version"
    if parse(text) is None:
        return Finding(name=program, state="skipped", found=f"its version cannot be told ({shown})")
    if not ways:
        return Finding(name=program, state="ok", found=f"{shown}: no known way out")
    worst = "; ".join(f"{way.id}: {way.what}" for way in ways[:2]) + (
        f"; {', '.join(way.id for way in ways[2:])}" if len(ways) > 2 else ""
    )
    strictest = max(ways, key=lambda way: max(parse(version) or ((), (0, 0)) for version in way.fixed))
    return Finding(
        name=program,
        state="warning",
        found=f"{shown}: {worst}",
        fix=f"Update {program} to {', '.join(strictest.fixed)} or later, or to a package whose changelog names these.",
    )


def installed(runtime: Runtime | None, info: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Program, what it says of its version, and the packages in whose changelog a fix would stand."""
    found: list[tuple[str, str, tuple[str, ...]]] = []
    if runtime is not None and runtime.name in ("podman", "apptainer"):
        found.append((runtime.name, f"{runtime.name} {runtime.version}", (runtime.name,)))
    low = (info.get("host") or {}).get("ociRuntime") or {}
    if low:
        text = str(low.get("version", "")).split("\n")[0]
        found.append((str(low.get("name") or text.split(" ")[0]), text, (str(low.get("name")),)))
    for component in info.get("Components") or []:
        if component.get("Name") in ("runc", "crun"):
            text = f"{component['Name']} {component.get('Version', '')}"
            found.append((component["Name"], text, (component["Name"], "containerd.io")))
    for command in (["nvidia-ctk", "--version"], ["nvidia-container-cli", "--version"]):
        if text := _answer(command):
            found.append(("nvidia-container-toolkit", text, ("nvidia-container-toolkit",)))
            break
    driver = Path("/proc/driver/nvidia/version")
    if driver.exists():
        line = next((x for x in driver.read_text("utf-8", "replace").splitlines() if x.startswith("NVRM")), "")
        number = parse(line.partition("Kernel Module")[2])
        if number is not None:
            # As it is written, with its leading zeros.
            text = next(word for word in line.partition("Kernel Module")[2].split() if parse(word) == number)
            found.append(("nvidia-driver", f"NVIDIA driver {text}", ()))
    return found


def inside(runtime: Runtime | None) -> list[Finding]:
    """A container in a submission's sandbox, looked at from inside; a GPU in it, where there is one."""
    names = ("sandbox", "shared memory", "system calls", "GPU in a container")
    if runtime is None:
        return [Finding(name=name, state="skipped", found="no engine to start a container with") for name in names]
    if runtime.name == "apptainer":
        said = "not looked at: Apptainer's containers are not made this way"
        return [Finding(name=name, state="skipped", found=said) for name in names]
    try:
        with probe.image(runtime) as image:
            return [*_sandbox(probe.look(runtime, image)), system_calls(runtime, image), gpu(runtime, image)]
    except InfrastructureError as error:
        fix = f"Run `{runtime.name} run` by hand with any image; its message says what is amiss."
        first = Finding(name=names[0], state="failure", found=error.found, fix=fix)
        return [first, *(Finding(name=name, state="skipped", found="no container started") for name in names[1:])]


def _sandbox(seen: probe.Inside) -> list[Finding]:
    missing = probe.gaps(seen)
    first = Finding(
        name="sandbox",
        state="ok",
        found="a container started without root, capabilities, network or a writable root, under its limits",
    )
    if missing:
        fix = "Look for a containers.conf or a daemon.json that overrides options, and for a kernel without seccomp."
        first = Finding(name="sandbox", state="failure", found="; ".join(missing), fix=fix)
    size = probe.shared_mb(seen)
    wanted = probe.SANDBOX.shm_mb
    if size == wanted:
        return [first, Finding(name="shared memory", state="ok", found=f"{size} MiB in the container, as asked for")]
    found = f"{'none' if size is None else f'{size} MiB'} in the container where {wanted} MiB were asked for"
    fix = "Data loaders with several workers will fail; look for a shm size in containers.conf or daemon.json."
    return [first, Finding(name="shared memory", state="failure", found=found, fix=fix)]


def system_calls(runtime: Runtime, image: str) -> Finding:
    """Whether the profile of system calls is in force: a child tries to make a user namespace."""
    name = "system calls"
    made = probe.namespaces(runtime, image)
    if made is None:
        return Finding(name=name, state="skipped", found="this machine has no `unshare` to try with")
    if made:
        fix = "Look for an engine that was built without seccomp, or an option in containers.conf or daemon.json that turns it off."
        return Finding(name=name, state="failure", found="a container could make a user namespace of its own", fix=fix)
    return Finding(name=name, state="ok", found="the profile is in force: a container could make no user namespace")


def gpu(runtime: Runtime, image: str, devices: Path = Path("/dev")) -> Finding:
    """Whether a container sees the GPU that this machine has."""
    name = "GPU in a container"
    on_host = [line for line in _answer(["nvidia-smi", "-L"]).splitlines() if line.startswith("GPU ")]
    if not on_host:
        if (devices / "nvidia0").exists():
            fix = "Reinstall the driver: `nvidia-smi` must work on this machine first."
            return Finding(
                name=name, state="failure", found="there is /dev/nvidia0, but nvidia-smi does not work", fix=fix
            )
        return Finding(name=name, state="skipped", found="this machine has no NVIDIA GPU")
    try:
        seen = probe.gpus(runtime, image)
    except InfrastructureError as error:
        said = error.found
        return Finding(
            name=name,
            state="failure",
            found=f"the machine has {len(on_host)}, a container none: {said}",
            fix=gpu_fix(said),
        )
    if len(seen) != len(on_host):
        fix = "Make the CDI specification again: `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`."
        found = f"the machine has {len(on_host)} GPUs, a container sees {len(seen)}"
        return Finding(name=name, state="failure", found=found, fix=fix)
    return Finding(name=name, state="ok", found=f"{len(seen)} × {seen[0].partition(':')[2].partition('(')[0].strip()}")


def gpu_fix(message: str) -> str:
    """What to do about an engine's message on a GPU that does not come into the container."""
    text = message.lower()
    if "cdi" in text or "unresolvable" in text:
        return "Make the CDI specification: `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`."
    if "could not select device driver" in text or "unknown runtime" in text:
        return (
            "Install nvidia-container-toolkit, then `nvidia-ctk runtime configure --runtime=docker` and restart Docker."
        )
    if "nvml" in text:
        return "Restart the engine after a driver update or a `systemctl daemon-reload`; prefer CDI, which survives the latter."
    if "permission" in text:
        return "Give the user access to /dev/nvidia*, and set no-cgroups = true in /etc/nvidia-container-runtime/config.toml."
    return (
        "Install nvidia-container-toolkit and make its CDI specification; its documentation has both for each engine."
    )


def places(root: Path, info: dict[str, Any]) -> list[tuple[str, Path]]:
    """Where space is needed: results, and the engine's images."""
    found = [("disk for results", root)]
    store = (info.get("store") or {}).get("graphRoot") or info.get("DockerRootDir")
    return [*found, ("disk for images", Path(str(store)))] if store else found


def _answer(command: Sequence[str]) -> str:
    """What a command prints; empty when it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = shell.run(command, ANSWER_SECONDS)
    except Exception:
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
