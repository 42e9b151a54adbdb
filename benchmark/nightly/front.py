"""The site and a night: whether it may be made, and what is new in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark import dataset
from benchmark.errors import RadbenchError
from benchmark.nightly.gather import Surroundings
from benchmark.nightly.state import State
from benchmark.nightly.work import Plan


def unready(around: Surroundings, state: State, plan: Plan) -> str:
    """Why the site must not be made now, since a row or a board would be lost by it; empty where nothing stands against it."""
    unscored = {score.run for score in plan.scores}
    lost = sorted(f"{p.task}/{p.edition}/{p.method.name}" for p in state.placements if p.run in unscored)
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        return f"{len(lost)} rows have no score by the present scorer yet ({', '.join(lost[:3])}{more})."
    broken = {(s.task, s.edition): s.sentence for s in plan.stopped}
    for task, edition in sorted({(p.task, p.edition) for p in state.placements}):
        sentence = broken.get((task, "")) or broken.get((task, edition))
        if sentence and not _readable(around, task, edition):
            return f"the board {task}/{edition} cannot be made: {sentence}"
    return ""


def _readable(around: Surroundings, task: str, edition: str) -> bool:
    """Whether the records of an edition can be read, which is all that a board of stored scores needs."""
    with contextlib.suppress(RadbenchError, KeyError):
        dataset.load(around.work.data, around.folders[task].task, edition)
        return True
    return False


def record(site: Path) -> Mapping[str, Any] | None:
    """The record of the edition at the front; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        newest = json.loads((site / "newest.json").read_text("utf-8"))["edition"]
        found: Mapping[str, Any] = json.loads((site / "editions" / newest / "edition.json").read_text("utf-8"))
        return found
    return None


def news(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What changed from one record to the other: who is new, who is gone, who moved and why."""
    from leaderboard import history  # here, since a night without work needs none of it

    if after is None or (before is not None and before["id"] == after["id"]):
        return ()
    return tuple(history.sentences(history.change(before or {"id": "", "boards": []}, after)))
