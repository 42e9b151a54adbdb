"""Predictions that came as files, as a run of the store: scored and published like any other, and saying that it was not run here.

Where no engine is, or the model cannot be handed over, its outputs can be. The run's engine is `predictions`, its digest a hash over
the files, its times are unknown, and the row carries the sentence `FLAG`: nobody here knows what made the files.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark import atomic, store, validation
from benchmark.contract import PREDICTIONS, Case, CaseRun, Method, RunRecord, Task
from benchmark.dataset import Edition, sha256_of
from benchmark.errors import InfrastructureError, SubmissionError, UsageError

FLAG = "Scored from files; not run here."
"""What the row says."""


def keep(task: Task, edition: Edition, predictions: Path, method: Method, root: Path) -> RunRecord:
    """Put the predictions of the canary and test cases into the store `root` and return the record; files are copied.

    The files are named as for `radbench score`. What is missing is recorded as such and takes the worst values; the same files under
    the same name are kept once. Raises `SubmissionError('missing')` when no test case has a prediction, and `UsageError` when
    the name belongs to something that was run.
    """
    cases = [*edition.split("canary"), *edition.split("test")]
    _check_name(task, edition, method.name, root)
    found: dict[str, dict[str, Path]] = {}
    missing: dict[str, SubmissionError] = {}
    for case in cases:
        try:
            found[case.id] = _files(task, predictions, case)
        except SubmissionError as error:
            missing[case.id] = error
    tests = [case.id for case in edition.split("test")]
    if not any(id in found for id in tests):
        raise SubmissionError(
            "missing",
            f"none of the {len(tests)} test cases has a prediction in {predictions}",
            expected=f"{tests[0]}.*, …",
        )
    hashes = [[id, path, sha256_of(file)] for id, own in found.items() for path, file in own.items()]
    digest = f"sha256:{store.digest([method.model_dump(mode='json'), hashes])}"
    store.open_store(root)
    payload = store.inference_payload(digest, task, edition, cases, [PREDICTIONS])
    key = store.digest(payload)
    target = store.run_folder(root, key)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.parent / f".{key}.lock", timeout=5):
            existing = store.load_run(root, key)
            if existing is not None:
                return existing
            record = RunRecord(
                key=key,
                task=task.name,
                edition=edition.info.edition,
                method=method,
                digest=digest,
                engine=PREDICTIONS,
                hardware="",
                start_seconds=0,
                cases=tuple(_case(case, missing.get(case.id)) for case in cases),
                flags=(FLAG,),
            )
            with atomic.folder(target) as folder:
                for id, own in found.items():
                    for path, file in own.items():
                        place = folder / "predictions" / id / path
                        place.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(file, place)
                store.seal_run(folder, record, payload, [case.id for case in edition.split("canary")])
            return record
    except Timeout:
        raise InfrastructureError("busy", f"another process is storing {method.name} on {task.name}") from None


def _files(task: Task, predictions: Path, case: Case) -> dict[str, Path]:
    """By path below the case's output folder: the file of each output. Raises `SubmissionError` when one is not there or too large."""
    files = {}
    for socket in task.outputs:
        file = validation.loose_file(predictions, case, socket)
        if file.stat().st_size > task.limits.output_mb * 2**20:
            raise SubmissionError(
                "output_too_large",
                f"{file.name} has {file.stat().st_size / 2**20:.0f} MiB",
                expected=f"at most {task.limits.output_mb} MiB",
            )
        files[f"{socket.path}/{file.name}" if socket.is_volume else socket.path] = file
    return files


def _case(case: Case, error: SubmissionError | None) -> CaseRun:
    return CaseRun(case=case.id, seconds=0, code=error.code if error else "", reason=error.sentence if error else "")


def _check_name(task: Task, edition: Edition, name: str, root: Path) -> None:
    """A row of that name that was run must not be replaced by files."""
    for run in _runs(root):
        same = (run.task, run.edition, run.method.name) == (task.name, edition.info.edition, name)
        if same and run.engine != PREDICTIONS:
            raise UsageError(
                "bad_value", f"{name!r} is the name of what was run with {run.engine}", expected="another name"
            )


def _runs(root: Path) -> Sequence[RunRecord]:
    paths = sorted((root / "runs").glob("[!.]*/run.json"))
    return [run for path in paths if (run := store.load_run(root, path.parent.name)) is not None]
