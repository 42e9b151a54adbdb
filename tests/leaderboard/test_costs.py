"""Remarks, costs and training spreads: on the pages, in the tables to take away, and harmless whatever they say."""

from __future__ import annotations

import csv
import io
import json
import statistics
from dataclasses import replace

import boards
import pyarrow.parquet as pq
import pytest
from markup import Tree

from benchmark.contract import Cost
from leaderboard import costs, exports, exports_parquet, pages, spread
from leaderboard.question import question
from leaderboard.views import board_view


def page(path: str, data=None) -> Tree:
    return Tree(pages.build([data or boards.heads(canaries=0)]).pages[path])


def test_a_remark_stands_on_the_row_and_on_its_page_and_nowhere_else() -> None:
    board = page("tasks/mri_to_ct/index.html")
    notes = {
        row.attrs["data-name"]: [n.words() for n in row.all("span") if n.has("flag")]
        for row in board.root.all("tr")
        if "data-name" in row.attrs
    }
    assert notes == {"unet": [], "gan": [f"Note: {boards.FLAG}"], "water": []}
    own, other = (page(f"tasks/mri_to_ct/submissions/{name}/index.html") for name in ("gan", "unet"))
    assert boards.FLAG in [p.words() for p in own.root.all("p") if p.has("alert")]
    assert boards.FLAG not in other.root.words()


def test_the_table_of_costs_says_what_was_measured_and_what_was_not() -> None:
    table = next(t for t in page("tasks/mri_to_ct/submissions/gan/index.html").root.all("table") if t.has("costs"))
    shown = {row.all("th")[0].words(): row.all("td")[0].words() for row in table.all("tbody")[0].all("tr")}
    assert shown == {
        "Cold start": "3.1 s", "Time a case, median": "0.42 s", "Time a case, 95th percentile": "0.97 s",
        "Processor time a case": "0.81 s", "Peak memory": "1230 MiB", "Peak GPU memory": "not measured",
        "GPU energy a case": "not measured", "Hardware": "AMD EPYC, 2 cores",
    }  # fmt: skip
    plain = costs.cost_lines(boards.heads(canaries=0).board.rows[0])  # no cost at all: what the row itself knows
    assert [line.value for line in plain] == ["3.1 s", "0.42 s", *["not measured"] * 5, "2 cores, x86-64"]


def test_costs_and_remarks_are_columns_of_every_export() -> None:
    data = boards.heads(canaries=0)
    wanted = {
        "seconds_start": 3.14, "seconds_p95": 0.97, "peak_memory_mb": 1234.56, "cpu_seconds": 0.81, "gpu_memory_mb": None,
        "gpu_joules": None, "hardware": "AMD EPYC, 2 cores", "flags": boards.FLAG,
    }  # fmt: skip
    rows = [
        r for r in csv.DictReader(io.StringIO(exports.aggregates_csv(data.board).decode())) if r["submission"] == "gan"
    ]
    assert len(rows) == 3
    for row in rows:
        assert {name: row[name] for name in wanted} == {n: "" if v is None else str(v) for n, v in wanted.items()}
    table = pq.read_table(io.BytesIO(exports_parquet.parquet_bytes(exports_parquet.aggregates_table([data.board]))))
    assert [r for r in table.select(["submission", *wanted]).to_pylist() if r["submission"] == "gan"] == [
        {"submission": "gan", **wanted}
    ] * 3
    record = json.loads(exports.board_json(data.board))["rows"][1]
    assert record["flags"] == [boards.FLAG] and record["cost"]["peak_memory_mb"] == 1234.56


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "@SUM(A1)", "a;=1+1", "\t=1", "＝1"])
def test_a_remark_or_a_machine_is_no_formula(text: str) -> None:
    data = boards.retitled(boards.heads(canaries=0), text)
    for row in csv.DictReader(io.StringIO(exports.aggregates_csv(data.board).decode())):
        for name in ("flags", "hardware", "title"):
            for part in row[name].split(";"):
                assert not part.strip().startswith(("=", "+", "-", "@", "＝")), (name, row[name])


def test_the_spread_of_training_is_that_of_the_seeds() -> None:
    method = boards.heads(canaries=0).board.rows[1].method
    first = spread.spread_lines(method)[0]
    values = [53.0, 54.0, 57.0]
    assert float(first.mean) == pytest.approx(statistics.fmean(values), abs=0.05)
    assert float(first.sd) == pytest.approx(statistics.stdev(values), abs=0.05)
    assert (first.span, first.values) == ("53.0–57.0", "53.0, 54.0, 57.0")
    assert spread.in_brief(method, "phantom-1", "mae") == (
        "spread over 3 training seeds, validation split: 54.7 ± 2.1 HU (53.0–57.0)"
    )
    assert spread.in_brief(method, "another", "mae") == spread.in_brief(method, "phantom-1", "psnr") == ""
    assert spread.spread_lines(boards.heads(canaries=0).board.rows[0].method) == ()


def test_the_spread_is_on_the_page_and_beside_the_question_and_named_as_validation() -> None:
    text = page("tasks/mri_to_ct/submissions/gan/index.html").root.words()
    assert "Spread over 3 training seeds, validation split" in text and "those of seed 2" in text
    assert "training seeds" not in page("tasks/mri_to_ct/submissions/unet/index.html").root.words()
    data = boards.heads(canaries=0)
    found = question(board_view(data, "mri_to_ct"))
    assert found is not None
    assert [bool(kind.spread) for kind in found.panels[0].kinds] == [False, False, True]
    assert "spread over 3 training seeds, validation split" in page("index.html").root.words()


def test_what_was_measured_on_another_edition_is_not_put_beside_this_one() -> None:
    data = boards.heads(canaries=0)
    moved = replace(
        data,
        board=data.board.model_copy(update={"dataset": data.board.dataset.model_copy(update={"edition": "phantom-2"})}),
    )
    found = question(board_view(moved, "mri_to_ct"))
    assert found is not None and not any(kind.spread for kind in found.panels[0].kinds)


def test_a_cost_of_nothing_is_a_cost() -> None:
    row = boards.row("a", "A", "gan", {"mae": (1, 1, 1)}, (1, 1, 1), cost=Cost(
        start_seconds=0.0, seconds_median=0.0, seconds_p95=0.0, gpu_joules=0.0))  # fmt: skip
    shown = {line.title: line.value for line in costs.cost_lines(row)}
    assert shown["GPU energy a case"] == "0 J" and shown["Time a case, 95th percentile"] == "<0.01 s"
