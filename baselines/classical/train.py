"""Fit the classical methods: parameters from the train split, settings by the validation split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines import slices, weights
from baselines.classical import blobs, methods, regions
from baselines.classical.predict import contrast, predictor, uptake
from baselines.config import Config
from baselines.detection import calibration, marks
from baselines.editions import Example

Judge = Callable[[Callable[..., Any]], float]
"""Value of a predictor on the validation split; higher is better."""


@dataclass(frozen=True)
class Trial:
    """One setting that was tried."""

    settings: dict[str, float | str]
    """What was set."""
    value: float
    """What the judge said; higher is better."""


def fit(config: Config, train: Sequence[Example], judge: Judge, report: Callable[[Trial], None]) -> weights.Arrays:
    """Fitted arrays of the setting that the judge likes best. A setting is reported as it is tried."""
    best: tuple[float, weights.Arrays] | None = None
    for settings, arrays in _candidates(config, train):
        value = judge(predictor(config, arrays, "cpu"))
        report(Trial(settings, value))
        if best is None or value > best[0]:
            best = (value, arrays)
    return best[1] if best else {}


def _candidates(config: Config, train: Sequence[Example]) -> Iterable[tuple[dict[str, float | str], weights.Arrays]]:
    assert config.fit is not None
    fit = config.fit
    if fit.method in ("tv", "nlm"):
        for strength in fit.strengths:
            yield {"strength": strength}, {"strength": np.array([strength], np.float16)}
    elif fit.method == "table":
        for sigma in fit.smoothing_mm:
            for statistic in fit.statistics:
                yield {"smoothing_mm": sigma, "statistic": statistic}, _table(config, train, sigma, statistic)
    elif fit.method == "threshold":
        for sigma in fit.smoothing_mm:
            for opening in fit.openings:
                yield {"smoothing_mm": sigma, "opening": float(opening)}, _thresholds(config, train, sigma, opening)
    elif fit.method == "blobs":
        features, positive = _described(config, train)
        for penalty in fit.penalties:
            yield {"penalty": penalty}, _regression(features, positive, penalty)


def _table(config: Config, train: Sequence[Example], sigma: float, statistic: str) -> weights.Arrays:
    """Edges of equal voxel counts, then the statistic of each cell over all training voxels."""
    assert config.fit is not None
    layers = np.asarray(config.fit.depths_mm, np.float32)
    intensities, depths, targets = [], [], []
    for example in train:
        volume = example.inputs[config.data.input]
        used = example.mask & slices.body(example.inputs, config.data)
        mr = methods.smoothed(slices.normalise(example.inputs, config.data), volume.spacing, sigma)
        intensities.append(mr[used])
        depths.append(methods.depth(slices.body(example.inputs, config.data), volume.spacing)[used])
        targets.append(example.reference[used])
    mr, depth, hu = (np.concatenate(parts) for parts in (intensities, depths, targets))
    # Half precision before use: what is fitted is then exactly what is stored.
    quantiles = np.quantile(mr, np.linspace(0, 1, config.fit.bins + 1)[1:-1])
    edges = np.unique(quantiles.astype(np.float16)).astype(np.float32)
    cells = methods.table_cells(mr, depth, edges, layers)
    table = methods.fit_table(cells, hu, (len(edges) + 1) * len(layers), statistic)
    return {"edges": edges, "table": table, "smoothing_mm": np.array([sigma], np.float16)}


def _thresholds(config: Config, train: Sequence[Example], sigma: float, opening: int) -> weights.Arrays:
    """Levels of the highest mean Dice over the training cases: of the whole region, then of what enhances within the true one."""
    assert config.fit is not None
    fit = config.fit
    whole, tumours, taken_up, enhancing = [], [], [], []
    for example in train:
        inside = np.isin(example.reference, [fit.whole, fit.enhancing, fit.enclosed])
        whole.append(contrast(example.inputs, config, fit.bright, sigma))
        tumours.append(inside)
        taken_up.append(np.where(inside, uptake(example.inputs, config, sigma), -np.inf))
        enhancing.append(example.reference == fit.enhancing)
    scores = [
        np.mean(
            [regions.dice(regions.bright_region(i, level, opening), t) for i, t in zip(whole, tumours, strict=True)]
        )
        for level in fit.levels
    ]
    return {
        "whole": np.array([fit.levels[int(np.argmax(scores))]], np.float16),
        "enhancing": np.array([regions.best_level(taken_up, enhancing, fit.levels)], np.float16),
        "opening": np.array([opening], np.float16),
        "smoothing_mm": np.array([sigma], np.float16),
    }


def _described(config: Config, train: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Features of the candidates of all training scans, and which of them are findings; doubtful ones are left out."""
    features, positive = [], []
    for example in train:
        grid, inside, found = blobs.search(example.inputs, config)
        hit, counts = marks.judged(marks.to_places(grid, found.index), example.reference)
        features.append(blobs.describe(grid, inside, found)[counts])
        positive.append(hit[counts])
    return np.concatenate(features), np.concatenate(positive)


def _regression(features: np.ndarray, positive: np.ndarray, penalty: float) -> weights.Arrays:
    """A logistic regression of the standardised features and their squares."""
    # Half precision before use: what is fitted is then exactly what is stored.
    centre = features.mean(0).astype(np.float16).astype(np.float32)
    spread = np.maximum(features.std(0), 1e-3).astype(np.float16).astype(np.float32)
    found, intercept = calibration.logistic(blobs.squared((features - centre) / spread), positive, penalty=penalty)
    return {
        "centre": centre,
        "spread": spread,
        "coefficients": found.astype(np.float32),
        "intercept": np.array([intercept], np.float32),
    }
