"""The site's Atom feed (RFC 4287): one entry an edition, newest first, with what changed in it.

It is made from the editions' own records, in which who is under embargo is anonymous already, so it can hold no more than the pages
do. The same editions give the same bytes: moments are the editions' days, and ids are made from the editions' content.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from leaderboard.citation import PUBLISHER
from leaderboard.exports import clean

PATH = "feed.xml"
"""Where it lies in the site."""
TITLE = "radbench leaderboard"
MOST = 50
"""Entries; older editions stay in `editions/index.html`."""

ATOM = "http://www.w3.org/2005/Atom"
SPACE = uuid.UUID("1f6f2f1e-6c1b-5d0e-9a53-6a1f0f2f7d4c")
"""Namespace of the ids (RFC 9562, version 5). It must never change: readers know entries by their ids."""


def atom(editions: Sequence[Mapping[str, Any]], changes: Mapping[str, Sequence[str]], base_url: str = "") -> bytes:
    """The feed of these editions (oldest first). `changes` has, by id, what is new in each in sentences; an edition without any is
    the first. With `base_url`, the site's address, links are absolute; without, they are relative to the feed."""
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    _text(feed, "title", TITLE)
    _text(feed, "subtitle", "What changes from edition to edition: who is new, who moved and why.")
    first = editions[0] if editions else {"id": "", "content": ""}
    _text(feed, "id", _id("feed", first))
    _text(feed, "updated", _moment(editions[-1]) if editions else "1970-01-01T00:00:00Z")
    author = ElementTree.SubElement(feed, f"{{{ATOM}}}author")
    _text(author, "name", PUBLISHER)
    if base_url:
        _link(feed, "self", _address(base_url, PATH), "application/atom+xml")
    _link(feed, "alternate", _address(base_url, "index.html"), "text/html")
    for edition in [*reversed(editions)][:MOST]:
        _entry(feed, edition, changes.get(edition["id"], ()), base_url)
    ElementTree.indent(feed, " ")
    return ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True) + b"\n"


def _entry(feed: ElementTree.Element, edition: Mapping[str, Any], sentences: Sequence[str], base_url: str) -> None:
    entry = ElementTree.SubElement(feed, f"{{{ATOM}}}entry")
    _text(entry, "title", f"Edition {edition['id']}")
    _text(entry, "id", _id("edition", edition))
    _text(entry, "updated", _moment(edition))
    _link(entry, "alternate", _address(base_url, f"editions/{edition['id']}/index.html"), "text/html")
    said = list(sentences) or _contents(edition)
    _text(entry, "content", "\n".join(said)).set("type", "text")


def _contents(edition: Mapping[str, Any]) -> list[str]:
    """What an edition holds, where nothing is said of what is new in it."""
    return [
        f"{board.get('title', board['task'])} ({board['dataset']}): {len(board['rows'])} "
        f"submission{'s' if len(board['rows']) != 1 else ''}."
        for board in edition.get("boards", ())
    ] or ["No board."]


def _text(parent: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}")
    # Two characters that XML cannot hold are no control characters.
    child.text = "\n".join(clean(line).translate({0xFFFE: None, 0xFFFF: None}) for line in text.splitlines())
    return child


def _link(parent: ElementTree.Element, rel: str, href: str, type: str) -> None:
    ElementTree.SubElement(parent, f"{{{ATOM}}}link", {"rel": rel, "href": href, "type": type})


def _id(kind: str, edition: Mapping[str, Any]) -> str:
    return uuid.uuid5(SPACE, f"{kind} {edition['id']} {edition['content']}").urn


def _moment(edition: Mapping[str, Any]) -> str:
    """An edition knows its day, and no more."""
    return f"{edition['id'][:10]}T00:00:00Z"


def _address(base_url: str, path: str) -> str:
    return f"{base_url.rstrip('/')}/{path}" if base_url else path
