"""The executor on this machine: what fits runs side by side, what dies is done again, what is interrupted leaves nothing."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import chores
import pytest
from chores import Chore
from dask_cluster import eventually, organiser

from benchmark.errors import InfrastructureError, SubmissionError
from benchmark.executor import ExecutorConfig, Resources, open_executor
from benchmark.executor.admission import Capacity, capacity, memory_here_mb
from benchmark.executor.local import MOST_PASSED, LocalExecutor

SMALL = Resources(100)
BOX = Capacity(memory_mb=1000, cpus=4.0, jobs=4, devices=("3", "GPU-abc"))

Span = tuple[float, float, str]


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans have a moment in common."""
    return one[0] < other[1] and other[0] < one[1]


def local(box: Capacity = BOX, said: list[str] | None = None, **changes: object) -> LocalExecutor:
    config = ExecutorConfig.model_validate(changes)
    return LocalExecutor(config, box=box, say=None if said is None else said.append)


def test_results_errors_and_progress_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, int, int]] = []
    with LocalExecutor(ExecutorConfig(), box=BOX, progress=lambda *what: told.append(what)) as executor:
        squares = [executor.submit(chores.square, n, SMALL) for n in range(6)]
        refused = executor.submit(chores.refuse, "it fell", SMALL)
        blundered = executor.submit(chores.blunder, None, SMALL)
        lost = executor.submit(chores.closure, None, SMALL)
        chat = executor.submit(chores.chat, 2, SMALL)
    assert [future.result(0) for future in squares] == [0, 1, 4, 9, 16, 25]
    error = refused.exception(0)
    assert isinstance(error, SubmissionError)
    assert (error.code, error.found, error.expected, error.action) == ("crashed", "it fell", "peace", "Breathe.")
    bug = blundered.exception(0)
    assert str(bug) == "Awkward: 1 and 2" and "raise Awkward(1, 2)" in bug.__notes__[0]
    assert "cannot be pickled" in str(lost.exception(0))
    assert chat.result(0) == 2 and told == [("chat", 1, 2), ("chat", 2, 2)]
    assert "no message" in capfd.readouterr().err, "what a job prints goes to standard error"


def test_processes_are_used_again() -> None:
    with local(Capacity(1000, 1.0, 1)) as executor:
        pids = {executor.submit(chores.whoami, None, SMALL).result(30)[0] for _ in range(3)}
    assert len(pids) == 1 and os.getpid() not in pids


def test_idle_processes_give_way_to_a_large_job(tmp_path: Path) -> None:
    """What processes without a job still hold, such as a cache, counts: they are ended where a job needs its room."""
    with local(Capacity(1000, 4.0, 4)) as executor:
        spans = [executor.submit(chores.interval, Chore(str(n), tmp_path, 0.5), SMALL) for n in range(3)]
        pids = {executor.submit(chores.whoami, None, SMALL).result(30)[0] for _ in range(1)}
        assert all(future.result(30) for future in spans)
        before = [worker.pid for worker in executor._idle]
        assert len(before) >= 3 and pids <= set(before)
        executor.submit(chores.square, 2, Resources(1000)).result(30)
        assert len(executor._idle) == 1 and executor._idle[0].pid == before[-1]
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_what_a_job_starts_cannot_read_the_next_job() -> None:
    with local() as executor:
        assert executor.submit(chores.child_reads, None, SMALL).result(30) == b""
        assert executor.submit(chores.square, 3, SMALL).result(30) == 9


def test_the_kernel_takes_a_job_before_the_organiser() -> None:
    with local() as executor:
        assert executor.submit(chores.oom_score, None, SMALL).result(30) > int(
            Path("/proc/self/oom_score_adj").read_text()
        )


def test_a_killed_process_costs_its_own_job_only(tmp_path: Path) -> None:
    said: list[str] = []
    with local(said=said, retries=2) as executor:
        beside = executor.submit(chores.interval, Chore("beside", tmp_path, 1.5), SMALL)
        twice = executor.submit(chores.mortal, Chore("twice", tmp_path, deaths=2), SMALL, key="twice")
        always = executor.submit(chores.mortal, Chore("always", tmp_path, deaths=9), SMALL, key="always")
        after = [executor.submit(chores.square, n, SMALL) for n in range(3)]
        assert twice.result(30) == "twice"
        assert [future.result(30) for future in after] == [0, 1, 4]
        error = always.exception(30)
    assert beside.result(0), "the death of others ended it"
    assert isinstance(error, InfrastructureError) and error.code == "worker_lost"
    assert "always" in error.found and "3 times" in error.found and "SIGKILL" in error.found
    assert len(list(tmp_path.glob("twice.*"))) == 3 and len(list(tmp_path.glob("always.*"))) == 3
    assert len(said) == 4 and all("done again, alone" in text for text in said)


def test_a_job_that_died_is_done_again_alone(tmp_path: Path) -> None:
    """The kernel kills for want of memory; with the same neighbours it would do so again."""
    with local(Capacity(1000, 8.0, 8)) as executor:
        executor.submit(chores.square, 1, SMALL).result(30)
        mortal = executor.submit(chores.mortal_interval, Chore("m", tmp_path, 0.3, deaths=1), SMALL)
        others = [executor.submit(chores.interval, Chore(str(n), tmp_path, 0.3), SMALL) for n in range(6)]
        own = mortal.result(30)
        assert not any(overlap(own, other.result(30)) for other in others)


def test_memory_decides_what_runs_side_by_side(tmp_path: Path) -> None:
    """Two of 400 MiB fit into 1000, and run at once, since each waits for another; a third does not."""
    with local(Capacity(1000, 8.0, 8)) as executor:
        names = [f"{kind}{number}" for number in range(3) for kind in ("gpu", "cpu")]
        futures = [executor.submit(chores.meet, Chore(name, tmp_path), Resources(400)) for name in names]
        spans = [future.result(60) for future in futures]
    moments = [begin for begin, _, _ in spans]
    assert max(sum(begin <= moment < end for begin, end, _ in spans) for moment in moments) == 2


def test_a_job_larger_than_the_box_runs_alone(tmp_path: Path) -> None:
    said: list[str] = []
    with local(said=said) as executor:
        small = [executor.submit(chores.interval, Chore(f"s{n}", tmp_path, 0.3), SMALL) for n in range(3)]
        large = executor.submit(chores.interval, Chore("large", tmp_path, 0.3), Resources(5000), key="large")
        after = [executor.submit(chores.interval, Chore(f"a{n}", tmp_path, 0.3), SMALL) for n in range(3)]
        own = large.result(30)
        assert not any(overlap(own, other.result(30)) for other in (*small, *after))
    assert len(said) == 1 and "large needs 5000 MiB, more than the 1000 MiB" in said[0]


def test_scoring_goes_on_beside_the_gpu(tmp_path: Path) -> None:
    """One GPU and one core: a GPU's job and a scorer overlap, since each waits for the other; two GPU jobs do not."""
    with local(Capacity(1000, 2.0, 2, ("3",))) as executor:
        needs = Resources(100, cpus=2, gpus=1)
        gpu = [executor.submit(chores.meet, Chore(f"gpu{n}", tmp_path), needs) for n in (0, 1)]
        cpu = [executor.submit(chores.meet, Chore(f"cpu{n}", tmp_path), SMALL) for n in (0, 1)]
        on_gpu, on_cpu = [future.result(60) for future in gpu], [future.result(60) for future in cpu]
    assert not overlap(*on_gpu)
    assert {span[2] for span in on_gpu} == {"3"} and {span[2] for span in on_cpu} == {""}, "a scorer sees no GPU"


def test_each_gpu_has_one_job(tmp_path: Path) -> None:
    with local() as executor:
        futures = [
            executor.submit(chores.interval, Chore(str(n), tmp_path, 0.3), Resources(100, gpus=1)) for n in range(4)
        ]
        spans = [future.result(30) for future in futures]
    assert {span[2] for span in spans} == {"3", "GPU-abc"}
    assert not any(overlap(a, b) for a, b in itertools.combinations(spans, 2) if a[2] == b[2])


def test_a_gpu_that_is_not_there() -> None:
    with local(Capacity(1000, 2.0, 2)) as executor:
        error = executor.submit(chores.square, 1, Resources(1, gpus=1), key="hungry").exception(5)
    assert isinstance(error, InfrastructureError) and error.code == "worker_unfit"
    assert "hungry needs 1 GPU, and there are 0 here" in error.found


def test_a_large_job_has_its_turn() -> None:
    """While small ones keep coming, one that needs most of the box is not passed over for ever."""
    order: list[str] = []
    with local(Capacity(1000, 2.0, 2)) as executor:
        executor.submit(chores.square, 1, SMALL).result(30)
        small = [executor.submit(chores.nap, 0.05, Resources(300)) for _ in range(2)]
        large = executor.submit(chores.nap, 0.01, Resources(900))
        large.add_done_callback(lambda _: order.append("large"))
        later = [executor.submit(chores.nap, 0.05, Resources(300)) for _ in range(2 * MOST_PASSED)]
        for future in later:
            future.add_done_callback(lambda _: order.append("small"))
    assert all(future.done() for future in (*small, large, *later))
    assert order.index("large") <= MOST_PASSED + 2


def test_an_exception_ends_what_runs_and_forgets_what_waits(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), local(Capacity(1000, 1.0, 1)) as executor:
        running = executor.submit(chores.long, Chore("run", tmp_path, 60), SMALL)
        waiting = executor.submit(chores.long, Chore("wait", tmp_path, 60), SMALL)
        eventually(lambda: (tmp_path / "run.begun").exists())
        raise KeyboardInterrupt
    assert (tmp_path / "run.cleaned").exists() and waiting.cancelled()
    assert isinstance(running.exception(0), InfrastructureError)
    assert not (tmp_path / "wait.begun").exists()
    assert not Path(f"/proc/{(tmp_path / 'run.begun').read_text()}").exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_job_does_not_outlive_the_organiser(sent: signal.Signals, tmp_path: Path) -> None:
    process = organiser("local", tmp_path)
    eventually(lambda: (tmp_path / "asked.begun").exists() and (tmp_path / "asked.begun").read_text())
    worker = (tmp_path / "asked.begun").read_text()
    process.send_signal(sent)
    process.wait(40)
    eventually(lambda: (tmp_path / "asked.cleaned").exists() and not Path(f"/proc/{worker}").exists())


def test_leaving_waits_for_what_was_handed_in(tmp_path: Path) -> None:
    begin = time.monotonic()
    with local() as executor:
        futures = [executor.submit(chores.interval, Chore(str(n), tmp_path, 0.3), SMALL) for n in range(6)]
    assert all(future.done() for future in futures) and time.monotonic() - begin > 0.5
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(chores.square, 1, SMALL)


def test_what_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 2")
    found = capacity(ExecutorConfig())
    assert found.devices == ("1", "2")
    assert 3 <= found.jobs == found.cpus <= len(os.sched_getaffinity(0)) + 2
    assert 0 < found.memory_mb <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert capacity(ExecutorConfig(gpus=1, workers=7, memory_mb=55)) == Capacity(55, 7.0, 7, ("1",))
    assert capacity(ExecutorConfig(gpus=0)).devices == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert capacity(ExecutorConfig()).devices == ()


def test_memory_is_that_of_the_control_group(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    groups, own = tmp_path / "groups", tmp_path / "own"
    inner = groups / "system.slice/night.service"
    inner.mkdir(parents=True)
    own.write_text("0::/system.slice/night.service\n")
    assert memory_here_mb(meminfo, groups, own) == 16384
    (inner / "memory.max").write_text("max\n")
    assert memory_here_mb(meminfo, groups, own) == 16384
    (groups / "system.slice/memory.max").write_text(f"{4 * 2**30}\n")  # a limit further up holds as well
    assert memory_here_mb(meminfo, groups, own) == 4096
    old = groups / "memory/slurm/job_7"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text(f"{2 * 2**30}\n")
    own.write_text("9:memory:/slurm/job_7\n3:cpu,cpuacct:/elsewhere\n")
    assert memory_here_mb(meminfo, groups, own) == 2048


def test_open_executor_is_local_by_default() -> None:
    with open_executor() as executor:
        assert isinstance(executor, LocalExecutor)
        assert executor.submit(chores.square, 3, SMALL).result(30) == 9


def test_a_screen_that_cannot_be_written_to_costs_no_job() -> None:
    """What shows progress may fail; neither this job nor the next one of the same process gets another answer for it."""

    def closed(label: str, done: int, total: int) -> None:
        raise OSError("the terminal is gone")

    with LocalExecutor(ExecutorConfig(), box=Capacity(1000, 1.0, 1), progress=closed) as executor:
        futures = [executor.submit(chores.chat, 2, SMALL), executor.submit(chores.square, 3, SMALL)]
    assert [future.result(0) for future in futures] == [2, 9]
