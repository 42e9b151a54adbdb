"""The fairness audit of all submissions of a board at once: values by group, gaps with their null, what they may be read as.

A missing or invalid prediction counts with the metric's worst value, as everywhere: a model that fails on one group shows it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import FairnessRules
from benchmark.fairness import EqualisedOdds, Fairness, Gap, Given, GroupValue, Partition
from benchmark.metrics.roc import wilson
from benchmark.statistics import gaps
from benchmark.statistics.paired import holm_adjusted
from benchmark.statistics.population import Grouped

Floats = NDArray[np.float64]
TPR, FPR = "true_positive_rate", "false_positive_rate"
TRADING = 0.5
"""Share of the patients who must find someone to trade labels with in their own stratum, for labels to be shuffled within strata."""
SLOW_DRAWS, SLOW_PERMUTATIONS = 200, 499
"""For set-level metrics that evaluate one draw at a time."""

COLUMNS = 2048
"""Measures times submissions that are tested at a time, at least one measure: 80 MiB of shuffled gaps."""


@dataclass(frozen=True)
class Audited:
    """One measure of all submissions."""

    id: str
    """Metric id in the task, or `TPR` / `FPR`."""
    title: str
    """What sentences call it."""
    unit: str
    """Unit of its values."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    measure: gaps.Measure
    """One column a submission."""
    values: Floats | None = None
    """(cases, submissions): values by case, where the measure is their mean over all cases."""
    counts: tuple[tuple[NDArray[np.bool_], int], ...] = ()
    """Cases that a group must have, and how many of them: positive ones for a true-positive rate, both kinds for an AUC."""
    failed: NDArray[np.bool_] | None = None
    """(cases, submissions): which cases took the worst value."""
    rate: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    """For a rate: (called, of) by case, (cases, submissions) and (cases,); its interval is Wilson's where cases are independent."""
    slow: bool = False
    """Whether each draw costs a whole evaluation."""
    intervals: bool = True
    """Whether a bootstrap over cases makes sense."""


def fairness(
    grouped: Grouped,
    audited: Sequence[Audited],
    submissions: int,
    rules: FairnessRules,
    *,
    unmeasurable: Sequence[str] = (),
    permutations: int = gaps.PERMUTATIONS,
) -> list[Fairness]:
    """One audit a submission, all over the same shuffles and draws. `unmeasurable` says which metrics could not be audited."""
    built: list[dict[str, list[Gap]]] = [{} for _ in range(submissions)]
    for place, partition in enumerate(grouped.population.partitions):
        for batch in _batches(audited):
            computed = _compute(grouped, place, batch, submissions, rules, permutations)
            for k, item in enumerate(batch):
                for s in range(submissions):
                    gap = _gap(partition, item, computed, s, k * submissions + s)
                    built[s].setdefault(item.id, []).append(gap)
    names = [partition.name for partition in grouped.population.partitions]
    order = {id: i for i, id in enumerate(item.id for item in audited)}
    result = []
    for one in built:
        flat = [gap for own in one.values() for gap in own]
        flat.sort(key=lambda gap: (names.index(gap.partition), order[gap.measure]))
        result.append(_finished(flat, grouped, audited, rules, unmeasurable, permutations))
    return result


def _batches(audited: Sequence[Audited]) -> list[list[Audited]]:
    """Means over all cases go through the same shuffles in one product; every other measure goes alone."""
    plain = [item for item in audited if item.values is not None]
    return ([plain] if plain else []) + [[item] for item in audited if item.values is None]


@dataclass(frozen=True)
class _Computed:
    """One partition for a batch of measures; columns are measures times submissions."""

    reasons: list[str]
    """Why each group is withheld."""
    compared: NDArray[np.bool_]
    """Which groups are in gaps."""
    labels: NDArray[np.intp]
    """(cases,): the group of each case; −1 where withheld."""
    values: Floats
    """(groups, columns)."""
    ends: gaps.GroupIntervals | None
    test: gaps.GapTest | None
    within: str
    """Attribute within whose values labels were shuffled."""
    given: dict[str, Floats]
    """By attribute held fixed, p (columns,)."""
    ratios: Floats
    """(columns,)."""
    independent: bool
    """Whether each case is a patient of its own."""


def _compute(
    grouped: Grouped, place: int, batch: Sequence[Audited], submissions: int, rules: FairnessRules, permutations: int
) -> _Computed:
    partition, groups = grouped.population.partitions[place], grouped.groups[place]
    item = batch[0]
    measure = gaps.joined([one.measure for one in batch]) if len(batch) > 1 else item.measure
    number = len(partition.groups)
    reasons = [_withheld(partition, g, groups, item) for g in range(number)]
    shown = np.array([not reason for reason in reasons])
    compared = shown & np.array([group.compared for group in partition.groups])
    labels = np.where(shown[groups], groups, -1)
    values = gaps.by_group(measure, labels, number)
    ends = None
    if item.intervals and shown.any():
        stacked = (
            np.concatenate([one.values for one in batch if one.values is not None], axis=1)
            if item.values is not None
            else None
        )
        draws = SLOW_DRAWS if item.slow else gaps.DRAWS
        ends = gaps.group_intervals(measure, labels, number, compared, grouped.units, values=stacked, draws=draws)
    tested = np.where(compared[labels] & (labels >= 0), labels, -1)
    plan, within = _plan(grouped, partition, tested) if compared.sum() > 1 else (None, "")
    shuffles = min(permutations, SLOW_PERMUTATIONS) if item.slow else permutations
    test = _tested(batch, plan, number, submissions, shuffles) if plan is not None else None
    return _Computed(
        reasons,
        compared,
        labels,
        values,
        ends,
        test,
        within,
        _given(grouped, partition, tested, batch, submissions, shuffles, within) if test else {},
        gaps.ratio(values[compared]) if compared.sum() > 1 else np.full(len(batch) * submissions, np.nan),
        len(np.unique(grouped.units)) == len(grouped.units),
    )


def _gap(partition: Partition, item: Audited, computed: _Computed, s: int, column: int) -> Gap:
    """The record of submission `s`, whose numbers stand in `column`."""
    ends, test, values = computed.ends, computed.test, computed.values[:, column]
    cells = [_cell(partition, item, computed, g, s, column) for g in range(len(partition.groups))]
    gap = Gap(
        partition=partition.name, measure=item.id, direction=item.direction, values=tuple(cells), note=partition.note
    )
    known = np.where(computed.compared, values, np.nan)
    if np.count_nonzero(~np.isnan(known)) < 2:
        return gap if gap.note else gap.model_copy(update={"note": "Fewer than two groups have a value."})
    names = [group.name for group in partition.groups]
    top, bottom = names[int(np.nanargmax(known))], names[int(np.nanargmin(known))]
    best, worst = (top, bottom) if item.direction == "higher" else (bottom, top)
    return gap.model_copy(
        update={
            "best": best,
            "worst": worst,
            "gap": _number(gaps.spread(known[:, None])[0]),
            "gap_low": _number(ends.gap_low[column]) if ends else None,
            "gap_high": _number(ends.gap_high[column]) if ends else None,
            "ratio": _number(computed.ratios[column]),
            "null_mean": _number(test.null_mean[column]) if test else None,
            "null_high": _number(test.null_high[column]) if test else None,
            "p": _number(test.p[column]) if test else None,
            "within": computed.within,
            "given": tuple(Given(attribute=name, p=float(p[column])) for name, p in computed.given.items()),
            "note": "" if test else "Not tested: no two patients could trade places between these groups.",
        }
    )


def _cell(partition: Partition, item: Audited, computed: _Computed, g: int, s: int, column: int) -> GroupValue:
    name, value = partition.groups[g].name, float(computed.values[g, column])
    if computed.reasons[g] or np.isnan(value):
        return GroupValue(group=name, value=None, reason=computed.reasons[g] or "not defined on these cases")
    members, ends = computed.labels == g, computed.ends
    n = int(members.sum())
    low, high, method = None, None, "none: the metric depends on the number of cases"
    if ends is not None:
        low, high, method = _number(ends.low[g, column]), _number(ends.high[g, column]), ends.method[g]
    if item.rate is not None:
        called, of = item.rate
        n = int((members & of).sum())
        if computed.independent:
            interval = wilson(float((members & of & called[:, s]).sum()), n)
            low, high, method = interval.low, interval.high, interval.method
    failed = int((members & item.failed[:, s]).sum()) if item.failed is not None else None
    return GroupValue(group=name, value=value, low=low, high=high, method=method, n=n, n_worst=failed)


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _withheld(partition: Partition, g: int, groups: NDArray[np.intp], item: Audited) -> str:
    """Why the value of group `g` is not shown; empty where it is."""
    why = partition.groups[g].suppressed
    if why:
        return {
            "small": "too few patients",
            "complementary": "withheld, since a small group would follow from it",
            "empty": "no case",
        }[why]
    for cases, least in item.counts:
        here = int((cases & (groups == g)).sum())
        if here < least:
            return f"{here} of the {least} cases that {item.title} needs at least"
    return ""


def _plan(grouped: Grouped, partition: Partition, tested: NDArray[np.intp]) -> tuple[gaps.Shuffling | None, str]:
    """How to shuffle this partition, and within the values of which attribute.

    Where the task is stratified (by site), labels are traded within strata, as the bootstrap draws within them: what a stratum
    adds to the values then neither hides a gap nor passes for one. Where too few have someone to trade with, they trade freely,
    and the warning that the two attributes go together must do.
    """
    if grouped.stratum and grouped.stratum not in partition.attributes:
        held = gaps.shuffling(tested, grouped.units, grouped.attribute(grouped.stratum))
        if held is not None and held.movable >= TRADING:
            return held, grouped.stratum
    free = gaps.shuffling(tested, grouped.units)
    return (free, "") if free is not None and free.movable else (None, "")


def _tested(
    batch: Sequence[Audited], plan: gaps.Shuffling, number: int, submissions: int, permutations: int
) -> gaps.GapTest:
    """The gaps of all measures of the batch under the same shuffles, so many measures at a time that what is held stays bounded."""
    step = max(1, COLUMNS // max(submissions, 1))
    found = []
    for start in range(0, len(batch), step):
        some = [one.measure for one in batch[start : start + step]]
        found.append(gaps.gap_test(gaps.joined(some) if len(some) > 1 else some[0], plan, number, permutations))
    return gaps.GapTest(
        np.concatenate([one.gap for one in found]),
        np.concatenate([one.null_mean for one in found]),
        np.concatenate([one.null_high for one in found]),
        np.concatenate([one.p for one in found]),
    )


def _given(
    grouped: Grouped,
    partition: Partition,
    tested: NDArray[np.intp],
    batch: Sequence[Audited],
    submissions: int,
    permutations: int,
    within: str,
) -> dict[str, Floats]:
    """p-values with each attribute held fixed that is strongly associated with this one."""
    if len(partition.attributes) > 1:
        return {}
    found = {}
    for link in grouped.population.associations:
        pair = {link.first, link.second}
        if link.strong and partition.name in pair:
            other = (pair - {partition.name}).pop()
            if other == within:
                continue  # the gap's own test holds it fixed
            plan = gaps.shuffling(tested, grouped.units, grouped.attribute(other))
            if plan is not None:
                # Where one attribute determines the other nothing can move, and p is 1: the two cannot be told apart.
                found[other] = _tested(batch, plan, len(partition.groups), submissions, permutations).p
    return found


def _finished(
    found: Sequence[Gap],
    grouped: Grouped,
    audited: Sequence[Audited],
    rules: FairnessRules,
    unmeasurable: Sequence[str],
    permutations: int,
) -> Fairness:
    """Holm over all gaps of a submission, then the sentences."""
    people = grouped.population
    tested = [i for i, gap in enumerate(found) if gap.p is not None]
    adjusted = dict(zip(tested, holm_adjusted(np.array([found[i].p for i in tested], np.float64)), strict=True))
    done = []
    for i, gap in enumerate(found):
        update: dict[str, Any] = {}
        if i in adjusted:
            significant = bool(adjusted[i] <= rules.alpha)
            update = {"p_holm": float(adjusted[i]), "more_than_chance": significant}
        notes = [gap.note] if gap.note else []
        notes += [_confounded(gap, given, people.partition(given.attribute).title, rules) for given in gap.given]
        done.append(gap.model_copy(update={**update, "note": " ".join(notes)}))
    by_id = {item.id: item for item in audited}
    odds = []
    for partition in people.partitions:
        rates = {gap.measure: gap.gap for gap in done if gap.partition == partition.name and gap.measure in (TPR, FPR)}
        tpr, fpr = rates.get(TPR), rates.get(FPR)
        if tpr is not None and fpr is not None:
            odds.append(EqualisedOdds(partition=partition.name, tpr_gap=tpr, fpr_gap=fpr, difference=max(tpr, fpr)))
    return Fairness(
        gaps=tuple(done),
        odds=tuple(odds),
        permutations=permutations,
        tests=len(tested),
        findings=tuple(_findings(done, by_id, grouped, rules)),
        unmeasurable=tuple(unmeasurable),
    )


def _confounded(gap: Gap, given: Given, other: str, rules: FairnessRules) -> str:
    if given.p <= rules.alpha:
        return f"Also with {other} held fixed the gap is more than chance (p = {given.p:.3g})."
    return f"With {other} held fixed the gap is no more than chance (p = {given.p:.3g}): it may be {other}'s."


def _findings(
    found: Sequence[Gap], audited: Mapping[str, Audited], grouped: Grouped, rules: FairnessRules
) -> list[str]:
    tested = [gap for gap in found if gap.p is not None]
    if not tested:
        return ["No gap could be tested."]

    def share(gap: Gap) -> float:
        return (gap.gap or 0.0) / gap.null_mean if gap.null_mean else float("inf")

    said = []
    for gap in sorted((gap for gap in tested if gap.more_than_chance), key=lambda gap: -share(gap)):
        item = audited[gap.measure]
        unit = f" {item.unit}" if item.unit else ""
        best, worst = gap.value(gap.best).value, gap.value(gap.worst).value
        assert best is not None and worst is not None and gap.gap is not None
        chance = (
            f"; groups of these sizes show {gap.null_mean:.3g}{unit} by chance" if gap.null_mean is not None else ""
        )
        said.append(
            f"By {grouped.population.partition(gap.partition).title}, {item.title} is worst for {gap.worst} ({worst:.4g}{unit}) "
            f"and best for {gap.best} ({best:.4g}{unit}): a gap of {gap.gap:.3g}{unit}{chance} (p = {gap.p_holm:.2g} after Holm). "
            f"{gap.note}".strip()
        )
    if not said:
        said.append(
            f"None of {len(tested)} gaps is more than chance at a family-wise level of {100 * rules.alpha:g} %. That is no proof "
            "of fairness: gaps smaller than chance shows in groups of these sizes cannot be seen."
        )
    return said
