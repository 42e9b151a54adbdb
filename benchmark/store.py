"""Where runs and scores lie, and the keys that say whether work is already done.

    <store>/runs/<inference key>/run.json, predictions/<case>/…, logs/
    <store>/scores/<scoring key>/score.json, cases.csv, parts.pickle (tasks with set-level metrics)

A folder of the store is written beside and renamed in place, and never changed after. A run that was interrupted lies in
`runs/.<key>.partial` with one small record a case, and goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import benchmark
from benchmark import atomic, parts
from benchmark.contract import Aggregate, Case, Method, Record, RunRecord, Score, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError

KEY_LENGTH = 20
"""Hexadecimal digits of a key: 80 bits, far from collision and short enough to read."""


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


def digest(value: object) -> str:
    """Short hash of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def inference_key(submission: str, task: Task, edition: Edition, cases: Sequence[Case], flags: Sequence[str]) -> str:
    """Hash of all that a model's output may depend on: its digest, the inputs, the limits, the engine's flags."""
    return digest(
        {
            "submission": submission,
            "inputs": edition.hash_of("inputs", cases),
            "cases": [case.id for case in cases],
            "limits": task.limits.model_dump(),
            "flags": list(flags),
        }
    )


def scoring_key(run: str, task: Task, edition: Edition, cases: Sequence[Case]) -> str:
    """Hash of all that scores may depend on: the run, the references, the scorer, the task's metric section."""
    return digest(
        {
            "run": run,
            "references": edition.hash_of("references", cases),
            "cases": [
                [case.id, case.split, case.attributes.get(task.cluster), case.attributes.get(task.stratify)]
                for case in cases
            ],
            "scorer": scorer_version(),
            "metrics": [metric.model_dump(exclude={"title"}) for metric in task.metrics],
            "scoring": task.scoring.model_dump(),
            "outputs": [socket.model_dump(exclude={"title"}) for socket in task.outputs],
            "resampling": [task.cluster, task.stratify],
        }
    )


@cache
def scorer_version() -> str:
    """Version of the package and a hash of the code that turns files into numbers."""
    root = Path(benchmark.__file__).parent
    parts = [root / name for name in ("geometry.py", "validation.py", "scoring.py")]
    parts += sorted(root.glob("metrics/*.py")) + sorted(root.glob("image/*.py"))
    parts += [root / "statistics" / "bootstrap.py"]  # ranks and audits are made anew from stored scores each time
    total = hashlib.sha256()
    for path in parts:
        if path.exists():
            total.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{benchmark.__version__}+{total.hexdigest()[:12]}"


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
) -> None:
    """Put a score into the store; `contributions` are what cases add to set-level metrics, by metric id and case id."""
    with atomic.folder(score_folder(store, record.key)) as folder:
        if contributions:
            (folder / "parts.pickle").write_bytes(parts.dumps(contributions))
        (folder / "cases.csv").write_text(scores_to_csv(scores), "utf-8")
        atomic.write_json(folder / "score.json", record.model_dump(mode="json"))


def load_case_scores(store: Path, key: str) -> list[Score]:
    """The tidy per-case table of a score."""
    return scores_from_csv((score_folder(store, key) / "cases.csv").read_text("utf-8"))


def load_parts(store: Path, key: str) -> dict[str, dict[str, Any]]:
    """What each case adds to the set-level metrics of a score, by metric id and case id; empty where the task has none."""
    path = score_folder(store, key) / "parts.pickle"
    return parts.loads(path.read_bytes(), str(path)) if path.exists() else {}


COLUMNS = ("case", "metric", "value", "unit", "status", "reason")
"""Columns of a per-case table."""


def scores_to_csv(scores: Iterable[Score]) -> str:
    """The tidy table as CSV; values with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for score in scores:
        writer.writerow([score.case, score.metric, repr(float(score.value)), score.unit, score.status, score.reason])
    return text.getvalue()


def scores_from_csv(text: str) -> list[Score]:
    """The inverse of `scores_to_csv`."""
    return [Score.model_validate({**row, "value": float(row["value"])}) for row in csv.DictReader(io.StringIO(text))]
