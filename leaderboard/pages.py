"""All files of an edition, made in memory from the boards: pages, pictures, downloads. Marks in them are open, see `marks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leaderboard import downloads, methods
from leaderboard.assembly import assembled
from leaderboard.cache import Cache
from leaderboard.environment import render
from leaderboard.marks import BANNER, EDITION, fill
from leaderboard.question import question
from leaderboard.records import BoardData
from leaderboard.scripts import static_files
from leaderboard.views import board_view, slugs


@dataclass(frozen=True)
class Snapshot:
    """An edition before it has an id."""

    pages: Mapping[str, str]
    """HTML with marks, by path."""
    assets: Mapping[str, bytes]
    """Everything else, by path; those whose names end as in `downloads.MARKED` hold marks too."""


def build(boards: Sequence[BoardData], base_url: str = "", cache: Cache | None = None) -> Snapshot:
    """Make all files. The same boards give the same bytes. `base_url` is the site's address, where it is known.

    With a `cache`, boards that did not change since it was filled are taken from there.
    """
    assets = static_files()
    pages: dict[str, str] = {}
    names = slugs(boards)
    views = [board_view(data, slug) for data, slug in zip(boards, names, strict=True)]
    parts = []
    for made in assembled(boards, names, base_url, cache):
        pages |= made.pages
        assets |= made.assets
        parts.append(made.part)
    files, links = downloads.edition_files(boards, base_url, parts)
    assets |= files
    questions = [found for view in views if (found := question(view)) is not None]
    pages["index.html"] = render("front.html", "index.html", views=views, questions=questions, downloads=links)
    pages["methods/index.html"] = render(
        "methods.html", "methods/index.html", metrics=methods.used(views), rules=methods.rules(views), views=views
    )
    pages["about/index.html"] = render("about.html", "about/index.html", views=views)
    return Snapshot(dict(sorted(pages.items())), dict(sorted(assets.items())))


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
