"""Clinical measures on pairs of images: bone in a synthetic CT, lesion contrast in ultrasound, ventricles that grow.

Water-equivalent path length is in `pathlength`, noise texture and lesion detectability in `noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from benchmark.errors import DataError
from benchmark.metrics.paired import Problem, paired
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

# ---------------------------------------------------------------- bone


def _bone_dice(inputs: CaseInputs, threshold: float = 300.0) -> MetricValue:
    pair = paired(inputs)
    if isinstance(pair, Problem):
        return MetricValue(0.0, pair.status, pair.reason)
    reference, prediction = ((image > threshold) & pair.mask for image in (pair.reference, pair.prediction))
    sizes = int(np.count_nonzero(reference)), int(np.count_nonzero(prediction))
    if not any(sizes):
        return MetricValue(1.0, "both_empty")
    if not all(sizes):
        return MetricValue(0.0, "pred_empty" if sizes[0] else "ref_empty")
    return MetricValue(2.0 * int(np.count_nonzero(reference & prediction)) / sum(sizes))


register(
    Metric(
        name="bone_dice",
        title="Bone Dice",
        family="clinical",
        unit="",
        direction="higher",
        range=(0.0, 1.0),
        worst=0.0,
        definition="Dice of the voxels above 300 HU in reference and prediction, inside the mask; 1 where neither has any.",
        citation="Dice 1945, Ecology 26:297; threshold after Spadea et al. 2021, Med Phys 48:6537",
        options={"threshold": 300.0},
        compute=_bone_dice,
    )
)

# ---------------------------------------------------------------- contrast in ultrasound


def gcnr(inside: ArrayLike, outside: ArrayLike, bins: int = 100) -> float:
    """Generalised contrast-to-noise ratio of two sets of values: 1 − overlap of their histograms, 0 to 1.

    Rodriguez-Molares et al. 2020: 1 − Σ min(p, q) over `bins` equal bins from the smallest to the largest value. It is the most
    that any threshold's hit rate exceeds its false-alarm rate, and so does not change under monotone grey-level maps, but for the
    binning; estimated from few samples it is too high. Constant and equal: 0. Raises `ValueError` for an empty set.
    """
    a, b = (np.asarray(values, np.float64).ravel() for values in (inside, outside))
    if a.size == 0 or b.size == 0:
        raise ValueError(f"{a.size} values inside and {b.size} outside")
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    if not low < high:
        return 0.0
    scale = high - low
    p, q = (
        np.bincount(np.minimum(((v - low) / scale * bins).astype(int), bins - 1), minlength=bins) / v.size
        for v in (a, b)
    )
    return float(np.clip(1.0 - np.minimum(p, q).sum(), 0.0, 1.0))


def surround(mask: NDArray[np.bool_], spacing: Sequence[float], gap: float, width: float) -> NDArray[np.bool_]:
    """The shell around a mask between `gap` and `gap + width` mm from it; all the rest where that is empty."""
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
    shell = (distance > gap) & (distance <= gap + width)
    return shell if shell.any() else ~mask


def _gcnr(inputs: CaseInputs, gap: float = 0.5, width: float = 5.0, bins: int = 100) -> MetricValue:
    if inputs.mask is None:
        raise DataError("reference_invalid", "metric 'gcnr' needs a mask of the lesion, and there is none")
    # Both sides of the lesion's border are looked at, so NaN counts anywhere.
    pair = paired(CaseInputs(inputs.reference, inputs.prediction, None, inputs.spacing))
    mask = np.asarray(inputs.mask, bool)
    if mask.shape != np.shape(inputs.reference) or not mask.any() or mask.all():
        raise DataError(
            "reference_invalid", "the mask must hold the lesion, on the reference's grid, and not everything"
        )
    if isinstance(pair, Problem):
        return MetricValue(0.0, pair.status, pair.reason)
    lesion = mask.reshape(pair.reference.shape)
    around = inputs.reference_side(
        ("clinical.surround", gap, width), lambda: surround(lesion, pair.spacing, gap, width)
    )
    return MetricValue(gcnr(pair.prediction[lesion], pair.prediction[around], bins))


register(
    Metric(
        name="gcnr",
        title="gCNR",
        family="clinical",
        unit="",
        direction="higher",
        range=(0.0, 1.0),
        worst=0.0,
        definition="1 minus the overlap of the prediction's histograms inside the lesion (the mask) and in the shell 0.5 to 5.5 mm "
        "around it, in 100 bins.",
        citation="Rodriguez-Molares et al. 2020, IEEE Trans UFFC 67:745, doi:10.1109/TUFFC.2019.2956855",
        needs=frozenset({"mask"}),
        options={"gap": 0.5, "width": 5.0, "bins": 100},
        compute=_gcnr,
    )
)

# ---------------------------------------------------------------- ventricles

LATERAL_VENTRICLES = (4, 5, 43, 44)
"""Lateral ventricles and their inferior horns, left and right, in FreeSurfer's numbering."""

VENTRICLE_CAP = 200.0
"""Largest error that is counted, in ml: beyond any ventricles, and what a missing output takes."""


class VolumeChange(NamedTuple):
    """Growth of a structure between two visits."""

    ml: float
    """Follow-up minus baseline, in ml."""
    percent: float
    """The same relative to the baseline, in %; 0 where both are empty, +inf where only the baseline is."""


def label_volume(labels: NDArray[np.generic], spacing: Sequence[float], which: Sequence[int]) -> float:
    """Volume in ml of the voxels that have one of the labels; spacing in mm."""
    return float(np.isin(labels, list(which)).sum()) * float(np.prod(np.asarray(spacing, np.float64))) / 1000.0


def volume_change(
    baseline: NDArray[np.generic],
    follow_up: NDArray[np.generic],
    spacing: Sequence[float],
    follow_up_spacing: Sequence[float] | None = None,
    which: Sequence[int] = LATERAL_VENTRICLES,
) -> VolumeChange:
    """Growth of the labelled structure between two label volumes, each on its own grid (spacing in mm)."""
    before, after = label_volume(baseline, spacing, which), label_volume(follow_up, follow_up_spacing or spacing, which)
    if before == 0.0:
        return VolumeChange(after, 0.0 if after == 0.0 else float("inf"))
    return VolumeChange(after - before, 100.0 * (after - before) / before)


def _ventricles(inputs: CaseInputs, labels: Sequence[int] = LATERAL_VENTRICLES) -> MetricValue:
    pair = paired(inputs)
    if inputs.spacing is None or len(inputs.spacing) != 3:
        raise DataError(
            "reference_invalid", "metric 'ventricle_change_error' needs a 3-D spacing", expected="(z, y, x) in mm"
        )
    if isinstance(pair, Problem):
        return MetricValue(VENTRICLE_CAP, pair.status, pair.reason)
    volumes = [
        label_volume(np.where(pair.mask, image, 0), pair.spacing, labels) for image in (pair.reference, pair.prediction)
    ]
    return MetricValue(min(abs(volumes[1] - volumes[0]), VENTRICLE_CAP))


register(
    Metric(
        name="ventricle_change_error",
        title="Ventricle change error",
        family="clinical",
        unit="ml",
        direction="lower",
        range=(0.0, VENTRICLE_CAP),
        worst=VENTRICLE_CAP,
        definition="Absolute error of the change in ventricle volume since the baseline, from label volumes of the follow-up (the "
        "baseline is the same for both and drops out); at most 200 ml.",
        citation="Marinescu et al. 2018, arXiv:1805.03909 (TADPOLE); labels of Fischl et al. 2002, Neuron 33:341",
        needs=frozenset({"spacing"}),
        options={"labels": LATERAL_VENTRICLES},
        compute=_ventricles,
    )
)
