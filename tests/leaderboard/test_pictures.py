"""Pictures are upright, in proportion, in the window, and coloured by the sign of the error."""

import io
import itertools

import boards
import matplotlib
import numpy as np
import pytest
from PIL import Image

from benchmark.contract import Case, Display
from benchmark.image import AXIAL, Volume
from leaderboard import pictures
from leaderboard.site import publish
from leaderboard.strips import strips
from leaderboard.views import board_view


def decode(picture: pictures.Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def marked() -> Volume:
    """A plain axial volume: 1 at the patient's front in the middle, 2 on the patient's left, 3 at the head end."""
    array = np.zeros((5, 9, 7), np.float32)
    array[2, 0, 3] = 1  # y = 0 is the front: y runs to the back
    array[2, 4, 6] = 2  # x = 6 is the left: x runs to the left
    array[4, 4, 3] = 3
    return Volume(array, (3.0, 1.0, 2.0), (-7.0, -4.0, 10.0))


def rearranged(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same image in space, stored along other array axes."""
    array, direction, spacing = volume.array, volume.direction.copy(), np.array(volume.spacing)
    origin = np.array(volume.origin)
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            origin = origin + direction[:, axis] * spacing[axis] * (array.shape[axis] - 1)
            direction[:, axis] *= -1
    return Volume(np.transpose(array, order), tuple(spacing[list(order)]), tuple(origin), direction[:, list(order)])


@pytest.mark.parametrize("flips", itertools.product((False, True), repeat=3))
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_axial_slice_is_upright_however_it_is_stored(
    order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    volume = rearranged(marked(), order, flips)
    view = pictures.orient(volume, 2)
    plane = pictures.plane_of(volume, view)
    assert plane.shape == (9, 7)
    assert plane[0, 3] == 1, "the front is at the top"
    assert plane[4, 6] == 2, "the patient's left is on the right of the picture"
    assert view.marks == ("R", "L", "A", "P")
    assert view.pixel == (1.0, 2.0)


@pytest.mark.parametrize("flips", itertools.product((False, True), repeat=3))
@pytest.mark.parametrize(
    ("order", "index", "marks"),
    [((1, 0, 2), 4, ("R", "L", "S", "I")), ((2, 0, 1), 3, ("A", "P", "S", "I")), ((2, 1, 0), 3, ("A", "P", "S", "I"))],
)
def test_other_planes_have_the_head_at_the_top(
    order: tuple[int, int, int], index: int, marks: tuple[str, ...], flips: tuple[bool, bool, bool]
) -> None:
    volume = rearranged(marked(), order, flips)
    if flips[order[0]]:
        index = volume.array.shape[0] - 1 - index
    view = pictures.orient(volume, index)
    assert view.marks == marks
    plane = pictures.plane_of(volume, view)
    row, column = np.argwhere(plane == 3)[0]
    assert row == 0 and column == plane.shape[1] // 2


def test_oblique_slice_goes_to_the_nearest_view() -> None:
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    plain = marked()
    view = pictures.orient(Volume(plain.array, plain.spacing, plain.origin, turn @ AXIAL), 2)
    assert (view.transpose, view.flip_rows, view.flip_columns, view.marks) == (
        False,
        False,
        False,
        ("R", "L", "A", "P"),
    )


def test_an_image_without_a_place_names_no_sides() -> None:
    assert pictures.orient(Volume(np.zeros((1, 8, 8), np.uint8)), 0).marks == ("", "", "", "")


def test_slice_shows_most_of_the_mask() -> None:
    volume = marked()
    mask = np.zeros(volume.array.shape, np.uint8)
    mask[1, :4, :4] = 1
    mask[3, :5, :5] = 1
    assert pictures.view_of(volume, volume.like(mask)).index == 3
    assert pictures.view_of(volume, None).index == 2
    assert pictures.view_of(volume, volume.like(np.zeros_like(mask))).index == 2


def test_input_slice_is_found_in_space() -> None:
    reference = marked()  # slice 3 lies at z = 10 + 3·3 = 19 mm
    finer = Volume(np.zeros((12, 9, 7), np.float32), (1.5, 1.0, 2.0), (-7.0, -4.0, 10.0))
    assert pictures.matching_slice(reference, 3, finer) == 6
    assert pictures.matching_slice(reference, 3, rearranged(finer, (0, 1, 2), (True, False, False))) == 5
    far = Volume(np.zeros((4, 9, 7), np.float32), (1.5, 1.0, 2.0), (-7.0, -4.0, 90.0))
    assert pictures.matching_slice(reference, 3, far) == 0


@pytest.mark.parametrize(
    ("shape", "pixel", "ratio"),
    [((50, 50), (1.0, 2.0), 0.5), ((64, 32), (3.0, 3.0), 2.0), ((512, 512), (0.7, 0.7), 1.0)],
)
def test_proportion_is_that_of_the_patient(shape: tuple[int, int], pixel: tuple[float, float], ratio: float) -> None:
    picture = pictures.grey(np.zeros(shape, np.float32), pixel, (0, 1))
    assert max(picture.width, picture.height) == pictures.LONG_SIDE
    assert picture.height / picture.width == pytest.approx(ratio, rel=0.01)


def test_grey_is_linear_in_the_window_and_clipped_outside() -> None:
    plane = np.repeat(np.array([[-1000.0, -160.0, 40.0, 240.0, 3000.0]], np.float32), 5, axis=0)
    levels = decode(pictures.grey(plane, (1, 1), (-160, 240)))
    middle = levels[levels.shape[0] // 2]
    at = [int(middle[round((k + 0.5) * len(middle) / 5)][0]) for k in range(5)]
    assert at[0] == 0 and at[4] == 255
    assert at[2] == pytest.approx(127.5, abs=3)
    assert at[1] < 20 and at[3] > 235


def test_error_colours_follow_the_sign_and_the_mask() -> None:
    error = np.repeat(np.array([[-100.0, 0.0, 100.0, 55.0]], np.float32), 4, axis=0)
    inside = np.repeat(np.array([[True, True, True, False]]), 4, axis=0)
    picture = decode(pictures.diverging(error, inside, (1, 1), (-100, 100)))
    low, zero, high, out = (picture[picture.shape[0] // 2, round((k + 0.5) * picture.shape[1] / 4)] for k in range(4))
    assert low[2] > low[0] + 50, "too low is blue"
    assert high[0] > high[2] + 50, "too high is red"
    expected = np.round(np.array(matplotlib.colormaps[pictures.COLOURS](0.5)[:3]) * 255)
    assert np.abs(zero - expected).max() <= 3, "no error is the middle colour, but for the neighbour that is blended in"
    assert out[0] == 128 and abs(out[0] - out[2]) < 10, "what is not scored has no colour"


def test_colour_bar_is_the_map_of_the_error_picture() -> None:
    stops = dict(pictures.stops())
    for part, value in ((0.0, -100.0), (0.5, 0.0), (1.0, 100.0)):
        pixel = decode(pictures.diverging(np.full((4, 4), value, np.float32), None, (1, 1), (-100, 100)))[100, 100]
        assert "#" + "".join(f"{c:02x}" for c in pixel) == stops[part]


def test_windows() -> None:
    plane = np.arange(1001, dtype=np.float32)[None]
    assert pictures.input_window(Display(input="i", window=(-1, 2)), plane) == (-1, 2)
    assert pictures.input_window(Display(input="i", window=(-1, 2), input_window=(0, 0)), plane) == pytest.approx(
        (10, 990)
    )
    assert pictures.input_window(Display(input="i", window=(-1, 2), input_window=(0, 0)), np.ones((3, 3))) == (1, 2)
    assert pictures.error_range(Display(input="i", window=(-100, 300))) == (-100, 100)


def test_non_finite_voxels_outside_the_mask_do_no_harm() -> None:
    volume = marked()
    array = volume.array.copy()
    array[2, 0, 0] = np.nan
    array[2, 0, 1] = np.inf
    assert np.isfinite(pictures.plane_of(volume.like(array), pictures.orient(volume, 2))).all()


def test_png_has_no_metadata_and_is_small() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 60, (512, 512)).astype(np.float32)
    grey = pictures.grey(noise, (0.7, 0.7), (-160, 240))
    error = pictures.diverging(noise, None, (0.7, 0.7), (-100, 100))
    for picture in (grey, error):
        chunks, at = [], 8
        while at < len(picture.png):
            size = int.from_bytes(picture.png[at : at + 4], "big")
            chunks.append(picture.png[at + 4 : at + 8])
            at += 12 + size
        assert set(chunks) <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    assert len(grey.png) + len(error.png) < 150_000  # the worst case: nothing but noise
    assert pictures.grey(noise, (0.7, 0.7), (-160, 240)).png == grey.png


def test_strip_of_a_failed_case_says_why_and_shows_nothing() -> None:
    data = boards.heads()
    made, files = strips(data, board_view(data, "mri_to_ct"))
    failed = made[0].cell("water")
    assert failed is not None and failed.pictures == ()
    assert failed.reason == "missing: no output was found for this case."
    assert "tasks/mri_to_ct/pictures/canary-1/predictions/water.png" not in files
    assert "tasks/mri_to_ct/pictures/canary-2/predictions/water.png" in files
    assert "window −1000 to 1600 HU" in made[0].words
    assert made[0].error_window == ("−500", "0", "+500")
    assert "percentile" in made[0].words
    shown = made[0].cell("unet")
    assert shown is not None and [picture.label for picture in shown.pictures] == [
        "Prediction",
        "Prediction − reference",
    ]
    alt = shown.pictures[1].alt
    assert "mean absolute error in the slice" in alt and "the patient's right on the left" in alt


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_nothing_but_canary_cases_is_ever_pictured(split: str, tmp_path) -> None:
    from dataclasses import replace

    data = boards.heads(canaries=1)
    loaded: list[str] = []

    def forbidden() -> Volume:
        loaded.append("read")
        raise AssertionError("a sealed case was read")

    sealed = replace(data.canary[0], case=Case(id="c", split=split), input=forbidden, reference=forbidden)
    with pytest.raises(ValueError, match="only canary cases"):
        publish(tmp_path / "site", [replace(data, canary=[sealed])], date="2026-11-21")
    assert not loaded
    assert not list((tmp_path / "site").rglob("*.html"))
