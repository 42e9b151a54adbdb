"""All that a plan follows from: what was handed in, the tasks, the data by their hashes, what the store holds, what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from benchmark.contract import Case, Method, Task
from benchmark.inbox import Entry
from benchmark.nightly.aftermath import Noted
from benchmark.nightly.quota import Attempt
from benchmark.nightly.turns import Often, Turns
from benchmark.store import Placement


@dataclass(frozen=True)
class Problem:
    """Why something cannot be worked with: one of the declared errors."""

    group: str
    """`submission`, `infrastructure` or `data`."""
    code: str
    """Its code."""
    sentence: str
    """What was found, what was expected, what to do."""


@dataclass(frozen=True)
class EditionState:
    """A data edition by its hashes: all of it that keys depend on, and no file."""

    task: str
    name: str
    cases: tuple[Case, ...]
    """Canary and test cases, in the order in which they run."""
    inputs: str
    """Hash over the inputs of these cases."""
    references: str
    """Hash over the references of these cases."""
    content: str
    """Hash over `dataset.json` and `cases.csv`: all that a page says of it."""
    problem: Problem | None = None
    """What is broken; nothing runs on it then."""

    def hash_of(self, tree: str, cases: Sequence[Case]) -> str:
        """As `dataset.Edition.hash_of`, for all cases that run."""
        assert len(cases) == len(self.cases)
        return self.inputs if tree == "inputs" else self.references


@dataclass(frozen=True)
class Image:
    """What the engine took in for an entry: with it the key of a run is known."""

    digest: str
    """What is run."""
    flags: tuple[str, ...]
    """All besides image, inputs and limits that outputs may depend on."""


@dataclass(frozen=True)
class EntryState:
    """A submission that was handed in, and what is known of it."""

    entry: Entry
    image: Image | None = None
    """Its image as the configured engine took it in; None when it has not yet."""
    refused: Problem | None = None
    """Why it was refused for good, where it was."""


@dataclass(frozen=True)
class BaselineState:
    """A reference model that takes part: a submission that we wrote."""

    task: str
    method: Method
    image: Image


@dataclass(frozen=True)
class Basis:
    """What the keys of a board's runs and scores had in common in an earlier night; only for the words of a plan."""

    inputs: str
    references: str
    limits: str
    metrics: str
    scorer: str


@dataclass(frozen=True)
class State:
    """The state of the workplace at one moment."""

    now: datetime
    """The moment, in UTC."""
    tasks: Mapping[str, Task]
    """Tasks that take part, by name."""
    task_problems: Mapping[str, Problem]
    """Tasks that would take part and cannot."""
    editions: Mapping[str, tuple[EditionState, ...]]
    """By task, the data editions that are prepared."""
    chosen: Mapping[str, tuple[str, ...]]
    """By task, names of the editions that submissions without a phase's edition run on."""
    entries: Sequence[EntryState]
    """What was handed in, in the order in which it came."""
    baselines: Sequence[BaselineState]
    """Reference models that take part."""
    runs: frozenset[str]
    """Keys of the runs in the store."""
    scores: frozenset[str]
    """Keys of the scores in the store."""
    placements: Sequence[Placement]
    """Which run stands for which submission."""
    attempts: Sequence[Attempt]
    """Attempts in the ledger, in its order."""
    gpu: str
    """What runs on a GPU may use; empty: there is none."""
    base_url: str | None
    """Address of the site."""
    code: str
    """Hash of the code that makes numbers and pages."""
    published: str
    """Digest of what went into the site when it was last published; empty when it was not, or the site is not as it was left."""
    before: Mapping[str, Basis] = field(default_factory=dict)
    """By task/edition, how it was when all its work had last been done; only for the words of a plan."""
    last_line: datetime | None = None
    """When the ledger's last line was written, by the clock of then."""
    removed: frozenset[str] = frozenset()
    """Keys of runs whose predictions the retention rule took away: they are run again when a later scorer wants them."""
    handed_in: frozenset[str] = frozenset()
    """Ids of the entries of which the ledger says that they were handed in."""
    turns: Turns = field(default_factory=Turns)
    """When runs ended, and when they were last run again."""
    reproduce: Often = "off"
    """How often one of them is run again."""
    failed_nights: Mapping[str, int] = field(default_factory=dict)
    """By key of a run, in how many nights in a row it failed by our fault."""
    noted: Noted = field(default_factory=Noted)
    """What the ledger says of runs, scores and the site."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """By folder of the inbox that is no whole entry, what is wrong with it."""

    @cached_property
    def standing(self) -> dict[tuple[str, str, str], Placement]:
        """Placements by task, edition and name."""
        return {(p.task, p.edition, p.method.name): p for p in self.placements}
