"""The classical methods against cases worked by hand and images of known noise."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.classical import methods
from baselines.classical.predict import predictor
from baselines.config import Config
from baselines.sections import Data, Fit
from benchmark.errors import DataError
from benchmark.image import Volume

ABOUT = {"title": "t", "description": "d", "citation": "c"}


def test_depth_of_a_cube_is_the_distance_to_the_nearest_outside_voxel() -> None:
    body = np.zeros((5, 7, 7), bool)
    body[1:4, 1:6, 1:6] = True
    found = methods.depth(body, (3.0, 1.0, 1.0))
    assert found[2, 3, 3] == 3.0  # three rows or columns away, at 1 mm; two slices are 6 mm
    assert found[1, 1, 1] == 1.0
    assert found[0, 0, 0] == 0.0


def test_depth_counts_from_the_edge_of_the_volume() -> None:
    assert methods.depth(np.ones((3, 3, 3), bool), (1.0, 1.0, 1.0))[1, 1, 1] == 2.0


def test_table_by_hand() -> None:
    mr = np.array([-0.9, -0.9, 0.5, 0.5, 0.5, 0.5], np.float32)
    depth = np.array([1.0, 9.0, 1.0, 1.0, 1.0, 9.0], np.float32)
    hu = np.array([-800.0, 1000.0, 0.0, 10.0, 50.0, 40.0], np.float32)
    edges, layers = np.array([0.0], np.float32), np.array([0.0, 5.0], np.float32)
    cells = methods.table_cells(mr, depth, edges, layers)
    assert cells.tolist() == [0, 1, 2, 2, 2, 3]
    assert methods.fit_table(cells, hu, 4, "mean").tolist() == [-800, 1000, 20, 40]
    assert methods.fit_table(cells, hu, 4, "median").tolist() == [-800, 1000, 10, 40]


def test_an_empty_cell_takes_its_neighbours_value() -> None:
    filled = methods.fit_table(np.array([0, 0, 3]), np.array([1.0, 3.0, 9.0], np.float32), 5, "mean")
    assert filled[[0, 3, 4]].tolist() == [2, 9, 9]
    assert filled[1] == 2 and filled[2] == 9


@pytest.mark.parametrize("sigma", [2.0, 10.0, 40.0])
def test_noise_is_found_under_structure(sigma: float) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:200, :200]
    image = 3.0 * rows - 2.0 * columns + np.where(rows > 100, 80.0, 0.0)
    noisy = (image + rng.normal(scale=sigma, size=image.shape)).astype(np.float32)
    assert methods.noise(noisy, np.ones(image.shape, bool)) == pytest.approx(sigma, rel=0.04)


def test_noise_of_nothing_is_nothing() -> None:
    assert methods.noise(np.zeros((8, 8), np.float32), np.zeros((8, 8), bool)) == 0.0


@pytest.mark.parametrize(("method", "strength"), [("tv", 1.5), ("nlm", 2.0)])
def test_denoising_keeps_edges_and_removes_most_noise_at_any_dose(method: str, strength: float) -> None:
    rng = np.random.default_rng(1)
    clean = np.zeros((2, 64, 64), np.float32)
    clean[:, 16:48, 16:48] = 60.0
    clean[:, :, :6] = -1000.0
    for sigma in (8.0, 25.0):
        noisy = (clean + rng.normal(scale=sigma, size=clean.shape)).astype(np.float32)
        out = methods.denoise(method, noisy, strength)
        inside = np.s_[:, 20:44, 20:44]
        assert (out - clean)[inside].std() < 0.5 * sigma
        assert abs((out - clean)[inside].mean()) < 0.4 * sigma
        assert abs(out[:, :, :4].mean() + 1000) < sigma


def test_a_slice_is_denoised_on_its_own() -> None:
    rng = np.random.default_rng(2)
    ct = rng.normal(scale=20, size=(3, 32, 32)).astype(np.float32)
    np.testing.assert_array_equal(methods.denoise("nlm", ct, 2.0)[1:2], methods.denoise("nlm", ct[1:2], 2.0))


def settings(method: str, **fit: object) -> Config:
    data = Data(input="mr", body="body", normalisation="mr_percentile", scale=1000, outside=-1000)
    return Config(method=ABOUT, data=data, fit=Fit.model_validate({"method": method, **fit}))


def test_water_is_water_in_the_body_and_air_around_it() -> None:
    body = np.zeros((1, 2, 2), np.uint8)
    body[0, 0, 0] = 1
    inputs = {"mr": Volume(np.ones((1, 2, 2), np.float32)), "body": Volume(body)}
    out = predictor(settings("constant", value=0), {}, "cpu")(inputs)
    assert out.content.tolist() == [[[0, -1000], [-1000, -1000]]]


def test_parameters_of_another_method_are_refused() -> None:
    with pytest.raises(DataError, match="strength"):
        predictor(settings("constant"), {"strength": np.array([1.0])}, "cpu")
