"""`radbench run --submission`: an entry of the inbox by hand, in a real engine, by the executor's processes; and what is left when they
are ended or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import dataset
from benchmark.container.commands import OWNER_LABEL
from benchmark.tasks import TaskFolder
from tests.container.base import podman, python_image, taken_in

pytestmark = pytest.mark.usefixtures("clean")

COPY = """
import pathlib, shutil, time
time.sleep({seconds})
for path in pathlib.Path("/input/images/noisy").glob("*.mha"):
    target = pathlib.Path("/output/images/clean")
    target.mkdir(parents=True)
    shutil.copyfile(path, target / path.name)
"""


@pytest.fixture
def place(tmp_path: Path, toy: TaskFolder) -> Path:
    """A work folder with the toy task's edition."""
    dataset.prepare(tmp_path / "work/data", toy.task, toy.maker("phantom")(), workers=1)
    return tmp_path / "work"


def manifest(place: Path, name: str, image: str, digest: str) -> Path:
    """Write a manifest for an image in the engine's store."""
    path = place / f"{name}.toml"
    path.write_text(
        f'task = "toy"\ntask_version = "1"\nimage = "{image}"\ndigest = "{digest}"\ncontact = "them@there.example"\n'
        f'[method]\nname = "{name}"\ntitle = "{name}"\nteam = "Team"\ndescription = "Copies."\ncitation = "None."\nlicence = "MIT"\n'
        "[requests]\nmemory_mb = 256\n"
    )
    return path


def command(place: Path, toy: TaskFolder, *arguments: str) -> list[str]:
    options = ["--tasks", str(toy.root.parent), "--work", str(place), "--engine", "podman", "--workers", "2"]
    return [str(Path(sys.executable).with_name("radbench")), "run", "toy", *options, *arguments]


def run(place: Path, toy: TaskFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(place, toy, *arguments), capture_output=True, text=True, timeout=120)


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.1)


def workers(pid: int) -> list[int]:
    """The executor's processes of this radbench."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", "benchmark.executor.serve"], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def containers(pids: list[int]) -> list[str]:
    """Containers of these processes."""
    listed = podman("ps", "--all", f'--format={{{{.Names}}}} {{{{index .Labels "{OWNER_LABEL}"}}}}').splitlines()
    return [line.split()[0] for line in listed if line.split()[-1].split(".")[0] in map(str, pids)]


def start(place: Path, toy: TaskFolder, path: Path) -> subprocess.Popen[str]:
    """`radbench run` in the background, where it can be interrupted all the same."""
    return subprocess.Popen(
        command(place, toy, "--submission", str(path), "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_by_manifest_by_name_and_beside_a_refused_one(place: Path, toy: TaskFolder) -> None:
    image = python_image("copy-noisy", COPY.format(seconds=0))
    digest = taken_in(image).digest
    first = run(place, toy, "--submission", str(manifest(place, "ours", image, digest)), "--json")
    assert first.returncode == 0, first.stderr
    rows = json.loads(first.stdout)["rows"]
    assert [row["method"]["name"] for row in rows] == ["ours"]
    kept = sorted((place / "store").glob("*/[!.]*/*.json"))
    times = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 6, kept

    # Again by its name: nothing is run, nothing is written. Another manifest is refused, and costs the first nothing.
    bad = manifest(place, "changed", image, f"sha256:{'0' * 64}")
    second = run(place, toy, "--submission", "ours", "--submission", str(bad), "--json")
    assert second.returncode == 3, second.stderr
    assert "changed: submission error [image_changed]" in second.stderr
    assert json.loads(second.stdout) == json.loads(first.stdout)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert sorted((place / "store").glob("*/[!.]*/*.json")) == kept


def test_a_killed_worker_is_made_up_for(place: Path, toy: TaskFolder) -> None:
    """SIGKILL to the process that has a container: the next one removes the container, goes on at that case, and all is there once."""
    image = python_image("copy-noisy-slowly", COPY.format(seconds=1.5))
    path = manifest(place, "ours", image, taken_in(image).digest)
    process = start(place, toy, path)
    runs = place / "store/runs"
    eventually(lambda: list(runs.glob(".*.partial/done/c*.json")) and containers(workers(process.pid)))
    done = {path: path.stat().st_mtime_ns for path in runs.glob(".*.partial/done/c*.json")}
    (worker,) = workers(process.pid)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: workers(process.pid) not in ([], [worker]))
    assert all(path.stat().st_mtime_ns == when for path, when in done.items() if path.exists()), "a case was run twice"
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "its worker was lost" in err
    assert [row["method"]["name"] for row in json.loads(out)["rows"]] == ["ours"]
    assert len(list(runs.glob("[!.]*"))) == 1 and not list(runs.glob(".*.partial"))


@pytest.mark.parametrize("sent", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, signal.SIGKILL])
def test_an_end_from_outside_leaves_nothing(place: Path, toy: TaskFolder, sent: signal.Signals) -> None:
    image = python_image("copy-noisy-never", COPY.format(seconds=600))
    path = manifest(place, "ours", image, taken_in(image).digest)
    process = start(place, toy, path)
    eventually(lambda: containers(workers(process.pid)))
    (worker,) = workers(process.pid)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    if sent != signal.SIGKILL:
        assert process.returncode == 130 and "it goes on where it stopped" in err
    eventually(lambda: not Path(f"/proc/{worker}").exists())
    assert not containers([worker])
