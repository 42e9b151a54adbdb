"""SIF files, which Apptainer makes: read without Apptainer, handed in, and refused where they cannot be checked.

The files are written here by the format's description (version 01), field by field.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import inbox, tasks
from benchmark.container import Runtime, intake, siffile
from benchmark.container.intake import file_digest, recheck
from benchmark.container.records import MODE_LABEL
from benchmark.errors import InfrastructureError, SubmissionError

ROOT_FS = b"hsqs" + bytes(5000)
CONFIG = {
    "User": "algorithm",
    "Env": ["PATH=/usr/bin", "A=1"],
    "WorkingDir": "/opt/app",
    "Labels": {MODE_LABEL: "invoke"},
}
SCRIPTS = {"/.singularity.d/env/90-environment.sh": 'export NICE="${NICE:-"yes"}"\n'}


def metadata(scripts: dict[str, str] | None = None) -> dict[str, Any]:
    attributes = {"labels": {"org.label-schema.build-arch": "amd64"}, "environment": scripts or SCRIPTS}
    return {"data": {"attributes": attributes}, "type": "container"}


def sif(
    *,
    config: Any = CONFIG,
    meta: Any = None,
    architecture: bytes = b"02\0",
    system: int = 1,
    primaries: int = 1,
    change: Callable[[dict[str, int]], None] = lambda fields: None,
) -> bytes:
    """A SIF file: 48 places for objects, of which those that are asked for are used."""
    objects: list[tuple[int, bytes, bytes, bytes]] = []
    for name, value in (("oci-config.json", config), ("inspect-metadata.json", metadata() if meta is None else meta)):
        if value is not None:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            objects.append((0x4006, name.encode(), data, b""))
    for _ in range(primaries):
        objects.append((0x4004, b"squash", ROOT_FS, struct.pack("<ii3s", system, 2, architecture)))
    fields = {"total": 48, "offset": 4096, "size": 48 * 585, "start": 4096 + 48 * 585, "extent": 0}
    change(fields)
    table, data, start = b"", b"", 4096 + 48 * 585
    for number, (kind, name, content, extra) in enumerate(objects):
        extent = len(content) + fields["extent"]
        table += struct.pack("<i?3I7q", kind, True, number + 1, 0xF0000001, 0, start, extent, extent, 7, 7, 0, 0)
        table += name.ljust(128, b"\0") + extra.ljust(384, b"\0")
        data += content
        start += len(content)
    head = b"#!/usr/bin/env run-singularity\n".ljust(32, b"\0") + b"SIF_MAGIC\0" + b"01\0" + architecture + bytes(16)
    head += struct.pack(
        "<8q", 7, 7, 48 - len(objects), fields["total"], fields["offset"], fields["size"], fields["start"], len(data)
    )
    return head.ljust(4096, b"\0") + table.ljust(48 * 585, b"\0") + data


def test_what_a_file_says_is_read(tmp_path: Path) -> None:
    path = tmp_path / "any name"
    path.write_bytes(sif())
    assert siffile.is_sif(path)
    found = siffile.inspect(path)
    assert (found.architecture, found.size, found.workdir) == ("amd64", len(ROOT_FS), "/opt/app")
    assert found.labels == {MODE_LABEL: "invoke", "org.label-schema.build-arch": "amd64"}
    assert set(found.environment) == {"PATH=/usr/bin", "A=1", "NICE="}
    (tmp_path / "short").write_bytes(b"x")
    assert not siffile.is_sif(tmp_path / "short")


MANIFEST = """
task = "mri_to_ct"
task_version = "1"
image = "model.sif"
contact = "someone at a hospital"
[method]
name = "model"
title = "Model"
team = "Team"
description = "A network."
citation = "Someone 2026"
licence = "MIT"
"""


def submitted(folder: Path, content: bytes) -> tuple[inbox.Entry, bool]:
    (folder / "model.sif").write_bytes(content)
    (folder / "submission.toml").write_text(MANIFEST)
    return inbox.submit(folder / "submission.toml", tasks.find("mri_to_ct").task, folder / "inbox")


def test_a_file_is_handed_in_under_its_own_hash(tmp_path: Path) -> None:
    entry, new = submitted(tmp_path, sif())
    assert new and entry.archive == "image.sif"
    assert entry.submission.digest == file_digest(tmp_path / "model.sif")
    assert (tmp_path / "inbox" / entry.id / "image.sif").read_bytes() == sif()
    assert submitted(tmp_path, sif()) == (entry, False)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (sif(architecture=b"04\0"), "image_platform", "linux/arm64"),
        (sif(config=CONFIG | {"Env": ["LD_PRELOAD=/x.so"]}), "image_environment", "LD_PRELOAD"),
        (sif(meta=metadata({"e": 'export LD_PRELOAD="/x.so"'})), "image_environment", "LD_PRELOAD"),
        (sif(meta=metadata({"e": ': "${LD_AUDIT:=/x.so}"'})), "image_environment", "LD_AUDIT"),
        (sif(system=4), "image_unreadable", "encrypted"),
        (sif(system=2), "image_unreadable", "squashfs"),
        (sif(primaries=0), "image_unreadable", "0 root file systems"),
        (sif(primaries=2), "image_unreadable", "2 root file systems"),
        (sif(config=None, meta=b""), "image_unreadable", "not JSON"),
        (sif(config=None, meta=b"[" * 100000), "image_unreadable", "not JSON"),
        (sif()[:-10], "image_unreadable", "promises"),
        (sif()[:5000], "image_unreadable", "table"),
        (sif(change=lambda f: f.update(total=10**9, size=585 * 10**9)), "image_unreadable", "1000000000 objects"),
        (sif(change=lambda f: f.update(offset=-5)), "image_unreadable", "table"),
        (sif(change=lambda f: f.update(extent=2**62)), "image_unreadable", "promises"),
        (sif(change=lambda f: f.update(extent=-(2**62))), "image_unreadable", "promises"),
        (sif().replace(b"SIF_MAGIC\x0001", b"SIF_MAGIC\x0002"), "image_unreadable", "version"),
        (b"#!/bin/sh\nrm -rf /\n", "image_unreadable", ""),
    ],
)
def test_a_file_that_cannot_be_checked_or_run_is_refused(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        submitted(tmp_path, content)
    assert caught.value.code == code and words in caught.value.sentence, caught.value.sentence
    assert not (tmp_path / "inbox").exists()


def test_a_file_that_says_nothing_of_itself_is_refused_with_what_to_do(tmp_path: Path) -> None:
    content = (
        sif().replace(b"oci-config.json", b"other.json\0\0\0\0\0").replace(b"inspect-metadata", b"inspect_metadata")
    )
    with pytest.raises(SubmissionError, match=r"cannot be checked.*docker-archive:model\.tar"):
        submitted(tmp_path, content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(sif()) - 1), st.binary(min_size=1, max_size=9)), min_size=1, max_size=5),
    st.integers(0, 40000),
)
def test_any_other_bytes_give_a_refusal_or_a_record(tmp_path: Path, changes: list[tuple[int, bytes]], cut: int) -> None:
    content = bytearray(sif())
    for place, data in changes:
        content[place : place + len(data)] = data
    (tmp_path / "x.sif").write_bytes(content[: len(content) - cut])
    try:
        found = siffile.inspect(tmp_path / "x.sif")
    except SubmissionError as error:
        assert error.code == "image_unreadable" and error.sentence.isprintable()
    else:
        assert 0 <= found.size <= len(content)


def test_an_engine_that_does_not_run_it_says_so(tmp_path: Path) -> None:
    """Not the participant's fault: the machine lacks Apptainer."""
    (tmp_path / "model.sif").write_bytes(sif())
    with pytest.raises(InfrastructureError, match="podman does not run") as caught:
        intake(tmp_path / "model.sif", Runtime(name="podman", executable="/bin/false"))
    assert caught.value.code == "engine_unfit"


def test_apptainer_is_asked_for_the_file_under_any_name(tmp_path: Path) -> None:
    """A stand-in for Apptainer that answers `inspect` as it does; the file lies in the inbox as `image.sif`."""
    answer = json.dumps(metadata())
    program = tmp_path / "apptainer"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    program.chmod(0o755)
    entry, _ = submitted(tmp_path, sif())
    path = tmp_path / "inbox" / entry.id / "image.sif"
    record = intake(path, Runtime(name="apptainer", executable=str(program)), digest=entry.submission.digest)
    assert record.digest == entry.submission.digest and record.location == str(path)
    recheck(record, Runtime(name="apptainer", executable=str(program)))
    path.write_bytes(sif() + b"x")
    with pytest.raises(SubmissionError, match="image\\.sif is now"):
        recheck(record, Runtime(name="apptainer", executable=str(program)))


def test_an_archive_becomes_a_file_for_apptainer(tmp_path: Path) -> None:
    """A stand-in that builds: the archive is checked by us before, and built once."""
    from tests.test_submit import GOOD, archive

    digest = archive(tmp_path / "model.tar.gz")
    program = tmp_path / "apptainer"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho made > "$3"\n')
    program.chmod(0o755)
    runtime = Runtime(name="apptainer", executable=str(program))
    for _ in range(2):
        record = intake(tmp_path / "model.tar.gz", runtime, cache=tmp_path / "cache")
    assert record.digest == digest and Path(record.location).read_text() == "made\n" and record.mode == "exec"
    (line,) = (tmp_path / "calls").read_text().splitlines()
    assert line.startswith("build --force ") and line.endswith(f"docker-archive:{tmp_path}/model.tar.gz")
    archive(tmp_path / "root.tar.gz", {**GOOD, "config": {}})
    with pytest.raises(SubmissionError, match="names no user"):
        intake(tmp_path / "root.tar.gz", runtime, cache=tmp_path / "cache")
