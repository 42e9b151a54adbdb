"""How to cite an edition, a board or a row: BibTeX, CITATION.cff and the address that stays.

An entry is composed of texts that may be a stranger's, which are escaped, and of an edition id, a date and an address, which are
not: they are made of harmless characters, and before the edition has an id they are marks that are filled in later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from benchmark.contract import Board, Row
from benchmark.errors import UsageError
from leaderboard.exports import KIND, clean
from leaderboard.latex import escape

PUBLISHER = "The radbench developers"
"""Author of the reference models, and of editions and boards as a whole."""

LICENCE = "CC-BY-4.0"
"""Licence of the tables, by its SPDX id; data and pictures keep those of their sources."""

NEWEST = "newest"
"""What stands in for the id of the newest edition on the command line."""


@dataclass(frozen=True)
class Reference:
    """Something that can be cited."""

    key: str
    """Beginning of the BibTeX key: letters, digits and hyphens."""
    title: str
    """What it is called."""
    authors: tuple[str, ...]
    """Teams or persons, as they write themselves."""
    path: str
    """Page in the edition."""
    abstract: str
    """What it holds, and by what it was made."""
    keywords: tuple[str, ...] = ()
    """Subject words."""


def edition_reference(boards: Sequence[Board]) -> Reference:
    """The edition as a whole."""
    held = "; ".join(f"{b.task.title} ({_data(b)}, {len(b.rows)} submissions)" for b in boards)
    words = dict.fromkeys(word for b in boards for word in (b.task.modality, b.task.anatomy) if word)
    return Reference(
        "radbench", "radbench leaderboard: generative AI in medical imaging", (PUBLISHER,), "index.html",
        f"Scores with confidence intervals and ranks, per case and in sum: {held or 'no board'}.", ("medical imaging", *words),
    )  # fmt: skip


def board_reference(board: Board, slug: str) -> Reference:
    """One task's board."""
    return Reference(
        f"radbench-{_key(slug)}", f"radbench leaderboard: {board.task.title}", (PUBLISHER,), f"tasks/{slug}/index.html",
        f"Task {board.task.name} version {board.task.version}, {_data(board)}, {board.split} split, {len(board.rows)} submissions, "
        f"scorer {board.scorer}.",
        tuple(word for word in (board.task.modality, board.task.anatomy) if word),
    )  # fmt: skip


def row_reference(board: Board, slug: str, row: Row) -> Reference:
    """One submission's result."""
    method = row.method
    signed = "Anonymous" if method.anonymous else PUBLISHER if method.baseline else method.title
    withheld = f" The submission is anonymous until {method.embargo}." if method.anonymous and method.embargo else ""
    return Reference(
        f"radbench-{_key(slug)}-{_key(method.name)}", f"{method.title} on {board.task.title}",
        (method.team or signed,), f"tasks/{slug}/submissions/{method.name}/index.html",
        f"Result in the radbench leaderboard: task {board.task.name} version {board.task.version}, {_data(board)}, {board.split} "
        f"split, run {row.digest}, scorer {board.scorer}.{withheld}",
        tuple(word for word in (board.task.modality, board.task.anatomy) if word),
    )  # fmt: skip


def _data(board: Board) -> str:
    kind = KIND[board.dataset.kind]
    return f"{kind} data" if board.dataset.edition == kind else f"{kind} data, edition {board.dataset.edition}"


def _key(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def checked_base(url: str) -> str:
    """The address of a site, with a slash at its end; empty stays empty. Raises `UsageError` for what is no plain http(s) address."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not (parts.query or parts.fragment or parts.username)
        )
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"[A-Za-z0-9:/.\-~%]+", url):
        raise UsageError(
            "bad_value", f"base URL {url!r}", expected="the site's address, such as https://example.org/leaderboard/"
        )
    return url.rstrip("/") + "/"


def permalink(base_url: str, edition: str, path: str) -> str:
    """The address of a page in an edition, which never changes: a URL where the site's is known, else the path below the site."""
    return f"{base_url}editions/{edition}/{quote(path, safe='/@')}"


def bibtex(reference: Reference, edition: str, year: str, base_url: str = "") -> str:
    """A BibTeX entry; without a base URL the address is the edition's id and the path below the site."""
    address = permalink(base_url, edition, reference.path)
    fields = {
        "author": "{" + " and ".join("{" + escape(name) + "}" for name in reference.authors) + "}",
        # Braces within keep capitals as they are.
        "title": "{{" + escape(reference.title) + "}}",
        "howpublished": f"{{radbench leaderboard, edition {edition}}}",
        "year": f"{{{year}}}",
        "note": "{"
        + escape(reference.abstract)
        + ("" if base_url else f" Address below the site: \\texttt{{{_path(address)}}}.")
        + "}",
    }
    if base_url:
        fields["url"] = f"{{{address}}}"
    body = ",\n".join(f"  {name} = {value}" for name, value in fields.items())
    return f"@misc{{{reference.key}-{edition},\n{body}\n}}\n"


def _path(address: str) -> str:
    return address.replace("_", r"\_").replace("%", r"\%")


def cff(reference: Reference, edition: str, date: str, base_url: str = "") -> str:
    """A CITATION.cff (format 1.2.0) of type `dataset`."""
    address = permalink(base_url, edition, reference.path)
    lines = [
        "cff-version: 1.2.0",
        f"message: {_yaml('If you use these results, please cite them as below.')}",
        "type: dataset",
        f"title: {_yaml(reference.title)}",
        "authors:",
        *(f"  - name: {_yaml(name)}" for name in reference.authors),
        f'version: "{edition}"',
        f"date-released: {date}",
        f"license: {LICENCE}",
        f"abstract: {_yaml(reference.abstract + ('' if base_url else ' Address below the site:'))[:-1]}"
        + ('"' if base_url else f' {address}."'),
    ]
    if base_url:
        lines.append(f'url: "{address}"')
    if reference.keywords:
        lines += ["keywords:", *(f"  - {_yaml(word)}" for word in dict.fromkeys(reference.keywords))]
    return "\n".join(lines) + "\n"


def _yaml(text: str) -> str:
    """A double-quoted YAML scalar: on one line, with everything escaped that YAML would not print."""
    text = re.sub(r"\s+", " ", clean(text)).strip() or "untitled"
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if text.isascii() and text.isprintable() else '"' + "".join(map(_yaml_char, quoted[1:-1])) + '"'


def _yaml_char(c: str) -> str:
    point = ord(c)
    printable = 0x20 <= point <= 0x7E or 0xA0 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000
    return c if printable and point not in (0x2028, 0x2029, 0xFEFF) else f"\\U{point:08X}"


FORMATS: Mapping[str, tuple[str, str]] = {
    "bibtex": ("cite.bib", "cite.bib"),
    "cff": ("CITATION.cff", "CITATION.cff"),
    "latex": ("board.tex", "row.tex"),
    "csv": ("board.csv", "row.csv"),
    "json": ("board.json", "row.json"),
}
"""Files in the folder of a board and in that of a row, by the name of the format."""


def published_text(site: Path, target: str, format: str) -> str:
    """What `radbench cite` prints: a published file, found by `EDITION`, `EDITION/TASK` or `EDITION/TASK/SUBMISSION`.

    EDITION may be `newest` or the beginning of an id, TASK the task or the folder of its board, SUBMISSION the name in the address or
    the one that it was submitted as. Raises `UsageError` for what is not there.
    """
    if format not in FORMATS:
        raise UsageError("bad_value", f"--format {format}", expected=f"one of {', '.join(FORMATS)}")
    edition, *rest = target.strip("/").split("/")
    if len(rest) > 2:
        raise UsageError("bad_value", f"{target!r}", expected="EDITION, EDITION/TASK or EDITION/TASK/SUBMISSION")
    record = _edition_record(site, edition)
    folder = site / "editions" / record["id"]
    file = FORMATS[format][len(rest) == 2]
    if rest:
        board = _one(rest[0], record["boards"], ("slug", "task"), "board")
        folder /= f"tasks/{board['slug']}"
        if len(rest) == 2:
            row = _one(rest[1], board["rows"], ("submission", "submitted_as"), "submission")
            folder /= f"submissions/{row['submission']}"
    elif format not in ("bibtex", "cff"):
        raise UsageError(
            "bad_value", f"--format {format} of a whole edition", expected="bibtex or cff",
            action=f"Name a board; all of the edition is in {folder}/scores.parquet and aggregates.parquet.",
        )  # fmt: skip
    path = folder / file
    if not path.is_file():
        raise UsageError("path", f"there is no {path}", expected="an edition of this version of radbench")
    return path.read_text("utf-8")


def _edition_record(site: Path, edition: str) -> Any:
    known = sorted(path.parent.name for path in (site / "editions").glob("[!.]*/edition.json"))
    if not known:
        raise UsageError(
            "path", f"there is no edition in {site}", action="Run `radbench publish` first, or name the site."
        )
    if edition == NEWEST:
        edition = json.loads((site / "newest.json").read_text("utf-8"))["edition"]
    found = [id for id in known if id == edition] or [id for id in known if edition and id.startswith(edition)]
    if len(found) != 1:
        raise UsageError(
            "unknown_name", f"{'no' if not found else 'more than one'} edition is called {edition!r}",
            expected=f"{NEWEST} or one of {', '.join(known[-10:])}",
        )  # fmt: skip
    return json.loads((site / "editions" / found[0] / "edition.json").read_text("utf-8"))


def _one(name: str, items: Sequence[Mapping[str, Any]], keys: Sequence[str], what: str) -> Mapping[str, Any]:
    for key in keys:
        for item in items:
            if name and item.get(key) == name:
                return item
    known = ", ".join(str(item.get(keys[0], "")) for item in items[:20])
    raise UsageError("unknown_name", f"there is no {what} {name!r} in this edition", expected=f"one of {known}")
