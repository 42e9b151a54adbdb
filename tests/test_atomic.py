"""What is flushed to disk before a rename makes it visible, and after; what a failed write leaves."""

import os
from pathlib import Path

import pytest

from benchmark import atomic
from benchmark.errors import InfrastructureError

Log = list[tuple[str, str]]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Every fsync (with the path behind the descriptor) and every rename, in order."""
    found: Log = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def flushed(descriptor: int) -> None:
        found.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        found.append(("rename", str(target)))
        return rename(path, target)

    def replaced(path: Path, target: Path) -> Path:
        found.append(("rename", str(target)))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", replaced)
    return found


@pytest.mark.parametrize("count", [3, atomic.MANY + 5])
def test_a_folder_is_on_disk_to_the_last_file_before_it_is_visible(tmp_path: Path, log: Log, count: int) -> None:
    target = tmp_path / "made"
    with atomic.folder(target) as folder:
        for number in range(count):
            path = folder / f"{number % 2}" / "below" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    at = log.index(("rename", str(target)))
    before = {path for kind, path in log[:at] if kind == "fsync"}
    partial = tmp_path / ".made.partial"
    files = {f"{partial}/{number % 2}/below/{number}.txt" for number in range(count)}
    folders = {str(partial), *(f"{partial}/{n}" for n in (0, 1)), *(f"{partial}/{n}/below" for n in (0, 1))}
    assert before == files | folders
    assert ("fsync", str(tmp_path)) in log[at:]  # the rename itself


def test_a_file_is_on_disk_before_and_its_name_after(tmp_path: Path, log: Log) -> None:
    atomic.write_text(tmp_path / "a", "x")
    assert log == [("fsync", f"{tmp_path}/.a.partial"), ("rename", f"{tmp_path}/a"), ("fsync", str(tmp_path))]


def test_a_failed_write_leaves_nothing_and_the_old_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write_text(tmp_path / "a", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InfrastructureError) as caught, atomic.refusals(tmp_path / "a"):
        atomic.write_text(tmp_path / "a", "new")
    assert caught.value.code == "no_space"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_a_folder_that_replaces_one_survives_a_kill_at_the_worst_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between moving the old one aside and the new one in: the old one is kept until a new one is in place."""
    target, real = tmp_path / "made", Path.rename
    for text in ("old", "new"):
        if text == "new":

            def dying(path: Path, to: Path) -> Path:
                if to == target:
                    raise KeyboardInterrupt
                return real(path, to)

            monkeypatch.setattr(Path, "rename", dying)
            with pytest.raises(KeyboardInterrupt), atomic.folder(target) as folder:
                (folder / "x").write_text(text)
            assert (tmp_path / ".made.old.partial" / "x").read_text() == "old"
            monkeypatch.setattr(Path, "rename", real)
        with atomic.folder(target) as folder:
            (folder / "x").write_text(text)
    assert {path.name for path in tmp_path.iterdir()} == {"made"} and (target / "x").read_text() == "new"


def test_other_errors_are_not_explained_away(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), atomic.refusals(tmp_path):
        tmp_path.read_bytes()
