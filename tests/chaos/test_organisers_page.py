"""The page for organisers: what it shows can be loaded, verified and called."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from benchmark.cli import app
from benchmark.executor.config import parse
from benchmark.executor.options import started
from benchmark.nightly.config import Config

PAGE = Path(__file__).parents[2] / "docs" / "organisers.md"
BLOCKS = [
    (m[1], m[2]) for m in re.finditer(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
]
TEXT = PAGE.read_text("utf-8")


def blocks(language: str) -> list[str]:
    found = [text for name, text in BLOCKS if name == language]
    assert found, f"no block of {language}"
    return found


@pytest.mark.parametrize("text", [t for t in blocks("toml") if "[[phases]]" not in t])
def test_settings_load(text: str) -> None:
    config = Config.model_validate(tomllib.loads(text))
    parsed = parse(config.executor, "the page")
    if parsed.cluster:
        options, remarks = started(parsed)
        assert options["resources" if "kubernetes" in parsed.cluster else "memory"] and not remarks


def test_phases_load() -> None:
    from pydantic import TypeAdapter

    from benchmark.contract import Phase

    (text,) = [t for t in blocks("toml") if "[[phases]]" in t]
    phases = TypeAdapter(list[Phase]).validate_python(tomllib.loads(text)["phases"])
    assert [phase.name for phase in phases] == ["validation", "final"]


def test_slurm_script_is_what_dask_jobqueue_hands_in() -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    (text,) = [t for t in blocks("toml") if "SLURMCluster" in t]
    options, _ = started(parse(tomllib.loads(text)["executor"], "the page"))
    script = jobqueue.SLURMCluster.job_cls(scheduler="tcp://head:1", name="w", **options).job_script()
    for line in ("-p gpu", "-A radiology", "--cpus-per-task=8", "--mem=64G", "-t 08:00:00", "--gres=gpu:1"):
        assert line in script, script


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_parses_and_names_no_host_of_packages(text: str) -> None:
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    if found.get("kind") == "CronJob":
        pod = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert found["spec"]["concurrencyPolicy"] == "Forbid" and pod["restartPolicy"] == "Never"
        assert {m["name"] for c in pod["containers"] for m in c["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    else:
        steps = found["jobs"]["night"]["steps"]
        assert all(("uses" in step) != ("run" in step) for step in steps)


def test_systemd_units(tmp_path: Path) -> None:
    service, timer = blocks("ini")
    for text in (service, timer):
        parser = configparser.ConfigParser(strict=True, interpolation=None)
        parser.read_string(text)
        assert parser.sections()
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the units are only parsed")
    # The machine of the test has neither that user nor that program.
    service = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", service, flags=re.MULTILINE)
    (tmp_path / "radbench-nightly.service").write_text(service.replace("User=radbench", "User=root"))
    (tmp_path / "radbench-nightly.timer").write_text(timer)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    own = [line for line in done.stderr.splitlines() if "radbench" in line]
    assert done.returncode == 0 and not own, done.stderr


def calls() -> list[list[str]]:
    """Every call of radbench on the page, in blocks and between backticks."""
    sources = [t for name, t in BLOCKS if name in ("sh", "yaml", "ini", "crontab")]
    sources += re.findall(r"^    (radbench .*)$", TEXT, re.MULTILINE) + re.findall(r"`(radbench [^`]+)`", TEXT)
    found = []
    for line in "\n".join(sources).splitlines():
        match = re.search(r"(?:^|[\s/=])radbench ((?!:)[a-z].*)$", line.split("  #")[0].strip())
        if match and not line.strip().startswith(("#", "Description", "User")):
            found.append(shlex.split(re.split(r"\s(?:>|\|\||2>)", match[1])[0]))
    return found


@pytest.mark.parametrize("words", calls(), ids=" ".join)
def test_commands_exist_with_their_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = click.Context(command)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command = found
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in {*known, "--help"}, f"{command.name} has no option {word}"


def test_the_page_calls_what_an_organiser_needs() -> None:
    names = {" ".join(words[:2]) if words[0] in ("store", "ledger") else words[0] for words in calls()}
    assert names >= {
        "nightly", "doctor", "prepare", "verify", "attempts", "store check", "store export", "store import", "store gc",
        "ledger verify",
    }  # fmt: skip


@pytest.mark.parametrize("text", [t for t in blocks("sh") if t.startswith("#!")])
def test_scripts_are_shell(text: str) -> None:
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
