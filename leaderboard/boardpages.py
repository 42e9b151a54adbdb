"""The pages and files of one board: the task, its cases, its fairness, and a page for each submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from leaderboard import casetable, costs, downloads, exports_parquet, fairnesspages, figures, lazy, spread
from leaderboard.downloads import Files
from leaderboard.environment import render
from leaderboard.records import BoardData
from leaderboard.strips import strips
from leaderboard.tables import Tables, tables_of
from leaderboard.views import BoardView, Column, Line

ROWS = 50
"""Rows of a board on one page; with more, further pages follow."""


@dataclass
class Made:
    """Files of one board."""

    pages: dict[str, str] = field(default_factory=dict)
    assets: dict[str, bytes] = field(default_factory=dict)
    part: bytes = b""
    """The board's part of the edition's table of cases, see `exports_parquet.part`."""


def build(data: BoardData, view: BoardView, base_url: str = "") -> Made:
    """All pages, pictures and downloads of a board."""
    made = Made(part=exports_parquet.part(data))
    shown, pictures = strips(data, view)
    view = replace(view, strips=shown)
    made.assets |= pictures
    tables = tables_of(data)
    taken = downloads.board_files(data, view.slug, base_url)
    made.assets |= taken.files
    groups, scripts = fairnesspages.subgroups(view)
    made.assets |= scripts
    _page(
        made, "task.html", f"{view.folder}index.html", view=view, figures=figures.figures(data, view, tables),
        kinds=figures.legend_kinds(view), downloads=taken.board, cites=taken.cite_board, first=view.lines[:ROWS], pages=_pages(view),
        time=figures.time_measure(view), groups=groups, lazy=_lazy(made, view, tables),
    )  # fmt: skip
    for number, path in _pages(view)[1:]:
        lines = view.lines[(number - 1) * ROWS : number * ROWS]
        _page(
            made, "rows.html", path, view=view, lines=lines, pages=_pages(view), number=number,
            time=figures.time_measure(view),
        )  # fmt: skip
    if view.audited and view.board.population is not None:
        _page(
            made, "fairness.html", f"{view.folder}fairness/index.html", view=view,
            plain=fairnesspages.heats(view, view.board.population, crossed=False),
            crossed=fairnesspages.heats(view, view.board.population, crossed=True),
        )  # fmt: skip
    columns = casetable.by_case(view, tables)
    by_case = list(columns.values())
    if view.has_cases:
        _page(
            made,
            "cases.html",
            f"{view.folder}cases/index.html",
            view=view,
            hardness=casetable.hardness(tables, columns),
            columns=by_case,
        )
    for strip in view.strips:
        _page(made, "case.html", f"{view.folder}cases/{strip.case}/index.html", view=view, strip=strip)
    for line in view.lines:
        _submission(made, data, view, line, taken, by_case)
    return made


def _lazy(made: Made, view: BoardView, tables: Tables) -> dict[str, str]:
    """Scripts with what the board's tools may ask for: further rows, values of single cases. By name, their paths."""
    files = {"base": (view.folder, b"")}
    if len(view.lines) > ROWS:
        files["rows"] = (f"{view.folder}rows.js", lazy.further_rows(view, ROWS))
    if len(view.lines) > 1 and tables.cases:
        files["cases"] = (f"{view.folder}cases.js", lazy.case_values(view, tables))
    made.assets |= {path: content for path, content in files.values() if content}
    return {name: path for name, (path, _) in files.items()}


def _page(made: Made, template: str, path: str, **values: object) -> None:
    made.pages[path] = render(template, path, **values)


def _pages(view: BoardView) -> list[tuple[int, str]]:
    """(number, path) of the pages that the rows of a board are on."""
    count = max(1, -(-len(view.lines) // ROWS))
    return [(n, f"{view.folder}index.html" if n == 1 else f"{view.folder}rows-{n}.html") for n in range(1, count + 1)]


def _submission(
    made: Made, data: BoardData, view: BoardView, line: Line, taken: Files, columns: Sequence[Column]
) -> None:
    name = line.row.method.name
    scores = data.scores.get(name, ())
    _page(
        made, "submission.html", line.href, view=view, line=line, downloads=taken.rows[name], cites=taken.cite_row[name],
        strips=[(strip, cell) for strip in view.strips for cell in strip.cells if cell.name == name],
        errors=casetable.errors(scores), gaps=fairnesspages.gap_lines(view, line),
        costs=costs.cost_lines(line.row), spread=spread.spread_lines(line.row.method),
        case_rows=casetable.case_rows(scores, [case.id for case in data.cases], columns), columns=columns,
    )  # fmt: skip
