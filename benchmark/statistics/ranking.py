"""Ranking rules by name, each with rank intervals from the shared bootstrap. Ties are shown as ties and broken by nothing.

`mean_of_ranks`: competition ranks a metric and case, averaged (as BraTS and many MICCAI challenges do).
`rank_of_means`: rank a metric by its mean, then average the ranks.
`significance`: rank = 1 + number of submissions that are significantly better (paired test, Holm), averaged over metrics.
`synthrad2023`: (mean − best)/(worst − best) over all rows, summed over metrics; it moves when a bad team joins.
`performance_and_fairness`: half the mean performance, half 1 − the mean range of the group means, as in the MAMA-MIA challenge
(Garrucho et al. 2025). A useless model that is equally useless for all scores full marks for fairness: read it beside the values.

Metrics may weigh differently (`weights`); "averaged over metrics" is then the weighted mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.statistics.bootstrap import BLOCK, LEVEL, Resampling, means
from benchmark.statistics.paired import PairedTest, wins
from benchmark.statistics.resampled import drawn_wins
from benchmark.statistics.ties import TOLERANCE, tied

Floats = NDArray[np.float64]

RULES = ("mean_of_ranks", "rank_of_means", "significance", "synthrad2023")
"""The rules that need nothing but losses."""
SIGNIFICANCE_DRAWS = 1000
"""Bootstrap draws of `significance`, which costs a test of every pair a draw."""


@dataclass(frozen=True)
class Options:
    """What a rule may need besides the losses. The defaults are every metric alike, all of them with values by case."""

    weights: Sequence[float] | None = None
    """One a metric; their scale does not matter."""
    set_level: Sequence[bool] | None = None
    """Which metrics have one value for all cases: no paired test can be made of them, so `significance` sees ties there."""
    test: PairedTest = "wilcoxon"
    """The paired test of `significance`."""
    groups: Sequence[NDArray[np.intp]] = ()
    """For `performance_and_fairness`, one array (cases,) an attribute: the group of each case, −1 where it is in no gap."""
    fairness_weight: float = 0.5
    """For `performance_and_fairness`: the share of fairness."""
    drawn: Mapping[int, Floats] = field(default_factory=dict)
    """By place of a set-level metric, its losses in the first draws of the resampling (draws, submissions), NaN where a draw leaves
    it undefined. Ranks are then drawn as often as the shortest of these, by all metrics in the same draws; a set-level metric that is
    not in it is taken as certain. `significance` makes no use of it."""

    def weight(self, metrics: int) -> Floats:
        """Weights that add up to 1."""
        chosen = np.ones(metrics) if self.weights is None else np.asarray(self.weights, np.float64)
        if len(chosen) != metrics or not (chosen >= 0).all() or not chosen.sum() > 0:
            raise ValueError(
                f"{len(chosen)} weights for {metrics} metrics; expected one each, none negative, not all 0"
            )
        return np.asarray(chosen / chosen.sum())


PLAIN = Options()


@dataclass(frozen=True)
class Ranks:
    """One entry a submission, in the order that came in."""

    statistic: Floats
    """What the rule sorts by; smaller is better."""
    rank: Floats
    """Competition rank: 1 is best, equals share the lowest."""
    low: Floats
    """Best rank in the bootstrap interval."""
    high: Floats
    """Worst rank in the bootstrap interval."""
    tied: NDArray[np.bool_]
    """(submissions, submissions): neither is ahead in nearly all draws (all but half of 1 − level)."""


def rank(losses: Floats, rule: str, sampling: Resampling, level: float = LEVEL, *, options: Options = PLAIN) -> Ranks:
    """Rank submissions from per-case `losses` (submissions, cases, metrics), where smaller is better.

    A set-level metric comes as the same value for every case, and what it is in the draws as `options.drawn`. For
    `performance_and_fairness` losses lie in [0, 1]. Raises `ValueError` for an unknown rule, or for weights that do not fit.
    """
    point = statistic(losses, rule, sampling, options=options)
    sampling, options = _defined(sampling, options)
    drawn = _drawn(losses, rule, sampling, options)
    ranks = competition(point)
    low, high = _rank_ends(drawn, level)
    columns = np.ascontiguousarray(drawn.T)
    del drawn
    return Ranks(point, ranks, np.minimum(low, ranks), np.maximum(high, ranks), tied(columns, level))


def _defined(sampling: Resampling, options: Options) -> tuple[Resampling, Options]:
    """The draws in which every set-level metric is defined for every submission, such as those that hold a lesion; all draws, with
    set-level metrics as certain, where there is no such draw."""
    if not options.drawn:
        return sampling, options
    draws = min(len(own) for own in options.drawn.values())
    whole = np.ones(draws, bool)
    for own in options.drawn.values():
        whole &= ~np.isnan(own[:draws]).any(axis=1)
    if not whole.any():
        return sampling, replace(options, drawn={})
    kept = {m: own[:draws][whole] for m, own in options.drawn.items()}
    return replace(sampling, counts=sampling.counts[:draws][whole]), replace(options, drawn=kept)


def _rank_ends(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Equal-tailed ends of the ranks in the draws (draws, submissions), which are themselves ranks."""
    draws, teams = drawn.shape
    ranks = np.empty((teams, draws), np.float32)  # whole numbers, and NaN
    step = max(1, BLOCK // (64 * teams))
    for start in range(0, draws, step):
        ranks[:, start : start + step] = competition(drawn[start : start + step]).T
    tail = (1 - level) / 2
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=1, method="nearest", overwrite_input=True)
    return low.astype(np.float64), high.astype(np.float64)


def statistic(losses: Floats, rule: str, sampling: Resampling, *, options: Options = PLAIN) -> Floats:
    """What `rule` sorts by, one number a submission, without intervals. Arguments and errors as for `rank`."""
    weight = options.weight(losses.shape[2])
    if rule == "mean_of_ranks":
        return np.asarray(_case_ranks(losses, weight).mean(axis=1))
    if rule == "rank_of_means":
        return np.asarray(rankdata(_mean(losses), method="min", axis=0) @ weight)
    if rule == "synthrad2023":
        return min_max(_mean(losses), 0, weight)
    if rule == "significance":
        return 1 + wins(losses, sampling, _testable(options, losses), options.test) @ weight
    if rule == "performance_and_fairness":
        _check_fairness(losses, options)
        once = replace(sampling, counts=np.ones((1, losses.shape[1])))
        return _performance_and_fairness(losses, once.counts, weight, options)[0]
    raise ValueError(f"unknown ranking rule {rule!r}")


def competition(statistic: Floats) -> Floats:
    """Competition ranks ("1224") along the last axis, smaller is better; values that differ by rounding only are equal."""
    return rankdata(np.round(statistic / TOLERANCE) * TOLERANCE, method="min", axis=-1).astype(np.float64)


def _drawn(losses: Floats, rule: str, sampling: Resampling, options: Options) -> Floats:
    """The rule's statistic in each draw (draws, submissions)."""
    teams, _, metrics = losses.shape
    weight = options.weight(metrics)
    again = list(options.drawn)
    if rule == "mean_of_ranks":
        by_case_alone = np.array([0.0 if m in options.drawn else w for m, w in enumerate(weight)])
        mean_ranks = means(sampling.counts, _case_ranks(losses, by_case_alone).T)
        for m in again:
            mean_ranks += weight[m] * rankdata(options.drawn[m], method="min", axis=1)
        return mean_ranks
    if rule == "significance":
        draws = replace(sampling, counts=sampling.counts[:SIGNIFICANCE_DRAWS])
        return 1 + drawn_wins(losses, draws, _testable(options, losses), options.test) @ weight
    by_case = np.ascontiguousarray(np.moveaxis(losses, 0, 1))  # (cases, submissions, metrics)
    out = np.empty((sampling.draws, teams))
    step = max(1, BLOCK // (8 * teams * metrics))
    for start in range(0, sampling.draws, step):
        counts = sampling.counts[start : start + step]
        values = [options.drawn[m][start : start + step] for m in again]
        if rule == "performance_and_fairness":
            out[start : start + step] = _performance_and_fairness(losses, counts, weight, options, values)
            continue
        drawn = means(counts, by_case)
        for m, value in zip(again, values, strict=True):
            drawn[..., m] = value
        if rule == "rank_of_means":
            out[start : start + step] = rankdata(drawn, method="min", axis=1) @ weight
        else:
            out[start : start + step] = min_max(drawn, 1, weight)
    return out


def _mean(losses: Floats) -> Floats:
    """Mean over cases (submissions, metrics); sums by case in sorted order, so that listing cases otherwise changes no bit."""
    return np.asarray(np.sort(losses, axis=1).mean(axis=1))


def _case_ranks(losses: Floats, weight: Floats) -> Floats:
    return np.asarray(rankdata(losses, method="min", axis=0) @ weight)  # (submissions, cases)


def min_max(mean_losses: Floats, axis: int, weight: Floats) -> Floats:
    """Min–max of the means, summed over metrics; with equal weights the plain sum of SynthRAD2023."""
    best = mean_losses.min(axis=axis, keepdims=True)
    spread = mean_losses.max(axis=axis, keepdims=True) - best
    scaled = np.divide(mean_losses - best, spread, out=np.zeros_like(mean_losses), where=spread > 0)
    return np.asarray(scaled @ weight * len(weight))


def _testable(options: Options, losses: Floats) -> NDArray[np.bool_]:
    if options.set_level is None:
        return np.ones(losses.shape[2], dtype=bool)
    return ~np.asarray(options.set_level, dtype=bool)


def _check_fairness(losses: Floats, options: Options) -> None:
    if not options.groups:
        raise ValueError("performance_and_fairness needs the groups of at least one attribute")
    if losses.min() < 0 or losses.max() > 1:
        raise ValueError("performance_and_fairness needs losses in [0, 1]")


def _performance_and_fairness(
    losses: Floats, counts: Floats, weight: Floats, options: Options, drawn: Sequence[Floats] = ()
) -> Floats:
    """1 − score in each draw (draws, submissions): share·(mean range of the group means) + (1 − share)·(mean loss).

    The range of an attribute is over the groups that a draw holds, weighted over metrics; attributes count alike. An attribute
    with fewer than two groups has range 0, and so has a set-level metric, which has one value for all groups; `drawn` are those that
    `options.drawn` names, in these draws.
    """
    by_case = np.ascontiguousarray(np.moveaxis(losses, 0, 1))
    mean_loss = means(counts, by_case)
    for m, value in zip(options.drawn, drawn, strict=False):
        mean_loss[..., m] = value
    lost = mean_loss @ weight
    ranges = np.zeros_like(lost)
    for groups in options.groups:
        top, bottom = np.full(lost.shape + weight.shape, -np.inf), np.full(lost.shape + weight.shape, np.inf)
        for label in range(int(groups.max(initial=-1)) + 1):
            members = np.flatnonzero(groups == label)
            value = means(counts[:, members], by_case[members])
            top, bottom = np.fmax(top, value), np.fmin(bottom, value)
        ranges += np.where(top > bottom, top - np.where(top > bottom, bottom, 0), 0.0) @ weight
    share = options.fairness_weight
    return np.asarray(share * ranges / len(options.groups) + (1 - share) * lost)
