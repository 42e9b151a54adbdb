"""The ledger: every edit is found, a torn line costs nothing, many writers and kills leave a whole chain, no secret gets in."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from benchmark import ledger, ledger_facts
from benchmark.errors import DataError, InfrastructureError
from benchmark.ledger import Head, Ledger, verify

RUN = "0123456789abcdef0123"


def filled(path: Path, count: int = 6) -> Ledger:
    book = Ledger(path)
    for number in range(count):
        book.append("attempt", task="toy", submission=f"m{number}", counted=bool(number % 2), why="ran")
    return book


def test_chain_by_hand(tmp_path: Path) -> None:
    """The format, recomputed without the module: numbers, hashes of the line before, the head beside."""
    path = tmp_path / "ledger.jsonl"
    filled(path, 3)
    lines = path.read_bytes().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["sequence"] for r in records] == [0, 1, 2]
    assert [r["previous"] for r in records] == ["0" * 64, *(hashlib.sha256(line).hexdigest() for line in lines[:-1])]
    assert records[1]["facts"] == {"task": "toy", "submission": "m1", "counted": True, "why": "ran"}
    head = f"2:{hashlib.sha256(lines[-1]).hexdigest()}"
    assert (tmp_path / "ledger.jsonl.head").read_text().strip() == head == str(Ledger(path).head())
    assert verify(path, [head]) == []


def test_empty_and_absent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert Ledger(path).head() is None and Ledger(path).entries() == [] and verify(path) == []
    assert verify(path, ["0:" + "a" * 64])  # there was one once
    assert verify(path, ["nonsense"])


EDITS = {
    "a fact": lambda ls: [ls[0], ls[1].replace(b'"m1"', b'"mX"'), *ls[2:]],
    "a fact of the last line": lambda ls: [*ls[:-1], ls[-1].replace(b'"m5"', b'"m6"')],
    "a time": lambda ls: [*ls[:3], ls[3].replace(b'"time":"2', b'"time":"1'), *ls[4:]],
    "a line removed": lambda ls: [*ls[:2], *ls[3:]],
    "the first removed": lambda ls: ls[1:],
    "two exchanged": lambda ls: [ls[0], ls[2], ls[1], *ls[3:]],
    "one twice": lambda ls: [*ls[:3], ls[2], *ls[3:]],
    "the end cut off": lambda ls: ls[:-1],
    "all gone": lambda ls: [],
    "white space": lambda ls: [*ls[:-1], ls[-1].replace(b":", b": ", 1)],
    "no JSON": lambda ls: [*ls[:2], b"x", *ls[3:]],
    "an empty line": lambda ls: [*ls[:2], b"", *ls[2:]],
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ledger.jsonl"
    filled(path)
    lines = path.read_bytes().splitlines()
    changed = EDITS[name](lines)
    assert changed != lines
    path.write_bytes(b"".join(line + b"\n" for line in changed))
    assert verify(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A ledger of three lines and its head file."""
    path = tmp_path_factory.mktemp("whole") / "ledger.jsonl"
    filled(path, 3)
    return path.read_bytes(), ledger.head_file(path).read_bytes()


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, whole: tuple[bytes, bytes], position: int, flip: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.jsonl"
    data = bytearray(whole[0])
    data[position % len(data)] ^= flip
    path.write_bytes(bytes(data))
    ledger.head_file(path).write_bytes(whole[1])
    assert verify(path)


def test_rewritten_history_is_found_by_a_published_head(tmp_path: Path) -> None:
    """Who rewrites the whole chain and its head file is found by a head that was published before."""
    path = tmp_path / "ledger.jsonl"
    published = filled(path).head()
    assert published is not None
    for file in tmp_path.iterdir():
        file.unlink()
    book = filled(path, 5)
    book.append("attempt", task="toy", submission="other", counted=False, why="organiser")
    book.append("attempt", task="toy", submission="more", counted=False, why="organiser")
    assert verify(path) == []
    assert verify(path, [published]) == ["line 6 is not the one whose head was published"]


def test_a_torn_line_is_moved_aside_and_said(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    filled(path, 3)
    whole = path.read_bytes()
    for cut in (1, 40, len(whole.splitlines()[-1])):  # the last: everything but the line's end
        path.write_bytes(whole)
        ledger.head_file(path).unlink()  # it knows of the line that the last round added
        with path.open("ab") as handle:
            handle.write(whole.splitlines()[-1][:cut])
        assert ledger.torn_bytes(path) == cut and verify(path) == [] and len(Ledger(path).entries()) == 3
        book = Ledger(path)
        entry = book.append("phase", task="toy", phase="final", state="opened")
        assert (entry.sequence, entry.torn_bytes) == (3, cut) and verify(path) == []
        assert len(book.torn) == 1 and f"{cut} bytes" in book.torn[0]
        (aside,) = (p for p in tmp_path.glob("*.torn-*") if p.name in book.torn[0])
        assert aside.read_bytes() == whole.splitlines()[-1][:cut]


def test_a_line_longer_than_a_block_is_found_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    book = filled(path, 2)
    book.append("published", edition="e1", boards=tuple(f"task{i}/{'e' * 100}" for i in range(1500)))
    assert len(path.read_bytes().splitlines()[-1]) > 2 * 65536
    book.append("published", edition="e2")
    assert [e.sequence for e in book.entries()] == [0, 1, 2, 3] and verify(path) == []


def test_a_broken_end_is_not_written_after(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    book = filled(path, 2)
    with path.open("ab") as handle:
        handle.write(b"garbage\n")
    before = path.read_bytes()
    with pytest.raises(DataError, match="no entry") as caught:
        book.append("published", edition="e1")
    assert caught.value.code == "ledger_broken" and path.read_bytes() == before


def test_a_clock_set_back_is_noted_and_the_chain_keeps_the_order(tmp_path: Path) -> None:
    path, start = tmp_path / "ledger.jsonl", datetime(2026, 1, 1, tzinfo=UTC)
    hours = iter((0, 2, 1, 1.5, 3))
    book = Ledger(path, clock=lambda: start + timedelta(hours=next(hours)))
    written = [book.append("published", edition=f"e{i}") for i in range(5)]
    assert [e.clock_back for e in written] == [False, False, True, False, False]
    assert [e.facts["edition"] for e in book.entries()] == ["e0", "e1", "e2", "e3", "e4"] and verify(path) == []


def _write_many(path: Path, who: int) -> None:
    book = Ledger(path)
    for number in range(25):
        book.append("attempt", task="toy", submission=f"w{who}-{number}", counted=True, why="ran")


def test_many_writers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path, who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    names = [entry.facts["submission"] for entry in Ledger(path).entries()]
    assert sorted(names) == sorted(f"w{who}-{n}" for who in range(4) for n in range(25)) and verify(path) == []
    for who in range(4):  # each writer's own order is kept
        mine = [name for name in names if name.startswith(f"w{who}-")]
        assert mine == [f"w{who}-{n}" for n in range(25)]


KILLED = """
import sys
from pathlib import Path
from benchmark.ledger import Ledger
book, number = Ledger(Path(sys.argv[1])), 0
while True:
    entry = book.append("attempt", task="toy", submission=f"n{number}", counted=True, why="ran")
    sys.stdout.write(f"{entry.sequence}\\n"); sys.stdout.flush()
    number += 1
"""


def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for trial in range(6):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.01 + 0.013 * trial)
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = [int(line) for line in process.stdout.read().splitlines()]
        process.wait()
        assert verify(path) == []
        assert len(Ledger(path).entries()) > max(acknowledged, default=0)


SECRETS = [
    "-----BEGIN RSA PRIVATE KEY-----",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "a" * 36,
    "password=hunter2",
    "--env API_KEY=123456",
    "Authorization: Basic abcdef",
    "Bearer abcdefgh12345",
    "https://user:pw@registry.example/x",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_gets_in(tmp_path: Path, secret: str) -> None:
    book = Ledger(tmp_path / "ledger.jsonl")
    work = {"task": "toy", "submission": "m", "run": RUN}
    for kind, facts in (
        ("run_started", {**work, "digest": "sha256:" + "a" * 64, "engine": "podman", "flags": ["--net=none", secret]}),
        ("run_started", {**work, "digest": "sha256:" + "a" * 64, "engine": "podman", "hardware": secret}),
    ):
        with pytest.raises(DataError) as caught:
            book.append(kind, **facts)  # type: ignore[arg-type]
        assert caught.value.code == "ledger_fact" and secret not in str(caught.value)
    assert not book.path.exists()
    # What a stranger wrote must not stop the night: it is withheld.
    received = "2026-01-01T00:00:00+00:00"
    book.append("submitted", task="toy", submission="m", team=f"We\n{secret}", received=received)
    assert secret not in book.path.read_text() and "withheld" in book.path.read_text()


def test_ordinary_flags_are_no_secrets(tmp_path: Path) -> None:
    flags = [
        "--network=none",
        "--security-opt=no-new-privileges",
        "--cap-drop=ALL",
        "--tmpfs=/tmp:rw,size=64m",
        "gpu 0",
    ]
    Ledger(tmp_path / "l").append(
        "run_started", task="toy", submission="m", digest="abcdef012345", engine="p/exec", flags=flags
    )


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("run_failed", {"reason": "what the container said", "group": "submission", "code": "crashed"}),
        ("run_failed", {"log": "x", "group": "submission", "code": "crashed"}),
        ("run_failed", {"group": "submission", "code": "whatever the container likes"}),
        ("run_failed", {"group": "submission", "code": "no_space"}),
        ("run_failed", {"group": "infrastructure", "code": ""}),
        ("run_finished", {"cases": 2, "codes": {"case_017": 1}}),
        ("run_finished", {"cases": ["case_017"]}),
        ("attempt", {"counted": False, "why": "the patient with the rare tumour"}),
        ("reproduced", {"same": False, "largest": float("nan")}),
        ("run_started", {"digest": "abcdef012345", "engine": "podman", "hardware": "two\nlines"}),
        ("nothing", {}),
    ],
)
def test_what_has_no_place_is_refused(tmp_path: Path, kind: Any, facts: dict[str, Any]) -> None:
    book = Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(DataError) as caught:
        book.append(kind, **{"task": "toy", "submission": "m", **facts})
    assert caught.value.code == "ledger_fact" and not book.path.exists()


def test_sealed_case_ids_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.jsonl", sealed=["case_017"])
    for facts in ({"hardware": "saw case_017 there"}, {"flags": ["--mount=/in/case_017"]}, {"submission": "case_017"}):
        with pytest.raises(DataError, match="sealed"):
            book.append(
                "run_started", **{"task": "toy", "submission": "m", "digest": "abcdef01", "engine": "p", **facts}
            )  # type: ignore[arg-type]
    book.append(
        "run_started", task="toy", submission="m", digest="abcdef01", engine="p", hardware="case_0170 is another"
    )


def test_every_field_says_what_it_is_and_no_field_takes_free_text() -> None:
    """The guard is the schema: no field by the name of what a container writes, no string without a bound."""
    assert set(ledger_facts.RECORDS) == set(ledger_facts.KINDS)
    for record in (ledger.Entry, Head, *ledger_facts.RECORDS.values()):
        assert issubclass(record, BaseModel)
        for name, field in record.model_fields.items():
            assert field.description, f"{record.__name__}.{name}"
            assert name not in {"reason", "log", "message", "error", "output", "stderr", "case", "contact"}
    for record in ledger_facts.RECORDS.values():
        _bounded(record.model_json_schema(), record.__name__)


def _bounded(schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            assert {"pattern", "maxLength", "enum", "const"} & set(schema), (where, schema)
        for key, value in schema.items():
            _bounded(value, f"{where}.{key}")
    elif isinstance(schema, list):
        for item in schema:
            _bounded(item, where)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere; the read-only mount is tested with the store")
def test_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InfrastructureError):
        Ledger(tmp_path / "l").append("published", edition="e1")
