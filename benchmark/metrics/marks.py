"""Marks of one scan: how many lesions were called and how many marks were false, as one value a scan.

The metrics of `detection` have no value on a single scan. This one has, so that a table of cases, a paired test and the reason of an
output that could not be read have a place in a task of points.
"""

from __future__ import annotations

import math

from benchmark.errors import DataError
from benchmark.metrics.detection import HIT, MOST_MARKS, collect
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register


def detection_f1(inputs: CaseInputs, *, threshold: float = 0.5, max_marks: int = MOST_MARKS) -> MetricValue:
    """2 TP / (2 TP + FP + FN) of the marks of at least `threshold` on one scan; see `benchmark.points` for the content.

    Without lesions 1 when nothing is called and 0 otherwise. Raises `DataError` for an unusable reference or threshold.
    """
    if not math.isfinite(threshold):
        raise DataError("task_invalid", f"detection_f1: threshold {threshold!r}", expected="a finite number")
    scan = collect(inputs, max_marks=max_marks)
    if scan.missing:
        return MetricValue(0.0, "invalid", "the points cannot be read")
    found = int((scan.hits >= threshold).sum())
    false = int((scan.false_positives >= threshold).sum())
    lesions = len(scan.hits)
    if not lesions:
        return MetricValue(0.0, "ref_empty") if false else MetricValue(1.0, "both_empty")
    if not found and not false:
        return MetricValue(0.0, "pred_empty")
    return MetricValue(2 * found / (found + false + lesions))


register(
    Metric(
        name="detection_f1",
        title="F1 (lesions of a scan)",
        family="marks",
        unit="",
        direction="higher",
        range=(0.0, 1.0),
        worst=0.0,
        definition=(
            "Lesions found and false marks of one scan at probability `threshold`: 2 TP / (2 TP + FP + FN); on a scan without "
            f"lesions 1 when nothing is called, else 0; {HIT}."
        ),
        citation="van Rijsbergen 1979, Information Retrieval; hits as Setio et al. 2017, arXiv:1612.08012",
        options={"threshold": 0.5, "max_marks": MOST_MARKS},
        compute=detection_f1,
    )
)
