"""Downloads hold every value at full precision, and no stranger's text can act in a spreadsheet or in LaTeX."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import boards
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.contract import Board, Score
from leaderboard import downloads, exports, exports_parquet, latex, site


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


def test_a_spreadsheet_of_another_locale_finds_no_formula_either() -> None:
    """Where lists are separated by semicolons or tabs, a cell may begin in the middle of ours."""
    for text in ("a;=1+1", "a\t@x", 'a;"=1"', "a\n-2+3", "a; ＝1", "a|+1"):
        shown = str(exports.cell(text))
        for part in re.split("[;\t\n|]", shown):
            assert not part.lstrip(" \"'\u3000").startswith(tuple("=+-@＝")) or part.startswith("'"), text
    assert exports.cell("low; high = 3") == "low; high = 3"
    assert exports.cell("\u00a0=1") == "'\u00a0=1"


@given(st.text(), st.text(), st.floats(allow_nan=False))
def test_any_text_survives_as_one_cell(reason: str, unit: str, value: float) -> None:
    data = boards.heads(canaries=0)
    score = Score(case="c", metric="mae", value=value, unit=unit, status="invalid", reason=reason)
    (row,) = rows_of(exports.cases_csv([exports.case_lines_csv(data.board, "unet", [score])]))
    assert None not in row and float(row["value"]) == value
    assert row["reason"].lstrip("'") == str(exports.cell(reason)).lstrip("'")
    own = json.loads(exports.cases_json(data.board, [exports.case_lines_json("unet", [score])]))["rows"][0]
    assert (own["reason"], own["unit"], float(own["value"])) == (exports.clean(reason), exports.clean(unit), value)


def test_lines_are_those_of_the_csv_module() -> None:
    """The quick writer of the large tables and Python's own agree byte for byte."""
    data = boards.retitled(boards.heads(canaries=0), 'a "b", c;=1\nd')
    scores = data.scores["unet"]
    quick = exports.cases_csv([exports.case_lines_csv(data.board, "unet", scores)])
    head = exports.board_identity(data.board)
    rows = [(*head, "unet", s.case, s.metric, s.value, s.unit, s.status, s.reason) for s in scores]
    assert quick == exports.table(exports.CASE_COLUMNS, rows)


def test_a_row_says_what_the_board_says() -> None:
    board = boards.heads(canaries=0).board
    row = board.rows[1]
    whole = rows_of(exports.aggregates_csv(board))
    assert rows_of(exports.aggregates_csv(board, [row])) == [r for r in whole if r["submission"] == "gan"]
    alone = json.loads(exports.row_json(exports.row_head(board), row))
    assert alone["row"] == json.loads(exports.board_json(board))["rows"][1]
    assert alone["task"]["name"] == "mri_to_ct" and "rows" not in alone and "agreement" not in alone


def test_the_board_can_be_read_back() -> None:
    board = boards.heads(canaries=0).board
    inf = board.rows[0].aggregates[1].model_copy(update={"value": math.inf, "high": math.inf})
    row = board.rows[0].model_copy(
        update={"aggregates": (board.rows[0].aggregates[0], inf, board.rows[0].aggregates[2])}
    )
    board = board.model_copy(update={"rows": (row, *board.rows[1:])})
    assert Board.model_validate_json(exports.board_json(board)) == board


def test_parquet_holds_the_tables_and_the_same_bytes() -> None:
    data = [boards.heads(canaries=0), boards.slab(canaries=0)]
    table = pq.read_table(io.BytesIO(exports_parquet.parquet_bytes(exports_parquet.cases_table(data))))
    tidy = []
    for one in data:
        for row in one.board.rows:
            name = row.method.name
            tidy += rows_of(exports.cases_csv([exports.case_lines_csv(one.board, name, one.scores[name])]))
    found = table.to_pylist()
    assert [{**r, "value": float(r["value"])} for r in tidy] == [
        {**r, "reason": exports.cell(r["reason"])} for r in found
    ]
    again = [boards.heads(canaries=0), boards.slab(canaries=0)]
    for make in (exports_parquet.cases_table, lambda d: exports_parquet.aggregates_table([x.board for x in d])):
        assert exports_parquet.parquet_bytes(make(data)) == exports_parquet.parquet_bytes(make(again))
    aggregates = pq.read_table(
        io.BytesIO(exports_parquet.parquet_bytes(exports_parquet.aggregates_table([d.board for d in data])))
    )
    assert aggregates.num_rows == 3 * 3 + 5 * 3
    assert aggregates["low"].to_pylist()[0] == 49.1 and aggregates["median_low"].to_pylist()[0] is None
    assert exports_parquet.cases_table([]).num_rows == 0 == exports_parquet.aggregates_table([]).num_rows


def test_what_was_drawn_is_told_without_naming_groups() -> None:
    place_task = boards.heads(canaries=0)
    cases = [
        c.model_copy(update={"attributes": {"site": "Zürich" if i % 3 else "Aachen"}, "key": f"{(7 * i) % 12:02d}"})
        for i, c in enumerate(place_task.cases)
    ]
    task = place_task.board.task.model_copy(update={"stratify": "site"})
    data = boards.replace(place_task, board=place_task.board.model_copy(update={"task": task}), cases=cases)
    record = exports.sampling_record(data)
    assert [c["case"] for c in record["cases"]] == [c.id for c in sorted(cases, key=lambda c: c.key)]
    # Counted from the first case drawn, so that the numbers do not follow the alphabet of the labels.
    assert record["cases"][0]["stratum"] == "000001" and {c["stratum"] for c in record["cases"]} == {"000001", "000002"}
    assert "Aachen" not in json.dumps(record, ensure_ascii=False) and "rich" not in json.dumps(record)
    assert (record["seed"], record["draws"], record["level"]) == (20260101, 10_000, 0.95)


ALLOWED = {
    r"\begin", r"\end", r"\centering", r"\caption", r"\label", r"\toprule", r"\midrule", r"\bottomrule", r"\textbf", r"\\",
    r"\downarrow", r"\uparrow", r"\infty", r"\%", r"\_", r"\&", r"\#", r"\$", r"\textbackslash", r"\textbraceleft",
    r"\textbraceright", r"\textasciicircum", r"\textasciitilde", r"\textless", r"\textgreater", r"\textbar", r"\rightarrow",
}  # fmt: skip
"""Every command that a table may hold: those of its frame, and those that print a character."""


def check_latex(text: str, columns: int) -> list[list[str]]:
    """Read a table as TeX would: known commands, braces and dollars in pairs, the right number of cells. Returns its cells."""
    body = "\n".join(line for line in text.split("\n") if not line.startswith("%"))
    for command in re.findall(r"\\(?:[A-Za-z]+|.)", body):
        assert command in ALLOWED, command
    plain = re.sub(r"\\(?:[A-Za-z]+|.)", "", body)
    assert not set(plain) & set("%#~"), "a comment, a parameter or a tie that nobody wrote"
    depth = 0
    for char in plain:
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0 and plain.count("$") % 2 == 0
    assert re.findall(r"\\(?:begin|end)\{(\w+)\}", body) == ["table", "tabular", "tabular", "table"]
    inner = body.split("\\midrule")[1].split("\\bottomrule")[0]
    rows = [re.split(r"(?<!\\)&", row) for row in inner.split(r"\\")[:-1]]
    assert all(len(row) == columns for row in rows)
    assert all(not row[0].strip().startswith(("[", "*")) for row in rows), (
        "would be read as an option of the line before"
    )
    return [[cell.strip() for cell in row] for row in rows]


PLACES = {"mae": 1, "psnr": 1, "ssim": 3}


def test_latex_table_has_intervals_and_the_best_with_its_ties_in_bold() -> None:
    text = latex.board_table(boards.heads(canaries=0), PLACES, "editions/x/tasks/mri_to_ct/index.html")
    rows = check_latex(text, 5)
    assert rows[0] == [
        r"\textbf{1} (1--2)", "U-Net, L1", r"\textbf{52.2} {[}49.1, 55.9{]}", r"\textbf{29.3} {[}28.8, 29.9{]}",
        r"\textbf{0.964} {[}0.960, 0.967{]}",
    ]  # fmt: skip
    assert rows[1][0] == r"\textbf{2} (1--2)" and rows[2][0] == "3"
    assert rows[2][2] == "433.0 {[}210.0, 760.0{]}"
    assert r"MAE {[}HU{]} $\downarrow$ & PSNR {[}dB{]} $\uparrow$" in text
    assert text.startswith("% editions/x/tasks/mri_to_ct/index.html\n") and "phantom" in text


def paired(difference: float, spread: float) -> set[str]:
    """Which of three rows are bold where the second is worse by `difference` on every case, give or take `spread`."""
    data = boards.heads(canaries=0)
    scores = {}
    for i, row in enumerate(data.board.rows):
        own = []
        for k, case in enumerate(data.cases):
            value = 50 + 10.0 * k + i * (difference + spread * (-1) ** k) + (500 if i == 2 else 0)
            own.append(Score(case=case.id, metric="mae", value=value, unit="HU", status="ok"))
        scores[row.method.name] = own
    rows = []
    for row in data.board.rows:
        values = [s.value for s in scores[row.method.name]]
        mean = sum(values) / len(values)
        first = row.aggregates[0].model_copy(update={"value": mean, "low": mean - 20, "high": mean + 20})
        rows.append(row.model_copy(update={"aggregates": (first, *row.aggregates[1:])}))
    made = boards.replace(data, board=data.board.model_copy(update={"rows": tuple(rows)}), scores=scores)
    return latex.best(made, made.board.metrics[0], 1)


def test_bold_goes_by_pairs_not_by_overlapping_intervals() -> None:
    assert paired(2.0, 0.5) == {"unet"}, "always worse by 2: told apart, though the intervals overlap"
    assert paired(2.0, 30.0) == {"unet", "gan"}, "worse on half of the cases, better on the other"
    assert paired(0.0, 0.0) == {"unet", "gan"}, "the same digits"


HOSTILE = [
    r"\input{/etc/passwd}", r"}\write18{rm}{", "100% sure & #1 $x$ ~ ^ _", "[1em] first", r"\\ \hline", "a\nb\r\n% c", "^^5cinput",
    "<b>|\"'`", "\u2028\\end{tabular}", "{", "}", "\\", "\x5c\x5c[", "$$", "\x00\x07\u202e{",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_takes_no_orders_from_strangers(text: str) -> None:
    data = boards.retitled(boards.heads(canaries=0), text)
    board = data.board
    task = board.task.model_copy(update={"title": text, "version": text})
    metrics = tuple(m.model_copy(update={"title": text, "unit": text}) for m in board.metrics)
    data = boards.replace(data, board=board.model_copy(update={"task": task, "metrics": metrics, "scorer": text}))
    made = latex.board_table(data, PLACES, "x")
    check_latex(made, 5)
    assert made.count("\n") == latex.board_table(boards.heads(canaries=0), PLACES, "x").count("\n")
    check_latex(latex.row_table(data.board, data.board.rows[0], PLACES, "x"), 5)


@given(st.text())
def test_latex_escape_is_always_balanced_and_inert(text: str) -> None:
    made = latex.escape(text)
    allowed = {*re.findall(r"\\(?:[A-Za-z]+|.)", "".join(latex._ESCAPES.values()))}
    assert set(re.findall(r"\\(?:[A-Za-z]+|.)", made)) <= allowed
    assert made.count("{") == made.count("}") and "\n" not in made and not re.search(r"(?<!\\)[%#&]", made)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_latex_compiles(tmp_path: Path) -> None:
    table = latex.board_table(boards.heads(canaries=0), PLACES, "x")
    (tmp_path / "a.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + table + "\\end{document}\n"
    )
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, check=True)


def test_every_download_is_linked_on_its_page(tmp_path: Path) -> None:
    published = site.publish(tmp_path / "site", [boards.heads(canaries=0)], date="2026-11-21")
    edition = tmp_path / "site/editions" / published.edition
    made = downloads.board_files(boards.heads(canaries=0), "mri_to_ct")
    pages = {
        "index.html": downloads.edition_files([boards.heads(canaries=0)])[1],
        "tasks/mri_to_ct/index.html": made.board + made.cite_board,
        "tasks/mri_to_ct/submissions/gan/index.html": made.rows["gan"] + made.cite_row["gan"],
    }
    for page, links in pages.items():
        assert len({link.format for link in links}) >= 3
        text = (edition / page).read_text()
        for link in links:
            assert (edition / link.path).is_file()
            assert f'{"../" * page.count("/")}{link.path}"' in text, (page, link.path)
    marks = [
        p for p in edition.rglob("*") if p.suffix in (".bib", ".cff", ".tex", ".html") and b"\x02" in p.read_bytes()
    ]
    assert marks == []
