"""Synthesis metrics on everything they may be given: always a number in the declared range, with a status."""

from __future__ import annotations

import numpy as np
import pytest
import synthesis_formulas as formulas
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.metrics import structural_similarity

from benchmark.errors import DataError
from benchmark.metrics import CaseInputs, MetricValue, find

OPTIONS = {
    "mae": {}, "psnr": {}, "nmse": {}, "ssim": {}, "ms_ssim": {}, "ms_ssim_wang": {}, "mae_air": {}, "mae_soft": {},
    "mae_bone": {}, "psnr_windowed": {"window": "abdomen"}, "ssim_windowed": {"window": "abdomen"},
}  # fmt: skip
NAMES = list(OPTIONS)
QUICK = [name for name in NAMES if not name.startswith("ms_ssim")]
"""Those that do not pad a handful of voxels to a million."""


def evaluate(name, g, p, m=None) -> MetricValue:
    found = find(name).evaluate(CaseInputs(g, p, m), OPTIONS[name])
    low, high = find(name).range
    assert np.isfinite(found.value), (name, found)
    assert low <= found.value <= high, (name, found)
    assert found.status in ("ok", "both_empty", "ref_empty", "excluded", "invalid")
    assert (found.status == "ok") == (found.reason == "")
    if found.status == "invalid":
        assert found.value == find(name).worst
    return found


def pair(shape=(9, 10, 11), seed=0):
    rng = np.random.default_rng(seed)
    g = rng.integers(-900, 1200, shape).astype(np.int16)
    return g, (g + rng.integers(-90, 90, shape)).astype(np.int16)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_non_finite_inside_the_mask_takes_the_worst_value(name, bad):
    g, p = pair()
    p = p.astype(np.float64)
    p[4, 4, 4] = bad
    found = evaluate(name, g, p, np.ones(g.shape, bool))
    assert (found.value, found.status) == (find(name).worst, "invalid")
    assert found.reason.startswith("non_finite: 1 of 990")


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_outside_the_mask_does_not_matter(name):
    g, p = (a.astype(np.float32) for a in pair())
    m = np.zeros(g.shape, bool)
    m[3:7, 2:8, 1:9] = True
    clean = evaluate(name, g, p, m)
    for bad in (np.nan, np.inf, -np.inf, 3e38):
        dirty_g, dirty_p = np.where(m, g, bad), np.where(m, p, -bad)
        assert evaluate(name, dirty_g, dirty_p, m) == clean


@pytest.mark.parametrize("name", NAMES)
def test_faults_of_the_reference_side_are_data_errors(name):
    g, p = pair()
    broken = g.astype(float)
    broken[4, 4, 4] = np.nan
    for reference, mask in (
        (g, np.zeros(g.shape, bool)),
        (broken, None),
        (g, np.ones((2, 2, 2), bool)),
        ("text", None),
    ):
        with pytest.raises(DataError) as caught:
            find(name).evaluate(CaseInputs(reference, p, mask), OPTIONS[name])
        assert caught.value.code == "reference_invalid"


@pytest.mark.parametrize("name", NAMES)
def test_other_shapes_and_types_of_the_prediction_are_invalid(name):
    g, p = pair()
    assert evaluate(name, g, p[1:]).reason.startswith("geometry: the prediction has shape (8, 10, 11)")
    assert evaluate(name, g, p.astype(complex)).reason.startswith("not_numeric")
    assert evaluate(name, g, np.zeros((1, *g.shape))).reason.startswith("not_numeric")


IDENTICAL = {
    "mae": 0, "nmse": 0, "mae_air": 0, "mae_soft": 0, "mae_bone": 0, "psnr": 100, "psnr_windowed": 100,
    "ssim": 1, "ms_ssim": 1, "ms_ssim_wang": 1, "ssim_windowed": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_identity(name):
    g, _ = pair()
    assert evaluate(name, g, g.copy()).value == pytest.approx(IDENTICAL[name], abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint64", "float16", "float32", "float64", "bool"]
)
def test_every_type_gives_the_value_of_float64(name, dtype):
    """Unsigned numbers do not wrap, half floats do not overflow."""
    rng = np.random.default_rng(1)
    g, p = (rng.integers(0, 2 if dtype == "bool" else 120, (8, 9, 10)).astype(dtype) for _ in range(2))
    expected = evaluate(name, g.astype(float), p.astype(float))
    assert evaluate(name, g, p).value == pytest.approx(expected.value, rel=1e-7)
    assert evaluate(name, g, p.astype(float)).value == pytest.approx(expected.value, rel=1e-7)
    assert evaluate(name, g.astype(np.float32), p).status == expected.status


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_does_not_matter(name):
    g, p = pair()
    m = np.random.default_rng(2).random(g.shape) < 0.7
    expected = evaluate(name, g, p, m)
    strided = np.repeat(np.repeat(g, 2, axis=2), 3, axis=0)[::3, :, ::2]
    assert evaluate(name, np.asfortranarray(g), strided[:, :, :] + (p - g), np.asfortranarray(m)) == expected
    assert evaluate(name, strided, p[:, ::-1][:, ::-1], m[::-1][::-1]) == expected
    unaligned = np.frombuffer(b"x" + g.tobytes(), np.uint8)[1:].view(np.int16).reshape(g.shape)
    assert not unaligned.flags.writeable and not unaligned.flags.aligned
    assert evaluate(name, unaligned, np.frombuffer(p.tobytes(), np.int16).reshape(p.shape), m) == expected
    assert evaluate(name, g.astype(">i2"), p.astype(">f4"), m.astype(np.uint8)) == expected


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1, 9), (2, 3, 4), (6, 6, 6), (7, 7, 7), (1, 30, 1), (30, 2, 9), (5, 5), (12, 40)]
)
@pytest.mark.parametrize("kind", ["random", "constant", "zero", "huge"])
def test_any_size_and_content(name, shape, kind):
    g, p = pair(shape)
    if kind == "constant":
        g, p = np.full(shape, 40), np.full(shape, 41)
    elif kind == "zero":
        g, p = np.zeros(shape), np.zeros(shape)
    elif kind == "huge":
        g, p = g * 1e30, p * -1e33
    for m in (None, np.ones(shape, bool)):
        evaluate(name, g, p, m)
    single = np.zeros(shape, bool)
    single.flat[0] = True
    evaluate(name, g, p, single)


@pytest.mark.parametrize("name", ["ms_ssim", "ms_ssim_wang"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (5, 5)])
def test_multi_scale_of_tiny_images(name, shape):
    g, p = pair(shape)
    single = np.zeros(shape, bool)
    single.flat[-1] = True
    for m in (None, single):
        evaluate(name, g, p, m)
        assert evaluate(name, g, g, m).value == pytest.approx(1)


def test_two_dimensions_are_one_slice():
    g, p = pair((20, 24))
    for name in QUICK:
        assert evaluate(name, g, p) == evaluate(name, g[None], p[None])
    assert evaluate("ssim", g, p, None).value == pytest.approx(
        find("ssim_windowed").evaluate(CaseInputs(g, p), {"window": (-1024, 3000)}).value
    )


def test_a_mask_in_the_margin_is_scored_at_the_nearest_full_window():
    g, p = pair((12, 12, 12))
    corner = np.zeros(g.shape, bool)
    corner[0:2, 11, 5] = True
    images = [formulas.masked(a, corner, -1024, 3000) for a in (g, p)]
    _, full = structural_similarity(*images, data_range=4024, full=True)
    found = evaluate("ssim", g, p, corner)
    assert found.value == pytest.approx(full[3, 8, 5], rel=1e-7)
    assert found.value < 0.99999, "the window sees the difference"


def test_mirror_images_of_the_mask_are_not_scored():
    """Five slices are reflected to fill windows; the mask's two voxels stand for two places, not for their reflections."""
    g, p = pair((5, 12, 24))
    m = np.zeros(g.shape, bool)
    m[0, 0, 5] = m[2, 0, 15] = True
    spread = 4024.0
    x, y = (formulas.masked(a, m, -1024, 3000) for a in (g, p))
    luminance, _, _ = formulas.components(x, y, spread)
    ux, uy, uxx, uyy, uxy = (ndimage.uniform_filter(a, 7) for a in (x, y, x * x, y * y, x * y))
    c2 = (0.03 * spread) ** 2
    rest = (2 * 343 / 342 * (uxy - ux * uy) + c2) / (343 / 342 * (uxx - ux * ux + uyy - uy * uy) + c2)
    expected = np.mean([(luminance * rest)[place] for place in ((0, 3, 5), (2, 3, 15))])
    assert evaluate("ssim", g, p, m).value == pytest.approx(expected, rel=1e-8)


def test_nearly_identical_images_have_the_cap():
    g, _ = pair()
    g = g.astype(float)
    for name in ("psnr", "psnr_windowed"):
        assert evaluate(name, g, g + 1e-9).value == 100


def test_a_tissue_that_the_reference_lacks_is_excluded_for_all():
    g, p = np.full((4, 4, 4), 30.0), np.full((4, 4, 4), 900.0)
    for name in ("mae_air", "mae_bone"):
        assert evaluate(name, g, p).status == "excluded"
    assert evaluate("mae_soft", g, p).value == 870
    assert evaluate("mae_air", g, np.full((4, 4, 4), np.nan)).status == "invalid"


def test_a_reference_of_zeros():
    zeros, ones = np.zeros((4, 4, 4)), np.ones((4, 4, 4))
    assert evaluate("nmse", zeros, zeros).status == "both_empty"
    assert evaluate("nmse", zeros, ones) == MetricValue(
        1.0, "ref_empty", "reference_zero: the reference is 0 everywhere in the mask"
    )
    assert evaluate("nmse", ones, zeros).value == 1.0


VOLUMES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=12).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=st.floats(-2000, 4000, width=32)),
        hnp.arrays(np.float32, shape, elements=st.floats(-2000, 4000, width=32)),
        hnp.arrays(np.bool_, shape),
    )
)


@settings(max_examples=60, deadline=None)
@given(VOLUMES)
def test_bounds_symmetry_and_identity(volumes):
    g, p, m = volumes
    m.flat[m.size // 2] = True
    for name in QUICK:
        found = evaluate(name, g, p, m)
        if name in ("mae", "psnr", "ssim", "psnr_windowed", "ssim_windowed"):
            assert evaluate(name, p, g, m).value == pytest.approx(found.value, rel=1e-9, abs=1e-9)
            assert evaluate(name, g, g, m).value == pytest.approx(IDENTICAL[name], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(VOLUMES, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_flips_and_axis_swaps(volumes, order, flips):
    g, p, m = (a if a.ndim == 3 else a[None] for a in volumes)
    m.flat[0] = True
    turned = [a[tuple(slice(None, None, -1 if f else 1) for f in flips)].transpose(order) for a in (g, p, m)]
    for name in ("mae", "psnr", "nmse", "ssim", "mae_soft"):
        assert evaluate(name, *turned).value == pytest.approx(evaluate(name, g, p, m).value, rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.tuples(*[st.integers(0, 5)] * 6))
def test_more_of_what_is_outside_the_mask_changes_nothing(seed, margins):
    """For SSIM where the mask keeps 3 voxels from the border, so that the crop takes none of it."""
    g, p = (a.astype(float) for a in pair((11, 12, 13), seed))
    m = np.zeros(g.shape, bool)
    m[3:-3, 3:-3, 3:-3] = np.random.default_rng(seed).random((5, 6, 7)) < 0.7
    m[5, 5, 5] = True
    widths = list(zip(margins[::2], margins[1::2], strict=True))
    wide = [np.pad(a, widths, constant_values=fill) for a, fill in ((g, 77), (p, np.nan), (m, False))]
    for name in ("mae", "psnr", "nmse", "ssim", "mae_soft"):
        assert evaluate(name, *wide).value == pytest.approx(evaluate(name, g, p, m).value, rel=1e-9)


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_multi_scale_does_not_know_the_axes_apart(order):
    g, p = pair((30, 20, 25))
    m = np.random.default_rng(0).random(g.shape) < 0.8
    for name in ("ms_ssim", "ms_ssim_wang"):
        found = evaluate(name, *(a.transpose(order) for a in (g, p, m)))
        assert found.value == pytest.approx(evaluate(name, g, p, m).value, rel=1e-7)


def test_the_worse_image_has_the_worse_value():
    rng = np.random.default_rng(0)
    g = rng.normal(0, 200, (20, 20, 20))
    noise = rng.normal(0, 1, g.shape)
    for name in NAMES:
        values = [evaluate(name, g, g + s * noise).value for s in (5, 20, 80)]
        assert values == sorted(values, reverse=find(name).direction == "higher"), name
