"""Hand the boards, per-case tables and canary volumes of the store to the leaderboard, which makes the pages."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date as Date
from functools import partial
from pathlib import Path
from typing import Any

from benchmark import board, dataset, store, validation
from benchmark.contract import Case, RunRecord, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError, SubmissionError
from benchmark.federation import pooling
from benchmark.image import Volume
from benchmark.ledger import Ledger
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace
from leaderboard import anonymous, embargo, setparts
from leaderboard.records import Content
from leaderboard.site import BoardData, CanaryCase, Published, parsed_date, publish

Entry = tuple[Task, Edition, Sequence[tuple[RunRecord, store.ScoreRecord]]]
"""A task, the edition that was scored, and its runs with their scores."""


def publish_boards(
    entries: Sequence[Entry], root: Path, site: Path, date: str, base_url: str | None = None
) -> Published:
    """Publish one board an entry; unchanged content changes not a byte of the site.

    Submissions under embargo on that day are anonymous in it. `base_url` is the site's address, for citations; None keeps the one
    that was last given. A new edition notes where the ledger beside the store ends. Raises `UsageError` for a bad date or address.
    """
    return publish_made(boards(entries, root, date), root, site, date, base_url)


def publish_made(
    made: Sequence[BoardData], root: Path, site: Path, date: str, base_url: str | None = None
) -> Published:
    """As `publish_boards`, of boards that are made already. Every edition goes through here, so each notes where the ledger ends."""
    head = None
    with contextlib.suppress(DataError):  # a broken ledger is told by whoever writes or verifies it
        head = Ledger(Workplace(root.parent).ledger).head()
    return publish(site, made, date=date, base_url=base_url, ledger_head=str(head) if head else "")


def boards(entries: Sequence[Entry], root: Path, date: str) -> list[BoardData]:
    """What is published on that day: one board an entry, submissions under embargo without their names.

    Raises `UsageError` for a bad date.
    """
    day = parsed_date(date)
    return [_veiled_data(entry, root, day) for entry in entries]


def _veiled_data(entry: Entry, root: Path, day: Date) -> BoardData:
    """Names are hidden before the board is made, so that nothing made from it (ties, notes, audits, pictures) can hold one."""
    task, edition, scored = entry
    # The key is made only where it is needed.
    key = embargo.load_key(root) if any(run.method.embargo is not None for run, _ in scored) else b""
    methods = [embargo.veiled(run.method, day, key) for run, _ in scored]
    hidden = [
        (run.model_copy(update={"method": method}), score.model_copy(update={"method": method}))
        for (run, score), method in zip(scored, methods, strict=True)
    ]
    real = {method.name: run.method for (run, _), method in zip(scored, methods, strict=True)}
    return embargo.veiled_board(board_data(task, edition, hidden, root), real, key)


def board_data(
    task: Task, edition: Edition, scored: Sequence[tuple[RunRecord, store.ScoreRecord]], root: Path
) -> BoardData:
    """One board with its per-case tables (test split) and the canary cases for pictures."""
    test = {case.id for case in edition.split("test")}
    tables = {run.method.name: store.load_case_scores(root, score.key) for run, score in scored}
    canary = []
    for case in edition.split("canary"):
        canary.append(
            CanaryCase(
                case=case,
                input=_input(task, edition, case),
                reference=_reference(task, edition, case, task.scoring.reference),
                mask=_reference(task, edition, case, task.scoring.mask) if task.scoring.mask else lambda: None,
                predictions={
                    run.method.name: partial(_prediction, task, edition, case, run, root) for run, _ in scored
                },
                scores={name: [s for s in table if s.case == case.id] for name, table in tables.items()},
                key=_key(edition, case),
            )
        )
    return BoardData(
        board=board.make(task, edition, scored, root),
        scores={name: [s for s in table if s.case in test] for name, table in tables.items()},
        cases=edition.split("test"),
        canary=canary,
        parts=_parts(edition, scored, root),
        case_keys={case.id: anonymous.key_of(case, edition.info.files) for case in edition.split("test")},
    )


def _parts(
    edition: Edition, scored: Sequence[tuple[RunRecord, store.ScoreRecord]], root: Path
) -> dict[str, setparts.Parts]:
    """What the test cases add to set-level metrics, by submission, where it may be published."""
    test = [case.id for case in edition.split("test")]
    found = {run.method.name: setparts.told(store.load_parts(root, score.key), test) for run, score in scored}
    return {name: own for name, own in found.items() if own}


def _key(edition: Edition, case: Case) -> str:
    """Hash over the hashes of a case's files: input, reference and mask."""
    own = sorted(f"{path} {sha}" for path, sha in edition.info.files.items() if path.split("/")[1:2] == [case.id])
    return hashlib.sha256("\n".join(own).encode()).hexdigest() if own else ""


def _input(task: Task, edition: Edition, case: Case) -> Callable[[], Volume]:
    """The input that the task shows, or the first volume there is where a case lacks it."""
    shown = task.input(task.display.input)
    if shown.optional and not edition.has_input(shown, case.id):
        shown = next(socket for socket in task.inputs if socket.is_volume and edition.has_input(socket, case.id))
    return partial(edition.read_input, shown, case.id)


def _reference(task: Task, edition: Edition, case: Case, slug: str) -> Callable[[], Any]:
    """A volume or, of points, their JSON."""
    return partial(edition.read_reference, task.reference(slug), case.id)


def _prediction(task: Task, edition: Edition, case: Case, run: RunRecord, root: Path) -> Content | None:
    if any(item.case == case.id and item.code for item in run.cases):
        return None
    socket = task.output(task.scoring.prediction)
    try:
        path = validation.output_file(store.run_folder(root, run.key) / "predictions" / case.id, socket)
        grid = edition.read_reference(task.reference(socket.like or task.scoring.reference), case.id)
        content = validation.read_prediction(path, task, socket, grid if isinstance(grid, Volume) else None)
    except SubmissionError:
        return None
    return content if isinstance(content, Volume | Mapping) else None


def entries(folders: Sequence[TaskFolder], data: Path, root: Path) -> list[Entry]:
    """Everything in the store that fits the data and the scoring code of now: one run a submission, see `scored`.

    One entry a task and edition; of a task's editions the real ones come first, but for a sample too small to compare on.
    Runs whose data edition is gone, or that have no score by the present scorer, are left out.
    """
    runs, placements = _runs(root), store.load_placements(root)
    found: list[Entry] = []
    for folder in folders:
        task = folder.task
        names = sorted(
            {run.edition for run in runs if run.task == task.name}
            | {p.edition for p in placements if p.task == task.name}
        )
        editions = []
        for name in names:
            try:
                editions.append(dataset.load(data, task, name))
            except DataError:
                continue
        # A sample that the task does not show off, being too small to compare on, comes last.
        small = "sample" if task.shown_edition == "phantom" else ""
        # What sites computed comes after what was run here on data of that kind: a bundle must not take a board's address.
        order = [(e.info.edition == small, e.info.kind != "real", bool(e.info.sites), e.info.edition) for e in editions]
        for _, edition in sorted(zip(order, editions, strict=True), key=lambda pair: pair[0]):
            declared = pooling.task_of(task, edition.info)
            rows = _rows(declared, edition, runs, placements, root)
            if rows:
                found.append((declared, edition, rows))
    return found


def scored(task: Task, edition: Edition, root: Path) -> list[tuple[RunRecord, store.ScoreRecord]]:
    """One run of each submission on one edition, with its score by the present scorer.

    A placement says which run stands for a submission, and the row takes what the submission says of itself from there: two that
    share an image share a run, and a title may change without one. Where a board has none, as after `radbench run`, the newest run
    of each name stands for it; beside placements only reference models do without.
    """
    return _rows(task, edition, _runs(root), store.load_placements(root, task.name, edition.info.edition), root)


def _runs(root: Path) -> list[RunRecord]:
    """Every run of the store. Raises `DataError('store_newer')` for one that a later version wrote."""
    store.version_of(root)
    return [
        run
        for path in sorted((root / "runs").glob("[!.]*/run.json"))
        if (run := store.load_run(root, path.parent.name))
    ]


def _rows(
    task: Task,
    edition: Edition,
    runs: Sequence[RunRecord],
    placements: Sequence[store.Placement],
    root: Path,
) -> list[tuple[RunRecord, store.ScoreRecord]]:
    here = (task.name, edition.info.edition)
    every = {run.key: run for run in runs}
    own = {key: run for key, run in every.items() if (run.task, run.edition) == here}
    placed = {item.method.name: item for item in placements if (item.task, item.edition) == here}
    found: dict[str, tuple[RunRecord, store.ScoreRecord]] = {}
    for name, item in sorted(placed.items()):
        run = every.get(item.run)  # an edition with the inputs of another shares its runs
        score = _score(task, edition, run, root) if run is not None else None
        if run is not None and score is not None:
            said = {"method": item.method, "edition": item.edition}
            found[name] = (run.model_copy(update=said), score.model_copy(update=said))
    newest: dict[str, float] = {}
    for run in own.values():
        name = run.method.name
        if name in placed or (placed and not run.method.baseline):
            continue
        score = _score(task, edition, run, root)
        made = (store.run_folder(root, run.key) / "run.json").stat().st_mtime
        if score is not None and made > newest.get(name, float("-inf")):
            newest[name] = made
            found[name] = (run, score)
    return list(found.values())


def _score(task: Task, edition: Edition, run: RunRecord, root: Path) -> store.ScoreRecord | None:
    cases = [*edition.split("canary"), *edition.split("test")]
    return store.load_score(root, store.scoring_key(run.key, task, edition, cases))
