"""Patient and scanner attributes out of SynthRAD's overview spreadsheets.

The first column is `ID`, the others DICOM tags, one sheet a modality; a value that is missing is "-", "empty" or blank.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import openpyxl

from benchmark.errors import DataError

Tags = Mapping[str, str]
"""DICOM keyword → value as text; keywords in lower case, missing values left out."""

MISSING = frozenset({"", "-", "empty", "nan", "none", "n/a", "na", "unknown"})
"""What stands for no value, in lower case."""


def read(paths: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Tags by case id (upper case) from spreadsheets, the MR sheet of each before the others.

    Where a patient stands in several sheets, the first value found of each tag counts: the field strength is the MR
    scanner's in any case, sex and age are filled in from the CT sheet where the MR sheet has none.
    Raises `DataError` when a spreadsheet cannot be opened or has no column `ID`.
    """
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # openpyxl warns of styles and validations that it drops
                book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(
                "import_layout", f"the overview {path} cannot be opened ({error})", expected="an .xlsx spreadsheet"
            ) from error
        try:
            with_ids = 0
            for sheet in sorted(book.worksheets, key=lambda s: "mr" not in s.title.lower()):
                rows = sheet.iter_rows(values_only=True)
                head = [str(cell or "").strip().lower() for cell in next(rows, ())]
                if "id" not in head:
                    continue
                with_ids += 1
                where = head.index("id")
                for row in rows:
                    cells = [("" if cell is None else str(cell).strip()) for cell in row]
                    if where >= len(cells) or not cells[where]:
                        continue
                    tags = found.setdefault(cells[where].upper(), {})
                    for name, value in zip(head, cells, strict=False):
                        if name and value.lower() not in MISSING:
                            tags.setdefault(name, value)
            if not with_ids:
                raise DataError(
                    "import_layout", f"no sheet of {path} has a column ID", expected="the official overview"
                )
        finally:
            book.close()
    return found


def sex(tags: Tags) -> str:
    """female, male or unknown, from PatientSex."""
    return {"f": "female", "m": "male"}.get(tags.get("patientsex", "")[:1].lower(), "unknown")


def age(tags: Tags) -> float | None:
    """Years from PatientAge: '073Y', '18M', '6W', '9D', or a bare number of years; None where it says nothing."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([YMWD]?)", tags.get("patientage", "").upper())
    if not match:
        return None
    return float(match[1]) * {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}[match[2]]


def age_band(years: float | None) -> str:
    """The task's age bands; completed years count."""
    if years is None or years > 120:
        return "unknown"
    return "<40" if years < 40 else "40-64" if years < 65 else "65+"


def field_strength(tags: Tags) -> str:
    """0.35T, 1.5T, 3T … from MagneticFieldStrength in tesla, or in gauss, as some scanners write it."""
    try:
        tesla = float(tags.get("magneticfieldstrength", "").replace(",", "."))
    except ValueError:
        return "unknown"
    if tesla > 50:
        tesla /= 10_000
    if not 0 < tesla < 12:
        return "unknown"
    for nominal in (0.35, 1.5, 3.0):
        if abs(tesla - nominal) <= 0.1 * nominal:
            tesla = nominal
    return f"{tesla:g}T"


def manufacturer(tags: Tags) -> str:
    """The maker's first word, so that "SIEMENS" and "Siemens Healthineers" are one group."""
    name = tags.get("manufacturer", "").split()
    return name[0].title() if name else "unknown"
