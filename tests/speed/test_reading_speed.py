"""How fast volumes are read, beside nibabel and SimpleITK, in the same run.

    pytest tests/speed/test_reading_speed.py -s

The floor is inflating the file from memory with libdeflate, and no more.
"""

from __future__ import annotations

import time
import zlib
from pathlib import Path

import deflate
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from isal import isal_zlib
from scipy import ndimage

from benchmark import image
from benchmark.image import Volume

try:
    from zlib_ng import zlib_ng
except ImportError:
    zlib_ng = None


@pytest.fixture(scope="module")
def volume() -> Volume:
    """A noisy CT of 100 × 256 × 256, int16, with air on one side."""
    rng = np.random.default_rng(0)
    array = ndimage.gaussian_filter(rng.normal(size=(100, 256, 256)).astype(np.float32), 3) * 9000
    array = (array + rng.normal(size=array.shape) * 12).astype(np.int16)
    array[:, :80] = -1024
    return Volume(array)


def best(*calls, rounds=7) -> list[float]:
    """Best milliseconds of each call; rounds alternate, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            found.append(1e3 * (time.perf_counter() - start))
    return [min(found) for found in times]


def test_nifti_against_nibabel(benchmark, tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "v.nii.gz"
    image.write(path, volume)
    raw = path.read_bytes()
    calls = {
        "radbench": lambda: image.read(path),
        "nibabel get_fdata": lambda: nib.load(path).get_fdata(),
        "nibabel dataobj": lambda: np.asarray(nib.load(path).dataobj),
        "SimpleITK": lambda: sitk.GetArrayFromImage(sitk.ReadImage(str(path))),
        "inflate only: libdeflate": lambda: deflate.gzip_decompress(raw, volume.array.nbytes + 352),
        "inflate only: ISA-L": lambda: isal_zlib.decompress(raw, 31, volume.array.nbytes + 4096),
        "inflate only: zlib": lambda: zlib.decompress(raw, 31, volume.array.nbytes + 4096),
    }
    if zlib_ng is not None:
        calls["inflate only: zlib-ng"] = lambda: zlib_ng.decompress(raw, 31, volume.array.nbytes + 4096)
    np.testing.assert_array_equal(image.read(path).array, np.asarray(nib.load(path).dataobj).T)
    times = dict(zip(calls, best(*calls.values()), strict=True))
    benchmark.pedantic(calls["radbench"], rounds=3)
    ours = times["radbench"]
    for name, found in times.items():
        print(f"\n{name}: {found:.1f} ms ({found / ours:.2f} x ours)", end="")
    benchmark.extra_info.update(times)
    assert times["nibabel get_fdata"] / ours >= 2


@pytest.mark.parametrize("compress", [False, True])
def test_metaimage_against_simpleitk(benchmark, tmp_path: Path, volume: Volume, compress: bool) -> None:
    path = tmp_path / "v.mha"
    image.write(path, volume, compress=compress)
    ours, peer = best(lambda: image.read(path), lambda: sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    benchmark.pedantic(lambda: image.read(path), rounds=3)
    print(f"\n.mha, {compress=}: {ours:.1f} ms, SimpleITK {peer:.1f} ms, ratio {peer / ours:.1f}")
    assert peer / ours >= 1
