"""LUNA16, imported from the folders as they are distributed.

    subset0 … subset9/<seriesuid>.mhd with <seriesuid>.raw     images
    annotations.csv                seriesuid,coordX,coordY,coordZ,diameter_mm       nodules marked by three readers or four
    annotations_excluded.csv       the same columns                                 findings that count neither way
    candidates_V2.csv              seriesuid,coordX,coordY,coordZ,class             places for the false-positive reduction track

The tables lie beside the subsets, in `CSVFILES`, or in `evaluationScript/annotations`. Some of the subsets will do. The class of a
candidate is the answer, so it is left out of what a model sees.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import image
from benchmark.contract import Case, DatasetInfo, Source
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.errors import DataError
from benchmark.image import Volume
from benchmark.metrics.points import read_luna16
from benchmark.points import empty_points
from tasks.segmentation.brats import assign

LAYOUT = "subset0 … subset9 with <seriesuid>.mhd, and annotations.csv beside them or in CSVFILES"
SUBSET = re.compile(r"subset\d")
PLACES = ("", "CSVFILES", "evaluationScript/annotations", "annotations")
"""Where the tables lie, relative to the folder of the subsets."""

LICENCE = "CC BY 4.0 (LUNA16); the scans are those of LIDC-IDRI, CC BY 3.0"
CITATION = (
    "Setio AAA, Traverso A, de Bel T, et al. Validation, comparison, and combination of algorithms for automatic detection of "
    "pulmonary nodules in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1 (2017); Armato SG III et al. "
    "The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI). Med Phys 38:915 (2011)"
)


@dataclass(frozen=True)
class Scan:
    """An image of the tree."""

    series: str
    path: Path
    subset: str


def plan(path: Path, *, version: str) -> Plan:
    """The plan that imports LUNA16 from `path`, for a version of the task.

    Raises `DataError("import_layout")` that says what was found where the tree is not LUNA16's.
    """
    scans = _scans(path)
    annotations = _table(path, "annotations.csv")
    if annotations is None:
        raise DataError("import_layout", f"{path} has no annotations.csv", expected=LAYOUT)
    excluded, listed = _table(path, "annotations_excluded.csv"), _table(path, "candidates_V2.csv")
    found = read_luna16(annotations, excluded)
    known = sum(scan.series in found for scan in scans)
    if not known:
        raise DataError(
            "import_layout",
            f"none of the {len(scans)} scans below {path} occurs in {annotations.name}",
            expected="images and tables of the same release",
        )
    candidates = _candidates(listed, {scan.series for scan in scans}) if listed else {}
    splits = assign([scan.series for scan in scans])
    cases = []
    for scan in scans:
        reference = found.get(scan.series, empty_points(irrelevant=True))
        attributes = {
            **dict.fromkeys(("sex", "age_band", "dose", "site"), "unknown"),
            "patient": scan.series,
            "subset": scan.subset,
        }
        # The last part of the UID tells scans apart and is short enough for a name; a collision would be seen when prepared.
        case = Case(id=f"luna-{scan.series.rpartition('.')[2]}"[:64], split=splits[scan.series], attributes=attributes)
        cases.append(PlannedCase(case, functools.partial(make, scan, reference, candidates.get(scan.series))))
    nodules = sum(len(found[scan.series]["points"]) for scan in scans if scan.series in found)
    info = DatasetInfo(
        task="nodule_detection",
        task_version=version,
        edition="luna16",
        kind="real",
        title="LUNA16",
        description=(
            f"{len(scans)} scans of {', '.join(sorted({scan.subset for scan in scans}))}, {nodules} nodules. Splits are ours and not "
            "the challenge's ten folds: by scan, in the order of a hash of the series, about 65 % training, 10 % validation, 25 % "
            "test. "
            + ("" if excluded else "Without annotations_excluded.csv no finding is irrelevant. ")
            + ("Candidates are an input. " if candidates else "No candidates. ")
            + "Sex, age, dose and site are not distributed with LUNA16."
        ),
        licence=LICENCE,
        citation=CITATION,
        sources=(Source(title="LUNA16", licence=LICENCE, citation=CITATION, origin="luna16.grand-challenge.org"),),
        parameters={"scans": len(scans), "nodules": nodules, "fingerprint": _fingerprint(scans, annotations, excluded, listed)},
    )  # fmt: skip
    return Plan(info, cases, compress=True)


def _scans(path: Path) -> list[Scan]:
    if not path.is_dir():
        raise DataError("import_layout", f"there is no folder {path}", expected=LAYOUT)
    folders = [path] if SUBSET.fullmatch(path.name) else sorted(p for p in path.glob("*") if SUBSET.fullmatch(p.name))
    # An archive's own folder around its content is taken too: subset0/subset0/….
    found: dict[str, Scan] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*.mhd")):
            if file.stem in found:
                raise DataError(
                    "import_layout", f"{file} is there twice, also as {found[file.stem].path}", expected="each once"
                )
            found[file.stem] = Scan(file.stem, file, folder.name)
    if not found:
        names = sorted(p.name for p in path.iterdir())
        shown = ", ".join(names[:6]) + (" …" if len(names) > 6 else "") if names else "nothing"
        raise DataError("import_layout", f"{path} holds {shown}", expected=LAYOUT)
    return [found[series] for series in sorted(found)]


def _table(path: Path, name: str) -> Path | None:
    """A table beside the subsets, or one folder up where a single subset was given."""
    roots = [path, path.parent] if SUBSET.fullmatch(path.name) else [path]
    return next((file for root in roots for place in PLACES if (file := root / place / name).is_file()), None)


def _candidates(table: Path, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Places by series, without their class. Every wanted series has an entry, if an empty one."""
    found: dict[str, dict[str, Any]] = {series: empty_points() for series in wanted}
    with table.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        if missing := {"seriesuid", "coordX", "coordY", "coordZ"} - set(reader.fieldnames or ()):
            raise DataError("import_layout", f"{table} has no column {', '.join(sorted(missing))}", expected=LAYOUT)
        try:
            for row in reader:
                if row["seriesuid"] in found:
                    point = [float(row[name]) for name in ("coordX", "coordY", "coordZ")]
                    found[row["seriesuid"]]["points"].append({"point": point})
        except (TypeError, ValueError) as error:
            raise DataError(
                "import_layout", f"{table}, line {reader.line_num}: {error}", expected="numbers in mm"
            ) from None
    return found


def _fingerprint(scans: list[Scan], *tables: Path | None) -> str:
    """Hash of names, sizes and tables, so that an edition is made again when the tree has changed."""
    digest = hashlib.sha256()
    for scan in scans:
        digest.update(f"{scan.series} {scan.subset} {scan.path.stat().st_size}\n".encode())
    for table in tables:
        digest.update(hashlib.sha256(table.read_bytes() if table else b"").digest())
    return digest.hexdigest()


def make(scan: Scan, reference: Mapping[str, Any], candidates: Mapping[str, Any] | None) -> CaseFiles:
    """Read one scan. Raises `DataError("unreadable_volume")` or, where a nodule lies outside the image, "reference_invalid"."""
    try:
        volume = image.read(scan.path)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError("unreadable_volume", f"{scan.path} cannot be read ({error})") from error
    for entry in reference["points"]:
        check_inside(volume, entry["point"], str(scan.path))
    inputs: dict[str, Any] = {"chest-ct": in_hu(volume)}
    if candidates is not None:
        inputs["candidates"] = dict(candidates)
    return CaseFiles(inputs, {"nodules": dict(reference)})


def in_hu(volume: Volume) -> Volume:
    """The scan as int16 from −1024 to 3071 HU: what is padded with lower values becomes air."""
    return volume.like(np.clip(np.rint(volume.array), -1024, 3071).astype(np.int16))


def check_inside(volume: Volume, point: list[float], name: str) -> None:
    """Raise `DataError("reference_invalid")` when a point (LPS, mm) lies outside the image."""
    steps = np.asarray(volume.direction).T @ (np.asarray(point) - volume.origin) / np.asarray(volume.spacing)
    if ((steps < -0.5) | (steps > np.array(volume.array.shape) - 0.5)).any():
        raise DataError(
            "reference_invalid",
            f"a nodule at {point} mm lies outside {name}",
            expected="images and annotations in the same millimetres",
        )
