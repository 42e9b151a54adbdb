"""The fairness of a board: tables of group against submission in colour, the gaps of one submission, the choice of subgroups.

Colour says how far a group lies from the submission's own value, in units of the gap that chance alone would give (the 95th
percentile under shuffled labels): so a table in which nothing is more than chance stays pale.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.fairness import Gap, Group, GroupValue, Partition, Population
from leaderboard import numbers
from leaderboard.lazy import script
from leaderboard.views import BoardView, Column, Line

ROWS = 50
"""Submissions in a table; each has its gaps on its own page too."""

RATES = {"true_positive_rate": "True-positive rate", "false_positive_rate": "False-positive rate"}

HELD = {"small": "too few", "complementary": "withheld", "empty": "no case"}
"""What stands in the cell of a group whose numbers are withheld."""


@dataclass(frozen=True)
class Cell:
    """One group of one submission."""

    text: str
    span: str
    kind: str
    """CSS class: b1 to b3 better than the submission's own value, w1 to w3 worse, held, or nothing."""
    worst: bool
    words: str
    """For who does not see the colour."""


@dataclass(frozen=True)
class HeatRow:
    """One submission."""

    line: Line
    cells: tuple[Cell, ...]
    gap: str
    chance: str
    p: str
    real: bool
    """Whether the gap is more than chance."""


@dataclass(frozen=True)
class Heat:
    """One partition and measure: groups across, submissions down."""

    id: str
    partition: Partition
    measure: str
    unit: str
    better: str
    groups: tuple[tuple[str, str], ...]
    """(name, how many) of each group."""
    rows: tuple[HeatRow, ...]
    first: bool
    """Whether it is of the board's first measure, and so open."""


def heats(view: BoardView, population: Population, *, crossed: bool) -> list[tuple[Partition, list[Heat]]]:
    """The tables of every partition: of single attributes, or of crossings."""
    found = []
    for p, partition in enumerate(population.partitions):
        if (len(partition.attributes) > 1) != crossed or (crossed and not partition.compared):
            continue  # a crossing without groups to compare is named among what cannot be said
        tables = [
            table
            for m, measure in enumerate(_measures(view, partition.name))
            if (table := _heat(f"h-{p}-{m}", view, partition, measure, m == 0, population.minimum)) is not None
        ]
        found.append((partition, tables))
    return found


def _measures(view: BoardView, partition: str) -> list[str]:
    """Measures that any submission has by group: metrics in the board's order, then rates."""
    present = {
        gap.measure
        for line in view.lines
        if line.row.fairness
        for gap in line.row.fairness.gaps
        if gap.partition == partition
    }
    known = [column.info.id for column in view.columns]
    return [id for id in known if id in present] + sorted(present - set(known))


def _gap(line: Line, partition: str, measure: str) -> Gap | None:
    fairness = line.row.fairness
    gaps = fairness.gaps if fairness else ()
    return next((g for g in gaps if (g.partition, g.measure) == (partition, measure)), None)


def _column(view: BoardView, measure: str) -> Column | None:
    return next((column for column in view.columns if column.info.id == measure), None)


def _heat(id: str, view: BoardView, partition: Partition, measure: str, first: bool, minimum: int) -> Heat | None:
    column = _column(view, measure)
    gaps = [(line, gap) for line in view.lines[:ROWS] if (gap := _gap(line, partition.name, measure)) is not None]
    if not gaps:
        return None
    places = column.places if column else 3
    direction = gaps[0][1].direction
    return Heat(
        id, partition,
        column.info.title if column else RATES.get(measure, measure),
        column.info.unit if column else "",
        f"{direction} is better",
        tuple((group.name, _count(group, minimum)) for group in partition.groups),
        tuple(_row(line, gap, partition, places) for line, gap in gaps),
        first,
    )  # fmt: skip


def _count(group: Group, minimum: int) -> str:
    if group.suppressed == "empty":
        return "no case"
    if group.suppressed:
        return f"n < {minimum}" if group.suppressed == "small" else "n withheld"
    return f"n = {group.n}"


def _row(line: Line, gap: Gap, partition: Partition, places: int) -> HeatRow:
    by_name = {value.group: value for value in gap.values}
    compared = [v.value for g in partition.compared if (v := by_name.get(g.name)) is not None and v.value is not None]
    own = next((a.value for a in line.row.aggregates if a.metric == gap.measure), None)
    centre = own if own is not None else sum(compared) / len(compared) if compared else None
    cells = tuple(_cell(group, by_name.get(group.name), gap, centre, places) for group in partition.groups)
    return HeatRow(
        line,
        cells,
        "—" if gap.gap is None else numbers.number(gap.gap, places),
        "—" if gap.null_high is None else numbers.number(gap.null_high, places),
        p_text(gap.p_holm),
        gap.more_than_chance,
    )


def _cell(group: Group, value: GroupValue | None, gap: Gap, centre: float | None, places: int) -> Cell:
    if group.suppressed or value is None or value.value is None:
        why = HELD.get(group.suppressed, "no value")
        return Cell(why, "", "held", False, (value.reason if value is not None else "") or why)
    kind, words = "", ""
    if centre is not None and gap.null_high and group.compared:
        sign = 1 if gap.direction == "higher" else -1
        distance = sign * (value.value - centre) / gap.null_high
        level = sum(abs(distance) >= bound for bound in (0.5, 1.0, 2.0))
        if level:
            kind = f"{'b' if distance > 0 else 'w'}{level}"
            words = f"{'better' if distance > 0 else 'worse'} than the whole"
    span = numbers.span(value.low, value.high, places) if value.low is not None and value.high is not None else ""
    return Cell(numbers.number(value.value, places), span, kind, group.name == gap.worst, words)


def p_text(p: float | None) -> str:
    """A p-value to two digits."""
    return "—" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


@dataclass(frozen=True)
class GapLine:
    """One gap on a submission's page."""

    partition: str
    measure: str
    best: str
    worst: str
    gap: str
    span: str
    chance: str
    p: str
    real: bool
    note: str


def gap_lines(view: BoardView, line: Line) -> list[GapLine]:
    """The gaps of one submission by single attributes."""
    population, fairness = view.board.population, line.row.fairness
    if population is None or fairness is None:
        return []
    single = {p.name: p.title for p in population.partitions if len(p.attributes) == 1}
    found = []
    for gap in fairness.gaps:
        if gap.partition not in single:
            continue
        column = _column(view, gap.measure)
        places = column.places if column else 3
        title = column.info.title if column else RATES.get(gap.measure, gap.measure)
        unit = f" {column.info.unit}" if column and column.info.unit else ""
        values = {v.group: v.value for v in gap.values if v.value is not None}

        def named(group: str, values: dict[str, float] = values, places: int = places) -> str:
            return f"{group} ({numbers.number(values[group], places)})" if group in values else "—"

        has = gap.gap is not None
        found.append(
            GapLine(
                single[gap.partition], title, named(gap.best), named(gap.worst),
                f"{numbers.number(gap.gap, places)}{unit}" if gap.gap is not None else "—",
                numbers.span(gap.gap_low, gap.gap_high, places) if gap.gap_low is not None and gap.gap_high is not None else "",
                numbers.number(gap.null_high, places) if has and gap.null_high is not None else "—",
                p_text(gap.p_holm), gap.more_than_chance, gap.note,
            )
        )  # fmt: skip
    return found


def subgroups(view: BoardView) -> tuple[str, dict[str, bytes]]:
    """What the board's choice of cases offers, as JSON for the page, and the values of each group as scripts."""
    population = view.board.population
    options: list[dict[str, object]] = []
    files: dict[str, bytes] = {}
    for partition in population.partitions if population else ():
        if len(partition.attributes) > 1:
            continue
        for g, group in enumerate(partition.groups):
            if group.suppressed:
                continue
            values = {
                line.row.method.name: _triples(view.columns, line, partition.name, group.name) for line in view.lines
            }
            if not any(any(v != [None] for v in own) for own in values.values()):
                continue
            id, file = f"{partition.name}.{g}", f"groups/{partition.name}-{g}.js"
            options.append({"id": id, "file": file, "title": f"{partition.title}: {group.name}", "n": group.n})
            files[f"{view.folder}{file}"] = script(id, values)
    return (json.dumps(options, ensure_ascii=False, sort_keys=True) if options else ""), files


def _triples(columns: Sequence[Column], line: Line, partition: str, group: str) -> list[list[float | None]]:
    triples: list[list[float | None]] = []
    for column in columns:
        gap = _gap(line, partition, column.info.id)
        value = next((v for v in gap.values if v.group == group), None) if gap else None
        triples.append([None] if value is None or value.value is None else [value.value, value.low, value.high])
    return triples
