"""One who changes a published site, and mends its hashes so that nobody sees."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.contract import Board
from leaderboard import downloads, history, site, verification
from leaderboard.marks import fill


def newest(root: Path) -> Path:
    """Folder of the newest edition of a site."""
    return root / "editions" / json.loads((root / "newest.json").read_text())["edition"]


class Tampered:
    """Files changed for a while."""

    def __init__(self, *paths: Path) -> None:
        self.kept = {path: path.read_bytes() for path in paths}

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for path, data in self.kept.items():
            path.write_bytes(data)


def resealed(edition: Path, *changed: Path, **said: Any) -> None:
    """Mend hash and seal, as somebody would who wants to hide a change; `said` are entries of `edition.json` itself."""
    record: dict[str, Any] = json.loads((edition / "edition.json").read_text()) | said
    for path in changed:
        record["files"][path.relative_to(edition).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    (edition / "edition.json").write_text(json.dumps(site.sealed(record)))


def raised(digit: str) -> str:
    """The next digit, 0 after 9."""
    return str((int(digit) + 1) % 10)


@contextmanager
def digit_changed(edition: Path, path: Path, pattern: str, instead: Callable[[str], str] = raised) -> Iterator[None]:
    """What the group of `pattern` meets in the file is another text, behind a mended hash and seal; as before at the end."""
    text = path.read_text("utf-8")
    match = re.search(pattern, text)
    assert match is not None, f"the pattern must meet something in {text[:600]}"
    with Tampered(path, edition / "edition.json"):
        path.write_text(text[: match.start(1)] + instead(match.group(1)) + text[match.end(1) :])
        resealed(edition, path)
        yield


def forged(edition: Path, board: Board) -> None:
    """The edition with another board, as somebody makes it who has this project's code: every table made anew from the record, with
    hashes, summary and seal to fit. Only the per-case tables stay."""
    slug = json.loads((edition / "edition.json").read_text())["boards"][0]["slug"]
    data = replace(verification.read_board(edition / "tasks" / slug), board=board)
    record = json.loads((edition / "edition.json").read_text())
    files = downloads.board_files(data, slug, record["base_url"]).files | downloads.edition_files([data])[0]
    changed = []
    for name, content in files.items():
        if name.endswith(downloads.MARKED):
            content = fill(content.decode(), name, record["id"], front=False)
        (edition / name).write_bytes(content)
        changed.append(edition / name)
    resealed(edition, *changed, boards=[history.summary(data, slug)])
