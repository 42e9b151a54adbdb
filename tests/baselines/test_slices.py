"""What the networks see, against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from baselines import slices
from baselines.config import Config
from baselines.editions import Example
from baselines.patches import Sampler
from baselines.sections import Data, Training
from benchmark.image import Volume

HU = Data(input="ct", normalisation="hu", centre=40, scale=200, clip=(-1000, 1000))
MR = Data(input="mr", body="body", normalisation="mr_percentile", percentiles=(0, 100), scale=1000, outside=-1000)


def test_neighbours_repeat_the_last_slice() -> None:
    assert slices.neighbours(4, 3).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert slices.neighbours(1, 5).tolist() == [[0, 0, 0, 0, 0]]


def test_hu_becomes_units_and_back() -> None:
    array = np.array([[[40, 240, -160, 5000, np.nan]]], np.float32)
    units = slices.normalise({"ct": Volume(array)}, HU)
    np.testing.assert_allclose(units, [[[0, 1, -1, 4.8, -0.2]]], rtol=1e-6)
    np.testing.assert_allclose(slices.to_hu(units, HU), [[[40, 240, -160, 1000, 0]]], atol=1e-3)


def test_mr_percentiles_are_those_of_the_body_and_outside_is_dark() -> None:
    array = np.array([[[10, 20, 30, 999]]], np.float32)
    body = np.array([[[1, 1, 1, 0]]], np.uint8)
    units = slices.normalise({"mr": Volume(array), "body": Volume(body)}, MR)
    np.testing.assert_allclose(units, [[[-1, 0, 1, -1]]])


@pytest.mark.parametrize("gain", [0.01, 1.0, 300.0])
def test_mr_normalisation_does_not_see_the_scale_of_the_scanner(gain: float) -> None:
    rng = np.random.default_rng(0)
    array = rng.gamma(2.0, 1.0, (4, 8, 8)).astype(np.float32)
    body = Volume(np.ones(array.shape, np.uint8))
    data = MR.model_copy(update={"percentiles": (1.0, 99.0)})
    one = slices.normalise({"mr": Volume(array), "body": body}, data)
    other = slices.normalise({"mr": Volume(array * np.float32(gain)), "body": body}, data)
    np.testing.assert_allclose(one, other, atol=2e-4)


def test_an_empty_body_is_taken_for_everywhere() -> None:
    array = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    units = slices.normalise({"mr": Volume(array), "body": Volume(np.zeros(array.shape, np.uint8))}, MR)
    assert units.min() == -1 and units.max() == 1


def test_finish_limits_rounds_and_fills_outside() -> None:
    hu = np.array([[[-5000.0, 0.6, 9000.0, 7.0]]])
    body = Volume(np.array([[[1, 1, 1, 0]]], np.uint8))
    out = slices.finish(hu, {"mr": body, "body": body}, MR)
    assert out.dtype == np.int16
    assert out.tolist() == [[[-1024, 1, 3071, -1000]]]


def test_batches_cover_each_slice_once_and_pad_to_sixteen() -> None:
    volume = np.random.default_rng(0).normal(size=(5, 20, 33)).astype(np.float32)
    seen = []
    for chosen, stack in slices.batches(volume, 3, pixels=2 * 32 * 48):
        assert stack.shape[1:] == (3, 32, 48)
        np.testing.assert_array_equal(stack[:, 1, :20, :33], volume[chosen])
        np.testing.assert_array_equal(stack[:, 1, 20:, :33], np.repeat(volume[chosen][:, 19:20], 12, axis=1))
        seen += list(range(5))[chosen]
    assert seen == [0, 1, 2, 3, 4]


def sampler(shape: tuple[int, int, int], **training: object) -> tuple[Sampler, Example]:
    rng = np.random.default_rng(1)
    array = rng.normal(scale=100, size=shape).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[1, 2:9, 3:8] = True
    example = Example("phantom", "c", {"ct": Volume(array)}, array + 7, mask)
    settings = Training.model_validate({"steps": 1, "batch": 6, "patch": 16, **training})
    about = {"title": "t", "description": "d", "citation": "c"}
    config = Config(method=about, data=HU, training=settings)
    return Sampler([example], config, seed=3), example


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    one, _ = sampler((3, 40, 40))
    other, _ = sampler((3, 40, 40))
    other.batch(0)
    np.testing.assert_array_equal(one.batch(5).stack, other.batch(5).stack)
    assert not np.array_equal(one.batch(5).stack, one.batch(6).stack)


@pytest.mark.parametrize("shape", [(3, 40, 40), (3, 12, 40), (2, 12, 10)])
@pytest.mark.parametrize("flips", [(), ("rows", "columns")])
def test_input_reference_and_weight_stay_together(shape: tuple[int, int, int], flips: tuple[str, ...]) -> None:
    """The reference is the input plus 7 HU, so any patch that is shifted or mirrored on one side alone shows."""
    drawn, _ = sampler(shape, flips=flips)
    for step in range(5):
        batch = drawn.batch(step)
        assert batch.stack.shape == (6, 3, 16, 16)
        assert batch.target.shape == batch.weight.shape == (6, 1, 16, 16)
        assert (batch.weight.sum(axis=(1, 2, 3)) > 0).all()
        difference = (batch.target[:, 0] - batch.stack[:, 1]) * batch.weight[:, 0]
        np.testing.assert_allclose(difference, 7 / 200 * batch.weight[:, 0], atol=1e-5)


def test_flips_happen() -> None:
    still, _ = sampler((3, 16, 16), flips=())
    flipped, _ = sampler((3, 16, 16), flips=("rows", "columns"))
    images = {still.batch(step).stack[i].tobytes() for step in range(4) for i in range(6)}
    mirrored = {flipped.batch(step).stack[i].tobytes() for step in range(4) for i in range(6)}
    assert len(images) == 1 and len(mirrored) == 4
