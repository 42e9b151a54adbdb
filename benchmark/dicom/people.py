"""What is kept of a patient and a scanner: age band, sex, manufacturer, field strength, as groups and never as a value of its own.

The profile's option to retain patient characteristics, coarsely: no age in years, and from 90 on one band for all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from pydicom import Dataset

from benchmark.contract import Attribute, Task

UNKNOWN = "unknown"

MAKERS = {
    "siemens": "Siemens", "philips": "Philips", "ge": "GE", "general electric": "GE", "picker": "Philips", "marconi": "Philips",
    "canon": "Canon", "toshiba": "Canon", "hitachi": "Fujifilm", "fuji": "Fujifilm", "aloka": "Fujifilm",
    "united imaging": "United Imaging", "uih": "United Imaging",
    "hologic": "Hologic", "esaote": "Esaote", "agfa": "Agfa", "carestream": "Carestream", "kodak": "Carestream", "samsung": "Samsung",
    "neusoft": "Neusoft", "mindray": "Mindray", "shimadzu": "Shimadzu", "varian": "Varian", "elekta": "Elekta", "accuray": "Accuray",
    "viewray": "ViewRay", "bruker": "Bruker", "acuson": "Siemens",
}  # fmt: skip
"""Manufacturers by a word of what scanners write; free text that is none of these could say anything, and becomes "other"."""


def attributes(header: Dataset, task: Task) -> dict[str, str]:
    """Groups of the patient and the scanner that made this image; "unknown" where the header does not say.

    `scanner` is filled in where the task's scanners are field strengths. No value is longer than a word.
    """
    declared = {attribute.name: attribute for attribute in task.attributes}
    strength = field_strength(header)
    found = {
        "sex": {"F": "female", "M": "male", "O": "other"}.get(
            str(header.get("PatientSex", "") or "").strip().upper(), UNKNOWN
        ),
        "age_band": age_band(age(header), declared["age_band"].values if "age_band" in declared else ()),
        "manufacturer": manufacturer(str(header.get("Manufacturer", "") or "")),
        "field_strength": strength,
    }
    scanner = declared.get("scanner")
    if scanner is not None and _by_strength(scanner):
        found["scanner"] = strength
    return found


def _by_strength(scanner: Attribute) -> bool:
    return any(re.fullmatch(r"\d+(\.\d+)?T", value) for value in scanner.values)


def age(header: Dataset) -> float | None:
    """Years: PatientAge (such as "063Y" or "009M"), else from birth to study."""
    text = str(header.get("PatientAge", "") or "").strip().upper()
    if match := re.fullmatch(r"(\d{1,3})([DWMY]?)", text):
        return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1, "": 1}[match[2]]
    born = _date(header.get("PatientBirthDate"))
    seen = next((d for k in ("StudyDate", "SeriesDate", "AcquisitionDate") if (d := _date(header.get(k)))), None)
    if born is None or seen is None or seen < born:
        return None
    return (seen - born).days / 365.25


def age_band(years: float | None, bands: Sequence[str] = ()) -> str:
    """The band that holds this age: one of `bands` ("<40", "40-64", "65+"), else ten years; from 90 on it is "90+"."""
    if years is None or not 0 <= years < 130:
        return UNKNOWN
    whole = int(years)
    for band in bands:
        if match := re.fullmatch(r"<(\d+)|(\d+)-(\d+)|(\d+)\+|>=(\d+)", band):
            below, low, high, above, least = (None if g is None else int(g) for g in match.groups())
            start = above if above is not None else least
            if (
                (below is not None and whole < below)
                or (low is not None and high is not None and low <= whole <= high)
                or (start is not None and whole >= start)
            ):
                return band
    if bands:
        return UNKNOWN
    return "90+" if whole >= 90 else f"{whole // 10 * 10}-{whole // 10 * 10 + 9}"


def manufacturer(text: str) -> str:
    """The maker's name out of what the scanner wrote."""
    words = f" {re.sub(r'[^a-z]+', ' ', text.casefold())} "
    if not words.strip():
        return UNKNOWN
    # Short names stand alone; of long ones the beginning is enough (Fujifilm, Siemens-Healthineers).
    return next((name for word, name in MAKERS.items() if f" {word}{' ' if len(word) < 4 else ''}" in words), "other")


def field_strength(header: Dataset) -> str:
    """Such as "1.5T" or "3T"; "unknown" for what is no MR image. Some scanners write gauss or millitesla."""
    try:
        value = float(header.get("MagneticFieldStrength", 0) or 0)
    except (TypeError, ValueError):
        return UNKNOWN
    if value >= 1000:
        value /= 10000 if value >= 3500 else 1000
    usual = min((0.2, 0.35, 0.5, 0.55, 1.0, 1.5, 3.0, 7.0), key=lambda known: abs(known - value))
    if value <= 0:
        return UNKNOWN
    return f"{usual if abs(usual - value) < 0.06 * usual else round(value, 1):g}T"


def _date(value: object) -> date | None:
    text = str(value or "").strip()
    try:
        return (
            date(int(text[:4]), int(text[4:6]), int(text[6:8]))
            if re.fullmatch(r"\d{8}", text) and text != "00010101"
            else None
        )
    except ValueError:
        return None
