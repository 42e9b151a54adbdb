"""The first layout becomes the present one, also when that is interrupted, and everything in it is found again."""

import subprocess
import sys
from pathlib import Path

import pytest
import small

from benchmark import atomic, inference, scoring, store
from benchmark.contract import Method
from benchmark.dataset import Edition
from benchmark.errors import DataError
from benchmark.store import manifest, schema
from benchmark.store.check import check
from benchmark.tasks import TaskFolder

FIRST_LAYOUT = "672ef5a"
"""A commit whose code writes the first layout."""
ROOT = Path(__file__).parents[2]


def test_migration(filled: Path, toy: TaskFolder, toy_edition: Edition) -> None:
    small.older_layout(filled)
    before = small.tree(filled)
    assert store.version_of(filled) == 1
    assert [f.level for f in check(filled).findings] == ["note"]
    assert store.open_store(filled) == 1 and store.open_store(filled) == 2
    after = small.tree(filled)
    assert {path: after[path] for path in before} == before  # nothing that was there is touched
    assert {Path(path).name for path in set(after) - set(before)} == {"files.json", "store.json"}
    assert check(filled).findings == ()
    # What was there is reused: no case is run again.
    engine = small.Denoiser(10)
    run = inference.run(toy.task, toy_edition, Method(name="first", title="first"), "digest-10", engine, root=filled)
    assert engine.ran == 0 and scoring.score_run(toy.task, toy_edition, run, filled).run == run.key
    (filled / "runs" / run.key / "run.json").write_text("{}")
    assert check(filled).problems  # the hashes of the migration are held to


def test_running_migrates_by_itself(filled: Path, toy: TaskFolder, toy_edition: Edition) -> None:
    small.older_layout(filled)
    small.submit(filled, toy, toy_edition, "new", 7)
    assert store.version_of(filled) == 2 and check(filled).findings == ()


def test_an_interrupted_migration_goes_on(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.older_layout(filled)
    real, sealed = manifest.seal, []

    def dying(folder: Path, **options: bool) -> None:
        if len(sealed) == 2:
            raise KeyboardInterrupt
        sealed.append(folder)
        real(folder, **options)

    monkeypatch.setattr(manifest, "seal", dying)
    with pytest.raises(KeyboardInterrupt):
        store.open_store(filled)
    assert store.version_of(filled) == 1 and len(list(filled.glob("*/*/files.json"))) == 2
    times = {path: path.stat().st_mtime_ns for path in filled.glob("*/*/files.json")}
    monkeypatch.setattr(manifest, "seal", real)
    store.open_store(filled)
    assert check(filled).findings == () and all(path.stat().st_mtime_ns == at for path, at in times.items())


def test_steps_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layouts behind: both steps, in order, and killed between them only the second is left."""
    small.write_run(tmp_path, 1)
    small.older_layout(tmp_path)
    done: list[int] = []

    def second(root: Path, progress: object) -> None:
        done.append(store.version_of(root))
        if len(done) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(schema, "VERSION", 3)
    monkeypatch.setitem(schema.STEPS, 2, second)
    with pytest.raises(KeyboardInterrupt):
        schema.open_store(tmp_path)
    assert schema.open_store(tmp_path) == 2 and done == [2, 2] and schema.version_of(tmp_path) == 3


def test_a_new_store_has_the_present_layout(tmp_path: Path) -> None:
    assert store.open_store(tmp_path / "s") == 0 and store.version_of(tmp_path / "s") == store.VERSION


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 0}', '{"schema_version": "x"}'])
def test_a_broken_version_is_no_version(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(DataError) as caught:
        store.open_store(tmp_path)
    assert caught.value.code == "record_invalid"


OLD_CODE = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from pathlib import Path
import benchmark, tests.conftest as toys
assert benchmark.__file__.startswith(sys.argv[1]), benchmark.__file__
from benchmark import dataset, scoring, inference, tasks, image
from benchmark.contract import Method
from benchmark.container.engine import CaseOutcome
import contextlib, numpy as np
class Engine:
    name = "scripted"
    @contextlib.contextmanager
    def session(self, limits, log):
        self.start_seconds = 0.5
        yield self
    def run(self, inputs, output):
        (file,) = (inputs / "images/noisy").iterdir()
        volume = image.read(file)
        (output / "images/clean").mkdir(parents=True)
        image.write(output / "images/clean" / file.name, volume.like(volume.array - np.int16(10)))
        return CaseOutcome(0.1)
work = Path(sys.argv[3])
folder = tasks.find("toy", [toys.write_toy(work / "tasks")])
edition = dataset.prepare(work / "data", folder.task, folder.maker("phantom")())
run = inference.run(folder.task, edition, Method(name="m", title="M"), "digest-10", Engine(), root=work / "store")
print(run.key, scoring.score_run(folder.task, edition, run, work / "store").key)
"""


@pytest.mark.slow
def test_a_store_that_the_older_code_made(tmp_path: Path, toy: TaskFolder, toy_edition: Edition) -> None:
    """Made by the code of that commit, in a process of its own."""
    old = tmp_path / "old"
    old.mkdir()
    made = subprocess.run(
        ["git", "archive", FIRST_LAYOUT, "benchmark", "tasks", "tests/conftest.py"], cwd=ROOT, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"the history is not at hand: {made.stderr.decode()[:200]}")
    subprocess.run(["tar", "-x", "-C", str(old)], input=made.stdout, check=True)
    script = [sys.executable, "-c", OLD_CODE, str(old), str(old), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run, score = done.stdout.split()
    root = tmp_path / "store"
    assert store.version_of(root) == 1 and store.open_store(root) == 1
    found = check(root)
    assert found.findings == () and (found.runs, found.scores) == (1, 1)
    record, kept = store.load_run(root, run), store.load_score(root, score)
    assert record and kept and kept.aggregates[0].value == 0.0
    assert len(store.load_case_scores(root, score)) == 14
    # The present code reuses the run: same key, nothing is run.
    engine = small.Denoiser(10)
    again = inference.run(toy.task, toy_edition, Method(name="m", title="M"), "digest-10", engine, root=root)
    assert engine.ran == 0 and again == record


def test_a_run_killed_between_its_end_and_its_place_is_not_run_again(
    tmp_path: Path, toy: TaskFolder, toy_edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, place = Method(name="m", title="M"), atomic.place

    def killed(*_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        inference.run(toy.task, toy_edition, method, "d", small.Denoiser(1), root=tmp_path)
    assert check(tmp_path).runs == 0
    monkeypatch.setattr(atomic, "place", place)
    engine = small.Denoiser(1)
    run = inference.run(toy.task, toy_edition, method, "d", engine, root=tmp_path)
    assert engine.ran == 0 and check(tmp_path).findings == () and store.load_run(tmp_path, run.key) == run
