"""BraTS 2021 and BraTS 2023 (adult glioma), imported from the folders as they are distributed.

    2021  <id>/<id>_{t1,t1ce,t2,flair,seg}.nii.gz      id BraTS2021_00000; labels 1 necrosis, 2 oedema, 4 enhancing
    2023  <id>/<id>-{t1n,t1c,t2w,t2f,seg}.nii.gz       id BraTS-GLI-00000-000: patient, then visit; labels 1, 2, 3

Only names and tables are read here; images are read one case at a time when the edition is prepared.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark import geometry, image
from benchmark.contract import Case, DatasetInfo, Source, Split
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.errors import DataError
from benchmark.image import Volume


@dataclass(frozen=True)
class Release:
    """One year's release."""

    edition: str
    title: str
    id: re.Pattern[str]
    """Of a case folder; the group is the patient."""
    separator: str
    """Between id and contrast in a file's name."""
    contrasts: Mapping[str, str]
    """Socket → name in the file."""
    labels: Mapping[int, int]
    """Label in the file → label of the task."""
    licence: str
    citation: str
    origin: str

    def file(self, id: str, name: str) -> str:
        """Name of a file of a case: `name` is a contrast as the release calls it, or seg."""
        return f"{id}{self.separator}{name}.nii.gz"

    @property
    def layout(self) -> str:
        """The tree in words."""
        return f"<id>/<id>{self.separator}{{{','.join(self.contrasts.values())},seg}}.nii.gz"


_TERMS = "BraTS data use terms (registration at synapse.org)"
RELEASES: Mapping[str, Release] = {
    "brats2021": Release(
        "brats2021",
        "BraTS 2021, task 1 (adult glioma)",
        re.compile(r"(BraTS2021_\d{5})"),
        "_",
        {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair"},
        {0: 0, 1: 1, 2: 2, 4: 3},
        _TERMS,
        "Baid U, Ghodasara S, Mohan S, et al. The RSNA-ASNR-MICCAI BraTS 2021 Benchmark on Brain Tumor Segmentation and "
        "Radiogenomic Classification. arXiv:2107.02314, 2021; Menze BH et al. IEEE Trans Med Imaging 2015;34:1993-2024; "
        "Bakas S et al. Sci Data 2017;4:170117.",
        "Synapse, syn25829067",
    ),
    "brats2023": Release(
        "brats2023",
        "BraTS 2023 (adult glioma)",
        re.compile(r"(BraTS-GLI-\d{5})-\d{3}"),
        "-",
        {"t1n": "t1n", "t1c": "t1c", "t2w": "t2w", "t2f": "t2f"},
        {0: 0, 1: 1, 2: 2, 3: 3},
        _TERMS,
        "Baid U, Ghodasara S, Mohan S, et al. The RSNA-ASNR-MICCAI BraTS 2021 Benchmark on Brain Tumor Segmentation and "
        "Radiogenomic Classification. arXiv:2107.02314, 2021; Menze BH et al. IEEE Trans Med Imaging 2015;34:1993-2024; "
        "Bakas S et al. Sci Data 2017;4:170117.",
        "Synapse, syn51156910",
    ),
}

CANARY_FROM = 10
"""A release of at least this many patients gives one to the canary split."""

MISSING = frozenset({"", "-", "na", "n/a", "nan", "none", "unknown"})
"""What stands for no value in a table, in lower case."""


@dataclass(frozen=True)
class Scan:
    """A case folder, complete with its segmentation."""

    id: str
    folder: Path
    patient: str


def plan(path: Path, *, release: str, version: str) -> Plan:
    """The plan that imports a release (a key of `RELEASES`), for a version of the task.

    `path` holds the case folders, itself or in a folder one or two levels down. Cases without a segmentation (the official
    validation set) are left out and counted in the description. Attributes come from CSV tables beside the cases.
    Raises `DataError("import_layout")` that says what was found where the tree is not that release's.
    """
    about = RELEASES[release]
    scans, without = _scans(path, about)
    tables = sorted({table for place in {path, *(s.folder.parent for s in scans)} for table in place.glob("*.csv")})
    rows = _rows(tables)
    splits = assign(sorted({scan.patient for scan in scans}))
    cases, known = [], 0
    for scan in sorted(scans, key=lambda scan: scan.id):
        mine = rows.get(scan.id.lower()) or rows.get(scan.patient.lower()) or {}
        known += bool(mine)
        case = Case(id=scan.id.lower(), split=splits[scan.patient], attributes=attributes(mine, scan.patient))
        cases.append(PlannedCase(case, functools.partial(make, scan, release)))
    notes = [
        f"{len(scans)} scans of {len(splits)} patients, skull-stripped and registered as distributed.",
        f"{without} without a segmentation were left out." if without else "",
        "Splits are ours, not the challenge's: by patient, about 65 % training, 10 % validation, 25 % test, one canary patient "
        "where there are ten or more, in the order of the ids' hashes.",
        f"Attributes come from {', '.join(table.name for table in tables)} ({known} of {len(scans)} scans found there)."
        if known
        else "No table with these ids was found: sex, age, scanner and site are unknown.",
    ]
    info = DatasetInfo(
        task="segmentation",
        task_version=version,
        edition=about.edition,
        kind="real",
        title=about.title,
        description=" ".join(note for note in notes if note),
        licence=about.licence,
        citation=about.citation,
        sources=(Source(title=about.title, licence=about.licence, citation=about.citation, origin=about.origin),),
        parameters={"release": release, "scans": len(scans), "fingerprint": _fingerprint(scans, about, tables)},
    )
    return Plan(info, cases, compress=True)


def _folders(path: Path) -> list[Path]:
    """Folders at most three levels below `path`, itself first."""
    found, level = [path], [path]
    for _ in range(3):
        level = sorted(below for folder in level for below in folder.iterdir() if below.is_dir())
        found += level
    return found


def _scans(path: Path, about: Release) -> tuple[list[Scan], int]:
    """Complete cases, and how many have no segmentation."""
    if not path.is_dir():
        raise DataError("import_layout", f"there is no folder {path}", expected=about.layout)
    found: dict[str, Scan] = {}
    without = seen = 0
    for folder in _folders(path):
        match = about.id.fullmatch(folder.name)
        if not match:
            continue
        seen += 1
        names = {p.name for p in folder.iterdir()}
        missing = [file for name in about.contrasts.values() if (file := about.file(folder.name, name)) not in names]
        if missing:
            raise DataError(
                "import_layout",
                f"{folder} has no {' and no '.join(missing)}, only {', '.join(sorted(names)) or 'nothing'}",
                expected=about.layout,
            )
        if about.file(folder.name, "seg") not in names:
            without += 1
            continue
        if folder.name in found:
            raise DataError(
                "import_layout",
                f"case {folder.name} is there twice, in {found[folder.name].folder} and {folder}",
                expected="each once",
            )
        found[folder.name] = Scan(folder.name, folder, match[1])
    if not found:
        raise DataError("import_layout", _what_is_there(path, about, seen), expected=f"{about.layout} below {path}")
    return list(found.values()), without


def _what_is_there(path: Path, about: Release, seen: int) -> str:
    """What a wrong tree holds, in words: no segmentations, the other year, loose files, or simply its first names."""
    if seen:
        return f"none of the {seen} cases below {path} has a segmentation (the official validation set comes without)"
    folders = _folders(path)
    for other in RELEASES.values():
        if other is not about and any(other.id.fullmatch(folder.name) for folder in folders):
            return f"{path} is a tree of {other.edition}; import it with `radbench import {other.edition} {path}`"
    loose = [file for folder in folders for file in folder.glob("*.nii.gz")]
    if any(about.id.match(file.name) for file in loose):
        return f"the images below {path} do not lie in folders named by id"
    names = sorted(p.name for p in path.iterdir())
    return f"{path} holds " + (", ".join(names[:6]) + (" …" if len(names) > 6 else "") if names else "nothing")


def assign(patients: Sequence[str]) -> dict[str, Split]:
    """Split of each patient, dealt out in the order of sha256(id): 25 % test, 10 % validation, perhaps one canary, the rest training."""
    order = sorted(patients, key=lambda id: hashlib.sha256(id.encode()).digest())
    n = len(order)
    test, val, canary = max(1, round(0.25 * n)), round(0.10 * n), int(n >= CANARY_FROM)
    counts: dict[Split, int] = {"test": test, "val": val, "canary": canary, "train": n - test - val - canary}
    return dict(zip(order, (split for split, k in counts.items() for _ in range(k)), strict=True))


def _rows(tables: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Rows by every cell of theirs that is an id of either release (lower case); column names in lower case.

    A table such as name_mapping.csv names a case by several ids. What an earlier table says of a case stands.
    """
    found: dict[str, dict[str, str]] = {}
    for table in tables:
        try:
            text = table.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                "import_layout", f"the table {table} cannot be read ({error})", expected="CSV in UTF-8"
            ) from error
        for row in csv.DictReader(text.splitlines()):
            cells = {
                key.strip().lower(): value.strip()
                for key, value in row.items()
                if isinstance(key, str) and isinstance(value, str) and value.strip().lower() not in MISSING
            }
            for value in set(cells.values()):
                if any(about.id.fullmatch(value) or about.id.fullmatch(f"{value}-000") for about in RELEASES.values()):
                    mine = found.setdefault(value.lower(), {})
                    for key, cell in cells.items():
                        mine.setdefault(key, cell)
    return found


def attributes(row: Mapping[str, str], patient: str) -> dict[str, str]:
    """The task's attributes from a table's row: columns such as Age, Sex or Gender, Site, Field strength; else "unknown"."""

    def column(*words: str) -> str:
        return next(
            (value for key, value in row.items() if any(word in key.split() or key == word for word in words)), ""
        )

    years = _number(column("age", "age_at_scan", "patientage"))
    years = years if years is not None and 0 <= years <= 120 else None
    tesla = _number(column("field", "field_strength", "magneticfieldstrength"))
    return {
        "patient": patient.lower(),
        "sex": {"f": "female", "m": "male"}.get(column("sex", "gender", "patientsex")[:1].lower(), "unknown"),
        "age": "unknown" if years is None else f"{int(years)}",
        "age_band": "unknown" if years is None else "<40" if years < 40 else "40-64" if years < 65 else "65+",
        "scanner": "unknown" if tesla is None else f"{tesla:g}T",
        "site": column("site", "institution") or "unknown",
    }


def _number(text: str) -> float | None:
    match = re.match(r"\d+(?:\.\d+)?", text)
    return float(match[0]) if match else None


def _fingerprint(scans: Sequence[Scan], about: Release, tables: Sequence[Path]) -> str:
    """Hash of names and sizes, so that an edition is made again when the tree has changed."""
    digest = hashlib.sha256()
    for scan in sorted(scans, key=lambda scan: scan.id):
        for name in (*about.contrasts.values(), "seg"):
            file = about.file(scan.id, name)
            digest.update(f"{file} {(scan.folder / file).stat().st_size}\n".encode())
    for table in tables:
        digest.update(hashlib.sha256(table.read_bytes()).digest())
    return digest.hexdigest()


def make(scan: Scan, release: str) -> CaseFiles:
    """Read one case. Raises `DataError`: "unreadable_volume", or "reference_invalid" where grids differ or a label is not known."""
    about = RELEASES[release]
    seg = _read(scan.folder / about.file(scan.id, "seg"))
    labels = seg.like(relabelled(np.asarray(seg.array), about, scan.folder))
    inputs = {}
    for socket, name in about.contrasts.items():
        path = scan.folder / about.file(scan.id, name)
        volume = _read(path)
        if differs := geometry.difference(seg, volume):
            raise DataError(
                "reference_invalid",
                f"{path} does not lie on the grid of the segmentation: {differs}",
                expected="the four contrasts and the segmentation of a case on one grid",
            )
        # One grid for all, the segmentation's: what the scorer compares with differs by no rounding of a header.
        inputs[socket] = seg.like(_slim(np.asarray(volume.array)))
    return CaseFiles(inputs=inputs, references={"tumour": labels})


def relabelled(array: NDArray[np.generic], about: Release, where: Path) -> NDArray[np.uint8]:
    """A release's labels as the task's. Raises `DataError("reference_invalid")` for a label that the release does not have."""
    present = np.unique(array)
    strange = [float(value) for value in present if float(value) not in about.labels]
    if strange:
        raise DataError(
            "reference_invalid",
            f"the segmentation in {where} has the label {strange[0]:g}",
            expected=f"{', '.join(map(str, about.labels))} as in {about.edition}",
        )
    out = np.zeros(array.shape, np.uint8)
    for given, label in about.labels.items():
        out[array == given] = label
    return out


def _read(path: Path) -> Volume:
    try:
        return image.read(path)
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise DataError("unreadable_volume", f"{path} cannot be read ({error})") from error


def _slim(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """int16 where the values are whole numbers that fit, else float32."""
    if array.dtype.kind in "iub" and array.min() >= -32768 and array.max() <= 32767:
        return array.astype(np.int16)
    if array.dtype.kind == "f":
        whole = np.isfinite(array).all() and np.array_equal(np.rint(array), array)
        if whole and array.min() >= -32768 and array.max() <= 32767:
            return array.astype(np.int16)
    return array.astype(np.float32)
