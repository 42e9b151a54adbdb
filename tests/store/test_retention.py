"""What the retention rule takes away, what it must leave, and that it may be killed at any file."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import small
from filelock import FileLock

from benchmark import inference, scoring, store
from benchmark.contract import Method
from benchmark.dataset import Edition
from benchmark.errors import InfrastructureError, RadbenchError
from benchmark.store import pins
from benchmark.store.check import check
from benchmark.store.retention import Retention, collect, plan
from benchmark.tasks import TaskFolder

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[str]]:
    """Five runs of one submission, 50, 40 … 10 days old, the last of which stands on the board."""
    keys = [small.write_run(tmp_path, number) for number in range(5)]
    for number, key in enumerate(keys):
        small.aged(tmp_path, key, 50 - 10 * number, NOW.timestamp())
    return tmp_path, keys


def removed(root: Path, keys: list[str], rule: Retention) -> set[int]:
    return {keys.index(removal.run) for removal in plan(root, rule, now=NOW).removals}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Retention(), set()),
        (Retention(keep_runs=3), {0, 1}),
        (Retention(keep_runs=1), {0, 1, 2, 3}),
        (Retention(keep_runs=0), {0, 1, 2, 3}),  # the last one is on the board
        (Retention(keep_runs=0, keep_placed=False), {0, 1, 2, 3, 4}),
        (Retention(keep_days=25), {0, 1, 2}),
        (Retention(keep_days=30), {0, 1, 2}),  # one that is 30 days old is not younger than that
        (Retention(keep_days=31), {0, 1}),
        (Retention(keep_days=0), {0, 1, 2, 3}),
        (Retention(keep_days=25, keep_runs=4), {0}),  # kept is what any rule keeps
    ],
)
def test_rules(history: tuple[Path, list[str]], rule: Retention, expected: set[int]) -> None:
    root, keys = history
    assert removed(root, keys, rule) == expected


def test_pins_of_runs_and_submissions(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    rule = Retention(keep_days=0)
    assert pins.set_pin(root, keys[1]) and not pins.set_pin(root, keys[1])
    assert removed(root, keys, rule) == {0, 2, 3}
    pins.set_pin(root, "m")
    assert removed(root, keys, rule) == set()
    pins.set_pin(root, "m", False)
    assert removed(root, keys, rule) == {0, 2, 3} and check(root).findings == ()


def test_a_shared_run_is_kept_for_any_of_its_submissions(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    small.write_run(root, 1, name="twin")  # the same image again, under another name
    assert removed(root, keys, Retention(keep_days=0)) == {0, 2, 3}
    assert removed(root, keys, Retention(keep_runs=1, keep_placed=False)) == {0, 2, 3}
    pins.set_pin(root, "twin")
    assert removed(root, keys, Retention(keep_days=0, keep_placed=False)) == {0, 2, 3, 4}


def test_without_placements_the_newest_of_each_is_the_board(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    (root / "submissions/toy/phantom/m.json").unlink()
    assert removed(root, keys, Retention(keep_days=0)) == {0, 1, 2, 3}


def test_what_was_never_scored_is_kept(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    for path in root.glob("scores/*"):
        score = store.load_score(root, path.name)
        if score and score.run == keys[0]:
            shutil.rmtree(path)
    assert removed(root, keys, Retention(keep_days=0)) == {1, 2, 3}


def test_records_scores_and_canary_stay(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    before, rule = small.tree(root), Retention(keep_runs=3)
    planned = plan(root, rule, now=NOW)
    assert planned.bytes == 2 * 2 * 100 and small.tree(root).keys() == before.keys()
    collect(root, planned, rule)
    after = small.tree(root)
    expected = {f"runs/{key}/predictions/{case}/x.bin" for key in keys[:2] for case in ("c1", "c2")}
    assert before.keys() - after.keys() == expected
    assert all(after[path] == before[path] for path in before.keys() - expected)
    assert check(root).findings == ()
    assert not (root / "runs" / keys[0] / "predictions/c1").exists()
    again = plan(root, rule, now=NOW)
    assert again.removals == () and again.kept["nothing left but the canary"] == 2


def test_killed_at_every_file(history: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted before each removal in turn: the store is whole each time, and the next collection ends it."""
    root, keys = history
    rule, real, left = Retention(keep_runs=1), Path.unlink, [0]

    def dying(path: Path, missing_ok: bool = False) -> None:
        if path.name == "x.bin":
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", dying)
    rounds = 0
    for count in (0, 1, 0, 2, 1, 0, 1, 10):
        left[0] = count
        try:
            collect(root, plan(root, rule, now=NOW), rule)
        except KeyboardInterrupt:
            rounds += 1
        assert check(root).findings == ()
    assert rounds >= 5 and plan(root, rule, now=NOW).removals == ()
    assert len(list(root.glob("runs/*/predictions/*/x.bin"))) == 4 + 3
    assert removed(root, keys, Retention(keep_days=0, keep_placed=False)) == {4}


def test_leftovers_go_and_interrupted_runs_stay(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    going_on = root / "runs" / f".{'1' * 20}.partial"
    aside, half = root / "runs" / f".{keys[0]}.old.partial", root / "scores" / f".{'2' * 20}.partial"
    only = root / "runs" / f".{'3' * 20}.old.partial"  # its successor never came: it is all that there is
    for folder in (going_on, aside, half, only):
        folder.mkdir()
        (folder / "x").write_bytes(b"12345")
    planned = plan(root, Retention(), now=NOW)
    assert planned.leftovers == (f"runs/{aside.name}", f"scores/{half.name}") and planned.bytes == 10
    collect(root, planned, Retention())
    assert not aside.exists() and not half.exists() and going_on.exists() and only.exists()


def test_a_run_without_predictions_is_not_scored_as_missing(
    filled: Path, toy: TaskFolder, toy_edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real code: a later scorer finds no predictions; it must say so, and a new run makes them anew."""
    rule = Retention(keep_days=0, keep_placed=False)
    collect(filled, plan(filled, rule), rule)
    run = next(r for p in filled.glob("runs/*/run.json") if (r := store.load_run(filled, p.parent.name)))
    assert {p.name for p in (filled / "runs" / run.key / "predictions").iterdir()} == {"c3", "c4"}
    before = scoring.score_run(toy.task, toy_edition, run, filled)  # there already
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.store.keys.scorer_version", lambda: "later")
        patch.setattr("benchmark.store.scorer_version", lambda: "later")
        with pytest.raises(InfrastructureError) as caught:
            scoring.score_run(toy.task, toy_edition, run, filled)
        assert caught.value.code == "predictions_removed"
        engine = small.Denoiser(int(run.digest.split("-")[1]))
        method = Method(name="first", title="first")
        assert inference.run(toy.task, toy_edition, method, run.digest, engine, root=filled) == run and engine.ran == 0
        inference.run(toy.task, toy_edition, method, run.digest, engine, root=filled, again=True)
        assert engine.ran == 7 and not store.predictions_removed(store.run_folder(filled, run.key))
        later = scoring.score_run(toy.task, toy_edition, run, filled)
    assert later.key != before.key and later.aggregates[0].value == before.aggregates[0].value
    assert check(filled).findings == ()


def test_an_older_layout_keeps_what_it_does_not_know(filled: Path, toy_edition: Edition) -> None:
    small.older_layout(filled)
    store.open_store(filled)
    rule = Retention(keep_days=0, keep_placed=False)
    planned = plan(filled, rule)
    assert planned.removals == () and planned.kept == {"its canary cases are not known": 2}
    known = plan(filled, rule, canary=lambda run: [case.id for case in toy_edition.split("canary")])
    assert len(known.removals) == 2 and not any("/c3/" in path for path in known.removals[0].files)


def test_a_run_that_is_being_made_is_passed_over(history: tuple[Path, list[str]]) -> None:
    root, keys = history
    rule = Retention(keep_runs=1)
    with FileLock(root / "runs" / f".{keys[0]}.lock"):
        done = collect(root, plan(root, rule, now=NOW), rule)
    assert {removal.run for removal in done.removals} == set(keys[1:4])


def test_a_rule_is_checked() -> None:
    with pytest.raises((ValueError, RadbenchError)):
        Retention(keep_runs=-1)
