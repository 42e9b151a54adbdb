"""What several processes make and write is byte for byte what one does."""

import hashlib
import json
import shutil
from pathlib import Path

import boards
import pytest

from leaderboard import assembly, bundle, downloads, forks, site, writing
from leaderboard.anonymous import anonymised
from leaderboard.cache import Cache


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_two_processes_make_the_same_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [boards.slab(), boards.many()]
    monkeypatch.setattr(forks, "cores", lambda: 1)
    site.publish(tmp_path / "one" / "site", data, date="2026-11-21")
    monkeypatch.setattr(forks, "cores", lambda: 3)
    monkeypatch.setattr(assembly, "MANY", 1)
    monkeypatch.setattr(assembly, "CHUNK", 2)  # more of them than processes
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
    assert listed == there and any("/submissions/" in path for path in there)


def test_what_rots_in_the_cache_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry of the cache is damaged in turn: the next edition is what it is without a cache."""
    monkeypatch.setattr(assembly, "CHUNK", 3)
    before, after = [boards.slab(canaries=0), boards.many()], [boards.slab(canaries=0), boards.heads(canaries=0)]
    site.publish(tmp_path / "whole" / "site", before, date="2026-11-21")
    shutil.rmtree(tmp_path / "whole" / ".site.cache")
    site.publish(tmp_path / "whole" / "site", after, date="2026-11-22")
    site.publish(tmp_path / "start" / "site", before, date="2026-11-21")
    kept = sorted(path.name for path in (tmp_path / "start" / ".site.cache").iterdir())
    assert len(kept) > 4
    for name in kept:
        shutil.copytree(tmp_path / "start", tmp_path / name)
        entry = tmp_path / name / ".site.cache" / name
        content = bytearray(entry.read_bytes())
        content[-20] ^= 1
        entry.write_bytes(content)
        site.publish(tmp_path / name / "site", after, date="2026-11-22")
        assert tree(tmp_path / name / "site") == tree(tmp_path / "whole" / "site"), name


def test_half_an_entry_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    stored = cache.store("a", {"x": b"one", "y/z": b"", ":kept": b"three"})
    loaded = cache.load("a")
    assert loaded is not None and dict(loaded.items()) == dict(stored.items()) == {
        "x": b"one",
        "y/z": b"",
        ":kept": b"three",
    }
    assert loaded.content(":kept") == b"three" and bundle.published([loaded]).keys() == {"x", "y/z"}
    with pytest.raises(KeyError):
        loaded.content("w")
    whole = (tmp_path / "cache" / "a").read_bytes()
    for cut in range(len(whole)):
        (tmp_path / "cache" / "a").write_bytes(whole[:cut])
        assert cache.load("a") is None
    with pytest.raises(bundle.Rotten):
        dict(loaded.items())


def test_texts_of_rows_come_back_out_of_their_files() -> None:
    for data in (anonymised(boards.heads(canaries=0)), anonymised(boards.slab(canaries=0))):
        made, places = downloads.Files(), downloads.places_of(data.board)
        texts = downloads.row_files(made, data, "t", "", places)
        assert texts and downloads.row_texts(data.board, "t", made.files.__getitem__) == texts
        assert {path: made.files[path] for path in made.files} == {
            path: content for path, content in downloads.board_files(data, "t").files.items() if "/submissions/" in path
        }


@pytest.mark.parametrize("harm", ["changed", "gone", "more"])
def test_harm_to_the_front_is_mended(tmp_path: Path, harm: str) -> None:
    data = [boards.slab()]
    site.publish(tmp_path / "site", data, date="2026-11-21")
    before = tree(tmp_path / "site")
    page = tmp_path / "site" / "tasks" / "denoising" / "index.html"
    if harm == "more":
        page.with_name("old.html").write_text("x")
    elif harm == "gone":
        page.unlink()
    else:
        page.write_bytes(page.read_bytes() + b" ")
    assert site.publish(tmp_path / "site", data, date="2026-11-22").changed
    assert tree(tmp_path / "site") == before
    assert not site.publish(tmp_path / "site", data, date="2026-11-22").changed
