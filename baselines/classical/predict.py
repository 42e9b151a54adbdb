"""Prediction with the classical methods and their fitted numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from baselines import slices, weights
from baselines.classical import blobs, methods, regions
from baselines.config import Config
from baselines.detection import calibration
from baselines.prediction import Prediction, Predictor
from benchmark.errors import DataError
from benchmark.image import Volume

PARAMETERS = {
    "constant": set(),
    "table": {"edges", "table", "smoothing_mm"},
    "tv": {"strength"},
    "nlm": {"strength"},
    "blobs": {"centre", "spread", "coefficients", "intercept"},
    "threshold": {"whole", "enhancing", "opening", "smoothing_mm"},
}
"""Names of the fitted arrays by method."""


def predictor(config: Config, arrays: weights.Arrays, device: str) -> Predictor:
    """A function from input volumes to a prediction in HU, labels or points; `device` is of no account.

    Raises `DataError` for wrong parameters.
    """
    assert config.fit is not None
    fit, data = config.fit, config.data
    if set(arrays) - {calibration.NAME} != PARAMETERS[fit.method]:
        raise DataError(
            "record_invalid",
            f"the fitted parameters are {sorted(arrays)}",
            expected=f"{sorted(PARAMETERS[fit.method])} for {fit.method}",
            action="Train this baseline again.",
        )

    def predict(inputs: Mapping[str, Volume]) -> Prediction:
        if fit.method == "blobs":
            return Prediction(blobs.detect(inputs, config, arrays))
        if fit.method == "threshold":
            return Prediction(apply_thresholds(inputs, config, arrays))
        shown = inputs[data.input]
        if fit.method == "constant":
            hu = np.full(shown.array.shape, fit.value, np.float32)
        elif fit.method == "table":
            hu = apply_table(inputs, config, arrays)
        else:
            ct = slices.to_hu(slices.normalise(inputs, data), data)
            hu = methods.denoise(fit.method, ct, arrays["strength"].item())
        return Prediction(slices.finish(hu, inputs, data))

    return predict


def apply_table(inputs: Mapping[str, Volume], config: Config, arrays: weights.Arrays) -> np.ndarray:
    """HU by MR intensity and depth, float32 (z, y, x)."""
    assert config.fit is not None
    spacing = inputs[config.data.input].spacing
    mr = methods.smoothed(slices.normalise(inputs, config.data), spacing, arrays["smoothing_mm"].item())
    layers = np.asarray(config.fit.depths_mm, np.float32)
    edges = np.asarray(arrays["edges"], np.float32)
    cells = methods.table_cells(mr, methods.depth(slices.body(inputs, config.data), spacing), edges, layers)
    return np.asarray(arrays["table"][cells], np.float32)


def contrast(inputs: Mapping[str, Volume], config: Config, slug: str, sigma_mm: float) -> np.ndarray:
    """One of the images, normalised and smoothed; 0 where the case lacks it."""
    grid = slices.grid(inputs, config.data)
    if slug not in inputs:
        return np.zeros(grid.array.shape, np.float32)
    image = slices.quartiles(inputs[slug])
    return np.where(image != 0, methods.smoothed(image, grid.spacing, sigma_mm), 0).astype(np.float32)


def uptake(inputs: Mapping[str, Volume], config: Config, sigma_mm: float) -> np.ndarray:
    """How much brighter each voxel is after contrast agent than before, in units of the spread of the image before."""
    assert config.fit is not None
    after, before = (contrast(inputs, config, slug, sigma_mm) for slug in (config.fit.enhanced, config.fit.native))
    return after - before


def apply_thresholds(inputs: Mapping[str, Volume], config: Config, arrays: weights.Arrays) -> np.ndarray:
    """Labels, int16 (z, y, x)."""
    assert config.fit is not None
    fit, sigma = config.fit, arrays["smoothing_mm"].item()
    bright = contrast(inputs, config, fit.bright, sigma)
    whole = regions.bright_region(bright, arrays["whole"].item(), int(arrays["opening"].item()))
    enhancing = whole & (uptake(inputs, config, sigma) > arrays["enhancing"].item())
    core = regions.enclosed(enhancing, whole)
    return np.select([enhancing, core, whole], [fit.enhancing, fit.enclosed, fit.whole], 0).astype(np.int16)
