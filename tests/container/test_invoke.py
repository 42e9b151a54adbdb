"""Invoke mode in real containers: a warm server for all cases with the network off, its failures, and the probe for state."""

import json
from pathlib import Path

import pytest

from benchmark import inference
from benchmark.container import CaseOutcome, ContainerEngine, Runtime
from benchmark.contract import Limits, Method
from benchmark.dataset import Edition
from benchmark.tasks import TaskFolder
from tests.container import base

pytestmark = pytest.mark.usefixtures("clean")

ACTOR = (
    base.SERVER
    + """
import json, os, signal, subprocess, threading, time
calls = 0
def invoke():
    global calls
    calls += 1
    what = json.load(open("/input/value.json"))
    if isinstance(what, str):
        return exec(what, globals())
    json.dump([what + 1, calls, sorted(os.listdir("/output"))], open("/output/n.json", "w"))
print("ready", flush=True)
serve()
"""
)


@pytest.fixture(scope="module")
def actor(engine: Runtime) -> ContainerEngine:
    return ContainerEngine(base.taken_in(base.python_image("invoke-actor", ACTOR, invoke=True)), engine)


def act(engine: ContainerEngine, cases: list[str | int], folder: Path, limits: Limits) -> list[CaseOutcome]:
    """Run these cases in one session; the output of case i lies in `<folder>/out<i>`."""
    outcomes = []
    case = folder / "case"
    case.mkdir(exist_ok=True)
    with engine.session(limits, folder / "log.txt") as session:
        for number, what in enumerate(cases):
            (case / "value.json").write_text(json.dumps(what))
            outcomes.append(session.run(case, folder / f"out{number}"))
    return outcomes


def test_one_server_answers_all_cases_on_fresh_folders(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    assert actor.name == "podman/invoke"
    outcomes = act(actor, [1, 5], tmp_path, limits)
    assert all(outcome.ok for outcome in outcomes), outcomes
    assert json.loads((tmp_path / "out0/n.json").read_text()) == [2, 1, []]
    assert json.loads((tmp_path / "out1/n.json").read_text()) == [6, 2, []]
    assert (tmp_path / "log.txt").read_text().count("ready") == 1


def test_a_cold_engine_starts_a_server_a_case(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    outcomes = act(actor.cold(), [1, 5], tmp_path, limits)
    assert all(outcome.ok for outcome in outcomes)
    assert json.loads((tmp_path / "out1/n.json").read_text()) == [6, 1, []]


def test_a_case_that_fails_takes_no_other_with_it(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    cases: list[str | int] = [
        "raise ValueError('no')",
        1,
        "os._exit(5)",
        2,
        "time.sleep(60)",
        3,
        "b = bytearray(10**9)\nfor i in range(0, len(b), 4096): b[i] = 1",
        4,
        "os.symlink('/etc/passwd', '/output/n.json')",
        5,
    ]
    outcomes = act(actor, cases, tmp_path, limits.model_copy(update={"seconds": 3}))
    codes = [outcome.code for outcome in outcomes]
    assert codes == ["crashed", "", "crashed", "", "timeout", "", "out_of_memory", "", "unreadable", ""], outcomes
    for number in (1, 3, 5, 7, 9):
        assert json.loads((tmp_path / f"out{number}/n.json").read_text())[2] == []


def test_output_cannot_change_while_it_is_read(actor: ContainerEngine, tmp_path: Path, limits: Limits) -> None:
    """A thread goes on writing after the answer: what was taken is one moment's, and the next case's folder is its own."""
    code = """
def spoil():
    n = 0
    while True:
        n += 1
        try:
            os.makedirs("/output/images", exist_ok=True)
            a = str(n) * 10000
            open("/output/images/a", "w").write(a)
            try: os.unlink("/output/images/b")
            except OSError: pass
            os.symlink("/etc/passwd", "/output/images/b")
            os.unlink("/output/images/b")
        except OSError: pass
threading.Thread(target=spoil, daemon=True).start()
time.sleep(0.2)
"""
    outcomes = act(actor, [code, 1, 2, 3], tmp_path, limits)
    assert all(outcome.code in ("", "unreadable") for outcome in outcomes)
    for folder in tmp_path.glob("out*"):
        assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("import sys; print('no weights'); sys.exit(2)", "crashed", "exit code 2"),
        ("pass", "crashed", "before it was ready"),
        ("import time; time.sleep(60)", "timeout", "not ready after 2 s"),
    ],
)
def test_a_server_that_does_not_come_up(
    engine: Runtime, tmp_path: Path, limits: Limits, source: str, code: str, words: str
) -> None:
    broken = ContainerEngine(base.taken_in(base.python_image("no-server", source, invoke=True)), engine)
    (outcome,) = act(broken, [1], tmp_path, limits.model_copy(update={"start_seconds": 2}))
    assert (outcome.code, words in outcome.reason) == (code, True), outcome


MODEL = (
    base.SERVER
    + """
import os, SimpleITK as sitk
calls = 0
def invoke():
    global calls
    calls += 1
    (name,) = os.listdir("/input/images/noisy")
    image = sitk.ReadImage("/input/images/noisy/" + name)
    os.makedirs("/output/images/clean")
    sitk.WriteImage(image - 10 OFFSET, "/output/images/clean/" + name)
serve()
"""
)


@pytest.mark.parametrize(
    ("offset", "flag"),
    [("", ""), ("- (calls > 3) * 40", "Carried state"), ("- os.urandom(1)[0]", "Not repeatable")],
)
def test_state_is_found_and_told_from_chance(
    engine: Runtime, toy: TaskFolder, toy_edition: Edition, tmp_path: Path, offset: str, flag: str
) -> None:
    """A whole run through the harness; the model with state gives right results only from a fresh start, and gets one."""
    source = MODEL.replace("OFFSET", offset)
    reference = base.python_image("model", source, invoke=True, base=base.science_image())
    container = ContainerEngine(base.taken_in(reference), engine)
    task = toy.task.model_copy(update={"limits": Limits(seconds=20, memory_mb=512, output_mb=8, shm_mb=32, cpus=2)})
    record = inference.run(task, toy_edition, Method(name="m", title="M"), container.digest, container, root=tmp_path)
    assert [case.code for case in record.cases] == [""] * 7, record
    assert [text.startswith(flag) for text in record.flags] == [True] * bool(flag), record.flags
    from benchmark import scoring

    value = scoring.score_run(task, toy_edition, record, tmp_path).aggregates[0].value
    if flag == "Not repeatable":
        assert value > 0
    else:
        assert value == 0.0
    assert record.cost is not None and record.cost.peak_memory_mb is not None and record.cost.start_seconds > 0
    folder = tmp_path / "runs" / record.key
    assert {p.name for p in (folder / "logs").iterdir()} >= {"messages.txt", "model.log"}
