"""Detection over a set of scans: FROC and CPM as LUNA16 (Setio et al. 2017), and rates at the scan and the candidate level.

None of these has a value on a single scan. Each scan becomes a small part (`points.Scan`); a bootstrap over scans reweights the
parts. A scan without a valid prediction counts in full: its lesions are missed, and at the scan level it is called wrong at every
threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import DataError
from benchmark.metrics import roc
from benchmark.metrics.points import Scan, match
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

Floats = NDArray[np.float64]
LUNA16 = "Setio et al. 2017, Medical Image Analysis 42:1, arXiv:1612.08012; luna16.grand-challenge.org/Evaluation"
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives a scan at which CPM averages the sensitivity."""


def collect(inputs: CaseInputs, *, max_marks: int = 100, **_: Any) -> Scan:
    """What one scan contributes. Reference and prediction are parsed JSON, see `benchmark.points`."""
    return inputs.shared(
        ("detection.scan", max_marks), lambda: match(inputs.reference, inputs.prediction, max_marks=max_marks)
    )


def lesions(scans: Sequence[Scan]) -> Floats:
    """Number of lesions of each scan."""
    return np.array([len(scan.hits) for scan in scans], np.float64)


def candidates(scans: Sequence[Scan]) -> roc.Ranked:
    """Found lesions (positive) and false positives of all scans, ranked; missed lesions have no score and are not in it."""
    positive, score, case = [], [], []
    for k, scan in enumerate(scans):
        found = scan.hits[scan.hits > -np.inf]
        score += [found, scan.false_positives]
        positive += [np.ones(len(found), bool), np.zeros(len(scan.false_positives), bool)]
        case.append(np.full(len(found) + len(scan.false_positives), k))
    if not score:
        return roc.ranked([], [], [])
    return roc.ranked(np.concatenate(positive), np.concatenate(score), np.concatenate(case))


def scan_scores(scans: Sequence[Scan]) -> roc.Ranked:
    """Scans ranked by their most probable mark; a missing one is the worst there is for its class, also against no mark."""
    positive = np.array([scan.positive for scan in scans], bool)
    lowest = -np.finfo(float).max
    score = [(-np.inf if scan.positive else np.inf) if scan.missing else max(scan.highest, lowest) for scan in scans]
    return roc.ranked(positive, score)


MOST_MARKS = 100
"""Marks that count in a scan, the most probable ones, as in LUNA16."""


def froc_curve(scans: Sequence[Scan]) -> tuple[Floats, Floats, Floats]:
    """The whole FROC curve: false positives a scan, sensitivity, and the threshold of each point, from (0, 0) on.

    Raises `ValueError` when no scan holds a lesion.
    """
    total = lesions(scans).sum()
    if not total:
        raise ValueError("FROC needs a lesion")
    items = candidates(scans)
    ends = np.flatnonzero(items.last)
    false, true = np.cumsum(~items.positive)[ends], np.cumsum(items.positive)[ends]
    return (
        np.concatenate([[0.0], false / len(scans)]),
        np.concatenate([[0.0], true / total]),
        np.concatenate([[np.inf], items.score[ends]]),
    )


def froc_band(
    scans: Sequence[Scan], weights: ArrayLike, rates: ArrayLike = RATES, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Lower and upper sensitivity at each rate over the draws of a bootstrap; `weights` (draws, scans) are scan counts."""
    drawn = roc.froc(candidates(scans), lesions(scans), weights, rates)
    drawn = drawn[~np.isnan(drawn[:, 0])]
    if not len(drawn):
        return np.zeros(np.size(rates)), np.ones(np.size(rates))
    tail = 50 * (1 - level)
    low, high = np.percentile(drawn, (tail, 100 - tail), axis=0)
    return low, high


def _cpm(scans: Sequence[Scan], weights: Floats, rates: Sequence[float]) -> Floats:
    if len(rates) == 0 or any(not rate > 0 for rate in rates):
        raise DataError("task_invalid", f"cpm: rates {list(rates)!r}", expected="false positives a scan, above 0")
    return roc.froc(candidates(scans), lesions(scans), weights, sorted(rates)).mean(axis=1)


def _froc_sensitivity(scans: Sequence[Scan], weights: Floats, rate: float) -> Floats:
    return _cpm(scans, weights, (rate,))


def _ratio(part: Floats, whole: Floats, empty: float = np.nan) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty)


def _counted(scans: Sequence[Scan], weights: Floats, part: Callable[[Scan], float]) -> Floats:
    return np.asarray(weights @ np.array([part(scan) for scan in scans], np.float64))


def _scan_auc(scans: Sequence[Scan], weights: Floats) -> Floats:
    return roc.areas(scan_scores(scans), weights).auc


def _scan_ap(scans: Sequence[Scan], weights: Floats) -> Floats:
    return roc.areas(scan_scores(scans), weights).average_precision


def _scan_sensitivity(scans: Sequence[Scan], weights: Floats, threshold: float) -> Floats:
    called = _counted(scans, weights, lambda s: s.positive and not s.missing and s.highest >= threshold)
    return _ratio(called, _counted(scans, weights, lambda s: s.positive))


def _scan_specificity(scans: Sequence[Scan], weights: Floats, threshold: float) -> Floats:
    spared = _counted(scans, weights, lambda s: not s.positive and not s.missing and s.highest < threshold)
    return _ratio(spared, _counted(scans, weights, lambda s: not s.positive))


def _candidate_auc(scans: Sequence[Scan], weights: Floats) -> Floats:
    items = candidates(scans)
    auc = roc.areas(items, weights).auc
    found = _counted(scans, weights, lambda s: int((s.hits > -np.inf).sum()))
    false = _counted(scans, weights, lambda s: len(s.false_positives))
    auc = np.where(found == 0, 0.0, np.where(false == 0, 1.0, auc))  # nothing found is 0, nothing false is 1
    return np.where(weights @ lesions(scans) > 0, auc, np.nan)


def _candidate_ap(scans: Sequence[Scan], weights: Floats) -> Floats:
    missed = _counted(scans, weights, lambda s: int((s.hits == -np.inf).sum()))
    return roc.areas(candidates(scans), weights, unseen=missed).average_precision


def _candidate_sensitivity(scans: Sequence[Scan], weights: Floats, threshold: float) -> Floats:
    found = _counted(scans, weights, lambda s: int((s.hits >= max(threshold, -1e308)).sum()))
    return _ratio(found, np.asarray(weights @ lesions(scans)))


def _candidate_specificity(scans: Sequence[Scan], weights: Floats, threshold: float) -> Floats:
    spared = _counted(scans, weights, lambda s: int((s.false_positives < threshold).sum()))
    ratio = _ratio(spared, _counted(scans, weights, lambda s: len(s.false_positives)), empty=1.0)
    # A scan that was left out holds no mark at all, which alone would count as perfect.
    return ratio * _ratio(_counted(scans, weights, lambda s: not s.missing), weights.sum(axis=1))


def _false_positives(scans: Sequence[Scan], weights: Floats, threshold: float) -> Floats:
    def called(scan: Scan) -> float:
        return MOST_MARKS if scan.missing else int((scan.false_positives >= threshold).sum())

    return _ratio(_counted(scans, weights, called), weights.sum(axis=1))


def declare(
    name: str,
    title: str,
    family: str,
    many: Callable[..., Floats],
    *,
    collect: Callable[..., Any],
    definition: str,
    citation: str,
    undefined: str,
    options: dict[str, Any],
    ignored: Sequence[str] = (),
    unit: str = "",
    direction: Literal["higher", "lower"] = "higher",
    limits: tuple[float, float] = (0.0, 1.0),
    worst: float = 0.0,
) -> Metric:
    """Register a set metric from `many(parts, weights (draws, cases), **options)`, which gives NaN where it is undefined.

    Options named in `ignored` only concern `collect`. An undefined value becomes the worst one with status `ref_empty`.
    """

    def reduce_many(parts: Sequence[Any], weights: ArrayLike, **chosen: Any) -> Floats:
        rows = np.atleast_2d(np.asarray(weights, np.float64))
        values = many(parts, rows, **{key: value for key, value in chosen.items() if key not in ignored})
        return np.where(rows.sum(axis=1) > 0, values, np.nan)  # a draw without any case has no value

    def reduce(parts: Sequence[Any], weights: ArrayLike, **chosen: Any) -> MetricValue:
        value = float(reduce_many(parts, weights, **chosen)[0]) if len(parts) else float("nan")
        return MetricValue(worst, "ref_empty", undefined) if np.isnan(value) else MetricValue(value)

    return register(
        Metric(
            name=name,
            title=title,
            family=family,
            unit=unit,
            direction=direction,
            range=limits,
            worst=worst,
            definition=definition,
            citation=citation,
            options=options,
            collect=collect,
            reduce=reduce,
            reduce_many=reduce_many,
        )
    )


MARKS = {"max_marks": MOST_MARKS}
POINT = {**MARKS, "threshold": 0.5}
HIT = (
    "a mark hits a lesion when its squared distance to the centre is below (strictly) the squared radius; of several marks on a "
    "lesion the most probable counts, marks on irrelevant findings are ignored, a scan has at most `max_marks` marks"
)


def _declare(
    name: str, title: str, many: Callable[..., Floats], definition: str, options: dict[str, Any], **rest: Any
) -> None:
    level = "no positive or no negative scan" if name.startswith("scan") else "the scans hold no lesion"
    settings: dict[str, Any] = {"citation": LUNA16, "undefined": level, **rest}
    declare(
        name,
        title,
        "detection",
        many,
        collect=collect,
        definition=definition,
        options=options,
        ignored=("max_marks",),
        **settings,
    )


_declare(
    "cpm",
    "CPM",
    _cpm,
    f"Mean sensitivity at `rates` false positives a scan, interpolated linearly on the FROC curve; {HIT}.",
    {**MARKS, "rates": RATES},
)
_declare(
    "froc_sensitivity",
    "Sensitivity (FROC)",
    _froc_sensitivity,
    f"Sensitivity at `rate` false positives a scan, interpolated linearly on the FROC curve; {HIT}.",
    {**MARKS, "rate": 1.0},
)
_declare(
    "scan_auc",
    "AUC (scans)",
    _scan_auc,
    "ROC AUC of whether a scan holds a lesion, by its most probable mark; marks on irrelevant findings are ignored.",
    MARKS,
)
_declare(
    "scan_ap",
    "AP (scans)",
    _scan_ap,
    "Average precision of whether a scan holds a lesion, by its most probable mark; marks on irrelevant findings are ignored.",
    MARKS,
)
_declare(
    "scan_sensitivity",
    "Sensitivity (scans)",
    _scan_sensitivity,
    "Share of the scans with a lesion whose most probable mark reaches `threshold`.",
    POINT,
)
_declare(
    "scan_specificity",
    "Specificity (scans)",
    _scan_specificity,
    "Share of the scans without a lesion whose marks all stay below `threshold`.",
    POINT,
)
_declare(
    "candidate_auc",
    "AUC (candidates)",
    _candidate_auc,
    "ROC AUC of found lesions against false positives, by probability; missed lesions are not in it (use average precision or "
    "FROC for that); 0 where nothing is found, 1 where nothing is false.",
    MARKS,
)
_declare(
    "candidate_ap",
    "AP (candidates)",
    _candidate_ap,
    f"Average precision of the marks, recall counted over all lesions; {HIT}.",
    MARKS,
)
_declare(
    "candidate_sensitivity",
    "Sensitivity (lesions)",
    _candidate_sensitivity,
    f"Share of the lesions that have a mark of at least `threshold`; {HIT}.",
    POINT,
)
_declare(
    "candidate_specificity",
    "Specificity (candidates)",
    _candidate_specificity,
    "Share of the marks on no lesion that stay below `threshold`, 1 where there are none, times the share of scans with a valid "
    "prediction.",
    POINT,
)
_declare(
    "false_positives_per_scan",
    "False positives a scan",
    _false_positives,
    "Marks of at least `threshold` on no lesion and no irrelevant finding, a scan; a scan without a valid prediction counts 100.",
    POINT,
    unit="1/scan",
    direction="lower",
    limits=(0.0, float("inf")),
    worst=float(MOST_MARKS),
    undefined="there is no scan",
)
