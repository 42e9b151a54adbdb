"""Who is painted: the numbers that set one head apart, and what heads are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.anatomy import generator

EXTENT = 192.0
"""Side in mm of the cube that holds the head: 64 voxels of 3 mm."""

MATERIALS = (
    "air", "skin", "fat", "muscle", "gland", "mucosa", "cortical_bone", "marrow", "petrous_bone", "tooth", "csf", "grey_matter",
    "white_matter", "deep_grey_matter", "lesion", "dura", "blood", "vitreous", "lens", "calcification",
)  # fmt: skip
"""What a head is made of here; the position is the label."""

HU: dict[str, float] = {
    "air": -1000, "skin": 20, "fat": -90, "muscle": 55, "gland": 15, "mucosa": 35, "cortical_bone": 1250, "marrow": 520,
    "petrous_bone": 1550, "tooth": 2100, "csf": 8, "grey_matter": 38, "white_matter": 29, "deep_grey_matter": 36, "lesion": 22,
    "dura": 60, "blood": 50, "vitreous": 8, "lens": 75, "calcification": 300,
}  # fmt: skip
"""CT numbers in Hounsfield units (soft tissue: ITK wiki and textbook ranges; marrow is the mixture in the diploë)."""


@dataclass(frozen=True)
class Head:
    """What sets one head apart. All but `key` are drawn by `draw` from the patient's sex and age."""

    key: tuple[object, ...]
    """Seeds everything that is not a number below: folds, warps, sinus septa."""
    scale: tuple[float, float, float]
    """Size relative to the mean head (x, y, z)."""
    shift: tuple[float, float, float]
    """How far off the middle of the field of view it lies, mm (x, y, z)."""
    angles: tuple[float, float, float]
    """Pitch, yaw, roll in degrees."""
    atrophy: float
    """0 (young) to about 1.3 (old): widens sulci, ventricles and the space around the brain."""
    ventricles: float
    """Linear size of the ventricles relative to the mean young adult's."""
    white_lesions: float
    """0 to 1: extent of white-matter lesions around the ventricles."""
    skull: float
    """Thickness of the skull relative to the mean."""
    bone: float
    """Density of cortical bone relative to the mean; falls with age."""
    scalp: float
    """Thickness of the subcutaneous fat relative to the mean."""
    frontal_sinus: tuple[float, float]
    """Size of the right and left frontal sinus; 0 where it did not form."""
    sphenoid_sinus: float
    """Size of the sphenoid sinus."""
    mastoid_air: float
    """0 to 1: share of air in the mastoid cells."""
    maxillary_sinus: tuple[float, float]
    """Size of the right and left maxillary sinus."""
    maxillary_fluid: tuple[float, float]
    """0 to 1: how full of mucus each maxillary sinus is."""
    calcified: bool
    """Whether pineal gland and choroid plexus are calcified."""


def draw(key: tuple[object, ...], *, sex: str, age: float) -> Head:
    """A head for a patient: `sex` is "female" or "male", `age` in years.

    Men's heads are 1.034 times as large in each direction (intracranial volume +10.4 %) and their ventricles a little more
    (volume +33 % in all); atrophy and white-matter lesions come with age, density of bone falls 0.3 % a year.
    """
    rng = generator(*key, "head")

    def spread(mean: float, sd: float, limit: float = 2.0) -> float:
        return float(mean + sd * np.clip(rng.standard_normal(), -limit, limit))

    male = sex == "male"
    size = (1.034 if male else 1.0) * 0.962
    common = spread(1.0, 0.013)
    scale = tuple(size * common * spread(mean, sd) for mean, sd in ((1.008, 0.018), (0.984, 0.009), (1.008, 0.016)))
    past = max(0.0, age - 30) / 50
    atrophy = max(0.0, spread(0.15 + 0.85 * past**1.4, 0.12))
    return Head(
        key=key,
        scale=(scale[0], scale[1], scale[2]),
        shift=(spread(0, 1.5), spread(0, 0.6), spread(0, 1.0)),
        angles=(spread(0, 3.5), spread(0, 3.5), spread(0, 2.5)),
        atrophy=atrophy,
        ventricles=max(0.75, spread(1.0 + 0.42 * atrophy, 0.08)) * (1.065 if male else 1.0),
        white_lesions=float(np.clip(spread(1.1 * (past - 0.35), 0.25), 0, 1)),
        skull=max(0.7, spread(1.0, 0.11)),
        bone=spread(1.0 - 0.003 * (age - 50), 0.05),
        scalp=max(0.6, spread(1.0, 0.2)),
        frontal_sinus=(
            0.0 if rng.random() < 0.08 else spread(0.95, 0.22),
            0.0 if rng.random() < 0.08 else spread(0.95, 0.22),
        ),
        sphenoid_sinus=spread(1.0, 0.15),
        mastoid_air=float(np.clip(spread(0.55, 0.2), 0.1, 0.9)),
        maxillary_sinus=(spread(1.0, 0.09), spread(1.0, 0.09)),
        maxillary_fluid=tuple(float(rng.uniform(0.2, 0.8)) if rng.random() < 0.15 else 0.0 for _ in range(2)),  # type: ignore[arg-type]
        calcified=bool(rng.random() < np.clip((age - 15) / 60, 0.05, 0.85)),
    )
