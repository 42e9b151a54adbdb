"""A make-believe task with two attributes, its cases and per-case tables with a planted gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmark.contract import Case, Score, Task

SLICES: dict[str, Any] = {
    "name": "toy_audit",
    "version": "1",
    "title": "Toy",
    "summary": "Something.",
    "modality": "CT",
    "anatomy": "none",
    "inputs": [{"slug": "in", "kind": "image", "path": "images/in"}],
    "outputs": [{"slug": "out", "kind": "image", "path": "images/out"}],
    "references": [{"slug": "truth", "kind": "image", "path": "images/truth"}],
    "scoring": {"prediction": "out", "reference": "truth"},
    "metrics": [{"name": "mae"}, {"name": "psnr", "profile": "synthrad2023"}],
    "ranking": {"metrics": ["mae", "psnr"]},
    "display": {"input": "in", "window": [-100, 100]},
    "attributes": [
        {"name": "sex", "title": "Sex", "values": ["female", "male"]},
        {"name": "scanner", "title": "Scanner", "values": ["1.5T", "3T"]},
    ],
}


def task(**changes: Any) -> Task:
    """The task, with some keys changed."""
    return Task.model_validate({**SLICES, **changes})


def cases(*groups: tuple[int, dict[str, str]]) -> list[Case]:
    """So many cases of each kind."""
    made: list[Case] = []
    for number, attributes in groups:
        for _ in range(number):
            made.append(Case(id=f"c{len(made):03d}", split="test", attributes=attributes))
    return made


def table(of: Sequence[Case], value: Callable[[Case], float], seed: int = 0, failed: Sequence[str] = ()) -> list[Score]:
    """A per-case table: MAE about `value(case)` ± 1 HU, PSNR 80 − MAE; failed cases take the worst value."""
    rng = np.random.default_rng(seed)
    rows = []
    for case in of:
        mae = value(case) + rng.normal()
        bad = case.id in failed
        for metric, number, unit, worst in (("mae", mae, "HU", 4024.0), ("psnr", 80 - mae, "dB", 0.0)):
            rows.append(
                Score(
                    case=case.id,
                    metric=metric,
                    value=worst if bad else number,
                    unit=unit,
                    status="missing" if bad else "ok",
                    reason="missing: nothing" if bad else "",
                )
            )
    return rows
