"""Volumes on disk: independent readers (SimpleITK, nibabel, pydicom, Pillow) must find the same voxel at the same place."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from benchmark import image
from benchmark.image import AXIAL, Volume

OBLIQUE = Rotation.from_euler("xyz", [10, -25, 140], degrees=True).as_matrix() @ AXIAL
FLIPPED = AXIAL * np.array([-1.0, 1.0, -1.0])
MIRRORED = AXIAL * np.array([-1.0, 1.0, 1.0])
SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
DIRECTIONS = {"axial": AXIAL, "oblique": OBLIQUE, "flipped": FLIPPED, "mirrored": MIRRORED, "sagittal": SAGITTAL}
DTYPES = ["uint8", "int16", "uint16", "int32", "float32", "float64"]
MARK = (3, 1, 4)
"""Index (z, y, x) of the one voxel that stands out."""


def marked(dtype: str = "int16", direction: np.ndarray = AXIAL) -> Volume:
    array = np.random.default_rng(7).integers(0, 100, (5, 6, 7)).astype(dtype)
    array[MARK] = 200
    return Volume(array, (3.0, 1.25, 0.7), (-12.5, 33.25, 400.125), direction)


def where(volume: Volume) -> np.ndarray:
    """Physical point of the voxel that stands out."""
    return volume.point(np.unravel_index(int(np.argmax(volume.array)), volume.array.shape))


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["v.mha", "compressed.mha", "v.nii", "v.nii.gz"])
def test_round_trip_keeps_values_type_and_place(tmp_path: Path, name: str, dtype: str, direction: np.ndarray) -> None:
    volume = marked(dtype, direction)
    image.write(tmp_path / name, volume, compress=name.startswith("compressed"))
    back = image.read(tmp_path / name)
    assert back.array.dtype == volume.array.dtype
    np.testing.assert_array_equal(back.array, volume.array)
    single = name.endswith((".nii", ".gz"))  # NIfTI-1 keeps its affine in float32
    np.testing.assert_allclose(back.spacing, volume.spacing, rtol=1e-6 if single else 1e-15)
    np.testing.assert_allclose(back.origin, volume.origin, rtol=1e-6 if single else 1e-15)
    np.testing.assert_allclose(back.direction, direction, atol=1e-6 if single else 1e-15)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("name", ["v.mha", "compressed.mha", "v.nii.gz"])
def test_simpleitk_finds_the_voxel_at_the_same_point(tmp_path: Path, name: str, direction: np.ndarray) -> None:
    volume = marked("int16", direction)
    image.write(tmp_path / name, volume, compress=name.startswith("compressed"))
    found = sitk.ReadImage(str(tmp_path / name))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), volume.array)
    assert found.GetPixelID() == sitk.sitkInt16
    np.testing.assert_allclose(found.TransformIndexToPhysicalPoint(MARK[::-1]), where(volume), atol=1e-4)
    np.testing.assert_allclose(found.GetSpacing(), volume.spacing[::-1], rtol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("order", ["sform", "qform"])
def test_nibabel_finds_the_voxel_at_the_same_point(tmp_path: Path, direction: np.ndarray, order: str) -> None:
    volume = marked("int16", direction)
    image.write(tmp_path / "v.nii.gz", volume)
    found = nib.load(tmp_path / "v.nii.gz")
    affine = found.get_sform() if order == "sform" else found.get_qform()
    i, j, k = MARK[::-1]
    assert np.asarray(found.dataobj)[i, j, k] == 200
    ras = affine @ [i, j, k, 1]
    np.testing.assert_allclose(ras[:3] * [-1, -1, 1], where(volume), atol=1e-4)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("name", ["v.mha", "v.mhd", "v.nii", "v.nii.gz", "v.nrrd"])
@pytest.mark.parametrize("compress", [False, True])
def test_reads_what_simpleitk_wrote(tmp_path: Path, name: str, direction: np.ndarray, compress: bool) -> None:
    volume = marked("int16", direction)
    made = sitk.GetImageFromArray(volume.array)
    made.SetSpacing(volume.spacing[::-1])
    made.SetOrigin(volume.origin)
    made.SetDirection(direction[:, ::-1].ravel().tolist())
    sitk.WriteImage(made, str(tmp_path / name), compress)
    back = image.read(tmp_path / name)
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(where(back), where(volume), atol=1e-4)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_all_formats_agree_on_the_point(tmp_path: Path, direction: np.ndarray) -> None:
    volume = marked("int16", direction)
    for name in ("v.mha", "v.nii", "v.nii.gz", "series"):
        image.write(tmp_path / name, volume)
        back = image.read(tmp_path / name)
        assert back.array.max() == 200
        np.testing.assert_allclose(where(back), where(volume), atol=1e-4, err_msg=name)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 9)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    flip=st.booleans(),
    name=st.sampled_from(["v.mha", "v.nii.gz"]),
)
def test_any_grid_survives(tmp_path: Path, shape, spacing, origin, angles, flip, name) -> None:  # type: ignore[no-untyped-def]
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * ([1, 1, -1] if flip else [1, 1, 1])
    volume = Volume(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), spacing, origin, direction)
    image.write(tmp_path / name, volume)
    back = image.read(tmp_path / name)
    np.testing.assert_array_equal(back.array, volume.array)
    corner = [n - 1 for n in shape]
    np.testing.assert_allclose(back.point(corner), volume.point(corner), atol=1e-3)


@pytest.mark.parametrize("name", ["v.mha", "compressed.mha", "v.nii", "v.nii.gz", "series", "v.png"])
def test_the_same_volume_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    volume = marked("int16", OBLIQUE)
    if name == "v.png":
        volume = Volume(volume.array[:1].astype(np.uint8))
    trees = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        image.write(tmp_path / run / name, volume, compress=name.startswith("compressed"))
        files = sorted(path for path in (tmp_path / run).rglob("*") if path.is_file())
        trees.append({path.relative_to(tmp_path / run): path.read_bytes() for path in files})
    assert trees[0] == trees[1]
    assert trees[0]
    if name.endswith(".gz"):
        assert trees[0][Path(name)][4:8] == b"\0\0\0\0", "the gzip header holds no time"


def test_memory_layout_and_byte_order_do_not_matter(tmp_path: Path) -> None:
    plain = marked("int16")
    image.write(tmp_path / "plain.mha", plain)
    for other in (
        np.asfortranarray(plain.array),
        plain.array.astype(">i2"),
        np.repeat(plain.array, 2, axis=2)[:, :, ::2],
    ):
        image.write(tmp_path / "other.mha", plain.like(other))
        assert (tmp_path / "other.mha").read_bytes() == (tmp_path / "plain.mha").read_bytes()


def test_booleans_and_half_floats_become_what_the_formats_have(tmp_path: Path) -> None:
    for given_dtype, kept in (("bool", "uint8"), ("float16", "float32")):
        array = (np.arange(8).reshape(2, 2, 2) % 2).astype(given_dtype)
        for name in ("v.mha", "v.nii"):
            image.write(tmp_path / name, Volume(array))
            assert image.read(tmp_path / name).array.dtype == kept
            np.testing.assert_array_equal(image.read(tmp_path / name).array, array)


# NIfTI's traps


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None, **fields: object) -> Path:
    made = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
    for key, value in fields.items():
        made.header[key] = value
    made.to_filename(path)
    return path


def patched(path: Path, offset: int, data: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(data)] = data
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize(("stored", "expected"), [("int16", "float32"), ("uint8", "float32"), ("int32", "float64")])
def test_scaled_nifti_equals_nibabel(tmp_path: Path, stored: str, expected: str) -> None:
    array = np.arange(24, dtype=stored).reshape(2, 3, 4)
    path = nifti(tmp_path / "v.nii", array)
    patched(path, 112, struct.pack("<ff", 0.37, -1024.0))
    back = image.read(path)
    assert back.array.dtype == expected
    np.testing.assert_allclose(back.array, nib.load(path).get_fdata().T, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, 1.0, float("nan")])
def test_a_slope_of_nothing_keeps_integers(tmp_path: Path, slope: float) -> None:
    path = nifti(tmp_path / "v.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    patched(path, 112, struct.pack("<ff", slope, 0.0))
    assert image.read(path).array.dtype == np.int16


def test_only_the_qform_is_set(tmp_path: Path) -> None:
    volume = marked("int16", OBLIQUE)
    path = tmp_path / "v.nii"
    image.write(path, volume)
    patched(path, 254, struct.pack("<h", 0))  # sform_code
    np.testing.assert_allclose(where(image.read(path)), where(volume), atol=1e-3)


def test_a_sheared_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    volume = marked("int16", OBLIQUE)
    path = tmp_path / "v.nii"
    image.write(path, volume)
    sheared = np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "<f4")
    patched(path, 280, sheared.tobytes())
    np.testing.assert_allclose(where(image.read(path)), where(volume), atol=1e-3)
    patched(path, 252, struct.pack("<h", 0))  # qform_code: nothing is left to give way to
    with pytest.raises(ValueError, match="perpendicular"):
        image.read(path)


def test_without_codes_nibabels_affine_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "v.nii"
    image.write(path, marked())
    patched(path, 252, struct.pack("<hh", 0, 0))
    found = nib.load(path)
    ras = found.affine @ [*MARK[::-1], 1]
    np.testing.assert_allclose(where(image.read(path)), ras[:3] * [-1, -1, 1], atol=1e-4)


def test_metres_become_millimetres(tmp_path: Path) -> None:
    path = tmp_path / "v.nii"
    image.write(path, marked())
    patched(path, 123, b"\x01")
    np.testing.assert_allclose(image.read(path).spacing, (3000, 1250, 700), rtol=1e-6)


def test_big_endian_and_nifti2(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(">i2"))
    nib.Nifti1Image(array, np.eye(4), header).to_filename(tmp_path / "big.nii")
    assert (tmp_path / "big.nii").read_bytes()[:4] == struct.pack(">i", 348)
    nib.Nifti2Image(array, np.eye(4)).to_filename(tmp_path / "two.nii.gz")
    for name in ("big.nii", "two.nii.gz"):
        back = image.read(tmp_path / name)
        assert back.array.dtype == np.int16
        np.testing.assert_array_equal(back.array, array.T)


def test_header_extensions_are_skipped(tmp_path: Path) -> None:
    made = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"made by hand" * 40))
    made.to_filename(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(image.read(tmp_path / "v.nii.gz").array, np.asarray(made.dataobj).T)


def test_gzip_of_several_members(tmp_path: Path) -> None:
    image.write(tmp_path / "v.nii", marked())
    raw = (tmp_path / "v.nii").read_bytes()
    (tmp_path / "v.nii.gz").write_bytes(
        gzip.compress(raw[:100]) + gzip.compress(raw[100:400]) + gzip.compress(raw[400:])
    )
    np.testing.assert_array_equal(image.read(tmp_path / "v.nii.gz").array, marked().array)


# Two dimensions, other axes, PNG


@pytest.mark.parametrize("name", ["v.mha", "v.nii.gz", "v.nrrd", "v.png"])
def test_two_dimensional_images_are_one_slice(tmp_path: Path, name: str) -> None:
    made = sitk.GetImageFromArray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    made.SetSpacing((0.5, 2.0))
    sitk.WriteImage(made, str(tmp_path / name))
    back = image.read(tmp_path / name)
    assert back.array.shape == (1, 3, 4)
    np.testing.assert_array_equal(back.array[0], np.arange(12).reshape(3, 4))
    if name != "v.png":
        assert back.spacing == (1.0, 2.0, 0.5)


def test_a_fourth_axis_of_one_is_dropped_and_of_two_refused(tmp_path: Path) -> None:
    nifti(tmp_path / "one.nii", np.zeros((2, 3, 4, 1), np.int16))
    assert image.read(tmp_path / "one.nii").array.shape == (4, 3, 2)
    nifti(tmp_path / "two.nii", np.zeros((2, 3, 4, 2), np.int16))
    with pytest.raises(ValueError, match="4 axes"):
        image.read(tmp_path / "two.nii")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_round_trip(tmp_path: Path, dtype: type) -> None:
    array = np.linspace(0, np.iinfo(dtype).max, 20).astype(dtype).reshape(1, 4, 5)
    image.write(tmp_path / "v.png", Volume(array))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "v.png")), array[0])
    assert image.read(tmp_path / "v.png").array.dtype == dtype
    np.testing.assert_array_equal(image.read(tmp_path / "v.png").array, array)


def test_png_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint8 or uint16"):
        image.write(tmp_path / "v.png", marked("float32"))
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match="mode RGB"):
        image.read(tmp_path / "colour.png")


# DICOM


def test_dicom_series_is_read_alike_by_simpleitk(tmp_path: Path) -> None:
    volume = marked("int16", OBLIQUE)
    image.write(tmp_path / "series", volume)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "series")))
    found = reader.Execute()
    back = image.read(tmp_path / "series")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), back.array)
    k, j, i = np.unravel_index(int(np.argmax(back.array)), back.array.shape)
    np.testing.assert_allclose(found.TransformIndexToPhysicalPoint((int(i), int(j), int(k))), where(volume), atol=1e-4)


def test_dicom_rescale_and_file_order(tmp_path: Path) -> None:
    volume = marked("int16")
    image.write(tmp_path / "s", volume)
    for number, path in enumerate(sorted((tmp_path / "s").glob("*.dcm"))):
        data = pydicom.dcmread(path)
        data.RescaleIntercept = "-1024"
        data.save_as(path)
        path.rename(path.with_name(f"{(number * 7) % 5}-shuffled.dcm"))
    (tmp_path / "s" / "LICENCE.txt").write_text("not an image")
    back = image.read(tmp_path / "s")
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, volume.array - 1024)


def test_dicom_slices_of_different_scale_become_float(tmp_path: Path) -> None:
    volume = marked("int16")
    image.write(tmp_path / "s", volume)
    slopes = [1.0, 0.5, 2.0, 0.25, 1.5]
    for slope, path in zip(slopes, sorted((tmp_path / "s").glob("*.dcm")), strict=True):
        data = pydicom.dcmread(path)
        data.RescaleSlope = str(slope)
        data.save_as(path)
    back = image.read(tmp_path / "s")
    assert back.array.dtype == np.float32
    np.testing.assert_allclose(back.array, volume.array * np.array(slopes)[:, None, None])


def test_dicom_keeps_whole_numbers_and_quantises_fractions(tmp_path: Path) -> None:
    whole = np.array([0, 1000, 65535, 40000], np.float32).reshape(1, 2, 2)
    image.write(tmp_path / "whole", Volume(whole))
    np.testing.assert_array_equal(image.read(tmp_path / "whole").array, whole)
    fractions = np.random.default_rng(0).normal(0, 500, (3, 8, 8))
    image.write(tmp_path / "fractions", Volume(fractions))
    back = image.read(tmp_path / "fractions").array
    assert np.abs(back - fractions).max() <= 0.51 * np.ptp(fractions) / 65535
    with pytest.raises(ValueError, match="not empty"):
        image.write(tmp_path / "whole", Volume(whole))


def test_dicom_refuses_gaps_tilts_and_mixtures(tmp_path: Path) -> None:
    image.write(tmp_path / "gap", marked("int16"))
    (tmp_path / "gap" / "0003.dcm").unlink()
    with pytest.raises(ValueError, match="not evenly spaced"):
        image.read(tmp_path / "gap")
    image.write(tmp_path / "tilt", marked("int16"))
    for k, path in enumerate(sorted((tmp_path / "tilt").glob("*.dcm"))):
        data = pydicom.dcmread(path)
        data.ImagePositionPatient = [0, 0.8 * k, 3 * k]
        data.save_as(path)
    with pytest.raises(ValueError, match="tilted"):
        image.read(tmp_path / "tilt")
    image.write(tmp_path / "two", marked("int16"))
    data = pydicom.dcmread(tmp_path / "two" / "0001.dcm")
    data.SeriesInstanceUID = pydicom.uid.generate_uid()
    data.save_as(tmp_path / "two" / "other.dcm")
    with pytest.raises(ValueError, match="2 DICOM series"):
        image.read(tmp_path / "two")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no DICOM"):
        image.read(tmp_path / "empty")
    image.write(tmp_path / "cut", marked("int16"))
    path = tmp_path / "cut" / "0002.dcm"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError):
        image.read(tmp_path / "cut")


def test_a_broken_dicom_header_is_an_error_and_not_a_missing_slice(tmp_path: Path) -> None:
    image.write(tmp_path / "s", marked("int16"))
    last = tmp_path / "s" / "0005.dcm"
    raw = bytearray(last.read_bytes())
    at = raw.index(b"\x20\x00\x32\x00DS")  # ImagePositionPatient
    raw[at + 4 : at + 6] = b"D}"
    last.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="DICOM header"):
        image.read(tmp_path / "s")


# Broken and hostile files: an error that names the reason, never garbage


@pytest.mark.parametrize("name", ["v.mha", "compressed.mha", "v.nii", "v.nii.gz", "raw.nrrd", "gzip.nrrd", "v.png"])
@pytest.mark.parametrize("cut", [1, 9, 60, 0.3, 0.7])
def test_truncated_files_are_never_read(tmp_path: Path, name: str, cut: float) -> None:
    volume = Volume(np.random.default_rng(0).integers(0, 255, (1, 20, 30)).astype(np.uint8))
    if name.endswith(".nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(volume.array), str(tmp_path / name), name.startswith("gzip"))
    else:
        image.write(tmp_path / name, volume, compress=name.startswith("compressed"))
    data = (tmp_path / name).read_bytes()
    np.testing.assert_array_equal(image.read(tmp_path / name).array, volume.array)
    (tmp_path / name).write_bytes(data[: -cut if isinstance(cut, int) else int(len(data) * cut)])
    try:
        found = image.read(tmp_path / name)
    except ValueError as error:
        assert str(error)
    else:  # a PNG may lack its end mark of 12 bytes when every row is there
        assert name == "v.png" and cut in (1, 9)
        np.testing.assert_array_equal(found.array, volume.array)


@pytest.mark.parametrize("name", ["compressed.mha", "v.nii.gz", "gzip.nrrd"])
@pytest.mark.parametrize("at", [-200, -6, -2])
def test_a_flipped_bit_in_compressed_voxels_or_their_check_sum_is_seen(tmp_path: Path, name: str, at: int) -> None:
    volume = Volume(np.random.default_rng(0).integers(0, 255, (4, 20, 30)).astype(np.uint8))
    if name.endswith(".nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(volume.array), str(tmp_path / name), True)
    else:
        image.write(tmp_path / name, volume, compress=True)
    data = bytearray((tmp_path / name).read_bytes())
    data[at] ^= 4
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(ValueError):
        image.read(tmp_path / name)


def test_absurd_headers_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    image.write(tmp_path / "v.mha", marked())
    text = (tmp_path / "v.mha").read_bytes()
    (tmp_path / "big.mha").write_bytes(text.replace(b"DimSize = 7 6 5", b"DimSize = 70000 60000 50000"))
    with pytest.raises(ValueError, match="more than the"):
        image.read(tmp_path / "big.mha")
    (tmp_path / "long.mha").write_bytes(text.replace(b"DimSize = 7 6 5", b"DimSize = 700 600 500"))
    with pytest.raises(ValueError, match="truncated"):
        image.read(tmp_path / "long.mha")
    for name in ("v.nii", "v.nii.gz"):
        image.write(tmp_path / "v.nii", marked())
        patched(tmp_path / "v.nii", 42, struct.pack("<hhh", 1000, 1000, 1000))
        if name.endswith(".gz"):
            (tmp_path / name).write_bytes(gzip.compress((tmp_path / "v.nii").read_bytes()))
        with pytest.raises(ValueError, match="promises"):
            image.read(tmp_path / name)
    with pytest.raises(ValueError, match="more than the 100 allowed"):
        image.read(tmp_path / "v.mha", max_voxels=100)


def test_compressed_voxels_may_not_unpack_to_more_than_promised(tmp_path: Path) -> None:
    image.write(tmp_path / "v.mha", marked(), compress=True)
    data = (tmp_path / "v.mha").read_bytes()
    head, _, _ = data.partition(b"ElementDataFile = LOCAL\n")
    bomb = zlib.compress(bytes(10_000_000))
    lines = [line for line in head.splitlines() if not line.startswith(b"CompressedDataSize")]
    (tmp_path / "bomb.mha").write_bytes(b"\n".join([*lines, b"ElementDataFile = LOCAL\n"]) + bomb)
    with pytest.raises(ValueError, match="more than the promised"):
        image.read(tmp_path / "bomb.mha")


def test_detached_voxels_must_lie_beside_the_header(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(marked().array), str(tmp_path / "v.mhd"))
    np.testing.assert_array_equal(image.read(tmp_path / "v.mhd").array, marked().array)
    text = (tmp_path / "v.mhd").read_text()
    for target in ("/etc/hostname", "../v.raw", "LIST", "slice%03d.raw 1 5 1"):
        (tmp_path / "w.mhd").write_text(text.replace("v.raw", target))
        with pytest.raises(ValueError):
            image.read(tmp_path / "w.mhd")


def test_channels_types_and_geometry_that_are_no_volume(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 3), np.float32), isVector=True), str(tmp_path / "v.mha"))
    with pytest.raises(ValueError, match="3 values a voxel"):
        image.read(tmp_path / "v.mha")
    nifti(tmp_path / "v.nii", np.zeros((2, 3, 4), np.complex64))
    with pytest.raises(ValueError, match="complex64"):
        image.read(tmp_path / "v.nii")
    image.write(tmp_path / "v.mha", marked())
    text = (tmp_path / "v.mha").read_bytes()
    for old, new in ((b"ElementSpacing = 0.7", b"ElementSpacing = 0.0"), (b"Offset = -12.5", b"Offset = nan")):
        (tmp_path / "w.mha").write_bytes(text.replace(old, new))
        with pytest.raises(ValueError):
            image.read(tmp_path / "w.mha")


@pytest.mark.parametrize("name", ["v.mha", "v.mhd", "v.nii", "v.nii.gz", "v.nrrd", "v.png"])
@pytest.mark.parametrize("content", [b"", b"\n", b"<html>404</html>\n", bytes(range(256)) * 20, b"\x1f\x8b\x08garbage"])
def test_what_is_no_image_is_a_value_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError):
        image.read(tmp_path / name)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom remarks on what it finds
@pytest.mark.parametrize("name", ["v.mha", "c.mha", "v.nii", "v.nii.gz", "v.nrrd", "v.png", "series"])
def test_random_damage_gives_a_volume_or_a_value_error(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(5)
    volume = Volume(rng.integers(0, 255, (1, 8, 9)).astype(np.uint8))
    if name == "v.nrrd":
        sitk.WriteImage(sitk.GetImageFromArray(volume.array), str(tmp_path / name))
    else:
        image.write(tmp_path / name, volume, compress=name == "c.mha")
    file = tmp_path / name / "0001.dcm" if name == "series" else tmp_path / name
    raw = file.read_bytes()
    refused = 0
    for _ in range(60):
        damaged = bytearray(raw)
        for at in rng.integers(0, len(raw), rng.integers(1, 6)):
            damaged[at] = rng.integers(0, 256)
        file.write_bytes(bytes(damaged))
        try:
            assert image.read(tmp_path / name).array.ndim == 3
        except ValueError:
            refused += 1
    assert refused


def test_missing_files_and_unknown_suffixes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image.read(tmp_path / "none.mha")
    (tmp_path / "v.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="not supported"):
        image.read(tmp_path / "v.jpg")
    with pytest.raises(ValueError, match="cannot be written"):
        image.write(tmp_path / "v.jpg", marked())
    with pytest.raises(ValueError, match="three axes"):
        image.write(tmp_path / "v.mha", Volume(np.zeros((3, 4))))
