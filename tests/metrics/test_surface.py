"""Surface distances against brute force, scipy and the definition of Nikolov et al. as published."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_examples import blob
from scipy.spatial.distance import cdist

from benchmark.metrics import surface, surface_kernels

SHAPES = st.one_of(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12)),
)
SPACING = st.tuples(*[st.sampled_from([0.3, 1.0, 1.7, 3.0, 40.0])] * 3)


def masks(draw_shape=SHAPES):
    return draw_shape.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def border_by_hand(mask: np.ndarray) -> np.ndarray:
    """Voxels with a neighbour (along axes longer than 1) that is outside the mask or the image."""
    live = [axis for axis, n in enumerate(mask.shape) if n > 1] or [0]
    found = []
    for index in np.argwhere(mask):
        for axis, step in itertools.product(live, (-1, 1)):
            other = index.copy()
            other[axis] += step
            if not 0 <= other[axis] < mask.shape[axis] or not mask[tuple(other)]:
                found.append(index)
                break
    return np.array(found, int).reshape(-1, 3)


def distances(a: np.ndarray, b: np.ndarray, spacing) -> surface.SurfaceDistances:
    return surface.surface_distances(surface.voxel_surface(a), surface.voxel_surface(b), spacing)


@settings(max_examples=150, deadline=None)
@given(masks(), SPACING)
def test_equals_brute_force_and_the_plain_twin(pair, spacing):
    a, b = pair
    points = [border_by_hand(a), border_by_hand(b)]
    assert np.array_equal(surface.voxel_surface(a).points, points[0])
    found, plain = distances(a, b, spacing), surface.surface_distances_plain(a, b, spacing)
    if not a.any() or not b.any():
        assert found.to_prediction.size == found.to_reference.size == 0 == plain.to_reference.size
        return
    table = cdist(points[0] * np.array(spacing), points[1] * np.array(spacing))
    for one in (found, plain):
        np.testing.assert_allclose(one.to_prediction, table.min(axis=1), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one.to_reference, table.min(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shift", [0, 3, 14, 40])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8), (0.05, 2.0, 9.0)])
def test_every_search_gives_the_same_distances(shift, spacing, monkeypatch):
    """The table, the k-d tree and the distance transform are three ways to one number; force each in turn."""
    a = blob((40, 48, 56), seed=1, share=0.05)
    b = np.roll(blob((40, 48, 56), seed=2, share=0.05), shift, axis=2)
    a[:, :, 28:], b[:, :, :20] = False, False  # apart, so that the table is not enough
    want = surface.surface_distances_plain(a, b, spacing)
    for transform, query in ((1e9, 0.0), (0.0, 1e9), (14.0, 2000.0)):
        monkeypatch.setattr(surface, "TRANSFORM", transform)
        monkeypatch.setattr(surface, "FAR_QUERY", query)
        got = distances(a, b, spacing)
        np.testing.assert_allclose(got.to_prediction, want.to_prediction, rtol=1e-12)
        np.testing.assert_allclose(got.to_reference, want.to_reference, rtol=1e-12)


def test_offset_table_is_sorted_complete_and_bounded():
    for spacing in [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (1000.0, 1.0, 1.0), (1e-3, 1.0, 1.0)]:
        offsets, lengths = surface_kernels.offset_table(spacing, (True, True, True))
        assert len(offsets) <= 4 * surface_kernels.TABLE_SIZE
        assert np.all(np.diff(lengths) >= 0) and lengths[0] == 0
        np.testing.assert_allclose(lengths, np.linalg.norm(offsets * np.array(spacing), axis=1), rtol=1e-14)
        reach = np.abs(offsets).max(axis=0) + 1
        grid = np.indices(2 * reach + 1).reshape(3, -1).T - reach
        inside = np.linalg.norm(grid * np.array(spacing), axis=1) <= lengths[-1] * (1 - 1e-12)
        assert set(map(tuple, grid[inside])) <= set(map(tuple, offsets))


def test_multi_label_borders_are_the_borders_of_each_label():
    field = np.zeros((12, 13, 20), np.uint8)
    field[blob(field.shape, 3)] = 1
    field[blob(field.shape, 4)] = 7
    field[2:6, 2:6, 2:12] = 3
    points, labels, foreground = surface_kernels.border_scan(field, np.array([True, True, True]))
    assert foreground == np.count_nonzero(field)
    for label in (1, 3, 7):
        assert np.array_equal(points[labels == label], border_by_hand(field == label))


# --- surfel mode ---------------------------------------------------------------------------------------------------------


# The authors' package, released in 2018, names an alias that is gone since numpy 2.
np.__dict__.setdefault("Inf", np.inf)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (0.7, 1.3, 2.9)])
def test_surfel_areas_equal_the_published_table(spacing):
    lookup_tables = pytest.importorskip("surface_distance.lookup_tables")

    want = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    np.testing.assert_allclose(surface.surfel_areas(spacing), want, rtol=1e-12, atol=1e-14)
    want = lookup_tables.create_table_neighbour_code_to_contour_length(spacing[:2])
    np.testing.assert_allclose(surface.contour_lengths(spacing[:2]), want, rtol=1e-14)


def assert_same_percentile(package, got, want):
    """Where the cumulated area is 95 % to the last bit, rounding decides between two neighbours: either is right."""
    theirs = package.compute_robust_hausdorff(want, 95)
    assert any(surface.hausdorff(got, p) == pytest.approx(theirs, rel=1e-9) for p in (95, 95 - 1e-9, 95 + 1e-9))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(masks(st.tuples(*[st.integers(2, 8)] * 3)), SPACING)
def test_surfel_mode_equals_the_published_definition(pair, spacing):
    package = pytest.importorskip("surface_distance")
    a, b = pair
    if not a.any() or not b.any():
        return
    want = package.compute_surface_distances(a, b, spacing)
    got = surface.surface_distances(surface.surfel_surface(a, spacing), surface.surfel_surface(b, spacing), spacing)
    assert_same_percentile(package, got, want)
    for tolerance in (0.5, 1.7, 3.1):
        mine, theirs = surface.surface_dice(got, tolerance), package.compute_surface_dice_at_tolerance(want, tolerance)
        assert mine == pytest.approx(theirs, rel=1e-9)
    one, two = package.compute_average_surface_distance(want)
    areas = [want["surfel_areas_gt"].sum(), want["surfel_areas_pred"].sum()]
    assert surface.average_distance(got) == pytest.approx(np.average([one, two], weights=areas), rel=1e-9, abs=1e-12)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(masks(st.tuples(st.just(1), st.integers(2, 12), st.integers(2, 12))), st.permutations(range(3)))
def test_surfel_mode_in_a_plane(pair, order):
    """One slice, whichever axis it lies on, is the published 2-D definition."""
    package = pytest.importorskip("surface_distance")
    a, b = pair
    if not a.any() or not b.any():
        return
    want = package.compute_surface_distances(a[0], b[0], (0.7, 1.9))
    spacing = (5.0, 0.7, 1.9)
    slot = order.index(0)
    axes = [1, 2]
    axes.insert(slot, 0)
    turned = [np.ascontiguousarray(m.transpose(axes)) for m in (a, b)]
    sp = tuple(spacing[k] for k in axes)
    got = surface.surface_distances(*(surface.surfel_surface(m, sp) for m in turned), sp)
    assert_same_percentile(package, got, want)
    mine, theirs = surface.surface_dice(got, 1.0), package.compute_surface_dice_at_tolerance(want, 1.0)
    assert mine == pytest.approx(theirs, rel=1e-9)


def test_one_voxel_in_every_kind_of_image():
    for shape in [(1, 1, 1), (1, 1, 4), (1, 3, 4), (2, 3, 4)]:
        mask = np.zeros(shape, bool)
        mask[(0,) * 3] = True
        full = np.ones(shape, bool)
        for mode in ("voxel", "surfel"):
            make = surface.voxel_surface if mode == "voxel" else lambda m: surface.surfel_surface(m, (2.0, 1.0, 1.5))
            same = surface.surface_distances(make(mask), make(mask), (2.0, 1.0, 1.5))
            assert same.to_prediction.size and surface.hausdorff(same) == surface.average_distance(same) == 0
            both = surface.surface_distances(make(mask), make(full), (2.0, 1.0, 1.5))
            assert 0 <= surface.hausdorff(both) <= np.linalg.norm(np.array(shape) * (2.0, 1.0, 1.5))


def test_weighted_percentile_by_hand():
    """Weights 1, 1, 8 on distances 0, 5, 2: cumulated 0.1, 0.9 (at 2), 1.0 (at 5)."""
    found = surface.SurfaceDistances(
        np.array([0.0, 5.0, 2.0]), np.array([0.0]), np.array([1.0, 1.0, 8.0]), np.array([1.0])
    )
    assert [surface.hausdorff(found, p) for p in (5, 10, 50, 90, 95, 100)] == [0, 0, 2, 2, 5, 5]
