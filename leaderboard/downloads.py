"""Every file of an edition that is not a page or a picture, made from the boards alone, and the links that pages show.

The same functions make the files for publishing and again for verifying, so a published file must be theirs byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from benchmark.contract import Board
from leaderboard import citation, exports, exports_parquet, latex, numbers, setparts
from leaderboard.citation import Reference
from leaderboard.marks import DATE, EDITION, YEAR
from leaderboard.measured import by_columns
from leaderboard.records import BoardData
from leaderboard.tables import Tables

MARKED = (".bib", ".cff", ".tex")
"""Endings of files that hold marks until the edition has an id."""

ATTRIBUTES = "attributes.json"
"""File in the folder of a board, where it may be published."""


@dataclass(frozen=True)
class Link:
    """A file to take away, as a page shows it."""

    title: str
    """What the link says."""
    format: str
    """Key of `citation.FORMATS`, or `parquet`."""
    path: str
    """Path in the edition."""
    text: str = ""
    """Content, for what a page shows in full. It was cleaned when it was made and holds marks since."""

    @property
    def markup(self) -> Markup:
        """The content escaped for a page, with its marks."""
        return Markup(escape(self.text))


@dataclass
class Files:
    """What can be taken away of one board."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By path in the edition; those of `MARKED` hold marks."""
    board: list[Link] = field(default_factory=list)
    """Links of the board's page: tables."""
    cite_board: list[Link] = field(default_factory=list)
    """How to cite the board."""
    rows: dict[str, list[Link]] = field(default_factory=dict)
    """Links of each row's page, by submission."""
    cite_row: dict[str, list[Link]] = field(default_factory=dict)
    """How to cite each row."""

    def _put(
        self, links: list[Link], title: str, format: str, path: str, content: bytes, *, shown: bool = False
    ) -> None:
        self.files[path] = content
        links.append(Link(title, format, path, content.decode("utf-8") if shown else ""))


@dataclass(frozen=True)
class RowTexts:
    """What a row's files and the board's have in common; it is made once."""

    cases_csv: str
    """Its part of the per-case table, `exports.case_lines_csv`."""
    cases_json: str
    """The same as `exports.case_lines_json` gives it."""
    table: bytes
    """Its aggregates, `exports.aggregates_csv`."""
    line: str
    """Its record, `exports.row_line`."""


def board_files(data: BoardData, slug: str, base_url: str = "") -> Files:
    """All downloads of a board and its rows; sealed cases must be anonymous already."""
    places = places_of(data.board)
    made = Files()
    texts = row_files(made, data, slug, base_url, places)
    own_files(made, data, slug, base_url, places, texts)
    return made


def places_of(board: Board) -> dict[str, int]:
    """Decimals of each metric, for all tables of a board."""
    return {m.id: numbers.decimals(m.unit, [row.aggregate(m.id) for row in board.rows]) for m in board.metrics}


def row_files(made: Files, data: BoardData, slug: str, base_url: str, places: Mapping[str, int]) -> list[RowTexts]:
    """Put the downloads of each row into `made`; `data` may hold some of a board's rows alone, `places` are the whole board's."""
    board, folder = data.board, f"tasks/{slug}/"
    head = exports.row_head(board)
    found = []
    for row in board.rows:
        name = row.method.name
        scores = by_columns(data.scores.get(name, ()))
        values = list(map(repr, scores.values.tolist()))
        texts = RowTexts(
            exports.case_lines_csv(board, name, scores, values),
            exports.case_lines_json(name, scores, values),
            exports.aggregates_csv(board, [row]),
            exports.row_line(row),
        )
        found.append(texts)
        own, links, cites = (
            f"{folder}submissions/{name}/",
            made.rows.setdefault(name, []),
            made.cite_row.setdefault(name, []),
        )
        reference = citation.row_reference(board, slug, row)
        address = citation.permalink(base_url, EDITION, reference.path)
        made._put(links, "row, CSV", "csv", f"{own}row.csv", texts.table)
        made._put(links, "row, JSON", "json", f"{own}row.json", exports.row_json(head, row, texts.line))
        made._put(links, "row, LaTeX", "latex", f"{own}row.tex", latex.row_table(board, row, places, address).encode())
        made._put(links, "cases, CSV", "csv", f"{own}cases.csv", exports.cases_csv([texts.cases_csv]))
        made._put(links, "cases, JSON", "json", f"{own}cases.json", exports.cases_json(board, [texts.cases_json]))
        if data.parts.get(name):
            record = setparts.to_json(data.parts[name])
            made._put(links, "parts of set metrics, JSON", "json", f"{own}{setparts.NAME}", record)
        if row.fairness is not None:
            made._put(links, "fairness, CSV", "csv", f"{own}fairness.csv", exports.fairness_csv(board, [row]))
        _cite(made, cites, reference, own, base_url)
    return found


def row_texts(board: Board, slug: str, files: Callable[[str], bytes]) -> list[RowTexts]:
    """The same of each row once more, out of its files, which `files` gives by path."""
    heading = len(exports.cases_csv([]))
    before, after = exports.cases_json_ends(board)
    head = exports.row_head(board)
    found = []
    for row in board.rows:
        own = f"tasks/{slug}/submissions/{row.method.name}/"
        found.append(
            RowTexts(
                files(f"{own}cases.csv")[heading:].decode(),
                files(f"{own}cases.json")[len(before) : -len(after)].decode(),
                files(f"{own}row.csv"),
                exports.line_of(head, files(f"{own}row.json")),
            )
        )
    return found


def own_files(
    made: Files,
    data: BoardData,
    slug: str,
    base_url: str,
    places: Mapping[str, int],
    texts: Sequence[RowTexts],
    tables: Tables | None = None,
) -> None:
    """Put the downloads of a whole board into `made`; with its `tables`, no score is looked at."""
    board, folder = data.board, f"tasks/{slug}/"
    links = made.board
    reference = citation.board_reference(board, slug)
    address = citation.permalink(base_url, EDITION, reference.path)
    heading = exports.aggregates_csv(board, [])
    made._put(links, "board, CSV", "csv", f"{folder}board.csv", _joined([text.table for text in texts], heading))
    made._put(
        links, "board, JSON", "json", f"{folder}board.json", exports.board_json(board, [text.line for text in texts])
    )
    table = latex.board_table(data, places, address, tables).encode()
    made._put(links, "board, LaTeX", "latex", f"{folder}board.tex", table)
    cases = exports.cases_csv(text.cases_csv for text in texts)
    made._put(links, "all cases, CSV", "csv", f"{folder}cases.csv", cases)
    cases = exports.cases_json(board, [text.cases_json for text in texts])
    made._put(links, "all cases, JSON", "json", f"{folder}cases.json", cases)
    if any(row.fairness is not None for row in board.rows):
        made._put(links, "fairness, CSV", "csv", f"{folder}fairness.csv", exports.fairness_csv(board, board.rows))
    record = exports.json_bytes(exports.sampling_record(data))
    made._put(links, "how cases were drawn, JSON", "json", f"{folder}sampling.json", record)
    if (told := exports.attributes_json(data)) is not None:
        made._put(links, "attributes of the cases, JSON", "json", f"{folder}{ATTRIBUTES}", told)
    _cite(made, made.cite_board, reference, folder, base_url)


def _joined(tables: Sequence[bytes], heading: bytes) -> bytes:
    """CSV tables under one heading, which all of them begin with."""
    return heading + b"".join(table[len(heading) :] for table in tables)


def _cite(made: Files, links: list[Link], reference: Reference, folder: str, base_url: str) -> None:
    bib, cff = citation.bibtex(reference, EDITION, YEAR, base_url), citation.cff(reference, EDITION, DATE, base_url)
    made._put(links, "BibTeX", "bibtex", f"{folder}{citation.FORMATS['bibtex'][0]}", bib.encode(), shown=True)
    made._put(links, "CITATION.cff", "cff", f"{folder}{citation.FORMATS['cff'][0]}", cff.encode(), shown=True)


def edition_files(
    boards: Sequence[BoardData], base_url: str = "", parts: Sequence[exports_parquet.Part] | None = None
) -> tuple[dict[str, bytes], list[Link]]:
    """Downloads of the edition as a whole, with their links: Parquet, BibTeX, CITATION.cff.

    `parts` are what `exports_parquet.part` made of all rows, in their order; without, the scores of `boards` are taken, in which
    sealed cases must be anonymous already.
    """
    made = Files()
    links: list[Link] = []
    if parts is None:
        parts = [exports_parquet.part(data) for data in boards]
    cases, aggregates = exports_parquet.joined(parts)
    made._put(links, "all cases, Parquet", "parquet", exports_parquet.CASES, cases)
    made._put(links, "all boards, Parquet", "parquet", exports_parquet.AGGREGATES, aggregates)
    _cite(made, links, citation.edition_reference([data.board for data in boards]), "", base_url)
    return made.files, links
