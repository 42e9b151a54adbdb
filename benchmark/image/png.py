"""PNG: one slice of grey values of 8 or 16 bits. A PNG has no geometry: spacing 1 mm, origin 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.image.volume import AXIAL, Volume, made, three_dimensional


def read(path: Path, max_voxels: int) -> Volume:
    """Read a grey `.png`; see `benchmark.image.read`. One-bit images become 0 and 1 in uint8."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            shape = three_dimensional(picture.size, max_voxels)
            if picture.mode not in ("1", "L", "I;16", "I;16B", "I"):
                raise ValueError(f"a PNG of mode {picture.mode}; grey values of 8 or 16 bits are needed")
            pixels = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"not a readable PNG ({error})") from None
    kept = np.uint8 if pixels.dtype in (np.bool_, np.uint8) else np.uint16
    return made(pixels.astype(kept).reshape(shape), (1, 1, 1), (0, 0, 0), AXIAL)


def write(path: Path, volume: Volume) -> None:
    """Write one slice of uint8 or uint16; anything else is a `ValueError`, since a PNG could not hold it."""
    if volume.array.shape[0] != 1 or volume.array.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"a PNG holds one slice of uint8 or uint16, not {volume.array.shape[0]} slices of {volume.array.dtype}"
        )
    Image.fromarray(np.ascontiguousarray(volume.array[0])).save(path, format="PNG")
