"""The files of all boards: from the cache where nothing changed, else made, by several processes where there is much to make."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from leaderboard import boardpages, forks
from leaderboard.anonymous import anonymised
from leaderboard.boardpages import Made
from leaderboard.cache import Cache, key_of
from leaderboard.records import BoardData
from leaderboard.views import board_view

MANY = 400
"""Rows from which further processes are worth their start."""


@dataclass(frozen=True)
class Job:
    """One board to make."""

    data: BoardData
    slug: str
    base_url: str
    cache: Cache | None
    key: str | None
    """Under which it is to be kept; None where it cannot be."""

    def make(self) -> Made:
        made = boardpages.build(anonymised(self.data), board_view(self.data, self.slug), self.base_url)
        if self.cache and self.key:
            self.cache.store(self.key, made)
        return made


def assembled(boards: Sequence[BoardData], slugs: Sequence[str], base_url: str, cache: Cache | None) -> Iterator[Made]:
    """The files of each board, in order."""
    keys = [key_of(data, slug, base_url) if cache else None for data, slug in zip(boards, slugs, strict=True)]
    found = [cache.load(key) if cache and key else None for key in keys]
    missing = [i for i, made in enumerate(found) if made is None]
    fresh = iter(_all([Job(boards[i], slugs[i], base_url, cache, keys[i]) for i in missing]))
    for made in found:
        yield next(fresh) if made is None else made
    if cache:
        cache.sweep()


def _all(jobs: Sequence[Job]) -> Iterator[Made]:
    if min(forks.cores(), len(jobs)) < 2 or sum(len(job.data.board.rows) for job in jobs) < MANY:
        yield from (job.make() for job in jobs)
        return
    # The largest first, so that no process is left alone with it at the end.
    order = sorted(range(len(jobs)), key=lambda i: -len(jobs[i].data.board.rows))
    done: dict[int, Made] = {}
    for i, made in zip(order, forks.each(lambda n: _made(jobs[order[n]]), len(jobs)), strict=True):
        # Read while the others are still being made.
        done[i] = _kept(jobs[i]) if made is None else made
    yield from (done.pop(i) for i in range(len(jobs)))


def _made(job: Job) -> Made | None:
    """Make a board in a process of its own; None where its files can be read from the cache, which is quicker than sending."""
    made = job.make()
    return None if job.cache and job.key else made


def _kept(job: Job) -> Made:
    """What another process put into the cache; made here after all if it is not there, as on a full disk."""
    made = job.cache.load(job.key) if job.cache and job.key else None
    return job.make() if made is None else made


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
