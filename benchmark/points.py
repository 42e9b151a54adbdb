"""The JSON of type "Multiple points": what a reference and a prediction of a detection task look like, in physical mm (LPS).

{"type": "Multiple points", "version": {"major": 1, "minor": 0},
 "points":     [{"point": [x, y, z], "diameter": 6.4}, …],       # reference; `radius` instead of `diameter` will do
 "irrelevant": [{"point": [x, y, z], "diameter": 3.0}, …]}       # reference, optional: marks there are ignored
{"type": "Multiple points", "version": {"major": 1, "minor": 0},
 "points":     [{"point": [x, y, z], "probability": 0.93}, …]}   # prediction; without `probability` it is 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

Floats = NDArray[np.float64]
UNKNOWN_DIAMETER = 10.0
"""What LUNA16 takes, in mm, where the diameter is given as negative."""


def empty_points(*, irrelevant: bool = False) -> dict[str, Any]:
    """A "Multiple points" JSON without points."""
    found: dict[str, Any] = {"type": "Multiple points", "version": {"major": 1, "minor": 0}, "points": []}
    return {**found, "irrelevant": []} if irrelevant else found


def _numbers(values: Any, name: str) -> Floats:
    array = np.asarray(values, np.float64)
    if array.size and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers")
    return array


def _entries(content: Any, key: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(content, Mapping) or not isinstance(content.get(key, []), list | tuple):
        raise ValueError(f"not a JSON object with a list {key!r}")
    found: Sequence[Any] = content.get(key, [])
    if not all(isinstance(entry, Mapping) and np.shape(entry.get("point", ())) == (3,) for entry in found):
        raise ValueError(f"each entry of {key!r} needs a point [x, y, z]")
    return found


def parse_marks(content: Any) -> tuple[Floats, Floats]:
    """Marks of a prediction: points (n, 3) in mm and probabilities (n,). Raises `ValueError` that says what is wrong."""
    if not isinstance(content, Mapping) or "points" not in content:
        raise ValueError("not a JSON object with a list 'points'")
    entries = _entries(content, "points")
    points = _numbers([entry["point"] for entry in entries], "coordinates").reshape(-1, 3)
    return points, _numbers([entry.get("probability", 1.0) for entry in entries], "probabilities").reshape(-1)


def parse_findings(content: Any) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Findings of a reference: centres (n, 3) in mm, radii (n,) in mm, and which are irrelevant. Raises `DataError`."""
    try:
        centres, radii, irrelevant = [], [], []
        for key in ("points", "irrelevant"):
            for entry in _entries(content, key):
                if "radius" in entry:
                    radius = float(entry["radius"])
                else:
                    diameter = float(entry["diameter"])
                    radius = (UNKNOWN_DIAMETER if diameter < 0 else diameter) / 2
                centres.append(entry["point"])
                radii.append(radius)
                irrelevant.append(key == "irrelevant")
        return (
            _numbers(centres, "coordinates").reshape(-1, 3),
            _numbers(radii, "radii").reshape(-1),
            np.array(irrelevant, bool),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "reference_invalid",
            f"the reference points cannot be read: {error}",
            expected='"Multiple points" with a point [x, y, z] and a diameter in mm for each',
        ) from None
