"""The demo from outside: whole, again, killed, and without a registry. Slow: real baselines on real editions."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.command import RADBENCH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

DEMO = [*RADBENCH, "demo", "--task", "mri_to_ct"]


def demo(work: Path, *more: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--work", str(work), *more],
        capture_output=True,
        text=True,
        timeout=2000,
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
    result = demo(whole)
    assert result.returncode == 0, result.stderr
    assert "unchanged since the last run" in result.stdout
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert "listening" not in result.stderr and not re.search(r"^  mri_to_ct: \w+: \d+/\d+$", result.stderr, re.M)


MOMENTS = {
    "preparing": "data/mri_to_ct/.*.partial/inputs/*",
    "running": "store/runs/.*.partial/done/*.json",
    "scoring": "store/runs/[0-9a-f]*/run.json",
}
"""What there is in the workplace once the demo has come so far."""


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGKILL, signal.SIGINT, signal.SIGTERM),
        (signal.SIGINT, signal.SIGTERM, signal.SIGKILL),
        (signal.SIGTERM, signal.SIGKILL, signal.SIGINT),
    ],
)
def test_a_demo_that_was_stopped_goes_on_and_gives_the_same(
    whole: Path, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    scratch.mkdir()
    env = {**os.environ, "TMPDIR": str(scratch), MARK: str(tmp_path)}
    for (moment, pattern), sent in zip(MOMENTS.items(), signals, strict=True):
        with (tmp_path / moment).open("w") as said:
            process = subprocess.Popen([*DEMO, "--work", str(work)], stdout=subprocess.DEVNULL, stderr=said, env=env)
            while not any(work.glob(pattern)):
                assert process.poll() is None, f"it ended before it was {moment}"
                time.sleep(0.01)
            process.send_signal(sent)
            status = process.wait(600)
        text = (tmp_path / moment).read_text()
        assert "Traceback" not in text
        if sent == signal.SIGKILL:
            assert status == -sent
        else:
            assert status == 130 and "it goes on where it stopped" in text
            assert not list(scratch.glob("radbench-scratch-*"))
        deadline = time.monotonic() + 120
        while left := carrying(f"{MARK}={tmp_path}"):
            assert time.monotonic() < deadline, f"{left} outlived the demo that was {moment}"
            time.sleep(0.1)
    result = demo(work, env={"TMPDIR": str(scratch)})
    assert result.returncode == 0, result.stderr
    assert product(work) == product(whole)
    assert not list(work.rglob("*.partial")) and not list(scratch.glob("radbench-scratch-*"))


MARK = "RADBENCH_TEST_MARK"


def carrying(variable: str) -> list[str]:
    """Command lines of the processes that have this in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if line]


def test_without_a_registry_the_demo_goes_on_with_phantoms(tmp_path: Path) -> None:
    env = {"RADBENCH_CACHE": str(tmp_path / "cache"), "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "1"}
    command = [*DEMO[:-1], "denoising", "--work", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, **env})
    assert result.returncode == 0, result.stderr
    assert "Going on with phantoms" in result.stderr
    assert "PHANTOM" in result.stdout and "real images" not in result.stdout
