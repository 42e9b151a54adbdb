"""What a page leaves open until its edition is known, and how it is filled in.

What is not known before the content is (the edition's id, which is a hash of it) or depends on where a page stands (in its
edition or as the newest one at the front) is left as a mark and filled in by `fill`. Marks are made of control
characters, and control characters are taken out of every text that a page shows, so no text can hold a mark.
"""

from __future__ import annotations

from markupsafe import escape

EDITION, DATE, YEAR, ASSETS, FEED, BANNER = (
    f"\x02{name}\x03" for name in ("edition", "date", "year", "assets", "feed", "banner")
)
"""Marks: id, date, year, the way to the edition's files, what leads from the front to the feed, and the line that says which edition this
is."""

FEED_LINK = '<link rel="alternate" type="application/atom+xml" title="radbench: what changed" href="{}feed.xml">'


def fill(text: str, path: str, edition: str, *, front: bool) -> bytes:
    """Put in what was left open, for the page at `path` in edition `edition`, or for its copy at the front."""
    up = "../" * path.count("/")
    site = up if front else up + "../../"
    first, *others = text.split("\x02")
    if not others:
        return text.encode("utf-8")
    values = {
        BANNER: _banner(path, edition, site, front),
        ASSETS: f"{up}editions/{edition}/" if front else up,
        # An edition stands alone: a copy of its folder has no feed beside it.
        FEED: FEED_LINK.format(up) if front else "",
        EDITION: edition,
        DATE: edition[:10],
        YEAR: edition[:4],
    }
    pieces = [first]
    for other in others:
        name, _, rest = other.partition("\x03")
        value = values.get(f"\x02{name}\x03")
        pieces += ("\x02", other) if value is None else (value, rest)
    return "".join(pieces).encode("utf-8")


def _banner(path: str, edition: str, site: str, front: bool) -> str:
    # Paths are made of names (letters, digits, "_", "-", ".", "@"), but whoever changes that should not have to think of this.
    page = escape(path)
    if front and path == "editions/index.html":
        return f'Newest edition: <a href="{site}editions/{edition}/index.html">{edition}</a>'
    if front:
        return (
            f'Newest edition, <strong>{edition}</strong>. To cite: <a href="{site}editions/{edition}/{page}">permanent page</a>. '
            f'<a href="{site}editions/index.html">All editions</a>.'
        )
    return (
        f'Edition <strong>{edition}</strong>; this page never changes. <a href="{site}{page}">The same page in the newest edition</a>. '
        f'<a href="{site}editions/index.html">All editions</a>.'
    )
