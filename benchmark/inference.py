"""Run a submission on an edition, case by case, and keep what it wrote. A failed case takes no other with it.

The canary goes first: a submission that fails there is not run on the rest, which saves the night. What is done is kept at
every step, so a killed run goes on at the first case without a result.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from benchmark import atomic, store
from benchmark.container.engine import CaseOutcome, Engine, Session
from benchmark.contract import Case, CaseRun, Cost, Method, RunRecord, Task
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError, UsageError, in_words
from benchmark.repeatability import disagreement

Progress = Callable[[str, int, int], None]
"""Called with a label, cases done, cases in all."""

OPEN_LOGS, SEALED_LOGS = "logs/open", "logs/sealed"
"""What the model printed, by split: the first may be shown to the participant, the second is the organiser's alone."""


def run(
    task: Task,
    edition: Edition,
    method: Method,
    digest: str,
    engine: Engine,
    *,
    root: Path,
    progress: Progress | None = None,
    again: bool = False,
) -> RunRecord:
    """Run `method` on the canary and test cases of `edition` and return the stored record.

    `digest` names what the engine runs (of a container its `engine.digest`). Limits are the task's; a submission that asked for
    less has a copy of the task with its own. A run that is in the store already is returned as it is; with `again`, one
    whose predictions the retention rule removed is carried out anew. Raises `InfrastructureError` when the engine fails, another
    process is at the same run, the disk refuses or somebody changes the inputs meanwhile, and `SubmissionError('image_changed')`
    when a container's image is not the one that was taken in; nothing that the model does raises.
    """
    if edition.info.sites:
        raise UsageError(
            "bad_value", f"edition {edition.info.edition!r} holds no images", expected="one that was prepared"
        )
    cases = [*edition.split("canary"), *edition.split("test")]
    store.open_store(root)
    payload = store.inference_payload(digest, task, edition, cases, list(getattr(engine, "flags", (engine.name,))))
    key = store.digest(payload)
    target = store.run_folder(root, key)
    try:
        with atomic.refusals(target), _alone(target):
            existing = store.load_run(root, key)
            if existing is not None and not (again and store.predictions_removed(target)):
                return existing
            partial = target.parent / f".{key}.partial"
            partial.mkdir(exist_ok=True)
            if (finished := store.sealed_run(partial, key)) is not None:
                return _placed(partial, target, finished)
            inputs = _begun(partial, edition, cases)
            start, done, flags = _Run(task, edition, engine, cases, partial, progress).carry_out()
            if _marks(edition, cases) != inputs:
                shutil.rmtree(partial, ignore_errors=True)
                raise InfrastructureError(
                    "changed_meanwhile",
                    f"the inputs of {task.name}/{edition.info.edition} were changed while {method.name} ran on them",
                )
            where = " + ".join(part for part in (hardware(), getattr(engine, "hardware", "")) if part)
            record = RunRecord(
                key=key,
                task=task.name,
                edition=edition.info.edition,
                method=method,
                digest=digest,
                engine=engine.name,
                hardware=where,
                start_seconds=start,
                cases=tuple(done),
                flags=(*getattr(engine, "remarks", ()), *flags),
                cost=cost(start, done, where),
            )
            store.seal_run(partial, record, payload, [case.id for case in edition.split("canary")])
            return _placed(partial, target, record)
    except Timeout:
        raise InfrastructureError("busy", f"another process is running {method.name} on {task.name}") from None


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process at a run at a time. Raises `filelock.Timeout`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f".{target.name}.lock", timeout=5):
        yield


def _marks(edition: Edition, cases: Sequence[Case]) -> str:
    return store.digest(edition.marks("inputs", cases))


def _begun(partial: Path, edition: Edition, cases: Sequence[Case]) -> str:
    """A mark of the inputs. What a killed run left of other files is taken away: its key would say that it came from these."""
    marks, kept = _marks(edition, cases), partial / "done" / "inputs"
    if kept.exists() and kept.read_text("utf-8") != marks:
        shutil.rmtree(partial)
        partial.mkdir()
    if not kept.exists():
        atomic.write_text(kept, marks)
    return marks


def _placed(partial: Path, target: Path, record: RunRecord) -> RunRecord:
    """Put a finished run in place. What helped to resume it goes last, so that a kill before that loses nothing."""
    shutil.rmtree(partial / "done", ignore_errors=True)
    atomic.place(partial, target)
    return record


class _Run:
    """One run, kept in `folder` at every step: `done/<case>.json` a case that has a result, and what else a resumed run must know."""

    def __init__(
        self,
        task: Task,
        edition: Edition,
        engine: Engine,
        cases: Sequence[Case],
        folder: Path,
        progress: Progress | None,
    ) -> None:
        self.task, self.edition, self.engine, self.cases = task, edition, engine, cases
        self.folder, self.progress = folder, progress
        self.records: dict[str, CaseRun] = {}
        self._cold = folder / "done" / "cold"
        """Says, once it is there, why each case gets a fresh start."""
        self._warm_first = folder / "done" / "first"
        """What the warm server gave for its first case."""

    def carry_out(self) -> tuple[float, list[CaseRun], tuple[str, ...]]:
        """Run what has no result yet; the seconds that the model took to start, one record a case, flags for the row."""
        start_file = self.folder / "done" / "start_seconds"
        cold = self._cold.exists()
        engine = self.engine.cold() if cold else self.engine  # type: ignore[attr-defined]
        self.records = {case.id: record for case in self.cases if (record := self._load(case)) is not None}
        suspicion = ""
        if len(self.records) < len(self.cases):
            with engine.session(self.task.limits, self.folder / "logs" / "model.log") as session:
                if not start_file.exists():
                    atomic.write_text(start_file, repr(session.start_seconds))
                suspicion = self._each(session, probe=not cold)
        if suspicion:
            self._again_cold(suspicion)
            return self.carry_out()
        flags = (self._verdict(),) if cold else ()
        self._messages()
        return float(start_file.read_text("utf-8")), [self.records[case.id] for case in self.cases], flags

    def _each(self, session: Session, *, probe: bool) -> str:
        """Run each case without a result; what the probe for state found."""
        for case in self.cases:
            if case.id not in self.records:
                record = self._one(session, case)
                last = len(self.records) == len(self.cases) - 1
                # Before the last result is kept: a run that is killed here repeats that case and the probe.
                if last and probe and getattr(session, "warm", False) and (found := self._probe(session, case)):
                    return found
                self.records[case.id] = record
                # On disk before the record that says so: after a power cut a case is done with its output or not done.
                atomic.sync_tree(self.folder / "predictions" / case.id)
                atomic.write_text(self.folder / "done" / f"{case.id}.json", record.model_dump_json())
            if self.progress:
                self.progress(f"{self.task.name}", len(self.records), len(self.cases))
        return ""

    def _one(self, session: Session, case: Case) -> CaseRun:
        first = self.records.get(self.cases[0].id)
        if first is not None and first.code and self.cases[0].split == "canary":
            said = in_words("submission", first.code) if case.split == "test" else first.reason
            reason = f"Not run, since the first canary case failed: {said}"
            return CaseRun(case=case.id, seconds=0, code=first.code, reason=reason)
        outcome = session.run(self.edition.input_folder(case.id), self.folder / "predictions" / case.id)
        sealed = case.split == "test"
        if outcome.log:
            place = self.folder / (SEALED_LOGS if sealed else OPEN_LOGS) / f"{case.id}.log"
            atomic.write_bytes(place, outcome.log)
        return CaseRun(
            case=case.id,
            seconds=outcome.seconds,
            code=outcome.code,
            reason=self._said(outcome, sealed),
            cost=outcome.cost,
        )

    def _said(self, outcome: CaseOutcome, sealed: bool) -> str:
        """On a sealed split only fixed words: a message that the container had a part in could carry what it saw."""
        if not outcome.code or not sealed or getattr(self.engine, "trusted", False):
            return outcome.reason
        return in_words("submission", outcome.code)

    def _probe(self, session: Session, last: Case) -> str:
        """Ask a warm server for its first good case again; how the answers differ."""
        good = next((c for c in self.cases if c != last and c.id in self.records and not self.records[c.id].code), None)
        if good is None:
            return ""
        output = self.folder / "done" / "probe"
        try:
            outcome = session.run(self.edition.input_folder(good.id), output)
            if outcome.code:
                return f"it failed when it was asked for the case again: {outcome.code}"
            return disagreement(self.task, self.folder / "predictions" / good.id, output)
        finally:
            shutil.rmtree(output, ignore_errors=True)

    def _again_cold(self, suspicion: str) -> None:
        """Forget what the warm server gave, except its first output, which tells state from chance."""
        shutil.rmtree(self._warm_first, ignore_errors=True)
        good = next(case.id for case in self.cases if case.id in self.records and not self.records[case.id].code)
        shutil.copytree(self.folder / "predictions" / good, self._warm_first / good)
        atomic.write_text(self._cold, suspicion)
        for case in self.cases:
            (self.folder / "done" / f"{case.id}.json").unlink(missing_ok=True)
            shutil.rmtree(self.folder / "predictions" / case.id, ignore_errors=True)

    def _verdict(self) -> str:
        """The flag of a run that was repeated with a fresh start a case."""
        (kept,) = self._warm_first.iterdir()
        found = self._cold.read_text("utf-8")
        again = disagreement(self.task, kept, self.folder / "predictions" / kept.name)
        if again:
            return f"Not repeatable: two fresh starts gave different outputs for one case ({again})."
        return f"Carried state from case to case ({found}); run with a fresh start for each case."

    def _messages(self) -> None:
        """What a participant may see of the whole run: a fixed vocabulary, and no times, which could carry a message."""
        lines = ["started"]
        for number, case in enumerate(self.cases, 1):
            record = self.records[case.id]
            state = f"failed: {record.code}" if record.code else "done"
            lines.append(f"case {number} of {len(self.cases)} ({case.split}) {state}")
        atomic.write_text(self.folder / "logs" / "messages.txt", "\n".join([*lines, "ended", ""]))

    def _load(self, case: Case) -> CaseRun | None:
        path = self.folder / "done" / f"{case.id}.json"
        return CaseRun.model_validate_json(path.read_text("utf-8")) if path.exists() else None


def cost(start: float, cases: Sequence[CaseRun], where: str) -> Cost | None:
    """What a run took, over its cases that ran to their end; None when none did."""
    good = [case for case in cases if not case.code]
    if not good:
        return None
    seconds = [case.seconds for case in good]
    measured = {
        name: [value for case in good if case.cost and (value := getattr(case.cost, name)) is not None]
        for name in ("peak_memory_mb", "cpu_seconds", "gpu_memory_mb", "gpu_joules")
    }

    def most(name: str) -> float | None:
        return max(measured[name], default=None)

    def median(name: str) -> float | None:
        return float(np.median(measured[name])) if measured[name] else None

    return Cost(
        start_seconds=start,
        seconds_median=float(np.median(seconds)),
        seconds_p95=float(np.quantile(seconds, 0.95)),
        peak_memory_mb=most("peak_memory_mb"),
        cpu_seconds=median("cpu_seconds"),
        gpu_memory_mb=most("gpu_memory_mb"),
        gpu_joules=median("gpu_joules"),
        hardware=where,
    )


def hardware() -> str:
    """What this machine is, in words for the row."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
