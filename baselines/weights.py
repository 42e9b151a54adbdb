"""Trained parameters on disk: safetensors, half precision, with the settings they were made under; read strictly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from baselines.config import Config
from benchmark import atomic
from benchmark.errors import DataError, UsageError

Arrays = dict[str, NDArray[np.generic]]

_KEY = "radbench"
"""One metadata entry only: several would be written in an order that changes from run to run."""


_LATER = ("channels", "labels")
"""Settings of `[data]` that came after the first weights were made."""


def fingerprint(config: Config) -> str:
    """Hash of the settings that the parameters have a meaning under: data, network, latent and fitted method."""
    parts = {"data": config.data.model_dump(mode="json", exclude={"editions", "smallest_ml"})}
    for name in _LATER:
        # At its default a setting that came later changes nothing: weights made before it keep their meaning.
        if not parts["data"][name]:
            del parts["data"][name]
    for name in ("network", "latent"):
        section = getattr(config, name)
        parts[name] = (
            section.model_dump(mode="json", exclude={"kl", "prior", "samples", "reconstruction"}) if section else {}
        )
    if config.detection:
        parts["detection"] = config.detection.model_dump(mode="json", exclude={"marks"})
    parts["fit"] = {"method": config.fit.method} if config.fit else {}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def write(path: Path, arrays: Arrays, config: Config) -> None:
    """Write parameters atomically; the same parameters give the same bytes.

    Floating-point arrays are stored in half precision. Raises `ValueError` when one does not fit into it or is not finite.
    """
    stored: Arrays = {}
    for name, array in sorted(arrays.items()):
        half = np.ascontiguousarray(array.astype(np.float16) if array.dtype.kind == "f" else array)
        if half.dtype.kind == "f" and not np.isfinite(half).all():
            raise ValueError(f"parameter {name} holds values that half precision cannot, or that are not finite")
        stored[name] = half
    note = json.dumps({"format": 1, "settings": fingerprint(config)}, sort_keys=True)
    atomic.write_bytes(path, save(stored, metadata={_KEY: note}))


def read(path: Path | None, config: Config) -> Arrays:
    """Read parameters, floating-point ones as float32; `{}` for a method without any (`path` is None).

    Raises `UsageError('path')` when they have not been trained, `DataError('record_invalid')` when the file is broken or
    was made under other settings.
    """
    if path is None:
        return {}
    if not path.exists():
        raise UsageError("path", f"there are no weights {path}", action="Run `radbench train` for this baseline first.")
    try:
        arrays = load_file(path)
        note = json.loads(_metadata(path).get(_KEY, "{}"))
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(
            "record_invalid", f"{path} cannot be read ({error})", action="Train this baseline again."
        ) from None
    if note.get("settings") != fingerprint(config):
        raise DataError(
            "record_invalid",
            f"{path} was trained under other settings than the configuration beside it",
            action="Train this baseline again.",
        )
    return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arrays.items()}


def _metadata(path: Path) -> dict[str, str]:
    """The `__metadata__` entry of the header: 8 bytes of length, then JSON."""
    with path.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    metadata = header.get("__metadata__", {})
    return dict(metadata)
