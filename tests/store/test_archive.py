"""Export and import: the same bytes, everything back, and nothing of a hostile archive."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small

from benchmark import store
from benchmark.errors import DataError, RadbenchError, UsageError
from benchmark.store import archive
from benchmark.store.check import check
from benchmark.store.retention import Retention, collect, plan


def comparable(root: Path) -> dict[str, bytes]:
    return {path: data for path, data in small.tree(root).items() if not path.startswith(".")}


def test_round_trip_byte_for_byte(filled: Path, tmp_path: Path) -> None:
    made = archive.export(filled, tmp_path / "a.tar")
    assert (made.runs, made.scores, made.placements) == (2, 2, 3)
    copy = tmp_path / "copied" / "store"
    shutil.copytree(filled, copy)  # other times, same content
    for path in copy.rglob("*"):
        if path.name != "run.json":  # when a run was finished says which is the newest
            path.touch()
    assert archive.export(copy, tmp_path / "b.tar").sha256 == made.sha256
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    done = archive.take_in(tmp_path / "a.tar", tmp_path / "new", sha256=made.sha256)
    assert (len(done.runs), len(done.scores), done.placements, done.same) == (2, 2, 3, 0)
    assert comparable(tmp_path / "new") == comparable(filled) and check(tmp_path / "new").findings == ()
    times = [
        [p.stat().st_mtime_ns for p in sorted(root.glob("runs/*/run.json"))] for root in (filled, tmp_path / "new")
    ]
    assert times[0] == times[1]
    assert archive.export(tmp_path / "new", tmp_path / "c.tar").sha256 == made.sha256
    again = archive.take_in(tmp_path / "a.tar", tmp_path / "new")
    assert (again.runs, again.scores, again.placements, again.same) == ((), (), 0, 7)
    with tarfile.open(tmp_path / "a.tar") as tar:  # an ordinary tar for others, with sorted names
        names = tar.getnames()
    assert names[1:] == sorted(names[1:]) and names[0] == archive.LIST


def test_subsets(filled: Path, tmp_path: Path) -> None:
    one = archive.export(filled, tmp_path / "one.tar", submission="twin")
    assert (one.runs, one.scores, one.placements) == (1, 1, 1)  # its run is recorded under the name of the first
    archive.take_in(tmp_path / "one.tar", tmp_path / "new")
    assert [p.method.name for p in store.load_placements(tmp_path / "new")] == ["twin"]
    assert check(tmp_path / "new").findings == ()
    archive.export(filled, tmp_path / "all.tar", task="toy", edition="phantom")
    done = archive.take_in(tmp_path / "all.tar", tmp_path / "new")
    assert (len(done.runs), done.same) == (1, 3) and comparable(tmp_path / "new") == comparable(filled)
    with pytest.raises(UsageError):
        archive.export(filled, tmp_path / "none.tar", task="nothing")
    assert not (tmp_path / "none.tar").exists()


def test_runs_whose_predictions_are_gone_travel_too(filled: Path, tmp_path: Path) -> None:
    rule = Retention(keep_days=0, keep_placed=False)
    collect(filled, plan(filled, rule), rule)
    archive.export(filled, tmp_path / "a.tar")
    archive.take_in(tmp_path / "a.tar", tmp_path / "new")
    assert comparable(tmp_path / "new") == comparable(filled) and check(tmp_path / "new").findings == ()


def test_a_damaged_store_is_not_exported(filled: Path, tmp_path: Path) -> None:
    next(filled.glob("runs/*/predictions/c6/images/clean/c6.mha")).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        archive.export(filled, tmp_path / "a.tar")
    assert caught.value.code == "store_broken" and list(tmp_path.glob("*.tar")) == []


def test_a_folder_that_differs_is_never_overwritten(filled: Path, tmp_path: Path) -> None:
    archive.export(filled, tmp_path / "a.tar")
    theirs = tmp_path / "theirs"
    shutil.copytree(filled, theirs)
    run = sorted(theirs.glob("runs/[!.]*"))[0]
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "hardware": "another machine"}))
    payload = json.loads((run / "key.json").read_text())
    store.manifest.seal(run, payload, ["c3", "c4"])  # type: ignore[attr-defined]
    assert check(theirs).findings == ()
    (theirs / "submissions/toy/phantom/first.json").unlink()
    before = comparable(theirs)
    with pytest.raises(DataError, match="differs from the one in the store"):
        archive.take_in(tmp_path / "a.tar", theirs)
    assert comparable(theirs) == before


def member(name: str, data: bytes = b"", **values: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in values.items():
        setattr(info, key, value)
    return info, data


def rewritten(source: Path, target: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], Any]) -> Path:
    """The archive with its members changed, and its list made to fit where the change returns a list of further files."""
    with tarfile.open(source) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    more = change(members)
    contents = json.loads(members[0][1])
    for name, data in (more or {}).items():
        contents["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        members.append(member(name, data))
    members[0] = member(archive.LIST, json.dumps(contents).encode())
    with tarfile.open(target, "w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return target


def swap(members: list[tuple[tarfile.TarInfo, bytes]], part: str, data: bytes) -> None:
    number = next(i for i, (info, _) in enumerate(members) if part in info.name and i)
    members[number] = member(members[number][0].name, data)


def in_list(members: list[tuple[tarfile.TarInfo, bytes]], change: Callable[[dict[str, Any]], object]) -> None:
    contents = json.loads(members[0][1])
    change(contents)
    members[0] = member(archive.LIST, json.dumps(contents).encode())


RUN = "0" * 20
HOSTILE: dict[str, Callable[[list[tuple[tarfile.TarInfo, bytes]]], Any]] = {
    "absolute path": lambda m: {"/tmp/radbench-escaped": b"x"},
    "path that climbs": lambda m: {"runs/../../escaped": b"x"},
    "path that climbs from a key": lambda m: {f"{m[1][0].name.rsplit('/', 1)[0]}/../../../escaped": b"x"},
    "path of no store": lambda m: {"store.json": b"{}"},
    "pins": lambda m: {"pins.json": b"{}"},
    "a key that is not listed": lambda m: {f"runs/{RUN}/run.json": b"{}"},
    "empty part": lambda m: {m[1][0].name.replace("/", "//", 1): b"x"},
    "backslash": lambda m: {"runs\\..\\x": b"x"},
    "control characters": lambda m: {f"{m[1][0].name}\x1b[2J": b"x"},
    "a long name": lambda m: {f"{m[1][0].name}{'x' * 500}": b"x"},
    "a file below a file": lambda m: {f"{m[1][0].name}/below": b"x"},
    "a placement elsewhere": lambda m: {"submissions/../first/x.json": b"{}"},
    "not in the list": lambda m: m.append(member("runs/more", b"x")),
    "a symbolic link": lambda m: m.append(member(m[1][0].name + "2", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": lambda m: m.append(member(m[1][0].name + "2", type=tarfile.LNKTYPE, linkname=m[1][0].name)),
    "a device": lambda m: m.append(member("runs/device", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "a pipe": lambda m: m.append(member("runs/pipe", type=tarfile.FIFOTYPE)),
    "a folder": lambda m: m.append(member("runs", type=tarfile.DIRTYPE)),
    "a file twice": lambda m: m.append(m[1]),
    "a file missing": lambda m: m.__delitem__(-1),
    "other bytes of the same size": lambda m: swap(m, "cases.csv", b"x" * len(next(d for i, d in m if "cases.csv" in i.name))),
    "other size": lambda m: swap(m, "cases.csv", b"x"),
    "a run without its record": lambda m: in_list(m, lambda c: c["runs"].append(RUN)),
    "no key": lambda m: in_list(m, lambda c: c["runs"].append("../..")),
    "a later layout": lambda m: in_list(m, lambda c: c.update(layout=99)),
    "a negative size": lambda m: in_list(m, lambda c: c["files"].update(a={"bytes": -1, "sha256": "0" * 64})),
    "an unknown key in the list": lambda m: in_list(m, lambda c: c.update(command="rm")),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_leave_nothing(filled: Path, tmp_path: Path, name: str) -> None:
    archive.export(filled, tmp_path / "good.tar")
    bad = rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", HOSTILE[name])
    with pytest.raises(DataError) as caught:
        archive.take_in(bad, tmp_path / "deep" / "new")
    assert caught.value.code == "archive_invalid", caught.value
    assert comparable(tmp_path / "deep" / "new").keys() == {"store.json"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "deep", "good.tar", "work"]
    assert not Path("/tmp/radbench-escaped").exists()


def test_a_rewritten_list_does_not_get_past_the_hashes_of_the_folder(filled: Path, tmp_path: Path) -> None:
    """Who changes a table and its hash in the archive's list is found by the folder's own; who changes both, by the key."""
    archive.export(filled, tmp_path / "good.tar")

    def table(members: list[tuple[tarfile.TarInfo, bytes]]) -> dict[str, bytes]:
        number = next(i for i, (info, _) in enumerate(members) if info.name.endswith("cases.csv"))
        name = members.pop(number)[0].name
        return {name: b"case,metric,value,unit,status,reason\n"}

    with pytest.raises(DataError, match=r"cases\.csv"):
        archive.take_in(rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", table), tmp_path / "new")


@pytest.mark.parametrize("kind", ["gzip", "text", "empty", "cut", "sparse"])
def test_other_files(filled: Path, tmp_path: Path, kind: str) -> None:
    archive.export(filled, tmp_path / "good.tar")
    good, bad = (tmp_path / "good.tar").read_bytes(), tmp_path / "bad.tar"
    if kind == "sparse":  # a header that promises a terabyte that is not there
        info = tarfile.TarInfo(archive.LIST)
        info.size, info.type = 0, tarfile.GNUTYPE_SPARSE
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        header[386:410], header[483:495] = b"00000000000\x0000000000000\x00"[:24], b"20000000000\x00"
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
        bad.write_bytes(bytes(header) + b"\0" * 1024)
    else:
        bad.write_bytes(
            {"gzip": gzip.compress(good), "text": b"hello " * 300, "empty": b"", "cut": good[: len(good) // 2]}[kind]
        )
    with pytest.raises(DataError) as caught:
        archive.take_in(bad, tmp_path / "new")
    assert caught.value.code == "archive_invalid" and comparable(tmp_path / "new").keys() == {"store.json"}


def test_a_list_that_promises_more_than_the_disk_has(filled: Path, tmp_path: Path) -> None:
    archive.export(filled, tmp_path / "good.tar")

    def huge(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        in_list(members, lambda c: c["files"][members[1][0].name].update(bytes=10**15))

    with pytest.raises(RadbenchError) as caught:
        archive.take_in(rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", huge), tmp_path / "new")
    assert caught.value.code == "no_space"


def test_another_hash_than_was_handed_over(filled: Path, tmp_path: Path) -> None:
    archive.export(filled, tmp_path / "a.tar")
    with pytest.raises(DataError, match="has the hash"):
        archive.take_in(tmp_path / "a.tar", tmp_path / "new", sha256="0" * 64)
    with pytest.raises(UsageError):
        archive.take_in(tmp_path / "no.tar", tmp_path / "new")


def test_an_interrupted_import_goes_on(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.export(filled, tmp_path / "a.tar")
    real, left = archive.atomic.place, [2]

    def dying(partial: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(partial, target)

    monkeypatch.setattr(archive.atomic, "place", dying)
    with pytest.raises(KeyboardInterrupt):
        archive.take_in(tmp_path / "a.tar", tmp_path / "new")
    assert check(tmp_path / "new").findings == () and check(tmp_path / "new").runs == 2
    left[0] = 99
    done = archive.take_in(tmp_path / "a.tar", tmp_path / "new")
    assert done.same == 2 and comparable(tmp_path / "new") == comparable(filled)
