"""Probabilities that mean what they say: Platt's scaling of a score, fitted on the validation split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from baselines.weights import Arrays

Floats = NDArray[np.float64]
Scaling = tuple[float, float]
"""Slope and shift of the logits."""

NAME = "calibration"
"""Name of the scaling among the arrays of a weights file."""


def split(arrays: Arrays) -> tuple[Arrays, Scaling]:
    """The other arrays, and the scaling among them; one that changes nothing where there is none."""
    slope, shift = np.asarray(arrays.get(NAME, (1.0, 0.0)), np.float64)
    return {name: array for name, array in arrays.items() if name != NAME}, (float(slope), float(shift))


def join(arrays: Arrays, scaling: Scaling) -> Arrays:
    """The arrays with a scaling among them."""
    return {**arrays, NAME: np.array(scaling, np.float32)}


def logistic(
    features: Floats, positive: NDArray[np.bool_], weight: Floats | None = None, penalty: float = 0.0
) -> tuple[Floats, float]:
    """Coefficients (k,) and intercept of a logistic regression of `positive` (n,) on `features` (n, k).

    Minimises the weighted sum of the log losses plus `penalty` / 2 times the squared coefficients; the intercept is free.
    """
    x, sign = np.asarray(features, np.float64), np.where(positive, 1.0, -1.0)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)

    def loss(theta: Floats) -> tuple[float, Floats]:
        margin = sign * (x @ theta[:-1] + theta[-1])
        slope = -w * sign * special.expit(-margin)
        value = -(w * special.log_expit(margin)).sum() + penalty / 2 * (theta[:-1] ** 2).sum()
        return float(value), np.append(x.T @ slope + penalty * theta[:-1], slope.sum())

    start = np.zeros(x.shape[1] + 1)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-12})
    return found.x[:-1], float(found.x[-1])


def platt(logits: Floats, positive: NDArray[np.bool_]) -> Scaling:
    """Slope and shift with which `expit(slope · logit + shift)` is a probability; (1, 0) where one of both kinds is absent.

    The slope is at least a small positive number, so that the order of the marks stays. A weak penalty keeps it finite where the
    logits tell the kinds apart without a mistake (Platt 1999 moves the targets instead).
    """
    if positive.all() or not positive.any():
        return 1.0, 0.0
    spread = float(logits.std()) or 1.0
    (slope,), shift = logistic(logits[:, None] / spread, positive, penalty=0.1)
    return max(float(slope) / spread, 1e-3), shift


def apply(logits: Floats, scaling: Scaling) -> Floats:
    """Probabilities of logits."""
    slope, shift = scaling
    return np.asarray(special.expit(slope * logits + shift), np.float64)
