"""Publish boards as a static site: an immutable edition, and a front that shows the newest one.

    <site>/editions/<date>-<hash>/…     the edition: pages, pictures, downloads, `edition.json`; written once, never changed
    <site>/editions/index.html          all editions
    <site>/index.html, <site>/tasks/…   the newest edition's pages under addresses that stay; files are the edition's own

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
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmark import atomic
from benchmark.errors import DataError, InfrastructureError, UsageError
from leaderboard import pages
from leaderboard.pages import Snapshot
from leaderboard.records import BoardData, CanaryCase, Published

HASH_DIGITS = 10
"""Digits of the content hash in an edition's id: 40 bits, ample for the editions of one site; the whole hash is checked."""


def publish(site: Path, boards: Sequence[BoardData], *, date: str) -> Published:
    """Publish `boards` (in the order of the front page) below `site`; `date` (YYYY-MM-DD) is the new edition's.

    Content that was published before keeps its edition and its date. Raises `UsageError` for a bad date, `DataError` where
    an edition on disk is not what it says, `InfrastructureError` when another process has been publishing for ten minutes.
    """
    _check(date)
    site.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(site.parent / f".{site.name}.lock", timeout=600):
            return _publish(site, boards, date)
    except Timeout:
        raise InfrastructureError("busy", f"another process has been publishing to {site} for ten minutes") from None


def _check(date: str) -> None:
    try:
        valid = Date.fromisoformat(date).isoformat() == date
    except ValueError:
        valid = False
    if not valid:
        raise UsageError("bad_value", f"date {date!r}", expected="a day as YYYY-MM-DD")


def _publish(site: Path, boards: Sequence[BoardData], date: str) -> Published:
    _sweep(site)
    snapshot = pages.build(boards)
    content = digest(snapshot)
    known = _editions(site)
    edition = next((item["id"] for item in known if item["content"] == content), None)
    changed = edition is None
    if edition is None:
        edition = f"{date}-{content[:HASH_DIGITS]}"
        _write_edition(
            site / "editions" / edition, snapshot, boards, edition, content, known[-1]["number"] + 1 if known else 1
        )
        known = _editions(site)
    changed |= _write_front(site, snapshot, edition, known)
    return Published(edition, site / "index.html", changed)


def digest(snapshot: Snapshot) -> str:
    """sha256 over all files of an edition, before its id and date are put in."""
    total = hashlib.sha256()
    files = {path: text.encode("utf-8") for path, text in snapshot.pages.items()} | dict(snapshot.assets)
    for path, data in sorted(files.items()):
        total.update(f"{path} {hashlib.sha256(data).hexdigest()}\n".encode())
    return total.hexdigest()


def _write_edition(
    target: Path, snapshot: Snapshot, boards: Sequence[BoardData], edition: str, content: str, number: int
) -> None:
    files = {path: pages.fill(text, path, edition, front=False) for path, text in snapshot.pages.items()}
    for path, data in snapshot.assets.items():
        files[path] = pages.fill(data.decode("utf-8"), path, edition, front=False) if path.endswith(".bib") else data
    record = {
        "schema_version": 1,
        "id": edition,
        "date": edition[:10],
        "number": number,
        "content": content,
        "boards": [_summary(data) for data in boards],
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
    }
    with atomic.folder(target) as folder:
        for path, data in sorted(files.items()):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        atomic.write_json(folder / "edition.json", record)


def _summary(data: BoardData) -> dict[str, Any]:
    """What a later edition is compared by: who, on what, scored by what."""
    board = data.board
    return {
        "task": board.task.name,
        "task_version": board.task.version,
        "title": board.task.title,
        "dataset": board.dataset.edition,
        "kind": board.dataset.kind,
        "split": board.split,
        "scorer": board.scorer,
        "rows": [
            {"submission": r.method.name, "run": r.run, "score": r.score, "digest": r.digest, "rank": r.rank}
            for r in board.rows
        ],
    }


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
    listing = pages.editions_page([*reversed(known)])
    front["editions/index.html"] = pages.fill(listing, "editions/index.html", edition, front=True)
    changed = False
    # What is linked to comes before what links to it: submissions, tasks, the front page.
    for path in sorted(front, key=lambda item: (-item.count("/"), item)):
        if _differs(site / path, front[path]):
            atomic.write_bytes(site / path, front[path])
            changed = True
    for old in _stale(site, front):
        old.unlink()
        changed = True
    for folder in sorted((p for p in (site / "tasks").rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return changed


def _differs(path: Path, data: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != data


def _stale(site: Path, front: Mapping[str, bytes]) -> Iterator[Path]:
    """Pages of tasks and submissions that the newest edition does not have; their editions keep them."""
    for path in sorted((site / "tasks").rglob("*")):
        if path.is_file() and path.relative_to(site).as_posix() not in front:
            yield path


def _sweep(site: Path) -> None:
    """Remove what a killed run left behind."""
    for path in [
        *site.glob(".*.partial"),
        *(site / "editions").glob(".*.partial"),
        *(site / "tasks").rglob(".*.partial"),
    ]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


__all__ = ["BoardData", "CanaryCase", "Published", "digest", "publish"]
