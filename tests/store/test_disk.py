"""A full disk and a disk that cannot be written to: a clear sentence, nothing half there, and all goes on when there is room."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import small

from benchmark import inference, lease, ledger, scoring, store
from benchmark.contract import Method
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError
from benchmark.ledger import Ledger
from benchmark.store import archive, pins
from benchmark.store.check import check
from benchmark.tasks import TaskFolder


@contextlib.contextmanager
def mounted(place: Path, kilobytes: int) -> Iterator[Path]:
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a small disk can only be mounted by root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED: a small disk cannot be mounted here ({done.stderr.strip()})")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    with mounted(tmp_path / "disk", 512) as place:
        yield place


def fill(disk: Path, leave: int) -> Path:
    """Take all space but `leave` bytes, in whole pages."""
    free = shutil.disk_usage(disk).free
    path = disk / "ballast"
    with path.open("wb") as handle:
        handle.write(b"x" * max(0, free - leave))
    return path


def clean(root: Path) -> None:
    found = check(root)
    assert found.problems == (), found.problems
    assert all("interrupted run" in finding.text for finding in found.findings), found.findings


@pytest.mark.parametrize("leave", [0, 4096, 3 * 4096, 6 * 4096, 9 * 4096])
def test_full_disk_while_runs_and_scores_are_written(disk: Path, leave: int) -> None:
    root = disk / "store"
    first = small.write_run(root, 0)
    ballast = fill(disk, leave)
    with pytest.raises(InfrastructureError) as caught:
        for number in range(1, 60):
            small.write_run(root, number, size=3000)
    assert caught.value.code == "no_space"
    clean(root)
    assert store.load_run(root, first) is not None
    ballast.unlink()
    for number in range(1, 4):
        small.write_run(root, number, size=3000)
    clean(root)


def test_full_disk_in_the_middle_of_a_real_run(disk: Path, toy: TaskFolder, toy_edition: Edition) -> None:
    """The run goes on where it stopped."""
    root, method = disk / "store", Method(name="m", title="M")
    ballast = fill(disk, 8 * 4096)
    engine = small.Denoiser(1)
    with pytest.raises(InfrastructureError) as caught:
        inference.run(toy.task, toy_edition, method, "d", engine, root=root)
    assert caught.value.code == "no_space" and 0 < engine.ran < 7
    clean(root)
    ballast.unlink()
    again = small.Denoiser(1)
    run = inference.run(toy.task, toy_edition, method, "d", again, root=root)
    assert engine.ran - 1 + again.ran in (6, 7) and again.ran < 7
    ballast = fill(disk, 4096)
    with pytest.raises(InfrastructureError):
        scoring.score_run(toy.task, toy_edition, run, root)
    clean(root)
    ballast.unlink()
    scoring.score_run(toy.task, toy_edition, run, root)
    assert check(root).findings == ()


def test_full_disk_and_the_ledger(disk: Path) -> None:
    """An entry is whole or absent; the head never runs ahead of the chain."""
    path = disk / "ledger.jsonl"
    Ledger(path).append("published", edition="e")
    for leave in (0, 4096, 8192):
        ballast = fill(disk, leave)
        written = len(Ledger(path).entries())
        with pytest.raises(InfrastructureError) as caught:
            for _ in range(200):
                Ledger(path).append("published", edition="e", boards=tuple("b" * 100 for _ in range(20)))
                written += 1
        assert caught.value.code == "no_space"
        assert len(Ledger(path).entries()) == written and ledger.torn_bytes(path) == 0
        assert ledger.verify(path) == []
        ballast.unlink()
        Ledger(path).append("published", edition="again")
        assert ledger.verify(path) == []


def test_full_disk_and_the_lease(disk: Path) -> None:
    with lease.hold(disk, "first", beat_every=0.01) as held:
        fill(disk, 0)
        held.beat()  # written over the same bytes
        held.check()
        with pytest.raises(InfrastructureError) as caught, lease.hold(disk):
            pass
        assert caught.value.code == "busy"
    with contextlib.suppress(InfrastructureError), lease.hold(disk, "second"):  # no space for a new one, or just so
        pass


def test_full_disk_and_archives(disk: Path, filled: Path, tmp_path: Path) -> None:
    archive.export(filled, tmp_path / "a.tar")
    root = disk / "store"
    store.open_store(root)
    fill(disk, 5 * 4096)
    with pytest.raises(InfrastructureError) as caught:
        archive.take_in(tmp_path / "a.tar", root)
    assert caught.value.code == "no_space" and check(root).findings == ()
    with pytest.raises(InfrastructureError):
        archive.export(filled, disk / "b.tar")
    assert not [path for path in disk.rglob("*") if path.name.endswith((".partial", ".tar"))]


WRITES: dict[str, Callable[[Path], object]] = {
    "a run": lambda root: small.write_run(root, 99),
    "a placement": lambda root: store.save_placement(
        root, store.load_placements(root)[0].model_copy(update={"received": "2027-01-01T00:00:00Z"})
    ),
    "a pin": lambda root: pins.set_pin(root, "m"),
    "a ledger entry": lambda root: Ledger(root / "ledger.jsonl").append("published", edition="e"),
    "the lease": lambda root: lease.hold(root).__enter__(),
    "an archive": lambda root: archive.export(root, root / "x.tar"),
    "a new store": lambda root: store.open_store(root / "below"),
}


def test_a_disk_that_is_mounted_read_only(disk: Path) -> None:
    root = disk / "store"
    small.write_run(root, 1)
    before = small.tree(root)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for name, write in WRITES.items():
        with pytest.raises(InfrastructureError) as caught:
            write(root)
        assert caught.value.code == "read_only", name
    assert check(root).findings == () and small.tree(root) == before  # what is there can be read and checked
    assert store.open_store(root) == store.VERSION
