"""Small jobs for workers' processes: importable there, harmless, each with one way to behave or misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import jobs
from benchmark.errors import SubmissionError
from benchmark.executor import progress
from benchmark.jobs import RunJob


@dataclass(frozen=True)
class Chore:
    """What to do, and a folder to leave marks in."""

    name: str
    folder: Path
    seconds: float = 0.0
    deaths: int = 0
    """How many times it kills its own process before it does its work."""


def square(value: int) -> int:
    """The square."""
    return value * value


def whoami(_: object) -> tuple[int, str | None]:
    """The process and the GPUs that it may see."""
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def chat(value: int) -> int:
    """Print, and tell how far it is."""
    print("a line on standard output that is no message")
    for done in range(1, value + 1):
        progress.report("chat", done, value)
    return value


def refuse(text: str) -> None:
    """Raise a participant's error."""
    raise SubmissionError("crashed", text, expected="peace", action="Breathe.")


class Awkward(Exception):
    """Packs, but does not unpack."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def blunder(_: object) -> None:
    """Raise what cannot cross to another process."""
    raise Awkward(1, 2)


def closure(_: object) -> Any:
    """Return what cannot cross to another process."""
    return lambda: None


def interval(chore: Chore) -> tuple[float, float, str]:
    """Sleep; when it began and ended, by the clock that all processes share, and its GPU."""
    begin = time.monotonic()
    time.sleep(chore.seconds)
    return begin, time.monotonic(), os.environ.get("CUDA_VISIBLE_DEVICES", "")


def mortal(chore: Chore) -> str:
    """Die by KILL as often as asked, then answer. Each try leaves a mark."""
    tries = len(list(chore.folder.glob(f"{chore.name}.*")))
    (chore.folder / f"{chore.name}.{tries}").touch()
    if tries < chore.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(chore.seconds)
    return chore.name


def long(chore: Chore) -> None:
    """Say that it began, and when it is interrupted, that it cleaned up."""
    (chore.folder / f"{chore.name}.begun").write_text(str(os.getpid()))
    try:
        time.sleep(chore.seconds)
    finally:
        (chore.folder / f"{chore.name}.cleaned").touch()


def begun_then(chore: Chore) -> str:
    """The first time as `long`, which must be killed; from the second on the answer at once."""
    if (chore.folder / f"{chore.name}.begun").exists():
        (chore.folder / f"{chore.name}.begun").write_text(str(os.getpid()))
        return "second try"
    long(chore)
    return "first try"


def mortal_interval(chore: Chore) -> tuple[float, float, str]:
    """As `mortal`; the last try as `interval`."""
    mortal(Chore(chore.name, chore.folder, 0, chore.deaths))
    return interval(chore)


def nap(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def slow_run(job: RunJob) -> str:
    """As `jobs.run`, with a pause after each case, in which one can be killed."""
    with progress.listening(lambda *_: time.sleep(0.3)):
        return jobs.run(job)


def child_reads(_: object) -> bytes:
    """What a child of this process finds on standard input."""
    return subprocess.run(["cat"], capture_output=True, timeout=10).stdout


def oom_score(_: object) -> int:
    """How much more than others the kernel wants to kill this process."""
    return int(Path("/proc/self/oom_score_adj").read_text())


def meet(chore: Chore) -> tuple[float, float, str]:
    """Wait until the job of the same number on the other kind of hardware is there too; as `interval`."""
    begin = time.monotonic()
    (chore.folder / chore.name).touch()
    other = chore.folder / chore.name.translate(str.maketrans("gc", "cg"))
    while not other.exists():
        if time.monotonic() - begin > 30:
            raise TimeoutError(f"{other.name} did not come while {chore.name} ran")
        time.sleep(0.02)
    return begin, time.monotonic(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
