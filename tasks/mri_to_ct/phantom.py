"""The phantom edition of MRI → CT: who is in it, and each patient's images.

A case depends on (task version, seed, case id) alone: its place in the design below gives sex, age, scanner and site, and
every random draw is keyed by the case. Asking for more or fewer cases, or for one case only, changes none of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmark.contract import Case, Split
from benchmark.dataset import CaseFiles, PlannedCase
from tasks import head, patients
from tasks.anatomy import Grid, generator
from tasks.mri_to_ct import physics
from tasks.patients import Attributes

AGES: Mapping[str, tuple[int, int]] = {"<40": (18, 39), "40-64": (40, 64), "65+": (65, 88)}
"""Years, first and last included."""

TRAIN_BLOCK: patients.Shares = {
    "sex": {"female": 16, "male": 24},
    "age_band": {"<40": 6, "40-64": 18, "65+": 16},
    "scanner": {"1.5T": 14, "3T": 26},
    "site": {"A": 22, "B": 13, "C": 5},
}
"""Of each 40 training patients."""

MARGIN = 1.5
"""The body mask reaches this many mm beyond the skin, as the dilated outlines of SynthRAD do."""


def attributes(seed: int, split: Split, index: int) -> Attributes:
    """Sex, age band, scanner and site of the patient at this place in the design, and the age in years."""
    size = patients.block_size(split, TRAIN_BLOCK)
    row = patients.block_of("mri_to_ct", TRAIN_BLOCK, list(AGES), seed, split, index // size)[index % size]
    return patients.aged("mri_to_ct", row, AGES, seed, split, index)


def key(version: str, seed: int, case: str) -> tuple[object, ...]:
    """What every random draw of a case is keyed by."""
    return ("mri_to_ct", version, seed, case)


def make(case: Case, *, version: str, seed: int, size: int) -> CaseFiles:
    """Images of one patient on a grid of `size`³ voxels: MR, CT, the body mask (also where metrics are taken)."""
    who = case.attributes
    about = key(version, seed, case.id)
    grid = Grid.cube(size, head.EXTENT)
    patient = head.draw(about, sex=who["sex"], age=float(who["age"]))
    palettes = {
        "mr": physics.mr_palette(who["scanner"], generator(*about, "relaxation")),
        "ct": physics.ct_palette(patient.bone),
    }
    canvas, skin = head.paint(patient, grid, palettes)
    mr, _ = physics.scan_mr(canvas.layers["mr"], grid, about, physics.quality(who["scanner"], who["site"]))
    ct = physics.scan_ct(canvas.layers["ct"], grid, about)
    body = grid.volume((skin <= np.float32(MARGIN)).astype(np.uint8))
    return CaseFiles(
        inputs={"mri": grid.volume(mr), "body": body, "region": "brain"},
        references={"ct": grid.volume(ct), "mask": body},
    )


def cases(counts: Mapping[Split, int], *, version: str, seed: int, size: int) -> list[PlannedCase]:
    """The planned cases, split by split."""
    planned = []
    for split, n in counts.items():
        for index in range(n):
            case = Case(id=f"{split}-{index:03d}", split=split, attributes=attributes(seed, split, index))
            planned.append(PlannedCase(case, functools.partial(make, case, version=version, seed=seed, size=size)))
    return planned


def truth(planned: Iterable[PlannedCase], *, version: str, seed: int) -> dict[str, Any]:
    """What was planted, for checking a fairness audit against: difficulty by group, shares by split, each patient's draw."""
    planned = list(planned)
    qualities = {
        f"{scanner}/{site}": {
            "noise_percent": (q := physics.quality(scanner, site)).noise, "bias_range": q.bias, "blur_voxels": q.blur
        }
        for scanner in ("1.5T", "3T")
        for site in "ABC"
    }  # fmt: skip
    people = {}
    for p in planned:
        draw = head.draw(
            key(version, seed, p.case.id), sex=p.case.attributes["sex"], age=float(p.case.attributes["age"])
        )
        people[p.case.id] = {
            "age": int(p.case.attributes["age"]), "atrophy": draw.atrophy, "bone_density": draw.bone, "skull": draw.skull,
            "size": float(np.prod(draw.scale)) ** (1 / 3), "ventricles": draw.ventricles, "mastoid_air": draw.mastoid_air,
        }  # fmt: skip
    return {
        "image_quality": qualities,
        "effects": {
            "site": "C is harder than B, B than A: more noise, a stronger bias field, more blur; and C is rare in training",
            "scanner": "1.5T is harder than 3T: twice the noise; and it is rarer in training",
            "age_band": "under 40 is rare in training; atrophy grows with age, density of bone falls 0.3 % a year",
            "sex": "men's heads are 1.034 times as large in each direction, ventricles 1.065 times more; image quality is the same",
        },
        "harder_first": {"site": ["C", "B", "A"], "scanner": ["1.5T", "3T"]},
        "rarer_in_training": {"site": ["C"], "age_band": ["<40"], "scanner": ["1.5T"], "sex": ["female"]},
        "size_ratio_male_to_female": 1.034,
        "bone_density_loss_a_year": 0.003,
        "no_difference_in_image_quality": ["sex", "age_band"],
        "shares": patients.tally((p.case for p in planned), TRAIN_BLOCK),
        "patients": people,
    }
