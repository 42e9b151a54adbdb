"""What the templates show, worked out beforehand: templates lay out, they do not compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from markupsafe import Markup

from benchmark.contract import Aggregate, Board, Method, MetricInfo, Row
from leaderboard import numbers
from leaderboard.charts import bars
from leaderboard.charts.svg import shorten
from leaderboard.records import BoardData, CanaryCase
from leaderboard.scale import Scale, scale_of
from leaderboard.shown import Strip, compared

KINDS = {
    "phantom": (
        "Phantom",
        "Phantom data: images made by formula, not taken from patients. Scores say nothing about patients.",
    ),
    "real": ("Real sample", "Real sample: a few images of patients, too few to speak for a clinic."),
}
"""Badge and sentence for each kind of data."""

SPLITS = {
    "test": "test cases",
    "canary": "canary cases (public)",
    "val": "validation cases (public)",
    "train": "training cases (public)",
}

FAMILIES = {
    "classical": "classical",
    "unet": "U-Net",
    "gan": "GAN",
    "vae": "VAE",
    "diffusion": "diffusion",
    "transformer": "transformer",
    "other": "other",
}

RULES = {
    "mean_of_ranks": "the mean of the ranks",
    "rank_of_means": "the rank of the mean",
    "significance": "the number of significant wins",
    "synthrad2023": "the sum of min–max-normalised values, as in SynthRAD2023,",
    "performance_and_fairness": "performance and fairness together",
}

MODELS = {"traditional": "Classical", "learned": "Learned", "generative": "Generative", "other": "Other"}
"""Kinds of model as the front's question has them, in the order of its figure."""

STATUS = {
    "ok": "",
    "both_empty": "both empty",
    "pred_empty": "prediction empty",
    "ref_empty": "reference empty",
    "missing": "missing",
    "invalid": "invalid",
    "excluded": "excluded for all",
}


TIED, NAME, NAMES = 4, 28, 64
"""So many at most are named that a row is tied with; characters of a name there, and of all of them together."""

NONE = "none: "
"""How an aggregate says that it has no interval, and why."""


def about(line: Line) -> str:
    """What stands below a method's name: kind of model, and whose."""
    method = line.row.method
    whose = "reference model" if method.baseline else method.team
    return " · ".join(part for part in (line.family, line.sort_of_model, whose) if part)


def kind_of(method: Method) -> str:
    """`traditional`, `generative`, `learned` (trained, but not generative) or `other`: the key of `MODELS`."""
    if method.generative:
        return "generative"
    return {"classical": "traditional", "other": "other"}.get(method.family, "learned")


@dataclass(frozen=True)
class Column:
    """A metric as a column of the table."""

    info: MetricInfo
    places: int
    scale: Scale | None
    ranked: bool

    @property
    def arrow(self) -> str:
        """Where the better values lie on the scale, which runs from left to right."""
        return "→" if self.info.direction == "higher" else "←"

    @property
    def better(self) -> str:
        return f"{self.info.direction} is better"

    @cached_property
    def ends(self) -> tuple[str, str]:
        """The scale as it is written under the heading."""
        if self.scale is None:
            return ("", "")
        return numbers.number(self.scale.low, self.scale.places), numbers.number(self.scale.high, self.scale.places)

    @cached_property
    def options(self) -> list[tuple[str, object]]:
        """What the task fixes, without what it leaves open."""
        return [(key, value) for key, value in sorted(self.info.options.items()) if value is not None]

    def text(self, value: float) -> str:
        return numbers.number(value, self.places)

    def span(self, low: float, high: float) -> str:
        return numbers.span(low, high, self.places)


@dataclass(frozen=True)
class Cell:
    """One aggregate in the table."""

    aggregate: Aggregate
    column: Column

    @property
    def bar(self) -> Markup:
        """The interval, drawn to the column's scale."""
        a = self.aggregate
        return bars.bar(self.column.scale, a.value, a.low, a.high)

    @property
    def beyond(self) -> bool:
        """Whether the value lies beyond the scale, where an arrow stands for it."""
        scale = self.column.scale
        return scale is not None and scale.side(self.aggregate.value) != ""

    @property
    def value(self) -> str:
        return self.column.text(self.aggregate.value)

    @property
    def span(self) -> str:
        return numbers.span(self.aggregate.low, self.aggregate.high, self.column.places)

    @property
    def sort(self) -> str:
        return repr(self.aggregate.value)

    @property
    def words(self) -> str:
        a, unit = self.aggregate, self.column.info.unit
        return f"{numbers.percent(a.level)} interval {self.span}{' ' + unit if unit else ''}"


@dataclass(frozen=True)
class Line:
    """A row of the board as it is shown."""

    row: Row
    cells: tuple[Cell, ...]
    href: str
    """Path of its page in the snapshot."""
    tied: tuple[str, ...]
    """Titles of what it is tied with."""

    @property
    def rank(self) -> str:
        return numbers.rank(self.row.rank)

    @property
    def beyond(self) -> bool:
        """Whether any value lies beyond its column's scale."""
        return any(cell.beyond for cell in self.cells)

    @property
    def tied_text(self) -> str:
        """With whom it is tied; with many, the first ones and how many more."""
        named: list[str] = []
        for title in self.tied[:TIED]:
            short = shorten(title, NAME)
            if named and sum(map(len, named)) + len(short) > NAMES:
                break
            named.append(short)
        more = len(self.tied) - len(named)
        return f"tied with {', '.join(named)}{f' and {more} more' if more > 0 else ''}"

    @property
    def rank_span(self) -> str:
        return numbers.rank_span(self.row.rank_low, self.row.rank_high)

    @property
    def family(self) -> str:
        return FAMILIES[self.row.method.family]

    @property
    def kind(self) -> str:
        """Kind of model, a key of `MODELS`."""
        return kind_of(self.row.method)

    @property
    def anchor(self) -> str:
        """Id of its row in the table; the prefix keeps it apart from the page's own ids."""
        return f"s-{self.row.method.name}"

    @property
    def sort_of_model(self) -> str:
        """Whether it is generative, which the family alone does not say; empty where not."""
        return "generative" if self.row.method.generative else ""

    @property
    def valid(self) -> int:
        return max((a.n for a in self.row.aggregates), default=0) - self.row.failed

    @property
    def seconds(self) -> str:
        return numbers.seconds(self.row.seconds_median)


@dataclass(frozen=True)
class BoardView:
    """A board as the templates see it."""

    slug: str
    board: Board
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    strips: tuple[Strip, ...] = field(default=())
    has_cases: bool = False
    """Whether there is a page of cases."""
    pictured: bool = False
    """Whether there are public cases with pictures."""

    @property
    def folder(self) -> str:
        return f"tasks/{self.slug}/"

    @property
    def badge(self) -> str:
        return KINDS[self.board.dataset.kind][0]

    @property
    def warning(self) -> str:
        return KINDS[self.board.dataset.kind][1]

    @property
    def split(self) -> str:
        return SPLITS[self.board.split]

    @property
    def data(self) -> str:
        """Kind of the data and the edition's name: `phantom data (edition phantom-2)`."""
        return f"{self.badge.lower()} data (edition {self.board.dataset.edition})"

    @cached_property
    def on(self) -> str:
        """What the numbers stand on, for captions: kind and edition of the data, and how many cases."""
        return f"{self.data}, {self.cases}"

    @property
    def standing(self) -> str:
        """The same as a sentence of its own."""
        return f"{self.on[:1].upper()}{self.on[1:]}."

    @cached_property
    def cases(self) -> str:
        """How many cases of which split: `24 test cases`."""
        n = self.board.dataset.counts.get(self.board.split)
        if n is None:
            n = max((a.n + a.n_excluded for row in self.board.rows for a in row.aggregates), default=0)
        return f"{n} {self.split if n != 1 else self.split.replace('cases', 'case')}"

    @cached_property
    def levels(self) -> str:
        """The intervals' level, `95 %`; several, joined, where they differ."""
        found = sorted({a.level for row in self.board.rows for a in row.aggregates}) or [0.95]
        return " or ".join(map(numbers.percent, found))

    @cached_property
    def rule(self) -> str:
        ids = self.board.task.ranking.metrics
        titles = [c.info.title for c in self.columns if c.info.id in ids]
        joint = "; " if any("," in title for title in titles) else ", "
        return f"{RULES[self.board.task.ranking.rule]} over {joint.join(titles)}"

    @cached_property
    def intervals(self) -> str:
        """How the intervals were made, in the aggregates' own words."""
        made = sorted({(a.level, a.method) for row in self.board.rows for a in row.aggregates})
        words = [f"{numbers.percent(level)} {method}".strip() for level, method in made if not method.startswith(NONE)]
        words += [f"none where {why}" for why in sorted({m.removeprefix(NONE) for _, m in made if m.startswith(NONE)})]
        return numbers.grouped("; ".join(words))

    @cached_property
    def beyond(self) -> bool:
        """Whether a row lies beyond a column's scale, so that the page must say what the arrow means."""
        return any(line.beyond for line in self.lines)

    @property
    def audited(self) -> bool:
        """Whether there is a page of fairness."""
        return self.board.population is not None and bool(self.lines)

    @cached_property
    def limits(self) -> str:
        """What a model may use for a case."""
        limits = self.board.task.limits
        gpu = f"{limits.gpu_memory_mb} MiB of GPU memory, " if limits.gpu_memory_mb else ""
        return (
            f"{numbers.plain(limits.seconds)} s, {limits.memory_mb} MiB of memory, {gpu}{numbers.plain(limits.cpus)} cores, "
            f"{limits.output_mb} MiB of output; {numbers.plain(limits.start_seconds)} s to start"
        )

    def tau(self, rule: str) -> str:
        """Kendall's τ between a rule and the task's own."""
        own = self.board.task.ranking.rule
        taus = self.board.agreement.taus if self.board.agreement else ()
        if rule == own:
            return "1.00"
        found = next((t.tau for t in taus if {t.first, t.second} == {rule, own}), None)
        return "—" if found is None else numbers.number(found, 2)

    @property
    def best(self) -> tuple[Line, ...]:
        """The first three, for the front."""
        return self.lines[:3]


def slugs(boards: Sequence[BoardData]) -> list[str]:
    """Folder of each board below `tasks/`: the task's name; further boards of a task add the edition, then the split.

    `@` cannot occur in a name, so no two boards meet in one folder.
    """
    taken: list[str] = []
    for data in boards:
        board = data.board
        short = board.task.name
        options = (short, f"{short}@{board.dataset.edition}", f"{short}@{board.dataset.edition}@{board.split}")
        free = next((slug for slug in options if slug not in taken), None)
        if free is None:
            raise ValueError(f"{options[-1]}: two boards of one task, edition and split")
        taken.append(free)
    return taken


def pictured(data: BoardData) -> bool:
    """Whether a board has public cases with something to look at."""
    return bool(data.canary) and compared(data.board.task) is not None


def board_view(data: BoardData, slug: str) -> BoardView:
    """A board without its pictures."""
    board = data.board
    by_row = [{a.metric: a for a in row.aggregates} for row in board.rows]
    columns = []
    for metric in board.metrics:
        aggregates = [own[metric.id] for own in by_row]
        columns.append(
            Column(
                metric,
                numbers.decimals(metric.unit, aggregates),
                scale_of(aggregates, metric),
                metric.id in board.task.ranking.metrics,
            )
        )
    titles = {row.method.name: row.method.title for row in board.rows}
    lines = tuple(
        Line(
            row,
            tuple(Cell(own[column.info.id], column) for column in columns),
            f"tasks/{slug}/submissions/{row.method.name}/index.html",
            tuple(titles.get(name, name) for name in row.tied_with),
        )
        for row, own in zip(board.rows, by_row, strict=True)
    )
    return BoardView(
        slug, board, tuple(columns), lines, has_cases=bool(data.cases or data.canary), pictured=pictured(data)
    )


def canary_values(canary: CanaryCase, name: str, columns: Sequence[Column]) -> tuple[tuple[tuple[str, str], ...], str]:
    """Pairs of metric title and value with unit for one canary case, and the reason where it failed."""
    own = {s.metric: s for s in canary.scores.get(name, ()) if s.case == canary.case.id}
    pairs = [
        (c.info.title, c.text(own[c.info.id].value) + (f" {c.info.unit}" if c.info.unit else ""))
        for c in columns
        if c.info.id in own and not math.isnan(own[c.info.id].value)
    ]
    reasons = dict.fromkeys(s.reason or STATUS[s.status] for s in own.values() if s.status in ("missing", "invalid"))
    return tuple(pairs), " ".join(reasons)
