"""The viewer's data: what the browser unpacks are the values that were scored, the right way up."""

from __future__ import annotations

import base64
import itertools
import json
import re
import zlib

import boards
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from benchmark.image import Volume
from leaderboard import pages, viewer


def unpack(script: bytes) -> tuple[str, np.ndarray]:
    """As static/viewer.js does it."""
    match = re.fullmatch(r"radbench\.receive\((\".*?\"), (\{.*\})\);\n", script.decode())
    assert match
    record = json.loads(match[2])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(record["data"])), np.uint8).astype(int)
    n = len(planes) // 2
    steps = (planes[:n] + 256 * planes[n:]).reshape(record["shape"])
    return json.loads(match[1]), record["low"] + record["step"] * (np.cumsum(steps, axis=2) % 65536)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_whole_numbers_come_back_exactly(array: np.ndarray) -> None:
    if np.ptp(array.astype(int)) > 65535:
        return
    key, values = unpack(viewer.packed("case/x", array, 1.0))
    assert key == "case/x" and (values == array).all()


def test_fractions_come_back_within_half_a_step() -> None:
    array = np.random.default_rng(0).normal(3, 0.2, (3, 4, 5)).astype(np.float32)
    step = viewer.step_of(array, "")
    _, values = unpack(viewer.packed("k", array, step))
    assert np.abs(values - array).max() <= step / 2 * 1.001 and step < 1e-3 * np.ptp(array)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([1.0, -1.0], repeat=3)))
def test_however_it_is_stored_it_is_shown_the_same_way_up(order: tuple[int, ...], flips: tuple[float, ...]) -> None:
    """A value that names its place: in the viewer z grows to the head, y to the back, x to the left."""
    z, y, x = np.meshgrid(range(3), range(4), range(5), indexing="ij")
    upright = Volume((100 * z + 10 * y + x).astype(np.int16), (3.0, 2.0, 1.0))
    array, direction, origin = upright.array, upright.direction.copy(), np.zeros(3)
    for axis, flip in enumerate(flips):
        if flip < 0:
            origin = origin + direction[:, axis] * upright.spacing[axis] * (array.shape[axis] - 1)
            array, direction = np.flip(array, axis), direction * np.where(np.arange(3) == axis, -1, 1)
    stored = Volume(
        array.transpose(order), tuple(upright.spacing[a] for a in order), tuple(origin), direction[:, list(order)]
    )
    grid = viewer.grid_of(stored)
    assert (grid.lay(stored.array) == upright.array).all()
    assert grid.spacing == upright.spacing
    index = int(np.argmax(stored.array.shape))  # any slice along the first stored axis is found again
    for k in range(stored.array.shape[0]):
        axis = grid.order.index(0)
        shown = np.take(grid.lay(stored.array), grid.slice_of(k, stored.array.shape[0]), axis=axis)
        assert set(np.unique(shown)) == set(np.unique(stored.array[k])), index


def test_a_large_volume_is_thinned_and_says_so() -> None:
    volume = Volume(np.zeros((10, 700, 330), np.int16), (2.0, 0.5, 0.5), (1.0, 0.0, 0.0))
    grid = viewer.grid_of(volume)
    assert grid.step == (1, 3, 2) and grid.spacing == (2.0, 1.5, 1.0)
    shape = grid.lay(volume.array).shape
    assert shape[1] <= viewer.IN_PLANE and shape[2] <= viewer.IN_PLANE


def test_an_input_on_another_grid_is_brought_to_the_reference() -> None:
    z, y, x = np.meshgrid(range(8), range(8), range(8), indexing="ij")
    fine = Volume((2.0 * z + 3 * y + 5 * x).astype(np.float32))
    coarse = Volume(np.zeros((3, 3, 3), np.float32), (2.0, 2.0, 2.0), (1.0, 1.0, 0.5))  # origin in x, y, z
    shown = viewer.on_grid(fine, coarse)
    for index in itertools.product(range(3), repeat=3):
        px, py, pz = coarse.point(index)
        assert shown[index] == pytest.approx(2 * pz + 3 * py + 5 * px, abs=1e-3)


def test_scripts_hold_what_was_predicted_and_nothing_of_sealed_cases() -> None:
    data = boards.heads(canaries=1, shape=(6, 10, 10))
    snapshot = pages.build([data])
    scripts = {p: c for p, c in snapshot.assets.items() if p.endswith(".js") and "/cases/" in p}
    assert {p.split("/")[3] for p in scripts} == {"canary-1"}
    _, values = unpack(scripts["tasks/mri_to_ct/cases/canary-1/p-unet.js"])
    prediction = data.canary[0].predictions["unet"]()
    assert prediction is not None
    assert np.abs(values - prediction.array).max() <= 0.5
    assert not any("p-water" in p for p in scripts), "a failed case has no picture"
    sealed = {case.id for case in data.cases}
    texts = {p: c.decode() for p, c in snapshot.assets.items() if p.endswith((".js", ".csv", ".json"))}
    for path, text in {**snapshot.pages, **texts}.items():
        assert not any(re.search(rf"(?<![\w-]){id}(?![\w-])", text) for id in sealed), path
