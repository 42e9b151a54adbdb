"""What the retention rule must leave alone: runs by key, submissions by name.

<store>/pins.json
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from benchmark import atomic
from benchmark.contract import Record
from benchmark.errors import DataError

FILE = "pins.json"


class Pins(Record):
    """`pins.json`."""

    schema_version: int = 1
    """Version of this record."""
    pinned: tuple[str, ...] = ()
    """Inference keys and names of submissions, sorted."""


def load_pins(root: Path) -> frozenset[str]:
    """What is pinned. Raises `DataError('record_invalid')`."""
    path = root / FILE
    try:
        return frozenset(Pins.model_validate_json(path.read_bytes()).pinned)
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValidationError) as error:
        raise DataError("record_invalid", f"{path} cannot be read", expected='{"pinned": [NAME, …]}') from error


def pins_text(pinned: Iterable[str]) -> bytes:
    """`pins.json` of these."""
    return atomic.json_text(Pins(pinned=tuple(sorted(pinned))).model_dump(mode="json")).encode()


def set_pin(root: Path, subject: str, pinned: bool = True) -> bool:
    """Pin a run or a submission, or let go of it; False when that is so already.

    Raises `DataError('record_invalid')`, `InfrastructureError`: `no_space`, `read_only`.
    """
    before = load_pins(root)
    after = before | {subject} if pinned else before - {subject}
    if after == before:
        return False
    with atomic.refusals(root / FILE):
        atomic.write_bytes(root / FILE, pins_text(after))
    return True
