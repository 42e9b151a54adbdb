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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a[:, :, ::-1], "flipping it along x"),
        (lambda a: a[::-1], "flipping it along z"),
        (lambda a: a + 1024, "adding -1024 HU"),
        (lambda a: (a - a.min()) / np.ptp(a), "scaling it from [0, 1]"),
    ],
)
def test_content_hint_names_what_would_explain_the_error(change, words: str) -> None:  # type: ignore[no-untyped-def]
    assert words in content_hint(ARRAY, change(ARRAY), None)


def test_no_hint_for_ordinary_errors() -> None:
    assert content_hint(ARRAY, ARRAY + RNG.normal(0, 20, ARRAY.shape), None) == ""
    assert content_hint(ARRAY, ARRAY, None) == ""
    assert content_hint(ARRAY, np.full_like(ARRAY, np.nan), None) == ""
