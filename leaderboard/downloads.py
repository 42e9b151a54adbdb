"""Every file of an edition that is not a page or a picture, made from the boards alone, and the links that pages show.

The same functions make the files for publishing and again for verifying, so a published file must be theirs byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from leaderboard import citation, exports, exports_parquet, latex, numbers, setparts
from leaderboard.citation import Reference
from leaderboard.marks import DATE, EDITION, YEAR
from leaderboard.records import BoardData

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


def board_files(data: BoardData, slug: str, base_url: str = "") -> Files:
    """All downloads of a board and its rows; sealed cases must be anonymous already."""
    made = Files()
    board, folder = data.board, f"tasks/{slug}/"
    places = {m.id: numbers.decimals(m.unit, [row.aggregate(m.id) for row in board.rows]) for m in board.metrics}
    # What a row's files and the board's have in common is made once.
    csv_bodies, json_bodies, row_tables, row_lines = [], [], [], []
    head = exports.row_head(board)
    for row in board.rows:
        name = row.method.name
        scores = data.scores.get(name, ())
        csv_bodies.append(exports.case_lines_csv(board, name, scores))
        json_bodies.append(exports.case_lines_json(name, scores))
        own, links, cites = (
            f"{folder}submissions/{name}/",
            made.rows.setdefault(name, []),
            made.cite_row.setdefault(name, []),
        )
        reference = citation.row_reference(board, slug, row)
        address = citation.permalink(base_url, EDITION, reference.path)
        row_tables.append(exports.aggregates_csv(board, [row]))
        row_lines.append(exports.row_line(row))
        made._put(links, "row, CSV", "csv", f"{own}row.csv", row_tables[-1])
        made._put(links, "row, JSON", "json", f"{own}row.json", exports.row_json(head, row, row_lines[-1]))
        made._put(links, "row, LaTeX", "latex", f"{own}row.tex", latex.row_table(board, row, places, address).encode())
        made._put(links, "cases, CSV", "csv", f"{own}cases.csv", exports.cases_csv(csv_bodies[-1:]))
        made._put(links, "cases, JSON", "json", f"{own}cases.json", exports.cases_json(board, json_bodies[-1:]))
        if data.parts.get(name):
            record = setparts.to_json(data.parts[name])
            made._put(links, "parts of set metrics, JSON", "json", f"{own}{setparts.NAME}", record)
        if row.fairness is not None:
            made._put(links, "fairness, CSV", "csv", f"{own}fairness.csv", exports.fairness_csv(board, [row]))
        _cite(made, cites, reference, own, base_url)
    links = made.board
    reference = citation.board_reference(board, slug)
    address = citation.permalink(base_url, EDITION, reference.path)
    made._put(links, "board, CSV", "csv", f"{folder}board.csv", _joined(row_tables, exports.aggregates_csv(board, [])))
    made._put(links, "board, JSON", "json", f"{folder}board.json", exports.board_json(board, row_lines))
    made._put(links, "board, LaTeX", "latex", f"{folder}board.tex", latex.board_table(data, places, address).encode())
    made._put(links, "all cases, CSV", "csv", f"{folder}cases.csv", exports.cases_csv(csv_bodies))
    made._put(links, "all cases, JSON", "json", f"{folder}cases.json", exports.cases_json(board, json_bodies))
    if any(row.fairness is not None for row in board.rows):
        made._put(links, "fairness, CSV", "csv", f"{folder}fairness.csv", exports.fairness_csv(board, board.rows))
    record = exports.json_bytes(exports.sampling_record(data))
    made._put(links, "how cases were drawn, JSON", "json", f"{folder}sampling.json", record)
    if (told := exports.attributes_json(data)) is not None:
        made._put(links, "attributes of the cases, JSON", "json", f"{folder}{ATTRIBUTES}", told)
    _cite(made, made.cite_board, reference, folder, base_url)
    return made


def _joined(tables: Sequence[bytes], heading: bytes) -> bytes:
    """CSV tables under one heading, which all of them begin with."""
    return heading + b"".join(table[len(heading) :] for table in tables)


def _cite(made: Files, links: list[Link], reference: Reference, folder: str, base_url: str) -> None:
    bib, cff = citation.bibtex(reference, EDITION, YEAR, base_url), citation.cff(reference, EDITION, DATE, base_url)
    made._put(links, "BibTeX", "bibtex", f"{folder}{citation.FORMATS['bibtex'][0]}", bib.encode(), shown=True)
    made._put(links, "CITATION.cff", "cff", f"{folder}{citation.FORMATS['cff'][0]}", cff.encode(), shown=True)


def edition_files(
    boards: Sequence[BoardData], base_url: str = "", parts: Sequence[bytes] | None = None
) -> tuple[dict[str, bytes], list[Link]]:
    """Downloads of the edition as a whole, with their links: Parquet, BibTeX, CITATION.cff.

    `parts` are the tables of the boards' cases as `exports_parquet.part` makes them; without, the scores of `boards` are taken,
    in which sealed cases must be anonymous already.
    """
    made = Files()
    links: list[Link] = []
    tables: list[tuple[str, str, Callable[[], bytes]]] = [
        ("all cases, Parquet", exports_parquet.CASES, lambda: exports_parquet.parquet_bytes(
            exports_parquet.cases_table(boards) if parts is None else exports_parquet.joined_cases(parts))),
        (
            "all boards, Parquet", exports_parquet.AGGREGATES,
            lambda: exports_parquet.parquet_bytes(exports_parquet.aggregates_table([data.board for data in boards])),
        ),
    ]  # fmt: skip
    for title, path, make in tables:
        made._put(links, title, "parquet", path, make())
    _cite(made, links, citation.edition_reference([data.board for data in boards]), "", base_url)
    return made.files, links
