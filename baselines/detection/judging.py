"""Candidates that a network judges: from a scan to marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from baselines import slices
from baselines.config import Config
from baselines.detection import calibration, candidates, crops, lungs, marks, network
from benchmark.image import Volume


def detect(
    model: nn.Module, inputs: Mapping[str, Volume], config: Config, device: torch.device, scaling: calibration.Scaling
) -> dict[str, Any]:
    """The candidates of a scan with the probabilities that `model`, cubes to logits, gives them; the most probable ones."""
    settings = config.detection
    assert settings is not None
    grid = slices.grid(inputs, config.data)
    hu = np.nan_to_num(np.asarray(grid.array, np.float32))
    found = candidates.find(hu, grid.spacing, lungs.region(grid, settings), settings)
    volume = slices.normalise(inputs, config.data)
    cubes = crops.cut(volume, grid.spacing, found.index, settings.crop, settings.pitch_mm)
    scores = network.logits(model, cubes, device)
    best = np.argsort(-scores, kind="stable")[: settings.marks]
    return marks.to_points(grid, found.index[best], calibration.apply(scores[best], scaling))
