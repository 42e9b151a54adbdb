"""All files of an edition, made from the boards: pages, pictures, downloads. Marks in them are open, see `marks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from leaderboard import downloads, methods
from leaderboard.assembly import assembled
from leaderboard.bundle import KEPT, Bundle, published
from leaderboard.cache import Cache
from leaderboard.environment import render
from leaderboard.exports_parquet import Part
from leaderboard.marks import BANNER, EDITION, fill
from leaderboard.question import question
from leaderboard.records import BoardData
from leaderboard.scripts import static_files
from leaderboard.views import BoardView, slugs


@dataclass(frozen=True)
class Snapshot:
    """An edition before it has an id."""

    bundles: Sequence[Bundle]
    """Its files, with marks in those whose names end as in `PAGE` and `downloads.MARKED`."""

    @cached_property
    def hashes(self) -> dict[str, str]:
        """sha256 of every file, by path in order."""
        return published(self.bundles)

    @cached_property
    def pages(self) -> dict[str, str]:
        """HTML with marks, by path."""
        return {path: content.decode() for path, content in self._files if path.endswith(PAGE)}

    @cached_property
    def assets(self) -> dict[str, bytes]:
        """Everything else, by path."""
        return {path: content for path, content in self._files if not path.endswith(PAGE)}

    @property
    def _files(self) -> list[tuple[str, bytes]]:
        files = (item for bundle in self.bundles for item in bundle.items())
        return sorted(item for item in files if not item[0].startswith(KEPT))


PAGE = ".html"
"""Ending of pages."""


def build(boards: Sequence[BoardData], base_url: str = "", cache: Cache | None = None) -> Snapshot:
    """Make all files. The same boards give the same bytes. `base_url` is the site's address, where it is known.

    With a `cache`, boards that did not change since it was filled are taken from there.
    """

    def whole(views: Sequence[BoardView], parts: Sequence[Part]) -> dict[str, bytes]:
        files, links = downloads.edition_files(boards, base_url, parts)
        return {**static_files(), **files, **edition_pages(views, links)}

    return Snapshot(assembled(boards, slugs(boards), base_url, cache, whole))


def edition_pages(views: Sequence[BoardView], links: Sequence[downloads.Link]) -> dict[str, bytes]:
    """The pages that belong to no board. `links` are those of the edition's downloads."""
    questions = [found for view in views if (found := question(view)) is not None]
    front = render("front.html", "index.html", views=views, questions=questions, downloads=links)
    metrics, rules = methods.used(views), methods.rules(views)
    defined = render("methods.html", "methods/index.html", metrics=metrics, rules=rules, views=views)
    about = render("about.html", "about/index.html", views=views)
    pages = {"index.html": front, "methods/index.html": defined, "about/index.html": about}
    return {path: text.encode() for path, text in pages.items()}


def editions_page(editions: Sequence[Mapping[str, Any]], changes: Mapping[str, Sequence[str]] | None = None) -> str:
    """The list of all editions, newest first; it stands at the front alone, since an edition does not know the later ones.

    `changes` says in sentences, by edition id, what is new in it against the one before.
    """
    return render("editions.html", "editions/index.html", editions=editions, changes=changes or {})


def gone_page(path: str, edition: str) -> str:
    """What stands at the front where the newest edition has no page; `edition` is the last that has it."""
    up = "../" * path.count("/")
    newest = Markup('Newest edition: <a href="{}editions/{}/index.html">{}</a>').format(
        up, Markup(EDITION), Markup(EDITION)
    )
    return render("gone.html", path, last=edition).replace(BANNER, newest)


__all__ = ["Snapshot", "build", "editions_page", "fill"]
