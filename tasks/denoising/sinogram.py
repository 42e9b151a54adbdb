"""From Hounsfield units to a noisy sinogram and back: the physics of the low-dose CT task.

    HU ─▶ μ = μ_water (1 + HU/1000) ─▶ parallel-beam line integrals p ─▶ counts I ~ Poisson(N₀ e^−p) + N(0, σ_e)
       ─▶ p' = −ln(max(I, 1)/N₀) ─▶ filtered backprojection ─▶ HU

Monoenergetic, no scatter, no bowtie filter, independent rays: what differs between input and reference is noise alone.
The model is that of Leuschner et al., LoDoPaB-CT, Sci Data 8:109 (2021), with electronic noise added.

Volumes have axes (z, y, x), sinograms (z, view, bin); every slice is projected in its own plane. The kernels put z last,
so that one interpolation weight serves the whole slab and the innermost loop is a plain vector operation. They use no
`fastmath`: the order of the additions is fixed, and with it the bytes of an edition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

MU_WATER = 0.0192
"""Linear attenuation of water per mm, at about 70 keV (NIST XCOM: 0.0193)."""

CUTOFF = 1.6
"""End of the Hann window in units of the Nyquist frequency: about as sharp as a standard body kernel on these pixels."""

HU_RANGE = (-1024, 3071)
"""What a scanner with 12 bits stores; inputs and reconstructions are clipped to it."""


@dataclass(frozen=True)
class Geometry:
    """A parallel beam over 180°, with bins as wide as a pixel and a detector that spans the diagonal of the image."""

    size: int
    """Pixels along each side of the square image."""
    pixel: float
    """Pixel size in mm; also the bin width."""
    views: int
    """Projections, equally spaced over 180°."""

    @property
    def bins(self) -> int:
        """Detector bins: every ray that meets the image is measured, so nothing is truncated."""
        return math.ceil(self.size * math.sqrt(2)) + 2

    @property
    def angles(self) -> NDArray[np.float64]:
        """Angle of each view in radians; bin coordinate s = x cos θ + y sin θ, with x to the right and y downwards."""
        return np.linspace(0, np.pi, self.views, endpoint=False)


@dataclass(frozen=True)
class Dose:
    """How many photons a ray has, and what the electronics add."""

    photons: float
    """N₀, photons that a bin counts without an object."""
    electronic: float = 8.0
    """σ_e, standard deviation of the electronic noise, in photons."""

    def fraction(self, value: float) -> Dose:
        """The same scanner at a fraction of the dose; the electronics stay as they are."""
        return Dose(self.photons * value, self.electronic)


def attenuation(hu: NDArray[np.generic]) -> NDArray[np.float32]:
    """Linear attenuation per mm of CT numbers in HU; values below air (padding such as −2048) count as air."""
    mu = MU_WATER * (1 + np.asarray(hu, np.float64) / 1000)
    return np.maximum(mu, 0).astype(np.float32)


def hounsfield(mu: NDArray[np.generic]) -> NDArray[np.float64]:
    """CT numbers in HU of linear attenuation per mm."""
    return 1000 * (np.asarray(mu, np.float64) / MU_WATER - 1)


def project(mu: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Line integrals of a volume (z, y, x), by Joseph's method (IEEE Trans Med Imaging 1:192, 1982).

    Returns (z, view, bin), without unit. A ray is sampled once per row or per column, whichever it crosses more of, with
    linear interpolation across. Raises `ValueError` when the slices do not have the geometry's size.
    """
    if mu.ndim != 3 or mu.shape[1:] != (geometry.size, geometry.size):
        raise ValueError(f"volume of shape {mu.shape}, expected (z, {geometry.size}, {geometry.size})")
    image = np.ascontiguousarray(np.moveaxis(mu, 0, -1), np.float32)
    turned = np.ascontiguousarray(np.swapaxes(image, 0, 1))
    out = np.zeros((geometry.views, geometry.bins, len(mu)), np.float32)
    _project(image, turned, np.cos(geometry.angles), np.sin(geometry.angles), np.float32(geometry.pixel), out)
    return np.ascontiguousarray(np.moveaxis(out, -1, 0))


@numba.njit(cache=True, nogil=True)
def _project(image, turned, cosines, sines, pixel, out):  # type: ignore[no-untyped-def]
    size, depth = image.shape[0], image.shape[2]
    views, bins = out.shape[0], out.shape[1]
    middle = (size - 1) / 2
    one = np.float32(1)
    for view in range(views):
        along, across = cosines[view], sines[view]
        plane = image
        if abs(across) > abs(along):  # the ray runs along x rather than y: swap the roles of the axes
            along, across = across, along
            plane = turned
        length = np.float32(pixel / abs(along))
        step = -across / along
        for b in range(bins):
            total = out[view, b]
            start = (b - (bins - 1) / 2) / along + middle + across / along * middle
            for row in range(size):
                place = start + step * row
                if place <= -1 or place >= size:
                    continue
                left = math.floor(place)
                weight = np.float32(place - left)
                if left < 0:
                    for z in range(depth):
                        total[z] += weight * plane[row, 0, z]
                elif left == size - 1:
                    for z in range(depth):
                        total[z] += (one - weight) * plane[row, left, z]
                else:
                    for z in range(depth):
                        total[z] += (one - weight) * plane[row, left, z] + weight * plane[row, left + 1, z]
            for z in range(depth):
                total[z] *= length


def count(line_integrals: NDArray[np.float32], dose: Dose, rng: np.random.Generator) -> NDArray[np.float32]:
    """The line integrals that a scanner measures at this dose: −ln(max(I, 1)/N₀), I ~ Poisson(N₀ e^−p) + N(0, σ_e).

    A bin that counts less than one photon is taken as one, as in LoDoPaB-CT (there 0.1): photon starvation, which
    makes the streaks between the shoulders.
    """
    # Rounded, so that the last bit of the exponential, in which mathematical libraries differ, decides no draw.
    expected = np.round(dose.photons * np.exp(-line_integrals.astype(np.float64)), 4)
    counts = rng.poisson(expected) + dose.electronic * rng.standard_normal(expected.shape)
    return -np.log(np.maximum(counts, 1) / dose.photons).astype(np.float32)


def ramp(bins: int, width: float, cutoff: float = CUTOFF) -> NDArray[np.float64]:
    """Frequency response of the reconstruction filter, per mm, for `scipy.fft.rfft` over `padding(bins)` samples.

    The ramp comes from its samples in space (Kak & Slaney, Principles of Computerized Tomographic Imaging, eq. 3.61),
    which keeps the mean right where sampling |f| does not. A Hann window that ends at `cutoff` times the Nyquist
    frequency makes a smooth clinical kernel of it; infinity leaves the plain ramp.
    """
    length = padding(bins)
    kernel = np.zeros(length)
    kernel[0] = 1 / (4 * width**2)
    odd = np.arange(1, bins, 2)
    kernel[odd] = kernel[-odd] = -1 / (np.pi * odd * width) ** 2
    response = scipy.fft.rfft(kernel).real * width
    relative = np.minimum(scipy.fft.rfftfreq(length) * 2 / cutoff, 1)
    return response * np.cos(np.pi / 2 * relative) ** 2


def padding(bins: int) -> int:
    """Length to which a row is padded with zeros, so that the filter does not wrap around."""
    return scipy.fft.next_fast_len(2 * bins, real=True)


def reconstruct(line_integrals: NDArray[np.float32], geometry: Geometry, cutoff: float = CUTOFF) -> NDArray[np.float32]:
    """Filtered backprojection of (z, view, bin): attenuation per mm on (z, y, x), with linear interpolation.

    Raises `ValueError` when the sinogram does not have the geometry's views and bins.
    """
    if line_integrals.ndim != 3 or line_integrals.shape[1:] != (geometry.views, geometry.bins):
        raise ValueError(f"sinogram {line_integrals.shape}, expected (z, {geometry.views}, {geometry.bins})")
    response = ramp(geometry.bins, geometry.pixel, cutoff)
    length = padding(geometry.bins)
    spectrum = scipy.fft.rfft(line_integrals.astype(np.float64), length, axis=-1) * response
    filtered = scipy.fft.irfft(spectrum, length, axis=-1)[..., : geometry.bins] * (np.pi / geometry.views)
    last = np.ascontiguousarray(np.moveaxis(filtered, 0, -1), np.float32)
    out = np.zeros((geometry.size, geometry.size, len(line_integrals)), np.float32)
    _backproject(last, np.cos(geometry.angles), np.sin(geometry.angles), out)
    return np.ascontiguousarray(np.moveaxis(out, -1, 0))


@numba.njit(cache=True, nogil=True)
def _backproject(filtered, cosines, sines, out):  # type: ignore[no-untyped-def]
    size, depth = out.shape[0], out.shape[2]
    views, bins = filtered.shape[0], filtered.shape[1]
    middle, centre = (size - 1) / 2, (bins - 1) / 2
    one = np.float32(1)
    for y in range(size):
        for view in range(views):
            offset = (y - middle) * sines[view] + centre - middle * cosines[view]
            for x in range(size):
                place = offset + x * cosines[view]
                left = int(place)  # never negative: the detector spans the diagonal
                weight = np.float32(place - left)
                total = out[y, x]
                for z in range(depth):
                    total[z] += (one - weight) * filtered[view, left, z] + weight * filtered[view, left + 1, z]


def scan(
    hu: NDArray[np.generic], geometry: Geometry, dose: Dose, rng: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Low-dose scan and noise-free twin of a volume (z, y, x) in HU, both through the same projection and filter.

    Returns (low dose, reference) as int16 HU, clipped to `HU_RANGE`.
    """
    measured = project(attenuation(np.clip(hu, *HU_RANGE)), geometry)
    noisy = count(measured, dose, rng)
    both = hounsfield(reconstruct(np.concatenate([noisy, measured]), geometry))
    stored = np.clip(np.rint(both), *HU_RANGE).astype(np.int16)
    return stored[: len(hu)], stored[len(hu) :]
