"""Lesion by lesion: connected components of reference and prediction, matched and scored one by one.

`lesion_dice`, `lesion_hd95` and `lesion_f1` follow BraTS 2023 (Saluja et al. 2023, github.com/rachitsaluja/BraTS-2023-Metrics):
components are 26-connected; reference components whose dilations (18-neighbourhood, `dilation` times) are connected are one
lesion; every predicted component that touches the dilated lesion belongs to it; predicted components that touch none are false
positives of any size; reference lesions of at most `volume_threshold` mm³ are not scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.errors import DataError
from benchmark.metrics import surface
from benchmark.metrics.components import Boxes, components, dilated, overlaps
from benchmark.metrics.labels import CHOICE, Structure, chosen, require_spacing, structure, unusable, worst
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

BRATS = "Saluja et al. 2023, github.com/rachitsaluja/BraTS-2023-Metrics; Moawad et al. 2023, arXiv:2306.00838"
PENALTY = 374.0
"""What BraTS charges for a missed or invented lesion, in mm: the diagonal of its 240×240×155 volumes."""


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
    # What a dilation would reach outside the box of both masks connects nothing that is not connected inside as well: moving
    # a voxel to the nearest one in the box brings it closer to every lesion, and neighbours stay neighbours.
    box = surface.box_of(reference, prediction)
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


MATCHING = {"dilation": 3, "volume_threshold": 50.0}
RULES = (
    "components are 26-connected, merged and matched within `dilation` dilations, lesions up to `volume_threshold` mm³ are not "
    "scored, invented ones of any size are (BraTS glioma: 3 and 50; meningioma 1 and 50; metastases 1 and 2)"
)


def _declare(name: str, title: str, compute: Any, definition: str, options: Mapping[str, Any]) -> None:
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
            citation=BRATS,
            needs=frozenset({"spacing"}),
            options={**CHOICE, **options},
            compute=compute,
        )
    )


_declare(
    "lesion_dice",
    "Lesion-wise Dice",
    lesion_dice,
    f"Sum of the Dice of each reference lesion over lesions plus false positives; {RULES}.",
    MATCHING,
)
_declare(
    "lesion_hd95",
    "Lesion-wise HD95",
    lesion_hd95,
    f"Mean HD95 (surfel mode) of the reference lesions, `penalty` mm for each missed or invented one; {RULES}.",
    {**MATCHING, "penalty": PENALTY},
)
_declare(
    "lesion_f1",
    "Lesion-wise F1",
    lesion_f1,
    f"2·TP / (2·TP + FP + FN) over lesions; {RULES}.",
    MATCHING,
)
