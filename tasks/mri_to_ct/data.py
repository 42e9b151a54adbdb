"""Editions of MRI → CT: phantoms by formula, SynthRAD2023 and SynthRAD2025 from the disk."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmark.contract import DatasetInfo, Split
from benchmark.dataset import Plan
from benchmark.errors import UsageError
from tasks import patients
from tasks.head import EXTENT
from tasks.mri_to_ct import phantom as heads
from tasks.mri_to_ct import synthrad

VERSION: str = tomllib.loads((Path(__file__).parent / "task.toml").read_text("utf-8"))["version"]

COUNTS: Mapping[Split, int] = {"train": 40, "val": 8, "canary": 3, "test": 24}
"""Cases of the default phantom edition."""


def phantom(*, size: int = 64, seed: int = 2026, cases: dict[str, int] | None = None) -> Plan:
    """Phantom heads on `size`³ voxels in a field of view of 192 mm (64: 3 mm), `cases` a split.

    Raises `UsageError` for a size outside 32 to 128, an unknown split or a negative number of cases.
    """
    if not 32 <= size <= 128:
        raise UsageError("bad_value", f"size {size}", expected="from 32 to 128 voxels a side")
    counts = patients.counts(COUNTS, cases)
    planned = heads.cases(counts, version=VERSION, seed=seed, size=size)
    info = DatasetInfo(
        task="mri_to_ct",
        task_version=VERSION,
        edition="phantom" if size == 64 else f"phantom-{size}",
        kind="phantom",
        title="Phantom heads",
        description=(
            f"Heads made by formula, {size}³ voxels of {EXTENT / size:g} mm: T1-weighted MR (spoiled gradient echo, 1.5 T or 3 T, "
            "bias field, Rician noise) and CT in HU with partial volume, with air cells inside bone. Patients, sites and scanners are "
            "invented; sites and scanners differ in image quality, and some groups are rare in training."
        ),
        licence="CC0-1.0",
        parameters={"size": size, "seed": seed, "extent_mm": EXTENT, "cases": dict(counts)},
    )
    return Plan(info, planned, truth=heads.truth(planned, version=VERSION, seed=seed))


IMPORTERS: dict[str, Callable[[Path], Plan]] = {
    name: functools.partial(synthrad.plan, release=name, version=VERSION) for name in synthrad.RELEASES
}
"""`radbench import NAME PATH`: the public data sets of this task, in their own layout."""
