"""Decompression, the slow part of reading medical images: bounded in memory, checked to the last byte.

libdeflate, which wants the whole file and its unpacked size, is the fastest; ISA-L, which streams, reads what libdeflate
refuses and finds the reason (tests/speed/test_reading_speed.py has the ratios to zlib and zlib-ng). Both are used for
reading only: what they *write* depends on version and processor, and editions must be equal byte by byte.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import deflate
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


def at_once(data: bytes | memoryview, total: int) -> NDArray[np.uint8] | None:
    """The content of a gzip file or zlib stream when it is one member of exactly `total` bytes with the right check sum."""
    unpack = deflate.gzip_decompress if bytes(data[:2]) == b"\x1f\x8b" else deflate.zlib_decompress
    try:
        content = unpack(data, total)
    except deflate.DeflateError:
        return None
    return np.frombuffer(content, np.uint8) if len(content) == total else None


def zlib_stream(data: memoryview, needed: int) -> NDArray[np.uint8]:
    """Inflate a zlib or gzip stream to exactly `needed` bytes; `ValueError` when it is too short or too long."""
    promised(len(data), needed)
    content = at_once(data, needed)
    if content is not None:
        return content
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
