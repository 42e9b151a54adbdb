"""Seeded bootstrap over cases, vectorised: a matrix of case counts, shared by all submissions and metrics of a task.

Row b of the matrix says how often each case occurs in draw b; the mean of a metric in all draws is then one matrix product.
Percentile and bias-corrected accelerated (BCa) intervals follow Efron, "Better bootstrap confidence intervals", JASA 1987.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

DRAWS = 10_000
SEED = 20260101
LEVEL = 0.95
BCA_FROM = 20
"""Fewest cases for which BCa is used; with fewer its acceleration is itself too uncertain, and percentiles are shown."""
MIN_CLUSTERS = 6
"""Fewest clusters (patients, scans) that are resampled as such; with fewer, cases are resampled within each cluster."""


@dataclass(frozen=True)
class Resampling:
    """How cases are drawn."""

    counts: NDArray[np.float64]
    """(draws, cases): how often each case occurs in each draw."""
    scheme: Literal["cases", "strata", "clusters", "within clusters"]
    """What is drawn: cases, cases within strata, whole clusters, or (few clusters) cases within each cluster."""

    @property
    def draws(self) -> int:
        """Number of draws."""
        return int(self.counts.shape[0])

    @property
    def speaks_for(self) -> str:
        """What the interval generalises to, in words."""
        return {
            "cases": "cases like these",
            "strata": "cases like these, at the same sites",
            "clusters": "patients like these",
            "within clusters": "further cases of the same few patients, not other patients",
        }[self.scheme]


def resampling(
    n: int,
    *,
    strata: Sequence[str] | None = None,
    clusters: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Resampling:
    """Case counts for `n` cases.

    With `clusters` (one label a case), whole clusters are drawn where there are at least `MIN_CLUSTERS`; else cases within
    each cluster. With `strata`, cases are drawn within each stratum. Raises `ValueError` for n < 1 or labels of another length.
    """
    if n < 1:
        raise ValueError("a bootstrap needs at least one case")
    for labels in (strata, clusters):
        if labels is not None and len(labels) != n:
            raise ValueError(f"{len(labels)} labels for {n} cases")
    rng = np.random.default_rng(seed)
    if clusters is not None and len(set(clusters)) < n:
        names, index = np.unique(np.asarray(clusters), return_inverse=True)
        if len(names) >= MIN_CLUSTERS:
            return Resampling(_draw(rng, len(names), draws)[:, index], "clusters")
        return Resampling(_within(rng, index, draws), "within clusters")
    if strata is not None and len(set(strata)) > 1:
        _, index = np.unique(np.asarray(strata), return_inverse=True)
        return Resampling(_within(rng, index, draws), "strata")
    return Resampling(_draw(rng, n, draws), "cases")


def _draw(rng: np.random.Generator, n: int, draws: int) -> NDArray[np.float64]:
    picks = rng.integers(0, n, size=(draws, n))
    offsets = np.arange(draws)[:, None] * n
    return np.bincount((picks + offsets).ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def _within(rng: np.random.Generator, index: NDArray[np.intp], draws: int) -> NDArray[np.float64]:
    counts = np.zeros((draws, len(index)))
    for label in np.unique(index):
        members = np.flatnonzero(index == label)
        counts[:, members] = _draw(rng, len(members), draws)
    return counts


def means(counts: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each column of `values` (cases, …) in each draw: (draws, …). Clusters of unequal size weigh by their cases."""
    flat = values.reshape(values.shape[0], -1)
    return ((counts @ flat) / counts.sum(axis=1, keepdims=True)).reshape(counts.shape[0], *values.shape[1:])


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made."""

    low: float
    high: float
    method: str


def percentile_interval(draws: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Equal-tailed percentiles of the drawn values."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_interval(values: NDArray[np.float64], sampling: Resampling, level: float = LEVEL) -> Interval:
    """Interval of the mean of `values` (cases,).

    BCa when cases are drawn freely and there are at least `BCA_FROM`; percentiles otherwise. One case, or all values equal:
    the interval is the value itself, since nothing can be said of its spread, and `method` says so.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n == 1:
        return Interval(float(values[0]), float(values[0]), "none: one case")
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]), "none: all cases equal")
    drawn = means(sampling.counts, values)
    where = {
        "cases": "",
        "strata": ", within strata",
        "clusters": ", by patient",
        "within clusters": ", within each of few patients",
    }[sampling.scheme]
    if sampling.scheme == "cases" and n >= BCA_FROM:
        bounds = _bca(values, drawn, level)
        return Interval(*bounds, f"BCa bootstrap, {sampling.draws} draws")
    return Interval(*percentile_interval(drawn, level), f"percentile bootstrap, {sampling.draws} draws{where}")


def _bca(values: NDArray[np.float64], drawn: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Efron's BCa for a mean; the jackknife has a closed form: leaving case i out moves the mean by (mean − x_i)/(n − 1)."""
    mean = values.mean()
    below: float = (np.count_nonzero(drawn < mean) + np.count_nonzero(drawn <= mean)) / (2 * len(drawn))
    below = min(max(float(below), 0.5 / len(drawn)), 1 - 0.5 / len(drawn))
    bias = ndtri(below)
    jackknife = (mean - values) / (len(values) - 1)  # mean of the others, less the mean of those
    influence = -jackknife
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + ndtri(tail)
        ends.append(float(ndtr(bias + z / (1 - acceleration * z))))
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)
