"""What is new in an edition, and why: each reason is named where it is one, and only there."""

import json
from pathlib import Path
from typing import Any

import honest
import pytest

from leaderboard import history


def row(name: str, rank: float, **more: Any) -> dict[str, Any]:
    return {
        "submission": name, "title": name.title(), "anonymous": False, "run": f"run-{name}", "score": f"score-{name}",
        "digest": f"sha-{name}", "rank": rank, "values": {"mae": 10.0 * rank}, **more,
    }  # fmt: skip


def record(id: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    board = {
        "slug": "t", "task": "t", "title": "T", "dataset": "d", "split": "test", "task_version": "1", "data_digest": "x",
        "scorer": "s1", "rules": "r", "rows": list(rows), **more,
    }  # fmt: skip
    return {"id": id, "boards": [board]}


OLD = record("e1", row("a", 1), row("b", 2), row("c", 3))


def only(after: dict[str, Any], before: dict[str, Any] = OLD) -> history.BoardChange:
    (board,) = history.change(before, after).boards
    return board


def test_the_same_is_no_change() -> None:
    board = only(record("e2", row("a", 1), row("b", 2), row("c", 3)))
    assert (board.kind, board.reasons, board.rows) == ("kept", (), ())
    assert history.sentences(history.change(OLD, record("e2", row("a", 1), row("b", 2), row("c", 3)))) == []


def test_new_gone_and_pushed_down() -> None:
    board = only(record("e2", row("d", 1), row("a", 2, values={"mae": 10.0}), row("c", 3)))
    said = {r.submission: r for r in board.rows}
    assert {name: r.kind for name, r in said.items()} == {"d": "new", "a": "moved", "b": "gone"}
    assert said["a"].reasons == (history.OTHERS,) and said["a"].values_after == {}
    assert said["d"].path_before == "" and said["d"].path_after == "editions/e2/tasks/t/submissions/d/index.html"
    assert said["b"].path_before == "editions/e1/tasks/t/submissions/b/index.html" and said["b"].path_after == ""


def test_a_new_run_is_named_on_its_row_and_moves_others() -> None:
    after = record(
        "e2",
        row("b", 1, run="run-b2", digest="sha-b2", values={"mae": 9.0}),
        row("a", 2, values={"mae": 10.0}),
        row("c", 3),
    )
    said = {r.submission: r for r in only(after).rows}
    assert said["b"].reasons == (history.NEW_RUN,) and (said["b"].rank_before, said["b"].rank_after) == (2, 1)
    assert (said["b"].values_before, said["b"].values_after) == ({"mae": 20.0}, {"mae": 9.0})
    assert said["a"].reasons == (history.OTHERS,)
    assert history.sentences(history.change(OLD, after)) == [
        "T (d): B moved from rank 2 to 1 (new run).",
        "T (d): A moved from rank 1 to 2 (other submissions came or left).",
    ]


def test_a_row_that_moves_when_its_embargo_ends_is_said_to_have_had_one() -> None:
    old = record("e1", row("anon-1", 1, title="Anonymous 1", anonymous=True, run="hidden"), row("b", 2))
    new = record("e2", row("b", 1), row("anon-1", 2, title="Early Net"))
    said = {r.submission: r for r in only(new, old).rows}
    assert said["anon-1"].kind == "moved" and history.NAMED in said["anon-1"].reasons
    assert history.NAMED not in said["b"].reasons
    assert any(
        line.startswith("T (d): Early Net moved from rank 1 to 2 (") and "no longer anonymous" in line
        for line in history.sentences(history.change(old, new))
    )


def test_of_many_rows_the_first_are_named_and_the_others_counted() -> None:
    old = record("e1", *(row(f"a{i}", i + 1) for i in range(30)))
    new = record(
        "e2", *(row(f"n{i}", i + 1) for i in range(20)), *(row(f"a{i}", i + 21) for i in range(29)),
        row("a29", 50, values={"mae": 1.0}),
    )  # fmt: skip
    for item in new["boards"][0]["rows"][:1]:
        item["title"] = "x" * 200
    said = history.sentences(history.change(old, new))
    assert said[0].startswith("T (d): new: " + "x" * 59 + "… (rank 1), N1 (rank 2), ")
    assert said[0].endswith("N11 (rank 12), and 8 more.")
    assert len(said) == 1 + history.MANY + 1
    assert (
        said[history.MANY].startswith("T (d): A11 moved from rank 12 to 32")
        and said[-1] == "T (d): 18 more rows moved."
    )


@pytest.mark.parametrize(
    ("key", "reason"),
    [("scorer", history.NEW_SCORER), ("data_digest", history.NEW_DATA), ("rules", history.NEW_RULES),
     ("task_version", history.NEW_VERSION)],
)  # fmt: skip
def test_what_concerns_all_rows_is_said_once(key: str, reason: str) -> None:
    after = record("e2", *(row(n, i + 1, values={"mae": 1.0 + i}) for i, n in enumerate("abc")), **{key: "other"})
    board = only(after)
    assert board.reasons == (reason,)
    assert [(r.kind, r.reasons) for r in board.rows] == [("changed", (reason,))] * 3
    assert history.sentences(history.change(OLD, after)) == [f"T (d): {reason} for all rows."]


def test_new_data_run_again_is_not_a_new_run() -> None:
    after = record("e2", *(row(n, i + 1, run=f"again-{n}") for i, n in enumerate("abc")), data_digest="y")
    assert {r.reasons for r in only(after).rows} == {(history.NEW_DATA,)}


def test_boards_come_and_go() -> None:
    other = record("e2", row("a", 1), dataset="sample")
    found = history.change(OLD, other)
    assert [(b.dataset, b.kind) for b in found.boards] == [("sample", "new"), ("d", "gone")]
    assert history.sentences(found) == ["T (sample): new board.", "T (d): no longer shown."]


def test_records_of_older_versions_are_compared_by_what_they_hold() -> None:
    bare = {"id": "e0", "boards": [{
        "task": "t", "title": "T", "dataset": "d", "split": "test", "scorer": "s1",
        "rows": [{"submission": "a", "run": "run-a", "score": "s", "digest": "sha-a", "rank": 1}],
    }]}  # fmt: skip
    board = only(record("e1", row("a", 1)), bare)
    assert board.reasons == ()


def test_old_numbers_stay_and_lead_to_the_new_ones(tmp_path: Path) -> None:
    place = honest.standard(tmp_path)
    first = place.publish("2026-11-20")
    old = (place.site / "editions" / first.edition / "tasks/mri_to_ct/submissions/floor/row.csv").read_bytes()
    del place.scored["beta"]
    place.add(honest.method("floor", family="classical", baseline=True), -3.0, seed=3, run="run-2")
    second = place.publish("2026-11-21")
    edition = place.site / "editions" / first.edition
    page = edition / "tasks/mri_to_ct/submissions/floor/index.html"
    assert (edition / "tasks/mri_to_ct/submissions/floor/row.csv").read_bytes() == old
    link = "../../../../../../tasks/mri_to_ct/submissions/floor/index.html"
    assert f'href="{link}"' in page.read_text() and second.edition in (page.parent / link).read_text()
    # What left is still answered at its stable address, and leads to the last edition that has it.
    gone = (place.site / "tasks/mri_to_ct/submissions/beta/index.html").read_text()
    assert f"editions/{first.edition}/tasks/mri_to_ct/submissions/beta/index.html" in gone
    changes = json.loads((place.site / "editions" / second.edition / "changes.json").read_text())
    said = {r["submission"]: (r["kind"], r["reasons"]) for r in changes["boards"][0]["rows"]}
    assert said["floor"] == ("moved", ["new run"]) and said["beta"][0] == "gone"
    listing = (place.site / "editions/index.html").read_text()
    assert "Model floor moved from rank 3 to 1 (new run)." in listing
    assert not (edition / "changes.json").exists(), "the first edition has nothing before it"
