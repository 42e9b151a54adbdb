"""What a night did, as a record, and as text for the morning. No credentials and no ids of sealed cases are in it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from benchmark.contract import Cost, Reproduction
from benchmark.nightly.work import Stopped, Waiting
from benchmark.record import Record

WELL, PERSON, BROKE = 0, 1, 2
"""Exit codes: all is well, or there was nothing to do; a person must look; a fault of radbench itself."""
MOST_LINES = 20
"""Lines of one kind in the text; the record has all."""


class Done(Record):
    """A piece of work that was done."""

    task: str
    """Task name."""
    edition: str
    """Edition name."""
    names: tuple[str, ...]
    """Submissions that it stands for."""
    key: str
    """Its inference or scoring key."""
    why: str
    """Why it was due."""
    seconds: float
    """Wall-clock seconds, from the start until it was stored."""


class RunDone(Done):
    """A run that ended."""

    cases: int
    """Cases that it holds."""
    codes: dict[str, int] = Field(default_factory=dict)
    """Cases without a valid output, by error code."""
    hardware: str = ""
    """Where it ran."""
    cost: Cost | None = None
    """What it took, where it was measured."""


class ScoreDone(Done):
    """A score that was made."""


class RowPlaced(Record):
    """A row for which another run stands, or that says something else of itself."""

    task: str
    """Task name."""
    edition: str
    """Edition name."""
    name: str
    """Submission."""
    why: str
    """What changed."""
    counted: bool
    """Whether an attempt was counted with it."""


class Failed(Record):
    """A piece of work that was not done because it failed."""

    what: str
    """`take in`, `run`, `score`, `reproduce` or `publish`; `night` for what is in none of them."""
    task: str = ""
    """Task name."""
    edition: str = ""
    """Edition name."""
    names: tuple[str, ...] = ()
    """Submissions that wait for it."""
    key: str = ""
    """Key of the work."""
    group: str
    """`submission`, `infrastructure`, `data` or `bug`."""
    code: str
    """Error code; of a bug the name of the exception."""
    sentence: str
    """What was found, what was expected, what to do."""
    tries: int = 1
    """How often it was tried in this night."""
    nights: int = 0
    """In how many nights in a row it failed by our fault, this one included."""
    details: str = ""
    """File with the traceback, in the night's folder."""


class Left(Record):
    """Work that was due and was not done, without having failed."""

    what: str
    """`take in`, `run`, `score` or `row`."""
    count: int
    """How many pieces."""
    why: str
    """What stood in the way."""


class Reproduced(Record):
    """An archived run that was run again."""

    task: str
    """Task name."""
    edition: str
    """Edition name."""
    name: str
    """Submission."""
    run: str
    """Inference key."""
    seconds: float
    """Wall-clock seconds."""
    result: Reproduction
    """What came out."""


class SiteChange(Record):
    """What became of the site."""

    edition: str = ""
    """Edition at the front; empty where there is none."""
    changed: bool = False
    """Whether a byte changed."""
    why: str = ""
    """Why it was made anew, or why it was held as it is."""
    held: bool = False
    """Whether it should have changed and was held as it is."""
    sentences: tuple[str, ...] = ()
    """What is new against the edition before: who came, who moved and why."""


class Total(Record):
    """What the runs of a night took, all together."""

    run_seconds: float = 0.0
    """Wall-clock seconds of runs, added up; some went on side by side."""
    score_seconds: float = 0.0
    """Wall-clock seconds of scoring, added up."""
    case_seconds: float = 0.0
    """Seconds that models worked on cases."""
    cpu_seconds: float | None = None
    """Processor seconds, where they were measured."""
    gpu_joules: float | None = None
    """Energy that GPUs took, where it was measured."""
    peak_memory_mb: float | None = None
    """Most memory that one run held, in MiB."""


class NightReport(Record):
    """`report.json`: what a night did."""

    schema_version: int = 1
    """Version of this record."""
    night: str
    """Its id: the day, and the number of the night on that day."""
    version: str
    """Version of radbench."""
    started: str
    """When it began, in UTC."""
    ended: str
    """When it ended, in UTC."""
    seconds: float
    """How long it took."""
    exit_code: int
    """0 all is well, 1 needs a person, 2 broke."""
    interrupted: bool = False
    """Whether it was ended from outside."""
    planned: dict[str, int] = Field(default_factory=dict)
    """Pieces of work that were due at the start, by sort."""
    runs: tuple[RunDone, ...] = ()
    """What ran."""
    scores: tuple[ScoreDone, ...] = ()
    """What was scored."""
    rows: tuple[RowPlaced, ...] = ()
    """What changed in which row."""
    reproduced: Reproduced | None = None
    """The archived run that was run again; absent where none was."""
    failed: tuple[Failed, ...] = ()
    """What failed and why."""
    stopped: tuple[Stopped, ...] = ()
    """Tasks and editions that are broken."""
    waiting: tuple[Waiting, ...] = ()
    """Submissions that wait, or will never run, and why."""
    left: tuple[Left, ...] = ()
    """What was due and not done."""
    notes: tuple[str, ...] = ()
    """What else the organiser should know: a lease taken over, a clock that jumped, a disk that is low."""
    person: tuple[str, ...] = ()
    """Why a person must look; empty where none must."""
    site: SiteChange = SiteChange()
    """What became of the site."""
    cost: Total = Total()
    """What it took."""


def text(report: NightReport) -> str:
    """The report for a terminal or a mail."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: NightReport) -> Iterator[str]:
    states = [{WELL: "all is well", PERSON: "needs a person", BROKE: "broke"}[report.exit_code]]
    if report.interrupted:
        states = [*(states if report.exit_code != WELL else []), "interrupted"]
    yield f"Night {report.night}: {', '.join(states)}, {_duration(report.seconds)}."
    for reason in report.person:
        yield f"  ! {reason}"
    if not _worked(report):
        yield "  Nothing was due."
    yield from _cut([_run(run) for run in report.runs], "Ran")
    yield from _cut(
        [f"{s.task}/{s.edition} {_names(s.names)}: {s.why}, {_duration(s.seconds)}" for s in report.scores], "Scored"
    )
    if report.reproduced is not None:
        again = report.reproduced
        yield "Run again:"
        yield f"  {again.task}/{again.edition} {again.name}: {again.result.sentence} {_duration(again.seconds)}."
    yield from _cut([_failure(item) for item in report.failed], "Failed")
    yield from _cut(
        [f"{s.task}{f'/{s.edition}' if s.edition else ''}: {s.code}: {s.sentence}" for s in report.stopped],
        "Stopped, until it is mended",
    )
    yield from _cut([f"{item.count} × {item.what}: {item.why}" for item in report.left], "Not done")
    waits = [item for item in report.waiting if not item.final]
    yield from _cut([f"{w.task}: {w.name} ({w.team}): {w.sentence}" for w in waits], "Waiting")
    yield from _cut(list(report.notes), "Notes")
    yield from _site(report.site)
    cost = report.cost
    if report.runs or report.scores:
        parts = [f"runs {_duration(cost.run_seconds)}", f"scoring {_duration(cost.score_seconds)}"]
        parts += [f"processor {_duration(cost.cpu_seconds)}"] if cost.cpu_seconds is not None else []
        parts += [f"GPU {cost.gpu_joules / 3600:.1f} Wh"] if cost.gpu_joules is not None else []
        parts += [f"most memory {cost.peak_memory_mb:.0f} MiB"] if cost.peak_memory_mb is not None else []
        yield f"Cost: {', '.join(parts)}."


def _worked(report: NightReport) -> bool:
    return bool(
        report.runs
        or report.scores
        or report.rows
        or report.reproduced
        or report.failed
        or report.left
        or report.site.changed
    )


def _cut(lines: list[str], title: str) -> Iterator[str]:
    if lines:
        yield f"{title} ({len(lines)}):"
        yield from (f"  {line}" for line in lines[:MOST_LINES])
        if len(lines) > MOST_LINES:
            yield f"  … and {len(lines) - MOST_LINES} more, in report.json"


def _run(run: RunDone) -> str:
    failed = sum(run.codes.values())
    bad = f", {failed} failed ({', '.join(f'{n} {code}' for code, n in sorted(run.codes.items()))})" if failed else ""
    return f"{run.task}/{run.edition} {_names(run.names)}: {run.cases} cases{bad}, {_duration(run.seconds)}; {run.why}"


def _failure(item: Failed) -> str:
    where = "/".join(part for part in (item.task, item.edition) if part)
    often = [f"{item.tries} tries"] if item.tries > 1 else []
    often += [f"night {item.nights}"] if item.nights > 1 else []
    tries = f" ({', '.join(often)})" if often else ""
    details = f" See {item.details}." if item.details and item.group == "bug" else ""
    about = " ".join(part for part in (item.what, where, _names(item.names)) if part)
    return f"{about}: {item.group} error [{item.code}]{tries}: {item.sentence}{details}"


def _site(site: SiteChange) -> Iterator[str]:
    if site.held:
        yield f"Site: held as it is. {site.why}"
    elif site.changed:
        yield f"Site: new edition {site.edition}."
        yield from (f"  {sentence}" for sentence in site.sentences[:MOST_LINES])
    else:
        yield f"Site: unchanged{f', {site.edition}' if site.edition else ''}."


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


__all__ = [
    "BROKE",
    "PERSON",
    "WELL",
    "Failed",
    "Left",
    "NightReport",
    "Reproduced",
    "RowPlaced",
    "RunDone",
    "ScoreDone",
    "SiteChange",
    "Total",
    "text",
]
