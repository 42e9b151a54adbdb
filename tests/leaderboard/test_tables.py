"""The array behind the charts, the mean ranks and their bootstrap, against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import boards
import numpy as np
import pytest
from scipy.stats import rankdata

from benchmark.statistics import ranking
from leaderboard.tables import competition_rows, standing, tables_of


def test_every_value_is_at_its_place() -> None:
    data = boards.heads(canaries=0)
    tables = tables_of(data)
    metrics = [m.id for m in data.board.metrics]
    for r, row in enumerate(data.board.rows):
        for score in data.scores[row.method.name]:
            c, m = tables.cases.index(score.case), metrics.index(score.metric)
            assert tables.values[r, c, m] == score.value
            assert tables.failed[r, c] == (score.status == "invalid")
    assert tables.failed.sum() == 2 and len(tables.of(2, 0)) == 10
    assert not np.isin(tables.of(2, 0), 2000.0).any()


def test_excluded_and_missing_values_are_not_numbers() -> None:
    data = boards.heads(canaries=0)
    table = [s.model_copy(update={"status": "excluded"}) if s.case == "case-003" else s for s in data.scores["unet"]]
    tables = tables_of(replace(data, scores={**data.scores, "unet": table}))
    assert np.isnan(tables.values[0, tables.cases.index("case-003")]).all()
    assert not np.isnan(tables.values[1]).any()


def test_mean_ranks_by_hand() -> None:
    data = boards.heads(canaries=0)
    found = standing(data, tables_of(data))
    assert found is not None
    names = [r.method.name for r in data.board.rows]
    signs = {"mae": 1, "psnr": -1, "ssim": -1}
    total = np.zeros(3)
    for case in (c.id for c in data.cases):
        for metric, sign in signs.items():
            losses = [
                next(sign * s.value for s in data.scores[n] if (s.case, s.metric) == (case, metric)) for n in names
            ]
            total += [1 + sum(other < own for other in losses) for own in losses]
    assert found.mean_rank == pytest.approx(total / (12 * 3))
    assert found.frequency.sum(axis=1) == pytest.approx(1)
    # The last one is far behind in every draw.
    assert found.frequency[2, 2] == 1


def test_ranks_in_all_draws_at_once_are_those_one_by_one() -> None:
    statistic = np.random.default_rng(1).integers(0, 4, (50, 6)) / 3 + 1e-13 * np.random.default_rng(2).normal(
        size=(50, 6)
    )
    assert (competition_rows(statistic) == np.stack([ranking.competition(row) for row in statistic])).all()
    assert (competition_rows(statistic)[0] == rankdata(np.round(statistic[0], 6), method="min")).all()


def test_one_row_or_no_case_values_give_no_picture() -> None:
    data = boards.heads(canaries=0)
    alone = replace(data, board=data.board.model_copy(update={"rows": data.board.rows[:1]}))
    assert standing(alone, tables_of(alone)) is None
    empty = replace(data, scores=dict.fromkeys(data.scores, ()))
    assert standing(empty, tables_of(empty)) is None
