"""Where things lie by default: one folder holds data, store and site, and can be moved or deleted as a whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workplace:
    """The folder that radbench works in."""

    root: Path

    @property
    def data(self) -> Path:
        """Prepared editions."""
        return self.root / "data"

    @property
    def store(self) -> Path:
        """Runs and scores."""
        return self.root / "store"

    @property
    def site(self) -> Path:
        """The published leaderboard."""
        return self.root / "site"

    @property
    def ledger(self) -> Path:
        """What happened, see `benchmark.ledger`."""
        return self.root / "ledger.jsonl"

    @property
    def embargo_key(self) -> Path:
        """Secret key of the names of anonymous rows, see `leaderboard.embargo`."""
        return self.store / "embargo.key"

    @property
    def federation_key(self) -> Path:
        """Secret key of the ids in a site's bundles, see `benchmark.federation`."""
        return self.root / "federation.key"

    @property
    def pseudonym_key(self) -> Path:
        """Secret key of the pseudonyms of imported patients, see `benchmark.dicom`."""
        return self.root / "secrets" / "deidentification.key"

    @property
    def inbox(self) -> Path:
        """Submissions that were handed in, see `benchmark.inbox`."""
        return self.root / "inbox"

    @property
    def trials(self) -> Path:
        """What `radbench try` ran, see `benchmark.trial`."""
        return self.root / "trials"

    @property
    def training(self) -> Path:
        """Checkpoints and logs of training."""
        return self.root / "training"


def default() -> Workplace:
    """$RADBENCH_WORK, or `work` in the current folder."""
    return Workplace(Path(os.environ.get("RADBENCH_WORK", "work")))
