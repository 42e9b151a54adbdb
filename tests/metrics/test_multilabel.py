"""Many labels in one pass: against one-label metrics, MONAI's loop as SynthRAD2025 runs it, and on every input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_examples import KINDS, blob, with_dtype

from benchmark.errors import DataError, InfrastructureError
from benchmark.metrics import CaseInputs, find, multilabel

NAMES = ("multilabel_dice", "multilabel_hd95")


def value(name, reference, prediction, *, spacing=(3.0, 1.0, 1.5), mask=None, **options):
    return find(name).evaluate(CaseInputs(reference, prediction, mask, spacing), options)


def bodies(seed=0, shape=(18, 30, 34), labels=(2, 5, 26, 79, 116)):
    """A label volume of several blobs, and a prediction that shifts some, swaps some and invents one."""
    a = np.zeros(shape, np.int16)
    for k, label in enumerate(labels):
        a[blob(shape, 10 * seed + k, share=0.08)] = label
    b = np.roll(a, 1, axis=2)
    b[blob(shape, 10 * seed + 9, share=0.03)] = 51
    return a, b


def test_equals_one_label_at_a_time():
    a, b = bodies()
    classes = multilabel.REGIONS["abdomen"]
    present = [c for c in classes if (a == c).any()]
    assert len(present) == 5
    for name, single in zip(NAMES, ("dice", "hd95"), strict=True):
        want = np.mean(
            [find(single).evaluate(CaseInputs(a, b, None, (3.0, 1.0, 1.5)), {"label": c}).value for c in present]
        )
        assert value(name, a, b, classes="abdomen").value == pytest.approx(want, rel=1e-12)
        assert value(name, a, b, classes="AB").value == value(name, a, b, classes=classes).value


@pytest.mark.filterwarnings("ignore")
def test_equals_the_official_loop_and_charges_what_it_drops():
    """SynthRAD2025 loops over classes with MONAI and lets its mean skip the NaN of a missed class: the model that misses every
    structure gets an HD95 of 0.0, the best there is. `official_gaps` gives that number; by default ours charges the diagonal."""
    torch = pytest.importorskip("torch")
    from monai.metrics import DiceMetric, HausdorffDistanceMetric

    def official(a, b, classes):
        dice = DiceMetric(include_background=True, reduction="mean", get_not_nans=False)
        hd95 = HausdorffDistanceMetric(include_background=True, reduction="mean", percentile=95, get_not_nans=False)
        for c in classes:
            one, two = (torch.from_numpy(m == c)[None, None] for m in (a, b))
            if one.sum() == 0:
                continue
            dice(two, one)
            hd95(two, one, spacing=(3.0, 1.0, 1.5))
        return dice.aggregate().item(), hd95.aggregate().item()

    a, b = bodies()
    classes = multilabel.REGIONS["thorax"]
    want = official(a, b, classes)
    got = [value(name, a, b, classes="TH", official_gaps=True).value for name in NAMES]
    assert got == pytest.approx(want, rel=1e-5)
    b[b == 5] = 0
    want = official(a, b, classes)
    assert [value(name, a, b, classes="TH", official_gaps=True).value for name in NAMES] == pytest.approx(
        want, rel=1e-5
    )
    charged = value("multilabel_hd95", a, b, classes="TH")
    diagonal = np.linalg.norm(np.array(a.shape) * (3.0, 1.0, 1.5))
    assert charged.value == pytest.approx((4 * want[1] + diagonal) / 5, rel=1e-5) and charged.reason == "missed: 5"
    nothing = np.zeros_like(b)
    assert official(a, nothing, classes)[1] == 0.0
    assert value("multilabel_hd95", a, nothing, classes="TH", official_gaps=True)[:2] == (0.0, "pred_empty")
    assert value("multilabel_hd95", a, nothing, classes="TH")[:2] == (pytest.approx(diagonal), "pred_empty")


def test_class_lists_are_the_official_ones():
    """Counts and members as in the challenge's segmentation_metrics.py."""
    trunk = multilabel.REGIONS["abdomen"]
    assert trunk == multilabel.REGIONS["thorax"] and len(trunk) == 4 + 5 + 25 + 1 + 1 + 24 + 1
    assert set(multilabel.REGIONS["head_and_neck"]) == {15, 16, 17, *range(26, 51), 79, 90, 91}
    assert {2, 3, 5, 6, 10, 14, 26, 50, 51, 79, 92, 115, 116} <= set(trunk) and not {4, 9, 15, 25, 52, 91, 117} & set(
        trunk
    )


def test_tissues_by_hand():
    """1-D so that it fits a line: air, soft tissue, bone; the prediction takes one bone voxel for soft tissue."""
    a = np.array([-1000.0, -1000, 0, 0, 0, 700, 700, 251])
    b = np.array([-1000.0, -1000, 0, 0, 0, 700, 700, 250])
    assert multilabel.threshold_tissues(a).tolist() == [1, 1, 2, 2, 2, 3, 3, 3]
    assert multilabel.threshold_tissues(b).tolist() == [1, 1, 2, 2, 2, 3, 3, 2]
    got = value("multilabel_dice", a, b, spacing=(2.0,), segmenter="threshold")
    assert got.value == pytest.approx((1 + 6 / 7 + 4 / 5) / 3)
    mask = np.array([1, 1, 1, 1, 1, 1, 1, 0], bool)
    assert value("multilabel_dice", a, b, spacing=(2.0,), mask=mask, segmenter="threshold").value == 1.0
    bone = value("multilabel_hd95", a, b, spacing=(2.0,), segmenter="threshold", classes=[3])
    assert bone.value == pytest.approx(np.percentile([0.0, 2.0], 95))  # ends 5 and 7 against 5 and 6, 2 mm apart


def test_segmenters():
    a = np.random.default_rng(0).normal(0, 400, (6, 7, 8))
    with pytest.raises(DataError, match="segmenter"):
        value("multilabel_dice", a, a, segmenter="atlas")
    try:
        import totalsegmentator  # noqa: F401
    except ImportError:
        with pytest.raises(InfrastructureError, match="TotalSegmentator"):
            value("multilabel_dice", a, a, segmenter="totalsegmentator", classes="thorax")
    b = a.copy()
    b[0, 0, 0] = np.nan
    assert value("multilabel_dice", a, b, segmenter="threshold").status == "invalid"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "bool"])
def test_type_and_memory_order_do_not_matter(name, kind):
    a, b = bodies()
    want = value(name, a, b, classes="thorax")
    turned = [with_dtype(m, kind) for m in (a, b)]
    assert value(name, *turned, classes="thorax") == want


def test_labels_that_are_none():
    """Negative, huge, fractional and foreign labels belong to no class."""
    a = np.array([[[1, 2, 3, 3, 2, 1]]])
    for odd in (-1.0, 7.0, 300.0, 1e18, 1.5, 2.0**31):
        b = a.astype(float)
        b[0, 0, 0] = odd
        assert value("multilabel_dice", a, b).value == pytest.approx((2 / 3 + 1 + 1) / 3)
    b = a.astype(np.uint64)
    b[0, 0, 0] = 2**63 + 5
    assert value("multilabel_dice", a, b).value == pytest.approx((2 / 3 + 1 + 1) / 3)


@pytest.mark.parametrize("classes", [[], [0], [1, 1], [1.5], [True], "knee", [-1]])
def test_bad_classes(classes):
    a, b = bodies()
    with pytest.raises(DataError):
        value("multilabel_dice", a, b, classes=classes)


@pytest.mark.parametrize("name", NAMES)
def test_empty_and_unusable(name):
    a, b = bodies()
    none = np.zeros_like(a)
    worst = find(name).worst_value(a.shape, (3.0, 1.0, 1.5))
    perfect = 1.0 if name == "multilabel_dice" else 0.0
    assert value(name, none, none, classes="thorax")[:2] == (perfect, "both_empty")
    assert value(name, none, b, classes="thorax")[:2] == (worst, "ref_empty")
    assert value(name, a, none, classes="thorax")[:2] == (pytest.approx(worst), "pred_empty")
    assert value(name, a, None, classes="thorax")[:2] == (pytest.approx(worst), "missing")
    assert value(name, a, b[:3], classes="thorax")[:2] == (pytest.approx(worst), "invalid")
    if name == "multilabel_hd95":
        with pytest.raises(DataError, match="spacing"):
            value(name, a, b, classes="thorax", spacing=None)


def test_more_than_255_classes():
    a = np.arange(6 * 8 * 10).reshape(6, 8, 10) % 400 + 1
    assert value("multilabel_dice", a, a, classes=list(range(1, 401))).value == 1.0
    assert multilabel.compact(a, tuple(range(1, 401))).dtype == np.uint16


VOLUMES = st.one_of(st.tuples(*[st.integers(1, 6)] * 3), st.tuples(st.integers(1, 8), st.integers(1, 8))).flatmap(
    lambda shape: st.tuples(*[arrays(np.uint8, shape, elements=st.integers(0, 4))] * 2)
)


@settings(max_examples=120, deadline=None)
@given(VOLUMES, st.sampled_from(NAMES), st.data())
def test_total_bounded_perfect_on_itself_and_blind_to_flips_and_padding(pair, name, data):
    a, b = pair
    spacing = (2.5, 0.8, 1.0)[3 - a.ndim :]
    got = value(name, a, b, spacing=spacing)
    assert (np.isfinite(got.value) and 0 <= got.value <= find(name).worst_value(a.shape, spacing)) or name == NAMES[0]
    assert value(name, a, a, spacing=spacing).value == (1.0 if name == NAMES[0] else 0.0)
    axis = data.draw(st.integers(0, a.ndim - 1))
    assert value(name, np.flip(a, axis), np.flip(b, axis), spacing=spacing).value == pytest.approx(got.value)
    if got.status == "ok" and not got.reason and min(a.shape) > 1:
        assert value(name, np.pad(a, 2), np.pad(b, 2), spacing=spacing).value == pytest.approx(got.value)


def test_the_reference_side_is_kept_as_plain_arrays():
    a, b = bodies()
    memo: dict = {}
    for name in NAMES:
        find(name).evaluate(CaseInputs(a, b, None, (1.0, 1.0, 1.0), reference_memo=memo), {"classes": "thorax"})
    side = memo[("multilabel.side", multilabel.TRUNK, None)]
    assert all(isinstance(part, np.ndarray) for part in side)
