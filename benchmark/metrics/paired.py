"""A reference image and a prediction as checked 3-D arrays: what the clinical metrics start from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Status
from benchmark.errors import DataError
from benchmark.metrics.registry import CaseInputs


class Problem(NamedTuple):
    """Why a prediction cannot be scored; the case takes the metric's worst value."""

    status: Status
    reason: str


class Pair(NamedTuple):
    """Two images on one grid; a 2-D image is a volume of one slice."""

    reference: NDArray[Any]
    """(z, y, x), as stored."""
    prediction: NDArray[Any]
    """(z, y, x), as stored."""
    mask: NDArray[np.bool_]
    """(z, y, x), at least one voxel."""
    spacing: tuple[float, float, float]
    """(z, y, x) in mm; 1 where the case has none."""


def paired(inputs: CaseInputs) -> Pair | Problem:
    """Both images and the mask, or what is wrong with the prediction: missing, not numbers, another shape, NaN in the mask.

    Raises `DataError` when reference, mask or spacing cannot be used. Checked once a case.
    """
    found: Pair | Problem = inputs.shared(("paired",), lambda: _paired(inputs))
    return found


def _paired(inputs: CaseInputs) -> Pair | Problem:
    reference = np.asarray(inputs.reference)
    if reference.dtype.kind not in "biuf" or reference.ndim not in (2, 3) or reference.size == 0:
        raise DataError(
            "reference_invalid",
            f"the reference has shape {reference.shape} and type {reference.dtype}",
            expected="a 2-D or 3-D image of numbers",
        )
    mask = np.ones(reference.shape, bool) if inputs.mask is None else np.asarray(inputs.mask, bool)
    if mask.shape != reference.shape or not mask.any():
        raise DataError("reference_invalid", f"the mask {mask.shape} is empty or not on the grid {reference.shape}")
    if reference.dtype.kind == "f" and not np.isfinite(reference[mask]).all():
        raise DataError("reference_invalid", "the reference holds NaN or infinity where it is scored")
    spacing = (1.0,) * reference.ndim if inputs.spacing is None else tuple(float(step) for step in inputs.spacing)
    if len(spacing) == 3 and reference.ndim == 2:
        spacing = spacing[1:]
    if len(spacing) != reference.ndim or not all(np.isfinite(step) and step > 0 for step in spacing):
        raise DataError("reference_invalid", f"spacing {inputs.spacing} for {reference.ndim} axes")
    if inputs.prediction is None:
        return Problem("missing", "missing: no output was found for this case")
    prediction = np.asarray(inputs.prediction)
    if prediction.dtype.kind not in "biuf":
        return Problem("invalid", f"not_numeric: voxels of type {prediction.dtype}, expected plain numbers")
    if prediction.shape != reference.shape:
        return Problem("invalid", f"geometry: shape {prediction.shape}, expected {reference.shape}")
    if prediction.dtype.kind == "f" and not np.isfinite(prediction[mask]).all():
        return Problem("invalid", "non_finite: the prediction holds NaN or infinity where it is scored")
    if reference.ndim == 2:
        reference, prediction, mask, spacing = reference[None], prediction[None], mask[None], (1.0, *spacing)
    return Pair(reference, prediction, mask, (spacing[0], spacing[1], spacing[2]))
