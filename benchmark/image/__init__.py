"""Volumes on disk and in memory. The one place that knows about file formats and axis orders.

Axis order, written down once: `Volume.array[k, j, i]` has k along slices (z), j along rows (y), i along columns (x),
the order that SimpleITK's `GetArrayFromImage` gives. *All* geometry here is in array-axis order: `spacing[a]` is the
distance in mm between neighbours along array axis a, and column a of `direction` is the unit vector of array axis a.
Physical points are LPS (x to the left, y to the back, z to the head), in mm:

    point(index) = origin + direction @ (spacing * index)

One module a format; each says how its own conventions are turned into these. A format's module, and the library behind it, is imported
when the first file of that format is read or written: together they take longer than most commands do.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmark.image.volume import AXIAL, MAX_VOXELS, Volume

FORMATS = {
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".png": "png",
}
"""By suffix, the module that reads such files."""


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmark.image.{name}")


def suffix(path: Path) -> str:
    """The suffix that decides the format, in lower case; `.nii.gz` is one suffix."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read(path: Path, *, max_voxels: int = MAX_VOXELS) -> Volume:
    """Read `.mha`, `.mhd`, `.nii`, `.nii.gz`, `.nrrd`, grey `.png`, or a folder that holds one DICOM series.

    The voxel type is kept (int16 stays int16), in this machine's byte order; a header's scaling gives floating point.
    A 2-D image becomes one slice. Raises `FileNotFoundError` when there is nothing at `path`, and `ValueError` with a
    plain sentence when it cannot be read: unknown suffix, broken or truncated file, more than one channel or volume,
    a header that promises more than the file holds or more than `max_voxels` (seen before memory is taken), impossible
    geometry.
    """
    path = Path(path)
    if path.is_dir():
        return _module("dicom").read(path, max_voxels)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    form = FORMATS.get(suffix(path))
    if form is None:
        raise ValueError(f"images of type {suffix(path) or path.name!r} are not supported; {', '.join(FORMATS)} are")
    return _module(form).read(path, max_voxels)


def write(path: Path, volume: Volume, *, compress: bool = False) -> None:
    """Write by suffix: `.mha`, `.nii`, `.nii.gz`, `.png`, or without suffix a folder with a DICOM series.

    The same volume gives the same bytes, with no time in them. `compress` is for `.mha`. Booleans become uint8, half
    floats float32, since the formats have neither. Raises `ValueError` for what the format cannot hold.
    """
    path = Path(path)
    if volume.array.ndim != 3:
        raise ValueError(f"a volume has three axes, not {volume.array.ndim}; a 2-D image is one slice")
    if not volume.array.size:
        raise ValueError(f"a volume of shape {volume.array.shape} has no voxels")
    stored = {"b": np.uint8, "f2": np.float32}.get(
        "b" if volume.array.dtype == np.bool_ else volume.array.dtype.str[1:]
    )
    if stored is not None:
        volume = volume.like(volume.array.astype(stored))
    if volume.array.dtype.kind not in "iuf" or volume.array.dtype.itemsize > 8:
        raise ValueError(f"voxels of type {volume.array.dtype}; plain numbers are needed")
    match suffix(path):
        case ".mha":
            _module("metaimage").write(path, volume, compress)
        case ".nii" | ".nii.gz":
            _module("nifti").write(path, volume)
        case ".png":
            _module("png").write(path, volume)
        case "":
            _module("dicom").write(path, volume)
        case other:
            raise ValueError(f"images of type {other!r} cannot be written; .mha, .nii, .nii.gz, .png or a folder can")


__all__ = ["AXIAL", "MAX_VOXELS", "Volume", "read", "suffix", "write"]
