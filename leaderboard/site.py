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
import os
import re
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
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
from leaderboard.bundle import Rotten
from leaderboard.cache import Cache, code
from leaderboard.citation import checked_base
from leaderboard.pages import Snapshot
from leaderboard.records import BoardData, CanaryCase, Published
from leaderboard.views import slugs
from leaderboard.writing import Written

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
    cache = Cache(site.parent / f".{site.name}.cache")
    try:
        return _published(site, boards, date, base_url, ledger_head, cache)
    except Rotten:
        # What was kept is of use only as long as it is what it was. Everything is made anew, once.
        cache.clear()
        return _published(site, boards, date, base_url, ledger_head, cache)


def _published(
    site: Path, boards: Sequence[BoardData], date: str, base_url: str | None, ledger_head: str, cache: Cache
) -> Published:
    _sweep(site)
    known, state = _editions(site)
    if base_url is None:
        base_url = known[-1].get("base_url", "") if known else ""
    snapshot = pages.build(boards, base_url, cache)
    content = digest(snapshot)
    edition = next((item["id"] for item in known if item["content"] == content), None)
    if edition is not None and (front := cache.stands(_stand_key(content, state))) and _stands(site, front):
        return Published(edition, site / "index.html", False)
    changed = edition is None
    if edition is None:
        edition = f"{date}-{content[:HASH_DIGITS]}"
        target = site / "editions" / edition
        written = _write_edition(target, site, snapshot, boards, edition, content, known, base_url, ledger_head)
        known, state = _editions(site)
    else:
        written = writing.everything(snapshot, edition, None, site)
    changed |= _write_front(site, written, edition, known)
    cache.stand(_stand_key(content, state), written.front)
    return Published(edition, site / "index.html", changed)


def _stand_key(content: str, state: str) -> str:
    """What stands at the front follows from this: the content of the edition shown, all editions' records, and the code."""
    return hashlib.sha256(f"{content} {state} {code()}".encode()).hexdigest()


def _stands(site: Path, front: Mapping[str, str]) -> bool:
    """Whether the front is what it was made to be: every page, and none that is of no edition."""
    for path, sha in front.items():
        try:
            content = (site / path).read_bytes()
        except OSError:
            return False
        if hashlib.sha256(content).hexdigest() != sha:
            return False
    return not _stale(site, front)


def digest(snapshot: Snapshot) -> str:
    """sha256 over all files of an edition, before its id and date are put in.

    Parquet files are left out: what they hold is in other files too, and their bytes name the version of the library.
    """
    total = hashlib.sha256()
    for path, sha in snapshot.hashes.items():
        if not path.endswith(".parquet"):
            total.update(f"{path} {sha}\n".encode())
    return total.hexdigest()


def _write_edition(
    target: Path,
    site: Path,
    snapshot: Snapshot,
    boards: Sequence[BoardData],
    edition: str,
    content: str,
    known: Sequence[Mapping[str, Any]],
    base_url: str,
    ledger_head: str,
) -> Written:
    named = list(zip(slugs(boards), boards, strict=True))
    record: dict[str, Any] = {
        "schema_version": 2,
        "id": edition,
        "date": edition[:10],
        "number": known[-1]["number"] + 1 if known else 1,
        "content": content,
        "base_url": base_url,
        "maker": maker(),
        "code": code(),
        "before": {"id": known[-1]["id"], "seal": known[-1].get("seal", "")} if known else None,
        "boards": [history.summary(data, slug) for slug, data in named],
    }
    if ledger_head:
        record["ledger_head"] = ledger_head
    with atomic.folder(target) as folder:
        written = writing.everything(snapshot, edition, folder, site)
        if known:
            # What follows from the edition before is no part of the content that gives the id.
            changes = history.change_bytes(history.change(known[-1], record))
            writing.write(folder, [("changes.json", changes)], written)
        metadata = crate.metadata(edition, [(slug, data.board) for slug, data in named], written.files, base_url)
        writing.write(folder, [(crate.NAME, metadata)], written)
        record["files"] = {path: sha for path, (sha, _) in sorted(written.files.items())}
        atomic.write_json(folder / "edition.json", sealed(record))
    return written


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


def _editions(site: Path) -> tuple[list[Mapping[str, Any]], str]:
    """All editions, oldest first, and a hash of their records.

    An edition folder appears whole or not at all, so its record must be readable.
    """
    found = []
    state = hashlib.sha256()
    for path in sorted((site / "editions").glob("[!.]*/edition.json")):
        try:
            content = path.read_bytes()
            state.update(hashlib.sha256(content).digest())
            record = json.loads(content)
            if record["id"] != path.parent.name or not re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]+", record["id"]):
                raise ValueError(f"it calls itself {record['id']!r}")
            found.append((int(record["number"]), record["id"], record["content"], record["boards"], record))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("record_invalid", f"{path}: {error}", action="Put the edition back from a copy.") from error
    return [record for *_, record in sorted(found, key=lambda item: item[:2])], state.hexdigest()


def _write_front(site: Path, written: Written, edition: str, known: Sequence[Mapping[str, Any]]) -> bool:
    """Make the front show `edition`, whose pages lie ready; whether a byte changed. The front page itself comes last."""
    changes = {id: history.sentences(change) for id, change in history.changes(known).items()}
    listing = pages.editions_page([*reversed(known)], changes)
    others = {"editions/index.html": pages.fill(listing, "editions/index.html", edition, front=True)}
    others |= _gone(written.front, edition, known)
    others[feed.PATH] = feed.atom(known, changes, known[-1].get("base_url", ""))
    for path, page in others.items():
        writing.ready(site, path, page, written)
    newest = {
        "edition": edition,
        "path": f"editions/{edition}/index.html",
        "files": dict(sorted(written.front.items())),
    }
    writing.ready(site, NEWEST, exports.json_bytes(sealed(newest)), written)
    # New pages come before old ones that will link to them; then what is linked to comes before what links to it:
    # submissions, tasks, the front page. New pages link to each other, but no reader is led to any before all are there.
    order = sorted(written.new, key=lambda p: ((site / p).is_file(), -p.count("/"), p == "index.html", p))
    atomic.place_many([site / path for path in order])
    stale = _stale(site, written.front)
    for old in stale:
        old.unlink()
    for folder, below, _ in os.walk(site / "tasks", topdown=False):
        for name in below:
            with suppress(OSError):  # there is something in it
                os.rmdir(f"{folder}/{name}")  # noqa: PTH106 - thousands of these
    return bool(order or stale)


def _gone(front: Container[str], edition: str, known: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Pages that were at the front once and that the newest edition does not have: they lead to the last edition that has them."""
    last = {path: record["id"] for record in known for path in record.get("files", {}) if path.endswith(".html")}
    return {
        path: pages.fill(pages.gone_page(path, id), path, edition, front=True)
        for path, id in last.items()
        if path not in front
    }


def _stale(site: Path, front: Container[str]) -> list[Path]:
    """What no edition has put below `tasks`."""
    return [site / path for path in _below(site, "tasks") if path not in front]


def _below(site: Path, top: str) -> Iterator[str]:
    """Paths of all files below a folder of the site."""
    cut = len(f"{site}/")
    for folder, _, names in os.walk(site / top):
        yield from (f"{folder[cut:]}/{name}" for name in names)


def _sweep(site: Path) -> None:
    """Remove what a killed run left behind."""
    for path in [*site.glob(".*.partial"), *(site / "editions").glob(".*.partial")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for top in sorted(path.name for path in site.glob("[!e.]*/")):
        for left in [path for path in _below(site, top) if re.search(r"/\.[^/]*\.partial$", path)]:
            (site / left).unlink()


__all__ = ["BoardData", "CanaryCase", "Published", "digest", "parsed_date", "publish"]
