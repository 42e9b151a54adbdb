"""Who the scored cases are: groups by attribute and crossing, which of them may be shown, which attributes go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Case, Task
from benchmark.fairness import UNKNOWN, Association, Group, Partition, Population
from benchmark.statistics import association
from benchmark.statistics.paired import holm_adjusted
from benchmark.statistics.suppression import suppress

Index = NDArray[np.intp]
JOIN = " × "


@dataclass(frozen=True)
class Grouped:
    """Cases with their groups: what the audit computes on."""

    cases: tuple[Case, ...]
    """In the order of drawing, so that listing them otherwise changes nothing."""
    units: Index
    """(cases,): the patient (or scan) of each case."""
    groups: tuple[Index, ...]
    """For each partition of the population, the group of each case (cases,)."""
    population: Population
    """The same as a record."""
    stratum: str = ""
    """The attribute by which the task is stratified, where it is one of those declared."""

    def attribute(self, name: str) -> Index:
        """The group of each case by one attribute."""
        return self.groups[[p.name for p in self.population.partitions].index(name)]


def group(task: Task, cases: Sequence[Case], kind: str) -> Grouped:
    """Group `cases` by the attributes and crossings that the task declares.

    `kind` is the edition's: groups of patients are withheld below `fairness.minimum`, also where subtraction would reveal them;
    phantoms are nobody's images and need only `fairness.minimum_phantom`. Raises `ValueError` without a case or an attribute.
    """
    if not cases or not task.attributes:
        raise ValueError("an audit needs cases and declared attributes")
    cases = tuple(sorted(cases, key=lambda case: case.drawing))
    labels = [case.attributes.get(task.cluster, "") or f"\0{case.id}" if task.cluster else case.id for case in cases]
    # Numbered by the first case of each in the order of drawing, so that draws hang on no name: published tables have other ones.
    numbers = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    units = np.array([numbers[label] for label in labels], np.intp)
    titles = {attribute.name: attribute.title for attribute in task.attributes}
    declared = {attribute.name: attribute.values for attribute in task.attributes}
    crossings = task.fairness.crossings
    if crossings is None:
        crossings = tuple(combinations(titles, 2))
    wanted = [(name,) for name in titles] + [tuple(crossing) for crossing in crossings]
    found = [_partition(cases, names, declared) for names in wanted]
    minimum = task.fairness.smallest(kind)
    nested = [(i, j) for i, fine in enumerate(wanted) for j, coarse in enumerate(wanted) if set(coarse) < set(fine)]
    withheld = suppress(
        [index for _, index in found],
        [len(values) for values, _ in found],
        units,
        minimum,
        nested=nested,
        complementary=kind != "phantom",
    )
    partitions = []
    for names, (values, index), why in zip(wanted, found, withheld, strict=True):
        groups = []
        for g, value in enumerate(values):
            shown = why[g] in ("", "empty")
            groups.append(
                Group(
                    name=JOIN.join(value),
                    values=value,
                    n=int((index == g).sum()) if shown else None,
                    patients=len(np.unique(units[index == g])) if shown else None,
                    suppressed=why[g],
                    unknown=UNKNOWN in value,
                )
            )
        partition = Partition(
            name="*".join(names),
            attributes=names,
            title=JOIN.join(titles[name] for name in names),
            groups=tuple(groups),
        )
        partitions.append(partition.model_copy(update={"note": _note(partition, minimum)}))
    people = Population(
        minimum=minimum,
        n=len(cases),
        patients=int(units.max()) + 1,
        partitions=tuple(partitions),
        associations=_associations(task, cases, units, titles),
    )
    people = people.model_copy(update={"unmeasurable": tuple(_unmeasurable(people))})
    return Grouped(
        cases, units, tuple(index for _, index in found), people, task.stratify if task.stratify in titles else ""
    )


def _value(case: Case, name: str) -> str:
    return case.attributes.get(name, "") or UNKNOWN


def _partition(
    cases: Sequence[Case], names: Sequence[str], declared: dict[str, tuple[str, ...]]
) -> tuple[list[tuple[str, ...]], Index]:
    """The groups in display order, and the group of each case. Of a crossing only the groups that occur."""
    here = [tuple(_value(case, name) for name in names) for case in cases]
    orders = []
    for place, name in enumerate(names):
        occurring = {value[place] for value in here}
        known = [value for value in declared[name] if value != UNKNOWN]
        others = sorted(occurring - set(known) - {UNKNOWN})
        orders.append([*known, *others, *([UNKNOWN] if UNKNOWN in occurring else [])])
    values = [value for value in product(*orders) if len(names) == 1 or value in set(here)]
    return values, np.array([values.index(value) for value in here])


def _note(partition: Partition, minimum: int) -> str:
    known = [g for g in partition.groups if not g.unknown and g.suppressed != "empty"]
    if len(known) < 2:
        return f"All cases whose {partition.title} is known are of one group." if known else "It is known for no case."
    if len(partition.compared) < 2:
        return f"Fewer than two groups can be shown: a group needs {minimum} patients."
    return ""


def _associations(task: Task, cases: Sequence[Case], units: Index, titles: dict[str, str]) -> tuple[Association, ...]:
    found = []
    for first, second in combinations(titles, 2):
        a, b = [_value(case, first) for case in cases], [_value(case, second) for case in cases]
        keep = [i for i in range(len(cases)) if UNKNOWN not in (a[i], b[i])]
        if len({(units[i], a[i], b[i]) for i in keep}) == len({units[i] for i in keep}):
            keep = list({units[i]: i for i in reversed(keep)}.values())[::-1]  # one row a patient
        a, b = [a[i] for i in keep], [b[i] for i in keep]
        if len(set(a)) > 1 and len(set(b)) > 1:
            v = association.cramers_v(association.table(a, b))
            found.append((first, second, v, association.independence_p(a, b)))
    adjusted = holm_adjusted(np.array([p for *_, p in found]))
    said = []
    for (first, second, v, _), p in zip(found, adjusted, strict=True):
        strong = v >= task.fairness.association
        sentence = (
            f"{titles[first]} and {titles[second]} go together among these cases (Cramér's V {v:.2f}): a gap by one of them may "
            "be a gap by the other."
        )
        said.append(
            Association(
                first=first,
                second=second,
                cramers_v=v,
                p=float(p),
                strong=strong,
                sentence=sentence if strong else "",
            )
        )
    return tuple(said)


def _unmeasurable(people: Population) -> list[str]:
    said = []
    for partition in people.partitions:
        if len(partition.attributes) > 1:
            continue
        if partition.note:
            said.append(f"{partition.title}: no gap. {partition.note}")
        else:
            hidden = [g.name for g in partition.groups if g.suppressed in ("small", "complementary")]
            if hidden:
                said.append(
                    f"{partition.title}: {', '.join(hidden)} {'is' if len(hidden) == 1 else 'are'} withheld, and in no gap: "
                    f"fewer than {people.minimum} patients, or so few would follow from the rest."
                )
        empty = [g.name for g in partition.groups if g.suppressed == "empty"]
        if empty:
            said.append(f"{partition.title}: no case is {' or '.join(empty)}.")
        unknown = next((g for g in partition.groups if g.unknown), None)
        if unknown is not None:
            how_many = f"{unknown.n} of {people.n} cases" if unknown.n is not None else "some cases"
            said.append(f"{partition.title}: not known for {how_many}; they are in no gap.")
    crossings = [p for p in people.partitions if len(p.attributes) > 1]
    closed = [p.title for p in crossings if p.note]
    if closed:
        said.append(
            f"Crossings without two groups of {people.minimum} patients, hence without a gap: {', '.join(closed)}."
        )
    return said
