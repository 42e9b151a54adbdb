"""Prediction with a trained conditional VAE: mean over samples of the prior, and the standard deviation of the output."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from baselines import slices, slicewise, weights
from baselines.config import Config
from baselines.detection import calibration, judging
from baselines.prediction import Prediction, Predictor
from baselines.vae.judge import LatentJudge
from baselines.vae.network import ConditionalVAE
from baselines.vae.regularised import RegularisedSegmenter
from benchmark.image import Volume


def predictor(config: Config, arrays: weights.Arrays, device: str) -> Predictor:
    """A function from input volumes to mean (HU) and uncertainty (standard deviation, HU), to labels or to points.

    By the law of total variance: the variance over samples plus that of the Laplace likelihood around them, 2 · scale².

    The samples' noise is drawn from a generator seeded with the input's own hash: the same image gives the same output
    whatever ran before it. Raises `DataError` when the weights do not fit.
    """
    assert config.latent is not None
    count = config.latent.samples
    chosen = slicewise.pick_device(device)
    if config.detection:
        network, scaling = calibration.split(arrays)
        judge = slicewise.load(LatentJudge(config), network, chosen)
        return lambda inputs: Prediction(judging.detect(judge, inputs, config, chosen, scaling))
    if config.data.labels:
        segmenter = slicewise.load(RegularisedSegmenter(config), arrays, chosen)
        return lambda inputs: Prediction(slicewise.label(segmenter, inputs, config, chosen))
    model = slicewise.load(ConditionalVAE(config), arrays, chosen)
    assert isinstance(model, ConditionalVAE)

    def predict(inputs: Mapping[str, Volume]) -> Prediction:
        noise: Tensor | None = None
        seed = seed_of(inputs[config.data.input])

        def forward(stack: Tensor) -> tuple[Tensor, ...]:
            nonlocal noise
            if noise is None:
                # One field for all slices of a volume, so that a sample does not flicker from slice to slice.
                size = tuple(edge // model.reduction for edge in stack.shape[-2:])
                noise = antithetic(seed, count, (1, model.latents, *size)).to(stack.device)
            outputs, scale = model.sample(stack, noise)
            return outputs.mean(0), torch.sqrt(outputs.var(0) + 2.0 * scale**2)

        hu, spread = slicewise.run(forward, inputs, config, chosen)
        inside = slices.body(inputs, config.data)
        uncertainty = np.where(inside, spread, 0.0).astype(np.float32)
        return Prediction(slices.finish(hu, inputs, config.data), {"uncertainty": uncertainty})

    return predict


def antithetic(seed: int, count: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise (count, *shape), drawn in pairs of opposite sign: the mean over few samples varies less."""
    half = np.random.default_rng(seed).standard_normal(((count + 1) // 2, *shape), dtype=np.float32)
    return torch.from_numpy(np.concatenate([half, -half])[:count])


def seed_of(volume: Volume) -> int:
    """A seed from the values and the shape of an image."""
    array = np.ascontiguousarray(volume.array)
    return int.from_bytes(hashlib.sha256(repr(array.shape).encode() + array.tobytes()).digest()[:8], "little")
