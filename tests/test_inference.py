"""Running cases: canary first, a failed case alone, resumption at the first case without a result, the same key reused."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark import dataset, image, inference, scoring, store
from benchmark.container.engine import CaseOutcome
from benchmark.contract import Limits, Method
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError, in_words
from benchmark.metrics import find
from benchmark.tasks import TaskFolder

Behaviour = Callable[[str, Path, Path], CaseOutcome]


class ScriptedEngine:
    """An engine whose model is a Python function; it records which cases it ran."""

    name = "scripted"

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.ran: list[str] = []
        self.sessions = 0

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> "Iterator[ScriptedEngine]":
        self.sessions += 1
        self.start_seconds = 0.5
        yield self

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        (file,) = (inputs / "images/noisy").iterdir()
        case = file.name.removesuffix(".mha")
        self.ran.append(case)
        return self.behaviour(case, file, output)


def denoise(case: str, file: Path, output: Path) -> CaseOutcome:
    """A model that takes the offset away."""
    volume = image.read(file)
    (output / "images/clean").mkdir(parents=True, exist_ok=True)
    image.write(output / "images/clean" / file.name, volume.like(volume.array - np.int16(10)))
    return CaseOutcome(0.1)


METHOD = Method(name="scripted", title="Scripted")


def go(
    toy: TaskFolder, edition: Edition, engine: ScriptedEngine, root: Path, digest: str = "d1"
) -> inference.RunRecord:
    return inference.run(toy.task, edition, METHOD, digest, engine, root=root)


def test_canary_first_then_test_and_reuse(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    engine = ScriptedEngine(denoise)
    record = go(toy, toy_edition, engine, tmp_path)
    assert engine.ran == ["c3", "c4", "c5", "c6", "c7", "c8", "c9"]
    assert record.start_seconds == 0.5
    assert go(toy, toy_edition, engine, tmp_path) == record
    assert engine.sessions == 1
    assert go(toy, toy_edition, engine, tmp_path, "d2").key != record.key
    score = scoring.score_run(toy.task, toy_edition, record, tmp_path)
    assert score.aggregates[0].value == 0.0
    assert scoring.score_run(toy.task, toy_edition, record, tmp_path) == score
    assert {s.case for s in store.load_case_scores(tmp_path, score.key)} == {f"c{i}" for i in range(3, 10)}


def test_a_failed_case_takes_no_other_with_it(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> None:
    def behaviour(case: str, file: Path, output: Path) -> CaseOutcome:
        if case == "c6":
            return CaseOutcome(3.0, "timeout", "no answer within 3 s.")
        outcome = denoise(case, file, output)
        if case == "c7":
            image.write(output / "images/clean" / "second.mha", image.read(file))
        if case == "c8":
            (output / "images/clean/c8.mha").write_bytes(b"broken")
        if case == "c9":
            (output / "images/clean/c9.mha").unlink()
        return outcome

    record = go(toy, toy_edition, ScriptedEngine(behaviour), tmp_path)
    score = scoring.score_run(toy.task, toy_edition, record, tmp_path)
    rows = {s.case: s for s in store.load_case_scores(tmp_path, score.key) if s.metric == "mae"}
    assert rows["c5"].value == 0.0
    codes = {case: rows[case].reason.split(":")[0] for case in ("c6", "c7", "c8", "c9")}
    assert codes == {"c6": "timeout", "c7": "extra_output", "c8": "unreadable", "c9": "missing"}
    assert {rows[case].value for case in codes} == {find("mae").worst_value()}
    # These are sealed cases: fixed words, without the names that the model chose and the times that it took.
    for case, code in codes.items():
        assert rows[case].reason == f"{code}: {in_words('submission', code)}"
    assert record.cases[3].reason == in_words("submission", "timeout")
    assert score.aggregates[0].n_worst == 4


def test_a_submission_that_fails_on_the_canary_is_not_run_on_the_rest(
    toy: TaskFolder, toy_edition: Edition, tmp_path: Path
) -> None:
    engine = ScriptedEngine(lambda case, file, output: CaseOutcome(0.1, "crashed", "it ended."))
    record = go(toy, toy_edition, engine, tmp_path)
    assert engine.ran == ["c3"]
    assert len(record.cases) == 7
    assert all(case.code == "crashed" for case in record.cases)
    assert "first canary case failed" in record.cases[-1].reason
    assert "it ended" in record.cases[1].reason and "it ended" not in record.cases[-1].reason
    score = scoring.score_run(toy.task, toy_edition, record, tmp_path)
    assert score.aggregates[0].value == find("mae").worst_value()


def test_an_interrupted_run_goes_on_at_the_first_case_without_a_result(
    toy: TaskFolder, toy_edition: Edition, tmp_path: Path
) -> None:
    def fragile(case: str, file: Path, output: Path) -> CaseOutcome:
        if case == "c6":
            raise InfrastructureError("start_failed", "the engine went away")
        return denoise(case, file, output)

    first = ScriptedEngine(fragile)
    with pytest.raises(InfrastructureError):
        go(toy, toy_edition, first, tmp_path / "a")
    assert not list((tmp_path / "a/runs").glob("[!.]*"))
    second = ScriptedEngine(denoise)
    resumed = go(toy, toy_edition, second, tmp_path / "a")
    assert second.ran == ["c6", "c7", "c8", "c9"]
    whole = go(toy, toy_edition, ScriptedEngine(denoise), tmp_path / "b")
    assert resumed == whole
    files = [
        {p.relative_to(root): p.read_bytes() for p in (root / "runs" / whole.key).rglob("*") if p.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert files[0] == files[1]


def test_inputs_or_references_that_are_replaced_meanwhile_give_no_record(toy: TaskFolder, tmp_path: Path) -> None:
    """Made anew with another seed while a model, or the scorer, is at work: nothing is kept under the key of what was there before."""

    def prepared(seed: int) -> Edition:
        return dataset.prepare(tmp_path / "data", toy.task, toy.maker("phantom")(seed=seed), workers=1)

    def changing(case: str, file: Path, output: Path) -> CaseOutcome:
        outcome = denoise(case, file, output)
        if case == "c6":
            prepared(2)
        return outcome

    edition, root = prepared(1), tmp_path / "store"
    with pytest.raises(InfrastructureError) as caught:
        go(toy, edition, ScriptedEngine(changing), root)
    assert caught.value.code == "changed_meanwhile" and "while scripted ran on them" in caught.value.sentence
    assert not [path for path in (root / "runs").iterdir() if path.is_dir()]
    edition, engine = prepared(1), ScriptedEngine(denoise)
    record = go(toy, edition, engine, root)
    assert len(engine.ran) == len(record.cases) == 7  # from the start: what there was came of both
    with pytest.raises(InfrastructureError) as caught:
        scoring.score_run(toy.task, edition, record, root, progress=lambda done, total: prepared(2) and None)
    assert caught.value.code == "changed_meanwhile" and not list((root / "scores").glob("[!.]*"))
    assert scoring.score_run(toy.task, prepared(1), record, root).aggregates[0].value == 0.0


def test_what_a_killed_run_left_of_other_inputs_is_not_gone_on_with(toy: TaskFolder, tmp_path: Path) -> None:
    def fragile(case: str, file: Path, output: Path) -> CaseOutcome:
        if case == "c6":
            raise InfrastructureError("start_failed", "the engine went away")
        return denoise(case, file, output)

    edition = dataset.prepare(tmp_path / "data", toy.task, toy.maker("phantom")(seed=1), workers=1)
    with pytest.raises(InfrastructureError):
        go(toy, edition, ScriptedEngine(fragile), tmp_path)
    file = next((edition.root / "inputs" / "c3").rglob("*.mha"))
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data)  # perhaps not what it was when c3 was run
    engine = ScriptedEngine(denoise)
    go(toy, edition, engine, tmp_path)
    assert engine.ran[0] == "c3"
