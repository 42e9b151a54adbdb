"""`docs/errors.md`, made from the catalogue: `python -m benchmark.errors_document` writes it, a test keeps it current."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark import errors
from benchmark.errors import CATALOGUE, Kind, RadbenchError

TARGET = Path(__file__).parents[1] / "docs" / "errors.md"


@dataclass(frozen=True)
class Group:
    """What all codes of one type of error have in common."""

    type: type[RadbenchError]
    title: str
    fault: str
    """Whose it is."""
    attempt: str
    """Whether it counts as an attempt."""
    consequence: str
    """What the harness does."""


GROUPS: dict[str, Group] = {
    "submission": Group(
        errors.SubmissionError,
        "The submission's",
        "the participant's",
        "yes",
        "It is shown to the participant. A case takes the worst value of each metric with the code as its reason; other cases go on. "
        "What is refused before anything runs (a manifest, an image) is refused as a whole, and `radbench submit` leaves nothing "
        "in the inbox.",
    ),
    "infrastructure": Group(
        errors.InfrastructureError,
        "The infrastructure's",
        "the organiser's",
        "no",
        "No result is written. The run goes on where it stopped when it is started again.",
    ),
    "data": Group(
        errors.DataError,
        "The task's or its data's",
        "the organiser's",
        "no",
        "It stops the work on that task, not on the others.",
    ),
    "usage": Group(
        errors.UsageError,
        "The call's",
        "whoever typed the command",
        "no",
        "Nothing was run.",
    ),
}
"""By group of the catalogue, in display order."""

INTRODUCTION = """\
# Errors

This page is generated from the catalogue in `benchmark/errors.py`; `python -m benchmark.errors_document` writes it.

Every error that a person can meet has a code that never changes its meaning. Its message says what was found, what was expected
and what to do. Four types decide what happens next; the exit status of `radbench` tells them apart.

An attempt is a run of a submission by the organiser. `radbench try`, `radbench score` and `radbench submit` never count as one,
whatever they find.

| type | whose fault | counts as an attempt | exit status |
| --- | --- | --- | --- |
"""

BUG = """\
Anything else is a bug in radbench (exit status 70): the message names a file with the details, and the submission is not to blame.
"""


EXIT_CODES = """\
## Exit codes

One convention for all commands; scripts need no more. An error is one line on standard error, `TYPE error [CODE]: …`.

| exit code | meaning |
| --- | --- |
| 0 | done, and nothing is wrong with what was looked at |
| 1 | looked, and a person must: `doctor` finds the machine unfit, `nightly` has something to say |
| 2 | the call: what it names is not there (a task, a submission, a file, a work folder, or anything in it to work on), or is out of range |
| 3 | the submission: of `try` and `run`, it failed or was refused; `submit` left nothing in the inbox |
| 4 | the infrastructure: run it again when that is mended |
| 5 | the data: an edition that is not prepared or is broken; a store, ledger, site, archive or bundle that is not what its hashes say |
| 70 | a bug in radbench |
| 130 | ended from outside, by Ctrl-C or TERM |
| 141 | whoever read the output stopped reading |

`radbench nightly` is for cron and answers with three: 0 nothing to say, 1 a person must look, 2 broke ([organisers.md](organisers.md));
`nightly --dry-run` follows the table.
"""


def render(catalogue: Mapping[str, Mapping[str, Kind]] = CATALOGUE) -> str:
    """The page as Markdown, a table for each type."""
    rows = [
        f"| `{group.type.__name__}` | {group.fault} | {group.attempt} | {group.type.exit_code} |"
        for group in GROUPS.values()
    ]
    parts = [INTRODUCTION + "\n".join(rows) + "\n", BUG]
    for name, kinds in catalogue.items():
        group = GROUPS[name]
        parts.append(f"## {group.title}: `{group.type.__name__}`\n")
        parts.append(f"{group.consequence}\n")
        parts.append(_table(kinds.values(), group))
    parts.append(EXIT_CODES)
    return "\n".join(parts)


def _table(kinds: Iterable[Kind], group: Group) -> str:
    lines = ["| code | meaning | whose fault | attempt | what to do |", "| --- | --- | --- | --- | --- |"]
    for kind in sorted(kinds, key=lambda kind: kind.code):
        cells = (f"`{kind.code}`", kind.meaning, group.fault, group.attempt, kind.action)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"{TARGET}: {sum(map(len, CATALOGUE.values()))} codes")
