"""Classification over a set of cases, binary or with several classes, from probabilities.

The reference of a case is its class, a whole number from 0 (or `{"label": 1}`). The prediction is the probability of class 1, or
a list with the probability of each class (or `{"probability": 0.7}`, `{"probabilities": [0.1, 0.9]}`). None of these metrics has a
value on a single case: each case becomes a small part, and a bootstrap over cases reweights the parts. A case without a valid
prediction is the worst there is for each of them: all probability on the class that is farthest from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics import roc
from benchmark.metrics.detection import declare
from benchmark.metrics.registry import CaseInputs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """What one case contributes."""

    label: int
    """True class."""
    probabilities: tuple[float, ...] | None
    """Of each class, summing to 1; None where there is no valid prediction."""


@dataclass(frozen=True, eq=False)
class Table:
    """All cases of a set."""

    truth: NDArray[np.int64]
    """True class of each case."""
    probabilities: Floats
    """(cases, classes)."""
    missing: NDArray[np.bool_]
    """Cases without a valid prediction."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class; the lowest of several."""
        return self.probabilities.argmax(axis=1)


def parse_label(content: Any) -> int:
    """The true class. Raises `DataError` unless it is a whole number from 0."""
    value = content.get("label") if isinstance(content, Mapping) else content
    try:
        number = float(np.asarray(value, np.float64).reshape(()))
    except (TypeError, ValueError):
        number = -1.0
    if not (0 <= number < 2**31 and number == int(number)):
        raise DataError("reference_invalid", f"label {value!r}", expected="a class, a whole number from 0")
    return int(number)


def parse_probabilities(content: Any) -> tuple[float, ...] | None:
    """Probabilities of the classes, or None where the prediction is not what the module's first lines ask for.

    A list must hold at least two numbers from 0 to 1 that sum to 1 within 1e-3; it is divided by its sum.
    """
    if isinstance(content, Mapping):
        content = content.get("probabilities", content.get("probability"))
    try:
        found = np.asarray(content, np.float64)
    except (TypeError, ValueError):
        return None
    if not np.isfinite(found).all() or found.size == 0 or found.min() < 0 or found.max() > 1:
        return None
    if found.ndim == 0 or found.size == 1:
        p = float(found.reshape(()))
        return (1 - p, p)
    if found.ndim > 1 or abs(found.sum() - 1) > 1e-3:
        return None
    return tuple((found / found.sum()).tolist())


def collect(inputs: CaseInputs, **_: Any) -> Labelled:
    """What one case contributes. Raises `DataError` for an unusable reference."""
    return inputs.shared(
        ("classification.case",),
        lambda: Labelled(parse_label(inputs.reference), parse_probabilities(inputs.prediction)),
    )


def table(cases: Sequence[Labelled]) -> Table:
    """All cases as arrays; as many classes as the labels or any prediction know, at least two.

    A prediction that knows fewer classes than there are gives the others probability 0.
    """
    truth = np.array([case.label for case in cases], np.int64)
    known = [len(case.probabilities) for case in cases if case.probabilities is not None]
    classes = max([2, *known, int(truth.max(initial=0)) + 1])
    probabilities = np.zeros((len(cases), classes))
    for row, case in enumerate(cases):
        if case.probabilities is None:
            probabilities[row, 0 if case.label > (classes - 1) / 2 else classes - 1] = 1
        else:
            probabilities[row, : len(case.probabilities)] = case.probabilities
    return Table(truth, probabilities, np.array([case.probabilities is None for case in cases], bool))


def _score(found: Table, k: int) -> Floats:
    """Scores of class k; a missing case ranks below (or, for another class, above) every other."""
    worst = np.where(found.truth == k, -1.0, 2.0)
    return np.where(found.missing, worst, found.probabilities[:, k])


def _mean_over_classes(found: Table, weights: Floats, one: Callable[[int], Floats]) -> Floats:
    """Class 1 alone where there are two classes, else the mean over the classes that occur in the set."""
    if found.probabilities.shape[1] == 2:
        return one(1)
    present = np.unique(found.truth)
    return np.mean([one(int(k)) for k in present], axis=0) if len(present) else np.full(len(weights), np.nan)


def _auc(cases: Sequence[Labelled], weights: Floats) -> Floats:
    found = table(cases)
    return _mean_over_classes(
        found, weights, lambda k: roc.areas(roc.ranked(found.truth == k, _score(found, k)), weights).auc
    )


def _average_precision(cases: Sequence[Labelled], weights: Floats) -> Floats:
    found = table(cases)

    def one(k: int) -> Floats:
        lost = found.missing & (found.truth == k)  # positives that no threshold retrieves
        kept = np.flatnonzero(~lost)
        items = roc.ranked((found.truth == k)[kept], _score(found, k)[kept], kept)
        return roc.areas(items, weights, unseen=weights @ lost).average_precision

    return _mean_over_classes(found, weights, one)


def _sensitivity_at(cases: Sequence[Labelled], weights: Floats, specificity: float) -> Floats:
    if not 0 <= specificity <= 1:
        raise DataError("task_invalid", f"specificity {specificity!r}", expected="from 0 to 1")
    found = table(cases)
    items = roc.ranked(found.truth > 0, _disease(found))
    return roc.areas(items, weights, specificity=specificity).sensitivity


def _disease(found: Table) -> Floats:
    """Probability of any class but 0; missing cases the worst for their class."""
    worst = np.where(found.truth > 0, -1.0, 2.0)
    return np.where(found.missing, worst, found.probabilities[:, 1:].sum(axis=1))


def _share(weights: Floats, part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> Floats:
    total = weights @ whole.astype(np.float64)
    return np.where(total > 0, (weights @ (part & whole)) / np.where(total > 0, total, 1), np.nan)


def _sensitivity(cases: Sequence[Labelled], weights: Floats, threshold: float) -> Floats:
    found = table(cases)
    return _share(weights, _disease(found) >= threshold, found.truth > 0)


def _specificity(cases: Sequence[Labelled], weights: Floats, threshold: float) -> Floats:
    found = table(cases)
    return _share(weights, _disease(found) < threshold, found.truth == 0)


def _balanced_accuracy(cases: Sequence[Labelled], weights: Floats) -> Floats:
    found = table(cases)
    hit = (found.predicted == found.truth) & ~found.missing
    present = np.unique(found.truth)
    recalls = np.array([_share(weights, hit, found.truth == k) for k in present]).reshape(len(present), len(weights))
    seen = ~np.isnan(recalls)
    count = seen.sum(axis=0)
    return np.where(count > 0, np.where(seen, recalls, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _accuracy(cases: Sequence[Labelled], weights: Floats) -> Floats:
    found = table(cases)
    return _share(weights, (found.predicted == found.truth) & ~found.missing, np.ones(len(cases), bool))


def _quadratic_kappa(cases: Sequence[Labelled], weights: Floats) -> Floats:
    found = table(cases)
    truth, predicted = found.truth.astype(np.float64), found.predicted.astype(np.float64)
    total = weights.sum(axis=1)
    # Σᵢⱼ (i−j)²·Eᵢⱼ needs only the first two moments of either side, so no confusion matrix has to be made for each draw.
    expected = (
        total * (weights @ truth**2 + weights @ predicted**2) - 2 * (weights @ truth) * (weights @ predicted)
    ) / np.maximum(total, 1)
    observed = weights @ (truth - predicted) ** 2
    positive = expected > 1e-9 * np.maximum(total, 1)
    kappa = 1 - observed / np.where(positive, expected, 1)
    return np.where(total > 0, np.where(positive, kappa, 1.0), np.nan)  # one class throughout, and always right


def _brier(cases: Sequence[Labelled], weights: Floats) -> Floats:
    found = table(cases)
    truth = np.eye(found.probabilities.shape[1])[found.truth]
    per_case = ((found.probabilities - truth) ** 2).sum(axis=1) / 2
    total = weights.sum(axis=1)
    return np.where(total > 0, (weights @ per_case) / np.where(total > 0, total, 1), np.nan)


def _ece(cases: Sequence[Labelled], weights: Floats, bins: int) -> Floats:
    if not (isinstance(bins, int) and bins > 0):
        raise DataError("task_invalid", f"bins {bins!r}", expected="a whole number from 1")
    found = table(cases)
    if found.probabilities.shape[1] == 2:
        confidence, hit = found.probabilities[:, 1], found.truth == 1
    else:
        confidence, hit = found.probabilities.max(axis=1), found.predicted == found.truth
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # bins (0, 1/n], (1/n, 2/n] …
    inside = (number[:, None] == np.arange(bins)).astype(np.float64)
    gaps = np.abs(weights @ (inside * (hit - confidence)[:, None])).sum(axis=1)
    total = weights.sum(axis=1)
    return np.where(total > 0, gaps / np.where(total > 0, total, 1), np.nan)


def _declare(name: str, title: str, many: Callable[..., Floats], definition: str, citation: str, **rest: Any) -> None:
    settings: dict[str, Any] = {"options": {}, "undefined": "a class is absent from the references", **rest}
    declare(name, title, "classification", many, collect=collect, definition=definition, citation=citation, **settings)


RELOADED = "Reinke et al. 2024, Nature Methods 21:182, doi:10.1038/s41592-023-02150-0"

_declare(
    "auc",
    "AUC",
    _auc,
    "Area under the ROC curve of class 1, ties count half; with several classes the mean of one against the rest over the "
    "classes that occur.",
    "Hanley & McNeil 1982, Radiology 143:29; interval: DeLong et al. 1988, Biometrics 44:837",
)
_declare(
    "average_precision",
    "AP",
    _average_precision,
    "Σ (Rₙ − Rₙ₋₁)·Pₙ over the thresholds of class 1; with several classes the mean of one against the rest.",
    RELOADED,
)
_declare(
    "sensitivity",
    "Sensitivity",
    _sensitivity,
    "Share of the cases of any class but 0 whose probability of that, 1 − p₀ (p₁ with two classes), is at least `threshold`.",
    RELOADED,
    options={"threshold": 0.5},
)
_declare(
    "specificity",
    "Specificity",
    _specificity,
    "Share of the cases of class 0 whose probability of any other class, 1 − p₀, is below `threshold`.",
    RELOADED,
    options={"threshold": 0.5},
)
_declare(
    "sensitivity_at_specificity",
    "Sensitivity at specificity",
    _sensitivity_at,
    "Largest sensitivity at which the specificity is at least `specificity`, over all thresholds on 1 − p₀.",
    RELOADED,
    options={"specificity": 0.9},
)
_declare(
    "balanced_accuracy",
    "Balanced accuracy",
    _balanced_accuracy,
    "Mean over the classes that occur of the share of their cases whose most probable class is right.",
    RELOADED,
)
_declare(
    "accuracy",
    "Accuracy",
    _accuracy,
    "Share of the cases whose most probable class is right.",
    RELOADED,
)
_declare(
    "quadratic_kappa",
    "Quadratic κ",
    _quadratic_kappa,
    "Cohen's kappa of true and most probable class with weights (i − j)²; 1 where all cases have one class and are right.",
    "Cohen 1968, Psychological Bulletin 70:213, doi:10.1037/h0026256",
    limits=(-1.0, 1.0),
    worst=-1.0,
)
_declare(
    "brier",
    "Brier score",
    _brier,
    "Mean of half the squared distance between the probabilities and the truth; with two classes the mean of (p₁ − y)².",
    "Brier 1950, Monthly Weather Review 78:1",
    direction="lower",
    worst=1.0,
)
_declare(
    "ece",
    "ECE",
    _ece,
    "Expected calibration error in `bins` bins of equal width, of p₁ with two classes, else of the largest probability.",
    "Naeini et al. 2015, AAAI 29:2901; Guo et al. 2017, arXiv:1706.04599",
    direction="lower",
    worst=1.0,
    options={"bins": 15},
)
