"""Nights with the real hands on days of the test's choosing, in processes of their own; one can be killed in mid-reproduction."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmark.ledger import Ledger, verify
from benchmark.nightly import gather, session
from benchmark.nightly.config import Config
from benchmark.nightly.hands import MachineHands
from benchmark.nightly.report import NightReport
from benchmark.store.check import check
from benchmark.workplace import Workplace
from tests.chaos.places import MARK, processes


class OtherDay(MachineHands):
    """The real hands, so many days from now."""

    days = 0

    def now(self) -> datetime:
        return super().now() + timedelta(days=self.days)


def night(
    work: Workplace, config: Config, tasks: Sequence[Path], *, days: int, killed_after: int = 0
) -> NightReport | None:
    """Hold a night; its report, or None where it was killed (SIGKILL) once so many cases had been reproduced."""
    answer = work.root.parent / f"night-{days}.json"
    answer.unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(
        target=_night, args=(work, config, tuple(tasks), days, killed_after, answer)
    )
    process.start()
    process.join(300)
    assert process.exitcode == (-signal.SIGKILL if killed_after else 0), process.exitcode
    return NightReport.model_validate_json(answer.read_bytes()) if answer.exists() else None


def _night(work: Workplace, config: Config, tasks: Sequence[Path], days: int, killed_after: int, answer: Path) -> None:
    """In the child."""
    os.environ |= {MARK: str(work.root), "OMP_NUM_THREADS": "1"}
    around = gather.surroundings(work, config, tasks)

    def progress(label: str, done: int, total: int) -> None:
        if killed_after and label.startswith("reproduce") and done == killed_after < total:
            os.kill(os.getpid(), signal.SIGKILL)

    def hands(log: Any) -> OtherDay:
        made = OtherDay(around, progress=progress, say=log.say)
        made.days = days
        return made

    report, error = session.hold(around, say=lambda line: None, hands=hands)
    assert report is not None, error
    answer.write_text(report.model_dump_json())


def reproductions(work: Workplace) -> list[dict[str, Any]]:
    """What the ledger says of them."""
    return [line.facts for line in Ledger(work.root / "ledger.jsonl").entries() if line.kind == "reproduced"]


def sound(work: Workplace) -> bool:
    """Whether store and ledger are whole, and nothing and nobody is left behind once the killed night's workers have ended."""
    end = time.monotonic() + 120
    while processes(work.root) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes(work.root) == []
    assert check(work.store).findings == () and verify(work.root / "ledger.jsonl") == []
    left = [path for path in work.root.rglob("*") if ".partial" in path.name or path.parent.name == "scratch"]
    assert left == []
    return True


def killed_and_again(work: Workplace, config: Config, tasks: Sequence[Path], *, days: int) -> NightReport:
    """Kill a night in the middle of its reproduction and hold it again at once; nothing is lost and nothing is there twice."""
    before, site = Ledger(work.root / "ledger.jsonl").entries(), pages(work)
    assert night(work, config, tasks, days=days, killed_after=1) is None
    since = Ledger(work.root / "ledger.jsonl").entries()[len(before) :]
    assert [line.kind for line in since] == ["night_started"] and pages(work) == site
    report = night(work, config, tasks, days=days)
    assert report is not None and report.reproduced is not None and report.planned["reproductions"] == 1
    assert any("Took over from radbench nightly" in note for note in report.notes)
    since = Ledger(work.root / "ledger.jsonl").entries()[len(before) :]
    kinds = [line.kind for line in since]
    assert kinds == ["night_started", "night_started", "reproduced", "night_finished"], report
    assert sound(work)
    return report


def idle(work: Workplace, config: Config, tasks: Sequence[Path], *, days: int) -> bool:
    """Whether a further night has nothing to do."""
    report = night(work, config, tasks, days=days)
    return report is not None and report.planned == {} and report.reproduced is None


def pages(work: Workplace) -> dict[str, bytes]:
    """Every byte of the site."""
    return {p.relative_to(work.site).as_posix(): p.read_bytes() for p in sorted(work.site.rglob("*")) if p.is_file()}
