"""What one night notes for the next, in `<work>/nights/memory/`. All of it is derived: it may be deleted, and costs time only.

    editions.json    by edition: size and time of each file when it was last hashed, so that only what changed is hashed again
    images.json      by engine and entry: what was taken in
    refused.json     by entry: why its image was refused for good
    failures.json    by key: in how many nights in a row it failed by our fault
    basis.json       what keys had in common when all work was done, for the words of a plan
    published.json   what went into the site, and the hash of what it was left as

`refused.json` alone is more than a cache: without it, a refused image is looked at again and refused again (not counted twice).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Literal

from benchmark import atomic
from benchmark.workplace import Workplace

Part = Literal["editions", "images", "refused", "failures", "basis", "published"]


class Memory:
    """The notes of a workplace. A file that cannot be read counts as none."""

    def __init__(self, work: Workplace) -> None:
        self.folder = work.root / "nights" / "memory"

    def load(self, part: Part) -> dict[str, Any]:
        """A part as it was last saved; empty where there is none."""
        with suppress(OSError, ValueError):
            found = json.loads((self.folder / f"{part}.json").read_text("utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    def save(self, part: Part, value: dict[str, Any]) -> None:
        """Put a part in the place of what was there; nothing is written where it is the same."""
        if self.load(part) != value:
            atomic.write_text(self.folder / f"{part}.json", json.dumps(value, sort_keys=True, separators=(",", ":")))
