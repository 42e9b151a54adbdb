"""The layout of the store has a version, and older layouts are brought to the present one step by step.

    <store>/store.json      version of the layout; absent in the first one

Layout 1: runs and scores. Layout 2: each run and score has `files.json`, see `manifest`; new ones have `key.json` as well.
A step adds files and changes none, so it may be killed and goes on with what it has not done yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from benchmark import atomic
from benchmark.contract import Record
from benchmark.errors import DataError, InfrastructureError
from benchmark.store import manifest

VERSION = 2
"""Layout that this code writes."""
NAME = "store.json"
LOCK_SECONDS = 600


class StoreInfo(Record):
    """`store.json`."""

    schema_version: int = Field(ge=1)
    """Version of the layout."""


def version_of(root: Path) -> int:
    """Layout of the store at `root`; 0 when there is none.

    Raises `DataError`: `record_invalid` when `store.json` cannot be read, `store_newer` when a later version wrote it.
    """
    try:
        found = StoreInfo.model_validate_json((root / NAME).read_bytes()).schema_version
    except FileNotFoundError:
        return 1 if any(root.glob("runs/[!.]*")) or any(root.glob("scores/[!.]*")) else 0
    except NotADirectoryError:
        raise DataError("record_invalid", f"{root} is no folder", expected="the folder of a store") from None
    except (ValidationError, OSError) as error:
        raise DataError(
            "record_invalid",
            f"{root / NAME} cannot be read",
            expected='{"schema_version": NUMBER}',
            action="Put it back from a copy; `radbench store check` says what else is wrong.",
        ) from error
    if found > VERSION:
        raise DataError("store_newer", f"{root} has layout {found}", expected=f"at most {VERSION}")
    return found


def open_store(root: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Make the store at `root` one of the present layout; the layout that it had before (0: there was none).

    Cheap where nothing is to be done. Raises what `version_of` raises, and `InfrastructureError`: `busy`, `no_space`, `read_only`.
    """
    found = version_of(root)
    if found == VERSION:
        return found
    with atomic.refusals(root):
        root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(root / ".migrate.lock", timeout=LOCK_SECONDS):
                now = version_of(root)
                for version in range(now or VERSION, VERSION):
                    STEPS[version](root, progress)
                    _note(root, version + 1)
                if now == 0:
                    _note(root, VERSION)
        except Timeout:
            raise InfrastructureError("busy", f"another process is bringing {root} to layout {VERSION}") from None
    return found


def _note(root: Path, version: int) -> None:
    atomic.write_json(root / NAME, StoreInfo(schema_version=version).model_dump(mode="json"))


def _add_hashes(root: Path, progress: Callable[[int, int], None] | None) -> None:
    """1 → 2: each folder gets its `files.json`. What was damaged before cannot be told from what was so from the start."""
    folders = [
        *(path.parent for path in sorted(root.glob("runs/[!.]*/run.json"))),
        *(path.parent for path in sorted(root.glob("scores/[!.]*/score.json"))),
    ]
    shown = time.monotonic()
    for number, folder in enumerate(folders, 1):
        if manifest.load_files(folder) is None:
            manifest.seal(folder, migrated=True)
        if progress and (number == len(folders) or time.monotonic() - shown > 0.1):
            shown = time.monotonic()
            progress(number, len(folders))


STEPS: dict[int, Callable[[Path, Callable[[int, int], None] | None], None]] = {1: _add_hashes}
"""What brings a layout to the next one."""
