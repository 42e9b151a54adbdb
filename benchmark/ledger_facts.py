"""What the ledger may say: one record a kind. A whitelist: what has no field here cannot be written down.

The ledger outlives sealed data and is shown to participants in parts, so nothing in it may come from a container (reasons, logs),
name a sealed case or hold a secret. Hence strings are short single lines, most of them with a pattern, outcomes are codes of
`benchmark.errors`, cases are counted and never named, and what looks like a credential is refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from benchmark.contract import Limits, Name, Record
from benchmark.errors import CATALOGUE

Kind = Literal[
    "submitted",
    "run_started",
    "run_finished",
    "run_failed",
    "scored",
    "published",
    "night_started",
    "night_finished",
    "reproduced",
    "store_changed",
    "attempt",
    "phase",
]
"""What can happen."""
KINDS: tuple[Kind, ...] = get_args(Kind)

Group = Literal["", "submission", "infrastructure", "data", "usage", "bug"]
"""Whose fault an outcome is; empty where nothing failed."""

SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bglpat-[\w-]{20,}"
    r"|\bxox[abprs]-[\w-]{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+|\bhf_[A-Za-z0-9]{30,}|\bbearer\s+\S{8,}"
    r"|(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|credentials?|authorization)[\"']?\s*[=:]\s*\S"
    r"|\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)
"""What credentials look like: keys in PEM, tokens of well-known services, `password=…`, addresses with a password in them."""


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("expected one line of printable characters")
    if SECRETS.search(value):
        raise ValueError("looks like a credential, which the ledger must not hold")
    return value


def _quoted(value: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in value[:200])
    return "(withheld: it looks like a credential)" if SECRETS.search(value) else line


Quoted = Annotated[str, AfterValidator(_quoted), Field(json_schema_extra={"maxLength": 200})]
"""A stranger's words from a manifest: cut to one line, and withheld where they look like a credential, since what a stranger writes
must not stop the night."""
Text = Annotated[str, Field(max_length=300), AfterValidator(_plain)]
"""One printable line of the organiser's or the manifest's words; never a container's."""
Key = Annotated[str, Field(pattern=r"^([0-9a-f]{8,64})?$")]
"""Hash of a run, a score, an inbox entry or an archive; empty for none."""
Digest = Annotated[str, Field(pattern=r"^((sha256:)?[0-9a-f]{8,64})?$")]
"""Image digest, or hash of a baseline; empty for none."""
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+:/-]{0,127}$|^$")]
"""A version, an engine's name or an id; empty for none."""
Time = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d))?$")]
"""A moment in ISO 8601 with its offset; empty for none."""
Count = Annotated[int, Field(ge=0)]


class Facts(Record):
    """Base of the facts: an outcome's code is one of the catalogue's, in its own group."""

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="after")
    def _declared(self) -> Facts:
        group, code = getattr(self, "group", ""), getattr(self, "code", "")
        if group in CATALOGUE and code not in CATALOGUE[group]:
            raise ValueError(f"{code!r} is no code of the group {group!r}")
        if bool(group) != bool(code):
            raise ValueError("group and code come together")
        return self


class Work(Facts):
    """What an event is about: a submission on an edition of a task."""

    task: Name
    """Task name."""
    submission: Name
    """Name of the submission."""
    entry: Key = ""
    """Id of its inbox entry; empty for a baseline."""
    edition: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_.-]{0,63})?$")] = ""
    """Name of the data edition; empty where none is meant."""
    run: Key = ""
    """Inference key of the run; empty where there is none yet."""


class Submitted(Work):
    """Somebody handed in a submission."""

    team: Quoted = ""
    """Who, as the manifest says."""
    received: Time
    """When it came into the inbox."""
    digest: Digest = ""
    """Digest of the image."""


class RunStarted(Work):
    """A container or a baseline is about to run."""

    digest: Digest
    """What is run."""
    engine: Label
    """Engine and mode, such as `podman/invoke`."""
    flags: tuple[Text, ...] = ()
    """The engine's flags that count for the inference key."""
    hardware: Text = ""
    """Processor and GPU."""
    limits: Limits | None = None
    """What each case may use."""
    attempt: Count = 1
    """How often this run has been started, this time included."""


class RunFinished(Work):
    """A run is in the store."""

    cases: Count
    """Cases that it holds."""
    codes: dict[str, Count] = Field(default_factory=dict)
    """Cases that failed, by code of the submission group."""
    seconds: float = Field(default=0, ge=0)
    """Wall-clock seconds of the run."""
    hardware: Text = ""
    """Processor and GPU."""
    reused: bool = False
    """True when the run was in the store already, made by another submission with the same image and limits."""

    @model_validator(mode="after")
    def _codes(self) -> RunFinished:
        unknown = sorted(set(self.codes) - set(CATALOGUE["submission"]))
        if unknown:
            raise ValueError(f"no codes of the submission group: {', '.join(map(repr, unknown))}")
        return self


class RunFailed(Work):
    """A run could not be carried out; failures of single cases are in `run_finished`."""

    group: Group
    """Whose fault it is."""
    code: Label
    """Code of the error; for a bug the name of the exception's type."""
    retry: bool = False
    """Whether it will be tried again by itself."""
    attempt: Count = 1
    """How often this run has been started, this time included."""
    seconds: float = Field(default=0, ge=0)
    """Wall-clock seconds until it failed."""


class Scored(Work):
    """A run was scored."""

    score: Key
    """Scoring key."""
    scorer: Label
    """Version and hash of the scoring code."""


class Published(Facts):
    """The site has a new edition."""

    edition: Label
    """Id of the site's edition."""
    boards: tuple[Label, ...] = ()
    """Its boards, as task/edition."""


class NightStarted(Facts):
    """A night begins."""

    night: Label
    """Its id."""
    tasks: tuple[Name, ...] = ()
    """Tasks that it looks after."""
    planned: dict[Label, Count] = Field(default_factory=dict)
    """Work that was planned, by sort."""
    version: Label = ""
    """Version of radbench."""


class NightFinished(Facts):
    """A night ended by itself."""

    night: Label
    """Its id."""
    exit_code: Count
    """0 nothing to say, 1 needs a person, 2 broke."""
    done: dict[Label, Count] = Field(default_factory=dict)
    """Work that was done, by sort."""
    failed: dict[Label, Count] = Field(default_factory=dict)
    """What failed, by code."""
    seconds: float = Field(default=0, ge=0)
    """Wall-clock seconds."""


class Reproduced(Work):
    """An archived submission was run again."""

    same: bool
    """Whether every output came out byte for byte."""
    within: bool = True
    """Whether what differs does so within the tolerance; False also where it could not be run."""
    largest: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Largest absolute difference of a metric."""
    metric: Label = ""
    """Metric that differs most."""
    group: Group = ""
    """Group of the error for which there is nothing to compare; empty where it ran."""
    code: Label = ""
    """Code of that error; of a bug the name of the exception's type."""


class StoreChanged(Facts):
    """Something of the store was removed, added from elsewhere, or brought to a newer layout."""

    what: Literal["gc", "import", "migrate", "pin", "unpin"]
    """What was done."""
    runs: Count = 0
    """Runs that it concerns."""
    scores: Count = 0
    """Scores that it concerns."""
    bytes: Count = 0
    """Bytes that were removed or added."""
    archive: Key = ""
    """Hash of the archive of an import."""
    subject: Label = ""
    """What was pinned or unpinned."""
    schema_from: Count | None = None
    """Layout before a migration."""
    schema_to: Count | None = None
    """Layout after it."""


class Attempt(Work):
    """Whether a run costs the participant an attempt."""

    counted: bool
    """Whether it counts."""
    why: Literal["ran", "submission_failed", "infrastructure", "data", "duplicate", "reused", "organiser"]
    """`ran`: it was run to its end; `submission_failed`: it was the participant's fault; `infrastructure` and `data`: ours;
    `duplicate`: the same entry was counted before; `reused`: another submission's run was taken; `organiser`: by decision."""
    group: Group = ""
    """Group of the error that ended it."""
    code: Label = ""
    """Code of that error."""
    phase: Label = ""
    """Phase of the task that it counts in."""


class Phase(Facts):
    """A task's phase opened, closed or changed."""

    task: Name
    """Task name."""
    phase: Label
    """Name of the phase."""
    state: Literal["opened", "closed", "changed"]
    """What happened."""
    opens: Time = ""
    """When it opens."""
    closes: Time = ""
    """When it closes."""
    per_week: Count | None = None
    """Attempts that a submission has in a week; absent for no limit."""


RECORDS: dict[Kind, type[Facts]] = {
    "submitted": Submitted,
    "run_started": RunStarted,
    "run_finished": RunFinished,
    "run_failed": RunFailed,
    "scored": Scored,
    "published": Published,
    "night_started": NightStarted,
    "night_finished": NightFinished,
    "reproduced": Reproduced,
    "store_changed": StoreChanged,
    "attempt": Attempt,
    "phase": Phase,
}
"""The record of each kind's facts."""
