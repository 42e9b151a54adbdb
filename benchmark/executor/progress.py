"""How far a job is, told from inside it to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Sink = Callable[[str, int, int], None]
"""Called with a label, steps done, steps in all."""

_sink: ContextVar[Sink | None] = ContextVar("sink", default=None)


def report(label: str, done: int, total: int) -> None:
    """Tell how far this job is; nobody need listen."""
    sink = _sink.get()
    if sink is not None:
        sink(label, done, total)


@contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Hand to `sink` what is reported in this block, in this thread."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)
