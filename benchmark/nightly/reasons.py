"""Why work is due, in the words of a plan."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.contract import Limits, Method
from benchmark.nightly.boards import Board, Subject
from benchmark.nightly.state import Basis, State
from benchmark.store import Placement

REMOVED = "its predictions went by the retention rule, and the present scorer has not seen them"
"""Why a run is made again that the store has."""


def why_run(state: State, board: Board, sharing: Sequence[Subject], before: Basis | None) -> str:
    """Why the store has no run under this key, for those who share it; `before` is what keys had in common in an earlier night."""
    task, edition = board.task, board.edition
    reasons: dict[str, None] = {}
    for subject in sharing:
        standing = state.standing.get((task.name, edition.name, subject.method.name))
        if standing is None:
            reasons[f"new: handed in at {subject.received}" if subject.entry else "new reference model here"] = None
        elif standing.entry != subject.entry:
            reasons[f"a new version was handed in at {subject.received}"] = None
        elif standing.limits != subject.limits:
            changed = [
                f"{name} {getattr(standing.limits, name)} → {getattr(subject.limits, name)}"
                for name in Limits.model_fields
                if getattr(standing.limits, name) != getattr(subject.limits, name)
            ]
            reasons[f"its limits changed: {', '.join(changed)}"] = None
        elif before is not None and before.inputs != edition.inputs:
            reasons["the inputs of the data edition changed"] = None
        else:
            what = "the engine or its flags" if subject.entry else "code, configuration or weights of the model"
            reasons[f"{what} changed" if before is not None else f"the inputs, or {what}, changed"] = None
    return "; ".join(reasons)


def why_score(state: State, board: Board, sharing: Sequence[Subject], run: str, before: Basis | None) -> str:
    """Why a run has no score under its present key."""
    standing = [state.standing.get((board.task.name, board.edition.name, s.method.name)) for s in sharing]
    if not any(found is not None and found.run == run for found in standing):
        return "the run is there, and it has no score yet"
    if before is None:
        return "the scorer, the metrics or the references changed"
    now = board.basis
    changed = [
        words
        for name, words in (
            ("scorer", "the scoring code"),
            ("metrics", "the task's metric section"),
            ("references", "the references of the data edition"),
        )
        if getattr(now, name) != getattr(before, name)
    ]
    return f"{' and '.join(changed)} changed" if changed else "it has no score by the present scorer"


def what_changed(standing: Placement, wanted: Placement) -> str:
    """What is new in a row whose run stays."""
    fields = [name for name in Method.model_fields if getattr(standing.method, name) != getattr(wanted.method, name)]
    return f"it says something else of itself: {', '.join(fields)}" if fields else "handed in anew, with the same image"
