"""The per-case tables of a board as one array, and what is drawn from it: mean ranks and how they vary over the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.contract import Board, Score
from benchmark.scoring import sampling_for
from benchmark.statistics import bootstrap
from benchmark.statistics.ranking import TOLERANCE
from leaderboard.measured import Shape, measured
from leaderboard.records import BoardData

DRAWS = 1000
"""Draws for the picture of how stable ranks are; the rank intervals of the table are the board's own."""

FAILED = ("missing", "invalid")


@dataclass(frozen=True)
class Tables:
    """All per-case values of a board."""

    cases: tuple[str, ...]
    """Case ids, the middle axis."""
    values: NDArray[np.float64]
    """(rows, cases, metrics) in the board's order; NaN where there is no value: set-level metrics, excluded cases."""
    failed: NDArray[np.bool_]
    """(rows, cases): whether the output was missing or invalid, so that the values are the worst ones."""

    def of(self, row: int, metric: int) -> NDArray[np.float64]:
        """The values of valid outputs of one row and metric."""
        column = self.values[row, :, metric]
        return column[~self.failed[row] & ~np.isnan(column)]


def tables_of(
    data: BoardData, scores: Mapping[str, Sequence[Score]] | None = None, names: Mapping[str, str] | None = None
) -> Tables:
    """Put the score tables into one array; cases that no listing names come last.

    With `scores`, those are taken, under the ids that `names` gives to the cases.
    """
    board = data.board
    found = measured(data.scores if scores is None else scores)
    tables = [found.get(row.method.name) for row in board.rows]
    shapes = {table.shape for table in tables if table is not None}
    named = {case for shape in shapes for case, *_ in shape.entries}
    if names is None:
        names = {case: case for case in named}
    known = [case.id for case in data.cases]
    further = sorted({names[case] for case in named} - set(known))
    order = {id: i for i, id in enumerate([*known, *further])}
    cases = {id: order[name] for id, name in names.items() if name in order}
    metrics = {metric.id: i for i, metric in enumerate(board.metrics)}
    values = np.full((len(board.rows), len(order), len(metrics)), np.nan)
    failed = np.zeros((len(board.rows), len(order)), bool)
    places = {shape: _places(shape, cases, metrics) for shape in shapes}
    for r, table in enumerate(tables):
        if table is not None:
            own, case, metric, bad = places[table.shape]
            values[r, case, metric] = table.values[own]
            failed[r, bad] = True
    return Tables(tuple(order), values, failed)


def _places(
    shape: Shape, cases: Mapping[str, int], metrics: Mapping[str, int]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Which values of a table are shown, with the case and the metric of each; and the cases without a valid output."""
    used = [
        (i, cases[case], metrics[metric], status)
        for i, (case, metric, _, status, _) in enumerate(shape.entries)
        if status != "excluded" and metric in metrics
    ]
    bad = [case for _, case, _, status in used if status in FAILED]
    return [i for i, *_ in used], [case for _, case, *_ in used], [metric for _, _, metric, _ in used], bad


@dataclass(frozen=True)
class Standing:
    """Where the rows of a board stand by the mean of their ranks."""

    mean_rank: NDArray[np.float64]
    """(rows,): mean over cases and ranking metrics of the rank among all rows."""
    frequency: NDArray[np.float64]
    """(rows, ranks): in which part of the draws the row took rank 1, 2, …"""


def standing(data: BoardData, tables: Tables) -> Standing | None:
    """Mean ranks and their bootstrap; None with fewer than two rows or where no ranking metric has values on cases.

    A set-level metric ranks every case alike. Ranks within a case are competition ranks, as in the rule `mean_of_ranks`.
    """
    board = data.board
    losses = _losses(board, tables)
    if len(board.rows) < 2 or losses is None:
        return None
    weights = np.asarray(board.task.ranking.weights, float)
    ranks = rankdata(losses, method="min", axis=0) @ weights / weights.sum()  # (rows, cases)
    counts = sampling_for(board.task, data.cases, draws=DRAWS).counts
    drawn = competition_rows(bootstrap.means(counts, np.ascontiguousarray(ranks[:, : counts.shape[1]].T)))
    frequency = np.zeros((len(board.rows), len(board.rows)))
    for r in range(len(board.rows)):
        frequency[r] = np.bincount(drawn[:, r].astype(int) - 1, minlength=len(board.rows)) / len(drawn)
    return Standing(ranks.mean(axis=1), frequency)


def competition_rows(statistic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Competition ranks within each row of `statistic`, as `ranking.competition` gives them."""
    return rankdata(np.round(statistic / TOLERANCE) * TOLERANCE, method="min", axis=1)


def _losses(board: Board, tables: Tables) -> NDArray[np.float64] | None:
    """(rows, cases, ranking metrics), smaller is better, without cases that any row lacks."""
    index = {metric.id: i for i, metric in enumerate(board.metrics)}
    columns, on_cases = [], False
    for id in board.task.ranking.metrics:
        sign = 1.0 if board.metrics[index[id]].direction == "lower" else -1.0
        column = sign * tables.values[:, :, index[id]]
        if np.isnan(column).all():
            column = np.repeat([[sign * row.aggregate(id).value] for row in board.rows], len(tables.cases), axis=1)
        else:
            on_cases = True
        columns.append(np.nan_to_num(column, nan=np.inf, posinf=np.inf, neginf=-np.inf))
    return np.stack(columns, axis=2) if on_cases else None
