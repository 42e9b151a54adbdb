"""Where time and memory go as a challenge grows: N submissions × M cases with recorded outputs, step by step.

    python tests/speed/load.py --submissions 100 --cases 20 [--keep]
    python tests/speed/load.py --submissions 100 --cases 20 --at FOLDER --only board --only publish

Each step is a process of its own, so that its peak memory is its own. The outputs are real files of tiny volumes (4³), so the figures
are those of the harness: reading, keys, tables, draws, ranks, pages. What real volumes take comes on top (docs/metrics-speed.md). Prints
one line a step as a Markdown table: seconds, processor seconds of the step and of the processes it started, and the peak memory (MiB)
of the largest of them. `docs/scaling.md` holds what was measured.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmark import board, dataset, image, publishing, scoring, store, tasks  # noqa: E402
from benchmark.contract import Case, CaseRun, DatasetInfo, Method, RunRecord  # noqa: E402
from benchmark.dataset import CaseFiles, Plan, PlannedCase  # noqa: E402
from benchmark.image import Volume  # noqa: E402
from benchmark.nightly import config, gather, session  # noqa: E402
from benchmark.nightly.plan import plan  # noqa: E402
from benchmark.store import Placement, check, retention  # noqa: E402
from benchmark.store.retention import Retention  # noqa: E402
from benchmark.tasks import TaskFolder  # noqa: E402
from benchmark.workplace import Workplace  # noqa: E402
from leaderboard import verification  # noqa: E402
from tests.conftest import write_toy  # noqa: E402

SHAPE = (4, 4, 4)
DAY = "2026-05-01"


def content(index: int) -> CaseFiles:
    """One case."""
    truth = Volume(np.random.default_rng(index).normal(0, 50, SHAPE).astype(np.int16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    mask = truth.like(np.ones(SHAPE, np.uint8))
    return CaseFiles({"noisy": truth.like(truth.array + 10)}, {"truth": truth, "mask": mask})


def build(work: Workplace, folder: TaskFolder, submissions: int, cases: int) -> None:
    """The edition, and a run with outputs for each submission."""
    prepare(work, folder, cases)
    hand_in(work, folder, range(submissions))


def prepare(work: Workplace, folder: TaskFolder, cases: int) -> None:
    """The edition and an empty store."""
    planned = [
        PlannedCase(
            Case(id=f"c{n}", split="canary" if n < 2 else "test", attributes={"site": "AB"[n % 2]}), partial(content, n)
        )
        for n in range(cases + 2)
    ]
    info = DatasetInfo(
        task="toy", task_version="1", edition="phantom", kind="phantom", title="Load", description="-", licence="-"
    )
    dataset.prepare(work.data, folder.task, Plan(info, planned), workers=1)
    store.open_store(work.store)


def hand_in(work: Workplace, folder: TaskFolder, numbers: Iterable[int]) -> None:
    """Submissions of these numbers with their recorded outputs, not scored."""
    edition = dataset.load(work.data, folder.task, "phantom")
    truths = {c.id: edition.read_reference(folder.task.reference("truth"), c.id) for c in edition.cases}
    for number in numbers:
        rng = np.random.default_rng([7, number])
        digest = f"sha256:{number:064x}"
        payload = store.inference_payload(digest, folder.task, edition, edition.cases, ["podman/exec"])
        method = Method(name=f"m-{number:04d}", title=f"Method {number}")
        record = RunRecord(
            key=store.digest(payload), task="toy", edition="phantom", method=method, digest=digest, engine="podman/exec",
            hardware="-", start_seconds=1, cases=tuple(CaseRun(case=c.id, seconds=1) for c in edition.cases),
        )  # fmt: skip
        made = store.run_folder(work.store, record.key)
        for case in edition.cases:
            path = made / "predictions" / case.id / "images/clean" / f"{case.id}.mha"
            path.parent.mkdir(parents=True)
            truth = truths[case.id]
            image.write(path, truth.like((truth.array + rng.normal(number / 50, 4, SHAPE)).astype(np.int16)))
        store.seal_run(made, record, payload, [])
        store.save_placement(
            work.store,
            Placement(method=method, task="toy", edition="phantom", run=record.key, limits=folder.task.limits),
        )


def rescore(work: Workplace, folder: TaskFolder) -> None:
    """Score every recorded run, as after a change of the scorer."""
    edition, cache = dataset.load(work.data, folder.task, "phantom"), scoring.ReferenceCache()
    for path in sorted((work.store / "runs").glob("[!.]*/run.json")):
        run = store.load_run(work.store, path.parent.name)
        assert run is not None
        scoring.score_run(folder.task, edition, run, work.store, cache=cache)


def planned(work: Workplace, folder: TaskFolder) -> None:
    """Read the state and plan from it, as `--dry-run` does."""
    plan(gather.gather(gather.surroundings(work, SETTINGS, [folder.root.parent]), datetime.now(UTC)))


def checked(work: Workplace, folder: TaskFolder) -> None:
    """Every file of the store against its hash."""
    assert check.check(work.store).findings == ()


def checked_quickly(work: Workplace, folder: TaskFolder) -> None:
    """Names, sizes and records only."""
    assert check.check(work.store, content=False).findings == ()


def tidied(work: Workplace, folder: TaskFolder) -> None:
    """What a rule that keeps nothing would remove, as `gc --dry-run` does: all but the canary predictions."""
    rule = Retention(keep_runs=0, keep_days=0, keep_placed=False)
    planned = retention.plan(work.store, rule)
    assert sum(planned.kept.values()) == 0 and all(one.files for one in planned.removals)


def boards(work: Workplace, folder: TaskFolder) -> None:
    """The board: intervals, ranks, fairness."""
    edition = dataset.load(work.data, folder.task, "phantom")
    made = board.make(folder.task, edition, publishing.scored(folder.task, edition, work.store), work.store)
    assert len(made.rows) == len(store.load_placements(work.store))


def publish(work: Workplace, folder: TaskFolder) -> None:
    """The site, board included."""
    publishing.publish_boards(publishing.entries([folder], work.data, work.store), work.store, work.site, DAY)


def verify(work: Workplace, folder: TaskFolder) -> None:
    """Every number of the site again."""
    assert verification.verify(work.site).differences == []


def night(work: Workplace, folder: TaskFolder) -> None:
    """A whole night; after the first one, with nothing to do but what was handed in since."""
    report, error = session.hold(gather.surroundings(work, SETTINGS, [folder.root.parent]), say=lambda line: None)
    assert report is not None and report.exit_code == 0, (error, report and report.person)


ONE_NEW = "night with one new row, scored before"
SETTINGS = config.Config(nightly=config.Nightly(baselines="none", engine="podman", reproduce="off", disk_low_gb=0))
STEPS: dict[str, Callable[[Workplace, TaskFolder], None]] = {
    "score all recorded outputs": rescore,
    "plan (dry run)": planned,
    "store check": checked,
    "store check --quick": checked_quickly,
    "store gc --dry-run": tidied,
    "board": boards,
    "publish": publish,
    "publish again, unchanged": publish,
    "verify": verify,
    "first night": night,
    "night with nothing to do": night,
    ONE_NEW: night,
}


@dataclass(frozen=True)
class Taken:
    """What a step took."""

    seconds: float
    """On the clock."""
    processor: float
    """Processor seconds, user and system, of the step's process and of those that it waited for."""
    memory: float
    """Peak resident memory in MiB of the largest of these processes."""


def measured(step: Callable[[], None]) -> Taken:
    """What a step takes in a fresh child of this process."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)

    def child() -> None:
        begin = time.perf_counter()
        step()
        seconds = time.perf_counter() - begin
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        processor = sum(one.ru_utime + one.ru_stime for one in used)
        theirs.send(Taken(seconds, processor, max(one.ru_maxrss for one in used) / 1024))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"the step ended with {process.exitcode}")
    found: Taken = ours.recv()
    return found


def main() -> None:
    """Build, measure each step, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=10)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="leave the workplace and say where it is")
    parser.add_argument("--at", type=Path, help="a workplace that --keep left; it is not built, and stays")
    parser.add_argument("--only", action="append", choices=list(STEPS), help="these steps; may be given again")
    given = parser.parse_args()
    root = given.at or Path(tempfile.mkdtemp(prefix="radbench-load-"))
    work = Workplace(root / "work")
    folder = tasks.find("toy", [root / "tasks" if given.at else write_toy(root / "tasks")])
    if given.keep:
        print(f"# {root}", file=sys.stderr)
    try:
        if not given.at:
            began = measured(partial(build, work, folder, given.submissions, given.cases))
            print(
                f"# built in {began.seconds:.0f} s, {began.processor:.0f} processor seconds; {os.cpu_count()} cores, "
                f"load {os.getloadavg()[0]:.1f}",
                file=sys.stderr,
            )
        for name in given.only or STEPS:
            if name == ONE_NEW:
                hand_in(work, folder, [given.submissions])
                # A night runs and scores what is in its inbox; measured is what the row costs after that.
                rescore(work, folder)
            took = measured(partial(STEPS[name], work, folder))
            print(
                f"| {given.submissions} | {given.cases} | {name} "
                f"| {took.seconds:.2f} | {took.processor:.2f} | {took.memory:.0f} |",
                flush=True,
            )
            if name == ONE_NEW and not (work.site / "tasks/toy/submissions" / f"m-{given.submissions:04d}").is_dir():
                raise SystemExit("the new row is not on the site")
        size = sum(p.stat().st_size for p in work.site.rglob("*") if p.is_file())
        files = sum(1 for p in work.root.rglob("*") if p.is_file())
        print(f"# site {size / 2**20:.1f} MiB, {files} files in all", file=sys.stderr)
    finally:
        if not given.keep and not given.at:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
