"""Paired tests of every two submissions at once, and Holm's correction: what the rule `significance` counts.

Where cases come from patients with several each, a patient's cases are averaged first: they are not independent, and a test that
took them for independent would find differences by counting slices.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmark.statistics.bootstrap import BLOCK, SEED, THREADS, Resampling

Floats = NDArray[np.float64]
PairedTest = Literal["wilcoxon", "permutation"]
FLIPS = 9_999
"""Sign flips of the permutation test; the identity is counted besides."""
ALPHA = 0.05


def wins(
    losses: Floats,
    sampling: Resampling,
    testable: NDArray[np.bool_],
    test: PairedTest = "wilcoxon",
    alpha: float = ALPHA,
) -> Floats:
    """For each submission and metric, how many others are significantly better: (submissions, metrics).

    `losses` (submissions, cases, metrics), smaller is better. One-sided paired tests of every ordered pair, Holm over all of a
    metric. Metrics that are not `testable` (one value for all cases) give 0. Raises `ValueError` for an unknown test.
    """
    if test not in ("wilcoxon", "permutation"):
        raise ValueError(f"unknown paired test {test!r}")
    whole = by_unit(losses, sampling)
    teams, _, metrics = losses.shape
    better, worse = np.empty((2, teams * (teams - 1) // 2, metrics))

    def one(pairs: slice) -> None:
        differences = _differences(whole, pairs)
        if test == "wilcoxon":
            z = signed_rank_z(differences)
            better[pairs], worse[pairs] = ndtr(z), ndtr(-z)
        else:
            better[pairs], worse[pairs] = sign_flip_p(differences)

    _in_threads(one, whole)
    return _counted(better, worse, teams, testable, alpha)


def _in_threads(work: Callable[[slice], None], losses: Floats) -> None:
    """`work` on all pairs of submissions, in blocks whose differences stay within `BLOCK`."""
    teams, units, metrics = losses.shape
    pairs = teams * (teams - 1) // 2
    step = max(1, BLOCK // (32 * units * max(metrics, 1)))
    step = max(1, min(step, -(-pairs // THREADS)))
    # Sorting and compiled loops, which are most of the work, let other threads run.
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda start: work(slice(start, min(start + step, pairs))), range(0, pairs, step)))


def by_unit(losses: Floats, sampling: Resampling) -> Floats:
    """Losses averaged over the cases of each unit: (submissions, units, metrics)."""
    if sampling.units == losses.shape[1]:
        return losses
    size = np.bincount(sampling.unit)
    member = (sampling.unit == np.arange(sampling.units)[:, None]) / size[:, None]  # (units, cases)
    return np.asarray(member @ losses)


def _differences(losses: Floats, pairs: slice) -> Floats:
    """First less second of those of all pairs, in the order of `np.triu_indices`: (pairs, units, metrics)."""
    first, second = members(losses.shape[0], pairs)
    return np.asarray(losses[first] - losses[second])


def members(teams: int, pairs: slice) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Both submissions of each of these pairs."""
    before = np.concatenate([[0], np.cumsum(np.arange(teams - 1, 0, -1))])  # pairs whose first comes earlier
    number = np.arange(pairs.start, pairs.stop)
    first = np.searchsorted(before, number, side="right") - 1
    return first, number - before[first] + first + 1


def _rows(differences: Floats) -> Floats:
    """(rows, cases, columns) as (rows · columns, cases)."""
    return np.ascontiguousarray(np.moveaxis(differences, 1, 2)).reshape(-1, differences.shape[1])


def _counted(better: Floats, worse: Floats, teams: int, testable: NDArray[np.bool_], alpha: float) -> Floats:
    """`better` (pairs, metrics): p-values of "the first of the pair has the smaller loss"; `worse` of the contrary."""
    first, second = np.triu_indices(teams, 1)
    total = np.zeros((teams, len(testable)))
    for m in np.flatnonzero(testable):
        rejected = holm(np.concatenate([better[:, m], worse[:, m]]), alpha)
        np.add.at(total[:, m], second, rejected[: len(first)])
        np.add.at(total[:, m], first, rejected[len(first) :])
    return total


def signed_rank_z(differences: Floats) -> Floats:
    """Wilcoxon's signed-rank statistic of `differences` (rows, cases, columns) as a normal deviate, along the cases.

    Zero differences are dropped, ties share their mean rank and correct the variance; no continuity correction (Hollander &
    Wolfe, Nonparametric Statistical Methods, 3rd ed., 3.1). Rows without any difference give 0.
    """
    ordered = np.sort(_rows(differences), axis=1)
    return np.asarray(_deviates(ordered)).reshape(differences.shape[0], differences.shape[2])


@njit(cache=True, nogil=True)
def _deviates(ordered: Any) -> Any:
    """The deviate of each row (rows, cases) of ascending differences; 0 where one is NaN.

    Positive and negative ones are two ascending lists of sizes; merging them ranks all sizes without another sort. All sums are
    of quarters, hence exact.
    """
    rows, n = ordered.shape
    out = np.zeros(rows)
    for r in range(rows):
        d = ordered[r]
        if n == 0 or np.isnan(d[n - 1]):
            continue
        i = np.searchsorted(d, 0.0) - 1  # the smallest negative one
        j = np.searchsorted(d, 0.0, side="right")  # the smallest positive one
        passed, plus, squares = 0.0, 0.0, 0.0
        while i >= 0 or j < n:
            size = np.inf
            if i >= 0:
                size = -d[i]
            if j < n and d[j] < size:
                size = d[j]
            negative, positive = 0.0, 0.0
            while i >= 0 and -d[i] == size:
                negative += 1.0
                i -= 1
            while j < n and d[j] == size:
                positive += 1.0
                j += 1
            tied = negative + positive
            mean_rank = passed + (tied + 1.0) / 2.0
            plus += positive * mean_rank
            squares += tied * mean_rank * mean_rank
            passed += tied
        # With mean ranks the variance of the sum of signed ranks is a quarter of the sum of squares: the tie correction is in it.
        if squares > 0.0:
            out[r] = (plus - passed * (passed + 1.0) / 4.0) / np.sqrt(squares / 4.0)
    return out


def sign_flip_p(differences: Floats, flips: int = FLIPS, seed: int = SEED) -> tuple[Floats, Floats]:
    """One-sided p-values of the paired permutation test on the mean of `differences` (rows, cases, columns): (rows, columns) for
    a mean below 0, and for one above 0.

    Under the null each difference is as likely with either sign. All 2^cases flips where those are at most `flips`, else `flips`
    seeded ones and the identity (Phipson & Smyth 2010: never 0).
    """
    rows, n, columns = differences.shape
    flat = _rows(differences)
    if 2**n <= flips + 1:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        rng = np.random.default_rng(seed)
        signs = np.concatenate([np.ones((1, n)), rng.integers(0, 2, (flips, n)) * 2.0 - 1.0])
    below, above = np.zeros(len(flat)), np.zeros(len(flat))
    step = max(1, BLOCK // (8 * len(signs)))
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        sums, seen = signs @ part.T, part.sum(axis=1)
        slack = 1e-9 * np.abs(part).sum(axis=1)  # a sum over the same numbers in another order is the same sum
        below[start : start + step] = np.count_nonzero(sums <= seen + slack, axis=0)
        above[start : start + step] = np.count_nonzero(sums >= seen - slack, axis=0)
    return (below / len(signs)).reshape(rows, columns), (above / len(signs)).reshape(rows, columns)


def holm(p: Floats, alpha: float = ALPHA) -> NDArray[np.bool_]:
    """Holm's step-down decision for each p-value at family-wise level `alpha` (Scand. J. Stat. 1979)."""
    return np.asarray(holm_adjusted(p) <= alpha)


def holm_adjusted(p: Floats) -> Floats:
    """Holm's adjusted p-values: reject at level α where the adjusted value is at most α."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
