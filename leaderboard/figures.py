"""The figures of a task page: which rows and measures they show, and how many."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from leaderboard import numbers
from leaderboard.charts import curves, difference, rows, scatter
from leaderboard.charts.svg import round_out_log
from leaderboard.records import BoardData
from leaderboard.tables import Tables, standing
from leaderboard.views import MODELS, BoardView, Column, Line

LINES = 20
"""Charts with a line for each submission show so many, the best ranked ones."""
POINTS = 200
"""The scatter shows so many."""

NOTHING = Markup("")


@dataclass(frozen=True)
class Figures:
    """Drawings of one board; empty where there is too little to draw."""

    scatter: Markup = NOTHING
    cost: Markup = NOTHING
    distributions: tuple[tuple[str, str, Markup], ...] = ()
    """(metric id, title, drawing), one a metric that has values on cases."""
    difference: Markup = NOTHING
    stability: Markup = NOTHING
    curves: tuple[tuple[str, str, Markup], ...] = ()
    """(heading, what it shows, drawing) of each curve of a detection task."""
    sensitivities: tuple[tuple[Line, tuple[tuple[str, str], ...]], ...] = ()
    """(row, value and interval at each rate of the FROC curve)."""
    cut: int = 0
    """How many rows are left out of the charts with a line each."""


def figures(data: BoardData, view: BoardView, tables: Tables) -> Figures:
    """All figures of a task page."""
    if not view.lines:
        return Figures()
    shown = view.lines[:LINES]
    columns = [column for column in view.columns if column.scale is not None]
    time = time_measure(view)
    distributions = []
    for m, column in enumerate(view.columns):
        lines = [
            rows.Cases(line.row.method.title, line.kind, tables.of(i, m), line.row.failed)
            for i, line in enumerate(shown)
        ]
        if any(line.values.size for line in lines):
            info = column.info
            drawn = rows.distribution(f"d-{m}", lines, info.title, info.unit, info.direction, column.places)
            distributions.append((info.id, info.title, drawn))
    cut = max(0, len(view.lines) - LINES)
    many = sum(line.row.seconds_median is not None for line in view.lines) > 1
    return Figures(
        scatter=_scatter("scatter", view, _measure(columns[0]), _measure(columns[1]))
        if len(columns) > 1
        else Markup(""),
        cost=_scatter("cost", view, time, _measure(columns[0])) if columns and many else Markup(""),
        distributions=tuple(distributions),
        curves=_curves(view),
        sensitivities=_sensitivities(view),
        cut=cut,
        **_ranks(data, view, tables, shown),
    )


def time_measure(view: BoardView) -> scatter.Measure:
    """Seconds a case, on a logarithmic axis."""
    low, high = round_out_log(s for line in view.lines if (s := line.row.seconds_median) is not None)
    return scatter.Measure("time", "Time", "s/case", "lower", low, high, log=True)


def _measure(column: Column) -> scatter.Measure:
    scale, info = column.scale, column.info
    assert scale is not None
    return scatter.Measure(info.id, info.title, info.unit, info.direction, scale.low, scale.high)


def _scatter(id: str, view: BoardView, horizontal: scatter.Measure, vertical: scatter.Measure) -> Markup:
    points = [
        scatter.Point(
            line.row.method.name, line.row.method.title, line.kind,
            _triple(line, horizontal.id), _triple(line, vertical.id),
            f"{line.row.method.title}: {_words(view, line, horizontal.id)}, {_words(view, line, vertical.id)}",
        )
        for line in view.lines[:POINTS]
        if horizontal.id != "time" or line.row.seconds_median is not None
    ]  # fmt: skip
    return scatter.scatter(id, points, horizontal, vertical)


def _triple(line: Line, id: str) -> tuple[float, float, float]:
    if id == "time":
        assert line.row.seconds_median is not None
        return (line.row.seconds_median,) * 3
    a = line.row.aggregate(id)
    return (a.value, a.low, a.high)


def _words(view: BoardView, line: Line, id: str) -> str:
    if id == "time":
        return f"{line.seconds} s a case"
    cell = next(cell for cell in line.cells if cell.column.info.id == id)
    unit = cell.column.info.unit
    return f"{cell.column.info.title} {cell.value}{' ' + unit if unit else ''} ({cell.span})"


def _ranks(data: BoardData, view: BoardView, tables: Tables, shown: tuple[Line, ...]) -> dict[str, Markup]:
    found = standing(data, tables)
    if found is None:
        return {}
    stable = [
        rows.Stability(
            line.row.method.title, line.kind, found.frequency[i].tolist(), line.row.rank, line.row.rank_low, line.row.rank_high
        )
        for i, line in enumerate(shown)
    ]  # fmt: skip
    order = sorted(range(len(shown)), key=lambda i: (found.mean_rank[i], i))
    place = {shown[i].row.method.name: k for k, i in enumerate(order)}
    placed = [
        difference.Placed(
            shown[i].row.method.title,
            shown[i].kind,
            float(found.mean_rank[i]),
            frozenset(place[name] for name in shown[i].row.tied_with if name in place),
        )
        for i in order
    ]
    ranks = min(len(view.lines), len(shown) + 2)
    return {
        "stability": rows.stability("stability", stable, ranks),
        "difference": difference.critical_difference("difference", placed),
    }


ROCS = (
    ("roc_scans", "ROC of scans", "Does a scan hold a lesion? By its most probable mark."),
    ("roc_candidates", "ROC of candidates", "Found lesions against false marks, by probability; lesions without a mark are not in it."),
)  # fmt: skip


def _drawn(view: BoardView, kind: str) -> list[tuple[Line, curves.Drawn]]:
    """The curves of that kind of all rows, in board order."""
    return [
        (line, curves.Drawn(line.row.method.title, line.kind, curve.x, curve.y, curve.low, curve.high))
        for line in view.lines
        for curve in line.row.curves
        if curve.kind == kind
    ]


def _curves(view: BoardView) -> tuple[tuple[str, str, Markup], ...]:
    found = []
    froc = [drawn for _, drawn in _drawn(view, "froc")]
    if froc:
        words = (
            "False positives a scan on a logarithmic axis; signs with intervals at the seven rates whose mean is CPM."
        )
        found.append(("FROC", words, curves.froc("froc", froc)))
    for kind, title, words in ROCS:
        lines = [drawn for _, drawn in _drawn(view, kind)]
        if lines:
            found.append(
                (
                    title,
                    f"{words} The diagonal is what guessing gives.",
                    curves.roc(kind.replace("_", "-"), title, lines),
                )
            )
    return tuple(found)


def _sensitivities(view: BoardView) -> tuple[tuple[Line, tuple[tuple[str, str], ...]], ...]:
    """The seven points of each row as text."""
    found = []
    for line, drawn in _drawn(view, "froc")[:LINES]:
        spans = [numbers.span(low, high, 3) for low, high in zip(drawn.low, drawn.high, strict=True)]
        values = curves.at_rates(drawn)
        points = zip(values, spans or [""] * len(values), strict=True)
        found.append((line, tuple((numbers.number(value, 3), span) for value, span in points)))
    return tuple(found)


def legend_kinds(view: BoardView) -> list[tuple[str, str]]:
    """(kind, title) of the kinds of model on a board, in the figure's order."""
    return [(kind, title) for kind, title in MODELS.items() if any(line.kind == kind for line in view.lines)]
