"""The numbers of a board once more, from its published tables alone, by the functions that made them.

What comes out is the part of `board.json` that follows from the tables, in the same shape, and the names of what does not, with the
reason. Nothing in between is left open: `compared` tells of every value of a board that is neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark import audit, curves, metrics, release, scoring, setlevel
from benchmark import board as boards
from benchmark.contract import Case, Method, Row
from benchmark.federation import pooling
from benchmark.statistics import derived, population
from leaderboard import setparts
from leaderboard.downloads import ATTRIBUTES
from leaderboard.records import BoardData

STATED: Mapping[str, str] = {
    "task": "the task's declaration, apart from what other numbers follow from",
    "dataset": "what the data edition says of itself, apart from the number of scored cases",
    "split": "which split was scored",
    "scorer": "which code scored",
    "data_digest": "a hash over data that are not published",
    "rows.*.method": "what a submission says of itself, and the spread of its training",
    "rows.*.run": "key of a run",
    "rows.*.score": "key of a score",
    "rows.*.digest": "digest of what was run",
    "rows.*.engine": "where it ran",
    "rows.*.hardware": "where it ran",
    "rows.*.flags": "remarks on a run",
    "rows.*.seconds_median": "times that were measured when it ran",
    "rows.*.seconds_start": "times that were measured when it ran",
    "rows.*.cost": "times, memory and energy that were measured when it ran",
    "rows.*.reproduction": "what came out when it was run again, whose outputs are not published",
}
"""Of every board: what follows from no table, because it was declared or measured. By path in `board.json`, `*` for every entry."""

FEATURES = "features of images, which are not published: much of an image can be had back from them"


@dataclass
class Recomputed:
    """What follows from the tables."""

    values: dict[str, Any] = field(default_factory=dict)
    """The part of `board.json` that does, in its shape."""
    unchecked: dict[str, str] = field(default_factory=dict)
    """By path, what does not on this board, and why; beside `STATED`."""


def recomputed(data: BoardData) -> Recomputed:
    """Everything of `data.board` that its tables give. What the board itself says is looked at only where it must be taken as said.

    Raises `ValueError`, `KeyError`, `DataError` and the like for tables that do not fit the board.
    """
    board, task = data.board, data.board.task
    found = Recomputed()
    found.values["dataset"] = {"counts": {board.split: len(data.cases)}} if board.dataset.counts else {}
    found.values["metrics"] = [info.model_dump() for info in boards.describe(task)]
    found.values["rows"] = [{} for _ in board.rows]
    if not board.rows or not data.cases:
        found.values |= {"notes": list(board.notes), "warnings": [], "agreement": None, "population": None}
        found.unchecked["notes"] = "a board without rows or cases"
        return found
    by_name = {row.method.name: own for row, own in zip(board.rows, found.values["rows"], strict=True)}
    rows = sorted(board.rows, key=lambda row: row.method.name)
    methods = [row.method for row in rows]
    _of_rows(data, rows, by_name, found)
    drawn = _ranks(data, rows, by_name, found)
    _audit(data, rows, by_name, found)
    _sites(data, rows, by_name, found)
    certain = set(boards.set_level_warning(task, len(rows), 0)) & set(board.warnings)
    found.values["notes"] = boards.notes(task, board.dataset, data.cases, board.rows, drawn=not certain)
    _agreement(data, rows, methods, drawn, found)
    return found


def _of_rows(data: BoardData, rows: Sequence[Row], by_name: Mapping[str, dict[str, Any]], found: Recomputed) -> None:
    """Aggregates, failed cases and curves."""
    task = data.board.task
    levels = {used.id: metrics.find(used.name).level for used in task.metrics}
    for row in rows:
        table, told = data.scores[row.method.name], data.parts.get(row.method.name, {})
        parts = {id: [own[case.id] for case in data.cases] for id, own in told.items()}
        known = tuple(m for m in task.metrics if levels[m.id] == "case" or m.id in parts)
        made = scoring.aggregate(task.model_copy(update={"metrics": known}), data.cases, table, parts)
        again = {a.metric: a.model_dump() for a in made}
        own = by_name[row.method.name]
        own["aggregates"] = [again.get(used.id, {}) for used in task.metrics]
        own["failed"] = len({s.case for s in table if s.status in ("missing", "invalid")})
        if told or not row.curves:
            own["curves"] = [curve.model_dump() for curve in curves.curves(task, data.cases, told)]
        else:
            found.unchecked["rows.*.curves"] = (
                f"curves of {row.method.name} come from {setparts.NAME}, which is not there"
            )
    lacking = sorted(
        id
        for id, level in levels.items()
        if level == "set" and any(id not in data.parts.get(r.method.name, {}) for r in rows)
    )
    for id in lacking:
        images = metrics.find(task.metric(id).name).family == "distribution"
        why = FEATURES if images else f"what the cases add, which is not published ({setparts.NAME})"
        found.unchecked[f"rows.*.aggregates.{id}"] = f"{id} is taken over the whole set, from {why}"


def _ranks(
    data: BoardData, rows: Sequence[Row], by_name: Mapping[str, dict[str, Any]], found: Recomputed
) -> int | None:
    """Ranks, their intervals, ties. Returns of how many rows the set-level metrics were drawn again; None where that is not known."""
    task = data.board.task
    if task.ranking.attributes and (why := _untold(data)):
        found.unchecked["rows.*.rank"] = f"ranks by performance and fairness need attributes of single cases: {why}"
        for name in ("rank_low", "rank_high", "tied_with"):
            found.unchecked[f"rows.*.{name}"] = found.unchecked["rows.*.rank"]
        return 0
    draws = setlevel.sampling(task, data.cases)
    # Rows whose scores came without what the cases add: the board was ranked without draws of such metrics, and says so.
    certain = draws is not None and any("leave out how uncertain" in text for text in data.board.warnings)
    told = [data.parts.get(row.method.name, {}) for row in rows] if draws is not None and not certain else []
    drawn = [setlevel.drawn(task, data.cases, own, draws) for own in told if draws is not None]
    whole = [own for own in drawn if own is not None]
    tables = [data.scores[row.method.name] for row in rows]
    ranks = boards.ranked(task, data.cases, tables, [row.aggregates for row in rows], whole)
    hidden = len(whole) < len(drawn)
    for i, row in enumerate(rows):
        own = by_name[row.method.name]
        own["rank"] = float(ranks.rank[i])
        if not hidden:
            own["rank_low"], own["rank_high"] = float(ranks.low[i]), float(ranks.high[i])
            own["tied_with"] = [other.method.name for j, other in enumerate(rows) if j != i and ranks.tied[i, j]]
    if hidden:
        for name in ("rank_low", "rank_high", "tied_with"):
            found.unchecked[f"rows.*.{name}"] = (
                "rank intervals and ties draw metrics of the whole set again, from what the cases add to them, which is not published"
            )
        return None
    return len(rows) if draws is not None and not certain else 0


def _untold(data: BoardData) -> str:
    """Why attributes of single cases are not known; empty where they are."""
    if data.attributes_told:
        return ""
    board = data.board
    if board.dataset.kind == "phantom":
        return f"{ATTRIBUTES} is not there"
    if not board.task.fairness.attributes_by_case:
        return release.UNASKED
    return "attributes of single cases are not published, since some combinations of them are of too few patients"


def _agreement(
    data: BoardData, rows: Sequence[Row], methods: Sequence[Method], drawn: int | None, found: Recomputed
) -> None:
    """Orders by other rules, and the warnings, which follow from these."""
    task = data.board.task
    if task.ranking.attributes and (why := _untold(data)):
        for name in ("agreement", "warnings"):
            found.unchecked[name] = f"the board's own rule needs attributes of single cases: {why}"
        return
    tables = [data.scores[row.method.name] for row in rows]
    compared = None
    if len(rows) > 1:
        compared = boards.agreement(task, data.cases, tables, methods, [row.aggregates for row in rows])
    found.values["agreement"] = compared.model_dump() if compared else None
    known = len(rows) if drawn is None else drawn
    found.values["warnings"] = [
        *boards.set_level_warning(task, len(rows), known), *(compared.warnings if compared else ())
    ]  # fmt: skip


def _audit(data: BoardData, rows: Sequence[Row], by_name: Mapping[str, dict[str, Any]], found: Recomputed) -> None:
    """Population and fairness: from the attributes of the cases where they are published, else what follows from the groups' values."""
    board, task = data.board, data.board.task
    if not audit.auditable(task, data.cases):
        found.values["population"] = None
        for own in by_name.values():
            own["fairness"] = None
        return
    people = board.population
    by_set = [used.id for used in task.metrics if metrics.find(used.name).level == "set"]
    told = [data.parts.get(row.method.name, {}) for row in rows]
    whole = bool(by_set) and all(id in own for own in told for id in by_set)
    stored = (
        whole or not by_set or any("is not stored" in t for r in rows if r.fairness for t in r.fairness.unmeasurable)
    )
    why = _untold(data)
    if why or not stored:
        found.unchecked["rows.*.fairness"] = (
            f"values, intervals and tests by group: {why or f'some measures come from {FEATURES}'}"
        )
        for row in rows:
            if row.fairness is not None and people is not None:
                by_name[row.method.name]["fairness"] = derived.consequences(row.fairness, people, task.fairness)
    if why:
        found.unchecked["population"] = f"who the cases are: {why}"
        if people is not None:
            least = task.fairness.smallest(board.dataset.kind)
            found.values["population"] = {"n": len(data.cases), "patients": _patients(data), "minimum": least}
        return
    if not stored:
        found.values["population"] = population.group(task, data.cases, board.dataset.kind).population.model_dump()
        return
    parts = [{id: [own[case.id] for case in data.cases] for id, own in one.items()} for one in told] if whole else None
    tables = [data.scores[row.method.name] for row in rows]
    everyone, made = audit.fairness(task, data.cases, board.dataset.kind, tables, parts)
    found.values["population"] = everyone.model_dump()
    for row, one in zip(rows, made, strict=True):
        by_name[row.method.name]["fairness"] = one.model_dump()


def _patients(data: BoardData) -> int:
    cluster = data.board.task.cluster
    return len({case.attributes.get(cluster, "") or f"\0{case.id}" for case in data.cases} if cluster else data.cases)


def _sites(data: BoardData, rows: Sequence[Row], by_name: Mapping[str, dict[str, Any]], found: Recomputed) -> None:
    """The values of single sites. Cases know their site by name, or by an opaque number that its value gives a name to."""
    board = data.board
    for row in rows:
        own = by_name[row.method.name]
        if not board.dataset.sites:
            own["sites"] = []
            continue
        summed = {value.site for line in row.sites for value in line.sites if not value.by_case}
        table = data.scores[row.method.name]
        named = _named_sites(data, row)
        if named is None:
            found.unchecked["rows.*.sites"] = "values of sites: the sites of single cases are not published"
            continue
        made = [line.model_dump() for line in pooling.by_site(board.task, named, table, ())]
        if not summed:
            own["sites"] = made
            continue
        # Sites that sent sums alone: what they sent is taken as said, and the mean over all sites follows.
        again = {line["metric"]: {v["site"]: v for v in line["sites"]} for line in made}
        own["sites"] = [derived.site_metric(line, again.get(line.metric, {})) for line in row.sites]
        found.unchecked["rows.*.sites"] = (
            f"values of {', '.join(sorted(summed))}, which sent sums alone, and intervals over all sites with them"
        )


def _named_sites(data: BoardData, row: Row) -> list[Case] | None:
    """The cases with their sites' names; None where a group of cases has the value of none."""
    if data.attributes_told:
        return list(data.cases)
    groups = scoring.drawing_groups(data.cases, data.board.task.stratify, "unknown")
    if not groups or not row.sites:
        return None
    table = data.scores[row.method.name]
    names: dict[str, str] = {}
    for number in sorted(set(groups.values())):
        fits = None
        for line in row.sites:
            values = [
                s.value
                for s in table
                if s.metric == line.metric and groups.get(s.case) == number and s.status != "excluded"
            ]
            near = {
                v.site for v in line.sites
                if v.by_case and values and v.n == len(values) and np.isclose(v.value, np.mean(values), rtol=1e-9, atol=0)
            }  # fmt: skip
            fits = near if fits is None else fits & near
        if not fits:
            return None
        names[number] = min(fits)
    return [
        case.model_copy(update={"attributes": {**case.attributes, pooling.SITE: names[groups[case.id]]}})
        for case in data.cases
    ]


# ---------------------------------------------------------------- comparing


TOLERANCE = 1e-9
"""Relative difference up to which two machines may differ in a sum."""


LASTING = (
    "rows.*.aggregates", "rows.*.rank", "rows.*.rank_low", "rows.*.rank_high", "rows.*.tied_with", "rows.*.failed", "rows.*.curves",
    "dataset",
)  # fmt: skip
"""What every version of radbench must make alike. The rest may be tested by other shuffles or told in other entries by another one."""


@dataclass
class Compared:
    """What comparing a board with what its tables give found."""

    differences: list[str] = field(default_factory=list)
    """Every value of what lasts (`LASTING`) that is another, in words."""
    further: list[str] = field(default_factory=list)
    """Every other value that is another."""
    numbers: int = 0
    """Numbers that were compared."""


def compared(published: Mapping[str, Any], made: Recomputed, *, texts: bool = True) -> Compared:
    """Every value of a board's record (as `Board.model_dump`) with what the tables give. Without `texts`, sentences are passed over."""
    found = Compared()
    untold = {*STATED, *made.unchecked}
    absent = _Absent()

    def told_otherwise(kind: str, where: str, a: object, b: object) -> None:
        lasting = any(kind == name or kind.startswith(f"{name}.") for name in LASTING)
        text = f"{where} is {_short(a)}, the cases give {_short(b)}"
        (found.differences if lasting else found.further).append(text)

    def walk(a: Any, b: Any, kind: str, where: str, scale: float) -> None:
        if isinstance(b, _Absent) and any(kind == name or kind.startswith(f"{name}.") for name in untold):
            return
        if isinstance(a, Mapping) and isinstance(b, Mapping | _Absent):
            own = _scale(a) if kind.count(".") else 0.0
            for key, value in a.items():
                other = absent if isinstance(b, _Absent) else b.get(key, absent)
                walk(value, other, f"{kind}.{key}".lstrip("."), _place(where, str(key), value), max(scale, own))
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple | _Absent):
            if not isinstance(b, _Absent) and len(a) != len(b):
                told_otherwise(kind, where, f"{len(a)} entries", f"{len(b)} entries")
                return
            size = max((abs(v) for v in a if isinstance(v, float) and np.isfinite(v)), default=scale)
            for i, value in enumerate(a):
                other = b if isinstance(b, _Absent) else b[i]
                # Metrics that cannot be had stand beside others that can: their entries go by name.
                entry = value["metric"] if kind == "rows.*.aggregates" else "*"
                walk(value, other, f"{kind}.{entry}", f"{where} {_label(value, i)}".strip(), size)
        elif isinstance(b, _Absent):
            told_otherwise(kind, where, a, "nothing")
        else:
            found.numbers += isinstance(a, int | float) and not isinstance(a, bool)
            if isinstance(a, str) and isinstance(b, str) and not texts:
                return
            if not same(a, b, 0.0 if kind.rpartition(".")[2] in EXACT else scale):
                told_otherwise(kind, where, a, b)

    walk(published, made.values, "", "", 0.0)
    return found


class _Absent:
    """What the tables say nothing of."""


EXACT = {"p", "p_holm", "tau", "cramers_v", "ratio", "i_squared", "rank", "rank_low", "rank_high", "level"}
"""Numbers that are no sums of values: another scale than their own would only blur them."""


def _scale(item: Mapping[str, Any]) -> float:
    """The size of the values that a record's numbers are differences of."""
    values = [item.get("value"), *(v.get("value") for v in item.get("values", ()) if isinstance(v, Mapping))]
    return max((abs(v) for v in values if isinstance(v, float) and np.isfinite(v)), default=0.0)


def same(a: object, b: object, scale: float) -> bool:
    """Whether two values are the same but for the rounding of a sum over numbers of that size."""
    if (
        isinstance(a, float | int)
        and isinstance(b, float | int)
        and not isinstance(a, bool)
        and not isinstance(b, bool)
    ):
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        return bool(a == b or (a != a and b != b) or abs(a - b) <= TOLERANCE * max(abs(a), abs(b), scale))
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        return False
    return type(a) is type(b) and a == b


def _label(value: Any, place: int) -> str:
    """What an entry of a list is called in a sentence."""
    if isinstance(value, Mapping):
        if isinstance(value.get("method"), Mapping):
            return f"{value['method']['name']}:"
        keys = (
            "partition",
            "measure",
            "metric",
            "kind",
            "rule",
            "group",
            "site",
            "first",
            "second",
            "id",
            "name",
            "without",
        )
        named = [str(value[key]) for key in keys if isinstance(value.get(key), str)]
        if named:
            return ", ".join(named) + ":"
    return f"[{place}]"


def _place(where: str, key: str, value: Any) -> str:
    return where if isinstance(value, list | tuple) and key in ("rows", "values") else f"{where} {key}".strip()


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 90 else f"{text[:87]}…"


def reasons(made: Recomputed) -> Iterator[str]:
    """What could not be recomputed of this board, each reason once."""
    yield from dict.fromkeys(text for text in made.unchecked.values() if text)
