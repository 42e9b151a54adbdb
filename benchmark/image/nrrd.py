"""NRRD (.nrrd), read through ITK once its header has been seen to be honest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from benchmark.image import inflate, metaimage
from benchmark.image.volume import Volume, enough, three_dimensional

HEADER_LIMIT = 1 << 16


def read(path: Path, max_voxels: int) -> Volume:
    """Read `.nrrd` with attached data, raw or gzip; see `benchmark.image.read`. ITK turns every `space` into LPS."""
    with path.open("rb") as handle:
        head = handle.read(HEADER_LIMIT)
    end = min((at + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if (at := head.find(mark)) >= 0), default=-1)
    if not head.startswith(b"NRRD") or end < 0:
        raise ValueError("not an NRRD file with attached data")
    fields: dict[str, str] = {}
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields[name.strip().lower()] = value.strip().lower()
    if {"data file", "datafile"} & set(fields):
        raise ValueError("an NRRD header with its voxels in another file is not supported")
    reader = metaimage.information(path, "NrrdImageIO")
    shape = three_dimensional(reader.GetSize(), max_voxels)
    dtype = np.dtype(metaimage.DTYPES[reader.GetPixelID()])
    encoding = fields.get("encoding", "")
    stored = path.stat().st_size - end
    if encoding == "raw":
        enough(stored, shape, dtype)
    elif encoding in ("gzip", "gz"):
        _check_gzip(path, end, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    else:
        raise ValueError(f"NRRD encoding {encoding!r} is not supported; raw or gzip is needed")
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise ValueError(f"the voxels cannot be read ({str(error).strip().splitlines()[-1]})") from None
    return metaimage.on_grid(image, sitk.GetArrayFromImage(image).reshape(shape))


def _check_gzip(path: Path, offset: int, needed: int) -> None:
    """ITK takes a broken stream for a short one and fills up with zeros: unpack it once to know."""
    stored = path.stat().st_size - offset
    inflate.promised(stored, needed)
    try:
        with path.open("rb") as handle:
            handle.seek(offset)
            with inflate.open_gzip(handle) as stream:
                found = 0
                while piece := len(stream.read(inflate.CHUNK)):
                    found += piece
                    if found > needed:
                        break
    except inflate.ERRORS as error:
        raise ValueError(f"the compressed voxels are broken ({error})") from None
    if found != needed:
        raise ValueError(f"truncated: {found} bytes of voxels where the header promises {needed}")
