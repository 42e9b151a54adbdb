"""Exec mode in real containers: what a model sees, what holds it, how its failures are told, and that nothing is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.container import CaseOutcome, ContainerEngine, Runtime, ownership, seccomp
from benchmark.container.commands import OWNER_LABEL
from benchmark.contract import Limits
from benchmark.errors import SubmissionError
from tests.container import base

pytestmark = pytest.mark.usefixtures("clean")

ACTOR = """
import json, os, signal, socket, subprocess, sys, time
what = json.load(open("/input/value.json"))
exec(what if isinstance(what, str) else "open('/output/n.json', 'w').write(str(what + 1))")
"""
"""Does what the case says, so that one image serves all tests: a submission that is as hostile as its input."""


@pytest.fixture(scope="module")
def actor(engine: Runtime) -> ContainerEngine:
    return ContainerEngine(base.taken_in(base.python_image("actor", ACTOR)), engine)


def act(
    actor: ContainerEngine, code: str | int, folder: Path, limits: Limits, log: Path | None = None
) -> tuple[CaseOutcome, Path]:
    """Run one case whose input is `code`; what came of it and the collected output."""
    case = folder / "case"
    case.mkdir(exist_ok=True)
    (case / "value.json").write_text(json.dumps(code))
    with actor.session(limits, log or folder / "log.txt") as session:
        return session.run(case, folder / "out"), folder / "out"


def test_a_case_goes_in_and_its_output_comes_out(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    outcome, out = act(actor, 7, tmp_path, limits)
    assert outcome.ok, outcome.reason
    assert {p.name: p.read_text() for p in out.iterdir()} == {"n.json": "8"}
    assert actor.name == "podman/exec"
    cost = outcome.cost
    assert cost is not None and cost.peak_memory_mb is not None and cost.cpu_seconds is not None
    assert 1 < cost.peak_memory_mb <= limits.memory_mb


LOOK = """
found = {}
def attempt(name, call):
    try:
        found[name] = str(call())
    except Exception as error:
        found[name] = type(error).__name__
attempt("root", lambda: open("/x", "w"))
attempt("home", lambda: open(os.path.expanduser("~algorithm") + "/x", "w"))
attempt("input", lambda: open("/input/x", "w"))
attempt("tmp", lambda: open("/tmp/x", "w").write("1"))
attempt("shm", lambda: open("/dev/shm/x", "w").write("1"))
attempt("vartmp", lambda: open("/var/tmp/x", "w"))
attempt("tcp", lambda: socket.create_connection(("1.1.1.1", 53), 3))
attempt("dns", lambda: socket.getaddrinfo("example.org", 80))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("mknod", lambda: os.mknod("/tmp/n", 0o600 | 0o060000, os.makedev(254, 0)))
attempt("setuid", lambda: os.setuid(0))
attempt("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "/tmp"], check=True, capture_output=True))
attempt("chroot", lambda: os.chroot("/tmp"))
with open("/tmp/program", "w") as f:
    f.write("#!/bin/sh\\necho ran")
os.chmod("/tmp/program", 0o755)
attempt("exec", lambda: subprocess.check_output(["/tmp/program"]).decode().strip())
found["uid"] = os.getuid()
found["gid"] = os.getgid()
found["interfaces"] = [name for _, name in socket.if_nameindex()]
found["input_listing"] = sorted(os.listdir("/input"))
found["output_listing"] = os.listdir("/output")
found["status"] = open("/proc/self/status").read()
found["mounts"] = open("/proc/self/mounts").read()
found["environment"] = dict(os.environ)
found["pids"] = [p for p in os.listdir("/proc") if p.isdigit()]
json.dump(found, open("/output/found.json", "w"))
"""


def test_the_sandbox_from_within(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    os.environ["HTTP_PROXY"] = "http://user:secret@proxy.example"
    try:
        outcome, out = act(actor, LOOK, tmp_path, limits)
    finally:
        del os.environ["HTTP_PROXY"]
    assert outcome.ok, outcome.reason + outcome.log.decode()
    found = json.loads((out / "found.json").read_text())
    refused = {
        name: found[name]
        for name in ("root", "home", "input", "vartmp", "raw", "packet", "mknod", "setuid", "chroot", "mount", "tcp")
    }
    assert refused == {
        "root": "OSError", "home": "OSError", "input": "OSError", "vartmp": "OSError",
        "raw": "PermissionError", "packet": "OSError", "mknod": "PermissionError",
        "setuid": "PermissionError", "chroot": "PermissionError", "mount": "CalledProcessError", "tcp": "OSError",
    }  # fmt: skip
    assert found["dns"] == "gaierror"
    assert (found["tmp"], found["shm"], found["exec"]) == ("1", "1", "ran")
    assert (found["uid"], found["gid"]) == (10001, 10001)
    assert found["interfaces"] == ["lo"]
    assert (found["input_listing"], found["output_listing"]) == (["value.json"], [])
    status = dict(line.split(":\t", 1) for line in found["status"].splitlines() if ":\t" in line)
    assert status["CapEff"] == status["CapBnd"] == "0" * 16
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "secret" not in json.dumps(found["environment"])
    assert len(found["pids"]) <= 4
    assert str(tmp_path) not in found["mounts"]


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("sys.exit(3)", "crashed", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crashed", "memory limit was not hit"),
        ("b = bytearray(10**9)\nfor i in range(0, len(b), 4096): b[i] = 1", "out_of_memory", "256 MiB"),
        ("open('/dev/shm/x', 'wb').write(bytes(2**20) * 64)", "crashed", "exit code 1"),
        ("os.symlink('/etc/shadow', '/output/n.json')", "unreadable", "is a link"),
        ("os.mkfifo('/output/n.json')", "unreadable", "a device, pipe or socket"),
        ("f = open('/output/big', 'wb')\nf.truncate(2**27)", "output_too_large", "8 MiB"),
        ("for i in range(2000): open(f'/output/{i}', 'w')", "output_too_large", "1000 files"),
    ],
)
def test_failures_are_told_apart(
    actor: ContainerEngine, tmp_path: Path, limits: Limits, code: str, expected: str, words: str
) -> None:
    outcome, out = act(actor, code, tmp_path, limits)
    assert (outcome.code, words in outcome.reason) == (expected, True), outcome
    assert not any(path.is_symlink() for path in out.rglob("*"))


def test_the_byte_quota_holds_while_the_container_runs(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    code = """
try:
    with open("/output/big", "wb") as f:
        for _ in range(4000):
            f.write(bytes(2**20))
            f.flush()
except OSError as error:
    print("stopped:", error.errno, os.path.getsize("/output/big") // 2**20, flush=True)
"""
    outcome, _ = act(actor, code, tmp_path, limits)
    assert outcome.code == "output_too_large"
    if os.geteuid() == 0:  # a file system of its own: the write itself fails
        size = int(outcome.log.decode().split("stopped: 28 ")[1])
        assert 8 <= size <= 17


def test_without_a_file_system_the_watcher_kills(
    actor: ContainerEngine, tmp_path: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.container import quota

    monkeypatch.setattr(quota.OutputArea, "_mount", lambda self, uid, gid: "not here")
    code = "f = open('/output/big', 'wb')\nwhile True:\n    f.write(bytes(2**20)); f.flush(); time.sleep(0.01)"
    begin = time.monotonic()
    outcome, _ = act(actor, code, tmp_path, limits)
    assert outcome.code == "output_too_large" and "while the model ran" in outcome.reason
    assert time.monotonic() - begin < 15


def test_a_time_out_ends_everything_in_it(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    code = """
signal.signal(signal.SIGTERM, lambda *a: print("TERM came", flush=True))
marker = "radbench-grandchild-marker"
subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM HUP; while true; do sleep 1; done # " + marker])
print("sleeping", flush=True)
while True: time.sleep(1)
"""
    begin = time.monotonic()
    outcome, _ = act(actor, code, tmp_path, limits.model_copy(update={"seconds": 2}))
    took = time.monotonic() - begin
    assert outcome.code == "timeout" and "2 s" in outcome.reason
    assert b"sleeping" in outcome.log and b"TERM came" in outcome.log
    assert 7 <= took < 18  # TERM, five seconds, KILL
    assert (
        "radbench-grandchild-marker" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    )


def test_processes_are_limited(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    code = """
children = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        children += 1
except OSError:
    json.dump(children, open("/output/n.json", "w"))
os._exit(0)
"""
    outcome, out = act(actor, code, tmp_path, limits)
    assert outcome.ok, outcome.reason
    assert 40 < json.loads((out / "n.json").read_text()) < limits.pids


@pytest.mark.parametrize(("cpus", "most"), [(0.5, 0.65), (1.0, 1.3)])
def test_processors_are_limited(
    actor: ContainerEngine, tmp_path: Path, limits: Limits, cpus: float, most: float
) -> None:
    """Two processes that do nothing but count, for three seconds: together they get no more than was declared."""
    code = """
begin = time.monotonic()
os.fork()
while time.monotonic() - begin < 3: pass
"""
    outcome, _ = act(actor, code, tmp_path, limits.model_copy(update={"cpus": cpus}))
    assert outcome.ok and outcome.cost is not None and outcome.cost.cpu_seconds is not None
    assert 0 < outcome.cost.cpu_seconds / outcome.seconds < most, outcome


def test_swap_is_no_way_around_the_memory(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    """What is held just below the limit stays; the peak that the row shows is what was held."""
    outcome, _ = act(
        actor,
        "b = bytearray(150 * 2**20)\nfor i in range(0, len(b), 4096): b[i] = 1\ntime.sleep(0.5)",
        tmp_path,
        limits,
    )
    assert outcome.ok and outcome.cost is not None and outcome.cost.peak_memory_mb is not None
    assert 150 <= outcome.cost.peak_memory_mb <= limits.memory_mb
    swapped = [
        float(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("SwapTotal")
    ]
    outcome, _ = act(actor, "b = bytearray(400 * 2**20)\nfor i in range(0, len(b), 4096): b[i] = 1", tmp_path, limits)
    assert outcome.code == "out_of_memory", (outcome, swapped)


def test_a_flood_of_output_is_cut_and_keeps_both_ends(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    code = "print('first')\nfor _ in range(200): sys.stdout.write('x' * 65536)\nprint()\nprint('last')"
    outcome, _ = act(actor, code, tmp_path, limits, tmp_path / "log.txt")
    assert outcome.ok
    most = limits.log_kb * 1024
    assert most <= len(outcome.log) <= most + 100
    assert (
        outcome.log.startswith(b"first") and outcome.log.rstrip().endswith(b"last") and b"bytes left out" in outcome.log
    )
    assert (tmp_path / "log.txt").read_bytes() == outcome.log


def test_one_case_leaves_nothing_for_the_next(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    write = "open('/tmp/t', 'w'); open('/dev/shm/s', 'w'); os.makedirs('/output/deep/er'); os.chmod('/output/deep', 0)"
    see = "json.dump([os.listdir(d) for d in ('/tmp', '/dev/shm', '/output')], open('/output/n.json', 'w'))"
    case = tmp_path / "case"
    case.mkdir()
    with actor.session(limits, tmp_path / "log.txt") as session:
        (case / "value.json").write_text(json.dumps(write))
        assert session.run(case, tmp_path / "a").ok
        (case / "value.json").write_text(json.dumps(see))
        assert session.run(case, tmp_path / "b").ok
    assert json.loads((tmp_path / "b/n.json").read_text()) == [[], [], []]


def test_weights_of_their_own_are_mounted_read_only(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.bin").write_text("weights")
    with_model = ContainerEngine(actor.image, actor.runtime, model=tmp_path / "weights")
    code = """
try:
    open("/opt/ml/model/x", "w")
except OSError:
    open("/output/n.json", "w").write('"' + open("/opt/ml/model/w.bin").read() + '"')
"""
    outcome, out = act(with_model, code, tmp_path, limits)
    assert outcome.ok and (out / "n.json").read_text() == '"weights"'
    before = with_model.flags
    (tmp_path / "weights/w.bin").write_text("others")
    assert with_model.flags != before  # other weights are another run
    assert with_model.flags[0] == "podman/exec" and actor.flags == ("podman/exec", f"seccomp {seccomp.digest()}")


def test_an_image_without_a_program_is_told(engine: Runtime, tmp_path: Path, limits: Limits, case: Path) -> None:
    reference = base.build("nothing", f'{base.USER}ENTRYPOINT ["/no/such/program"]\n')
    with ContainerEngine(base.taken_in(reference), engine).session(limits, tmp_path / "log") as session:
        outcome = session.run(case, tmp_path / "out")
    assert outcome.code == "crashed" and "entry point" in outcome.reason


def test_an_image_that_is_gone_is_not_run(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    gone = ContainerEngine(actor.image.model_copy(update={"digest": "sha256:" + "0" * 64}), actor.runtime)
    with pytest.raises(SubmissionError, match="not in podman's store") as caught, gone.session(limits, tmp_path / "l"):
        pass
    assert caught.value.code == "image_changed"


HARNESS = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
from tests.container import base
from benchmark.container import ContainerEngine
from benchmark.contract import Limits
engine = base.engine()
limits = Limits(seconds=60, memory_mb=256, shm_mb=32, output_mb=8)
with ContainerEngine(base.taken_in(sys.argv[1]), engine).session(limits, Path(sys.argv[2]) / "log.txt") as session:
    session.run(Path(sys.argv[2]) / "case", Path(sys.argv[2]) / "out")
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_harness_leaves_nothing(actor: ContainerEngine, tmp_path: Path, sent: signal.Signals) -> None:
    """Ctrl-C removes everything at once; after KILL, which nobody can answer, the next session does."""
    (tmp_path / "case").mkdir()
    (tmp_path / "case/value.json").write_text(json.dumps("print('running', flush=True); time.sleep(60)"))
    command = [sys.executable, "-c", HARNESS, actor.image.reference, str(tmp_path)]
    harness = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    log = tmp_path / "log.txt"
    for _ in range(300):
        if log.exists() and b"running" in log.read_bytes():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the container did not start")
    containers = ["ps", "--quiet", f"--filter=label={OWNER_LABEL}={ownership.owner(harness.pid)}"]
    assert base.podman(*containers)
    harness.send_signal(sent)
    harness.communicate(timeout=60)
    if sent == signal.SIGKILL:
        assert base.podman(*containers)
        with actor.session(Limits(memory_mb=256, output_mb=8, shm_mb=32), tmp_path / "next"):
            pass
