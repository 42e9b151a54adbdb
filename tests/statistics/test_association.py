"""Cramér's V against scipy, its correction against the paper's formula, and its permutation test against scipy's chi-squared."""

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics import association


def test_v_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    for shape in ((2, 2), (3, 2), (4, 5)):
        counts = rng.integers(1, 30, shape)
        expected = stats.contingency.association(counts, method="cramer")
        assert association.cramers_v(counts.astype(float), corrected=False) == pytest.approx(expected)
        assert association.chi_squared(counts.astype(float)) == pytest.approx(
            stats.chi2_contingency(counts, correction=False).statistic
        )


def test_correction_by_hand() -> None:
    # 2 × 2, n = 20, 8 2 | 2 8: chi² = 7.2, φ² = .36; minus 1/19; rows corrected 2 − 1/19.
    counts = np.array([[8.0, 2.0], [2.0, 8.0]])
    assert association.cramers_v(counts, corrected=False) == pytest.approx(0.6)
    assert association.cramers_v(counts) == pytest.approx(np.sqrt((0.36 - 1 / 19) / (1 - 1 / 19)))


def test_independent_labels_have_a_v_near_zero_only_with_the_correction() -> None:
    rng = np.random.default_rng(1)
    pairs = [(rng.integers(0, 4, 24).astype(str), rng.integers(0, 3, 24).astype(str)) for _ in range(200)]
    tables = [association.table(a, b) for a, b in pairs]
    assert np.mean([association.cramers_v(t) for t in tables]) < 0.12
    assert np.mean([association.cramers_v(t, corrected=False) for t in tables]) > 0.3


def test_extremes() -> None:
    same = ["a", "b", "c"] * 10
    assert association.cramers_v(association.table(same, same)) == pytest.approx(1)
    assert association.independence_p(same, same) == 1 / 2000
    assert association.cramers_v(association.table(["a"] * 9, same[:9])) == 0
    assert association.independence_p(["a"] * 9, same[:9]) == 1


def test_permutation_p_comes_near_chi_squared() -> None:
    rng = np.random.default_rng(2)
    a = rng.integers(0, 3, 150)
    b = np.where(rng.random(150) < 0.15, a, rng.integers(0, 3, 150))
    first, second = a.astype(str).tolist(), b.astype(str).tolist()
    expected = stats.chi2_contingency(association.table(first, second), correction=False).pvalue
    assert association.independence_p(first, second) == pytest.approx(expected, abs=0.03)
