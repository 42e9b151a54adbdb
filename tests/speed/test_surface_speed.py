"""Segmentation metrics beside MONAI and DeepMind's surface-distance, same masks, same run.

    pytest -o addopts= -s tests/speed/test_surface_speed.py

prints a line a comparison. Ours starts from label volumes with empty caches each time; the floor is to read both volumes once.
"""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from peers import compare
from scipy import ndimage

from benchmark.metrics import CaseInputs, find, multilabel

surface_distance = pytest.importorskip("surface_distance")
torch = pytest.importorskip("torch")
monai_metrics = pytest.importorskip("monai.metrics")
np.__dict__.setdefault("Inf", np.inf)  # surface-distance, released in 2018, names an alias that is gone since numpy 2
warnings.simplefilter("ignore")

SHAPE, SPACING = (256, 256, 128), (1.0, 1.0, 3.0)


def rough(seed: int, scale: float) -> np.ndarray:
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal(SHAPE, np.float32), [scale, scale, scale / 2]
    )
    return noise / noise.std()


@pytest.fixture(scope="module")
def organ():
    """Reference and prediction of one organ: 5 % of the volume, Dice 0.95."""
    axes = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    r = np.sqrt(sum(((a - n / 2) / (n * 0.22)) ** 2 for a, n in zip(axes, SHAPE, strict=True)))
    a = r < 1 + 0.06 * rough(0, 8)
    b = r < 1 + 0.06 * rough(0, 8) + 0.05 * rough(1, 4)
    assert 0.04 < a.mean() < 0.06 and 0.94 < 2 * (a & b).sum() / (a.sum() + b.sum()) < 0.96
    return a.astype(np.uint8), b.astype(np.uint8)


def ours(a, b, mode="voxel"):
    inputs = CaseInputs(a, b, None, SPACING)
    return [
        find("dice").evaluate(inputs).value,
        find("hd95").evaluate(inputs, {"mode": mode}).value,
        find("nsd").evaluate(inputs, {"mode": mode, "tolerance": 2.0}).value,
        find("assd").evaluate(inputs, {"mode": mode}).value,
    ]


def monai(a, b):
    one, two = (torch.from_numpy(m[None, None]) for m in (a, b))
    return [
        float(monai_metrics.compute_dice(two, one)),
        float(
            monai_metrics.compute_hausdorff_distance(two, one, include_background=True, percentile=95, spacing=SPACING)
        ),
        float(
            monai_metrics.compute_surface_dice(
                two, one, class_thresholds=[2.0], include_background=True, spacing=SPACING
            )
        ),
        float(
            monai_metrics.compute_average_surface_distance(
                two, one, include_background=True, symmetric=True, spacing=SPACING
            )
        ),
    ]


def deepmind(a, b):
    a, b = a.astype(bool), b.astype(bool)
    found = surface_distance.compute_surface_distances(a, b, SPACING)
    one, two = surface_distance.compute_average_surface_distance(found)
    return [
        surface_distance.compute_dice_coefficient(a, b),
        surface_distance.compute_robust_hausdorff(found, 95),
        surface_distance.compute_surface_dice_at_tolerance(found, 2.0),
        np.average([one, two], weights=[found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum()]),
    ]


SIZE = 2 * int(np.prod(SHAPE))


def test_one_organ_beside_monai(benchmark, organ):
    assert ours(*organ) == pytest.approx(monai(*organ), rel=1e-5)
    title = "Dice, HD95, NSD, ASSD of one organ (MONAI)"
    assert compare(benchmark, title, lambda: ours(*organ), lambda: monai(*organ), each=10, floor_bytes=SIZE) >= 60


def test_one_organ_beside_deepmind(benchmark, organ):
    title = "Dice, HD95, NSD, ASSD of one organ (DeepMind)"
    assert compare(benchmark, title, lambda: ours(*organ), lambda: deepmind(*organ), each=10, floor_bytes=SIZE) >= 10


def test_one_organ_in_surfel_mode(benchmark, organ):
    assert ours(*organ, "surfel") == pytest.approx(deepmind(*organ), rel=1e-9)
    title = "the same in surfel mode (DeepMind)"
    ratio = compare(
        benchmark, title, lambda: ours(*organ, "surfel"), lambda: deepmind(*organ), each=10, floor_bytes=SIZE
    )
    assert ratio >= 10


@pytest.mark.parametrize("peer", [monai, deepmind])
@pytest.mark.parametrize("kind", ["shifted 12", "shifted 40", "disjoint", "salt noise", "island", "identical", "speck"])
def test_never_slower_on_hard_masks(benchmark, organ, kind, peer):
    a, b = organ
    b = {
        "shifted 12": lambda: np.roll(a, 12, axis=0),
        "shifted 40": lambda: np.roll(a, 40, axis=1),
        "disjoint": lambda: np.roll(b, 125, axis=0),
        "salt noise": lambda: b | (np.random.default_rng(0).random(SHAPE) < 0.002),
        "island": lambda: np.maximum(b, np.pad(np.ones((3, 3, 3), np.uint8), [(4, n - 7) for n in SHAPE])),
        "identical": lambda: a,
        "speck": lambda: np.pad(np.ones((1, 1, 1), np.uint8), [(n // 2, n - n // 2 - 1) for n in SHAPE]),
    }[kind]()
    b = np.ascontiguousarray(b, np.uint8)
    title = f"{kind} ({peer.__name__})"
    assert compare(benchmark, title, lambda: ours(a, b), lambda: peer(a, b), peer_rounds=1, each=3) >= 1


def bodies(shape=(450, 350, 110)):
    """70 labels of different size side by side, and a prediction with rough borders."""
    a = np.zeros(shape, np.uint8)
    rng = np.random.default_rng(0)
    boxes = [(i, j, k) for i in range(7) for j in range(5) for k in range(2)]
    cell = np.array(shape) / (7, 5, 2)
    for label, place in enumerate(boxes, start=1):
        low = (np.array(place) * cell).astype(int)
        window = tuple(slice(s, s + int(n)) for s, n in zip(low, cell, strict=True))
        axes = np.ogrid[tuple(slice(0, int(n)) for n in cell)]
        radius = cell * rng.uniform(0.25, 0.48)
        inside = sum(((x - n / 2) / r) ** 2 for x, n, r in zip(axes, cell, radius, strict=True)) < 1
        a[window][inside[tuple(slice(0, n) for n in a[window].shape)]] = label
    b = np.roll(a, 2, axis=0)
    b[rng.random(shape) < 0.01] = 0
    return a, b


def test_seventy_labels_beside_monai(benchmark):
    a, b = bodies()
    classes, spacing = list(range(1, 71)), (1.5, 1.5, 3.0)
    some = [1, 24, 47]

    def all_labels():
        inputs = CaseInputs(a, b, None, spacing)
        return [find(f"multilabel_{name}").evaluate(inputs, {"classes": classes}).value for name in ("dice", "hd95")]

    def a_few_labels():
        found = []
        for c in some:
            one, two = (torch.from_numpy(m == c)[None, None] for m in (a, b))
            found.append(
                (
                    float(monai_metrics.compute_dice(two, one)),
                    float(monai_metrics.compute_hausdorff_distance(two, one, True, percentile=95, spacing=spacing)),
                )
            )
        return found

    sides = [multilabel.label_side(m, classes) for m in (a, b)]
    dice = multilabel.count_labels(*sides, 70).dice
    hd95 = multilabel.label_hd95(*sides, 70, spacing)
    np.testing.assert_allclose([(dice[c - 1], hd95[c - 1]) for c in some], a_few_labels(), rtol=1e-5)
    ratio = compare(
        benchmark,
        "Dice and HD95 of 70 labels in 450 x 350 x 110 (MONAI's loop, from 3 labels)",
        all_labels,
        a_few_labels,
        peer_rounds=1,
        each=3,
        times=70 / len(some),
        floor_bytes=2 * a.size,
    )
    assert ratio >= 50


MEMORY = """
from pathlib import Path
import numpy as np
from benchmark.metrics import CaseInputs, find, surface
rng = np.random.default_rng(0)
a, b = np.zeros({shape}, np.uint8), np.zeros({shape}, np.uint8)
for plane in b:  # plane by plane, so that making the masks leaves no peak behind
    plane[rng.random(plane.shape) < 0.002] = 1
a[60:180, 60:180, 40:100] = 1
b[69:189, 60:180, 40:100] = 1
names = ("dice", "hd95", "nsd", "assd")
usual = surface.TRANSFORM
for surface.TRANSFORM in (0.0, 1e9, usual):  # every search is compiled and imported
    small = CaseInputs(a[::8, ::8, ::8].copy(), b[::8, ::8, ::8].copy(), None, {spacing})
    for name in names:
        find(name).evaluate(small)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is in use
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
inputs = CaseInputs(a, b, None, {spacing})
for name in names:
    find(name).evaluate(inputs)
print(peak() - before)
"""


def test_peak_memory():
    """Growth of the peak on masks full of noise, where the search is at its widest: at most 3 times both volumes in float32."""
    code = MEMORY.format(shape=SHAPE, spacing=SPACING)
    grown = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) / 1024
    volumes = 2 * 4 * np.prod(SHAPE) / 2**20
    print(f"\npeak memory on noisy masks: {grown:.0f} MiB more, {grown / volumes:.2f} x both volumes in float32")
    assert 8 < grown <= 3 * volumes
