"""Marks and findings: from voxels to "Multiple points" in millimetres, and which candidates lie on a finding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import points
from benchmark.image import Volume

Floats = NDArray[np.float64]


def to_points(grid: Volume, index: Floats, probability: Floats) -> dict[str, Any]:
    """Marks at voxel indices (n, 3) with their probabilities (n,) as JSON: LPS millimetres, most probable first."""
    places = to_places(grid, index)
    order = np.argsort(-probability, kind="stable")
    return {
        **points.empty_points(),
        "points": [
            {
                "point": [round(float(c), 3) for c in places[i]],
                "probability": round(float(np.clip(probability[i], 0, 1)), 6),
            }
            for i in order
        ],
    }


def to_index(grid: Volume, places: Floats) -> Floats:
    """Voxel indices (n, 3) of points (n, 3) in LPS millimetres; the inverse of `Volume.point`."""
    return np.asarray((places - np.asarray(grid.origin)) @ grid.direction / np.asarray(grid.spacing), np.float64)


def judged(places: Floats, reference: Any, margin_mm: float = 2.0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which places (n, 3), in LPS millimetres, hit a finding of the reference, and which count at all.

    A hit lies nearer to the centre than the radius, as in scoring. What hits only an irrelevant finding does not count, nor what
    misses a finding by less than `margin_mm`: it shows the finding, but is no mark on it.
    """
    centres, radii, irrelevant = points.parse_findings(reference)
    away = np.sqrt(((places[:, None] - centres[None]) ** 2).sum(2))
    inside = away < radii
    hit = inside[:, ~irrelevant].any(1)
    doubtful = inside[:, irrelevant].any(1) | (away < radii + margin_mm)[:, ~irrelevant].any(1)
    return hit, hit | ~doubtful


def to_places(grid: Volume, index: Floats) -> Floats:
    """Places (n, 3) in LPS millimetres of voxel indices (n, 3)."""
    return np.asarray(np.asarray(grid.origin) + (index * np.asarray(grid.spacing)) @ grid.direction.T, np.float64)
