"""The process engine with a real baseline: it serves, survives its server's death, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from baselines import catalogue
from benchmark import dataset, image, inference, tasks
from benchmark.container.process import ProcessEngine, ProcessSession
from benchmark.container.servers import Ended, Servers
from benchmark.contract import Limits
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError, SubmissionError

LIMITS = Limits(seconds=60, start_seconds=60)
WATER = catalogue.find("mri_to_ct", "classical-water")


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    folder = tasks.find("mri_to_ct")
    plan = folder.maker("phantom")(size=32, cases={"canary": 1, "test": 1})
    return dataset.prepare(tmp_path_factory.mktemp("data"), folder.task, plan, workers=1)


@pytest.fixture(scope="module")
def forking() -> Iterator[Servers]:
    servers = Servers(forked=True)
    yield servers
    servers.end()


@pytest.fixture(params=["own", "forked"])
def servers(request: pytest.FixtureRequest) -> Servers:
    """The same holds of a server that is a process of its own, and of a fork of the process that has made the imports."""
    return Servers() if request.param == "own" else request.getfixturevalue("forking")


def pid_of(session: ProcessSession) -> int:
    assert session._server is not None
    return session._server.pid


def gone(pid: int) -> bool:
    """Wait until a process has ended; False where it has not after a minute."""
    deadline = time.monotonic() + 60
    while _alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill(session: ProcessSession) -> None:
    """Kill its server and wait until its end is seen from here: a process is a zombie before its last thread lets go of its sockets."""
    server = session._server
    assert server is not None
    os.killpg(server.pid, signal.SIGKILL)
    assert server._ended_within(60)


def run(session: ProcessSession, edition: Edition, output: Path) -> image.Volume:
    case = edition.split("canary")[0]
    outcome = session.run(edition.input_folder(case.id), output)
    assert outcome.ok, outcome.reason
    (file,) = (output / "images/synthetic-ct").iterdir()
    return image.read(file)


def test_serves_cases_and_leaves_nothing(edition: Edition, tmp_path: Path, servers: Servers) -> None:
    with ProcessEngine(WATER, servers).session(LIMITS, tmp_path / "log") as session:
        pid, folder = pid_of(session), session.folder
        first = run(session, edition, tmp_path / "a")
        second = run(session, edition, tmp_path / "b")
        assert pid_of(session) == pid
    np.testing.assert_array_equal(first.array, second.array)
    assert set(np.unique(first.array)) <= {-1000, 0}
    assert gone(pid)
    assert not folder.exists()
    assert not servers._running


def test_a_dead_server_is_started_again(edition: Edition, tmp_path: Path, servers: Servers) -> None:
    with ProcessEngine(WATER, servers).session(LIMITS, tmp_path / "log") as session:
        kill(session)
        run(session, edition, tmp_path / "a")


def test_a_bad_case_costs_that_case_only(edition: Edition, tmp_path: Path, servers: Servers) -> None:
    for socket in ("body", "mri"):
        (tmp_path / "bad/images" / socket).mkdir(parents=True)
        (tmp_path / "bad/images" / socket / "x.mha").write_text("nonsense")
    with ProcessEngine(WATER, servers).session(LIMITS, tmp_path / "log") as session:
        outcome = session.run(tmp_path / "bad", tmp_path / "out")
        assert outcome.code == "crashed" and "500" in outcome.reason
        run(session, edition, tmp_path / "a")
    assert "not a MetaImage header" in (tmp_path / "log").read_text()


def test_time_limit_is_enforced(edition: Edition, tmp_path: Path, servers: Servers) -> None:
    with ProcessEngine(WATER, servers).session(Limits(seconds=0.5, start_seconds=60), tmp_path / "log") as session:
        pid = pid_of(session)
        os.killpg(pid, signal.SIGSTOP)  # a model that takes for ever
        outcome = session.run(edition.input_folder(edition.cases[0].id), tmp_path / "out")
        assert gone(pid)  # TERM cannot reach what is stopped; KILL can
    assert outcome.code == "timeout"


def test_refuses_what_is_no_baseline() -> None:
    with pytest.raises(SubmissionError, match="not a baseline") as caught:
        ProcessEngine("curl example.org | sh")  # type: ignore[arg-type]
    assert caught.value.code == "not_allowed"


def test_a_server_that_does_not_start_is_our_fault_and_names_the_log(tmp_path: Path, servers: Servers) -> None:
    broken = catalogue.find("mri_to_ct", "unet").with_weights(tmp_path / "none.safetensors")
    with (
        pytest.raises(InfrastructureError, match="did not start") as caught,
        ProcessEngine(broken, servers).session(LIMITS, tmp_path / "log"),
    ):
        pass
    assert str(tmp_path / "log") in str(caught.value)


@pytest.mark.parametrize("forked", [False, True])
def test_nothing_outlives_a_killed_harness(tmp_path: Path, forked: bool) -> None:
    code = (
        "import sys, threading\nfrom pathlib import Path\nfrom baselines import catalogue\n"
        "from benchmark.container.process import ProcessEngine\nfrom benchmark.container.servers import Servers\n"
        "from benchmark.contract import Limits\n"
        f"servers = Servers(forked={forked})\n"
        "engine = ProcessEngine(catalogue.find('mri_to_ct', 'classical-water'), servers)\n"
        "with engine.session(Limits(), Path(sys.argv[1])) as session:\n"
        "    nursery = servers._nursery.pid if servers._nursery else session._server.pid\n"
        "    print(session._server.pid, nursery, session.folder, flush=True)\n    threading.Event().wait()\n"
    )
    harness = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    server, nursery, left = harness.stdout.readline().split()
    assert _alive(int(server)) and _alive(int(nursery))
    harness.kill()
    harness.wait()
    harness.stdout.close()
    assert gone(int(server)) and gone(int(nursery))
    with ProcessEngine(WATER).session(LIMITS, tmp_path / "next"):
        assert not Path(left).exists(), "the next session removes what the killed one left"


def test_a_forked_network_gives_the_same(edition: Edition, tmp_path: Path, forking: Servers) -> None:
    unet = catalogue.find("mri_to_ct", "unet")
    found = []
    for number, servers in enumerate((Servers(), forking, forking)):
        with ProcessEngine(unet, servers).session(LIMITS, tmp_path / "log") as session:
            found.append(run(session, edition, tmp_path / str(number)).array)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_start_of_a_fork_counts_the_imports_that_were_made_for_it(tmp_path: Path, forking: Servers) -> None:
    """So that it says what a process of its own says, and no less."""
    spared = {}
    for name in ("classical", "unet", "vae"):
        with ProcessEngine(catalogue.find("mri_to_ct", name), forking).session(LIMITS, tmp_path / "log") as session:
            assert session._server is not None
            spared[name] = session._server.imports_seconds
            assert session.start_seconds > spared[name]
    assert 0 < spared["classical"] < spared["unet"] < spared["vae"]  # the later import what the earlier do, and more


def test_a_killed_nursery_costs_no_case(edition: Edition, tmp_path: Path) -> None:
    servers = Servers(forked=True)
    with ProcessEngine(WATER, servers).session(LIMITS, tmp_path / "log") as session:
        first, nursery = pid_of(session), servers._nursery
        assert nursery is not None
        nursery.kill()
        nursery.wait()
        run(session, edition, tmp_path / "a")
        assert pid_of(session) == first, "the servers that it made run on"
        kill(session)
        run(session, edition, tmp_path / "b")
        assert servers._nursery is not nursery
    servers.end()
    assert servers._nursery is not None and servers._nursery.poll() is not None


def test_end_frees_a_thread_that_waits_for_an_answer(edition: Edition, tmp_path: Path, servers: Servers) -> None:
    servers = Servers(forked=servers.forked)
    with ThreadPoolExecutor(1) as pool:
        asked = threading.Event()

        def wait_for_ever() -> None:
            with ProcessEngine(WATER, servers).session(Limits(seconds=3600), tmp_path / "log") as session:
                os.killpg(pid_of(session), signal.SIGSTOP)
                asked.set()
                session.run(edition.input_folder(edition.cases[0].id), tmp_path / "out")

        waiting = pool.submit(wait_for_ever)
        assert asked.wait(120)
        servers.end()
        with pytest.raises(Ended):
            waiting.result(120)
    assert not (tmp_path / "out").exists() and not servers._running
    with pytest.raises(Ended), ProcessEngine(WATER, servers).session(LIMITS, tmp_path / "log"):
        pass


def test_end_frees_a_thread_that_waits_for_the_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(forked=True)
    begin, begun = servers._begin, threading.Event()

    def begin_and_stop() -> None:
        begin()
        assert servers._nursery is not None
        servers._nursery.send_signal(signal.SIGSTOP)
        begun.set()

    monkeypatch.setattr(servers, "_begin", begin_and_stop)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(servers.start, "classical", [], tmp_path, tmp_path / "log")
        assert begun.wait(120)
        servers.end()
        with pytest.raises(Ended):
            waiting.result(120)


def test_a_run_that_was_ended_goes_on_at_the_case_that_was_under_way(edition: Edition, tmp_path: Path) -> None:
    task = tasks.find("mri_to_ct").task

    def carried_out(root: Path, servers: Servers, *, end_after: int) -> inference.RunRecord:
        def progress(label: str, done: int, total: int) -> None:
            shown.append(done)
            if done == end_after:
                servers.end()

        shown: list[int] = []
        engine = ProcessEngine(WATER, servers)
        try:
            return inference.run(task, edition, WATER.method, WATER.digest, engine, root=root, progress=progress)
        finally:
            seen.append(shown)

    seen: list[list[int]] = []
    whole = carried_out(tmp_path / "whole", Servers(), end_after=0)
    with pytest.raises(Ended):
        carried_out(tmp_path / "ended", Servers(), end_after=1)
    assert len(list((tmp_path / "ended").glob("runs/.*.partial/done/*.json"))) == 1
    again = carried_out(tmp_path / "ended", Servers(), end_after=0)
    assert seen == [[1, 2], [1], [1, 2]]
    assert again.key == whole.key and not any(case.code for case in again.cases)
    made = [sorted(p for p in (tmp_path / name).rglob("predictions/**/*.mha")) for name in ("whole", "ended")]
    assert [p.read_bytes() for p in made[0]] == [p.read_bytes() for p in made[1]] and len(made[0]) == 2


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
