"""The tidy score table and what becomes of it over the cases of a split."""

from __future__ import annotations

from benchmark.contract.names import Status
from benchmark.record import Record


class Score(Record):
    """One row of the tidy score table: a submission, a case, a metric."""

    case: str
    """Case id."""
    metric: str
    """Metric id in the task."""
    value: float
    """The value, in the metric's unit; never NaN."""
    unit: str
    """Unit of the value."""
    status: Status
    """How the value came about."""
    reason: str = ""
    """Error code and a sentence where the status is not `ok`."""


class Aggregate(Record):
    """One metric of one submission over the cases of a split."""

    metric: str
    """Metric id in the task."""
    value: float
    """Mean over cases, or the value of a set-level metric."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    level: float = 0.95
    """Confidence level of the interval."""
    n: int
    """Cases that count."""
    n_worst: int = 0
    """How many of them took the worst value because the output was missing or invalid."""
    n_excluded: int = 0
    """Cases that the task excludes for all submissions alike."""
    method: str = ""
    """How the interval was made, such as `BCa, 10000 draws`."""
    median: float | None = None
    """Median over cases; absent for set-level metrics."""
    median_low: float | None = None
    """Lower end of the median's interval (percentiles of the same draws)."""
    median_high: float | None = None
    """Upper end of the median's interval."""
