"""The pages, scripts and downloads of an edition once more, from its published tables.

Pictures of canary cases come from volumes that are not published, so the sections that show them are left out on both sides, and the
pages of single canary cases are not made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from benchmark.board import describe
from leaderboard import boardpages, casetable, downloads
from leaderboard.bundle import KEPT
from leaderboard.records import BoardData
from leaderboard.tables import tables_of
from leaderboard.views import BoardView, board_view

PICTURES = re.compile(r'<section[^>]* aria-labelledby="(?:pictures|canaries)">')
"""What opens a section of pictures, see the templates `task`, `submission` and `cases`."""


def view_of(data: BoardData, slug: str, pictured: bool) -> tuple[BoardData, BoardView]:
    """A board read back from its files as pages show it; `pictured` says whether it has public cases with
    pictures. Raises `DataError` for a metric that is not known."""
    # As the harness describes the metrics: JSON has made lists of the tuples among their options.
    board = data.board.model_copy(update={"metrics": tuple(describe(data.board.task))})
    data = replace(data, board=board, cases=sorted(data.cases, key=lambda case: case.id))
    view = board_view(data, slug)
    return data, replace(view, pictured=pictured, has_cases=view.has_cases or pictured)


def board_files(data: BoardData, view: BoardView, base_url: str) -> dict[str, bytes]:
    """All files of a board but pictures, by path in the edition, with open marks. `data` and `view` as from `view_of`."""
    tables = tables_of(data)
    columns = list(casetable.by_case(view, tables).values())
    rows = boardpages.rows(data, view, view.lines, base_url, columns)
    texts = downloads.row_texts(data.board, view.slug, rows.__getitem__)
    own = boardpages.own(data, view, base_url, tables, texts)
    return {path: content for path, content in {**rows, **own}.items() if not path.startswith(KEPT)}


def without_pictures(page: str) -> Sequence[str]:
    """The lines of a page that say something, less the sections of pictures."""
    kept = []
    while opening := PICTURES.search(page):
        depth, end = 0, len(page)
        for tag in re.finditer(r"<(/?)section\b[^>]*>", page[opening.start() :]):
            depth += -1 if tag[1] else 1
            if depth == 0:
                end = opening.start() + tag.end()
                break
        kept.append(page[: opening.start()])
        page = page[end:]
    return [line for line in "".join([*kept, page]).splitlines() if line.strip()]
