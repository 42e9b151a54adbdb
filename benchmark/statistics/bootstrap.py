"""Seeded bootstrap over cases, vectorised: a matrix of case counts, shared by all submissions and metrics of a task.

Row b of the matrix says how often each case occurs in draw b; the mean of a metric in all draws is then one matrix product,
taken in blocks of columns so that memory stays bounded. Percentile and bias-corrected accelerated (BCa) intervals follow Efron,
"Better bootstrap confidence intervals", JASA 1987. With few cases both are too narrow, since a draw's spread is that of the n
cases about their own mean; their tails are therefore widened as Hesterberg proposes (What teachers should know about the
bootstrap, American Statistician 2015, 3.3): z becomes t·√(n/(n−1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

Floats = NDArray[np.float64]

DRAWS = 10_000
SEED = 20260101
LEVEL = 0.95
BCA_FROM = 20
"""Fewest cases for which BCa is used; with fewer its acceleration is itself too uncertain, and percentiles are shown."""
MIN_CLUSTERS = 6
"""Fewest clusters (patients, scans) that are resampled as such; with fewer, cases are resampled within each cluster."""
BLOCK = 64 << 20
"""Bytes of drawn values that are held at a time."""
THREADS = 2
"""Blocks of paired differences that are worked on at once."""

Scheme = Literal["cases", "strata", "clusters", "within clusters"]


@dataclass(frozen=True)
class Resampling:
    """How cases are drawn."""

    counts: Floats
    """(draws, cases): how often each case occurs in each draw."""
    scheme: Scheme
    """What is drawn: cases, cases within strata, whole clusters, or (few clusters) cases within each cluster."""
    unit: NDArray[np.intp]
    """(cases,): index of the unit that is drawn, from 0: the case itself, or its cluster."""
    blocks: int = 1
    """Within how many strata (or clusters) units are drawn."""

    @property
    def draws(self) -> int:
        """Number of draws."""
        return int(self.counts.shape[0])

    @property
    def units(self) -> int:
        """Number of units: cases, or clusters."""
        return int(self.unit.max()) + 1

    @property
    def speaks_for(self) -> str:
        """What the interval generalises to, in words."""
        return {
            "cases": "cases like these",
            "strata": "cases like these, at the same sites",
            "clusters": "patients like these",
            "within clusters": "further cases of the same few patients, not other patients",
        }[self.scheme]

    @property
    def wording(self) -> str:
        """The scheme as it stands in the name of a method."""
        return {
            "cases": "",
            "strata": ", within strata",
            "clusters": ", by patient",
            "within clusters": ", within each of few patients",
        }[self.scheme]

    def tails(self, level: float = LEVEL) -> tuple[float, float]:
        """The normal deviates of both tails, widened for the number of units: t quantile times √(units/(units − blocks))."""
        freedom = self.units - self.blocks
        if freedom < 1:
            return -np.inf, np.inf
        z = float(student.ppf((1 + level) / 2, freedom)) * float(np.sqrt(self.units / freedom))
        return -z, z


def resampling(
    n: int,
    *,
    strata: Sequence[str] | None = None,
    clusters: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Resampling:
    """Case counts for `n` cases.

    With `clusters` (one label a case), whole clusters are drawn where there are at least `MIN_CLUSTERS`; else cases within
    each cluster. With `strata`, cases are drawn within each stratum. With `keys` (unique names of the cases) the counts go by
    name, so that listing the cases in another order changes nothing. Raises `ValueError` for n < 1 or labels of another length.
    """
    if n < 1:
        raise ValueError("a bootstrap needs at least one case")
    for labels in (strata, clusters, keys):
        if labels is not None and len(labels) != n:
            raise ValueError(f"{len(labels)} labels for {n} cases")
    if keys is not None:
        order = np.argsort(np.asarray(keys), kind="stable")
        chosen = [None if labels is None else [labels[i] for i in order] for labels in (strata, clusters)]
        named = resampling(n, strata=chosen[0], clusters=chosen[1], draws=draws, seed=seed)
        back = np.argsort(order, kind="stable")
        return Resampling(np.ascontiguousarray(named.counts[:, back]), named.scheme, named.unit[back], named.blocks)
    rng = np.random.default_rng(seed)
    cases = np.arange(n)
    if clusters is not None and len(set(clusters)) < n:
        names, index = np.unique(np.asarray(clusters), return_inverse=True)
        if len(names) >= MIN_CLUSTERS:
            return Resampling(_draw(rng, len(names), draws)[:, index], "clusters", index)
        return Resampling(_within(rng, index, draws), "within clusters", cases, len(names))
    if strata is not None and len(set(strata)) > 1:
        names, index = np.unique(np.asarray(strata), return_inverse=True)
        return Resampling(_within(rng, index, draws), "strata", cases, len(names))
    return Resampling(_draw(rng, n, draws), "cases", cases)


def _draw(rng: np.random.Generator, n: int, draws: int) -> Floats:
    counts = np.empty((draws, n))
    step = max(1, BLOCK // (32 * n))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        picks = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts[start : start + rows] = np.bincount(picks.ravel(), minlength=rows * n).reshape(rows, n)
    return counts


def _within(rng: np.random.Generator, index: NDArray[np.intp], draws: int) -> Floats:
    counts = np.zeros((draws, len(index)))
    for label in np.unique(index):
        members = np.flatnonzero(index == label)
        counts[:, members] = _draw(rng, len(members), draws)
    return counts


def means(counts: Floats, values: Floats) -> Floats:
    """Mean of each column of `values` (cases, …) in each draw: (draws, …). Clusters of unequal size weigh by their cases.

    A draw that holds an infinite value has that infinite mean (NaN where it holds both signs); one that holds no case at all is NaN.
    """
    flat = np.asarray(values, np.float64).reshape(values.shape[0], -1)
    total = counts.sum(axis=1, keepdims=True)
    finite = np.isfinite(flat)
    sums = counts @ (flat if finite.all() else np.where(finite, flat, 0.0))
    for sign in () if finite.all() else (np.inf, -np.inf):
        held = counts @ (flat == sign).astype(np.float64) > 0
        sums = np.where(held, np.where(np.isinf(sums), np.nan, sign), sums)
    with np.errstate(invalid="ignore"):
        drawn = sums / np.where(total > 0, total, np.nan)
    return drawn.reshape(counts.shape[0], *values.shape[1:])


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of several columns."""

    low: Floats
    high: Floats
    method: tuple[str, ...]

    def one(self, column: int) -> Interval:
        """The interval of one column."""
        return Interval(float(self.low[column]), float(self.high[column]), self.method[column])


def widened_interval(draws: Floats, sampling: Resampling, level: float = LEVEL) -> tuple[float, float]:
    """Percentiles of the drawn values of any statistic, widened for the number of units. Undefined draws (NaN) are left out;
    NaN ends where all are."""
    kept = np.sort(draws[~np.isnan(draws)])[None]
    if not kept.size:
        return float("nan"), float("nan")
    low, high = (_at(kept, np.array([ndtr(z)]))[0] for z in sampling.tails(level))
    return float(low), float(high)


def mean_interval(values: Floats, sampling: Resampling, level: float = LEVEL, *, widen: bool = True) -> Interval:
    """Interval of the mean of `values` (cases,), see `mean_intervals`."""
    return mean_intervals(np.asarray(values, np.float64)[:, None], sampling, level, widen=widen).one(0)


def mean_intervals(values: Floats, sampling: Resampling, level: float = LEVEL, *, widen: bool = True) -> Intervals:
    """Interval of the mean of each column of `values` (cases, columns).

    BCa when cases are drawn freely and there are at least `BCA_FROM`; percentiles otherwise; both widened for the number of units
    unless `widen` is False. One case, or all values equal: the interval is the value itself, since nothing can be said of its
    spread, and `method` says so.
    """
    values = np.asarray(values, np.float64)
    columns = values.shape[1]
    low, high, method = np.empty(columns), np.empty(columns), [""] * columns
    step = max(1, BLOCK // (8 * sampling.draws))
    for start in range(0, columns, step):
        part = slice(start, min(start + step, columns))
        drawn = np.ascontiguousarray(means(sampling.counts, values[:, part]).T)  # (columns, draws)
        for column, ends, said in _ends(values[:, part], drawn, sampling, level, widen):
            low[part][column], high[part][column] = ends
            for i in np.flatnonzero(column):
                method[start + i] = said
    return Intervals(low, high, tuple(method))


def difference_intervals(values: Floats, sampling: Resampling, level: float = LEVEL) -> tuple[Floats, Intervals]:
    """Paired differences of means between every two submissions: `values` (cases, submissions) of one metric.

    Returns the differences of the means (first minus second) and their intervals, for the pairs of `np.triu_indices(S, 1)`. The
    same draws serve both of a pair, so what makes a case hard for both cancels.
    """
    first, second = np.triu_indices(values.shape[1], 1)
    low, high, method = np.empty(len(first)), np.empty(len(first)), [""] * len(first)
    drawn = np.ascontiguousarray(means(sampling.counts, values).T)
    step = max(1, BLOCK // (32 * sampling.draws))

    def block(start: int) -> None:
        part = slice(start, min(start + step, len(first)))
        a, b = first[part], second[part]
        with np.errstate(invalid="ignore"):
            differences, drawn_differences = values[:, a] - values[:, b], drawn[a] - drawn[b]
            for column, ends, how in _ends(differences, drawn_differences, sampling, level, True):
                low[part][column], high[part][column] = ends
                for i in np.flatnonzero(column):
                    method[start + i] = how

    with ThreadPoolExecutor(THREADS) as pool:  # sorting, which is most of the work, lets other threads run
        list(pool.map(block, range(0, len(first), step)))
    with np.errstate(invalid="ignore"):
        centre = values.mean(axis=0)
        return centre[first] - centre[second], Intervals(low, high, tuple(method))


def _ends(
    values: Floats, drawn: Floats, sampling: Resampling, level: float, widen: bool
) -> list[tuple[NDArray[np.bool_], tuple[Floats, Floats], str]]:
    """For each kind of column: which they are, their ends, the method; `drawn` is (columns, draws)."""
    n = len(values)
    mean = values.mean(axis=0)
    with np.errstate(invalid="ignore"):
        flat = (n == 1) | ~(np.ptp(values, axis=0) > 0)
    finite = np.isfinite(values).all(axis=0)
    said = []
    if flat.any():
        said.append((flat, (mean[flat], mean[flat]), "none: one case" if n == 1 else "none: all cases equal"))
    tails = sampling.tails(level) if widen else (float(ndtri((1 - level) / 2)), float(ndtri((1 + level) / 2)))
    suffix = f" bootstrap, {sampling.draws} draws{', widened' if widen else ''}{sampling.wording}"
    free = sampling.scheme == "cases" and n >= BCA_FROM
    for columns, method in ((~flat & finite & free, "BCa"), (~flat & ~(finite & free), "percentile")):
        if not columns.any():
            continue
        if method == "BCa":
            bias, acceleration = _bias(mean[columns], drawn[columns]), _acceleration(values[:, columns])
        else:
            bias = acceleration = np.zeros(int(columns.sum()))
        shares = [_shifted(z, bias, acceleration) for z in tails]
        ordered = _ordered_tails(
            drawn if columns.all() else drawn[columns], float(shares[0].max()), float(shares[1].min())
        )
        said.append((columns, (_at(ordered, shares[0]), _at(ordered, shares[1])), method + suffix))
    return said


def _ordered_tails(drawn: Floats, low: float, high: float) -> Floats:
    """Rows in which everything up to the share `low` and from the share `high` on stands where sorting would put it."""
    last = drawn.shape[1] - 1
    a, b = int(low * last) + 2, int(high * last) - 1
    if np.isnan(drawn).any() or not 0 < a < b < last or a + last - b > last // 2:
        return np.sort(drawn, axis=1)
    parted = np.partition(drawn, (a, b), axis=1)
    parted[:, :a].sort(axis=1)
    parted[:, b:].sort(axis=1)
    return parted


def _bias(mean: Floats, drawn: Floats) -> Floats:
    """Efron's z0: the deviate of the share of draws below the mean, ties counted half."""
    draws = drawn.shape[1]
    below = ((drawn < mean[:, None]).sum(axis=1) + (drawn <= mean[:, None]).sum(axis=1)) / (2 * draws)
    return np.asarray(ndtri(np.clip(below, 0.5 / draws, 1 - 0.5 / draws)))


def _acceleration(values: Floats) -> Floats:
    """Efron's a for a mean; the jackknife has a closed form: leaving case i out moves the mean by (mean − x_i)/(n − 1)."""
    influence = values - values.mean(axis=0)
    return np.asarray((influence**3).sum(axis=0) / (6 * (influence**2).sum(axis=0) ** 1.5))


def _shifted(z: float, bias: Floats, acceleration: Floats) -> Floats:
    """The percentile that BCa reads off for the tail z; beyond the pole of its formula, the very end."""
    if np.isinf(z):
        return np.full(len(bias), float(z > 0))
    moved = bias + z
    bend = 1 - acceleration * moved
    tail = np.asarray(ndtr(bias + moved / np.where(bend > 0, bend, 1.0)))
    return np.where(bend > 0, tail, float(z > 0))


def _at(ordered: Floats, share: Floats) -> Floats:
    """Quantile `share` (rows,) of each row of `ordered`, linear between order statistics; infinite neighbours stay infinite."""
    place = np.clip(share, 0.0, 1.0) * (ordered.shape[1] - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    rows = np.arange(len(ordered))
    a, b, part = ordered[rows, below], ordered[rows, above], place - below
    with np.errstate(invalid="ignore"):
        return np.where((part == 0) | (a == b), a, a * (1 - part) + b * part)


def median_interval(values: Floats, sampling: Resampling, level: float = LEVEL) -> Interval:
    """Interval of the median of `values` (cases,), see `median_intervals`."""
    return median_intervals(np.asarray(values, np.float64)[:, None], sampling, level).one(0)


def median_intervals(values: Floats, sampling: Resampling, level: float = LEVEL) -> Intervals:
    """Percentile interval of the median of each column of `values` (cases, columns), widened for the number of units.

    A median draws only observed values (or midpoints), so no acceleration is defined and BCa is not used.
    """
    values = np.asarray(values, np.float64)
    n, columns = values.shape
    counts = np.ascontiguousarray(sampling.counts.astype(np.int32))
    ends = np.array([ndtr(z) for z in sampling.tails(level)])
    low, high, method = np.empty(columns), np.empty(columns), []
    with np.errstate(invalid="ignore"):
        flat = (n == 1) | ~(np.ptp(values, axis=0) > 0)
    for column in range(columns):
        if flat[column]:
            low[column] = high[column] = values[0, column]
            method.append("none: one case" if n == 1 else "none: all cases equal")
            continue
        order = np.argsort(values[:, column], kind="stable")
        drawn = np.sort(_medians(counts, order, values[order, column]))[None]
        low[column], high[column] = (_at(drawn, ends[i : i + 1])[0] for i in (0, 1))
        method.append(f"percentile bootstrap, {sampling.draws} draws, widened{sampling.wording}")
    return Intervals(low, high, tuple(method))


@njit(cache=True)
def _medians(counts: Any, order: Any, ordered: Any) -> Any:
    """Median in each draw: walk up the sorted cases until half of the draw's weight is passed."""
    draws, n = counts.shape
    out = np.empty(draws)
    for b in range(draws):
        total = 0
        for i in range(n):
            total += counts[b, i]
        passed = 0
        out[b] = np.nan
        for i in range(n):
            passed += counts[b, order[i]]
            if 2 * passed > total:
                out[b] = ordered[i]
                break
            if 2 * passed == total and passed > 0:
                above = i + 1
                while counts[b, order[above]] == 0:
                    above += 1
                out[b] = (ordered[i] + ordered[above]) / 2
                break
    return out
