"""Noise power spectra of noise whose spectrum is known, and detectability of signals whose d′ is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from benchmark import metrics
from benchmark.errors import DataError
from benchmark.metrics import noise as n
from benchmark.metrics.registry import CaseInputs


def white(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_white_noise_is_flat_and_has_the_right_level() -> None:
    sigma, spacing = 12.0, (0.7, 0.7)
    power = n.noise_power_spectrum(sigma * white(0, 600, 32, 32), spacing, order=0)
    frequency, radial = n.radial_spectrum(power, spacing)
    assert frequency[0] == pytest.approx(1 / (32 * 0.7)) and frequency[-1] == pytest.approx(0.5 / 0.7)
    np.testing.assert_allclose(radial, sigma**2 * 0.7**2, rtol=0.05)  # σ²ΔyΔx at every frequency
    df = 1 / (32 * 0.7) ** 2
    assert power.sum() * df == pytest.approx(sigma**2 * (1 - 1 / 32**2), rel=0.01)  # Parseval; the mean is taken out


def test_filtered_noise_has_the_filter_in_its_spectrum() -> None:
    sigma = 1.3
    image = ndimage.gaussian_filter(white(1, 400, 64, 64), (0, sigma, sigma), mode="wrap")
    frequency, radial = n.radial_spectrum(n.noise_power_spectrum(image, order=0))
    expected = np.exp(-((2 * np.pi * frequency * sigma) ** 2))
    low = frequency < 0.25
    np.testing.assert_allclose(radial[low], expected[low], rtol=0.15)


def test_detrending_takes_out_a_parabola_and_nothing_else() -> None:
    y, x = np.mgrid[0:16, 0:16]
    trend = (3.0 + 2 * x - y + 0.1 * x * y - 0.2 * x**2)[None]
    assert np.abs(n.detrend(trend)).max() < 1e-10
    np.testing.assert_allclose(n.detrend(trend + white(2, 1, 16, 16)), n.detrend(white(2, 1, 16, 16)), atol=1e-10)


def test_anisotropic_pixels_share_one_frequency_axis() -> None:
    power = n.noise_power_spectrum(white(3, 300, 32, 32), (0.5, 1.0), order=0)
    frequency, radial = n.radial_spectrum(power, (0.5, 1.0))
    assert frequency[-1] <= 0.5 + 1e-9
    np.testing.assert_allclose(radial, 0.5, rtol=0.1)


def test_spectrum_distance() -> None:
    p, q = np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    assert n.spectrum_distance(p, q) == pytest.approx(0.25)
    assert n.spectrum_distance(p, 7 * p) == 0.0
    assert n.spectrum_distance(np.array([1.0, 0]), np.array([0, 5.0])) == 1.0
    assert n.spectrum_distance(0 * p, 0 * p) == 0.0 and n.spectrum_distance(0 * p, q) == 1.0


def test_nps_metric_sees_blurred_grain_and_not_its_amount() -> None:
    metric = metrics.find("nps_distance")
    smooth = ndimage.gaussian_filter(white(9, 4, 128, 128), (0, 20, 20)) * 500
    reference = smooth + 10 * white(4, 4, 128, 128)
    inputs = {"mask": None, "spacing": (3.0, 0.7, 0.7)}
    other_noise = metric.evaluate(CaseInputs(reference, smooth + 5 * white(5, 4, 128, 128), **inputs)).value
    blurs = [
        metric.evaluate(
            CaseInputs(reference, smooth + 10 * ndimage.gaussian_filter(white(5, 4, 128, 128), (0, s, s)), **inputs)
        ).value
        for s in (0.5, 1.0, 2.0)
    ]
    assert other_noise < 0.06 and other_noise < blurs[0] < blurs[1] < blurs[2] <= 1
    assert metric.evaluate(CaseInputs(reference, np.zeros_like(reference), **inputs)).value == 1.0


def test_nps_patches_lie_in_the_mask_and_shrink_to_fit() -> None:
    image, mask = white(6, 1, 64, 64), np.zeros((1, 64, 64), bool)
    mask[0, 8:40, 8:40] = True
    assert n.tiles_in(mask, 16) == [(0, 8, 8), (0, 8, 24), (0, 24, 8), (0, 24, 24)]
    assert n.tiles_in(mask, 33) == [] and n.tiles_in(mask, 65) == []
    assert len(n.homogeneous_patches(image, mask, 8, 99)) == 16
    quiet = image.copy()
    quiet[0, 16:24, 24:32] *= 0.01
    assert n.homogeneous_patches(quiet, mask, 8, 1) == [(0, 16, 24)]
    metric = metrics.find("nps_distance")
    assert metric.evaluate(CaseInputs(image, image, mask)).value == 0.0
    with pytest.raises(DataError, match="8×8"):
        metric.evaluate(CaseInputs(image[:, :6, :6], image[:, :6, :6]))


@pytest.mark.parametrize("bank", [n.dense_channels(64), n.gabor_channels(64)])
def test_channels_have_unit_length_and_zero_sum(bank: np.ndarray) -> None:
    np.testing.assert_allclose(np.linalg.norm(bank, axis=1), 1.0)
    assert np.abs(bank.sum(axis=1)).max() < 1e-6
    assert bank.shape[0] in (10, 40)


def test_gabor_channel_peaks_at_its_frequency() -> None:
    channel = n.gabor_channels(128, centres=(3 / 32,), orientations=1)[0].reshape(128, 128)
    spectrum = np.abs(np.fft.fft2(channel))
    fy, fx = np.unravel_index(spectrum.argmax(), spectrum.shape)
    assert abs(abs(np.fft.fftfreq(128)[fx]) - 3 / 32) < 1 / 128 and fy == 0


@pytest.mark.parametrize("bank", [n.dense_channels(32), n.gabor_channels(32, orientations=2)])
def test_detectability_on_white_noise_equals_theory(bank: np.ndarray) -> None:
    sigma = 10.0
    signal = n.disc_signal(32, 4.0, 5.0).ravel()
    # In white noise, outputs have covariance σ²·U Uᵀ and mean difference U s.
    shift = bank @ signal
    theory = np.sqrt(shift @ np.linalg.pinv(sigma**2 * bank @ bank.T, rcond=1e-12, hermitian=True) @ shift)
    assert theory < np.linalg.norm(signal) / sigma + 1e-9  # no observer beats the one that knows everything
    count = 8000
    rng = np.random.default_rng(0)
    present = (signal + sigma * rng.normal(size=(count, 1024))) @ bank.T
    absent = sigma * rng.normal(size=(count, 1024)) @ bank.T
    assert n.hotelling_dprime(present, absent) == pytest.approx(theory, rel=0.03)


def test_the_estimate_is_unbiased_where_the_plain_one_is_not() -> None:
    rng = np.random.default_rng(1)
    true = 1.0
    plain, corrected = [], []
    for _ in range(400):
        absent, present = rng.normal(size=(25, 6)), rng.normal(size=(25, 6))
        present[:, 0] += true
        plain.append(n.hotelling_dprime(present, absent, unbiased=False) ** 2)
        corrected.append(n.hotelling_dprime(present, absent) ** 2)
    assert np.mean(plain) > 1.5 and np.mean(corrected) == pytest.approx(true, abs=0.15)


def test_hotelling_by_hand_and_edges() -> None:
    present, absent = np.array([[1.0], [3.0], [2.0]]), np.array([[0.0], [2.0], [1.0]])
    assert n.hotelling_dprime(present, absent, unbiased=False) == pytest.approx(1.0)  # difference 1, pooled variance 1
    doubled = np.repeat(present, 2, axis=1), np.repeat(absent, 2, axis=1)
    assert n.hotelling_dprime(*doubled, unbiased=False) == pytest.approx(1.0)
    assert n.hotelling_dprime(np.zeros((9, 2)), np.zeros((9, 2))) == 0.0
    for bad in ((present[:0], absent), (present[:1], absent[:1]), (white(0, 3, 9), white(1, 3, 9))):
        with pytest.raises(ValueError, match=r"\d"):
            n.hotelling_dprime(*bad)


def test_lesions_are_inserted_where_asked_and_cut_at_the_edge() -> None:
    signal = n.disc_signal(9, 3.0, 20.0)
    assert signal.sum() == pytest.approx(20 * np.pi * 9, rel=0.01) and signal[4, 4] == 20
    image = np.zeros((2, 30, 30), np.int16)
    out = n.insert_lesion(image, signal, (1, 10, 12))
    assert out[1, 10, 12] == 20 and out[0].sum() == 0 and image.sum() == 0
    assert ndimage.center_of_mass(out[1]) == pytest.approx((10, 12))
    corner = n.insert_lesion(image, signal, (0, 0, 29))
    assert corner[0, 0, 29] == 20 and corner.sum() < out.sum()
    assert n.insert_lesion(image, signal, (0, -50, 0)).sum() == 0


def lesion_case(seed: int, contrast: float, blur: float = 0.0) -> CaseInputs:
    rng = np.random.default_rng(seed)
    truth, mask = np.zeros((1, 128, 128)), np.zeros((1, 128, 128), bool)
    centre = (0, int(rng.integers(20, 108)), int(rng.integers(20, 108)))
    truth = n.insert_lesion(truth, n.disc_signal(17, 5.0, contrast), centre)
    mask = n.insert_lesion(np.zeros(truth.shape), n.disc_signal(17, 5.0, 1.0), centre) > 0.5
    image = truth + 10 * rng.normal(size=truth.shape)
    return CaseInputs(truth, ndimage.gaussian_filter(image, (0, blur, blur)) if blur else image, mask, (3.0, 0.7, 0.7))


def dprime(cases: list[CaseInputs], weights: np.ndarray | None = None) -> metrics.MetricValue:
    metric = metrics.find("cho_dprime")
    assert metric.collect is not None and metric.reduce is not None
    parts = [metric.collect(case, **metric.options) for case in cases]
    return metric.reduce(parts, np.ones(len(parts)) if weights is None else weights, **metric.options)


def test_cho_metric_grows_with_contrast_and_finds_nothing_in_nothing() -> None:
    values = [dprime([lesion_case(s, contrast) for s in range(40)]).value for contrast in (0.0, 4.0, 8.0, 16.0)]
    assert values[0] < 1.0 and values[0] < values[1] < values[2] < values[3]
    erased = [
        CaseInputs(case.reference, np.zeros_like(case.prediction), case.mask, case.spacing)
        for case in (lesion_case(s, 9) for s in range(20))
    ]
    assert dprime(erased).value == 0.0


def test_cho_sites() -> None:
    mask = np.zeros((3, 96, 96), bool)
    mask[0:2, 10:13, 20:23], mask[1, 9:14, 19:24], mask[2, 40, 41] = True, True, True
    present, absent = n.lesion_sites(mask, 32)
    assert present == [(1, 11, 21), (2, 40, 41)]
    assert len(absent) == 8 + 8 and (1, 16, 16) not in absent and (2, 48, 48) not in absent


def test_cho_metric_is_total() -> None:
    cases = [lesion_case(s, 8.0) for s in range(30)]
    gone = [CaseInputs(case.reference, None, case.mask, case.spacing) for case in cases]
    assert dprime(gone) == (0.0, "missing", "no case has a usable output")
    partly = dprime([*gone[:10], *cases[10:]])
    assert partly.status == "ok" and "10 of 30" in partly.reason
    broken = CaseInputs(cases[0].reference, np.full_like(cases[0].prediction, np.nan), cases[0].mask, None)
    assert dprime([broken, *cases[1:]]).status == "ok"
    few = dprime(cases[:1])
    assert (few.value, few.status) == (0.0, "invalid")
    assert np.isfinite(dprime(cases, np.arange(30)).value)
    no_lesion = CaseInputs(cases[0].reference, cases[0].prediction, np.zeros(cases[0].reference.shape, bool))
    assert dprime([no_lesion, *cases]).status == "ok"
    assert dprime([no_lesion]).value == 0.0
    clean = [CaseInputs(c.reference, c.reference, c.mask) for c in cases]
    assert 0.0 < dprime(clean).value <= n.MAX_DPRIME
    with pytest.raises(DataError, match="mask"):
        dprime([CaseInputs(cases[0].reference, cases[0].prediction)])
