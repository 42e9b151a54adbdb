"""Metrics of synthesised images: how far a prediction is from the reference, voxel by voxel and in structure.

A *profile* is the protocol of a challenge: the range that images are clipped to, and R = hi − lo. Pure functions of arrays
come first; the declarations, with what happens to inputs that the formulas do not foresee, are at the end:

- an empty mask, or a reference with NaN or infinity inside it, is the edition's fault: `DataError("reference_invalid")`;
- a prediction with NaN, infinity or values beyond single precision inside the mask takes the worst value, with status
  `invalid` and a reason that starts `non_finite`; outside the mask anything may stand;
- a prediction of another shape takes the worst value with reason `geometry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics import structure
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register
from benchmark.metrics.structure import Array
from benchmark.metrics.voxel_errors import Clip, ErrorSums, error_sums, tissue_sums

PROFILES: dict[str, Clip] = {"synthrad2023": (-1024.0, 3000.0), "synthrad2025": (-1024.0, 3071.0)}
"""Clip range by profile, HU."""

WINDOWS: dict[str, Clip] = {"chest": (-1350.0, 149.0), "abdomen": (-150.0, 249.0), "neuro": (0.0, 79.0)}
"""Exam windows of the low-dose CT benchmark, HU: centre and width −600/1500, 50/400, 40/80 with the width − 1 steps of
DICOM's window, so that lo = centre − width/2 and hi = centre + width/2 − 1."""

PSNR_CAP = 100.0
"""dB, of identical images; what comes closer than this is taken for identical."""

TISSUES = ("air", "soft", "bone")

PROFILE_PAIR = (PROFILES["synthrad2023"], PROFILES["synthrad2025"])


def decibels(mean_square: float, spread: float) -> float:
    """10·log10(spread²/mean_square), at most 100 dB."""
    if mean_square <= 0:
        return PSNR_CAP
    return min(20 * math.log10(spread) - 10 * math.log10(mean_square), PSNR_CAP)


def mae(reference: Array, prediction: Array, mask: NDArray[np.bool_]) -> float:
    """Mean of |g − p| over the mask, not clipped. Arrays (z, y, x) of one shape, finite inside the mask."""
    sums = error_sums(reference, prediction, mask, PROFILE_PAIR)
    return sums.absolute / sums.voxels


def psnr(reference: Array, prediction: Array, mask: NDArray[np.bool_], clip: Clip) -> float:
    """10·log10(R²/mean (g − p)²) over the mask, dB in [0, 100], both images clipped to `clip` = (lo, hi), R = hi − lo."""
    sums = error_sums(reference, prediction, mask, (clip, clip))
    return decibels(sums.clipped[clip] / sums.voxels, clip[1] - clip[0])


def nmse(reference: Array, prediction: Array, mask: NDArray[np.bool_]) -> float:
    """Σ(g − p)²/Σg² over the mask, not clipped; infinite for a reference that is 0 everywhere and a prediction that is not."""
    sums = error_sums(reference, prediction, mask, PROFILE_PAIR)
    return sums.square / sums.power if sums.power > 0 else (0.0 if sums.square == 0 else math.inf)


def psnr_windowed(reference: Array, prediction: Array, mask: NDArray[np.bool_], window: Clip) -> float:
    """Mean over slices of the PSNR of images mapped from `window` = (lo, hi), HU, to [0, 1]; dB in [0, 100].

    With a mask, the mean square of a slice is taken over its masked voxels, and slices without any are left out.
    """
    values = []
    for g, p, m in zip(reference, prediction, mask, strict=True):
        if m.any():
            sums = error_sums(g[None], p[None], m[None], (window, window))
            values.append(decibels(sums.clipped[window] / sums.voxels, window[1] - window[0]))
    return float(np.mean(values))


def ssim_windowed(reference: Array, prediction: Array, mask: NDArray[np.bool_], window: Clip) -> float:
    """Mean over slices of the 2-D SSIM (7² uniform window) of images mapped from `window` to [0, 1]; in [-1, 1].

    SSIM does not change when images and range are scaled alike, so mapping is clipping with R = hi − lo. With a mask, both
    images are set to lo outside it, and the map is averaged over it.
    """
    return structure.ssim(reference, prediction, mask, window, slicewise=True)


# What metrics of one case share


@dataclass(frozen=True)
class Pair:
    """Reference, prediction and mask of a case, three axes each, and the sums that decide whether they can be scored."""

    reference: Array
    prediction: Array
    mask: NDArray[np.bool_]
    sums: ErrorSums
    fault: str = ""
    """Why the prediction cannot be scored: a code of submission errors, and a sentence."""


def pair_of(inputs: CaseInputs) -> Pair:
    """The case's images, looked at once for all metrics. Raises `DataError` when the reference side is at fault."""
    pair: Pair = inputs.shared("synthesis.pair", lambda: _pair(inputs))
    return pair


def _pair(inputs: CaseInputs) -> Pair:
    reference = _volume(inputs.reference)
    if reference is None:
        raise DataError("reference_invalid", "the reference is not an image of plain numbers with 2 or 3 axes")
    mask = np.ones(reference.shape, bool) if inputs.mask is None else _volume(inputs.mask)
    if mask is None or mask.shape != reference.shape:
        found = "none" if mask is None else mask.shape
        raise DataError(
            "reference_invalid", f"the mask has shape {found}", expected=f"the reference's {reference.shape}"
        )
    inside = np.asarray(mask if mask.dtype == np.bool_ else np.greater(mask, 0), bool)
    prediction = _volume(inputs.prediction)
    fault = ""
    if prediction is None:
        fault, prediction = "not_numeric: the prediction is not an image of plain numbers", reference
    elif prediction.shape != reference.shape:
        fault = f"geometry: the prediction has shape {prediction.shape}, the reference {reference.shape}"
        prediction = reference
    sums = error_sums(reference, prediction, inside, PROFILE_PAIR)
    if not sums.voxels:
        raise DataError("reference_invalid", "the mask is empty", expected="at least one voxel to score")
    if sums.unusable_reference:
        raise DataError(
            "reference_invalid",
            f"the reference holds {sums.unusable_reference} voxels of NaN or infinity inside the mask",
            expected="finite values",
        )
    if sums.unusable_prediction:
        fault = (
            f"non_finite: {sums.unusable_prediction} of {sums.voxels} voxels inside the mask are NaN, infinite "
            "or beyond single precision"
        )
    return Pair(reference, prediction, inside, sums, fault)


def _volume(image: Any) -> Array | None:
    """The image with three axes, or None when it is none."""
    array = np.asarray(image)
    if array.ndim not in (2, 3) or array.dtype.kind not in "biuf" or not array.size:
        return None
    return array[None] if array.ndim == 2 else array


def _range(options: Mapping[str, Any]) -> Clip:
    """The clip range that `clip`, or else `profile`, names."""
    if options["clip"] is not None:
        return _ordered("clip", options["clip"])
    try:
        return PROFILES[options["profile"]]
    except KeyError:
        raise DataError(
            "task_invalid", f"there is no profile {options['profile']!r}", expected=f"one of {', '.join(PROFILES)}"
        ) from None


def _window(window: Any) -> Clip:
    if isinstance(window, str) and window in WINDOWS:
        return WINDOWS[window]
    if window is None or isinstance(window, str):
        raise DataError(
            "task_invalid", f"window = {window!r}", expected=f"[lo, hi] in HU, or one of {', '.join(WINDOWS)}"
        )
    return _ordered("window", window)


def _ordered(name: str, pair: Any) -> Clip:
    try:
        low, high = (float(value) for value in pair)
    except (TypeError, ValueError):
        raise DataError("task_invalid", f"{name} = {pair!r}", expected="two numbers, lo and hi") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError("task_invalid", f"{name} = {pair!r}", expected="finite numbers with lo < hi")
    return low, high


# Declarations

SYNTHRAD = "SynthRAD2023 and SynthRAD2025 challenges, doi:10.5281/zenodo.7746019, arXiv:2502.17609"
LDCT = "Eulig et al. 2024, Med. Phys. 51:8776, doi:10.1002/mp.17379 (low-dose CT benchmark)"
WANG = "Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216"
PROFILE_OPTIONS: dict[str, Any] = {"profile": "synthrad2023", "clip": None}


def _declare(
    name: str,
    title: str,
    value: Callable[..., float | MetricValue],
    *,
    unit: str,
    direction: Any,
    range: tuple[float, float],
    worst: float,
    definition: str,
    citation: str,
    options: Mapping[str, Any] | None = None,
) -> Metric:
    """Register `value(inputs, pair, **options)`, called for predictions that can be scored."""

    def compute(inputs: CaseInputs, **chosen: Any) -> MetricValue:
        pair = pair_of(inputs)
        if pair.fault:
            return MetricValue(worst, "invalid", pair.fault)
        result = value(inputs, pair, **chosen)
        return result if isinstance(result, MetricValue) else MetricValue(float(result))

    return register(
        Metric(
            name=name,
            title=title,
            family="synthesis",
            unit=unit,
            direction=direction,
            range=range,
            worst=worst,
            definition=definition,
            citation=citation,
            options=options or {},
            compute=compute,
        )
    )


def _mae(inputs: CaseInputs, pair: Pair) -> float:
    return pair.sums.absolute / pair.sums.voxels


def _psnr(inputs: CaseInputs, pair: Pair, **options: Any) -> float:
    clip = _range(options)
    sums = pair.sums  # its pass took both profiles' ranges along
    if clip not in sums.clipped:
        sums = inputs.shared(
            ("synthesis.errors", clip), lambda: error_sums(pair.reference, pair.prediction, pair.mask, (clip, clip))
        )
    return decibels(sums.clipped[clip] / sums.voxels, clip[1] - clip[0])


def _nmse(inputs: CaseInputs, pair: Pair) -> MetricValue:
    if pair.sums.power > 0:
        return MetricValue(pair.sums.square / pair.sums.power)
    if pair.sums.square == 0:
        return MetricValue(0.0, "both_empty", "reference_zero: reference and prediction are 0 everywhere in the mask")
    return MetricValue(NMSE.worst_value(), "ref_empty", "reference_zero: the reference is 0 everywhere in the mask")


def _ssim(inputs: CaseInputs, pair: Pair, **options: Any) -> float:
    return structure.ssim(pair.reference, pair.prediction, pair.mask, _range(options))


def _ms_ssim(variant: str) -> Callable[..., float]:
    def value(inputs: CaseInputs, pair: Pair, **options: Any) -> float:
        clip = _range(options)
        pyramid = inputs.reference_side(
            ("synthesis.pyramid", variant, clip),
            lambda: structure.ms_ssim_reference(pair.reference, pair.mask, clip, variant),
        )
        return structure.ms_ssim(pair.reference, pair.prediction, pair.mask, clip, variant, pyramid=pyramid)

    return value


def _tissue(number: int) -> Callable[..., float | MetricValue]:
    def value(inputs: CaseInputs, pair: Pair, *, air_below: float, bone_above: float) -> float | MetricValue:
        if not air_below <= bone_above:
            raise DataError(
                "task_invalid", f"air_below = {air_below}, bone_above = {bone_above}", expected="air below bone"
            )
        sums = inputs.shared(
            ("synthesis.tissues", air_below, bone_above),
            lambda: tissue_sums(pair.reference, pair.prediction, pair.mask, air_below, bone_above),
        )
        if sums[3 + number] == 0:
            # It depends on the reference alone, so the case leaves the mean for all submissions alike.
            return MetricValue(0.0, "excluded", f"ref_empty: the reference holds no {TISSUES[number]} inside the mask")
        return float(sums[number] / sums[3 + number])

    return value


_declare(
    "mae",
    "MAE",
    _mae,
    unit="HU",
    direction="lower",
    range=(0, math.inf),
    worst=4095.0,
    definition="Mean of |reference − prediction| over the mask, not clipped.",
    citation=SYNTHRAD,
)
_declare(
    "psnr",
    "PSNR",
    _psnr,
    unit="dB",
    direction="higher",
    range=(0, PSNR_CAP),
    worst=0.0,
    definition="10·log10(R² / mean (g − p)²) over the mask, both images clipped to the profile's range R; at most 100 dB.",
    citation=SYNTHRAD,
    options=PROFILE_OPTIONS,
)
NMSE = _declare(
    "nmse",
    "NMSE",
    _nmse,
    unit="",
    direction="lower",
    range=(0, math.inf),
    worst=1.0,
    definition="Σ(g − p)² / Σg² over the mask, not clipped; an image of zeros has 1, which is the worst value charged.",
    citation="Zbontar et al. 2018, fastMRI, arXiv:1811.08839",
)
_declare(
    "ssim",
    "SSIM",
    _ssim,
    unit="",
    direction="higher",
    range=(-1, 1),
    worst=-1.0,
    definition="Structural similarity, uniform 7³ window, outside the mask set to the profile's lowest value, mean over the "
    "mask; 3 voxels cropped off every side.",
    citation="Wang et al. 2004, doi:10.1109/TIP.2003.819861; " + SYNTHRAD,
    options=PROFILE_OPTIONS,
)
_declare(
    "ms_ssim",
    "MS-SSIM",
    _ms_ssim("synthrad2025"),
    unit="",
    direction="higher",
    range=(0, 1),
    worst=0.0,
    definition="Product over five scales of the masked mean of (luminance · contrast · structure)^w, luminance at every scale "
    "as in SynthRAD2025; uniform 7³ window.",
    citation=WANG + "; " + SYNTHRAD,
    options={"profile": "synthrad2025", "clip": None},
)
_declare(
    "ms_ssim_wang",
    "MS-SSIM (Wang)",
    _ms_ssim("wang2003"),
    unit="",
    direction="higher",
    range=(0, 1),
    worst=0.0,
    definition="Product over five scales of the masked mean of contrast · structure to the power w, luminance at the coarsest "
    "scale alone; uniform 7³ window, 2³ means between scales.",
    citation=WANG,
    options={"profile": "synthrad2025", "clip": None},
)
for _number, _name in enumerate(TISSUES):
    _declare(
        f"mae_{_name}",
        f"MAE, {'soft tissue' if _name == 'soft' else _name}",
        _tissue(_number),
        unit="HU",
        direction="lower",
        range=(0, math.inf),
        worst=4095.0,
        definition="Mean of |g − p| over the voxels of the mask whose reference is "
        + {
            "air": "below `air_below` HU (air).",
            "soft": "from `air_below` to `bone_above` HU (soft tissue).",
            "bone": "above `bone_above` HU (bone).",
        }[_name],
        citation="Spadea et al. 2021, Med. Phys. 48:6537, doi:10.1002/mp.15150",
        options={"air_below": -200.0, "bone_above": 250.0},
    )
_declare(
    "psnr_windowed",
    "PSNR, windowed",
    lambda inputs, pair, window: psnr_windowed(pair.reference, pair.prediction, pair.mask, _window(window)),
    unit="dB",
    direction="higher",
    range=(0, PSNR_CAP),
    worst=0.0,
    definition="Mean over slices of the PSNR of images clipped to the exam's window and scaled to [0, 1]; at most 100 dB.",
    citation=LDCT,
    options={"window": None},
)
_declare(
    "ssim_windowed",
    "SSIM, windowed",
    lambda inputs, pair, window: ssim_windowed(pair.reference, pair.prediction, pair.mask, _window(window)),
    unit="",
    direction="higher",
    range=(-1, 1),
    worst=-1.0,
    definition="Mean over slices of the 2-D SSIM, uniform 7² window, of images clipped to the exam's window; set to its lower "
    "end outside the mask, averaged over the mask.",
    citation="Wang et al. 2004, doi:10.1109/TIP.2003.819861; " + LDCT,
    options={"window": None},
)
