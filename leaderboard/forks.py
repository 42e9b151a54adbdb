"""Work that several processes of this machine share, each knowing what this one knows: nothing is sent to them but a number."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from benchmark.pools import end_with_parent

T = TypeVar("T")

_WORK: list[Callable[[int], Any]] = []
"""What forked processes inherit; it may hold what cannot be sent to one, such as functions that read volumes."""


def cores() -> int:
    """How many processes can run at once."""
    if sys.platform != "linux":
        return 1  # elsewhere a fork is not safe or not there
    return len(os.sched_getaffinity(0))


def each(work: Callable[[int], T], count: int) -> Iterator[T]:
    """`work(0)`, …, `work(count - 1)`, in order, each in a forked process, as many at once as there are cores.

    Results are sent back, so they should be small; what `work` raises is raised here.
    """
    _WORK.append(work)
    try:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(cores(), count), mp_context=context, initializer=end_with_parent) as pool:
            yield from pool.map(_numbered, range(count))
    finally:
        _WORK.pop()


def _numbered(number: int) -> Any:
    gc.disable()
    return _WORK[-1](number)
