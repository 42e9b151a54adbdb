"""What came out when a run was last run again: one small record a run, the newest alone. The ledger has all of them.

<store>/reproductions/<inference key>.json
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from benchmark import atomic
from benchmark.contract import Reproduction
from benchmark.errors import DataError


def reproduction_file(root: Path, run: str) -> Path:
    """File of the reproduction of a run."""
    return root / "reproductions" / f"{run}.json"


def load_reproduction(root: Path, run: str) -> Reproduction | None:
    """The newest reproduction of a run; None where there is none. Raises `DataError('record_invalid')`."""
    path = reproduction_file(root, run)
    try:
        return Reproduction.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DataError(
            "record_invalid", f"{path} cannot be read", action="Remove it; the run takes its turn."
        ) from error


def save_reproduction(root: Path, run: str, found: Reproduction) -> None:
    """Put the newest reproduction of a run in the place of the one before. Raises `InfrastructureError`: `no_space`, `read_only`."""
    path = reproduction_file(root, run)
    with atomic.refusals(path):
        atomic.write_json(path, found.model_dump(mode="json"))
