"""The scripts of the site: each is put together from files of one idea each, so that a page loads one and a reader finds the other.

They are joined as they stand and not made smaller: a site can be read, and its bytes depend on these files alone. Plain scripts
and not modules, since a browser loads no module of a page that is opened from disk.
"""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"

SHARED = ("shared/address.js", "shared/dom.js", "shared/numbers.js", "shared/data.js")

SCRIPTS = {
    "sort.js": ("every/sort.js", "every/cite.js"),  # what any page may need
    "board.js": (
        *SHARED, "board/table.js", "board/longboard.js", "board/filter.js", "board/groups.js", "board/compare.js", "board/scatter.js",
        "board/distributions.js", "board/tools.js",
    ),
    "viewer.js": (*SHARED, "viewer/volumes.js", "viewer/paint.js", "viewer/overlays.js", "viewer/tools.js"),
}  # fmt: skip
"""By name in the site, the files of each script in the order in which they run."""


def static_files() -> dict[str, bytes]:
    """Everything below `static/` in the site, by path in the snapshot."""
    files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.is_file()}
    for name, parts in SCRIPTS.items():
        files[name] = b"\n".join((STATIC / part).read_bytes() for part in parts)
    return {f"static/{name}": content for name, content in sorted(files.items())}
