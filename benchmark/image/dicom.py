"""A DICOM series: a folder with one file a slice. pydicom reads and checks the headers, GDCM (in ITK) the pixels.

Slices are put in order along the normal of the slices (row × column), so what is read is always right-handed. They must
lie at even distances and straight behind each other: a missing slice or a tilted gantry is an error, not a guess.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from benchmark.image import metaimage
from benchmark.image.volume import Volume, from_affine, three_dimensional

TAGS = [
    "SeriesInstanceUID", "SeriesDescription", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows",
    "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "RescaleSlope", "RescaleIntercept",
    "SpacingBetweenSlices", "SliceThickness",
]  # fmt: skip


def read(folder: Path, max_voxels: int) -> Volume:
    """Read the one series of a folder; see `benchmark.image.read`. Values are rescaled (HU for CT).

    Whole slopes and intercepts give int16 where the values fit, else int32; fractions (PET) give float32.
    Raises `ValueError` for no or several series, missing slices, a tilted gantry, colour, several frames a file.
    """
    try:
        return _read(folder, max_voxels)
    except (ValueError, FileNotFoundError):
        raise
    except Exception as error:  # pydicom has no common base for what broken elements raise
        raise ValueError(f"a DICOM header cannot be read ({type(error).__name__}: {error})") from error


def _read(folder: Path, max_voxels: int) -> Volume:
    slices = _slices(folder)
    first = slices[0][1]
    rows, columns = int(first.Rows), int(first.Columns)
    shape = three_dimensional((columns, rows, len(slices)), max_voxels)
    along_row, along_column = np.asarray(first.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    placed = sorted(
        ((float(np.asarray(header.ImagePositionPatient, float) @ normal), path, header) for path, header in slices),
        key=lambda item: item[0],
    )
    positions = np.array([np.asarray(header.ImagePositionPatient, float) for _, _, header in placed])
    step = _step(positions, normal, first)
    height, width = (float(value) for value in first.PixelSpacing)  # distance between rows, then between columns
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(path) for _, path, _ in placed])
    # GDCM chooses a type for each file, ITK takes that of the first for all: say which type holds every slice.
    scalings = {_scaling(header) for _, _, header in placed}
    whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scalings)
    if max(int(header.BitsAllocated) for _, _, header in placed) <= 16 or not whole:
        reader.SetOutputPixelType(sitk.sitkInt32 if whole else sitk.sitkFloat64)
    sitk.ProcessObject.GlobalWarningDisplayOff()  # ITK's own tolerance of uneven slices is in no proportion to their distance
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise ValueError(f"the pixels cannot be read ({str(error).strip().splitlines()[-1]})") from None
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetPixelID() not in metaimage.DTYPES:
        raise ValueError("the pixels are not plain grey values")
    array = _narrowed(sitk.GetArrayFromImage(image).reshape(shape))
    matrix = np.stack([step, along_column * height, along_row * width], axis=1)
    return from_affine(array, matrix, positions[0].tolist())


def _narrowed(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """int16 where whole numbers fit into it, float32 for fractions: twice the bits would hold no more."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    limits = np.iinfo(np.int16)
    return array.astype(np.int16) if array.min() >= limits.min and array.max() <= limits.max else array


def _slices(folder: Path) -> list[tuple[Path, FileDataset]]:
    """The files of the folder's one series with their checked headers."""
    series: dict[str, list[tuple[Path, FileDataset]]] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        except InvalidDicomError:
            continue  # a licence text or a preview; a broken DICOM file, however, would be a missing slice
        if "Rows" in header and "SeriesInstanceUID" in header:
            series.setdefault(str(header.SeriesInstanceUID), []).append((path, header))
    if not series:
        raise ValueError("the folder holds no DICOM images")
    if len(series) > 1:
        raise ValueError(f"the folder holds {len(series)} DICOM series; put one series in a folder")
    slices = next(iter(series.values()))
    for path, header in slices:
        _check(path, header, slices[0][1])
    return slices


def _check(path: Path, header: FileDataset, first: FileDataset) -> None:
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Columns", "BitsAllocated"):
        if getattr(header, tag, None) is None:
            raise ValueError(f"{path.name} has no {tag}")
    if int(getattr(header, "NumberOfFrames", 1) or 1) != 1:
        raise ValueError(f"{path.name} holds several frames; one file a slice is needed")
    if int(getattr(header, "SamplesPerPixel", 1)) != 1:
        raise ValueError(f"{path.name} is a colour image; grey values are needed")
    for tag, tolerance in (("Rows", 0), ("Columns", 0), ("PixelSpacing", 1e-4), ("ImageOrientationPatient", 1e-4)):
        found, expected = (np.atleast_1d(np.asarray(getattr(item, tag), float)) for item in (header, first))
        if found.shape != expected.shape or np.abs(found - expected).max() > tolerance:
            raise ValueError(
                f"{path.name} differs from the other slices in {tag}: {found.tolist()}, not {expected.tolist()}"
            )
    compressed = header.file_meta.TransferSyntaxUID.is_compressed
    needed = int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8
    if not compressed and path.stat().st_size < needed:
        raise ValueError(f"{path.name} is truncated: {path.stat().st_size} bytes where its header promises {needed}")


def _scaling(header: Dataset) -> tuple[float, float]:
    return float(getattr(header, "RescaleSlope", 1) or 1), float(getattr(header, "RescaleIntercept", 0) or 0)


def _step(positions: NDArray[np.float64], normal: NDArray[np.float64], first: Dataset) -> NDArray[np.float64]:
    """Step from slice to slice, mm; raises `ValueError` where the slices do not lie evenly on one straight line."""
    if len(positions) == 1:
        return normal * float(
            getattr(first, "SpacingBetweenSlices", None) or getattr(first, "SliceThickness", None) or 1
        )
    steps = np.diff(positions, axis=0)
    gaps = steps @ normal
    usual = float(np.median(gaps))
    if gaps.min() < 1e-4:
        raise ValueError("two slices lie at the same position")
    worst = int(np.abs(gaps - usual).argmax())
    # Scanners that write positions to a tenth of a millimetre give thick oblique slices gaps that differ by more than 1 %.
    if abs(gaps[worst] - usual) > max(0.02 * usual, 1e-3):
        raise ValueError(
            f"the slices are not evenly spaced: {gaps[worst]:.3f} mm after slice {worst + 1}, {usual:.3f} mm elsewhere"
        )
    sideways = np.linalg.norm(steps - gaps[:, None] * normal, axis=1).max()
    if sideways > max(0.02 * usual, 1e-3):
        raise ValueError(
            f"the slices are shifted sideways by {sideways:.3f} mm each (tilted gantry); resample them first"
        )
    mean: NDArray[np.float64] = normal * float((positions[-1] - positions[0]) @ normal) / (len(positions) - 1)
    return mean


def write(folder: Path, volume: Volume) -> None:
    """Write a CT series of 16 bits into a folder, `0001.dcm` on; `ValueError` when the folder holds anything already.

    Whole numbers whose range fits into 16 bits are kept exactly. Other values are quantised to 65536 steps between
    their minimum and maximum. Identifiers are hashes of the content and no time is written, so the bytes repeat.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; a series gets a folder of its own")
    stored, slope, intercept = _quantised(volume.array)
    axes, spacing = np.asarray(volume.direction, float), volume.spacing
    digest = hashlib.sha256(stored.tobytes())
    digest.update(repr((volume.spacing, volume.origin, axes.tolist(), slope, intercept)).encode())
    root = digest.hexdigest()
    for k in range(stored.shape[0]):
        data = _slice_dataset(root, k)
        data.PixelRepresentation = int(stored.dtype.kind == "i")
        data.RescaleSlope, data.RescaleIntercept = _ds(slope), _ds(intercept)
        data.Rows, data.Columns = stored.shape[1], stored.shape[2]
        data.PixelSpacing = [_ds(spacing[1]), _ds(spacing[2])]
        data.SliceThickness = _ds(spacing[0])
        data.ImageOrientationPatient = [_ds(value) for value in (*axes[:, 2], *axes[:, 1])]
        data.ImagePositionPatient = [_ds(value) for value in volume.point((k, 0, 0))]
        data.PixelData = stored[k].tobytes()
        data.save_as(folder / f"{k + 1:04d}.dcm", enforce_file_format=True)


def _slice_dataset(root: str, k: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[root, "instance", str(k)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = generate_uid(entropy_srcs=[root, "study"])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[root, "series"])
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=[root, "frame"])
    data.Modality, data.InstanceNumber, data.SeriesNumber = "CT", k + 1, 1
    data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    data.PatientName = data.PatientID = data.StudyDate = data.StudyTime = data.AccessionNumber = ""
    data.SamplesPerPixel, data.PhotometricInterpretation, data.RescaleType = 1, "MONOCHROME2", "HU"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    return data


def _quantised(array: NDArray[np.generic]) -> tuple[NDArray[np.generic], float, float]:
    """Stored int16 or uint16 with slope and intercept: value = stored · slope + intercept."""
    if not np.isfinite(array).all():
        raise ValueError("NaN or infinity cannot be written as DICOM")
    low, high = float(array.min()), float(array.max())
    values = np.asarray(array, float)
    if high - low <= 65535 and bool((values == np.rint(values)).all()):
        if low >= -32768 and high <= 32767:
            return values.astype("<i2"), 1.0, 0.0
        return (values - low).astype("<u2"), 1.0, low
    # Rounded up in the last of DICOM's 16 digits, so that the highest value stays inside.
    slope = float(_ds((high - low) / 65535 * (1 + 1e-9)))
    intercept = float(_ds(low))
    return np.clip(np.rint((values - intercept) / slope), 0, 65535).astype("<u2"), slope, intercept


def _ds(value: float) -> str:
    """A number in the 16 characters that DICOM's decimal strings allow."""
    return format_number_as_ds(float(value) + 0.0)
