"""The Atom feed: valid by the RFC's rules, the same bytes each time, ids that stay, and nothing in it that the pages hide."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from leaderboard import feed
from leaderboard.records import BoardData
from leaderboard.site import publish
from tests.leaderboard import boards


def small(rows: int) -> BoardData:
    """A board of so many rows."""
    data = boards.slab(canaries=1, shape=(3, 10, 10))
    kept = data.board.rows[:rows]
    names = {row.method.name for row in kept}
    return replace(
        data,
        board=data.board.model_copy(update={"rows": kept}),
        scores={name: table for name, table in data.scores.items() if name in names},
        canary=[],
    )


ATOM = "{http://www.w3.org/2005/Atom}"
MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def parsed(site: Path) -> ElementTree.Element:
    return ElementTree.fromstring((site / "feed.xml").read_bytes())


def text(element: ElementTree.Element, name: str) -> str:
    (child,) = element.findall(ATOM + name)
    assert child.text
    return child.text


def check(root: ElementTree.Element) -> None:
    """RFC 4287, 4.1: what a feed and each of its entries must have, once each."""
    assert root.tag == f"{ATOM}feed"
    ids = [text(root, "id")]
    assert text(root, "title") and MOMENT.match(text(root, "updated"))
    assert root.findall(f"{ATOM}author/{ATOM}name")
    for entry in root.findall(f"{ATOM}entry"):
        ids.append(text(entry, "id"))
        assert text(entry, "title") and text(entry, "content") and MOMENT.match(text(entry, "updated"))
        (link,) = entry.findall(f"{ATOM}link")
        assert link.get("rel") == "alternate" and link.get("href")
    assert len(set(ids)) == len(ids) and all(re.match(r"^urn:uuid:[0-9a-f-]{36}$", id) for id in ids)


def test_each_edition_is_an_entry_with_what_changed(tmp_path: Path) -> None:
    publish(tmp_path, [small(1)], date="2026-05-01")
    first = parsed(tmp_path)
    check(first)
    publish(tmp_path, [small(2)], date="2026-05-02")
    second = parsed(tmp_path)
    check(second)
    entries = second.findall(f"{ATOM}entry")
    assert [text(entry, "updated")[:10] for entry in entries] == ["2026-05-02", "2026-05-01"]
    assert "new:" in text(entries[0], "content")
    # What was there keeps its id; the feed keeps its own.
    assert text(entries[1], "id") == text(first.findall(f"{ATOM}entry")[0], "id") and text(second, "id") == text(
        first, "id"
    )
    for entry in entries:
        (link,) = entry.findall(f"{ATOM}link")
        assert (tmp_path / str(link.get("href"))).is_file()


def test_the_same_editions_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        publish(tmp_path / name, [small(1)], date="2026-05-01", base_url="https://example.org/board/")
    one, two = ((tmp_path / name / "feed.xml").read_bytes() for name in ("a", "b"))
    assert one == two
    publish(tmp_path / "a", [small(1)], date="2026-06-01")
    assert (tmp_path / "a" / "feed.xml").read_bytes() == one
    hrefs = [str(link.get("href")) for link in parsed(tmp_path / "a").iter(f"{ATOM}link")]
    assert all(href.startswith("https://example.org/board/") for href in hrefs)


def test_pages_lead_to_the_feed(tmp_path: Path) -> None:
    published = publish(tmp_path, [small(1)], date="2026-05-01")
    assert b"application/atom+xml" not in (tmp_path / "editions" / published.edition / "index.html").read_bytes()
    for page in ("index.html", "editions/index.html"):
        (href,) = re.findall(
            r'<link rel="alternate" type="application/atom\+xml"[^>]* href="([^"]+)"', (tmp_path / page).read_text()
        )
        assert (tmp_path / page).parent.joinpath(href).resolve() == (tmp_path / "feed.xml").resolve()
    newest = json.loads((tmp_path / "newest.json").read_text())
    assert "feed.xml" in newest["files"]


def test_texts_of_strangers_stay_texts() -> None:
    edition = {"id": "2026-05-01-abc", "content": "abc", "boards": []}
    hostile = "</content><script>alert(1)</script> \x02edition\x03 \ufffe & \u202eevil"
    made = feed.atom([edition], {edition["id"]: [hostile]})
    root = ElementTree.fromstring(made)
    check(root)
    content = text(root.findall(f"{ATOM}entry")[0], "content")
    assert content.startswith("</content><script>") and "\x02" not in content and "\u202e" not in content
    check(ElementTree.fromstring(feed.atom([], {})))
