"""Which groups' numbers are withheld, so that none is of too few people, and none of those follows from the others.

Published are the number of all cases, and for each shown group its mean and size. Whoever has these has every sum over a shown
group, and everything that adding and subtracting them gives. A small group is safe when its sum is no such combination, and when
no difference of what is shown is over fewer people than the minimum (Hundepool et al., Statistical Disclosure Control, ch. 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.fairness import Suppression

Index = NDArray[np.intp]


def suppress(
    partitions: Sequence[Index],
    sizes: Sequence[int],
    units: Index,
    minimum: int,
    *,
    nested: Sequence[tuple[int, int]] = (),
    complementary: bool = True,
) -> list[list[Suppression]]:
    """For each partition, why each of its groups is withheld ("" where it is shown).

    `partitions` hold for each case (cases,) the index of its group; `sizes` say how many groups each partition has. `units` is the
    patient of each case: groups are counted in patients. `nested` are pairs (fine, coarse) of partitions of which the first splits
    the second, such as a crossing and one of its attributes. Without `complementary` only small groups are withheld.
    """
    members = [[index == g for g in range(size)] for index, size in zip(partitions, sizes, strict=True)]
    counts = [[_people(units, group) for group in groups] for groups in members]
    said: list[list[Suppression]] = [
        ["empty" if n == 0 else "small" if n < minimum else "" for n in row] for row in counts
    ]
    if not complementary:
        return said
    small = [(p, g) for p, row in enumerate(said) for g, why in enumerate(row) if why == "small"]
    everyone = np.ones(len(units), dtype=bool)
    while True:
        victim = None
        for p in range(len(partitions)):
            victim = victim or _thin(p, everyone, members, said, counts, units, minimum)
        for fine, coarse in nested:
            for g, why in enumerate(said[coarse]):
                if why == "":
                    victim = victim or _thin(fine, members[coarse][g], members, said, counts, units, minimum)
        victim = victim or _revealing(small, members, said, counts)
        if victim is None:
            return said
        said[victim[0]][victim[1]] = "complementary"


def _people(units: Index, cases: NDArray[np.bool_]) -> int:
    return len(np.unique(units[cases]))


def _thin(
    p: int,
    whole: NDArray[np.bool_],
    members: Sequence[Sequence[NDArray[np.bool_]]],
    said: Sequence[Sequence[Suppression]],
    counts: Sequence[Sequence[int]],
    units: Index,
    minimum: int,
) -> tuple[int, int] | None:
    """What to withhold, where `whole` less the shown groups of partition `p` within it is over too few people."""
    shown = [g for g, why in enumerate(said[p]) if why == "" and (members[p][g] & whole).any()]
    rest = whole.copy()
    for g in shown:
        rest &= ~members[p][g]
    if not shown or not rest.any() or _people(units, rest) >= minimum:
        return None
    return p, min(shown, key=lambda g: (counts[p][g], g))


def _revealing(
    small: Sequence[tuple[int, int]],
    members: Sequence[Sequence[NDArray[np.bool_]]],
    said: Sequence[Sequence[Suppression]],
    counts: Sequence[Sequence[int]],
) -> tuple[int, int] | None:
    """What to withhold, where a small group is a combination of what is shown: the smallest group in that combination."""
    shown = [(p, g) for p, row in enumerate(said) for g, why in enumerate(row) if why == ""]
    if not small or not shown:
        return None
    columns = np.array([members[p][g] for p, g in [*shown, *small]], dtype=np.float64).T
    atoms = np.unique(columns, axis=0)  # cases that are in the same groups cannot be told apart
    published = np.column_stack([np.ones(len(atoms)), atoms[:, : len(shown)]])
    wanted = atoms[:, len(shown) :]
    solution, *_ = np.linalg.lstsq(published, wanted, rcond=None)
    missed = np.abs(published @ solution - wanted).max(axis=0)
    for column in np.flatnonzero(missed < 1e-8).tolist():
        used = [shown[i] for i in np.flatnonzero(np.abs(solution[1:, column]) > 1e-8)]
        if used:
            own = [group for group in used if group[0] == small[column][0]]
            return min(own or used, key=lambda group: (counts[group[0]][group[1]], group))
    return None
