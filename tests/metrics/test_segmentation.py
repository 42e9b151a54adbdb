"""Metrics on one structure: against MONAI, by hand, and on every input that can come."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_examples import KINDS, blob, with_dtype

from benchmark.errors import DataError
from benchmark.metrics import REGISTRY, CaseInputs, find

NAMES = sorted(name for name, metric in REGISTRY.items() if metric.family == "segmentation")
SURFACE = ("hd95", "hd", "assd", "nsd")


def value(name, reference, prediction, *, spacing=(1.0, 1.0, 1.0), mask=None, **options):
    return find(name).evaluate(CaseInputs(reference, prediction, mask, spacing), options)


# --- oracles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.9, 0.9)])
def test_equals_monai(seed, spacing):
    torch = pytest.importorskip("torch")
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
        compute_surface_dice,
    )

    a, b = blob((20, 24, 28), seed), blob((20, 24, 28), seed) ^ blob((20, 24, 28), seed + 10, share=0.03, smooth=1)
    one, two = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b))
    kwargs = {"include_background": True, "spacing": spacing}
    assert value("dice", a, b).value == pytest.approx(float(compute_dice(two, one)), rel=1e-6)
    assert value("iou", a, b).value == pytest.approx(float(compute_iou(two, one)), rel=1e-6)
    monai_hd95 = float(compute_hausdorff_distance(two, one, percentile=95, **kwargs))
    assert value("hd95", a, b, spacing=spacing).value == pytest.approx(monai_hd95, rel=1e-5)
    assert value("hd", a, b, spacing=spacing).value == pytest.approx(
        float(compute_hausdorff_distance(two, one, **kwargs)), rel=1e-5
    )
    assert value("assd", a, b, spacing=spacing).value == pytest.approx(
        float(compute_average_surface_distance(two, one, symmetric=True, **kwargs)), rel=1e-5
    )
    assert value("nsd", a, b, spacing=spacing, tolerance=1.1).value == pytest.approx(
        float(compute_surface_dice(two, one, class_thresholds=[1.1], **kwargs)), rel=1e-5
    )


def test_monai_drops_what_is_missed_and_ours_charges_it():
    """MONAI's HD95 of an empty prediction is NaN, and its mean skips NaN: a model that misses one organ of two scores better
    than one that finds both badly. Ours takes the diagonal of the volume, with a status."""
    torch = pytest.importorskip("torch")
    from monai.metrics import HausdorffDistanceMetric

    a = np.zeros((1, 2, 8, 8, 8), np.float32)
    a[:, :, 2:5, 2:5, 2:5] = 1
    b = a.copy()
    b[:, 1] = 0
    metric = HausdorffDistanceMetric(include_background=True, percentile=95)
    metric(torch.from_numpy(b), torch.from_numpy(a))
    assert metric.aggregate().item() == 0.0
    got = value("hd95", a[0, 1], b[0, 1])
    assert got.status == "pred_empty" and got.value == pytest.approx(np.sqrt(3) * 8)


def test_counts_against_sklearn():
    from sklearn import metrics as sk

    a, b = blob((9, 10, 11), 1), blob((9, 10, 11), 2)
    x, y = a.ravel(), b.ravel()
    assert value("dice", a, b).value == pytest.approx(sk.f1_score(x, y))
    assert value("iou", a, b).value == pytest.approx(sk.jaccard_score(x, y))
    assert value("voxel_sensitivity", a, b).value == pytest.approx(sk.recall_score(x, y))
    assert value("voxel_precision", a, b).value == pytest.approx(sk.precision_score(x, y))
    assert value("voxel_specificity", a, b).value == pytest.approx(sk.recall_score(~x, ~y))


def test_two_cubes_by_hand():
    """Cubes of 2×2×2 voxels, 2 voxels apart along an axis of 3 mm: every voxel is a border voxel, 8 distances of 6 mm a side."""
    a, b = np.zeros((8, 4, 4), np.uint8), np.zeros((8, 4, 4), np.uint8)
    a[0:2, 1:3, 1:3], b[2:4, 1:3, 1:3] = 1, 1
    spacing = (3.0, 1.0, 1.0)
    directed = [6.0] * 4 + [3.0] * 4  # the near layer is 1 voxel from the other cube, the far layer 2
    assert value("assd", a, b, spacing=spacing).value == pytest.approx(np.mean(directed))
    assert value("hd95", a, b, spacing=spacing).value == pytest.approx(np.percentile(directed, 95))
    assert value("hd", a, b, spacing=spacing).value == 6.0
    assert value("nsd", a, b, spacing=spacing, tolerance=3.0).value == 0.5
    assert value("nsd", a, b, spacing=spacing, tolerance=2.99).value == 0.0
    assert value("volume_difference", a, b, spacing=spacing).value == 0.0
    assert value("volume_difference", a, 0 * b, spacing=spacing) == (8 * 3 / 1000, "pred_empty", "")


# --- edges ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_empty_masks(name):
    some = np.zeros((3, 4, 5), np.uint8)
    some[1, 1:3, 2] = 1
    none = np.zeros_like(some)
    metric = find(name)
    perfect = 1.0 if metric.direction == "higher" else 0.0
    assert value(name, none, none) == (perfect, "both_empty", "")
    for reference, prediction, status in ((some, none, "pred_empty"), (none, some, "ref_empty")):
        got = value(name, reference, prediction)
        assert got.status == status
        if name == "voxel_specificity":
            assert got.value == (1.0 if status == "pred_empty" else 58 / 60)
        elif name == "volume_difference":
            assert got.value == pytest.approx(2 / 1000)
        else:
            assert got.value == metric.worst_value((3, 4, 5), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_type_and_memory_order_do_not_matter(name, kind):
    a, b = blob((7, 8, 9), 1), blob((7, 8, 9), 2)
    want = value(name, a, b, spacing=(2.0, 1.0, 1.5))
    assert value(name, with_dtype(a, kind), with_dtype(b, kind), spacing=(2.0, 1.0, 1.5)) == want
    assert value(name, a, with_dtype(b, kind), spacing=(2.0, 1.0, 1.5)) == want


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_prediction_takes_the_worst(name, bad):
    a = blob((6, 7, 8), 1).astype(np.float32)
    b = a.copy()
    b[0, 0, 0] = bad
    got = value(name, a, b)
    assert got.status == "invalid" and got.reason.startswith("non_finite")
    assert got.value == find(name).worst_value(a.shape, (1.0, 1.0, 1.0))
    outside = np.ones(a.shape, bool)
    outside[0, 0, 0] = False
    assert value(name, a, b, mask=outside).status == "ok"


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_compared(name):
    a = blob((6, 7, 8), 1)
    worst = find(name).worst_value(a.shape, (1.0, 1.0, 1.0))
    assert value(name, a, a[:5])[:2] == (worst, "invalid")
    assert value(name, a, a.astype(complex))[:2] == (worst, "invalid")
    assert value(name, a, a.astype(object))[:2] == (worst, "invalid")
    assert value(name, a, None)[:2] == (worst, "missing")
    for reference, mask, spacing in [
        (np.full(a.shape, np.nan), None, (1.0, 1.0, 1.0)),
        (np.zeros((0, 2, 2)), None, (1.0, 1.0, 1.0)),
        (a.astype(str), None, (1.0, 1.0, 1.0)),
        (a, np.zeros(a.shape, bool), (1.0, 1.0, 1.0)),
        (a, np.ones((2, 2), bool), (1.0, 1.0, 1.0)),
        (a, None, (1.0, 0.0, 1.0)),
        (a, None, (1.0, 1.0)),
    ]:
        with pytest.raises(DataError):
            value(name, reference, a, mask=mask, spacing=spacing)


def test_needs_spacing():
    a = blob((6, 7, 8), 1)
    for name in NAMES:
        if "spacing" in find(name).needs:
            with pytest.raises(DataError, match="spacing"):
                value(name, a, a, spacing=None)
        else:
            assert value(name, a, a, spacing=None).value == 1


def test_labels_and_unions():
    reference = np.zeros((4, 5, 6), np.int16)
    reference[0], reference[1], reference[2] = 1, 2, 3
    prediction = reference.copy()
    prediction[1] = 3
    assert value("dice", reference, prediction, label=1).value == 1
    assert value("dice", reference, prediction, label=2) == (0, "pred_empty", "")
    assert value("dice", reference, prediction, labels=[1, 3]).value == pytest.approx(2 * 60 / (60 + 90))
    assert value("dice", reference, prediction, labels=[2, 3]).value == 1
    assert value("dice", reference, prediction).value == 1
    assert value("dice", reference, prediction, label=9) == (1, "both_empty", "")
    assert value("dice", reference.astype(np.uint8), prediction, label=300).status == "both_empty"


def test_outside_the_mask_is_background():
    a, b = blob((8, 8, 8), 1), blob((8, 8, 8), 2)
    mask = np.zeros(a.shape, bool)
    mask[2:6] = True
    for name in NAMES:
        got = value(name, a, b, mask=mask)
        if name == "voxel_specificity":
            inside, found = a[mask], b[mask]
            assert got.value == pytest.approx((~inside & ~found).sum() / (~inside).sum())
        else:
            assert got == value(name, a & mask, b & mask)


def test_bad_options_are_the_tasks_error():
    a = blob((4, 4, 4), 1)
    for options in ({"mode": "mesh"}, {"tolerance": -1}, {"tolerance": float("nan")}):
        with pytest.raises(DataError):
            value("nsd", a, a, **options)


# --- properties ----------------------------------------------------------------------------------------------------------

PAIRS = st.one_of(st.tuples(*[st.integers(1, 7)] * 3), st.tuples(st.integers(1, 9), st.integers(1, 9))).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
SYMMETRIC = ("dice", "iou", "hd95", "hd", "assd", "nsd", "volume_difference", "volume_similarity")


def spacing_for(array):
    return (2.5, 0.8, 1.0)[3 - array.ndim :]


@settings(max_examples=120, deadline=None)
@given(PAIRS, st.sampled_from(NAMES), st.sampled_from(["voxel", "surfel"]))
def test_total_bounded_symmetric_and_perfect_on_itself(pair, name, mode):
    a, b = pair
    options = {"mode": mode} if name in SURFACE else {}
    metric, spacing = find(name), spacing_for(a)
    got = value(name, a, b, spacing=spacing, **options)
    assert np.isfinite(got.value) and metric.range[0] <= got.value <= metric.range[1]
    worst = metric.worst_value(a.shape, spacing)
    assert got.value <= worst + 1e-9 if metric.direction == "lower" else got.value >= worst
    if name in SYMMETRIC:
        assert value(name, b, a, spacing=spacing, **options).value == pytest.approx(got.value)
    same = value(name, a, a, spacing=spacing, **options)
    assert same.value == pytest.approx(1.0 if metric.direction == "higher" else 0.0)


@settings(max_examples=80, deadline=None)
@given(PAIRS, st.sampled_from([n for n in NAMES if n != "voxel_specificity"]), st.data())
def test_flips_swaps_and_padding_change_nothing(pair, name, data):
    a, b = pair
    spacing = spacing_for(a)
    got = value(name, a, b, spacing=spacing)
    axis = data.draw(st.integers(0, a.ndim - 1))
    flipped = value(name, np.flip(a, axis), np.flip(b, axis), spacing=spacing)
    assert flipped.status == got.status and flipped.value == pytest.approx(got.value)
    order = data.draw(st.permutations(range(a.ndim)))
    turned = value(name, a.transpose(order), b.transpose(order), spacing=tuple(spacing[k] for k in order))
    assert turned.status == got.status and turned.value == pytest.approx(got.value)
    if (
        got.status == "ok" and min(a.shape) > 1
    ):  # the worst value grows with the image; an axis of length 1 comes to life
        wide = [np.pad(m, [(data.draw(st.integers(0, 3)), 2)] + [(1, 0)] * (a.ndim - 1)) for m in (a, a)]
        shapes = [np.pad(m, 2) for m in (a, b)]
        assert value(name, *shapes, spacing=spacing).value == pytest.approx(got.value)
        assert value(name, wide[0], wide[0], spacing=spacing).value == value(name, a, a, spacing=spacing).value


def test_a_picture_and_a_volume_of_one_slice_agree():
    a, b = blob((30, 40), 1), blob((30, 40), 2)
    for name, mode in itertools.product(NAMES, ("voxel", "surfel")):
        options = {"mode": mode} if name in SURFACE else {}
        if name == "volume_difference":
            continue
        flat = value(name, a, b, spacing=(0.5, 0.7), **options)
        assert value(name, a[None], b[None], spacing=(9.0, 0.5, 0.7), **options) == flat


def test_work_is_shared_and_the_reference_side_is_kept():
    a, b = blob((12, 12, 12), 1), blob((12, 12, 12), 2)
    memo: dict = {}
    inputs = CaseInputs(a, b, None, (1.0, 1.0, 1.0), reference_memo=memo)
    first = [find(name).evaluate(inputs) for name in SURFACE]
    kept = memo[("labels.surface", None, "voxel")]
    again = CaseInputs(a, b, None, (1.0, 1.0, 1.0), reference_memo=memo)
    assert [find(name).evaluate(again) for name in SURFACE] == first
    assert memo[("labels.surface", None, "voxel")] is kept
    assert sum(key[0] == "labels.distances" for key in inputs.memo) == 1
