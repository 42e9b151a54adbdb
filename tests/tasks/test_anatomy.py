"""The shapes, fields and painting that the phantoms are made with."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.anatomy import Canvas, Grid, generator, place, rotation, sheet_distance, smooth_field, smooth_max, smooth_min

GRID = Grid.cube(40, 100.0)


def canvas(grid: Grid = GRID) -> Canvas:
    return Canvas(place(grid), grid.voxel, ("air", "water"), {"ct": {"air": -1000.0, "water": 0.0}})


def volume_of(c: Canvas) -> float:
    """mm³ of water."""
    return float(((c.layers["ct"] + 1000) / 1000).sum()) * c.voxel**3


def test_generators_depend_on_the_whole_key() -> None:
    assert generator("a", 1).random() == generator("a", 1).random()
    draws = {generator(*key).random() for key in (("a", 1), ("a", 2), ("a1",), ("a", "1", ""), ("b", 1))}
    assert len(draws) == 5


def test_a_smooth_field_has_unit_variance_and_does_not_depend_on_the_grid() -> None:
    values = [smooth_field(generator("field", i), GRID, 8.0) for i in range(12)]
    assert np.mean([v.mean() for v in values]) == pytest.approx(0, abs=0.03)
    assert np.mean([v.var() for v in values]) == pytest.approx(1, abs=0.05)
    # The voxel centres of a grid of a third of the spacing hold those of the coarse one.
    fine = smooth_field(generator("field", 0), Grid.cube(120, 100.0), 8.0)
    assert np.allclose(fine[1::3, 1::3, 1::3], values[0], atol=1e-5)


def test_a_field_correlates_over_distance_as_its_spline_says() -> None:
    # The autocorrelation of a cubic B-spline is the B-spline of order 7: 2416, 1191, 120, 1, 0 at lags of 0 to 4 knots.
    fields = [smooth_field(generator("slow", i), GRID, 10.0) for i in range(20)]
    for knots, weight in ((1, 1191), (2, 120), (4, 0)):
        lag = 4 * knots
        products = np.mean([v[:, :, lag:] * v[:, :, :-lag] for v in fields])
        assert products == pytest.approx(weight / 2416, abs=0.04)


def test_partial_volume_keeps_the_volume() -> None:
    for radii in ((20, 20, 20), (30, 18, 9), (11, 33, 22)):
        c = canvas()
        c.fill(c.space.ellipsoid((1.3, -2.2, 3.1), radii), "water")
        assert volume_of(c) == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.02)
    c = canvas()
    c.fill(c.space.capsule((-20, 0, 0), (15, 10, -5), 8), "water")
    length = np.sqrt(35**2 + 10**2 + 5**2)
    assert volume_of(c) == pytest.approx(np.pi * 64 * length + 4 / 3 * np.pi * 512, rel=0.02)


def test_sheets_thinner_than_a_voxel_keep_their_volume() -> None:
    for thickness in (0.4, 1.0, 2.5, 6.0):
        c = canvas()
        c.paint(c.sheet(np.abs(c.space.x - 0.7), thickness), "water")
        assert volume_of(c) == pytest.approx(thickness * 100 * 100, rel=1e-3)


def test_layers_are_painted_over_each_other_by_their_share() -> None:
    c = canvas()
    c.paint(np.full(GRID.shape, 0.25, np.float32), "water")
    assert np.allclose(c.layers["ct"], -750) and not c.labels.any()
    c.paint(np.full(GRID.shape, 0.5, np.float32), "water")
    assert np.allclose(c.layers["ct"], -375) and c.labels.all()


def test_distances_are_in_mm_and_signed() -> None:
    space = place(GRID)
    true = np.sqrt(space.x**2 + space.y**2 + space.z**2) - 30
    assert np.allclose(space.ellipsoid((0, 0, 0), (30, 30, 30)), true, atol=1e-3)
    flat = space.ellipsoid((0, 0, 0), (40, 20, 20))
    at = np.abs(flat) < 2
    step = np.gradient(flat, *GRID.spacing)
    steepness = np.sqrt(sum(s**2 for s in step))[at]
    assert np.median(steepness) == pytest.approx(1, abs=0.05)


def test_turned_shapes_turn_the_way_they_say() -> None:
    space = place(Grid.cube(41, 82.0))
    raised = space.ellipsoid((0, 0, 0), (4, 30, 4), tilt=30)
    assert raised[20 + 7, 20 + 12, 20] < 0 < raised[20 - 7, 20 + 12, 20]  # back end (+y) up (+z)
    aside = space.ellipsoid((0, 0, 0), (4, 30, 4), turn=30)
    assert aside[20, 20 + 12, 20 + 7] < 0 < aside[20, 20 + 12, 20 - 7]  # back end to +x


def test_a_placed_point_is_where_rotation_scale_and_shift_take_it() -> None:
    grid = Grid.cube(81, 81.0)
    turn, scale, shift = rotation(20, -30, 10), (1.1, 0.9, 1.2), (3.0, -4.0, 5.0)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
    mark = np.array([10.0, -12.0, 8.0])
    world = turn @ (mark * scale) + shift
    space = place(grid, turn=turn, scale=scale, shift=shift)
    distance = np.sqrt((space.x - 10) ** 2 + (space.y + 12) ** 2 + (space.z - 8) ** 2)
    found = np.array(np.unravel_index(distance.argmin(), distance.shape))[::-1] - 40
    assert np.abs(found - world).max() <= 0.75


def test_smooth_unions_and_intersections_bound_the_sharp_ones() -> None:
    a, b = place(GRID).ellipsoid((-8, 0, 0), (20, 20, 20)), place(GRID).ellipsoid((8, 0, 0), (20, 20, 20))
    union, both = smooth_min(a, b, 6.0), smooth_max(a, b, 6.0)
    assert (union <= np.minimum(a, b) + 1e-5).all() and (both >= np.maximum(a, b) - 1e-5).all()
    apart = np.abs(a - b) > 6
    assert np.allclose(union[apart], np.minimum(a, b)[apart]) and np.allclose(both[apart], np.maximum(a, b)[apart])
    assert (np.minimum(a, b) - union).max() == pytest.approx(6 / 4, abs=0.2)


def test_sheets_of_a_field_that_is_linear_are_planes() -> None:
    space = place(GRID)
    assert np.allclose(sheet_distance(3.0 * space.y + 6.0, GRID), np.abs(space.y + 2.0), atol=1e-3)


def test_the_volume_of_a_grid_is_centred() -> None:
    volume = Grid((4, 6, 8), (3.0, 2.0, 1.0)).volume(np.zeros((4, 6, 8)))
    middle = volume.origin + volume.direction @ (np.array(volume.spacing) * (np.array(volume.array.shape) - 1) / 2)
    assert np.allclose(middle, 0)
