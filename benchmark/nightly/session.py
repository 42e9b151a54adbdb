"""One night from the lease to the report: what the command calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmark import atomic, console, lease, ledger, store
from benchmark.errors import DataError, InfrastructureError, RadbenchError
from benchmark.nightly import aftermath, failing, morning
from benchmark.nightly.gather import Surroundings
from benchmark.nightly.hands import Hands, MachineHands
from benchmark.nightly.night import Night, new_folder
from benchmark.nightly.nightlog import NightLog
from benchmark.nightly.report import PERSON, NightReport, text

Bars = Callable[[str, int, int], None]


def hold(
    around: Surroundings,
    *,
    say: Callable[[str], None],
    bars: Bars | None = None,
    hands: Callable[[NightLog], Hands] | None = None,
) -> tuple[NightReport | None, RadbenchError | None]:
    """Hold a night and return its report; None, and why, where it could not even begin, such as when another one is at work.

    All that goes wrong in the night is in the report, also that it was ended from outside. Raises what is a fault of radbench.
    """
    with contextlib.ExitStack() as stack:
        try:
            with atomic.refusals(around.work.root):
                around.work.root.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(lease.hold(around.work.root, "radbench nightly"))
            before = store.open_store(around.work.store)  # of an older layout: brought to the present one
            with atomic.refusals(around.work.root):
                folder = new_folder(around.work.root / "nights", datetime.now(UTC).date().isoformat())
                log = NightLog(folder, say)
        except (InfrastructureError, DataError) as error:
            return None, error
        return _held(around, held, before, folder, log, bars, hands), None


def _held(
    around: Surroundings,
    held: lease.Lease,
    layout: int,
    folder: Path,
    log: NightLog,
    bars: Bars | None,
    hands: Callable[[NightLog], Hands] | None,
) -> NightReport:
    def progress(label: str, done: int, total: int) -> None:
        log.progress(label, done, total)
        if bars is not None:
            with console.unheard():
                bars(label, done, total)

    working = hands(log) if hands else MachineHands(around, progress=progress, say=log.say)
    started, begin = working.now(), working.monotonic()
    night = Night(around, working, folder, log.say, held)
    if 0 < layout < store.VERSION:
        with _told(night):
            night.chronicle.ledger.append("store_changed", what="migrate", schema_from=layout, schema_to=store.VERSION)
        log.say(f"The store was brought from layout {layout} to {store.VERSION}.")
    ledger.sweep(around.ledger.path)
    if held.took_over:
        aftermath.sweep(around.work.root / "nights")
        night.notes.append(held.took_over)
        log.say(held.took_over)
    try:
        with _told(night):
            night.carry_out()
        if not night.outdated:
            with _told(night):
                morning.tell(night)
        night.notes += [f"Ledger: {torn}." for torn in night.chronicle.ledger.torn]
        report = morning.made(night, started, working.monotonic() - begin)
        if not night.outdated:
            _finished(night, report)
        # Last, so that it says so when the disk refused the ledger's line too.
        report = _kept(report, folder)
        log.note(text(report))
        return report
    finally:
        log.close()


def _kept(report: NightReport, folder: Path) -> NightReport:
    """Write the report; where the disk refuses it, it says so to whoever is told of it."""
    try:
        with atomic.refusals(folder):
            morning.keep(report, folder)
    except (InfrastructureError, OSError) as error:
        line = f"The report could not be written: {getattr(error, 'sentence', error)}"
        code = max(report.exit_code, PERSON)
        return report.model_copy(update={"person": (*report.person, line), "exit_code": code})
    return report


@contextlib.contextmanager
def _told(night: Night) -> Iterator[None]:
    """What ends a night goes into its report. A fault of radbench goes on, after its traceback was kept."""
    try:
        yield
    except KeyboardInterrupt:
        night.interrupted = True
    except (InfrastructureError, DataError) as error:
        night.needs_person(f"{error.code}: {error.sentence}")
    except Exception as error:
        sentence = failing.broke(night, "night", error)
        if night.failed[-1].group != "bug":  # such as a disk that is full
            night.needs_person(sentence)


def _finished(night: Night, report: NightReport) -> None:
    unfinished = night.state is not None and night.state.noted.night
    if not night.planned and not report.failed and not unfinished:
        return
    done = {"runs": len(report.runs), "scores": len(report.scores), "rows": len(report.rows)}
    failed: dict[str, int] = {}
    for item in report.failed:
        failed[item.code] = failed.get(item.code, 0) + 1
    with _told(night):
        night.chronicle.ledger.append(
            "night_finished",
            night=report.night,
            exit_code=report.exit_code,
            done={name: count for name, count in done.items() if count},
            failed=failed,
            seconds=report.seconds,
        )
