"""A site that is right passes; one digit changed anywhere is found, also when the hashes were mended to fit."""

import json
import random
from pathlib import Path

import honest
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tampering import Tampered, digit_changed, newest, resealed
from typer.testing import CliRunner

from benchmark import scoring
from benchmark.cli import app
from benchmark.errors import DataError
from benchmark.ledger import Ledger, head_file
from leaderboard import site, verification


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = honest.standard(tmp_path_factory.mktemp("v"))
    place.publish("2026-11-20")
    place.add(honest.method("alpha", family="unet", team="Team A"), 0.3, seed=5, run="run-2")
    place.publish("2026-11-21", "https://example.org/board")
    return place.site


def test_a_right_site_passes(published: Path) -> None:
    found = verification.verify(published)
    assert found.differences == []
    assert found.editions == 2 and found.files > 60
    # 3 rows, 3 metrics, every field of an aggregate; 4 of each rank; in two editions.
    assert found.numbers >= 2 * (3 * 3 * 10 + 3 * 4)


def digits(data: bytes) -> list[int]:
    return [i for i, byte in enumerate(data) if 48 <= byte <= 57]


def test_one_digit_anywhere_is_found(published: Path) -> None:
    """Every file of the site once; in each, one digit (or byte) at random."""
    rng = random.Random(7)
    for path in sorted(p for p in published.rglob("*") if p.is_file()):
        data = bytearray(path.read_bytes())
        at = rng.choice(digits(bytes(data)) or range(len(data))) if data else None
        if at is None:
            continue
        data[at] = 48 + (data[at] - 48 + rng.randint(1, 9)) % 10 if 48 <= data[at] <= 57 else data[at] ^ 1
        found = verification.Verified()
        with Tampered(path):
            path.write_bytes(bytes(data))
            # The recomputation is left to the other tests: here, the hashes must notice.
            for folder in sorted((published / "editions").glob("2*")):
                record = verification._record(folder, found)
                if record is not None:
                    verification._files(folder, record["files"], found, {"edition.json"})
            known = {f.name: {} for f in (published / "editions").glob("2*")}
            verification._front(published, known, found)
        assert found.differences, path
        assert path.name in found.differences[0]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("board.json", r'"low": \d+\.(\d)'),
        ("board.json", r'"high": \d+\.\d\d\d\d\d(\d)'),
        ("board.json", r'"rank": (\d)'),
        ("board.json", r'"rank_high": (\d)'),
        ("board.json", r'"n_worst": (\d)'),
        ("board.json", r'"median": \d+\.\d(\d)'),
        ("cases.json", r'"value":\d+\.\d\d\d\d(\d)'),
        ("board.csv", r",\d+\.\d+(\d),"),
        ("cases.csv", r",\d+\.\d+(\d),"),
        ("board.tex", r"textbf\{\d+\.(\d)"),
        ("sampling.json", r'"stratum": "00000(\d)"'),
        ("sampling.json", r'"seed": (\d)'),
        ("CITATION.cff", r"date-released: 202(\d)"),
        ("submissions/beta/row.json", r'"value": \d+\.\d(\d)'),
        ("submissions/beta/cases.csv", r",\d+\.\d+(\d),"),
    ],
)
def test_mended_hashes_do_not_help(published: Path, file: str, pattern: str) -> None:
    edition = newest(published)
    with digit_changed(edition, edition / "tasks/mri_to_ct" / file, pattern):
        found = verification.Verified()
        record = verification._record(edition, found)
        assert record is not None
        verification._files(edition, record["files"], found, {"edition.json"})
        assert found.differences == [], "hashes and seal are right again"
        verification._edition(edition, record, found)
        assert found.differences and "mri_to_ct" in found.differences[0]


def test_parquet_is_compared_by_value(published: Path) -> None:
    edition = newest(published)
    for name, column in (("scores.parquet", "value"), ("aggregates.parquet", "high")):
        path = edition / name
        with Tampered(path, edition / "edition.json"):
            table = pq.read_table(path)
            values = table[column].to_pylist()
            values[0] += 1e-12
            pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), path)
            resealed(edition, path)
            found = verification.verify(published)
            assert any(name in text and "numbers" in text for text in found.differences)


def test_missing_extra_and_broken_files_are_named(published: Path) -> None:
    edition = newest(published)
    path = edition / "tasks/mri_to_ct/board.tex"
    with Tampered(path):
        path.unlink()
        assert "it is missing" in verification.verify(published).differences[0]
    extra = edition / "notes.txt"
    extra.write_text("mine")
    assert "does not list it" in verification.verify(published).differences[0]
    extra.unlink()
    path = edition / "tasks/mri_to_ct/cases.json"
    with Tampered(path, edition / "edition.json"):
        path.write_text("[")
        resealed(edition, path)
        assert any("cannot be read" in text for text in verification.verify(published).differences)
    assert verification.verify(published).differences == []


def test_the_editions_hang_together(published: Path) -> None:
    first = next(p for p in sorted((published / "editions").glob("2*")) if p != newest(published))
    path = first / "edition.json"
    with Tampered(path):
        record = json.loads(path.read_text())
        record["boards"][0]["rows"][0]["rank"] = 2.0
        path.write_text(json.dumps(site.sealed(record)))
        said = verification.verify(published).differences
        assert any("not what board.json says" in text for text in said)
        assert any("not the one that it names" in text for text in said)


@pytest.mark.parametrize("clusters", [4, 8])
def test_clusters_are_drawn_again_by_opaque_numbers(tmp_path: Path, clusters: int) -> None:
    place = honest.standard(tmp_path, declared=honest.task(cluster="patient"), tested=honest.cases(24, clusters))
    place.publish()
    found = verification.verify(place.site)
    assert found.differences == []
    edition = newest(place.site)
    sampling = json.loads((edition / "tasks/mri_to_ct/sampling.json").read_text())
    assert len({case["cluster"] for case in sampling["cases"]}) == clusters
    for path in edition.rglob("*"):
        if path.is_file():
            assert b"patient-0" not in path.read_bytes(), path


def test_numbers_of_another_scorer_are_said_to_be_unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = honest.standard(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.store.scorer_version", lambda: "0.0.9+older")
        place.publish()
    assert verification.verify(place.site).differences == []
    real = scoring.aggregate
    monkeypatch.setattr(
        scoring, "aggregate", lambda *a, **k: [x.model_copy(update={"low": x.low - 1}) for x in real(*a, **k)]
    )
    found = verification.verify(place.site)
    assert found.differences == []
    assert any("0.0.9+older" in text and "low is" in text for text in found.unchecked)


def test_the_command_ends_with_a_code(published: Path) -> None:
    runner = CliRunner()
    right = runner.invoke(app, ["verify", str(published)])
    assert right.exit_code == 0 and "0 differences" in right.output
    path = newest(published) / "tasks/mri_to_ct/board.csv"
    with Tampered(path):
        path.write_text(path.read_text().replace("alpha", "alphb", 1))
        wrong = runner.invoke(app, ["verify", str(published)])
    assert isinstance(wrong.exception, DataError) and wrong.exception.code == "site_differs"
    assert "board.csv" in wrong.exception.found
    nothing = runner.invoke(app, ["verify", str(published / "static")])
    assert isinstance(nothing.exception, DataError)


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("board.json", r'"low": \d+\.(\d)'), ("cases.json", r'"value":\d+\.\d\d\d\d(\d)'), ("board.csv", r",\d+\.\d+(\d),"),
        ("submissions/beta/row.json", r'"value": \d+\.\d(\d)'), ("submissions/beta/cases.csv", r",\d+\.\d+(\d),"),
    ],
)  # fmt: skip
def test_an_edition_of_another_version_is_compared_by_value(tmp_path: Path, file: str, pattern: str) -> None:
    """Later versions add fields; that is no difference. A number is one."""
    place = honest.standard(tmp_path)
    place.publish()
    edition = newest(place.site)
    for path in edition.rglob("*.json"):
        if path.name in ("board.json", "row.json"):
            path.write_text(
                path.read_text().replace('"baseline": false, ', "").replace('"slug": ', '"older": 1, "slug": ')
            )
            if path.name == "board.json":
                path.write_text(path.read_text().replace('"older": 1, ', ""))
            resealed(edition, path)
    record = json.loads((edition / "edition.json").read_text())
    (edition / "edition.json").write_text(json.dumps(site.sealed({**record, "maker": "0.0.1+older"})))
    found = verification.verify(place.site)
    assert found.differences == [] and any("0.0.1+older" in text for text in found.unchecked)
    with digit_changed(edition, edition / "tasks/mri_to_ct" / file, pattern):
        assert verification.verify(place.site).differences


def test_the_ledger_must_hold_every_head_that_the_site_notes(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.jsonl")
    for _ in range(3):
        book.append("night_finished", night="2026-11-21", exit_code=0)
    place = honest.standard(tmp_path)
    place.publish()
    edition = newest(place.site) / "edition.json"
    assert json.loads(edition.read_text())["ledger_head"] == str(book.head())
    assert any("ledger" in text for text in verification.verify(place.site).unchecked)
    assert verification.verify(place.site, book.path).differences == []
    command = ["verify", str(place.site), "--work", str(tmp_path)]
    assert CliRunner().invoke(app, command).exit_code == 0

    # A ledger that went on is right, and so is the site; nothing new is published for it.
    book.append("night_finished", night="2026-11-21", exit_code=0)
    assert not place.publish().changed
    assert verification.verify(place.site, book.path).differences == []

    lines = book.path.read_bytes().splitlines(keepends=True)
    book.path.write_bytes(b"".join(lines[:2]))
    head_file(book.path).unlink()
    assert "lines are missing at the end" in verification.verify(place.site, book.path).differences[0]
    book.path.unlink()
    assert verification.verify(place.site, book.path).differences
