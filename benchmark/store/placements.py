"""Which run stands for which submission: a pointer from (task, edition, submission) to a run of the store.

    <store>/submissions/<task>/<edition>/<name>.json

Two submissions with the same image under the same limits share a run, whose record names the one that came first; the
placement says what each of them says of itself. A placement is replaced when the submission hands in anew; what it was
before stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmark import atomic
from benchmark.contract import Limits, Method, Name, Record
from benchmark.errors import DataError


class Placement(Record):
    """The run that stands for a submission on an edition."""

    schema_version: int = 1
    """Version of this record."""
    method: Method
    """What the submission says of itself."""
    entry: str = ""
    """Id of the inbox entry that it came from; empty for a baseline."""
    task: Name
    """Task name."""
    edition: Name
    """Edition name."""
    run: str
    """Inference key of its run."""
    received: str = ""
    """When it was handed in, in UTC; empty for a baseline."""
    limits: Limits
    """What it ran under: the task's limits, or less where it asked for less."""


def placement_file(store: Path, task: str, edition: str, name: str) -> Path:
    """File of a placement."""
    return store / "submissions" / task / edition / f"{name}.json"


def save_placement(store: Path, placement: Placement) -> bool:
    """Put a placement into the store, in the place of an older one; False when it is there already.

    Raises `InfrastructureError`: `no_space`, `read_only`.
    """
    path = placement_file(store, placement.task, placement.edition, placement.method.name)
    if path.exists() and load_placement(path) == placement:
        return False
    with atomic.refusals(path):
        atomic.write_json(path, placement.model_dump(mode="json"))
    return True


def load_placement(path: Path) -> Placement:
    """The placement in a file. Raises `DataError('record_invalid')` when it cannot be read or lies in the wrong place."""
    try:
        found = Placement.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError, OSError) as error:
        what = f"{error.error_count()} problems" if isinstance(error, ValidationError) else str(error)
        raise DataError("record_invalid", f"{path}: {what}") from error
    if (found.task, found.edition, f"{found.method.name}.json") != (
        path.parent.parent.name,
        path.parent.name,
        path.name,
    ):
        raise DataError(
            "record_invalid",
            f"{path} is that of {found.method.name} on {found.task}/{found.edition}",
            expected="its own",
        )
    return found


def load_placements(store: Path, task: str | None = None, edition: str | None = None) -> Sequence[Placement]:
    """The placements of the store, of one task or of one edition, in order of task, edition and name.

    Raises `DataError('record_invalid')` for one that cannot be read.
    """
    files = sorted((store / "submissions").glob(f"{task or '*'}/{edition or '*'}/[!.]*.json"))
    return [load_placement(path) for path in files]
