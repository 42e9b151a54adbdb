"""The pages and files of one board: of the task, its cases and its fairness, and of each submission."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard import casetable, costs, downloads, exports_parquet, fairnesspages, figures, lazy, spread
from leaderboard.bundle import KEPT
from leaderboard.environment import render
from leaderboard.measured import by_columns
from leaderboard.records import BoardData
from leaderboard.tables import Tables
from leaderboard.views import BoardView, Column, Line

ROWS = 50
"""Rows of a board on one page; with more, further pages follow."""


def rows(
    data: BoardData, view: BoardView, lines: Sequence[Line], base_url: str, columns: Sequence[Column]
) -> dict[str, bytes]:
    """Pages and downloads of some rows, and what is kept for the board's and the edition's tables.

    `data` holds these rows alone, under anonymous ids, and `lines` too; `view` is the whole board's, with its pictures, and
    `columns` those of its metrics that have values on cases.
    """
    taken = downloads.Files()
    downloads.row_files(taken, data, view.slug, base_url, places(view))
    made = dict(taken.files)
    for line in lines:
        made[line.href] = _submission(data, view, line, taken, columns)
    part = exports_parquet.part(data)
    return {**dict(sorted(made.items())), CASES: part.cases, AGGREGATES: part.aggregates}


CASES, AGGREGATES = (f"{KEPT}{name}" for name in (exports_parquet.CASES, exports_parquet.AGGREGATES))
"""Names under which a bundle of rows keeps its parts of the edition's tables."""


def places(view: BoardView) -> dict[str, int]:
    """Decimals of each metric."""
    return {column.info.id: column.places for column in view.columns}


def own(
    data: BoardData, view: BoardView, base_url: str, tables: Tables, texts: Sequence[downloads.RowTexts]
) -> dict[str, bytes]:
    """Pages, figures and downloads of a board itself. `data` needs no scores: `tables` and what the rows' files say hold them."""
    taken = downloads.Files()
    downloads.own_files(taken, data, view.slug, base_url, places(view), texts, tables)
    made = dict(taken.files)
    groups, scripts = fairnesspages.subgroups(view)
    made |= scripts
    time, kinds, pages = figures.time_measure(view), figures.legend_kinds(view), _pages(view)
    _page(
        made, "task.html", f"{view.folder}index.html", view=view, figures=figures.figures(data, view, tables), kinds=kinds,
        downloads=taken.board, cites=taken.cite_board, first=view.lines[:ROWS], pages=pages, time=time, groups=groups,
        lazy=_lazy(made, view, tables),
    )  # fmt: skip
    for number, path in pages[1:]:
        lines = view.lines[(number - 1) * ROWS : number * ROWS]
        _page(made, "rows.html", path, view=view, lines=lines, pages=pages, number=number, time=time)
    if view.audited and view.board.population is not None:
        _page(
            made, "fairness.html", f"{view.folder}fairness/index.html", view=view,
            plain=fairnesspages.heats(view, view.board.population, crossed=False),
            crossed=fairnesspages.heats(view, view.board.population, crossed=True),
        )  # fmt: skip
    if view.has_cases:
        columns = casetable.by_case(view, tables)
        _page(
            made, "cases.html", f"{view.folder}cases/index.html", view=view, hardness=casetable.hardness(tables, columns),
            columns=list(columns.values()),
        )  # fmt: skip
    for strip in view.strips:
        _page(made, "case.html", f"{view.folder}cases/{strip.case}/index.html", view=view, strip=strip)
    return made


def _lazy(made: dict[str, bytes], view: BoardView, tables: Tables) -> dict[str, str]:
    """Scripts with what the board's tools may ask for: further rows, values of single cases. By name, their paths."""
    files = {"base": (view.folder, b"")}
    if len(view.lines) > ROWS:
        files["rows"] = (f"{view.folder}rows.js", lazy.further_rows(view, ROWS))
    if len(view.lines) > 1 and tables.cases:
        files["cases"] = (f"{view.folder}cases.js", lazy.case_values(view, tables))
    made |= {path: content for path, content in files.values() if content}
    return {name: path for name, (path, _) in files.items()}


def _page(made: dict[str, bytes], template: str, path: str, **values: object) -> None:
    made[path] = render(template, path, **values).encode()


def _pages(view: BoardView) -> list[tuple[int, str]]:
    """(number, path) of the pages that the rows of a board are on."""
    count = max(1, -(-len(view.lines) // ROWS))
    return [(n, f"{view.folder}index.html" if n == 1 else f"{view.folder}rows-{n}.html") for n in range(1, count + 1)]


def _submission(
    data: BoardData, view: BoardView, line: Line, taken: downloads.Files, columns: Sequence[Column]
) -> bytes:
    name = line.row.method.name
    table = by_columns(data.scores.get(name, ()))
    return render(
        "submission.html", line.href, view=view, line=line, downloads=taken.rows[name], cites=taken.cite_row[name],
        strips=[(strip, cell) for strip in view.strips for cell in strip.cells if cell.name == name],
        errors=casetable.errors(table.shape), gaps=fairnesspages.gap_lines(view, line),
        costs=costs.cost_lines(line.row), spread=spread.spread_lines(line.row.method),
        case_rows=casetable.case_rows(table, [case.id for case in data.cases], columns), columns=columns,
    ).encode()  # fmt: skip
