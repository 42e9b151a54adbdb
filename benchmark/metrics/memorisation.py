"""Does a generator give back its training images? Nearest neighbours of generated, training and held-out samples in feature space.

Held-out samples come from the same distribution as the training samples but were never shown to the generator: whatever
is nearer to the training set than to them, beyond chance, was remembered. A generator that copies gives a ratio of 0, an AuthPct
of 0 and a membership AUC of 1; fresh draws give about 1, 50 % and 0.5.

As set metrics: the case's reference is the held-out image, the prediction is the generated one, and the option `train_file`
names a `.npy` file with the training images' features (n, d) by the same network.

Errors of the functions: those of `distribution.feature_array`, training and held-out features counting as reference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import DataError
from benchmark.metrics import generation
from benchmark.metrics.distribution import Array, distance_blocks, feature_array
from benchmark.metrics.generation import FeaturePart
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register


def nearest(x: Array, y: Array, *, same: bool = False) -> tuple[Array, NDArray[np.int64]]:
    """Distance (n,) of each row of x to the nearest row of y, and which one; with `same`, x is y and a row is not its own neighbour.

    A single row with `same` has no neighbour: infinity.
    """
    distances, indices = np.empty(len(x)), np.empty(len(x), np.int64)
    for rows, block in distance_blocks(x, y):
        if same:
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        indices[rows] = block.argmin(axis=1)
        distances[rows] = block[np.arange(len(block)), indices[rows]]
    return np.sqrt(np.maximum(distances, 0.0)), indices


def _three(generated: ArrayLike, train: ArrayLike, holdout: ArrayLike) -> tuple[Array, Array, Array]:
    sets = (
        feature_array(generated, "prediction"),
        feature_array(train, "reference"),
        feature_array(holdout, "reference"),
    )
    if len({part.shape[1] for part in sets}) > 1:
        raise ValueError(f"generated, training and held-out features have {[part.shape[1] for part in sets]} columns")
    return sets


def _weighted_median(values: Array, weights: Array | None) -> float:
    if weights is None:
        return float(np.median(values))
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    low, high = (np.searchsorted(cumulated, cumulated[-1] / 2, side=side) for side in ("left", "right"))
    return float((values[order[low]] + values[order[min(high, len(values) - 1)]]) / 2)


def neighbour_ratios(g: Array, t: Array, h: Array, seed: int = 0) -> Array:
    """For each generated sample (n,): distance to the nearest training sample over that to the nearest held-out one.

    Distances to the larger of the two sets would be smaller by chance, so it is cut to the size of the smaller by a seeded
    draw. Both distances 0 count as 1, only the held-out one as 10⁹.
    """
    rng, size = np.random.default_rng(seed), min(len(t), len(h))
    t, h = (part if len(part) == size else part[np.sort(rng.choice(len(part), size, replace=False))] for part in (t, h))
    to_train, to_holdout = nearest(g, t)[0], nearest(g, h)[0]
    ratio = np.divide(to_train, to_holdout, out=np.full(len(g), 1e9), where=to_holdout > 0)
    return np.where((to_train == 0) & (to_holdout == 0), 1.0, np.minimum(ratio, 1e9))


def neighbour_distance_ratio(
    generated: ArrayLike, train: ArrayLike, holdout: ArrayLike, *, seed: int = 0, weights: Array | None = None
) -> float:
    """Median of `neighbour_ratios`: 1 for fresh draws, 0 for copies."""
    return _weighted_median(neighbour_ratios(*_three(generated, train, holdout), seed), weights)


def authentic(g: Array, t: Array) -> NDArray[np.bool_]:
    """For each generated sample: whether its nearest training sample has a nearer neighbour among the training samples."""
    to_train, which = nearest(g, t)
    among_train, _ = nearest(t, t, same=True)
    return to_train > among_train[which]


def auth_percent(generated: ArrayLike, train: ArrayLike, *, weights: Array | None = None) -> float:
    """AuthPct: percentage of generated samples that are `authentic` (Alaa et al. 2022): about 50 for fresh draws, 0 for copies.

    With a single training sample, which has no neighbour, nothing is authentic: 0.
    """
    g, t, _ = _three(generated, train, train)
    return 100.0 * float(np.average(authentic(g, t), weights=weights))


def copy_share(generated: ArrayLike, train: ArrayLike, holdout: ArrayLike, *, percentile: float = 5.0) -> float:
    """Share of generated samples nearer to the training set than all but `percentile` % of the held-out samples are.

    Distance to closest record: percentile/100 for fresh draws, 1 for copies.
    """
    g, t, h = _three(generated, train, holdout)
    return float((nearest(g, t)[0] < np.percentile(nearest(h, t)[0], percentile)).mean())


def auc_of_nearer(member: Array, other: Array, other_weights: Array | None = None) -> float:
    """Probability that a distance of `member` is below one of `other` (weighted), ties by half."""
    order = np.argsort(other)
    weights = np.ones(len(other)) if other_weights is None else np.asarray(other_weights, np.float64)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    ranked = other[order]
    left, right = (
        below[np.searchsorted(ranked, member, side="left")],
        below[np.searchsorted(ranked, member, side="right")],
    )
    return float(1.0 - (left + right).mean() / 2.0 / below[-1])


def membership_auc(
    generated: ArrayLike, train: ArrayLike, holdout: ArrayLike, *, holdout_weights: Array | None = None
) -> float:
    """ROC AUC of the attack that calls a sample a member the nearer it lies to the generated set (GAN-Leaks, Chen et al. 2020).

    0.5 for fresh draws, 1 for copies.
    """
    g, t, h = _three(generated, train, holdout)
    return auc_of_nearer(nearest(t, g)[0], nearest(h, g)[0], holdout_weights)


def membership_tpr(generated: ArrayLike, train: ArrayLike, holdout: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of training samples that the attack of `membership_auc` finds while at most `fpr` of the held-out ones are accused."""
    g, t, h = _three(generated, train, holdout)
    member, other = nearest(t, g)[0], np.sort(nearest(h, g)[0])
    allowed = int(np.floor(fpr * len(other) + 1e-9))
    return float((member < other[allowed]).mean()) if allowed < len(other) else 1.0


# ---------------------------------------------------------------- as metrics


@functools.lru_cache(maxsize=2)
def _bank(path: str, modified: int) -> Array:
    return feature_array(np.load(path, allow_pickle=False), "reference")


def training_features(train_file: str, dimension: int) -> Array:
    """The training features that a task declares; `DataError` when there are none or they are of another network."""
    if not train_file:
        raise DataError(
            "task_invalid",
            "a memorisation metric without the option train_file",
            expected="a .npy of training features",
        )
    path = Path(train_file)
    try:
        bank = _bank(str(path), path.stat().st_mtime_ns)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            "task_invalid", f"the training features {path} cannot be read ({error})", expected="a .npy file"
        ) from error
    if bank.shape[1] != dimension:
        raise DataError("task_invalid", f"the training features have {bank.shape[1]} columns", expected=f"{dimension}")
    return bank


PerSample = Callable[[Array, Array, Array], tuple[Array, ...]]
"""From generated, training and held-out features to what a bootstrap only has to weigh."""


@functools.lru_cache(maxsize=3)
def _per_sample(find: PerSample, parts: tuple[FeaturePart, ...], train_file: str) -> tuple[Array, ...]:
    holdout, generated = generation.stacked(parts)
    return find(*_three(generated, training_features(train_file, holdout.shape[1]), holdout))


def _memorisation_metric(
    name: str,
    title: str,
    find: PerSample,
    value: Callable[[tuple[Array, ...], Array, Array], float],
    *,
    definition: str,
    citation: str,
    unit: str,
    direction: Literal["higher", "lower"],
    bounds: tuple[float, float],
    worst: float,
) -> Metric:
    def collect(inputs: CaseInputs, **given: Any) -> FeaturePart:
        return generation.collect_features(
            inputs, "lite0", **{key: given.get(key, default) for key, default in generation.OPTIONS.items()}
        )

    def reduce(parts: Sequence[FeaturePart], weights: Any, train_file: str = "", **_: Any) -> MetricValue:
        counts = np.asarray(weights, np.float64)
        if len(parts) == 0 or counts.sum() <= 0:
            return MetricValue(worst, "missing", "no cases")
        status, reason = generation.overall(parts)
        if status != "ok":
            return MetricValue(worst, status, reason)
        # Neighbours are found once; a bootstrap reweighs the samples and leaves the sets that they are sought in alone.
        holdout_weights, generated_weights = generation.slice_weights(parts, counts)
        found = value(_per_sample(find, tuple(parts), train_file), generated_weights, holdout_weights)
        return MetricValue(float(np.clip(found, *bounds)), status, reason)

    return register(
        Metric(
            name=name,
            title=title,
            family="memorisation",
            unit=unit,
            direction=direction,
            range=bounds,
            worst=worst,
            definition=definition,
            citation=citation,
            options={**generation.OPTIONS, "train_file": ""},
            collect=collect,
            reduce=reduce,
        )
    )


_memorisation_metric(
    "neighbour_ratio_lite0",
    "NN ratio-Lite0",
    lambda g, t, h: (neighbour_ratios(g, t, h),),
    lambda found, generated, holdout: _weighted_median(found[0], generated),
    definition="Median over generated slices of the distance to the nearest training slice over that to the nearest held-out "
    "one, on EfficientNet-Lite0 features; 1 for fresh draws, 0 for copies.",
    citation="Platzer and Reutterer 2021, Frontiers in Big Data 4:679939, doi:10.3389/fdata.2021.679939",
    unit="",
    direction="higher",
    bounds=(0.0, 1e9),
    worst=0.0,
)
_memorisation_metric(
    "authpct_lite0",
    "AuthPct-Lite0",
    lambda g, t, h: (authentic(g, t).astype(np.float64),),
    lambda found, generated, holdout: 100.0 * float(np.average(found[0], weights=generated)),
    definition="Percentage of generated slices farther from their nearest training slice than that one is from its own nearest "
    "training slice, on EfficientNet-Lite0 features; 50 for fresh draws, 0 for copies.",
    citation="Alaa et al. 2022, ICML, arXiv:2102.08921",
    unit="%",
    direction="higher",
    bounds=(0.0, 100.0),
    worst=0.0,
)
_memorisation_metric(
    "membership_auc_lite0",
    "Membership AUC-Lite0",
    lambda g, t, h: (nearest(t, g)[0], nearest(h, g)[0]),
    lambda found, generated, holdout: auc_of_nearer(found[0], found[1], holdout),
    definition="ROC AUC of telling training from held-out slices by their distance to the nearest generated one, on "
    "EfficientNet-Lite0 features; 0.5 for fresh draws, 1 for copies.",
    citation="Chen et al. 2020, CCS, arXiv:1909.03935",
    unit="",
    direction="lower",
    bounds=(0.0, 1.0),
    worst=1.0,
)
