"""Baselines whose output is labels from several images: numbers worked by hand, tiny trainings, and images that are absent."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines import catalogue, config, entry, prediction, slices, slicewise, training
from baselines.classical import regions
from baselines.editions import Example
from baselines.gan.train import LabelGame
from baselines.optimisation import Batch, _Loop, labelling
from baselines.patches import Sampler
from baselines.sections import Data, Loss
from baselines.vae.regularised import RegularisedSegmenter
from benchmark import dataset, image, tasks
from benchmark.contract import Task
from benchmark.dataset import Edition
from benchmark.errors import UsageError
from benchmark.image import Volume

CPU = torch.device("cpu")
TWO = Data(input="b", channels=("a", "b"), labels=(0, 1, 4), normalisation="mr_quartile", scale=1)


@pytest.fixture(scope="session")
def brains(data_folder: Path) -> tuple[Task, Edition]:
    """Tumours on 24 × 32 × 32 voxels."""
    folder = tasks.find("segmentation")
    plan = folder.maker("phantom")(size=32, cases={"train": 2, "val": 1, "canary": 0, "test": 1})
    return folder.task, dataset.prepare(data_folder, folder.task, plan, workers=1)


def small(name: str, folder: Path) -> catalogue.Baseline:
    """The shipped configuration with a tiny network and few steps."""
    baseline = catalogue.find("segmentation", name)
    text = baseline.config.read_text("utf-8")
    for old, new in (
        ("features = [8, 16, 32, 64, 64, 8]", "features = [8, 8, 8, 8, 8, 8]"),
        ("steps = 700", "steps = 3"),
        ("batch = 16", "batch = 2"),
        ("patch = 64", "patch = 32"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = folder / baseline.family / "segmentation.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    return dataclasses.replace(baseline, config=path, weights=path.with_suffix(".safetensors"))


# Numbers by hand


def test_quartiles_and_an_image_that_is_absent() -> None:
    values = np.array([[[0, 10, 20, 30, 40, 50]]], np.float32)  # above 0: quartiles 20, 30, 40
    found = slices.quartiles(Volume(values))
    np.testing.assert_allclose(found, [[[0, -2, -1, 0, 1, 2]]])
    both = slices.normalise({"b": Volume(values)}, TWO)
    assert both.shape == (1, 2, 1, 6)
    assert not both[:, 0].any() and np.array_equal(both[:, 1], found)
    assert slices.quartiles(Volume(np.zeros((1, 2, 2)))).any() == np.False_


def test_slices_of_several_images_lie_side_by_side() -> None:
    volume = np.arange(3 * 2).reshape(3, 2, 1, 1).astype(np.float32)  # slice k has images 2k and 2k + 1
    stacks = [stack for _, stack in slices.batches(volume, 3, 16 * 16 * 9)]
    assert stacks[0].shape == (3, 6, 16, 16)
    assert stacks[0][:, :, 0, 0].tolist() == [[0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 4, 5]]


def test_labels_there_and_back() -> None:
    labels = np.array([[[0, 1, 4, 9]]])
    positions = slices.classes(labels, TWO)
    assert positions.tolist() == [[[0, 1, 2, 0]]]
    assert slices.to_labels(positions.astype(int), TWO).tolist() == [[[0, 1, 4, 0]]]


def test_labelling_loss_by_hand() -> None:
    target = torch.tensor([[[[0.0, 1.0], [2.0, 2.0]]]])
    weight = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    batch = Batch(torch.zeros(1, 2, 2, 2), target, weight)
    uniform = torch.zeros(1, 3, 2, 2)
    entropy = labelling(Loss(cross_entropy=1.0), (0, 1, 4), uniform, batch)
    assert entropy.item() == pytest.approx(np.log(3))
    # Region {1, 4}: found 2/3 at three pixels, wanted at two: 1 − (2·4/3 + 1)/(2 + 2 + 1).
    dice = labelling(Loss(dice=1.0, regions=((1, 4),)), (0, 1, 4), uniform, batch)
    assert dice.item() == pytest.approx(1 - (2 * 4 / 3 + 1) / 5)
    sure = torch.nn.functional.one_hot(target[:, 0].long(), 3).movedim(-1, 1).float() * 50
    perfect = labelling(Loss(cross_entropy=1.0, dice=1.0), (0, 1, 4), sure, batch)
    assert perfect.item() == pytest.approx(0, abs=1e-5)


def test_specks_are_dropped_by_volume() -> None:
    labels = np.zeros((4, 6, 6), np.int16)
    labels[0, 0, 0], labels[1, 1, 1] = 1, 4  # one part by its corner: 2 voxels
    labels[3, 4, 4] = 4
    settings = TWO.model_copy(update={"smallest_ml": 0.015})
    left = slices.without_specks(labels, (10.0, 1.0, 1.0), settings)  # 0.01 ml a voxel
    assert left[0, 0, 0] == 1 and left[1, 1, 1] == 4 and left[3, 4, 4] == 0
    assert np.array_equal(slices.without_specks(labels, (10.0, 1.0, 1.0), TWO), labels)


def test_regions_by_hand() -> None:
    picture = np.zeros((5, 7, 9), np.float32)
    picture[1:4, 1:6, 1:6] = 2
    picture[2, 3, 3] = 0  # a hole
    picture[2, 1, 8] = 3  # a brighter, smaller spot
    found = regions.bright_region(picture, 1.0, 0)
    assert found.sum() == 75 and found[2, 3, 3] and not found[2, 1, 8]
    assert not regions.bright_region(picture, 5.0, 0).any()
    shell = np.zeros((3, 7, 7), bool)
    shell[:, 1:6, 1:6] = True
    shell[:, 2:5, 2:5] = False
    within = np.ones(shell.shape, bool)
    within[:, 3, 3] = False
    core = regions.enclosed(shell, within)
    assert core[1].sum() == 8 and not (core & shell).any()
    levels = regions.best_level([picture], [picture > 2.5], [0.5, 2.2, 4.0])
    assert levels == 2.2
    assert regions.dice(np.zeros(3, bool), np.zeros(3, bool)) == 1.0


def test_patches_of_the_foreground_hold_some(tmp_path: Path) -> None:
    chosen = config.load(catalogue.find("segmentation", "unet").config, "unet")
    assert chosen.training is not None
    shape = (20, 40, 40)
    labels = np.zeros(shape, np.float32)
    labels[7, 30, 5] = 3
    inputs = {name: Volume(np.ones(shape, np.float32)) for name in chosen.data.channels}
    example = Example("e", "c", inputs, labels, np.ones(shape, bool))
    settings = chosen.training.model_copy(update={"patch": 16, "batch": 12, "foreground": 1.0})
    batch = Sampler([example], chosen.model_copy(update={"training": settings}), 0).batch(0)
    assert batch.stack.shape == (12, 12, 16, 16) and batch.target.shape == (12, 1, 16, 16)
    assert (batch.target == 3).sum(axis=(1, 2, 3)).tolist() == [1] * 12
    never = settings.model_copy(update={"foreground": 0.0})
    rare = Sampler([example], chosen.model_copy(update={"training": never}), 0).batch(0)
    assert (rare.target == 3).sum() < 6


# Settings that cannot be


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('input = "t2f"', 'input = "pd"', r"channels: found .*expected 'pd' among them"),
        ("labels = [0, 1, 2, 3]", "labels = [1, 2, 3]", r"labels: found \[1, 2, 3\]"),
        ('normalisation = "mr_quartile"', 'normalisation = "hu"', r"channels, labels: expected normalisation"),
        ("cross_entropy = 1\ndice = 1", "l1 = 1", r"loss: expected cross_entropy or dice"),
        ("regions = [[1, 2, 3]", "regions = [[1, 2, 7]", r"loss\.regions: expected labels among"),
        ("foreground = 0.5", "foreground = 2", r"training\.foreground"),
    ],
)
def test_wrong_settings(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = catalogue.find("segmentation", "unet").config.read_text("utf-8")
    assert old in text
    path = tmp_path / "segmentation.toml"
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(UsageError, match=message):
        config.load(path, "unet")


# Trainings and predictions


@pytest.mark.parametrize("name", ["unet", "gan", "vae"])
def test_tiny_trainings_give_labels(name: str, brains: tuple[Task, Edition], tmp_path: Path) -> None:
    task, edition = brains
    report = training.train(task, [edition], small(name, tmp_path / "s"), tmp_path / "out", device="cpu")
    assert set(report.figures["phantom-32"]) == {metric.id for metric in task.metrics}
    again = training.train(task, [edition], small(name, tmp_path / "t"), tmp_path / "again", device="cpu")
    assert again.weights_sha256 == report.weights_sha256
    case = edition.split("val")[0].id
    inputs = {slug: edition.read_input(task.input(slug), case) for slug in prediction.needed(report.baseline)}
    found = prediction.load(report.baseline, device="cpu")(inputs).content
    assert found.shape == (24, 32, 32) and set(np.unique(found)) <= {0, 1, 2, 3}
    assert not found[inputs["t1c"].array == 0].any()
    assert "whole HU" not in (tmp_path / "out" / "segmentation.md").read_text("utf-8")


def test_thresholds_find_the_tumour_and_say_nothing_without_flair(brains: tuple[Task, Edition], tmp_path: Path) -> None:
    task, edition = brains
    report = training.train(task, [edition], catalogue.find("segmentation", "classical"), tmp_path / "out")
    assert report.figures["phantom-32"]["dice_wt"] > 0.3
    assert report.steps == 6  # three smoothings, two openings
    predictor = prediction.load(report.baseline)
    case = edition.split("val")[0].id
    inputs = {slug: edition.read_input(task.input(slug), case) for slug in prediction.needed(report.baseline)}
    assert (predictor(inputs).content > 0).any()
    assert not predictor({"t1c": inputs["t1c"]}).content.any()


def test_each_player_of_the_label_game_learns(tmp_path: Path) -> None:
    chosen = config.load(small("gan", tmp_path).config, "gan")
    assert chosen.training is not None
    torch.manual_seed(0)
    game = LabelGame(chosen)
    before = {name: {k: v.clone() for k, v in p.module.state_dict().items()} for name, p in game.players.items()}
    rng = torch.Generator().manual_seed(1)
    batch = Batch(
        torch.randn(2, 12, 32, 32, generator=rng),
        torch.randint(0, 4, (2, 1, 32, 32), generator=rng).float(),
        torch.ones(2, 1, 32, 32),
    )
    loop = _Loop(game, chosen.training, CPU)
    numbers = [loop.step(batch) for _ in range(3)]
    for name, player in game.players.items():
        assert all(not torch.equal(v, before[name][k]) for k, v in player.module.named_parameters()), name
    assert {"loss", "adversarial", "loss_critic"} <= set(numbers[0])
    # The critic sees images through labels: where there is background alone, it sees nothing.
    nothing = torch.zeros(2, 4, 32, 32)
    nothing[:, 0] = 1
    other = Batch(batch.stack + 3, batch.target, batch.weight)
    torch.testing.assert_close(game._judge(batch, nothing), game._judge(other, nothing))


def test_the_vae_branch_gives_the_input_back_and_leaves_the_scores_alone(tmp_path: Path) -> None:
    chosen = config.load(small("vae", tmp_path).config, "vae")
    torch.manual_seed(0)
    model = RegularisedSegmenter(chosen)
    stack = torch.randn(2, 12, 64, 32)
    scores, again, field = model.both(stack)
    assert again.shape == stack.shape and field.mean.shape == (2, 8, 4, 2)
    torch.testing.assert_close(model(stack), scores)
    again.square().mean().backward()
    assert model.body.conv_0.conv_0.conv.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert not model.body.down_4._forward_hooks


def test_background_is_where_every_image_is_dark(tmp_path: Path) -> None:
    chosen = config.load(small("unet", tmp_path).config, "unet")
    inputs = {name: Volume(np.zeros((3, 20, 18), np.int16), (10.0, 5.0, 5.0)) for name in chosen.data.channels}
    inputs["t1c"].array[:, 5:9, 5:9] = 100

    def always_three(stack: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(stack), 4, *stack.shape[-2:])
        out[:, 3] = 1
        return out

    found = slicewise.label(always_three, inputs, chosen, CPU)
    assert found.shape == (3, 20, 18) and np.array_equal(found == 3, inputs["t1c"].array > 0)


def test_a_case_with_one_contrast_runs_and_one_with_none_is_refused(
    brains: tuple[Task, Edition], tmp_path: Path
) -> None:
    task, edition = brains
    report = training.train(task, [edition], small("unet", tmp_path / "s"), tmp_path / "out", device="cpu")
    predictor = prediction.load(report.baseline, device="cpu")
    source = tmp_path / "input"
    picture = edition.read_input(task.input("t1c"), edition.split("val")[0].id)
    (source / "images/t1c").mkdir(parents=True)
    image.write(source / "images/t1c/x.mha", picture)
    (written,) = prediction.run_case(predictor, report.baseline, task, source, tmp_path / "output")
    assert written == tmp_path / "output/images/segmentation/x.mha"
    assert image.read(written).array.shape == picture.array.shape
    lung = tmp_path / "lung"
    (lung / "images/ct").mkdir(parents=True)
    image.write(lung / "images/ct/x.mha", picture)
    with pytest.raises(UsageError, match="no input that this baseline knows") as caught:
        prediction.run_case(predictor, report.baseline, task, lung, tmp_path / "none")
    assert caught.value.code == "path"


def test_the_task_is_told_from_the_inputs_that_are_there(tmp_path: Path) -> None:
    for slugs, want in (
        (["t1n", "t1c", "t2w", "t2f"], "segmentation"),
        (["ct"], "segmentation"),
        (["low-dose-ct"], "denoising"),
    ):
        listed = [{"interface": {"slug": slug}} for slug in slugs]
        (tmp_path / "inputs.json").write_text(json.dumps(listed))
        assert entry.task_of(tmp_path, "unet") == want
    (tmp_path / "inputs.json").write_text(json.dumps([{"interface": {"slug": "t1c"}}, {"interface": {"slug": "mri"}}]))
    with pytest.raises(UsageError, match="belong to 0 tasks"):
        entry.task_of(tmp_path, "unet")
