"""Perceptual distance of paired images on EfficientNet-Lite0: LPIPS without its learned weights, on another network.

It is called LPIPS-Lite0, not LPIPS: the published distance needs AlexNet or VGG weights and linear heads trained on human
judgements, and gives other numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.errors import SubmissionError
from benchmark.metrics import features
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register


def map_distance(first: Any, second: Any) -> Any:
    """Mean over positions of the squared difference of unit feature vectors: tensors (n, c, h, w) to (n,), each 0 to 4."""
    unit = [x / x.square().sum(1, keepdim=True).sqrt().clamp_min(1e-10) for x in (first, second)]
    return (unit[0] - unit[1]).square().sum(1).mean((1, 2))


def lpips_lite0(
    inputs: CaseInputs, slices: int = 8, window: Any = None, weights_file: str = "", batch: int = 8
) -> MetricValue:
    """Sum over the five taps of `map_distance`, mean over the case's slices; 0 for equal slices.

    Raises `DataError` for an unusable reference, `InfrastructureError` where torch or the weights are missing.
    """
    cut = inputs.reference_side(
        ("features.slices", slices, None if window is None else tuple(window)),
        lambda: features.reference_slices(inputs.reference, inputs.mask, inputs.spacing, slices=slices, window=window),
    )
    try:
        predicted = features.prediction_slices(inputs.prediction, cut)
    except SubmissionError as error:
        return MetricValue(
            WORST, "missing" if error.code == "missing" else "invalid", f"{error.code}: {error.sentence}"
        )
    torch = features.need_torch()
    from benchmark.metrics.networks import lite0

    net, device = features.lite0_network(weights_file)
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(predicted.images), batch):
            pair = [
                lite0.prepare(torch.from_numpy(images[start : start + batch]).to(device)[:, None].expand(-1, 3, -1, -1))
                for images in (cut.reference.images, predicted.images)
            ]
            maps = [net.maps(images)[:-1] for images in pair]
            for a, b in zip(*maps, strict=True):
                total += float(map_distance(a.double(), b.double()).sum())
    return MetricValue(float(np.clip(total / len(predicted.images), 0.0, WORST)))


WORST = 20.0
"""Five taps, unit vectors in opposite directions."""

register(
    Metric(
        name="lpips_lite0",
        title="LPIPS-Lite0",
        family="distribution",
        unit="",
        direction="lower",
        range=(0.0, WORST),
        worst=WORST,
        definition="Squared differences of channel-normalised EfficientNet-Lite0 feature maps, mean over positions, summed over "
        "five resolutions, mean over slices; no learned weights.",
        citation="Zhang et al. 2018, CVPR, arXiv:1801.03924",
        options={"slices": 8, "window": None, "weights_file": ""},
        compute=lpips_lite0,
    )
)
