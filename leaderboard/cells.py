"""Cells of the large tables, built as text: a board of a thousand rows has tens of thousands of them, too many for a template."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup, escape

from leaderboard import numbers
from leaderboard.exports import clean
from leaderboard.views import Cell, Column


def metric_cell(cell: Cell) -> Markup:
    """A value with its interval in the board's table."""
    a = cell.aggregate
    return Markup(
        f'<td class="metric" data-value="{a.value!r}" data-low="{a.low!r}" data-high="{a.high!r}"><span class="value">{cell.value}</span> '
        f'<span class="interval"><span class="hidden">{numbers.percent(a.level)} interval </span>{cell.span}</span>{cell.bar}'
        f"{_excluded(a.n_excluded)}</td>"
    )


def result_row(cell: Cell) -> Markup:
    """A metric as a row of a submission's own table."""
    a, column = cell.aggregate, cell.column
    median = "—" if a.median is None else column.text(a.median)
    worst = f'<span class="small">{a.n_worst} at worst value</span>' if a.n_worst else ""
    return Markup(
        f'<tr><th scope="row">{_titled(column)}<span class="small">{column.better}</span></th>'
        f'<td class="num"><span class="value">{cell.value}</span></td>'
        f'<td class="num">{cell.span}<span class="small">{numbers.percent(a.level)}</span></td><td>{cell.bar}{_axis(column)}</td>'
        f'<td class="num">{median}</td><td class="num">{a.n}{worst}{_excluded(a.n_excluded)}</td></tr>'
    )


def case_head(column: Column) -> Markup:
    """The heading of a metric in the table of a submission's cases; its worst cases come first when it is sorted."""
    first = "ascending" if column.info.direction == "higher" else "descending"
    return Markup(f'<th scope="col" class="num" data-sort="number" data-first="{first}">{_titled(column)}</th>')


def _titled(column: Column) -> str:
    return _title(column.info.title, column.info.unit)


@lru_cache(maxsize=256)
def _title(title: str, unit: str) -> str:
    """A metric's title with its unit; every row of a board has it."""
    after = f' <span class="unit">[{escape(clean(unit))}]</span>' if unit else ""
    return f"{escape(clean(title))}{after}"


def _axis(column: Column) -> str:
    if column.scale is None:
        return ""
    low, high = column.ends
    return f'<span class="axis"><span>{low}</span><span>{high}</span></span>'


def _excluded(n: int) -> str:
    return f'<span class="small">{n} excluded for all</span>' if n else ""
