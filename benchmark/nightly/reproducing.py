"""Each night one archived submission is run again, in turn: whose turn it is, and what the night does about what came out.

The turn follows from the store and the ledger alone: of all rows whose run is at least a day old and has its predictions, the
one that was tried longest ago or never; then by task, edition and name. It comes after all other work of the night, only when nothing
is halted, and waits until the last reproduction is about a day (or a week) ago, so that a second night on the same day does nothing.

**What it changes on the site.** A reproduction that agrees is no news: it is kept in the store and the ledger, and shown with the next
edition that something else brings. So a night with nothing new changes not a byte of the site, and the feed is not filled with "still
the same". One that differs beyond the tolerance, or agrees again after that, is news: the site is made anew in the same night. A
difference is also a line for the organiser and exit code 1. It never costs an attempt and takes no row away: what was scored stays
what was scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from benchmark import store
from benchmark.contract import Reproduction
from benchmark.nightly import failing, failures
from benchmark.nightly.report import Failed, Reproduced
from benchmark.nightly.work import Reproduce

if TYPE_CHECKING:
    from benchmark.nightly.night import Night

LOOK_SECONDS = 30.0
"""How often lease and clock are looked at meanwhile."""


def take(night: Night) -> None:
    """Run the one whose turn it is again, and keep and note what came out."""
    item = night.plan.reproduce if night.plan else None
    if item is None or night.queue.halted or not night.has_room():
        return
    night.say(f"reproduce {item.task}/{item.edition}: {item.name} ({item.why})")
    begin = night.hands.monotonic()
    future = night.hands.reproduce(item, night.hands.now().date().isoformat())
    while not wait([future], timeout=LOOK_SECONDS).done:
        night.look()
    night.still_ours()
    seconds = night.hands.monotonic() - begin
    try:
        found = future.result()
    except Exception as error:
        _failed(night, item, error)
        return
    # The ledger last: a night that is killed between the two reproduces once more, and none is noted that is not kept.
    store.save_reproduction(night.around.work.store, item.key, found)
    night.chronicle.reproduced(item, found)
    night.reproduced = Reproduced(
        task=item.task, edition=item.edition, name=item.name, run=item.key, seconds=seconds, result=found
    )
    _tell(night, f"{item.task}/{item.edition}: {item.name}", found)
    if not found.within or (night.state and item.key in night.state.turns.differing):
        night.make_plan()  # news: the site shows it


def remind(night: Night, facts: Mapping[str, Any]) -> None:
    """Say what a night that was killed could write into the ledger, and no more into its report."""
    where = f"{facts['task']}/{facts['edition']}: {facts['submission']}"
    if code := facts.get("code"):
        night.needs_person(f"{where} could not be run again: {code}")
        return
    found = store.load_reproduction(night.around.work.store, facts["run"])
    if found is not None:
        _tell(night, where, found)


def _tell(night: Night, where: str, found: Reproduction) -> None:
    """A line for the organiser where it differs."""
    if not found.within:
        night.needs_person(
            f"{where} does not give again what it gave: {found.sentence} "
            "Look at the machine, the engine and the model; its row stays as it was scored and says so."
        )


def _failed(night: Night, item: Reproduce, error: Exception) -> None:
    """It could not be run: a line for the organiser, and the next one has its turn."""
    failure = failures.classify(error, "run")
    sentence = failures.cleaned(failure.sentence, night.sealed)
    night.chronicle.not_reproduced(item, failure)
    night.failed.append(
        Failed(
            what="reproduce",
            task=item.task,
            edition=item.edition,
            names=(item.name,),
            key=item.key,
            group=failure.group,
            code=failure.code,
            sentence=sentence,
            details=failing.details(night, f"reproduce-{item.key}", failure),
        )
    )
    night.needs_person(f"{item.task}/{item.edition}: {item.name} could not be run again: {sentence}")
