"""What the harness hands to the site, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.contract import Board, Case, Score
from benchmark.image import Volume
from leaderboard.setparts import Parts

Content = Volume | Mapping[str, Any]
"""What a case has to be scored: a volume, or the JSON of points (see `benchmark.points`), as its socket declares."""


@dataclass(frozen=True)
class CanaryCase:
    """A public case of which pictures may be shown. Loaders are called once each, when the picture is made."""

    case: Case
    """The case; its split must be `canary`, nothing else is ever pictured."""
    input: Callable[[], Volume]
    """The input that `Task.display` names."""
    reference: Callable[[], Content]
    """The scored reference."""
    mask: Callable[[], Volume | None]
    """Where metrics are taken; None means everywhere."""
    predictions: Mapping[str, Callable[[], Content | None]]
    """By submission name; the loader gives None where the submission failed on this case."""
    scores: Mapping[str, Sequence[Score]]
    """By submission name: the values of this case (rows of other cases are passed over)."""
    key: str = ""
    """Changes whenever input, reference or mask do; with it, pictures that were made once are not made again. Empty: unknown."""


@dataclass(frozen=True)
class BoardData:
    """A board and the tables that it was made from."""

    board: Board
    """The board of one task on one data edition and split."""
    scores: Mapping[str, Sequence[Score]]
    """By submission name: the per-case table of the scored split."""
    cases: Sequence[Case]
    """The cases of the scored split, in display order."""
    canary: Sequence[CanaryCase] = ()
    """Cases to show pictures of."""
    case_keys: Mapping[str, str] = field(default_factory=dict)
    """By case id: a hash that only the holder of the sealed data can make; anonymous ids are made from it."""
    parts: Mapping[str, Parts] = field(default_factory=dict)
    """By submission name: what the scored cases add to metrics of the whole set, as far as it is published."""
    attributes_told: bool = True
    """Whether the cases carry the attributes that the task declares; False for a board read back from files that do not tell them."""


@dataclass(frozen=True)
class Published:
    """What `publish` did."""

    edition: str
    """Id of the edition that the front now shows: date and short content hash."""
    path: Path
    """The front page."""
    changed: bool
    """Whether a byte of the site changed."""
