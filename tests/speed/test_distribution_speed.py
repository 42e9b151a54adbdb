"""How fast the set and clinical metrics are, as ratios to what people use, measured in the same run.

    OMP_NUM_THREADS=1 pytest tests/speed/test_distribution_speed.py -s

prints one line a measurement. Ratios are of the best of a few rounds each, so a busy machine hurts both sides alike.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist

from benchmark.metrics import distribution as dist
from benchmark.metrics import pathlength, radiomics


def best(function: Callable[[], object], rounds: int) -> float:
    """Shortest of several timings, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def report(what: str, ours: float, theirs: float, peer: str) -> float:
    print(f"\n{what}: {1e3 * ours:.1f} ms, {peer} {1e3 * theirs:.0f} ms, {theirs / ours:.1f} times", flush=True)
    return theirs / ours


def sqrtm_frechet(x: np.ndarray, y: np.ndarray) -> float:
    """The published formulation of FID's distance, ε included."""
    m1, m2, s1, s2 = x.mean(0), y.mean(0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2)
    if not np.isfinite(root).all():
        eps = 1e-6 * np.eye(len(s1))
        root = scipy.linalg.sqrtm((s1 + eps) @ (s2 + eps))
    return float((m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real)


def test_frechet_at_challenge_size() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 1280)), rng.normal(size=(300, 1280)) * 1.1 + 0.1
    ours = best(lambda: dist.frechet_distance(x, y), 5)
    theirs = best(lambda: sqrtm_frechet(x, y), 1)
    assert dist.frechet_distance(x, y) == pytest.approx(sqrtm_frechet(x, y), rel=1e-3)
    assert report("Fréchet distance, n = 300, d = 1280", ours, theirs, "scipy.linalg.sqrtm") >= 20


def test_frechet_of_many_samples() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3000, 464)), rng.normal(size=(3000, 464)) * 1.1
    ours = best(lambda: dist.frechet_distance(x, y), 3)
    theirs = best(lambda: sqrtm_frechet(x, y), 1)
    assert dist.frechet_distance(x, y) == pytest.approx(sqrtm_frechet(x, y), rel=1e-6)
    assert report("Fréchet distance, n = 3000, d = 464", ours, theirs, "scipy.linalg.sqrtm") >= 1.2


def direct_prdc(x: np.ndarray, y: np.ndarray, k: int = 5) -> dist.PRDC:
    """The textbook way: every distance by its definition, full sorts."""
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    rx, ry = np.sort(xx, axis=1)[:, k], np.sort(yy, axis=1)[:, k]
    inside = xy < rx[:, None]
    return dist.PRDC(
        inside.any(0).mean(), (xy < ry).any(1).mean(), inside.sum(0).mean() / k, (xy.min(axis=1) < rx).mean()
    )


def test_prdc() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2000, 512)), rng.normal(size=(2000, 512)) * 1.02
    ours = best(lambda: dist.prdc(x, y), 3)
    theirs = best(lambda: direct_prdc(x, y), 1)
    np.testing.assert_allclose(dist.prdc(x, y), direct_prdc(x, y), rtol=1e-12)
    assert report("PRDC, n = 2000, d = 512", ours, theirs, "direct distances") >= 4


def test_kid_bootstrap_reuses_its_kernels() -> None:
    from benchmark.metrics import find
    from benchmark.metrics.generation import FeaturePart

    rng = np.random.default_rng(3)
    parts = [FeaturePart(*rng.normal(size=(2, 8, 1280)).astype(np.float32)) for _ in range(100)]
    metric = find("kid_lite0")
    assert metric.reduce is not None
    reduce = metric.reduce
    counts = rng.multinomial(100, np.full(100, 0.01), size=100)
    first = best(lambda: reduce(parts, np.ones(100), **metric.options), 1)
    each = best(lambda: [reduce(parts, draw, **metric.options) for draw in counts], 2) / 100
    assert report("KID of a bootstrap draw, 800 slices a side", each, first, "the first evaluation") >= 10


def test_radiomics_of_a_slice() -> None:
    image, mask = np.random.default_rng(4).random((256, 256)), np.ones((256, 256), bool)
    radiomics.slice_features(image, mask)
    ours = best(lambda: radiomics.slice_features(image, mask), 3)
    print(f"\nradiomics, {len(radiomics.NAMES)} features of a 256² slice: {1e3 * ours:.0f} ms", flush=True)
    assert ours < 0.5


def test_wepl_of_a_head() -> None:
    rng = np.random.default_rng(5)
    volume = rng.uniform(0, 1, (64, 192, 192))
    pathlength.line_integrals(volume[:1], (3.0, 1.0, 1.0))
    ours = best(lambda: pathlength.line_integrals(volume, (3.0, 1.0, 1.0)), 2)

    def rotated() -> None:
        """The same 36 projections by turning the volume, four slices' worth, scaled up."""
        from skimage.transform import radon

        for plane in volume[:2]:
            radon(plane, np.arange(36) * 5.0, circle=False)

    theirs = best(rotated, 1) * len(volume) / 2
    assert report("36 projections of 192×192×64", ours, theirs, "skimage.transform.radon") >= 5


def test_memory_is_bounded() -> None:
    """PRDC of 6000 samples a side: three distance matrices would hold 860 MB; blocks of 64 MB are held one or two at a time."""
    code = (
        "import re, numpy as np\n"
        "from pathlib import Path\n"
        "from benchmark.metrics import distribution as dist\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024\n"
        "rng = np.random.default_rng(0); x = rng.normal(size=(6000, 16)); y = rng.normal(size=(6000, 16))\n"
        "before = peak(); dist.prdc(x, y); print(peak() - before)"
    )
    grown = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    print(f"\nPRDC, n = 6000: {grown:.0f} MB above the inputs", flush=True)
    assert 0 < grown < 350
