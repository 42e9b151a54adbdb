"""Half-samples: half of the cases at a time, each at most once.

For statistics that a bootstrap misleads because it takes cases twice: the Fréchet distance of n cases grows with every case that is
missing, and a bootstrap draw holds only 63 % of them. A half-sample without replacement has no case twice, and the variance of a mean
over it about the mean of all, S²/(n/2) · (1 − 1/2) = S²/n, is that of the mean itself: what the deviations from their own centre show
needs no scaling (McCarthy, "Pseudo-replication: half samples", Review of the International Statistical Institute 1969; Shao & Wu, "A
general theory for jackknife variance estimation", Annals of Statistics 1989, the delete-d jackknife with d = n/2). The centre itself is
that of n/2 cases, hence `recentred`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import SEED

Floats = NDArray[np.float64]


def half_samples(unit: Sequence[int], block: Sequence[str], draws: int, seed: int = SEED) -> Floats:
    """Counts (draws, cases) of 0 and 1: of the units of each block half are taken, in odd blocks one more in every other draw or so.

    `unit` (cases,) says what is taken together, such as a patient's cases, and `block` (cases,) within what, such as a site. Raises
    `ValueError` for fewer than two units, of which there is no half, and for labels of another length.
    """
    units, where = np.unique(np.asarray(unit), return_inverse=True)
    if len(block) != len(where):
        raise ValueError(f"{len(block)} blocks for {len(where)} cases")
    if len(units) < 2:
        raise ValueError("half-samples need at least two units")
    of_unit = np.empty(len(units), dtype=object)
    of_unit[where] = list(block)
    rng = np.random.default_rng(seed)
    taken = np.zeros((draws, len(units)))
    for label in sorted(set(of_unit.tolist())):
        members = np.flatnonzero(of_unit == label)
        place = np.argsort(rng.random((draws, len(members))), axis=1)
        size = len(members) // 2 + (rng.integers(0, 2, draws) if len(members) % 2 else np.zeros(draws, np.int64))
        taken[:, members] = place < size[:, None]
    return _never_empty(taken, rng)[:, where]


def _never_empty(taken: Floats, rng: np.random.Generator) -> Floats:
    """Blocks of one unit each may all be left out; such a draw takes one unit of them."""
    empty = np.flatnonzero(~taken.any(axis=1))
    taken[empty, rng.integers(0, taken.shape[1], len(empty))] = 1.0
    return taken


def recentred(drawn: Floats, value: float) -> Floats:
    """Values of half-samples (draws,), moved so that the mean of those that are finite is the `value` of the whole."""
    finite = drawn[np.isfinite(drawn)]
    return drawn + (value - finite.mean()) if len(finite) and np.isfinite(value) else drawn
