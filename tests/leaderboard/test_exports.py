"""Downloads hold every value at full precision, and no stranger's text can act in a spreadsheet or in LaTeX."""

import csv
import io
import json
import math

import boards

from benchmark.contract import Score
from leaderboard import exports


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"))))


def test_case_table_is_tidy_and_exact() -> None:
    data = boards.heads(canaries=0)
    tables = [(name, data.scores[name]) for name in ("unet", "water")]
    rows = rows_of(exports.cases_csv(exports.case_lines_csv(data.board, name, t) for name, t in tables))
    assert len(rows) == 2 * 12 * 3
    assert {row["data"] for row in rows} == {"phantom"}
    expected = [(s.case, s.metric, s.value, s.unit, s.status, s.reason) for _, t in tables for s in t]
    assert [(r["case"], r["metric"], float(r["value"]), r["unit"], r["status"], r["reason"]) for r in rows] == expected
    as_json = json.loads(exports.cases_json(data.board, [exports.case_lines_json(name, t) for name, t in tables]))[
        "rows"
    ]
    assert [(r["case"], r["metric"], r["value"]) for r in as_json] == [e[:3] for e in expected]
    assert [r["status"] for r in rows if r["submission"] == "water"].count("invalid") == 2 * 3


def test_board_table_has_every_aggregate() -> None:
    board = boards.heads(canaries=0).board
    rows = rows_of(exports.aggregates_csv(board))
    assert [(r["submission"], r["metric"], float(r["low"]), float(r["high"])) for r in rows] == [
        (row.method.name, a.metric, a.low, a.high) for row in board.rows for a in row.aggregates
    ]
    assert json.loads(exports.board_json(board))["rows"][0]["aggregates"][0]["value"] == 52.2
    assert "files" not in json.loads(exports.board_json(board))["dataset"]


def test_infinity_is_a_word_in_json_and_readable_in_csv() -> None:
    data = boards.heads(canaries=0)
    score = Score(case="c", metric="psnr", value=math.inf, unit="dB", status="ok")
    as_json = exports.cases_json(data.board, [exports.case_lines_json("unet", [score])])
    assert json.loads(as_json)["rows"][0]["value"] == "inf"
    assert (
        float(rows_of(exports.cases_csv([exports.case_lines_csv(data.board, "unet", [score])]))[0]["value"]) == math.inf
    )


def test_formulas_are_quoted_numbers_are_not() -> None:
    for text in ("=1+1", "+1", "-cmd", "@SUM(A1)", " =1", "\t=1", "＝1", "\r=1"):
        assert str(exports.cell(text)).startswith("'"), text
    assert exports.cell(-5.25) == -5.25
    assert exports.cell("plain, with = inside") == "plain, with = inside"
    assert exports.cell(None) == ""
    hostile = boards.retitled(boards.heads(canaries=0), '=HYPERLINK("x")')
    rows = rows_of(exports.aggregates_csv(hostile.board))
    assert {r["title"] for r in rows} == {'\'=HYPERLINK("x")'}


def test_disguises_are_removed() -> None:
    assert exports.clean("a\x00b\x02c\u202ed\u2066e\x85f\nä→−") == "abcdef\nä→−"
