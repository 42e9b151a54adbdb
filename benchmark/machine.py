"""What the machine itself must have, read from its own files: architecture, control groups, user namespaces, disk, memory, clock."""

from __future__ import annotations

import ctypes
import shutil
import time
from pathlib import Path
from typing import Literal

from benchmark.container.records import Runtime
from benchmark.contract import Limits
from benchmark.record import Record

State = Literal["ok", "warning", "failure", "skipped"]

ENOUGH_DISK, LEAST_DISK = 20 * 2**30, 2 * 2**30
"""Free bytes below which there is a warning, and a failure: an image with PyTorch and CUDA takes 10 GiB."""
RELEASED = 1_764_547_200.0
"""2025-12-01, before this program was written: a clock that shows less is wrong."""
UNSYNCHRONISED = 0x0040
"""STA_UNSYNC of adjtimex(2)."""


class Finding(Record):
    """One line of the examination."""

    name: str
    """What was looked at."""
    state: State
    """`skipped`: it could not be looked at, or is not needed here."""
    found: str
    """What was found."""
    fix: str = ""
    """What to do; empty when nothing is amiss."""


def architecture(machine: str, system: str) -> Finding:
    """Submissions are linux/amd64."""
    if system == "Linux" and machine in ("x86_64", "amd64"):
        return Finding(name="architecture", state="ok", found=f"{system} on {machine}")
    return Finding(
        name="architecture",
        state="failure",
        found=f"{system} on {machine}; submissions are linux/amd64",
        fix="Use a Linux machine with an x86-64 processor: emulation would distort times and limits.",
    )


def control_groups(root: Path, runtime: Runtime | None) -> Finding:
    """Memory, processors and processes are limited by control groups, version 1 or 2."""
    name = "control groups"
    wanted = {"memory", "pids", "cpu"}
    if (root / "cgroup.controllers").exists():
        have = set((root / "cgroup.controllers").read_text("utf-8").split())
        version = "version 2"
    else:
        have = {controller for controller in wanted if (root / controller).is_dir()}
        version = "version 1"
    if lacking := wanted - have:
        return Finding(
            name=name,
            state="failure",
            found=f"{version} without {', '.join(sorted(lacking))}",
            fix="Boot with control groups of version 2 (systemd.unified_cgroup_hierarchy=1; cgroup_enable=memory on some boards).",
        )
    if version == "version 1" and runtime is not None and runtime.rootless:
        fix = "Boot with systemd.unified_cgroup_hierarchy=1, or run as root."
        return Finding(name=name, state="failure", found=f"{version}, which a rootless engine cannot use", fix=fix)
    return Finding(name=name, state="ok", found=f"{version} with {', '.join(sorted(wanted))}")


def user_namespaces(root: Path, runtime: Runtime | None, uid: int) -> Finding:
    """What rootless engines are made of. `root` is /proc/sys."""
    name = "user namespaces"

    def setting(path: str) -> str:
        try:
            return (root / path).read_text("ascii").strip()
        except OSError:
            return ""

    # Docker's daemon is root, whoever calls it.
    needed = uid != 0 and not (runtime is not None and runtime.name == "docker")
    spare = "not needed, since the engine runs as root"
    off = ""
    if setting("user/max_user_namespaces") == "0":
        off, fix = "user.max_user_namespaces is 0", "sysctl user.max_user_namespaces=28633"
    elif setting("kernel/unprivileged_userns_clone") == "0":
        off, fix = "kernel.unprivileged_userns_clone is 0", "sysctl kernel.unprivileged_userns_clone=1"
    if off:
        if not needed:
            return Finding(name=name, state="ok", found=f"{off}; {spare}")
        return Finding(name=name, state="failure", found=off, fix=f"As root: `{fix}`, kept in /etc/sysctl.d/.")
    if needed and setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return Finding(
            name=name,
            state="warning",
            found="AppArmor allows them to named programs only",
            fix=f"If {runtime.name if runtime else 'the engine'} cannot start containers, install its AppArmor profile.",
        )
    if needed and runtime is not None and runtime.name == "podman" and not subordinate(uid):
        fix = "As root: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`, then `podman system migrate`."
        return Finding(name=name, state="failure", found="no subordinate numbers in /etc/subuid", fix=fix)
    return Finding(name=name, state="ok", found="available" if needed else f"available; {spare}")


def subordinate(uid: int, path: Path = Path("/etc/subuid")) -> bool:
    """Whether a user has numbers of users of its own to give to containers."""
    import pwd

    try:
        user = pwd.getpwuid(uid).pw_name
        return any(line.split(":")[0] in (user, str(uid)) for line in path.read_text("utf-8").splitlines())
    except (KeyError, OSError):
        return False


def disk(path: Path, name: str, free: int | None = None) -> Finding:
    """Free space where `path` is or will be; `free` in bytes where it is known already."""
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    left = shutil.disk_usage(existing).free if free is None else free
    found = f"{left / 2**30:.0f} GiB free at {existing}"
    if left < LEAST_DISK:
        return Finding(
            name=name, state="failure", found=found, fix="Free some space, or name another place with --work."
        )
    if left < ENOUGH_DISK:
        fix = f"Images take 10 GiB each; have {ENOUGH_DISK // 2**30} GiB free."
        return Finding(name=name, state="warning", found=found, fix=fix)
    return Finding(name=name, state="ok", found=found)


def memory(path: Path, limits: Limits) -> Finding:
    """Memory of the machine against what a task allows a model by default. `path` is /proc/meminfo."""
    name = "memory"
    try:
        line = next(x for x in path.read_text("ascii").splitlines() if x.startswith("MemTotal:"))
    except (OSError, StopIteration):
        return Finding(name=name, state="skipped", found=f"{path} cannot be read")
    total = int(line.split()[1]) // 1024
    if total < limits.memory_mb:
        return Finding(
            name=name,
            state="warning",
            found=f"{total} MiB; tasks allow a model {limits.memory_mb} MiB",
            fix="A model that needs its whole allowance will not get it here.",
        )
    return Finding(name=name, state="ok", found=f"{total} MiB; tasks allow a model {limits.memory_mb} MiB")


def clock(now: float, in_step: bool | None) -> Finding:
    """Records and the ledger carry times. `in_step`: whether the kernel says that the clock is synchronised."""
    name, shown = "clock", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    fix = "Start a time service: `timedatectl set-ntp true`, or chrony."
    if now < RELEASED:
        return Finding(name=name, state="failure", found=f"{shown}, which is in the past", fix=fix)
    if in_step is None:
        return Finding(name=name, state="skipped", found=f"{shown}; the kernel does not say whether it is synchronised")
    if not in_step:
        return Finding(name=name, state="warning", found=f"{shown}, not synchronised", fix=fix)
    return Finding(name=name, state="ok", found=f"{shown}, synchronised")


def synchronised() -> bool | None:
    """Whether the kernel's clock is kept in step by a time service, by adjtimex(2); None where it cannot be asked."""

    class Timex(ctypes.Structure):
        """struct timex of 64-bit Linux as far as `status`; the rest is room."""

        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_char * 256),
        )

    try:
        answer = Timex()
        if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return not answer.status & UNSYNCHRONISED
