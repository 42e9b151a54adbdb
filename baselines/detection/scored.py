"""What a detector's marks are worth on cases with a reference: hits and misses with their logits, and the scaling they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from baselines.detection import calibration, marks
from baselines.editions import Example
from benchmark import points
from benchmark.image import Volume

SMALLEST = 1e-6
"""Probabilities are held this far from 0 and 1 before their logit is taken: as many digits as a mark has."""


def logits(
    predict: Callable[[Mapping[str, Volume]], Any], examples: Sequence[Example]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits of all marks that count, and which hit a finding. `predict` gives a `Prediction` of points."""
    values, hits = [np.zeros(0)], [np.zeros(0, bool)]
    for example in examples:
        places, probability = points.parse_marks(predict(example.inputs).content)
        hit, counts = marks.judged(places, example.reference)
        values.append(special.logit(np.clip(probability[counts], SMALLEST, 1 - SMALLEST)))
        hits.append(hit[counts])
    return np.concatenate(values), np.concatenate(hits)


def fit(predict: Callable[[Mapping[str, Volume]], Any], examples: Sequence[Example]) -> calibration.Scaling:
    """The scaling of a detector whose probabilities are not scaled yet."""
    return calibration.platt(*logits(predict, examples))
