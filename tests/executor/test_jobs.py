"""Jobs as records: what they need, what they refuse, what they give; and `radbench run`, which uses them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark import dataset, image, inbox, jobs, store
from benchmark.contract import Limits
from benchmark.dataset import Edition
from benchmark.errors import DataError, InfrastructureError, UsageError
from benchmark.executor import Resources
from benchmark.executor.config import ExecutorConfig, load
from benchmark.jobs import RunJob, ScoreJob
from benchmark.tasks import TaskFolder


@pytest.fixture
def job(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> RunJob:
    """A job on the toy task, for an entry that is not there yet."""
    return RunJob(toy.root, toy_edition.root.parents[1], "phantom", tmp_path / "store", entry=tmp_path / "entry")


def place(job: RunJob, requests: str = "") -> inbox.Entry:
    """Write the entry that the job names, without an image."""
    assert job.entry is not None
    manifest = job.entry.with_name("submission.toml")
    manifest.write_text(
        f"""
task = "toy"
task_version = "1"
image = "registry.example/team/image"
digest = "sha256:{"0" * 64}"
contact = "team@hospital.example"
[method]
name = "ours"
title = "Ours"
team = "Team"
description = "Words."
citation = "Words."
licence = "MIT"
[requests]
{requests}
"""
    )
    from benchmark import submission

    entry, _ = inbox.place(manifest, submission.load(manifest), job.entry.parent / "inbox")
    (job.entry.parent / "inbox" / entry.id).rename(job.entry)
    return entry


def test_a_job_can_be_sent(job: RunJob) -> None:
    assert pickle.loads(pickle.dumps(job)) == job
    with pytest.raises(UsageError, match="both or neither"):
        replace(job, baseline="unet")
    with pytest.raises(UsageError, match="both or neither"):
        replace(job, entry=None)


def test_a_container_needs_what_its_limits_allow(job: RunJob) -> None:
    place(job)
    limits = Limits()
    assert jobs.resources(job) == Resources(limits.memory_mb + jobs.HARNESS_MB, limits.cpus, 0)


def test_a_submission_may_ask_for_less_memory_and_a_gpu(job: RunJob) -> None:
    place(job, "memory_mb = 1024\ngpu = true")
    assert jobs.resources(job) == Resources(1024 + jobs.HARNESS_MB, 2.0, 1)
    assert jobs.resources(replace(job, gpu="none")).gpus == 0
    assert jobs.resolve(job).task.limits.memory_mb == 1024


def test_a_submission_that_asks_for_no_gpu_can_be_given_one(job: RunJob) -> None:
    place(job)
    assert jobs.resources(replace(job, gpu="all")).gpus == 1


def test_which_gpu(job: RunJob, monkeypatch: pytest.MonkeyPatch) -> None:
    place(job, "gpu = true")
    resolved = jobs.resolve(job)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert jobs.device(job, resolved) == "all"
    assert jobs.device(replace(job, gpu="2"), resolved) == "2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1, GPU-2")
    assert jobs.device(replace(job, gpu="2"), resolved) == "GPU-1", "what the executor gave to nobody else"
    assert jobs.device(replace(job, gpu="none"), jobs.resolve(replace(job, gpu="none"))) == ""


def test_scoring_needs_memory_by_the_largest_case(toy: TaskFolder, tmp_path: Path) -> None:
    edition = dataset.prepare(tmp_path, toy.task, toy.maker("phantom")(), workers=1)
    score = ScoreJob(toy.root, tmp_path, "phantom", tmp_path / "store", "0" * 20)
    assert jobs.resources(score).memory_mb == jobs.SCORER_MB, "volumes of 480 voxels add nothing"
    # One case of another edition is large: 2 references of 64 × 128 × 128 voxels, and as much again for what is scored.
    for socket in toy.task.references:
        for case, shape in (("c7", (64, 128, 128)), ("c0", (256, 256, 256))):  # c0 is a training case
            path = edition.reference_folder(case) / socket.file(case)
            image.write(path, image.Volume(np.zeros(shape, np.int16)))
    jobs._largest.cache_clear()
    expected = jobs.SCORER_MB + 4 * 2**20 * jobs.SCORER_BYTES // 2**20
    assert jobs.resources(score) == Resources(expected, 1.0, 0)


def test_a_baseline_needs_no_more_than_the_tasks_limit(tmp_path: Path) -> None:
    from benchmark import tasks

    folder = tasks.find("denoising")
    plan = folder.maker("phantom")()
    cases = [case for case in plan.cases if case.case.split == "test"][:1]
    dataset.prepare(tmp_path, folder.task, replace(plan, cases=cases), workers=1)
    job = RunJob(folder.root, tmp_path, plan.info.edition, tmp_path / "store", baseline="unet")
    needs = jobs.resources(job)
    assert jobs.BASELINE_MB <= needs.memory_mb <= folder.task.limits.memory_mb and needs.gpus == 0


def test_what_is_not_there(job: RunJob, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="there is no entry"):
        jobs.run(job)
    with pytest.raises(InfrastructureError, match="sees no folder") as caught:
        jobs.run(replace(job, data=tmp_path / "elsewhere"))
    assert caught.value.code == "worker_unfit" and "Mount" in caught.value.action
    score = ScoreJob(job.task, job.data, "phantom", job.store, "0" * store.KEY_LENGTH)
    with pytest.raises(DataError, match="there is no run"):
        jobs.score(score)
    with pytest.raises(DataError, match="there is no edition"):
        jobs.score(replace(score, edition="other"))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_configuration(tmp_path: Path) -> None:
    assert load(None) == load(tmp_path / "absent.toml") == ExecutorConfig()
    found = load(
        write(
            tmp_path / "a.toml",
            '[executor]\nkind = "dask"\ncluster = "dask_jobqueue.SLURMCluster"\nworkers = 4\nmemory_mb = 64000\ngpus = 1\n'
            '[executor.options]\nqueue = "gpu"\nwalltime = "08:00:00"\n[nightly]\nengine = "podman"\n',
        )
    )
    assert (found.workers, found.gpus_each, found.options["walltime"]) == (4, 1, "08:00:00")
    assert load(write(tmp_path / "b.toml", '[executor]\ngpus = ["0", "GPU-7"]\n')).gpus == ("0", "GPU-7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers = -1", "executor.workers"),
        ("worker = 1", "executor.worker: Extra"),
        ("gpus = -2", "gpus: found -2"),
        ('kind = "ray"', "executor.kind"),
        ('kind = "dask"', "needs either address or cluster"),
        ('kind = "dask"\naddress = "tcp://a:1"\ncluster = "a.B"', "needs either address or cluster"),
        ('kind = "dask"\ncluster = "SLURMCluster"', "expected module.Class"),
        ('kind = "dask"\naddress = "tcp://a:1"\noptions = { a = 1 }', "options: only with cluster"),
        ('kind = "dask"\naddress = "tcp://a:1"\ngpus = ["0"]', "Dask counts them"),
        ('address = "tcp://a:1"', "address: only with kind"),
        ("workers = ", "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "radbench.toml", f"[executor]\n{text}\n")
    with pytest.raises(UsageError) as caught:
        load(path)
    assert said in caught.value.sentence and str(path) in caught.value.sentence
