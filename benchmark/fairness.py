"""Records of a fairness audit: who was scored, what each group got, which gaps are more than chance, what cannot be said.

`Population` is the same for all submissions of a board (who the cases are); `Fairness` belongs to one submission.
"""

from __future__ import annotations

from typing import Literal

from benchmark.record import Record

UNKNOWN = "unknown"
"""The group of cases whose attribute is not known: shown as a group of its own, never part of a gap."""

Suppression = Literal["", "small", "complementary", "empty"]
"""Why a group's numbers are withheld: it is `small`; or it is large enough, but subtracting it from a total would reveal a small
one (`complementary`); or the declared group has no case at all (`empty`). "" where the numbers are shown."""


class Group(Record):
    """One group of one attribute, or of a crossing of several."""

    name: str
    """How it is written: the value of the attribute, or the values joined by " × "."""
    values: tuple[str, ...]
    """The value of each attribute of the partition, in its order."""
    n: int | None
    """Cases in it; absent where withheld (a suppressed group), 0 where empty."""
    patients: int | None
    """Independent units in it (patients, or scans): what the minimum size is held against. Absent where withheld."""
    suppressed: Suppression = ""
    """Why its numbers are withheld; "" where they are shown."""
    unknown: bool = False
    """Whether an attribute is unknown here: shown, but in no gap."""

    @property
    def compared(self) -> bool:
        """Whether the group takes part in gaps."""
        return not self.suppressed and not self.unknown


class Partition(Record):
    """The cases split by one attribute, or by a crossing of several."""

    name: str
    """Key of the partition: the attribute, or attributes joined by "*"."""
    attributes: tuple[str, ...]
    """The attributes that are crossed; one for a plain partition."""
    title: str
    """Heading, such as "Sex" or "Sex × Field strength"."""
    groups: tuple[Group, ...]
    """In display order."""
    note: str = ""
    """Why this partition cannot be compared, such as too few groups of the minimum size; empty where it can."""

    @property
    def compared(self) -> tuple[Group, ...]:
        """The groups that take part in gaps."""
        return tuple(group for group in self.groups if group.compared)


class Association(Record):
    """How strongly two attributes go together among the scored cases: a gap by one may be a gap by the other."""

    first: str
    """An attribute."""
    second: str
    """Another attribute."""
    cramers_v: float
    """Cramér's V, corrected for bias (Bergsma 2013): 0 independent, 1 one determines the other."""
    p: float
    """Permutation p-value of independence (chi-squared statistic), Holm-corrected over all pairs."""
    strong: bool
    """Whether the page warns: V of at least the declared threshold among these very cases, whatever p says of others."""
    sentence: str = ""
    """The warning in plain words; empty where not strong."""


class Population(Record):
    """Who the scored cases are: the same for every submission of a board."""

    minimum: int
    """Smallest group, in patients, whose numbers are shown."""
    n: int
    """Cases that were scored."""
    patients: int
    """Independent units (patients or scans) among them."""
    partitions: tuple[Partition, ...]
    """By each declared attribute, then by each declared crossing."""
    associations: tuple[Association, ...] = ()
    """Every pair of declared attributes that could be compared."""
    unmeasurable: tuple[str, ...] = ()
    """Plain sentences: what cannot be said of whom, and why."""

    def partition(self, name: str) -> Partition:
        """The partition of that name."""
        return next(item for item in self.partitions if item.name == name)


class GroupValue(Record):
    """One measure in one group."""

    group: str
    """Name of the group."""
    value: float | None
    """Mean over its cases, or the value of a set-level metric or rate on them; absent where withheld or undefined."""
    low: float | None = None
    """Lower end of its interval."""
    high: float | None = None
    """Upper end of its interval."""
    method: str = ""
    """How the interval was made."""
    n: int | None = None
    """What the value is over: cases; for a rate, the positive (or negative) items. Absent where withheld."""
    n_worst: int | None = None
    """How many of the cases took the worst value because their output was missing or invalid."""
    reason: str = ""
    """Why there is no value."""


class Given(Record):
    """The same gap, tested with another attribute held fixed."""

    attribute: str
    """The attribute within whose values labels were shuffled."""
    p: float
    """Permutation p-value, not corrected: it qualifies the gap's own test and is no test of its own."""


class Gap(Record):
    """One measure over the groups of one partition: the values, and whether their spread is more than chance."""

    partition: str
    """Name of the partition."""
    measure: str
    """Id of the metric in the task, or `true_positive_rate` / `false_positive_rate`."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    values: tuple[GroupValue, ...]
    """One a group, in the order of the partition."""
    best: str = ""
    """Group with the best value among those compared; empty where fewer than two are."""
    worst: str = ""
    """Group with the worst value among those compared."""
    gap: float | None = None
    """Difference between best and worst, never negative; absent where fewer than two groups are compared."""
    gap_low: float | None = None
    """Lower end of the 95 % bootstrap interval of the difference between these two groups (cases drawn within groups), at least 0.
    It does not know that best and worst were chosen after looking: whether there is a gap at all is for `p` and `null_high`."""
    gap_high: float | None = None
    """Upper end of that interval."""
    ratio: float | None = None
    """Smallest group value over the largest, in [0, 1]; absent where a value is negative or all are 0."""
    null_mean: float | None = None
    """Mean of the gap when group labels are shuffled: what groups of these sizes show where there is no difference."""
    null_high: float | None = None
    """95th percentile of that null distribution."""
    p: float | None = None
    """Permutation p-value of the gap, two-sided by construction."""
    within: str = ""
    """Attribute within whose values labels were shuffled, such as site where the task is stratified by it; empty: freely."""
    p_holm: float | None = None
    """p after Holm's correction over all gaps of the same submission."""
    more_than_chance: bool = False
    """Whether `p_holm` is at most 0.05."""
    given: tuple[Given, ...] = ()
    """Where an associated attribute could explain the gap: the test with that attribute held fixed."""
    note: str = ""
    """What must be read with the gap, such as an associated attribute, or why there is no gap."""

    def value(self, group: str) -> GroupValue:
        """The value of that group."""
        return next(item for item in self.values if item.group == group)


class EqualisedOdds(Record):
    """How far true- and false-positive rates differ over the groups of one partition."""

    partition: str
    """Name of the partition."""
    tpr_gap: float
    """Largest less smallest true-positive rate."""
    fpr_gap: float
    """Largest less smallest false-positive rate."""
    difference: float
    """The larger of both (Hardt et al. 2016, as fairlearn's equalized_odds_difference)."""


class Fairness(Record):
    """The audit of one submission on the population of its board."""

    gaps: tuple[Gap, ...]
    """One a partition and measure, partitions first, measures in the order of the task."""
    odds: tuple[EqualisedOdds, ...] = ()
    """For detection and classification, one a partition with both gaps."""
    permutations: int
    """Shuffles of each permutation test."""
    tests: int
    """How many gaps Holm's correction counted."""
    findings: tuple[str, ...] = ()
    """Plain sentences: gaps that are more than chance, largest share first; or that there is none."""
    unmeasurable: tuple[str, ...] = ()
    """Plain sentences: measures that have no value by group here, and why."""

    def gap(self, partition: str, measure: str) -> Gap:
        """The gap of that partition and measure."""
        return next(item for item in self.gaps if (item.partition, item.measure) == (partition, measure))


class RuleOrder(Record):
    """The order that one ranking rule would give."""

    rule: str
    """Name of the rule."""
    ranks: dict[str, float]
    """Rank of each submission by name; ties share the lowest."""
    declared: bool = False
    """Whether it is the task's own rule."""


class Tau(Record):
    """Agreement of two ranking rules."""

    first: str
    """A rule."""
    second: str
    """Another rule."""
    tau: float | None
    """Kendall's τ-b of the two rankings: 1 the same order, −1 reversed; absent where a rule ties all."""


class Reordering(Record):
    """Two submissions whose order under `synthrad2023` depends on a third one taking part."""

    without: str
    """The submission that is left out."""
    pairs: tuple[tuple[str, str], ...]
    """(now behind or tied, now in front): each pair whose order changes, first the one that gains."""


class Agreement(Record):
    """How far the order of a board hangs on the rule."""

    orders: tuple[RuleOrder, ...]
    """By each rule, the task's own first."""
    taus: tuple[Tau, ...]
    """Kendall's τ between every two rules."""
    podium_agrees: bool
    """Whether no rule puts behind another submission one that the task's own rule has on the podium and in front of it."""
    reorderings: tuple[Reordering, ...] = ()
    """Where leaving one submission out would reorder the others under `synthrad2023`."""
    warnings: tuple[str, ...] = ()
    """The same in plain sentences; empty where all rules agree on the podium and nothing reorders."""
