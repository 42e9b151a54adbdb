"""What a trial of a submission found, as a record: the organiser's reasons and scores on the canary split, and what they mean."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.contract import Aggregate, CaseCost, Limits, Score
from benchmark.errors import CATALOGUE
from benchmark.record import Record

Outcome = Literal["passed", "failed", "refused"]
"""`passed`: every canary case has a valid output; `failed`: some have none; `refused`: the image would not be taken in."""


class CaseVerdict(Record):
    """What came of one canary case."""

    case: str
    """Case id."""
    ok: bool
    """Whether it has a valid output."""
    code: str = ""
    """Error code when it has none; docs/errors.md lists them."""
    reason: str = ""
    """What was found, what was expected, what to do."""
    hint: str = ""
    """What would explain a surprisingly large error: a flip, an offset of 1024 HU, a scale of [0, 1]."""
    seconds: float = 0.0
    """Wall-clock seconds that the model took."""
    cost: CaseCost | None = None
    """What it took beside its time."""
    scores: tuple[Score, ...] = ()
    """One a metric that has a value by case."""


class Compared(Record):
    """A baseline on the same canary cases."""

    name: str
    """Name of the baseline."""
    title: str
    """Its title on the board."""
    aggregates: tuple[Aggregate, ...]
    """One a metric, over the canary cases."""


class Verdict(Record):
    """`verdict.json`, written by `radbench try`: what the organiser's code says of a submission on the canary split."""

    schema_version: int = 1
    """Version of this record."""
    outcome: Outcome
    """passed, failed or refused."""
    sentence: str
    """The outcome in words, with what it would mean in an organiser's run."""
    code: str = ""
    """Error code of a refusal, or of the first case that failed."""
    task: str
    """Task name."""
    task_version: str
    """Task version."""
    edition: str
    """Data edition."""
    kind: Literal["phantom", "real"]
    """Whether its images are phantoms or of patients."""
    split: Literal["canary"] = "canary"
    """The split that was run; it is public."""
    source: str
    """What was tried: a folder, a manifest, an archive or the name of an image."""
    image: str = ""
    """Digest of the image; empty when it was refused."""
    engine: str = ""
    """Engine and mode, such as `podman/exec`."""
    hardware: str = ""
    """Processor and GPU that it ran on."""
    limits: Limits
    """What the model was allowed."""
    start_seconds: float = 0.0
    """Seconds until the model was ready (invoke mode)."""
    flags: tuple[str, ...] = ()
    """Sentences that a row on the board would carry, such as that the model carried state from case to case."""
    cases: tuple[CaseVerdict, ...] = ()
    """One a canary case."""
    aggregates: tuple[Aggregate, ...] = ()
    """One a metric, over the canary cases: too few of them for a rank."""
    baselines: tuple[Compared, ...] = ()
    """The baselines on the same cases, where they have been run on this machine."""
    notes: tuple[str, ...] = ()
    """What a reader must know: that phantoms are phantoms, how to get the baselines."""
    scorer: str = ""
    """Version and hash of the scoring code; the organiser's shows the same when it gives the same numbers."""
    seconds: float = Field(default=0.0, ge=0)
    """Wall-clock seconds of the whole trial, building included."""

    @property
    def exit_code(self) -> int:
        """Exit status of the command: 0 when it passed, 3 (the submission's) when not."""
        return 0 if self.outcome == "passed" else 3


def refusal(code: str, sentence: str) -> str:
    """The sentence of a verdict when the image is refused."""
    return f"The image would not be taken in ({code}): {sentence}"


def conclusion(cases: tuple[CaseVerdict, ...]) -> tuple[Outcome, str, str]:
    """Outcome, sentence and code for what came of the canary cases, in their order (at least one)."""
    bad = [case for case in cases if not case.ok]
    if not bad:
        return (
            "passed",
            f"All {len(cases)} canary cases have valid outputs. An organiser's run would go on to the test cases.",
            "",
        )
    first = bad[0]
    what = CATALOGUE["submission"][first.code].meaning if first.code in CATALOGUE["submission"] else first.reason
    if not cases[0].ok and all(case.seconds == 0 for case in cases[1:]) and len(cases) > 1:
        meaning = "The first canary case failed, so an organiser's run would stop here: every case would take the worst value."
    else:
        meaning = "In an organiser's run such cases take the worst value of each metric; the others count as they are."
    return (
        "failed",
        f"{len(bad)} of {len(cases)} canary cases have no valid output ({first.code}: {what}) {meaning}",
        first.code,
    )
