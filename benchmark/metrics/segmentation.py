"""Overlap, surface and volume of one structure: a label, or a union of labels.

Edge rules, for every metric here: both empty is a perfect score with status `both_empty`; one empty is the worst value with
status `pred_empty` or `ref_empty`; NaN or infinity in the prediction, a wrong shape or a wrong type is the worst value with
status `invalid`. Voxels outside the scoring mask count as background. Nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from benchmark.errors import DataError
from benchmark.metrics import surface
from benchmark.metrics.labels import CHOICE, Structure, chosen, require_spacing, structure, unusable, worst
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, Worst, register

METRICS_RELOADED = "Reinke et al. 2024, Nature Methods 21:182, doi:10.1038/s41592-023-02150-0"
NIKOLOV = "Nikolov et al. 2021, JMIR 23:e26151, arXiv:1809.04430"


def _declare(
    name: str,
    title: str,
    score: Callable[..., float],
    *,
    definition: str,
    citation: str,
    direction: Literal["higher", "lower"] = "higher",
    unit: str = "",
    upper: float = 1.0,
    worst_value: Worst = 0.0,
    both_empty: float = 1.0,
    spacing: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Metric:
    """Register a metric on one structure: `score(structure, **options)` is called where neither mask is empty."""

    def compute(inputs: CaseInputs, label: Any = None, labels: Any = None, **rest: Any) -> MetricValue:
        if spacing:
            require_spacing(name, inputs)
        _check(name, rest)
        problem = unusable(inputs)
        if problem:
            return worst(name, inputs, *problem)
        found = structure(inputs, chosen(label, labels))
        if found.status == "ok":
            return MetricValue(score(found, **rest))
        if found.status == "both_empty":
            return MetricValue(both_empty, "both_empty")
        if name in VALUE_WHERE_ONE_IS_EMPTY:
            return MetricValue(score(found, **rest), found.status)
        return worst(name, inputs, found.status)

    return register(
        Metric(
            name=name,
            title=title,
            family="segmentation",
            unit=unit,
            direction=direction,
            range=(0.0, upper),
            worst=worst_value,
            definition=definition,
            citation=citation,
            needs=frozenset({"spacing"}) if spacing else frozenset(),
            options={**CHOICE, **(options or {})},
            compute=compute,
        )
    )


VALUE_WHERE_ONE_IS_EMPTY = frozenset({"volume_difference", "voxel_specificity"})
"""Metrics that are defined, and not at their worst, where only one of the masks is empty."""


def _check(name: str, options: Mapping[str, Any]) -> None:
    """Raise `DataError` for an option whose value cannot be."""
    if options.get("mode", "voxel") not in ("voxel", "surfel"):
        raise DataError("task_invalid", f"{name}: mode {options['mode']!r}", expected="'voxel' or 'surfel'")
    if "tolerance" in options and not options["tolerance"] >= 0:
        raise DataError("task_invalid", f"{name}: tolerance {options['tolerance']!r}", expected="mm, 0 or more")


def dice(found: Structure) -> float:
    """2|A∩B| / (|A| + |B|); Dice 1945, Ecology 26:297."""
    reference, prediction, both = found.counts
    return 2 * both / (reference + prediction)


def iou(found: Structure) -> float:
    """|A∩B| / |A∪B|; Jaccard 1912."""
    reference, prediction, both = found.counts
    return both / (reference + prediction - both)


def hd95(found: Structure, mode: surface.Mode) -> float:
    """95 % Hausdorff distance in mm."""
    return surface.hausdorff(found.distances(mode), 95.0)


def hd(found: Structure, mode: surface.Mode) -> float:
    """Hausdorff distance in mm."""
    return surface.hausdorff(found.distances(mode), 100.0)


def assd(found: Structure, mode: surface.Mode) -> float:
    """Average symmetric surface distance in mm, pooled over both surfaces."""
    return surface.average_distance(found.distances(mode))


def nsd(found: Structure, mode: surface.Mode, tolerance: float) -> float:
    """Normalised surface Dice at a tolerance in mm."""
    return surface.surface_dice(found.distances(mode), tolerance)


def volume_difference(found: Structure) -> float:
    """Absolute difference of the volumes in ml."""
    assert found.spacing is not None
    depth, height, width = found.spacing
    return abs(found.counts[1] - found.counts[0]) * depth * height * width / 1000


def volume_similarity(found: Structure) -> float:
    """1 − ||A| − |B|| / (|A| + |B|); Taha & Hanbury 2015."""
    reference, prediction, _ = found.counts
    return 1 - abs(prediction - reference) / (prediction + reference)


def voxel_sensitivity(found: Structure) -> float:
    """Share of the reference that is found."""
    return found.counts[2] / found.counts[0]


def voxel_precision(found: Structure) -> float:
    """Share of the prediction that is right."""
    return found.counts[2] / found.counts[1]


def voxel_specificity(found: Structure) -> float:
    """Share of the background that is left alone; 1 where the reference fills the image."""
    reference, prediction, both = found.counts
    background = found.scored - reference
    return (background - (prediction - both)) / background if background else 1.0


MODE = {"mode": "voxel"}
SURFACE = (
    "surface voxels are the mask minus its 6-connected erosion, outside the image is background, distances are exact; "
    '`mode = "surfel"` weights marching-cubes surface elements by their area instead'
)

_declare(
    "dice",
    "Dice",
    dice,
    definition="2|A∩B| / (|A| + |B|) of reference A and prediction B; both empty gives 1.",
    citation="Dice 1945, Ecology 26:297, doi:10.2307/1932409",
)
_declare(
    "iou",
    "IoU",
    iou,
    definition="|A∩B| / |A∪B|; both empty gives 1.",
    citation="Jaccard 1912, New Phytologist 11:37; " + METRICS_RELOADED,
)
_declare(
    "hd95",
    "HD95",
    hd95,
    definition="The larger of the two 95th percentiles (linear interpolation) of directed surface distances; "
    + SURFACE
    + ".",
    citation=METRICS_RELOADED + "; " + NIKOLOV + " (surfel mode)",
    direction="lower",
    unit="mm",
    upper=float("inf"),
    worst_value="diagonal",
    both_empty=0.0,
    spacing=True,
    options=MODE,
)
_declare(
    "hd",
    "HD",
    hd,
    definition="The largest distance from any surface element of one structure to the surface of the other; "
    + SURFACE
    + ".",
    citation=METRICS_RELOADED,
    direction="lower",
    unit="mm",
    upper=float("inf"),
    worst_value="diagonal",
    both_empty=0.0,
    spacing=True,
    options=MODE,
)
_declare(
    "assd",
    "ASSD",
    assd,
    definition="Mean of the distances from all surface elements of both structures, pooled, to the other surface; "
    + SURFACE
    + ".",
    citation=METRICS_RELOADED + "; " + NIKOLOV + " (surfel mode)",
    direction="lower",
    unit="mm",
    upper=float("inf"),
    worst_value="diagonal",
    both_empty=0.0,
    spacing=True,
    options=MODE,
)
_declare(
    "nsd",
    "NSD",
    nsd,
    definition="Share of both surfaces that lies within `tolerance` mm (inclusive) of the other; " + SURFACE + ".",
    citation=NIKOLOV,
    spacing=True,
    options={**MODE, "tolerance": 2.0},
)
_declare(
    "volume_difference",
    "Volume difference",
    volume_difference,
    definition="Absolute difference of the two volumes, also where one is empty; the worst value is the volume of the image.",
    citation="Taha & Hanbury 2015, BMC Medical Imaging 15:29, doi:10.1186/s12880-015-0068-x",
    direction="lower",
    unit="ml",
    upper=float("inf"),
    worst_value="volume",
    both_empty=0.0,
    spacing=True,
)
_declare(
    "volume_similarity",
    "Volume similarity",
    volume_similarity,
    definition="1 − ||A| − |B|| / (|A| + |B|); both empty gives 1.",
    citation="Taha & Hanbury 2015, BMC Medical Imaging 15:29, doi:10.1186/s12880-015-0068-x",
)
_declare(
    "voxel_sensitivity",
    "Sensitivity (voxels)",
    voxel_sensitivity,
    definition="|A∩B| / |A|, the share of the reference that is found; both empty gives 1.",
    citation=METRICS_RELOADED,
)
_declare(
    "voxel_precision",
    "Precision (voxels)",
    voxel_precision,
    definition="|A∩B| / |B|, the share of the prediction that is right; both empty gives 1.",
    citation=METRICS_RELOADED,
)
_declare(
    "voxel_specificity",
    "Specificity (voxels)",
    voxel_specificity,
    definition="Share of the scored voxels outside the reference that the prediction leaves out; 1 where there are none.",
    citation=METRICS_RELOADED,
)
