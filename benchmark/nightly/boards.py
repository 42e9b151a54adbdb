"""One task on one edition: who wants a row there, and the keys of runs and scores, without a file being read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from benchmark import store
from benchmark.contract import Limits, Method, Task
from benchmark.dataset import Edition
from benchmark.nightly.state import Basis, EditionState, Image, State

HOLE = "\0hole\0"
"""Stands for a value that is filled in later; no name and no hash holds it."""


@dataclass(frozen=True)
class Subject:
    """A submission, ours or a stranger's, that wants a row on an edition."""

    method: Method
    """What it says of itself."""
    image: Image
    """What is run; without a digest where that is not known yet."""
    limits: Limits
    """What it may use."""
    entry: str = ""
    """Id of its inbox entry; empty for a reference model."""
    received: str = ""
    """When it was handed in; empty for a reference model."""
    phase: str = ""
    """Phase in which it runs; empty where the task has none."""
    counts: bool = False
    """Whether its attempt is still to be counted."""


class Board:
    """One task on one edition: makes keys, and hashes once what many keys have in common."""

    def __init__(self, task: Task, edition: EditionState) -> None:
        self.task, self.edition = task, edition
        # It has what keys ask of an edition: the hashes.
        self._as_edition = cast(Edition, edition)
        self._scoring = _filled(lambda run: store.scoring_payload(run, task, self._as_edition, edition.cases), "run")
        self._inference: dict[tuple[str, tuple[str, ...]], Callable[[str], str]] = {}

    def run_key(self, subject: Subject) -> str:
        """Inference key of a subject here."""
        same = (subject.limits.model_dump_json(), subject.image.flags)
        if same not in self._inference:
            task = self.task.model_copy(update={"limits": subject.limits})
            self._inference[same] = _filled(
                lambda digest: store.inference_payload(
                    digest, task, self._as_edition, self.edition.cases, subject.image.flags
                ),
                "submission",
            )
        return self._inference[same](subject.image.digest)

    def score_key(self, run: str) -> str:
        """Scoring key of a run here."""
        return self._scoring(run)

    @property
    def basis(self) -> Basis:
        """What its keys have in common."""
        payload = store.scoring_payload("", self.task, self._as_edition, self.edition.cases)
        metrics = {key: value for key, value in payload.items() if key not in ("run", "references", "scorer")}
        return Basis(
            inputs=self.edition.inputs,
            references=self.edition.references,
            limits=self.task.limits.model_dump_json(),
            metrics=store.digest(metrics),
            scorer=store.scorer_version(),
        )


def boards_of(state: State) -> dict[str, Board]:
    """By task/edition; without those whose records cannot be read."""
    return {
        f"{name}/{edition.name}": Board(state.tasks[name], edition)
        for name, editions in state.editions.items()
        for edition in editions
        if edition.content
    }


def basis(state: State) -> dict[str, Basis]:
    """What the keys of each board have in common now, for the words of the next plan."""
    return {name: board.basis for name, board in boards_of(state).items()}


def _filled(payload: Callable[[str], dict[str, Any]], field: str) -> Callable[[str], str]:
    """`store.digest(payload(value))` as a function of the value, which stands under `field`; all else is written out once."""
    before, after = store.canonical(payload(HOLE)).split(store.canonical(HOLE))
    assert before.endswith(f'"{field}":')
    return lambda value: store.digest_of_text(f"{before}{store.canonical(value)}{after}")
