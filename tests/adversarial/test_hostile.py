"""Containers that mean harm, run for real through the engine and the scorer: each is held, told by its code, and leaves nothing."""

# ruff: noqa: E501  # tables read better with an entry a line
from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from benchmark import dataset, inference, references, scoring, store, validation
from benchmark.container import ContainerEngine, Runtime, intake
from benchmark.container.commands import OWNER_LABEL
from benchmark.container.ownership import owner
from benchmark.container.session import ContainerSession
from benchmark.contract import Limits, Method
from benchmark.dataset import Edition
from benchmark.errors import CATALOGUE, SubmissionError
from benchmark.tasks import TaskFolder
from tests.adversarial import hostile
from tests.adversarial.hostile import CASES, UID, Hostile
from tests.container import base

SECRET = "nobody-may-see-this-4f1c9"
"""Is in a file, in the environment and in the arguments of the host; it may be in no log and in no output."""
CASE = "c3"
LIMITS = Limits(seconds=60, start_seconds=60, memory_mb=128, output_mb=4, shm_mb=16, log_kb=64, cpus=2, pids=48)
HASTY = LIMITS.model_copy(update={"seconds": 4, "cpus": 1})


@dataclasses.dataclass(frozen=True)
class Host:
    """What the scripts are after, and how to tell that they did not get it."""

    folder: Path
    secret_file: Path
    listener: socket.socket
    abstract: socket.socket
    edition: Path

    def put_into(self, script: str) -> str:
        """The script with the places of the host that it is told."""
        values = {
            "port": self.listener.getsockname()[1],
            "abstract": self.abstract.getsockname()[1:].decode(),
            "edition": self.edition,
            "secret_file": self.secret_file,
            "host_pid": os.getpid(),
        }
        for name, value in values.items():
            script = script.replace(f"{{{name}}}", str(value))
        return script

    def touched(self) -> list[str]:
        """What of it a container reached or left behind; empty when nothing."""
        said = []
        for listening in (self.listener, self.abstract):
            with contextlib.suppress(BlockingIOError):
                listening.accept()
                said.append("a service of the host was reached")
        if self.secret_file.read_text() != SECRET or list(self.folder.iterdir()) != [self.secret_file]:
            said.append("a file of the host was changed")
        return said


def processes(uid: int = UID) -> list[str]:
    """Processes of the image's user on the whole machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == uid:
                found.append((folder / "cmdline").read_bytes().decode("utf-8", "replace"))
    return found


@pytest.fixture(scope="module")
def host(toy_edition: Edition, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret.txt").write_text(SECRET)
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.bind(("127.0.0.1", 0))
        abstract.bind(f"\0radbench-{os.getpid()}")
        for listening in (listener, abstract):
            listening.listen()
            listening.setblocking(False)
        os.environ["RADBENCH_SECRET"] = os.environ["http_proxy"] = SECRET
        try:
            yield Host(folder, folder / "secret.txt", listener, abstract, toy_edition.root)
        finally:
            del os.environ["RADBENCH_SECRET"], os.environ["http_proxy"]


@pytest.fixture(scope="module")
def sessions(
    engine: Runtime, host: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[bool, ContainerSession]]:
    """Two sessions of the same image, by whether they are hasty; at their end nothing is left of any container."""
    container = ContainerEngine(base.taken_in(hostile.reference()), engine)
    before, volumes = left_behind(), base.podman("volume", "ls", "--quiet").split()
    folder = tmp_path_factory.mktemp("hostile")
    with contextlib.ExitStack() as stack:
        with FileLock(base.CACHE / "machine.lock"):  # opening sweeps up after dead harnesses, which other tests look at
            opened = {
                hasty: stack.enter_context(container.session(limits, folder / f"{hasty}.log"))
                for hasty, limits in ((False, LIMITS), (True, HASTY))
            }
        yield opened
    assert left_behind() == before
    assert set(base.podman("volume", "ls", "--quiet").split()) <= set(volumes)
    assert not processes()


def left_behind() -> tuple[list[str], list[str]]:
    """Containers, and mounts and loop devices in scratch folders, of this process."""
    found = base.residue()
    return found["containers"], [*found["folders"], *found["mounts"], *found["loops"]]


def offer(host: Host, edition: Edition, script: str, folder: Path) -> Path:
    """The input of the case, and with it what the model is to do."""
    target = folder / "input"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(edition.input_folder(CASE), target)
    (target / "script.py").write_text(host.put_into(script))
    return target


def verdict(toy: TaskFolder, edition: Edition, output: Path) -> tuple[str, str]:
    """Code and sentence of the scorer for an output folder; empty where it can be scored."""
    case = edition.case(CASE)
    reference = references.read_reference(toy.task, edition, case)
    try:
        scoring.case_inputs(toy.task, case, reference, lambda _, one: validation.output_file(output, one))
    except SubmissionError as error:
        return error.code, error.sentence
    return "", ""


def plain(folder: Path) -> bool:
    """Whether a folder holds plain files and folders alone, none of which runs as somebody else."""
    paths = [folder, *folder.rglob("*")]
    return all(not p.is_symlink() and (p.is_file() or p.is_dir()) and not p.stat().st_mode & 0o7000 for p in paths)


@pytest.mark.parametrize("name", CASES)
def test_it_is_held(
    sessions: dict[bool, ContainerSession], host: Host, toy: TaskFolder, toy_edition: Edition, tmp_path: Path, name: str
) -> None:
    one: Hostile = CASES[name]
    session = sessions[one.hasty]
    inputs, output = offer(host, toy_edition, one.script, tmp_path), tmp_path / "output"
    outcome = session.run(inputs, output)
    log = outcome.log.decode("utf-8", "replace")
    code, sentence = (outcome.code, outcome.reason) if outcome.code else verdict(toy, toy_edition, output)

    assert "GOT THROUGH" not in log, log
    assert one.log in log, log
    assert code == one.code, f"{code}: {sentence}\n{log}"
    assert one.reason in sentence
    if code:
        kind = CATALOGUE["submission"][code]
        assert sentence.isprintable() and len(sentence) < 1000
        assert kind.action in sentence
    assert len(outcome.log) <= LIMITS.log_kb * 1024 + 100
    assert outcome.seconds < session.limits.seconds + 5

    assert SECRET not in log and str(toy_edition.root) not in log.replace(host.put_into("{edition}"), "")
    assert plain(output)
    assert sum(path.stat().st_size for path in output.rglob("*")) <= LIMITS.output_mb * 2**20 + 2**20
    assert not any(SECRET.encode() in path.read_bytes() for path in output.rglob("*") if path.is_file())
    assert not host.touched()
    assert not processes()
    assert not base.podman("ps", "--all", "--quiet", f"--filter=label={OWNER_LABEL}={owner()}")


LEAVE = """
os.chmod("/output", 0o701); os.utime("/output", (7, 7)); os.setxattr("/output", "user.note", b"note")
for n in range(900): os.mkdir(f"/output/{'n' * 200}{n}")
for n in range(900): os.rmdir(f"/output/{'n' * 200}{n}")
for folder in ("/tmp", "/dev/shm"): open(folder + "/note", "w").write("note")
system("shmget", 4711, 4096, 0o1666)
print("left")
"""
FIND = """
status = os.stat("/output")
print("found", oct(status.st_mode), os.listxattr("/output"), status.st_mtime == 7, status.st_size > 8192)
print([os.listdir(f) for f in ("/tmp", "/dev/shm", "/output")], len(open("/proc/sysvipc/shm").readlines()))
"""


def test_no_case_tells_the_next_anything(
    sessions: dict[bool, ContainerSession], host: Host, toy_edition: Edition, tmp_path: Path
) -> None:
    """Not by files, and not by what a folder itself can hold: permissions, times, attributes, the room that it once took."""
    seen = []
    for script in (FIND, LEAVE, FIND):
        outcome = sessions[False].run(offer(host, toy_edition, script, tmp_path), tmp_path / "output")
        assert outcome.ok, outcome
        seen.append(outcome.log.decode())
    assert "left" in seen[1]
    assert seen[2] == seen[0]
    assert "[] False False\n[[], [], []] 1" in seen[0], seen[0]


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ("USER hostile\nENV LD_PRELOAD=/opt/evil.so\n", "image_environment", "LD_PRELOAD"),
        ("USER hostile\nENV LD_AUDIT=/opt/evil.so\n", "image_environment", "LD_AUDIT"),
        ("USER root\n", "image_root", "root"),
        ("USER 0:10777\n", "image_root", "runs as 0"),
        ("RUN useradd --non-unique --uid 0 nobody-at-all\nUSER nobody-at-all\n", "image_root", "number 0"),
    ],
)
def test_an_image_that_takes_hold_of_the_host_is_not_taken_in(
    engine: Runtime, lines: str, code: str, words: str
) -> None:
    with pytest.raises(SubmissionError) as caught:
        intake(hostile.reference(lines=lines), engine)
    assert caught.value.code == code and words in caught.value.sentence


@pytest.fixture(scope="module")
def server(engine: Runtime) -> ContainerEngine:
    return ContainerEngine(base.taken_in(hostile.reference(invoke=True)), engine)


SERVED: dict[str, Hostile] = {
    "an answer before the work": Hostile(
        "handler.answer(201); handler.answered = True\n"
        "def late():\n    time.sleep(0.3)\n    while True: valid(); time.sleep(0.01)\n"
        "threading.Thread(target=late, daemon=True).start()",
        "missing",
        "images/clean",
    ),
    "an answer without end": Hostile(
        "handler.wfile.write(b'HTTP/1.1 201 Created\\r\\n')\n"
        "try:\n    while True: handler.wfile.write(b'X-Flood: ' + b'x' * 60000 + b'\\r\\n')\n"
        "except OSError: print('held')",
        "crashed",
        "the server",
    ),
    "a redirect to the host": Hostile(
        "handler.answered = True; handler.answer(307, ('Location', 'http://127.0.0.1:{port}/'))", "crashed", "307"
    ),
    "words of the terminal": Hostile(
        "handler.answered = True; handler.wfile.write(b'HTTP/1.1 500 x\\r\\n\\r\\n\\x1b[2J' + b'y' * 10000)",
        "crashed",
        "500",
    ),
    "an answer drop by drop": Hostile(
        "handler.wfile.write(b'HTTP/1.1 ')\nwhile True:\n    handler.wfile.write(b'2'); time.sleep(0.2)",
        "timeout",
        "4 s",
    ),
    "an answer that is always about to come": Hostile(
        "try:\n    while True: handler.wfile.write(b'HTTP/1.1 100 Continue\\r\\n\\r\\n'); time.sleep(0.01)\n"
        "except OSError: print('held')\nhandler.answered = True",
        "timeout",
        "4 s",
    ),
    "a body without end": Hostile(
        "valid(); handler.answered = True\nhandler.wfile.write(b'HTTP/1.1 201 Created\\r\\n\\r\\n')\n"
        "try:\n    while True: handler.wfile.write(b'x' * 65536)\nexcept OSError: print('held')",
        "",
    ),
    "a length that lies": Hostile(
        "valid(); handler.answered = True; handler.answer(201, ('Content-Length', '9' * 4000))",
        "",
    ),
    "chunks of no size": Hostile(
        "handler.answered = True\nhandler.wfile.write(b'HTTP/1.1 201 x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n-5\\r\\nxx\\r\\nzz\\r\\n')\n"
        "handler.wfile.flush(); handler.connection.shutdown(2)",
        "crashed",
        "the server",
    ),
    "no HTTP at all": Hostile(
        "handler.answered = True; handler.wfile.write(b'\\x16\\x03\\x01' + os.urandom(500) + b'\\n')",
        "crashed",
        "the server",
    ),
    "a status that is no number": Hostile(
        "handler.answered = True; handler.wfile.write(b'HTTP/1.1 ' + b'9' * 6000 + b' x\\r\\n\\r\\n')",
        "crashed",
        "the server",
    ),
    "an early answer by another thread": Hostile(
        # The case is over with the answer: what is written later is not taken, nor found by the next.
        "handler.answer(201); handler.answered = True\nthreading.Timer(0.5, valid).start()",
        "missing",
        "images/clean",
    ),
    "a helper that is looked for": Hostile(
        "print('seen:', [open(p, 'rb').read() for p in glob.glob('/proc/[0-9]*/cmdline')])\n"
        "[os.kill(int(p), 9) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]\nvalid()",
        "",
        log="seen:",
    ),
}


@pytest.mark.usefixtures("clean")
def test_servers_are_held(
    server: ContainerEngine, host: Host, toy: TaskFolder, toy_edition: Edition, tmp_path: Path
) -> None:
    """One session; after each attack the same server, or the next, answers a harmless case."""
    with server.session(HASTY, tmp_path / "log.txt") as session:
        for name, one in SERVED.items():
            for attack in (one, Hostile("valid()", "")):
                output = tmp_path / "output"
                outcome = session.run(offer(host, toy_edition, attack.script, tmp_path), output)
                code, sentence = (outcome.code, outcome.reason) if outcome.code else verdict(toy, toy_edition, output)
                assert (code, attack.reason in sentence) == (attack.code, True), (name, code, sentence, outcome.log)
                assert sentence.isprintable() and len(sentence) < 1000
                assert attack.log in outcome.log.decode("utf-8", "replace")
                assert SECRET not in outcome.log.decode("utf-8", "replace")
                assert plain(output) and not host.touched()
    assert not processes()


REMEMBERS = """
def shifted(by):
    head, data = volume().split(b"LOCAL\\n", 1)
    voxels = array.array("h", data)
    for n in range(len(voxels)): voxels[n] += by
    return head + b"LOCAL\\n" + voxels.tobytes()
os.makedirs(CLEAN)
"""
STATE = {
    "in a file": REMEMBERS
    + """
known = os.path.exists("/tmp/first")
open("/tmp/first", "a").write("x")
open(CLEAN + "x.mha", "wb").write(shifted(40 if len(open("/tmp/first").read()) > 2 else -10))
""",
    "in the clock": REMEMBERS
    + """
# Answers by the time since it began: what takes long in one case is a word to the next.
begin = globals().setdefault("begin", time.monotonic())
open(CLEAN + "x.mha", "wb").write(shifted(-10 + int(40 * (time.monotonic() - begin))))
time.sleep(1.1)
""",
    "in a process": REMEMBERS
    + """
# A child keeps the first case's answer and hands it out ever after.
place = "\\0kept"
try:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(place)
        answer = asked.makefile("rb").read()
except OSError:
    answer = shifted(-10)
    kept = socket.socket(socket.AF_UNIX); kept.bind(place); kept.listen()
    if os.fork() == 0:
        os.setsid()
        while True:
            one, _ = kept.accept()
            one.sendall(shifted(50)); one.close()
    kept.close()
open(CLEAN + "x.mha", "wb").write(answer)
""",
}


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("name", STATE)
def test_state_between_invokes_is_found(server: ContainerEngine, toy: TaskFolder, tmp_path: Path, name: str) -> None:
    """Memory from case to case, hidden in files, processes or the clock: the answers are refused, and each case starts afresh."""
    plan = toy.maker("phantom")()
    few = [planned for planned in plan.cases if planned.case.id in (CASE, "c5")]
    edition = dataset.prepare(tmp_path / "data", toy.task, dataclasses.replace(plan, cases=few), workers=1)
    for case in edition.cases:
        (edition.input_folder(case.id) / "script.py").write_text(STATE[name])
    task = toy.task.model_copy(update={"limits": LIMITS.model_copy(update={"seconds": 20})})
    record = inference.run(task, edition, Method(name="m", title="M"), server.digest, server, root=tmp_path / "store")
    assert [case.code for case in record.cases] == ["", ""]
    (flag,) = record.flags
    assert flag.startswith("Carried state from case to case") and "fresh start for each case" in flag
    score = scoring.score_run(task, edition, record, tmp_path / "store")
    assert score.aggregates[0].value == 0.0  # from a fresh start it is right; the rest was memory
    assert not processes()


LEAK = "leak-7731-a"
"""What the model saw, as it were, and tries to carry out of sealed cases by every way that it has."""
WAYS = {
    "c5": "sys.exit(77)",
    "c6": f"valid(); valid('{LEAK}.mha')",
    "c7": f"os.makedirs(CLEAN); open(CLEAN + '{LEAK}.mha', 'w').write('ElementDataFile = {LEAK}')",
    "c8": f"valid('{LEAK}.mha'); p = CLEAN + '{LEAK}.mha'; d = open(p, 'rb').read(); open(p, 'wb').write(d.replace(b'ElementSpacing = 1', b'ElementSpacing = 7731'))",
    "c9": f"os.makedirs(CLEAN); open(CLEAN + 'x.mha', 'wb').write(b'Comment = {LEAK}\\n' + volume()); os.makedirs('/output/{LEAK}')",
}
SAY = f"print('{LEAK}', flush=True); print('{LEAK}', file=sys.stderr); open('/output/{LEAK}.txt', 'w').write('{LEAK}'); os.utime('/output', (7731, 7731))\n"


@pytest.mark.usefixtures("clean")
def test_nothing_that_a_model_says_leaves_the_sealed_cases(engine: Runtime, toy: TaskFolder, tmp_path: Path) -> None:
    """Names, contents, headers, logs, exit codes, folders, times: of all that, only the organiser's own logs and outputs hold a trace."""
    edition = dataset.prepare(tmp_path / "data", toy.task, toy.maker("phantom")(), workers=1)
    for case in edition.cases:
        if case.split in ("canary", "test"):
            way = SAY + WAYS[case.id] if case.split == "test" else "valid()"
            (edition.input_folder(case.id) / "script.py").write_text(way)
    container = ContainerEngine(base.taken_in(hostile.reference()), engine)
    task = toy.task.model_copy(update={"limits": LIMITS})
    root = tmp_path / "store"
    record = inference.run(task, edition, Method(name="m", title="M"), container.digest, container, root=root)
    score = scoring.score_run(task, edition, record, root)
    # It did try: its words are where only the organiser looks.
    assert LEAK in (root / "runs" / record.key / "logs/sealed/c5.log").read_text()
    private = {root / "runs" / record.key / "logs", root / "runs" / record.key / "predictions"}
    told = [path for path in root.rglob("*") if path.is_file() and not private & set(path.parents)]
    told.append(root / "runs" / record.key / "logs/messages.txt")
    assert {"run.json", "score.json", "cases.csv", "messages.txt"} <= {path.name for path in told}
    for path in told:
        if path.name != "files.json" and "manifest" not in path.name:
            assert LEAK.encode() not in path.read_bytes() and b"7731" not in path.read_bytes(), path
    codes = {case.case: case.code for case in record.cases if case.code}
    assert codes == {"c5": "crashed"} and "77" not in record.cases[2].reason
    reasons = {
        s.case: s.reason.partition(":")[0]
        for s in store.load_case_scores(root, score.key)
        if s.case in WAYS and s.reason
    }
    assert reasons == {"c5": "crashed", "c6": "extra_output", "c7": "unreadable", "c8": "geometry"}


def test_there_are_enough_of_them() -> None:
    assert len(CASES) + len(SERVED) + len(STATE) >= 25
    assert {one.code for one in CASES.values()} - {""} <= set(CATALOGUE["submission"])
