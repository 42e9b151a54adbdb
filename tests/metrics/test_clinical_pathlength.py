"""Water-equivalent path length: exact on shapes whose chords are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import metrics
from benchmark.errors import DataError
from benchmark.metrics import pathlength as p
from benchmark.metrics.paired import Pair
from benchmark.metrics.registry import CaseInputs


def offsets(shape: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    gap = min(spacing[1:])
    count = int(np.ceil(np.hypot(shape[1] * spacing[1], shape[2] * spacing[2]) / gap)) | 1
    return (np.arange(count) - count // 2) * gap


def rectangle_chord(width: float, height: float, angle: float, offset: float) -> float:
    """Length inside a centred rectangle of the line at that angle and distance from the centre, by clipping."""
    direction, normal = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    low, high = -1e9, 1e9
    for axis, half in ((0, width / 2), (1, height / 2)):
        start = offset * normal[axis]
        if abs(direction[axis]) < 1e-12:
            if abs(start) >= half:
                return 0.0
            continue
        a, b = sorted(((-half - start) / direction[axis], (half - start) / direction[axis]))
        low, high = max(low, a), min(high, b)
    return max(0.0, high - low)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.9, 1.4)])
def test_water_box_has_the_chords_of_a_rectangle(spacing: tuple[float, float, float]) -> None:
    volume = np.ones((2, 11, 14))
    found = p.line_integrals(volume, spacing)
    for beam, angle in enumerate(np.arange(36) * np.pi / 36):
        for ray, offset in enumerate(offsets(volume.shape, spacing)):
            if min(abs(abs(offset) - 11 * spacing[1] / 2), abs(abs(offset) - 14 * spacing[2] / 2)) < 1e-9 and beam in (
                0,
                18,
            ):
                continue  # along the very edge either answer is right
            expected = rectangle_chord(14 * spacing[2], 11 * spacing[1], angle, offset)
            assert found[beam, ray, 0] == pytest.approx(expected, abs=1e-6), (beam, ray)
    np.testing.assert_array_equal(found[:, :, 0], found[:, :, 1])


def disc(size: int, radius: float, supersample: int = 8) -> np.ndarray:
    """Share of every pixel that lies in a centred disc."""
    fine = (np.arange(size * supersample) + 0.5) / supersample - size / 2
    inside = (fine[:, None] ** 2 + fine**2 <= radius**2).astype(float)
    return inside.reshape(size, supersample, size, supersample).mean(axis=(1, 3))


def test_water_cylinder_has_the_chords_of_a_circle() -> None:
    share = disc(81, 35.0)
    hu = (share - 1.0) * 1000.0  # partial volume: density is linear in HU below water
    density = p.relative_electron_density(hu)[None]
    found = p.line_integrals(density, (1.0, 1.0, 1.0))[:, :, 0]
    at = offsets((1, 81, 81), (1.0, 1.0, 1.0))
    for ray, offset in enumerate(at):
        chord = 2 * np.sqrt(max(35.0**2 - offset**2, 0.0))
        if abs(offset) < 32:
            # A ray samples pixels, not the disc's edge: each end is off by less than a pixel.
            assert np.abs(found[:, ray] - chord).max() < 1.0
            assert abs(found[:, ray].mean() - chord) < 0.15
        elif abs(offset) > 36.5:
            assert (found[:, ray] == 0).all()
    area = found.sum(axis=1)  # rays 1 mm apart: every beam sees the disc's area
    np.testing.assert_allclose(area, np.pi * 35.0**2, rtol=2e-3)


def test_a_shift_in_density_costs_the_chord() -> None:
    rng = np.random.default_rng(0)
    mask = np.broadcast_to(disc(40, 15.0) > 0.5, (3, 40, 40))
    reference = np.where(mask, rng.uniform(-900, -300, mask.shape), np.nan)
    prediction = np.where(mask, reference + 100.0, 12345.0)
    spacing = (2.0, 0.8, 0.8)
    chords = p.line_integrals(mask, spacing)
    expected = 0.1 * chords[chords >= 0.8].mean()
    value = metrics.find("wepl").evaluate(CaseInputs(reference, prediction, mask, spacing))
    assert value.value == pytest.approx(expected, rel=1e-6) and value.status == "ok"


def test_calibration() -> None:
    density = p.relative_electron_density([-2000, -1000, -500, 0, 975, 1950, 3900])
    np.testing.assert_allclose(density, [0, 0, 0.5, 1, 1.5, 2, 3])
    own = p.relative_electron_density([50.0], [(-1000, 0), (100, 1.1), (1100, 1.6)])
    np.testing.assert_allclose(own, [1.05])
    for bad in ([(0, 1)], [(0, 1), (0, 2)], [(0, 1, 2), (1, 2, 3)]):
        with pytest.raises(DataError):
            p.relative_electron_density([0.0], bad)
    pair = Pair(np.zeros((1, 8, 8)), np.full((1, 8, 8), 1950.0), np.ones((1, 8, 8), bool), (1.0, 1.0, 1.0))
    assert p.wepl_error(pair) == pytest.approx(2 * p.wepl_error(pair, [(-1000, 0), (0, 1), (1950, 1.5)]))


def test_errors_of_opposite_sign_cancel_along_the_beam_as_in_the_patient() -> None:
    reference = np.zeros((1, 9, 9))
    prediction = reference.copy()
    prediction[0, 4, 2], prediction[0, 4, 6] = -500.0, 975.0  # −0.5 and +0.5
    mask = np.ones_like(reference, bool)
    along_x = p.line_integrals(p.relative_electron_density(prediction) - 1.0, (1.0, 1.0, 1.0))[0]
    assert np.abs(along_x).max() < 1e-12
    assert p.wepl_error(Pair(reference, prediction, mask, (1.0, 1.0, 1.0))) > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(7, 7), (9, 9)]))
def test_turning_and_mirroring_both_images_changes_nothing(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    reference, prediction = rng.uniform(-1000, 2000, (2, 1, *shape))
    mask = rng.random((1, *shape)) > 0.2
    mask[0, 3, 3] = True

    def error(*images: np.ndarray) -> float:
        return p.wepl_error(Pair(images[0], images[1], images[2], (1.0, 1.0, 1.0)))

    value = error(reference, prediction, mask)
    for turn in (
        lambda a: np.rot90(a, 1, (1, 2)),
        lambda a: a[:, :, ::-1],
        lambda a: a[:, ::-1],
        lambda a: a.swapaxes(1, 2),
    ):
        assert error(*(turn(a) for a in (reference, prediction, mask))) == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert error(prediction, reference, mask) == pytest.approx(value)
    assert error(reference, reference, mask) == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (3, 4, 5), (2, 1, 9)])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float16", "float32"])
def test_total(shape: tuple[int, ...], dtype: str) -> None:
    metric = metrics.find("wepl")
    reference = np.asfortranarray((np.arange(np.prod(shape)).reshape(shape) % 7 * 10).astype(dtype))
    spacing = (1.5,) * len(shape)
    same = metric.evaluate(CaseInputs(reference, reference, None, spacing))
    assert same == (0.0, "ok", "")
    worst = metric.worst_value(shape, spacing)
    bad = np.full(shape, np.nan)
    found = metric.evaluate(CaseInputs(reference, bad, None, spacing))
    assert (found.value, found.status) == (worst, "invalid") and found.reason.startswith("non_finite")
    assert metric.evaluate(CaseInputs(reference, None, None, spacing)).status == "missing"
    assert metric.evaluate(CaseInputs(reference, reference[:0], None, spacing)).status == "invalid"
    extreme = metric.evaluate(CaseInputs(reference, np.full(shape, 3e38, np.float32), None, spacing))
    assert extreme.value == worst
    for broken in ({"mask": np.zeros(shape, bool)}, {"spacing": None}, {"reference": bad}):
        with pytest.raises(DataError):
            metric.evaluate(
                CaseInputs(**{"reference": reference, "prediction": reference, "spacing": spacing, **broken})
            )  # type: ignore[arg-type]
