"""Editions: the same bytes each time, whole or absent, inputs and references apart."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark import dataset
from benchmark.dataset import Edition
from benchmark.errors import DataError
from benchmark.tasks import TaskFolder


def tree(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_two_preparations_give_the_same_bytes_whatever_the_number_of_workers(toy: TaskFolder, tmp_path: Path) -> None:
    plan = toy.maker("phantom")()
    one = dataset.prepare(tmp_path / "a", toy.task, plan, workers=1)
    two = dataset.prepare(tmp_path / "b", toy.task, plan, workers=2)
    assert tree(one.root) == tree(two.root)
    other = dataset.prepare(tmp_path / "c", toy.task, toy.maker("phantom")(seed=2), workers=1)
    assert tree(one.root) != tree(other.root)


def test_layout_keeps_references_out_of_the_inputs(toy_edition: Edition) -> None:
    names = {path.split("/")[0] for path in toy_edition.info.files}
    assert names == {"inputs", "references", "cases.csv", "truth.json"}
    inputs = tree(toy_edition.input_folder("c5"))
    assert set(inputs) == {"images/noisy/c5.mha", "inputs.json"}
    sockets = json.loads(inputs["inputs.json"])
    assert [item["interface"]["slug"] for item in sockets] == ["noisy"]
    assert set(tree(toy_edition.reference_folder("c5"))) == {"images/truth/c5.mha", "images/mask/c5.mha"}
    assert toy_edition.info.counts == {"train": 2, "val": 1, "canary": 2, "test": 5}
    assert toy_edition.truth == {"gap": 0}


def test_every_hash_is_checked(toy: TaskFolder, tmp_path: Path) -> None:
    edition = dataset.prepare(tmp_path, toy.task, toy.maker("phantom")(), workers=1)
    dataset.load(tmp_path, toy.task, "phantom", check=True)
    path = edition.reference_folder("c3") / "images/truth/c3.mha"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(DataError, match=r"c3\.mha"):
        dataset.load(tmp_path, toy.task, "phantom", check=True)


@pytest.mark.parametrize("kind", ["phantom", "real"])
def test_an_unchanged_plan_is_reused_and_a_changed_one_is_not(toy: TaskFolder, tmp_path: Path, kind: str) -> None:
    plan = toy.maker("phantom")()
    plan = dataclasses.replace(plan, info=plan.info.model_copy(update={"kind": kind}))
    root = dataset.prepare(tmp_path, toy.task, plan, workers=1).root
    stamp = (root / "dataset.json").stat().st_mtime_ns
    dataset.prepare(tmp_path, toy.task, plan, workers=1)
    assert (root / "dataset.json").stat().st_mtime_ns == stamp
    changed = dataset.prepare(tmp_path, toy.task, toy.maker("phantom")(seed=9), workers=1)
    assert changed.info.parameters == {"seed": 9}
    (root / "references/c1/images/truth/c1.mha").unlink()
    again = dataset.prepare(tmp_path, toy.task, toy.maker("phantom")(seed=9), workers=1)
    assert (again.root / "references/c1/images/truth/c1.mha").exists()


def test_a_failing_case_leaves_nothing(toy: TaskFolder, tmp_path: Path) -> None:
    plan = toy.maker("phantom")()
    broken = dataset.Plan(plan.info, [*plan.cases[:-1], dataset.PlannedCase(plan.cases[-1].case, _broken)], plan.truth)
    with pytest.raises(RuntimeError, match="on purpose"):
        dataset.prepare(tmp_path, toy.task, broken, workers=1)
    assert not list((tmp_path / "toy").glob("**/dataset.json"))
    with pytest.raises(DataError, match="no edition 'phantom'"):
        dataset.load(tmp_path, toy.task, "phantom")


def _broken() -> dataset.CaseFiles:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.3])
def test_killed_preparation_leaves_no_half_edition_and_the_next_one_completes(
    toy: TaskFolder, toy_tasks: Path, tmp_path: Path, delay: float
) -> None:
    slow = (
        "import sys, time, functools\nfrom pathlib import Path\nfrom benchmark import dataset, tasks\n"
        "folder = tasks.find('toy', [Path(sys.argv[1])])\nplan = folder.maker('phantom')()\n"
        "def progress(done, total): print(done, flush=True); time.sleep(0.05)\n"
        "dataset.prepare(Path(sys.argv[2]), folder.task, plan, workers=1, progress=progress)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, str(toy_tasks), str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # the first case is there
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(DataError):
        dataset.load(tmp_path, toy.task, "phantom")
    edition = dataset.prepare(tmp_path, toy.task, toy.maker("phantom")(), workers=1)
    dataset.load(tmp_path, toy.task, "phantom", check=True)
    assert [p.name for p in edition.root.parent.iterdir() if p.name.endswith(".partial")] == []
