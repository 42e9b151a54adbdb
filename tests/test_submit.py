"""Handing in: what a manifest may say, what an archive must be, and an inbox whose entries are whole and named by content."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmark import inbox, submission, submission_document, tasks
from benchmark.contract import Method, Task
from benchmark.errors import DataError, SubmissionError
from benchmark.inbox import Entry
from benchmark.submission import Requests, Submission
from benchmark.verdict import Verdict
from tests.command import RADBENCH

ROOT = Path(__file__).parents[1]
GOOD: dict[str, Any] = {"architecture": "amd64", "os": "linux", "config": {"User": "10001", "Env": ["PATH=/bin"]}}


def archive(path: Path, config: dict[str, Any] = GOOD) -> str:
    """Write a `docker save` archive with one empty layer; the image's digest."""
    data = json.dumps(config).encode()
    digest = hashlib.sha256(data).hexdigest()
    manifest = json.dumps([{"Config": f"{digest}.json", "RepoTags": ["m:1"], "Layers": ["l/layer.tar"]}]).encode()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w"):
        pass
    with gzip.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        members = {f"{digest}.json": data, "manifest.json": manifest, "l/layer.tar": layer.getvalue()}
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return f"sha256:{digest}"


MANIFEST = """
task = "mri_to_ct"
task_version = "1"
image = "model.tar.gz"
contact = "someone at a hospital"
[method]
name = "model"
title = "Model"
team = "Team"
description = "A network."
citation = "Someone 2026"
licence = "MIT"
"""


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.find("mri_to_ct").task


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest and its archive, in a folder of their own."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    archive(folder / "model.tar.gz")
    (folder / "submission.toml").write_text(MANIFEST)
    return folder / "submission.toml"


def change(manifest: Path, old: str, new: str) -> None:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))


def test_a_good_submission_is_one_entry_however_often_it_comes(manifest: Path, task: Task, tmp_path: Path) -> None:
    box = tmp_path / "inbox"
    entry, new = inbox.submit(manifest, task, box)
    assert new and entry.submission.digest == archive(tmp_path / "copy.tar.gz")
    folder = box / entry.id
    assert inbox.load(folder) == entry
    assert (folder / "submission.toml").read_text() == MANIFEST
    assert (folder / "image").read_bytes() == (manifest.parent / "model.tar.gz").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert inbox.submit(manifest, task, box) == (entry, False)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert [path.name for path in box.iterdir()] == [entry.id]

    change(manifest, "A network.", "Another network.")
    other, new = inbox.submit(manifest, task, box)
    assert new and other.id != entry.id
    assert {found.id for found in inbox.entries(box)} == {entry.id, other.id}


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('licence = "MIT"', 'licence = " "', "manifest", "method.licence: found nothing"),
        ('citation = "Someone 2026"', "", "manifest", "method.citation"),
        ('description = "A network."', 'description = ""', "manifest", "method.description"),
        ('contact = "someone at a hospital"', "", "manifest", "contact"),
        ('task_version = "1"', 'task_version = "0"', "manifest", "'1', the version that mri_to_ct has now"),
        ("[method]", "[requests]\nprivileged = true\n[method]", "manifest", "requests.privileged"),
        ("[method]", "[requests]\nmemory_mb = 99999\n[method]", "not_allowed", "at most 8192"),
        ('title = "Model"', 'title = "Model"\nbaseline = true', "manifest", "baseline"),
        ('image = "model.tar.gz"', 'image = "gone.tar.gz"', "manifest", "no file gone.tar.gz"),
        ('image = "model.tar.gz"', 'image = "/etc/passwd"', "manifest", "not below the manifest's folder"),
        ('image = "model.tar.gz"', 'image = "../secret.tar.gz"', "manifest", "not below the manifest's folder"),
        ("[method]", 'model = "/etc"\n[method]', "manifest", "not below the manifest's folder"),
        ("[method]", 'model = "weights"\n[method]', "manifest", "no folder weights"),
        ("[method]", f'digest = "sha256:{"0" * 64}"\n[method]', "image_changed", "holds sha256:"),
    ],
)
def test_a_manifest_is_refused_with_the_key_that_is_wrong(
    manifest: Path, task: Task, tmp_path: Path, old: str, new: str, code: str, words: str
) -> None:
    change(manifest, old, new)
    with pytest.raises(SubmissionError) as caught:
        inbox.submit(manifest, task, tmp_path / "inbox")
    assert caught.value.code == code and words in caught.value.sentence
    assert not (tmp_path / "inbox").exists() or not list((tmp_path / "inbox").iterdir())


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({**GOOD, "architecture": "arm64"}, "image_platform"),
        ({**GOOD, "config": {}}, "image_root"),
        ({**GOOD, "config": {"User": "0:0"}}, "image_root"),
        ({**GOOD, "config": {"User": "7", "Env": ["LD_PRELOAD=/x.so"]}}, "image_environment"),
    ],
)
def test_an_image_is_refused_without_an_engine(
    manifest: Path, task: Task, tmp_path: Path, config: dict[str, Any], code: str
) -> None:
    archive(manifest.parent / "model.tar.gz", config)
    with pytest.raises(SubmissionError) as caught:
        inbox.submit(manifest, task, tmp_path / "inbox")
    assert caught.value.code == code


def test_an_image_in_a_registry_needs_its_digest(manifest: Path, task: Task, tmp_path: Path) -> None:
    change(manifest, "model.tar.gz", "registry.example.org/team/model:v1")
    with pytest.raises(SubmissionError, match="digest"):
        inbox.submit(manifest, task, tmp_path / "inbox")
    change(manifest, "[method]", f'digest = "sha256:{"a" * 64}"\n[method]')
    entry, _ = inbox.submit(manifest, task, tmp_path / "inbox")
    assert entry.archive == "" and not (tmp_path / "inbox" / entry.id / "image").exists()


def test_weights_are_copied_and_part_of_the_name(manifest: Path, task: Task, tmp_path: Path) -> None:
    weights = manifest.parent / "weights/deep"
    weights.mkdir(parents=True)
    (weights / "a.bin").write_bytes(b"1")
    change(manifest, "[method]", 'model = "weights"\n[method]')
    first, _ = inbox.submit(manifest, task, tmp_path / "inbox")
    assert (tmp_path / "inbox" / first.id / "model/deep/a.bin").read_bytes() == b"1"
    (weights / "a.bin").write_bytes(b"2")
    second, new = inbox.submit(manifest, task, tmp_path / "inbox")
    assert new and second.id != first.id


@pytest.mark.parametrize("trick", ["file", "folder", "pipe", "whole"])
def test_weights_that_lead_to_other_files_are_refused(manifest: Path, task: Task, tmp_path: Path, trick: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "references.mha").write_bytes(b"sealed")
    weights = manifest.parent / "weights"
    change(manifest, "[method]", 'model = "weights"\n[method]')
    if trick == "whole":
        weights.symlink_to(secret)
    else:
        weights.mkdir()
        if trick == "pipe":
            os.mkfifo(weights / "x")
        else:
            (weights / "x").symlink_to(secret if trick == "folder" else secret / "references.mha")
    with pytest.raises(SubmissionError) as caught:
        inbox.submit(manifest, task, tmp_path / "inbox")
    assert caught.value.code == "manifest"
    assert not list(tmp_path.glob("inbox/[!.]*"))


def test_a_copy_that_fails_leaves_no_entry(
    manifest: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inbox.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        inbox.submit(manifest, task, tmp_path / "inbox")
    assert inbox.entries(tmp_path / "inbox") == [] and not list(tmp_path.glob("inbox/*"))
    monkeypatch.undo()
    assert inbox.submit(manifest, task, tmp_path / "inbox")[1]


def test_a_broken_entry_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/entry.json").write_text("{}")
    with pytest.raises(DataError, match=r"entry\.json"):
        inbox.entries(tmp_path)


def test_the_command_says_what_happens_next(manifest: Path, tmp_path: Path) -> None:
    def radbench(*more: str) -> subprocess.CompletedProcess[str]:
        line = [*RADBENCH, "submit", str(manifest), "--work", str(tmp_path / "work"), *more]
        return subprocess.run(line, capture_output=True, text=True, timeout=120)

    result = radbench()
    assert result.returncode == 0, result.stderr
    assert "placed in the inbox" in result.stdout and "canary" in result.stdout and "600 s" in result.stdout
    again = radbench("--json")
    found = json.loads(again.stdout)
    assert again.returncode == 0 and found["new"] is False and Path(found["path"], "entry.json").is_file()
    change(manifest, 'licence = "MIT"', "")
    refused = radbench()
    assert refused.returncode == 3 and "method.licence" in refused.stderr and "submissions/README.md" in refused.stderr


def test_the_template_s_manifest_says_what_is_missing_and_is_good_when_filled_in(tmp_path: Path, task: Task) -> None:
    text = (ROOT / "submissions/template/submission.toml").read_text()
    (tmp_path / "submission.toml").write_text(text)
    with pytest.raises(SubmissionError, match="contact"):
        submission.load(tmp_path / "submission.toml")
    (tmp_path / "submission.toml").write_text(text.replace('contact = ""', 'contact = "me@home"'))
    with pytest.raises(SubmissionError) as caught:
        inbox.submit(tmp_path / "submission.toml", task, tmp_path / "inbox")
    assert all(f"method.{name}" in caught.value.found for name in inbox.REQUIRED_TEXTS)
    (tmp_path / "submission.toml").write_text(text.replace('""', '"filled in"'))
    archive(tmp_path / tomllib.loads(text)["image"])
    assert inbox.submit(tmp_path / "submission.toml", task, tmp_path / "inbox")[1]


def test_the_page_is_current() -> None:
    page = submission_document.TARGET.read_text("utf-8")
    assert page == submission_document.render(), "run `python -m benchmark.submission_document`"


def test_every_key_is_on_the_page_with_its_meaning() -> None:
    page = submission_document.render()
    for record in (Submission, Requests, Verdict, Entry, Method):
        for name, info in record.model_fields.items():
            assert info.description, f"{record.__name__}.{name} has no docstring"
            if record is Submission and name in ("method", "requests"):
                continue
            shown = f"| `{name}` |" in page
            assert shown != (record is Method and name in submission_document.NOT_IN_MANIFESTS)
    assert "| `licence` | text | **required** |" in page
    assert "| `gpu` | true or false | `false` |" in page
