"""`radbench store` and `radbench ledger` as the organiser calls them: output, exit codes, wrong input."""

import json
from pathlib import Path

import pytest
import small
from typer.testing import CliRunner, Result

from benchmark import lease, store
from benchmark.cli import app
from benchmark.errors import DataError, InfrastructureError, RadbenchError, UsageError
from benchmark.ledger import Ledger


def call(work: Path, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--work", str(work)])


def ok(work: Path, *args: str) -> str:
    result = call(work, *args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def fails(work: Path, *args: str) -> RadbenchError:
    result = call(work, *args)
    assert isinstance(result.exception, RadbenchError), (result.output, result.exception)
    return result.exception


@pytest.fixture
def work(filled: Path) -> Path:
    return filled.parent


def test_check(work: Path) -> None:
    assert "2 runs, 2 scores, 3 placements" in ok(work, "store", "check") and "0 problems" in ok(
        work, "store", "check", "--quick"
    )
    assert json.loads(ok(work, "store", "check", "--json"))["findings"] == []
    next((work / "store").glob("scores/*/cases.csv")).write_text("x")
    error = fails(work, "store", "check")
    assert isinstance(error, DataError) and (error.code, error.exit_code) == ("store_broken", 5)
    result = call(work, "store", "check", "--json")
    assert json.loads(result.stdout)["findings"][0]["level"] == "problem" and result.exit_code != 0


def test_gc_pin_and_the_ledger(work: Path) -> None:
    assert "no rule" in ok(work, "store", "gc")
    (work / "radbench.toml").write_text("[retention]\nkeep_days = 0\nkeep_placed = false\n")
    before = small.tree(work)
    said = json.loads(ok(work, "store", "gc", "--dry-run", "--json"))
    assert said["bytes"] > 0 and len(said["removals"]) == 2 and small.tree(work) == before
    assert "twin is pinned" in ok(work, "store", "pin", "twin")
    assert isinstance(fails(work, "store", "pin", "nobody"), UsageError)
    assert isinstance(fails(work, "store", "unpin", "nobody"), UsageError)
    text = ok(work, "store", "gc")
    assert text.count("removed:") == 1 and "kept: 1 runs (pinned)" in text and "other on toy/phantom" in text
    ok(work, "store", "unpin", "twin")
    ok(work, "store", "gc")
    assert "0 problems" in ok(work, "store", "check")
    entries = Ledger(work / "ledger.jsonl").entries()
    assert [entry.facts["what"] for entry in entries] == ["pin", "gc", "unpin", "gc"]
    assert entries[1].facts["bytes"] + entries[3].facts["bytes"] == said["bytes"]


def test_export_import(work: Path, tmp_path: Path) -> None:
    made = json.loads(ok(work, "store", "export", str(tmp_path / "a.tar"), "--json"))
    new = tmp_path / "new"
    assert "2 runs, 2 scores, 3 placements are new" in ok(
        new, "store", "import", str(tmp_path / "a.tar"), "--sha256", made["sha256"]
    )
    assert "7 were there already" in ok(new, "store", "import", str(tmp_path / "a.tar"))
    (entry,) = Ledger(new / "ledger.jsonl").entries()
    assert entry.facts == {
        "what": "import", "runs": 2, "scores": 2, "bytes": entry.facts["bytes"], "archive": made["sha256"]
    }  # fmt: skip
    assert fails(new, "store", "import", str(work / "store" / "store.json")).code == "archive_invalid"
    assert fails(new, "store", "import", str(tmp_path / "none.tar")).code == "path"
    assert fails(work, "store", "export", str(tmp_path / "b.tar"), "--task", "none").code == "unknown_name"


def test_an_older_layout_is_migrated_and_noted(work: Path) -> None:
    small.older_layout(work / "store")
    assert "layout 1" in ok(work, "store", "check")
    ok(work, "store", "gc")
    (entry,) = Ledger(work / "ledger.jsonl").entries()
    assert entry.facts == {"what": "migrate", "schema_from": 1, "schema_to": 2}
    assert "0 problems" in ok(work, "store", "check") and store.version_of(work / "store") == 2


def test_while_a_night_is_on(work: Path, tmp_path: Path) -> None:
    with lease.hold(work, "radbench nightly"):
        for command in (["gc"], ["pin", "twin"], ["import", "x.tar"]):
            error = fails(work, "store", *command)
            assert isinstance(error, InfrastructureError) and error.code == "busy" and "radbench nightly" in str(error)
        ok(work, "store", "gc", "--dry-run")  # who only looks may look
        ok(work, "store", "check")
        ok(work, "store", "export", str(tmp_path / "a.tar"))


def test_no_store(tmp_path: Path) -> None:
    for command in (["check"], ["gc"], ["export", "x.tar"], ["pin", "m"]):
        assert fails(tmp_path, "store", *command).code == "path"


def test_ledger(work: Path) -> None:
    assert "no ledger" in ok(work, "ledger", "show") and "0 entries, 0 problems" in ok(work, "ledger", "verify")
    book = Ledger(work / "ledger.jsonl")
    book.append("night_started", night="2026-01-01", planned={"run": 2})
    book.append(
        "attempt", task="toy", submission="m", counted=False, why="infrastructure", group="infrastructure", code="busy"
    )
    head = str(book.append("night_finished", night="2026-01-01", exit_code=0, failed={"busy": 1}).head)
    text = ok(work, "ledger", "show")
    assert "planned=run:2" in text and "code=busy" in text and len(text.splitlines()) == 3
    assert len(ok(work, "ledger", "show", "--kind", "attempt").splitlines()) == 1
    assert len(ok(work, "ledger", "show", "--submission", "m", "--last", "5").splitlines()) == 1
    assert json.loads(ok(work, "ledger", "show", "--json"))[1]["facts"]["counted"] is False
    assert fails(work, "ledger", "show", "--kind", "nonsense").code == "unknown_name"
    assert head in ok(work, "ledger", "verify", "--head", head)
    with book.path.open("ab") as handle:
        handle.write(b'{"torn')
    assert "torn line of 6 bytes" in ok(work, "ledger", "verify")
    book.path.write_bytes(book.path.read_bytes().replace(b'"counted":false', b'"counted":true'))
    error = fails(work, "ledger", "verify")
    assert isinstance(error, DataError) and error.code == "ledger_broken"
    assert json.loads(call(work, "ledger", "verify", "--json").stdout)["problems"]
