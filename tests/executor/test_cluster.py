"""The executor on a real Dask cluster of several processes: results, errors, GPUs, deaths, lost connections."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from pathlib import Path

import chores
import pytest
from chores import Chore
from dask_cluster import DaskCluster, eventually, organiser

from benchmark.errors import InfrastructureError, SubmissionError, UsageError
from benchmark.executor import ExecutorConfig, Resources, open_executor
from benchmark.executor.cluster import fitting

SMALL = Resources(100)


def config(cluster: DaskCluster, **changes: object) -> ExecutorConfig:
    return ExecutorConfig.model_validate({"kind": "dask", "address": cluster.address, **changes})


def test_results_errors_and_progress_come_back(calm: DaskCluster) -> None:
    told: list[tuple[str, int, int]] = []
    with open_executor(config(calm), progress=lambda *what: told.append(what)) as executor:
        squares = [executor.submit(chores.square, n, SMALL) for n in range(6)]
        refused = executor.submit(chores.refuse, "it fell", SMALL)
        blundered = executor.submit(chores.blunder, None, SMALL)
        chat = executor.submit(chores.chat, 2, SMALL)
        assert [future.result(60) for future in squares] == [0, 1, 4, 9, 16, 25]
        error = refused.exception(60)
        assert isinstance(error, SubmissionError)
        assert (error.code, error.found, error.expected, error.action) == ("crashed", "it fell", "peace", "Breathe.")
        assert str(blundered.exception(60)) == "Awkward: 1 and 2"
        assert chat.result(60) == 2
        eventually(lambda: len(told) == 2)
    assert told == [("chat", 1, 2), ("chat", 2, 2)]


def test_gpus_are_given_one_by_one(calm: DaskCluster, tmp_path: Path) -> None:
    with open_executor(config(calm)) as executor:
        needs = Resources(100, gpus=1)
        futures = [executor.submit(chores.interval, Chore(str(n), tmp_path, 0.4), needs) for n in range(4)]
        without = executor.submit(chores.interval, Chore("cpu", tmp_path), SMALL)
        spans = [future.result(60) for future in futures]
        assert without.result(60)[2] == ""
    assert {device for _, _, device in spans} == {"5", "7"}
    for device in ("5", "7"):
        own = sorted((begin, end) for begin, end, used in spans if used == device)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(own)), "two jobs on one GPU"


def test_a_job_whose_process_is_killed_is_done_again(calm: DaskCluster, tmp_path: Path) -> None:
    said: list[str] = []
    with open_executor(config(calm, retries=1), say=said.append) as executor:
        once = executor.submit(chores.mortal, Chore("once", tmp_path, deaths=1), SMALL, key="once")
        always = executor.submit(chores.mortal, Chore("always", tmp_path, deaths=9), SMALL, key="always")
        assert once.result(60) == "once"
        error = always.exception(60)
    assert isinstance(error, InfrastructureError) and error.code == "worker_lost"
    assert "SIGKILL" in error.found and "always" in error.found
    assert len(list(tmp_path.glob("always.*"))) == 2, "a retry more or less than was asked for"
    assert any("once" in text for text in said)


def test_a_killed_worker_costs_nothing(dask: DaskCluster, tmp_path: Path) -> None:
    """SIGKILL to a worker in mid-task: its job is interrupted, cleans up, and is done by the other worker."""
    dask.add(1)
    with open_executor(config(dask)) as executor:
        future = executor.submit(chores.begun_then, Chore("slow", tmp_path, 60), Resources(100, cpus=4))
        eventually(lambda: (tmp_path / "slow.begun").exists())
        first = int((tmp_path / "slow.begun").read_text())
        dask.add(1)
        assert not future.done()
        dask.kill(dask.workers[0])
        eventually(lambda: (tmp_path / "slow.cleaned").exists())
        eventually(lambda: not Path(f"/proc/{first}").exists())
        assert future.result(60) == "second try"
    assert int((tmp_path / "slow.begun").read_text()) != first


def test_a_lost_scheduler_is_said_in_words(dask: DaskCluster, tmp_path: Path) -> None:
    dask.add(1)
    with open_executor(config(dask, wait_seconds=3)) as executor:
        future = executor.submit(chores.long, Chore("left", tmp_path, 60), SMALL)
        eventually(lambda: (tmp_path / "left.begun").exists())
        assert dask.scheduler is not None
        dask.kill(dask.scheduler)
        error = future.exception(30)
        assert isinstance(error, InfrastructureError) and error.code == "cluster_lost"
        assert dask.address in error.found
        later = executor.submit(chores.square, 2, SMALL).exception(30)
        assert isinstance(later, InfrastructureError) and later.code == "cluster_lost"


def test_no_scheduler_is_said_in_words() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with (
            pytest.raises(InfrastructureError, match="Dask scheduler at") as caught,
            open_executor(ExecutorConfig(kind="dask", address=address, wait_seconds=1)),
        ):
            pass
    assert caught.value.code == "cluster_lost" and address in caught.value.found


def test_an_exception_takes_back_what_runs(calm: DaskCluster, tmp_path: Path) -> None:
    """Ctrl-C at the organiser's: workers interrupt the job, with its containers, and are free for others."""
    with pytest.raises(KeyboardInterrupt), open_executor(config(calm)) as executor:
        future = executor.submit(chores.long, Chore("taken", tmp_path, 60), SMALL)
        eventually(lambda: (tmp_path / "taken.begun").exists())
        raise KeyboardInterrupt
    eventually(lambda: (tmp_path / "taken.cleaned").exists())
    assert isinstance(future.exception(5), InfrastructureError)


def test_a_killed_organiser_takes_back_what_runs(calm: DaskCluster, tmp_path: Path) -> None:
    """The scheduler notices that nobody wants the result any more."""
    child = organiser(calm.address, tmp_path)
    eventually(lambda: (tmp_path / "asked.begun").exists(), 60)
    child.kill()
    child.wait()
    eventually(lambda: (tmp_path / "asked.cleaned").exists(), 60)


def test_a_gpu_that_no_worker_has(dask: DaskCluster) -> None:
    dask.add(1)
    with open_executor(config(dask)) as executor:
        error = executor.submit(chores.square, 3, Resources(100, gpus=1), key="hungry").exception(30)
        assert isinstance(error, InfrastructureError) and error.code == "worker_unfit"
        assert "hungry needs a GPU" in error.found


def test_another_version_on_the_worker(calm: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.executor.remote.version", lambda: "another")
    with open_executor(config(calm)) as executor:
        error = executor.submit(chores.square, 3, SMALL).exception(30)
    assert isinstance(error, InfrastructureError) and error.code == "worker_unfit" and "same version" in error.action


def test_what_is_asked_of_dask() -> None:
    free = ExecutorConfig(kind="dask", address="tcp://somewhere:1")
    said: list[str] = []
    workers = [{"MEMORY": 4 * 2.0**30, "GPU": 1.0}, {"MEMORY": 8 * 2.0**30}]
    assert fitting(Resources(1024, cpus=2), workers, "a", said.append, free) == {"MEMORY": 2.0**30}
    assert fitting(Resources(1024, gpus=1), workers, "b", said.append, free) == {"GPU": 1.0, "MEMORY": 2.0**30}
    assert not said
    assert fitting(Resources(99999), workers, "c", said.append, free) == {"MEMORY": 8 * 2.0**30}
    assert "c needs 99999 MiB" in said[0] and "8192 MiB" in said[0]
    assert fitting(Resources(99999, cpus=9), [{}], "d", said.append, free) == {}
    with pytest.raises(InfrastructureError, match="none of the 1 workers"):
        fitting(Resources(1, gpus=1), [{}], "e", said.append, free)
    # No worker has come up yet: a GPU is asked for all the same, and the memory that each worker will have.
    ours = ExecutorConfig(kind="dask", cluster="distributed.LocalCluster", memory_mb=2048)
    assert fitting(Resources(1024, gpus=1), [], "f", said.append, ours) == {"GPU": 1.0, "MEMORY": 2.0**30}


def test_a_cluster_by_class() -> None:
    started = ExecutorConfig(kind="dask", cluster="distributed.LocalCluster", workers=1, memory_mb=2000)
    with open_executor(started) as executor:
        before = threading.active_count()
        assert executor.submit(chores.square, 7, Resources(100)).result(60) == 49
        pid, _ = executor.submit(chores.whoami, None, Resources(100)).result(60)
        assert pid != os.getpid() and before
    eventually(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    ("cluster", "options", "code"),
    [
        ("no_such_package.Cluster", {}, "missing_extra"),
        ("distributed.NoSuchCluster", {}, "bad_value"),
    ],
)
def test_a_cluster_that_cannot_be_started(cluster: str, options: dict[str, object], code: str) -> None:
    with (
        pytest.raises((InfrastructureError, UsageError)) as caught,
        open_executor(ExecutorConfig(kind="dask", cluster=cluster, options=options)),
    ):
        pass
    assert caught.value.code == code


def test_leaving_waits_for_what_was_handed_in(calm: DaskCluster, tmp_path: Path) -> None:
    begin = time.monotonic()
    with open_executor(config(calm)) as executor:
        future = executor.submit(chores.interval, Chore("wait", tmp_path, 0.5), SMALL)
    assert future.done() and time.monotonic() - begin > 0.5
