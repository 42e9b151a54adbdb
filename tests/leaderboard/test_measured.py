"""Scores by columns say what the scores say, and equal shapes are one."""

from __future__ import annotations

import boards
import pytest

from leaderboard.measured import Measured, by_columns, measured


def test_scores_come_back_whole() -> None:
    for data in (boards.heads(canaries=0), boards.slab(canaries=0)):
        tables = measured(data.scores)
        assert tables.keys() == data.scores.keys()
        for name, table in tables.items():
            assert list(table) == list(data.scores[name]) and len(table) == len(data.scores[name])
            assert table[1:7:2] == list(data.scores[name])[1:7:2] and table[-1] == data.scores[name][-1]
            with pytest.raises(IndexError):
                table[len(table)]


def test_equal_shapes_are_one_and_others_are_not() -> None:
    scores = list(boards.heads(canaries=0).scores["unet"])
    higher = [score.model_copy(update={"value": score.value + 1}) for score in scores]
    failed = [scores[0].model_copy(update={"status": "missing", "reason": "none"}), *scores[1:]]
    tables = measured({"a": scores, "b": higher, "c": failed, "d": scores[:-1]})
    assert tables["a"].shape is tables["b"].shape
    assert len({table.shape for table in tables.values()}) == 3
    assert measured(tables)["a"] is tables["a"], "what is by columns stays as it is"


def test_no_scores_are_a_table_too() -> None:
    empty = by_columns(())
    assert isinstance(empty, Measured) and list(empty) == [] and empty.values.shape == (0,)
