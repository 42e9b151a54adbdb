"""What the cases contribute to set-level metrics, as bytes: stored beside the scores, so that an audit needs no images.

A pickle, since parts are small records and arrays of any metric's own making; but read with a list of what may occur in it
(numpy arrays, plain containers, the records of `benchmark.metrics`), so that a store that someone else has written to runs
nothing.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from benchmark.errors import DataError

NUMPY = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
"""What numpy needs to make arrays and numbers from bytes."""


class _Reader(pickle.Unpickler):
    """Knows arrays and the dataclasses of `benchmark.metrics`, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in NUMPY:
            return super().find_class(module, name)
        if module.startswith("benchmark.metrics.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, tuple)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} does not belong there")


def dumps(parts: Mapping[str, Mapping[str, Any]]) -> bytes:
    """By metric id and case id, what each case contributes."""
    return pickle.dumps({id: dict(own) for id, own in parts.items()}, protocol=5)


def loads(content: bytes, where: str = "parts") -> dict[str, dict[str, Any]]:
    """The inverse of `dumps`. Raises `DataError` for bytes that are broken or hold anything else than parts."""
    try:
        found = _Reader(io.BytesIO(content)).load()
    except Exception as error:  # a broken pickle may raise anything
        raise DataError("record_invalid", f"{where} cannot be read ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(own, dict) for own in found.values()):
        raise DataError("record_invalid", f"{where} holds something else than parts")
    return found


def aligned(parts: Mapping[str, Mapping[str, Any]], cases: Sequence[str]) -> dict[str, list[Any]] | None:
    """By metric id, the parts in the order of `cases`; None where a case is not there."""
    if not all(case in own for own in parts.values() for case in cases):
        return None
    return {id: [own[case] for case in cases] for id, own in parts.items()}
