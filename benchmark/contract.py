"""The records that the rooms of the house hand to each other. Frozen, validated, every field documented.

A record is data: no record reads a file or runs anything. `model_json_schema()` of each is its manual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from benchmark.fairness import Agreement, Fairness, Population
from benchmark.record import Record

Split = Literal["train", "val", "canary", "test"]
"""`train` and `val` are public with references; `canary` is public, small, with open logs; `test` is sealed."""

SPLITS: tuple[Split, ...] = ("train", "val", "canary", "test")

SocketKind = Literal["image", "segmentation", "points", "value"]
"""`image`: one volume; `segmentation`: one volume of labels; `points`: "Multiple points" JSON; `value`: any JSON value."""

Status = Literal["ok", "both_empty", "pred_empty", "ref_empty", "missing", "invalid", "excluded"]
"""How a value came about. `missing` and `invalid` carry the metric's worst value and a reason; none is ever dropped."""

NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,63}$")
"""Names that become folders and URLs: lower case, digits, `_`, `-`, `.`; at most 64 characters."""

Name = Annotated[str, Field(pattern=NAME.pattern)]


class Socket(Record):
    """One thing that goes into a case or comes out of it."""

    slug: Name
    """Short name, unique in the task; also Grand Challenge's interface slug."""
    kind: SocketKind
    """What sort of content it is."""
    path: str
    """Where it lies below `/input` or `/output`: for volumes a folder that holds one file `<case>.mha`, else a `.json` file."""
    title: str = ""
    """What a participant reads."""
    unit: str = ""
    """Unit of the values, such as HU; empty where arbitrary."""
    optional: bool = False
    """For an input: a case may lack it. A case has at least one volume among its inputs; `inputs.json` lists those that are there."""
    like: str = ""
    """For an output volume: the slug of the reference socket whose grid it must have (default: the scored reference)."""

    @field_validator("path")
    @classmethod
    def _relative(cls, value: str) -> str:
        parts = value.split("/")
        if value.startswith("/") or ".." in parts or "" in parts or "\\" in value:
            raise ValueError("a relative path with no empty part and no '..'")
        return value

    @property
    def is_volume(self) -> bool:
        """Whether its content is a volume on a grid."""
        return self.kind in ("image", "segmentation")

    def file(self, case: str) -> str:
        """Path of this socket's file for one case, relative to the case's tree."""
        return f"{self.path}/{case}.mha" if self.is_volume else self.path


class Attribute(Record):
    """A patient attribute by which subgroups are audited."""

    name: Name
    """Column in `cases.csv`."""
    title: str
    """Heading on the page."""
    values: tuple[str, ...] = ()
    """The groups in display order; empty means whatever occurs. "unknown" is always allowed and never part of a gap."""


class TaskMetric(Record):
    """A metric as a task uses it: the registered metric's name and the options that this task fixes."""

    id: Name
    """Column name, unique in the task; by default the metric's name."""
    name: Name
    """Name in the metric registry."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the metric's function is called with besides the arrays: profile, window, tolerance …"""
    title: str = ""
    """Column heading, where the metric's own does not say enough."""


RuleName = Literal["mean_of_ranks", "rank_of_means", "significance", "synthrad2023", "performance_and_fairness"]
"""The ranking rules, see `benchmark.statistics.ranking`."""


class RankingGroup(Record):
    """Metrics that share one weight, such as the image metrics beside the dose metrics."""

    name: str
    """What they have in common: image, geometric, dose …"""
    weight: float = Field(default=1.0, gt=0)
    """Share of the group relative to the other groups; its metrics share it equally."""
    metrics: tuple[Name, ...] = Field(min_length=1)
    """Ids of its metrics."""


class Ranking(Record):
    """How rows are put in order."""

    rule: RuleName = "mean_of_ranks"
    """Name of the rule."""
    metrics: tuple[Name, ...] = Field(min_length=1)
    """Ids of the metrics that count."""
    groups: tuple[RankingGroup, ...] = ()
    """Weights by group of metrics; empty: every metric weighs the same. Each ranking metric is in exactly one group."""
    test: Literal["wilcoxon", "permutation"] = "wilcoxon"
    """For `significance`: the paired test, Wilcoxon's signed ranks or sign flips of the differences."""
    attributes: tuple[Name, ...] = ()
    """For `performance_and_fairness`: the attributes whose gaps count, each alike."""
    fairness_weight: float = Field(default=0.5, ge=0, le=1)
    """For `performance_and_fairness`: the share of fairness; the rest is performance."""
    bounds: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """For `performance_and_fairness`: by metric, the value that counts as 0 and the one that counts as 1 (such as 150 and 0 for a
    distance in mm); values beyond are clipped. By default the ends of the metric's range, where both are finite."""

    @model_validator(mode="after")
    def _consistent(self) -> Ranking:
        grouped = [metric for group in self.groups for metric in group.metrics]
        if self.groups and sorted(grouped) != sorted(self.metrics):
            raise ValueError(f"groups: found {grouped}, expected each of {list(self.metrics)} once")
        if self.rule == "performance_and_fairness" and not self.attributes:
            raise ValueError("attributes: performance_and_fairness needs at least one attribute")
        for metric, (zero, one) in self.bounds.items():
            if zero == one or metric not in self.metrics:
                raise ValueError(
                    f"bounds.{metric}: found {[zero, one]}, expected two values of a ranking metric that differ"
                )
        return self

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each ranking metric, in their order; the weights add up to their number."""
        if not self.groups:
            return (1.0,) * len(self.metrics)
        total = sum(group.weight for group in self.groups)
        by_metric = {m: group.weight / len(group.metrics) / total for group in self.groups for m in group.metrics}
        return tuple(by_metric[metric] * len(self.metrics) for metric in self.metrics)


class FairnessRules(Record):
    """What the fairness audit of a task shows and tests."""

    minimum: int = Field(default=10, ge=2)
    """Smallest group, in patients, whose numbers are shown; with fewer, they are withheld."""
    minimum_phantom: int = Field(default=5, ge=2)
    """The same for phantoms, which are nobody's images: only as many as an interval needs."""
    minimum_class: int = Field(default=5, ge=1)
    """Fewest positive items for a true-positive rate, negative ones for a false-positive rate, and of each for an AUC."""
    crossings: tuple[tuple[Name, ...], ...] | None = None
    """Which attributes are crossed, such as [["sex", "age_band"]]; absent: every two of the declared attributes."""
    association: float = Field(default=0.3, ge=0, le=1)
    """Cramér's V from which the page warns that two attributes are associated."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Family-wise level of the permutation tests."""


class Limits(Record):
    """What a model may use, per case; enforced as declared and printed on the row."""

    seconds: float = Field(default=600, gt=0)
    """Wall-clock seconds for one case."""
    start_seconds: float = Field(default=150, gt=0)
    """Wall-clock seconds for a server to answer that it is ready."""
    memory_mb: int = Field(default=8192, gt=0)
    """Memory, in MiB; swap is off."""
    gpu_memory_mb: int = Field(default=0, ge=0)
    """GPU memory, in MiB; 0 means no GPU is needed."""
    output_mb: int = Field(default=512, gt=0)
    """Bytes below `/output`, in MiB."""
    log_kb: int = Field(default=1024, gt=0)
    """Bytes of standard output and error that are kept, in KiB."""
    cpus: float = Field(default=2, gt=0)
    """Processor cores."""
    pids: int = Field(default=1024, gt=0)
    """Processes and threads."""
    shm_mb: int = Field(default=2048, gt=0)
    """Shared memory, in MiB."""


class Scoring(Record):
    """Which sockets the metrics compare, by default for all of them."""

    prediction: Name
    """Slug of the output socket."""
    reference: Name
    """Slug of the reference socket."""
    mask: str = ""
    """Slug of the reference socket that holds the mask; empty where the whole volume is scored."""


class Display(Record):
    """How a radiologist wants to see the case; used for canary strips."""

    input: Name
    """Slug of the input socket that is shown."""
    window: tuple[float, float]
    """Lowest and highest value shown for reference and prediction (and for the input where `input_window` is absent)."""
    input_window: tuple[float, float] | None = None
    """Window of the input; `[0, 0]` means from the 1st to the 99th percentile of the slice."""
    error: tuple[float, float] | None = None
    """Range of the error map (prediction − reference), symmetric about 0."""
    overlay: bool = False
    """Draw reference and prediction as contours on the input (segmentations) instead of side by side."""


class Claim(Record):
    """A figure that a paper claims for this kind of task, shown beside ours and labelled as a claim on other data."""

    metric: str
    """What was measured."""
    traditional: str
    """Figure for the traditional method."""
    generative: str
    """Figure for the generative method."""
    source: str
    """Where the claim stands."""


class Task(Record):
    """A challenge task, as its `task.toml` declares it."""

    name: Name
    """Folder name; also its name on the command line."""
    version: str
    """Raised when inputs, references or protocol change; scores of different versions are never mixed."""
    title: str
    """Heading."""
    summary: str
    """One or two sentences: what goes in, what must come out, why it matters."""
    modality: str
    """Imaging modality."""
    anatomy: str
    """Body part."""
    inputs: tuple[Socket, ...] = Field(min_length=1)
    """What a container finds below `/input`."""
    outputs: tuple[Socket, ...] = Field(min_length=1)
    """What it must write below `/output`."""
    references: tuple[Socket, ...] = Field(min_length=1)
    """What only the scorer reads."""
    attributes: tuple[Attribute, ...] = ()
    """Subgroups that are audited."""
    scoring: Scoring
    """What is compared with what."""
    metrics: tuple[TaskMetric, ...] = Field(min_length=1)
    """The columns, in display order; the first is the one that the front page shows."""
    ranking: Ranking
    """How rows are ordered."""
    fairness: FairnessRules = FairnessRules()
    """What the fairness audit shows and tests."""
    limits: Limits = Limits()
    """What a model may use."""
    display: Display
    """How a case is shown."""
    cluster: str = ""
    """Attribute that names the patient or scan, where one has several cases: resampling draws clusters, not cases."""
    stratify: str = ""
    """Attribute within which resampling is stratified, such as site."""
    shown_edition: Literal["sample", "phantom"] = "sample"
    """What a demonstration shows: the real sample where it can be fetched, or the phantoms where the sample is too small to compare on."""
    claims: tuple[Claim, ...] = ()
    """What papers claim, for the page that asks traditional or generative."""

    @model_validator(mode="before")
    @classmethod
    def _metric_ids(cls, data: Any) -> Any:
        """A `[[metrics]]` table may write options flat and leave `id` out: `name = "ssim"`, `profile = "synthrad2023"`."""
        if isinstance(data, Mapping) and isinstance(data.get("metrics"), list | tuple):
            known = set(TaskMetric.model_fields)
            metrics = []
            for item in data["metrics"]:
                if isinstance(item, Mapping):
                    flat = {key: value for key, value in item.items() if key not in known}
                    item = {key: value for key, value in item.items() if key in known}
                    item["options"] = {**item.get("options", {}), **flat}
                    item.setdefault("id", item.get("name", ""))
                metrics.append(item)
            data = {**data, "metrics": metrics}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        for group, sockets in (("inputs", self.inputs), ("outputs", self.outputs), ("references", self.references)):
            slugs = [socket.slug for socket in sockets]
            if len(set(slugs)) < len(slugs):
                raise ValueError(f"{group}: slugs must be unique, found {slugs}")
        if wrong := [socket.slug for socket in (*self.outputs, *self.references) if socket.optional]:
            raise ValueError(f"optional: found on {wrong}, expected on inputs alone")
        if not any(socket.is_volume for socket in self.inputs) and any(socket.optional for socket in self.inputs):
            raise ValueError("optional: expected a volume among the inputs of a task with optional ones")
        ids = [metric.id for metric in self.metrics]
        if len(set(ids)) < len(ids):
            raise ValueError(f"metrics: ids must be unique, found {ids}; give `id` where a metric is used twice")
        attributes = [attribute.name for attribute in self.attributes]
        checks: list[tuple[str, str, list[str]]] = [
            ("scoring.prediction", self.scoring.prediction, [s.slug for s in self.outputs]),
            ("scoring.reference", self.scoring.reference, [s.slug for s in self.references]),
            ("display.input", self.display.input, [s.slug for s in self.inputs]),
            *(("ranking.metrics", name, ids) for name in self.ranking.metrics),
            *(("ranking.attributes", name, attributes) for name in self.ranking.attributes),
            *(
                ("fairness.crossings", name, attributes)
                for crossing in self.fairness.crossings or ()
                for name in crossing
            ),
            *((f"outputs.{s.slug}.like", s.like, [r.slug for r in self.references]) for s in self.outputs if s.like),
        ]
        if self.scoring.mask:
            checks.append(("scoring.mask", self.scoring.mask, [s.slug for s in self.references]))
        for key, value, allowed in checks:
            if value not in allowed:
                raise ValueError(f"{key}: found {value!r}, expected one of {allowed}")
        return self

    def input(self, slug: str) -> Socket:
        """The input socket of that slug."""
        return next(socket for socket in self.inputs if socket.slug == slug)

    def output(self, slug: str) -> Socket:
        """The output socket of that slug."""
        return next(socket for socket in self.outputs if socket.slug == slug)

    def reference(self, slug: str) -> Socket:
        """The reference socket of that slug."""
        return next(socket for socket in self.references if socket.slug == slug)

    def metric(self, id: str) -> TaskMetric:
        """The metric of that id."""
        return next(metric for metric in self.metrics if metric.id == id)


class Case(Record):
    """One case of an edition: a row of its `cases.csv`."""

    id: Name
    """Identifier, unique in the edition."""
    split: Split
    """Which split it belongs to."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Values of the task's attributes and of any further columns; "unknown" where not known."""
    key: str = ""
    """Hash that only a holder of the references can make; empty for phantoms. See `drawing`."""

    @property
    def drawing(self) -> str:
        """What resampling orders cases by. Published tables list cases in this order, so that anyone can draw them again; it is
        that of the key, which says nothing of the id, as an order by id would."""
        return f"{self.key} {self.id}"


class Source(Record):
    """Where real data came from."""

    title: str
    """What it is."""
    licence: str
    """Licence of the data."""
    citation: str
    """How to cite it."""
    origin: str = ""
    """Package and file, or data set, it was taken from."""
    sha256: str = ""
    """Hash of the file as fetched."""


class DatasetInfo(Record):
    """`dataset.json`: what an edition is, how it was made, and the hash of every file in it."""

    schema_version: int = 1
    """Version of this record."""
    task: Name
    """Task that it is for."""
    task_version: str
    """Version of the task that it was made for."""
    edition: Name
    """Name of the edition."""
    kind: Literal["phantom", "real"]
    """Phantoms are made by formula; `real` holds images of patients."""
    title: str
    """Heading."""
    description: str
    """How it was made, in a few sentences."""
    licence: str
    """Licence of the edition as a whole."""
    citation: str = ""
    """How to cite it."""
    sources: tuple[Source, ...] = ()
    """Where real data came from."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Everything that determines the content: seed, size, dose …"""
    counts: dict[str, int] = Field(default_factory=dict)
    """Number of cases by split."""
    files: dict[str, str] = Field(default_factory=dict)
    """sha256 of every file by its path relative to the edition, `dataset.json` itself excepted."""


class Method(Record):
    """What a submission says of itself; for a stranger's, the manifest."""

    name: Name
    """Identifier of the submission."""
    title: str
    """Name on the leaderboard."""
    family: Literal["classical", "unet", "gan", "vae", "diffusion", "transformer", "other"] = "other"
    """Kind of model; `gan`, `vae` and `diffusion` count as generative, `classical` as traditional."""
    team: str = ""
    """Who submitted it."""
    description: str = ""
    """What it does, in a few sentences."""
    citation: str = ""
    """How to cite the method."""
    licence: str = ""
    """Licence of code and weights."""
    baseline: bool = False
    """True for the reference models of this repository."""
    embargo: date | None = None
    """The row is anonymous in every edition published before this day; absent: it is named from the start."""
    anonymous: bool = False
    """Whether what is said here is a pseudonym. Set when a board is published, never by a manifest."""
    submitted_as: str = ""
    """After an embargo: the submission's own name, where `name` is still the pseudonym that its addresses are made of."""

    @property
    def generative(self) -> bool:
        """Whether it counts as a generative model."""
        return self.family in ("gan", "vae", "diffusion")


class CaseCost(Record):
    """What one case took beside its time; absent where it was not measured."""

    peak_memory_mb: float | None = None
    """Most memory that its control group held so far, in MiB."""
    cpu_seconds: float | None = None
    """Processor seconds."""
    gpu_memory_mb: float | None = None
    """Most GPU memory in use beyond what was in use before the start, in MiB."""
    gpu_joules: float | None = None
    """Energy that the GPU took, all of it, in joules."""


class Cost(Record):
    """What a run took, over its cases that ran."""

    start_seconds: float
    """Cold start: seconds until the model was ready."""
    seconds_median: float
    """Median wall-clock seconds a case."""
    seconds_p95: float
    """95th percentile of the wall-clock seconds a case."""
    peak_memory_mb: float | None = None
    """Most memory that the control group held, in MiB."""
    cpu_seconds: float | None = None
    """Median processor seconds a case."""
    gpu_memory_mb: float | None = None
    """Most GPU memory in use, in MiB."""
    gpu_joules: float | None = None
    """Median GPU energy a case, in joules."""
    hardware: str = ""
    """Processor and GPU that it ran on."""


class CaseRun(Record):
    """What running one case gave."""

    case: str
    """Case id."""
    seconds: float
    """Wall-clock seconds of this case."""
    code: str = ""
    """Error code of the submission group when it failed; empty when it ran."""
    reason: str = ""
    """One sentence for the participant when it failed; on a sealed split nothing in it comes from the container."""
    cost: CaseCost | None = None
    """What it took, where the engine measures it."""


class RunRecord(Record):
    """`run.json`: one submission run on one edition; the predictions lie beside it in `predictions/<case>/`."""

    schema_version: int = 1
    """Version of this record."""
    key: str
    """Inference key: hash of submission digest, inputs, limits and flags."""
    task: str
    """Task name."""
    edition: str
    """Edition name."""
    method: Method
    """The submission."""
    digest: str
    """What was run: image digest, or hash of a baseline's code and weights."""
    engine: str
    """Engine and mode, such as `process/invoke`."""
    hardware: str
    """Processor or GPU that it ran on."""
    start_seconds: float
    """Time until the model was ready."""
    cases: tuple[CaseRun, ...]
    """One entry a case, in case order."""
    flags: tuple[str, ...] = ()
    """Sentences that the row must carry, such as that outputs changed with the order of the cases."""
    cost: Cost | None = None
    """What it took; absent when no case ran."""


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
    seconds_median: float
    """Median wall-clock seconds a case."""
    seconds_start: float
    """Seconds until the model was ready."""
    failed: int
    """Cases whose output was missing or invalid."""
    flags: tuple[str, ...] = ()
    """Sentences that a reader of the row must know, from the run."""
    cost: Cost | None = None
    """What the run took."""
    fairness: Fairness | None = None
    """Values by group, gaps and what they are worth; absent where the task declares no attributes."""

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
