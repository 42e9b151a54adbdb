"""The command itself, on a machine without a container engine: reference models, a night that is ended, the next, an idle one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.command import ONE_MODEL, RADBENCH


def radbench(*words: str, work: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RADBENCH, *words, "--work", str(work)],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_reference_models_a_night_that_is_ended_and_the_next(tmp_path: Path, sent: signal.Signals) -> None:
    assert radbench("prepare", "denoising", "--size", "32", work=tmp_path).returncode == 0
    (tmp_path / "radbench.toml").write_text(ONE_MODEL)
    plan = json.loads(radbench("nightly", "--dry-run", "--json", work=tmp_path).stdout)
    (run,) = plan["runs"]
    assert run["names"] == ["classical"] and run["why"] == "new reference model here"
    assert plan["scores"][0]["waits_for"] == [run["key"]] and not (tmp_path / "store").exists()
    ended = subprocess.Popen(
        [*RADBENCH, "nightly", "--work", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while not list(tmp_path.glob("store/runs/.*.partial/done/*.json")) and time.monotonic() < end:
        time.sleep(0.05)
    ended.send_signal(sent)
    ended.send_signal(sent)  # as a terminal does that closes; the second must not break into the cleaning up
    out, err = ended.communicate(timeout=60)
    assert ended.returncode == 130, err
    assert "interrupted" in out and "1 × run: the night was ended while it was under way" in out
    done = radbench("nightly", work=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "denoising/phantom-32 classical" in done.stdout and "new edition" in done.stdout
    (night,) = {path.parent for path in (tmp_path / "nights").glob("*-2/report.json")}
    report = json.loads((night / "report.json").read_text())
    assert report["exit_code"] == 0 and report["runs"][0]["cases"] == 23
    assert "denoising: classical: 23/23" in (night / "night.log").read_text()
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "site").rglob("*") if p.is_file()}
    idle = radbench("nightly", work=tmp_path)
    assert idle.returncode == 0 and "Nothing was due" in idle.stdout
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "site").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[nightly]\nengin = 'podman'", ["nightly.engin", "did you mean 'engine'"]),
        ("[nightly]\nengine = 'lxc'", ["nightly.engine", "'lxc'", "podman"]),
        ("[nightly]\ndisk_low_gb = -1", ["nightly.disk_low_gb", "-1"]),
        ("[nightly]\ntasks = ['nothing']", ["no task 'nothing'", "denoising"]),
        ("[nightly]\ntasks = ['denoising']\nbaselines = { denoising = ['clasical'] }", ["clasical", "classical"]),
        ("[nightly.retries]\njitter = 2", ["nightly.retries.jitter"]),
        ("[nightly", ["cannot be read"]),
        ("[nigthly]", ["nigthly", "did you mean 'nightly'"]),
    ],
)
def test_a_wrong_configuration_names_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    from benchmark.errors import UsageError
    from benchmark.nightly import config, gather
    from benchmark.workplace import Workplace

    (tmp_path / "radbench.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        work = Workplace(tmp_path)
        around = gather.surroundings(work, config.load(tmp_path / "radbench.toml"))
        gather.gather(around, gather.datetime.now().astimezone())
    assert caught.value.code == "config" and all(word in caught.value.sentence for word in words), caught.value.sentence


def test_a_reference_model_that_does_not_exist_is_a_wrong_call_and_no_fault_of_radbench(tmp_path: Path) -> None:
    (tmp_path / "radbench.toml").write_text(
        '[nightly]\ntasks = ["denoising"]\nbaselines = { denoising = ["clasical"] }'
    )
    done = radbench("nightly", work=tmp_path)
    assert done.returncode == 2 and "usage error [config]" in done.stderr and "'clasical'" in done.stderr
    assert not (tmp_path / "nights").exists()


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path) -> None:
    done = radbench("nightly", "--config", str(tmp_path / "none.toml"), work=tmp_path)
    assert done.returncode == 2 and "none.toml" in done.stderr


def test_attempts_of_nobody(tmp_path: Path) -> None:
    done = radbench("attempts", "Nobody", work=tmp_path)
    assert done.returncode == 2 and "no attempt of 'Nobody'" in done.stderr
