"""Points as output: lungs, candidates, cubes, heat maps, marks and probabilities, on shapes whose answer is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage, special
from sklearn.linear_model import LogisticRegression

from baselines import catalogue, config, editions, prediction, training
from baselines.catalogue import Baseline
from baselines.detection import calibration, candidates, crops, heat, lungs, marks, network
from baselines.detection.batches import CropSampler
from baselines.sections import Detection
from benchmark import dataset, tasks, validation
from benchmark.contract import Task
from benchmark.dataset import Edition, sha256_of
from benchmark.errors import UsageError
from benchmark.image import Volume
from benchmark.metrics.points import match

Prepared = tuple[Task, Edition]
SETTINGS = Detection(scales_mm=(1.5, 2.1, 3.0, 4.2, 6.0), candidates=20)
SPACING = (3.0, 2.0, 2.0)
TURNED = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    """1 inside a ball, smoothed as a scanner does; centre as a voxel index, radius in mm."""
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    squared = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING, strict=True))
    return ndimage.gaussian_filter((squared < radius**2).astype(np.float32), 0.5)


def reference(*findings: tuple[list[float], float], irrelevant: tuple[tuple[list[float], float], ...] = ()) -> Any:
    entries = [[{"point": point, "diameter": d} for point, d in some] for some in (findings, irrelevant)]
    return {"type": "Multiple points", "points": entries[0], "irrelevant": entries[1]}


def chest() -> np.ndarray:
    """Two lungs in a body in air: (z, y, x)."""
    y, x = np.mgrid[:60, :90]
    body = ((y - 30) / 26) ** 2 + ((x - 45) / 42) ** 2 < 1
    left, right = (((y - 30) / 18) ** 2 + ((x - c) / 14) ** 2 < 1 for c in (25, 65))
    plane = np.where(left | right, -850.0, np.where(body, 40.0, -1000.0))
    return np.repeat(plane[None], 16, axis=0).astype(np.float32)


def test_the_lungs_are_found_with_what_lies_on_their_border() -> None:
    hu = chest()
    truth = hu == -850
    hu[:, 28:33, 11:15] = 40.0  # on the outer border of the left lung
    hu[6:9, 25:28, 60:63] = 40.0  # inside the right one
    found = lungs.mask(hu, SPACING)
    assert found[truth].mean() > 0.97
    assert found[hu == -1000].sum() == 0
    assert found[7, 26, 61]
    assert lungs.region(Volume(hu, SPACING), SETTINGS)[7, 28:33, 13:15].all()
    assert (found & ~truth).sum() < 0.02 * truth.sum()


def test_a_scan_without_lungs_keeps_its_marks() -> None:
    assert lungs.mask(np.zeros((4, 20, 20), np.float32), SPACING).all()
    assert lungs.mask(np.full((4, 20, 20), -1000, np.float32), SPACING).all()


def test_a_ball_comes_before_a_tube_and_its_place_is_exact() -> None:
    shape, centre = (24, 48, 48), (10.4, 20.25, 30.5)
    image = -850 + 850 * ball(shape, centre, 4.0)
    image[:, 38:40, 8:10] = 0  # a vessel along z
    found = candidates.find(image, SPACING, np.ones(shape, bool), SETTINGS)
    assert np.abs((found.index[0] - centre) * SPACING).max() < 0.7
    assert found.sigma[0] == pytest.approx(4.0 / 3**0.5, rel=0.4)
    assert (np.diff(found.roundness) <= 0).all()
    on_tube = np.hypot(found.index[:, 1] - 38.5, found.index[:, 2] - 8.5) < 2
    middle = on_tube & (found.index[:, 0] > 4) & (found.index[:, 0] < 19)
    assert (found.roundness[middle] < 0.2 * found.roundness[0]).all()


def test_curvatures_are_those_of_a_parabola() -> None:
    z, y, x = np.meshgrid(*(np.arange(9) * s for s in SPACING), indexing="ij")
    image = (-(z**2) - 2 * y**2 - 3 * x**2 + 0.5 * x * y).astype(np.float32)
    found = candidates.principal_curvatures(image, np.array([[4, 4, 4]]), np.array(SPACING))
    expected = np.linalg.eigvalsh([[-2, 0, 0], [0, -4, 0.5], [0, 0.5, -6]])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
    assert candidates.roundness(-found)[0] == pytest.approx(expected[2] ** 2 / -expected[0], rel=1e-4)


def test_nothing_is_found_where_there_is_nothing() -> None:
    flat = np.full((8, 20, 20), -800, np.float32)
    assert len(candidates.find(flat, SPACING, np.ones(flat.shape, bool), SETTINGS)) == 0
    assert len(candidates.find(flat, SPACING, np.zeros(flat.shape, bool), SETTINGS)) == 0


def test_neighbours_are_driven_off_by_the_stronger_one() -> None:
    points = np.array([[0.0, 0, 0], [0, 0, 3], [0, 0, 5], [0, 0, 9]])
    assert candidates.apart(points, 4.0) == [0, 2, 3]


def test_cubes_are_sampled_in_millimetres() -> None:
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip((20, 30, 30), SPACING, strict=True)), indexing="ij")
    volume = (z + 10 * y + 100 * x).astype(np.float32)
    index = np.array([[9.5, 14.0, 15.25]])
    (cube,) = crops.cut(volume, SPACING, index, 8, 1.5)
    offsets = (np.arange(8) - 3.5) * 1.5
    mm = index[0] * SPACING
    expected = (mm[0] + offsets)[:, None, None] + 10 * (mm[1] + offsets)[:, None] + 100 * (mm[2] + offsets)
    np.testing.assert_allclose(cube, expected, rtol=1e-5)


@pytest.mark.parametrize("direction", [np.eye(3)[::-1], TURNED])
def test_indices_and_places_are_inverse_also_on_a_turned_grid(direction: np.ndarray) -> None:
    grid = Volume(np.zeros((4, 5, 6)), SPACING, (10.0, -20.0, 5.0), direction)
    index = np.array([[1.5, 2.0, 3.25], [0, 0, 0]])
    places = marks.to_places(grid, index)
    np.testing.assert_allclose(places, [grid.point(i) for i in index])
    np.testing.assert_allclose(marks.to_index(grid, places), index, atol=1e-12)


def test_hits_near_misses_and_irrelevant_findings() -> None:
    truth = reference(([0.0, 0, 0], 6.0), irrelevant=(([50.0, 0, 0], 10.0),))
    places = np.array([[2.9, 0, 0], [3.0, 0, 0], [4.9, 0, 0], [5.1, 0, 0], [52.0, 0, 0], [90.0, 0, 0]])
    hit, counts = marks.judged(places, truth)
    assert hit.tolist() == [True, False, False, False, False, False]
    assert counts.tolist() == [True, False, False, True, False, True]
    for place, wanted in zip(places, hit, strict=True):
        scan = match(truth, {"points": [{"point": place.tolist(), "probability": 0.7}]})
        assert (scan.hits[0] == 0.7) == wanted


def test_peaks_of_the_heat_of_findings_are_the_findings() -> None:
    grid = Volume(np.zeros((20, 50, 50), np.float32), SPACING, (7.0, 8.0, -30.0))
    wanted = [grid.point(i) for i in ((5.0, 12.0, 30.0), (14.3, 40.4, 11.7))]
    small = grid.point((10.0, 25.0, 25.0))
    truth = reference((wanted[0].tolist(), 5.0), (wanted[1].tolist(), 14.0), irrelevant=((small.tolist(), 8.0),))
    warm, weight = heat.target(grid, truth, SETTINGS)
    assert warm.max() == pytest.approx(1.0) and warm.min() == 0
    assert weight[10, 25, 25] == 0 and weight[5, 12, 30] == 1
    squared = ((np.argwhere(weight == 0) - (10, 25, 25)) * SPACING) ** 2
    assert squared.sum(1).max() < 4.0**2
    index, height = heat.peaks(warm, SPACING, np.ones(warm.shape, bool), SETTINGS)
    found = marks.to_places(grid, index)
    for place in wanted:
        assert np.linalg.norm(found - place, axis=1).min() < 1.0
    assert len(index) == 2 and (height > 0.2).all()
    assert not len(heat.peaks(warm, SPACING, np.zeros(warm.shape, bool), SETTINGS)[0])


def test_marks_are_what_the_harness_takes(tmp_path: Path) -> None:
    grid = Volume(np.zeros((4, 5, 6)), SPACING)
    made = marks.to_points(grid, np.array([[1.0, 2, 3], [0, 0, 0]]), np.array([0.25, 0.75]))
    assert [p["probability"] for p in made["points"]] == [0.75, 0.25]
    assert made["points"][1]["point"] == [6.0, 4.0, 3.0]
    validation.check_points(json.loads(json.dumps(made)), "nodules.json")
    assert marks.to_points(grid, np.zeros((0, 3)), np.zeros(0))["points"] == []


def test_the_logistic_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 4))
    y = rng.random(400) < special.expit(x @ [1.0, -2.0, 0.0, 0.5] - 1)
    weight = rng.uniform(0.2, 2, 400)
    peer = LogisticRegression(C=1 / 2.5, tol=1e-8, max_iter=5000).fit(x, y, sample_weight=weight)
    found, intercept = calibration.logistic(x, y, weight, penalty=2.5)
    np.testing.assert_allclose(found, peer.coef_[0], atol=1e-3)
    assert intercept == pytest.approx(peer.intercept_[0], abs=1e-3)


def test_scaled_probabilities_mean_what_they_say_and_keep_the_order() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(-1, 2, 20000)
    hit = rng.random(20000) < special.expit(truth)
    scaling = calibration.platt(3 * truth + 4, hit)  # overconfident, and shifted
    assert scaling == pytest.approx((1 / 3, -4 / 3), abs=0.05)
    probability = calibration.apply(3 * truth + 4, scaling)
    assert probability.mean() == pytest.approx(hit.mean(), abs=0.005)
    assert (np.argsort(probability) == np.argsort(truth)).all()
    assert calibration.platt(truth, np.zeros(20000, bool)) == (1.0, 0.0)
    assert calibration.platt(truth, truth < 0)[0] > 0  # a detector that is wrong keeps its order all the same
    arrays, kept = calibration.split(calibration.join({"w": np.ones(2, np.float32)}, (2.0, -1.0)))
    assert (list(arrays), kept) == (["w"], (2.0, -1.0))
    assert calibration.split({})[1] == (1.0, 0.0)


@pytest.mark.parametrize("sharp", [True, False])
def test_the_decoder_goes_the_encoders_way_back(sharp: bool) -> None:
    features = (8, 8, 16)
    cubes = torch.zeros(2, 1, 16, 16, 16)
    numbers = network.Encoder(16, features, 5)(cubes)
    assert numbers.shape == (2, 5)
    assert network.Decoder(16, features, 5, sharp=sharp)(numbers).shape == cubes.shape
    with pytest.raises(ValueError, match="cannot be halved"):
        network.Encoder(12, features, 5)


# On phantoms


@pytest.fixture(scope="session")
def chests(data_folder: Path) -> Prepared:
    folder = tasks.find("nodule_detection")
    plan = folder.maker("phantom")(cases={"train": 4, "val": 3, "canary": 0, "test": 0})
    return folder.task, dataset.prepare(data_folder, folder.task, plan, workers=1)


def small(name: str, folder: Path, extra: Callable[[str], str] = lambda text: text) -> Baseline:
    """The shipped configuration with few steps, in a folder of its own."""
    baseline = catalogue.find("nodule_detection", name)
    lines = extra(baseline.config.read_text("utf-8")).splitlines()
    keys = {"steps": "steps = 3", "batch": "batch = 6", "candidates": "candidates = 30", "warm_up": "warm_up = 1"}
    text = "\n".join(keys.get(line.split(" = ")[0], line) for line in lines) + "\n"
    path = folder / baseline.family / baseline.config.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return dataclasses.replace(baseline, config=path, weights=path.with_suffix(".safetensors"))


@pytest.mark.parametrize("name", ["classical", "unet", "gan", "vae"])
def test_every_family_learns_to_find_points(name: str, chests: Prepared, tmp_path: Path) -> None:
    task, edition = chests
    baseline = small(name, tmp_path)
    report = training.train(task, [edition], baseline, tmp_path / "out", device="cpu")
    assert set(report.figures["phantom"]) == {metric.id for metric in task.metrics}
    assert np.isfinite(list(report.figures["phantom"].values())).all()
    made = report.baseline.weights
    assert made is not None and sha256_of(made) == report.weights_sha256
    predictor = prediction.load(report.baseline, device="cpu")
    case = edition.split("val")[0]
    written = prediction.run_case(predictor, report.baseline, task, edition.input_folder(case.id), tmp_path / "output")
    assert written == [tmp_path / "output" / "nodules.json"]
    content = json.loads(written[0].read_text("utf-8"))
    validation.check_points(content, "nodules.json")
    assert content == predictor({"chest-ct": edition.read_input(task.input("chest-ct"), case.id)}).content
    assert len(content["points"]) <= 60


@pytest.mark.slow
@pytest.mark.parametrize("purpose", ["features", "augmentation"])
def test_both_adversarial_games_are_deterministic(purpose: str, chests: Prepared, tmp_path: Path) -> None:
    task, edition = chests

    def with_purpose(text: str) -> str:
        lines = [line for line in text.splitlines() if not line.startswith(("purpose", "warm_up"))]
        place = lines.index("[critic]") + 1
        return "\n".join([*lines[:place], f'purpose = "{purpose}"', "warm_up = 1", *lines[place:]])

    baseline = small("gan", tmp_path, with_purpose)
    hashes = {
        training.train(task, [edition], baseline, tmp_path / name, device="cpu").weights_sha256 for name in ("a", "b")
    }
    assert len(hashes) == 1


def test_batches_of_cubes_hold_findings_and_look_alikes(chests: Prepared) -> None:
    task, edition = chests
    settings = config.load(catalogue.find(task.name, "vae").config, "vae")
    examples = list(editions.read(task, edition, "train", settings.data))
    sampler = CropSampler(examples, settings, seed=1)
    batch, again = sampler.batch(7), CropSampler(examples, settings, seed=1).batch(7)
    np.testing.assert_array_equal(batch.stack, again.stack)
    assert not np.array_equal(batch.stack, sampler.batch(8).stack)
    assert settings.training is not None and settings.detection is not None
    edge, count = settings.detection.crop, settings.training.batch
    assert batch.stack.shape == (count, 1, edge, edge, edge)
    assert batch.target.sum() == round(settings.training.foreground * count)
    # A finding is bright in the middle of its cube.
    middle = np.stack([sampler.batch(i).stack[:, 0, 7:9, 7:9, 7:9].mean((1, 2, 3)) for i in range(10)])
    target = np.stack([sampler.batch(i).target[:, 0] for i in range(10)])
    assert middle[target == 1].mean() > 0.3


def test_sections_of_a_detector_are_checked(tmp_path: Path) -> None:
    text = catalogue.find("nodule_detection", "vae").config.read_text("utf-8")
    path = tmp_path / "x.toml"
    path.write_text(text.replace("[latent]", "[critic]\nchannels = 8\n[latent]"), "utf-8")
    with pytest.raises(UsageError, match=r"section \[critic\] is not known"):
        config.load(path, "vae")
    path.write_text(text.replace("crop = 16", "crop = 12"), "utf-8")
    with pytest.raises(UsageError, match=r"detection\.crop"):
        config.load(path, "vae")
