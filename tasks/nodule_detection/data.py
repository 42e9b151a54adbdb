"""Editions of lung-nodule detection: phantoms by formula, one real scan, LUNA16 and LIDC-IDRI from the disk."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmark.contract import SPLITS, DatasetInfo, Split
from benchmark.dataset import Plan
from benchmark.errors import UsageError
from tasks.nodule_detection import phantom as chests

VERSION: str = tomllib.loads((Path(__file__).parent / "task.toml").read_text("utf-8"))["version"]

COUNTS: Mapping[Split, int] = {"train": 96, "val": 12, "canary": 3, "test": 36}
"""Cases of the default phantom edition."""


def phantom(*, size: int = chests.ROWS, seed: int = 2026, cases: dict[str, int] | None = None) -> Plan:
    """Phantom chests with nodules, `size` rows a slice, `cases` by split.

    Raises `UsageError` for a size outside 32 to 128, an unknown split or a negative number of cases.
    """
    if not 32 <= size <= 128:
        raise UsageError("bad_value", f"size {size}", expected="32 to 128 rows")
    counts = {split: COUNTS[split] for split in SPLITS}
    for split, n in (cases or {}).items():
        if split not in SPLITS:
            raise UsageError("unknown_name", f"split {split!r}", expected=f"one of {', '.join(SPLITS)}")
        if n < 0:
            raise UsageError("bad_value", f"{n} cases in {split}", expected="0 or more")
        counts[split] = n
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
        },
    )
    return Plan(info, planned, truth=chests.truth(planned, seed=seed))


IMPORTERS: dict[str, Callable[[Path], Plan]] = {}
"""`radbench import NAME PATH`: the public data sets of this task, in their own layout."""

__all__ = ["IMPORTERS", "phantom"]
