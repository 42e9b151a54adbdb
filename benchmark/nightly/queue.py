"""The work of a night that is not done yet: what may begin now, what waits for what, what is paused, what is not begun any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmark.nightly.failures import Failure
from benchmark.nightly.work import Place, Plan, Run, ScoreRun, TakeIn

Item = TakeIn | Run | ScoreRun | Place


def kind(item: Item) -> str:
    """What it is, in a word or two."""
    return {TakeIn: "take in", Run: "run", ScoreRun: "score", Place: "row"}[type(item)]


def names(item: Item) -> tuple[str, ...]:
    """Submissions that it is for."""
    if isinstance(item, TakeIn):
        return (item.name,)
    return (item.placement.method.name,) if isinstance(item, Place) else item.names


def board(item: Item) -> tuple[str, str]:
    """Task and edition; an image is taken in for a task."""
    if isinstance(item, TakeIn):
        return item.task, ""
    if isinstance(item, Place):
        return item.placement.task, item.placement.edition
    return item.task, item.edition


@dataclass
class Queue:
    """Items by key, in order of urgency."""

    todo: dict[str, Item] = field(default_factory=dict)
    """Not begun, or to be tried again."""
    done: set[str] = field(default_factory=set)
    """Keys of what was done in this night."""
    known: set[str] = field(default_factory=set)
    """Keys of all that was ever in it."""
    tries: dict[str, int] = field(default_factory=dict)
    """By key, how often it was begun."""
    not_before: dict[str, float] = field(default_factory=dict)
    """By key, the moment (of the monotonic clock) before which it is not tried again."""
    halted: dict[str, str] = field(default_factory=dict)
    """What is not begun any more (`everything`, `containers`, `gpu`, `board task/edition`), and why."""

    def add(self, plan: Plan) -> None:
        """Take up what a plan has and this does not. Scores before runs: they are quick, and rows wait for them."""
        items: list[Item] = [*plan.take_ins, *plan.scores, *plan.runs, *plan.places]
        for item in items:
            if item.key not in self.known or (isinstance(item, Place) and item.key not in self.done):
                self.known.add(item.key)
                self.todo[item.key] = item

    def begin(self, now: float) -> Iterator[Item]:
        """Take out, one by one, what may begin at this moment."""
        for key, item in list(self.todo.items()):
            if self.not_before.get(key, now) <= now and self._ready(item) and not self.reason(item):
                del self.todo[key]
                self.tries[key] = self.tries.get(key, 0) + 1
                yield item

    def finish(self, item: Item) -> None:
        """It is done."""
        self.done.add(item.key)

    def again(self, item: Item, at: float) -> None:
        """Try it again at that moment."""
        self.todo[item.key] = item
        self.not_before[item.key] = at

    def stop(self, failure: Failure, item: Item | None) -> None:
        """Begin no more of what stops with a failure."""
        if failure.halts == "board" and item is not None:
            task, edition = board(item)
            self.halted.setdefault(f"board {task}/{edition}", failure.sentence)
        elif failure.halts and failure.halts != "board":
            self.halted.setdefault(failure.halts, failure.sentence)

    def reason(self, item: Item) -> str:
        """Why it is not begun any more; empty where nothing stands in the way."""
        task, edition = board(item)
        scopes = ["everything"] if not isinstance(item, Place) else []
        # A row that waits for nothing costs nothing: it is placed even while the rest is halted.
        scopes += [f"board {task}/{edition}"] if edition else []
        if isinstance(item, TakeIn) or (isinstance(item, Run) and item.entry):
            scopes.append("containers")
        if isinstance(item, Run) and "gpu" in item.flags:
            scopes.append("gpu")
        return next((self.halted[scope] for scope in scopes if scope in self.halted), "")

    def next_moment(self) -> float | None:
        """When the first of what is paused may be tried again; None where nothing is."""
        moments = [
            self.not_before[key]
            for key, item in self.todo.items()
            if key in self.not_before and self._ready(item) and not self.reason(item)
        ]
        return min(moments, default=None)

    def pending(self, kinds: Iterable[type[Item]]) -> bool:
        """Whether there is something of these kinds that may still be begun."""
        return any(isinstance(item, tuple(kinds)) and not self.reason(item) for item in self.todo.values())

    def _ready(self, item: Item) -> bool:
        return isinstance(item, TakeIn) or set(item.waits_for) <= self.done
