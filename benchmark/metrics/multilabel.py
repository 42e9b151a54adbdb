"""Dice and HD95 of many labels in one pass over both volumes, and the segmentation of a synthetic CT.

The class lists are those of the SynthRAD2025 challenge; a label's number is its number in TotalSegmentator v2 (task `total`).
Where reference and prediction are CT images rather than label volumes, a segmenter makes labels of both: the embedded one
tells air, soft tissue and bone apart by thresholds, TotalSegmentator is used when it is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmark.contract import Status
from benchmark.errors import DataError, InfrastructureError
from benchmark.metrics import surface, surface_kernels
from benchmark.metrics.labels import require_spacing, unusable, worst
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

SYNTHRAD = "SynthRAD2025, github.com/SynthRAD2025/metrics; Thummerer et al. 2025, arXiv:2502.17609"

LUNGS, VERTEBRAE, RIBS = tuple(range(10, 15)), tuple(range(26, 51)), tuple(range(92, 116))
TRUNK = (2, 3, 5, 6, *LUNGS, *VERTEBRAE, 51, 79, *RIBS, 116)
"""Kidneys, liver, stomach, lungs, vertebrae, heart, spinal cord, ribs, sternum."""

REGIONS: dict[str, tuple[int, ...]] = {
    "abdomen": TRUNK,
    "thorax": TRUNK,
    "head_and_neck": (15, 16, 17, *VERTEBRAE, 79, 90, 91),
}
"""Labels that SynthRAD2025 scores, by region; the official code calls them AB, TH and HN."""

ALIASES = {"AB": "abdomen", "TH": "thorax", "HN": "head_and_neck"}

TISSUES = {"air": 1, "soft": 2, "bone": 3}
"""Labels of the embedded threshold segmenter."""


def threshold_tissues(image: NDArray[Any], air: float = -200.0, bone: float = 250.0) -> NDArray[np.uint8]:
    """Air (below `air` HU) 1, soft tissue 2, bone (above `bone` HU) 3. NaN is not any tissue: 0."""
    image = np.asarray(image)
    tissues = np.where(image < air, np.uint8(1), np.uint8(2))
    tissues[image > bone] = 3
    if image.dtype.kind == "f":
        tissues[np.isnan(image)] = 0
    return tissues


def total_segmentator(image: NDArray[Any], spacing: Sequence[float]) -> NDArray[np.uint8]:
    """Labels of TotalSegmentator v2 for a CT image (z, y, x) in HU, fast model, on the CPU or GPU that torch finds.

    Raises `InfrastructureError` (`missing_extra`) when the package is not installed.
    """
    try:
        import nibabel
        from totalsegmentator.python_api import totalsegmentator  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise InfrastructureError(
            "missing_extra",
            "the segmenter 'totalsegmentator' was asked for, and TotalSegmentator is not installed",
            action="Install TotalSegmentator and its weights, or hand in label volumes, or use segmenter = 'threshold'.",
        ) from None
    # Array axes (z, y, x) are LPS z, y, x; NIfTI wants (x, y, z) in RAS.
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    picture = nibabel.Nifti1Image(np.asarray(image, np.float32).transpose(2, 1, 0), affine)
    found = totalsegmentator(picture, task="total", fast=True, quiet=True)
    return np.ascontiguousarray(np.asanyarray(found.dataobj).astype(np.uint8).transpose(2, 1, 0))


SEGMENTERS: dict[str, Callable[[NDArray[Any], Sequence[float]], NDArray[np.uint8]]] = {
    "threshold": lambda image, _: threshold_tissues(image),
    "totalsegmentator": total_segmentator,
}
"""What makes labels of a CT image: (HU image (z, y, x), spacing in mm) to labels; an organiser may add one."""


@dataclass(frozen=True, eq=False)
class LabelSide:
    """What one label volume contributes, made in one pass over it."""

    field: NDArray[np.uint8] | NDArray[np.uint16]
    """Position in the class list plus 1, 0 elsewhere; C-contiguous (z, y, x)."""
    points: NDArray[np.int32]
    """Border voxels of all labels, those of one label together."""
    starts: NDArray[np.int64]
    """Where the points of each label begin (position 0 is background), and the end."""

    def border(self, k: int) -> surface.Surface:
        """Border voxels of the label at position k of the class list."""
        return surface.Surface(self.points[self.starts[k + 1] : self.starts[k + 2]])


def compact(array: NDArray[Any], classes: Sequence[int], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Each voxel's position in the class list plus 1; 0 for other labels and outside the mask. Unsigned, C-contiguous 3-D."""
    kind = np.uint8 if len(classes) < 256 else np.uint16
    if array.dtype == bool:
        array = array.view(np.uint8)
    if array.dtype.kind == "f":
        array = array.astype(np.promote_types(array.dtype, np.float32), copy=False)
        whole = np.abs(array) < 2**24
        array = np.where(whole & (array == np.trunc(array)), np.where(whole, array, 0), 0).astype(np.int32)
    array = np.ascontiguousarray(array)
    top = max(classes) + 1
    table = np.zeros(top + 1, kind)
    table[list(classes)] = np.arange(1, len(classes) + 1)
    out = np.empty(array.shape, kind)
    _look_up(array.reshape(-1), table, out.reshape(-1))
    if mask is not None:
        out[~mask] = 0
    return surface.as_volume(out, (1.0,) * out.ndim)[0]


@njit(cache=True)
def _look_up(array: Any, table: Any, out: Any) -> None:
    top = table.size - 1  # the last entry is 0: every label beyond the list
    for i in range(array.size):
        v = array[i]
        out[i] = table[top] if v < 0 or v > top else table[v]


def label_side(array: NDArray[Any], classes: Sequence[int], mask: NDArray[np.bool_] | None = None) -> LabelSide:
    """The borders of all classes of one label volume."""
    field = compact(array, classes, mask)
    points, labels, _ = surface_kernels.border_scan(field, np.array(surface.active_axes(field.shape)))
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=len(classes) + 1))])
    return LabelSide(field, points[order], starts)


@njit(cache=True)
def _joint_counts(a: Any, b: Any, n: int) -> tuple[Any, Any, Any]:
    """Voxels of each label in a, in b, and in both; runs of equal pairs are counted at once."""
    in_a = np.zeros(n + 1, np.int64)
    in_b = np.zeros(n + 1, np.int64)
    both = np.zeros(n + 1, np.int64)
    last_a = a[0]
    last_b = b[0]
    start = 0
    for i in range(a.size + 1):
        if i < a.size and a[i] == last_a and b[i] == last_b:
            continue
        run = i - start
        in_a[last_a] += run
        in_b[last_b] += run
        if last_a == last_b:
            both[last_a] += run
        if i < a.size:
            start = i
            last_a = a[i]
            last_b = b[i]
    return in_a[1:], in_b[1:], both[1:]


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """Voxels of every class of the list, in its order."""

    reference: NDArray[np.int64]
    prediction: NDArray[np.int64]
    both: NDArray[np.int64]

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice of each class; 1 where both are empty."""
        total = self.reference + self.prediction
        return np.where(total > 0, 2 * self.both / np.maximum(total, 1), 1.0)


def count_labels(reference: LabelSide, prediction: LabelSide, n: int) -> LabelCounts:
    """Counts of all n classes from one pass over both volumes."""
    return LabelCounts(*_joint_counts(reference.field.reshape(-1), prediction.field.reshape(-1), n))


def label_hd95(reference: LabelSide, prediction: LabelSide, n: int, spacing: surface.Spacing) -> NDArray[np.float64]:
    """HD95 in mm of each of n classes; NaN where reference or prediction lack it. `spacing` is of (z, y, x)."""
    found = np.full(n, np.nan)
    for k in range(n):
        distances = surface.surface_distances(reference.border(k), prediction.border(k), spacing)
        if len(distances.to_prediction):
            found[k] = surface.hausdorff(distances, 95.0)
    return found


def class_list(classes: str | Sequence[int]) -> tuple[int, ...]:
    """The labels of a region by name, or the list itself. Raises `DataError` for an unknown region or a label below 1."""
    if isinstance(classes, str):
        name = ALIASES.get(classes.upper(), classes.lower())
        if name == "tissues":
            return tuple(TISSUES.values())
        if name not in REGIONS:
            raise DataError(
                "task_invalid",
                f"classes {classes!r} is no region",
                expected=f"a list of labels, 'tissues', or one of {', '.join(sorted(REGIONS))}",
            )
        return REGIONS[name]
    found = tuple(classes)
    if not found or len(set(found)) < len(found) or any(isinstance(c, bool) or c != int(c) or c < 1 for c in found):
        raise DataError("task_invalid", f"classes {list(classes)!r}", expected="different whole numbers from 1")
    return tuple(int(c) for c in found)


def _segmented(inputs: CaseInputs, segmenter: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels of both images; the reference's once a reference."""
    if segmenter not in SEGMENTERS:
        raise DataError("task_invalid", f"segmenter {segmenter!r}", expected=f"one of {', '.join(sorted(SEGMENTERS))}")
    make, spacing = SEGMENTERS[segmenter], inputs.spacing or (1.0,) * np.ndim(inputs.reference)
    reference = inputs.reference_side(("multilabel.labels", segmenter), lambda: make(inputs.reference, spacing))
    return reference, make(inputs.prediction, spacing)


def _sides(inputs: CaseInputs, classes: tuple[int, ...], segmenter: str | None) -> tuple[LabelSide, LabelSide]:
    """Reference and prediction, each made in one pass; the reference's once a reference."""

    def compute() -> tuple[LabelSide, LabelSide]:
        if segmenter:
            reference, prediction = _segmented(inputs, segmenter)
        else:
            reference, prediction = np.asarray(inputs.reference), np.asarray(inputs.prediction)
        kept = inputs.reference_side(
            ("multilabel.side", classes, segmenter), lambda: _as_tuple(label_side(reference, classes, inputs.mask))
        )
        return LabelSide(*kept), label_side(prediction, classes, inputs.mask)

    return inputs.shared(("multilabel.sides", classes, segmenter), compute)


def _as_tuple(side: LabelSide) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int64]]:
    """Plain arrays, so that whoever bounds the memory of the reference side can count them."""
    return side.field, side.points, side.starts


def _multilabel(name: str, inputs: CaseInputs, classes: Any, segmenter: str | None, official_gaps: bool) -> MetricValue:
    distances = name == "multilabel_hd95"
    if distances:
        require_spacing(name, inputs)
    wanted = class_list(classes)
    problem = unusable(inputs)
    if problem:
        return worst(name, inputs, *problem)
    sides = _sides(inputs, wanted, segmenter)
    counts = inputs.shared(("multilabel.counts", wanted, segmenter), lambda: count_labels(*sides, len(wanted)))
    present = counts.reference > 0
    missed = present & (counts.prediction == 0)
    if not present.any():
        if not counts.prediction.any():
            return MetricValue(0.0 if distances else 1.0, "both_empty", "the reference has no class of the list")
        return worst(name, inputs, "ref_empty", "the reference has no class of the list")
    status: Status = "pred_empty" if missed[present].all() else "ok"
    gone = ", ".join(str(c) for c, lost in zip(wanted, missed, strict=True) if lost)
    reason = f"missed: {gone}" if gone else ""
    if not distances:
        return MetricValue(float(counts.dice[present].mean()), status, reason)
    assert inputs.spacing is not None
    spacing = (1.0,) * (3 - len(inputs.spacing)) + tuple(inputs.spacing)
    hd95 = inputs.shared(("multilabel.hd95", wanted, segmenter), lambda: label_hd95(*sides, len(wanted), spacing))
    if official_gaps:
        kept = hd95[present & ~missed]
        return MetricValue(float(kept.mean()) if len(kept) else 0.0, status, reason)
    charged = np.where(missed, worst(name, inputs, status).value, hd95)
    return MetricValue(float(charged[present].mean()), status, reason)


def multilabel_dice(
    inputs: CaseInputs, classes: Any = "tissues", segmenter: str | None = None, official_gaps: bool = False
) -> MetricValue:
    """Mean Dice over the classes of the list that the reference has."""
    return _multilabel("multilabel_dice", inputs, classes, segmenter, official_gaps)


def multilabel_hd95(
    inputs: CaseInputs, classes: Any = "tissues", segmenter: str | None = None, official_gaps: bool = False
) -> MetricValue:
    """Mean HD95 in mm over the classes of the list that the reference has; a missed class takes the diagonal."""
    return _multilabel("multilabel_hd95", inputs, classes, segmenter, official_gaps)


OPTIONS = {"classes": "tissues", "segmenter": None, "official_gaps": False}
LISTS = (
    "`classes` is a list of labels, a SynthRAD2025 region (abdomen, thorax, head_and_neck; labels of TotalSegmentator v2) or "
    '"tissues" (air 1, soft 2, bone 3); `segmenter = "threshold"` (air below −200 HU, bone above 250 HU) or "totalsegmentator" '
    "makes labels of CT images"
)

register(
    Metric(
        name="multilabel_dice",
        title="Dice (labels)",
        family="multilabel",
        unit="",
        direction="higher",
        range=(0.0, 1.0),
        worst=0.0,
        definition=f"Mean Dice over the classes of the list that the reference has; {LISTS}.",
        citation=SYNTHRAD,
        options=OPTIONS,
        compute=multilabel_dice,
    )
)
register(
    Metric(
        name="multilabel_hd95",
        title="HD95 (labels)",
        family="multilabel",
        unit="mm",
        direction="lower",
        range=(0.0, float("inf")),
        worst="diagonal",
        definition=(
            "Mean HD95 over the classes of the list that the reference has, the diagonal for a class that is missed "
            f"(`official_gaps = true` leaves missed classes out, as the official code does, 0 where all are missed); {LISTS}."
        ),
        citation=SYNTHRAD,
        needs=frozenset({"spacing"}),
        options=OPTIONS,
        compute=multilabel_hd95,
    )
)
