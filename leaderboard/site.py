"""Publish boards as a static site: an immutable edition, and a front that shows the newest one.

    <site>/editions/<date>-<hash>/…     the edition: pages, pictures, downloads, `edition.json`; written once, never changed
    <site>/editions/index.html          all editions
    <site>/feed.xml                     what changed from edition to edition, for feed readers
    <site>/index.html, <site>/tasks/…   the newest edition's pages under addresses that stay; files are the edition's own. A page
                                        that the newest edition does not have leads to the last one that has it.
    <site>/newest.json                  id of the newest edition, hashes of the pages at the front

The id is a hash of the content, so publishing what is there already makes nothing and changes nothing, on whatever day.
An edition is built in a hidden folder and renamed; then the front's pages are replaced one by one, `index.html` last.
Killed at any moment, the site holds whole pages only, and publishing again leads to the same end.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import date as Date
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import benchmark
from benchmark import atomic
from benchmark.errors import DataError, InfrastructureError, UsageError
from leaderboard import crate, embargo, exports, feed, history, pages, writing
from leaderboard.assembly import no_collection
from leaderboard.cache import Cache
from leaderboard.citation import checked_base
from leaderboard.pages import Snapshot
from leaderboard.records import BoardData, CanaryCase, Published
from leaderboard.views import slugs

NEWEST = "newest.json"
"""At the root of the site: the id of the newest edition, and the hashes of the pages at the front."""

HASH_DIGITS = 10
"""Digits of the content hash in an edition's id: 40 bits, ample for the editions of one site; the whole hash is checked."""


def publish(
    site: Path, boards: Sequence[BoardData], *, date: str, base_url: str | None = None, ledger_head: str = ""
) -> Published:
    """Publish `boards` (in the order of the front page) below `site`; `date` (YYYY-MM-DD) is the new edition's.

    `base_url` is the site's address, for citations; None is that of the last edition. `ledger_head` (NUMBER:SHA256) is where the
    organiser's ledger ends, noted in a new edition. Content that was published before keeps its edition and its date. Raises
    `UsageError` for a bad date or address, `DataError` where an edition on disk is not what it says or a row under embargo would
    be named, `InfrastructureError` when another process has been publishing for ten minutes.
    """
    day = parsed_date(date)
    base_url = None if base_url is None else checked_base(base_url)
    embargo.guard(boards, day)
    site.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(site.parent / f".{site.name}.lock", timeout=600), no_collection():
            return _publish(site, boards, date, base_url, ledger_head)
    except Timeout:
        raise InfrastructureError("busy", f"another process has been publishing to {site} for ten minutes") from None


def parsed_date(date: str) -> Date:
    """The day that `date` (YYYY-MM-DD) names. Raises `UsageError` for anything else."""
    try:
        day = Date.fromisoformat(date)
    except ValueError:
        day = None
    if day is None or day.isoformat() != date:
        raise UsageError("bad_value", f"date {date!r}", expected="a day as YYYY-MM-DD")
    return day


def _publish(site: Path, boards: Sequence[BoardData], date: str, base_url: str | None, ledger_head: str) -> Published:
    _sweep(site)
    known = _editions(site)
    if base_url is None:
        base_url = known[-1].get("base_url", "") if known else ""
    snapshot = pages.build(boards, base_url, Cache(site.parent / f".{site.name}.cache"))
    content = digest(snapshot)
    edition = next((item["id"] for item in known if item["content"] == content), None)
    changed = edition is None
    if edition is None:
        edition = f"{date}-{content[:HASH_DIGITS]}"
        _write_edition(site / "editions" / edition, snapshot, boards, edition, content, known, base_url, ledger_head)
        known = _editions(site)
    changed |= _write_front(site, snapshot, edition, known)
    return Published(edition, site / "index.html", changed)


def digest(snapshot: Snapshot) -> str:
    """sha256 over all files of an edition, before its id and date are put in.

    Parquet files are left out: what they hold is in other files too, and their bytes name the version of the library.
    """
    total = hashlib.sha256()
    files = {path: text.encode("utf-8") for path, text in snapshot.pages.items()} | dict(snapshot.assets)
    for path, data in sorted(files.items()):
        if not path.endswith(".parquet"):
            total.update(f"{path} {hashlib.sha256(data).hexdigest()}\n".encode())
    return total.hexdigest()


def _write_edition(
    target: Path,
    snapshot: Snapshot,
    boards: Sequence[BoardData],
    edition: str,
    content: str,
    known: Sequence[Mapping[str, Any]],
    base_url: str,
    ledger_head: str,
) -> None:
    files = writing.shared(snapshot, edition)
    named = list(zip(slugs(boards), boards, strict=True))
    record: dict[str, Any] = {
        "schema_version": 2,
        "id": edition,
        "date": edition[:10],
        "number": known[-1]["number"] + 1 if known else 1,
        "content": content,
        "base_url": base_url,
        "maker": maker(),
        "before": {"id": known[-1]["id"], "seal": known[-1].get("seal", "")} if known else None,
        "boards": [history.summary(data, slug) for slug, data in named],
    }
    if ledger_head:
        record["ledger_head"] = ledger_head
    # What follows from the files and from the edition before: it is no part of the content that gives the id.
    if known:
        files["changes.json"] = history.change_bytes(history.change(known[-1], record))
    with atomic.folder(target) as folder:
        hashes = writing.rows(folder, snapshot, edition)
        # The crate names the folder of rows, not what is in it.
        known_files = files | dict.fromkeys(hashes, b"")
        files[crate.NAME] = crate.metadata(edition, [(slug, data.board) for slug, data in named], known_files, base_url)
        hashes |= writing.write(folder, sorted(files.items()))
        record["files"] = dict(sorted(hashes.items()))
        atomic.write_json(folder / "edition.json", sealed(record))


@cache
def maker() -> str:
    """Version of the package and a hash of the code that writes tables: with the same one, tables come out byte for byte."""
    harness = Path(benchmark.__file__).parent
    paths = [
        *(harness / name for name in ("fairness.py", "record.py")),
        *(harness / "contract").glob("*.py"),
        *Path(__file__).parent.glob("*.py"),
    ]
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{benchmark.__version__}+{total.hexdigest()[:12]}"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with `seal`, a hash over all the rest of it, so that a changed digit in the record itself shows."""
    bare = {key: value for key, value in record.items() if key != "seal"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**bare, "seal": hashlib.sha256(text.encode()).hexdigest()}


def _editions(site: Path) -> list[Mapping[str, Any]]:
    """All editions, oldest first. An edition folder appears whole or not at all, so its record must be readable."""
    found = []
    for path in sorted((site / "editions").glob("[!.]*/edition.json")):
        try:
            record = json.loads(path.read_text("utf-8"))
            if record["id"] != path.parent.name or not re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]+", record["id"]):
                raise ValueError(f"it calls itself {record['id']!r}")
            found.append((int(record["number"]), record["id"], record["content"], record["boards"], record))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("record_invalid", f"{path}: {error}", action="Put the edition back from a copy.") from error
    return [record for *_, record in sorted(found, key=lambda item: item[:2])]


def _write_front(site: Path, snapshot: Snapshot, edition: str, known: Sequence[Mapping[str, Any]]) -> bool:
    """Make the front show `edition`; whether a byte changed. The front page itself comes last."""
    front = {path: pages.fill(text, path, edition, front=True) for path, text in snapshot.pages.items()}
    changes = {id: history.sentences(change) for id, change in history.changes(known).items()}
    listing = pages.editions_page([*reversed(known)], changes)
    front["editions/index.html"] = pages.fill(listing, "editions/index.html", edition, front=True)
    front |= _gone(front, edition, known)
    front[feed.PATH] = feed.atom(known, changes, known[-1].get("base_url", ""))
    newest = {
        "edition": edition,
        "path": f"editions/{edition}/index.html",
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(front.items())},
    }
    front[NEWEST] = exports.json_bytes(sealed(newest))
    # New pages come before old ones that will link to them; then what is linked to comes before what links to it:
    # submissions, tasks, the front page. New pages link to each other, but no reader is led to any before all are there.
    order = sorted(front, key=lambda p: ((site / p).is_file(), -p.count("/"), p == "index.html", p))
    new = [(site / path, front[path]) for path in order if _differs(site / path, front[path])]
    atomic.write_many(new)
    changed = bool(new)
    for old in _stale(site, front):
        old.unlink()
        changed = True
    for folder in sorted((p for p in (site / "tasks").rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return changed


def _gone(front: Mapping[str, bytes], edition: str, known: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Pages that were at the front once and that the newest edition does not have: they lead to the last edition that has them."""
    last = {path: record["id"] for record in known for path in record.get("files", {}) if path.endswith(".html")}
    return {
        path: pages.fill(pages.gone_page(path, id), path, edition, front=True)
        for path, id in last.items()
        if path not in front
    }


def _differs(path: Path, data: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != data


def _stale(site: Path, front: Mapping[str, bytes]) -> Iterator[Path]:
    """What no edition has put below `tasks`."""
    for path in sorted((site / "tasks").rglob("*")):
        if path.is_file() and path.relative_to(site).as_posix() not in front:
            yield path


def _sweep(site: Path) -> None:
    """Remove what a killed run left behind."""
    for path in [
        *site.glob(".*.partial"),
        *(site / "editions").glob(".*.partial"),
        *site.glob("[!e.]*/**/.*.partial"),
    ]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


__all__ = ["BoardData", "CanaryCase", "Published", "digest", "parsed_date", "publish"]
