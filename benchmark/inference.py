"""Run a submission on an edition, case by case, and keep what it wrote. A failed case takes no other with it.

The canary goes first: a submission that fails there is not run on the rest, which saves the night. What is done is kept at
every step, so a killed run goes on at the first case without a result.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark import atomic, store
from benchmark.container.engine import Engine, Session
from benchmark.contract import Case, CaseRun, Method, RunRecord, Task
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError

Progress = Callable[[str, int, int], None]
"""Called with a label, cases done, cases in all."""


def run(
    task: Task,
    edition: Edition,
    method: Method,
    digest: str,
    engine: Engine,
    *,
    root: Path,
    progress: Progress | None = None,
) -> RunRecord:
    """Run `method` on the canary and test cases of `edition` and return the stored record.

    A run that is in the store already is returned as it is. Raises `InfrastructureError` when the engine fails or another
    process is at the same run; nothing that the model does raises.
    """
    cases = [*edition.split("canary"), *edition.split("test")]
    key = store.inference_key(digest, task, edition, cases, [engine.name])
    target = store.run_folder(root, key)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.parent / f".{key}.lock", timeout=5):
            existing = store.load_run(root, key)
            if existing is not None:
                return existing
            partial = target.parent / f".{key}.partial"
            partial.mkdir(exist_ok=True)
            start, done = _cases(task, edition, engine, cases, partial, progress)
            record = RunRecord(
                key=key,
                task=task.name,
                edition=edition.info.edition,
                method=method,
                digest=digest,
                engine=engine.name,
                hardware=hardware(),
                start_seconds=start,
                cases=tuple(done),
            )
            shutil.rmtree(partial / "done")
            atomic.write_json(partial / "run.json", record.model_dump(mode="json"))
            atomic.place(partial, target)
            return record
    except Timeout:
        raise InfrastructureError("busy", f"another process is running {method.name} on {task.name}") from None


def _cases(
    task: Task, edition: Edition, engine: Engine, cases: Sequence[Case], folder: Path, progress: Progress | None
) -> tuple[float, list[CaseRun]]:
    """Run what has no result yet; the seconds that the model took to start, and one record a case."""
    records = {case.id: _load(folder, case) for case in cases}
    start_file = folder / "done" / "start_seconds"
    if any(record is None for record in records.values()):
        with engine.session(task.limits, folder / "logs" / "model.log") as session:
            if not start_file.exists():
                atomic.write_text(start_file, repr(session.start_seconds))
            for case in cases:
                if records[case.id] is None:
                    records[case.id] = _one(session, edition, case, cases, records, folder)
                    atomic.write_text(folder / "done" / f"{case.id}.json", records[case.id].model_dump_json())  # type: ignore[union-attr]
                if progress:
                    progress(f"{task.name}", sum(r is not None for r in records.values()), len(cases))
    return float(start_file.read_text("utf-8")), [record for record in records.values() if record is not None]


def _one(
    session: Session,
    edition: Edition,
    case: Case,
    cases: Sequence[Case],
    records: dict[str, CaseRun | None],
    folder: Path,
) -> CaseRun:
    first = records[cases[0].id]
    if first is not None and first.code and cases[0].split == "canary":
        return CaseRun(
            case=case.id,
            seconds=0,
            code=first.code,
            reason=f"Not run, since the first canary case failed: {first.reason}",
        )
    outcome = session.run(edition.input_folder(case.id), folder / "predictions" / case.id)
    return CaseRun(case=case.id, seconds=outcome.seconds, code=outcome.code, reason=outcome.reason)


def _load(folder: Path, case: Case) -> CaseRun | None:
    path = folder / "done" / f"{case.id}.json"
    return CaseRun.model_validate_json(path.read_text("utf-8")) if path.exists() else None


def hardware() -> str:
    """What this machine is, in words for the row."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
