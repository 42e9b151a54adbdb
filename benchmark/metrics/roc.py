"""Areas and points of ROC, precision–recall and FROC curves, for a whole bootstrap at once, and their exact intervals.

Scores are sorted once; each draw is one walk over them with its case counts as weights, so that nothing is resampled or sorted
again. Ties move along the curve together. A quantity that a draw leaves undefined (a class is absent) is NaN here; the metrics
turn that into a value with a status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri
from scipy.stats import rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scored items from the highest score to the lowest."""

    positive: NDArray[np.bool_]
    """Whether each item is positive."""
    case: NDArray[np.int64]
    """The case that each belongs to: the column of its weight."""
    last: NDArray[np.bool_]
    """Whether it is the last of its score."""
    score: Floats
    """Its score; ±inf allowed, NaN not."""


def ranked(positive: ArrayLike, score: ArrayLike, case: ArrayLike | None = None) -> Ranked:
    """Sort items by score, descending. Without `case` each item is a case of its own. Raises `ValueError` for a NaN score."""
    scores = np.asarray(score, np.float64).reshape(-1)
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    order = np.argsort(-scores, kind="stable")
    cases = np.arange(len(scores)) if case is None else np.asarray(case, np.int64).reshape(-1)
    sorted_scores = scores[order]
    last = np.append(sorted_scores[1:] != sorted_scores[:-1], True)[: len(scores)]
    return Ranked(np.asarray(positive, bool).reshape(-1)[order], cases[order], last, sorted_scores)


class Areas(NamedTuple):
    """One entry a draw."""

    auc: Floats
    """Area under the ROC curve; ties count half. NaN without positives or without negatives."""
    average_precision: Floats
    """Σ (Rₙ − Rₙ₋₁)·Pₙ. NaN without positives."""
    sensitivity: Floats
    """Largest sensitivity at which the specificity is at least the one asked for. NaN like `auc`."""


def areas(items: Ranked, weights: ArrayLike, *, unseen: ArrayLike = 0.0, specificity: float = 0.9) -> Areas:
    """Areas for each row of `weights` (draws, cases).

    `unseen` is the weight of positives that have no score at all, one number a draw: they count in recall and not in the AUC.
    """
    rows = np.atleast_2d(np.asarray(weights, np.float64))
    out = np.empty((3, len(rows)))
    missing = np.broadcast_to(np.asarray(unseen, np.float64), (len(rows),))
    _areas(items.positive, items.case, items.last, rows, missing, 1 - specificity, out)
    return Areas(*out)


@njit(cache=True)
def _areas(positive: Any, case: Any, last: Any, weights: Any, unseen: Any, rate: float, out: Any) -> None:
    n = positive.size
    for b in range(weights.shape[0]):
        positives = 0.0
        negatives = 0.0
        for i in range(n):
            w = weights[b, case[i]]
            if positive[i]:
                positives += w
            else:
                negatives += w
        area = 0.0
        precision = 0.0
        sensitivity = 0.0
        tp = 0.0
        fp = 0.0
        tp_before = 0.0
        fp_before = 0.0
        allowed = rate * negatives * (1 + 1e-12)
        for i in range(n):
            w = weights[b, case[i]]
            if positive[i]:
                tp += w
            else:
                fp += w
            if last[i]:
                area += (fp - fp_before) * (tp + tp_before) / 2
                if tp > tp_before:
                    precision += (tp - tp_before) * tp / (tp + fp)
                if fp <= allowed:
                    sensitivity = tp
                tp_before = tp
                fp_before = fp
        defined = positives > 0 and negatives > 0
        out[0, b] = area / (positives * negatives) if defined else np.nan
        out[1, b] = precision / (positives + unseen[b]) if positives + unseen[b] > 0 else np.nan
        out[2, b] = sensitivity / positives if defined else np.nan


def froc(items: Ranked, lesions: ArrayLike, weights: ArrayLike, rates: ArrayLike) -> Floats:
    """Sensitivity at false positives a scan `rates` (ascending), shape (draws, rates).

    `lesions` are lesions a case. Linear between the points of the curve, which starts in (0, 0) and is flat beyond its end; NaN
    for a draw without lesions.
    """
    rows = np.atleast_2d(np.asarray(weights, np.float64))
    total = rows @ np.asarray(lesions, np.float64)
    out = np.empty((len(rows), np.size(rates)))
    _froc(items.positive, items.case, items.last, rows, total, rows.sum(axis=1), np.asarray(rates, np.float64), out)
    return out


@njit(cache=True)
def _froc(positive: Any, case: Any, last: Any, weights: Any, lesions: Any, scans: Any, rates: Any, out: Any) -> None:
    for b in range(weights.shape[0]):
        if lesions[b] <= 0:
            out[b, :] = np.nan
            continue
        tp = 0.0
        fp = 0.0
        x_before = 0.0
        y_before = 0.0
        r = 0
        for i in range(positive.size):
            w = weights[b, case[i]]
            if positive[i]:
                tp += w
            else:
                fp += w
            if not last[i]:
                continue
            x = fp / scans[b]
            y = tp / lesions[b]
            while r < rates.size and x > rates[r]:
                out[b, r] = y_before + (y - y_before) * (rates[r] - x_before) / (x - x_before)
                r += 1
            if r == rates.size:
                break  # what follows lies beyond the last rate
            x_before = x
            y_before = y
        while r < rates.size:
            out[b, r] = y_before
            r += 1


class Interval(NamedTuple):
    """A confidence interval and the method that gave it."""

    low: float
    high: float
    method: str


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927); [0, 1] where n is 0."""
    if n <= 0:
        return Interval(0.0, 1.0, "wilson")
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    p = successes / n
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes <= 0 else max(0.0, middle - half)
    high = 1.0 if successes >= n else min(1.0, middle + half)
    return Interval(float(low), float(high), "wilson")


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Exact interval of a proportion (Clopper & Pearson 1934); [0, 1] where n is 0."""
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes >= n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high, "clopper-pearson")


def auc_interval(positive: ArrayLike, score: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the AUC after DeLong et al. 1988 (placement values by ranks, Sun & Xu 2014).

    Its variance is 0 for a perfect (or perfectly wrong) classifier, and undefined with a single item of a class: then the
    score-type interval of Newcombe 2006 (method 5) stands in, and `method` says so. Raises `ValueError` where a class is absent.
    """
    truth = np.asarray(positive, bool).reshape(-1)
    scores = np.asarray(score, np.float64).reshape(-1)
    ones, zeros = scores[truth], scores[~truth]
    m, n = len(ones), len(zeros)
    if m == 0 or n == 0:
        raise ValueError("the AUC needs both classes")
    ranks = rankdata(np.concatenate([ones, zeros]))
    of_ones = (ranks[:m] - rankdata(ones)) / n
    of_zeros = 1 - (ranks[m:] - rankdata(zeros)) / m
    auc = float(of_ones.mean())
    variance = of_ones.var(ddof=1) / m + of_zeros.var(ddof=1) / n if m > 1 and n > 1 else 0.0
    z = float(ndtri(0.5 + level / 2))
    if variance > 0:
        half = z * float(np.sqrt(variance))
        return Interval(max(0.0, auc - half), min(1.0, auc + half), "delong")
    return Interval(_newcombe(auc, m, n, -z), _newcombe(auc, m, n, z), "newcombe")


def _newcombe(auc: float, m: int, n: int, z: float) -> float:
    """The θ beyond `auc` on the side of z for which |auc − θ| is |z| standard errors, by bisection."""

    def excess(theta: float) -> float:
        spread = (m + n) / 2 - 1
        variance = theta * (1 - theta) * (1 + spread * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m * n)
        return abs(theta - auc) - abs(z) * float(np.sqrt(variance))

    near, far = auc, 0.0 if z < 0 else 1.0
    if near == far:
        return far
    for _ in range(60):
        middle = (near + far) / 2
        if excess(middle) < 0:
            near = middle
        else:
            far = middle
    return far
