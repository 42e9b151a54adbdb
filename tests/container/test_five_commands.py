"""The five commands of the template's README, word for word, from nothing to a verdict, in less than five minutes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.container import Runtime
from benchmark.verdict import Verdict
from tests.container import base

ROOT = Path(__file__).parents[2]
README = ROOT / "submissions/template/README.md"
SECONDS = 300


def commands() -> list[str]:
    """The lines of the first block of code, without their remarks."""
    block = README.read_text("utf-8").split("```")[1]
    return [re.split(r"\s+# *\d", line)[0].strip() for line in block.strip().splitlines()]


def test_there_are_five() -> None:
    assert len(commands()) == 5
    assert commands()[4] == ".venv/bin/radbench try my-model --task mri_to_ct"


@pytest.fixture
def slim(engine: Runtime) -> Iterator[None]:
    """The base image that the template names, which no registry gives here: ours under its name, for the time of the test."""
    name = re.search(r"^ARG BASE=(\S+)", (README.parent / "Containerfile").read_text("utf-8"), re.MULTILINE)
    assert name is not None
    if base.exists(name[1]):
        yield
        return
    base.podman("tag", base.science_image(), name[1])
    yield
    base.podman("untag", base.science_image(), name[1])


@pytest.mark.usefixtures("clean", "slim")
def test_they_lead_to_a_verdict(tmp_path: Path) -> None:
    """`make install` finds the virtual environment of these tests, linked in before, and does not make it again."""
    first, install, *rest = commands()
    begin = time.monotonic()
    steps = [
        first.replace("REPOSITORY", str(ROOT)),
        f"mkdir .venv && ln -s {ROOT}/.venv/* .venv/ && touch .venv/.ready",
        "make --question install",
        install,
        *rest,
    ]
    if not (ROOT / ".venv/bin/radbench").exists():
        pytest.skip("there is no .venv, which `make test` makes")
    environment = {name: value for name, value in os.environ.items() if name != "RADBENCH_WORK"}
    # The checkout may belong to another user than the one who tests.
    environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    script = "set -e\n" + "\n".join(f"echo '+ {step}'\n{step}" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert time.monotonic() - begin < SECONDS
    assert "PASSED" in done.stdout
    folder = tmp_path / "radbench/work/trials/mri_to_ct/my-model"
    verdict = Verdict.model_validate_json((folder / "verdict.json").read_text("utf-8"))
    assert verdict.outcome == "passed" and len(verdict.cases) == 3 and verdict.seconds < SECONDS
    assert {"cases.csv", "logs", "predictions", "verdict.json"} <= {path.name for path in folder.iterdir()}
    base.podman("rmi", "--force", "localhost/radbench-try/my-model:latest")
