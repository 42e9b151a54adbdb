"""The profile on single datasets, held against lists written here by hand from PS3.15 table E.1-1, and against the bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.sequence import Sequence

from benchmark.dicom import deidentify, profile, report
from benchmark.dicom.pseudonyms import Pseudonyms
from tests.dicom.hospital import ROOT, SECRETS, volume, write_series

KEY = Pseudonyms(b"k" * 32)

# Copied by eye out of the standard's table, not out of the library's: actions X, Z and D for what identifies most directly.
BY_HAND = """
AccessionNumber AcquisitionDate AcquisitionTime AdditionalPatientHistory AdmissionID AdmittingDate
AdmittingDiagnosesDescription Allergies BranchOfService ConsultingPhysicianName ContentCreatorName ContentDate
CountryOfResidence CurrentPatientLocation DerivationDescription DeviceSerialNumber EthnicGroup
FillerOrderNumberImagingServiceRequest ImageComments InstitutionAddress InstitutionName InstitutionalDepartmentName
InsurancePlanIdentification IssuerOfPatientID LastMenstrualDate MedicalAlerts MedicalRecordLocator MilitaryRank
NameOfPhysiciansReadingStudy Occupation OperatorsName OrderEnteredBy OrderCallbackPhoneNumber OtherPatientIDs
OtherPatientNames PatientAddress PatientAge PatientBirthDate PatientBirthName PatientBirthTime PatientComments
PatientInstitutionResidence PatientMotherBirthName PatientName PatientReligiousPreference PatientSex PatientSize
PatientState PatientTelephoneNumbers PatientTransportArrangements PatientWeight PerformedLocation
PerformedProcedureStepDescription PerformedStationName PerformingPhysicianName PhysiciansOfRecord
PlacerOrderNumberImagingServiceRequest PregnancyStatus ProtocolName ReasonForStudy ReferringPhysicianAddress
ReferringPhysicianName ReferringPhysicianTelephoneNumbers RegionOfResidence RequestedProcedureDescription
RequestingPhysician RequestingService ResponsibleOrganization ResponsiblePerson ScheduledPerformingPhysicianName
ScheduledStationName SeriesDate SeriesDescription SmokingStatus SpecialNeeds StationName StudyComments StudyDate
StudyDescription StudyID StudyTime TextComments TextString VerifyingObserverName VisitComments
""".split()  # noqa: SIM905


def written(data: Dataset) -> bytes:
    out = io.BytesIO()
    with pydicom.config.disable_value_validation():
        data.save_as(out)
    return out.getvalue()


@pytest.fixture
def slices(tmp_path: Path) -> list[Path]:
    spacing = (4.0, 2.0, 2.0)
    return write_series(
        tmp_path, volume((3, 20, 20), spacing), spacing, modality="MR", description="Feldkirch", patient=1, series=1
    )


def applied(path: Path, key: Pseudonyms = KEY) -> pydicom.FileDataset:
    data = pydicom.dcmread(path)
    deidentify.apply(data, key)
    return data


def test_no_planted_string_is_left_in_the_bytes_of_a_file(slices: list[Path]) -> None:
    before, after = slices[0].read_bytes(), written(applied(slices[0]))
    assert all(secret.encode() in before for secret in SECRETS)  # else the test could not fail
    assert [secret for secret in SECRETS if secret.encode() in after] == []
    assert ROOT.encode() not in after  # no original UID either


def test_pixels_and_geometry_stay(slices: list[Path]) -> None:
    before, after = pydicom.dcmread(slices[1]), pydicom.dcmread(io.BytesIO(written(applied(slices[1]))))
    assert np.array_equal(before.pixel_array, after.pixel_array)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SOPClassUID",
        "Modality",
        "Manufacturer",
    ):
        assert before[keyword].value == after[keyword].value
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.PatientIdentityRemoved == "YES" and after.DeidentificationMethodCodeSequence[0].CodeValue == "113100"


def _everywhere(value_of: dict[str, str]) -> pydicom.FileDataset:
    """A dataset with these attributes on the top, in an unlisted sequence, and two levels down."""
    data = pydicom.dataset.FileDataset("", {}, file_meta=pydicom.dataset.FileMetaDataset(), preamble=b"\0" * 128)
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.MRImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    deepest, nested = Dataset(), Dataset()
    for level in (data, nested, deepest):
        for keyword, value in value_of.items():
            setattr(level, keyword, value)
    nested.MRImageFrameTypeSequence = Sequence([deepest])
    data.SharedFunctionalGroupsSequence = Sequence([nested])
    return data


@pytest.mark.parametrize("keyword", BY_HAND)
def test_each_attribute_of_a_list_made_by_hand_is_found_and_removed_at_every_depth(keyword: str) -> None:
    vr = dictionary_VR(keyword)
    value = {
        "DA": "19991231",
        "TM": "235959",
        "DT": "19991231235959",
        "AS": "077Y",
        "CS": "MARKERXX",
        "DS": "77.125",
        "US": 4,
    }
    data = _everywhere({keyword: value.get(vr, "MARKERXX")})
    if vr not in ("US",) and keyword not in profile.KEPT:
        nested = "SharedFunctionalGroupsSequence."
        expected = {keyword, nested + keyword, f"{nested}MRImageFrameTypeSequence.{keyword}"}
        assert set(profile.carried(data)) == expected
    deidentify.apply(data, KEY)
    left = written(data)
    for marker in (b"19991231", b"235959", b"077Y", b"MARKERXX", b"77.125"):
        assert marker not in left


MARKED = {
    "AE": "MRK", "CS": "MRK", "LO": "MRK", "LT": "MRK", "PN": "MRK", "SH": "MRK", "ST": "MRK", "UC": "MRK", "UR": "MRK", "UT": "MRK",
    "OB": b"MRKMRK", "UN": b"MRKMRK", "OW": b"MRKMRK",
}  # fmt: skip


def test_no_text_of_any_attribute_of_the_whole_table_survives() -> None:
    data = _everywhere({})
    planted = 0
    for tag in table.ALL_TAGS:
        if len(tag) == 2 and tag[0] > 2:
            # What is newer than pydicom's dictionary has a VR in the file alone.
            vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "LO"
            if vr in MARKED:
                for level in (data, data.SharedFunctionalGroupsSequence[0]):
                    level.add_new(tag, vr, MARKED[vr])
                planted += 1
    assert planted > 300
    assert len(profile.carried(data)) == 2 * (planted - 1)  # the sex alone is no identity
    deidentify.apply(data, KEY)
    assert b"MRK" not in written(data)


def test_uids_are_replaced_consistently_and_those_of_the_standard_stay(slices: list[Path]) -> None:
    one, two = applied(slices[0]), applied(slices[1])
    assert one.StudyInstanceUID == two.StudyInstanceUID and one.SOPInstanceUID != two.SOPInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    first = next(applied(path) for path in slices if pydicom.dcmread(path).SOPInstanceUID == f"{ROOT}1.1.1.1")
    nested = two.DerivationImageSequence[0].DerivationCodeSequence[0].ReferencedSOPInstanceUID
    assert nested == first.SOPInstanceUID  # the reference still points at its image
    for uid in (one.StudyInstanceUID, one.SOPInstanceUID):
        assert uid.startswith("2.25.") and uid.is_valid


def test_pseudonyms_hang_on_the_key_alone(slices: list[Path]) -> None:
    again, other = applied(slices[0]), applied(slices[0], Pseudonyms(b"o" * 32))
    assert again.PatientID == applied(slices[0]).PatientID != other.PatientID
    assert again.StudyInstanceUID != other.StudyInstanceUID
    assert KEY.patient("PID ") == KEY.patient("PID")  # DICOM pads with blanks


def test_what_is_clean_passes_and_what_was_cleaned_is_clean(slices: list[Path]) -> None:
    assert profile.carried(applied(slices[0])) == []
    reread = pydicom.dcmread(io.BytesIO(written(applied(slices[0]))))
    assert profile.carried(reread) == []


def test_an_id_that_looks_like_a_hash_passes_and_a_number_does_not() -> None:
    data = Dataset()
    for id, clean in (("9f86d081884c7d65", True), ("778812", False), ("LIDC-0001", False), ("", True)):
        data.PatientID = id
        assert (profile.carried(data) == []) is clean, id
    data.PatientID, data.PatientIdentityRemoved = "LIDC-0001", "YES"
    assert profile.carried(data) == ["PatientID"]  # it must also say how
    data.DeidentificationMethod = "by hand"
    assert profile.carried(data) == []


def test_a_broken_value_is_removed_and_stops_nothing() -> None:
    data = _everywhere({})
    with pydicom.config.disable_value_validation():
        data.add_new(0x00101010, "AS", "not an age at all")
        data.add_new(0x00181000, "OF", b"\0\0\0\0")  # a serial number of a VR that the library has no action for
        data.PatientBirthDate = "unknown"
        deidentify.apply(data, KEY)
    assert "PatientAge" not in data and "DeviceSerialNumber" not in data
    assert b"unknown" not in written(data)


def test_the_report_has_names_and_no_values(slices: list[Path]) -> None:
    data = pydicom.dcmread(slices[0])
    before = report.values(data)
    deidentify.apply(data, KEY)
    changed = report.changes(before, report.values(data))
    assert changed["PatientName"] == "removed" and changed["StudyInstanceUID"] == "replaced"
    assert changed["PatientAddress"] == "removed" and changed["private"] == "removed"
    assert changed["DerivationImageSequence.DerivationCodeSequence.PatientName"] == "removed"
    assert "Modality" not in changed and "Rows" not in changed
    assert not [s for s in SECRETS if s in " ".join(changed)]
