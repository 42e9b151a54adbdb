"""The files of all boards: from the cache where nothing changed, else made, by several processes where there is much to make.

Rows are made first, some at a time, then what a board says of all its rows, and beside that what the edition says of all boards.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TypeVar

from leaderboard import boardpages, bundle, downloads, forks
from leaderboard.anonymous import aliases, anonymised
from leaderboard.bundle import Bundle
from leaderboard.cache import Cache, key_of, key_of_edition
from leaderboard.exports_parquet import Part
from leaderboard.measured import measured
from leaderboard.records import BoardData
from leaderboard.shown import Strip
from leaderboard.strips import strips
from leaderboard.tables import tables_of
from leaderboard.views import BoardView, Column, board_view

MANY = 400
"""Rows from which further processes are worth their start."""

CHUNK = 100
"""So many rows are made at a time."""

UNKEPT = "passing"
"""What cannot be kept, since nothing says whether it changed, lies in the cache under such names until the next run."""

Whole = Callable[[Sequence[BoardView], Sequence[Part]], Mapping[str, bytes]]
"""Makes the files of the edition as a whole from all boards and the tables of all rows."""


@dataclass
class Job:
    """One board to make."""

    data: BoardData
    slug: str
    base_url: str
    cache: Cache | None
    name: str
    """What its entries in the cache begin with."""
    view: BoardView
    rows: list[Bundle] = field(default_factory=list)
    """Its rows, once they are made."""

    def pictures(self) -> tuple[Bundle, tuple[Strip, ...]]:
        """Pictures of the public cases, and where they are shown."""
        shown, files = strips(self.data, self.view)
        return self._stored(PICTURES, files), shown

    def chunk(self, number: int) -> Bundle:
        """The files of some rows."""
        board, data = self.data.board, self.data
        part = slice(number * CHUNK, (number + 1) * CHUNK)
        names = [row.method.name for row in board.rows[part]]
        some = replace(
            data,
            board=board.model_copy(update={"rows": board.rows[part]}),
            scores={name: data.scores[name] for name in names if name in data.scores},
            parts={name: data.parts[name] for name in names if name in data.parts},
        )
        lines = self.view.lines[part]
        made = boardpages.rows(anonymised(some, self._aliases), self.view, lines, self.base_url, self._columns)
        return self._stored(_rows(number), made)

    def own(self) -> Bundle:
        """The files of the board itself, after those of its rows."""
        files = {path: content for one in self.rows for path, content in one.items()}
        data = anonymised(replace(self.data, scores={}, parts={}), self._aliases)
        names = self._aliases if self.data.board.split == "test" else None
        tables = tables_of(data, self.data.scores, names)
        texts = downloads.row_texts(data.board, self.slug, files.__getitem__)
        return self._stored(OWN, boardpages.own(data, self.view, self.base_url, tables, texts))

    @cached_property
    def _aliases(self) -> dict[str, str]:
        return aliases(self.data)

    @cached_property
    def _columns(self) -> list[Column]:
        """The metrics that have values on cases, as `casetable.by_case` has them."""
        tables = measured(self.data.scores)
        shapes = {tables[row.method.name].shape for row in self.data.board.rows if row.method.name in tables}
        found = {metric for shape in shapes for _, metric, _, status, _ in shape.entries if status != "excluded"}
        return [column for column in self.view.columns if column.info.id in found]

    def _stored(self, piece: str, files: Mapping[str, bytes]) -> Bundle:
        return self.cache.store(f"{self.name}-{piece}", files) if self.cache else bundle.in_memory(files)


OWN, PICTURES = "board", "pictures"


def _rows(number: int) -> str:
    return f"rows-{number}"


def _chunks(data: BoardData) -> range:
    return range(-(-len(data.board.rows) // CHUNK))


def _pieces(data: BoardData) -> list[str]:
    """What the files of a board are kept in: its rows, itself, its pictures."""
    return [*map(_rows, _chunks(data)), OWN, *([PICTURES] if data.canary else [])]


def assembled(
    boards: Sequence[BoardData], slugs: Sequence[str], base_url: str, cache: Cache | None, whole: Whole
) -> list[Bundle]:
    """The files of each board and of the edition as a whole."""
    boards = [replace(data, scores=measured(data.scores)) for data in boards]
    keys = [key_of(data, slug, base_url) if cache else None for data, slug in zip(boards, slugs, strict=True)]
    found = [_kept(cache, key, data) for key, data in zip(keys, boards, strict=True)]
    known = [key for key in keys if key is not None]
    name = key_of_edition(known, base_url) if len(known) == len(keys) else UNKEPT
    edition = cache.load(name) if cache and name != UNKEPT else None
    if edition is None or None in found:
        views = [board_view(data, slug) for data, slug in zip(boards, slugs, strict=True)]
        edition = _make(boards, slugs, base_url, cache, keys, views, found, name, whole)
    pieces = [one for own in found for one in own or ()]
    if cache:
        for one in (*pieces, edition):
            cache.use(one)
        cache.sweep()
    return [*pieces, edition]


def _kept(cache: Cache | None, key: str | None, data: BoardData) -> list[Bundle] | None:
    """A board's files from the cache; None where any of them is not there."""
    if cache is None or key is None:
        return None
    pieces = [cache.load(f"{key}-{piece}") for piece in _pieces(data)]
    return None if None in pieces else [piece for piece in pieces if piece is not None]


def _make(
    boards: Sequence[BoardData],
    slugs: Sequence[str],
    base_url: str,
    cache: Cache | None,
    keys: Sequence[str | None],
    views: Sequence[BoardView],
    found: list[list[Bundle] | None],
    name: str,
    whole: Whole,
) -> Bundle:
    """Make what is not in `found`, and put it there; then the edition as a whole, which is given back."""
    missing = [i for i, own in enumerate(found) if own is None]
    jobs = {i: Job(boards[i], slugs[i], base_url, cache, keys[i] or f"{UNKEPT}-{slugs[i]}", views[i]) for i in missing}
    many = sum(len(boards[i].board.rows) for i in missing) >= MANY

    pictured = [i for i in missing if boards[i].canary]
    pictures: dict[int, Bundle] = {}
    for i, (files, shown) in zip(pictured, _all([jobs[i].pictures for i in pictured], many), strict=True):
        pictures[i] = files
        jobs[i].view = replace(jobs[i].view, strips=shown)

    chunks = [(i, number) for i in missing for number in _chunks(boards[i])]
    tasks = [partial(jobs[i].chunk, number) for i, number in chunks]
    for (i, _), made_rows in zip(chunks, _all(tasks, many), strict=True):
        jobs[i].rows.append(made_rows)
    rows: list[Bundle] = []
    for i, own in enumerate(found):
        rows += jobs[i].rows if own is None else own[: len(_chunks(boards[i]))]

    def edition() -> Bundle:
        parts = [Part(one.content(boardpages.CASES), one.content(boardpages.AGGREGATES)) for one in rows]
        files = whole(views, parts)
        return cache.store(name, files) if cache else bundle.in_memory(files)

    whole_files, *boards_files = _all([edition, *(jobs[i].own for i in missing)], many)
    for i, files in zip(missing, boards_files, strict=True):
        found[i] = [*jobs[i].rows, files, *([pictures[i]] if i in pictures else [])]
    return whole_files


T = TypeVar("T")


def _all(tasks: Sequence[Callable[[], T]], many: bool) -> Iterator[T]:
    """What each of the tasks gives, in order."""
    if not many or len(tasks) < 2 or forks.cores() < 2:
        return (task() for task in tasks)
    return forks.each(lambda n: tasks[n](), len(tasks))


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the collector of cycles: it would look through millions of scores again and again and free nothing."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
