"""Metrics of the whole set, from store to site and back: published by case, taken again, and a changed digit is found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import honest
import numpy as np
import pytest
from tampering import digit_changed, newest

from benchmark.board import notes
from benchmark.metrics.distribution import Moments
from benchmark.metrics.points import Scan
from leaderboard import setparts, verification


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_of(tmp_path_factory.mktemp("parts"), {"keen": 0.9, "lax": 0.5})


def site_of(root: Path, skills: Mapping[str, float]) -> Path:
    """A published board of submissions that find these shares of the lesions."""
    place = honest.detecting(root, skills)
    place.publish()
    return place.site


def changed(old: str) -> str:
    """Another digit, or one more hit at the end of a list."""
    return str((int(old) + 4) % 10) if old.isdigit() else ", 0.5]"


def parts_of(root: Path, name: str = "keen") -> Path:
    return newest(root) / f"tasks/nodules/submissions/{name}/parts.json"


def test_set_metrics_and_curves_are_taken_again(published: Path) -> None:
    found = verification.verify(published)
    assert found.differences == []
    assert not [text for text in found.unchecked if "cpm" in text or "sensitivity" in text]
    assert found.numbers > 2 * (2 * 10 + 2 * 49)


def test_ranks_by_a_metric_of_the_set_have_intervals_on_page_and_in_tables(tmp_path: Path) -> None:
    root = site_of(tmp_path, {"keen": 0.7, "near": 0.68, "lax": 0.05})
    folder = newest(root) / "tasks/nodules"
    board = json.loads((folder / "board.json").read_text())
    ranks = {row["method"]["name"]: (row["rank"], row["rank_low"], row["rank_high"]) for row in board["rows"]}
    assert {ranks["keen"][1:], ranks["near"][1:]} == {(1.0, 2.0)} and ranks["lax"] == (3.0, 3.0, 3.0)
    assert next(row for row in board["rows"] if row["method"]["name"] == "keen")["tied_with"] == ["near"]
    assert not [text for text in board["warnings"] if "no value by case" in text]
    assert "1–2" in (folder / "index.html").read_text()
    lines = (folder / "board.csv").read_text().splitlines()
    columns = lines[0].split(",")
    first = dict(zip(columns, lines[1].split(","), strict=False))
    assert (first["rank"], first["rank_low"], first["rank_high"]) == ("1.0", "1.0", "2.0")
    assert verification.verify(root).differences == []


def test_intervals_of_values_speak_of_the_order_only_where_ranks_cannot(published: Path) -> None:
    """Two intervals may overlap while one of the two submissions is ahead in each draw, as the ranks then say."""
    data = verification.read_board(newest(published) / "tasks/nodules")
    rows = [
        row.model_copy(
            update={
                "tied_with": (),
                "method": row.method.model_copy(update={"family": family, "generative": family == "gan"}),
                "aggregates": tuple(a.model_copy(update={"low": 0.1, "high": 0.9}) for a in row.aggregates),
            }
        )
        for row, family in zip(data.board.rows, ("gan", "classical"), strict=True)
    ]
    task = data.board.task
    rank_alone = task.model_copy(
        update={"ranking": task.ranking.model_copy(update={"metrics": task.ranking.metrics[:1]})}
    )
    assert rank_alone.ranking.metrics == (data.board.metrics[0].id,)
    for declared, drawn, said in ((rank_alone, True, False), (rank_alone, False, True)):
        text = " ".join(notes(declared, data.board.dataset, data.cases, rows, drawn=drawn))
        assert "is better than the best classical" in text and ("their intervals overlap" in text) == said


def test_what_is_published_names_no_sealed_case(published: Path) -> None:
    text = parts_of(published).read_text("utf-8")
    assert "scan-" not in text and '"t-' in text
    (group,) = json.loads(text)
    assert group["metrics"] == ["candidate_sensitivity", "cpm"] and len(group["cases"]) == len(honest.SCANS)
    assert [item["case"] for item in group["cases"]] == sorted(item["case"] for item in group["cases"])
    assert sum(item["missing"] for item in group["cases"]) == 1


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("board.json", r'"metric": "cpm".*?"value": 0\.\d\d(\d)'),
        ("board.json", r'"low": 0\.\d\d(\d)[^{]*"metric": "cpm"'),
        ("board.json", r'"kind": "froc", "low": \[[^\]]*?0\.\d\d(\d)'),
        ("submissions/keen/parts.json", r'"hits": \[0\.(\d)'),
        ("submissions/lax/parts.json", r'"false_positives": \[0\.(\d)'),
        ("submissions/lax/parts.json", r'"hits": \["-inf"(\])'),
    ],
)
def test_one_changed_digit_is_found_behind_mended_hashes(published: Path, file: str, pattern: str) -> None:
    edition = newest(published)
    with digit_changed(edition, edition / "tasks/nodules" / file, pattern, changed):
        found = verification.verify(published)
    assert any("the cases give" in text or "the tables give" in text for text in found.differences), found.differences


def test_json_and_back() -> None:
    own = {"a": Scan(np.array([0.25, -np.inf]), np.zeros(0), 0.25), "b": Scan(np.zeros(0), np.array([1e-9]), 1e-9)}
    other = {"a": own["a"], "b": Scan(np.zeros(0), np.zeros(0), -np.inf, missing=True)}
    data = setparts.to_json({"x": own, "y": own, "z": other})
    again = setparts.from_json(data)
    assert setparts.to_json(again) == data and list(again) == ["x", "y", "z"]
    np.testing.assert_array_equal(again["y"]["a"].hits, [0.25, -np.inf])
    assert again["z"]["b"].missing and again["z"]["b"].highest == -np.inf


def test_features_of_images_are_not_told() -> None:
    moments: Any = Moments.__new__(Moments)
    one = Scan(np.zeros(0), np.zeros(0), -np.inf)
    assert setparts.told({"fid": {"a": moments, "b": moments}, "cpm": {"a": one, "b": one}}, ["a", "b"]).keys() == {
        "cpm"
    }
    assert setparts.told({"cpm": {"a": one}}, ["a", "b"]) == {}
