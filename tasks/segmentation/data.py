"""Editions of brain-tumour segmentation: phantoms by formula, four real scans, BraTS 2021 and 2023 from the disk."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmark.contract import Case, DatasetInfo, Split
from benchmark.dataset import Plan, PlannedCase
from benchmark.errors import UsageError
from tasks import patients
from tasks.segmentation import brats
from tasks.segmentation import phantom as brains
from tasks.segmentation import sample as scans

VERSION: str = tomllib.loads((Path(__file__).parent / "task.toml").read_text("utf-8"))["version"]

COUNTS: Mapping[Split, int] = {"train": 48, "val": 8, "canary": 3, "test": 24}
"""Cases of the default phantom edition."""


def phantom(*, size: int = 64, seed: int = 2026, cases: dict[str, int] | None = None) -> Plan:
    """Phantom brains with a tumour: axial slices of `size`² voxels, three slices for every four rows, `cases` by split.

    Raises `UsageError` for a size that is no multiple of 4 from 32 to 128, an unknown split or a negative number of cases.
    """
    if not 32 <= size <= 128 or size % 4:
        raise UsageError("bad_value", f"size {size}", expected="a multiple of 4 from 32 to 128 voxels a side")
    counts = patients.counts(COUNTS, cases)
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


def sample(cache: Path, progress: Callable[[str], None] | None = None) -> Plan:
    """The real sample: two brains and two chests with one image and one outline each, fetched into `cache` when needed.

    Raises `InfrastructureError`: "no_registry" when the archive cannot be fetched, "checksum" when a file is not the pinned one.
    """
    planned = []
    for scan in scans.SCANS:
        paths = scans.collect(scan, cache, progress)
        attributes = {"anatomy": scan.anatomy, "contrast": scan.socket, "patient": scan.name}
        case = Case(id=scan.name, split=scan.split, attributes=attributes)
        planned.append(PlannedCase(case, functools.partial(scans.make_case, scan, *paths)))
    info = DatasetInfo(
        task="segmentation",
        task_version=VERSION,
        edition="sample",
        kind="real",
        title="Two brains and two lungs with a tumour",
        description=(
            "Four scans of four patients out of an open package, on their own grids: two brain MR images, of which only T1 after "
            "contrast agent exists, and two lung CTs as a second anatomy. Contrasts that do not exist are absent, not filled in. "
            "The outline is one structure (brain: what enhances, with what it encloses; lung: the gross tumour), written as "
            "label 3: whole tumour, core and enhancing tumour are one and the same here. There is nothing to train on, and two "
            "sealed cases, one of each anatomy: their means and intervals say nothing about anybody else."
        ),
        licence="BSD-3-Clause",
        citation=scans.SCANS[0].source.citation,
        sources=tuple(scan.source for scan in scans.SCANS),
        parameters={"scans": {scan.name: [scan.image_sha256, scan.label_sha256] for scan in scans.SCANS}},
    )
    return Plan(info, planned, compress=True)


IMPORTERS: dict[str, Callable[[Path], Plan]] = {
    name: functools.partial(brats.plan, release=name, version=VERSION) for name in brats.RELEASES
}
"""`radbench import NAME PATH`: the public data sets of this task, in their own layout."""

__all__ = ["IMPORTERS", "phantom", "sample"]
