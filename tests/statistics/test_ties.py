"""Ties by the short way equal ties by counting every pair in every draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.statistics import bootstrap, paired, resampled, ties


def counted(columns: np.ndarray, level: float) -> np.ndarray:
    """Every pair, every draw, as the definition says."""
    enough = columns.shape[1] * (1 + level) / 2
    ahead = np.array([[(a < b - ties.TOLERANCE).sum() for b in columns] for a in columns])
    behind = ahead.T
    return (ahead < enough) & (behind < enough)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 7, 40, 255, 256, 257, 1000]), st.sampled_from([0.5, 0.9, 0.95])
)
def test_equals_counting(seed: int, draws: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    columns = np.linspace(0, rng.uniform(0, 8), 9)[:, None] + rng.normal(size=(9, draws))
    columns[3] = columns[4] + rng.choice([0.0, 5e-10, 2e-9], draws)  # equal up to rounding, or just not
    if rng.random() < 0.3:
        columns = np.round(columns)
    if rng.random() < 0.3:
        columns[rng.integers(9), rng.integers(draws)] = rng.choice([np.nan, np.inf, -np.inf])
    with np.errstate(invalid="ignore"):
        expected = counted(columns, level)
    np.testing.assert_array_equal(ties.tied(columns, level), expected)


@pytest.mark.parametrize("ahead", [974, 975])
def test_the_bar_is_all_but_half_of_what_the_level_leaves(ahead: int) -> None:
    """975 of 1000 draws (a level of 95 %) settle a pair, 974 do not; both where the draws that count come first and last."""
    for first in (True, False):
        other = np.where(np.arange(1000) < ahead if first else np.arange(1000) >= 1000 - ahead, 1.0, -1.0)
        found = ties.tied(np.stack([np.zeros(1000), other]), 0.95)
        assert found[0, 1] == found[1, 0] == (ahead < 975)
        assert found[0, 0] and found[1, 1]


def test_pairs_in_blocks_are_all_pairs() -> None:
    for teams in (2, 3, 11):
        first, second = np.triu_indices(teams, 1)
        for start in range(len(first)):
            for stop in range(start + 1, len(first) + 1):
                a, b = paired.members(teams, slice(start, stop))
                np.testing.assert_array_equal(a, first[start:stop])
                np.testing.assert_array_equal(b, second[start:stop])


def test_wins_in_blocks_are_the_same_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    losses = np.linspace(0, 1, 12)[:, None, None] + rng.normal(size=(12, 20, 2))
    sampling, testable = bootstrap.resampling(20, draws=60), np.ones(2, dtype=bool)
    for test in ("wilcoxon", "permutation"):
        whole = paired.wins(losses, sampling, testable, test), resampled.drawn_wins(losses, sampling, testable, test)
        with monkeypatch.context() as patch:
            patch.setattr(paired, "BLOCK", 8 * 80 * 2 * 5)
            patch.setattr(resampled, "BLOCK", 64 * 80 * 2 * 5)  # five pairs at a time
            patch.setattr(resampled, "HELD", 16 * 2 * 3)  # three that wait
            parted = (
                paired.wins(losses, sampling, testable, test),
                resampled.drawn_wins(losses, sampling, testable, test),
            )
        assert whole[0].any() and whole[1].any()
        for a, b in zip(whole, parted, strict=True):
            np.testing.assert_array_equal(a, b)
