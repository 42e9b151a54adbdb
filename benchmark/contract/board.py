"""Everything that one task's page shows."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from benchmark.contract.data import DatasetInfo
from benchmark.contract.names import Split
from benchmark.contract.run import Cost, Method, Reproduction
from benchmark.contract.score import Aggregate
from benchmark.contract.task import Task
from benchmark.fairness import Agreement, Fairness, Population
from benchmark.record import Record


class Curve(Record):
    """A curve of a detection task, at fixed places."""

    kind: Literal["froc", "roc_scans", "roc_candidates"]
    """FROC: sensitivity over false positives a scan; ROC: true-positive over false-positive rate of scans or of candidates."""
    x: tuple[float, ...]
    """Ascending. FROC: from 1/8 to 8, as many places between each of CPM's seven rates and the next."""
    y: tuple[float, ...]
    """Values there."""
    low: tuple[float, ...] = ()
    """FROC: lower ends of the intervals at CPM's seven rates; empty where there is none."""
    high: tuple[float, ...] = ()
    """Upper ends."""


class SiteValue(Record):
    """One metric at one site."""

    site: str
    """The site's name."""
    n: int
    """Cases that count."""
    value: float
    """Their mean."""
    low: float
    """Lower end of its t interval."""
    high: float
    """Upper end."""
    by_case: bool = True
    """Whether its cases are on the board; False where it sent sums alone."""


class SiteMetric(Record):
    """One metric over all sites, those with sums alone included, see `benchmark.statistics.sites`."""

    metric: str
    """Metric id in the task."""
    sites: tuple[SiteValue, ...]
    """One a site, by name."""
    value: float
    """Mean over all cases of all sites."""
    low: float
    """Lower end of its interval, stratified by site."""
    high: float
    """Upper end."""
    n: int
    """Cases of all sites."""
    range: float
    """Largest mean of a site less the smallest."""
    i_squared: float | None = None
    """Share of the spread of the sites' means that is more than chance, in [0, 1]; absent where it is not defined."""


class Row(Record):
    """One line of a board."""

    method: Method
    """The submission."""
    run: str
    """Inference key."""
    score: str
    """Scoring key."""
    digest: str
    """What was run."""
    engine: str
    """Engine and mode."""
    hardware: str
    """Where it ran."""
    rank: float
    """Rank; ties share the mean of nothing: equal rows have equal (lowest) rank."""
    rank_low: float
    """Best rank that the data allow (95 % bootstrap)."""
    rank_high: float
    """Worst rank that the data allow (95 % bootstrap)."""
    tied_with: tuple[str, ...] = ()
    """Names of submissions whose order against this one the data do not settle."""
    aggregates: tuple[Aggregate, ...]
    """One per metric of the task, in its order."""
    seconds_median: float | None
    """Median wall-clock seconds a case; absent where the model was not run here."""
    seconds_start: float | None
    """Seconds until the model was ready; absent where the model was not run here."""
    failed: int
    """Cases whose output was missing or invalid."""
    flags: tuple[str, ...] = ()
    """Sentences that a reader of the row must know, from the run."""
    cost: Cost | None = None
    """What the run took."""
    fairness: Fairness | None = None
    """Values by group, gaps and what they are worth; absent where the task declares no attributes."""
    sites: tuple[SiteMetric, ...] = ()
    """By metric the values of single sites; empty where the images lie here."""
    reproduction: Reproduction | None = None
    """When it was last run again, and what differed; absent where it never was."""
    curves: tuple[Curve, ...] = ()
    """FROC and ROC; empty where the task is not one of detection."""

    def aggregate(self, id: str) -> Aggregate:
        """The aggregate of that metric id."""
        return next(item for item in self.aggregates if item.metric == id)


class MetricInfo(Record):
    """What a page needs to know of a metric as a task uses it."""

    id: str
    """Id in the task."""
    name: str
    """Registered name."""
    title: str
    """Heading."""
    unit: str
    """Unit."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    low: float | None
    """Lowest possible value; absent where unbounded."""
    high: float | None
    """Highest possible value; absent where unbounded."""
    worst: str
    """The value that a failed case takes, in words or digits."""
    definition: str
    """One line."""
    citation: str
    """Source of the formula."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options that the task fixes."""


class Board(Record):
    """Everything that one task's page shows, on one data edition and split."""

    task: Task
    """The task."""
    dataset: DatasetInfo
    """The data edition, without its file hashes."""
    split: Split
    """The split that was scored."""
    metrics: tuple[MetricInfo, ...]
    """The columns."""
    rows: tuple[Row, ...]
    """Best first."""
    scorer: str
    """Version and hash of the scoring code."""
    data_digest: str = ""
    """Hash over the hashes of all files of the data edition: the same name with other content shows."""
    notes: tuple[str, ...] = ()
    """Plain sentences that the page must show, such as what the comparison does not settle."""
    warnings: tuple[str, ...] = ()
    """Plain sentences of warning: ranking rules that disagree on the podium, an order that hangs on one submission."""
    agreement: Agreement | None = None
    """The orders that other ranking rules would give; absent with fewer than two submissions."""
    population: Population | None = None
    """Who the scored cases are, by group; absent where the task declares no attributes."""
