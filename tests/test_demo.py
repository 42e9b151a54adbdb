"""The demo from outside: whole, again, killed, and without a registry. Slow: real baselines on real editions."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.command import RADBENCH

pytestmark = pytest.mark.slow

DEMO = [*RADBENCH, "demo", "--task", "mri_to_ct"]


def demo(work: Path, *more: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--work", str(work), *more],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **(env or {})},
    )


def product(work: Path) -> dict[str, bytes]:
    """What must not depend on interruptions: data, predictions, scores and site; times and keys made of them aside."""
    files = {}
    for pattern in ("data/**/*", "store/runs/*/predictions/**/*", "store/scores/*/cases.csv"):
        for path in work.glob(pattern):
            if path.is_file() and not path.name.endswith(".lock"):
                files[path.relative_to(work).as_posix()] = path.read_bytes()
    return files


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("whole")
    result = demo(work)
    assert result.returncode == 0, result.stderr
    assert "PHANTOM" in result.stdout and "phantom results" in result.stdout
    assert str(work / "site" / "index.html") in result.stdout
    return work


def test_a_second_demo_reuses_everything(whole: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file() and not p.name.endswith(".lock")}
    begin = time.monotonic()
    result = demo(whole)
    assert result.returncode == 0, result.stderr
    assert "unchanged since the last run" in result.stdout
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("seconds", [3, 12, 25])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_demo_run_again_gives_the_same(whole: Path, tmp_path: Path, seconds: float, sent: int) -> None:
    process = subprocess.Popen([*DEMO, "--work", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(sent)
    process.wait(60)
    result = demo(tmp_path)
    assert result.returncode == 0, result.stderr
    assert product(tmp_path) == product(whole)
    assert not list(tmp_path.rglob("*.partial"))


def test_without_a_registry_the_demo_goes_on_with_phantoms(tmp_path: Path) -> None:
    env = {"RADBENCH_CACHE": str(tmp_path / "cache"), "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "1"}
    command = [*DEMO[:-1], "denoising", "--work", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, **env})
    assert result.returncode == 0, result.stderr
    assert "Going on with phantoms" in result.stderr
    assert "PHANTOM" in result.stdout and "real images" not in result.stdout
