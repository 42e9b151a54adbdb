"""A baseline as a container would run it: one case a process, and a warm server."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from baselines import catalogue, entry, prediction, training
from baselines.catalogue import ROOT, Baseline
from benchmark import image
from benchmark.contract import Task
from benchmark.dataset import Edition
from benchmark.errors import UsageError
from benchmark.image import Volume

Prepared = tuple[Task, Edition]
COMMAND = [sys.executable, "-m", "baselines.entry"]


@pytest.fixture(scope="session")
def tv_weights(slabs: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted on the tiny edition, so that these tests do not hang on the shipped weights."""
    task, edition = slabs
    report = training.train(task, [edition], catalogue.find("denoising", "classical-tv"), tmp_path_factory.mktemp("tv"))
    assert report.baseline.weights is not None
    return report.baseline.weights


@pytest.fixture
def case(heads: Prepared, tmp_path: Path) -> tuple[Path, Path, str]:
    """Folders as a container finds them: one case below `input`, an empty `output`."""
    _task, edition = heads
    id = edition.split("val")[0].id
    shutil.copytree(edition.input_folder(id), tmp_path / "input")
    (tmp_path / "output").mkdir()
    return tmp_path / "input", tmp_path / "output", id


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
        env={**os.environ, **environment},
    )


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_exec_writes_exactly_the_declared_output_on_the_grid_of_the_input(case: tuple[Path, Path, str]) -> None:
    source, target, id = case
    done = run("--baseline", "classical-water", "--task", "mri_to_ct", "exec", "--input", source, "--output", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == [f"images/synthetic-ct/{id}.mha"]
    out, mr = image.read(target / f"images/synthetic-ct/{id}.mha"), image.read(source / f"images/mri/{id}.mha")
    assert (out.array.shape, out.spacing, out.origin) == (mr.array.shape, mr.spacing, mr.origin)
    np.testing.assert_array_equal(out.direction, mr.direction)
    body = np.asarray(image.read(source / f"images/body/{id}.mha").array) != 0
    assert (out.array[body] == 0).all() and (out.array[~body] == -1000).all()


def test_geometry_is_copied_from_an_oblique_input_of_another_format(tmp_path: Path) -> None:
    rotation = np.array([[0.0, 0.6, 0.8], [0.0, 0.8, -0.6], [1.0, 0.0, 0.0]])
    rotation[:, 0] = np.cross(rotation[:, 1], rotation[:, 2])
    mr = Volume(np.ones((3, 5, 6), np.float32), (2.0, 1.5, 1.25), (4.0, -5.0, 6.0), rotation)
    for slug, volume in (("mri", mr), ("body", mr.like(np.ones((3, 5, 6), np.uint8)))):
        (tmp_path / "in/images" / slug).mkdir(parents=True)
        image.write(tmp_path / "in/images" / slug / "1BA001.nii.gz", volume)
    done = run(
        "--baseline",
        "classical-water",
        "--task",
        "mri_to_ct",
        "exec",
        "--input",
        tmp_path / "in",
        "--output",
        tmp_path / "o",
    )
    assert done.returncode == 0, done.stderr
    out = image.read(tmp_path / "o/images/synthetic-ct/1BA001.mha")
    assert out.spacing == pytest.approx(mr.spacing) and out.origin == pytest.approx(mr.origin)
    np.testing.assert_allclose(out.direction, rotation, atol=1e-5)


def test_names_may_come_from_the_environment_and_the_task_from_the_inputs(case: tuple[Path, Path, str]) -> None:
    source, target, id = case
    done = run("exec", "--input", source, "--output", target, RADBENCH_BASELINE="classical-water")
    assert done.returncode == 0, done.stderr
    assert files(target) == [f"images/synthetic-ct/{id}.mha"]


def test_the_sockets_decide_the_task(heads: Prepared, slabs: Prepared) -> None:
    for task, edition in (heads, slabs):
        assert entry.task_of(edition.input_folder(edition.cases[0].id), "unet") == task.name


def test_inputs_of_no_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"inputs\.json cannot be read"):
        entry.task_of(tmp_path, "unet")
    (tmp_path / "inputs.json").write_text(json.dumps([{"interface": {"slug": "fundus"}}]), "utf-8")
    with pytest.raises(UsageError, match="inputs fundus belong to 0 tasks"):
        entry.task_of(tmp_path, "unet")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--baseline", "nope", "--task", "mri_to_ct"], 2, "unknown_name: task 'mri_to_ct' has no baseline 'nope'"),
        (["--baseline", "unet", "--task", "nope"], 2, "unknown_name: task 'nope' has no baseline"),
        (["--task", "mri_to_ct"], 2, "unknown_name: no baseline was named"),
    ],
)
def test_wrong_names_are_one_plain_line(arguments: list[str], status: int, message: str, tmp_path: Path) -> None:
    done = run(*arguments, "exec", "--input", tmp_path, "--output", tmp_path)
    assert done.returncode == status
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1


def test_a_socket_with_no_image_or_two_is_refused(case: tuple[Path, Path, str]) -> None:
    source, target, id = case
    shutil.copy(source / f"images/mri/{id}.mha", source / "images/mri/second.mha")
    arguments = ("--baseline", "classical-water", "--task", "mri_to_ct", "exec", "--input", source, "--output", target)
    done = run(*arguments)
    assert done.returncode == 2 and "holds 2 image files" in done.stderr
    shutil.rmtree(source / "images/mri")
    done = run(*arguments)
    assert done.returncode == 2 and "holds 0 image files" in done.stderr
    assert files(target) == []


def test_inputs_on_two_grids_are_refused(case: tuple[Path, Path, str]) -> None:
    source, target, id = case
    body = image.read(source / f"images/body/{id}.mha")
    image.write(source / f"images/body/{id}.mha", Volume(body.array[:-1]))
    done = run("--baseline", "classical-water", "--task", "mri_to_ct", "exec", "--input", source, "--output", target)
    assert done.returncode == 2 and "has shape" in done.stderr


def test_extra_maps_are_written_only_when_asked(
    case: tuple[Path, Path, str], heads: Prepared, tiny: Callable[..., Baseline], tmp_path: Path
) -> None:
    source, target, id = case
    task, edition = heads
    trained = training.train(
        task, [edition], tiny("mri_to_ct", "vae", steps=2), tmp_path / "vae", device="cpu"
    ).baseline
    predictor = prediction.load(trained, device="cpu")
    prediction.run_case(predictor, trained, task, source, target)
    assert files(target) == [f"images/synthetic-ct/{id}.mha"]
    first = (target / f"images/synthetic-ct/{id}.mha").read_bytes()
    prediction.run_case(predictor, trained, task, source, target, extras=True)
    assert files(target) == [f"images/synthetic-ct/{id}.mha", f"images/uncertainty/{id}.mha"]
    assert (target / f"images/synthetic-ct/{id}.mha").read_bytes() == first


class Server:
    """A running `serve` process."""

    def __init__(self, source: Path, target: Path, weights: Path | None = None, **environment: str) -> None:
        extra = ["--weights", str(weights)] if weights else []
        self.process = subprocess.Popen(
            [*COMMAND, *extra, "serve", "--port", "0", "--input", str(source), "--output", str(target)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT.parent,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        self.port = int(line.rsplit(":", 1)[1])

    def ask(self, method: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=b"" if method == "POST" else None)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    return tmp_path / "input", tmp_path / "output"


@pytest.fixture
def serving(folders: tuple[Path, Path], tv_weights: Path) -> Iterator[Server]:
    server = Server(*folders, tv_weights, RADBENCH_BASELINE="classical-tv", RADBENCH_TASK="denoising")
    yield server
    server.process.kill()
    server.process.communicate()


def put(edition: Edition, id: str, source: Path, target: Path) -> None:
    """A fresh /input and /output."""
    for folder in (source, target):
        shutil.rmtree(folder)
    shutil.copytree(edition.input_folder(id), source)
    target.mkdir()


def test_a_warm_server_runs_case_after_case_like_a_cold_start(
    serving: Server, folders: tuple[Path, Path], slabs: Prepared, tv_weights: Path, tmp_path: Path
) -> None:
    source, target = folders
    _, edition = slabs
    assert serving.ask("GET", "/health")[0] == 200
    ids = [case.id for case in edition.split("train", "val")]
    outputs: dict[str, bytes] = {}
    for id in [*ids, ids[0]]:
        put(edition, id, source, target)
        assert serving.ask("POST", "/invoke")[0] == 201
        assert files(target) == [f"images/denoised-ct/{id}.mha"]
        found = (target / f"images/denoised-ct/{id}.mha").read_bytes()
        assert outputs.setdefault(id, found) == found
    assert len(set(outputs.values())) == len(ids)
    cold = tmp_path / "cold"
    done = run(
        "--baseline", "classical-tv", "--task", "denoising", "--weights", tv_weights,
        "exec", "--input", source, "--output", cold,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (cold / f"images/denoised-ct/{ids[0]}.mha").read_bytes() == outputs[ids[0]]


def test_a_case_that_cannot_be_run_is_answered_with_a_reason_and_the_next_one_runs(
    serving: Server, folders: tuple[Path, Path], slabs: Prepared
) -> None:
    source, target = folders
    _, edition = slabs
    status, text = serving.ask("POST", "/invoke")
    assert status == 500 and "holds 0 image files" in text and "\n" not in text.strip()
    id = edition.cases[0].id
    put(edition, id, source, target)
    path = source / f"images/low-dose-ct/{id}.mha"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    status, text = serving.ask("POST", "/invoke")
    assert status == 500 and "Traceback" not in text
    path.write_bytes(whole)
    assert serving.ask("POST", "/invoke")[0] == 201
    assert serving.ask("GET", "/nothing")[0] == 404
    assert serving.ask("POST", "/nothing")[0] == 404
    serving.process.kill()
    assert "Traceback" in serving.process.communicate()[1]


def test_sigterm_ends_the_server_at_once(serving: Server) -> None:
    begin = time.monotonic()
    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(10) == 128 + signal.SIGTERM
    assert time.monotonic() - begin < 2


def test_a_network_is_served_too(folders: tuple[Path, Path], slabs: Prepared) -> None:
    """The shipped weights: a whole case through the U-Net, equal to the same prediction in this process."""
    source, target = folders
    task, edition = slabs
    baseline = catalogue.find(task.name, "unet")
    id = edition.split("val")[0].id
    server = Server(source, target, RADBENCH_BASELINE="unet", RADBENCH_TASK="denoising")
    try:
        put(edition, id, source, target)
        assert server.ask("POST", "/invoke") == (201, "done\n")
    finally:
        server.process.kill()
        server.process.communicate()
    served = image.read(target / f"images/denoised-ct/{id}.mha")
    here = prediction.load(baseline, device="cpu")({"low-dose-ct": edition.read_input(task.inputs[0], id)})
    np.testing.assert_array_equal(served.array, here.content)


def test_one_process_can_hold_a_baseline_for_every_task(heads: Prepared, slabs: Prepared, tmp_path: Path) -> None:
    """What a container does when nobody names the task: the sockets of each case decide."""
    names = entry.tasks_with("classical")
    assert set(names) >= {"mri_to_ct", "denoising"}
    run_one = entry.runner("classical", names, 1, "cpu")
    for task, edition in (heads, slabs):
        id = edition.split("val")[0].id
        run_one(edition.input_folder(id), tmp_path / task.name)
        assert files(tmp_path / task.name) == [task.output(task.scoring.prediction).file(id)]
