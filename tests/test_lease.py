"""The lease with real processes: one holder at a time, the dead one's place taken over, whatever the clocks say."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmark import lease
from benchmark.errors import InfrastructureError
from benchmark.lease import Surroundings

HOLD = """
import sys, time
from pathlib import Path
from benchmark import lease
with lease.hold(Path(sys.argv[1]), "other", beat_every=0.05) as held:
    print(held.took_over or "free", flush=True)
    time.sleep(60)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.said = process.stdout.readline().strip()  # type: ignore[attr-defined]
    return process


def test_free_held_given_back(tmp_path: Path) -> None:
    assert lease.holder(tmp_path) is None
    for _ in range(8):
        with lease.hold(tmp_path, "night") as held:
            assert held.took_over == "" and lease.holder(tmp_path) == held.owner
            held.check()
        assert lease.holder(tmp_path) is None
    assert len(list((tmp_path / lease.FOLDER).glob("*.holder"))) <= lease.KEEP + 1


def test_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lease.hold(tmp_path):
        raise ZeroDivisionError
    with lease.hold(tmp_path) as held:
        assert not held.took_over


def test_a_living_process_is_busy_and_a_killed_one_is_taken_over(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.said == "free"  # type: ignore[attr-defined]
    with pytest.raises(InfrastructureError) as caught, lease.hold(tmp_path):
        pass
    assert caught.value.code == "busy"
    assert f"other (process {process.pid} on " in str(caught.value) and "since 20" in str(caught.value)
    process.send_signal(signal.SIGKILL)
    # Not waited for: a process that has ended but was not reaped is gone too.
    while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.01)
    with lease.hold(tmp_path) as held:
        assert f"process {process.pid}" in held.took_over and "is gone" in held.took_over
    process.wait()
    with lease.hold(tmp_path) as held:
        assert held.took_over == ""


def test_another_process_with_the_same_id_is_not_the_holder(tmp_path: Path) -> None:
    """Process ids are used again: this very process has the id of a holder that started at another time."""
    around = Surroundings()
    with lease.hold(tmp_path, around=replace(around, process=lambda pid: "17")):
        with pytest.raises(InfrastructureError), lease.hold(tmp_path, around=replace(around, process=lambda pid: "17")):
            pass
        with lease.hold(tmp_path) as held:
            assert "another one has the id" in held.took_over


CONTEND = """
import os, sys, time
from pathlib import Path
from benchmark import lease
from benchmark.errors import InfrastructureError
folder, who, until = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
won = 0
while time.monotonic() < until:
    try:
        with lease.hold(folder, who, beat_every=5):
            try:
                mark = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails when two are inside
            except FileExistsError:
                print("TWO INSIDE", flush=True); os._exit(9)
            won += 1
            if sys.argv[4] == "die" and won % 3 == 0:
                os.unlink(folder / "inside"); print(won, flush=True); os.kill(os.getpid(), 9)
            time.sleep(0.0005)
            os.close(mark); os.unlink(folder / "inside")
    except InfrastructureError:
        pass
print(won, flush=True)
"""


def test_never_two_inside(tmp_path: Path) -> None:
    """Some processes take and give back as fast as they can, others are killed inside and started again, for seconds."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", CONTEND, str(tmp_path), "first", "0", "give back"], check=True)
    until = time.monotonic() + 5 + 4 * (time.monotonic() - begun)  # a busy machine takes long to start a process

    def contender(number: int, way: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CONTEND, str(tmp_path), f"c{number}", str(until), way]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    steady = [contender(number, "give back") for number in range(3)]
    numbers, dying = itertools.count(10), [contender(3, "die"), contender(4, "die")]
    won, died = 0, 0
    while time.monotonic() < until:
        for process in [p for p in dying if p.poll() is not None]:
            dying.remove(process)
            assert process.stdout is not None and process.returncode in (-9, 0), process.stdout.read()
            won += int(process.stdout.read())
            died += process.returncode == -9
            if time.monotonic() < until - 1:
                dying.append(contender(next(numbers), "die"))
        time.sleep(0.02)
    for process in [*steady, *dying]:
        out, _ = process.communicate(timeout=30)
        assert process.returncode in (0, -9), out
        won += int(out)
        died += process.returncode == -9
    assert won > 20 and died >= 1, (won, died)


class Elsewhere:
    """A holder on another machine, or of an earlier boot, and clocks that a test turns by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.day = datetime(2026, 1, 1, tzinfo=UTC)
        self.each_sleep: list[object] = []

    def around(self, boot: str) -> Surroundings:
        return Surroundings(
            boot=lambda: boot,
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            now=lambda: self.day,
            process=lambda pid: "1",
        )

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        for action in self.each_sleep:
            action()  # type: ignore[operator]


@pytest.mark.parametrize("boot", ["machine-b", ""])
def test_a_holder_elsewhere_that_beats_is_busy_and_a_silent_one_is_taken_over(tmp_path: Path, boot: str) -> None:
    clocks = Elsewhere()
    with lease.hold(tmp_path, "far", around=clocks.around("machine-a"), beat_every=1e6) as far:
        clocks.each_sleep = [far.beat]
        with pytest.raises(InfrastructureError, match="far"), lease.hold(tmp_path, around=clocks.around(boot)):
            pass
        clocks.each_sleep = []
        begun = clocks.seconds
        with lease.hold(tmp_path, around=clocks.around(boot), stale_after=60) as held:
            assert "no heartbeat came for 60 s" in held.took_over and 60 <= clocks.seconds - begun < 70
            with pytest.raises(InfrastructureError, match="taken over"):
                far.check()
            held.check()
    # The one that was held still gave back its own number and not that of the other one.


def test_the_late_one_gives_back_nothing_but_its_own(tmp_path: Path) -> None:
    clocks = Elsewhere()
    far = lease.hold(tmp_path, "far", around=clocks.around("machine-a"), beat_every=1e6)
    far.__enter__()
    with lease.hold(tmp_path, "near", around=clocks.around("machine-b"), beat_every=1e6) as held:
        far.__exit__(None, None, None)
        assert lease.holder(tmp_path) == held.owner
        held.check()


@pytest.mark.parametrize("turn", [timedelta(days=-3000), timedelta(days=3000)])
def test_the_time_of_day_decides_nothing(tmp_path: Path, turn: timedelta) -> None:
    """A clock set back or ahead: the living stay, the dead go. Also the files' times are turned."""
    clocks = Elsewhere()
    with lease.hold(tmp_path, "far", around=clocks.around("machine-a"), beat_every=1e6) as far:
        clocks.day += turn
        for path in (tmp_path / lease.FOLDER).iterdir():
            os.utime(path, (clocks.day.timestamp(), clocks.day.timestamp()))
        with pytest.raises(InfrastructureError), lease.hold(tmp_path, around=clocks.around("machine-a")):
            pass  # same boot: the process is there
        clocks.each_sleep = [far.beat]
        with pytest.raises(InfrastructureError), lease.hold(tmp_path, around=clocks.around("machine-b")):
            pass
        clocks.each_sleep = []
        with lease.hold(tmp_path, around=clocks.around("machine-b"), beat_every=1e6) as held:
            assert held.took_over


def test_a_process_that_exists_but_hangs_is_given_longer(tmp_path: Path) -> None:
    clocks = Elsewhere()
    with lease.hold(tmp_path, "hung", around=clocks.around("a"), beat_every=1e6):
        clocks.seconds += 60 * lease.HUNG
        with pytest.raises(InfrastructureError), lease.hold(tmp_path, around=clocks.around("a")):
            pass
        clocks.seconds += 1
        with lease.hold(tmp_path, around=clocks.around("a"), beat_every=1e6) as held:
            assert "has not moved for 601 s" in held.took_over


def test_a_stopped_process_finds_that_it_was_taken_over(tmp_path: Path) -> None:
    """SIGSTOP: its heart rests; watched from elsewhere it counts as dead, and its own next look tells it so."""
    process = start(tmp_path)
    try:
        away = replace(Surroundings(), boot=lambda: "elsewhere")
        with pytest.raises(InfrastructureError), lease.hold(tmp_path, around=away, stale_after=2):
            pass
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # until every thread has stopped: a beat under way is still written
        with lease.hold(tmp_path, around=away, stale_after=0.5) as held:
            assert f"process {process.pid}" in held.took_over
    finally:
        process.kill()
        process.wait()


def test_a_holder_that_died_before_it_wrote_its_name(tmp_path: Path) -> None:
    """Where links are missing a kill may leave an empty file; it is taken over after a watch."""
    clocks = Elsewhere()
    (tmp_path / lease.FOLDER).mkdir()
    (tmp_path / lease.FOLDER / "000004.holder").touch()
    with lease.hold(tmp_path, around=clocks.around("a"), beat_every=1e6) as held:
        assert "did not write its name" in held.took_over


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with lease.hold(tmp_path, "one") as held:
        with pytest.raises(InfrastructureError), lease.hold(tmp_path):
            pass
        held.check()
    with lease.hold(tmp_path, "two") as held:
        assert held.took_over == ""


def test_a_number_used_up_behind_a_slow_ones_back_is_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looked when 0 was the last; since then ten others came and went, one holds it, and 1 has been cleared away."""
    for _ in range(10):
        with lease.hold(tmp_path):
            pass
    with lease.hold(tmp_path, "present") as present:
        assert not (tmp_path / lease.FOLDER / "000001.holder").exists()
        (tmp_path / lease.FOLDER / "000000.released").touch()
        first, real = iter([True]), lease._highest
        monkeypatch.setattr(lease, "_highest", lambda place: 0 if next(first, False) else real(place))
        with pytest.raises(InfrastructureError, match="present"), lease.hold(tmp_path, "slow"):
            pass
        assert not (tmp_path / lease.FOLDER / "000001.holder").exists()
        present.check()


def test_a_process_that_is_hidden_is_watched_and_not_taken_for_dead(tmp_path: Path) -> None:
    """Another user's, where /proc shows no others: nobody can say when it started, so its heart decides."""
    clocks = Elsewhere()
    with lease.hold(tmp_path, "theirs", around=clocks.around("a"), beat_every=1e6) as theirs:
        hidden = replace(clocks.around("a"), process=lambda pid: lease.UNSEEN)
        clocks.each_sleep = [theirs.beat]
        with pytest.raises(InfrastructureError) as caught, lease.hold(tmp_path, around=hidden):
            pass
        assert "theirs" in caught.value.sentence
        clocks.each_sleep = []
        with lease.hold(tmp_path, around=hidden, beat_every=1e6) as held:
            assert "no heartbeat came" in held.took_over


def test_the_heart_goes_on_after_whatever_stopped_a_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beaten, went_on = [0], threading.Event()
    real = lease.Lease.beat

    def beat(self: lease.Lease) -> None:
        beaten[0] += 1
        if beaten[0] == 2:
            raise MemoryError
        real(self)
        if beaten[0] > 2:
            went_on.set()

    monkeypatch.setattr(lease.Lease, "beat", beat)
    with lease.hold(tmp_path, beat_every=0.01):
        assert went_on.wait(60)


def test_a_lease_whose_heart_cannot_begin_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: lease.Lease) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lease.Lease, "beat", full)
        with pytest.raises(InfrastructureError) as caught, lease.hold(tmp_path):
            pass
    assert caught.value.code == "no_space" and lease.holder(tmp_path) is None
    with lease.hold(tmp_path) as held:
        assert not held.took_over
