"""From label volumes to the structures that are compared: which voxels count, and when a volume cannot be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Status
from benchmark.errors import DataError
from benchmark.metrics import surface
from benchmark.metrics.registry import CaseInputs, MetricValue, find

Labels = tuple[float, ...] | None
"""Labels whose union is the structure; None means every label above 0."""

CHOICE = {"label": None, "labels": None}
"""Options of every metric on one structure: `label = 1`, or `labels = [1, 3]` for a union; by default all labels above 0."""


def chosen(label: float | None, labels: Sequence[float] | float | None) -> Labels:
    """The two options as one tuple."""
    if labels is None:
        return None if label is None else (label,)
    return tuple(labels) if isinstance(labels, Sequence) else (labels,)


def unusable(inputs: CaseInputs) -> tuple[Status, str] | None:
    """Status and reason when the prediction cannot be scored at all, else None; looked at once a case.

    Raises `DataError` when it is the reference (or mask, or spacing) that cannot be used.
    """
    return inputs.shared(("labels.unusable",), lambda: _unusable(inputs))


def _unusable(inputs: CaseInputs) -> tuple[Status, str] | None:
    reference = np.asarray(inputs.reference)
    inputs.reference_side(("labels.reference",), lambda: _check_reference(reference, inputs.mask, inputs.spacing))
    if inputs.prediction is None:
        return "missing", "missing: no output was found for this case"
    prediction = np.asarray(inputs.prediction)
    if prediction.dtype.kind not in "biuf":
        return "invalid", f"not_numeric: voxels of type {prediction.dtype}, expected plain numbers"
    if prediction.shape != reference.shape:
        return "invalid", f"geometry: shape {prediction.shape}, expected {reference.shape}"
    if not _finite(prediction, inputs.mask):
        return "invalid", "non_finite: the prediction holds NaN or infinity where it is scored"
    return None


def _check_reference(
    reference: NDArray[np.generic], mask: NDArray[np.bool_] | None, spacing: tuple[float, ...] | None
) -> bool:
    found = ""
    if reference.dtype.kind not in "biuf" or not 1 <= reference.ndim <= 3 or reference.size == 0:
        found = f"the reference is no label volume: shape {reference.shape}, type {reference.dtype}"
    elif mask is not None and (mask.shape != reference.shape or not mask.any()):
        found = f"the mask (shape {mask.shape}) is empty or not on the grid of the reference {reference.shape}"
    elif not _finite(reference, mask):
        found = "the reference holds NaN or infinity where it is scored"
    elif spacing is not None and (len(spacing) != reference.ndim or not all(np.isfinite(s) and s > 0 for s in spacing)):
        found = f"spacing {spacing} for {reference.ndim} axes"
    if found:
        raise DataError("reference_invalid", found)
    return True


def _finite(array: NDArray[np.generic], mask: NDArray[np.bool_] | None) -> bool:
    if array.dtype.kind != "f":
        return True
    return bool(np.isfinite(array if mask is None else array[mask]).all())


def select(array: NDArray[Any], labels: Labels) -> NDArray[np.bool_]:
    """Where `array` has one of the labels, or any label above 0."""
    if labels is None:
        return array if array.dtype == bool else array > 0
    found = np.zeros(array.shape, bool)
    for label in labels:
        found = array == label if len(labels) == 1 else found | (array == label)
    return found


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure of a case in reference and prediction, on the part of the grid that holds both."""

    reference: NDArray[np.bool_]
    """(z, y, x), C-contiguous."""
    prediction: NDArray[np.bool_]
    """On the same part of the grid."""
    corner: tuple[int, int, int]
    """Where that part begins in the image."""
    spacing: tuple[float, ...] | None
    """Of (z, y, x), in mm."""
    scored: int
    """Voxels of the image inside the mask."""
    inputs: CaseInputs
    labels: Labels
    counts: tuple[int, int, int] = field(init=False)
    """Voxels of the reference, of the prediction, and of both."""

    def __post_init__(self) -> None:
        both = int(np.count_nonzero(self.reference & self.prediction))
        counts = (int(np.count_nonzero(self.reference)), int(np.count_nonzero(self.prediction)), both)
        object.__setattr__(self, "counts", counts)

    @property
    def status(self) -> Status:
        """Which of the two is empty."""
        reference, prediction, _ = self.counts
        if reference and prediction:
            return "ok"
        return "both_empty" if not reference and not prediction else "pred_empty" if reference else "ref_empty"

    def distances(self, mode: surface.Mode) -> surface.SurfaceDistances:
        """Surface distances, computed once a case; the reference's surface once a reference."""
        return self.inputs.shared(("labels.distances", self.labels, mode), lambda: self._distances(mode))

    def _distances(self, mode: surface.Mode) -> surface.SurfaceDistances:
        assert self.spacing is not None
        kept = self.inputs.reference_side(
            ("labels.surface", self.labels, mode), lambda: self._surface(self.reference, mode)
        )
        other = surface.Surface(*self._surface(self.prediction, mode))
        return surface.surface_distances(surface.Surface(*kept), other, self.spacing)

    def _surface(
        self, mask: NDArray[np.bool_], mode: surface.Mode
    ) -> tuple[surface.Points, NDArray[np.float64] | None]:
        """Points in the image, so that those of the reference serve for every prediction; plain arrays, to be counted."""
        assert self.spacing is not None
        found = surface.voxel_surface(mask) if mode == "voxel" else surface.surfel_surface(mask, self.spacing)
        found.points[...] += np.array(self.corner, np.int32)
        return found.points, found.areas


def structure(inputs: CaseInputs, labels: Labels) -> Structure:
    """The structure of these labels, made once a case. Call only where `unusable` is None."""
    return inputs.shared(("labels.structure", labels), lambda: _structure(inputs, labels))


def _structure(inputs: CaseInputs, labels: Labels) -> Structure:
    spacing = inputs.spacing or (1.0,) * np.ndim(inputs.reference)
    (reference, prediction), mask, box, spacing_3d = inputs.shared(
        ("labels.volumes",), lambda: _volumes(inputs, spacing)
    )
    masks = [select(volume[box], labels) for volume in (reference, prediction)]
    if mask is not None:
        masks = [found & mask[box] for found in masks]
    z, y, x = box
    return Structure(
        np.ascontiguousarray(masks[0]),
        np.ascontiguousarray(masks[1]),
        (z.start, y.start, x.start),
        spacing_3d if inputs.spacing else None,
        reference.size if mask is None else int(np.count_nonzero(mask)),
        inputs,
        labels,
    )


def _volumes(
    inputs: CaseInputs, spacing: tuple[float, ...]
) -> tuple[list[NDArray[Any]], NDArray[np.bool_] | None, tuple[slice, slice, slice], tuple[float, ...]]:
    """Both volumes and the mask as (z, y, x), and the part of the grid where either volume is not 0."""
    pair = [surface.as_volume(np.asarray(array), spacing) for array in (inputs.reference, inputs.prediction)]
    volumes = [volume for volume, _ in pair]
    box = surface.box_of(*volumes)
    mask = None if inputs.mask is None else surface.as_volume(inputs.mask, spacing)[0]
    return volumes, mask, box, pair[0][1]


def worst(name: str, inputs: CaseInputs, status: Status, reason: str = "") -> MetricValue:
    """The metric's declared worst value for this case. Raises `DataError` when that needs a spacing and there is none."""
    metric = find(name)
    if isinstance(metric.worst, str):
        require_spacing(name, inputs)
    return MetricValue(metric.worst_value(np.shape(inputs.reference), inputs.spacing), status, reason)


def require_spacing(name: str, inputs: CaseInputs) -> None:
    """Raise `DataError` when the case has no spacing."""
    if inputs.spacing is None:
        raise DataError("reference_invalid", f"metric {name!r} needs the voxel spacing, and the reference has none")
