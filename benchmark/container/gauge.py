"""What a container takes, read from outside: its control group (versions 1 and 2) and, where there is a GPU, NVML."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
DEPTH = 8
"""Levels of control groups that are searched for a container's."""


@dataclass(frozen=True)
class Reading:
    """Counters of a control group at one moment; None where it has none."""

    peak_bytes: int | None = None
    """Most memory that it held."""
    cpu_seconds: float | None = None
    """Processor seconds since it began."""
    oom_kills: int = 0
    """Processes that were killed since the memory limit was hit."""


def find_group(container: str, root: Path = CGROUPS) -> dict[str, Path]:
    """Folders of the control group of the container with this id: `memory` and `cpuacct` (version 1), or `unified`."""
    if (root / "cgroup.controllers").exists():
        places = {"unified": root}
    else:
        places = {name: root / name for name in ("memory", "cpuacct") if (root / name).is_dir()}
    found = {}
    for name, place in places.items():
        for folder, subfolders, _ in os.walk(place):
            match = next((sub for sub in subfolders if container in sub and "conmon" not in sub), None)
            if match:
                found[name] = Path(folder) / match
                break
            if len(Path(folder).relative_to(place).parts) >= DEPTH:
                subfolders.clear()
    return found


def read_group(group: dict[str, Path]) -> Reading:
    """Read the counters; empty when the group is gone."""
    if "unified" in group:
        folder = group["unified"]
        peak = _number(folder / "memory.peak") or _number(folder / "memory.current")
        usage = _field(folder / "cpu.stat", "usage_usec")
        kills = _field(folder / "memory.events", "oom_kill")
        return Reading(peak, None if usage is None else usage / 1e6, kills or 0)
    memory, cpu = group.get("memory"), group.get("cpuacct")
    usage = _number(cpu / "cpuacct.usage") if cpu else None
    return Reading(
        _number(memory / "memory.max_usage_in_bytes") if memory else None,
        None if usage is None else usage / 1e9,
        (_field(memory / "memory.oom_control", "oom_kill") or 0) if memory else 0,
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text("ascii").splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return None


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Gpu:
    """One GPU through NVML, the library that comes with NVIDIA's driver.

    All processes on it count: memory is what is used beyond `baseline_bytes`, which was in use when it was opened.
    """

    def __init__(self, device: str) -> None:
        """`device` is `all` (then the first is measured), an index or a UUID. Raises `OSError` where there is no NVML or no such GPU."""
        self._nvml = ctypes.CDLL("libnvidia-ml.so.1")
        self._check(self._nvml.nvmlInit_v2(), "nvmlInit")
        self._handle = ctypes.c_void_p()
        if device == "all" or device.isdigit():
            index = ctypes.c_uint(0 if device == "all" else int(device))
            status = self._nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(self._handle))
        else:
            status = self._nvml.nvmlDeviceGetHandleByUUID(device.encode(), ctypes.byref(self._handle))
        self._check(status, f"GPU {device}")
        name = ctypes.create_string_buffer(96)
        self._check(self._nvml.nvmlDeviceGetName(self._handle, name, ctypes.c_uint(96)), "name")
        self.name = name.value.decode("utf-8", "replace")
        self.baseline_bytes = self.used_bytes()

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status:
            raise OSError(f"NVML: {what}: error {status}")

    def used_bytes(self) -> int:
        """Memory in use now."""
        memory = _Memory()
        self._check(self._nvml.nvmlDeviceGetMemoryInfo(self._handle, ctypes.byref(memory)), "memory")
        return int(memory.used)

    def joules(self) -> float | None:
        """Energy since the driver was loaded; None for GPUs that do not count it (before Volta)."""
        energy = ctypes.c_ulonglong()
        if self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(energy)):
            return None
        return energy.value / 1000

    def close(self) -> None:
        """Let the library go."""
        self._nvml.nvmlShutdown()


def open_gpu(device: str) -> Gpu | None:
    """The GPU to measure, where there is one and NVML to do it with."""
    if not device:
        return None
    with contextlib.suppress(OSError, AttributeError):
        return Gpu(device)
    return None
