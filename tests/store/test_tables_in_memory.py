"""Per-case tables: what is read is what was written, and what repeats in it is held once."""

import tracemalloc

import pytest
from pydantic import ValidationError

from benchmark.contract import Score
from benchmark.store import tables

ROWS = [
    Score(
        case=f"c{i}",
        metric=metric,
        value=i / 3,
        unit="HU",
        status="missing" if i == 3 else "ok",
        reason="gone" * (i == 3),
    )
    for i in range(2000)
    for metric in ("mae", "psnr")
]


def test_a_table_read_again_is_the_same() -> None:
    text = tables.scores_to_csv(ROWS)
    found = tables.scores_from_csv(text)
    assert [row.model_dump() for row in found] == [row.model_dump() for row in ROWS]
    assert tables.scores_to_csv(found) == text
    changed = found[0].model_copy(update={"value": 7.0})
    assert (changed.value, found[0].value) == (7.0, 0.0)
    assert found[1].model_fields_set == set(tables.COLUMNS)  # what is shared did not change with the copy


def test_what_repeats_is_held_once() -> None:
    text = tables.scores_to_csv(ROWS)
    tracemalloc.start()
    found = tables.scores_from_csv(text)
    held = tracemalloc.get_traced_memory()[0] / len(found)
    tracemalloc.stop()
    assert held < 700  # bytes; with a set of names and names of its own each takes some 1,270


def test_rows_that_are_no_scores_are_refused() -> None:
    lines = tables.scores_to_csv(ROWS[:1])
    with pytest.raises(ValidationError):
        tables.scores_from_csv(lines.replace(",ok,", ",fine,"))
    with pytest.raises(ValidationError):
        tables.scores_from_csv(lines.replace("case,metric", "case,measure"))
