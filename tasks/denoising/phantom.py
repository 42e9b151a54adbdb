"""The phantom edition: who the subjects are, and one slab of each made into a case.

Shapes and CT numbers are in `chest.py` and `head.py`; both paint on the shared canvas of `tasks.anatomy`. Here small
lesions of low contrast are planted on top, since a denoiser that removes them is not worth its PSNR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from benchmark.contract import Split
from benchmark.dataset import CaseFiles
from tasks.anatomy import Canvas, Grid, generator, smooth_field
from tasks.denoising import chest, head
from tasks.denoising.protocol import DOSES, field_of_view, scanner, simulate
from tasks.denoising.sample import cases_of

EXTENT = {"chest": 400.0, "head": 240.0}
"""Side of the square field of view in mm."""

SLICES = 6
"""Slices a case."""

SLICE_MM = 3.0
"""Distance of the slices in mm."""

BLUR = 0.7
"""Standard deviation, in pixels, of the blur of the beam."""

TISSUE = {"chest": ("muscle", "liver", "heart"), "head": ("white matter", "grey matter")}
"""Where lesions are planted."""

RARE = ({3, 7, 11, 15}, {1, 6, 12, 15})
"""Of every sixteen subjects of train: those that are heads, and those at the lower dose."""


@dataclass(frozen=True)
class Subject:
    """One subject: a slab of one anatomy at one level, at one dose."""

    id: str
    split: Split
    anatomy: str
    dose: str
    level: str
    key: tuple[object, ...]
    """Task version and seed; with the id it determines every number of the case."""


@dataclass(frozen=True)
class Lesion:
    """A ball of other density planted in soft tissue."""

    x: float
    y: float
    z: float
    """Centre in mm from the middle of the slab (left, back, head)."""
    radius: float
    """Radius in mm."""
    contrast: float
    """HU added."""


def subjects(split: Split, count: int, key: tuple[object, ...]) -> list[Subject]:
    """`count` subjects of a split. In train heads and the lower dose are rare (a quarter each, together one in sixteen);
    in the other splits the four combinations take turns."""
    found = []
    for i in range(count):
        if split == "train":
            anatomy, dose = ("head" if i % 16 in RARE[0] else "chest"), ("10%" if i % 16 in RARE[1] else "25%")
            level = i // 2 % 3
        else:
            anatomy, dose = (("chest", "10%"), ("head", "25%"), ("chest", "25%"), ("head", "10%"))[i % 4]
            level = (i // 4 + i) % 3
        levels = chest.LEVELS if anatomy == "chest" else head.LEVELS
        found.append(Subject(f"{anatomy}-{split}-{i:03d}", split, anatomy, dose, list(levels)[level], key))
    return found


def anatomy(subject: Subject, size: int) -> NDArray[np.float32]:
    """The subject's slab in HU on (SLICES, size, size), lesions and all. The same at every dose."""
    pixel = EXTENT[subject.anatomy] / size
    grid = Grid((SLICES, size, size), (SLICE_MM, pixel, pixel))
    canvas = _paint(subject, grid)
    hu, z, y, x = canvas.layers["hu"], *(grid.axis(a) for a in range(3))
    allowed = _tissue(subject, canvas)
    for lesion in lesions(subject):
        distance = np.sqrt(
            (x - np.float32(lesion.x)) ** 2
            + (y[:, np.newaxis] - np.float32(lesion.y)) ** 2
            + (z[:, np.newaxis, np.newaxis] - np.float32(lesion.z)) ** 2
        )
        hu += canvas.coverage(distance - np.float32(lesion.radius)) * allowed * np.float32(lesion.contrast)
    # Tissue is not flat: a few HU where there is flesh, more in lung and bone.
    texture = smooth_field(generator("denoising", *subject.key, subject.id, "texture"), grid, 5.0, reach=420.0)
    grain = np.where(np.abs(hu) < 150, 5.0, np.where(hu > -950, 20.0, 0.0)).astype(np.float32)
    return hu + grain * texture


def lesions(subject: Subject) -> list[Lesion]:
    """Two to five lesions in the subject's soft tissue, 5 to 40 HU denser or less dense, in or near the middle slices."""
    # Looked for on a coarse grid of its own, so that they lie at the same place whatever the size of the image.
    pixel = EXTENT[subject.anatomy] / 64
    grid = Grid((2, 64, 64), (SLICE_MM, pixel, pixel))
    points = np.argwhere(_tissue(subject, _paint(subject, grid)).all(axis=0))
    rng = generator("denoising", *subject.key, subject.id, "lesions")
    found = []
    for place, strength, sign, radius, height in rng.random((int(rng.integers(2, 6)), 5)):
        j, i = points[int(place * len(points))]
        contrast = (5 + 35 * strength) * (1 if sign < 0.5 else -1)
        at = float(grid.axis(2)[i]), float(grid.axis(1)[j]), 6 * height - 3
        found.append(Lesion(*(round(float(v), 3) for v in (*at, 3 + 8 * radius, contrast))))
    return found


def _paint(subject: Subject, grid: Grid) -> Canvas:
    rng = generator("denoising", *subject.key, subject.id, "anatomy")
    return (chest if subject.anatomy == "chest" else head).paint(rng, grid, subject.level)


def _tissue(subject: Subject, canvas: Canvas) -> NDArray[np.bool_]:
    return np.isin(canvas.labels, [canvas.materials.index(name) for name in TISSUE[subject.anatomy]])


def make_case(subject: Subject, size: int) -> CaseFiles:
    """The case of a subject on `size` × `size` pixels."""
    pixel = EXTENT[subject.anatomy] / size
    # Focal spot and detector blur edges; painted ones hold more detail than the bins can sample, which gives moiré.
    hu = scipy.ndimage.gaussian_filter(anatomy(subject, size), (0, BLUR, BLUR))
    noise = generator("denoising", *subject.key, subject.id, "noise")
    low, reference = simulate(hu, pixel, scanner("phantom", subject.anatomy), subject.dose, noise)
    return cases_of(low, reference, field_of_view(reference), (SLICE_MM, pixel, pixel), -(SLICES - 1) / 2 * SLICE_MM)


def truth(chosen: Sequence[Subject]) -> dict[str, Any]:
    """What was planted: the lesions of every case, the dose of each subgroup, and how many cases of each train has."""
    cells: dict[str, int] = {}
    for subject in chosen:
        if subject.split == "train":
            cell = f"{subject.anatomy} at {subject.dose}"
            cells[cell] = cells.get(cell, 0) + 1
    return {
        "train_cases": cells,
        "photons_per_ray": {
            f"{anatomy} at {dose}": scanner("phantom", anatomy).fraction(share).photons
            for anatomy in EXTENT
            for dose, share in DOSES.items()
        },
        "harder": {"dose": "10%", "why": "noise of sqrt(2.5) times the standard deviation, and rare in train"},
        "lesions": {subject.id: [asdict(lesion) for lesion in lesions(subject)] for subject in chosen},
    }
