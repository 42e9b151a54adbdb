"""The phantom edition of tumour segmentation: who is in it, and each patient's images.

A case depends on (task version, seed, case id) alone: its place in the design below gives sex, age, scanner, site, whether the
tumour enhances and whether it has a satellite, and every random draw is keyed by the case.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.contract import Case, Split
from benchmark.dataset import CaseFiles, PlannedCase
from tasks import head, patients
from tasks.anatomy import Array, Canvas, Grid, generator, place, rotation, sheet_distance, smooth_field
from tasks.head import brain, outline
from tasks.patients import Attributes
from tasks.segmentation import contrasts, tumour
from tasks.segmentation.contrasts import CONTRASTS, MATERIALS, TUMOUR

WIDTH, DEPTH = 176.0, 144.0
"""Field of view in mm: width of an axial slice, and height of the stack."""

AGES: Mapping[str, tuple[int, int]] = {"<40": (20, 39), "40-64": (40, 64), "65+": (65, 86)}
"""Years, first and last included."""

TRAIN_BLOCK: patients.Shares = {
    "sex": {"female": 18, "male": 30},
    "age_band": {"<40": 8, "40-64": 22, "65+": 18},
    "scanner": {"1.5T": 16, "3T": 32},
    "site": {"A": 27, "B": 16, "C": 5},
}
"""Of each 48 training patients."""

NON_ENHANCING: Mapping[str, float] = {"<40": 0.375, "40-64": 0.125, "65+": 0.05}
"""Share of tumours that take up no contrast agent, by age band: planted, so that the young are harder."""

SATELLITES: Mapping[str, float] = {"female": 0.5, "male": 0.25}
"""Share of patients whose tumour has a small satellite, by sex: planted, so that more lesions are missed in women."""

LABELS: Mapping[str, int] = {"necrosis": 1, "haemorrhage": 1, "solid": 1, "oedema": 2, "enhancing": 3}
"""BraTS 2023's labels; what takes up no contrast agent in the core is 1."""

_FIELDS = {
    "warp_x": 42.0, "warp_y": 42.0, "warp_z": 42.0, "skull": 26.0, "scalp": 24.0, "sulci": 5.8, "depth": 20.0, "lesion": 9.0,
    "spots": 7.0, "vessel_a": 19.0, "vessel_b": 19.0, "flow": 12.0, "strip": 15.0, "lobes": 13.0, "fingers": 15.0, "rim": 9.0,
    "grain": 6.5,
}  # fmt: skip
"""Smooth random fields and the distance in mm between their knots."""


def grid_of(size: int) -> Grid:
    """Axial slices of `size`² voxels over the field of view, three slices for every four rows (64: 48 slices of 3 mm)."""
    slices = 3 * size // 4
    return Grid((slices, size, size), (DEPTH / slices, WIDTH / size, WIDTH / size))


def _dealt(
    rows: Sequence[Attributes], by: str, rates: Mapping[str, float], across: str, key: tuple[object, ...]
) -> list[bool]:
    """Yes or no for each row: in each group of the attribute `by`, as many yes as its rate says, rounded, at random places.

    The groups of the attribute `across` take turns, also from one group of `by` to the next, so that neither stands in for the other.
    """
    out = [False] * len(rows)
    taken: dict[str, int] = {}
    for group, rate in rates.items():
        members = [i for i, row in enumerate(rows) if row[by] == group]
        order = generator("segmentation", *key, by, group).permutation(len(members))
        left = [members[k] for k in order]
        for _ in range(round(rate * len(members))):
            chosen = min(left, key=lambda i: taken.get(rows[i][across], 0))
            left.remove(chosen)
            out[chosen] = True
            taken[rows[chosen][across]] = taken.get(rows[chosen][across], 0) + 1
    return out


@functools.cache
def _patients(seed: int, split: Split, block: int) -> tuple[tuple[Attributes, bool, bool], ...]:
    """Attributes of a block of patients, whether each one's tumour enhances, whether it has a satellite."""
    if split == "canary":
        first, second, third = patients.CANARY
        return ((first, True, True), (second, True, False), (third, False, False))
    rows = patients.block_of("segmentation", TRAIN_BLOCK, list(AGES), seed, split, block)
    silent = _dealt(rows, "age_band", NON_ENHANCING, "sex", ("enhancing", seed, split, block))
    more = _dealt(rows, "sex", SATELLITES, "site", ("satellite", seed, split, block))
    return tuple(zip(rows, (not s for s in silent), more, strict=True))


def patient(seed: int, split: Split, index: int) -> tuple[Attributes, Literal["enhancing", "non_enhancing"], bool]:
    """Attributes (with the age in years) of the patient at this place in the design, kind of tumour, whether with a satellite."""
    length = patients.block_size(split, TRAIN_BLOCK)
    row, enhancing, satellite = _patients(seed, split, index // length)[index % length]
    who = patients.aged("segmentation", row, AGES, seed, split, index)
    return who, "enhancing" if enhancing else "non_enhancing", satellite


def key(version: str, seed: int, case: str) -> tuple[object, ...]:
    """What every random draw of a case is keyed by."""
    return ("segmentation", version, seed, case)


def paint(
    person: head.Head, lesion: tumour.Tumour, grid: Grid, palettes: Mapping[str, Mapping[str, float]]
) -> tuple[Canvas, NDArray[np.bool_]]:
    """Paint a brain with a tumour. Returns the canvas (layers without point spread or noise) and the stripped brain's mask.

    Besides those of `palettes` the canvas has layers "white" (share of white matter), "fluid" and "tumour".
    """
    fields = {name: smooth_field(generator(*person.key, "field", name), grid, knots) for name, knots in _FIELDS.items()}
    turn = rotation(*person.angles)
    # The middle of the brain, some 4 mm above the origin of the head's frame, goes to the middle of the grid.
    space = place(
        grid,
        turn=turn,
        scale=person.scale,
        shift=(person.shift[0], person.shift[1], person.shift[2] + 1.0),
        warp=tuple(np.float32(1.6) * fields[f"warp_{a}"] for a in "xyz"),  # type: ignore[arg-type]
    )
    cavity = outline.envelope_of(person, space, fields)
    none = dict.fromkeys(MATERIALS, 0.0)
    layers = {
        **palettes,
        "white": {**none, "white_matter": 1.0, "deep_grey_matter": 0.6},
        "fluid": {**none, "csf": 1.0},
        "tumour": {**none, **dict.fromkeys(TUMOUR, 1.0)},
    }
    canvas = Canvas(tumour.pushed(space, lesion, cavity.cavity), grid.voxel, MATERIALS, layers)
    brain.brain(canvas, cavity, person, fields, grid, slope=0.55, insula=11.0)
    _distractors(canvas, cavity.cavity, person, fields, grid)
    tumour.paint(canvas, space, lesion, cavity.cavity, fields, grid)
    # Stripping is never perfect: now some cortex is lost, now some dura and vein are left.
    inside = cavity.cavity < np.float32(-0.6) + np.float32(1.0) * fields["strip"]
    return canvas, inside & (space.z > -78)


def _distractors(canvas: Canvas, cavity: Array, person: head.Head, fields: Mapping[str, Array], grid: Grid) -> None:
    """What looks like tumour and is none: spots in white matter, vessels and plexus that enhance."""
    many = 0.25 + 0.75 * person.white_lesions
    spots = np.clip((fields["spots"] - np.float32(2.6 - 1.35 * many)) * 1.6, 0, 1) * canvas.layers["white"]
    canvas.paint((spots * (cavity < -12)).astype(np.float32), "lesion")
    for s in (-1, 1):
        box = canvas.near((s * 22, 26, 2), 22)
        size = 2.0 + 0.6 * person.ventricles
        canvas.fill(box.capsule((s * 17, 26, 6), (s * 24, 20, -2), size, 0.7 * size), "choroid", box)
    # Where two random sheets meet is a random curve: veins and arteries near the surface and along the base.
    tube = np.hypot(sheet_distance(fields["vessel_a"], grid), sheet_distance(fields["vessel_b"], grid))
    outer = np.clip((cavity + 24) / 8, 0, 1)
    canvas.fill(np.where(cavity < -0.5, tube - np.float32(1.5) * outer, np.float32(9)), "vessel")


def signals(canvas: Canvas, grid: Grid, fields_key: tuple[object, ...], contrast: str) -> Array:
    """Signal of a contrast: the canvas's layer, a tumour's uneven texture, fluid that moves and escapes its suppression."""
    layer = canvas.layers[contrast]
    grain = smooth_field(generator(*fields_key, "field", "grain", contrast), grid, _FIELDS["grain"])
    out: Array = layer * (1 + np.float32(0.08) * canvas.layers["tumour"] * grain)
    if contrast == "t2f":
        flow = smooth_field(generator(*fields_key, "field", "flow"), grid, _FIELDS["flow"])
        low = 1 / (1 + np.exp((canvas.space.z + 8) / 7))
        out = out + canvas.layers["fluid"] * np.clip(flow - np.float32(0.2), 0, 1) * low * np.float32(1.3)
    return out.astype(np.float32)


def make(
    case: Case, kind: Literal["enhancing", "non_enhancing"], satellite: bool, *, version: str, seed: int, size: int
) -> CaseFiles:
    """Images of one patient on the grid of `size`: four contrasts without the skull, and the labels."""
    who = case.attributes
    about = key(version, seed, case.id)
    grid = grid_of(size)
    person = head.draw(about, sex=who["sex"], age=float(who["age"]))
    lesion = tumour.draw(about, sex=who["sex"], kind=kind, satellite=satellite)
    palettes = contrasts.palettes(who["scanner"], lesion.uptake, generator(*about, "relaxation"))
    canvas, inside = paint(person, lesion, grid, palettes)
    at = contrasts.quality(who["scanner"], who["site"])
    volumes = {
        name: grid.volume(contrasts.scan(signals(canvas, grid, about, name), grid, name, inside, about, at))
        for name in CONTRASTS
    }
    return CaseFiles(inputs=volumes, references={"tumour": grid.volume(labels_of(canvas, inside))})


def labels_of(canvas: Canvas, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """BraTS's labels of what covers each voxel most, 0 outside the brain."""
    table = np.zeros(len(MATERIALS), np.uint8)
    for name, label in LABELS.items():
        table[MATERIALS.index(name)] = label
    labels = np.where(inside, table[canvas.labels], 0).astype(np.uint8)
    # Oedema that hangs on no core would be nobody's: a reader takes such a spot for an old lesion.
    parts, n = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    owned = np.zeros(n + 1, bool)
    owned[np.unique(parts[(labels == 1) | (labels == 3)])] = True
    return np.where(owned[parts], labels, 0).astype(np.uint8)


def cases(counts: Mapping[Split, int], *, version: str, seed: int, size: int) -> list[PlannedCase]:
    """The planned cases, split by split."""
    planned = []
    for split, n in counts.items():
        for index in range(n):
            attributes, kind, satellite = patient(seed, split, index)
            case = Case(id=f"{split}-{index:03d}", split=split, attributes=attributes)
            work = functools.partial(make, case, kind, satellite, version=version, seed=seed, size=size)
            planned.append(PlannedCase(case, work))
    return planned


def truth(planned: Iterable[PlannedCase], *, version: str, seed: int) -> dict[str, Any]:
    """What was planted, for checking a fairness audit against: rates and sizes by group, image quality, each patient's draw."""
    planned = list(planned)
    people: dict[str, dict[str, Any]] = {}
    for p in planned:
        who = p.case.attributes
        _, kind, satellite = patient(seed, p.case.split, int(p.case.id.rpartition("-")[2]))
        about = key(version, seed, p.case.id)
        lesion = tumour.draw(about, sex=who["sex"], kind=kind, satellite=satellite)
        main = lesion.foci[0]
        people[p.case.id] = {
            "age": int(who["age"]), "kind": lesion.kind, "uptake": lesion.uptake, "satellites": len(lesion.foci) - 1,
            "core_ml": round(4 / 3 * float(np.pi * np.prod(main.radii)) / 1000, 2), "oedema_mm": round(main.oedema, 2),
            "haemorrhage": lesion.haemorrhage > 0,
            "white_lesions": round(head.draw(about, sex=who["sex"], age=float(who["age"])).white_lesions, 3),
        }  # fmt: skip
    qualities = {
        f"{scanner}/{site}": {
            "noise_percent": (q := contrasts.quality(scanner, site)).noise, "bias_range": q.bias, "blur_mm": q.blur
        }
        for scanner in ("1.5T", "3T")
        for site in "ABC"
    }  # fmt: skip
    return {
        "image_quality": qualities,
        "effects": {
            "sex": f"a woman's core has {tumour.WOMEN_VOLUME:g} times the volume of a man's, and has a satellite twice as often: "
            "small cores and satellites are missed more easily; the oedema, and so the whole tumour, is alike, and so are images",
            "age_band": "under 40 tumours often do not enhance; with age come atrophy and white-matter lesions, bright in FLAIR",
            "scanner": "1.5T is noisier than 3T, and rarer in training",
            "site": "C is harder than B, B than A: more noise, a stronger bias field, more blur; and C is rare in training",
        },
        "rates": {"non_enhancing": {"age_band": dict(NON_ENHANCING)}, "satellite": {"sex": dict(SATELLITES)}},
        "sizes": {"core_volume_female_to_male": tumour.WOMEN_VOLUME},
        "harder_first": {"site": ["C", "B", "A"], "scanner": ["1.5T", "3T"]},
        "harder_core_first": {"age_band": ["<40", "40-64", "65+"]},
        "rarer_in_training": {"site": ["C"], "age_band": ["<40"], "scanner": ["1.5T"], "sex": ["female"]},
        "shares": patients.tally((p.case for p in planned), TRAIN_BLOCK),
        "patients": people,
    }
