"""All files of an edition, made in memory from the boards: pages, pictures, downloads.

What is not known before the content is (the edition's id, which is a hash of it) or depends on where a page stands (in its
edition or as the newest one at the front) is left as a mark and filled in by `fill`. Marks are made of control
characters, and control characters are taken out of every text that a page shows, so no text can hold a mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from leaderboard import exports, numbers, pictures, scale
from leaderboard.records import BoardData
from leaderboard.strips import strips
from leaderboard.views import STATUS, BoardView, Line, board_view, slugs

HERE = Path(__file__).parent

EDITION, DATE, YEAR, ASSETS, BANNER = (f"\x02{name}\x03" for name in ("edition", "date", "year", "assets", "banner"))
"""Marks: id, date, year, the way to the edition's files, and the line that says which edition this is."""

STRIP_CELLS = 6
"""So many submissions are shown beside each other in a strip; each has its pictures on its own page too."""


@dataclass(frozen=True)
class Snapshot:
    """An edition before it has an id."""

    pages: Mapping[str, str]
    """HTML with marks, by path."""
    assets: Mapping[str, bytes]
    """Everything else, by path; `.bib` files hold marks too."""


def build(boards: Sequence[BoardData]) -> Snapshot:
    """Make all files. The same boards give the same bytes."""
    assets: dict[str, bytes] = {
        f"static/{path.name}": path.read_bytes() for path in sorted((HERE / "static").iterdir()) if path.is_file()
    }
    pages: dict[str, str] = {}
    views = []
    for data, slug in zip(boards, slugs(boards), strict=True):
        view = board_view(data, slug)
        shown, files = strips(data, view)
        view = replace(view, strips=shown)
        views.append(view)
        assets |= files | _downloads(data, view)
        pages[f"{view.folder}index.html"] = _render("task.html", f"{view.folder}index.html", view=view)
        for line in view.lines:
            assets |= _row_downloads(data, view, line)
            pages[line.href] = _submission(data, view, line)
    pages["index.html"] = _render("front.html", "index.html", views=views)
    return Snapshot(dict(sorted(pages.items())), dict(sorted(assets.items())))


def editions_page(editions: Sequence[Mapping[str, Any]]) -> str:
    """The list of all editions, newest first; it stands at the front alone, since an edition does not know the later ones."""
    return _render("editions.html", "editions/index.html", editions=editions)


def fill(text: str, path: str, edition: str, *, front: bool) -> bytes:
    """Put in what was left open, for the page at `path` in edition `edition`, or for its copy at the front."""
    up = "../" * path.count("/")
    site = up if front else up + "../../"
    return (
        text.replace(BANNER, _banner(path, edition, site, front))
        .replace(ASSETS, f"{up}editions/{edition}/" if front else up)
        .replace(EDITION, edition)
        .replace(DATE, edition[:10])
        .replace(YEAR, edition[:4])
        .encode("utf-8")
    )


def _banner(path: str, edition: str, site: str, front: bool) -> str:
    if front and path == "editions/index.html":
        return Markup('Newest edition: <a href="{}editions/{}/index.html">{}</a>').format(site, edition, edition)
    if front:
        return Markup(
            'Newest edition, <strong>{}</strong>. To cite: <a href="{}editions/{}/{}">permanent page</a>. '
            '<a href="{}editions/index.html">All editions</a>.'
        ).format(edition, site, edition, path, site)
    return Markup(
        'Edition <strong>{}</strong>; this page never changes. <a href="{}index.html">Newest edition</a>. '
        '<a href="{}editions/index.html">All editions</a>.'
    ).format(edition, site, site)


def _tables(data: BoardData) -> list[tuple[str, Any]]:
    """Per-case tables in board order."""
    return [(row.method.name, data.scores.get(row.method.name, ())) for row in data.board.rows]


def _downloads(data: BoardData, view: BoardView) -> dict[str, bytes]:
    board, tables = data.board, _tables(data)
    return {
        f"{view.folder}board.csv": exports.aggregates_csv(board),
        f"{view.folder}board.json": exports.board_json(board),
        f"{view.folder}cases.csv": exports.cases_csv(board, tables),
        f"{view.folder}cases.json": exports.cases_json(board, tables),
    }


def _row_downloads(data: BoardData, view: BoardView, line: Line) -> dict[str, bytes]:
    name = line.row.method.name
    folder, table = f"{view.folder}submissions/{name}/", [(name, data.scores.get(name, ()))]
    return {
        f"{folder}row.json": exports.row_json(data.board, line.row),
        f"{folder}cases.csv": exports.cases_csv(data.board, table),
        f"{folder}cases.json": exports.cases_json(data.board, table),
        f"{folder}cite.bib": exports.bibtex(data.board, line.row, EDITION, YEAR).encode("utf-8"),
    }


def _submission(data: BoardData, view: BoardView, line: Line) -> str:
    name = line.row.method.name
    # The entry is cleaned and escaped here, because the marks in it must stay.
    bibtex = Markup(escape(exports.bibtex(data.board, line.row, EDITION, YEAR)))
    shown = [(strip, cell) for strip in view.strips for cell in strip.cells if cell.name == name]
    return _render("submission.html", line.href, view=view, line=line, bibtex=bibtex, strips=shown)


def _finalize(value: Any) -> Any:
    """Every text that is not markup of our own loses its control characters before it is escaped."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else exports.clean(value)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "ASSETS": Markup(ASSETS),
        "BANNER": Markup(BANNER),
        "DATE": Markup(DATE),
        "EDITION": Markup(EDITION),
        "STATUS": STATUS,
        "STRIP_CELLS": STRIP_CELLS,
        "WIDTH": f"{scale.WIDTH:g}",
        "PAD": f"{scale.PAD:g}",
        "END": f"{scale.WIDTH - scale.PAD:g}",
        "STOPS": pictures.stops(),
    }
    environment.filters |= {"plain": numbers.plain, "seconds": numbers.seconds, "percent": numbers.percent}
    return environment


_ENVIRONMENT = _environment()


def _render(template: str, path: str, **values: Any) -> str:
    return _ENVIRONMENT.get_template(template).render(root="../" * path.count("/"), path=path, **values)
