"""The declared set metrics: case by case to features, and from features to a value that is always a number in its range."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from benchmark import metrics
from benchmark.errors import DataError, InfrastructureError
from benchmark.metrics import distribution, features, generation, perceptual
from benchmark.metrics.generation import FeaturePart
from benchmark.metrics.registry import CaseInputs, Metric

NAMES = [name for name, metric in metrics.REGISTRY.items() if metric.family == "distribution" and metric.level == "set"]


def parts_of(x: np.ndarray, y: np.ndarray, size: int = 1) -> list[FeaturePart]:
    return [FeaturePart(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def reduce(metric: Metric, parts: list[FeaturePart], weights: object = None, **options: object) -> metrics.MetricValue:
    assert metric.reduce is not None
    counts = np.ones(len(parts)) if weights is None else weights
    return metric.reduce(parts, counts, **{**metric.options, **options})


def image(seed: int, blur: float = 0.0, shape: tuple[int, ...] = (24, 24)) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return gaussian_filter(smooth / smooth.std(), blur) if blur else smooth / smooth.std()


def test_which_metrics_there_are() -> None:
    assert set(NAMES) == {
        "fid", "kid_inception", "fd_lite0", "kid_lite0", "fd_radiomics", "kid_radiomics",
        "precision_lite0", "recall_lite0", "density_lite0", "coverage_lite0",
    }  # fmt: skip
    assert [name for name in metrics.REGISTRY if "FID" in metrics.find(name).title] == ["fid"]
    for name in NAMES:
        metric = metrics.find(name)
        assert metric.interval == (not name.startswith(("fid", "fd_")))
        assert metric.range[0] <= metric.worst_value() <= metric.range[1]


def test_reduce_equals_the_functions() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 7)), rng.random((60, 7)) + 0.2
    parts = parts_of(x, y, 3)
    assert reduce(metrics.find("fd_lite0"), parts).value == pytest.approx(
        distribution.frechet_distance(x, y), rel=1e-12
    )
    assert reduce(metrics.find("kid_lite0"), parts).value == pytest.approx(distribution.kid(x, y, subsets=0), rel=1e-12)
    seeded = reduce(metrics.find("kid_lite0"), parts, subsets=20, subset_size=30, seed=3)
    assert seeded.value == distribution.kid(x, y, subsets=20, subset_size=30, seed=3)
    expected = distribution.prdc(x, y, 3)
    for field in ("precision", "recall", "density", "coverage"):
        assert reduce(metrics.find(f"{field}_lite0"), parts, k=3).value == pytest.approx(getattr(expected, field))
    mean, scale = x.mean(0), x.std(0)
    scaled = distribution.frechet_distance((x - mean) / scale, (y - mean) / scale)
    assert reduce(metrics.find("fd_radiomics"), parts).value == pytest.approx(scaled, rel=1e-12)


def test_case_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    parts = parts_of(rng.random((20, 4)), rng.random((20, 4)), 2)
    weights = np.array([3, 0, 1, 1, 0, 2, 1, 1, 0, 1])
    repeated = [part for part, w in zip(parts, weights, strict=True) for _ in range(w)]
    fd = metrics.find("fd_lite0")
    assert reduce(fd, parts, weights).value == pytest.approx(reduce(fd, repeated).value, rel=1e-10)
    only = np.eye(10)[4]
    for name in NAMES:
        value = reduce(metrics.find(name), parts, only)
        assert np.isfinite(value.value) and value.status == "ok"


def test_parts_survive_a_process_boundary_and_a_bootstrap_is_quick() -> None:
    rng = np.random.default_rng(2)
    parts = pickle.loads(pickle.dumps(parts_of(rng.random((300, 64)), rng.random((300, 64)), 3)))
    kid = metrics.find("kid_lite0")
    draws = [reduce(kid, parts, rng.multinomial(100, np.full(100, 0.01))).value for _ in range(200)]
    assert np.std(draws) > 0
    assert np.quantile(draws, 0.005) <= reduce(kid, parts).value <= np.quantile(draws, 0.995)


def test_missing_outputs_stay_in_the_set_and_cost() -> None:
    metric = metrics.find("kid_radiomics")
    assert metric.collect is not None
    good = [metric.collect(CaseInputs(image(i), image(i + 100)), **metric.options) for i in range(12)]
    bad = [metric.collect(CaseInputs(image(i), None), **metric.options) for i in range(3)]
    broken = metric.collect(CaseInputs(image(3), np.full((24, 24), np.nan)), **metric.options)
    assert (bad[0].status, broken.status) == ("missing", "invalid") and broken.reason.startswith("non_finite: ")
    np.testing.assert_array_equal(bad[0].prediction, broken.prediction)
    with_bad = reduce(metric, [*bad, *good[3:]])
    assert with_bad.status == "ok" and "3 of 12" in with_bad.reason
    assert with_bad.value > reduce(metric, good).value
    for name in NAMES:
        declared = metrics.find(name)
        assert reduce(declared, bad) == (declared.worst, "missing", "no case has a usable output")
        assert reduce(declared, []).status == "missing"
        assert reduce(declared, good, np.zeros(12)).value == declared.worst


def test_radiomics_distance_grows_with_blur() -> None:
    metric = metrics.find("fd_radiomics")
    assert metric.collect is not None
    values = []
    for blur in (0.0, 1.0, 2.0, 4.0):
        parts = [metric.collect(CaseInputs(image(i), image(i + 50, blur)), **metric.options) for i in range(25)]
        values.append(reduce(metric, parts).value)
    assert values == sorted(values) and values[-1] > 1.5 * values[0]


def test_the_reference_side_is_computed_once_for_all_metrics_and_submissions(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = features.extractor("radiomics")

    def counting(slices: features.Slices) -> np.ndarray:
        calls.append(len(slices.images))
        return real(slices)

    monkeypatch.setattr(features, "extractor", lambda *_: counting)
    memo: dict[object, object] = {}
    for seed in (1, 2):
        inputs = CaseInputs(image(0), image(seed), reference_memo=memo)
        for name in ("fd_radiomics", "kid_radiomics"):
            metric = metrics.find(name)
            assert metric.collect is not None
            metric.collect(inputs, **metric.options)
    assert len(calls) == 3  # one reference, two predictions


@pytest.mark.parametrize("make", [
    lambda: np.zeros((1, 1)), lambda: np.zeros((3, 2, 2), np.uint8), lambda: np.full((5, 5), 7, np.int16),
    lambda: image(0, shape=(2, 9, 5)).astype(np.float16), lambda: image(0, shape=(40, 3)).astype(">f4"),
    lambda: np.asfortranarray(image(0, shape=(3, 6, 6))), lambda: image(0, shape=(12, 12))[::2, ::-3],
])  # fmt: skip
def test_every_shape_and_type_gives_a_number(make: object) -> None:
    array = make()  # type: ignore[operator]
    for name in ("fd_radiomics", "kid_radiomics"):
        metric = metrics.find(name)
        assert metric.collect is not None
        parts = [metric.collect(CaseInputs(array, array[::-1]), **metric.options)]
        value = reduce(metric, parts)
        assert metric.range[0] <= value.value <= metric.range[1] and value.status == "ok"


def test_a_constant_reference_feature_does_not_divide_by_zero() -> None:
    x, y = generation.standardise(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 7.0]]))
    np.testing.assert_allclose(x, [[-1, 0], [1, 0]])
    np.testing.assert_allclose(y, [[0, 2]])


def test_unusable_references_and_options() -> None:
    metric = metrics.find("fd_radiomics")
    assert metric.collect is not None
    with pytest.raises(DataError):
        metric.collect(CaseInputs(np.full((4, 4), np.nan), np.ones((4, 4))), **metric.options)
    with pytest.raises(DataError, match="no option 'windw'"):
        metric.check_options({"windw": [0, 1]})


def test_streamed_moments_give_the_distance_of_the_stacked_features() -> None:
    cuts = [[features.reference_slices(image(i + s)).reference for i in range(8)] for s in (0, 50)]
    extract = features.extractor("radiomics")
    streamed = [generation.stream_moments(iter(cut), "radiomics").gaussian() for cut in cuts]
    stacked = [np.concatenate([extract(batch) for batch in cut]) for cut in cuts]
    found = distribution.frechet_from_gaussians(*streamed[0], *streamed[1])
    assert found == pytest.approx(distribution.frechet_distance(*stacked), rel=1e-6)


def lite0_or_skip() -> None:
    pytest.importorskip("torch", reason="NOT TESTED: torch is missing, install radbench[features]")
    try:
        features.extractor("lite0")
    except InfrastructureError as error:
        pytest.skip(f"NOT TESTED: {error.sentence}")


def test_lite0_metrics_on_images_order_the_damage() -> None:
    lite0_or_skip()
    metric = metrics.find("kid_lite0")
    assert metric.collect is not None
    options = {**metric.options, "window": (-3.0, 3.0)}
    values = []
    for blur in (0.0, 0.8, 2.0):
        parts = [metric.collect(CaseInputs(image(i), image(i + 50, blur)), **options) for i in range(12)]
        values.append(reduce(metric, parts).value)
    assert abs(values[0]) < 0.3 * values[1] < 0.3 * values[2]
    assert parts[0].reference.shape == (1, 1280)


def test_lpips_lite0() -> None:
    lite0_or_skip()
    metric = metrics.find("lpips_lite0")
    clean = image(0, shape=(2, 32, 32))
    same = metric.evaluate(CaseInputs(clean, clean))
    assert same == (0.0, "ok", "")
    noise = np.random.default_rng(1).normal(size=clean.shape)
    values = [metric.evaluate(CaseInputs(clean, clean + s * noise)).value for s in (0.02, 0.1, 0.5)]
    assert 0 < values[0] < values[1] < values[2] < metric.range[1]
    scaled = metric.evaluate(CaseInputs(100 * clean - 7, 100 * (clean + 0.1 * noise) - 7)).value
    assert scaled == pytest.approx(values[1], rel=1e-3)  # the window follows the reference
    swapped = metric.evaluate(CaseInputs(clean + 0.1 * noise, clean), {"window": (-3, 3)}).value
    assert swapped == pytest.approx(
        metric.evaluate(CaseInputs(clean, clean + 0.1 * noise), {"window": (-3, 3)}).value, rel=1e-4
    )
    for bad, status in ((None, "missing"), (np.full(clean.shape, np.nan), "invalid"), (clean[:1], "invalid")):
        found = metric.evaluate(CaseInputs(clean, bad))
        assert (found.value, found.status) == (perceptual.WORST, status) and found.reason
    constant = metric.evaluate(CaseInputs(np.full((8, 8), 5), np.full((8, 8), 5)))
    assert constant.value == 0.0


def test_map_distance_by_hand() -> None:
    torch = pytest.importorskip("torch")
    a = torch.tensor([[[[3.0, 0.0]], [[4.0, 0.0]]]])  # unit vectors (.6, .8) and nothing
    b = torch.tensor([[[[0.0, 0.0]], [[2.0, 0.0]]]])  # (0, 1) and nothing
    assert perceptual.map_distance(a, b).tolist() == pytest.approx([(0.36 + 0.04) / 2])
