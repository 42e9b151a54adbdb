"""SynthRAD2023 and SynthRAD2025, task 1 (MR → CT), imported from the folders as they are distributed.

    2023  Task1/{brain,pelvis}/<id>/{mr,ct,mask}.nii.gz   overview/1_brain_train.xlsx     id 1BA001: task, region, centre, number
    2025  Task1/{HN,TH,AB}/<id>/{mr,ct,mask}.mha          overviews/1_HN_train_parameters.xlsx     id 1HNA001

Only names and spreadsheets are read here; images are read one case at a time when the edition is prepared.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import geometry, image
from benchmark.contract import Case, DatasetInfo, Source, Split
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.errors import DataError
from benchmark.image import Volume
from tasks.mri_to_ct import overview


@dataclass(frozen=True)
class Release:
    """One year's release."""

    edition: str
    title: str
    regions: Mapping[str, str]
    """Folder → what `region.json` says."""
    id: re.Pattern[str]
    """Of a case folder; the groups are region and centre."""
    suffix: str
    citation: str
    origin: str

    @property
    def layout(self) -> str:
        """The tree in words."""
        return f"Task1/{{{','.join(self.regions)}}}/<id>/{{mr,ct,mask}}{self.suffix}"


RELEASES: Mapping[str, Release] = {
    "synthrad2023": Release(
        "synthrad2023",
        "SynthRAD2023, task 1 (MR → CT)",
        {"brain": "brain", "pelvis": "pelvis"},
        re.compile(r"1([BP])([A-Z])\d{3}"),
        ".nii.gz",
        "Thummerer A, van der Bijl E, Galapon A Jr, et al. SynthRAD2023 Grand Challenge dataset: Generating synthetic CT "
        "for radiotherapy. Med Phys 2023;50:4664-4674.",
        "Zenodo, doi:10.5281/zenodo.7260705",
    ),
    "synthrad2025": Release(
        "synthrad2025",
        "SynthRAD2025, task 1 (MR → CT)",
        {"HN": "Head and Neck", "TH": "Thorax", "AB": "Abdomen"},
        re.compile(r"1(HN|TH|AB)([A-Z])\d{3}"),
        ".mha",
        "Thummerer A, van der Bijl E, Galapon A Jr, et al. SynthRAD2025 Grand Challenge dataset: generating synthetic CTs "
        "for radiotherapy. arXiv:2502.17609, 2025.",
        "Zenodo, doi:10.5281/zenodo.14918089",
    ),
}

CANARY_FROM = 10
"""A stratum of at least this many patients gives one to the canary split."""


@dataclass(frozen=True)
class Patient:
    """A case folder, complete with CT."""

    id: str
    """As distributed, upper case."""
    folder: Path
    region: str
    site: str
    ct: str
    """Name of the CT's file."""


def plan(path: Path, *, release: str, version: str) -> Plan:
    """The plan that imports a release (a key of `RELEASES`), for a version of the task.

    `path` is the release's root, `Task1` itself, or a folder that holds several of them. Patients without a CT (the
    official validation and test sets are published so) are left out and counted in the description.
    Raises `DataError("import_layout")` that says what was found where the tree is not that release's.
    """
    about = RELEASES[release]
    patients, without = _patients(path, about)
    books = _spreadsheets(path, {p.folder.parent for p in patients})
    tags = overview.read(books)
    splits = assign(patients)
    cases = []
    for p in sorted(patients, key=lambda p: p.id):
        mine = tags.get(p.id, {})
        years = overview.age(mine)
        attributes = {
            "sex": overview.sex(mine),
            "age": "unknown" if years is None else f"{int(years)}",
            "age_band": overview.age_band(years),
            "scanner": overview.field_strength(mine),
            "manufacturer": overview.manufacturer(mine),
            "site": p.site,
            "region": about.regions[p.region],
        }
        case = Case(id=p.id.lower(), split=splits[p.id], attributes=attributes)
        cases.append(PlannedCase(case, functools.partial(make, p, about.suffix, about.regions[p.region])))
    known = sum(p.id in tags for p in patients)
    notes = [
        f"{len(patients)} patients with MR, CT and mask.",
        f"{without} without a CT were left out." if without else "",
        "Splits are ours, not the challenge's: by patient, stratified by region and site, about 65 % training, 10 % "
        "validation, 25 % test, one canary case of each stratum of ten or more, in the order of the ids' hashes.",
        f"Attributes come from the overview spreadsheets ({known} of {len(patients)} patients found in them)."
        if books
        else "No overview spreadsheet was found: sex, age and scanner are unknown.",
    ]
    licence = "CC BY-NC 4.0"
    info = DatasetInfo(
        task="mri_to_ct",
        task_version=version,
        edition=about.edition,
        kind="real",
        title=about.title,
        description=" ".join(note for note in notes if note),
        licence=licence,
        citation=about.citation,
        sources=(Source(title=about.title, licence=licence, citation=about.citation, origin=about.origin),),
        parameters={"release": release, "patients": len(patients), "fingerprint": _fingerprint(patients, about, books)},
    )
    return Plan(info, cases, compress=True)


def _roots(path: Path, about: Release) -> list[Path]:
    """Folders that hold region folders of this release: `path`, `path/Task1`, `path/*/Task1`."""
    wanted = [path, path / "Task1", *sorted(p / "Task1" for p in path.iterdir() if p.is_dir())]
    return [root for root in wanted if root.is_dir() and any((root / region).is_dir() for region in about.regions)]


def _patients(path: Path, about: Release) -> tuple[list[Patient], int]:
    """Complete patients, and how many have no CT."""
    if not path.is_dir():
        raise DataError("import_layout", f"there is no folder {path}", expected=about.layout)
    found: dict[str, Patient] = {}
    without, seen = 0, 0
    for root in _roots(path, about):
        for region in about.regions:
            for folder in sorted(p for p in (root / region).glob("*") if p.is_dir()):
                match = about.id.fullmatch(folder.name.upper())
                if not match or not _belongs(match[1], region):
                    continue
                seen += 1
                names = {p.name for p in folder.iterdir()}
                missing = [name + about.suffix for name in ("mr", "mask") if name + about.suffix not in names]
                if missing:
                    raise DataError(
                        "import_layout",
                        f"{folder} has no {' and no '.join(missing)}, only {', '.join(sorted(names)) or 'nothing'}",
                        expected=about.layout,
                    )
                ct = next((n + about.suffix for n in ("ct", "ct_def") if n + about.suffix in names), None)
                if ct is None:
                    without += 1
                    continue
                id = folder.name.upper()
                if id in found:
                    raise DataError(
                        "import_layout",
                        f"patient {id} is there twice, in {found[id].folder} and {folder}",
                        expected="each once",
                    )
                found[id] = Patient(id, folder, region, match[2], ct)
    if not found:
        raise DataError(
            "import_layout", _what_is_there(path, about, seen, without), expected=f"{about.layout} below {path}"
        )
    return list(found.values()), without


def _belongs(code: str, region: str) -> bool:
    """Whether the id's region is the folder's: B in brain, P in pelvis, HN in HN …"""
    return region.upper().startswith(code)


def _what_is_there(path: Path, about: Release, seen: int, without: int) -> str:
    """What a wrong tree holds, in words: no CT, task 2, the other year, or simply its first names."""
    if seen and without == seen:
        return f"none of the {seen} patients below {path} has a CT (the official validation and test sets come without)"
    below = [p for p in (path, *(p for p in path.iterdir() if p.is_dir())) if p.name]
    if any((p / "Task2").is_dir() or p.name == "Task2" for p in below) or _any(path, "cbct.*"):
        return f"{path} holds task 2 (cone-beam CT → CT); this task is MR → CT and imports task 1"
    for other in RELEASES.values():
        if other is not about and _roots(path, other):
            return f"{path} is a tree of {other.edition}; import it with `radbench import {other.edition} {path}`"
    if _any(path, f"mr{about.suffix}"):
        return f"the images below {path} do not lie in folders named by id"
    names = sorted(p.name for p in path.iterdir())
    return f"{path} holds " + (", ".join(names[:6]) + (" …" if len(names) > 6 else "") if names else "nothing")


def _any(path: Path, pattern: str) -> bool:
    """Whether a file of that name lies one to four levels down."""
    return any(next(path.glob("*/" * depth + pattern), None) is not None for depth in range(4))


def _spreadsheets(path: Path, regions: set[Path]) -> list[Path]:
    """Overviews beside the patients, beside the regions, or at the top."""
    places = {path, *regions, *(r.parent for r in regions), *(r.parent.parent for r in regions if r.parent != path)}
    books = {
        book.resolve()
        for place in places
        for folder in (place, place / "overview", place / "overviews")
        for book in folder.glob("1_*.xlsx")
    }
    return sorted(books)


def assign(patients: Sequence[Patient]) -> dict[str, Split]:
    """Split of each patient: within a region and site, patients in the order of sha256(id) are dealt out.

    A stratum of fewer than four patients joins the other small ones of its region. Other strata do not move when one
    grows, so adding a centre later keeps the splits of those that were there.
    """
    strata: dict[tuple[str, str], list[str]] = {}
    for p in patients:
        strata.setdefault((p.region, p.site), []).append(p.id)
    pooled: dict[tuple[str, str], list[str]] = {}
    for (region, site), ids in strata.items():
        pooled.setdefault((region, site if len(ids) >= 4 else ""), []).extend(ids)
    splits: dict[str, Split] = {}
    for ids in pooled.values():
        order = sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())
        n = len(order)
        test, val, canary = round(0.25 * n), round(0.10 * n), int(n >= CANARY_FROM)
        counts: dict[Split, int] = {"test": test, "val": val, "canary": canary, "train": n - test - val - canary}
        splits |= dict(zip(order, (split for split, k in counts.items() for _ in range(k)), strict=True))
    return splits


def _fingerprint(patients: Sequence[Patient], about: Release, books: Sequence[Path]) -> str:
    """Hash of names and sizes, so that an edition is made again when the tree has changed."""
    digest = hashlib.sha256()
    for p in sorted(patients, key=lambda p: p.id):
        for name in ("mr" + about.suffix, p.ct, "mask" + about.suffix):
            digest.update(f"{p.id}/{name} {(p.folder / name).stat().st_size}\n".encode())
    for book in books:
        digest.update(hashlib.sha256(book.read_bytes()).digest())
    return digest.hexdigest()


def make(patient: Patient, suffix: str, region: str) -> CaseFiles:
    """Read one patient's images. Raises `DataError` for a file that cannot be read, grids that differ, an empty mask or
    a CT that is not finite where it is scored."""
    mr = _read(patient.folder / f"mr{suffix}")
    ct = _read(patient.folder / patient.ct)
    mask = _read(patient.folder / f"mask{suffix}")
    for name, volume in ((f"mask{suffix}", mask), (f"mr{suffix}", mr)):
        if differs := geometry.difference(ct, volume):
            raise DataError(
                "reference_invalid", f"{patient.folder / name} does not lie on the grid of {patient.ct}: {differs}",
                expected="MR, CT and mask of one patient on one grid",
            )  # fmt: skip
    inside = np.greater(mask.array, 0)
    if not inside.any():
        raise DataError(
            "reference_invalid", f"{patient.folder / f'mask{suffix}'} is empty", expected="the body outline"
        )
    if not np.isfinite(ct.array[inside]).all():
        raise DataError(
            "reference_invalid", f"{patient.folder / patient.ct} has values in the mask that are not finite"
        )
    # One grid for all four, the CT's: what the scorer compares with differs by no rounding of a header.
    body = ct.like(inside.astype(np.uint8))
    return CaseFiles(
        inputs={"mri": ct.like(_slim(mr.array)), "body": body, "region": region},
        references={"ct": ct.like(_hounsfield(ct.array)), "mask": body},
    )


def _read(path: Path) -> Volume:
    try:
        return image.read(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError("unreadable_volume", f"{path} cannot be read ({error})") from error


def _slim(array: np.ndarray) -> np.ndarray:
    """Single precision is enough for an MR image in arbitrary units; whole numbers stay as they are."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _hounsfield(array: np.ndarray) -> np.ndarray:
    """int16 where the values are whole numbers that fit, else float32: no value is changed."""
    whole = np.rint(np.nan_to_num(array, nan=-1024.0, posinf=0.5, neginf=0.5)) if array.dtype.kind == "f" else array
    if np.array_equal(whole, array) and whole.min() >= -32768 and whole.max() <= 32767:
        return whole.astype(np.int16)
    return array.astype(np.float32)
