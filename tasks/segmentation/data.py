"""Editions of brain-tumour segmentation: phantoms by formula, BraTS 2021 and 2023 from the disk."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from benchmark.contract import SPLITS, DatasetInfo, Split
from benchmark.dataset import Plan
from benchmark.errors import UsageError
from tasks.segmentation import phantom as brains

VERSION: str = tomllib.loads((Path(__file__).parent / "task.toml").read_text("utf-8"))["version"]

COUNTS: Mapping[Split, int] = {"train": 48, "val": 8, "canary": 3, "test": 24}
"""Cases of the default phantom edition."""


def phantom(*, size: int = 64, seed: int = 2026, cases: dict[str, int] | None = None) -> Plan:
    """Phantom brains with a tumour: axial slices of `size`² voxels, three slices for every four rows, `cases` by split.

    Raises `UsageError` for a size that is no multiple of 4 from 32 to 128, an unknown split or a negative number of cases.
    """
    if not 32 <= size <= 128 or size % 4:
        raise UsageError("bad_value", f"size {size}", expected="a multiple of 4 from 32 to 128 voxels a side")
    counts = {split: COUNTS[split] for split in SPLITS}
    for split, n in (cases or {}).items():
        if split not in SPLITS:
            raise UsageError("unknown_name", f"split {split!r}", expected=f"one of {', '.join(SPLITS)}")
        if n < 0:
            raise UsageError("bad_value", f"{n} cases in {split}", expected="0 or more")
        counts[split] = n
    planned = brains.cases(counts, version=VERSION, seed=seed, size=size)
    grid = brains.grid_of(size)
    slices, step, width = grid.shape[0], grid.spacing[0], grid.spacing[1]
    info = DatasetInfo(
        task="segmentation",
        task_version=VERSION,
        edition="phantom" if size == 64 else f"phantom-{size}",
        kind="phantom",
        title="Phantom brains with tumours",
        description=(
            f"Brains made by formula, {slices} slices of {step:g} mm, {size}² voxels of {width:g} mm, without the skull: T1 before "
            "and after contrast agent, T2 and FLAIR at 1.5 T or 3 T with bias field and Rician noise, and a tumour with necrosis, "
            "enhancing rim and oedema, beside white-matter lesions and vessels that look like one. Patients, sites and scanners "
            "are invented; groups differ in image quality and in their tumours, and some are rare in training."
        ),
        licence="CC0-1.0",
        parameters={
            "size": size, "seed": seed, "extent_mm": [brains.DEPTH, brains.WIDTH, brains.WIDTH], "cases": dict(counts)
        },
    )  # fmt: skip
    return Plan(info, planned, truth=brains.truth(planned, version=VERSION, seed=seed))
