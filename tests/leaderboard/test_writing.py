"""What several processes make and write is byte for byte what one does."""

import hashlib
import json
from pathlib import Path

import boards
import pytest

from leaderboard import assembly, forks, site, writing


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_two_processes_make_the_same_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [boards.slab(), boards.many()]
    monkeypatch.setattr(forks, "cores", lambda: 1)
    site.publish(tmp_path / "one" / "site", data, date="2026-11-21")
    monkeypatch.setattr(forks, "cores", lambda: 3)
    monkeypatch.setattr(assembly, "MANY", 1)
    monkeypatch.setattr(writing, "MANY", 1)
    site.publish(tmp_path / "three" / "site", data, date="2026-11-21")
    assert tree(tmp_path / "one" / "site") == tree(tmp_path / "three" / "site")


def test_results_come_in_order_and_errors_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "cores", lambda: 2)
    offset = 5
    assert list(forks.each(lambda n: n * n + offset, 7)) == [n * n + 5 for n in range(7)]

    def fails(number: int) -> int:
        raise OSError(28, "No space left on device", f"file {number}")

    with pytest.raises(OSError, match="No space left"):
        list(forks.each(fails, 2))


def test_hashes_of_rows_are_those_of_the_files(tmp_path: Path) -> None:
    published = site.publish(tmp_path / "site", [boards.slab()], date="2026-11-21")
    assert published.changed
    folder = tmp_path / "site" / "editions" / published.edition
    listed = json.loads((folder / "edition.json").read_text())["files"]
    there = {path: hashlib.sha256(data).hexdigest() for path, data in tree(folder).items() if path != "edition.json"}
    assert listed == there and any(writing.ROWS in path for path in there)
