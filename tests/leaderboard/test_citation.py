"""Citations are read by parsers that are not ours, whatever strangers call themselves; addresses are those of the pages."""

import re
from datetime import date
from pathlib import Path

import bibtexparser
import bibtexparser.bparser
import boards
import honest
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.contract import Board
from benchmark.errors import UsageError
from leaderboard import citation
from leaderboard.citation import Reference, bibtex, board_reference, cff, checked_base, edition_reference, row_reference

EDITION, YEAR, DATE = "2026-11-21-0123456789", "2026", "2026-11-21"
BASE = "https://example.org/my_board/"

HOSTILE = [
    "}, note = {evil", "{", "}", "\\", '"', "@misc{x,", "a and b", "100% & #1 $x$ ~^_", "key: [a, b]", "- item", "# comment",
    "!!python/object:os.system x", "&a *b |\n  >", "\u2028\u2029\x85\ufeff\x00\x1b[31m", "'", "  ", "no", "1e3", "Ⅻ 数字 😀",
]  # fmt: skip


def references(board: Board) -> list[Reference]:
    rows = [row_reference(board, "mri_to_ct", row) for row in board.rows]
    return [edition_reference([board]), board_reference(board, "mri_to_ct"), *rows]


def read_bib(text: str) -> dict[str, str]:
    database = bibtexparser.loads(text, bibtexparser.bparser.BibTexParser(common_strings=False))
    assert len(database.entries) == 1 and not database.comments and not database.preambles and not database.strings
    return dict(database.entries[0])


def bibtex_braces(text: str) -> None:
    """BibTeX itself counts braces even behind a backslash; all fields are in braces and close where they should."""
    depth = 0
    closed = []
    for i, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        assert depth >= 0
        if char == "}" and depth == 0:
            closed.append(i)
    assert closed == [len(text) - 2], "the entry closes once, at its end"


@pytest.mark.parametrize("base", ["", BASE])
@pytest.mark.parametrize("text", ["plain", *HOSTILE])
def test_bibtex_and_cff_are_read_by_others(text: str, base: str) -> None:
    board = boards.retitled(boards.heads(canaries=0), text).board
    for reference in references(board):
        entry = bibtex(reference, EDITION, YEAR, base)
        bibtex_braces(entry)
        fields = read_bib(entry)
        assert fields["ENTRYTYPE"] == "misc" and fields["ID"] == f"{reference.key}-{EDITION}"
        assert set(fields) == {"ENTRYTYPE", "ID", "author", "title", "howpublished", "year", "note"} | (
            {"url"} if base else set()
        )
        assert fields["year"] == YEAR and EDITION in fields["howpublished"]
        read = yaml.safe_load(cff(reference, EDITION, DATE, base))
        assert set(read) == {
            "cff-version", "message", "type", "title", "authors", "version", "date-released", "license", "abstract", "keywords",
        } | ({"url"} if base else set())  # fmt: skip
        assert (read["cff-version"], read["type"], read["version"]) == ("1.2.0", "dataset", EDITION)
        assert read["date-released"].isoformat() == DATE
        assert [set(author) for author in read["authors"]] == [{"name"}]
        assert all(
            isinstance(value, str) and value for value in (read["title"], read["abstract"], read["authors"][0]["name"])
        )
        if base:
            assert read["url"] == fields["url"] == f"{base}editions/{EDITION}/{reference.path}"
        else:
            assert f"editions/{EDITION}/{reference.path}" in read["abstract"]
            assert f"editions/{EDITION}/{reference.path}" in fields["note"].replace("\\_", "_")


@given(st.text(min_size=1))
def test_any_name_is_kept_in_yaml_and_stays_in_its_field_in_bibtex(name: str) -> None:
    reference = Reference("k", name, (name,), "index.html", name)
    read = yaml.safe_load(cff(reference, EDITION, DATE))
    assert read["title"] == read["authors"][0]["name"]
    words = re.sub(r"\s+", " ", citation.clean(name)).strip() or "untitled"
    assert read["title"] == words
    entry = bibtex(reference, EDITION, YEAR)
    bibtex_braces(entry)
    assert entry.count("\n") == 7


def test_who_signs() -> None:
    board = boards.heads(canaries=0).board
    by_name = {row.method.name: row_reference(board, "mri_to_ct", row) for row in board.rows}
    assert by_name["water"].authors == ("Team Floor",)
    assert by_name["unet"].authors == (citation.PUBLISHER,), "a reference model"
    row = board.rows[2]
    alone = row.model_copy(update={"method": row.method.model_copy(update={"team": ""})})
    assert row_reference(board, "mri_to_ct", alone).authors == ("All water",)
    veiled = row.model_copy(update={"method": row.method.model_copy(update={"team": "", "anonymous": True})})
    assert row_reference(board, "mri_to_ct", veiled).authors == ("Anonymous",)
    assert "phantom data, edition phantom-1" in by_name["unet"].abstract
    same = board.model_copy(update={"dataset": board.dataset.model_copy(update={"edition": "phantom"})})
    told = row_reference(same, "mri_to_ct", row).abstract
    assert "version 1, phantom data, test split" in told and "phantom (phantom)" not in told


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "example.org", "https://", "https://a b", 'https://x/"', "https://x/?q=1", "https://x/#y",
            "https://u@x/", "javascript:alert(1)", "https://x/{}", "https://x\n/"],
)  # fmt: skip
def test_a_base_url_is_a_plain_address(url: str) -> None:
    with pytest.raises(UsageError):
        checked_base(url)


def test_base_urls_end_with_one_slash() -> None:
    assert checked_base("https://example.org") == "https://example.org/" == checked_base("https://example.org//")
    assert checked_base("http://localhost:8000/a%20b") == "http://localhost:8000/a%20b/"
    assert checked_base("") == ""


def test_a_base_url_is_remembered_and_a_new_one_is_a_new_edition(tmp_path: Path) -> None:
    place = honest.standard(tmp_path)
    first = place.publish("2026-11-20")
    second = place.publish("2026-11-21", "https://example.org/b")
    assert second.changed and second.edition != first.edition
    assert place.publish("2026-11-22").edition == second.edition, "kept where none is given"
    bib = place.site / "editions" / second.edition / "tasks/mri_to_ct/submissions/beta/cite.bib"
    address = read_bib(bib.read_text())["url"]
    page = place.site / address.removeprefix("https://example.org/b/")
    assert page.is_file() and "Model beta" in page.read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> honest.Place:
    made = honest.standard(tmp_path_factory.mktemp("c"))
    made.publish("2026-11-20")
    made.add(honest.method("gamma", submitted_as=""), 1.0, seed=9)
    made.publish("2026-11-21")
    return made


def cite(place: honest.Place, target: str, format: str = "bibtex") -> str:
    result = CliRunner().invoke(app, ["cite", target, "--format", format, "--site", str(place.site)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_cite_prints_what_was_published(place: honest.Place) -> None:
    first, second = sorted(p.name for p in (place.site / "editions").glob("2*"))
    folder = place.site / "editions" / second / "tasks/mri_to_ct"
    assert cite(place, "newest/mri_to_ct/gamma") == (folder / "submissions/gamma/cite.bib").read_text()
    assert cite(place, f"{second}/mri_to_ct/gamma", "csv") == (folder / "submissions/gamma/row.csv").read_text()
    assert cite(place, "2026-11-21/mri_to_ct", "latex") == (folder / "board.tex").read_text()
    assert read_bib(cite(place, first))["ID"] == f"radbench-{first}"
    assert yaml.safe_load(cite(place, first, "cff"))["version"] == first


@pytest.mark.parametrize(
    ("target", "format", "said"),
    [
        ("2025", "bibtex", "no edition"), ("2026", "bibtex", "more than one edition"), ("newest/ct", "bibtex", "mri_to_ct"),
        ("newest/mri_to_ct/delta", "cff", "alpha"), ("newest", "latex", "Name a board"), ("newest/mri_to_ct", "xml", "bibtex"),
        ("newest/a/b/c", "bibtex", "EDITION/TASK"), ("2026-11-20/mri_to_ct/gamma", "bibtex", "no submission 'gamma'"),
        ("../../x", "bibtex", "no edition"), ("", "bibtex", "no edition"), ("newest/..", "cff", "no board"),
    ],
)  # fmt: skip
def test_cite_says_what_there_is(place: honest.Place, target: str, format: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        citation.published_text(place.site, target, format)


def test_cite_finds_a_revealed_row_by_both_names(tmp_path: Path) -> None:
    made = honest.hidden(tmp_path, date(2026, 12, 1))
    made.publish("2026-11-21")
    with pytest.raises(UsageError):
        citation.published_text(made.site, "newest/mri_to_ct/zaphod-net", "bibtex")
    made.publish("2026-12-01")
    text = citation.published_text(made.site, "newest/mri_to_ct/zaphod-net", "bibtex")
    pseudonym = re.search(r"anon-[0-9a-f]{12}", text)
    assert pseudonym and text == citation.published_text(made.site, f"newest/mri_to_ct/{pseudonym[0]}", "bibtex")
