"""What goes along with runs and scores to another work folder: pins, reproductions, bundles, the ledger; keys only where asked for."""

from __future__ import annotations

import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
from test_archive import HOSTILE, member, rewritten
from test_cli_store import call, fails, ok

from benchmark import ledger, secret, store
from benchmark.contract import Reproduction, Task
from benchmark.errors import DataError
from benchmark.federation import keeping, merging
from benchmark.ledger import Ledger
from benchmark.store import archive, belongings
from benchmark.store.check import check
from benchmark.store.pins import load_pins, set_pin
from benchmark.workplace import Workplace
from tests.federation.hospitals import hospital, toy_task


def again(when: str, **more: Any) -> Reproduction:
    return Reproduction(when=when, same=True, within=True, tolerance=0.01, cases=7, **more)


@pytest.fixture
def rich(filled: Path) -> Path:
    """The work folder of a store with all that goes along, but for bundles."""
    run = sorted(filled.glob("runs/[!.]*"))[0].name
    store.save_reproduction(filled, run, again("2026-01-02"))
    set_pin(filled, "twin")
    set_pin(filled, run)
    secret.load_key(filled / "embargo.key")
    secret.load_key(filled.parent / "federation.key")
    secret.load_key(filled.parent / "secrets" / "deidentification.key")
    book = Ledger(filled.parent / "ledger.jsonl")
    book.append("store_changed", what="pin", subject="twin")
    book.append("night_started", night="2026-01-01", planned={"run": 2})
    return filled.parent


def everything(work: Path) -> dict[str, bytes]:
    """All files of a work folder but what is made again."""
    return {path: data for path, data in small.tree(work).items() if not path.startswith("organiser.lock")}


def test_all_of_it_comes_out_as_it_went_in(rich: Path, tmp_path: Path) -> None:
    said = json.loads(ok(rich, "store", "export", str(tmp_path / "a.tar"), "--with-keys", "--json"))
    assert said["reproductions"] == 1 and said["pins"] and said["ledger"] and len(said["keys"]) == 3
    new = tmp_path / "new"
    text = ok(new, "store", "import", str(tmp_path / "a.tar"), "--sha256", said["sha256"])
    assert "1 reproductions, what is pinned, the ledger, the secret keys store/embargo.key" in text
    before, after = everything(rich), everything(new)
    lines = before.pop("ledger.jsonl")
    assert after.pop("ledger.jsonl").startswith(lines) and before.pop("ledger.jsonl.head")
    assert after.pop("ledger.jsonl.head") and before == after
    *_, last = Ledger(new / "ledger.jsonl").entries()
    assert last.facts["what"] == "import" and last.facts["archive"] == said["sha256"] and last.sequence == 2
    assert ledger.verify(new / "ledger.jsonl") == [] and check(new / "store").findings == ()
    kept = small.tree(new)
    assert "7 were there already" in ok(new, "store", "import", str(tmp_path / "a.tar"))
    assert {k: v for k, v in small.tree(new).items() if "organiser.lock" not in k} == {
        k: v for k, v in kept.items() if "organiser.lock" not in k
    }
    # From there on to a third place, but for the line of the import.
    (new / "ledger.jsonl").write_bytes(lines)
    (new / "ledger.jsonl.head").unlink()
    assert archive.export(new / "store", tmp_path / "b.tar", keys=True).sha256 == said["sha256"]


def test_keys_go_only_where_asked_for_and_for_the_owners_eyes(rich: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        result = call(rich, "store", "export", str(tmp_path / "a.tar"), "--with-keys")
        assert "Warning" in result.stderr and "secret keys (store/embargo.key, federation.key" in result.stderr
        assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
        ok(tmp_path / "new", "store", "import", str(tmp_path / "a.tar"))
        for name in ("store/embargo.key", "federation.key", "secrets/deidentification.key"):
            assert (tmp_path / "new" / name).stat().st_mode & 0o777 == 0o600
            assert (tmp_path / "new" / name).read_bytes() == (rich / name).read_bytes()
    finally:
        os.umask(before)
    made = archive.export(rich / "store", tmp_path / "b.tar")
    key = (rich / "store" / "embargo.key").read_bytes().strip()
    assert made.keys == () and key not in (tmp_path / "b.tar").read_bytes() and key in (tmp_path / "a.tar").read_bytes()


def test_another_key_in_its_place_is_not_replaced(rich: Path, tmp_path: Path) -> None:
    archive.export(rich / "store", tmp_path / "a.tar", keys=True)
    new = tmp_path / "new"
    secret.load_key(new / "federation.key")
    before = everything(new)
    with pytest.raises(DataError, match=r"federation\.key differs from the one in the work folder"):
        archive.take_in(tmp_path / "a.tar", new / "store")
    assert {k: v for k, v in everything(new).items() if k != "store/store.json"} == before


def test_an_embargo_without_its_key_is_said(filled: Path, tmp_path: Path) -> None:
    path = store.placement_file(filled, "toy", "phantom", "twin")
    placement = json.loads(path.read_text())
    placement["method"]["embargo"] = "2030-01-01"
    path.write_text(json.dumps(placement))
    said = call(filled.parent, "store", "export", str(tmp_path / "a.tar")).stderr
    assert "1 submissions have an embargo" in said and "--with-keys" in said


def test_pins_are_added_and_a_later_reproduction_takes_the_place_of_an_earlier_one(rich: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    archive.export(rich / "store", tmp_path / "a.tar")
    archive.take_in(tmp_path / "a.tar", new / "store")
    run = next(name for name in load_pins(rich / "store") if name != "twin")
    set_pin(new / "store", "twin", False)
    set_pin(new / "store", "other")
    store.save_reproduction(new / "store", run, again("2026-01-03"))
    done = archive.take_in(tmp_path / "a.tar", new / "store")
    assert done.pins == 1 and load_pins(new / "store") == {run, "twin", "other"}
    found = store.load_reproduction(new / "store", run)
    assert done.reproductions == 0 and found is not None and found.when == "2026-01-03"
    store.save_reproduction(rich / "store", run, again("2026-01-04"))
    archive.export(rich / "store", tmp_path / "b.tar")
    assert archive.take_in(tmp_path / "b.tar", new / "store").reproductions == 1
    # What is not of the submission does not go along with it.
    archive.export(rich / "store", tmp_path / "c.tar", submission="other")
    other = archive.take_in(tmp_path / "c.tar", tmp_path / "other" / "store")
    assert other.ledger == "" and not (tmp_path / "other" / "ledger.jsonl").exists()
    assert load_pins(tmp_path / "other" / "store") <= {run}


def test_a_ledger_of_another_chain_stays(rich: Path, tmp_path: Path) -> None:
    archive.export(rich / "store", tmp_path / "a.tar")
    new = tmp_path / "new"
    book = Ledger(new / "ledger.jsonl")
    book.append("night_started", night="2026-02-01", planned={})
    result = call(new, "store", "import", str(tmp_path / "a.tar"))
    assert result.exit_code == 0 and "another chain" in result.stderr
    assert [entry.kind for entry in book.entries()] == ["night_started", "store_changed"]
    assert ledger.verify(book.path) == []
    # One that goes on from the one here is taken.
    shorter = tmp_path / "shorter"
    Ledger(shorter / "ledger.jsonl")
    shorter.mkdir()
    first = (rich / "ledger.jsonl").read_bytes().split(b"\n")[0] + b"\n"
    (shorter / "ledger.jsonl").write_bytes(first)
    assert archive.take_in(tmp_path / "a.tar", shorter / "store").ledger == "new"
    assert (shorter / "ledger.jsonl").read_bytes() == (rich / "ledger.jsonl").read_bytes()


def test_a_ledger_that_lost_its_lines_takes_them_back_and_no_others(rich: Path, tmp_path: Path) -> None:
    archive.export(rich / "store", tmp_path / "a.tar")
    lines, head = (rich / "ledger.jsonl").read_bytes(), (rich / "ledger.jsonl.head").read_bytes()
    (rich / "ledger.jsonl").write_bytes(lines.splitlines(keepends=True)[0])
    assert archive.take_in(tmp_path / "a.tar", rich / "store").ledger == "new"
    assert ((rich / "ledger.jsonl").read_bytes(), (rich / "ledger.jsonl.head").read_bytes()) == (lines, head)
    (rich / "ledger.jsonl").unlink()
    (rich / "ledger.jsonl.head").write_text(f"0:{'1' * 64}\n")  # that of another chain, whose lines are gone
    assert archive.take_in(tmp_path / "a.tar", rich / "store").ledger == "other"
    assert not (rich / "ledger.jsonl").exists()


def test_a_broken_ledger_is_not_exported(rich: Path, tmp_path: Path) -> None:
    path = rich / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b"twin", b"twim"))
    assert fails(rich, "store", "export", str(tmp_path / "a.tar")).code == "ledger_broken"
    ok(rich, "store", "export", str(tmp_path / "a.tar"), "--task", "toy")  # which leaves it out


def test_an_import_that_was_killed_before_its_line_is_noted_by_the_next(rich: Path, tmp_path: Path) -> None:
    made = archive.export(rich / "store", tmp_path / "a.tar", task="toy")
    new = tmp_path / "new"
    archive.take_in(tmp_path / "a.tar", new / "store")
    for _ in range(2):
        ok(new, "store", "import", str(tmp_path / "a.tar"))
        assert [entry.facts["archive"] for entry in Ledger(new / "ledger.jsonl").entries()] == [made.sha256]


@pytest.fixture
def merged(tmp_path: Path) -> tuple[Workplace, Task]:
    """A work folder with a bundle by case, one that waits, and the row."""
    task = toy_task(tmp_path / "tasks")
    place = Workplace(tmp_path / "organiser")
    north = hospital(tmp_path / "hospitals", task, "north", seed=3)
    waiting = hospital(tmp_path / "hospitals", task, "west", seed=4).bundle(task, submission="other", sums_only=True)
    merging.merge([north.bundle(task), waiting], task, place.data, place.store)
    return place, task


def test_bundles_and_the_edition_made_from_them(merged: tuple[Workplace, Task], tmp_path: Path) -> None:
    place, task = merged
    made = archive.export(place.store, tmp_path / "a.tar")
    assert made.bundles == 2
    new = Workplace(tmp_path / "new")
    assert archive.take_in(tmp_path / "a.tar", new.store).bundles == 2
    assert everything(new.root) == everything(place.root)
    assert "0 problems" in ok(new.root, "store", "check")
    again = merging.merge([], task, new.data, new.store)
    assert again.rows == ("magic",) and everything(new.root) == everything(place.root)
    # With one submission, all that its row was made from; with another edition, nothing of it.
    assert archive.export(place.store, tmp_path / "b.tar", submission="magic").bundles == 2


def test_check_finds_what_was_done_to_bundles_and_their_edition(merged: tuple[Workplace, Task]) -> None:
    place, _ = merged
    (first, second) = sorted((place.store / "bundles" / "toy").iterdir())
    before = first.read_bytes()
    for damage, words in (
        (before.replace(b'"toy"', b'"tob"'), "is no whole bundle"),
        (second.read_bytes(), "is the bundle"),
        (b"{", "is no whole bundle"),
    ):
        first.write_bytes(damage)
        assert words in call(place.root, "store", "check").stdout
    first.unlink()
    assert "from bundles that are not kept" in call(place.root, "store", "check").stdout
    first.write_bytes(before)
    table = place.data / "toy" / "federated" / "cases.csv"
    table.write_text(table.read_text().replace("north", "south"))
    assert "not what its hashes say" in str(fails(place.root, "store", "check"))


MORE: dict[str, Callable[[list[Any]], Any]] = {
    "a path beside the store that climbs": lambda m: {"work/../../escaped": b"x"},
    "another file beside the store": lambda m: {"work/radbench.toml": b"x"},
    "a key of another name": lambda m: {"work/secrets/other.key": b"x"},
    "a key that is none": lambda m: {"embargo.key": b"x"},
    "an edition of images": lambda m: {"work/data/toy/phantom/dataset.json": b"{}"},
    "half of a federated edition": lambda m: {"work/data/toy/federated/dataset.json": b"{}"},
    "a federated edition that is none": lambda m: {
        "work/data/toy/federated/dataset.json": b"{}", "work/data/toy/federated/cases.csv": b""
    },
    "a bundle that is none": lambda m: {f"bundles/toy/{'0' * 20}.json": b"{}"},
    "a bundle elsewhere": lambda m: {"bundles/toy/north.json": b"{}"},
    "a reproduction of no run": lambda m: {f"reproductions/{'0' * 20}.json": b"{}"},
    "a reproduction that is none": lambda m: {f"reproductions/{m[1][0].name.split('/')[1]}.json": b"{}"},
    "pins of what is not there": lambda m: {"pins.json": belongings.pins_text(["nobody"])},
    "pins with more in them": lambda m: {"pins.json": belongings.pins_text(["twin"]) + b" "},
    "a ledger that is none": lambda m: {"work/ledger.jsonl": b"{}\n"},
    "a link in the place of a key": lambda m: m.append(
        member("embargo.key", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_hostile_archives_leave_nothing(filled: Path, tmp_path: Path, name: str) -> None:
    assert name not in HOSTILE
    archive.export(filled, tmp_path / "good.tar")
    bad = rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", MORE[name])
    with pytest.raises(DataError) as caught:
        archive.take_in(bad, tmp_path / "deep" / "new")
    assert caught.value.code == "archive_invalid" and str(tmp_path / "deep") not in caught.value.found
    assert sorted(path for path in small.tree(tmp_path / "deep")) == ["new/store.json"]


def test_a_changed_byte_is_found_or_says_nothing(rich: Path, tmp_path: Path) -> None:
    """Wherever a byte is changed: the archive is refused, or, where nothing is said (times and padding of a tar), all is as it was."""
    archive.export(rich / "store", tmp_path / "good.tar", keys=True)
    data, draw, refused = (tmp_path / "good.tar").read_bytes(), random.Random(20261121), 0
    for _ in range(60):
        place = draw.randrange(len(data))
        changed = bytes([data[place] ^ draw.randrange(1, 256)])
        (tmp_path / "bad.tar").write_bytes(data[:place] + changed + data[place + 1 :])
        new = tmp_path / "new"
        try:
            archive.take_in(tmp_path / "bad.tar", new / "store")
        except DataError as error:
            assert error.code == "archive_invalid" and everything(new).keys() == {"store/store.json"}
            refused += 1
        else:
            assert everything(new) == everything(rich)
        shutil.rmtree(new)
    assert refused >= 20


def dies_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Every way in which something gets its final name ends the process at the call of that number; how many calls there were."""
    calls = [0]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Path, target: Any) -> Any:
            calls[0] += 1
            if calls[0] == number:
                raise KeyboardInterrupt
            return real(self, target)

        return call

    for name in ("rename", "replace", "hardlink_to"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    return lambda: calls[0]


@pytest.mark.parametrize("kind", ["keys and ledger", "bundles"])
def test_an_import_that_ends_anywhere_leaves_nothing_half_and_goes_on(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue("rich" if kind == "keys and ledger" else "merged")
    work = found if isinstance(found, Path) else found[0].root
    archive.export(work / "store", tmp_path / "a.tar", keys=True)
    whole = everything(work)
    number = 0
    while True:
        number += 1
        new = Workplace(tmp_path / f"new-{number}")
        with pytest.MonkeyPatch.context() as patch:
            count = dies_at(number, patch)
            try:
                archive.take_in(tmp_path / "a.tar", new.store)
            except KeyboardInterrupt:
                ended = False
            else:
                ended = count() < number
        if ended:
            break
        held = everything(new.root)
        left = {path for path in held if not Path(path).name.startswith(".") and ".partial" not in path}
        assert all(whole[path] == held[path] for path in left if path != "store/store.json"), number
        assert not (new.store / ".import.partial").exists()
        assert check(new.store).problems == () and not list(keeping.problems(new.store, new.data)), number
        archive.take_in(tmp_path / "a.tar", new.store)
        again = {path: data for path, data in everything(new.root).items() if path != "ledger.jsonl.head"}
        assert again == {path: data for path, data in whole.items() if path != "ledger.jsonl.head"}, number
        shutil.rmtree(new.root)
    assert number > (12 if kind == "keys and ledger" else 6)
