"""Who the phantoms are: attributes of every patient, how many nodules each has, their sizes and kinds.

All is dealt out in blocks, so that shares are met exactly and a block does not depend on how many cases are asked for.

Sizes are those of LUNA16's `annotations.csv` (1186 nodules of 888 scans of LIDC-IDRI, marked by three readers or four): knots of
the cumulative distribution of the diameter, joined by straight lines. The number of nodules a scan is nearly that of the same data:
none in 36 % (LIDC-IDRI: 32 %); of the scans with nodules 52 % have one, 27 % two, 10 % three, 4 % four, 4 % five and 3 % more. Training
alone is richer.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Split
from tasks.anatomy import generator
from tasks.nodule_detection.difficulty import IRREGULAR, PLACES, PURE_GROUND_GLASS, SUBSOLID
from tasks.patients import Attributes, aged, with_shares

Kind = Literal["solid", "part_solid", "ground_glass"]
Place = Literal["vessel", "pleura", "free"]

DIAMETERS = (
    (0.0, 3.0), (0.043, 4.0), (0.05, 4.08), (0.229, 5.0), (0.25, 5.11), (0.421, 6.0), (0.5, 6.44), (0.656, 8.0), (0.75, 9.7),
    (0.763, 10.0), (0.894, 15.0), (0.95, 19.0), (0.958, 20.0), (0.995, 25.0), (1.0, 32.3),
)  # fmt: skip
"""Share of LUNA16's nodules below a diameter in mm: its histogram and its quantiles."""

AGES: Mapping[str, tuple[int, int]] = {"<55": (40, 54), "55-69": (55, 69), "70+": (70, 85)}
"""Years, first and last included."""

BLOCK: Mapping[Split, int] = {"train": 48, "val": 12, "canary": 3, "test": 36}
"""Patients a block."""

SHARES: Mapping[Split, Mapping[str, Mapping[str, int]]] = {
    "train": {
        "sex": {"female": 18, "male": 30},
        "age_band": {"<55": 12, "55-69": 22, "70+": 14},
        "dose": {"standard": 33, "low": 15},
        "site": {"A": 28, "B": 16, "C": 4},
    },
    "val": {
        "sex": {"female": 6, "male": 6},
        "age_band": {"<55": 4, "55-69": 4, "70+": 4},
        "dose": {"standard": 6, "low": 6},
        "site": {"A": 4, "B": 4, "C": 4},
    },
}
"""Of each block, how many of each group; attributes are shuffled on their own. Site C is rare in training."""

NODULES: Mapping[Split, Sequence[int]] = {
    "train": [0] * 6 + [1] * 14 + [2] * 10 + [3] * 8 + [4] * 5 + [5] * 3 + [6] * 2,
    "val": [0] * 4 + [1] * 4 + [2] * 3 + [4],
    "canary": [1, 2, 0],
    "test": [0] * 13 + [1] * 12 + [2] * 6 + [3, 3, 4, 5, 6],
}
"""Numbers of nodules of a block's patients: those of LUNA16, but in training, which has more, so that there is something to learn from."""

_CANARY: Sequence[Attributes] = (
    {"sex": "female", "age_band": "55-69", "dose": "standard", "site": "A"},
    {"sex": "male", "age_band": "70+", "dose": "low", "site": "B"},
    {"sex": "female", "age_band": "<55", "dose": "low", "site": "C"},
)


@dataclass(frozen=True)
class Nodule:
    """What is decided of a nodule before it has a place."""

    diameter: float
    """mm."""
    kind: Kind
    """What it is made of."""
    place: Place
    """What it touches."""
    irregular: bool
    """Whether its outline is lobulated."""


@dataclass(frozen=True)
class Patient:
    """One phantom patient."""

    attributes: Attributes
    nodules: tuple[Nodule, ...]


def diameter(share: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Diameter in mm below which this share (0 to 1) of LUNA16's nodules lies."""
    return np.asarray(np.interp(share, [s for s, _ in DIAMETERS], [d for _, d in DIAMETERS]))


def _rows(split: Split, seed: int, block: int) -> list[Attributes]:
    if split == "canary":
        return list(_CANARY)
    if split == "test":  # every combination of the four attributes once
        return [
            {"sex": sex, "age_band": age, "dose": dose, "site": site}
            for site in "ABC"
            for dose in ("standard", "low")
            for age in AGES
            for sex in ("female", "male")
        ]
    return list(with_shares("nodule_detection", SHARES[split], seed, split, block))


def _dealt(rows: Sequence[Attributes], numbers: Sequence[int], rng: np.random.Generator) -> list[int]:
    """The numbers of nodules, so dealt that groups have alike means and shares without any: the best of 200 shuffles."""
    groups = [[row[name] == value for row in rows] for name in rows[0] for value in sorted({r[name] for r in rows})]
    member = np.array(groups, float)
    member /= member.sum(axis=1, keepdims=True)
    shuffled = np.stack([rng.permutation(numbers) for _ in range(200)])
    uneven = ((shuffled @ member.T - np.mean(numbers)) ** 2).sum(axis=1)
    uneven += 2 * (((shuffled == 0) @ member.T - np.mean(np.equal(numbers, 0))) ** 2).sum(axis=1)
    return [int(n) for n in shuffled[np.argmin(uneven)]]


@functools.cache
def _block(split: Split, seed: int, block: int) -> tuple[Patient, ...]:
    rows = _rows(split, seed, block)
    rng = generator("nodule_detection", "nodules", seed, split, block)
    if split == "canary":
        numbers = list(NODULES[split])
    else:
        numbers = _dealt(rows, NODULES[split], rng)
    order = rng.permutation(len(rows)) if split == "test" else np.arange(len(rows))
    total = sum(numbers)
    # One draw from each of `total` equal shares of the distribution: the sizes of a block follow it closely.
    sizes = rng.permutation(diameter((np.arange(total) + rng.random(total)) / total))
    if split == "canary":
        sizes = np.array([7.5, 12.0, 5.2])  # what a participant looks at first should show something
    owner = np.repeat(np.arange(len(rows)), numbers)
    kinds: list[Kind] = ["solid"] * total
    for sex, rate in SUBSOLID.items():
        own = rng.permutation([i for i in range(total) if rows[owner[i]]["sex"] == sex])
        subsolid = own[: round(rate * len(own))]
        glass = round(PURE_GROUND_GLASS * len(subsolid))
        for rank, i in enumerate(subsolid):
            kinds[i] = "ground_glass" if rank < glass else "part_solid"
    places: list[Place] = list(PLACES)  # type: ignore[arg-type]
    where = rng.permutation(np.searchsorted(np.cumsum(list(PLACES.values())), (np.arange(total) + 0.5) / total))
    irregular = rng.permutation(np.arange(total) < round(IRREGULAR * total))
    found = [
        Nodule(round(float(sizes[i]), 2), kinds[i], places[min(int(where[i]), 2)], bool(irregular[i]))
        for i in range(total)
    ]
    patients = []
    for i in order:
        mine = tuple(found[k] for k in range(total) if owner[k] == i)
        patients.append(Patient(rows[i], mine))
    return tuple(patients)


def patient(seed: int, split: Split, index: int) -> Patient:
    """The patient at this place of the design; the attributes include the age in years."""
    length = BLOCK[split]
    chosen = _block(split, seed, index // length)[index % length]
    return Patient(aged("nodule_detection", chosen.attributes, AGES, seed, split, index), chosen.nodules)
