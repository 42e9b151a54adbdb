"""What goes wrong around a night has a plain line in the report and the right exit code, and the next good night mends it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmark import inbox, lease
from benchmark.errors import InfrastructureError
from benchmark.ledger import Ledger, verify
from benchmark.nightly.attempts import read
from benchmark.workplace import Workplace
from tests.chaos.conftest import Story
from tests.chaos.faults import Fault
from tests.chaos.places import DAY, different, held, hold, ledger_facts, unsound
from tests.command import RADBENCH
from tests.nightly.scripted import Place

Copy = Callable[[Place], Place]


@pytest.fixture
def fresh(stories: dict[str, Story], copy: Copy) -> Place:
    """Four submissions, and no night yet."""
    return copy(stories["first"].before)


@pytest.fixture
def settled(stories: dict[str, Story], copy: Copy) -> Place:
    """After the first night, with nothing new."""
    before = stories["first"].before
    place = copy(Place(Workplace(stories["first"].after), before.tasks, day=DAY + timedelta(days=1)))
    assert place.night().exit_code == 0
    return place


def mended(story: Story, place: Place, number: int = 30) -> list[str]:
    """Hold a good night; what is then not as it is where nothing went wrong."""
    told = hold(place, number=number)
    if told.trace or told.report is None or told.report["exit_code"] != 0:
        return [f"the next night: {told.error}{told.trace}{(told.report or {}).get('person')}"]
    lines = different(story.wanted, held(place.work.root)) + unsound(place.work.root)
    # That something failed by our fault, and cost no attempt, stays in the ledger.
    honest = ("too often: run_failed", '"counted": false')
    return [line for line in lines if not (line.startswith("ledger has") and any(words in line for words in honest))]


# A disk that refuses --------------------------------------------------------------------------------------------------------


def refused(story: Story, fault: Fault, folder: Path) -> list[str]:
    """Let the disk refuse everything from a point on; what is not as it should be, then and after a good night."""
    place = story.before.copy(folder)
    try:
        told = hold(place, number=20, fault=fault)
        if told.trace or told.exit != 0:
            return [f"it broke: {told.exit} {told.trace}"]
        word = "no_space" if fault.mode == "full" else "read_only"
        if told.report is None:
            lines = [] if told.error.startswith(word) else [f"it did not begin, and says {told.error!r}"]
        else:
            said = " ".join(told.report["person"])
            lines = [] if told.report["exit_code"] == 1 else [f"exit code {told.report['exit_code']}: {said}"]
            if not any(words in said for words in ("no space left", "disk is full", "cannot be written")):
                lines.append(f"it does not say why: {said!r}")
        return lines + [line for line in mended(story, place) if not line.startswith("torn: ")]
    finally:
        shutil.rmtree(folder)


def refusals(story: Story, mode: Any, every: int) -> dict[str, Fault]:
    # The lease is given back after the report; that it could not be, the next night finds out by itself.
    events = ("open", "write", "os.rename", "fsync")
    places = {p.label: p for p in reversed(story.points) if p.event in events and p.kind != "lease"}
    faults = [Fault(mode, p.label, p.nth) for p in reversed(places.values())][::every]
    assert len(faults) >= 5
    return {f"{f.mode} at {f.label}": f for f in faults}


def sweep(story: Story, faults: dict[str, Any], root: Path) -> str:
    with ThreadPoolExecutor(2) as pool:
        futures = {
            name: pool.submit(refused, story, fault, root / str(n)) for n, (name, fault) in enumerate(faults.items())
        }
        bad = {name: lines for name, future in futures.items() if (lines := future.result())}
    return "\n".join(f"{name}\n    " + "\n    ".join(lines) for name, lines in bad.items())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["full", "read_only"])
def test_a_disk_that_refuses_in_mid_night(stories: dict[str, Story], tmp_path: Path, mode: Any) -> None:
    bad = sweep(stories["first"], refusals(stories["first"], mode, 12), tmp_path)
    assert not bad, bad


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("mode", ["full", "read_only"])
def test_a_disk_that_refuses_anywhere(stories: dict[str, Story], tmp_path: Path, mode: Any) -> None:
    bad = sweep(stories["first"], refusals(stories["first"], mode, 1), tmp_path)
    assert not bad, bad


@contextlib.contextmanager
def disk(folder: Path, size_kb: int) -> Iterator[None]:
    """A small disk of its own at `folder`."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "none", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"NOT TESTED on a real full disk: no small disk could be mounted ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_disk_that_is_full_and_one_that_is_read_only(stories: dict[str, Story], tmp_path: Path) -> None:
    story, root = stories["first"], tmp_path / "disk"
    with disk(root, 16 * 1024):
        place = story.before.copy(root)
        free = shutil.disk_usage(root).free
        for spare in (0, 60_000, 200_000):  # nothing can be written, no run, no site
            (root / "ballast").write_bytes(b"\0" * (free - spare - 8192) if free > spare + 8192 else b"")
            with contextlib.suppress(OSError), (root / "rest").open("wb") as rest:
                rest.write(b"\0" * max(0, shutil.disk_usage(root).free - spare))
            told = hold_outside(place, tmp_path)
            assert not told.trace, told.trace
            words = f"{told.error} {told.report and told.report['person']}"
            assert "no space left" in words or "disk is full" in words, words
            assert told.report is None or told.report["exit_code"] == 1
            for name in ("ballast", "rest"):
                (root / name).unlink(missing_ok=True)
            free = shutil.disk_usage(root).free
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        told = hold_outside(place, tmp_path)
        assert told.report is None and told.error.startswith("read_only"), (told.error, told.trace)
        subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
        assert mended(story, place) == []


def hold_outside(place: Place, folder: Path) -> Any:
    """As `hold`, with the answer on another disk."""
    return hold(place, number=20, answer=folder / "answer.json")


# Two nights, and clocks -----------------------------------------------------------------------------------------------------


def test_two_nights_at_once(stories: dict[str, Story], copy: Copy) -> None:
    story = stories["first"]
    place = copy(story.before)
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda n: hold(place, number=20, answer=place.work.root.parent / f"{n}.json"), range(3)))
    worked = [t for t in told if t.report is not None and t.report["planned"]]
    kept_out = [t for t in told if t.report is None]
    assert len(worked) == 1 and not any(t.trace for t in told)
    assert all(t.error.startswith("busy: ") and "radbench nightly (process " in t.error for t in kept_out)
    assert different(story.wanted, held(place.work.root)) == [] and unsound(place.work.root) == []


def test_the_command_says_who_holds_the_lease(settled: Place) -> None:
    (settled.work.root / "radbench.toml").write_text('[nightly]\ntasks = []\nbaselines = "none"\n')
    with lease.hold(settled.work.root, "radbench store gc"):
        done = subprocess.run(
            [*RADBENCH, "nightly", "--work", str(settled.work.root)], capture_output=True, text=True, timeout=100
        )
    assert done.returncode == 1 and "[busy]" in done.stderr
    assert f"radbench store gc (process {os.getpid()} on " in " ".join(done.stderr.split())


def test_a_clock_set_back_between_nights(stories: dict[str, Story], settled: Place) -> None:
    settled.day -= timedelta(days=3)
    settled.submit("four", "c", day=9)
    report = settled.night()
    assert report.exit_code == 1 and any("before the last line of the ledger" in line for line in report.person)
    assert [r.names for r in report.runs] == [("four",)] and report.site.changed
    assert verify(settled.work.root / "ledger.jsonl") == []
    assert any(line.clock_back for line in Ledger(settled.work.root / "ledger.jsonl").entries())
    settled.day = DAY + timedelta(days=2)
    assert settled.night().exit_code == 0 and settled.did == []


# Things that vanish ---------------------------------------------------------------------------------------------------------


class Vanishing(list):  # type: ignore[type-arg]
    """Does something the moment that the hands are asked, and raises what it was given each time."""

    def __init__(self, act: Callable[[], Any], error: BaseException) -> None:
        super().__init__([1])
        self.act, self.error = act, error

    def pop(self, index: int = 0) -> BaseException:  # type: ignore[override]
        self.act()
        return self.error


def test_the_engine_disappears_in_mid_night(place_of_two: Place) -> None:
    gone = InfrastructureError("no_engine", "podman is not installed")
    report = place_of_two.night(fails={"run two": [gone]}, window=1)
    assert report.exit_code == 1 and [r.names for r in report.runs] == [("one",)] and report.site.changed
    assert any("podman is not installed" in line for line in report.person)
    assert {(a.name, a.counted) for a in read(place_of_two.work)} == {("one", True), ("two", False)}
    report = place_of_two.night()
    assert report.exit_code == 0 and [r.names for r in report.runs] == [("two",)]
    assert [(a.name, a.counted) for a in read(place_of_two.work)][-1] == ("two", True)


@pytest.fixture
def place_of_two(tmp_path: Path) -> Place:
    """Two submissions, and no night yet."""
    from tests.chaos.places import small

    place = small(tmp_path)
    place.submit("one", "a", day=1)
    place.submit("two", "b", day=2)
    return place


def test_an_entry_that_is_removed_in_mid_night_costs_the_others_nothing(place_of_two: Place) -> None:
    place = place_of_two
    entry = next(e for e in inbox.entries(place.work.inbox) if e.submission.method.name == "one")
    missing = InfrastructureError("image_gone", "there is no entry in …")
    remove = Vanishing(lambda: shutil.rmtree(place.work.inbox / entry.id, ignore_errors=True), missing)
    report = place.night(fails={"run one": remove}, window=1)
    assert report.exit_code == 1 and ("two",) in [r.names for r in report.runs] and report.site.changed
    assert any("one: there is no entry" in line for line in report.person)
    assert place.night().exit_code == 0 and place.did == []


def test_a_job_whose_entry_is_gone_is_ours(toy_job: Any) -> None:
    from benchmark import jobs

    with pytest.raises(InfrastructureError) as caught:
        jobs.resolve(toy_job)
    assert caught.value.code == "image_gone"


@pytest.fixture
def toy_job(place_of_two: Place) -> Any:
    from benchmark.jobs import RunJob

    work = place_of_two.work
    return RunJob(place_of_two.tasks / "toy", work.data, "phantom", work.store, entry=work.inbox / "none")


def test_a_row_whose_entry_was_removed_keeps_its_place(settled: Place) -> None:
    (two,) = [e for e in inbox.entries(settled.work.inbox) if e.submission.method.name == "two"]
    shutil.rmtree(settled.work.inbox / two.id)
    settled.edit('[[metrics]]\nname = "mae"', '[[metrics]]\nname = "mae"\n\n[[metrics]]\nid = "again"\nname = "mae"')
    report = settled.night()
    assert report.exit_code == 0 and {n for s in report.scores for n in s.names} == {"one", "three", "two"}
    assert 'two"' in (settled.work.site / "newest.json").read_text() or any(
        "two" in path for path in settled.site() if path.startswith("tasks/")
    )


@pytest.mark.parametrize("text", ["", '{"id": "x", "subm', None])
def test_an_entry_that_is_half_written_holds_up_nobody(settled: Place, text: str | None) -> None:
    broken = settled.work.inbox / "aaaaaaaaaaaaaaaaaaaa"
    broken.mkdir()
    (broken / "image").write_bytes(b"half")
    if text is not None:
        (broken / "entry.json").write_text(text)
    settled.submit("four", "c", day=9)
    report = settled.night()
    assert report.exit_code == 1 and [r.names for r in report.runs] == [("four",)] and report.site.changed
    (line,) = report.person
    assert line.startswith("inbox: ") and "aaaaaaaaaaaaaaaaaaaa" in line
    shutil.rmtree(broken)
    assert settled.night().exit_code == 0 and settled.did == []


def test_the_ledgers_last_line_is_torn(settled: Place) -> None:
    ledger = settled.work.root / "ledger.jsonl"
    before = ledger_facts(settled.work.root)
    with ledger.open("ab") as handle:
        handle.write(b'{"facts":{"entry":"0')
    settled.submit("four", "c", day=9)
    report = settled.night()
    assert report.exit_code == 0 and any("torn line of 20 bytes" in note for note in report.notes), report.notes
    assert verify(ledger) == [] and not before - ledger_facts(settled.work.root)


def test_the_ledger_was_edited(settled: Place) -> None:
    ledger = settled.work.root / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:2], b"not a line\n", *lines[3:]]))
    before = settled.site()
    report = settled.night()
    assert report.exit_code == 1 and any("ledger_broken" in line and "line 3" in line for line in report.person)
    assert settled.did == [] and settled.site() == before
    ledger.write_bytes(b"".join(lines))
    assert settled.night().exit_code == 0


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b'"kind"', b'"kind" ', 1), *lines[3:]], "line 4 does not follow"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3 does not follow"),
        (lambda lines: lines[:-1], "lines are missing at the end"),
        (
            lambda lines: [*lines[:-1], lines[-1].replace(b'"kind"', b'"kind" ', 1)],
            "is not the one whose head was kept",
        ),
    ],
)
def test_a_ledger_whose_chain_is_broken_holds_the_night(
    settled: Place, edit: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    """Every line can be read, and attempts would be judged by what somebody made of them."""
    ledger, before = settled.work.root / "ledger.jsonl", settled.site()
    lines = ledger.read_bytes().splitlines(keepends=True)
    settled.submit("four", "c", day=9)
    ledger.write_bytes(b"".join(edit(lines)))
    edited = ledger.read_bytes()
    report = settled.night()
    assert report.exit_code == 1 and any("ledger_broken" in line and said in line for line in report.person)
    assert settled.did == [] and settled.site() == before and ledger.read_bytes() == edited
    ledger.write_bytes(b"".join(lines))
    report = settled.night()
    assert report.exit_code == 0 and [r.names for r in report.runs] == [("four",)]


def test_the_site_is_deleted(settled: Place) -> None:
    pages = {
        path: data for path, data in settled.site().items() if path.startswith("editions/") and path.count("/") > 1
    }
    shutil.rmtree(settled.work.site)
    report = settled.night()
    assert report.site.changed and "not as it was left" in report.site.why
    again = settled.site()
    # The same edition, but that its date is today's: what was cited under the old one is named.
    assert report.exit_code == 1 and any("lacks 1 editions that were published" in line for line in report.person)
    assert again and settled.night().exit_code == 0
    shutil.rmtree(settled.work.site)
    for path, data in pages.items():
        (settled.work.site / path).parent.mkdir(parents=True, exist_ok=True)
        (settled.work.site / path).write_bytes(data)
    report = settled.night()  # the editions were put back: the front is made from the store
    assert (settled.work.site / "index.html").is_file()
    assert {path: data for path, data in settled.site().items() if path in pages} == pages


def test_an_edition_of_the_data_is_deleted(settled: Place, tmp_path: Path) -> None:
    before = settled.site()
    place = settled.work.data / "toy" / "phantom"
    place.rename(tmp_path / "aside")
    report = settled.night()
    assert report.exit_code == 1 and report.site.held and settled.site() == before
    assert any("there is no edition in" in line for line in report.person), report.person
    (tmp_path / "aside").rename(place)
    assert settled.night().exit_code == 0 and settled.did == [] and settled.site() == before


def test_a_file_of_the_data_is_corrupted(settled: Place) -> None:
    before = settled.site()
    path = next((settled.work.data / "toy/phantom/references").rglob("*.mha"))
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    settled.submit("four", "c", day=9)
    report = settled.night()
    assert report.exit_code == 1 and [s.code for s in report.stopped] == ["edition_broken"] and settled.did == []
    assert settled.site() == before
    path.write_bytes(good)
    report = settled.night()
    assert report.exit_code == 0 and [r.names for r in report.runs] == [("four",)]


def test_what_the_disk_says_is_ours() -> None:
    from benchmark.nightly import failures

    for number, code in ((errno.ENOSPC, "no_space"), (errno.EDQUOT, "no_space"), (errno.EROFS, "read_only")):
        assert failures.classify(OSError(number, "x", "/y"), "run").code == code
