"""Prediction with a trained U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import nn

from baselines import slices, slicewise, weights
from baselines.config import Config
from baselines.detection import calibration, heat, lungs, marks
from baselines.prediction import Prediction, Predictor
from baselines.unet.network import Translator
from benchmark.image import Volume


def predictor(config: Config, arrays: weights.Arrays, device: str) -> Predictor:
    """A function from input volumes to a prediction in HU, labels or points. Raises `DataError` when the weights do not fit."""
    chosen = slicewise.pick_device(device)
    network, scaling = calibration.split(arrays)
    model = slicewise.load(Translator(config), network, chosen)

    def predict(inputs: Mapping[str, Volume]) -> Prediction:
        if config.detection:
            return Prediction(_points(model, inputs, config, chosen, scaling))
        if config.data.labels:
            return Prediction(slicewise.label(model, inputs, config, chosen))
        (hu,) = slicewise.run(lambda stack: (model(stack),), inputs, config, chosen)
        return Prediction(slices.finish(hu, inputs, config.data))

    return predict


def _points(
    model: nn.Module, inputs: Mapping[str, Volume], config: Config, device: torch.device, scaling: calibration.Scaling
) -> dict[str, Any]:
    """Peaks of the heat map in the lungs, with probabilities."""
    assert config.detection is not None
    grid = slices.grid(inputs, config.data)
    inside = lungs.region(grid, config.detection)
    warm = slicewise.heat(model, inputs, config, device, inside)
    index, height = heat.peaks(warm, grid.spacing, inside, config.detection)
    return marks.to_points(grid, index, calibration.apply(special.logit(np.clip(height, 1e-6, 1 - 1e-6)), scaling))
