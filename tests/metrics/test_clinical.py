"""Bone Dice, gCNR and ventricle change against hand-worked values and known distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm, rayleigh

from benchmark import metrics
from benchmark.errors import DataError
from benchmark.metrics import clinical as c
from benchmark.metrics.registry import CaseInputs

NAMES = ("bone_dice", "gcnr", "ventricle_change_error", "wepl", "nps_distance")


def test_bone_dice_by_hand() -> None:
    reference = np.array([[400, 400, 301, 300], [0, 0, 900, -1000]], np.int16)
    prediction = np.array([[400, 250, 301, 900], [0, 0, 900, -1000]], np.int16)
    bone = metrics.find("bone_dice")
    assert bone.evaluate(CaseInputs(reference, prediction)).value == pytest.approx(2 * 3 / (4 + 4))
    mask = np.ones(reference.shape, bool)
    mask[0, 3] = False
    assert bone.evaluate(CaseInputs(reference, prediction, mask)).value == pytest.approx(2 * 3 / (4 + 3))
    assert bone.evaluate(CaseInputs(reference, prediction), {"threshold": 1000}) == (1.0, "both_empty", "")
    assert bone.evaluate(CaseInputs(reference, 0 * prediction)) == (0.0, "pred_empty", "")
    assert bone.evaluate(CaseInputs(0 * reference, prediction)) == (0.0, "ref_empty", "")


def test_gcnr_of_known_distributions_is_one_minus_their_overlap() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.5, 1.0, 3.0):
        found = c.gcnr(rng.normal(0, 1, 400_000), rng.normal(shift, 1, 400_000))
        assert found == pytest.approx(2 * norm.cdf(shift / 2) - 1, abs=0.01)
    # Fully developed speckle at two levels: envelopes are Rayleigh, and the overlap has a closed form at the crossing point.
    a, b = rng.rayleigh(1.0, 400_000), rng.rayleigh(2.0, 400_000)
    crossing = np.sqrt(2 * np.log(4) / (1 - 1 / 4))
    expected = rayleigh.cdf(crossing) - rayleigh.cdf(crossing, scale=2.0)
    assert c.gcnr(a, b, bins=400) == pytest.approx(expected, abs=0.01)
    uniform = np.arange(1000) / 1000
    assert c.gcnr(uniform, uniform + 0.25, bins=5) == pytest.approx(0.25, abs=0.002)


def test_gcnr_edges() -> None:
    assert c.gcnr([1, 1], [1, 1]) == 0.0
    assert c.gcnr([0, 0], [1, 1]) == 1.0
    with pytest.raises(ValueError, match="0 values inside"):
        c.gcnr([], [1.0])


def test_gcnr_metric_looks_at_the_shell() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(0, 0.1, (60, 60))
    mask = np.zeros((60, 60), bool)
    mask[25:35, 25:35] = True
    image[mask] -= 5
    image[:10] = -5  # far away, as dark as the lesion: does not count
    metric = metrics.find("gcnr")
    assert metric.evaluate(CaseInputs(image, image, mask, (0.5, 0.5))).value == 1.0
    assert metric.evaluate(CaseInputs(image, image, mask, (0.5, 0.5)), {"width": 1000.0}).value < 1.0
    blurred = np.zeros_like(image)
    assert metric.evaluate(CaseInputs(image, blurred, mask, (0.5, 0.5))).value == 0.0
    border = np.ones_like(mask)
    border[0, 0] = False
    assert (
        metric.evaluate(CaseInputs(image, image, border, (0.1, 0.1)), {"gap": 5.0}).status == "ok"
    )  # no shell: the rest
    for bad in (None, np.ones_like(mask), np.zeros_like(mask), mask[:5]):
        with pytest.raises(DataError):
            metric.evaluate(CaseInputs(image, image, bad, (0.5, 0.5)))


def test_ventricle_change_by_hand() -> None:
    baseline = np.zeros((4, 5, 5), np.uint8)
    baseline[0, :2, :5], baseline[1, 0, 0] = 4, 43  # 11 voxels
    follow_up = baseline.copy()
    follow_up[2, 0, :3], follow_up[3, 0, 0] = 44, 14  # 3 more; the third ventricle is not lateral
    change = c.volume_change(baseline, follow_up, (10.0, 10.0, 5.0))
    assert change.ml == pytest.approx(1.5) and change.percent == pytest.approx(300 / 11)
    assert c.volume_change(0 * baseline, 0 * baseline, (1, 1, 1)) == (0.0, 0.0)
    assert c.volume_change(0 * baseline, baseline, (1, 1, 1)).percent == np.inf
    half = c.volume_change(baseline, baseline, (1, 1, 1), (2, 1, 1))
    assert half.percent == pytest.approx(100.0)
    metric = metrics.find("ventricle_change_error")
    found = metric.evaluate(CaseInputs(follow_up, baseline, None, (10.0, 10.0, 5.0)))
    assert found.value == pytest.approx(1.5)
    # What the definition says: the same as the difference of the two changes.
    predicted = c.volume_change(baseline, baseline, (10.0, 10.0, 5.0))
    assert found.value == pytest.approx(abs(predicted.ml - change.ml))
    everything = metric.evaluate(CaseInputs(follow_up, np.full_like(baseline, 4), None, (100.0, 100.0, 5.0)))
    assert everything.value == metric.worst_value()
    with pytest.raises(DataError):
        metric.evaluate(CaseInputs(follow_up, baseline))


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, (2, 9, 8), elements=st.floats(-2000, 4000, width=32)),
    hnp.arrays(np.float32, (2, 9, 8), elements=st.floats(-2000, 4000, width=32)),
    hnp.arrays(bool, (2, 9, 8)),
)
def test_bounds_identity_and_flips(reference: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> None:
    mask[0, :8, :8], mask[1, 0, 0] = True, False
    prediction = np.where(mask, prediction, np.nan)
    for name in ("bone_dice", "wepl", "nps_distance"):
        metric = metrics.find(name)
        spacing = (3.0, 1.0, 0.5)
        value = metric.evaluate(CaseInputs(reference, prediction, mask, spacing))
        assert metric.range[0] <= value.value <= metric.range[1] and value.status != "invalid"
        same = metric.evaluate(CaseInputs(reference, reference, mask, spacing)).value
        assert same == (1.0 if metric.direction == "higher" else 0.0)
        flipped = metric.evaluate(CaseInputs(reference[::-1], prediction[::-1], mask[::-1], spacing)).value
        assert flipped == pytest.approx(value.value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float16", "float64"])
def test_invalid_predictions_take_the_worst_value(name: str, dtype: str) -> None:
    metric = metrics.find(name)
    reference = np.asfortranarray(np.random.default_rng(2).integers(0, 100, (3, 10, 12)).astype(dtype))
    mask = np.zeros(reference.shape, bool)
    mask[1, 1:9, 1:10] = True
    spacing = (2.0, 1.0, 1.0)
    worst = metric.worst_value(reference.shape, spacing)
    good = metric.evaluate(CaseInputs(reference, reference[:, ::-1], mask, spacing))
    assert metric.range[0] <= good.value <= metric.range[1] and np.isfinite(good.value)
    for bad, status in (
        (None, "missing"),
        (np.full(reference.shape, np.inf), "invalid"),
        (reference[1:], "invalid"),
        (reference.astype(complex), "invalid"),
    ):
        found = metric.evaluate(CaseInputs(reference, bad, mask, spacing))
        assert (found.value, found.status) == (worst, status) and found.reason
    for broken in (np.full(reference.shape, np.nan), np.empty((0, 3, 3)), np.array(["text"])):
        with pytest.raises(DataError):
            metric.evaluate(CaseInputs(broken, broken, mask, spacing))
