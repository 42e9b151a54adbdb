"""Tables of single cases. Built as text in one go: an edition may hold millions of these cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from leaderboard import numbers
from leaderboard.charts import bars
from leaderboard.charts.svg import round_out
from leaderboard.exports import clean
from leaderboard.measured import Entry, Measured, Shape
from leaderboard.scale import Scale
from leaderboard.tables import FAILED, Tables
from leaderboard.views import STATUS, BoardView, Column


def case_rows(table: Measured, order: Sequence[str], columns: Sequence[Column]) -> Markup:
    """Rows of the table of one submission: a value for each metric, and how it came about where it is not plain.

    Cases in the given order, then any that the order does not name. A missing or invalid output is the same for all
    metrics; an emptiness may concern one alone, so all are named.
    """
    places = tuple((column.info.id, column.places) for column in columns)
    form, shown = _form(table.shape, tuple(order), places)
    values = table.values.tolist()
    return Markup(form % tuple(numbers.number(values[i], digits) for i, digits in shown))


@lru_cache(maxsize=32)
def _form(
    shape: Shape, order: tuple[str, ...], places: tuple[tuple[str, int], ...]
) -> tuple[str, list[tuple[int, int]]]:
    """The rows with `%s` for each value, and what stands there: which value of the table, and its decimals."""
    own: dict[str, dict[str, int]] = {}
    for i, (case, metric, *_) in enumerate(shape.entries):
        own.setdefault(case, {})[metric] = i
    known = [case for case in order if case in own]
    rows: list[str] = []
    shown: list[tuple[int, int]] = []
    for case in [*known, *sorted(own.keys() - set(known))]:
        rows.append(_row(case, {metric: shape.entries[i] for metric, i in own[case].items()}, places))
        used = ((own[case].get(metric), digits) for metric, digits in places)
        shown += [(i, digits) for i, digits in used if i is not None and _counts(shape.entries[i])]
    return "".join(rows), shown


def _counts(entry: Entry | None) -> bool:
    return entry is not None and entry[3] != "excluded"


def _row(case: str, entries: Mapping[str, Entry], places: Sequence[tuple[str, int]]) -> str:
    cells = "".join(f'<td class="num">{"%s" if _counts(entries.get(id)) else "—"}</td>' for id, _ in places)
    odd = [(status, reason) for *_, status, reason in entries.values() if status != "ok"]
    words, kind = '<td class="status">ok</td>', ""
    if odd:
        states = ", ".join(dict.fromkeys(STATUS[status] for status, _ in odd))
        reasons = " ".join(dict.fromkeys(reason for _, reason in odd if reason))
        failed = any(status in FAILED for status, _ in odd)
        kind = ' class="bad"' if failed else ""
        words = (
            f'<td class="status"><strong>{escape(states)}</strong>{" (worst value)" if failed else ""}'
            f"{': ' + escape(clean(reasons)) if reasons else ''}</td>"
        )
    head = f'<tr{kind}><th scope="row">{escape(clean(case))}</th>'
    return f"{head.replace('%', '%%')}{cells}{words.replace('%', '%%')}</tr>\n"


@lru_cache(maxsize=32)
def errors(shape: Shape) -> list[tuple[str, list[str]]]:
    """Reasons of missing and invalid outputs, the most frequent first, each with its cases."""
    found: dict[str, dict[str, None]] = {}
    for case, _, _, status, reason in shape.entries:
        if status in FAILED:
            found.setdefault(reason or STATUS[status], {})[case] = None
    return sorted(((reason, list(cases)) for reason, cases in found.items()), key=lambda item: (-len(item[1]), item[0]))


@dataclass(frozen=True)
class Hardness:
    """One case over all submissions: how hard it is."""

    case: str
    medians: tuple[str, ...]
    """Median over the submissions, one a metric."""
    ranges: tuple[str, ...]
    """From the worst to the best submission."""
    drawn: tuple[Markup, ...]
    """From the median of the submissions to the best of them; one scale a metric."""
    failed: int
    """Submissions without a valid output."""


def by_case(view: BoardView, tables: Tables) -> dict[int, Column]:
    """The board's columns that have values on single cases, each with a scale for these; metrics of the whole set have none."""
    return {
        m: replace(column, scale=_scale(column, tables.values[:, :, m]))
        for m, column in enumerate(view.columns)
        if not np.isnan(tables.values[:, :, m]).all()
    }


def hardness(tables: Tables, columns: Mapping[int, Column]) -> list[Hardness]:
    """Every case with what the submissions got on it, in the columns of `by_case`; nothing where there is none."""
    return [_hardness(c, case, tables, columns) for c, case in enumerate(tables.cases)] if columns else []


def _hardness(c: int, case: str, tables: Tables, columns: Mapping[int, Column]) -> Hardness:
    medians, ranges, drawn = [], [], []
    for m, column in columns.items():
        values = tables.values[:, c, m]
        values = values[~np.isnan(values)]
        if not values.size:
            medians.append("—")
            ranges.append("")
            drawn.append(Markup(""))
            continue
        low, median, high = float(values.min()), float(np.median(values)), float(values.max())
        best = low if column.info.direction == "lower" else high
        medians.append(column.text(median))
        ranges.append(numbers.span(low, high, column.places))
        drawn.append(bars.bar(column.scale, median, min(median, best), max(median, best)))
    return Hardness(case, tuple(medians), tuple(ranges), tuple(drawn), int(tables.failed[:, c].sum()))


def _scale(column: Column, values: NDArray[np.float64]) -> Scale | None:
    """A scale that holds, of every case, the median over the submissions and the best of them; `values` (rows, cases)."""
    some = values[:, ~np.isnan(values).all(axis=0)]
    if not some.size:
        return None
    best = np.nanmin(some, axis=0) if column.info.direction == "lower" else np.nanmax(some, axis=0)
    ends = np.concatenate([best, np.nanmedian(some, axis=0)])
    return Scale(*round_out(ends.tolist()))
