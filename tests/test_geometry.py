"""The sentence about a wrong grid names the axis, the amount and the likely cause."""

import numpy as np
import pytest

from benchmark.geometry import content_hint, difference
from benchmark.image import AXIAL, Volume

RNG = np.random.default_rng(0)
ARRAY = RNG.normal(0, 100, (6, 8, 10)).cumsum(0).cumsum(1).astype(np.float32)
GRID = Volume(ARRAY, (3.0, 1.0, 1.5), (-10.0, 20.0, 5.0))


def test_same_grid_is_silent() -> None:
    assert difference(GRID, GRID) == ""
    nudged = Volume(ARRAY, (3.0005, 1.0, 1.5), (-10.0, 20.0009, 5.0))
    assert difference(GRID, nudged) == ""


def test_shape() -> None:
    words = difference(GRID, Volume(ARRAY[:, :, :9], GRID.spacing, GRID.origin))
    assert "x has 9 voxels where 10 were expected" in words


def test_spacing_and_origin_name_axis_and_amount() -> None:
    words = difference(GRID, Volume(ARRAY, (3.0, 1.0, 1.25), (-10.0, 20.0, 7.5)))
    assert "x is 1.25 mm where 1.5 mm was expected" in words
    assert "z is 7.5 mm where 5 mm was expected" in words


def test_nan_in_the_header_is_not_equal() -> None:
    assert "spacing" in difference(GRID, Volume(ARRAY, (3.0, 1.0, float("nan")), GRID.origin))


@pytest.mark.parametrize(("axis", "name"), [(0, "z"), (1, "y"), (2, "x")])
def test_a_flip_that_keeps_the_physical_image_is_recognised(axis: int, name: str) -> None:
    direction = AXIAL.copy()
    direction[:, axis] *= -1
    origin = np.asarray(GRID.origin) + AXIAL[:, axis] * GRID.spacing[axis] * (ARRAY.shape[axis] - 1)
    flipped = Volume(np.flip(ARRAY, axis), GRID.spacing, tuple(origin), direction)  # type: ignore[arg-type]
    words = difference(GRID, flipped)
    assert f"flipped along {name}" in words
    assert "180°" in words


def test_swapped_axes_are_recognised() -> None:
    turned = Volume(ARRAY.transpose(2, 1, 0), (1.5, 1.0, 3.0), GRID.origin, AXIAL[:, [2, 1, 0]])
    assert "axes in the order (x, y, z)" in difference(GRID, turned)
    bare = Volume(ARRAY.transpose(2, 1, 0))
    assert "axes swapped when it was saved" in difference(GRID, bare)


def test_ras_header_is_recognised() -> None:
    ras = Volume(ARRAY, GRID.spacing, (10.0, -20.0, 5.0), np.diag([-1.0, -1.0, 1.0]) @ AXIAL)
    assert "RAS" in difference(GRID, ras)


def rotated() -> Volume:
    """The grid with a direction that is no permutation of axes, so that signs and orders matter."""
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return Volume(ARRAY, GRID.spacing, GRID.origin, turn @ AXIAL)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"spacing": (1.0,) * 3, "origin": (0.0,) * 3, "direction": AXIAL}, "the header says nothing"),
        ({"spacing": (1.5, 1.0, 3.0)}, "spacing: the header's numbers are in the order (z, y, x)"),
        ({"origin": (5.0, 20.0, -10.0)}, "origin: the header's numbers are in the order (z, y, x)"),
        ({"origin": (10.0, -20.0, 5.0)}, "origin: the header looks like RAS"),
        ({"spacing": (0.003, 0.001, 0.0015)}, "the spacing is in metres"),
        ({"spacing": (0.3, 0.1, 0.15), "origin": (-1.0, 2.0, 0.5)}, "the header is in centimetres"),
    ],
)
def test_a_header_that_one_mistake_explains(changed: dict[str, object], words: str) -> None:
    grid = rotated()
    fields = {"spacing": grid.spacing, "origin": grid.origin, "direction": grid.direction, **changed}
    assert words in difference(grid, Volume(ARRAY, **fields))  # type: ignore[arg-type]


def test_signs_of_a_turned_image() -> None:
    grid = rotated()
    turned = np.diag([-1.0, -1.0, 1.0]) @ grid.direction
    assert "direction: the header looks like RAS" in difference(grid, Volume(ARRAY, grid.spacing, grid.origin, turned))
    both = Volume(ARRAY, grid.spacing, (10.0, -20.0, 5.0), turned)
    assert difference(grid, both).endswith("the signs of x and y are swapped")
    # An array that is also stored from x to z, as nibabel gives it.
    also = Volume(ARRAY.transpose(2, 1, 0), grid.spacing[::-1], (10.0, -20.0, 5.0), turned[:, [2, 1, 0]])
    words = difference(grid, also)
    assert "RAS" in words and "axes in the order (x, y, z)" in words


def test_an_origin_that_is_off_by_voxels() -> None:
    grid = rotated()
    corner = tuple(grid.point((-0.5, -0.5, -0.5)))
    assert "corner of the first voxel" in difference(grid, Volume(ARRAY, grid.spacing, corner, grid.direction))
    moved = tuple(grid.point((0, 2, -1)))
    words = difference(grid, Volume(ARRAY, grid.spacing, moved, grid.direction))
    assert "off by whole voxels (-1 along x, +2 along y)" in words
    somewhere = tuple(grid.point((0.2, 0, 0)))
    assert "voxel" not in difference(grid, Volume(ARRAY, grid.spacing, somewhere, grid.direction))


def test_another_size_says_why() -> None:
    grid = rotated()
    cropped = Volume(ARRAY[:, 1:-1], grid.spacing, tuple(grid.point((0, 1, 0))), grid.direction)
    assert "was the image cropped" in difference(grid, cropped)
    assert "was the image padded" in difference(cropped, grid)
    halved = Volume(ARRAY[:, ::2, ::2], (3.0, 2.0, 3.0), grid.origin, grid.direction)
    words = difference(grid, halved)
    assert "x has 5 voxels where 10 were expected" in words and "y is 2 mm where 1 mm" in words
    assert "resample it to the grid of the input" in words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a[:, :, ::-1], "flipping it along x"),
        (lambda a: a[::-1], "flipping it along z"),
        (lambda a: a[:, ::-1, ::-1], "flipping it along x and y, as after a mix-up of LPS and RAS, would"),
        (lambda a: a + 1024, "adding -1024 HU"),
        (lambda a: (a - a.min()) / np.ptp(a), "scaling it from [0, 1]"),
        (lambda a: np.clip((a + 2000) / 5000, 0, 1), "scaling it from [0, 1]"),
        (lambda a: 2 * (a - a.min()) / np.ptp(a) - 1, "scaling it from [-1, 1]"),
    ],
)
def test_content_hint_names_what_would_explain_the_error(change, words: str) -> None:  # type: ignore[no-untyped-def]
    assert words in content_hint(ARRAY, change(ARRAY), None)


def test_content_hints_look_inside_the_mask_and_on_thinned_volumes() -> None:
    cube = RNG.normal(0, 100, (70, 70, 72)).cumsum(0).cumsum(1).cumsum(2)
    mask = np.zeros(cube.shape, dtype=bool)
    mask[5:-5, 5:-5, 5:-5] = True
    turned = np.swapaxes(cube, 0, 1)[:, :, ::-1].copy()
    hint = content_hint(cube, turned, mask)
    assert "swapping its axes z and y and flipping it along x would take away 100 % of the error" in hint
    turned[0] = np.nan  # outside the mask as it is, and inside only where axes are moved
    assert "swapping its axes z and y and flipping it along x" in content_hint(cube, turned, mask)
    assert content_hint(cube, turned, np.zeros(cube.shape, dtype=bool)) == ""


def test_no_hint_for_a_prediction_without_content() -> None:
    constant = np.full_like(ARRAY, 0.5)
    assert content_hint(ARRAY, constant, None) == ""
    noise = RNG.random(ARRAY.shape)
    assert "scaling" not in content_hint(ARRAY, noise, None)
    labels = (ARRAY > 0).astype(np.uint8)
    assert "scaling" not in content_hint(labels, 1 - labels, None)


def test_no_hint_for_ordinary_errors() -> None:
    assert content_hint(ARRAY, ARRAY + RNG.normal(0, 20, ARRAY.shape), None) == ""
    assert content_hint(ARRAY, ARRAY, None) == ""
    assert content_hint(ARRAY, np.full_like(ARRAY, np.nan), None) == ""
