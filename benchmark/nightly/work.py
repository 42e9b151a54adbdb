"""What a plan is made of: pieces of work, each with its key, why it is due, and what it waits for; and who has to wait."""

from __future__ import annotations

from datetime import datetime

from benchmark.contract import Limits
from benchmark.record import Record
from benchmark.store import Placement


class TakeIn(Record):
    """Take an image in and check it. Its run is planned once this is done, since its key depends on what is found."""

    key: str
    """`image:` and the id of the entry."""
    entry: str
    """Id of the inbox entry."""
    name: str
    """Name of the submission."""
    task: str
    """Task name."""
    why: str
    """Why it is due."""


class Run(Record):
    """Run an image, or a reference model, on the cases of an edition."""

    key: str
    """Inference key."""
    task: str
    """Task name."""
    edition: str
    """Edition name."""
    digest: str
    """What is run."""
    flags: tuple[str, ...]
    """All besides image, inputs and limits that outputs may depend on."""
    limits: Limits
    """What it may use."""
    names: tuple[str, ...]
    """Submissions whose rows wait for it, the first that was handed in first."""
    entry: str
    """Id of the inbox entry that is run; empty for a reference model."""
    received: str
    """When the oldest of them was handed in; empty for a reference model."""
    why: str
    """Why it is due."""
    waits_for: tuple[str, ...] = ()
    """Keys of work that must be done before."""


class ScoreRun(Record):
    """Score a run. No container is started for it."""

    key: str
    """Scoring key."""
    run: str
    """Inference key of the run."""
    task: str
    """Task name."""
    edition: str
    """Edition name."""
    names: tuple[str, ...]
    """Submissions whose rows wait for it."""
    why: str
    """Why it is due."""
    waits_for: tuple[str, ...] = ()
    """Keys of work that must be done before."""


class Place(Record):
    """Make a run stand for a submission, from where the board takes it."""

    key: str
    """Task, edition and name of the submission."""
    placement: Placement
    """Which run stands for which submission."""
    phase: str = ""
    """Phase of the task in which the attempt counts; empty where it has none."""
    counts: bool = False
    """Whether the submission's attempt is counted with it."""
    why: str
    """Why it is due."""
    waits_for: tuple[str, ...] = ()
    """Keys of work that must be done before."""


class Publish(Record):
    """Make the site anew."""

    digest: str
    """Hash of all that goes into it; empty while work that changes it is due."""
    why: str
    """Why it is due."""
    waits_for: tuple[str, ...] = ()
    """Keys of work that must be done before."""


class Reproduce(Record):
    """Run an archived run again, and compare."""

    key: str
    """Inference key of the run."""
    task: str
    """Task name."""
    edition: str
    """Edition name."""
    name: str
    """Submission."""
    entry: str
    """Id of its inbox entry; empty for a reference model."""
    flags: tuple[str, ...]
    """All besides image and inputs that outputs may depend on."""
    why: str
    """Why it is its turn."""


class Waiting(Record):
    """A submission that does not run, and why."""

    entry: str
    """Id of the inbox entry."""
    name: str
    """Name of the submission."""
    team: str
    """Who handed it in."""
    task: str
    """Task name."""
    phase: str = ""
    """Phase of the task; empty where it has none or it belongs to none."""
    code: str = ""
    """Error code, where it was refused."""
    sentence: str
    """Why, in a sentence for the participant."""
    until: datetime | None = None
    """From when on it runs, where that is known."""
    final: bool = False
    """Whether it will never run."""
    person: bool = False
    """Whether the organiser must do something."""


class Stopped(Record):
    """A task or an edition on which nothing is done, and why."""

    task: str
    """Task name."""
    edition: str = ""
    """Edition name; empty for the whole task."""
    code: str
    """Error code."""
    sentence: str
    """What is broken and what to do."""


class Plan(Record):
    """All that is due. The same state gives the same plan."""

    take_ins: tuple[TakeIn, ...] = ()
    """Images to take in, oldest first."""
    runs: tuple[Run, ...] = ()
    """Runs, those for which most rows wait first, then the oldest."""
    scores: tuple[ScoreRun, ...] = ()
    """Scores, in the order of their runs."""
    places: tuple[Place, ...] = ()
    """Rows that change."""
    publish: Publish | None = None
    """Whether the site is made anew."""
    reproduce: Reproduce | None = None
    """The archived run whose turn it is, if it is time for one."""
    waiting: tuple[Waiting, ...] = ()
    """Submissions that do not run."""
    stopped: tuple[Stopped, ...] = ()
    """Tasks and editions that are broken."""
    shown: str
    """Hash of all that a page shows, as it stands now."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.take_ins or self.runs or self.scores or self.places or self.publish or self.reproduce)
