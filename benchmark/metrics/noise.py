"""Noise texture and low-contrast detectability: what a denoiser can lose while its PSNR rises.

The noise power spectrum tells whether the noise that is left has the grain of a full-dose image; the channelised Hotelling
observer tells whether a reader could still see lesions of low contrast that were put in before the model ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.contract import Status
from benchmark.errors import DataError
from benchmark.metrics.paired import Pair, Problem, paired
from benchmark.metrics.registry import CaseInputs, Metric, MetricValue, register

Array = NDArray[np.float64]

# ---------------------------------------------------------------- noise power spectrum


def detrend(patches: Array, order: int = 2) -> Array:
    """Patches (n, s, t) minus their least-squares polynomial of that total order: what is left of smooth anatomy is noise."""
    n, height, width = patches.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = [(x**i * y**j).ravel() for i in range(order + 1) for j in range(order + 1 - i)]
    basis, _ = np.linalg.qr(np.stack(terms, axis=1))
    flat = np.asarray(patches, np.float64).reshape(n, -1)
    return (flat - (flat @ basis) @ basis.T).reshape(patches.shape)


def noise_power_spectrum(patches: Array, spacing: Sequence[float] = (1.0, 1.0), order: int = 2) -> Array:
    """2-D noise power spectrum (s, t) of patches (n, s, t), zero frequency first, in value²·mm².

    Δy·Δx/(s·t) times the mean over patches of |DFT(patch − polynomial)|² (ICRU Report 87); its integral over frequency is
    the variance of the detrended patches.
    """
    spectrum = np.abs(np.fft.fft2(detrend(patches, order))) ** 2
    scale = float(spacing[0]) * float(spacing[1]) / (patches.shape[1] * patches.shape[2])
    power: Array = scale * spectrum.mean(axis=0)
    return power


class RadialSpectrum(NamedTuple):
    """A power spectrum averaged over rings of frequency."""

    frequency: Array
    """Centres of the rings, in cycles/mm."""
    power: Array
    """Mean power in each ring."""


def radial_spectrum(power: Array, spacing: Sequence[float] = (1.0, 1.0)) -> RadialSpectrum:
    """Rings one frequency step wide, from the first above zero to the Nyquist frequency of the coarser axis.

    The step is that of the axis with the shorter field of view; the zero frequency, which detrending removes, is in no ring.
    """
    fy, fx = (np.fft.fftfreq(size, float(step)) for size, step in zip(power.shape, spacing, strict=True))
    radius = np.hypot(fy[:, None], fx)
    step = max(1.0 / (size * float(width)) for size, width in zip(power.shape, spacing, strict=True))
    rings = max(1, round(0.5 / max(float(width) for width in spacing) / step))
    index = np.round(radius / step).astype(int)
    inside = (index >= 1) & (index <= rings)
    totals = np.bincount(index[inside], weights=power[inside], minlength=rings + 1)[1:]
    counts = np.bincount(index[inside], minlength=rings + 1)[1:]
    return RadialSpectrum(step * np.arange(1, rings + 1), totals / np.maximum(counts, 1))


def spectrum_distance(first: Array, second: Array) -> float:
    """½ Σ |p/Σp − q/Σq| of two radial spectra: 0 for the same shape, 1 for no frequency in common; magnitude does not count.

    Two spectra without any power are alike (0), one without power is unlike any other (1).
    """
    totals = float(first.sum()), float(second.sum())
    if min(totals) <= 0.0:
        return 0.0 if max(totals) <= 0.0 else 1.0
    return float(np.clip(0.5 * np.abs(first / totals[0] - second / totals[1]).sum(), 0.0, 1.0))


def tiles_in(mask: NDArray[np.bool_], size: int) -> list[tuple[int, int, int]]:
    """Corners (z, y, x) of disjoint size × size tiles that lie wholly in the mask (z, y, x), placed row by row as they fit."""
    if min(mask.shape[1:]) < size:
        return []
    sums = np.zeros((mask.shape[0], mask.shape[1] + 1, mask.shape[2] + 1), np.int64)
    sums[:, 1:, 1:] = mask.cumsum(axis=1).cumsum(axis=2)
    whole = (
        sums[:, size:, size:] - sums[:, :-size, size:] - sums[:, size:, :-size] + sums[:, :-size, :-size] == size * size
    )
    found = []
    for z in np.flatnonzero(whole.any(axis=(1, 2))):
        free = 0
        for y in np.flatnonzero(whole[z].any(axis=1)):
            if y < free:
                continue
            columns, x = np.flatnonzero(whole[z, y]), 0
            while (at := int(np.searchsorted(columns, x))) < len(columns):
                found.append((int(z), int(y), int(columns[at])))
                x = int(columns[at]) + size
            free = int(y) + size
    return found


def homogeneous_patches(
    image: NDArray[Any], mask: NDArray[np.bool_], size: int, count: int
) -> list[tuple[int, int, int]]:
    """The `count` of `tiles_in(mask, size)` in which `image` (z, y, x) varies least around a plane."""
    found = tiles_in(mask, size)
    if len(found) > count:
        tiles = np.stack([image[z, y : y + size, x : x + size] for z, y, x in found]).astype(np.float64)
        spread = detrend(tiles, 1).std(axis=(1, 2))
        found = [found[i] for i in np.argsort(spread, kind="stable")[:count]]
    return found


def patch_spectrum(
    image: NDArray[Any], corners: list[tuple[int, int, int]], size: int, spacing: Sequence[float]
) -> Array:
    """Radial noise power of those tiles; rounding error of a constant image counts as no power."""
    tiles = np.stack([image[z, y : y + size, x : x + size] for z, y, x in corners]).astype(np.float64)
    power = radial_spectrum(noise_power_spectrum(tiles, spacing), spacing).power
    floor = (1e-12 * float(np.abs(tiles).max())) ** 2
    return np.where(power > floor, power, 0.0)


def _nps_distance(inputs: CaseInputs, size: int = 32, patches: int = 16) -> MetricValue:
    pair = paired(inputs)
    if isinstance(pair, Problem):
        return MetricValue(1.0, pair.status, pair.reason)
    if size < 8 or patches < 1:
        raise DataError(
            "task_invalid", f"size = {size}, patches = {patches}", expected="size at least 8, patches at least 1"
        )
    side, corners, expected = inputs.reference_side(
        ("noise.reference", size, patches), lambda: _reference_spectrum(pair, size, patches)
    )
    return MetricValue(spectrum_distance(expected, patch_spectrum(pair.prediction, corners, side, pair.spacing[1:])))


def _reference_spectrum(pair: Pair, size: int, patches: int) -> tuple[int, list[tuple[int, int, int]], Array]:
    while True:
        corners = homogeneous_patches(pair.reference, pair.mask, size, patches)
        if corners:
            return size, corners, patch_spectrum(pair.reference, corners, size, pair.spacing[1:])
        if size <= 8:
            raise DataError(
                "reference_invalid", "no patch of 8×8 pixels lies inside the mask", expected="a larger mask"
            )
        size = max(8, size // 2)


register(
    Metric(
        name="nps_distance",
        title="NPS distance",
        family="clinical",
        unit="",
        direction="lower",
        range=(0.0, 1.0),
        worst=1.0,
        definition="Half the summed absolute difference of the radial noise power spectra, each scaled to sum 1, of reference and "
        "prediction in the most homogeneous patches of the reference inside the mask (second-order detrending).",
        citation="ICRU Report 87 (2012), doi:10.1093/jicru/nds007; Dolly et al. 2016, Med Phys 43:2787 (comparison of normalised spectra)",
        options={"size": 32, "patches": 16},
        compute=_nps_distance,
    )
)

# ---------------------------------------------------------------- channelised Hotelling observer


def dense_channels(size: int, channels: int = 10) -> Array:
    """Dense difference-of-Gaussians channels (channels, size·size), in image space, each of unit length and zero sum.

    Abbey and Barrett 2001: in frequency (cycles/pixel) exp(−½(ρ/(Qσ_j))²) − exp(−½(ρ/σ_j)²), σ_j = 0.005·1.4^(j−1), Q = 1.67.
    """
    f = np.fft.fftfreq(size)
    rho = np.hypot(f[:, None], f)
    out = []
    for j in range(channels):
        sigma = 0.005 * 1.4**j
        profile = np.exp(-0.5 * (rho / (1.67 * sigma)) ** 2) - np.exp(-0.5 * (rho / sigma) ** 2)
        out.append(np.fft.fftshift(np.fft.ifft2(profile).real).ravel())
    return _unit(np.stack(out))


def gabor_channels(
    size: int, centres: Sequence[float] = (3 / 128, 3 / 64, 3 / 32, 3 / 16), orientations: int = 5
) -> Array:
    """Gabor channels (centres × orientations × 2 phases, size·size), one octave wide, each of unit length.

    Centre frequencies in cycles/pixel and the Gaussian width of an octave as in Wunderlich and Noo 2008; made zero-sum.
    """
    y, x = np.meshgrid(*(np.arange(size) - size // 2,) * 2, indexing="ij")
    out = []
    for centre in centres:
        full_width = 4.0 * np.log(2.0) / (np.pi * centre * 2.0 / 3.0)  # an octave around `centre` is 2/3 of it wide
        width = full_width / np.sqrt(8.0 * np.log(2.0))
        for k in range(orientations):
            angle = k * np.pi / orientations
            wave = 2.0 * np.pi * centre * (x * np.cos(angle) + y * np.sin(angle))
            envelope = np.exp(-0.5 * (x**2 + y**2) / width**2)
            for phase in (0.0, np.pi / 2.0):
                channel = envelope * np.cos(wave + phase)
                out.append((channel - envelope * channel.sum() / envelope.sum()).ravel())
    return _unit(np.stack(out))


def _unit(channels: Array) -> Array:
    return channels / np.linalg.norm(channels, axis=1, keepdims=True)


def hotelling_dprime(present: Array, absent: Array, *, unbiased: bool = True) -> float:
    """Detectability d′ of the Hotelling observer on channel outputs (n₁, c) with and (n₀, c) without the signal; ≥ 0.

    d′² = Δv̄ᵀ K⁻¹ Δv̄ with the pooled covariance. With ν = n₁ + n₀ − 2, the unbiased estimate for normal outputs is
    (ν − c − 1)/ν · d′² − c·(1/n₁ + 1/n₀) (Wunderlich et al. 2015); it may be negative and is then 0. Linearly dependent channels
    count once. Raises `ValueError` for fewer than two samples of a kind, or where ν ≤ c + 1: too few for an estimate.
    """
    present, absent = np.asarray(present, np.float64), np.asarray(absent, np.float64)
    n1, n0 = len(present), len(absent)
    freedom = n1 + n0 - 2
    if min(n1, n0) < 2:
        raise ValueError(f"{n1} samples with the signal and {n0} without")
    centred = np.concatenate([present - present.mean(axis=0), absent - absent.mean(axis=0)])
    shift = present.mean(axis=0) - absent.mean(axis=0)
    # Singular values of the samples, not of the covariance: squaring would cost half the digits of correlated channels.
    _, values, directions = np.linalg.svd(centred / np.sqrt(freedom), full_matrices=False)
    scale = max(float(values[0]) if len(values) else 0.0, 1e-12 * float(np.abs(present).max() + np.abs(absent).max()))
    kept = values > 1e-9 * scale
    rank = int(kept.sum())
    if freedom <= rank + 1:
        raise ValueError(f"{n1} + {n0} samples for {rank} channels")
    squared = float((((directions[kept] @ shift) / values[kept]) ** 2).sum())
    if unbiased:
        squared = (freedom - rank - 1) / freedom * squared - rank * (1.0 / n1 + 1.0 / n0)
    return float(np.sqrt(max(squared, 0.0)))


def disc_signal(size: int, radius: float, contrast: float, supersample: int = 8) -> Array:
    """A disc of that radius (pixels) and contrast in the middle of a size × size patch, its edge antialiased by area."""
    fine = (np.arange(size * supersample) + 0.5) / supersample - size // 2 - 0.5
    inside = (fine[:, None] ** 2 + fine**2 <= radius**2).astype(np.float64)
    return contrast * inside.reshape(size, supersample, size, supersample).mean(axis=(1, 3))


def insert_lesion(image: NDArray[Any], signal: Array, centre: tuple[int, ...]) -> NDArray[Any]:
    """A copy of an image (…, y, x) with a signal (s, s) added around `centre`; what falls off the edge is lost."""
    out = np.array(image, np.result_type(image, np.float32))
    half = signal.shape[0] // 2
    plane = out[tuple(centre[:-2])]
    y, x = centre[-2] - half, centre[-1] - half
    rows = slice(max(0, -y), min(signal.shape[0], plane.shape[0] - y))
    columns = slice(max(0, -x), min(signal.shape[1], plane.shape[1] - x))
    if rows.start < rows.stop and columns.start < columns.stop:
        plane[y + rows.start : y + rows.stop, x + columns.start : x + columns.stop] += signal[rows, columns]
    return out


@dataclass(frozen=True, eq=False)
class ChannelPart:
    """Channel outputs of one case: at its lesions, and at places without one. Can be pickled."""

    present: Array
    """(lesions, channels)."""
    absent: Array
    """(places, channels)."""
    status: Status = "ok"
    """`missing` or `invalid` where there is no usable output; the outputs are then those of a constant image."""
    reason: str = ""


def patches_around(image: NDArray[Any], centres: Sequence[tuple[int, int, int]], size: int) -> Array:
    """Patches (n, size, size) of image (z, y, x) around centres, the edge repeated beyond it, each minus its mean."""
    half = size // 2
    out = np.empty((len(centres), size, size))
    for i, (z, y, x) in enumerate(centres):
        rows = np.clip(np.arange(y - half, y - half + size), 0, image.shape[1] - 1)
        columns = np.clip(np.arange(x - half, x - half + size), 0, image.shape[2] - 1)
        out[i] = image[z][np.ix_(rows, columns)]
    return np.asarray(out - out.mean(axis=(1, 2), keepdims=True), np.float64)


def lesion_sites(mask: NDArray[np.bool_], size: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Centres of the lesions (connected components, in the slice where each is largest) and centres of places without one.

    The latter are the middles of tiles of size × size, in slices that hold a lesion, with no lesion voxel in them.
    """
    labels, count = ndimage.label(mask)
    present = []
    for i, box in enumerate(ndimage.find_objects(labels, count), start=1):
        inside = labels[box] == i
        z = int(inside.sum(axis=(1, 2)).argmax())
        y, x = (float(c.mean()) for c in np.nonzero(inside[z]))
        present.append((box[0].start + z, round(box[1].start + y), round(box[2].start + x)))
    absent = []
    for z in sorted({site[0] for site in present}):
        for y in range(0, mask.shape[1] - size + 1, size):
            for x in range(0, mask.shape[2] - size + 1, size):
                if not mask[z, y : y + size, x : x + size].any():
                    absent.append((z, y + size // 2, x + size // 2))
    return present, absent


def _collect(inputs: CaseInputs, size: int = 32, channels: int = 10, **_: Any) -> ChannelPart:
    if inputs.mask is None:
        raise DataError(
            "reference_invalid", "metric 'cho_dprime' needs a mask of the inserted lesions, and there is none"
        )
    if size < 8 or not 1 <= channels <= 20:
        raise DataError(
            "task_invalid", f"size = {size}, channels = {channels}", expected="size at least 8, 1 to 20 channels"
        )
    # The mask says where the lesions are, not where to look: NaN anywhere makes a patch unusable.
    pair = paired(CaseInputs(inputs.reference, inputs.prediction, None, inputs.spacing))
    mask = np.asarray(inputs.mask, bool).reshape((-1, *np.shape(inputs.mask)[-2:]))
    present, absent = lesion_sites(mask, size)
    if isinstance(pair, Problem):
        return ChannelPart(
            np.zeros((len(present), channels)), np.zeros((len(absent), channels)), pair.status, pair.reason
        )
    bank = dense_channels(size, channels).T
    outputs = [
        patches_around(pair.prediction, sites, size).reshape(len(sites), size * size) @ bank
        for sites in (present, absent)
    ]
    return ChannelPart(outputs[0], outputs[1])


def _reduce(parts: Sequence[ChannelPart], weights: Any, **_: Any) -> MetricValue:
    counts = np.asarray(weights).astype(np.int64)
    bad = sum(part.status != "ok" for part in parts)
    if not parts or bad == len(parts) or counts.sum() <= 0:
        return MetricValue(0.0, "missing", "no case has a usable output")
    present, absent = (
        np.concatenate([np.tile(getattr(part, side), (count, 1)) for part, count in zip(parts, counts, strict=True)])
        for side in ("present", "absent")
    )
    try:
        value = hotelling_dprime(present, absent)
    except ValueError as error:
        return MetricValue(0.0, "invalid", f"too few lesions or too few places without one: {error}")
    return MetricValue(
        min(value, MAX_DPRIME), "ok", f"{bad} of {len(parts)} cases have no usable output" if bad else ""
    )


MAX_DPRIME = 100.0
"""Cap for images without any noise; a d′ of 6 already means an area under the curve of 0.99999."""

register(
    Metric(
        name="cho_dprime",
        title="CHO d′",
        family="clinical",
        unit="",
        direction="higher",
        range=(0.0, MAX_DPRIME),
        worst=0.0,
        definition="Detectability of lesions that were inserted before the model ran (the mask marks them), by a Hotelling observer "
        "on 10 dense difference-of-Gaussians channels against lesion-free places of the same slices; unbiased, at most 100.",
        citation="Abbey and Barrett 2001, J Opt Soc Am A 18:473 (channels); Wunderlich et al. 2015, IEEE Trans Med Imaging 34:1154 "
        "(estimator)",
        needs=frozenset({"mask"}),
        options={"size": 32, "channels": 10},
        collect=_collect,
        reduce=_reduce,
    )
)
