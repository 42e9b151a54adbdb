"""Boards as LaTeX tables (booktabs): value and interval, the best in bold together with what is tied with it.

No stranger's text can act in LaTeX: every character that means something to TeX is replaced by a command that prints it. Braces
become commands too, since BibTeX counts them even behind a backslash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from benchmark.contract import Aggregate, Board, MetricInfo, Row
from benchmark.scoring import sampling_for
from benchmark.statistics import bootstrap
from benchmark.statistics.bootstrap import Resampling
from leaderboard import numbers
from leaderboard.exports import KIND, clean
from leaderboard.records import BoardData
from leaderboard.tables import Tables, tables_of

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "\u00a0": "~",
    "→": r"$\rightarrow$", "←": r"$\leftarrow$", "↔": r"$\leftrightarrow$", "−": "$-$", "×": r"$\times$", "·": r"$\cdot$",
    "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "∞": r"$\infty$", "°": r"$^{\circ}$", "²": "$^{2}$",
    "³": "$^{3}$", "µ": r"$\mu$", "μ": r"$\mu$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$",
    "σ": r"$\sigma$", "τ": r"$\tau$", "λ": r"$\lambda$", "Δ": r"$\Delta$", "–": "--", "—": "---", "…": r"\ldots{}",
    "“": "``", "”": "''", "‘": "`", "’": "'",
}  # fmt: skip

DRAWS = 2000
"""Draws for the paired differences that decide what is bold."""


@lru_cache(maxsize=4096)
def escape(text: str) -> str:
    """Text for LaTeX and BibTeX, on one line: characters that TeX acts on are printed. Letters of other scripts stay as they
    are and need LuaLaTeX or XeLaTeX."""
    return re.sub(r"\s+", " ", "".join(_ESCAPES.get(c, c) for c in clean(text).replace("\t", " "))).strip()


def board_table(data: BoardData, places: Mapping[str, int], address: str, tables: Tables | None = None) -> str:
    """The whole board. `places` gives the decimals of each metric; `address` (escaped by the caller) is where it stands. `tables`
    holds the values of single cases, where somebody has put them together already."""
    board = data.board
    tables = tables or tables_of(data)
    drawn: dict[bytes, Resampling] = {}
    bold = {metric.id: best(data, metric, places[metric.id], tables, drawn) for metric in board.metrics}
    first = {row.method.name for row in board.rows[:1]} | set(board.rows[0].tied_with if board.rows else ())
    return _table(board, board.rows, places, bold, first, address)


def row_table(board: Board, row: Row, places: Mapping[str, int], address: str) -> str:
    """One row in the same columns. Nothing is bold: there is nothing to compare."""
    return _table(board, [row], places, {}, set(), address)


def best(
    data: BoardData,
    metric: MetricInfo,
    places: int,
    tables: Tables | None = None,
    drawn: dict[bytes, Resampling] | None = None,
) -> set[str]:
    """Names of the rows to set in bold in one column: the best mean, whatever shows the same digits, and every row whose paired
    difference from it has a 95 % bootstrap interval that holds 0. Rows whose own interval lies apart from the best one's are not
    looked at further; set-level metrics have no pairs, so only equal digits count."""
    tables = tables or tables_of(data)
    rows = [(r, row, row.aggregate(metric.id)) for r, row in enumerate(data.board.rows)]
    rows = [item for item in rows if not math.isnan(item[2].value)]
    if not rows:
        return set()
    sign = 1.0 if metric.direction == "lower" else -1.0
    champion, _, top = min(rows, key=lambda item: sign * item[2].value)
    shown = numbers.number(top.value, places)
    found = {row.method.name for _, row, a in rows if numbers.number(a.value, places) == shown}
    values = tables.values[:, :, [metric.id for metric in data.board.metrics].index(metric.id)]
    own, lacking = values[champion], np.isnan(values[champion])
    if lacking.all():
        return found
    others = [
        (r, row.method.name)
        for r, row, a in rows
        if row.method.name not in found and a.low <= top.high and top.low <= a.high
    ]
    if not others:
        return found
    # The listed cases come first in the tables.
    listed = np.flatnonzero(~lacking[: len(data.cases)])
    drawn = {} if drawn is None else drawn
    sampling = drawn.get(listed.tobytes())
    if sampling is None:
        cases = [data.cases[int(i)] for i in listed]
        sampling = drawn[listed.tobytes()] = sampling_for(data.board.task, cases, draws=DRAWS)
    for r, name in others:
        if (np.isnan(values[r]) != lacking).any():
            continue
        with np.errstate(invalid="ignore"):
            difference = values[r, listed] - own[listed]
        if not np.isfinite(difference).all():
            continue
        interval = bootstrap.mean_interval(difference, sampling)
        if interval.low <= 0 <= interval.high:
            found.add(name)
    return found


def _table(
    board: Board,
    rows: Sequence[Row],
    places: Mapping[str, int],
    bold: Mapping[str, set[str]],
    first: set[str],
    address: str,
) -> str:
    task, data = board.task, board.dataset
    levels = sorted({a.level for row in rows for a in row.aggregates}) or [bootstrap.LEVEL]
    level = escape(", ".join(f"{100 * value:g}%" for value in levels))
    caption = (
        f"{escape(task.title)} (task {escape(task.name)} version {escape(task.version)}, data {escape(data.edition)}: "
        f"{KIND[data.kind]}, {board.split} split). Values with {level} intervals; rank with the ranks that the data allow."
    )
    if bold:
        caption += " Bold: best, and not told apart from the best by paired bootstrap."
    heads = [
        escape(metric.title)
        + (f" {{[}}{escape(metric.unit)}{{]}}" if metric.unit else "")
        + (r" $\downarrow$" if metric.direction == "lower" else r" $\uparrow$")
        for metric in board.metrics
    ]
    lines = [
        f"% {address}",
        f"% scorer {escape(board.scorer)}",
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:radbench-{re.sub(r'[^a-z0-9]+', '-', task.name)}}}",
        rf"\begin{{tabular}}{{ll{'r' * len(heads)}}}",
        r"\toprule",
        " & ".join(["Rank", "Method", *heads]) + r" \\",
        r"\midrule",
    ]
    for row in rows:
        rank = numbers.rank(row.rank)
        cells = [
            _bold(rank, row.method.name in first)
            + ("" if row.rank_low == row.rank_high else f" ({numbers.rank_span(row.rank_low, row.rank_high)})").replace(
                "–", "--"
            ),
            escape(row.method.title),
        ]
        for metric in board.metrics:
            cells.append(_cell(row.aggregate(metric.id), places[metric.id], row.method.name in bold.get(metric.id, ())))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _cell(a: Aggregate, places: int, bold: bool) -> str:
    text = _bold(_number(a.value, places), bold)
    if a.low == a.high:
        return text
    return f"{text} {{[}}{_number(a.low, places)}, {_number(a.high, places)}{{]}}"


def _bold(text: str, bold: bool) -> str:
    return rf"\textbf{{{text}}}" if bold else text


def _number(value: float, places: int) -> str:
    return numbers.number(value, places).replace("−", "$-$").replace("∞", r"$\infty$").replace("—", "---")
