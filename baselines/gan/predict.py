"""Prediction with a trained generator; the critic is not needed."""

from __future__ import annotations

from collections.abc import Mapping

from baselines import slices, slicewise, weights
from baselines.config import Config
from baselines.detection import calibration, judging
from baselines.gan.judge import Judge
from baselines.gan.network import generator
from baselines.prediction import Prediction, Predictor
from benchmark.image import Volume


def predictor(config: Config, arrays: weights.Arrays, device: str) -> Predictor:
    """A function from input volumes to a prediction in HU, labels or points. Raises `DataError` when the weights do not fit."""
    chosen = slicewise.pick_device(device)
    if config.detection:
        network, scaling = calibration.split(arrays)
        judge = slicewise.load(Judge(config), network, chosen)
        return lambda inputs: Prediction(judging.detect(judge, inputs, config, chosen, scaling))
    model = slicewise.load(generator(config), arrays, chosen)

    def predict(inputs: Mapping[str, Volume]) -> Prediction:
        if config.data.labels:
            return Prediction(slicewise.label(model, inputs, config, chosen))
        (hu,) = slicewise.run(lambda stack: (model(stack),), inputs, config, chosen)
        return Prediction(slices.finish(hu, inputs, config.data))

    return predict
