"""What the command line prints: progress bars on a terminal, plain lines elsewhere, boards as tables."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmark.contract import Aggregate, Board, MetricInfo, Row
from benchmark.verdict import Verdict

PLAIN_WIDTH = 132
"""Columns of a table where the output is no terminal, so that a log shows a row on a line."""


def _opened() -> None:
    """Descriptors 0 to 2 that were closed when we were started lead nowhere: else files of ours would get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal of another day may lack what a name or an arrow needs
            stream.reconfigure(errors="backslashreplace")


class _Console(Console):
    """As rich's, which ends the process where a pipe is broken."""

    def on_broken_pipe(self) -> None:
        raise


_opened()
out = _Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
"""Results."""
err = _Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress and messages."""

PLAIN_SECONDS = 5.0
"""Where the output is no terminal, a line at most this often per bar."""


class Bars:
    """Named progress bars; on a terminal they move, elsewhere each prints a plain line now and then. Safe from threads."""

    def __init__(self) -> None:
        self._plain = not err.is_terminal
        self._bars: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=err,
        )

    def __enter__(self) -> Bars:
        if not self._plain:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._plain:
            with unheard():
                self._progress.stop()

    def update(self, name: str, done: int, total: int, note: str = "") -> None:
        """Set the bar of that name; it is made at the first call."""
        text = f"{name} {note}".strip()
        if self._plain:
            now = time.monotonic()
            first = name not in self._last
            if (first and done < total) or done == total or now - self._last.get(name, 0) > PLAIN_SECONDS:
                err.print(f"  {text}: {done}/{total}", markup=False)
                self._last[name] = now
            return
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(text, total=total)
        self._progress.update(self._bars[name], completed=done, total=total, description=text)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """What is printed inside reaches somebody or does not: a terminal that was closed, a reader that went away or a full disk behind it
    ends nothing."""
    with contextlib.suppress(OSError, ValueError):
        yield


def drop_unheard() -> None:
    """Drop what could not be printed, for a command whose exit code must not hang on it: the interpreter would try again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def print_bug(error: BaseException) -> None:
    """A fault of radbench itself, in a sentence; its traceback goes into a file, or after it with RADBENCH_DEBUG."""
    text = "".join(traceback.format_exception(error))
    if os.environ.get("RADBENCH_DEBUG"):
        err.print(text, markup=False)
        return
    with tempfile.NamedTemporaryFile("w", prefix="radbench-bug-", suffix=".txt", delete=False) as handle:
        handle.write(text)
    err.print(
        f"This is a bug in radbench ({type(error).__name__}: {error}); the details are in {handle.name}. "
        "Please report it.",
        markup=False,
    )


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """A heading, and the seconds that the block took."""
    begin = time.monotonic()
    err.print(f"[bold]{title}[/bold]")
    yield
    err.print(f"  [dim]{time.monotonic() - begin:.1f} s[/dim]")


def number(value: float, unit: str = "") -> str:
    """A value with the digits that its unit deserves."""
    if unit in ("HU", "mm", "dB"):
        return f"{value:.1f}"
    return f"{value:.3f}"


def cell(item: Aggregate, info: MetricInfo) -> str:
    """Value and interval."""
    unit = info.unit
    return f"{number(item.value, unit)} [{number(item.low, unit)}, {number(item.high, unit)}]"


def rank_text(row: Row) -> str:
    """Rank, and the interval of ranks that the data allow: "1 (1–3)"."""
    if row.rank_low == row.rank_high == row.rank:
        return f"{row.rank:.0f}"
    return f"{row.rank:.0f} ({row.rank_low:.0f}–{row.rank_high:.0f})"


WIDE = 8
"""More metrics than a terminal holds side by side."""


def board_table(board: Board) -> Table:
    """The board for a terminal. Of very many metrics it shows those that rank, and says that there are more."""
    ranking = set(board.task.ranking.metrics)
    infos = [info for info in board.metrics if len(board.metrics) <= WIDE or info.id in ranking]
    caption = "value [95 % interval]; ↑ more is better, ↓ less is better; rank (interval)"
    if left := len(board.metrics) - len(infos):
        caption += f"\n{left} more metrics, which do not rank, are on the page and in --json"
    kind = "PHANTOM data" if board.dataset.kind == "phantom" else "real images"
    table = Table(
        title=f"{board.task.title}: {board.dataset.title} ({kind})",
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
    )
    table.add_column("rank")
    table.add_column("method")
    for info in infos:
        table.add_column(_heading(info), justify="right")
    table.add_column("s/case", justify="right")
    table.add_column("failed", justify="right")
    for row in board.rows:
        table.add_row(
            rank_text(row),
            row.method.title,
            *(cell(row.aggregate(info.id), info) for info in infos),
            "–" if row.seconds_median is None else f"{row.seconds_median:.2f}",
            str(row.failed),
        )
    return table


def print_verdict(verdict: Verdict, infos: Sequence[MetricInfo]) -> None:
    """The verdict of a trial: each case, the values beside the baselines', the outcome. `infos` are the task's columns."""
    if verdict.cases:
        out.print(_case_table(verdict, infos))
        for case in verdict.cases:
            if case.code:
                out.print(f"{case.case}: {case.code}: {case.reason}", markup=False)
            if case.hint:
                out.print(f"{case.case}: hint: {case.hint}", markup=False)
        out.print()
        out.print(_comparison_table(verdict, infos))
    for flag in verdict.flags:
        out.print(f"Flag: {flag}", markup=False)
    for note in verdict.notes:
        out.print(note, markup=False)
    out.print()
    out.print(f"{verdict.outcome.upper()} in {verdict.seconds:.0f} s. {verdict.sentence}", markup=False)


def _case_table(verdict: Verdict, infos: Sequence[MetricInfo]) -> Table:
    limits = verdict.limits
    title = f"{verdict.task}, edition {verdict.edition}, canary cases, {verdict.engine}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("case")
    table.add_column("state")
    table.add_column(f"s of {limits.seconds:g}", justify="right")
    table.add_column(f"MiB of {limits.memory_mb}", justify="right")
    units = {info.id: info.unit for info in infos}
    by_case = [info for info in infos if any(s.metric == info.id for case in verdict.cases for s in case.scores)]
    for info in by_case:
        table.add_column(_heading(info), justify="right")
    for case in verdict.cases:
        values = {score.metric: score.value for score in case.scores}
        peak = case.cost.peak_memory_mb if case.cost else None
        table.add_row(
            case.case,
            "ok" if case.ok else case.code,
            f"{case.seconds:.1f}",
            "–" if peak is None else f"{peak:.0f}",
            *(number(values[info.id], units[info.id]) if info.id in values else "–" for info in by_case),
        )
    return table


def _comparison_table(verdict: Verdict, infos: Sequence[MetricInfo]) -> Table:
    count = len(verdict.cases)
    table = Table(
        title=f"Beside the baselines, on the same {count} canary cases (means)",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("method")
    for info in infos:
        table.add_column(_heading(info), justify="right")
    rows = [("yours", verdict.aggregates), *((item.title, item.aggregates) for item in verdict.baselines)]
    for name, aggregates in rows:
        values = {item.metric: item for item in aggregates}
        # Without intervals: those of a few cases would say more than they can.
        table.add_row(name, *(number(values[i.id].value, i.unit) if i.id in values else "–" for i in infos))
    return table


def _heading(info: MetricInfo) -> str:
    arrow = "↑" if info.direction == "higher" else "↓"
    return f"{info.title} {arrow}" + (f" ({info.unit})" if info.unit else "")
