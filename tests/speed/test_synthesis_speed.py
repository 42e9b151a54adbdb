"""How fast the synthesis metrics are, beside what people use, in the same run and with the same values.

    pytest tests/speed/test_synthesis_speed.py --benchmark-disable-gc -s

prints a line a comparison: milliseconds of both, their ratio, and how far ours is from the floor, which is the time to
read both volumes once from memory. Rounds of both sides alternate, so that a busy machine slows both alike.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from scipy import ndimage
from skimage.metrics import structural_similarity

from benchmark.metrics import CaseInputs, find, structure

_path = Path(__file__).parents[1] / "metrics" / "synthesis_formulas.py"
_spec = importlib.util.spec_from_file_location("synthesis_formulas", _path)
assert _spec and _spec.loader
formulas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(formulas)

SHAPE = (128, 256, 256)
CLIP = (-1024.0, 3000.0)
PROFILE_2025 = (("mae", {}), ("psnr", {"profile": "synthrad2025"}), ("ms_ssim", {}))


@pytest.fixture(scope="module")
def case():
    """A CT of 128 × 256 × 256 with int16 reference and float32 prediction, and the mask of a head in it."""
    rng = np.random.default_rng(0)
    g = ndimage.gaussian_filter(rng.normal(size=SHAPE).astype(np.float32), 2) * 9000
    p = (g + rng.normal(size=SHAPE) * 40).astype(np.float32)
    axes = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    m = sum(((a - 0.5 * n) / (0.45 * n)) ** 2 for a, n in zip(axes, SHAPE, strict=True)) < 1
    found = CaseInputs(g.astype(np.int16), p, np.asarray(m))
    for name, options in (*PROFILE_2025, ("ssim", {})):
        find(name).evaluate(found, options)  # compiled, or read from the cache
    return CaseInputs(found.reference, found.prediction, found.mask)


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def compare(
    benchmark, title: str, ours: Callable[[], object], peer: Callable[[], object], peer_rounds: int, each: int
) -> float:
    """Ratio of the best times; `each` rounds of ours go with one of the peer's."""
    mine, theirs = [], []
    for _ in range(peer_rounds):
        mine += [milliseconds(ours) for _ in range(each)]
        theirs.append(milliseconds(peer))
    benchmark.pedantic(ours, rounds=each, iterations=1)
    best, other = min([*mine, 1e3 * benchmark.stats.stats.min]), min(theirs)
    a, b = np.ones(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    floor = min(milliseconds(lambda: a.sum() + b.sum()) for _ in range(5))
    benchmark.extra_info.update(peer_ms=other, ratio=other / best, floor_ms=floor)
    print(
        f"\n{title}: {best:.1f} ms, peer {other:.0f} ms, ratio {other / best:.1f}, {best / floor:.0f} x the floor of {floor:.1f} ms"
    )
    return other / best


def whole(case: CaseInputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float32 images on 0 … 4024 and a mask of everything: what the peers, which know no mask, can take."""
    g, p = (np.clip(a, *CLIP).astype(np.float32) - CLIP[0] for a in (case.reference, case.prediction))
    return np.ascontiguousarray(g, np.float32), np.ascontiguousarray(p, np.float32), np.ones(SHAPE, bool)


def test_ssim_against_skimage(benchmark, case):
    g, p, m = whole(case)
    ours = lambda: structure.ssim(g, p, m, (0.0, 4024.0))  # noqa: E731
    peer = lambda: structural_similarity(g, p, data_range=4024.0)  # noqa: E731
    assert ours() == pytest.approx(peer(), rel=1e-6)
    assert compare(benchmark, "SSIM, scikit-image", ours, peer, 3, 5) >= 15


def test_ssim_against_torchmetrics(benchmark, case):
    g, p, m = whole(case)
    a, b = (torch.from_numpy(x)[None, None] for x in (g, p))
    ours = lambda: structure.ssim(g, p, m, (0.0, 4024.0))  # noqa: E731
    # Its default window, Gaussian 11³: what a user gets. It is another number, since it also averages a padded border.
    peer = lambda: tm.image.structural_similarity_index_measure(b, a, data_range=4024.0)  # noqa: E731
    assert compare(benchmark, "SSIM, torchmetrics", ours, peer, 1, 8) >= 50


def test_2025_profile_against_the_published_formulation(benchmark, case):
    g, p, m = case.reference, case.prediction, case.mask

    def ours() -> list[float]:
        fresh = CaseInputs(g, p, m)
        return [find(name).evaluate(fresh, options).value for name, options in PROFILE_2025]

    def peer() -> list[float]:
        clip = (-1024, 3071)
        return [formulas.mae(g, p, m), formulas.psnr(g, p, m, *clip), formulas.ms_ssim(g, p, m, *clip)]

    assert ours() == pytest.approx(peer(), rel=1e-6)
    assert compare(benchmark, "MAE + PSNR + MS-SSIM, published formulation", ours, peer, 1, 6) >= 10


def test_2025_profile_with_the_reference_kept(benchmark, case):
    """What a second submission on the same case costs, against the first."""
    memo: dict = {}

    def ours() -> float:
        return (
            find("ms_ssim").evaluate(CaseInputs(case.reference, case.prediction, case.mask, reference_memo=memo)).value
        )

    def first() -> float:
        return find("ms_ssim").evaluate(CaseInputs(case.reference, case.prediction, case.mask)).value

    assert ours() == first()
    compare(benchmark, "MS-SSIM with the reference's pyramid kept, without", ours, first, 4, 2)


def test_errors_in_one_pass(benchmark, case):
    g, p, m = case.reference, case.prediction, case.mask

    def ours() -> list[float]:
        fresh = CaseInputs(g, p, m)
        return [find(name).evaluate(fresh).value for name in ("mae", "psnr", "nmse")]

    def peer() -> list[float]:
        a, b = g.astype(np.float64)[m], p.astype(np.float64)[m]
        return [np.abs(a - b).mean(), formulas.psnr(g, p, m, *CLIP), ((a - b) ** 2).sum() / (a * a).sum()]

    assert ours() == pytest.approx(peer(), rel=1e-9)
    assert compare(benchmark, "MAE + PSNR + NMSE, numpy and scikit-image", ours, peer, 3, 5) >= 3


MEMORY = """
import sys
import numpy as np
from benchmark.metrics import CaseInputs, find
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
def case(shape, dtype):
    rng = np.random.default_rng(0)
    g = rng.integers(-1000, 2000, shape, dtype=np.int16).astype(dtype)
    return CaseInputs(g, g + dtype(40), np.ones(shape, bool))
metrics = (("mae", {}), ("psnr", {}), ("nmse", {}), ("mae_bone", {}), ("ssim", {}), ("ms_ssim", {}),
           ("psnr_windowed", {"window": "abdomen"}), ("ssim_windowed", {"window": "abdomen"}))
small, large = case((8, 8, 8), np.float32), case((128, 256, 256), getattr(np, sys.argv[1]))
for name, options in metrics:
    find(name).evaluate(small, options)
open("/proc/self/clear_refs", "w").write("5")
loaded = peak()
for name, options in metrics:
    find(name).evaluate(large, options)
print(peak() - loaded)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_peak_memory(dtype):
    """A case with its two volumes takes at most three times these volumes in float32.

    Volumes in float64 are themselves twice as large; what the metrics add to them is the same.
    """
    done = subprocess.run([sys.executable, "-c", MEMORY, dtype], capture_output=True, text=True, check=True)
    pair = 2 * np.prod(SHAPE) * 4 / 2**20
    growth = float(done.stdout)
    held = pair * np.dtype(dtype).itemsize / 4 + pair / 8  # the volumes as given, and the mask
    print(
        f"\npeak of a case in {dtype}: {held + growth:.0f} MiB, {(held + growth) / pair:.2f} x two volumes in float32"
    )
    assert growth <= 2 * pair
    assert dtype == "float64" or held + growth <= 3 * pair
