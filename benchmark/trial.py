"""A participant's own check: a submission on the canary split, with the code that the organiser runs, and its verdict.

    <work>/trials/<task>/<name>/verdict.json     what was found (`benchmark.verdict.Verdict`)
                               /cases.csv        the per-case table
                               /logs/            what the model printed
                               /predictions/     what it wrote

Each trial runs afresh and replaces the one before. Nothing of it enters the store, so no board shows it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from benchmark import atomic, inbox, inference, metrics, scoring, store, submission, validation
from benchmark.container import ContainerEngine, Engine, ImageRecord, Runtime, intake
from benchmark.container.shell import last_line
from benchmark.container.staging import InputFormat
from benchmark.contract import Case, CaseRun, Method, RunRecord, Score, Socket, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError, SubmissionError, UsageError
from benchmark.references import ReferenceCache
from benchmark.verdict import CaseVerdict, Compared, Verdict, conclusion, refusal

Say = Callable[[str], None]
"""Takes a line for the person who waits."""

CONTAINERFILES = ("Containerfile", "Dockerfile")
REPOSITORY = "localhost/radbench-try"
"""Repository of the images that trials build."""
BUILD_TAIL = 15
"""Lines of a failed build that are shown."""
LOG_LINES, LOG_COLUMNS = 200, 300
"""How much of a log is shown while it runs; the whole of it is in the file."""


@dataclass(frozen=True)
class Source:
    """What is to be tried."""

    kind: Literal["folder", "manifest", "archive", "image"]
    text: str
    """As it was given."""
    path: Path | None = None
    """Where it lies; None for the name of an image."""

    @property
    def name(self) -> str:
        """A short name for folders and tags."""
        base = self.path.resolve().name if self.path else self.text.rsplit("/", 1)[-1]
        if self.kind == "manifest" and self.path:
            base = self.path.resolve().parent.name
        for suffix in (".tar.gz", ".tgz", ".tar", ".sif"):
            base = base.removesuffix(suffix)
        return re.sub(r"[^a-z0-9_.-]+", "-", base.lower()).strip("-._")[:40] or "submission"


def source(text: str) -> Source:
    """What a word on the command line means: a folder to build, a manifest, an archive, or the name of an image.

    Raises `UsageError('path')` for a folder without a Containerfile and for a path that leads nowhere.
    """
    path = Path(text)
    if path.is_dir():
        if not any((path / name).is_file() for name in CONTAINERFILES):
            raise UsageError(
                "path",
                f"{text} has no Containerfile",
                expected="a folder with a Containerfile, an image archive, a submission.toml or the name of an image",
                action="Copy submissions/template and start from there.",
            )
        return Source("folder", text, path)
    if path.is_file():
        return Source("manifest" if path.suffix == ".toml" else "archive", text, path)
    if text.startswith(("/", "./", "../", "~")) or text.endswith((".tar", ".tar.gz", ".tgz", ".sif", ".toml")):
        raise UsageError("path", f"there is no {text}", expected="a folder, an archive or the name of an image")
    return Source("image", text)


def build(found: Source, runtime: Runtime, arguments: Sequence[str], say: Say) -> str:
    """Build the folder's Containerfile and return the image's name; `arguments` are `NAME=VALUE` for its `ARG`s.

    Raises `SubmissionError('build_failed')` with the last lines of the build, and `UsageError('bad_value')` for an engine that
    cannot build or an argument that is none.
    """
    assert found.path is not None
    if runtime.name == "apptainer":
        raise UsageError(
            "bad_value", "Apptainer cannot build a Containerfile", expected="an archive or the name of an image"
        )
    for argument in arguments:
        if not re.match(r"^[A-Za-z_][A-Za-z0-9_]*=", argument):
            raise UsageError("bad_value", f"--build-arg {argument}", expected="NAME=VALUE")
    name = f"{REPOSITORY}/{found.name}:latest"
    recipe = next(found.path / name for name in CONTAINERFILES if (found.path / name).is_file())
    command = [runtime.executable, "build", f"--file={recipe}", f"--tag={name}"]
    command += [f"--build-arg={argument}" for argument in arguments]
    # Podman's own format has no place for some instructions; Docker knows no such option.
    command += ["--format=docker"] if runtime.name == "podman" else []
    process = subprocess.Popen(
        [*command, str(found.path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            text = printable(line.decode("utf-8", "replace"))
            lines = [*lines[-BUILD_TAIL + 1 :], text] if text else lines
            if text:
                say(f"  │ {text}")
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code:
        detail = last_line("\n".join(lines).encode())
        raise SubmissionError("build_failed", f"{recipe.name} could not be built by {runtime.name}: {detail}")
    return name


def printable(line: str) -> str:
    """A line of a stranger's text without control characters, which a terminal would obey, and not too long."""
    clean = "".join(c if c.isprintable() else " " for c in line.rstrip())
    return clean if len(clean) <= LOG_COLUMNS else clean[:LOG_COLUMNS] + "…"


def run(
    task: Task,
    edition: Edition,
    found: Source,
    runtime: Runtime,
    *,
    trials: Path,
    root: Path,
    gpu: str = "",
    inputs: InputFormat = "mha",
    build_arguments: Sequence[str] = (),
    say: Say,
    progress: inference.Progress | None = None,
) -> Verdict:
    """Try a submission on the canary cases of `edition` and write the verdict below `trials`.

    `inputs` is the file format that the image expects; a manifest says it itself. `root` is the store that is looked into for the
    baselines' results. What is wrong with the submission is in the verdict. Raises `InfrastructureError` when the engine fails,
    `DataError` for an edition without canary cases, `UsageError` for a wrong call and `SubmissionError('manifest')`.
    """
    begin = time.monotonic()
    target = trials / task.name / found.name
    folder = _fresh(target)
    reference, model, method, digest = found.text, None, Method(name=found.name, title=found.name), ""
    if found.kind == "manifest":
        assert found.path is not None
        manifest = submission.load(found.path)
        task = task.model_copy(update={"limits": manifest.limits(task)})
        model, method, digest = inbox.model_of(found.path, manifest), manifest.method, manifest.digest
        archive = inbox.archive_of(found.path, manifest)
        reference = str(archive) if archive else manifest.image
        gpu = gpu or ("all" if manifest.requests.gpu else "")
        inputs = manifest.requests.inputs
    try:
        if found.kind == "folder":
            say(f"Building {found.text} with {runtime.name}")
            reference = build(found, runtime, build_arguments, say)
        image = intake(reference, runtime, digest=digest, cache=trials / ".cache")
    except SubmissionError as error:
        verdict = _verdict(task, edition, found).model_copy(
            update={"outcome": "refused", "code": error.code, "sentence": refusal(error.code, error.sentence)}
        )
        return _finished(verdict, begin, folder, target)
    say(_described(image, runtime))
    engine = ContainerEngine(image, runtime, gpu=gpu, model=model, inputs=inputs)
    verdict = judge(
        task, edition, found, engine, image.digest, method, folder=folder, root=root, say=say, progress=progress
    )
    return _finished(verdict, begin, folder, target)


def judge(
    task: Task,
    edition: Edition,
    found: Source,
    engine: Engine,
    digest: str,
    method: Method,
    *,
    folder: Path,
    root: Path,
    say: Say,
    progress: inference.Progress | None = None,
) -> Verdict:
    """Run the canary cases with `engine`, keep its logs and outputs in `folder`, score them, and compare with the baselines."""
    cases = edition.split("canary")
    if not cases:
        raise DataError(
            "edition_broken", f"edition {edition.info.edition!r} has no canary cases", expected="at least one"
        )
    alone = replace(edition, cases=cases)
    with _shown(folder, say):
        record = inference.run(task, alone, method, digest, engine, root=folder, progress=progress)
    kept = store.run_folder(folder, record.key)
    for name in ("logs", "predictions"):
        if (kept / name).exists():
            (kept / name).rename(folder / name)
    shutil.rmtree(folder / "runs")

    cache = ReferenceCache()
    failed = {case.case: f"{case.code}: {case.reason}" for case in record.cases if case.code}
    scored = scoring.score_cases(
        task, edition, cases, _finder(folder / "predictions"), cache=cache, failed=failed, hints=True
    )
    atomic.write_text(folder / "cases.csv", store.scores_to_csv(scored.scores))
    judged = tuple(_case(item, scored) for item in record.cases)
    outcome, sentence, code = conclusion(judged)
    baselines = compared(task, edition, root, cache)
    return _verdict(task, edition, found).model_copy(
        update={
            "outcome": outcome,
            "sentence": sentence,
            "code": code,
            "image": digest,
            "engine": record.engine,
            "hardware": record.hardware,
            "start_seconds": record.start_seconds,
            "flags": record.flags,
            "cases": judged,
            "aggregates": tuple(scored.aggregates),
            "baselines": baselines,
            "notes": _notes(task, edition, baselines),
            "scorer": store.scorer_version(),
        }
    )


def compared(task: Task, edition: Edition, root: Path, cache: ReferenceCache) -> tuple[Compared, ...]:
    """The baselines that have been run and scored on this edition, on its canary cases, by name.

    What the store holds of the canary is taken as it is; metrics of a set, which it holds for the test cases alone, are taken
    again from the stored outputs.
    """
    canary = edition.split("canary")
    cases = [*canary, *edition.split("test")]
    sets = any(metrics.find(used.name).level == "set" for used in task.metrics)
    newest: dict[str, tuple[float, Compared]] = {}
    for path in (root / "runs").glob("[!.]*/run.json"):
        run = store.load_run(root, path.parent.name)
        if run is None or not run.method.baseline or (run.task, run.edition) != (task.name, edition.info.edition):
            continue
        score = store.load_score(root, store.scoring_key(run.key, task, edition, cases))
        made = path.stat().st_mtime
        if score is None or newest.get(run.method.name, (0.0,))[0] > made:
            continue
        aggregates = _again(task, edition, canary, run, root, cache) if sets else _stored(task, canary, score.key, root)
        newest[run.method.name] = (
            made,
            Compared(name=run.method.name, title=run.method.title, aggregates=tuple(aggregates)),
        )
    return tuple(item for _, (_, item) in sorted(newest.items()))


def _stored(task: Task, canary: Sequence[Case], key: str, root: Path) -> list[scoring.Aggregate]:
    wanted = {case.id for case in canary}
    return scoring.aggregate(task, canary, [s for s in store.load_case_scores(root, key) if s.case in wanted])


def _again(
    task: Task, edition: Edition, canary: Sequence[Case], run: RunRecord, root: Path, cache: ReferenceCache
) -> list[scoring.Aggregate]:
    failed = {case.case: f"{case.code}: {case.reason}" for case in run.cases if case.code}
    finder = _finder(store.run_folder(root, run.key) / "predictions")
    return scoring.score_cases(task, edition, canary, finder, cache=cache, failed=failed).aggregates


def _finder(predictions: Path) -> scoring.Finder:
    def find(case: Case, socket: Socket) -> Path:
        return validation.output_file(predictions / case.id, socket)

    return find


def _case(ran: CaseRun, scored: scoring.Scored) -> CaseVerdict:
    """The verdict of a case from what running and scoring gave."""
    own: list[Score] = [score for score in scored.scores if score.case == ran.case]
    code, reason = ran.code, ran.reason
    # Also a number that is none (NaN where it is scored) costs the case, though the file is valid.
    bad = next((score for score in own if score.status in ("missing", "invalid")), None)
    if not code and bad is not None:
        code, _, reason = bad.reason.partition(": ")
    return CaseVerdict(
        case=ran.case,
        ok=not code,
        code=code,
        reason=reason,
        hint=scored.hints.get(ran.case, ""),
        seconds=ran.seconds,
        cost=ran.cost,
        scores=tuple(own),
    )


def _notes(task: Task, edition: Edition, baselines: Sequence[Compared]) -> tuple[str, ...]:
    count = len(edition.split("canary"))
    notes = [f"{count} canary cases show that it works and about what it would score; they are too few for a rank."]
    if edition.info.kind == "phantom":
        notes.append("These are phantoms, made by formula: no score here speaks for patients.")
    if not baselines:
        notes.append(
            f"No baseline has been run on this edition: `radbench run {task.name} --data {edition.info.edition}` runs them all, "
            "and the next trial shows them beside yours."
        )
    return tuple(notes)


def _verdict(task: Task, edition: Edition, found: Source) -> Verdict:
    return Verdict(
        outcome="failed",
        sentence="",
        task=task.name,
        task_version=task.version,
        edition=edition.info.edition,
        kind=edition.info.kind,
        source=found.text,
        limits=task.limits,
    )


def _fresh(target: Path) -> Path:
    """An empty folder beside `target`, which it becomes in the end; until then the last trial stands."""
    folder = target.with_name(f".{target.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _finished(verdict: Verdict, begin: float, folder: Path, target: Path) -> Verdict:
    verdict = verdict.model_copy(update={"seconds": round(time.monotonic() - begin, 1)})
    atomic.write_json(folder / "verdict.json", verdict.model_dump(mode="json"))
    atomic.place(folder, target)
    return verdict


def _described(image: ImageRecord, runtime: Runtime) -> str:
    return (
        f"Taken in: {image.digest[:19]}…, {image.size / 2**20:.0f} MiB, user {image.uid}:{image.gid}, "
        f"{image.mode} mode, run by {runtime.name} {runtime.version}".rstrip()
    )


@contextmanager
def _shown(folder: Path, say: Say) -> Iterator[None]:
    """Show what the model prints while the block runs, line by line."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(folder, say, ended), name="log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


def _open_log(folder: Path) -> BinaryIO | None:
    """The model's log, where there is one; it may move between being found and being opened."""
    for path in (*folder.glob("runs/*/logs/model.log"), *folder.glob("runs/.*/logs/model.log")):
        with contextlib.suppress(FileNotFoundError):
            return path.open("rb")
    return None


def _follow(folder: Path, say: Say, ended: threading.Event) -> None:
    """Say what is added to the model's log, up to a number of lines. The log moves when the run is done; it stays open."""
    while (handle := _open_log(folder)) is None:
        if ended.wait(0.1):
            handle = _open_log(folder)  # a quick model is done before the first look
            if handle is None:
                return
            break
    shown, rest = 0, b""
    with handle:
        while True:
            last = ended.is_set()
            *lines, rest = (rest + handle.read(2**20)).split(b"\n")
            for line in [*lines, *([rest] if last and rest else [])]:
                shown += 1
                if shown <= LOG_LINES:
                    say(f"  │ {printable(line.decode('utf-8', 'replace'))}")
                elif shown == LOG_LINES + 1:
                    say("  │ … the rest is in the log file")
            if last:
                return
            ended.wait(0.2)
