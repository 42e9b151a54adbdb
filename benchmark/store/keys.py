"""The keys that say whether work is already done: hashes of all that a run's output and a run's scores may depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import benchmark
from benchmark.contract import Case, Task
from benchmark.dataset import Edition

KEY_LENGTH = 20
"""Hexadecimal digits of a key: 80 bits, far from collision and short enough to read."""


def canonical(value: object) -> str:
    """The one way in which a value is written before it is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of_text(text: str) -> str:
    """Short hash of what `canonical` wrote."""
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def digest(value: object) -> str:
    """Short hash of a value that JSON can hold."""
    return digest_of_text(canonical(value))


def inference_key(submission: str, task: Task, edition: Edition, cases: Sequence[Case], flags: Sequence[str]) -> str:
    """Hash of all that a model's output may depend on: its digest, the inputs, the limits, the engine's flags."""
    return digest(inference_payload(submission, task, edition, cases, flags))


def inference_payload(
    submission: str, task: Task, edition: Edition, cases: Sequence[Case], flags: Sequence[str]
) -> dict[str, Any]:
    """What the inference key is the hash of."""
    return {
        "submission": submission,
        "inputs": edition.hash_of("inputs", cases),
        "cases": [case.id for case in cases],
        "limits": task.limits.model_dump(),
        "flags": list(flags),
    }


def scoring_key(run: str, task: Task, edition: Edition, cases: Sequence[Case]) -> str:
    """Hash of all that scores may depend on: the run, the references, the scorer, the task's metric section."""
    return digest(scoring_payload(run, task, edition, cases))


def scoring_payload(run: str, task: Task, edition: Edition, cases: Sequence[Case]) -> dict[str, Any]:
    """What the scoring key is the hash of."""
    return {
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


@cache
def scorer_version() -> str:
    """Version of the package and a hash of the code that turns files into numbers."""
    root = Path(benchmark.__file__).parent
    parts = [root / name for name in ("geometry.py", "points.py", "validation.py", "references.py", "scoring.py")]
    parts += sorted(root.glob("metrics/*.py")) + sorted(root.glob("image/*.py"))
    parts += [root / "statistics" / "bootstrap.py"]  # ranks and audits are made anew from stored scores each time
    total = hashlib.sha256()
    for path in parts:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{benchmark.__version__}+{total.hexdigest()[:12]}"
