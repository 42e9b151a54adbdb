"""Hand-made boards of labels and of points: a brain with two labels, a chest with three nodules and marks of two submissions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boards
import numpy as np

from benchmark.contract import Aggregate, Board, Case, DatasetInfo, Method, MetricInfo, Row, Task
from benchmark.curves import curves
from benchmark.image import Volume
from benchmark.metrics.points import Scan
from leaderboard.records import BoardData, CanaryCase, Content

LABELS: dict[str, Any] = {
    **boards.SLAB,
    "name": "tumours",
    "title": "Tumours",
    "references": [{"slug": "full-dose-ct", "kind": "segmentation", "path": "images/labels"}],
    "outputs": [{"slug": "denoised-ct", "kind": "segmentation", "path": "images/labels"}],
    "display": {
        "input": "low-dose-ct", "window": [0, 2], "input_window": [0, 100], "overlay": True, "labels": {"2": "core", "1": "rim"},
    },
}  # fmt: skip

CHEST: dict[str, Any] = {
    "name": "nodules",
    "version": "1",
    "title": "Nodules",
    "summary": "Find nodules.",
    "modality": "CT",
    "anatomy": "chest",
    "inputs": [{"slug": "ct", "kind": "image", "path": "images/ct", "unit": "HU"}],
    "outputs": [{"slug": "marks", "kind": "points", "path": "marks.json"}],
    "references": [{"slug": "nodules", "kind": "points", "path": "nodules.json"}],
    "scoring": {"prediction": "marks", "reference": "nodules"},
    "metrics": [{"name": "cpm"}, {"name": "candidate_sensitivity", "threshold": 0.4}],
    "ranking": {"rule": "rank_of_means", "metrics": ["cpm"]},
    "display": {"input": "ct", "window": [-1000, 400]},
    "claims": [{"metric": "Sensitivity", "traditional": "85 %", "generative": "94 %", "source": "a report"}],
}

SPACING, ORIGIN, SHAPE = (2.0, 1.0, 1.0), (-40.0, -30.0, 100.0), (20, 60, 80)
"""Of the chest: z, y, x; the origin as x, y, z."""

BIG, SMALL, LOST, SCAR = (-10.0, 0.0, 120.0), (20.0, 10.0, 130.0), (0.0, 15.0, 110.0), (30.0, -20.0, 120.0)
"""Centres of three nodules (radius 6, 4 and 3 mm) and of a finding that counts neither way (5 mm), in mm as x, y, z."""

NODULES = {
    "type": "Multiple points",
    "points": [
        {"point": list(LOST), "diameter": 6.0}, {"point": list(BIG), "diameter": 12.0}, {"point": list(SMALL), "diameter": 8.0},
    ],
    "irrelevant": [{"point": list(SCAR), "diameter": 10.0}],
}  # fmt: skip

MARKS = {
    "type": "Multiple points",
    "points": [
        {"point": [-9.0, 1.0, 121.0], "probability": 0.93},  # on the big one
        {"point": [20.0, 10.0, 133.0], "probability": 0.41},  # on the small one, 3 mm below its middle
        {"point": [30.0, -21.0, 120.0], "probability": 0.8},  # on the scar
        {"point": [-30.0, 20.0, 120.0], "probability": 0.77},  # on nothing
        {"point": [-31.0, -20.0, 120.0], "probability": 0.05},  # on nothing, and too faint to be drawn
    ],
}


def _board(task: dict[str, Any], names: list[str], text: str = "") -> Board:
    loaded = Task.model_validate(task)
    infos = tuple(
        MetricInfo(
            id=m.id, name=m.name, title=m.id.upper(), unit="", direction="higher", low=0, high=1, worst="0", definition="x",
            citation="y",
        )
        for m in loaded.metrics
    )  # fmt: skip
    rows = tuple(
        Row(
            method=Method(name=name, title=text or f"Model {name}", family=("gan", "classical", "unet")[i % 3]),
            run=f"run-{name}", score=f"score-{name}", digest="sha256:00", engine="process/invoke", hardware="2 cores",
            rank=i + 1, rank_low=i + 1, rank_high=i + 1,
            aggregates=tuple(Aggregate(metric=m.id, value=0.9 - i / 10, low=0.8 - i / 10, high=0.95 - i / 10, n=4) for m in infos),
            seconds_median=1.0, seconds_start=1.0, failed=0,
        )
        for i, name in enumerate(names)
    )  # fmt: skip
    dataset = DatasetInfo(
        task=loaded.name,
        task_version="1",
        edition="phantom",
        kind="phantom",
        title="T",
        description="D",
        licence="CC0-1.0",
    )
    return Board(task=loaded, dataset=dataset, split="test", metrics=infos, rows=rows, scorer="s")


def nothing() -> None:
    return None


def labelled() -> BoardData:
    """Slice 3 of 6 holds most: a rim (1) around a core (2); `near` has the core as rim, and one column less on the left; `none` fails."""
    truth = np.zeros((6, 20, 30), np.uint8)
    truth[2, 8:12, 8:12] = 1
    truth[3, 5:15, 5:15] = 1
    truth[3, 8:12, 8:12] = 2
    near = np.where(truth == 2, 1, truth).astype(np.uint8)
    near[3, :, 5] = 0
    near[3, 5:7, 20:22] = 2

    def volume(array: np.ndarray) -> Callable[[], Content]:
        return lambda: Volume(array, (3.0, 1.0, 1.0), (5.0, 5.0, 5.0))

    canary = CanaryCase(
        Case(id="canary-1", split="canary"), lambda: Volume(np.full(truth.shape, 50.0, np.float32), (3.0, 1.0, 1.0), (5.0, 5.0, 5.0)),
        volume(truth), nothing, {"near": volume(near), "none": nothing}, {},
    )  # fmt: skip
    return BoardData(_board(LABELS, ["near", "none"]), {"near": (), "none": ()}, (), [canary])


def with_curves(board: Board) -> Board:
    """The board with curves of random scans, the first row the best."""
    listed = [Case(id=f"case-{i}", split="test") for i in range(24)]
    rows = []
    for k, row in enumerate(board.rows):
        rng = np.random.default_rng(k)
        parts = {}
        for case in listed:
            hits = np.where(rng.random(rng.integers(0, 4)) < 0.1 + 0.15 * k, -np.inf, 0.0)
            hits = np.where(np.isfinite(hits), rng.beta(5 - k, 2, len(hits)), hits)
            false = rng.beta(1, 4 - k, rng.integers(0, 14))
            parts[case.id] = Scan(hits, false, float(max([*hits, *false], default=-np.inf)))
        rows.append(row.model_copy(update={"curves": curves(board.task, listed, {"cpm": parts})}))
    return board.model_copy(update={"rows": tuple(rows)})


def chest(text: str = "", reference: Any = NODULES) -> BoardData:
    """A chest with three nodules; `good` hits two, `empty` marks nothing, `none` fails."""
    air = Volume(np.full(SHAPE, -800.0, np.float32), SPACING, ORIGIN)
    empty = {"type": "Multiple points", "points": []}
    canary = CanaryCase(
        Case(id="canary-1", split="canary"), lambda: air, lambda: reference, nothing,
        {"good": lambda: MARKS, "empty": lambda: empty, "none": nothing}, {},
    )  # fmt: skip
    names = ["good", "empty", "none"]
    return BoardData(with_curves(_board(CHEST, names, text)), dict.fromkeys(names, ()), (), [canary])


def stored(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same image in space, stored along other array axes."""
    array, direction, origin = volume.array, volume.direction.copy(), np.array(volume.origin)
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            origin = origin + direction[:, axis] * volume.spacing[axis] * (array.shape[axis] - 1)
            direction[:, axis] *= -1
    spacing = tuple(volume.spacing[axis] for axis in order)
    return Volume(np.transpose(array, order), spacing, tuple(origin), direction[:, list(order)])


def turned(data: BoardData, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> BoardData:
    """The same chest, stored otherwise."""
    canary = data.canary[0]
    volume = stored(canary.input(), order, flips)
    return replace(data, canary=[replace(canary, input=lambda: volume)])
