"""GPU memory and energy through NVML, with a stand-in for the library that answers as the real one does."""

from __future__ import annotations

import ctypes
import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmark import inference
from benchmark.container import ContainerEngine, Runtime, gauge
from benchmark.contract import CaseCost, CaseRun, Limits
from tests.container import base

NOT_SUPPORTED, NOT_FOUND = 3, 6
"""NVML_ERROR_NOT_SUPPORTED and NVML_ERROR_NOT_FOUND."""


class Nvml:
    """Two GPUs. It writes to where the caller's pointers point, as the C library does, and returns a status."""

    def __init__(self) -> None:
        self.used = {1: 500 * 2**20, 2: 0}
        self.millijoules = {1: 1_000_000, 2: 7_000_000}
        self.counts_energy = True
        self.open = 0
        self.asked: list[int] = []

    def nvmlInit_v2(self) -> int:
        self.open += 1
        return 0

    def nvmlShutdown(self) -> int:
        self.open -= 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        if index.value > 1:
            return NOT_FOUND
        handle._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        if uuid != b"GPU-second":
            return NOT_FOUND
        handle._obj.value = 2
        return 0

    def nvmlDeviceGetName(self, handle: Any, name: Any, length: Any) -> int:
        text = b"NVIDIA H200" if handle.value == 1 else b"NVIDIA A2"
        assert len(text) < length.value
        ctypes.memmove(name, text + b"\0", len(text) + 1)
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        memory._obj.total, memory._obj.used = 2**37, self.used[handle.value]
        memory._obj.free = memory._obj.total - memory._obj.used
        self.asked.append(handle.value)
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, energy: Any) -> int:
        if not self.counts_energy:
            return NOT_SUPPORTED
        energy._obj.value = self.millijoules[handle.value]
        return 0


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    library = Nvml()
    real = ctypes.CDLL
    monkeypatch.setattr(
        ctypes,
        "CDLL",
        lambda name, *rest, **named: library if name == "libnvidia-ml.so.1" else real(name, *rest, **named),
    )
    return library


def test_one_gpu_is_found_by_index_or_name(nvml: Nvml) -> None:
    for device, name, used, joules in (
        ("all", "NVIDIA H200", 500, 1000),
        ("0", "NVIDIA H200", 500, 1000),
        ("1", "NVIDIA A2", 0, 7000),
        ("GPU-second", "NVIDIA A2", 0, 7000),
    ):
        gpu = gauge.open_gpu(device)
        assert gpu is not None
        assert (gpu.name, gpu.baseline_bytes, gpu.joules()) == (name, used * 2**20, joules)
        gpu.close()
    assert nvml.open == 0
    for device in ("", "7", "GPU-none"):
        assert gauge.open_gpu(device) is None


def test_a_gpu_that_does_not_count_energy_says_nothing(nvml: Nvml) -> None:
    nvml.counts_energy = False
    gpu = gauge.open_gpu("0")
    assert gpu is not None and gpu.joules() is None


@pytest.fixture
def sleeper(engine: Runtime) -> ContainerEngine:
    return ContainerEngine(
        base.taken_in(base.python_image("sleeper", "import time; time.sleep(float(open('/input/value.json').read()))")),
        engine,
    )


LIMITS = Limits(seconds=20, memory_mb=256, output_mb=8, shm_mb=32, log_kb=16, cpus=1, pids=64)


@pytest.mark.usefixtures("clean")
def test_memory_and_energy_are_what_the_case_took(
    nvml: Nvml, sleeper: ContainerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real container; the GPU's figures rise while it runs. What was in use before does not count, nor does the case before."""
    (tmp_path / "case").mkdir()
    (tmp_path / "case/value.json").write_text("1.5")
    rise = nvml.nvmlDeviceGetMemoryInfo

    def rising(handle: Any, memory: Any) -> int:
        nvml.used[1] = 500 * 2**20 + (len(nvml.asked) % 5 == 3) * 1500 * 2**20  # short peaks are seen as well
        nvml.millijoules[1] += 10_000
        return rise(handle, memory)

    with sleeper.session(LIMITS, tmp_path / "log") as session:
        session.gpu = gauge.open_gpu("0")
        monkeypatch.setattr(nvml, "nvmlDeviceGetMemoryInfo", rising)
        costs = []
        for number in range(2):
            before = nvml.millijoules[1]
            outcome = session.run(tmp_path / "case", tmp_path / f"out{number}")
            assert outcome.ok and outcome.cost is not None, outcome
            costs.append((outcome.cost, nvml.millijoules[1] - before))
    for cost, millijoules in costs:
        assert cost.gpu_memory_mb == 1500
        assert cost.gpu_joules == pytest.approx(millijoules / 1000, abs=20) and cost.gpu_joules > 0
    assert nvml.open == 0
    runs = [CaseRun(case=str(n), seconds=2, cost=cost) for n, (cost, _) in enumerate(costs)]
    total = inference.cost(1.0, runs, "NVIDIA H200")
    assert total is not None and total.gpu_memory_mb == 1500
    assert total.gpu_joules == pytest.approx(sum(cost.gpu_joules or 0 for cost, _ in costs) / 2)


@pytest.mark.usefixtures("clean")
def test_the_limit_of_gpu_memory_is_held(nvml: Nvml, sleeper: ContainerEngine, tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "case/value.json").write_text("60")
    limits = LIMITS.model_copy(update={"gpu_memory_mb": 1000})
    with sleeper.session(limits, tmp_path / "log") as session:
        session.gpu = gauge.open_gpu("0")
        nvml.used[1] += 1001 * 2**20
        begin = time.monotonic()
        outcome = session.run(tmp_path / "case", tmp_path / "out")
    assert (outcome.code, time.monotonic() - begin < 15) == ("out_of_memory", True), outcome
    assert "GPU's memory limit was hit; expected at most 1000 MiB" in outcome.reason


def test_costs_of_a_run_are_over_the_cases_that_ran() -> None:
    """Median and 95th percentile by hand; a failed case counts for nothing; what nobody measured stays empty."""
    costs = [CaseCost(peak_memory_mb=float(n), cpu_seconds=float(n), gpu_joules=None) for n in range(1, 22)]
    runs = [CaseRun(case=str(n), seconds=float(n), cost=cost) for n, cost in enumerate(costs)]
    runs.append(CaseRun(case="bad", seconds=1e6, code="timeout", reason="x", cost=CaseCost(peak_memory_mb=1e6)))
    found = inference.cost(3.5, runs, "a processor")
    assert found is not None
    assert json.loads(found.model_dump_json()) == {
        "start_seconds": 3.5, "seconds_median": 10.0, "seconds_p95": 19.0, "peak_memory_mb": 21.0, "cpu_seconds": 11.0,
        "gpu_memory_mb": None, "gpu_joules": None, "hardware": "a processor",
    }  # fmt: skip
    assert inference.cost(3.5, runs[-1:], "a processor") is None
