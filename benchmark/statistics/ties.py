"""Which submissions the draws do not tell apart: every pair compared in every draw, with little work for most pairs.

A pair is settled when one is ahead in nearly all draws. Pairs far apart are seen to be so from a few of their order statistics;
pairs that lie close are seen to be tied after a few draws; only what is in between is counted out. The answer is that of counting
all.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import LEVEL, THREADS

TOLERANCE = 1e-9
"""Differences of a ranking statistic below this are rounding, hence ties."""


def tied(columns: NDArray[np.float64], level: float = LEVEL) -> NDArray[np.bool_]:
    """Pairs of rows of `columns` (submissions, draws; smaller is better) in which neither is ahead in at least (1 + level)/2 of
    the draws: (submissions, submissions). Being equal, or NaN, is being ahead for neither."""
    teams, draws = columns.shape
    spare = draws - math.ceil(draws * (1 + level) / 2)
    low, high = np.empty(teams), np.empty(teams)
    for a in range(teams):
        # In all but `spare` draws two rows are on their sides of two values of which each leaves out half as many.
        ordered = np.partition(columns[a], (spare // 2, draws - 1 - spare // 2))
        low[a], high[a] = ordered[spare // 2], ordered[draws - 1 - spare // 2]
        if np.isnan(columns[a]).any():
            low[a] = high[a] = np.nan
    found = np.eye(teams, dtype=bool)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda a: _tied(columns, low, high, spare, a, found), range(teams)))
    return found | found.T


@njit(cache=True, nogil=True)
def _tied(columns: Any, low: Any, high: Any, spare: int, a: int, found: Any) -> None:
    """Writes row `a` of `found`, right of the diagonal."""
    teams, draws = columns.shape
    x = columns[a]
    for b in range(a + 1, teams):
        if high[a] < low[b] - TOLERANCE or low[a] > high[b] + TOLERANCE:
            continue
        y = columns[b]
        not_ahead, not_behind, start = 0, 0, 0
        while start < draws and (not_ahead <= spare or not_behind <= spare):
            stop = min(start + 256, draws)
            ahead, behind = 0, 0
            for i in range(start, stop):
                ahead += x[i] < y[i] - TOLERANCE
                behind += x[i] > y[i] + TOLERANCE
            not_ahead += stop - start - ahead
            not_behind += stop - start - behind
            start = stop
        found[a, b] = not_ahead > spare and not_behind > spare
