"""What the scanners make of a head: MR signals by field strength, CT numbers, blur, bias, noise.

MR is a spoiled gradient echo (T1-weighted), S = PD · sin α · (1 − E1) / (1 − cos α · E1) · exp(−TE / T2*), E1 = exp(−TR / T1).
Relaxation times at 1.5 T: BrainWeb's tissue table (Kwan et al. 1999; Collins et al. 1998), at 3 T: the values that
MRzero-Core (Loktyushin et al. 2021) ships; tissues outside the brain are round textbook values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tasks.anatomy import Array, Grid, generator, smooth_field
from tasks.head import HU, MATERIALS


@dataclass(frozen=True)
class Tissue:
    """T1 and T2* in ms, proton density relative to water."""

    t1: float
    t2_star: float
    density: float


_AIR = Tissue(1000, 1, 0.0)
_CORTICAL = Tissue(400, 1.2, 0.15)
"""Cortical bone: water is there, but its signal is gone long before the echo, so it is as dark as air."""

RELAXATION: Mapping[str, Mapping[str, Tissue]] = {
    "1.5T": {
        "air": _AIR, "skin": Tissue(700, 25, 0.80), "fat": Tissue(350, 58, 1.00), "muscle": Tissue(900, 30, 0.95),
        "gland": Tissue(550, 45, 0.95), "mucosa": Tissue(1000, 50, 0.90), "cortical_bone": _CORTICAL,
        "marrow": Tissue(380, 18, 0.55), "petrous_bone": _CORTICAL, "tooth": Tissue(400, 0.8, 0.10),
        "csf": Tissue(2569, 58, 1.00), "grey_matter": Tissue(833, 69, 0.86), "white_matter": Tissue(500, 61, 0.77),
        "deep_grey_matter": Tissue(720, 62, 0.83), "lesion": Tissue(800, 80, 0.84), "dura": Tissue(900, 20, 0.60),
        "blood": Tissue(1300, 30, 0.50), "vitreous": Tissue(2700, 58, 1.00), "lens": Tissue(900, 20, 0.60),
        "calcification": Tissue(400, 2.0, 0.15),
    },
    "3T": {
        "air": _AIR, "skin": Tissue(850, 22, 0.80), "fat": Tissue(370, 45, 1.00), "muscle": Tissue(1100, 25, 0.95),
        "gland": Tissue(680, 38, 0.95), "mucosa": Tissue(1250, 40, 0.90), "cortical_bone": _CORTICAL,
        "marrow": Tissue(410, 12, 0.55), "petrous_bone": _CORTICAL, "tooth": Tissue(400, 0.8, 0.10),
        "csf": Tissue(4160, 57, 1.00), "grey_matter": Tissue(1560, 66, 0.80), "white_matter": Tissue(830, 53, 0.70),
        "deep_grey_matter": Tissue(1330, 52, 0.78), "lesion": Tissue(1250, 70, 0.82), "dura": Tissue(1100, 16, 0.60),
        "blood": Tissue(1800, 25, 0.50), "vitreous": Tissue(4200, 57, 1.00), "lens": Tissue(1150, 16, 0.60),
        "calcification": Tissue(400, 1.5, 0.15),
    },
}  # fmt: skip
"""By field strength and material."""


@dataclass(frozen=True)
class Sequence:
    """A spoiled gradient echo: repetition and echo time in ms, flip angle in degrees."""

    tr: float
    te: float
    flip: float

    def signal(self, tissue: Tissue) -> float:
        """Signal relative to that of all the water of a voxel, fully relaxed."""
        e1 = math.exp(-self.tr / tissue.t1)
        alpha = math.radians(self.flip)
        steady = math.sin(alpha) * (1 - e1) / (1 - math.cos(alpha) * e1)
        return tissue.density * steady * math.exp(-self.te / tissue.t2_star)


SEQUENCES: Mapping[str, Sequence] = {"1.5T": Sequence(18, 8, 30), "3T": Sequence(18, 4, 20)}
"""The T1-weighted protocol at each field strength."""


@dataclass(frozen=True)
class Quality:
    """How well a site images; what makes one subgroup harder than another."""

    bias: float
    """Range of the multiplicative bias field: 0.2 means from 0.9 to 1.1."""
    noise: float
    """Standard deviation of the noise in each channel, in percent of the white matter's signal."""
    blur: float
    """Standard deviation of the point spread, in voxels."""


_NOISE = {"1.5T": 4.0, "3T": 2.0}
_SITES = {"A": Quality(0.20, 1.0, 0.45), "B": Quality(0.28, 1.3, 0.50), "C": Quality(0.40, 2.2, 0.75)}
"""Noise here is a factor on the scanner's."""


def quality(scanner: str, site: str) -> Quality:
    """Noise comes from the field strength times the site's factor; bias and blur from the site, bias a little with field."""
    at = _SITES[site]
    return Quality(at.bias * (1.15 if scanner == "3T" else 1.0), _NOISE[scanner] * at.noise, at.blur)


def mr_palette(scanner: str, rng: np.random.Generator) -> dict[str, float]:
    """Signal of each material, white matter = 1, with 3 % of biological spread in T1."""
    sequence, table = SEQUENCES[scanner], RELAXATION[scanner]
    signals = {}
    for name in MATERIALS:
        tissue = table[name]
        spread = 1 + 0.03 * float(np.clip(rng.standard_normal(), -2, 2))
        signals[name] = sequence.signal(Tissue(tissue.t1 * spread, tissue.t2_star, tissue.density))
    return {name: value / signals["white_matter"] for name, value in signals.items()}


def ct_palette(bone: float) -> dict[str, float]:
    """CT number of each material; `bone` is the density of bone relative to the mean."""
    scale = {"cortical_bone": bone, "petrous_bone": bone, "marrow": bone}
    return {name: value * scale.get(name, 1.0) for name, value in HU.items()}


def scan_mr(signal: Array, grid: Grid, key: tuple[object, ...], q: Quality) -> tuple[NDArray[np.int16], float]:
    """MR image in arbitrary units from the signal (white matter = 1): blur, bias, Rician noise, a gain of the day.

    Returns the image and its gain (units of white matter's signal).
    """
    rng = generator(*key, "mr")
    gain = float(np.exp(rng.uniform(np.log(250), np.log(1000))))
    blurred = ndimage.gaussian_filter(signal, q.blur, truncate=3.0)
    bias = 1 + q.bias / 2 * np.tanh(smooth_field(generator(*key, "bias"), grid, 75.0) * np.float32(0.9))
    sd = np.float32(q.noise / 100)
    real = blurred * bias.astype(np.float32) + sd * rng.standard_normal(signal.shape, np.float32)
    imaginary = sd * rng.standard_normal(signal.shape, np.float32)
    image = np.hypot(real, imaginary) * np.float32(gain)
    return np.rint(np.clip(image, 0, 32767)).astype(np.int16), gain


def scan_ct(values: Array, grid: Grid, key: tuple[object, ...]) -> NDArray[np.int16]:
    """CT in HU: uneven bone, the scanner's blur, 10 HU of noise, clipped to what 12 bits hold (−1024 … 3071)."""
    grain = smooth_field(generator(*key, "bone grain"), grid, 9.0)
    uneven = values * (1 + np.float32(0.05) * np.where(values > 250, grain, 0))
    blurred = ndimage.gaussian_filter(uneven, 0.4, truncate=3.0)
    noise = ndimage.gaussian_filter(generator(*key, "ct").standard_normal(values.shape, np.float32), 0.6, truncate=3.0)
    return np.rint(np.clip(blurred + 10 * noise / noise.std(), -1024, 3071)).astype(np.int16)
