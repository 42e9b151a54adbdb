"""Detections as points: LUNA16's CSV files and the matching of one scan. The JSON is that of `benchmark.points`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError, SubmissionError
from benchmark.points import empty_points, parse_findings, parse_marks

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scan:
    """What one scan contributes to every detection metric."""

    hits: Floats
    """Probability of the most probable mark on each lesion; −inf where the lesion is missed."""
    false_positives: Floats
    """Probability of each mark on no lesion and no irrelevant finding."""
    highest: float
    """Highest probability among all marks that count; −inf where there is none."""
    missing: bool = False
    """Whether there is no valid prediction for this scan."""

    @property
    def positive(self) -> bool:
        """Whether the scan holds a lesion."""
        return len(self.hits) > 0


def strongest(probabilities: Floats, most: int) -> NDArray[np.bool_]:
    """Which marks of a scan count when there are more than `most`: those above the probability of the one after.

    As LUNA16 does it: marks that tie with the first one left out are left out too.
    """
    if most <= 0 or len(probabilities) <= most:
        return np.ones(len(probabilities), bool)
    return probabilities > np.sort(probabilities)[::-1][most]


def match(reference: Any, prediction: Any, *, max_marks: int = 100) -> Scan:
    """Match the marks of one scan to its lesions by LUNA16's rules.

    A mark hits every lesion whose centre is nearer than its radius (strictly); of several marks on a lesion the most probable
    counts and the others are ignored; marks on an irrelevant finding are ignored. A prediction that is None or cannot be read
    makes a missing scan: no lesion is found. Raises `DataError` for an unusable reference.
    """
    centres, radii, irrelevant = parse_findings(reference)
    lesions = int((~irrelevant).sum())
    try:
        points, probabilities = parse_marks(prediction)
    except (TypeError, ValueError):
        return Scan(np.full(lesions, -np.inf), np.zeros(0), -np.inf, missing=True)
    kept = strongest(probabilities, max_marks)
    points, probabilities = points[kept], probabilities[kept]
    with np.errstate(over="ignore"):  # a mark at 1e200 mm is far away, no more
        squared = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    inside = squared < radii[None, :] ** 2
    on_lesion, on_irrelevant = inside[:, ~irrelevant], inside[:, irrelevant].any(axis=1)
    hits = np.where(on_lesion, probabilities[:, None], -np.inf).max(axis=0, initial=-np.inf)
    counts = on_lesion.any(axis=1) | ~on_irrelevant
    highest = float(probabilities[counts].max(initial=-np.inf))
    return Scan(hits, probabilities[~inside.any(axis=1)], highest)


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        absent = [name for name in columns if name not in (reader.fieldnames or [])]
        if absent:
            raise ValueError(f"{path.name} has no column {', '.join(absent)}")
        return list(reader)


def _point(row: Mapping[str, str]) -> list[float]:
    return [float(row[name]) for name in ("coordX", "coordY", "coordZ")]


def read_luna16(
    annotations: Path, excluded: Path | None = None, series: Path | None = None
) -> dict[str, dict[str, Any]]:
    """LUNA16's `annotations.csv`, `annotations_excluded.csv` and `seriesuids.csv` as reference JSON by series.

    Without `series` the scans are those that occur in the annotations. Raises `DataError` (`import_layout`).
    """
    place = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")
    try:
        tables = {"points": _rows(annotations, place), "irrelevant": _rows(excluded, place) if excluded else []}
        names = [line.split(",")[0].strip() for line in series.read_text().splitlines()] if series else []
        wanted = [name for name in names if name] or [row["seriesuid"] for rows in tables.values() for row in rows]
        found = {name: empty_points(irrelevant=True) for name in wanted}
        for key, rows in tables.items():
            for row in rows:
                if row["seriesuid"] in found:
                    found[row["seriesuid"]][key].append({"point": _point(row), "diameter": float(row["diameter_mm"])})
    except (OSError, ValueError) as error:
        raise DataError("import_layout", f"LUNA16 annotations cannot be read: {error}") from None
    return found


def read_luna16_marks(results: Path) -> dict[str, dict[str, Any]]:
    """A LUNA16 submission (`seriesuid,coordX,coordY,coordZ,probability`) as prediction JSON by series.

    Scans without a mark do not occur in it. Raises `SubmissionError` (`schema`).
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        for row in _rows(results, ("seriesuid", "coordX", "coordY", "coordZ", "probability")):
            points = found.setdefault(row["seriesuid"], empty_points())["points"]
            points.append({"point": _point(row), "probability": float(row["probability"])})
    except (OSError, ValueError) as error:
        raise SubmissionError("schema", f"the CSV of marks cannot be read: {error}") from None
    return found
