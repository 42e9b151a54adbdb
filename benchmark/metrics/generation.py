"""Set metrics of generated images: each case gives the features of a few of its slices, the set gives a distance.

A case without a usable output does not leave the set: its slices count as empty images (the window's low end), so that
leaving out a hard case gains nothing. Slices, window and network are options of the task; values of different options are
different metrics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Status
from benchmark.errors import SubmissionError
from benchmark.metrics import distribution, features
from benchmark.metrics.distribution import Array
from benchmark.metrics.features import Slices
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

OPTIONS: Mapping[str, Any] = {"slices": 8, "window": None, "weights_file": ""}
"""Options of every metric on features: slices a case, the window (low, high) in the image's unit, path of the network's weights."""

MAX_KERNEL = 2500
"""Most slices a side for which kernel matrices are kept (3 × 50 MB); larger sets are thinned to this many, evenly."""


@dataclass(frozen=True, eq=False)
class FeaturePart:
    """What a case contributes: features of its reference slices and of the same slices of the prediction. Can be pickled."""

    reference: NDArray[np.float32]
    """(slices, d)."""
    prediction: NDArray[np.float32]
    """(slices, d); of empty images where there is no usable output."""
    status: Status = "ok"
    """`missing` or `invalid` where there is none."""
    reason: str = ""
    """Why."""


def collect_features(
    inputs: CaseInputs, network: str, *, slices: int = 8, window: Sequence[float] | None = None, weights_file: str = ""
) -> FeaturePart:
    """Features of a case, computed once for all metrics on that network (on the reference's side: once for all submissions).

    Raises `DataError` for a reference that cannot be used and `InfrastructureError` where the network cannot be loaded.
    """
    extract = features.extractor(network, weights_file)
    key = (slices, None if window is None else tuple(window))
    cut = inputs.reference_side(
        ("features.slices", *key),
        lambda: features.reference_slices(inputs.reference, inputs.mask, inputs.spacing, slices=slices, window=window),
    )
    reference = inputs.reference_side(
        ("features.reference", network, weights_file, *key), lambda: extract(cut.reference)
    )

    def predicted() -> FeaturePart:
        try:
            return FeaturePart(reference, extract(features.prediction_slices(inputs.prediction, cut)))
        except SubmissionError as error:
            empty = Slices(np.zeros_like(cut.reference.images), cut.reference.masks, cut.reference.spacing)
            status: Status = "missing" if error.code == "missing" else "invalid"
            return FeaturePart(reference, extract(empty), status, f"{error.code}: {error.sentence}")

    part: FeaturePart = inputs.shared(("features.part", network, weights_file, *key), predicted)
    return part


def stream_moments(batches: Iterable[Slices], network: str = "lite0", weights_file: str = "") -> distribution.Moments:
    """Mean and scatter of the features of any number of slices, a batch at a time: the set itself is never held.

    For `distribution.frechet_from_gaussians(*first.gaussian(), *second.gaussian())` on sets that do not fit in memory.
    """
    extract, moments = features.extractor(network, weights_file), distribution.Moments()
    for batch in batches:
        moments.update(extract(batch))
    return moments


def slice_weights(parts: Sequence[FeaturePart], weights: Sequence[float] | NDArray[Any]) -> tuple[Array, Array]:
    """Case weights as weights of reference and predicted slices."""
    counts = np.asarray(weights, np.float64)
    return (
        np.repeat(counts, [len(part.reference) for part in parts]),
        np.repeat(counts, [len(part.prediction) for part in parts]),
    )


def stacked(parts: Sequence[FeaturePart]) -> tuple[Array, Array]:
    """All reference features and all predicted ones, float64 (n, d) each."""
    return (
        np.concatenate([part.reference for part in parts]).astype(np.float64),
        np.concatenate([part.prediction for part in parts]).astype(np.float64),
    )


def standardise(reference: Array, prediction: Array) -> tuple[Array, Array]:
    """Both sets z-scored by the reference set; a feature that is constant there is only centred."""
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    scale = np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-9), deviation, 1.0)
    return (reference - mean) / scale, (prediction - mean) / scale


@functools.lru_cache(maxsize=1)
def _sets(parts: tuple[FeaturePart, ...], scaled: bool) -> tuple[Array, Array]:
    x, y = stacked(parts)
    return standardise(x, y) if scaled else (x, y)


# A bootstrap calls `reduce` with the same parts a thousand times; parts compare by identity, so these keep only the last.


@functools.lru_cache(maxsize=1)
def _kernels(
    parts: tuple[FeaturePart, ...], scaled: bool
) -> tuple[distribution.KernelMatrices, NDArray[Any], NDArray[Any]]:
    x, y = _sets(parts, scaled)
    kept = [np.unique(np.linspace(0, len(z) - 1, min(len(z), MAX_KERNEL)).round().astype(int)) for z in (x, y)]
    return distribution.kernel_matrices(x[kept[0]], y[kept[1]]), kept[0], kept[1]


@functools.lru_cache(maxsize=1)
def _balls(parts: tuple[FeaturePart, ...], scaled: bool, k: int) -> distribution.Balls:
    return distribution.balls(*_sets(parts, scaled), k)


def overall(parts: Sequence[FeaturePart]) -> tuple[Status, str]:
    """Status of a set: `missing` when no case has an output; else `ok`, with the number of cases counted as empty."""
    bad = sum(part.status != "ok" for part in parts)
    if bad == len(parts):
        return "missing", "no case has a usable output"
    return "ok", f"{bad} of {len(parts)} cases have no usable output and count as empty images" if bad else ""


def _set_metric(
    name: str,
    title: str,
    network: str,
    value: Callable[..., float],
    *,
    definition: str,
    citation: str,
    worst: float,
    bounds: tuple[float, float],
    direction: Literal["higher", "lower"] = "lower",
    interval: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Metric:
    """Register a metric on features: `value(parts, case weights, **own options)` is called with at least one usable output."""
    own = tuple(options or ())

    def collect(inputs: CaseInputs, **given: Any) -> FeaturePart:
        return collect_features(inputs, network, **{key: given.get(key, default) for key, default in OPTIONS.items()})

    def reduce(parts: Sequence[FeaturePart], weights: Any, **given: Any) -> MetricValue:
        counts = np.asarray(weights, np.float64)
        if len(parts) == 0 or counts.sum() <= 0:
            return MetricValue(worst, "missing", "no cases")
        status, reason = overall(parts)
        if status != "ok":
            return MetricValue(worst, status, reason)
        found = value(tuple(parts), counts, **{key: given[key] for key in own if key in given})
        return MetricValue(float(np.clip(found, *bounds)), status, reason)

    return register(
        Metric(
            name=name,
            title=title,
            family="distribution",
            unit="",
            direction=direction,
            range=bounds,
            worst=worst,
            definition=definition,
            citation=citation,
            options={**OPTIONS, **(options or {})},
            collect=collect,
            reduce=reduce,
            interval=interval,
        )
    )


def _frechet(scaled: bool) -> Callable[..., float]:
    def value(parts: tuple[FeaturePart, ...], counts: Array) -> float:
        x, y = _sets(parts, scaled)
        wx, wy = (w.astype(np.int64) for w in slice_weights(parts, counts))
        return distribution.frechet_distance(np.repeat(x, wx, axis=0), np.repeat(y, wy, axis=0))

    return value


def _kid(scaled: bool) -> Callable[..., float]:
    def value(
        parts: tuple[FeaturePart, ...], counts: Array, subsets: int = 0, subset_size: int = 100, seed: int = 0
    ) -> float:
        kernels, i, j = _kernels(parts, scaled)
        wx, wy = slice_weights(parts, counts)
        if not (wx[i].sum() and wy[j].sum()):  # only thinned slices were drawn
            wx, wy = np.ones_like(wx), np.ones_like(wy)
        return distribution.kid_from_kernels(
            kernels, subsets=subsets, subset_size=subset_size, seed=seed, x_weights=wx[i], y_weights=wy[j]
        )

    return value


def _prdc(field: str) -> Callable[..., float]:
    def value(parts: tuple[FeaturePart, ...], counts: Array, k: int = 5) -> float:
        found = distribution.prdc_from_balls(_balls(parts, False, k), *slice_weights(parts, counts))
        return float(getattr(found, field))

    return value


HEUSEL = "Heusel et al. 2017, NeurIPS 30, arXiv:1706.08500"
BINKOWSKI = "Bińkowski et al. 2018, ICLR, arXiv:1801.01401"
NAEEM = "Naeem et al. 2020, ICML, arXiv:2002.09797"
KYNKAANNIEMI = "Kynkäänniemi et al. 2019, NeurIPS 32, arXiv:1904.06991"
KONZ = "Konz et al. 2024, arXiv:2412.01496"

# Features of Lite0 lie in [0, 6]: two sets in opposite corners are 36·1280 apart, and their kernel distance is 37³ − 1.
# The other networks have no such bound; their worst value is a penalty beyond any distance met, reached only without any output.
CORNERS = 36.0 * 1280
PENALTY = 1e6
INFINITE = float("inf")

for _network, _name, _title, _worst, _cite in (
    ("inception", "fid", "FID", PENALTY, HEUSEL),
    ("lite0", "fd_lite0", "FD-Lite0", CORNERS, HEUSEL),
    ("radiomics", "fd_radiomics", "FD-Radiomics", PENALTY, KONZ),
):
    _what = {
        "inception": "pytorch-fid's InceptionV3 features",
        "lite0": "EfficientNet-Lite0 features",
        "radiomics": "radiomics features z-scored by the reference set",
    }[_network]
    _set_metric(
        _name,
        _title,
        _network,
        _frechet(scaled=_network == "radiomics"),
        definition=f"Squared Fréchet distance of Gaussians fitted to {_what} of reference and predicted slices; biased at "
        "small n, so compare at equal n only.",
        citation=_cite,
        worst=_worst,
        bounds=(0.0, INFINITE),
        interval=False,
    )
    _set_metric(
        f"kid_{_network}",
        {"inception": "KID", "lite0": "KID-Lite0", "radiomics": "KD-Radiomics"}[_network],
        _network,
        _kid(scaled=_network == "radiomics"),
        definition=f"Unbiased squared MMD with the kernel (x·y/d + 1)³ on {_what}; of all slices, or the mean over seeded "
        "subsets where `subsets` is above 0.",
        citation=BINKOWSKI,
        worst=37.0**3 - 1.0 if _network == "lite0" else PENALTY,
        bounds=(-INFINITE, INFINITE),
        options={"subsets": 0, "subset_size": 100, "seed": 0},
    )

for _field, _title, _bound, _definition, _cite in (
    (
        "precision",
        "Precision",
        1.0,
        "Share of predicted slices inside the k-nearest-neighbour ball of a reference slice.",
        KYNKAANNIEMI,
    ),
    (
        "recall",
        "Recall",
        1.0,
        "Share of reference slices inside the k-nearest-neighbour ball of a predicted slice.",
        KYNKAANNIEMI,
    ),
    ("density", "Density", INFINITE, "Mean number of reference balls that a predicted slice lies in, over k.", NAEEM),
    ("coverage", "Coverage", 1.0, "Share of reference slices whose own ball holds a predicted slice.", NAEEM),
):
    _set_metric(
        f"{_field}_lite0",
        f"{_title}-Lite0",
        "lite0",
        _prdc(_field),
        definition=f"{_definition} On EfficientNet-Lite0 features; a bootstrap reweights slices and leaves the balls alone.",
        citation=_cite,
        worst=0.0,
        bounds=(0.0, _bound),
        direction="higher",
        options={"k": 5},
    )
