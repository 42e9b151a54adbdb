"""Phantom chest CTs with nodules: a slab of lung on one grid, the nodules in it, and what was planted between groups."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from benchmark.contract import Case, Split
from benchmark.dataset import CaseFiles, PlannedCase
from benchmark.points import empty_points
from tasks.anatomy import Array, Grid, generator
from tasks.nodule_detection import design, difficulty, lesions, thorax
from tasks.patients import tally

FIELD = (80.0, 179.2, 256.0)
"""Field of view in mm (z, y, x): that of a reconstruction for the lungs, and a slab of 80 mm."""

ROWS = 112
"""Rows of the default grid: 32 slices of 2.5 mm, 160 × 112 pixels of 1.6 mm."""

HEIGHT = (-22.0, 42.0)
"""The middle of the slab lies between these heights in mm above the carina."""

SIZE: Mapping[str, float] = {"female": 0.93, "male": 1.0}
"""Size of the chest by sex."""


def grid_of(size: int) -> Grid:
    """`size` rows over the field of view, pixels square, slices 1.5625 times as thick as a pixel is wide or nearly so."""
    shape = (round(2 * size / 7), size, round(10 * size / 7))
    return Grid(shape, (FIELD[0] / shape[0], FIELD[1] / size, FIELD[2] / shape[2]))


def key(version: str, seed: int, case: str) -> tuple[object, ...]:
    """What every random draw of a case is keyed by."""
    return ("nodule_detection", version, seed, case)


def build_of(about: tuple[object, ...], attributes: Mapping[str, str]) -> thorax.Build:
    """The body of a patient."""
    rng = generator(*about, "build")
    scale = SIZE[attributes["sex"]] * float(rng.uniform(0.96, 1.03))
    height, fat = float(rng.uniform(*HEIGHT)), float(rng.uniform(8, 22))
    emphysema = difficulty.EMPHYSEMA[attributes["age_band"]] * float(rng.uniform(0.4, 1.3))
    contrast = float(rng.uniform(80, 180)) if rng.random() < 0.4 else 0.0
    return thorax.Build(about, scale, height, fat, emphysema, contrast)


def scanned(hu: Array, about: tuple[object, ...], attributes: Mapping[str, str], grid: Grid) -> NDArray[np.int16]:
    """What a scanner makes of CT numbers: the kernel's blur, noise of its grain and strength, whole HU."""
    rng = generator(*about, "noise")
    blur, rough = difficulty.KERNEL[attributes["site"]]
    image = scipy.ndimage.gaussian_filter(hu, (0.35, blur, blur))
    grain = scipy.ndimage.gaussian_filter(rng.standard_normal(grid.shape, np.float32), (0, blur, blur))
    grain *= np.float32(difficulty.NOISE[attributes["dose"]] * rough / grain.std(dtype=np.float64))
    # Rays through the middle of the body are weaker, so the noise is stronger there.
    x, y = grid.axis(2) / 75, grid.axis(1)[:, None] / 60
    grain *= np.float32(0.9) + np.float32(0.3) * np.exp(-(x * x + y * y))
    return np.clip(np.rint(image + grain), -1024, 3071).astype(np.int16)


def points(
    placed: Iterable[lesions.Placed], small: Iterable[tuple[float, float, float]], chest: thorax.Chest
) -> dict[str, Any]:
    """The reference: nodules with their diameter, and centres of those too small to count, on the grid's own millimetres."""
    to_grid = _to_grid(chest)
    found = empty_points(irrelevant=True)
    for nodule in placed:
        found["points"].append(
            {"name": nodule.kind, "point": to_grid(nodule.centre), "diameter": round(nodule.diameter * chest.scale, 2)}
        )
    for centre in small:
        # Nobody outlines a nodule below 3 mm: as in LUNA16, a diameter that is not known, which takes 10 mm.
        found["irrelevant"].append({"name": "below 3 mm", "point": to_grid(centre), "diameter": -1})
    return found


def _to_grid(chest: thorax.Chest) -> Any:
    """From the patient's frame to the grid's millimetres: the frame is shifted and scaled, not turned."""
    grid = chest.grid
    lines = []
    for axis, own in ((2, chest.space.x), (1, chest.space.y), (0, chest.space.z)):
        values, at = own.ravel().astype(np.float64), grid.axis(axis).astype(np.float64)
        slope = (at[-1] - at[0]) / (values[-1] - values[0])
        lines.append((slope, at[0] - slope * values[0]))

    def point(centre: tuple[float, float, float]) -> list[float]:
        return [round(float(slope * c + start), 2) for c, (slope, start) in zip(centre, lines, strict=True)]

    return point


def compose(
    about: tuple[object, ...], patient: design.Patient, grid: Grid
) -> tuple[thorax.Chest, list[lesions.Placed], list[tuple[float, float, float]]]:
    """A chest with all that is in it, before the scanner: the chest, its nodules, the centres of nodules too small to count."""
    who = patient.attributes
    chest = thorax.paint(build_of(about, who), grid)
    lesions.distract(generator(*about, "distractors"), chest, who["age_band"])
    small = lesions.small(generator(*about, "small"), chest)
    rng = generator(*about, "nodules")
    placed = lesions.place(rng, chest, patient.nodules)
    lesions.paint(rng, chest, placed)
    return chest, placed, small


def make(case: Case, patient: design.Patient, *, version: str, seed: int, size: int) -> CaseFiles:
    """The scan and the reference of one patient, on the grid of `size`."""
    about = key(version, seed, case.id)
    chest, placed, small = compose(about, patient, grid_of(size))
    image = scanned(chest.hu, about, patient.attributes, chest.grid)
    return CaseFiles(
        inputs={"chest-ct": chest.grid.volume(image)}, references={"nodules": points(placed, small, chest)}
    )


def cases(counts: Mapping[Split, int], *, version: str, seed: int, size: int) -> list[PlannedCase]:
    """The planned cases, split by split."""
    planned = []
    for split, n in counts.items():
        for index in range(n):
            patient = design.patient(seed, split, index)
            case = Case(id=f"{split}-{index:03d}", split=split, attributes=dict(patient.attributes))
            work = functools.partial(make, case, patient, version=version, seed=seed, size=size)
            planned.append(PlannedCase(case, work))
    return planned


def truth(planned: Iterable[PlannedCase], *, seed: int) -> dict[str, Any]:
    """What was planted, for checking a fairness audit against: rates, contrast, noise and shares by group; every nodule."""
    planned = list(planned)
    rates: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    names = ("sex", "age_band", "dose", "site")
    people: dict[str, Any] = {}
    members: dict[tuple[str, str, str], list[design.Patient]] = {}
    for p in planned:
        who, split = p.case.attributes, p.case.split
        patient = design.patient(seed, split, int(p.case.id.rpartition("-")[2]))
        people[p.case.id] = {"age": int(who["age"]), "nodules": [asdict(nodule) for nodule in patient.nodules]}
        for name in names:
            members.setdefault((split, name, who[name]), []).append(patient)
    for (part, name, value), group_of in sorted(members.items()):
        found = [nodule for patient in group_of for nodule in patient.nodules]
        rates.setdefault(part, {}).setdefault(name, {})[value] = {
            "scans": len(group_of),
            "scans_with_nodules": sum(bool(patient.nodules) for patient in group_of),
            "nodules": len(found),
            "subsolid": sum(nodule.kind != "solid" for nodule in found),
            "median_mm": round(float(np.median([n.diameter for n in found])), 2) if found else 0.0,
        }
    noise = {
        f"{dose}/{site}": round(sd * rough, 1)
        for dose, sd in difficulty.NOISE.items()
        for site, (_, rough) in difficulty.KERNEL.items()
    }
    return {
        "effects": {
            "sex": "women's nodules are ground glass or part-solid three times as often, of less contrast, and missed more easily; "
            "the chest is smaller; number, size and noise are alike",
            "age_band": "with age come bands, thickened pleura, bulging vessels and emphysema: more that looks like a nodule, hence "
            "false positives; the nodules are alike",
            "dose": "low has twice the noise of standard, and is rarer in training",
            "site": "C has a sharp kernel with a third more noise, and is rare in training (one patient in twelve); B is smooth",
        },
        "subsolid": {"sex": dict(difficulty.SUBSOLID)},
        "contrast_hu": {tissue: list(values) for tissue, values in difficulty.HU_KIND.items()},
        "noise_hu": noise,
        "blur_pixels": {site: blur for site, (blur, _) in difficulty.KERNEL.items()},
        "look_alikes": {
            "bulges": dict(difficulty.SPOTS), "bands": dict(difficulty.BANDS), "thickenings": dict(difficulty.PLAQUES),
            "emphysema": dict(difficulty.EMPHYSEMA),
        },
        "harder_first": {"dose": ["low", "standard"], "sex": ["female", "male"], "age_band": ["70+", "55-69", "<55"]},
        "rarer_in_training": {"site": ["C"], "dose": ["low"], "sex": ["female"]},
        "shares": tally((p.case for p in planned), names),
        "found": rates,
        "patients": people,
    }  # fmt: skip
