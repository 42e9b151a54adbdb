"""A task, as its `task.toml` declares it: sockets, metrics, ranking, fairness, limits, display."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from benchmark.contract.names import Name, SocketKind
from benchmark.contract.phase import Phase, check_phases
from benchmark.record import Record


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
    attributes_by_case: bool = False
    """Whether the attributes of single sealed patients are published, under anonymous ids, so that anyone can take the audit again. Done
    only where every combination that occurs is shared by at least `minimum` patients. Phantoms' are always published."""

    def smallest(self, kind: str) -> int:
        """Patients of the smallest group that is shown of an edition of that kind, `phantom` or `real`."""
        return self.minimum_phantom if kind == "phantom" else self.minimum


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
    labels: dict[int, str] = Field(default_factory=dict)
    """Names of a segmentation's labels by value, for the legend; a label without one is shown as its number."""


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
    beside: str = ""
    """Id of the task's metric that comes nearest: its values are shown beside the claim. Empty: those of the first metric alone."""


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
    phases: tuple[Phase, ...] = ()
    """When submissions are taken and how many of a team; none: at all times, in any number."""

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
            *(("claims.beside", claim.beside, ids) for claim in self.claims if claim.beside),
            *(("ranking.attributes", name, attributes) for name in self.ranking.attributes),
            *(
                ("fairness.crossings", name, attributes)
                for crossing in self.fairness.crossings or ()
                for name in crossing
            ),
            *((f"outputs.{s.slug}.like", s.like, [r.slug for r in self.references]) for s in self.outputs if s.like),
        ]
        check_phases(self.phases)
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
