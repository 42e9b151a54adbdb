"""Values by group, the gap between the best and the worst, and what gap chance alone would show.

Everything goes through one kind of function: a `Measure` takes weights (rows, cases) and gives a value a row for each of its
columns. A group is a row of zeros and ones; a draw of the bootstrap is a row of counts; a shuffle of the labels is again a row of
zeros and ones. So means, rates and set-level metrics are audited by the same code, and all submissions at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics import bootstrap
from benchmark.statistics.bootstrap import BLOCK, SEED, Resampling, means

Floats = NDArray[np.float64]
Index = NDArray[np.intp]
Measure = Callable[[Floats], Floats]
"""Weights (rows, cases) to values (rows, columns); NaN where a row leaves the value undefined."""

PERMUTATIONS = 4_999
DRAWS = 2_000
"""Bootstrap draws of intervals by group."""


def mean_measure(values: Floats, counted: NDArray[np.bool_] | None = None) -> Measure:
    """Weighted mean of each column of `values` (cases, columns), over the cases that `counted` (cases, columns) names."""
    if counted is None or counted.all():
        return lambda weights: means(weights, values)
    return ratio_measure(np.where(counted, values, 0.0), counted.astype(np.float64))


def ratio_measure(part: Floats, whole: Floats) -> Measure:
    """Σ part / Σ whole for each column (cases, columns), such as called positives over positives; NaN where the whole is 0."""

    def measure(weights: Floats) -> Floats:
        below = weights @ whole
        return np.divide(weights @ part, below, out=np.full_like(below, np.nan), where=below > 0)

    return measure


def joined(measures: list[Measure]) -> Measure:
    """The columns of several measures side by side."""
    return lambda weights: np.concatenate([measure(weights) for measure in measures], axis=1)


def by_group(measure: Measure, groups: Index, number: int) -> Floats:
    """Values (number of groups, columns); `groups` (cases,) is −1 for cases in none. NaN for a group without cases."""
    return measure((groups == np.arange(number)[:, None]).astype(np.float64))


def spread(values: Floats) -> Floats:
    """Largest less smallest along the first axis, NaN left out; NaN where fewer than two values are left."""
    enough = np.count_nonzero(~np.isnan(values), axis=0) > 1
    with np.errstate(invalid="ignore"):
        return np.where(enough, np.fmax.reduce(values, axis=0) - np.fmin.reduce(values, axis=0), np.nan)


def ratio(values: Floats) -> Floats:
    """Smallest over largest along the first axis, NaN left out; NaN where a value is negative or infinite, or none is above 0."""
    top, bottom = np.fmax.reduce(values, axis=0), np.fmin.reduce(values, axis=0)
    fit = (bottom >= 0) & (top > 0) & np.isfinite(top)
    return np.divide(bottom, top, out=np.full_like(top, np.nan), where=fit)


@dataclass(frozen=True)
class Shuffling:
    """How labels may be shuffled under the hypothesis that they do not matter."""

    item: Index
    """(cases,): what carries a label: the case, or its patient."""
    label: Index
    """(items,): group of each item; −1 for none (it is never moved)."""
    block: Index
    """(items,): items trade labels only within a block."""

    @property
    def movable(self) -> float:
        """Share of the labelled items that have someone to trade with: in their block there is another label."""
        labelled = self.label >= 0
        free = 0
        for block in np.unique(self.block[labelled]):
            here = self.label[labelled & (self.block == block)]
            free += len(here) if len(np.unique(here)) > 1 else 0
        return free / max(int(labelled.sum()), 1)


def shuffling(groups: Index, units: Index, given: Index | None = None) -> Shuffling | None:
    """How to shuffle `groups` (cases,; −1 for none) of cases that come from `units` (cases,), perhaps with another label `given`.

    Where the label is the same for all cases of a unit, units trade labels; where it differs within units (two doses of one
    scan), cases trade within their unit. None where `given` differs within units that would trade.
    """
    held = np.zeros(len(groups), np.intp) if given is None else given
    if _constant(groups, units):
        if not _constant(held, units):
            return None
        _, first, item = np.unique(units, return_index=True, return_inverse=True)
        return Shuffling(item, groups[first], held[first])
    _, block = np.unique(np.stack([units, held]), axis=1, return_inverse=True)
    return Shuffling(np.arange(len(groups)), groups, block)


def _constant(labels: Index, units: Index) -> bool:
    _, first, item = np.unique(units, return_index=True, return_inverse=True)
    return bool((labels == labels[first][item]).all())


def shuffled(plan: Shuffling, permutations: int, seed: int = SEED, rows: int = 1000) -> Iterator[Index]:
    """Labels of the cases in each shuffle, some rows (rows, cases) at a time."""
    rng = np.random.default_rng(seed)
    movable = np.flatnonzero(plan.label >= 0)
    order = movable[np.argsort(plan.block[movable], kind="stable")]
    _, block = np.unique(plan.block[order], return_inverse=True)
    for start in range(0, permutations, rows):
        number = min(rows, permutations - start)
        trade = np.argsort(block + rng.random((number, len(order))), axis=1)  # sorted by block, shuffled within
        labels = np.full((number, len(plan.label)), -1, np.intp)
        labels[:, order] = plan.label[order][trade]
        yield labels[:, plan.item]


@dataclass(frozen=True)
class GapTest:
    """Gaps of all columns of a measure, and what they would be if labels did not matter."""

    gap: Floats
    """(columns,); NaN where fewer than two groups have a value."""
    null_mean: Floats
    """Mean of the shuffled gaps."""
    null_high: Floats
    """Their 95th percentile."""
    p: Floats
    """(1 + shuffles with a gap at least as large) / (1 + shuffles)."""


def gap_test(
    measure: Measure, plan: Shuffling, number: int, permutations: int = PERMUTATIONS, seed: int = SEED
) -> GapTest:
    """Permutation test of the gap between `number` groups, for each column of `measure`.

    Its hypothesis is that labels can be traded: groups that differ in spread alone may, rarely, be told apart as well.
    """
    seen = spread(by_group(measure, plan.label[plan.item], number))
    null = np.empty((permutations, len(seen)))
    rows = int(np.clip(BLOCK // (8 * max(len(plan.item), number * len(seen))), 1, 1000))
    done = 0
    for labels in shuffled(plan, permutations, seed, rows):
        values = np.stack([measure((labels == g).astype(np.float64)) for g in range(number)])
        null[done : done + len(labels)] = spread(values)
        done += len(labels)
    known = ~np.isnan(null)
    slack = 1e-9 * np.abs(np.where(np.isfinite(seen), seen, 0.0))  # equal up to rounding is equal
    with np.errstate(invalid="ignore"):
        reached = np.count_nonzero(null >= seen - slack, axis=0)
        p = np.where(np.isnan(seen), np.nan, (1 + reached) / (1 + known.sum(axis=0)))
        total = (null if known.all() else np.where(known, null, 0.0)).sum(axis=0)
        mean = np.divide(total, known.sum(axis=0), out=np.full(len(seen), np.nan), where=known.any(axis=0))
    high = np.full(len(seen), np.nan)
    for part in _blocks(len(seen), permutations):
        high[part] = _quantiles(null[:, part].T, [0.95], "higher")[0]
    return GapTest(seen, mean, high, p)


@dataclass(frozen=True)
class GroupIntervals:
    """Intervals by group and of the gap, from one bootstrap within groups."""

    low: Floats
    """(groups, columns)."""
    high: Floats
    """(groups, columns)."""
    method: tuple[str, ...]
    """One a group."""
    gap_low: Floats
    """(columns,)."""
    gap_high: Floats
    """(columns,)."""


def group_intervals(
    measure: Measure,
    groups: Index,
    number: int,
    compared: NDArray[np.bool_],
    units: Index,
    *,
    values: Floats | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> GroupIntervals:
    """Bootstrap within each group (patients where a patient has several cases); the gap is over the `compared` groups.

    With `values` (cases, columns), whose mean the measure is, intervals are BCa where there are cases enough; else percentiles.
    Both are widened for the size of the group. Memory is that of some columns at a time, or of the one measure that gives all.
    """
    values_by_group = np.where(compared[:, None], by_group(measure, groups, number), np.nan)
    columns = values_by_group.shape[1]
    low, high = np.full((number, columns), np.nan), np.full((number, columns), np.nan)
    method = [""] * number

    def sampled() -> Iterator[tuple[int, Index, Resampling]]:
        for g in range(number):
            members = np.flatnonzero(groups == g)
            if len(members):
                yield g, members, _within_group(units[members], draws, seed + g)

    if values is not None:
        for g, members, sampling in sampled():
            found = bootstrap.mean_intervals(values[members], sampling)
            low[g], high[g] = found.low, found.high
            method[g] = next((m for m in found.method if not m.startswith("none")), found.method[0])
        ends = np.empty((2, columns))
        for part in _blocks(columns, draws):
            drawn = ((g, means(sampling.counts, values[own, part])) for g, own, sampling in sampled())
            ends[:, part] = _gap_ends(values_by_group[:, part], drawn, draws)
        return GroupIntervals(low, high, tuple(method), ends[0], ends[1])

    def measured() -> Iterator[tuple[int, Floats]]:
        for g, members, sampling in sampled():
            weights = np.zeros((draws, len(groups)))
            weights[:, members] = sampling.counts
            drawn = measure(weights)
            for c in range(columns):
                low[g, c], high[g, c] = bootstrap.widened_interval(drawn[:, c], sampling)
            method[g] = f"percentile bootstrap, {draws} draws, widened{sampling.wording}"
            yield g, drawn

    ends = _gap_ends(values_by_group, measured(), draws)
    return GroupIntervals(low, high, tuple(method), ends[0], ends[1])


def _gap_ends(values: Floats, drawn: Iterable[tuple[int, Floats]], draws: int) -> Floats:
    """Ends (2, columns) of the interval of the gap, from `values` (groups, columns; NaN where not compared) and, by group, drawn
    values (draws, columns).

    The groups that the data call best and worst stay so in every draw: the largest less the smallest of drawn values would be
    larger than the gap itself nearly always. So only the difference of these two is kept, whatever the number of groups.
    """
    enough = np.count_nonzero(~np.isnan(values), axis=0) > 1
    some = np.where(enough, values, 0.0)
    top, bottom = np.nanargmax(some, axis=0), np.nanargmin(some, axis=0)
    difference = np.where(enough, 0.0, np.nan)[:, None].repeat(draws, axis=1)
    with np.errstate(invalid="ignore"):
        for g, one in drawn:
            difference[top == g] += one[:, top == g].T
            difference[bottom == g] -= one[:, bottom == g].T
    return np.asarray(np.maximum(_quantiles(difference, [0.025, 0.975], "nearest"), 0.0))


def _blocks(columns: int, rows: int) -> Iterator[slice]:
    """Columns in turn, so many that their values in all rows stay within `BLOCK`. Whole multiples of 64: a matrix product then gives
    each of them bit by bit what it gives for all of them at once."""
    step = max(64, BLOCK // (8 * rows) // 64 * 64)
    return (slice(start, min(start + step, columns)) for start in range(0, columns, step))


def _quantiles(rows: Floats, shares: list[float], method: Literal["nearest", "higher"]) -> Floats:
    """Order statistics (shares, rows) of each row, NaN left out; NaN where all are."""
    found = np.full((len(shares), len(rows)), np.nan)
    whole = ~np.isnan(rows).any(axis=1)
    if whole.any():
        found[:, whole] = np.quantile(rows if whole.all() else rows[whole], shares, axis=1, method=method)
    for r in np.flatnonzero(~whole):
        known = rows[r, ~np.isnan(rows[r])]
        if len(known):
            found[:, r] = np.quantile(known, shares, method=method)
    return found


def _within_group(units: Index, draws: int, seed: int) -> Resampling:
    """Draws of the cases of one group: whole patients, however few they are, where patients have several cases."""
    names, unit = np.unique(units, return_inverse=True)
    if len(names) == len(units):
        return bootstrap.resampling(len(units), draws=draws, seed=seed)
    base = bootstrap.resampling(len(names), draws=draws, seed=seed)
    return Resampling(base.counts[:, unit], "clusters", unit)
