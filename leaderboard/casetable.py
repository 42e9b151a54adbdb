"""Tables of single cases. Built as text in one go: an edition may hold millions of these cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from benchmark.contract import Score
from leaderboard import numbers
from leaderboard.charts import bars
from leaderboard.charts.svg import round_out
from leaderboard.exports import clean
from leaderboard.scale import Scale
from leaderboard.tables import Tables
from leaderboard.views import STATUS, BoardView, Column


def case_rows(scores: Sequence[Score], order: Sequence[str], columns: Sequence[Column]) -> Markup:
    """Rows of the table of one submission: a value for each metric, and how it came about where it is not plain.

    Cases in the given order, then any that the order does not name. A missing or invalid output is the same for all
    metrics; an emptiness may concern one alone, so all are named.
    """
    own: dict[str, dict[str, Score]] = {}
    for score in scores:
        of_case = own.get(score.case)
        if of_case is None:
            of_case = own[score.case] = {}
        of_case[score.metric] = score
    known = [case for case in order if case in own]
    places = [(column.info.id, column.places) for column in columns]
    return Markup("".join(_row(case, own[case], places) for case in [*known, *sorted(own.keys() - set(known))]))


def _row(case: str, scores: Mapping[str, Score], places: Sequence[tuple[str, int]]) -> str:
    cells = []
    odd = []
    for id, digits in places:
        score = scores.get(id)
        if score is None or score.status == "excluded":
            cells.append('<td class="num">—</td>')
        else:
            cells.append(f'<td class="num">{numbers.number(score.value, digits)}</td>')
    for score in scores.values():
        if score.status != "ok":
            odd.append(score)
    status, kind = '<td class="status">ok</td>', ""
    if odd:
        words = ", ".join(dict.fromkeys(STATUS[s.status] for s in odd))
        reasons = " ".join(dict.fromkeys(s.reason for s in odd if s.reason))
        failed = any(s.status in ("missing", "invalid") for s in odd)
        kind = ' class="bad"' if failed else ""
        status = (
            f'<td class="status"><strong>{escape(words)}</strong>{" (worst value)" if failed else ""}'
            f"{': ' + escape(clean(reasons)) if reasons else ''}</td>"
        )
    return f'<tr{kind}><th scope="row">{escape(clean(case))}</th>{"".join(cells)}{status}</tr>\n'


def errors(scores: Sequence[Score]) -> list[tuple[str, list[str]]]:
    """Reasons of missing and invalid outputs, the most frequent first, each with its cases."""
    found: dict[str, dict[str, None]] = {}
    for score in scores:
        if score.status in ("missing", "invalid"):
            found.setdefault(score.reason or STATUS[score.status], {})[score.case] = None
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
