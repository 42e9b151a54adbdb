"""Synthesis metrics against their formulas, written with skimage and SciPy in `synthesis_formulas`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import synthesis_formulas as formulas
import torch
import torchmetrics.functional as tm
from scipy import ndimage

from benchmark.errors import DataError
from benchmark.metrics import CaseInputs, find, structure, synthesis
from benchmark.metrics.voxel_errors import error_sums, tissue_sums

Y2023, Y2025 = (-1024, 3000), (-1024, 3071)


def head(shape=(40, 44, 48), seed=0, noise=120.0):
    """A reference in HU that leaves the clip range on both sides, a prediction of it, and an off-centre ellipsoid."""
    rng = np.random.default_rng(seed)
    g = ndimage.gaussian_filter(rng.normal(size=shape), 1.5) * 9000 + 300
    p = g + rng.normal(size=shape) * noise
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    m = sum(((a - 0.45 * n) / (0.43 * n)) ** 2 for a, n in zip(axes, shape, strict=True)) < 1
    return g, p, np.asarray(m)


def value(name, g, p, m=None, **options):
    found = find(name).evaluate(CaseInputs(g, p, m), options)
    assert found.status == "ok", found
    return found.value


# Known values


def test_worked_by_hand():
    g = np.array([[[0, 10, 20, 30]]], np.int16)
    p = np.array([[[1, 8, 20, 1000]]], np.int16)
    m = np.array([[[True, True, True, False]]])
    assert value("mae", g, p, m) == 1.0
    assert value("nmse", g, p, m) == 5 / 500
    assert value("psnr", g, p, m) == pytest.approx(10 * math.log10(4024**2 / (5 / 3)), rel=1e-12)
    assert value("psnr", g, p, m, profile="synthrad2025") == pytest.approx(
        10 * math.log10(4095**2 / (5 / 3)), rel=1e-12
    )
    assert value("psnr", np.zeros((8, 8)), np.full((8, 8), 0.1), clip=[0, 1]) == pytest.approx(20, rel=1e-12)


def test_constant_images_have_luminance_alone():
    """Without variance SSIM is (2ab + C1)/(a² + b² + C1), with a and b above the lowest value of the profile."""
    g, p = np.full((9, 9, 9), 76.0), np.full((9, 9, 9), -24.0)
    a, b, c1 = 1100.0, 1000.0, (0.01 * 4024) ** 2
    assert value("ssim", g, p) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), rel=1e-9)


def test_mae_is_not_clipped_and_psnr_is():
    g, p = np.full((4, 4, 4), 2900.0), np.full((4, 4, 4), 9000.0)
    assert value("mae", g, p) == 6100
    assert value("psnr", g, p) == pytest.approx(20 * math.log10(4024 / 100))


def test_tissues_are_divided_by_the_reference():
    g = np.array([[[-1000, -200, 0, 250, 251, 1500]]], np.float32)
    p = g + np.array([[[1, 2, 4, 8, 16, 32]]], np.float32)
    assert value("mae_air", g, p) == 1
    assert value("mae_soft", g, p) == pytest.approx((2 + 4 + 8) / 3)
    assert value("mae_bone", g, p) == 24
    assert value("mae_bone", g, p, bone_above=1000) == 32


# Formulas


@pytest.mark.parametrize("shape", [(40, 44, 48), (64, 30, 101), (7, 9, 33)])
@pytest.mark.parametrize("noise", [20.0, 400.0])
def test_2023_profile(shape, noise):
    g, p, m = head(shape, noise=noise)
    assert value("mae", g, p, m) == pytest.approx(formulas.mae(g, p, m), rel=1e-12)
    assert value("psnr", g, p, m) == pytest.approx(formulas.psnr(g, p, m, *Y2023), rel=1e-12)
    assert value("ssim", g, p, m) == pytest.approx(formulas.ssim(g, p, m, *Y2023), rel=1e-8)


@pytest.mark.parametrize("shape", [(64, 64, 64), (97, 100, 98), (30, 99, 120)])
def test_2025_profile(shape):
    g, p, m = head(shape)
    assert value("psnr", g, p, m, profile="synthrad2025") == pytest.approx(formulas.psnr(g, p, m, *Y2025), rel=1e-12)
    assert value("ms_ssim", g, p, m) == pytest.approx(formulas.ms_ssim(g, p, m, *Y2025), rel=1e-8)
    assert value("ms_ssim_wang", g, p, m) == pytest.approx(formulas.ms_ssim_wang(g, p, m, *Y2025), rel=1e-8)


def test_without_a_mask_everything_counts():
    g, p, _ = head((50, 40, 98))
    everywhere = np.ones(g.shape, bool)
    assert value("ssim", g, p) == pytest.approx(formulas.ssim(g, p, everywhere, *Y2023), rel=1e-8)
    assert value("ms_ssim", g, p) == pytest.approx(formulas.ms_ssim(g, p, everywhere, *Y2025), rel=1e-8)


def test_a_mask_that_touches_the_border_goes_on_into_the_padding():
    g, p, m = head((40, 60, 98))
    m[:, :25] = True
    m[-3:] = True
    assert value("ms_ssim", g, p, m) == pytest.approx(formulas.ms_ssim(g, p, m, *Y2025), rel=1e-8)


def test_scattered_masks():
    g, p, _ = head((40, 36, 99))
    m = np.random.default_rng(3).random(g.shape) < 0.2
    assert value("ssim", g, p, m) == pytest.approx(formulas.ssim(g, p, m, *Y2023), rel=1e-8)
    m[3:-3, 3:-3, 3:-3] |= np.random.default_rng(4).random((34, 30, 93)) < 0.5
    m[20, 18, 48] = (
        True  # in the padded image this is voxel 48 of each axis, the one that the coarsest level's crop keeps
    )
    assert value("ms_ssim", g, p, m) == pytest.approx(formulas.ms_ssim(g, p, m, *Y2025), rel=1e-8)


def test_anticorrelated_images_reach_below_zero_and_ms_ssim_stops_there():
    g, _, m = head((30, 30, 30))
    p = 600 - g
    found = value("ssim", g, p, m)
    assert found == pytest.approx(formulas.ssim(g, p, m, *Y2023), rel=1e-7)
    assert found < 0
    assert value("ms_ssim", g, p, m) == pytest.approx(formulas.ms_ssim(g, p, m, *Y2025), rel=1e-7)


@pytest.mark.parametrize("exam", [("chest", -600, 1500), ("abdomen", 50, 400), ("neuro", 40, 80)])
def test_windowed_metrics_are_those_of_the_low_dose_benchmark(exam):
    name, centre, width = exam
    g, p, _ = head((5, 40, 52), noise=30)
    g, p = g / 8, p / 8
    expected_psnr, expected_ssim = formulas.ldct(g, p, centre, width)
    for window in (name, synthesis.WINDOWS[name], list(synthesis.WINDOWS[name])):
        assert value("psnr_windowed", g, p, window=window) == pytest.approx(expected_psnr, rel=1e-9)
        assert value("ssim_windowed", g, p, window=window) == pytest.approx(expected_ssim, rel=1e-8)


def test_windowed_metrics_leave_out_slices_without_mask():
    g, p, _ = head((6, 40, 52), noise=30)
    m = np.zeros(g.shape, bool)
    m[2:4, 5:-5, 5:-5] = True
    window = synthesis.WINDOWS["abdomen"]
    flat = [formulas.masked(a, m, *window) for a in (g, p)]
    expected = np.mean([formulas.ssim(g[k], p[k], m[k], *window) for k in (2, 3)])
    assert value("ssim_windowed", g, p, m, window=window) == pytest.approx(expected, rel=1e-8)
    expected = np.mean([10 * np.log10(399**2 / np.mean((flat[0] - flat[1])[k][m[k]] ** 2)) for k in (2, 3)])
    assert value("psnr_windowed", g, p, m, window=window) == pytest.approx(expected, rel=1e-9)


def test_torchmetrics_where_its_definition_is_ours():
    """Its SSIM pads and then averages the border, another number; mean error and PSNR are the same."""
    g, p, _ = head((10, 20, 30))
    a, b = (torch.from_numpy(np.clip(x, *Y2023)) for x in (g, p))
    assert value("psnr", g, p) == pytest.approx(
        float(tm.image.peak_signal_noise_ratio(b, a, data_range=(-1024.0, 3000.0))),
        rel=1e-6,  # it keeps the range in float32
    )
    assert value("mae", g, p) == pytest.approx(
        float(tm.mean_absolute_error(torch.from_numpy(p), torch.from_numpy(g))), rel=1e-12
    )
    crop = (slice(None), slice(None), *(slice(3, -3),) * 3)
    _, full = tm.image.structural_similarity_index_measure(
        b[None, None] + 1024, a[None, None] + 1024, gaussian_kernel=False, kernel_size=7, data_range=4024.0,
        return_full_image=True,
    )  # fmt: skip
    # The map's inside agrees, but for the covariance, which torchmetrics does not correct for the sample.
    assert value("ssim", g, p) == pytest.approx(float(full[crop].mean()), abs=1e-3)


# The two paths


@pytest.mark.parametrize("shape", [(40, 44, 48), (1, 30, 40), (3, 5, 20), (12, 1, 30), (1, 1, 1)])
def test_compiled_loops_equal_filters(shape):
    g, p, m = head(shape)
    m = m if m.any() else np.ones(shape, bool)
    for slicewise in (False, True):
        fast, slow = (structure.ssim(g, p, m, Y2023, slicewise=slicewise, plain=plain) for plain in (False, True))
        assert fast == pytest.approx(slow, rel=1e-6, abs=1e-9)
    for variant in ("synthrad2025", "wang2003"):
        fast, slow = (structure.ms_ssim(g, p, m, Y2025, variant, plain=plain) for plain in (False, True))
        assert fast == pytest.approx(slow, rel=1e-6)
    fast_sums, slow_sums = (error_sums(g, p, m, (Y2023, Y2025), plain=plain) for plain in (False, True))
    assert fast_sums.voxels == slow_sums.voxels
    for a, b in ((fast_sums.absolute, slow_sums.absolute), (fast_sums.power, slow_sums.power)):
        assert a == pytest.approx(b, rel=1e-12)
    assert fast_sums.clipped == pytest.approx(slow_sums.clipped, rel=1e-12)
    np.testing.assert_allclose(*(tissue_sums(g, p, m, -200, 250, plain=plain) for plain in (False, True)), rtol=1e-12)


def test_threads_do_not_change_the_value(monkeypatch):
    g, p, m = head((20, 130, 40))
    alone = structure.ssim(g, p, m, Y2023)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert structure.threads() == 3
    assert structure.ssim(g, p, m, Y2023) == alone


def test_powers_are_as_good_as_libm():
    """The loops' own power, by way of MS-SSIM of images whose levels are constant: value = Π l^w = l, as Σw = 1."""
    shape = (97, 97, 97)
    for other in (-1024.0, -1020.0, -900.0, 500.0, 3071.0):
        g, p = np.full(shape, 3071.0), np.full(shape, other)
        expected = formulas.ms_ssim(g, p, np.ones(shape, bool), *Y2025)
        assert value("ms_ssim", g, p) == pytest.approx(expected, rel=1e-9)


# What is shared


def test_the_errors_of_a_case_are_summed_once(monkeypatch):
    calls = []
    real = synthesis.error_sums
    monkeypatch.setattr(synthesis, "error_sums", lambda *a, **k: calls.append(1) or real(*a, **k))
    g, p, m = head((10, 12, 14))
    inputs = CaseInputs(g, p, m)
    for name, options in (("mae", {}), ("psnr", {}), ("psnr", {"profile": "synthrad2025"}), ("nmse", {}), ("ssim", {})):
        find(name).evaluate(inputs, options)
    assert len(calls) == 1
    find("psnr").evaluate(inputs, {"clip": (0, 1)})
    assert len(calls) == 2


def test_the_references_pyramid_is_kept_and_does_not_change_the_value(monkeypatch):
    calls = []
    real = structure.ms_ssim_reference
    monkeypatch.setattr(structure, "ms_ssim_reference", lambda *a, **k: calls.append(1) or real(*a, **k))
    g, p, m = head((30, 30, 30))
    memo: dict = {}
    first = find("ms_ssim").evaluate(CaseInputs(g, p, m, reference_memo=memo)).value
    again = find("ms_ssim").evaluate(CaseInputs(g, p, m, reference_memo=memo)).value
    other = find("ms_ssim").evaluate(CaseInputs(g, p + 50, m, reference_memo=memo)).value
    assert len(calls) == 1
    assert first == again != other
    assert other == find("ms_ssim").evaluate(CaseInputs(g, p + 50, m)).value
    for name, options in (("ms_ssim", {"profile": "synthrad2023"}), ("ms_ssim_wang", {})):
        kept = find(name).evaluate(CaseInputs(g, p, m, reference_memo=memo), options)
        assert kept == find(name).evaluate(CaseInputs(g, p, m), options)


# Declarations


def test_options_that_make_no_sense_are_the_tasks_fault():
    g, p, m = head((8, 8, 8))
    for name, options in (
        ("psnr", {"profile": "synthrad2024"}),
        ("psnr", {"clip": [3, 3]}),
        ("ssim", {"clip": "abdomen"}),
        ("psnr_windowed", {}),
        ("ssim_windowed", {"window": "liver"}),
        ("ssim_windowed", {"window": [1, float("nan")]}),
        ("mae_air", {"air_below": 10, "bone_above": -10}),
    ):
        with pytest.raises(DataError) as caught:
            find(name).evaluate(CaseInputs(g, p, m), options)
        assert caught.value.code == "task_invalid"
