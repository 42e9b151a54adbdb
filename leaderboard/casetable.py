"""Tables of single cases. Built as text in one go: an edition may hold millions of these cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from benchmark.contract import Score
from leaderboard import numbers
from leaderboard.charts import bars
from leaderboard.exports import clean
from leaderboard.scale import Scale
from leaderboard.tables import Tables
from leaderboard.views import STATUS, BoardView, Column


def case_rows(scores: Sequence[Score], order: Sequence[str], columns: Sequence[Column]) -> Markup:
    """Rows of the table of one submission: a value for each metric, and how it came about where it is not plain.

    Cases in the given order, then any that the order does not name. A missing or invalid output is the same for all
    metrics; an emptiness may concern one alone, so all are named.
    """
    by_case: dict[str, dict[str, Score]] = {}
    for score in scores:
        by_case.setdefault(score.case, {})[score.metric] = score
    known = [case for case in order if case in by_case]
    places = [(column.info.id, column.places) for column in columns]
    return Markup("".join(_row(case, by_case[case], places) for case in [*known, *sorted(by_case.keys() - set(known))]))


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
    """Middle half of the submissions and their median, to the board's scale."""
    failed: int
    """Submissions without a valid output."""


def hardness(view: BoardView, tables: Tables) -> list[Hardness]:
    """Every case with what the submissions got on it."""
    return [_hardness(c, case, view, tables) for c, case in enumerate(tables.cases)]


def _hardness(c: int, case: str, view: BoardView, tables: Tables) -> Hardness:
    medians, ranges, drawn = [], [], []
    for m, column in enumerate(view.columns):
        values = tables.values[:, c, m]
        values = values[~np.isnan(values)]
        if not values.size:
            medians.append("—")
            ranges.append("")
            drawn.append(Markup(""))
            continue
        low, q1, median, q3, high = (float(v) for v in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
        medians.append(column.text(median))
        ranges.append(numbers.span(low, high, column.places))
        drawn.append(bars.bar(_scale(column, tables.values[:, :, m]), median, q1, q3))
    return Hardness(case, tuple(medians), tuple(ranges), tuple(drawn), int(tables.failed[:, c].sum()))


def _scale(column: Column, values: np.ndarray) -> Scale | None:
    """A scale for medians over submissions: the board's own, widened to hold every case's median."""
    if column.scale is None:
        return None
    with np.errstate(all="ignore"):
        medians = np.nanmedian(values, axis=0)
    finite = medians[np.isfinite(medians)]
    if not finite.size:
        return column.scale
    return Scale(min(column.scale.low, float(finite.min())), max(column.scale.high, float(finite.max())))
