"""Ranking rules by name, each with rank intervals from the shared bootstrap. Ties are shown as ties and broken by nothing.

`mean_of_ranks`: competition ranks a metric and case, averaged (as BraTS and many MICCAI challenges do).
`rank_of_means`: rank a metric by its mean, then average the ranks.
`significance`: rank = 1 + number of submissions that are significantly better (paired Wilcoxon, Holm), averaged over metrics.
`synthrad2023`: (mean − worst)/(best − worst) over all rows, summed over metrics; it moves when a bad team joins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

from benchmark.statistics.bootstrap import LEVEL, Resampling, means, percentile_interval

TOLERANCE = 1e-9
"""Differences of a ranking statistic below this are rounding, hence ties."""


@dataclass(frozen=True)
class Ranks:
    """One entry a submission, in the order that came in."""

    statistic: NDArray[np.float64]
    """What the rule sorts by; smaller is better."""
    rank: NDArray[np.float64]
    """Competition rank: 1 is best, equals share the lowest."""
    low: NDArray[np.float64]
    """Best rank in the bootstrap interval."""
    high: NDArray[np.float64]
    """Worst rank in the bootstrap interval."""
    tied: NDArray[np.bool_]
    """(submissions, submissions): the interval of the paired difference holds 0."""


def rank(losses: NDArray[np.float64], rule: str, sampling: Resampling, level: float = LEVEL) -> Ranks:
    """Rank submissions from per-case `losses` (submissions, cases, metrics), where smaller is better.

    A set-level metric comes as the same value for every case. Raises `ValueError` for an unknown rule.
    """
    if rule == "significance":
        point = _significance(losses)
        drawn = np.stack([_significance(_redrawn(losses, counts)) for counts in sampling.counts[:200]])
    elif rule in ("mean_of_ranks", "rank_of_means", "synthrad2023"):
        point, drawn = _by_means(losses, rule, sampling)
    else:
        raise ValueError(f"unknown ranking rule {rule!r}")
    ranks = competition(point)
    drawn_ranks = np.apply_along_axis(competition, 1, drawn)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn_ranks, [tail, 1 - tail], axis=0, method="nearest")
    tied = np.eye(len(point), dtype=bool)
    for a in range(len(point)):
        for b in range(a):
            ends = percentile_interval(drawn[:, a] - drawn[:, b], level)
            tied[a, b] = tied[b, a] = ends[0] <= TOLERANCE and ends[1] >= -TOLERANCE
    return Ranks(point, ranks, np.minimum(low, ranks), np.maximum(high, ranks), tied)


def competition(statistic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Competition ranks ("1224"), smaller is better; values that differ by rounding only are equal."""
    return rankdata(np.round(statistic / TOLERANCE) * TOLERANCE, method="min").astype(np.float64)


def _by_means(
    losses: NDArray[np.float64], rule: str, sampling: Resampling
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if rule == "mean_of_ranks":
        scores = rankdata(losses, method="min", axis=0).mean(axis=2)  # (submissions, cases)
        return scores.mean(axis=1), means(sampling.counts, scores.T)
    by_metric = np.moveaxis(losses, 0, 1)  # (cases, submissions, metrics)
    point, drawn = by_metric.mean(axis=0), means(sampling.counts, by_metric)
    if rule == "rank_of_means":
        return rankdata(point, method="min", axis=0).mean(axis=1), rankdata(drawn, method="min", axis=1).mean(axis=2)
    return _min_max(point, 0), _min_max(drawn, 1)


def _min_max(mean_losses: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    best = mean_losses.min(axis=axis, keepdims=True)
    spread = mean_losses.max(axis=axis, keepdims=True) - best
    scaled = np.divide(mean_losses - best, spread, out=np.zeros_like(mean_losses), where=spread > 0)
    return scaled.sum(axis=-1)


def _redrawn(losses: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return losses[:, np.repeat(np.arange(losses.shape[1]), counts.astype(int))]


def _significance(losses: NDArray[np.float64], alpha: float = 0.05) -> NDArray[np.float64]:
    """1 + number of significantly better submissions, averaged over metrics; Holm over all ordered pairs of a metric."""
    teams, _, metrics = losses.shape
    first, second = np.triu_indices(teams, 1)
    z = signed_rank_z(losses[first] - losses[second])  # (pairs, metrics); negative: the first has the smaller loss
    total = np.zeros(teams)
    for m in range(metrics):
        rejected = holm(np.concatenate([ndtr(z[:, m]), ndtr(-z[:, m])]), alpha)
        np.add.at(total, second, rejected[: len(first)])
        np.add.at(total, first, rejected[len(first) :])
    return 1 + total / metrics


def signed_rank_z(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wilcoxon's signed-rank statistic of `differences` (rows, cases, columns) as a normal deviate, along the cases.

    Zero differences are dropped, ties share their mean rank and correct the variance; no continuity correction (Hollander &
    Wolfe, Nonparametric Statistical Methods, 3rd ed., 3.1). Rows without any difference give 0. One vectorised pass, since a
    bootstrap needs it some hundred thousand times.
    """
    size = np.abs(differences)
    nonzero = size > 0
    n = nonzero.sum(axis=1)
    zeros = differences.shape[1] - n
    ranks = rankdata(size, axis=1) - zeros[:, None, :]  # zeros are smallest: the others' ranks move down by their number
    ranks = np.where(nonzero, ranks, 0.0)
    plus = np.where(differences > 0, ranks, 0.0).sum(axis=1)
    # With mean ranks the variance of the sum of signed ranks is a quarter of the sum of squares: the tie correction is in it.
    variance = (ranks**2).sum(axis=1) / 4
    return np.divide(plus - n * (n + 1) / 4, np.sqrt(variance), out=np.zeros_like(plus), where=variance > 0)


def holm(p: NDArray[np.float64], alpha: float = 0.05) -> NDArray[np.bool_]:
    """Holm's step-down decision for each p-value at family-wise level `alpha` (Scand. J. Stat. 1979)."""
    order = np.argsort(p, kind="stable")
    passed = p[order] <= alpha / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected
