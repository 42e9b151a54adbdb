"""Significant wins in each draw of the bootstrap, for boards of a thousand submissions: half a million pairs, a thousand draws each.

Nothing is kept of most pairs. Of both one-sided tests of a pair at most one can reject, so Holm's bar for a deviate lies between that
of the first step and that of the step after half of the tests, which are close: nearly every pair is on one side of both in each
draw and is counted at once. What lies between is kept until the number of rejections of its draw is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmark.statistics.bootstrap import BLOCK, THREADS, Resampling
from benchmark.statistics.paired import ALPHA, PairedTest, by_unit, members

Floats = NDArray[np.float64]
HELD = 64 << 20
"""Bytes of undecided deviates that may wait; where more would, draws are taken in parts."""
WAITING = 0.02
"""Share of the deviates for which room is made. Where more wait, the work is done again with half of the draws."""
ENTRY = 16
"""Bytes of one that waits."""
SMALL = 30_000
"""Cases up to which sums of ranks are held in 32 bits: n (n + 1) must fit."""


def drawn_wins(
    losses: Floats,
    sampling: Resampling,
    testable: NDArray[np.bool_],
    test: PairedTest = "wilcoxon",
    alpha: float = ALPHA,
) -> Floats:
    """`paired.wins` in each draw of the bootstrap: (draws, submissions, metrics).

    The permutation test is taken by its normal approximation here: under sign flips Σd has mean 0 and variance Σd².
    """
    teams, _, metrics = losses.shape
    out = np.zeros((sampling.draws, teams, metrics))
    chosen = np.flatnonzero(testable)
    if teams < 2 or not len(chosen):
        return out
    whole = by_unit(losses[:, :, chosen], sampling)
    counts = np.zeros((sampling.draws, whole.shape[1]))
    counts[:, sampling.unit] = sampling.counts  # all cases of a unit are drawn alike
    pairs = teams * (teams - 1) // 2
    # Holm on 2·pairs one-sided tests: with k rejected, the next needs p ≤ α/(2·pairs − k), hence a deviate at least this large.
    needed = -ndtri(alpha / (2 * pairs - np.arange(pairs + 1)))
    step = max(1, int(HELD / (ENTRY * WAITING * pairs * len(chosen))))
    todo = [slice(start, min(start + step, sampling.draws)) for start in range(0, sampling.draws, step)]
    while todo:
        part = todo.pop()
        won = _wins(whole, counts[part], test, needed)
        if won is None:
            middle = (part.start + part.stop) // 2
            todo += [slice(middle, part.stop), slice(part.start, middle)]
        else:
            out[part][:, :, chosen] = won.transpose(2, 1, 0)
    return out


def _wins(losses: Floats, counts: Floats, test: PairedTest, needed: Floats) -> NDArray[np.int32] | None:
    """Of `losses` (submissions, units, metrics) in these draws (draws, units): (metrics, submissions, draws); None where too much
    waits and there is more than one draw."""
    teams, units, metrics = losses.shape
    draws, pairs = len(counts), len(needed) - 1
    # Some 8 MiB of deviates at a time, which stay near the processor.
    step = max(1, min(BLOCK // (64 * max(4 * units, draws) * metrics), -(-pairs // THREADS)))
    room = max(HELD // (ENTRY * THREADS), pairs * metrics if draws == 1 else 0)
    across = Draws(counts) if test == "wilcoxon" else None

    def work(starts: Sequence[int]) -> tuple[NDArray[np.int32], tuple[NDArray[Any], ...]] | None:
        won, used = np.zeros((metrics, teams, draws), np.int32), 0
        # Empty room takes memory only where it is filled.
        waiting = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        for start in starts:
            first, second = members(teams, slice(start, min(start + step, pairs)))
            differences = np.ascontiguousarray(np.moveaxis(losses[first] - losses[second], 1, 2)).reshape(-1, units)
            z = across.signed_ranks(differences) if across else _normal(differences, counts)
            used = _count(z, first, second, needed[-1], needed[0], won, *waiting, used)
            if used < 0:
                return None
        return won, tuple(column[:used] for column in waiting)

    with ThreadPoolExecutor(THREADS) as pool:  # compiled loops, which are most of the work, let other threads run
        found = list(pool.map(work, [range(w * step, pairs, THREADS * step) for w in range(THREADS)]))
    kept = [one for one in found if one is not None]
    if len(kept) < len(found):
        return None
    won = np.asarray(np.sum([own for own, _ in kept], axis=0, dtype=np.int32))
    which, when, deviate = (np.concatenate(columns) for columns in zip(*(waited for _, waited in kept), strict=True))
    order = np.lexsort((-deviate, when, which // teams))
    _settle(won, which[order], when[order], deviate[order], needed)
    return won


@njit(cache=True, nogil=True)
def _count(
    z: Any, first: Any, second: Any, low: float, high: float, won: Any, which: Any, when: Any, deviate: Any, used: int
) -> int:
    """Adds to `won` (metrics, submissions, draws) what `z` (pairs · metrics, draws; negative where the first is better) says for
    sure; what lies between `low` and `high` is put behind the `used` ones that wait. How many wait now; −1 where they have no room.
    """
    rows, draws = z.shape
    metrics, teams, _ = won.shape
    for r in range(rows):
        a, b, m = first[r // metrics], second[r // metrics], r % metrics
        of_first, of_second, own = won[m, a], won[m, b], z[r]
        between = 0
        for i in range(draws):
            of_first[i] += own[i] >= high
            of_second[i] += own[i] <= -high
            between += (abs(own[i]) >= low) & (abs(own[i]) < high)
        if between > len(which) - used:
            return -1
        for i in range(draws if between else 0):
            if low <= abs(own[i]) < high:
                which[used] = m * teams + (a if own[i] > 0 else b)
                when[used] = i
                deviate[used] = abs(own[i])
                used += 1
    return used


@njit(cache=True)
def _settle(won: Any, which: Any, when: Any, deviate: Any, needed: Any) -> None:
    """Those that waited, by metric, draw and from the largest on: Holm's bar falls as long as more pass it."""
    _, teams, _ = won.shape
    start = 0
    while start < len(which):
        m, draw = which[start] // teams, when[start]
        stop = start
        while stop < len(which) and which[stop] // teams == m and when[stop] == draw:
            stop += 1
        sure = 0
        for team in range(teams):
            sure += won[m, team, draw]
        passed, rejected = start, -1
        while sure + passed - start > rejected:
            rejected = sure + passed - start
            while passed < stop and deviate[passed] >= needed[rejected]:
                passed += 1
        for i in range(start, passed):
            won[m, which[i] % teams, draw] += 1
        start = stop


def _normal(differences: Floats, counts: Floats) -> Floats:
    """Σd / √Σd² of each row (rows, units) in each draw (draws, units): (rows, draws); 0 where there is no difference."""
    spread = np.sqrt(counts @ (differences**2).T)
    found = np.divide(counts @ differences.T, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.ascontiguousarray(found.T)


class Draws:
    """Draws (draws, units), laid out for the signed ranks of many rows."""

    def __init__(self, counts: Floats) -> None:
        # Draws side by side: they advance through the sorted cases together.
        self.across = np.ascontiguousarray(counts.T)
        size = counts.sum(axis=1)
        small = size.max(initial=0) < SMALL
        self.whole = self.across.astype(np.int16 if small else np.int64)
        self.total = (size * (size + 1) / 2).astype(np.int32 if small else np.int64)
        # Where no two cases tie, ranks tie only as often as a draw repeats a case: with ties of sizes t the squares of mean ranks
        # sum to n (n + 1) (2 n + 1) / 6 − Σ (t³ − t) / 12, whatever the pair. All are sums of quarters, hence exact.
        squares = size * (size + 1) * (2 * size + 1) / 6 - (counts**3 - counts).sum(axis=1) / 12
        self.root = np.sqrt(np.where(squares > 0, squares, 1.0))

    def signed_ranks(self, differences: Floats) -> Floats:
        """`paired.signed_rank_z` of each row (rows, units) in each draw: (rows, draws)."""
        order = np.argsort(np.abs(differences), axis=1)  # among ties the order is all one
        return np.asarray(_signed_ranks(differences, order, self.across, self.whole, self.total, self.root))


@njit(cache=True, nogil=True, error_model="numpy")
def _signed_ranks(differences: Any, order: Any, across: Any, whole: Any, total: Any, root: Any) -> Any:
    """Each row is sorted once (`order`, by size); a draw then only says how often each place is taken.

    The cases up to one hold the ranks 1 to P in a draw, of sum P (P + 1) / 2. A run of cases of one sign hence holds the difference
    of two such sums: only the counts must be added up case by case. That needs sizes that all differ; other rows go the long way.
    """
    rows, n = differences.shape
    draws = whole.shape[1]
    out = np.zeros((rows, draws))
    passed = np.empty(draws, total.dtype)
    plus = np.empty(draws, total.dtype)  # twice the sum of positive ranks
    scratch = np.empty((5, draws))
    for r in range(rows):
        d, places, z = differences[r], order[r], out[r]
        simple = abs(d[places[0]]) > 0.0
        for i in range(1, n):
            simple &= abs(d[places[i]]) > abs(d[places[i - 1]])
        if not simple:
            _tied_ranks(d, places, across, scratch, z)
            continue
        passed[:] = 0
        plus[:] = 0
        positive = d[places[0]] > 0
        for i in range(n):
            if (d[places[i]] > 0) != positive:
                positive = not positive
                if positive:
                    for b in range(draws):
                        plus[b] -= passed[b] * (passed[b] + 1)
                else:
                    for b in range(draws):
                        plus[b] += passed[b] * (passed[b] + 1)
            counts = whole[places[i]]
            for b in range(draws):
                passed[b] += counts[b]
        if positive:
            for b in range(draws):
                plus[b] += passed[b] * (passed[b] + 1)
        for b in range(draws):
            z[b] = (plus[b] - total[b]) / root[b]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _tied_ranks(d: Any, places: Any, across: Any, scratch: Any, z: Any) -> None:
    """One row in which differences are 0 (which are dropped), or tie (which share their mean rank). All sums are of quarters."""
    n, draws = len(d), len(z)
    passed, signed, squares, tied, balance = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    passed[:] = 0.0
    signed[:] = 0.0
    squares[:] = 0.0
    i = 0
    while i < n and d[places[i]] == 0.0:
        i += 1
    while i < n:
        size = abs(d[places[i]])
        tied[:] = 0.0
        balance[:] = 0.0
        while True:
            sign = 1.0 if d[places[i]] > 0 else -1.0
            counts = across[places[i]]
            for b in range(draws):
                tied[b] += counts[b]
                balance[b] += sign * counts[b]
            i += 1
            if i == n or abs(d[places[i]]) != size:
                break
        for b in range(draws):
            mean_rank = passed[b] + (tied[b] + 1.0) / 2.0
            signed[b] += mean_rank * balance[b]
            squares[b] += mean_rank * mean_rank * tied[b]
            passed[b] += tied[b]
    for b in range(draws):
        z[b] = signed[b] / np.sqrt(squares[b]) if squares[b] > 0.0 else 0.0
