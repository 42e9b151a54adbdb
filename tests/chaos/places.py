"""Work folders in which nights are held in processes of their own, and what must be the same in two of them afterwards."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmark import dataset, inbox, inference
from benchmark.container.engine import CaseOutcome
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError, SubmissionError
from benchmark.ledger import Ledger, verify
from benchmark.nightly import session
from benchmark.nightly.state import Image
from benchmark.nightly.work import Run, TakeIn
from benchmark.store.check import check
from benchmark.workplace import Workplace
from leaderboard import bundle
from leaderboard.cache import FRONT
from tests.chaos.faults import Fault, Faults, Point
from tests.conftest import write_toy
from tests.nightly.scripted import DIGESTS, Model, Place, ScriptedHands

DAY = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)
REFUSED = DIGESTS["f"]
"""An image that runs as root."""
FLAKY = DIGESTS["d"]
"""An image for which the engine does not answer the first time, each night."""
MARK = "RADBENCH_CHAOS"
"""Variable that every process of a night has, by which those that stay behind are found."""


class ModelWithProcess(Model):
    """As `Model`, beside a process that lives as long as its session, as a container does."""

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> Iterator[Model]:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as said, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=said) as process:
            assert process.stdin is not None
            process.stdin.write(b"ready\n")
            self.start_seconds = 0.1
            yield self

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        return replace(super().run(inputs, output), log=b"a line of the model\n")


class Hands(ScriptedHands):
    """Hands whose images are refused or flaky by their digest, in each night anew."""

    def take_in(self, item: TakeIn) -> Future[Image]:
        entry = inbox.load(self.around.work.inbox / item.entry)
        if entry is not None and entry.submission.digest == REFUSED:
            root = SubmissionError("image_root", "the image runs as root", expected="an ordinary user")
            self.fails.setdefault(f"take-in {item.name}", [root])
        return super().take_in(item)

    def run(self, item: Run) -> Future[str]:
        if item.digest == FLAKY:
            self.fails.setdefault(
                f"run {item.names[0]}", [InfrastructureError("engine_failed", "podman did not answer")]
            )

        def work() -> str:
            task = self.around.folders[item.task].task.model_copy(update={"limits": item.limits})
            edition = dataset.load(self.around.work.data, task, item.edition)
            method = next(e.submission.method for e in inbox.entries(self.around.work.inbox) if e.id == item.entry)
            engine = ModelWithProcess(item.digest, item.flags, self.broken)
            return inference.run(
                task, edition, method, item.digest, engine, root=self.around.work.store, again=True
            ).key

        return self._do(f"run {item.names[0]}", work)


@dataclass(frozen=True)
class Told:
    """How a night in a process of its own ended."""

    exit: int | None
    """Exit code of the process; of one that was killed the negative signal."""
    report: dict[str, Any] | None
    """The report, where there was one."""
    error: str
    """What kept it from beginning."""
    trace: str
    """Traceback of what came out of it and should not have."""
    points: tuple[Point, ...]
    """All that it wrote, in order, where that was asked for."""
    cpu: float
    """Processor seconds that it took."""


def hold(
    place: Place, *, number: int = 0, fault: Fault | None = None, count: bool = False, answer: Path | None = None
) -> Told:
    """Hold a night in a process of its own, which answers in a file; nights of a place are ten minutes apart."""
    work = place.work.root
    answer = answer or work.parent / f"{work.name}.answer-{number}.json"
    answer.unlink(missing_ok=True)
    process = multiprocessing.get_context("forkserver").Process(
        target=_night, args=(work, place.tasks, number, fault, count, answer)
    )
    process.start()
    process.join(120)
    if process.exitcode is None:
        process.kill()
        raise AssertionError("the night did not end")
    told = json.loads(answer.read_text()) if answer.exists() else {}
    points = tuple(Point(**point) for point in told.get("points", ()))
    return Told(
        process.exitcode, told.get("report"), told.get("error", ""), told.get("trace", ""), points, told.get("cpu", 0.0)
    )


def _night(work: Path, tasks: Path, number: int, fault: Fault | None, count: bool, answer: Path) -> None:
    """In the child."""
    os.setsid()
    os.environ[MARK] = str(work)
    place = Place(Workplace(work), tasks)
    points: list[Point] = []
    faults = Faults(work, fault, points.append if count else None)
    told: dict[str, Any] = {}
    faults.install()
    try:
        around = place.around()
        when = DAY + timedelta(minutes=10 * number)
        report, error = session.hold(
            around, say=lambda line: None, hands=lambda log: Hands(around, time=when, window=2)
        )
        told["report"] = report.model_dump(mode="json") if report else None
        told["error"] = f"{error.code}: {error.sentence}" if error else ""
    except BaseException:
        told["trace"] = traceback.format_exc()
    faults.active = False
    told["points"] = [asdict(point) for point in points]
    told["cpu"] = sum(os.times()[:4])
    answer.write_text(json.dumps(told))


def first(place: Place) -> None:
    """Four submissions: two share an image, one is refused, for one the engine must be asked twice."""
    place.submit("one", "a", day=1)
    place.submit("two", "d", day=2)
    place.submit("three", "a", team="Others", day=3)
    place.submit("root", "f", team="Third", day=4)


def later(place: Place) -> None:
    """A new submission, a new version of one, another metric: rows come, are replaced, are scored anew."""
    place.submit("four", "d", team="Fourth", day=9)
    place.submit("one", "c", day=10)
    place.submit("root", "e", team="Third", day=11)
    place.edit('[[metrics]]\nname = "mae"', '[[metrics]]\nname = "mae"\n\n[[metrics]]\nid = "again"\nname = "mae"')


def small(root: Path) -> Place:
    """The toy task with fewer and smaller cases, so that a night is quick; its data is made, and nothing is handed in."""
    place = Place(Workplace(root / "work"), write_toy(root / "tasks"))
    data = place.tasks / "toy" / "data.py"
    text = data.read_text()
    for old, new in (('["canary"] * 2', '["canary"]'), ('["test"] * 5', '["test"] * 2'), ("(6, 8, 10)", "(4, 5, 6)")):
        assert old in text
        text = text.replace(old, new)
    data.write_text(text)
    place.prepare()
    return place


REPEATED = ("run_started", "run_failed", "night_started", "night_finished", "store_changed")
"""Lines of the ledger that stand once more where a night was killed; of them the others are counted."""
VOLATILE = ("seconds", "attempt", "night", "planned", "done", "failed")
"""Facts that tell of one night and not of the work."""


def ledger_facts(root: Path) -> Counter[str]:
    """The ledger's lines without times, how often each stands there; of those that may be repeated, whether."""
    found: Counter[str] = Counter()
    for line in Ledger(root / "ledger.jsonl").entries():
        facts = {key: value for key, value in line.facts.items() if key not in VOLATILE}
        if line.kind.startswith("night_"):
            facts = {}
        key = f"{line.kind} {json.dumps(facts, sort_keys=True)}"
        found[key] = 1 if line.kind in REPEATED else found[key] + 1
    # A night that finds all done has nothing to finish.
    return Counter({key: count for key, count in found.items() if not key.startswith("night_")})


def held(root: Path) -> dict[str, Any]:
    """All that must be the same in two work folders in which the same was done: by path, bytes or records without times."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink()):
        name = path.relative_to(root).as_posix()
        if name.startswith(("nights/", "organiser.lock/", "data/", "ledger.jsonl")):
            continue
        if name.startswith("inbox/") and path.name == "outcome.json":
            outcome = json.loads(path.read_bytes())
            for attempt in outcome["attempts"]:
                del attempt["at"]
            found[name] = outcome
        elif name.startswith("site/editions/") and path.name == "edition.json":
            record = json.loads(path.read_bytes())
            # Where the ledger ended, which holds times, and seals over that.
            for part in (record, record["before"] or {}):
                part.pop("ledger_head", None)
                part.pop("seal", None)
            found[name] = record
        elif name == f".site.cache/{FRONT}":
            # What stands at the front; its key follows from the records of all editions, and so from where the ledger ended.
            entry = bundle.read(path)
            found[name] = None if entry is None else [content for _, content in entry.items()]
        else:
            found[name] = path.read_bytes()
    for part in ("images", "refused", "failures", "basis", "published"):
        path = root / "nights" / "memory" / f"{part}.json"
        found[path.relative_to(root).as_posix()] = path.read_bytes() if path.exists() else b""
    found["ledger"] = ledger_facts(root)
    return found


def different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What differs between two of these, in words."""
    lines = [f"{name} is missing" for name in sorted(one.keys() - other.keys())]
    lines += [f"{name} should not be there" for name in sorted(other.keys() - one.keys())]
    for name in sorted(one.keys() & other.keys()):
        if one[name] == other[name]:
            continue
        if isinstance(one[name], Counter):
            lines += [f"{name} lacks {count} × {line}" for line, count in (one[name] - other[name]).items()]
            lines += [f"{name} has {count} × too often: {line}" for line, count in (other[name] - one[name]).items()]
        else:
            lines.append(f"{name} differs: {str(one[name])[:200]} / {str(other[name])[:200]}")
    return lines


def unsound(root: Path) -> list[str]:
    """What is left behind or broken in a work folder."""
    lines = [f"left behind: {path.relative_to(root)}" for path in root.rglob("*.partial*")]
    lines += [f"torn: {path.name}" for path in root.glob("*.torn-*")]
    lines += [f"store: {f.where}: {f.text}" for f in check(root / "store").findings]
    lines += [f"ledger: {problem}" for problem in verify(root / "ledger.jsonl")]
    lines += [f"process left behind: {pid}" for pid in processes(root)]
    return lines


def processes(root: Path) -> list[str]:
    """Processes of nights in this work folder that live."""
    mark = f"{MARK}={root}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0") and folder.name != str(os.getpid()):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                found += [f"{folder.name} {(folder / 'cmdline').read_bytes()!r}"] if state not in "ZX" else []
    return found
