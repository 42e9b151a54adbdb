"""Runs and scores as immutable folders: where they lie, reading and writing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark import atomic, parts
from benchmark.contract import Aggregate, Method, Record, RunRecord, Score
from benchmark.errors import DataError
from benchmark.store import manifest
from benchmark.store.tables import scores_from_csv, scores_to_csv


class ScoreRecord(Record):
    """`score.json`: the scores of one run; the per-case table lies beside it in `cases.csv`."""

    schema_version: int = 1
    """Version of this record."""
    key: str
    """Scoring key."""
    run: str
    """Inference key of the run that was scored."""
    task: str
    """Task name."""
    task_version: str
    """Task version."""
    edition: str
    """Edition name."""
    method: Method
    """The submission."""
    scorer: str
    """Version and hash of the scoring code."""
    aggregates: tuple[Aggregate, ...]
    """One a metric, over the test split."""


def run_folder(store: Path, key: str) -> Path:
    """Folder of a run."""
    return store / "runs" / key


def score_folder(store: Path, key: str) -> Path:
    """Folder of a score."""
    return store / "scores" / key


def load_run(store: Path, key: str) -> RunRecord | None:
    """The run of that key; None when there is none. `DataError` when its record cannot be read."""
    path = run_folder(store, key) / "run.json"
    if not path.exists():
        return None
    try:
        return RunRecord.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        raise DataError("record_invalid", f"{path}: {error.error_count()} problems") from error


def load_score(store: Path, key: str) -> ScoreRecord | None:
    """The score of that key; None when there is none. `DataError` when its record cannot be read."""
    path = score_folder(store, key) / "score.json"
    if not path.exists():
        return None
    try:
        return ScoreRecord.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        raise DataError("record_invalid", f"{path}: {error.error_count()} problems") from error


def save_score(
    store: Path,
    record: ScoreRecord,
    scores: Iterable[Score],
    contributions: Mapping[str, Mapping[str, Any]] | None = None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Put a score into the store; `contributions` are what cases add to set-level metrics, by metric id and case id.

    `payload` is what the scoring key is the hash of. Raises `InfrastructureError`: `no_space`, `read_only`; nothing is left then.
    """
    target = score_folder(store, record.key)
    with atomic.refusals(target), atomic.folder(target) as folder:
        if contributions:
            (folder / "parts.pickle").write_bytes(parts.dumps(contributions))
        (folder / "cases.csv").write_text(scores_to_csv(scores), "utf-8")
        (folder / "score.json").write_text(atomic.json_text(record.model_dump(mode="json")), "utf-8")
        manifest.seal(folder, payload, flush=False)


def load_case_scores(store: Path, key: str) -> list[Score]:
    """The tidy per-case table of a score."""
    return scores_from_csv((score_folder(store, key) / "cases.csv").read_text("utf-8"))


def load_parts(store: Path, key: str) -> dict[str, dict[str, Any]]:
    """What each case adds to the set-level metrics of a score, by metric id and case id; empty where the task has none."""
    path = score_folder(store, key) / "parts.pickle"
    return parts.loads(path.read_bytes(), str(path)) if path.exists() else {}
