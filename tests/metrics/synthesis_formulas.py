"""The formulas of the synthesis metrics, written down once more with skimage and SciPy, full-volume and slow: the oracle.

Nothing here is imported from the library. `tests/speed/test_synthesis_speed.py` times these as the published formulation.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def mae(g, p, m):
    return float(np.abs(g.astype(float) - p.astype(float))[m].mean())


def psnr(g, p, m, lo, hi):
    g, p = (np.clip(a.astype(float), lo, hi)[m] for a in (g, p))
    return float(peak_signal_noise_ratio(g, p, data_range=hi - lo))


def masked(a, m, lo, hi):
    return np.where(m, np.clip(a.astype(float), lo, hi), lo) - lo


def cropped_mean(values, m):
    inner = (slice(3, -3),) * values.ndim
    return float(values[inner][m[inner]].mean())


def ssim(g, p, m, lo, hi):
    _, full = structural_similarity(masked(g, m, lo, hi), masked(p, m, lo, hi), data_range=hi - lo, full=True)
    return cropped_mean(full, m)


def components(g, p, spread):
    """Luminance, contrast, structure maps with a 7³ window, each at least 0."""
    c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
    ux, uy, uxx, uyy, uxy = (ndimage.uniform_filter(a, 7) for a in (g, p, g * g, p * p, g * p))
    vx, vy, vxy = (343 / 342 * v for v in (uxx - ux * ux, uyy - uy * uy, uxy - ux * uy))
    sx, sy = np.sqrt(np.maximum(vx, 0)), np.sqrt(np.maximum(vy, 0))
    return (
        np.maximum(0, (2 * ux * uy + c1) / (ux**2 + uy**2 + c1)),
        np.maximum(0, (2 * sx * sy + c2) / (vx + vy + c2)),
        np.maximum(0, (vxy + c2 / 2) / (sx * sy + c2 / 2)),
    )


def padded(a, smallest):
    before = [max(smallest - d, 0) // 2 for d in a.shape]
    return np.pad(a, [(b, max(smallest - d, 0) - b) for b, d in zip(before, a.shape, strict=True)], "edge")


def ms_ssim(g, p, m, lo, hi):
    """SynthRAD2025's: FFT downsampling by a 2³ box, every second voxel, luminance at each of five levels."""
    g, p, m = padded(masked(g, m, lo, hi), 97), padded(masked(p, m, lo, hi), 97), padded(m, 97)
    box = np.ones((2, 2, 2)) / 8
    value = 1.0
    for w in WEIGHTS:
        luminance, contrast, structure = components(g, p, hi - lo)
        value *= min(max(cropped_mean((luminance * contrast * structure) ** w, m), 0), 1)
        g, p = (signal.fftconvolve(a, box, mode="same")[::2, ::2, ::2] for a in (g, p))
        m = m[::2, ::2, ::2]
    return value


def ms_ssim_wang(g, p, m, lo, hi):
    """Wang 2003: luminance at the coarsest level alone, means of pairs between levels."""
    g, p, m = padded(masked(g, m, lo, hi), 112), padded(masked(p, m, lo, hi), 112), padded(m, 112)
    value = 1.0
    for level, w in enumerate(WEIGHTS):
        luminance, contrast, structure = components(g, p, hi - lo)
        values = contrast * structure
        if level == 4:
            values = values * luminance
        value *= max(cropped_mean(values, m), 0) ** w
        for axis in range(3):
            even = g.shape[axis] // 2 * 2
            g, p = ((np.take(a, range(0, even, 2), axis) + np.take(a, range(1, even, 2), axis)) / 2 for a in (g, p))
            m = np.take(m, range(0, even, 2), axis)
    return value


def ldct_window(a, centre, width):
    """The low-dose CT benchmark's mapping of HU to [0, 1] (there with 1024 added to HU and centre)."""
    lower, upper = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    inside = (a.astype(float) - (centre - 0.5)) / (width - 1) + 0.5
    return np.where(a <= lower, 0.0, np.where(a > upper, 1.0, inside))


def ldct(g, p, centre, width):
    """PSNR and SSIM of the low-dose CT benchmark: slice by slice, data range 1, then the mean."""
    g, p = ldct_window(g, centre, width), ldct_window(p, centre, width)
    psnrs = [10 * np.log10(1 / np.mean((a - b) ** 2)) for a, b in zip(g, p, strict=True)]
    ssims = [structural_similarity(a, b, data_range=1.0) for a, b in zip(g, p, strict=True)]
    return float(np.mean(psnrs)), float(np.mean(ssims))
