"""Which series lie below a folder, from their headers. What is read here stays in memory; it holds identity."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from benchmark.errors import DataError

TAGS = [
    "PatientID", "PatientName", "PatientIdentityRemoved", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "SeriesDate",
    "AcquisitionDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID", "Modality",
    "SeriesDescription", "ProtocolName", "BodyPartExamined", "Manufacturer", "MagneticFieldStrength", "BurnedInAnnotation",
    "RecognizableVisualFeatures", "ConversionType", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Series:
    """The files of one series; its fields but for the paths are as the files have them."""

    uid: str
    """SeriesInstanceUID."""
    study: str
    """StudyInstanceUID."""
    patient: str
    """PatientID, or the name where there is none; where there is neither, the study stands for a patient of its own."""
    files: tuple[Path, ...]
    """In the order of their SOPInstanceUIDs, so that file names have no say."""
    header: Dataset
    """Attributes of the first file, see `TAGS`."""

    @property
    def modality(self) -> str:
        """Such as MR or CT."""
        return str(self.header.get("Modality", "") or "")

    @property
    def description(self) -> str:
        """SeriesDescription, or the protocol's name."""
        return str(self.header.get("SeriesDescription", "") or self.header.get("ProtocolName", "") or "")

    @property
    def frame(self) -> str:
        """FrameOfReferenceUID: series of one frame lie in one coordinate system."""
        return str(self.header.get("FrameOfReferenceUID", "") or "")

    @property
    def words(self) -> str:
        """How a message calls it."""
        size = f"{self.header.get('Columns', '?')}×{self.header.get('Rows', '?')}"
        count = f"{len(self.files)} file{'s' if len(self.files) != 1 else ''}"
        return f"{self.modality or 'no modality'} {self.description!r}, {count} of {size}"


@dataclass(frozen=True, eq=False)
class Tree:
    """What a folder holds."""

    series: tuple[Series, ...]
    """By study and series."""
    without_pixels: int
    """DICOM objects that are no images: reports, plans, indices. They are left out."""
    not_dicom: int
    """Other files. They are left out."""


def scan(root: Path, progress: Callable[[int, int], None] | None = None) -> Tree:
    """Read the headers below `root`; links to folders are not followed.

    Raises `DataError`: `unreadable_volume` for a DICOM file whose header is broken, `import_layout` where there is no image.
    """
    paths = list(_files(root))
    found: dict[tuple[str, str], list[tuple[str, Path, Dataset]]] = {}
    without = other = 0
    for done, path in enumerate(paths, 1):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        except (InvalidDicomError, IsADirectoryError):
            other += 1
            continue
        except Exception as error:  # pydicom has no common base for what broken elements raise
            raise DataError(
                "unreadable_volume", f"{path}: its DICOM header is broken ({type(error).__name__})"
            ) from error
        if "Rows" not in header or "SeriesInstanceUID" not in header:
            without += 1
            continue
        key = (str(header.get("StudyInstanceUID", "")), str(header.SeriesInstanceUID))
        found.setdefault(key, []).append((str(header.get("SOPInstanceUID", "")), path, header))
        if progress:
            progress(done, len(paths))
    if not found:
        raise DataError(
            "import_layout", f"{root} holds no DICOM images ({other + without} other files)", expected="a DICOM tree"
        )
    return Tree(tuple(_series(*key, found[key]) for key in sorted(found)), without, other)


def _series(study: str, uid: str, members: Sequence[tuple[str, Path, Dataset]]) -> Series:
    ordered = sorted(members, key=lambda member: (member[0], str(member[1])))
    first = ordered[0][2]
    patient = _patient(first)
    if any(_patient(header) != patient for _, _, header in ordered):
        raise DataError(
            "import_layout", f"a series of {len(ordered)} files has several patients", expected="one patient a series"
        )
    return Series(uid, study, patient or study, tuple(path for _, path, _ in ordered), first)


def _patient(header: Dataset) -> str:
    return str(header.get("PatientID", "") or header.get("PatientName", "") or "")


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and (Path(folder) / name).is_file():
                yield Path(folder) / name
