"""A hospital's tree of DICOM, made here: two patients, MR and CT of each in one frame of reference, and identity wherever it can hide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

ROOT = "1.2.826.0.1.3680043.10.5432."
SECRETS = (
    "Wanderschmidt", "Ottoline", "PID-778812", "19470311", "St. Eulalia Spital", "Lindwurmgasse", "Quacksalber", "ACC90017", "RECEPTION7",
    "SN-553311", "Hausnotiz", "Tumorboard", "Feldkirch", "0664-555-12", "Gruenspecht", "PRIVATBLOCK", "Zweitname", "OVERLAYTEXT",
    "20240229", "VORSPANN", "Physiker Knall", "STATIONXY",
)  # fmt: skip
"""Planted below; none of them may be found in an edition, a report, or a de-identified file."""
DIRECTION = [1, 0, 0, 0, 1, 0]


def volume(shape: tuple[int, int, int], spacing: tuple[float, float, float], shift: int = 0) -> NDArray[np.int16]:
    """A ball of 30 mm with a brighter half, in air; linear inside, so that linear resampling is exact away from its border."""
    z, y, x = (np.arange(n) * s for n, s in zip(shape, spacing, strict=True))
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"))
    middle = np.array([(n - 1) * s / 2 for n, s in zip(shape, spacing, strict=True)])[:, None, None, None]
    inside = ((points - middle) ** 2).sum(0) < 30**2
    return (np.where(inside, 400 + 2 * points[2], 0) + shift).astype(np.int16)


def write_series(
    folder: Path,
    array: NDArray[np.int16],
    spacing: tuple[float, float, float],
    *,
    modality: str,
    description: str,
    patient: int,
    series: int,
    study: int = 1,
    identity: bool = True,
    **attributes: object,
) -> list[Path]:
    """One file a slice, axial, slice k at z = k · spacing; named so that the order of names is not that of slices."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, plane in enumerate(array):
        data = _slice(plane, spacing, k, modality, description, patient, series, study)
        if identity:
            plant(data, patient)
        for keyword, value in attributes.items():
            setattr(data, keyword, value)
        path = folder / f"IM{(k * 7) % len(array):03d}_{k}.dcm"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _slice(
    plane: NDArray[np.int16], spacing: tuple[float, float, float], k: int, modality: str, description: str, patient: int, series: int,
    study: int,
) -> FileDataset:  # fmt: skip
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage if modality == "MR" else CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{ROOT}{patient}.{study}.{series}.{k + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = f"{ROOT}{patient}.{study}"
    data.SeriesInstanceUID = f"{ROOT}{patient}.{study}.{series}"
    data.FrameOfReferenceUID = f"{ROOT}{patient}.999"
    data.Modality, data.SeriesNumber, data.InstanceNumber = modality, series, k + 1
    data.PatientID = data.PatientName = ""
    if description:
        data.SeriesDescription = description
    data.Rows, data.Columns = plane.shape
    data.PixelSpacing = [spacing[1], spacing[2]]
    data.SliceThickness = spacing[0]
    data.ImageOrientationPatient = DIRECTION
    data.ImagePositionPatient = [0, 0, k * spacing[0]]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    if modality == "CT":
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
    else:
        data.MagneticFieldStrength = 1.494
    data.PixelData = plane.astype("<i2").tobytes()
    return data


def plant(data: FileDataset, patient: int) -> None:
    """Identity, in plain attributes, nested, private, in the overlay, in the preamble, and where no table looks."""
    data.preamble = b"VORSPANN".ljust(128, b"\0")
    data.file_meta.SourceApplicationEntityTitle = "STATIONXY"
    data.PatientName = f"Wanderschmidt{patient}^Ottoline"
    data.PatientID = f"PID-778812-{patient}"
    data.PatientBirthDate, data.PatientSex = "19470311", "F" if patient == 1 else "M"
    data.PatientAddress, data.PatientTelephoneNumbers = "Lindwurmgasse 4", "0664-555-12"
    data.PatientComments, data.PatientMotherBirthName = "Hausnotiz: wohnt in Feldkirch", "Gruenspecht"
    data.OtherPatientIDs = ["PID-778812-x", "PID-778812-y"]
    data.InstitutionName, data.InstitutionAddress = "St. Eulalia Spital", "Lindwurmgasse 5"
    data.ReferringPhysicianName, data.OperatorsName = "Quacksalber^Max", ["Quacksalber^A", "Quacksalber^B"]
    data.PerformingPhysicianName, data.AccessionNumber = "Quacksalber^Ida", "ACC90017"
    data.StudyID, data.StationName, data.DeviceSerialNumber = "ACC90017", "RECEPTION7", "SN-553311"
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20240229"
    data.StudyTime, data.AcquisitionDateTime = "101112", "20240229101112"
    data.StudyDescription, data.ImageComments = "Tumorboard Wanderschmidt", "Hausnotiz"
    data.Manufacturer = "SIEMENS Healthineers"
    request = Dataset()
    request.RequestedProcedureDescription = "Tumorboard"
    request.ScheduledProcedureStepID = "ACC90017"
    data.RequestAttributesSequence = Sequence([request])
    referenced = Dataset()
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = CTImageStorage, f"{ROOT}{patient}.1.1.1"
    data.ReferencedImageSequence = Sequence([referenced])
    # A sequence that the profile does not list, with what it does list inside, two levels deep.
    inner = Dataset()
    inner.PatientName, inner.InstitutionName, inner.PersonName = (
        "Wanderschmidt^Ottoline",
        "St. Eulalia Spital",
        "Physiker Knall",
    )
    inner.ReferencedSOPInstanceUID = f"{ROOT}{patient}.1.1.1"
    inner.private_block(0x0011, "PRIVATBLOCK", create=True).add_new(0x01, "LO", "Gruenspecht")
    middle = Dataset()
    middle.DerivationCodeSequence = Sequence([inner])
    middle.StudyDate = "20240229"
    data.DerivationImageSequence = Sequence([middle])
    block = data.private_block(0x0029, "PRIVATBLOCK", create=True)
    block.add_new(0x10, "LT", "Wanderschmidt wohnt in Feldkirch")
    block.add_new(0x11, "OB", b"PID-778812")
    hidden = Dataset()
    hidden.PatientName = "Wanderschmidt"
    block.add_new(0x12, "SQ", Sequence([hidden]))
    data.add_new(0x60000010, "US", 8)
    data.add_new(0x60003000, "OW", b"OVERLAYTEXT ")
    data.add_new(0x60004000, "LT", "OVERLAYTEXT")
    data.add_new(0x00091001, "UN", b"Zweitname ")
    data.add_new(0x00080FFE, "LO", "Zweitname")  # even group, in no dictionary
    data.ContentCreatorName = "Zweitname"


def write_tree(root: Path, *, identity: bool = True) -> Path:
    """Two patients: T1 and CT of one study, CT on a coarser grid; beside them a localiser, a report and a text file."""
    names = ("Wanderschmidt_Ottoline", "Wanderschmidt_Anton") if identity else ("first", "second")
    for patient, name in enumerate(names, 1):
        folder = root / name
        fine, coarse = (4.0, 2.0, 2.0), (5.0, 2.5, 2.5)
        shared = {"patient": patient, "identity": identity}
        text = "t1 mprage SAG Feldkirch" if identity else ""
        write_series(
            folder / "a", volume((18, 40, 40), fine), fine, modality="MR", description=text, series=1, **shared
        )
        write_series(
            folder / "b", volume((15, 34, 34), coarse, 1024), coarse, modality="CT", description="", series=2, **shared
        )
    if identity:
        localiser = volume((3, 40, 40), (20.0, 2.0, 2.0))
        write_series(
            root / names[0] / "c",
            localiser,
            (20.0, 2.0, 2.0),
            modality="MR",
            description="localizer",
            patient=1,
            series=3,
        )
        text_object = pydicom.dcmread(next((root / names[0] / "a").iterdir()))
        for keyword in ("PixelData", "Rows", "Columns"):
            delattr(text_object, keyword)
        text_object.save_as(root / names[0] / "report.dcm")
        (root / "README.txt").write_text("Wanderschmidt")
    return root
