"""Nodule candidates described by numbers that a radiologist could name, and judged by a logistic regression of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines import slices, weights
from baselines.config import Config
from baselines.detection import calibration, candidates, crops, lungs, marks
from baselines.detection.candidates import Candidates
from benchmark.image import Volume

Floats = NDArray[np.float64]

SHELLS_MM = (1.5, 3.0, 4.5, 6.5, 9.0)
"""Outer radii of the shells around a candidate in which brightness is described."""

TISSUE = -400.0
"""HU halfway between lung and soft tissue."""

EDGE, PITCH_MM = 20, 1.0
"""Samples of the cube around a candidate, and their distance."""


def describe(grid: Volume, inside: NDArray[np.bool_], found: Candidates) -> Floats:
    """Features (n, k) of the candidates of a scan in HU. In order:

    logarithms of scale and of roundness; the two ratios of the curvatures; mean HU in five shells; standard deviation in them;
    share of tissue in the three outer shells; depth below the surface of the lung; contrast of the core to the outermost shell.
    """
    hu = np.clip(np.nan_to_num(np.asarray(grid.array, np.float32)), *candidates.WINDOW)
    cubes = crops.cut(hu, grid.spacing, found.index, EDGE, PITCH_MM).reshape(len(found), -1)
    axis = (np.arange(EDGE) - (EDGE - 1) / 2) * PITCH_MM
    away = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None] ** 2).ravel()
    shells = [(away <= outer) & (away > inner) for inner, outer in zip((-1.0, *SHELLS_MM), SHELLS_MM, strict=False)]
    means = np.stack([cubes[:, shell].mean(1) for shell in shells], 1) / 100
    spreads = np.stack([cubes[:, shell].std(1) for shell in shells], 1) / 100
    tissue = np.stack([(cubes[:, shell] > TISSUE).mean(1) for shell in shells[2:]], 1)
    depth = ndimage.distance_transform_edt(inside, sampling=grid.spacing)
    nearest = tuple(np.clip(np.rint(found.index).astype(int), 0, np.array(hu.shape) - 1).T)
    first, second, third = np.maximum(found.curvature, 1e-3).T
    columns = [
        np.log(found.sigma),
        np.log(np.maximum(found.roundness, 1e-3)),
        second / first,
        third / np.maximum(second, 1e-3),
        *means.T,
        *spreads.T,
        *tissue.T,
        np.minimum(depth[nearest], 20.0) / 10,
        means[:, 0] - means[:, -1],
    ]
    return np.stack(columns, 1).astype(np.float64)


def squared(features: Floats) -> Floats:
    """The features and their squares, so that a logistic regression can prefer a middle."""
    return np.concatenate([features, features**2], axis=1)


def detect(inputs: Mapping[str, Volume], config: Config, arrays: weights.Arrays) -> dict[str, Any]:
    """The candidates of a scan with the probabilities of the fitted regression; the most probable ones."""
    settings = config.detection
    assert settings is not None
    fitted, scaling = calibration.split(arrays)
    grid, inside, found = search(inputs, config)
    centre, spread, coefficients, intercept = (
        np.asarray(fitted[name], np.float64) for name in ("centre", "spread", "coefficients", "intercept")
    )
    scores = squared((describe(grid, inside, found) - centre) / spread) @ coefficients + intercept
    best = np.argsort(-scores, kind="stable")[: settings.marks]
    return marks.to_points(grid, found.index[best], calibration.apply(scores[best], scaling))


def search(inputs: Mapping[str, Volume], config: Config) -> tuple[Volume, NDArray[np.bool_], Candidates]:
    """The scan, its lungs, and the candidates in them."""
    settings = config.detection
    assert settings is not None
    grid = slices.grid(inputs, config.data)
    inside = lungs.region(grid, settings)
    hu = np.nan_to_num(np.asarray(grid.array, np.float32))
    return grid, inside, candidates.find(hu, grid.spacing, inside, settings)
