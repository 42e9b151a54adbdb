"""What single cases add to metrics of the whole set, as published: with it, everyone can take those metrics again.

Only scans of detection tasks are told: the probabilities of the best mark on each lesion and of the false marks, under the ids of
the per-case tables. They hold no place, no size and no image. Parts of other metrics are features of the images themselves,
from which much of an image can be had back; those stay with the holder of the data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.metrics.points import Scan

Parts = Mapping[str, Mapping[str, Scan]]
"""By metric id and case id."""

NAME = "parts.json"
"""File in the folder of a row."""


def told(parts: Mapping[str, Mapping[str, Any]], cases: Sequence[str]) -> Parts:
    """Those of a submission's stored parts that may be published: of metrics whose every case in `cases` is a scan."""
    return {
        id: {case: own[case] for case in cases}
        for id, own in parts.items()
        if cases and all(isinstance(own.get(case), Scan) for case in cases)
    }


def renamed(parts: Parts, names: Mapping[str, str]) -> Parts:
    """The same with other ids of the cases, in the order of the new ones."""
    return {id: dict(sorted((names[case], scan) for case, scan in own.items())) for id, own in parts.items()}


def to_json(parts: Parts) -> bytes:
    """One group for all metrics that share their parts, one case a line."""
    groups: dict[str, list[str]] = {}
    for id, own in sorted(parts.items()):
        groups.setdefault(",\n".join(_line(case, scan) for case, scan in own.items()), []).append(id)
    texts = (f'{{"metrics": {json.dumps(sorted(ids))}, "cases": [\n{body}\n]}}' for body, ids in groups.items())
    return ("[" + ",\n".join(texts) + "]\n").encode()


def from_json(data: bytes) -> Parts:
    """The inverse. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    found: dict[str, dict[str, Scan]] = {}
    for group in json.loads(data):
        own = {item["case"]: _scan(item) for item in group["cases"]}
        found |= dict.fromkeys(group["metrics"], own)
    return dict(sorted(found.items()))


def _line(case: str, scan: Scan) -> str:
    values = {
        "case": case,
        "hits": [_number(value) for value in scan.hits.tolist()],
        "false_positives": [_number(value) for value in scan.false_positives.tolist()],
        "highest": _number(float(scan.highest)),
        "missing": bool(scan.missing),
    }
    return json.dumps(values, allow_nan=False)


def _scan(item: Mapping[str, Any]) -> Scan:
    return Scan(
        np.array([_value(v) for v in item["hits"]], np.float64),
        np.array([_value(v) for v in item["false_positives"]], np.float64),
        _value(item["highest"]),
        bool(item["missing"]),
    )


def _number(value: float) -> float | str:
    """JSON has no infinity: a lesion without a mark has the probability "-inf"."""
    return value if np.isfinite(value) else str(value)


def _value(value: float | str) -> float:
    return float(value)
