"""What de-identification removed: attributes by name and in how many files, never a value."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydicom import Dataset

from benchmark import atomic
from benchmark.dicom import profile
from benchmark.record import Record

Kind = Literal["removed", "replaced"]


class Change(Record):
    """One attribute."""

    attribute: str
    """Keyword, after those of the sequences that it lies in; `private` for private elements, the tag where there is no keyword."""
    action: Kind
    """`removed`: no value is left; `replaced`: a dummy or a pseudonym stands there, or some of several values are gone."""
    files: int
    """In how many files."""


class Report(Record):
    """`report.json`."""

    schema_version: int = 1
    """Version of this record."""
    task: str
    """Task."""
    edition: str
    """Edition."""
    profile: str
    """The profile."""
    library: str
    """What applied it."""
    deidentified: bool
    """Whether it was applied; else the files carried nothing that it names."""
    files: int
    """Image files that went into the edition."""
    series: int
    """Series that went into it."""
    cases: int
    """Cases."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """What else lay there, by kind."""
    changes: tuple[Change, ...] = ()
    """By attribute."""
    warnings: tuple[str, ...] = ()
    """What the profile does not cover and somebody has to look at."""


def values(dataset: Dataset) -> dict[str, list[str]]:
    """The values of every attribute that has one, by path; they are compared and not kept."""
    found: dict[str, list[str]] = {}
    for path, element, _ in profile.elements(dataset):
        if element.value not in (None, "", b""):
            found.setdefault(path, []).append(repr(element.value))
    return found


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, Kind]:
    """By attribute: what became of it."""
    found: dict[str, Kind] = {}
    for path, old in before.items():
        new = after.get(path, [])
        if not new:
            found[path] = "removed"
        elif new != old:
            found[path] = "replaced"
    return found


def table(counts: Counter[tuple[str, Kind]]) -> tuple[Change, ...]:
    """The changes, by attribute."""
    return tuple(Change(attribute=name, action=action, files=n) for (name, action), n in sorted(counts.items()))


def write(report: Report, folder: Path) -> tuple[Path, Path]:
    """`report.json` and `report.txt` in `folder`."""
    atomic.write_json(folder / "report.json", report.model_dump(mode="json"))
    atomic.write_text(folder / "report.txt", text(report))
    return folder / "report.json", folder / "report.txt"


def text(report: Report) -> str:
    """The report to read."""
    lines = [
        f"De-identification of {report.task}/{report.edition}",
        f"{report.profile}, by {report.library}"
        if report.deidentified
        else f"Not needed: no file carried what the {report.profile} names",
        f"{report.cases} cases of {report.series} series and {report.files} files",
        *(f"left out: {count} {what}" for what, count in report.left_out.items() if count),
        "",
        *(f"WARNING: {warning}" for warning in report.warnings),
        *([""] if report.warnings else []),
    ]
    if report.changes:
        width = max(len(change.attribute) for change in report.changes)
        lines += [f"{c.attribute:<{width}}  {c.action:<8}  {c.files} files" for c in report.changes]
    return "\n".join(lines).rstrip() + "\n"
