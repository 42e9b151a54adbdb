"""Imports the Mayo Clinic's low-dose CT data in either of the layouts in which it is handed out.

Grand Challenge 2016 (AAPM):   `<patient>/{full,quarter}_{1mm,3mm}/*.IMA`, with or without folders between
TCIA, LDCT-and-Projection-data: `<patient>/<study>/<number>-{Full,Low} Dose Images-<number>/*.dcm`

The letter of a patient says what was scanned: C chest (low dose is 10 % of routine), L abdomen, N head (25 %). Nothing is
simulated here: the Mayo Clinic inserted the noise in the projections, and the scanner's own software reconstructed both.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import image
from benchmark.contract import Case, DatasetInfo, Source, Split
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.errors import DataError
from benchmark.image import Volume
from tasks.denoising.protocol import field_of_view
from tasks.denoising.sinogram import HU_RANGE

PATIENT = re.compile(r"^([CLN])\d{3}$")
"""Names of patients' folders."""

SCANNED = {"C": ("chest", "10%"), "L": ("abdomen", "25%"), "N": ("head", "25%")}
"""Anatomy and low dose by the patient's letter."""

SERIES = {
    "full": re.compile(r"full[ _-]dose[ _-]images|^full_[13]mm", re.IGNORECASE),
    "low": re.compile(r"low[ _-]dose[ _-]images|^quarter_[13]mm", re.IGNORECASE),
}
"""How the folders of the two series are called; projections are not looked at."""

SLAB, SLABS = 8, 10
"""Slices a case, and most cases a patient, evenly spread over the scan."""

LAYOUT = "<patient>/<study>/…-Full Dose Images-…/*.dcm (TCIA) or <patient>/full_3mm/*.IMA (Grand Challenge)"


@dataclass(frozen=True)
class Pair:
    """Both series of one patient."""

    patient: str
    full: Path
    low: Path
    slices: int


def plan(path: Path, *, version: str) -> Plan:
    """The edition `ldct` from a folder that holds patients' folders (at any depth); nothing is copied until it is made.

    Patients without low-dose images (GE scanners, of which TCIA has projections alone) are left out. Splits are by patient
    within each anatomy: 60 % train, 10 % val, one canary, the rest test, in the order of a hash of the name, so that adding
    patients moves few. Raises `DataError("import_layout")` that says what was found where the layout is another.
    """
    if not path.is_dir():
        raise DataError("import_layout", f"there is no folder {path}", expected=LAYOUT)
    pairs, alone = _pairs(path)
    if not pairs:
        found = (
            f"{len(alone)} patients, none with both series"
            if alone
            else "no folder named as a patient (C001, L067, N005)"
        )
        raise DataError("import_layout", f"{path} holds {found}", expected=LAYOUT)
    planned = [
        PlannedCase(
            Case(
                id=f"{pair.patient.lower()}-z{first:04d}", split=split,
                attributes={"scan": pair.patient, "anatomy": SCANNED[pair.patient[0]][0], "dose": SCANNED[pair.patient[0]][1],
                            "first_slice": str(first)},
            ),
            functools.partial(make_case, pair, first),
        )
        for split, pair in _splits(pairs)
        for first in _starts(pair.slices)
    ]  # fmt: skip
    licence = "data use agreement of TCIA (TCIA restricted) or of the Grand Challenge; not to be passed on"
    citation = (
        "McCollough C, Chen B, Holmes D, et al. Low Dose CT Image and Projection Data. The Cancer Imaging Archive (2020), "
        "doi:10.7937/9NPB-2637; Moen TR et al. Low-dose CT image and projection dataset. Med Phys 48:902 (2021), "
        "doi:10.1002/mp.14594; McCollough CH et al. Low-dose CT for the detection and classification of metastatic liver "
        "lesions: Results of the 2016 Low Dose CT Grand Challenge. Med Phys 44:e339 (2017)"
    )
    info = DatasetInfo(
        task="denoising",
        task_version=version,
        edition="ldct",
        kind="real",
        title="Low-dose CT of the Mayo Clinic",
        description=f"{len(pairs)} patients, routine dose and simulated low dose, both reconstructed by the scanner's software. "
        f"Up to {SLABS} slabs of {SLAB} slices a patient; splits by patient. {len(alone)} patients without low-dose images left out.",
        licence=licence,
        citation=citation,
        sources=(Source(title="LDCT-and-Projection-data / Grand Challenge 2016", licence=licence, citation=citation, origin=path.name),),
        parameters={"patients": {pair.patient: pair.slices for pair in pairs}, "left_out": alone, "slices": SLAB},
    )  # fmt: skip
    return Plan(info, planned, compress=True)


def _pairs(path: Path) -> tuple[list[Pair], list[str]]:
    """Patients with both series, and the names of those without, in order."""
    pairs: list[Pair] = []
    alone: list[str] = []
    for folder in sorted(_patients(path), key=lambda folder: folder.name):
        series = {
            dose: sorted(below for below in folder.rglob("*") if below.is_dir() and pattern.search(below.name))
            for dose, pattern in SERIES.items()
        }
        # The Grand Challenge has slices of 1 and of 3 mm: take the thicker, on which it was decided.
        full, low = ([_images(found) for found in series[dose]] for dose in ("full", "low"))
        if not (full and low and full[-1] and low[-1]):
            alone.append(folder.name)
            continue
        if len(full[-1]) != len(low[-1]):
            raise DataError(
                "import_layout",
                f"{folder}: {len(full[-1])} slices at full dose and {len(low[-1])} at low dose",
                expected="as many of each",
            )
        if any(pair.patient == folder.name for pair in pairs):
            raise DataError("import_layout", f"patient {folder.name} occurs twice below {path}", expected="once")
        pairs.append(Pair(folder.name, full[-1][0].parent, low[-1][0].parent, len(full[-1])))
    return pairs, alone


def _patients(path: Path, depth: int = 4) -> Iterator[Path]:
    """Folders named as patients, not deeper than `depth`; `path` itself may be one."""
    if PATIENT.match(path.name):
        yield path
    elif depth:
        for below in path.iterdir():
            if below.is_dir():
                yield from _patients(below, depth - 1)


def _images(folder: Path) -> list[Path]:
    """DICOM files of a series; the Grand Challenge puts them one folder deeper at times."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".dcm", ".ima") and path.is_file())


def _starts(slices: int) -> list[int]:
    """First slices of the slabs: no slice twice, evenly spread."""
    count = min(SLABS, slices // SLAB)
    return [round(k * (slices - SLAB) / max(count - 1, 1)) for k in range(count)]


def _splits(pairs: Sequence[Pair]) -> Iterator[tuple[Split, Pair]]:
    """Patients with their splits, grouped by split."""
    groups: dict[Split, list[Pair]] = {"train": [], "val": [], "canary": [], "test": []}
    for letter in SCANNED:
        group = [pair for pair in pairs if pair.patient[0] == letter]
        group.sort(key=lambda pair: hashlib.sha256(pair.patient.encode()).digest())
        # From the back: test first, so that the smallest import can still be scored; then train, then what is public.
        for rank, pair in enumerate(group):
            place = (rank + 0.5) / len(group)
            if len(group) >= 4 and rank == 0:
                groups["canary"].append(pair)
            else:
                groups["test" if place > 0.7 else "val" if len(group) >= 4 and place > 0.6 else "train"].append(pair)
    for split, group in groups.items():
        for pair in sorted(group, key=lambda pair: pair.patient):
            yield split, pair


@functools.lru_cache(maxsize=2)
def _series(folder: Path) -> Volume:
    """A whole series in HU; the slabs of one patient follow each other, so the last two are kept."""
    try:
        return image.read(folder)
    except ValueError as error:
        raise DataError("unreadable_volume", f"{folder}: {error}") from error


def make_case(pair: Pair, first: int) -> CaseFiles:
    """One slab of both series, int16 HU clipped to `HU_RANGE`. Raises `DataError` when they do not lie on one grid."""
    full, low = _series(pair.full), _series(pair.low)
    same = (
        full.array.shape == low.array.shape
        and np.allclose(full.spacing, low.spacing, atol=1e-3)
        and np.allclose(full.origin, low.origin, atol=1e-2)
        and np.allclose(full.direction, low.direction, atol=1e-4)
    )
    if not same:
        raise DataError(
            "unreadable_volume",
            f"{pair.patient}: full dose {full.array.shape} at {full.origin}, low dose {low.array.shape} at {low.origin}",
            expected="both series on one grid",
        )
    x, y, z = (float(value) for value in full.point((first, 0, 0)))

    def slab(volume: Volume) -> Volume:
        hu = np.clip(np.rint(volume.array[first : first + SLAB]), *HU_RANGE).astype(np.int16)
        return Volume(hu, full.spacing, (x, y, z), full.direction)

    inputs, reference = slab(low), slab(full)
    inside = (
        np.asarray(full.array[first : first + SLAB], np.float32) >= -1500
    )  # what is padded lies outside the scanner's field of view
    mask = field_of_view(reference.array.astype(np.int16), margin=4) & inside
    return CaseFiles(
        {"low-dose-ct": inputs}, {"full-dose-ct": reference, "mask": reference.like(mask.astype(np.uint8))}
    )
