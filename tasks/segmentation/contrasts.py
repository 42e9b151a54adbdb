"""What an MR scanner makes of a brain with a tumour: four contrasts by field strength, bias, blur, noise.

T1-weighted, before and after contrast agent: spoiled gradient echo. T2-weighted: spin echo, S = PD (1 − e^(−TR/T1)) e^(−TE/T2).
FLAIR: the same after an inversion that nulls fluid, S = PD |1 − 2 e^(−TI/T1) + e^(−TR/T1)| e^(−TE/T2).
Relaxation times at 1.5 T: BrainWeb's tissue table (Kwan et al. 1999; Collins et al. 1998); at 3 T: T1 and densities that
MRzero-Core (Loktyushin et al. 2021) ships, T2 of grey and white matter near Stanisz et al. 2005 (99 and 69 ms); those of lesions
are plausible values within published ranges. Contrast agent shortens T1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tasks import head
from tasks.anatomy import Array, Grid, generator, smooth_field

CONTRASTS = ("t1n", "t1c", "t2w", "t2f")
"""Native T1, T1 after contrast agent, T2, T2 with fluid attenuated (FLAIR): BraTS's names, and the slugs of the sockets."""

TUMOUR = ("oedema", "enhancing", "necrosis", "solid", "haemorrhage")
"""What a tumour is made of."""

MATERIALS = (*head.MATERIALS, "vessel", "choroid", *TUMOUR)
"""What a brain is made of here; the position is the label on the canvas."""


@dataclass(frozen=True)
class Tissue:
    """T1 and T2 in ms, proton density relative to water."""

    t1: float
    t2: float
    density: float


RELAXATION: Mapping[str, Mapping[str, Tissue]] = {
    "1.5T": {
        "air": Tissue(1000, 1, 0.0), "csf": Tissue(2569, 329, 1.00), "grey_matter": Tissue(833, 83, 0.86),
        "white_matter": Tissue(500, 70, 0.77), "deep_grey_matter": Tissue(720, 76, 0.83), "lesion": Tissue(800, 120, 0.84),
        "dura": Tissue(900, 35, 0.60), "blood": Tissue(1300, 35, 0.70), "vessel": Tissue(1300, 30, 0.75),
        "choroid": Tissue(1100, 100, 0.88), "calcification": Tissue(400, 10, 0.15),
        "oedema": Tissue(950, 124, 0.87), "enhancing": Tissue(1000, 105, 0.88), "necrosis": Tissue(1800, 210, 0.95),
        "solid": Tissue(1250, 165, 0.92), "haemorrhage": Tissue(430, 95, 0.86),
    },
    "3T": {
        "air": Tissue(1000, 1, 0.0), "csf": Tissue(4160, 1650, 1.00), "grey_matter": Tissue(1560, 92, 0.80),
        "white_matter": Tissue(830, 70, 0.70), "deep_grey_matter": Tissue(1330, 82, 0.78), "lesion": Tissue(1250, 118, 0.82),
        "dura": Tissue(1100, 32, 0.60), "blood": Tissue(1800, 30, 0.70), "vessel": Tissue(1800, 26, 0.75),
        "choroid": Tissue(1700, 105, 0.85), "calcification": Tissue(400, 8, 0.15),
        "oedema": Tissue(1350, 121, 0.83), "enhancing": Tissue(1500, 107, 0.84), "necrosis": Tissue(2600, 280, 0.94),
        "solid": Tissue(1900, 162, 0.90), "haemorrhage": Tissue(600, 95, 0.82),
    },
}  # fmt: skip
"""By field strength and material. Blood flows: a spin echo hardly sees it, hence the short T2."""

UPTAKE: Mapping[str, float] = {"blood": 0.30, "vessel": 0.30, "choroid": 0.42, "dura": 0.55}
"""T1 after contrast agent relative to before, of what enhances in every head; the tumour's own is drawn."""

FLASH: Mapping[str, tuple[float, float]] = {"1.5T": (18, 30), "3T": (18, 20)}
"""T1-weighted: repetition time in ms, flip angle in degrees."""
SPIN_ECHO = (4500.0, 100.0)
"""T2-weighted: repetition and echo time in ms."""
FLAIR = (9000.0, 110.0)
"""Repetition and echo time in ms; the inversion time is the one that nulls fluid."""


def t1_weighted(tissue: Tissue, scanner: str) -> float:
    """Signal of the spoiled gradient echo; its echo comes so early that T2* is left out."""
    tr, flip = FLASH[scanner]
    e1, angle = math.exp(-tr / tissue.t1), math.radians(flip)
    return tissue.density * math.sin(angle) * (1 - e1) / (1 - math.cos(angle) * e1)


def t2_weighted(tissue: Tissue) -> float:
    """Signal of the spin echo."""
    tr, te = SPIN_ECHO
    return tissue.density * (1 - math.exp(-tr / tissue.t1)) * math.exp(-te / tissue.t2)


def inversion_time(fluid: Tissue) -> float:
    """ms after the inversion at which the signal of fluid passes through zero: T1 ln(2 / (1 + e^(−TR/T1)))."""
    return fluid.t1 * math.log(2 / (1 + math.exp(-FLAIR[0] / fluid.t1)))


def fluid_attenuated(tissue: Tissue, fluid: Tissue) -> float:
    """Signal of FLAIR."""
    (tr, te), ti = FLAIR, inversion_time(fluid)
    magnetisation = abs(1 - 2 * math.exp(-ti / tissue.t1) + math.exp(-tr / tissue.t1))
    return tissue.density * magnetisation * math.exp(-te / tissue.t2)


def palettes(scanner: str, uptake: float, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """By contrast, the signal of each material, white matter = 1, with 3 % of biological spread in T1 and T2.

    `uptake` is the T1 of the enhancing tumour after contrast agent relative to before: 1 means that it does not enhance.
    """
    tissues: dict[str, Tissue] = {}
    for name in MATERIALS:
        if name not in RELAXATION[scanner]:
            continue
        tissue = RELAXATION[scanner][name]
        t1, t2 = (1 + 0.03 * np.clip(rng.standard_normal(2), -2, 2)).tolist()
        tissues[name] = Tissue(tissue.t1 * t1, tissue.t2 * t2, tissue.density)
    taken_up = {**UPTAKE, "enhancing": uptake}
    fluid = tissues["csf"]
    signals: dict[str, dict[str, float]] = {name: {} for name in CONTRASTS}
    for name, tissue in tissues.items():
        after = Tissue(tissue.t1 * taken_up.get(name, 1.0), tissue.t2, tissue.density)
        signals["t1n"][name] = t1_weighted(tissue, scanner)
        signals["t1c"][name] = t1_weighted(after, scanner)
        signals["t2w"][name] = t2_weighted(tissue)
        signals["t2f"][name] = fluid_attenuated(tissue, fluid)
    return {
        contrast: {name: value / table["white_matter"] for name, value in table.items()}
        for contrast, table in signals.items()
    }


@dataclass(frozen=True)
class Quality:
    """How well a site images; what makes one subgroup harder than another."""

    bias: float
    """Range of the multiplicative bias field: 0.4 means from 0.8 to 1.2."""
    noise: float
    """Standard deviation of the noise in each channel, in percent of the white matter's signal."""
    blur: float
    """Standard deviation of the point spread, in mm."""


_NOISE = {"1.5T": 3.2, "3T": 2.0}
_SITES = {"A": Quality(0.25, 1.0, 1.0), "B": Quality(0.35, 1.2, 1.2), "C": Quality(0.40, 1.55, 1.6)}
"""Noise here is a factor on the scanner's."""


def quality(scanner: str, site: str) -> Quality:
    """Noise comes from the field strength times the site's factor (at most 5 %); bias and blur from the site."""
    at = _SITES[site]
    return Quality(at.bias, round(min(5.0, _NOISE[scanner] * at.noise), 2), at.blur)


def scan(
    signal: Array, grid: Grid, contrast: str, inside: NDArray[np.bool_], key: tuple[object, ...], q: Quality
) -> NDArray[np.int16]:
    """One contrast in arbitrary units from the signal (white matter = 1): blur, bias, Rician noise, a gain of the day.

    Outside the brain the image is 0, as after skull stripping.
    """
    rng = generator(*key, "scan", contrast)
    gain = float(np.exp(rng.uniform(np.log(250), np.log(1000))))
    blurred = ndimage.gaussian_filter(signal, [q.blur / step for step in grid.spacing], truncate=3.0)
    # The coils are the same for all contrasts, the sequences differ: half of the field is shared.
    shared, own = (smooth_field(generator(*key, "bias", part), grid, 65.0) for part in ("shared", contrast))
    bias = 1 + q.bias / 2 * np.tanh((shared + own) * np.float32(1.1))
    sd = np.float32(q.noise / 100)
    real = blurred * bias.astype(np.float32) + sd * rng.standard_normal(signal.shape, np.float32)
    imaginary = sd * rng.standard_normal(signal.shape, np.float32)
    image = np.hypot(real, imaginary) * np.float32(gain)
    # At least 1 inside: a participant finds the brain by what is above 0, as in BraTS.
    return np.where(inside, np.rint(np.clip(image, 1, 32767)), 0).astype(np.int16)
