"""Components matched one to one: panoptic quality (Kirillov et al. 2019) and candidates of a detection map (PI-CAI)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmark.errors import DataError
from benchmark.metrics import surface
from benchmark.metrics.components import Overlaps, components, overlaps
from benchmark.metrics.labels import CHOICE, chosen, structure, unusable, worst
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

KIRILLOV = "Kirillov et al. 2019, CVPR, arXiv:1801.00868"


def match_one_to_one(found: Overlaps, minimum: float) -> NDArray[np.intp]:
    """Which pairs to keep so that each component is used once and IoU ≥ `minimum`: as many pairs as possible, then the largest
    sum of IoU. Solved exactly (Hungarian method) in each cluster of components that compete."""
    iou = found.iou
    pairs = np.flatnonzero(iou >= minimum)
    if not len(pairs):
        return pairs
    rows, columns = found.first[pairs], found.second[pairs]
    size = len(found.first_sizes)
    graph = coo_matrix((np.ones(len(pairs)), (rows, columns + size)), shape=(size + len(found.second_sizes),) * 2)
    cluster = connected_components(graph, directed=False)[1][rows]
    kept = []
    for group in np.split(np.argsort(cluster, kind="stable"), np.flatnonzero(np.diff(np.sort(cluster))) + 1):
        if len(group) == 1:
            kept.append(pairs[group])
            continue
        row_names, i = np.unique(rows[group], return_inverse=True)
        column_names, j = np.unique(columns[group], return_inverse=True)
        index = np.full((len(row_names), len(column_names)), -1)
        index[i, j] = pairs[group]
        chosen_rows, chosen_columns = linear_sum_assignment(np.where(index >= 0, 1 + iou[index], 0), maximize=True)
        picked = index[chosen_rows, chosen_columns]
        kept.append(picked[picked >= 0])
    return np.sort(np.concatenate(kept))


@dataclass(frozen=True, eq=False)
class Panoptic:
    """Segments matched one to one."""

    iou: NDArray[np.float64]
    """IoU of each matched pair."""
    false_positives: int
    false_negatives: int


def match_segments(reference: NDArray[np.bool_], prediction: NDArray[np.bool_], minimum: float = 0.5) -> Panoptic:
    """26-connected components matched where IoU > `minimum`."""
    box = surface.box_of(reference, prediction)
    (a, n_a), (b, n_b) = components(reference[box]), components(prediction[box])
    found = overlaps(a, b, n_a, n_b)
    iou = found.iou[match_one_to_one(found, float(np.nextafter(minimum, 1)))]
    return Panoptic(iou, n_b - len(iou), n_a - len(iou))


def _panoptic(name: str, inputs: CaseInputs, label: Any, labels: Any, min_iou: float) -> Panoptic | MetricValue:
    if not 0 <= min_iou < 1:
        raise DataError("task_invalid", f"{name}: min_iou {min_iou!r}", expected="from 0 to below 1")
    problem = unusable(inputs)
    if problem:
        return worst(name, inputs, *problem)
    found = structure(inputs, chosen(label, labels))
    if found.status == "both_empty":
        return MetricValue(1.0, "both_empty")
    if found.status != "ok":
        return worst(name, inputs, found.status)
    return inputs.shared(
        ("lesions.panoptic", found.labels, min_iou), lambda: match_segments(found.reference, found.prediction, min_iou)
    )


def panoptic_quality(inputs: CaseInputs, label: Any = None, labels: Any = None, min_iou: float = 0.5) -> MetricValue:
    """Sum of matched IoU over TP + FP/2 + FN/2."""
    found = _panoptic("panoptic_quality", inputs, label, labels, min_iou)
    if isinstance(found, MetricValue):
        return found
    half = (found.false_positives + found.false_negatives) / 2
    return MetricValue(float(found.iou.sum() / (len(found.iou) + half)))


def segmentation_quality(
    inputs: CaseInputs, label: Any = None, labels: Any = None, min_iou: float = 0.5
) -> MetricValue:
    """Mean IoU of the matched pairs; 0 where nothing matches."""
    found = _panoptic("segmentation_quality", inputs, label, labels, min_iou)
    if isinstance(found, MetricValue):
        return found
    return MetricValue(float(found.iou.mean()) if len(found.iou) else 0.0)


def recognition_quality(inputs: CaseInputs, label: Any = None, labels: Any = None, min_iou: float = 0.5) -> MetricValue:
    """TP over TP + FP/2 + FN/2: the F1 score of the matching."""
    found = _panoptic("recognition_quality", inputs, label, labels, min_iou)
    if isinstance(found, MetricValue):
        return found
    half = (found.false_positives + found.false_negatives) / 2
    return MetricValue(len(found.iou) / (len(found.iou) + half))


@dataclass(frozen=True, eq=False)
class Detections:
    """Candidates of a detection map, matched one to one with the reference lesions of a case."""

    hits: NDArray[np.float64]
    """Confidence of the candidate matched to each lesion; NaN where the lesion is missed."""
    iou: NDArray[np.float64]
    """Its overlap with the lesion; 0 where the lesion is missed."""
    false_positives: NDArray[np.float64]
    """Confidence of each candidate that overlaps no lesion enough."""


def lesion_detections(
    reference: NDArray[Any], detection_map: NDArray[Any], *, minimum: float = 0.1, extra_is_false: bool = False
) -> Detections:
    """Match the components of a detection map (confidence in each voxel, 0 outside) to the components of the reference.

    As PI-CAI (Bosma et al., github.com/DIAGNijmegen/picai_eval): a candidate's confidence is the largest in its component; pairs
    need an IoU of `minimum`; as many pairs as possible, then the largest overlap. A further candidate on a lesion that has one is
    ignored, or a false positive with `extra_is_false`. Arrays are (z, y, x). Raises `ValueError` for a confidence that is
    negative or not finite.
    """
    if not (np.isfinite(detection_map).all() and (detection_map >= 0).all()):
        raise ValueError("confidences must be finite and not negative")
    box = surface.box_of(reference, detection_map)
    reference, detection_map = reference[box], detection_map[box]
    lesion, n_lesions = components(reference)
    candidate, n_candidates = components(detection_map)
    found = overlaps(lesion, candidate, n_lesions, n_candidates)
    inside = candidate > 0
    confidence = np.full(n_candidates, -np.inf)
    np.maximum.at(confidence, candidate[inside] - 1, detection_map[inside].astype(np.float64))
    pairs = match_one_to_one(found, minimum)
    hits, overlap = np.full(n_lesions, np.nan), np.zeros(n_lesions)
    hits[found.first[pairs]], overlap[found.first[pairs]] = confidence[found.second[pairs]], found.iou[pairs]
    used = pairs if extra_is_false else np.flatnonzero(found.iou >= minimum)
    taken = np.zeros(n_candidates, bool)
    taken[found.second[used]] = True
    return Detections(hits, overlap, confidence[~taken])


def _declare(name: str, title: str, compute: Callable[..., MetricValue], definition: str) -> None:
    register(
        Metric(
            name=name,
            title=title,
            family="lesions",
            unit="",
            direction="higher",
            range=(0.0, 1.0),
            worst=0.0,
            definition=definition,
            citation=KIRILLOV,
            options={**CHOICE, "min_iou": 0.5},
            compute=compute,
        )
    )


_declare(
    "panoptic_quality",
    "Panoptic quality",
    panoptic_quality,
    "Sum of the IoU of components matched one to one with IoU above `min_iou`, over TP + FP/2 + FN/2; 26-connected.",
)
_declare(
    "segmentation_quality",
    "Segmentation quality",
    segmentation_quality,
    "Mean IoU of the components matched for panoptic quality; 0 where nothing matches.",
)
_declare(
    "recognition_quality",
    "Recognition quality",
    recognition_quality,
    "TP over TP + FP/2 + FN/2 of the components matched for panoptic quality.",
)
