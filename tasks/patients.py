"""Who is in a phantom edition: patients with declared shares of sex, age band, scanner and site, by place in a design.

A patient depends on (task, seed, split, place) alone. Training and validation groups have exact shares of each block of patients,
each attribute shuffled on its own; test groups are balanced and crossed, so that no attribute stands in for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from benchmark.contract import SPLITS, Case, Split
from benchmark.errors import UsageError
from tasks.anatomy import generator

Attributes = dict[str, str]

Shares = Mapping[str, Mapping[str, int]]
"""By attribute and value: how many patients of a block have it."""

CANARY: Sequence[Attributes] = (
    {"sex": "female", "age_band": "40-64", "scanner": "3T", "site": "A"},
    {"sex": "male", "age_band": "65+", "scanner": "1.5T", "site": "B"},
    {"sex": "female", "age_band": "<40", "scanner": "3T", "site": "C"},
)
"""The three patients of the canary split."""

TEST_BLOCK = 24
"""Patients of a test block."""


VAL_SHARES: Shares = {
    "sex": {"female": 4, "male": 4},
    "age_band": {"<40": 2, "40-64": 3, "65+": 3},
    "scanner": {"1.5T": 3, "3T": 5},
    "site": {"A": 3, "B": 3, "C": 2},
}
"""Of each 8 validation patients whose head is imaged."""


def counts(default: Mapping[Split, int], asked: Mapping[str, int] | None = None) -> dict[Split, int]:
    """Cases of each split: as asked for, and of the splits that were not named the default number.

    Raises `UsageError` for an unknown split or a negative number of cases.
    """
    found = {split: default[split] for split in SPLITS}
    for split, n in (asked or {}).items():
        if split not in SPLITS:
            raise UsageError("unknown_name", f"split {split!r}", expected=f"one of {', '.join(SPLITS)}")
        if n < 0:
            raise UsageError("bad_value", f"{n} cases in {split}", expected="0 or more")
        found[split] = n
    return found


def block_size(split: Split, train: Shares) -> int:
    """How many patients are decided on together."""
    if split == "canary":
        return len(CANARY)
    return TEST_BLOCK if split == "test" else sum((VAL_SHARES if split == "val" else train)["sex"].values())


def block_of(task: str, train: Shares, ages: Sequence[str], seed: int, split: Split, block: int) -> list[Attributes]:
    """The patients of a block in a task about heads: three for the canary, crossed groups in test, exact shares in train and val."""
    if split == "canary":
        return list(CANARY)
    if split == "test":
        return crossed(task, ages, seed, block)
    return with_shares(task, VAL_SHARES if split == "val" else train, seed, split, block)


def tally(cases: Iterable[Case], names: Collection[str]) -> dict[str, dict[str, dict[str, int]]]:
    """By split, attribute and value: how many cases have it."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for case in cases:
        own = found.setdefault(case.split, {name: Counter() for name in names})
        for name, counter in own.items():
            counter[case.attributes[name]] += 1
    return {split: {name: dict(sorted(c.items())) for name, c in own.items()} for split, own in found.items()}


def with_shares(task: str, shares_of: Shares, seed: int, split: Split, block: int) -> list[Attributes]:
    """Patients with exactly the given shares, each attribute shuffled on its own."""
    columns = {}
    for name, shares in shares_of.items():
        values = [value for value, n in shares.items() for _ in range(n)]
        order = generator(task, "design", seed, split, block, name).permutation(len(values))
        columns[name] = [values[i] for i in order]
    return [{name: column[i] for name, column in columns.items()} for i in range(len(columns["sex"]))]


def crossed(task: str, ages: Sequence[str], seed: int, block: int) -> list[Attributes]:
    """24 patients: every site × scanner × sex twice, the three age bands in a Latin square over them."""
    cells = [
        {"sex": sex, "age_band": ages[(i + j + 2 * k + half) % 3], "scanner": scanner, "site": site}
        for half in (0, 1)
        for i, site in enumerate("ABC")
        for j, scanner in enumerate(("1.5T", "3T"))
        for k, sex in enumerate(("female", "male"))
    ]
    order = generator(task, "design", seed, "test", block).permutation(len(cells))
    return [cells[i] for i in order]


def aged(
    task: str, row: Attributes, ages: Mapping[str, tuple[int, int]], seed: int, split: Split, index: int
) -> Attributes:
    """The patient with an age in years, drawn evenly from the band (first and last year included)."""
    first, last = ages[row["age_band"]]
    age = int(generator(task, "age", seed, split, index).integers(first, last + 1))
    return {**row, "age": str(age)}
