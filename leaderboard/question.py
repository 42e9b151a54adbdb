"""The front's question, traditional or generative: the best of each kind on one axis, beside what papers claim."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.charts import bars
from leaderboard.charts.svg import Axis, round_out
from leaderboard.spread import in_brief
from leaderboard.views import MODELS, BoardView, Cell, Column, Line

WIDE = 300.0
"""Width of a drawn interval."""

KINDS = ("traditional", "learned", "generative")


@dataclass(frozen=True)
class Kind:
    """One kind of model on one metric."""

    kind: str
    title: str
    line: Line | None
    """The best row of that kind by the task's first metric; None where there is none."""
    cell: Cell | None
    """Its value on the metric shown."""
    drawn: Markup
    spread: str = ""
    """How much it hangs on the seed of its training, where that is known."""


@dataclass(frozen=True)
class Panel:
    """One metric: the three kinds on one axis."""

    column: Column
    kinds: tuple[Kind, ...]
    ticks: Markup
    claimed: bool
    """Whether it is shown because a paper claims something like it, not because it is the task's first metric."""


@dataclass(frozen=True)
class Question:
    """Traditional or generative, for one task."""

    view: BoardView
    panels: tuple[Panel, ...]
    """The task's first metric, then those that its claims name."""


def question(view: BoardView) -> Question | None:
    """The best classical, learned and generative row by the task's first metric; None where there is none of these.

    The metrics of claims show the same rows: a row is not chosen anew for each of them.
    """
    if not view.columns:
        return None
    best: dict[str, Line] = {}
    sign = 1 if view.columns[0].info.direction == "lower" else -1
    for line in view.lines:
        own = sign * line.cells[0].aggregate.value
        if line.kind not in best or own < sign * best[line.kind].cells[0].aggregate.value:
            best[line.kind] = line
    if not any(kind in best for kind in KINDS):
        return None
    named = [claim.beside for claim in view.board.task.claims if claim.beside]
    others = [i for i, column in enumerate(view.columns) if i and column.info.id in named]
    return Question(view, tuple(_panel(view, best, index) for index in (0, *others)))


def _panel(view: BoardView, best: dict[str, Line], index: int) -> Panel:
    column = view.columns[index]
    cells = {kind: best[kind].cells[index] for kind in KINDS if kind in best}
    triples = {kind: (cell.aggregate.value, cell.aggregate.low, cell.aggregate.high) for kind, cell in cells.items()}
    low, high = round_out([v for triple in triples.values() for v in triple])
    axis = Axis(low, high, 14.0, WIDE - 14.0)
    kinds = []
    for kind in KINDS:
        drawn = bars.wide(axis, kind, *triples[kind], WIDE) if kind in triples else Markup("")
        line = best.get(kind)
        seeds = in_brief(line.row.method, view.board.dataset.edition, column.info.id) if line else ""
        kinds.append(Kind(kind, MODELS[kind], line, cells.get(kind), drawn, seeds))
    return Panel(column, tuple(kinds), bars.tick_row(axis, WIDE), claimed=index > 0)
