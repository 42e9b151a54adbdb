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
    rows = rows_of(exports.cases_csv(data.board, tables))
    assert len(rows) == 2 * 12 * 3
    assert {row["data"] for row in rows} == {"phantom"}
    expected = [(s.case, s.metric, s.value, s.unit, s.status, s.reason) for _, t in tables for s in t]
    assert [(r["case"], r["metric"], float(r["value"]), r["unit"], r["status"], r["reason"]) for r in rows] == expected
    as_json = json.loads(exports.cases_json(data.board, tables))
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
    assert json.loads(exports.cases_json(data.board, [("unet", [score])]))[0]["value"] == "inf"
    assert float(rows_of(exports.cases_csv(data.board, [("unet", [score])]))[0]["value"]) == math.inf


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


def test_bibtex_is_escaped_and_says_phantom() -> None:
    board = boards.retitled(boards.heads(canaries=0), "}\\input{/etc/passwd} 50% & $x_1$ #~^").board
    entry = exports.bibtex(board, board.rows[0], "2026-11-21-abc", "2026")
    assert entry.startswith("@misc{radbench-mri-to-ct-unet-2026-11-21-abc,\n")
    assert "\\input" not in entry
    assert r"\}\textbackslash{}input\{/etc/passwd\} 50\% \& \$x\_1\$ \#\textasciitilde{}\textasciicircum{}" in entry
    assert "(phantom)" in entry
    # Braces that are not escaped must pair up, else the entry swallows what follows.
    depth = 0
    for before, char in zip(" " + entry, entry, strict=False):
        depth += (char == "{") - (char == "}") if before != "\\" else 0
        assert depth >= 0
    assert depth == 0
