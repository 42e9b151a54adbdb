"""MetaImage (.mha, .mhd). ITK reads the header; the voxels are read here, so that a short file is an error.

ITK fills what a truncated file lacks, or says so on standard error only, and allocates what the header promises.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmark.image import inflate
from benchmark.image.volume import Volume, enough, made, native, three_dimensional

HEADER_LIMIT = 1 << 16

DTYPES: dict[int, str] = {
    sitk.sitkInt8: "i1", sitk.sitkUInt8: "u1", sitk.sitkInt16: "i2", sitk.sitkUInt16: "u2", sitk.sitkInt32: "i4",
    sitk.sitkUInt32: "u4", sitk.sitkInt64: "i8", sitk.sitkUInt64: "u8", sitk.sitkFloat32: "f4", sitk.sitkFloat64: "f8",
}  # fmt: skip
"""Numpy's types of ITK's scalar pixels."""

TYPES = {
    "i1": "MET_CHAR", "u1": "MET_UCHAR", "i2": "MET_SHORT", "u2": "MET_USHORT", "i4": "MET_INT", "u4": "MET_UINT",
    "i8": "MET_LONG_LONG", "u8": "MET_ULONG_LONG", "f4": "MET_FLOAT", "f8": "MET_DOUBLE",
}  # fmt: skip
"""MetaImage's names of numpy's types."""


def information(path: Path, plugin: str) -> sitk.ImageFileReader:
    """ITK's view of a header, by the named plug-in alone; no voxel is read. Raises `ValueError` when ITK cannot."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(plugin)
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ValueError(f"not a readable header ({_last_line(error)})") from None
    if reader.GetNumberOfComponents() != 1:
        raise ValueError(f"{reader.GetNumberOfComponents()} values a voxel; a single-channel image is needed")
    if reader.GetPixelID() not in DTYPES:
        raise ValueError(
            f"voxels of type {sitk.GetPixelIDValueAsString(reader.GetPixelID())}; plain numbers are needed"
        )
    return reader


def on_grid(reader: sitk.ImageFileReader | sitk.Image, array: NDArray[np.generic]) -> Volume:
    """The array on the grid that ITK found; 2-D images lie in the plane z = 0, further axes are dropped."""
    n = reader.GetDimension()
    spacing, origin = np.ones(3), np.zeros(3)
    direction = np.eye(3)
    kept = min(n, 3)
    spacing[:kept] = reader.GetSpacing()[:kept]
    origin[:kept] = reader.GetOrigin()[:kept]
    direction[:kept, :kept] = np.reshape(reader.GetDirection(), (n, n))[:kept, :kept]
    return made(array, spacing[::-1].tolist(), origin.tolist(), direction[:, ::-1])


def read(path: Path, max_voxels: int) -> Volume:
    """Read `.mha` or `.mhd`; see `benchmark.image.read`."""
    keys, offset = _header(path)
    _check_counts(keys)
    reader = information(path, "MetaImageIO")
    shape = three_dimensional(reader.GetSize(), max_voxels)
    dtype = np.dtype(DTYPES[reader.GetPixelID()])
    if _true(keys, "ElementByteOrderMSB", "BinaryDataByteOrderMSB"):
        dtype = dtype.newbyteorder(">")
    if not _true(keys, "BinaryData", default=True):
        raise ValueError("voxels as text are not supported; binary data are needed")
    _check_numbers(keys)
    source, offset = _data_file(path, keys, offset)
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    length = source.stat().st_size - offset
    if _true(keys, "CompressedData"):
        with source.open("rb") as handle:
            handle.seek(offset)
            stored = memoryview(handle.read(min(length, int(keys.get("CompressedDataSize", length)))))
        try:
            raw = inflate.zlib_stream(stored, needed)
        except inflate.ERRORS as error:
            raise ValueError(f"the compressed voxels are broken ({error})") from None
    else:
        enough(length, shape, dtype)
        if length > needed and source == path:
            raise ValueError(f"{length} bytes of voxels where the header promises {needed}")
        raw = np.fromfile(source, np.uint8, needed, offset=offset)
    return on_grid(reader, native(raw.view(dtype).reshape(shape)))


def write(path: Path, volume: Volume, compress: bool) -> None:
    """Write `.mha`; the bytes depend on the volume alone (and on zlib), not on the processor as ITK's may."""
    array = np.ascontiguousarray(volume.array)
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data
    payload = zlib.compress(data, 4) if compress else data
    z, y, x = array.shape
    axes = np.asarray(volume.direction, float)[:, ::-1]
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {compress}",
        *([f"CompressedDataSize = {len(payload)}"] if compress else []),
        # MetaIO lists the axes one after the other: three numbers of the x axis, then y, then z.
        f"TransformMatrix = {_numbers(axes.T.ravel())}",
        f"Offset = {_numbers(volume.origin)}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(volume.spacing[::-1])}",
        f"DimSize = {x} {y} {z}",
        f"ElementType = {TYPES[array.dtype.str[1:]]}",
        "ElementDataFile = LOCAL",
    ]
    with path.open("wb") as handle:
        handle.write(("\n".join(lines) + "\n").encode("ascii"))
        handle.write(payload)


def _numbers(values: object) -> str:
    return " ".join(repr(float(value) + 0.0) for value in np.asarray(values, float).ravel())


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Keys of the header, and where it ends."""
    with path.open("rb") as handle:
        head = handle.read(HEADER_LIMIT)
    keys: dict[str, str] = {}
    start = 0
    while "ElementDataFile" not in keys:
        end = head.find(b"\n", start)
        if end < 0 and path.suffix.lower() == ".mhd":
            end = len(head)  # a detached header may lack its last line end
        name, equals, value = head[start : max(end, 0)].partition(b"=")
        if end < 0 or start >= len(head) or (name.strip() and not equals):
            raise ValueError("not a MetaImage header: there is no line 'ElementDataFile = …'")
        if equals:
            keys[name.strip().decode("ascii", "replace")] = value.strip().decode("utf-8", "replace")
        start = end + 1
    return keys, start


def _check_counts(keys: dict[str, str]) -> None:
    """Raise `ValueError` for numbers of axes and channels that ITK would believe: it ends the whole process by some of them."""
    for name, most in (("NDims", 8), ("ElementNumberOfChannels", 1024)):
        value = keys.get(name, "1")
        if not (value.isascii() and value.isdigit() and len(value) < 5 and 1 <= int(value) <= most):
            raise ValueError(f"{name} = {value[:40]} is not a number from 1 to {most}")


def _check_numbers(keys: dict[str, str]) -> None:
    """Raise `ValueError` for geometry that is not numbers: ITK would take zeros in its place."""
    for name in ("Offset", "Position", "Origin", "TransformMatrix", "Rotation", "Orientation", "ElementSpacing"):
        try:
            finite = bool(np.isfinite([float(word) for word in keys.get(name, "0").split()]).all())
        except ValueError:
            finite = False
        if not finite:
            raise ValueError(f"{name} = {keys[name]} is not a list of finite numbers")


def _true(keys: dict[str, str], *names: str, default: bool = False) -> bool:
    found = [keys[name] for name in names if name in keys]
    return found[0][:1] in ("T", "t", "1") if found else default


def _data_file(path: Path, keys: dict[str, str], offset: int) -> tuple[Path, int]:
    """The file with the voxels and where they start in it."""
    name = keys["ElementDataFile"]
    if name.upper() == "LOCAL":
        return path, offset
    if name.upper().startswith("LIST") or "%" in name:
        raise ValueError("voxels spread over several files are not supported")
    if Path(name).name != name:
        raise ValueError(f"the voxels are said to lie in {name!r}; they must lie beside the header")
    source = path.with_name(name)
    if not source.is_file():
        raise ValueError(f"the file with the voxels, {name!r}, is not beside the header")
    skip = int(keys.get("HeaderSize", "0") or 0)
    if skip < 0:
        raise ValueError("HeaderSize = -1 is not supported; give the size of the header")
    return source, skip


def _last_line(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown"
