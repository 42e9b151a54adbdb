"""The commands at the site and at the organiser's, with right and wrong calls."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from benchmark import dataset, loose, publishing, scoring, secret, tasks
from benchmark.cli import app
from benchmark.contract import Method, Task
from benchmark.errors import DataError, RadbenchError, UsageError
from benchmark.federation import bundle
from benchmark.ledger import Ledger
from tests.federation.hospitals import Hospital


def radbench(*words: object) -> str:
    """What the command prints. Raises its error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def scored(h: Hospital, root: Path, file: Path, *more: object) -> str:
    return radbench(
        "score", "toy", "--tasks", root / "tasks", "--data", h.edition.root, "--predictions", h.root / "predictions", "--bundle", file,
        "--site", h.name, "--submission", "magic", "--work", file.parent / f"{h.name}-work", *more,
    )  # fmt: skip


def test_from_sites_to_a_verified_site(north: Hospital, south: Hospital, root: Path, tmp_path: Path) -> None:
    shared, work = tmp_path / "shared.key", tmp_path / "organiser"
    shared.write_text("between us, and nobody else\n")
    for h in (north, south):
        said = scored(h, root, tmp_path / f"{h.name}.json", "--shared-key", shared)
        assert "withheld" in said and "left out, since their values are not declared: scanner" in said
    files = [tmp_path / "north.json", tmp_path / "south.json"]
    said = json.loads(
        radbench("merge", *files, "--shared-key", shared, "--tasks", root / "tasks", "--work", work, "--json")
    )
    assert said["sites"] == ["north", "south"] and said["rows"] == ["magic"] and len(said["added"]) == 2
    lines = [e.facts for e in Ledger(work / "ledger.jsonl").entries()]
    assert [line["archive"] for line in lines] == said["added"]
    assert "new edition" in radbench("publish", "--tasks", root / "tasks", "--work", work, "--date", "2026-05-01")
    assert "0 differences" in radbench("verify", work / "site")
    again = json.loads(radbench("merge", *files, "--tasks", root / "tasks", "--work", work, "--json"))
    assert again["added"] == [] and "unchanged" in radbench(
        "publish", "--tasks", root / "tasks", "--work", work, "--date", "2026-05-02"
    )
    files[0].with_name("north.json.hmac").write_text("0" * 64 + "\n")
    with pytest.raises(RadbenchError, match="not what was signed"):
        radbench("merge", files[0], "--shared-key", shared, "--tasks", root / "tasks", "--work", work)


def test_a_stored_run_gives_the_numbers_of_its_files(north: Hospital, task: Task, root: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    edition = dataset.load(north.root / "data", task, "own")
    run = loose.keep(task, edition, north.root / "predictions", Method(name="magic", title="Magic"), work / "store")
    scoring.score_run(task, edition, run, work / "store")
    key = tmp_path / "site.key"
    for word, file in (("magic", "a.json"), (run.key, "b.json")):
        radbench(
            "score", "toy", "--tasks", root / "tasks", "--data", edition.root, "--run", word, "--bundle", tmp_path / file,
            "--site", "north", "--key", key, "--work", work,
        )  # fmt: skip
    scored(north, root, tmp_path / "c.json", "--key", key, "--digest", run.digest)
    first = (tmp_path / "a.json").read_bytes()
    assert (tmp_path / "b.json").read_bytes() == first == (tmp_path / "c.json").read_bytes()
    assert run.method.title not in first.decode()


def test_a_bundle_does_not_take_the_address_of_a_board_run_here(
    north: Hospital, south: Hospital, task: Task, root: Path, tmp_path: Path
) -> None:
    """Both editions are real: the one that was run here comes first, though `federated` comes before `own` in the alphabet."""
    work = tmp_path / "work"
    shutil.copytree(north.root / "data", work / "data")
    edition = dataset.load(work / "data", task, "own")
    run = loose.keep(task, edition, north.root / "predictions", Method(name="magic", title="Magic"), work / "store")
    scoring.score_run(task, edition, run, work / "store")
    for h in (north, south):
        scored(h, root, tmp_path / f"{h.name}.json")
    radbench("merge", tmp_path / "north.json", tmp_path / "south.json", "--tasks", root / "tasks", "--work", work)
    found = publishing.entries([tasks.find("toy", [root / "tasks"])], work / "data", work / "store")
    assert [item.info.edition for _, item, _ in found] == ["own", "federated"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bundle", "x.json", "--site", "a"], "both or neither of --predictions and --run"),
        (["--run", "k"], "--run without --bundle"),
        (["--predictions", "."], "neither --out nor --bundle"),
        (["--predictions", ".", "--bundle", "x.json", "--split", "val"], "--bundle with --split val"),
        (["--predictions", ".", "--bundle", "x.json", "--site", "Dr X", "--submission", "m"], "site 'Dr X'"),
        (["--predictions", ".", "--bundle", "x.json", "--site", "x"], "--bundle without --submission"),
    ],
)
def test_a_wrong_call_says_so_before_anything_is_scored(
    words: list[str], message: str, north: Hospital, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(RadbenchError, match=message):
        radbench("score", "toy", "--tasks", root / "tasks", "--data", north.edition.root, "--work", tmp_path, *words)
    assert not list(tmp_path.iterdir())


def test_merge_without_anything(tmp_path: Path, root: Path) -> None:
    with pytest.raises(RadbenchError, match="no bundle and no --task"):
        radbench("merge", "--tasks", root / "tasks", "--work", tmp_path)
    with pytest.raises(RadbenchError, match="there is no bundle of toy"):
        radbench("merge", "--task", "toy", "--tasks", root / "tasks", "--work", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes; expected 16 to 4096"),
        (b" \n\t\n", "has 0 bytes"),
        (b"short\n", "has 5 bytes"),
        (b"x" * 5000, "has more than 4096 bytes"),
        (None, "there is no key"),
    ],
    ids=["empty", "space alone", "short", "another file", "absent"],
)
def test_a_shared_key_that_is_none_is_refused_before_anything_is_done(
    content: bytes | None, message: str, north: Hospital, task: Task, root: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared.key"
    if content is not None:
        shared.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=message):
        scored(north, root, tmp_path / "north.json", "--shared-key", shared)
    assert sorted(tmp_path.iterdir()) == before
    bundle.write(north.bundle(task), tmp_path / "north.json")
    # What an empty key gives is what anybody can make.
    (tmp_path / "north.json.hmac").write_text(
        bundle.signature(tmp_path / "north.json", (content or b"").strip()) + "\n"
    )
    with pytest.raises(UsageError, match=message):
        radbench(
            "merge",
            tmp_path / "north.json",
            "--shared-key",
            shared,
            "--tasks",
            root / "tasks",
            "--work",
            tmp_path / "w",
        )
    assert not (tmp_path / "w").exists()


def test_the_sites_secret_key_is_not_shared(north: Hospital, root: Path, tmp_path: Path) -> None:
    key = tmp_path / "site.key"
    secret.load_key(key)
    with pytest.raises(UsageError, match="is this site's secret key"):
        scored(north, root, tmp_path / "north.json", "--key", key, "--shared-key", key)
    assert not list(tmp_path.glob("north.json*"))


def test_what_a_shared_key_shows(north: Hospital, task: Task, root: Path, tmp_path: Path) -> None:
    file, work = tmp_path / "north.json", tmp_path / "organiser"
    ours, other = tmp_path / "ours.key", tmp_path / "other.key"
    ours.write_text("0123456789abcdef\n")
    other.write_text("0123456789abcdeg\n")
    scored(north, root, file, "--shared-key", ours)

    def merge(*words: object) -> Result:
        given = ["merge", file, "--tasks", root / "tasks", "--work", work, *words]
        return CliRunner().invoke(app, [str(word) for word in given])

    for words, message in (
        (("--shared-key", other), "not what was signed with this key"),
        (("--shared-key", tmp_path / "none.key"), "there is no key"),
    ):
        assert message in str(merge(*words).exception)
    signed = file.with_name("north.json.hmac")
    line = signed.read_bytes()
    for damage in (b"", line[:-2], line.upper(), b"\xff\xfe", b"0" * 64):
        signed.write_bytes(damage)
        error = merge("--shared-key", ours).exception
        assert isinstance(error, DataError) and error.code == "bundle_invalid", damage
    signed.unlink()
    assert "there is no signature" in str(merge("--shared-key", ours).exception)
    assert not work.exists()
    signed.write_bytes(line)
    found = merge()  # who sends a signature wants it looked at
    assert found.exit_code == 0 and "north.json.hmac was not looked at" in found.stderr
    assert merge("--shared-key", ours).exit_code == 0


def test_a_new_secret_key_is_said(north: Hospital, root: Path, tmp_path: Path) -> None:
    words = [
        "score",
        "toy",
        "--tasks",
        root / "tasks",
        "--data",
        north.edition.root,
        "--predictions",
        north.root / "predictions",
    ]
    words += ["--bundle", tmp_path / "a.json", "--site", "north", "--submission", "magic", "--work", tmp_path / "w"]
    first = CliRunner().invoke(app, [str(word) for word in words])
    assert "a secret key is made" in first.stderr and "federation.key" in first.stderr
    assert "a secret key is made" not in CliRunner().invoke(app, [str(word) for word in words]).stderr


def said_of(work: Path, root: Path, *words: object) -> tuple[int, list[str]]:
    """Exit code of a merge that is refused, and its lines."""
    given = ["merge", *words, "--tasks", root / "tasks", "--work", work]
    error = CliRunner().invoke(app, [str(word) for word in given]).exception
    assert isinstance(error, RadbenchError), error
    return error.exit_code, error.sentence.splitlines()


Change = Callable[[dict[str, Any]], object]
CHANGED: dict[str, tuple[Change, bool, str]] = {
    "a number": (lambda b: b["cases"][3]["values"].update(mae=0.5), False, "its content has the hash"),
    "a number, and the hash made anew": (lambda b: b["cases"][3]["values"].update(mae=0.5), True, "sums of mae are not those of its cases"),
    "a mean": (lambda b: b["sums"][0].update(mean=b["sums"][0]["mean"] * 0.999), True, "are not those of its cases"),
    "a spread": (lambda b: b["sums"][1].update(variance=0.0), True, "sums of psnr are not those of its cases"),
    "how many failed": (lambda b: b["sums"][0].update(n_worst=0), True, "are not those of its cases"),
    "sums left out": (lambda b: b["sums"].pop(), True, "sums of psnr are not those of its cases"),
    "another scorer": (lambda b: b.update(scorer="0.0.1+0123456789ab"), True, "with the scorer 0.0.1\\+0123456789ab; expected"),
    "another version of the task": (lambda b: b.update(task_version="7"), True, "version of the task 7; expected 1"),
    "another edition": (lambda b: b.update(references="0" * 16, submission="second"), True, "on other cases, or with another secret key"),
    "other cases": (lambda b: (b["cases"][0].update(id="f" * 16), b.update(submission="second")), True, "on other cases"),
    "a group of two": (lambda b: small(b, n=2, patients=2), True, "of 2 patients in 2 cases; expected 4 to 14"),
    "a group of two that does not say so": (lambda b: small(b, n=2, patients=None), True, "without its size"),
    "a group of two said to be of five": (lambda b: small(b, n=2, patients=5), True, "of 5 patients in 2 cases"),
    "a group that is withheld, with its mean": (lambda b: small(b, suppressed="small"), True, "shows a group that it withholds"),
}  # fmt: skip


def small(bundle: dict[str, Any], **changes: object) -> None:
    """Change the first group that is shown with means."""
    next(group for group in bundle["groups"] if group["means"]).update(changes)


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_bundle_is_refused_in_a_line_and_nothing_changes(
    name: str, north: Hospital, south: Hospital, task: Task, root: Path, tmp_path: Path
) -> None:
    work = tmp_path / "organiser"
    files = [tmp_path / "north.json", tmp_path / "south.json"]
    for h, file in zip((north, south), files, strict=True):
        bundle.write(h.bundle(task), file)
    radbench("merge", *files, "--tasks", root / "tasks", "--work", work)
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file() and "lock" not in str(path)}
    change, resealed, message = CHANGED[name]
    content = json.loads(files[0].read_text())
    change(content)
    if resealed:
        content["sha256"] = bundle.hash_of(content)
    files[0].write_text(json.dumps(content))
    code, lines = said_of(work, root, files[0], "--replace")
    assert code == 5 and len(lines) == 1 and re.search(message, lines[0]), lines
    assert before == {path: path.read_bytes() for path in work.rglob("*") if path.is_file() and "lock" not in str(path)}


def test_from_two_hospitals_to_a_page_with_both(north: Hospital, south: Hospital, root: Path, tmp_path: Path) -> None:
    """Each hospital with a work folder of its own; merged twice; the row has its sites, small groups are nowhere, the site holds."""
    work = tmp_path / "organiser"
    files = [tmp_path / f"{h.name}.json" for h in (north, south)]
    for h, file in zip((north, south), files, strict=True):
        scored(h, root, file)
        held = json.loads(file.read_text())
        assert all(g["n"] is None and not g["means"] for g in held["groups"] if g["group"] in ("M", "F"))  # two men
    radbench("merge", *files, "--tasks", root / "tasks", "--work", work)
    radbench("publish", "--tasks", root / "tasks", "--work", work, "--date", "2026-05-01")
    before = {p: p.read_bytes() for top in ("site", "store", "data") for p in (work / top).rglob("*") if p.is_file()}
    assert "0 new bundle(s)" in radbench("merge", *files, "--tasks", root / "tasks", "--work", work)
    assert "unchanged" in radbench("publish", "--tasks", root / "tasks", "--work", work, "--date", "2026-05-02")
    assert before == {
        p: p.read_bytes() for top in ("site", "store", "data") for p in (work / top).rglob("*") if p.is_file()
    }
    (page,) = (p for p in (work / "site" / "tasks").rglob("*.html") if "magic" in str(p.relative_to(work)))
    text = page.read_text()
    table = text[text.index('id="sites"') : text.index("</table>", text.index('id="sites"'))]
    assert table.count(">north<") == table.count(">south<") == 2  # a line a metric and site
    for h in (north, south):
        mean = np.mean([s.value for s in h.scored.scores if s.metric == "psnr"])
        assert f"{mean:.1f}" in table
    (fairness,) = (p for p in (work / "site" / "tasks").rglob("*.html") if "fairness" in str(p.relative_to(work)))
    assert "By site" in fairness.read_text() and ">north<" in fairness.read_text()
    assert "0 differences" in radbench("verify", work / "site", "--work", work)
    assert "0 problems" in radbench("store", "check", "--work", work)
