"""What this machine has for jobs, and how much of it is taken."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.executor.config import ExecutorConfig
from benchmark.executor.resources import Resources

SHARE = 0.9
"""Part of the memory that is for jobs; the rest is for the system and for us."""


@dataclass(frozen=True)
class Capacity:
    """What there is for jobs."""

    memory_mb: int
    """Memory, in MiB."""
    cpus: float
    """Processor cores."""
    jobs: int
    """Jobs at the same time."""
    devices: tuple[str, ...] = ()
    """GPUs, each by index or UUID."""


def capacity(config: ExecutorConfig) -> Capacity:
    """What the configuration gives to jobs; what it leaves open is looked up."""
    cores = cores_here()
    devices = config.gpus if isinstance(config.gpus, tuple) else gpus_here() if config.gpus < 0 else chosen(config.gpus)
    # A job with a GPU mostly waits for it, so each GPU comes with a core more: scoring goes on beside it.
    jobs = config.workers or cores + len(devices)
    return Capacity(
        memory_mb=config.memory_mb or int(memory_here_mb() * SHARE),
        cpus=float(max(jobs, cores + len(devices)) if config.workers else cores + len(devices)),
        jobs=jobs,
        devices=devices,
    )


class Room:
    """Which part of a capacity is taken, by whom. Callers take a lock."""

    def __init__(self, box: Capacity) -> None:
        self.box = box
        self._taken: dict[object, tuple[Resources, tuple[str, ...]]] = {}
        self._alone = False

    @property
    def empty(self) -> bool:
        """Whether nothing runs."""
        return not self._taken

    @property
    def free_mb(self) -> int:
        """Memory that nothing has reserved, in MiB; negative while a job that is too large runs."""
        return self.box.memory_mb - sum(resources.memory_mb for resources, _ in self._taken.values())

    def holds(self, needs: Resources) -> bool:
        """Whether it fits when nothing else runs."""
        return needs.memory_mb <= self.box.memory_mb

    def fits(self, needs: Resources, *, alone: bool = False) -> bool:
        """Whether it fits now. What needs more memory than there is fits into an empty room, where it stays alone."""
        if self.empty:
            return needs.gpus <= len(self.box.devices)
        if self._alone or alone or len(self._taken) >= self.box.jobs:
            return False
        others = [resources for resources, _ in self._taken.values()]
        return (
            sum(r.memory_mb for r in others) + needs.memory_mb <= self.box.memory_mb
            and sum(map(self._cores, others)) + self._cores(needs) <= self.box.cpus
            and sum(r.gpus for r in others) + needs.gpus <= len(self.box.devices)
        )

    def take(self, who: object, needs: Resources, *, alone: bool = False) -> tuple[str, ...]:
        """Reserve it; the GPUs that it gets."""
        used = {device for _, devices in self._taken.values() for device in devices}
        devices = tuple(device for device in self.box.devices if device not in used)[: needs.gpus]
        self._alone = alone or not self.holds(needs)
        self._taken[who] = (needs, devices)
        return devices

    def give_back(self, who: object) -> None:
        """Free what was reserved."""
        del self._taken[who]
        if self.empty:
            self._alone = False

    @staticmethod
    def _cores(needs: Resources) -> float:
        return min(needs.cpus, 1.0) if needs.gpus else needs.cpus


def cores_here() -> int:
    """Processor cores that this process may use, by affinity and by the quota of its control group."""
    cores = len(os.sched_getaffinity(0))
    for path, split in (
        (Path("/sys/fs/cgroup/cpu.max"), True),
        (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), False),
    ):
        try:
            words = path.read_text("ascii").split()
            period = words[1] if split else path.with_name("cpu.cfs_period_us").read_text("ascii")
            quota = int(words[0])
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0:
            cores = min(cores, max(1, round(quota / int(period))))
    return cores


def memory_here_mb(
    meminfo: Path = Path("/proc/meminfo"), groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Memory of this machine in MiB, or of the control group that this process is in (version 1 or 2) where that is less."""
    line = next(line for line in meminfo.read_text("ascii").splitlines() if line.startswith("MemTotal:"))
    found = [int(line.split()[1]) * 1024]
    for folder, name in _memory_groups(groups, own):
        try:
            found.append(int((folder / name).read_text("ascii")))
        except (OSError, ValueError):
            continue  # no such file, or `max`
    return min(found) // 2**20


def _memory_groups(groups: Path, own: Path) -> list[tuple[Path, str]]:
    """Folders of control groups, from the process's own up to the root, and the file that holds each one's limit."""
    found: list[tuple[Path, str]] = []
    try:
        lines = own.read_text("ascii").splitlines()
    except OSError:
        lines = []
    for line in [*lines, "0::/", "0:memory:/"]:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
        folder = root / path.lstrip("/")
        found += [(place, name) for place in (folder, *folder.parents) if place == root or root in place.parents]
    return found


def gpus_here() -> tuple[str, ...]:
    """The GPUs for jobs: what CUDA_VISIBLE_DEVICES names where it is set, else every one that NVML sees, by index."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(part.strip() for part in visible.split(",") if part.strip() and part.strip() != "-1")
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2():
            return ()
        count = ctypes.c_uint()
        failed = nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        nvml.nvmlShutdown()
    except (OSError, AttributeError):
        return ()
    return () if failed else tuple(str(index) for index in range(count.value))


def chosen(count: int) -> tuple[str, ...]:
    """The first `count` GPUs; where fewer are seen, the organiser is believed."""
    seen = gpus_here()[:count]
    return seen if len(seen) == count else tuple(str(index) for index in range(count))
