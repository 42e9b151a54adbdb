"""The curves of a detection task from what each scan contributed: FROC, and ROC at the scan and the candidate level.

Curves are kept at fixed places, so that the record of a row stays small whatever the number of marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.contract import Case, Task
from benchmark.contract.board import Curve
from benchmark.metrics import detection, roc
from benchmark.metrics.points import Scan
from benchmark.scoring import SET_DRAWS, sampling_for
from benchmark.statistics import bootstrap

STEPS = 8
"""Places of the FROC curve from one of CPM's rates to the next; each is twice the one before."""

PLACES = 101
"""Places of a ROC curve."""


def curves(task: Task, cases: Sequence[Case], parts: Mapping[str, Mapping[str, Any]]) -> tuple[Curve, ...]:
    """The curves of one submission; empty where the task is not one of detection.

    `parts` are its contributions by metric id and case id, see `store.load_parts`. The order of `cases` does not matter. Intervals
    are those that `froc_sensitivity` has at the same rate: same draws, same widening.
    """
    cases = sorted(cases, key=lambda case: case.drawing)
    for own in parts.values():
        if cases and all(isinstance(own.get(case.id), Scan) for case in cases):
            scans: list[Scan] = [own[case.id] for case in cases]
            found = [_froc(task, cases, scans), _roc("roc_scans", detection.scan_scores(scans))]
            found.append(_roc("roc_candidates", detection.candidates(scans)))
            return tuple(curve for curve in found if curve is not None)
    return ()


def _froc(task: Task, cases: Sequence[Case], scans: Sequence[Scan]) -> Curve | None:
    """Sensitivity over false positives a scan; None where no scan holds a lesion."""
    lesions = detection.lesions(scans)
    if not lesions.sum():
        return None
    items, ends = detection.candidates(scans), detection.RATES
    rates = [ends[0] * 2 ** (k / STEPS) for k in range(STEPS * (len(ends) - 1) + 1)]
    sampling = sampling_for(task, cases)
    drawn = roc.froc(items, lesions, sampling.counts[:SET_DRAWS], ends)
    spans = [bootstrap.widened_interval(column, sampling) for column in drawn.T] if len(scans) > 1 else []
    return Curve(
        kind="froc",
        x=tuple(rates),
        y=tuple(roc.froc(items, lesions, np.ones(len(scans)), rates)[0].tolist()),
        low=tuple(low for low, _ in spans),
        high=tuple(high for _, high in spans),
    )


def _roc(kind: Any, items: roc.Ranked) -> Curve | None:
    """True-positive over false-positive rate, linear between the points of the curve as the area is; None where a class is absent."""
    positives, negatives = int(items.positive.sum()), int((~items.positive).sum())
    if not positives or not negatives:
        return None
    false = np.concatenate([[0], np.cumsum(~items.positive)[items.last]]) / negatives
    true = np.concatenate([[0], np.cumsum(items.positive)[items.last]]) / positives
    x = np.linspace(0, 1, PLACES)
    # At a vertical step the upper end counts: the last point that is not beyond, and from there on towards the next.
    last = np.searchsorted(false, x, side="right") - 1
    following = np.minimum(last + 1, len(false) - 1)
    width = false[following] - false[last]
    part = np.divide(x - false[last], width, out=np.zeros(PLACES), where=width > 0)
    y = true[last] + part * (true[following] - true[last])
    return Curve(kind=kind, x=tuple(x.tolist()), y=tuple(y.tolist()))
