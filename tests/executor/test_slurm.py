"""Slurm: the job scripts that dask-jobqueue writes for a configuration, and jobs that a real small Slurm runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import chores
import pytest
import tiny_slurm
from chores import Chore
from dask_cluster import HERE, eventually

from benchmark.errors import InfrastructureError, UsageError
from benchmark.executor import ExecutorConfig, Resources, open_executor
from benchmark.executor.config import parse
from benchmark.executor.options import started


def script(**changes: object) -> tuple[str, list[str]]:
    """The script that sbatch would be given, and what the organiser is told."""
    from dask_jobqueue.slurm import SLURMJob

    config = parse({"kind": "dask", "cluster": "dask_jobqueue.SLURMCluster", **changes}, "here")
    options, remarks = started(config)
    return SLURMJob(scheduler="tcp://head:8786", name="w", **options).job_script(), remarks


def test_the_script_asks_for_what_jobs_need_and_declares_it() -> None:
    text, remarks = script(
        memory_mb=32768,
        gpus=1,
        options={"cores": 8, "queue": "gpu", "account": "radiology", "walltime": "08:00:00"},
    )
    directives = re.findall(r"^#SBATCH (.*)$", text, re.M)
    for wanted in ("--mem=32G", "--cpus-per-task=8", "--gres=gpu:1", "-p gpu", "-A radiology", "-t 08:00:00", "-n 1"):
        assert wanted in directives, f"{wanted} is not in {directives}"
    command = text.strip().splitlines()[-1]
    assert command.startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://head:8786")
    # A tenth of the memory is left to the worker itself; all that a job may take is declared, in bytes.
    declared = re.search(r"--resources (\S+)", command)
    assert declared and declared[1] == f"GPU=1,MEMORY={int(32768 * 2**20 * 0.9)},CPU=8"
    assert "--nthreads 8" in command and "--nworkers" not in command
    assert remarks == []


def test_the_script_without_a_gpu() -> None:
    text, remarks = script(memory_mb=2048)
    assert "gres" not in text and "GPU" not in text and "--mem=2G" in text
    assert "30 minutes" in remarks[0]


def test_what_the_organiser_says_is_kept() -> None:
    text, _ = script(
        gpus=2,
        options={
            "cores": 4,
            "memory": "10GiB",
            "processes": 2,
            "python": "/opt/python",
            "walltime": "1",
            "job_extra_directives": ["--gpus-per-node=a100:2"],
            "worker_extra_args": ["--local-directory", "/scratch"],
        },
    )
    assert "#SBATCH --gpus-per-node=a100:2" in text and "gres" not in text
    assert "/opt/python -m" in text and "--local-directory /scratch" in text and "--mem=10G" in text
    assert f"MEMORY={int(5 * 2**30 * 0.9)},CPU=2" in text, "of two workers in a job, each has half"


def test_other_queues_are_told_that_a_gpu_must_be_asked_for() -> None:
    config = ExecutorConfig(kind="dask", cluster="dask_jobqueue.PBSCluster", gpus=1, memory_mb=1000)
    _, remarks = started(config)
    assert any("job_extra_directives" in remark for remark in remarks)


def test_kubernetes() -> None:
    config = ExecutorConfig(
        kind="dask",
        cluster="dask_kubernetes.operator.KubeCluster",
        gpus=1,
        memory_mb=1000,
        workers=3,
        options={"image": "registry.example/radbench"},
    )
    options, _ = started(config)
    assert options == {
        "image": "registry.example/radbench",
        "n_workers": 3,
        "worker_command": ["dask", "worker", "--resources", f"GPU=1,MEMORY={int(1000 * 2**20 * 0.9)}"],
        "resources": {
            "requests": {"memory": "1000Mi", "nvidia.com/gpu": 1},
            "limits": {"memory": "1000Mi", "nvidia.com/gpu": 1},
        },
    }


def wrong_option() -> ExecutorConfig:
    content = {
        "kind": "dask",
        "cluster": "dask_jobqueue.SLURMCluster",
        "options": {"no_such_option": 1, "memory": "1GB"},
    }
    return parse(content, "here")


def test_an_option_that_the_class_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(UsageError, match="no_such_option"), open_executor(wrong_option()):
        pass


def test_a_machine_that_cannot_submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match="needs the command sbatch") as caught, open_executor(wrong_option()):
        pass
    assert caught.value.code == "cluster_lost" and "login node" in caught.value.action


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real Slurm with one node of four cores and one GPU that is none."""
    if why := tiny_slurm.missing():
        pytest.skip(f"NO SLURM: {why}")
    folder = tmp_path_factory.mktemp("slurm")
    with tiny_slurm.running(folder):
        yield folder


def on_slurm(folder: Path, **changes: object) -> ExecutorConfig:
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    options = {
        "cores": 2,
        "walltime": "00:10:00",
        "queue": "night",
        "log_directory": str(folder),
        "local_directory": str(folder),
        "job_script_prologue": [f"export PYTHONPATH={paths}"],
        "interface": "lo",
    }
    content = {"kind": "dask", "cluster": "dask_jobqueue.SLURMCluster", "memory_mb": 1500, "options": options}
    return parse({**content, **changes}, "here")


@pytest.mark.slurm
def test_jobs_on_a_real_slurm(slurm: Path, tmp_path: Path) -> None:
    """Workers come through the queue, with the GPU; jobs are done; afterwards the queue is empty."""
    with open_executor(on_slurm(slurm, gpus=1)) as executor:
        needs = Resources(100, gpus=1)
        squares = [executor.submit(chores.square, n, needs) for n in range(3)]
        assert [future.result(90) for future in squares] == [0, 1, 4]
        queue = subprocess.run(["squeue", "-h", "-o", "%T %m %C %b"], capture_output=True, text=True).stdout
        assert queue.split() == ["RUNNING", "2G", "2", "gres:gpu:1"]  # jobqueue rounds memory up
        pid, gpu = executor.submit(chores.whoami, None, needs).result(30)
        assert gpu == "0" and pid != os.getpid()
    eventually(lambda: not subprocess.run(["squeue", "-h"], capture_output=True).stdout, 30)


@pytest.mark.slurm
def test_a_queue_that_refuses_is_said_in_words(slurm: Path) -> None:
    changed = on_slurm(slurm)
    wrong = changed.model_copy(update={"options": {**changed.options, "queue": "nowhere"}})
    with pytest.raises(InfrastructureError, match="invalid partition") as caught, open_executor(wrong):
        pass
    assert caught.value.code == "cluster_lost"


@pytest.mark.slurm
def test_a_slurm_job_that_is_cancelled_costs_nothing(slurm: Path, tmp_path: Path) -> None:
    """`scancel` of the worker in mid-task, as at the end of its walltime: the other worker does the job again."""
    with open_executor(on_slurm(slurm, workers=2)) as executor:
        future = executor.submit(chores.begun_then, Chore("slow", tmp_path, 80), Resources(100, cpus=2))
        eventually(lambda: (tmp_path / "slow.begun").exists(), 90)
        first = int((tmp_path / "slow.begun").read_text())
        jobs = subprocess.run(["squeue", "-h", "-o", "%A"], capture_output=True, text=True).stdout.split()
        of_worker = next(job for job in jobs if _runs_in(first, job))
        subprocess.run(["scancel", "--signal=KILL", of_worker], check=True)
        assert future.result(90) == "second try"
        eventually(lambda: not Path(f"/proc/{first}").exists(), 40)


def _runs_in(pid: int, job: str) -> bool:
    """Whether a process has the environment of that Slurm job."""
    return f"SLURM_JOB_ID={job}\0" in Path(f"/proc/{pid}/environ").read_text() + "\0"
