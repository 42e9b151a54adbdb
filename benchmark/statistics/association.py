"""How strongly two labels of the same items go together: Cramér's V, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import SEED

Floats = NDArray[np.float64]
PERMUTATIONS = 1_999


def table(first: Sequence[str], second: Sequence[str]) -> Floats:
    """Contingency table of two labels, one each an item: counts (labels of first, labels of second), both sorted."""
    a, b = (np.unique(np.asarray(labels), return_inverse=True)[1] for labels in (first, second))
    return np.asarray(_onehot(a).T @ _onehot(b))


def chi_squared(counts: Floats) -> Floats:
    """Pearson's statistic of tables (…, rows, columns) without an empty row or column."""
    total = counts.sum(axis=(-2, -1), keepdims=True)
    expected = counts.sum(axis=-1, keepdims=True) * counts.sum(axis=-2, keepdims=True) / total
    return np.asarray(((counts - expected) ** 2 / expected).sum(axis=(-2, -1)))


def cramers_v(counts: Floats, *, corrected: bool = True) -> float:
    """Cramér's V of a contingency table, by default with Bergsma's correction (J. Korean Stat. Soc. 2013).

    Without it V of independent labels is well above 0 where cases are few. 0 where a label takes only one value.
    """
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    rows, columns = counts.shape
    n = counts.sum()
    if min(rows, columns) < 2:
        return 0.0
    phi = float(chi_squared(counts)) / n
    if not corrected:
        return float(np.sqrt(phi / (min(rows, columns) - 1)))
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi / least))) if least > 0 else 0.0


def independence_p(
    first: Sequence[str], second: Sequence[str], permutations: int = PERMUTATIONS, seed: int = SEED
) -> float:
    """Permutation p-value of independence by the chi-squared statistic; 1 where a label takes only one value."""
    a, b = (np.unique(np.asarray(labels), return_inverse=True)[1] for labels in (first, second))
    if a.max() == 0 or b.max() == 0:
        return 1.0
    shuffled = b[np.argsort(np.random.default_rng(seed).random((permutations, len(b))), axis=1)]
    rows = _onehot(a)
    tables = np.stack([(shuffled == label).astype(np.float64) @ rows for label in range(int(b.max()) + 1)], axis=-1)
    seen = float(chi_squared(rows.T @ _onehot(b)))
    return float((1 + np.count_nonzero(chi_squared(tables) >= seen - 1e-9)) / (1 + permutations))


def _onehot(index: NDArray[np.intp]) -> Floats:
    return (index[:, None] == np.arange(index.max() + 1)).astype(np.float64)
