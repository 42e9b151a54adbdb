"""What would explain a surprisingly bad output: said beside the score on public cases, and never part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Case, Socket, Task
from benchmark.dataset import Edition
from benchmark.geometry import content_hint
from benchmark.image import Volume
from benchmark.metrics import CaseInputs
from benchmark.metrics.points import match
from benchmark.points import parse_marks

Array = NDArray[np.generic]
SHOWN = 5
"""Most labels that a sentence lists."""


def hint(task: Task, edition: Edition, case: Case, inputs: CaseInputs) -> str:
    """A sentence for one case with a readable output; empty where nothing is noticed."""
    socket = task.output(task.scoring.prediction)
    if socket.kind == "points":
        shown: Socket = task.input(task.display.input)
        if not shown.is_volume or not edition.has_input(shown, case.id):
            return points_hint(inputs.reference, inputs.prediction, None)
        return points_hint(inputs.reference, inputs.prediction, lambda: edition.read_input(shown, case.id))
    if not socket.is_volume:
        return ""
    unknown = label_hint(task, inputs.prediction) if socket.kind == "segmentation" else ""
    return unknown or content_hint(inputs.reference, inputs.prediction, inputs.mask)


def label_hint(task: Task, prediction: Array) -> str:
    """Which labels of a segmentation no metric of the task counts; empty where it does not name its labels."""
    known = {0} | {int(label) for metric in task.metrics for label in metric.options.get("labels", ())}
    found = [value for value in np.unique(prediction[np.isfinite(prediction)]).tolist() if value not in known]
    if known == {0} or not found:
        return ""
    listed = ", ".join(f"{value:g}" for value in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
    return f"label {listed} occurs, which no metric counts; this task's labels are {', '.join(map(str, sorted(known)))}"


def points_hint(reference: Any, prediction: Any, image: Callable[[], Volume] | None) -> str:
    """Whether marks that hit nothing would hit in other coordinates: turned signs, turned order, or voxels.

    Reference and prediction are parsed JSON, see `benchmark.points`; `image` gives the volume whose voxels may be meant, or is
    None. Said only when at least half of the lesions would be hit.
    """
    hits = match(reference, prediction).hits
    if not len(hits) or (hits > -np.inf).any():
        return ""
    points, _ = parse_marks(prediction)
    if not len(points):
        return ""
    best, words = 0, ""
    for moved, meant in _read_otherwise(points, image() if image is not None else None):
        marks = [{**mark, "point": place} for mark, place in zip(prediction["points"], moved.tolist(), strict=True)]
        found = int((match(reference, {**prediction, "points": marks}).hits > -np.inf).sum())
        if found > best:
            best, words = found, meant
    if 2 * best < len(hits):
        return ""
    return f"no mark hits a lesion, but {best} of {len(hits)} would be hit if the coordinates were {words}"


def _read_otherwise(points: NDArray[np.float64], image: Volume | None) -> Iterator[tuple[NDArray[np.float64], str]]:
    """The points (n, 3) as they would be in LPS millimetres if they had been meant otherwise, and that in words."""
    yield points * (-1, -1, 1), "RAS; expected LPS: turn the signs of x and y"
    yield points[:, ::-1], "in the order z, y, x; expected x, y, z"
    if image is not None:
        for index, order in ((points[:, ::-1], "x, y, z"), (points, "z, y, x")):
            inside = np.clip(index, -1, np.array(image.array.shape))  # a mark far outside stays outside
            place = np.array(image.origin) + (inside * np.array(image.spacing)) @ np.asarray(image.direction).T
            yield place, f"voxels ({order}); expected millimetres"
