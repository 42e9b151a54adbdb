"""The site and a night: whether it may be made, and what is new in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import dataset
from benchmark.errors import RadbenchError
from benchmark.nightly import failing
from benchmark.nightly.aftermath import Noted
from benchmark.nightly.gather import Surroundings, newest_hash
from benchmark.nightly.report import SiteChange
from benchmark.nightly.state import State
from benchmark.nightly.work import Plan

if TYPE_CHECKING:
    from benchmark.nightly.night import Night


def publish(night: Night) -> None:
    """Make the site, unless nothing that it shows has changed, or a row would be lost by it."""
    noted = night.state.noted if night.state else Noted()
    if not night.queue.known and night.plan is not None and night.plan.publish is None:
        if noted.edition != noted.told:  # by a night that was killed before it could say so
            sentences = news(record(night.around.work.site, noted.told), record(night.around.work.site))
            night.site = SiteChange(edition=noted.edition, changed=True, why="by the night before", sentences=sentences)
        return
    night.still_ours()
    work = night.around.work
    before, old = newest_hash(work), record(work.site, noted.told)
    plan = night.make_plan()
    state = night.state
    assert state is not None
    if plan.shown == state.published or not (state.placements or state.runs):
        return
    if held := unready(night.around, state, plan):
        night.site = SiteChange(why=held, held=True)
        night.needs_person(f"The site is held as it is: {held}")
        return
    night.say("publish")
    try:
        published = night.hands.publish(night.hands.now().date().isoformat())
    except Exception as error:
        sentence = failing.broke(night, "publish", error)
        night.site = SiteChange(why=sentence, held=True)
        night.needs_person(f"The site could not be made: {sentence}")
        return
    if published is None:
        return
    night.still_ours()  # it may have taken long
    if gone := [e for e in noted.editions if not (work.site / "editions" / e / "edition.json").is_file()]:
        night.needs_person(
            f"The site lacks {len(gone)} editions that were published ({', '.join(gone[:3])}{', …' if len(gone) > 3 else ''}), and "
            "links to them lead nowhere: put them back from a copy."
        )
    changed = newest_hash(work) != before or bool(noted.night and published.edition != noted.told)
    why = plan.publish.why if plan.publish else ""
    night.site = SiteChange(edition=published.edition, changed=changed, why=why, sentences=news(old, record(work.site)))
    if published.edition != noted.edition:
        boards = sorted({f"{p.task}/{p.edition}" for p in state.placements})
        night.chronicle.ledger.append("published", edition=published.edition, boards=boards)
    # After the line: a kill in between makes the same edition again, which costs time and changes nothing.
    night.memory.save("published", {"shown": plan.shown, "newest": newest_hash(work)})


def unready(around: Surroundings, state: State, plan: Plan) -> str:
    """Why the site must not be made now, since a row or a board would be lost by it; empty where nothing stands against it."""
    unscored = {score.run for score in plan.scores}
    lost = sorted(f"{p.task}/{p.edition}/{p.method.name}" for p in state.placements if p.run in unscored)
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        return f"{len(lost)} rows have no score by the present scorer yet ({', '.join(lost[:3])}{more})."
    broken = {(s.task, s.edition): s.sentence for s in plan.stopped}
    for task, edition in sorted({(p.task, p.edition) for p in state.placements}):
        sentence = broken.get((task, "")) or broken.get((task, edition)) or _gone(around, state, task, edition)
        if sentence and not _readable(around, task, edition):
            return f"the board {task}/{edition} cannot be made: {sentence}"
    return ""


def _gone(around: Surroundings, state: State, task: str, edition: str) -> str:
    """That an edition with rows is not there any more; empty where the organiser's settings leave it out."""
    settings = around.config.nightly
    wanted = settings.tasks is None or task in settings.tasks
    if task in settings.editions:
        own = {phase.edition for phase in state.tasks[task].phases} if task in state.tasks else set()
        wanted = wanted and (edition in settings.editions[task] or edition in own)
    place = around.work.data / task / edition
    return f"there is no edition in {place}; put it back, or prepare it again." if wanted else ""


def _readable(around: Surroundings, task: str, edition: str) -> bool:
    """Whether the records of an edition can be read, which is all that a board of stored scores needs."""
    with contextlib.suppress(RadbenchError, KeyError):
        dataset.load(around.work.data, around.folders[task].task, edition)
        return True
    return False


def record(site: Path, edition: str = "") -> Mapping[str, Any] | None:
    """The record of an edition, or of that at the front; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        newest = edition or json.loads((site / "newest.json").read_text("utf-8"))["edition"]
        found: Mapping[str, Any] = json.loads((site / "editions" / newest / "edition.json").read_text("utf-8"))
        return found
    return None


def news(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What changed from one record to the other: who is new, who is gone, who moved and why."""
    from leaderboard import history  # here, since a night without work needs none of it

    if after is None or (before is not None and before["id"] == after["id"]):
        return ()
    return tuple(history.sentences(history.change(before or {"id": "", "boards": []}, after)))
