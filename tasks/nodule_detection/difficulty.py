"""What makes the phantoms of nodule detection hard or easy, in one place. A change here changes every phantom: raise the version.

Two wishes pull against each other. A nodule of median size (6.4 mm, three voxels) must be seen by a reader who scrolls; and a good
learned detector must be left with mistakes to make, about 0.96 in AUC over candidates. What decides is noise against contrast,
how many nodules touch a vessel or the pleura, and how many things look like a nodule and are none. The numbers were settled on
training and validation scans alone.

CT numbers are those of textbooks (soft tissue around 20 to 40 HU, ground glass around −600); shares of kinds and of lobulated outlines
are roughly those of LIDC-IDRI. How much looks like a nodule is nobody's figure: it was chosen so that detectors make mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOISE: Mapping[str, float] = {"standard": 20.0, "low": 42.0}
"""Standard deviation of the noise in HU in the lung by dose, at site A: routine chest CT has 20 to 30, low-dose screening
45 to 90 in voxels of a fifth of this volume."""

KERNEL: Mapping[str, tuple[float, float]] = {"A": (0.55, 1.0), "B": (0.75, 0.95), "C": (0.45, 1.35)}
"""By site: blur of the reconstruction in pixels, and the noise as a multiple of site A's (a sharper kernel is noisier)."""

SUBSOLID: Mapping[str, float] = {"female": 0.28, "male": 0.08}
"""Share of nodules that are part-solid or pure ground glass, by sex; 18 % over both, as in LIDC-IDRI."""

PURE_GROUND_GLASS = 0.55
"""Of those, the share without a solid core: 10 of 18 %."""

HU_KIND: Mapping[str, tuple[float, float]] = {
    "solid": (10.0, 45.0),
    "ground_glass": (-610.0, 55.0),
    "shell": (-420.0, 80.0),
}
"""Mean and spread over nodules of the CT number, by kind of tissue. A part-solid nodule is a shell around a solid core."""

PLACES: Mapping[str, float] = {"vessel": 0.20, "pleura": 0.20, "free": 0.60}
"""Share of nodules that touch a vessel, that touch the pleura, and that do neither."""

IRREGULAR = 0.30
"""Share of nodules with a lobulated outline."""

LOBES = 0.18
"""Amplitude of the lobes as a share of the radius."""

SPOTS: Mapping[str, float] = {"<55": 8.0, "55-69": 11.0, "70+": 15.0}
"""Mean number of short bulges on vessels (branchings end on, mucus in a bronchus, a vein's loop): like a nodule, and none."""

BANDS: Mapping[str, float] = {"<55": 0.4, "55-69": 1.2, "70+": 2.6}
"""Mean number of bands of collapsed lung or scar by age band: they make false positives in the old."""

PLAQUES: Mapping[str, float] = {"<55": 0.5, "55-69": 1.5, "70+": 3.0}
"""Mean number of flat thickenings of the pleura and knots on a fissure by age band."""

EMPHYSEMA: Mapping[str, float] = {"<55": 0.0, "55-69": 0.35, "70+": 0.8}
"""How uneven the lung is by age band: 1 is ±60 HU of holes and crowded tissue."""

MICRONODULES = 3.0
"""Mean number of nodules of 1.6 to 3 mm: too small to count, hence irrelevant. LIDC-IDRI has 5.8 a scan."""


def declared() -> dict[str, Any]:
    """All of these numbers by name, for the parameters of an edition: one made with others is made again."""
    return {name.lower(): value for name, value in sorted(globals().items()) if name.isupper()}
