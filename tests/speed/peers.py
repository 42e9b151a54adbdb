"""How the speed tests compare: rounds of both sides alternate, so that a busy machine slows both alike, and the best counts."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def compare(
    benchmark,
    title: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    peer_rounds: int = 2,
    each: int = 5,
    times: float = 1.0,
    floor_bytes: int = 0,
) -> float:
    """Ratio of the best times, printed with the floor: the time to read `floor_bytes` once from memory.

    `each` rounds of ours go with one of the peer's; `times` extrapolates a peer that is given a part of the work.
    """
    ours()  # compiled, or read from the cache
    mine, theirs = [], []
    for _ in range(peer_rounds):
        theirs.append(times * milliseconds(peer))
        mine += [milliseconds(ours) for _ in range(each)]
    benchmark.pedantic(ours, rounds=each, iterations=1)
    best, other = min(mine), min(theirs)
    line = (
        f"{title}: {best:.1f} ms, peer {other:.0f} ms{' (extrapolated)' if times > 1 else ''}, ratio {other / best:.1f}"
    )
    if floor_bytes:
        block = np.ones(1 << 24, np.uint64)  # larger than any cache
        floor = min(milliseconds(lambda: np.bitwise_or.reduce(block)) for _ in range(5)) * floor_bytes / block.nbytes
        line += f", {best / floor:.0f} x the floor of {floor:.2f} ms"
        benchmark.extra_info["floor_ms"] = floor
    benchmark.extra_info.update(peer_ms=other, ratio=other / best)
    print("\n" + line)
    return other / best
