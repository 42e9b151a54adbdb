"""Small stores: made by the real code (`filled`), or with as many folders as a test wants and little in them (`write_run`)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import atomic, image, inference, scoring, store
from benchmark.container.engine import CaseOutcome
from benchmark.contract import Aggregate, CaseRun, Limits, Method, RunRecord, Score
from benchmark.dataset import Edition
from benchmark.store.records import ScoreRecord
from benchmark.tasks import TaskFolder


class Denoiser:
    """An engine whose model takes an offset away; `offset` makes one model differ from another."""

    name = "scripted"

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.ran = 0

    def session(self, limits: Limits, log: Path) -> Denoiser:
        return self

    def __enter__(self) -> Denoiser:
        self.start_seconds = 0.5
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        self.ran += 1
        (file,) = (inputs / "images/noisy").iterdir()
        volume = image.read(file)
        (output / "images/clean").mkdir(parents=True, exist_ok=True)
        image.write(output / "images/clean" / file.name, volume.like(volume.array - np.int16(self.offset)))
        return CaseOutcome(0.1)


def submit(
    root: Path, toy: TaskFolder, edition: Edition, name: str, offset: int, **options: Any
) -> tuple[RunRecord, ScoreRecord]:
    """Run, score and place one submission, as a night does."""
    method = Method(name=name, title=name)
    run = inference.run(toy.task, edition, method, f"digest-{offset}", Denoiser(offset), root=root, **options)
    score = scoring.score_run(toy.task, edition, run, root)
    placement = store.Placement(
        method=method, entry="ab12" * 4, task=toy.task.name, edition=edition.info.edition, run=run.key,
        received="2026-01-01T00:00:00+00:00", limits=toy.task.limits,
    )  # fmt: skip
    store.save_placement(root, placement)
    return run, score


def older_layout(root: Path) -> None:
    """Turn a store into what the first layout was: no version, no hashes, no key files, no placements."""
    for path in [*root.glob("*/*/files.json"), *root.glob("*/*/key.json"), root / "store.json"]:
        path.unlink()
    shutil.rmtree(root / "submissions", ignore_errors=True)


def write_run(root: Path, number: int, *, task: str = "toy", name: str = "m", cases: int = 3, size: int = 100) -> str:
    """A run with its score and its placement, without a task or data; its key. Case `c0` is the canary."""
    store.open_store(root)
    ids = [f"c{i}" for i in range(cases)]
    payload = {"submission": f"d{number}", "inputs": "i", "cases": ids, "limits": {}, "flags": []}
    key = store.digest(payload)
    method = Method(name=name, title=name)
    target = store.run_folder(root, key)
    if not target.exists():
        record = RunRecord(
            key=key, task=task, edition="phantom", method=method, digest=f"d{number}", engine="scripted", hardware="",
            start_seconds=0, cases=tuple(CaseRun(case=id, seconds=1) for id in ids),
        )  # fmt: skip
        with atomic.refusals(target), atomic.folder(target) as folder:
            for id in ids:
                (folder / "predictions" / id).mkdir(parents=True)
                (folder / "predictions" / id / "x.bin").write_bytes(f"{key}{id}".encode().ljust(size, b"."))
            store.seal_run(folder, record, payload, ids[:1])
    about = {"run": key, "references": "r", "cases": ids, "scorer": "1+a", "metrics": []}
    aggregate = Aggregate(metric="mae", value=1, low=1, high=1, n=cases)
    score = ScoreRecord(
        key=store.digest(about), run=key, task=task, task_version="1", edition="phantom", method=method, scorer="1+a",
        aggregates=(aggregate,),
    )  # fmt: skip
    rows = [Score(case=id, metric="mae", value=1.5, unit="HU", status="ok") for id in ids]
    if store.load_score(root, score.key) is None:
        store.save_score(root, score, rows, {}, about)
    store.save_placement(root, store.Placement(method=method, task=task, edition="phantom", run=key, limits=Limits()))
    return key


def aged(root: Path, key: str, days: float, now: float) -> None:
    """Make a run that old."""
    path = store.run_folder(root, key) / "run.json"
    os.utime(path, (now - days * 86400, now - days * 86400))


def tree(root: Path) -> dict[str, bytes]:
    """Every file below `root` but locks."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }
