"""Decompression, the slow part of reading medical images: bounded in memory, checked to the last byte.

ISA-L inflates faster than zlib and zlib-ng (tests/speed/test_reading_speed.py prints by how much). It is used for
reading only: what it *writes* depends on the processor, and editions must be equal byte by byte.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

CHUNK = 1 << 20
MAX_RATIO = 1032
"""Deflate cannot do better than this: a header that promises more than the file can unpack to is false."""


def promised(stored: int, needed: int) -> None:
    """Raise `ValueError` when `stored` compressed bytes cannot hold `needed` bytes, before anything is allocated."""
    if needed > stored * MAX_RATIO + 1024:
        raise ValueError(f"the header promises {needed} bytes of voxels, which {stored} compressed bytes cannot hold")


def fill(stream: Any, needed: int) -> NDArray[np.uint8]:
    """Exactly `needed` bytes from a stream; `ValueError` when it ends before."""
    # IGzipFile has no readinto of its own and would copy every byte once more; the buffer inside it has.
    stream = getattr(stream, "_buffer", stream)
    buffer = np.empty(needed, np.uint8)
    view = buffer.data
    done = 0
    while done < needed:
        got = stream.readinto(view[done : done + (CHUNK << 3)])
        if not got:
            raise ValueError(f"truncated: {done} bytes of voxels where the header promises {needed}")
        done += got
    return buffer


def open_gzip(raw: Any) -> Any:
    """A readable stream of the content of a gzip file, of one member or many; its check sum is verified at its end."""
    return igzip.IGzipFile(fileobj=raw, mode="rb")


ERRORS: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, isal_zlib.error)  # type: ignore[assignment]
"""What a broken stream raises."""


def zlib_stream(data: memoryview, needed: int) -> NDArray[np.uint8]:
    """Inflate a zlib or gzip stream to exactly `needed` bytes; `ValueError` when it is too short or too long."""
    promised(len(data), needed)
    gzipped = bytes(data[:2]) == b"\x1f\x8b"
    if gzipped:
        with open_gzip(io.BytesIO(data)) as stream:
            buffer = fill(stream, needed)
            _ended(stream)
        return buffer
    inflater = isal_zlib.decompressobj()
    parts = np.empty(needed, np.uint8)
    done = 0
    for start in range(0, len(data), CHUNK):
        piece: memoryview | bytes = data[start : start + CHUNK]
        while len(piece):
            out = inflater.decompress(piece, needed - done + 1)
            if done + len(out) > needed:
                raise ValueError(f"the compressed voxels unpack to more than the promised {needed} bytes")
            parts[done : done + len(out)] = np.frombuffer(out, np.uint8)
            done += len(out)
            piece = inflater.unconsumed_tail if not inflater.eof else b""
        if inflater.eof:
            break
    if not inflater.eof or done < needed:
        raise ValueError(f"truncated: {done} bytes of voxels where the header promises {needed}")
    return parts


def _ended(stream: Any) -> None:
    if stream.read(1):
        raise ValueError("the compressed voxels unpack to more than the header promises")
