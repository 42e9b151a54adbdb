"""One container from its start to its end: what it prints, what it takes, what stops it. Nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.container import commands, gauge, shell
from benchmark.container.commands import GRACE_SECONDS
from benchmark.container.gauge import Gpu, Reading
from benchmark.container.logs import CappedLog
from benchmark.container.quota import OutputArea
from benchmark.container.records import Invocation, Runtime
from benchmark.contract import CaseCost, Limits
from benchmark.errors import InfrastructureError, SubmissionError

WATCH_SECONDS = 0.1
"""Between two looks at the counters, the output folder and the GPU."""
KILLED = 137
NEAR_LIMIT = 0.5
"""Share of the memory limit, at the last look, above which a kill from nowhere is taken for the limit: memory can grow by more
than half of it between two looks."""
ENTRY_POINT_ERRORS = (126, 127)
"""What engines answer when the image's entry point cannot be run or is not there."""
INIT_ERRORS = (b"failed to exec pid1", b"[FATAL tini")
"""What Podman's and Docker's init processes print instead, since the start has gone well by then."""


@dataclass
class Usage:
    """Counters of a container; peaks since it began."""

    reading: Reading = field(default_factory=Reading)
    gpu_peak_bytes: int = 0
    joules: float | None = None


class Container:
    """A container of Podman or Docker. The order is `start`, then `wait` or `stop`, and always `remove`."""

    def __init__(
        self,
        runtime: Runtime,
        invocation: Invocation,
        limits: Limits,
        area: OutputArea,
        log: CappedLog,
        gpu: Gpu | None = None,
    ) -> None:
        self.runtime, self.invocation, self.limits = runtime, invocation, limits
        self.area, self.log, self.gpu = area, log, gpu
        self.verdict: SubmissionError | None = None
        """Why the watcher killed it."""
        self.usage = Usage(joules=gpu.joules() if gpu else None)
        self._begin = Usage(joules=self.usage.joules)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        self._ended = threading.Event()
        self._paused = False
        self._group: dict[str, Path] = {}
        self._id = ""
        # Podman's monitor leaves an empty file of this name in its working folder when the memory limit is hit.
        self._oom_note = area.path.parent / "oom"

    @property
    def name(self) -> str:
        """Its name in the engine."""
        return self.invocation.name

    def start(self) -> None:
        """Make it and set it going. Raises `InfrastructureError('engine_failed')` when the engine cannot."""
        self._create()
        self._oom_note.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            self._start_command(),
            cwd=self._oom_note.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = self.log.follow(self._process.stdout)
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
        self._watcher.start()

    def _create(self) -> None:
        done = shell.call(self.runtime, *commands.create(self.runtime, self.invocation)[1:])
        self._id = done.stdout.decode("ascii", "replace").strip().splitlines()[-1]

    def _start_command(self) -> list[str]:
        return [self.runtime.executable, "start", "--attach", self.name]

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False when the time is over first."""
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def pid(self) -> int:
        """Its first process, as the host numbers it; 0 when it does not run."""
        return int(self._state().get("Pid") or 0)

    def pause(self) -> None:
        """Hold all of its processes still."""
        shell.call(self.runtime, "pause", self.name)
        self._paused = True

    def unpause(self) -> None:
        """Let them go on, where they are held."""
        if self._paused:
            self._paused = False
            shell.call(self.runtime, "unpause", self.name)

    def stop(self) -> None:
        """TERM to its first process, five seconds, KILL to everything in it."""
        if self.alive:
            with contextlib.suppress(InfrastructureError):
                self.unpause()  # what is held still cannot end
            shell.call(self.runtime, "stop", f"--time={GRACE_SECONDS}", self.name, check=False)
            if not self.wait(GRACE_SECONDS):
                self.kill()
                self.wait(2 * GRACE_SECONDS)
        self._finish()

    def kill(self) -> None:
        """KILL to everything in it, at once."""
        shell.call(self.runtime, "kill", "--signal=KILL", self.name, check=False)

    def remove(self) -> None:
        """Remove it with its volumes, running or not, once more when Ctrl-C comes in between."""
        try:
            self._remove()
        except KeyboardInterrupt:
            self._remove()
            raise

    def _remove(self) -> None:
        shell.call(self.runtime, "rm", "--force", "--volumes", self.name, check=False)
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            if process.poll() is None:
                process.kill()
                process.wait()
        self._finish()

    def _finish(self) -> None:
        self._ended.set()
        for thread in (self._watcher, self._reader):
            if thread is not None and thread is not threading.current_thread():
                thread.join(GRACE_SECONDS)
        if (
            self._process is not None
            and self._process.stdout is not None
            and not (self._reader and self._reader.is_alive())
        ):
            self._process.stdout.close()

    def failure(self) -> SubmissionError | None:
        """After its end: what went wrong, or nothing. Raises `InfrastructureError('engine_failed')` for the engine's failures."""
        self._finish()
        if self.verdict is not None:
            return self.verdict
        code, oom, began = self._result()
        if oom or self.usage.reading.oom_kills or self._oom_note.exists():
            if code == 0:
                return None  # a helper process was killed, and the model went on without it
            return SubmissionError(
                "out_of_memory",
                f"the container hit its memory limit and ended with exit code {code}",
                expected=f"at most {self.limits.memory_mb} MiB, /tmp and /dev/shm included",
            )
        printed = self.log.peek()
        if code and (began or code in ENTRY_POINT_ERRORS):
            if not began or any(words in printed for words in INIT_ERRORS):
                return SubmissionError(
                    "crashed", "the image's entry point cannot be started", expected="a program that is in the image"
                )
        elif not began:
            raise InfrastructureError(
                "engine_failed", f"{self.runtime.name} could not start the container: {shell.last_line(printed)}"
            )
        if code == 0:
            return None
        peak = self.usage.reading.peak_bytes or 0
        if code == KILLED and peak > NEAR_LIMIT * self.limits.memory_mb * 2**20:
            # The kernel's count goes with the control group, and the engine's own notice of it is sometimes late.
            return SubmissionError(
                "out_of_memory",
                f"the container was killed with {peak / 2**20:.0f} MiB in use a moment before, most likely at its memory limit",
                expected=f"at most {self.limits.memory_mb} MiB, /tmp and /dev/shm included",
            )
        by = " (killed from inside, the memory limit was not hit)" if code == KILLED else ""
        return SubmissionError("crashed", f"the container ended with exit code {code}{by}", expected="exit code 0")

    def _result(self) -> tuple[int, bool, bool]:
        """Exit code, whether the engine saw the memory limit hit, whether it ever ran."""
        state = self._state()
        began = not str(state.get("StartedAt") or "0001").startswith("0001")
        assert self._process is not None
        code = int(state.get("ExitCode") or 0) if began else int(self._process.returncode or 0)
        return code, bool(state.get("OOMKilled")), began

    def _state(self) -> dict[str, Any]:
        done = shell.call(self.runtime, "inspect", "--type=container", "--format={{json .State}}", self.name)
        state = shell.parse(self.runtime, done.stdout)
        return state if isinstance(state, dict) else {}

    def cost(self, before: Usage | None = None) -> CaseCost:
        """What it has taken since `before`, or since it began."""
        self._look()
        now, then = self.usage, before or self._begin
        mib = 2**20
        cpu, cpu_before = now.reading.cpu_seconds, then.reading.cpu_seconds or 0.0
        return CaseCost(
            peak_memory_mb=None if now.reading.peak_bytes is None else round(now.reading.peak_bytes / mib, 1),
            cpu_seconds=None if cpu is None else round(max(cpu - cpu_before, 0.0), 3),
            gpu_memory_mb=round(now.gpu_peak_bytes / mib, 1) if self.gpu else None,
            gpu_joules=None if now.joules is None or then.joules is None else round(now.joules - then.joules, 1),
        )

    def snapshot(self) -> Usage:
        """The counters of now, to give to `cost` later."""
        self._look()
        return Usage(self.usage.reading, self.usage.gpu_peak_bytes, self.usage.joules)

    def _look(self) -> None:
        if not self._group and self._id:
            self._group = gauge.find_group(self._id)
        reading = gauge.read_group(self._group)
        old = self.usage.reading
        # Nothing can be read once it is gone: the last reading stands.
        self.usage.reading = Reading(
            max(reading.peak_bytes or 0, old.peak_bytes or 0) or None,
            old.cpu_seconds if reading.cpu_seconds is None else reading.cpu_seconds,
            max(reading.oom_kills, old.oom_kills),
        )
        if self.gpu is not None:
            with contextlib.suppress(OSError):
                used = self.gpu.used_bytes() - self.gpu.baseline_bytes
                self.usage.gpu_peak_bytes = max(self.usage.gpu_peak_bytes, used)
                self.usage.joules = self.gpu.joules()

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_SECONDS) and self.alive:
            self._look()
            if self.area.excess():
                self.verdict = SubmissionError(
                    "output_too_large",
                    "/output grew beyond its limit while the model ran",
                    expected=f"at most {self.limits.output_mb} MiB",
                )
            elif self.gpu and 0 < self.limits.gpu_memory_mb * 2**20 < self.usage.gpu_peak_bytes:
                self.verdict = SubmissionError(
                    "out_of_memory",
                    "the GPU's memory limit was hit",
                    expected=f"at most {self.limits.gpu_memory_mb} MiB",
                )
            if self.verdict is not None:
                with contextlib.suppress(InfrastructureError):
                    self.kill()
                return


class Foreground(Container):
    """A container of Apptainer: a process of ours, whose end is the end of the namespaces in it."""

    def _create(self) -> None:
        """Apptainer makes a container when it runs it."""

    def _start_command(self) -> list[str]:
        return commands.create(self.runtime, self.invocation)

    def pid(self) -> int:
        """The first process below ours that has a network of its own."""
        assert self._process is not None
        own = Path("/proc/self/ns/net").readlink()
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop(0)
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/ns/net").readlink() != own:
                    return pid
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text("ascii").split()]
        return 0

    def pause(self) -> None:
        """Raises `InfrastructureError`: Apptainer cannot; its servers are started afresh for each case."""
        raise InfrastructureError("engine_failed", "apptainer cannot hold a container still")

    def stop(self) -> None:
        """TERM to the group, five seconds, KILL; the kernel then ends everything in its process namespace."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if self.alive:
                self._signal(sent)
                self.wait(GRACE_SECONDS)
        self._finish()

    def kill(self) -> None:
        """KILL to the group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _remove(self) -> None:
        if self.alive:
            self.kill()
            self.wait(GRACE_SECONDS)
        self._finish()

    def _result(self) -> tuple[int, bool, bool]:
        assert self._process is not None
        code = self._process.returncode or 0
        code = 128 - code if code < 0 else code
        return code, False, code != 255  # what apptainer itself ends with


def new_container(
    runtime: Runtime, invocation: Invocation, limits: Limits, area: OutputArea, log: CappedLog, gpu: Gpu | None
) -> Container:
    """A container of the kind that the engine has."""
    kind = Foreground if runtime.name == "apptainer" else Container
    return kind(runtime, invocation, limits, area, log, gpu)
