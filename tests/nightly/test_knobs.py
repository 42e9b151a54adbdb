"""Turn each knob and watch which work appears. The nights are real but for the container: real runs, scores, boards, site."""

from __future__ import annotations

import json

import pytest

from benchmark import dataset, jobs, store
from benchmark.container import ContainerEngine, ImageRecord, Runtime
from benchmark.container.process import ProcessEngine
from benchmark.nightly import gather, outcomes
from benchmark.nightly.config import Retries
from benchmark.nightly.hands import TakeInJob, take_in
from benchmark.nightly.plan import plan
from benchmark.nightly.state import Image
from benchmark.nightly.work import Plan
from tests.nightly.scripted import DIGESTS, Place


def due(place: Place) -> Plan:
    return plan(gather.gather(place.around(), place.day))


def test_a_first_night_takes_in_runs_scores_places_and_publishes(settled: Place) -> None:
    kinds = [line.split()[0] for line in settled.did]
    assert kinds.count("take-in") == 3 and kinds.count("run") == 2 and kinds.count("score") == 2
    assert kinds[-1] == "publish"
    # The run for which two rows wait comes first.
    assert [line for line in settled.did if line.startswith("run")] == ["run one", "run two"]
    board = json.loads((settled.work.site / "editions").glob("*/tasks/toy/board.json").__next__().read_text())
    assert {row["method"]["name"]: row["run"] for row in board["rows"]}.keys() == {"one", "two", "three"}
    runs = {row["method"]["name"]: row["run"] for row in board["rows"]}
    assert runs["one"] == runs["three"] != runs["two"]
    assert {row["method"]["name"]: row["method"]["team"] for row in board["rows"]}["three"] == "Others"


def test_a_night_with_nothing_new_does_nothing_and_changes_no_byte(settled: Place) -> None:
    before = settled.site(), (settled.work.root / "ledger.jsonl").read_bytes()
    assert due(settled).empty
    report = settled.night()
    assert (report.exit_code, report.planned, settled.did) == (0, {}, [])
    assert (settled.site(), (settled.work.root / "ledger.jsonl").read_bytes()) == before


def test_the_plan_does_not_depend_on_what_is_only_remembered(settled: Place) -> None:
    memory = settled.work.root / "nights" / "memory"
    for name in ("editions", "failures", "basis"):
        (memory / f"{name}.json").unlink(missing_ok=True)
    assert due(settled).empty


def test_a_metric_change_scores_anew_and_runs_nothing(settled: Place) -> None:
    settled.edit('[[metrics]]\nname = "mae"', '[[metrics]]\nname = "mae"\n\n[[metrics]]\nid = "again"\nname = "mae"')
    found = due(settled)
    assert (len(found.runs), len(found.scores), len(found.places)) == (0, 2, 0)
    assert {score.why for score in found.scores} == {"the task's metric section changed"}
    assert found.publish is not None
    assert settled.night().exit_code == 0
    assert sorted(settled.did) == ["publish", "score one", "score two"] and settled.did[-1] == "publish"
    assert due(settled).empty


def test_a_change_of_references_scores_anew_and_a_change_of_inputs_runs_anew(settled: Place) -> None:
    info = settled.work.data / "toy/phantom/dataset.json"
    held = json.loads(info.read_text())
    reference = next(path for path in held["files"] if path.startswith("references/c5/"))
    path = settled.work.data / "toy/phantom" / reference
    path.write_bytes(path.read_bytes().replace(b"ElementDataFile", b"Comment = other\nElementDataFile"))
    held["files"][reference] = dataset.sha256_of(path)
    info.write_text(json.dumps(held))
    found = due(settled)
    assert (len(found.runs), len(found.scores)) == (0, 2)
    assert {score.why for score in found.scores} == {"the references of the data edition changed"}
    settled.prepare(seed=2)
    found = due(settled)
    assert (len(found.runs), len(found.scores), len(found.places)) == (2, 2, 3)
    assert {run.why for run in found.runs} == {"the inputs of the data edition changed"}


def test_a_new_title_runs_and_scores_nothing_but_shows(settled: Place) -> None:
    settled.submit("three", "a", team="Others", title="A new name", day=9)
    found = due(settled)
    assert [t.name for t in found.take_ins] == ["three"] and not found.runs
    report = settled.night()
    assert [line.split()[0] for line in settled.did] == ["take-in", "publish"]
    assert [row.why for row in report.rows] == ["it says something else of itself: title"]
    assert any("A new name" in text.decode() for path, text in settled.site().items() if path == "tasks/toy/index.html")
    # Whoever ran first keeps what it says of itself.
    front = settled.site()["tasks/toy/index.html"].decode()
    assert "One" in front and "Three" not in front


def test_a_title_of_the_task_only_publishes(settled: Place) -> None:
    settled.edit('title = "Toy"', 'title = "Another toy"')
    found = due(settled)
    assert not (found.runs or found.scores or found.places) and found.publish is not None
    settled.night()
    assert settled.did == ["publish"] and b"Another toy" in settled.site()["index.html"]


def test_limits_decide_the_key_the_tasks_and_those_that_were_asked_for(settled: Place) -> None:
    settled.submit("four", "a", memory_mb=512, day=9)
    settled.night()
    assert [line for line in settled.did if line.startswith("run")] == ["run four"]
    settled.edit("seconds = 20", "seconds = 30")
    found = due(settled)
    assert len(found.runs) == 3 and {run.why for run in found.runs} == {"its limits changed: seconds 20.0 → 30.0"}
    assert {run.limits.memory_mb for run in found.runs} == {8192, 512}


def test_a_new_image_under_the_same_name_runs_and_the_row_moves(settled: Place) -> None:
    settled.submit("two", "c", day=9)
    report = settled.night()
    assert [line for line in settled.did if line.startswith("run")] == ["run two"]
    assert [row.why for row in report.rows] == ["another run stands for it"]
    (found,) = [p for p in store.load_placements(settled.work.store) if p.method.name == "two"]
    run = store.load_run(settled.work.store, found.run)
    assert run is not None and run.digest == DIGESTS["c"]


def test_an_embargo_that_ends_publishes_and_does_no_more(place: Place) -> None:
    place.submit("secret", "a", title="Hidden title", team="Hidden team", embargo="2026-05-03")
    place.submit("open", "b", day=2)
    place.night()
    assert not any(b"Hidden" in data for data in place.site().values())
    place.night()
    assert place.did == []
    report = place.night()  # the third of May
    assert place.did == ["publish"] and report.site.sentences == (
        "Toy (phantom): Hidden title is no longer anonymous.",
    )
    assert b"Hidden title" in place.site()["index.html"]


def test_another_engine_takes_in_and_runs_anew(settled: Place) -> None:
    nightly = settled.config.nightly.model_copy(update={"engine": "docker"})
    settled.config = settled.config.model_copy(update={"nightly": nightly})
    assert {item.name for item in due(settled).take_ins} == {"one", "two", "three"}


def test_a_site_that_was_touched_is_made_anew(settled: Place) -> None:
    (settled.work.site / "newest.json").write_text("{}")
    found = due(settled)
    assert found.publish is not None and "not as it was left" in found.publish.why
    settled.night()
    assert due(settled).empty


def test_keys_of_the_plan_are_those_of_the_store(settled: Place) -> None:
    state = gather.gather(settled.around(), settled.day)
    assert {p.run for p in state.placements} <= state.runs
    task = state.tasks["toy"]
    edition = dataset.load(settled.work.data, task, "phantom")
    cases = [*edition.split("canary"), *edition.split("test")]
    (one,) = [p for p in state.placements if p.method.name == "one"]
    assert store.inference_key(DIGESTS["a"], task, edition, cases, ("podman/exec",)) == one.run
    assert store.scoring_key(one.run, task, edition, cases) in state.scores


def test_flags_that_a_plan_takes_for_granted_are_those_of_the_engines() -> None:
    assert (ProcessEngine.name,) == gather.PROCESS_FLAGS
    record = ImageRecord(digest=DIGESTS["a"], reference="x", location="x", user="1", uid=1, gid=1)
    assert "gpu" in ContainerEngine(record, Runtime(name="podman", executable="podman"), gpu="all").flags


def test_an_image_is_taken_in_with_the_flags_that_it_is_run_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run would come out under another key than it was planned under."""
    runtime = Runtime(name="podman", executable="podman")
    record = ImageRecord(digest=DIGESTS["a"], reference="x", location="x", user="1", uid=1, gid=1)
    monkeypatch.setattr(jobs, "find_engine", lambda name: runtime)
    monkeypatch.setattr(jobs, "intake", lambda *arguments, **options: record)
    for number, asked in enumerate(({}, {"inputs": "nifti"}, {"inputs": "nifti", "gpu": True})):
        folder = place.work.inbox / place.submit(f"n{number}", "a", **asked).id
        gpu = "all" if asked.get("gpu") else ""
        taken = take_in(TakeInJob(folder, "podman", gpu, place.work.root / "images"))
        job = jobs.RunJob(
            place.tasks / "toy", place.work.data, "phantom", place.work.store, entry=folder, engine="podman",
            gpu=gpu or "none",
        )  # fmt: skip
        engine, digest = jobs.engine_of(job, jobs.resolve(job))
        assert taken == Image(digest, engine.flags)  # type: ignore[attr-defined]
        assert ("inputs nifti" in taken.flags) == ("inputs" in asked) and ("gpu" in taken.flags) == ("gpu" in asked)


def test_the_plan_is_the_same_whatever_the_order_of_its_parts(place: Place) -> None:
    for number, name in enumerate(("one", "two", "three", "four")):
        place.submit(name, "abcd"[number], day=number + 1)
    place.night(fails={"run two": [RuntimeError("x")]})
    state = gather.gather(place.around(), place.day)
    from dataclasses import replace

    other = replace(state, placements=state.placements[::-1], attempts=state.attempts[::-1])
    assert plan(other) == plan(state)
    assert plan(state).runs


def test_outcomes_tell_the_participant(place: Place) -> None:
    entry = place.submit("one", "a")
    place.night(broken=["c4", "c6", "c7"])
    found = outcomes.Outcome.model_validate_json((place.work.inbox / entry.id / "outcome.json").read_text())
    assert (found.state, found.counted, found.code) == ("done", True, "crashed")
    assert [case.case for case in found.canary_failures] == ["c4"] and found.test_failures == {"crashed": 2}
    assert [line.counted for line in found.attempts] == [True]
    assert "c6" not in found.model_dump_json()


def test_retries_default_to_what_the_document_says() -> None:
    assert Retries().times == 2
