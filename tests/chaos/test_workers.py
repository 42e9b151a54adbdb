"""The real command with real workers: a worker is killed in mid-run and one in mid-score, then the night; nothing is left or lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.ledger import Ledger, verify
from benchmark.store.check import check
from tests.chaos.places import MARK, processes
from tests.command import ONE_MODEL, RADBENCH

CONFIG = f"""{ONE_MODEL}
[executor]
workers = 1
"""


def radbench(work: Path, *words: str) -> list[str]:
    return [*RADBENCH, *words, "--work", str(work)]


def until(what: Callable[[], object], night: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 90
    while not what():
        assert night.poll() is None, "the night ended before"
        assert time.monotonic() < end
        time.sleep(0.02)


def workers(work: Path) -> list[int]:
    """Processes that do a job of the night in that folder."""
    return [int(line.split()[0]) for line in processes(work) if "benchmark.executor.serve" in line]


def scoring(work: Path) -> bool:
    with contextlib.suppress(StopIteration, OSError):
        log = next((work / "nights").glob("*/night.log")).read_text()
        return "score denoising" in log and not list((work / "store/scores").glob("[!.]*"))
    return False


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_workers_are_killed_and_then_the_night(tmp_path: Path) -> None:
    environment = {**os.environ, MARK: str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run(radbench(tmp_path, "prepare", "denoising", "--size", "32"), check=True, timeout=100, env=environment)
    (tmp_path / "radbench.toml").write_text(CONFIG)
    night = subprocess.Popen(
        radbench(tmp_path, "nightly"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    until(lambda: len(list(tmp_path.glob("store/runs/.*.partial/done/*.json"))) >= 3, night)
    (worker,) = workers(tmp_path)
    os.kill(worker, signal.SIGKILL)
    until(lambda: scoring(tmp_path) and workers(tmp_path), night)
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    until(lambda: list((tmp_path / "store/scores").glob("[!.]*")), night)
    night.kill()
    out, _ = night.communicate(timeout=60)
    assert out.count("its worker was lost") == 2, out
    end = time.monotonic() + 40
    while processes(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes(tmp_path) == []
    done = subprocess.run(radbench(tmp_path, "nightly"), capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0 and "Took over from radbench nightly" in done.stdout, done.stdout + done.stderr
    kinds = [line.kind for line in Ledger(tmp_path / "ledger.jsonl").entries()]
    assert [kinds.count(kind) for kind in ("run_finished", "scored", "published")] == [1, 1, 1]
    assert verify(tmp_path / "ledger.jsonl") == [] and check(tmp_path / "store").findings == ()
    assert not list(tmp_path.rglob("*.partial*"))
    found = subprocess.run(
        [*RADBENCH, "verify", str(tmp_path / "site"), "--json"], capture_output=True, text=True, timeout=100
    )
    assert found.returncode == 0, found.stdout + found.stderr
    idle = subprocess.run(
        radbench(tmp_path, "nightly", "--json"), capture_output=True, text=True, timeout=100, env=environment
    )
    assert idle.returncode == 0 and json.loads(idle.stdout)["planned"] == {}
