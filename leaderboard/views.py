"""What the templates show, worked out beforehand: templates lay out, they do not compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.contract import Aggregate, Board, MetricInfo, Row, Score
from leaderboard import numbers
from leaderboard.records import BoardData, CanaryCase
from leaderboard.scale import Scale, scale_of

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
}

STATUS = {
    "ok": "",
    "both_empty": "both empty",
    "pred_empty": "prediction empty",
    "ref_empty": "reference empty",
    "missing": "missing",
    "invalid": "invalid",
    "excluded": "excluded for all",
}


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

    @property
    def ends(self) -> tuple[str, str]:
        """The scale as it is written under the heading."""
        if self.scale is None:
            return ("", "")
        return numbers.number(self.scale.low, self.scale.places), numbers.number(self.scale.high, self.scale.places)

    def text(self, value: float) -> str:
        return numbers.number(value, self.places)


@dataclass(frozen=True)
class Cell:
    """One aggregate in the table; coordinates are those of `Scale`."""

    aggregate: Aggregate
    column: Column
    x: float | None
    x_low: float | None
    x_high: float | None

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
    def rank_span(self) -> str:
        return numbers.rank_span(self.row.rank_low, self.row.rank_high)

    @property
    def family(self) -> str:
        return FAMILIES[self.row.method.family]

    @property
    def sort_of_model(self) -> str:
        """As the page asks "traditional or generative?"; empty for what is neither."""
        method = self.row.method
        return "generative" if method.generative else "traditional" if method.family == "classical" else ""

    @property
    def valid(self) -> int:
        return max((a.n for a in self.row.aggregates), default=0) - self.row.failed

    @property
    def seconds(self) -> str:
        return numbers.seconds(self.row.seconds_median)


@dataclass(frozen=True)
class CaseLine:
    """One case of one submission: a value for each metric, and how it came about where it is not plain."""

    case: str
    values: tuple[str, ...]
    sorts: tuple[str, ...]
    status: str
    reason: str

    @property
    def failed(self) -> bool:
        return self.status in (STATUS["missing"], STATUS["invalid"])


@dataclass(frozen=True)
class Shown:
    """A picture on a page."""

    path: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class StripCell:
    """A submission's part of a strip."""

    name: str
    title: str
    href: str
    prediction: Shown | None
    error: Shown | None
    values: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True)
class Strip:
    """All pictures of one canary case."""

    case: str
    input: Shown
    reference: Shown
    cells: tuple[StripCell, ...]
    marks: tuple[str, str, str, str]
    slice_text: str
    window: str
    input_window: str
    error_window: tuple[str, str, str]
    unit: str
    overlay: bool
    masked: bool

    def cell(self, name: str) -> StripCell | None:
        return next((cell for cell in self.cells if cell.name == name), None)


@dataclass(frozen=True)
class BoardView:
    """A board as the templates see it."""

    slug: str
    board: Board
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    cases: Mapping[str, tuple[CaseLine, ...]]
    strips: tuple[Strip, ...] = field(default=())

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
    def rule(self) -> str:
        ids = self.board.task.ranking.metrics
        titles = [c.info.title for c in self.columns if c.info.id in ids]
        return f"{RULES[self.board.task.ranking.rule]} over {', '.join(titles)}"

    @property
    def intervals(self) -> str:
        """How the intervals were made, in the aggregates' own words."""
        made = sorted({(a.level, a.method) for row in self.board.rows for a in row.aggregates})
        return "; ".join(f"{numbers.percent(level)} {method}".strip() for level, method in made)

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


def board_view(data: BoardData, slug: str) -> BoardView:
    """A board without its pictures."""
    board = data.board
    columns = []
    for metric in board.metrics:
        aggregates = [row.aggregate(metric.id) for row in board.rows]
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
            tuple(_cell(row.aggregate(column.info.id), column) for column in columns),
            f"tasks/{slug}/submissions/{row.method.name}/index.html",
            tuple(titles.get(name, name) for name in row.tied_with),
        )
        for row in board.rows
    )
    cases = {
        row.method.name: case_lines(data.scores.get(row.method.name, ()), [case.id for case in data.cases], columns)
        for row in board.rows
    }
    return BoardView(slug, board, tuple(columns), lines, cases)


def _cell(aggregate: Aggregate, column: Column) -> Cell:
    scale = column.scale
    if scale is None:
        return Cell(aggregate, column, None, None, None)
    return Cell(aggregate, column, scale.x(aggregate.value), scale.x(aggregate.low), scale.x(aggregate.high))


def case_lines(scores: Sequence[Score], order: Sequence[str], columns: Sequence[Column]) -> tuple[CaseLine, ...]:
    """The per-case table of a submission, wide; cases in the given order, then any that the order does not name."""
    table: dict[str, dict[str, Score]] = {}
    for score in scores:
        table.setdefault(score.case, {})[score.metric] = score
    known = [case for case in order if case in table]
    return tuple(_case_line(case, table[case], columns) for case in [*known, *sorted(table.keys() - set(known))])


def _case_line(case: str, scores: Mapping[str, Score], columns: Sequence[Column]) -> CaseLine:
    values, sorts = [], []
    for column in columns:
        score = scores.get(column.info.id)
        shown = score is not None and score.status != "excluded"
        values.append(column.text(score.value) if score is not None and shown else "—")
        sorts.append(repr(score.value) if score is not None and shown else "")
    odd = [s for s in scores.values() if s.status != "ok"]
    # A missing or invalid output is the same for all metrics; an emptiness may concern one alone, so all are named.
    return CaseLine(
        case,
        tuple(values),
        tuple(sorts),
        ", ".join(dict.fromkeys(STATUS[s.status] for s in odd)),
        " ".join(dict.fromkeys(s.reason for s in odd if s.reason)),
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
