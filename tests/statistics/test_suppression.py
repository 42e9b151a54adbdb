"""Suppression against an attacker: whoever knows all that is shown must not get at a small group."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.statistics.suppression import suppress

Index = np.ndarray


def of(*labels: str) -> tuple[list[Index], list[int]]:
    """Partitions from strings with one letter a case."""
    indexed = [np.unique(list(text), return_inverse=True)[1] for text in labels]
    return indexed, [int(index.max()) + 1 for index in indexed]


def test_one_small_group_takes_another_with_it() -> None:
    partitions, sizes = of("a" * 12 + "b" * 15 + "c" * 3)
    assert suppress(partitions, sizes, np.arange(30), 10) == [["complementary", "", "small"]]
    assert suppress(partitions, sizes, np.arange(30), 10, complementary=False) == [["", "", "small"]]


def test_several_small_groups_protect_each_other_when_they_are_enough_together() -> None:
    partitions, sizes = of("a" * 20 + "b" * 6 + "c" * 5)
    assert suppress(partitions, sizes, np.arange(31), 10) == [["", "small", "small"]]
    partitions, sizes = of("a" * 20 + "d" * 12 + "b" * 3 + "c" * 2)  # b and c together are five people
    assert suppress(partitions, sizes, np.arange(37), 10) == [["", "small", "small", "complementary"]]


def test_groups_are_counted_in_patients() -> None:
    partitions, sizes = of("a" * 40 + "b" * 40)
    units = np.concatenate([np.arange(40), 40 + np.arange(40) // 10])  # b: four patients with ten cases each
    assert suppress(partitions, sizes, units, 10) == [["complementary", "small"]]


def test_a_cell_of_a_crossing_does_not_follow_from_its_row() -> None:
    #          x   y
    #      a  20   4     the margins a, b, x, y are all large
    #      b  20  20
    rows, columns = "a" * 24 + "b" * 40, "x" * 20 + "y" * 4 + "x" * 20 + "y" * 20
    crossed = "".join({"ax": "1", "ay": "2", "bx": "3", "by": "4"}[r + c] for r, c in zip(rows, columns, strict=True))
    partitions, sizes = of(rows, columns, crossed)
    said = suppress(partitions, sizes, np.arange(64), 10, nested=[(2, 0), (2, 1)])
    assert said[0] == ["", ""] and said[1] == ["", ""]
    assert said[2] == ["complementary", "small", "complementary", "complementary"]  # else a line gives it away


def attack(partitions: list[Index], said: list[list[str]], cases: int) -> list[np.ndarray]:
    """The groups of people whose sum follows from what is shown: all combinations of shown groups, by Gauss elimination."""
    shown = [index == g for index, why in zip(partitions, said, strict=True) for g, w in enumerate(why) if w == ""]
    rows = np.array([np.ones(cases), *[group.astype(float) for group in shown]])
    return list(rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 60), st.integers(2, 4), st.integers(2, 4))
def test_no_small_group_follows_from_what_is_shown(seed: int, cases: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.choice(first, cases, p=rng.dirichlet(np.ones(first)))
    b = rng.choice(second, cases, p=rng.dirichlet(np.ones(second)))
    crossed = a * second + b
    partitions, sizes = [a, b, crossed], [first, second, first * second]
    minimum = 5
    said = suppress(partitions, sizes, np.arange(cases), minimum, nested=[(2, 0), (2, 1)])
    known = np.array(attack(partitions, said, cases))
    for p, why in enumerate(said):
        for g, w in enumerate(why):
            size = int((partitions[p] == g).sum())
            assert (w == "empty") == (size == 0)
            assert w in ("small", "empty") or size >= minimum
            if w == "small" and size < cases:
                target = (partitions[p] == g).astype(float)
                rank = np.linalg.matrix_rank(known)
                assert np.linalg.matrix_rank(np.vstack([known, target])) == rank + 1
    # The difference of any two shown groups, one inside the other, is over enough people.
    for x, y in combinations(known, 2):
        for outer, inner in ((x, y), (y, x)):
            if (outer >= inner).all() and 0 < inner.sum() < outer.sum() and inner.sum() >= minimum:
                left = outer.sum() - inner.sum()
                if (
                    left < minimum
                ):  # allowed only where nothing else could be withheld: the rest is a whole line by itself
                    pytest.fail(f"{int(left)} people follow by subtraction")


def test_everything_can_be_withheld() -> None:
    partitions, sizes = of("ab" * 4)
    assert suppress(partitions, sizes, np.arange(8), 10) == [["small", "small"]]
