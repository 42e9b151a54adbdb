"""The page of fairness: values where they may be shown, none where they are withheld, colour by what chance would give."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import boards
import pytest

from benchmark.fairness import GroupValue
from leaderboard import fairnesspages, pages
from leaderboard.views import board_view

DATA = boards.heads(canaries=0)


@pytest.fixture(scope="module")
def built() -> pages.Snapshot:
    return pages.build([DATA])


def heat(partition: str, measure: str) -> fairnesspages.Heat:
    view = board_view(DATA, "mri_to_ct")
    assert view.board.population is not None
    tables = [
        t
        for crossed in (False, True)
        for p, tables in fairnesspages.heats(view, view.board.population, crossed=crossed)
        for t in tables
        if p.name == partition
    ]
    return next(t for t in tables if t.measure == measure)


def test_cells_hold_the_values_of_the_audit() -> None:
    table = heat("sex", "MAE")
    assert table.groups == (("female", "n = 7"), ("male", "n = 5")) and table.first
    for row, own in zip(table.rows, DATA.board.rows, strict=True):
        gap = own.fairness.gap("sex", "mae")
        assert [c.text for c in row.cells] == [f"{v.value:.1f}" for v in gap.values]
        assert [c.worst for c in row.cells] == [False, True] and row.real
        # 2.5 times what chance gives is the darkest step, 0.4 times of it is none.
        assert [c.kind for c in row.cells] == ["", "w3"]
    assert [c.kind for row in heat("sex", "PSNR").rows for c in row.cells] == [""] * 6, "no gap, no colour"


def test_withheld_groups_are_marked_and_their_numbers_are_nowhere() -> None:
    table = heat("scanner", "MAE")
    assert table.groups == (("1.5T", "n = 6"), ("3T", "n < 5"), ("0.35T", "no case"))
    assert [(c.text, c.kind) for c in table.rows[0].cells] == [("52.2", ""), ("too few", "held"), ("no case", "held")]
    assert heat("sex*scanner", "MAE").rows[0].cells[1].text == "withheld"


def test_a_number_that_should_be_withheld_is_not_shown_even_if_the_record_holds_one() -> None:
    leaking = GroupValue(group="3T", value=1234.5, low=1.0, high=2.0, n=2)
    rows = tuple(
        row.model_copy(update={"fairness": row.fairness.model_copy(update={"gaps": tuple(
            gap.model_copy(update={"values": tuple(leaking if v.group == "3T" else v for v in gap.values)})
            for gap in row.fairness.gaps
        )})})
        for row in DATA.board.rows
    )  # fmt: skip
    data = replace(DATA, board=DATA.board.model_copy(update={"rows": rows}))
    snapshot = pages.build([data])
    for path, text in snapshot.pages.items():
        assert "1234.5" not in text, path
    assert not any(b"1234.5" in c for p, c in snapshot.assets.items() if "/groups/" in p)


def test_the_page_says_what_it_cannot_say_and_what_goes_together(built: pages.Snapshot) -> None:
    text = built.pages["tasks/mri_to_ct/fairness/index.html"]
    for wanted in (
        "Too few cases at 3T".lower(),
        "a gap by one may be a gap by the other",
        "0.61",
        "0.004",
        "fewer than 5",
    ):
        assert wanted in text.lower(), wanted
    page = built.pages["tasks/mri_to_ct/submissions/unet/index.html"]
    assert "worse for male patients, by more than chance" in page and "male (" in page


def test_subgroups_of_the_board_are_those_that_may_be_shown(built: pages.Snapshot) -> None:
    text = built.pages["tasks/mri_to_ct/index.html"]
    found = re.search(r'data-groups="([^"]*)"', text)
    assert found
    options = json.loads(found[1].replace("&#34;", '"'))
    assert [(o["title"], o["n"]) for o in options] == [("Sex: female", 7), ("Sex: male", 5), ("Scanner: 1.5T", 6)]
    for option in options:
        script = built.assets[f"tasks/mri_to_ct/{option['file']}"].decode()
        key, values = json.loads(f"[{script.removeprefix('radbench.receive(').removesuffix(');' + chr(10))}]")
        partition, index = option["id"].split(".")
        assert key == option["id"]
        for row in DATA.board.rows:
            for m, metric in enumerate(DATA.board.metrics):
                value = row.fairness.gap(partition, metric.id).values[int(index)]
                assert values[row.method.name][m] == [value.value, value.low, value.high]


def test_without_an_audit_there_is_no_page_and_no_link() -> None:
    data = replace(DATA, board=DATA.board.model_copy(update={"population": None}))
    built = pages.build([data])
    assert "tasks/mri_to_ct/fairness/index.html" not in built.pages
    assert not any("fairness/index.html" in text for text in built.pages.values())


@pytest.mark.parametrize(
    ("p", "text"), [(None, "—"), (0.0002, "<0.001"), (0.0412, "0.041"), (0.5, "0.50"), (1.0, "1.00")]
)
def test_p_values(p: float | None, text: str) -> None:
    assert fairnesspages.p_text(p) == text
