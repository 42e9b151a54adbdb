"""Groups out of headers, by hand."""

import pytest
from pydicom import Dataset

from benchmark.dicom import people

BANDS = ("<40", "40-64", "65+")


@pytest.mark.parametrize(
    ("years", "declared", "plain"),
    [
        (None, "unknown", "unknown"), (0.5, "<40", "0-9"), (39.99, "<40", "30-39"), (40, "40-64", "40-49"), (64.9, "40-64", "60-69"),
        (65, "65+", "60-69"), (89, "65+", "80-89"), (90, "65+", "90+"), (104, "65+", "90+"), (200, "unknown", "unknown"),
    ],
)  # fmt: skip
def test_age_bands(years: float | None, declared: str, plain: str) -> None:
    assert (people.age_band(years, BANDS), people.age_band(years)) == (declared, plain)


@pytest.mark.parametrize(
    ("attributes", "years"),
    [
        ({"PatientAge": "063Y"}, 63), ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "", "PatientBirthDate": "19800229", "StudyDate": "20200228"}, 40),
        ({"PatientBirthDate": "19800101"}, None), ({"PatientBirthDate": "20300101", "StudyDate": "20200101"}, None), ({}, None),
    ],
)  # fmt: skip
def test_age_from_age_or_dates(attributes: dict[str, str], years: float | None) -> None:
    header = Dataset()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    found = people.age(header)
    assert found is years or found == pytest.approx(years, abs=0.02)


@pytest.mark.parametrize(
    ("tesla", "words"),
    [(1.494, "1.5T"), (3, "3T"), (15000, "1.5T"), (1500, "1.5T"), (0.35, "0.35T"), (2.89, "3T"),
     (9.4, "9.4T"), (0, "unknown"), ("", "unknown")],
)  # fmt: skip
def test_field_strength_in_tesla_gauss_and_millitesla(tesla: object, words: str) -> None:
    header = Dataset()
    header.MagneticFieldStrength = tesla
    assert people.field_strength(header) == words


@pytest.mark.parametrize(
    ("text", "maker"),
    [("SIEMENS", "Siemens"), ("Siemens Healthineers", "Siemens"), ("GE MEDICAL SYSTEMS", "GE"), ("Philips Medical Systems", "Philips"),
     ("TOSHIBA", "Canon"), ("Praxis Dr. Quacksalber", "other"), ("", "unknown"), ("Gerlinde", "other")],
)  # fmt: skip
def test_the_maker_is_one_of_a_list_and_never_what_stands_there(text: str, maker: str) -> None:
    assert people.manufacturer(text) == maker
