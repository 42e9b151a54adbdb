"""Makes the editions of the low-dose CT task: a phantom by formula, and a small sample of real scans."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.contract import SPLITS, Case, DatasetInfo, Split
from benchmark.dataset import Plan, PlannedCase
from benchmark.errors import InfrastructureError, UsageError
from tasks import patients
from tasks.denoising import ldct
from tasks.denoising import phantom as anatomy_phantom
from tasks.denoising import sample as scans
from tasks.denoising.protocol import DOSES, FULL_DOSE, GRID, geometry
from tasks.denoising.sinogram import CUTOFF, HU_RANGE, MU_WATER

VERSION: str = tomllib.loads(Path(__file__).with_name("task.toml").read_text("utf-8"))["version"]
"""Version of the task: part of every seed."""

SAMPLE_SEED = 2026
"""Seed of the noise in the sample."""

PHANTOM_CASES: Mapping[Split, int] = {"train": 40, "val": 8, "canary": 3, "test": 20}
"""Subjects of the phantom by split, one case each."""


def _physics(kind: str) -> dict[str, Any]:
    """The declared dose and reconstruction, as `parameters` of an edition."""
    return {
        "model": "I ~ Poisson(N0 exp(-p)) + N(0, sigma_e), p' = -ln(max(I, 1) / N0), filtered backprojection",
        "full_dose_photons_per_ray": {a: dose.photons for (k, a), dose in FULL_DOSE.items() if k == kind},
        "electronic_noise_photons": {a: dose.electronic for (k, a), dose in FULL_DOSE.items() if k == kind},
        "dose_fractions": DOSES,
        "mu_water_per_mm": MU_WATER,
        "hu_range": list(HU_RANGE),
        "filter": f"ramp, Hann window ending at {CUTOFF} x Nyquist",
        "beam": "parallel, 180 degrees, bins as wide as a pixel",
    }


def phantom(*, size: int = 128, seed: int = 2026, cases: dict[str, int] | None = None) -> Plan:
    """The phantom edition: slabs of `size` × `size` pixels, `cases` by split (default `PHANTOM_CASES`; a split not named has none).

    Raises `UsageError` for a size below 32 or above 512, an unknown split or a negative number of cases.
    """
    if not 32 <= size <= 512:
        raise UsageError("bad_value", f"size {size}", expected="32 to 512 pixels")
    counts = patients.counts(PHANTOM_CASES if cases is None else dict.fromkeys(SPLITS, 0), cases)
    subjects = [
        subject
        for split, count in counts.items()
        for subject in anatomy_phantom.subjects(split, count, (VERSION, seed))
    ]
    planned = [
        PlannedCase(
            Case(
                id=s.id,
                split=s.split,
                attributes={"scan": s.id, "anatomy": s.anatomy, "dose": s.dose, "level": s.level},
            ),
            functools.partial(anatomy_phantom.make_case, s, size),
        )
        for s in subjects
    ]
    info = DatasetInfo(
        task="denoising",
        task_version=VERSION,
        edition="phantom" if size == 128 else f"phantom-{size}",
        kind="phantom",
        title="Low-dose CT of chest and head phantoms",
        description="Phantoms made by formula, not images of patients: slabs of a chest (lungs, vessels, ribs, spine, heart, "
        "liver, shoulders) or a head (skull, brain, ventricles, skull base) with small lesions of low contrast. The reference "
        "is the reconstruction of the noise-free sinogram; the input is that of the same sinogram with the noise of 10 % or "
        "25 % of the declared full dose. The 10 % dose and the head are rare in train and balanced in test, so a gap between "
        "subgroups is there to be found.",
        licence="Apache-2.0",
        parameters={
            "seed": seed,
            "size": size,
            "views": geometry(size, 1.0).views,
            "cases": counts,
            "pixel_mm": {a: extent / size for a, extent in anatomy_phantom.EXTENT.items()},
            "slices": anatomy_phantom.SLICES,
            "slice_mm": anatomy_phantom.SLICE_MM,
            **_physics("phantom"),
        },
    )
    return Plan(info, planned, truth=anatomy_phantom.truth(subjects))


def _slabs() -> list[tuple[scans.Scan, Split, int, str]]:
    """Every case of the sample: scan, split, first slice, dose. No scan is in public and in sealed splits."""
    cases: list[tuple[scans.Scan, Split, int, str]] = []
    for k in range(16):
        cases += [(scans.LIDC, "train", round(k * 125 / 15), dose) for dose in DOSES]
    for k, dose in ((0, "10%"), (2, "25%"), (3, "10%"), (5, "25%")):
        cases.append((scans.LUNG1, "val", k * 8, dose))
    cases += [(scans.LUNG1, "canary", 8, "25%"), (scans.LUNG1, "canary", 32, "10%")]
    for scan, starts in ((scans.LUNG2, (0, 13, 26, 39, 53)), (scans.CRANIUM, (4, 25, 46, 67, 86))):
        for first in starts:
            cases += [(scan, "test", first, dose) for dose in DOSES]
    return cases


def sample(cache: Path, progress: Callable[[str], None] | None = None) -> Plan:
    """The real sample: four scans out of open packages, fetched into `cache` when they are not there yet.

    Where the Debian package with the head scan cannot be had, the edition is another one, `sample-chest`, and `progress`
    is told so. Raises `InfrastructureError`: "no_registry" when the chest scans cannot be fetched, "checksum" when a file
    is not the pinned one, and as `benchmark.download.fetch` says.
    """
    paths: dict[str, str] = {}
    edition = "sample"
    for scan in scans.SCANS.values():
        try:
            paths[scan.name] = str(scans.prepare_scan(scan, cache, progress))
        except InfrastructureError as error:
            if scan.package.kind != "deb" or error.code != "no_registry":
                raise
            edition = "sample-chest"
            if progress:
                progress(f"the head scan is left out, and the edition is called {edition}: {error.found}")
    planned, noise = [], (VERSION, SAMPLE_SEED)
    for scan, split, first, dose in _slabs():
        if scan.name not in paths:
            continue
        id = f"{scan.name}-z{first:03d}-d{dose[:-1]}"
        attributes = {
            "scan": scan.name,
            "anatomy": scan.anatomy,
            "dose": dose,
            "first_slice": str(first),
            "slice_thickness": f"{scan.spacing[0]:g} mm",
        }
        make = functools.partial(scans.make_case, paths[scan.name], scan.name, first, dose, ("denoising", *noise, id))
        planned.append(PlannedCase(Case(id=id, split=split, attributes=attributes), make))
    used = [scans.SCANS[name] for name in paths]
    sealed = sorted({p.case.attributes["scan"] for p in planned if p.case.split == "test"})
    info = DatasetInfo(
        task="denoising",
        task_version=VERSION,
        edition=edition,
        kind="real",
        title="Low-dose CT of real scans, noise simulated",
        description=f"{len(used)} CT scans of {len(used)} patients out of open packages, on {GRID} x {GRID} pixels, in slabs of "
        f"{scans.SLAB} slices. Reference: the routine-dose scan through the noise-free pipeline, so the scan's own noise stays "
        "in it; input: the same sinogram with the noise of 10 % or 25 % of the declared full dose. Splits are by scan. "
        f"The sealed split holds {len(sealed)} scan{'s' if len(sealed) > 1 else ''} ({', '.join(sealed)}): intervals, resampled "
        "by scan, speak of these slabs and not of a population. "
        + (
            "No head is in train: the head is a test of transfer."
            if edition == "sample"
            else "The head scan of the full sample could not be had on this machine."
        ),
        licence="each scan under its own licence, see sources",
        citation="; ".join(scan.source.citation for scan in used),
        sources=tuple(scan.source for scan in used),
        parameters={
            "seed": SAMPLE_SEED,
            "grid": GRID,
            "views": geometry(GRID, 1.0).views,
            "slices": scans.SLAB,
            "scans": {scan.name: {"image_sha256": scan.sha256, "grid_sha256": scan.grid_sha256} for scan in used},
            **_physics("real"),
        },
    )
    return Plan(info, planned, compress=False)


IMPORTERS: dict[str, Callable[[Path], Plan]] = {"ldct": functools.partial(ldct.plan, version=VERSION)}
"""`radbench import NAME PATH`: the public data sets of this task, in their own layout."""

__all__ = ["IMPORTERS", "phantom", "sample"]
