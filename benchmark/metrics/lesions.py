"""Lesion by lesion: connected components of reference and prediction, matched and scored one by one.

`lesion_dice`, `lesion_hd95` and `lesion_f1` follow BraTS 2023 (Saluja et al. 2023, github.com/rachitsaluja/BraTS-2023-Metrics):
components are 26-connected; reference components whose dilations (18-neighbourhood, `dilation` times) are connected are one
lesion; every predicted component that touches the dilated lesion belongs to it; predicted components that touch none are false
positives of any size; reference lesions of at most `volume_threshold` mm³ are not scored. Panoptic quality follows Kirillov et
al. 2019. `lesion_detections` matches candidates one to one as PI-CAI does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmark.errors import DataError
from benchmark.metrics import surface
from benchmark.metrics.labels import CHOICE, Structure, chosen, require_spacing, structure, unusable, worst
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

BRATS = "Saluja et al. 2023, github.com/rachitsaluja/BraTS-2023-Metrics; Moawad et al. 2023, arXiv:2306.00838"
KIRILLOV = "Kirillov et al. 2019, CVPR, arXiv:1801.00868"
PENALTY = 374.0
"""What BraTS charges for a missed or invented lesion, in mm: the diagonal of its 240×240×155 volumes."""

Boxes = tuple[slice, ...]


def components(mask: NDArray[Any]) -> tuple[NDArray[np.uint32], int]:
    """26-connected components of what is not 0 in a (z, y, x) volume (8-connected in one slice), numbered from 1."""
    try:
        import cc3d
    except ImportError:
        return components_plain(mask)
    if mask.size == 0:
        return np.zeros(mask.shape, np.uint32), 0
    found, n = cc3d.connected_components(
        np.ascontiguousarray(mask != 0).view(np.uint8), connectivity=26, return_N=True, out_dtype=np.uint32
    )
    return found.astype(np.uint32, copy=False), int(n)


def components_plain(mask: NDArray[Any]) -> tuple[NDArray[np.uint32], int]:
    """The same by scipy, for machines without cc3d; the numbering may differ."""
    found, n = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return found.astype(np.uint32), int(n)


def bounding_box(mask: NDArray[np.bool_], margin: int = 0) -> Boxes:
    """Slices that hold everything set, widened by `margin` within the volume."""
    box = []
    for axis in range(mask.ndim):
        line = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        low, high = (line[0], line[-1] + 1) if len(line) else (0, 0)
        box.append(slice(max(0, int(low) - margin), min(mask.shape[axis], int(high) + margin)))
    return tuple(box)


def dilated(mask: NDArray[np.bool_], times: int) -> NDArray[np.uint8]:
    """`times` dilations by the 18-neighbourhood (a voxel, its faces and its edges), in one step, as 0 and 1.

    So many steps reach offsets with no axis beyond `times` and no sum of axes beyond 2·`times`; only border voxels need them.
    """
    out = mask.astype(np.uint8)
    if times > 0 and mask.any():
        axis = np.arange(-times, times + 1)
        ball = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
        ball = ball[np.abs(ball).sum(axis=1) <= 2 * times]
        _stamp_ball(out, surface.voxel_surface(mask).points, ball)
    return out


@njit(cache=True)
def _stamp_ball(box: Any, points: Any, ball: Any) -> None:
    nz, ny, nx = box.shape
    for i in range(points.shape[0]):
        for j in range(ball.shape[0]):
            z = points[i, 0] + ball[j, 0]
            y = points[i, 1] + ball[j, 1]
            x = points[i, 2] + ball[j, 2]
            if 0 <= z < nz and 0 <= y < ny and 0 <= x < nx:
                box[z, y, x] = 1


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Which components of two labellings share voxels; only pairs that do are listed, in order of (first, second)."""

    first: NDArray[np.int64]
    """Component of the first labelling, from 0."""
    second: NDArray[np.int64]
    """Component of the second labelling, from 0."""
    shared: NDArray[np.int64]
    """Voxels they share."""
    first_sizes: NDArray[np.int64]
    """Voxels of each component of the first labelling."""
    second_sizes: NDArray[np.int64]
    """Voxels of each component of the second labelling."""

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        return self.shared / (self.first_sizes[self.first] + self.second_sizes[self.second] - self.shared)


def overlaps(a: NDArray[np.uint32], b: NDArray[np.uint32], n_a: int, n_b: int) -> Overlaps:
    """Pairs of components that share voxels, from one pass over the voxels where both are set."""
    both = (a > 0) & (b > 0)
    keys = (a[both].astype(np.int64) - 1) * n_b + (b[both].astype(np.int64) - 1)
    if n_a * n_b <= 1 << 20:
        counts = np.bincount(keys, minlength=0)
        pairs = np.flatnonzero(counts)
        shared = counts[pairs]
    else:
        pairs, shared = np.unique(keys, return_counts=True)
    first, second = np.divmod(pairs, max(n_b, 1))
    sizes = (np.bincount(label[label > 0], minlength=n + 1)[1:] for label, n in ((a, n_a), (b, n_b)))
    return Overlaps(first, second, shared, *sizes)


@dataclass(frozen=True, eq=False)
class Lesions:
    """Reference lesions of a case and what was predicted for each, by the rules of BraTS 2023."""

    volumes: NDArray[np.float64]
    """Volume of each scored reference lesion, in mm³."""
    dice: NDArray[np.float64]
    """Dice of each with all predicted components that touch its dilation; 0 where none does."""
    hd95: NDArray[np.float64]
    """HD95 in mm of each (surfel mode); NaN where nothing was predicted for it."""
    false_positives: int
    """Predicted components that touch no lesion, scored or not."""
    unscored: int
    """Reference lesions at or below the volume threshold."""

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether anything was predicted for each scored lesion."""
        return ~np.isnan(self.hd95)


def match_lesions(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    spacing: tuple[float, ...],
    *,
    dilation: int = 3,
    volume_threshold: float = 50.0,
) -> Lesions:
    """Match predicted components to reference lesions and score each lesion. Masks are (z, y, x), C-contiguous."""
    box = bounding_box(reference | prediction, margin=dilation + 1)
    reference, prediction = (np.ascontiguousarray(m[box]) for m in (reference, prediction))
    predicted, n_predicted = components(prediction)
    # The dilation of one lesion is exactly one component of the dilation of all of them, so that one labelling serves both
    # to merge reference components and to find what touches a lesion.
    zone, n_lesions = components(dilated(reference, dilation))
    touching = overlaps(zone, predicted, n_lesions, n_predicted)
    lesion = np.where(reference, zone, np.uint32(0))
    inside = overlaps(lesion, predicted, n_lesions, n_predicted)
    both = np.bincount(inside.first, inside.shared, minlength=n_lesions)
    volumes = inside.first_sizes.astype(np.float64) * float(np.prod(spacing))
    scored = np.flatnonzero(volumes > volume_threshold)
    lesion_boxes, predicted_boxes = (ndimage.find_objects(label.view(np.int32)) for label in (lesion, predicted))
    dice, hd95 = np.zeros(len(scored)), np.full(len(scored), np.nan)
    for row, number in enumerate(scored):
        mine = touching.second[slice(*np.searchsorted(touching.first, (number, number + 1)))]
        if not len(mine):
            continue
        dice[row] = 2 * both[number] / (inside.first_sizes[number] + inside.second_sizes[mine].sum())
        window = _union([lesion_boxes[number], *(predicted_boxes[k] for k in mine)])
        own = np.ascontiguousarray(lesion[window] == number + 1)
        theirs = np.ascontiguousarray(np.isin(predicted[window], mine + 1))
        distances = surface.surface_distances(
            surface.surfel_surface(_padded(own), spacing), surface.surfel_surface(_padded(theirs), spacing), spacing
        )
        hd95[row] = surface.hausdorff(distances, 95.0)
    invented = n_predicted - len(np.unique(touching.second))
    return Lesions(volumes[scored], dice, hd95, invented, n_lesions - len(scored))


def _union(boxes: list[Boxes]) -> Boxes:
    return tuple(slice(min(b[k].start for b in boxes), max(b[k].stop for b in boxes)) for k in range(3))


def _padded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One voxel of background around, so that a lesion one voxel thick is not taken for a picture."""
    return np.pad(mask, 1)


def _lesions(found: Structure, dilation: int, volume_threshold: float) -> Lesions:
    spacing = found.spacing
    assert spacing is not None
    return found.inputs.shared(
        ("lesions.match", found.labels, dilation, volume_threshold),
        lambda: match_lesions(
            found.reference, found.prediction, spacing, dilation=dilation, volume_threshold=volume_threshold
        ),
    )


def _scored_lesions(
    name: str, inputs: CaseInputs, label: Any, labels: Any, dilation: int, volume_threshold: float
) -> Lesions | MetricValue:
    """The lesions of a case, or the value where there is nothing to score lesion by lesion."""
    require_spacing(name, inputs)
    if not (isinstance(dilation, int) and 0 <= dilation <= 20 and volume_threshold >= 0):
        raise DataError(
            "task_invalid",
            f"{name}: dilation {dilation!r}, volume_threshold {volume_threshold!r}",
            expected="0 to 20 steps, and mm³ from 0",
        )
    problem = unusable(inputs)
    if problem:
        return worst(name, inputs, *problem)
    found = structure(inputs, chosen(label, labels))
    perfect = 0.0 if name == "lesion_hd95" else 1.0
    if found.status == "both_empty":
        return MetricValue(perfect, "both_empty")
    if found.status == "ref_empty":
        return worst(name, inputs, "ref_empty")
    lesions = _lesions(found, dilation, volume_threshold)
    if not len(lesions.volumes) and not lesions.false_positives:
        return MetricValue(perfect, "ok", "no lesion is above the volume threshold and none was invented")
    if found.status == "pred_empty":
        return worst(name, inputs, "pred_empty")
    return lesions


def lesion_dice(
    inputs: CaseInputs, label: Any = None, labels: Any = None, dilation: int = 3, volume_threshold: float = 50.0
) -> MetricValue:
    """Sum of the lesions' Dice over the number of scored lesions and false positives."""
    found = _scored_lesions("lesion_dice", inputs, label, labels, dilation, volume_threshold)
    if isinstance(found, MetricValue):
        return found
    return MetricValue(float(found.dice.sum() / (len(found.dice) + found.false_positives)))


def lesion_hd95(
    inputs: CaseInputs,
    label: Any = None,
    labels: Any = None,
    dilation: int = 3,
    volume_threshold: float = 50.0,
    penalty: float = PENALTY,
) -> MetricValue:
    """Mean of the lesions' HD95, `penalty` mm for each missed lesion and each false positive."""
    found = _scored_lesions("lesion_hd95", inputs, label, labels, dilation, volume_threshold)
    if isinstance(found, MetricValue):
        return found
    total = np.where(found.found, found.hd95, penalty).sum() + penalty * found.false_positives
    return MetricValue(float(total / (len(found.hd95) + found.false_positives)))


def lesion_f1(
    inputs: CaseInputs, label: Any = None, labels: Any = None, dilation: int = 3, volume_threshold: float = 50.0
) -> MetricValue:
    """2·TP / (2·TP + FP + FN) over scored lesions and invented components."""
    found = _scored_lesions("lesion_f1", inputs, label, labels, dilation, volume_threshold)
    if isinstance(found, MetricValue):
        return found
    hits = int(found.found.sum())
    return MetricValue(2 * hits / (hits + len(found.dice) + found.false_positives))


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
    box = bounding_box(reference | prediction)
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
    box = bounding_box((reference != 0) | (detection_map != 0))
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


MATCHING = {"dilation": 3, "volume_threshold": 50.0}
RULES = (
    "components are 26-connected, merged and matched within `dilation` dilations, lesions up to `volume_threshold` mm³ are not "
    "scored, invented ones of any size are (BraTS glioma: 3 and 50; meningioma 1 and 50; metastases 1 and 2)"
)


def _declare(name: str, title: str, compute: Any, definition: str, citation: str, options: Mapping[str, Any]) -> None:
    distance = name == "lesion_hd95"
    register(
        Metric(
            name=name,
            title=title,
            family="lesions",
            unit="mm" if distance else "",
            direction="lower" if distance else "higher",
            range=(0.0, float("inf") if distance else 1.0),
            worst=PENALTY if distance else 0.0,
            definition=definition,
            citation=citation,
            needs=frozenset({"spacing"}) if citation == BRATS else frozenset(),
            options={**CHOICE, **options},
            compute=compute,
        )
    )


_declare(
    "lesion_dice",
    "Lesion-wise Dice",
    lesion_dice,
    f"Sum of the Dice of each reference lesion over lesions plus false positives; {RULES}.",
    BRATS,
    MATCHING,
)
_declare(
    "lesion_hd95",
    "Lesion-wise HD95",
    lesion_hd95,
    f"Mean HD95 (surfel mode) of the reference lesions, `penalty` mm for each missed or invented one; {RULES}.",
    BRATS,
    {**MATCHING, "penalty": PENALTY},
)
_declare(
    "lesion_f1",
    "Lesion-wise F1",
    lesion_f1,
    f"2·TP / (2·TP + FP + FN) over lesions; {RULES}.",
    BRATS,
    MATCHING,
)
_declare(
    "panoptic_quality",
    "Panoptic quality",
    panoptic_quality,
    "Sum of the IoU of components matched one to one with IoU above `min_iou`, over TP + FP/2 + FN/2; 26-connected.",
    KIRILLOV,
    {"min_iou": 0.5},
)
_declare(
    "segmentation_quality",
    "Segmentation quality",
    segmentation_quality,
    "Mean IoU of the components matched for panoptic quality; 0 where nothing matches.",
    KIRILLOV,
    {"min_iou": 0.5},
)
_declare(
    "recognition_quality",
    "Recognition quality",
    recognition_quality,
    "TP over TP + FP/2 + FN/2 of the components matched for panoptic quality.",
    KIRILLOV,
    {"min_iou": 0.5},
)
