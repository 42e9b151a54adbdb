"""The process engine with a real baseline: it serves, survives its server's death, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from baselines import catalogue
from benchmark import dataset, image, tasks
from benchmark.container.process import ProcessEngine, ProcessSession
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


def run(session: ProcessSession, edition: Edition, output: Path) -> image.Volume:
    case = edition.split("canary")[0]
    outcome = session.run(edition.input_folder(case.id), output)
    assert outcome.ok, outcome.reason
    (file,) = (output / "images/synthetic-ct").iterdir()
    return image.read(file)


def test_serves_cases_and_leaves_nothing(edition: Edition, tmp_path: Path) -> None:
    with ProcessEngine(WATER).session(LIMITS, tmp_path / "log") as session:
        process, folder = session._process, session.folder
        assert process is not None
        first = run(session, edition, tmp_path / "a")
        second = run(session, edition, tmp_path / "b")
    np.testing.assert_array_equal(first.array, second.array)
    assert set(np.unique(first.array)) <= {-1000, 0}
    assert process.poll() is not None
    assert not folder.exists()


def test_a_dead_server_is_started_again(edition: Edition, tmp_path: Path) -> None:
    with ProcessEngine(WATER).session(LIMITS, tmp_path / "log") as session:
        process = session._process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        run(session, edition, tmp_path / "a")


def test_a_bad_case_costs_that_case_only(edition: Edition, tmp_path: Path) -> None:
    (tmp_path / "bad/images/mri").mkdir(parents=True)
    (tmp_path / "bad/images/mri/x.mha").write_text("nonsense")
    with ProcessEngine(WATER).session(LIMITS, tmp_path / "log") as session:
        outcome = session.run(tmp_path / "bad", tmp_path / "out")
        assert outcome.code == "crashed" and "500" in outcome.reason
        run(session, edition, tmp_path / "a")


def test_time_limit_is_enforced(edition: Edition, tmp_path: Path) -> None:
    with ProcessEngine(WATER).session(Limits(seconds=0.5, start_seconds=60), tmp_path / "log") as session:
        process = session._process
        assert process is not None
        os.killpg(process.pid, signal.SIGSTOP)  # a model that takes for ever
        outcome = session.run(edition.input_folder(edition.cases[0].id), tmp_path / "out")
        assert process.poll() is not None  # TERM cannot reach what is stopped; KILL can
    assert outcome.code == "timeout"


def test_refuses_what_is_no_baseline() -> None:
    with pytest.raises(SubmissionError, match="not a baseline") as caught:
        ProcessEngine("curl example.org | sh")  # type: ignore[arg-type]
    assert caught.value.code == "not_allowed"


def test_a_server_that_does_not_start_is_our_fault_and_names_the_log(tmp_path: Path) -> None:
    broken = catalogue.find("mri_to_ct", "unet").with_weights(tmp_path / "none.safetensors")
    with (
        pytest.raises(InfrastructureError, match="did not start") as caught,
        ProcessEngine(broken).session(LIMITS, tmp_path / "log"),
    ):
        pass
    assert str(tmp_path / "log") in str(caught.value)


def test_nothing_outlives_a_killed_harness(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom baselines import catalogue\n"
        "from benchmark.container.process import ProcessEngine\nfrom benchmark.contract import Limits\n"
        "engine = ProcessEngine(catalogue.find('mri_to_ct', 'classical-water'))\n"
        "with engine.session(Limits(), Path(sys.argv[1])) as session:\n"
        "    print(session._process.pid, session.folder, flush=True)\n    time.sleep(60)\n"
    )
    harness = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    number, left = harness.stdout.readline().split()
    server = int(number)
    harness.kill()
    harness.wait()
    for _ in range(100):
        if not _alive(server):
            break
        time.sleep(0.1)
    else:
        os.killpg(server, signal.SIGKILL)
        pytest.fail("the server outlived the harness by ten seconds")
    with ProcessEngine(WATER).session(LIMITS, tmp_path / "next"):
        assert not Path(left).exists(), "the next session removes what the killed one left"


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
