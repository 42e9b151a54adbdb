"""How long a night takes that has nothing to do: 1,000 submissions on each of 5 tasks, all run, scored, placed and counted.

    python tests/speed/nightly_idle.py [--submissions 1000] [--tasks 5] [--cases 200]

The store is synthetic: folders under the keys that the planner asks for, inbox entries, placements and ledger lines as a real night
writes them. Measured is the command, from the start of the interpreter to its end, and that not a byte of the site changes. It
ends with 1 when a night takes longer than three seconds.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmark import store  # noqa: E402
from benchmark.contract import DatasetInfo, Method  # noqa: E402
from benchmark.inbox import Entry  # noqa: E402
from benchmark.ledger import START  # noqa: E402
from benchmark.ledger import Entry as Line  # noqa: E402
from benchmark.nightly import config, gather  # noqa: E402
from benchmark.nightly.memory import Memory  # noqa: E402
from benchmark.nightly.plan import plan  # noqa: E402
from benchmark.submission import Submission  # noqa: E402
from benchmark.workplace import Workplace  # noqa: E402
from tests.command import RADBENCH  # noqa: E402
from tests.conftest import write_toy  # noqa: E402

LIMIT = 3.0
FILES = (
    "inputs/{}/images/noisy/{}.mha",
    "inputs/{}/inputs.json",
    "references/{}/images/truth/{}.mha",
    "references/{}/images/mask/{}.mha",
)


def edition(work: Workplace, task: str, cases: int) -> None:
    """An edition with small files in place of volumes; nothing reads them but their hashes."""
    root = work.data / task / "phantom"
    files: dict[str, str] = {}
    for number in range(cases + 2):
        for pattern in FILES:
            name = pattern.format(f"c{number}", f"c{number}")
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
            files[name] = hashlib.sha256(name.encode()).hexdigest()
    with (root / "cases.csv").open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["case", "split", "site"])
        writer.writerows([f"c{n}", "canary" if n < 2 else "test", "AB"[n % 2]] for n in range(cases + 2))
    files["cases.csv"] = hashlib.sha256((root / "cases.csv").read_bytes()).hexdigest()
    info = DatasetInfo(
        task=task, task_version="1", edition="phantom", kind="phantom", title="Toy phantoms", description="Noise.",
        licence="CC0-1.0", counts={"canary": 2, "test": cases}, files=files,
    )  # fmt: skip
    (root / "dataset.json").write_text(info.model_dump_json(indent=1))


def hand_in(work: Workplace, task: str, number: int) -> Entry:
    """An entry of the inbox, with its outcome."""
    method = Method(
        name=f"method-{number:04d}", title=f"Method {number}", team=f"Team {number % 100}", description="Words. " * 30
    )
    manifest = Submission(
        method=method, task=task, task_version="1", image="image.tar.gz", contact="a@b.c",
        digest="sha256:" + hashlib.sha256(f"{task}{number}".encode()).hexdigest(),
    )  # fmt: skip
    received = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat(timespec="seconds")
    id = store.digest([task, number])
    entry = Entry(id=id, submission=manifest, archive="image", received=received)
    folder = work.inbox / id
    folder.mkdir(parents=True)
    (folder / "entry.json").write_text(entry.model_dump_json(indent=1))
    (folder / "outcome.json").write_text("{}")
    return entry


def fill(work: Workplace, folder: Path, task_count: int, submissions: int, cases: int) -> list[Entry]:
    """The whole workplace, as if all had been done in nights before."""
    (work.root).mkdir(parents=True)
    # What is measured is a night in which nothing is due; a reproduction takes as long as its model does.
    (work.root / config.FILE).write_text('[nightly]\nreproduce = "off"\n')
    entries = []
    for number in range(task_count):
        write_toy(folder, f"toy{number}")
        edition(work, f"toy{number}", cases)
        entries += [hand_in(work, f"toy{number}", n) for n in range(submissions)]
    images = {e.id: {"digest": e.submission.digest, "flags": ["podman/exec"]} for e in entries}
    settings = config.load(work.root / config.FILE)
    Memory(work).save("images", {gather.image_key(settings, False): images})
    around = gather.surroundings(work, settings, [folder])
    first = plan(gather.gather(around, datetime.now(UTC)))
    for run in first.runs:
        (work.store / "runs" / run.key).mkdir(parents=True)
    for score in first.scores:
        (work.store / "scores" / score.key).mkdir(parents=True)
    for place in first.places:
        path = store.placement_file(
            work.store, place.placement.task, place.placement.edition, place.placement.method.name
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(place.placement.model_dump_json(indent=1))
    ledger(work, entries, {p.placement.entry: p.placement.run for p in first.places})
    (work.site).mkdir()
    (work.site / "newest.json").write_text("{}")
    (work.site / "index.html").write_text("front")
    state = gather.gather(around, datetime.now(UTC))
    Memory(work).save("published", {"shown": plan(state).shown, "newest": gather.newest_hash(work)})
    return entries


def ledger(work: Workplace, entries: list[Entry], runs: dict[str, str]) -> None:
    """Five lines a submission, chained as `Ledger` chains them, without a flush for each."""
    lines, previous, sequence = [], START, 0
    for entry in entries:
        about = {"task": entry.submission.task, "submission": entry.submission.method.name, "entry": entry.id}
        run = {**about, "edition": "phantom", "run": runs[entry.id]}
        for kind, facts in (
            ("submitted", {**about, "team": entry.submission.method.team, "received": entry.received}),
            ("run_started", {**run, "digest": entry.submission.digest, "engine": "podman/exec"}),
            ("run_finished", {**run, "cases": 202, "seconds": 100.0}),
            ("scored", {**run, "score": "0" * 20, "scorer": store.scorer_version()}),
            ("attempt", {**run, "counted": True, "why": "ran"}),
        ):
            line = Line(
                sequence=sequence, time="2026-02-01T00:00:00.000+00:00", kind=kind, facts=facts, previous=previous
            )  # type: ignore[arg-type]
            lines.append(line.line)
            previous, sequence = hashlib.sha256(line.line).hexdigest(), sequence + 1
    (work.root / "ledger.jsonl").write_bytes(b"\n".join([*lines, b""]))


def main() -> None:
    """Build, hold three idle nights, say how long they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="leave the workplace and say where it is")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="radbench-idle-"))
    work, folder = Workplace(root / "work"), root / "tasks"
    try:
        fill(work, folder, given.tasks, given.submissions, given.cases)
        before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in work.site.rglob("*") if p.is_file()}
        command = [*RADBENCH, "nightly", "--json"]
        command += ["--work", str(work.root), "--tasks", str(folder)]
        seconds = []
        for _ in range(3):
            begin = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            seconds.append(time.monotonic() - begin)
            report = json.loads(done.stdout) if done.stdout else {}
            assert done.returncode == 0 and report["planned"] == {}, (done.stdout[-2000:], done.stderr[-2000:])
        after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in work.site.rglob("*") if p.is_file()}
        assert before == after, "the site changed"
        heavy = subprocess.run(
            [sys.executable, "-X", "importtime", *command[1:]], cwd=ROOT, capture_output=True, text=True
        ).stderr
        loaded = [name for name in ("torch", "numba", "matplotlib", "dask") if f"| {name}\n" in heavy]
        print(
            f"{given.tasks} tasks × {given.submissions} submissions × {given.cases} cases: "
            + ", ".join(f"{s:.2f} s" for s in seconds)
        )
        print(f"heavy libraries that were loaded: {', '.join(loaded) or 'none'}")
        assert not loaded
    finally:
        if given.keep:
            print(root)
        else:
            shutil.rmtree(root)
    sys.exit(int(min(seconds) > LIMIT))


if __name__ == "__main__":
    main()
