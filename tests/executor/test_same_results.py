"""Real runs and scores are the same bytes wherever they are made, also when workers are killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import chores
import pytest
from dask_cluster import DaskCluster, eventually

from benchmark import dataset, jobs, tasks
from benchmark.executor import Executor, ExecutorConfig, open_executor
from benchmark.jobs import RunJob, ScoreJob

TASK = "mri_to_ct"
BASELINES = ("classical-water", "classical")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of editions, with small phantoms."""
    root = tmp_path_factory.mktemp("data")
    folder = tasks.find(TASK)
    plan = folder.maker("phantom")(size=32)
    few = [case for split in ("canary", "test") for case in [c for c in plan.cases if c.case.split == split][:9]]
    dataset.prepare(root, folder.task, replace(plan, cases=few), workers=1)
    return root


def run_job(data: Path, store: Path, baseline: str) -> RunJob:
    return RunJob(tasks.find(TASK).root, data, "phantom-32", store, baseline=baseline)


def score_job(job: RunJob, run: str) -> ScoreJob:
    return ScoreJob(job.task, job.data, job.edition, job.store, run)


def fill(executor: Executor, data: Path, store: Path) -> None:
    """Run and score everything on an executor."""
    runs = [run_job(data, store, name) for name in BASELINES]
    keys = [executor.submit(jobs.run, job, jobs.resources(job)) for job in runs]
    scores = [score_job(job, key.result(100)) for job, key in zip(runs, keys, strict=True)]
    for future in [executor.submit(jobs.score, job, jobs.resources(job)) for job in scores]:
        future.result(100)


def content(store: Path) -> dict[str, Any]:
    """Every file of a store but locks; of `run.json` without times and machine, of logs only the open messages."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        name = path.relative_to(store).as_posix()
        if path.name.endswith(".lock") or path.name == "model.log":
            continue
        if path.name == "run.json":
            record = json.loads(path.read_bytes())
            for key in ("cost", "start_seconds", "hardware"):
                del record[key]
            for case in record["cases"]:
                del case["seconds"], case["cost"]
            found[name] = record
        elif path.name == "files.json" and name.startswith("runs/"):
            listed = json.loads(path.read_bytes())
            for timed in ("run.json", "logs/model.log"):  # hashes of times
                del listed["files"][timed]
            found[name] = listed
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A store that was filled in this very process, without any executor."""
    store = tmp_path_factory.mktemp("alone") / "store"
    for name in BASELINES:
        job = run_job(data, store, name)
        jobs.score(score_job(job, jobs.run(job)))
    found = content(store)
    assert sum(name.startswith("runs/") and name.endswith("run.json") for name in found) == 2
    assert sum(name.endswith("cases.csv") for name in found) == 2
    assert sum(name.endswith(".mha") for name in found) == 2 * 12
    return found


def test_on_this_machine(data: Path, alone: dict[str, Any], tmp_path: Path) -> None:
    with open_executor() as executor:
        fill(executor, data, tmp_path / "store")
    assert content(tmp_path / "store") == alone


def test_on_dask(data: Path, alone: dict[str, Any], calm: DaskCluster, tmp_path: Path) -> None:
    with open_executor(ExecutorConfig(kind="dask", address=calm.address)) as executor:
        fill(executor, data, tmp_path / "store")
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.json")}
        fill(executor, data, tmp_path / "store")
    assert content(tmp_path / "store") == alone
    assert before == {path: path.stat().st_mtime_ns for path in before}, "what was there was made again"


@pytest.mark.slow
def test_on_dask_with_workers_killed_in_mid_task(
    data: Path, alone: dict[str, Any], dask: DaskCluster, tmp_path: Path
) -> None:
    """One worker is killed by SIGKILL after some cases, and of the other the process that has the job; a third comes."""
    store = tmp_path / "store"
    dask.add(2, threads=1)  # so that each has one of the two
    with open_executor(ExecutorConfig(kind="dask", address=dask.address, retries=2)) as executor:
        runs = [run_job(data, store, name) for name in BASELINES]
        futures = [executor.submit(chores.slow_run, job, jobs.resources(job)) for job in runs]
        eventually(lambda: len(list(store.glob("runs/.*.partial/done/*.json"))) >= 3)
        dask.kill(dask.workers[0])
        eventually(lambda: _children(dask.workers[1].pid))
        os.kill(_children(dask.workers[1].pid)[0], signal.SIGKILL)
        assert not any(future.done() for future in futures)
        dask.add(1, threads=1)
        for job, future in zip(runs, futures, strict=True):
            after = score_job(job, future.result(100))
            executor.submit(jobs.score, after, jobs.resources(after)).result(100)
    assert content(store) == alone
    assert not list(store.glob("runs/.*.partial")), "nothing half-done is left"


def _children(pid: int) -> list[int]:
    """Processes that this one started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in found.split()]
