"""The parts of the sandbox without a container: collecting a hostile folder, quota, log, counters, agreement of outputs, ownership."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import image
from benchmark.container import gauge, ownership
from benchmark.container.collect import collect, empty
from benchmark.container.helper import ask
from benchmark.container.logs import CappedLog
from benchmark.container.quota import OutputArea
from benchmark.container.reach import Reach, command
from benchmark.container.records import Runtime
from benchmark.errors import SubmissionError
from benchmark.repeatability import disagreement
from benchmark.tasks import TaskFolder

NOWHERE = Runtime(name="podman", executable="/no/such/engine")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "images/a").mkdir(parents=True)
    (folder / "images/a/x.mha").write_bytes(b"volume")
    return folder


def test_plain_files_are_copied(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/old").write_text("from a run before")
    collect(source, tmp_path / "target", 1)
    assert [str(p.relative_to(tmp_path / "target")) for p in sorted((tmp_path / "target").rglob("*"))] == [
        "images", "images/a", "images/a/x.mha",
    ]  # fmt: skip
    assert (tmp_path / "target/images/a/x.mha").read_bytes() == b"volume"
    os.link(source / "images/a/x.mha", source / "hard")
    collect(source, tmp_path / "target", 1)
    assert (tmp_path / "target/hard").stat().st_nlink == 1


def spoil(folder: Path, kind: str) -> None:
    place = folder / "images/a/y"
    if kind == "link":
        place.symlink_to("/etc/hostname")
    elif kind == "linked folder":
        place.symlink_to("/etc")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place))
    elif kind == "device":
        if os.geteuid():
            pytest.skip("only root makes devices")
        os.mknod(place, 0o020666, os.makedev(1, 5))
    elif kind == "sparse":
        with place.open("wb") as handle:
            handle.truncate(2**40)
    elif kind == "many":
        for number in range(1001):
            (folder / str(number)).touch()
    elif kind == "deep":
        folder.joinpath(*"abcdefghij").mkdir(parents=True)
    elif kind == "escape":
        (folder / "a\x1b[2Jb").touch()
    elif kind == "bytes":
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).touch()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("link", "unreadable"), ("linked folder", "unreadable"), ("pipe", "unreadable"), ("socket", "unreadable"),
        ("device", "unreadable"), ("sparse", "output_too_large"), ("many", "output_too_large"),
        ("deep", "output_too_large"), ("escape", "unreadable"), ("bytes", "unreadable"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(source: Path, tmp_path: Path, kind: str, code: str) -> None:
    spoil(source, kind)
    with pytest.raises(SubmissionError) as caught:
        collect(source, tmp_path / "target", 1)
    assert caught.value.code == code
    assert caught.value.sentence.isprintable()
    assert not any(
        path.is_symlink() or not (path.is_file() or path.is_dir()) for path in (tmp_path / "target").rglob("*")
    )
    empty(source)
    assert list(source.iterdir()) == [] and Path("/etc/hostname").exists()


def test_a_folder_that_was_closed_is_emptied(source: Path) -> None:
    (source / "images/a").chmod(0)
    (source / "images").chmod(0)
    empty(source)
    assert list(source.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_the_file_system_refuses_the_byte_too_much(tmp_path: Path) -> None:
    area = OutputArea(tmp_path, 4, 1234, 1234)
    try:
        assert area.mounted and os.path.ismount(area.path)
        assert area.path.stat().st_uid == 1234 and list(area.path.iterdir()) == []
        (area.path / "fits").write_bytes(bytes(4 * 2**20))
        with pytest.raises(OSError, match="No space left"), (area.path / "more").open("wb") as handle:
            for _ in range(16):
                handle.write(bytes(2**20))
        area.empty()
        with pytest.raises(OSError, match="No space left"):
            for number in range(10000):
                (area.path / str(number)).touch()
        assert not area.excess()
    finally:
        area.close()
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in subprocess.run(["losetup", "--list"], capture_output=True, text=True).stdout


def test_the_plain_folder_is_watched(tmp_path: Path) -> None:
    area = OutputArea(tmp_path, 1, os.geteuid(), os.getegid(), mount=False)
    assert not area.mounted
    (area.path / "a").write_bytes(bytes(2**20))
    assert not area.excess()
    with (area.path / "sparse").open("wb") as handle:
        handle.truncate(2**40)  # takes no space: `collect` refuses it by its size
    assert not area.excess()
    (area.path / "b").write_bytes(bytes(2**24))
    assert area.excess()
    area.empty()
    for number in range(5000):
        (area.path / str(number)).touch()
    assert area.excess()
    area.close()
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(min_value=2, max_value=100))
def test_a_log_keeps_its_ends(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], most: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = CappedLog(path, most)
    for chunk in chunks:
        log.write(chunk)
    whole, text = b"".join(chunks), log.section()
    assert path.read_bytes() == text
    if len(whole) <= most:
        assert text == whole
    else:
        assert text.startswith(whole[: most // 2]) and text.endswith(whole[len(whole) - (most - most // 2) :])
        assert len(text) < most + 40
    log.write(b"next")
    assert log.section() == b"next"[:most] if most >= 4 else True


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_counters_of_control_groups_1(tmp_path: Path) -> None:
    write(tmp_path, {
        "memory/machine/libpod-abc/memory.max_usage_in_bytes": "1048576\n",
        "memory/machine/libpod-abc/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "memory/machine/libpod-conmon-abc/memory.max_usage_in_bytes": "5\n",
        "cpuacct/machine/libpod-abc/cpuacct.usage": "2500000000\n",
    })  # fmt: skip
    group = gauge.find_group("abc", tmp_path)
    assert gauge.read_group(group) == gauge.Reading(2**20, 2.5, 2)
    assert gauge.read_group(gauge.find_group("other", tmp_path)) == gauge.Reading()


def test_counters_of_control_groups_2(tmp_path: Path) -> None:
    write(tmp_path, {
        "cgroup.controllers": "cpu memory pids\n",
        "system.slice/docker-abc.scope/memory.peak": "2097152\n",
        "system.slice/docker-abc.scope/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
        "system.slice/docker-abc.scope/memory.events": "low 0\noom 1\noom_kill 1\n",
    })  # fmt: skip
    group = gauge.find_group("abc", tmp_path)
    assert gauge.read_group(group) == gauge.Reading(2**21, 1.5, 1)
    (tmp_path / "system.slice/docker-abc.scope/memory.peak").unlink()
    write(tmp_path, {"system.slice/docker-abc.scope/memory.current": "7"})
    assert gauge.read_group(group).peak_bytes == 7


def test_without_a_gpu_there_is_nothing_to_measure() -> None:
    assert gauge.open_gpu("") is None


def outputs(root: Path, toy: TaskFolder, array: np.ndarray | None, spacing: float = 1.0) -> Path:
    folder = root / toy.task.outputs[0].path
    folder.mkdir(parents=True)
    if array is not None:
        image.write(folder / "x.mha", image.Volume(array.astype(np.float32), (spacing, 1.0, 1.0)))
    return root


def test_outputs_agree_or_not(toy: TaskFolder, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(0, 100, (4, 5, 6))
    span = float(np.ptp(array))
    first = outputs(tmp_path / "a", toy, array)
    nan = array.copy()
    nan[0, 0, 0] = np.nan
    for name, other, spacing, agrees in (
        ("same", array, 1.0, True),
        ("rounding", array + 0.0009 * span, 1.0, True),
        ("one voxel", np.where(np.arange(120).reshape(4, 5, 6) == 7, array + 0.01 * span, array), 1.0, False),
        ("grid", array, 2.0, False),
        ("shape", array[:3], 1.0, False),
        ("nan", nan, 1.0, False),
        ("missing", None, 1.0, False),
    ):
        second = outputs(tmp_path / name, toy, other, spacing)
        assert (disagreement(toy.task, first, second) == "") == agrees, name
        assert disagreement(toy.task, second, second) == ""


def test_owners_are_told_apart() -> None:
    assert ownership.alive(ownership.owner())
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    name = ownership.owner(child.pid)
    assert ownership.alive(name) and name != ownership.owner()
    child.communicate()
    assert not ownership.alive(name)
    assert not ownership.alive(f"{os.getpid()}.1") and not ownership.alive("") and not ownership.alive("x")


def test_ways_into_a_network() -> None:
    """As root by nsenter, with rootless Podman inside its user namespace, with Docker alone by Python of the image."""
    docker = Runtime(name="docker", executable="/usr/bin/docker")
    assert command(docker, "c", 7, root=True)[:3] == ["nsenter", "--target=7", "--net"]
    assert command(NOWHERE, "c", 7, root=False)[:4] == ["/no/such/engine", "unshare", "nsenter", "--target=7"]
    line = command(docker, "c", 7, root=False)
    assert line[:5] == ["/usr/bin/docker", "exec", "--interactive", "c", "python3"] and "def ask(" in line[7]


DRIP = """
import socket, sys, time
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
print(server.getsockname()[1], flush=True)
while True:
    c, _ = server.accept()
    c.recv(1000)
    try:
        if sys.argv[1] == "drip":
            c.sendall(b"HTTP/1.1 201 OK\\r\\n")
            while True:
                c.sendall(b"x")
                time.sleep(0.2)
        elif sys.argv[1] == "redirect":
            c.sendall(b"HTTP/1.1 302 Found\\r\\nLocation: http://127.0.0.1/other\\r\\nContent-Length: 0\\r\\n\\r\\n")
        elif sys.argv[1] == "garbage":
            c.sendall(bytes(range(256)) * 300)
        c.close()
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    ("manner", "code"), [("drip", "timeout"), ("redirect", "crashed"), ("garbage", "crashed"), ("close", "crashed")]
)
def test_a_hostile_server_does_not_move_the_deadline(manner: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.container import reach

    server = subprocess.Popen([sys.executable, "-c", DRIP, manner], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    try:
        assert manner in ("drip", "redirect") or "error" in ask(port, "GET", "/", 0.5)
        script = [sys.executable, "-I", "-S", str(reach.SCRIPT), str(port)]
        monkeypatch.setattr(reach, "command", lambda *a, **k: script)
        # The helper's own time-out is per read; ours is for the whole.
        helper = Reach(NOWHERE, "c", 1)
        try:
            assert manner == "drip" or not helper.healthy()
            with pytest.raises(SubmissionError) as caught:
                helper.invoke(1.5)
            assert caught.value.code == code
        finally:
            helper.close()
    finally:
        server.kill()
        server.communicate()


def test_the_helper_answers_in_json() -> None:
    closed = ask(1, "GET", "/", 1)
    assert closed["error"] == "broken" and json.dumps(closed)
