"""The edition as an RO-Crate 1.1: `ro-crate-metadata.json`, which a repository that mints DOIs reads for title, authors, licence and files.

Specification: Research Object Crate, version 1.1 (w3id.org/ro/crate/1.1). Tables are listed one by one; the pages and the files of
single rows are described by their folders, whose every file has its hash in `edition.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.contract import Board
from leaderboard import citation, exports
from leaderboard.exports import KIND, clean

NAME = "ro-crate-metadata.json"

CONTEXT: list[Any] = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "http://schema.org/sha256"}]
"""The term for a file's hash came into schema.org after version 1.1 of the context was frozen."""

FORMATS = {
    ".csv": "text/csv", ".json": "application/json", ".parquet": "application/vnd.apache.parquet", ".tex": "application/x-tex",
    ".bib": "application/x-bibtex", ".cff": "application/yaml", ".html": "text/html", ".svg": "image/svg+xml", ".png": "image/png",
    ".webp": "image/webp", ".js": "text/javascript",
}  # fmt: skip

TITLES = {
    "scores.parquet": "All per-case scores of the edition",
    "aggregates.parquet": "All aggregates, intervals and ranks of the edition",
    "changes.json": "What changed since the edition before",
    "CITATION.cff": "How to cite",
    "cite.bib": "How to cite, BibTeX",
    "index.html": "Page",
    "board.csv": "Board: aggregates, intervals and ranks",
    "board.json": "Board: the whole record",
    "board.tex": "Board as a LaTeX table",
    "cases.csv": "Per-case scores",
    "cases.json": "Per-case scores",
    "fairness.csv": "Fairness audit by group",
    "attributes.json": "Attributes of the scored cases, by anonymous id",
    "sampling.json": "Seed, number of draws and order of cases of the bootstrap",
}


def metadata(
    edition: str, boards: Sequence[tuple[str, Board]], files: Mapping[str, tuple[str, int]], base_url: str = ""
) -> bytes:
    """The crate's metadata. `boards` are pairs of slug and board; `files` are sha256 and length of all other
    files of the edition, by path."""
    reference = citation.edition_reference([board for _, board in boards])
    top = sorted(path for path in files if "/" not in path and path != NAME)
    folders = []
    graph: list[dict[str, Any]] = []
    for slug, board in boards:
        entities = _board(slug, board, files)
        folders.append(entities[0]["@id"])
        graph += entities
    publisher = {"@id": "#publisher", "@type": "Organization", "name": citation.PUBLISHER}
    licence = {
        "@id": f"https://spdx.org/licenses/{citation.LICENCE}",
        "@type": "CreativeWork",
        "name": citation.LICENCE,
        "description": "Licence of the tables and texts. Data and pictures keep the licences of their sources.",
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{reference.title}, edition {edition}",
        "description": clean(reference.abstract),
        "identifier": citation.permalink(base_url, edition, "index.html"),
        "version": edition,
        "datePublished": edition[:10],
        "license": {"@id": licence["@id"]},
        "author": {"@id": publisher["@id"]},
        "publisher": {"@id": publisher["@id"]},
        "keywords": [clean(word) for word in reference.keywords],
        "hasPart": [{"@id": id} for id in [*top, *folders]],
    }
    if base_url:
        root["url"] = root["identifier"]
    descriptor = {
        "@id": NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    return exports.json_bytes(
        {
            "@context": CONTEXT,
            "@graph": [descriptor, root, *(_file(p, files[p]) for p in top), *graph, publisher, licence],
        }
    )


def _board(slug: str, board: Board, files: Mapping[str, tuple[str, int]]) -> list[dict[str, Any]]:
    folder = f"tasks/{slug}/"
    own = sorted(path for path in files if path.startswith(folder) and "/" not in path[len(folder) :])
    rows = f"{folder}submissions/"
    parts = [*own, *([rows] if any(path.startswith(rows) for path in files) else [])]
    data = board.dataset
    entity = {
        "@id": folder,
        "@type": "Dataset",
        "name": clean(f"{board.task.title}: {KIND[data.kind]} data, edition {data.edition}, {board.split} split"),
        "description": clean(board.task.summary),
        "hasPart": [{"@id": id} for id in parts],
        "isBasedOn": {"@id": f"#data-{slug}"},
    }
    source = {
        "@id": f"#data-{slug}",
        "@type": "Dataset",
        "name": clean(data.title),
        "description": clean(data.description),
        "version": data.edition,
        "license": clean(data.licence),
        "citation": [clean(text) for text in [data.citation, *(s.citation for s in data.sources)] if text],
    }
    made: list[dict[str, Any]] = [entity, source, *(_file(path, files[path]) for path in own)]
    if rows in parts:
        made.append(
            {
                "@id": rows,
                "@type": "Dataset",
                "name": clean(f"Rows of {board.task.title}, a folder each"),
                "description": "Result, per-case scores and citation of every submission.",
            }
        )
    return made


def _file(path: str, known: tuple[str, int]) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    entity = {
        "@id": path,
        "@type": "File",
        "name": TITLES.get(name, name),
        "contentSize": str(known[1]),
        "sha256": known[0],
    }
    ending = name[name.rfind(".") :]
    return entity | ({"encodingFormat": FORMATS[ending]} if ending in FORMATS else {})
