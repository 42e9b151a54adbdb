"""Lesion-wise metrics against the procedure of BraTS 2023 spelled out step by step, PI-CAI's matching, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_examples import KINDS, blob, with_dtype
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from benchmark.errors import DataError
from benchmark.metrics import REGISTRY, CaseInputs, components, find, panoptic

NAMES = sorted(name for name, metric in REGISTRY.items() if metric.family == "lesions")
BRATS = ("lesion_dice", "lesion_hd95", "lesion_f1")
np.__dict__.setdefault("Inf", np.inf)  # surface-distance, released in 2018, names an alias that is gone since numpy 2
CUBE = np.ones((3, 3, 3))


def value(name, reference, prediction, *, spacing=(1.0, 1.0, 1.0), mask=None, **options):
    return find(name).evaluate(CaseInputs(reference, prediction, mask, spacing), options)


def brats_step_by_step(a, b, spacing, dilation, threshold):
    """The published procedure, one full-volume step after the other: Dice and HD95 of every lesion, and the false positives."""
    package = pytest.importorskip("surface_distance")
    neighbours = ndimage.generate_binary_structure(3, 2)
    grow = lambda m: ndimage.binary_dilation(m, neighbours, iterations=dilation) if dilation else m  # noqa: E731
    zone, n = ndimage.label(grow(a), CUBE)
    merged = zone * a
    predicted, _ = ndimage.label(b, CUBE)
    seen, rows = set(), []
    for lesion in range(1, n + 1):
        own = merged == lesion
        mine = set(np.unique(predicted[grow(own)])) - {0}
        seen |= mine
        if own.sum() * np.prod(spacing) <= threshold:
            continue
        theirs = np.isin(predicted, list(mine))
        dice = 2 * (own & theirs).sum() / (own.sum() + theirs.sum())
        hd95 = 374.0
        if mine:
            hd95 = package.compute_robust_hausdorff(package.compute_surface_distances(own, theirs, spacing), 95)
        rows.append((dice, hd95, bool(mine)))
    return rows, len(set(np.unique(predicted)) - {0} - seen)


def scattered(seed, shape=(26, 28, 30)):
    """Reference and prediction with several lesions: some shared, some missed, some invented, some tiny."""
    rng = np.random.default_rng(seed)
    a, b = np.zeros(shape, bool), np.zeros(shape, bool)
    for _ in range(9):
        centre, radius = rng.integers(2, np.array(shape) - 2), rng.uniform(0.6, 3.5)
        ball = sum((g - c) ** 2 for g, c in zip(np.ogrid[tuple(map(slice, shape))], centre, strict=True)) <= radius**2
        kind = rng.integers(4)
        a |= ball & (kind != 0)
        b |= np.roll(ball, rng.integers(-2, 3, 3), (0, 1, 2)) & (kind != 1)
    return a, b


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dilation, threshold", [(3, 50.0), (1, 2.0), (0, 0.0)])
def test_brats_2023_by_its_own_procedure(seed, dilation, threshold):
    a, b = scattered(seed)
    spacing = (1.0, 1.0, 1.0) if seed % 2 else (2.0, 0.9, 1.1)
    rows, false_positives = brats_step_by_step(a, b, spacing, dilation, threshold)
    options = {"spacing": spacing, "dilation": dilation, "volume_threshold": threshold}
    total = len(rows) + false_positives
    assert total > 0
    dice = sum(row[0] for row in rows) / total
    hd95 = (sum(row[1] for row in rows) + 374 * false_positives) / total
    hits = sum(row[2] for row in rows)
    assert value("lesion_dice", a, b, **options).value == pytest.approx(dice, rel=1e-9)
    assert value("lesion_hd95", a, b, **options).value == pytest.approx(hd95, rel=1e-9)
    assert value("lesion_f1", a, b, **options).value == pytest.approx(2 * hits / (hits + len(rows) + false_positives))


def cubes(*corners, shape=(12, 12, 40), side=4):
    found = np.zeros(shape, np.uint8)
    for z, y, x in corners:
        found[z : z + side, y : y + side, x : x + side] = 1
    return found


def test_three_lesions_by_hand():
    """One found exactly, one missed, one invented: Dice 1/3, HD95 (0 + 2·374)/3, F1 2/(2+1+1)."""
    a, b = cubes((2, 2, 2), (2, 2, 20)), cubes((2, 2, 2), (2, 2, 32))
    assert value("lesion_dice", a, b).value == pytest.approx(1 / 3)
    assert value("lesion_hd95", a, b).value == pytest.approx(2 * 374 / 3)
    assert value("lesion_f1", a, b).value == pytest.approx(0.5)
    assert value("panoptic_quality", a, b).value == pytest.approx(0.5)
    assert value("segmentation_quality", a, b).value == 1.0
    assert value("recognition_quality", a, b).value == pytest.approx(0.5)


def test_small_lesions_are_not_scored_but_excuse_what_was_predicted_there():
    a = cubes((2, 2, 2))
    a[9, 9, 30] = 1  # 1 mm³, below the threshold
    b = cubes((2, 2, 2))
    assert value("lesion_dice", a, b).value == 1.0
    b[9, 9, 31] = 1  # touches the dilation of the small one: no false positive
    assert value("lesion_dice", a, b).value == 1.0
    b[9, 1, 38] = 1  # a false positive of a single voxel counts fully
    assert value("lesion_dice", a, b).value == 0.5
    only_small = np.zeros_like(a)
    only_small[9, 9, 30] = 1
    none = np.zeros_like(a)
    assert value("lesion_dice", only_small, none)[:2] == (1.0, "ok")
    assert value("lesion_hd95", only_small, none)[:2] == (0.0, "ok")


def test_neighbouring_components_are_one_lesion():
    a = cubes((2, 2, 2), (2, 2, 10))  # 4 voxels apart: their dilations by 3 meet
    b = cubes((2, 2, 2))
    assert value("lesion_f1", a, b).value == 1.0
    assert value("lesion_dice", a, b).value == pytest.approx(2 * 64 / (128 + 64))
    assert value("lesion_f1", a, b, dilation=1).value == pytest.approx(2 / 3)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 9)] * 3)), st.integers(0, 4))
def test_one_step_dilation_equals_repeated_dilation(mask, times):
    neighbours = ndimage.generate_binary_structure(3, 2)
    want = ndimage.binary_dilation(mask, neighbours, iterations=times) if times else mask
    assert np.array_equal(components.dilated(mask, times), want)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 9)] * 3)))
def test_components_equal_scipy(mask):
    mine, n = components.components(mask)
    plain, m = components.components_plain(mask)
    assert n == m and mine.dtype == np.uint32
    pairs = set(zip(mine.ravel().tolist(), plain.ravel().tolist(), strict=True))
    assert len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


# --- one-to-one matching -------------------------------------------------------------------------------------------------


def picai_step_by_step(reference, detection_map, minimum):
    """PI-CAI's published matching: a full-volume mask for every pair of lesion and candidate, then the Hungarian method."""
    lesion, n = ndimage.label(reference, CUBE)
    candidate, m = ndimage.label(detection_map, CUBE)
    confidence = [detection_map[candidate == k + 1].max() for k in range(m)]
    overlap = np.zeros((n, m))
    for i in range(n):
        for k in range(m):
            p, q = candidate == k + 1, lesion == i + 1
            overlap[i, k] = (p & q).sum() / (p | q).sum()
    overlap[overlap < minimum] = 0
    rows, columns = linear_sum_assignment(np.where(overlap > 0, overlap + 1, 0), maximize=True)
    matched = [(i, k) for i, k in zip(rows, columns, strict=True) if overlap[i, k] > 0]
    hits = sorted((confidence[k], overlap[i, k]) for i, k in matched)
    false = sorted(confidence[k] for k in range(m) if not (overlap[:, k] > 0).any())
    unmatched = sorted(confidence[k] for k in range(m) if k not in {c for _, c in matched})
    return hits, n - len(matched), false, unmatched


@pytest.mark.parametrize("seed", range(8))
def test_matching_equals_picai_step_by_step(seed):
    a, b = scattered(seed, (18, 18, 18))
    b &= np.random.default_rng(seed).random(b.shape) < 0.5  # splits candidates, so that several compete for one lesion
    scores = np.where(b, np.random.default_rng(seed + 1).random(b.shape), 0)
    hits, missed, false, unmatched = picai_step_by_step(a, scores, 0.02)
    got = panoptic.lesion_detections(a, scores, minimum=0.02)
    found = ~np.isnan(got.hits)
    np.testing.assert_allclose(sorted(zip(got.hits[found], got.iou[found], strict=True)), hits, rtol=1e-9)
    assert (~found).sum() == missed
    assert sorted(got.false_positives) == false
    strict = panoptic.lesion_detections(a, scores, minimum=0.02, extra_is_false=True)
    assert sorted(strict.false_positives) == unmatched


def test_nothing_anywhere():
    got = panoptic.lesion_detections(np.zeros((3, 4, 5)), np.zeros((3, 4, 5)))
    assert got.hits.size == got.iou.size == got.false_positives.size == 0


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "uint8", "fortran", "strided"])
def test_detection_maps_of_any_type(kind):
    a, b = scattered(3)
    got = panoptic.lesion_detections(with_dtype(a, kind), with_dtype(b, kind))
    want = panoptic.lesion_detections(a, b.astype(float))
    assert np.array_equal(got.hits, want.hits, equal_nan=True) and np.array_equal(
        got.false_positives, want.false_positives
    )


def test_confidences_must_be_usable():
    a = cubes((2, 2, 2)).astype(float)
    for bad in (np.nan, -1.0, np.inf):
        b = a.copy()
        b[0, 0, 0] = bad
        with pytest.raises(ValueError, match="finite"):
            panoptic.lesion_detections(a, b)


def test_two_candidates_on_one_lesion_prefer_more_pairs():
    """Lesion 1 overlaps both candidates, lesion 2 only the first: the first goes to lesion 2 although it fits lesion 1 better."""
    a, b = np.zeros((1, 1, 40)), np.zeros((1, 1, 40))
    a[0, 0, 0:10], a[0, 0, 12:16] = 1, 1
    b[0, 0, 3:14], b[0, 0, 0:2] = 0.9, 0.4
    got = panoptic.lesion_detections(a, b, minimum=0.1)
    assert got.hits.tolist() == [0.4, 0.9] and not got.false_positives.size


def test_many_specks_on_both_sides_stay_small():
    """Thousands of components against thousands: no dense table of all pairs."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((64, 96, 96)) < 0.01 for _ in range(2))
    got = panoptic.match_segments(a, b)
    assert len(got.iou) < got.false_positives and got.false_negatives > 1000


# --- edges and properties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_empty_masks(name):
    some, none = cubes((2, 2, 2)), cubes()
    metric = find(name)
    assert value(name, none, none) == (1.0 if metric.direction == "higher" else 0.0, "both_empty", "")
    assert value(name, some, none)[:2] == (metric.worst, "pred_empty")
    assert value(name, none, some)[:2] == (metric.worst, "ref_empty")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_type_and_memory_order_do_not_matter(name, kind):
    a, b = scattered(1)
    want = value(name, a, b, spacing=(2.0, 1.0, 1.5))
    assert value(name, with_dtype(a, kind), with_dtype(b, kind), spacing=(2.0, 1.0, 1.5)) == want


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_scored(name):
    a = cubes((2, 2, 2)).astype(np.float32)
    b = a.copy()
    b[0, 0, 0] = np.nan
    assert value(name, a, b)[:2] == (find(name).worst, "invalid")
    assert value(name, a, None)[:2] == (find(name).worst, "missing")
    with pytest.raises(DataError):
        value(name, b, a)
    bad = {"min_iou": 1.5} if name not in BRATS else {"dilation": -1}
    with pytest.raises(DataError):
        value(name, a, a, **bad)


PAIRS = st.one_of(st.tuples(*[st.integers(1, 7)] * 3), st.tuples(st.integers(1, 9), st.integers(1, 9))).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.sampled_from(NAMES), st.data())
def test_total_bounded_perfect_on_itself_and_blind_to_flips(pair, name, data):
    a, b = pair
    spacing = (2.5, 0.8, 1.0)[3 - a.ndim :]
    metric = find(name)
    options = {"volume_threshold": 1.5, "dilation": 1} if name in BRATS else {}
    got = value(name, a, b, spacing=spacing, **options)
    assert np.isfinite(got.value) and metric.range[0] <= got.value <= metric.range[1]
    assert value(name, a, a, spacing=spacing, **options).value == (1.0 if metric.direction == "higher" else 0.0)
    axis = data.draw(st.integers(0, a.ndim - 1))
    flipped = value(name, np.flip(a, axis), np.flip(b, axis), spacing=spacing, **options)
    if name != "segmentation_quality":  # equally good matchings may differ in their mean only below IoU 0.5
        assert flipped.value == pytest.approx(got.value)
    padded = value(name, np.pad(a, 3), np.pad(b, 3), spacing=spacing, **options)
    assert padded.value == pytest.approx(got.value)


def test_work_is_shared():
    a, b = scattered(2)
    inputs = CaseInputs(a, b, None, (1.0, 1.0, 1.0))
    for name in NAMES:
        find(name).evaluate(inputs)
    keys = [key[0] for key in inputs.memo]
    assert keys.count("lesions.match") == keys.count("lesions.panoptic") == 1


def test_blobs_of_a_picture():
    a, b = blob((40, 40), 1), blob((40, 40), 2)
    assert value("panoptic_quality", a, b, spacing=(1.0, 1.0)) == value("panoptic_quality", a[None], b[None])
