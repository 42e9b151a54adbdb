"""NIfTI (.nii, .nii.gz): nibabel knows the header, ISA-L unpacks the voxels.

NIfTI's world is RAS (x to the right, y to the front), ours LPS: the first two rows of the affine change their sign.
NIfTI stores the x axis fastest, which is our (z, y, x) in C order, so no voxel is moved.

Which affine: the sform where its code is positive, else the qform where its code is positive, else the voxel size alone
(nibabel's rule). A sheared sform gives way to the qform, where there is one. Lengths in metres or micrometres are
turned into millimetres.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmark.image import inflate
from benchmark.image.volume import Volume, enough, from_affine, native, three_dimensional

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])

UNITS = {1: 1e3, 2: 1.0, 3: 1e-3}
"""Millimetres in NIfTI's units of length: metre, millimetre, micrometre."""


def read(path: Path, max_voxels: int) -> Volume:
    """Read `.nii` or `.nii.gz`; see `benchmark.image.read`.

    Integers keep their type unless the header scales them (slope other than 0 and 1, or an intercept): scaled values
    are float32 where the stored type has at most 16 bits (or is float32), else float64, computed in float64.
    """
    with path.open("rb", buffering=0) as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not gzipped:
            return _read(raw, path.stat().st_size, None, max_voxels)
        packed = raw.read()
    try:
        with inflate.open_gzip(io.BytesIO(packed)) as stream:
            return _read(stream, len(packed), packed, max_voxels)
    except inflate.ERRORS as error:
        raise ValueError(f"the compressed file is broken ({error})") from None


def _read(stream: Any, size: int, packed: bytes | None, max_voxels: int) -> Volume:
    """Read from a stream of header and voxels; `size` is the file's, `packed` its content where it is compressed."""
    header, length = _header(stream)
    shape = three_dimensional(header["dim"][1 : 1 + max(int(header["dim"][0]), 1)].tolist(), max_voxels)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ValueError(f"voxels of type {dtype}; plain numbers are needed")
    offset = int(header["vox_offset"])
    if offset < length:
        raise ValueError(f"the voxels are said to start at byte {offset}, inside the header")
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    content = None
    if packed is None:
        enough(size - offset, shape, dtype)
    else:
        inflate.promised(size, offset + needed)
        content = inflate.at_once(packed, offset + needed)
    if content is not None:
        data = content[offset:]
    else:
        _skip(stream, offset - length)
        data = inflate.fill(stream, needed)
        if packed is not None:
            stream.read(1)  # the end of the member: its check sum is compared
    array = native(np.require(data, requirements="A").view(dtype).reshape(shape))
    matrix, origin = _affine(header)
    return from_affine(_scaled(array, header), matrix, origin)


def _header(stream: Any) -> tuple[Any, int]:
    """The header, NIfTI-1 or NIfTI-2 in either byte order, and its length in bytes."""
    head = stream.read(348)
    kinds = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
    declared = {int(np.frombuffer(head[:4].ljust(4, b"\0"), order)[0]): order for order in ("<i4", ">i4")}
    found = next((size for size in declared if size in kinds), None)
    if found is None:
        raise ValueError("not a NIfTI file: its first four bytes are neither 348 nor 540")
    head += stream.read(found - 348)
    try:
        header = kinds[found].from_fileobj(io.BytesIO(head), endianness=declared[found][0], check=False)
        magic = bytes(header["magic"])[:2]
        header.get_data_dtype()
    except Exception as error:  # nibabel raises several kinds of its own for broken headers
        raise ValueError(f"not a readable NIfTI header ({error})") from None
    if magic != b"n+":
        raise ValueError("a NIfTI header with its voxels in another file (.hdr/.img) is not supported")
    return header, found


def _skip(stream: Any, count: int) -> None:
    while count > 0:
        got = len(stream.read(min(count, inflate.CHUNK)))
        if not got:
            raise ValueError("truncated: the file ends before its voxels start")
        count -= got


def _affine(header: Any) -> tuple[NDArray[np.float64], list[float]]:
    """Steps along the array axes (columns, mm, LPS) and origin."""
    try:
        affine = header.get_best_affine()
        if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0 and _sheared(affine):
            affine = header.get_qform()
    except Exception as error:
        raise ValueError(f"the orientation cannot be read ({error})") from None
    scale = UNITS.get(int(header["xyzt_units"]) & 7, 1.0)
    affine = np.asarray(affine, float) * scale
    if not np.isfinite(affine).all():
        raise ValueError("the orientation is not made of finite numbers")
    origin = LPS_FROM_RAS @ affine[:3, 3]
    return (LPS_FROM_RAS @ affine[:3, :3])[:, ::-1], origin.tolist()


def _sheared(affine: NDArray[np.float64]) -> bool:
    axes = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-30)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3)


def _scaled(array: NDArray[np.generic], header: Any) -> NDArray[np.generic]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0 or (slope == 1 and inter == 0):
        return array
    if not np.isfinite(inter):
        raise ValueError(f"the header scales the voxels by {slope} and adds {inter}")
    narrow = array.dtype.itemsize <= 2 or array.dtype == np.float32
    out: NDArray[np.generic] = np.empty(array.shape, np.float32 if narrow else np.float64)
    for k in range(array.shape[0]):  # slice by slice, so that float64 never holds the whole volume
        with np.errstate(over="ignore"):  # what is too large for the type becomes infinite, which the metrics tell
            out[k] = array[k].astype(np.float64) * slope + inter
    return out


def write(path: Path, volume: Volume) -> None:
    """Write `.nii`, or `.nii.gz` without a time stamp. The affine is stored as sform and, as a quaternion, as qform."""
    array = np.ascontiguousarray(volume.array)
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(array.dtype)
    z, y, x = array.shape
    if max(array.shape) > np.iinfo(np.int16).max:
        raise ValueError(f"NIfTI-1 holds at most 32767 voxels in an axis, not {max(array.shape)}")
    header.set_data_shape((x, y, z))
    affine = np.eye(4)
    affine[:3, :3] = LPS_FROM_RAS @ (np.asarray(volume.direction, float) * np.asarray(volume.spacing, float))[:, ::-1]
    affine[:3, 3] = LPS_FROM_RAS @ np.asarray(volume.origin, float)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    head = header.binaryblock + b"\0\0\0\0"
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    body = little.reshape(-1).view(np.uint8).data
    if path.name.lower().endswith(".gz"):
        path.write_bytes(gzip.compress(head + bytes(body), 4, mtime=0))
        return
    with path.open("wb") as handle:
        handle.write(head)
        handle.write(body)
