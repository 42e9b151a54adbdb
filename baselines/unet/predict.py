"""Prediction with a trained U-Net."""

from __future__ import annotations

from collections.abc import Mapping

from baselines import slices, slicewise, weights
from baselines.config import Config
from baselines.prediction import Prediction, Predictor
from baselines.unet.network import Translator
from benchmark.image import Volume


def predictor(config: Config, arrays: weights.Arrays, device: str) -> Predictor:
    """A function from input volumes to a prediction in HU. Raises `DataError` when the weights do not fit."""
    chosen = slicewise.pick_device(device)
    model = slicewise.load(Translator(config), arrays, chosen)

    def predict(inputs: Mapping[str, Volume]) -> Prediction:
        if config.data.labels:
            return Prediction(slicewise.label(model, inputs, config, chosen))
        (hu,) = slicewise.run(lambda stack: (model(stack),), inputs, config, chosen)
        return Prediction(slices.finish(hu, inputs, config.data))

    return predict
