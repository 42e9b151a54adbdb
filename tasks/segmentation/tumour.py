"""A tumour by formula: who has which kind, where it lies, and how it is painted into the brain.

Sizes follow what BraTS shows of gliomas (core of some ml to some tens of ml, oedema up to a few times that); a tumour that takes up
contrast agent is a rim around necrosis or a solid nodule, one that does not is a solid core. It is a phantom: plausible, no patient's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from tasks.anatomy import Array, Canvas, Grid, Point, Space, generator, smooth_max

Kind = Literal["ring", "nodule", "non_enhancing"]
"""`ring`: enhancing rim around necrosis; `nodule`: enhancing throughout; `non_enhancing`: a solid core that takes up nothing."""

WOMEN_VOLUME = 0.5
"""Volume of a woman's tumour core relative to a man's: planted, so that one sex is harder."""

UPTAKES = (0.30, 0.42, 0.62)
"""T1 of the enhancing part after contrast agent relative to before: strong, moderate, faint."""
UPTAKE_SHARES = (0.42, 0.38, 0.20)


@dataclass(frozen=True)
class Focus:
    """One lesion."""

    centre: Point
    """(x, y, z) in the patient's frame, mm."""
    radii: Point
    """Of the core, mm."""
    turn: float
    """Degrees about the z axis."""
    tilt: float
    """Degrees about the x axis."""
    rim: float
    """Thickness of the enhancing rim, mm; more than the radius where there is no necrosis, 0 where nothing enhances."""
    oedema: float
    """How far oedema reaches beyond the core, mm."""


@dataclass(frozen=True)
class Tumour:
    """What sets one tumour apart."""

    key: tuple[object, ...]
    """Seeds its surfaces."""
    kind: Kind
    uptake: float
    """T1 after contrast agent relative to before; 1 where nothing enhances."""
    haemorrhage: float
    """0: none; else share of the necrosis that holds blood, which is bright before contrast agent."""
    mass_effect: float
    """0 to 1: how far what lies around is pushed aside."""
    infiltration: float
    """Width in mm over which oedema fades into healthy white matter."""
    foci: tuple[Focus, ...]
    """The main lesion first, then satellites."""


def draw(key: tuple[object, ...], *, sex: str, kind: Literal["enhancing", "non_enhancing"], satellite: bool) -> Tumour:
    """A tumour for a patient. Whether it enhances and has a satellite is the design's to say; the rest is drawn."""
    rng = generator(*key, "tumour")

    def spread(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(mean + sd * rng.standard_normal(), low, high))

    size = float(np.exp(spread(np.log(15.5), 0.24, np.log(9.5), np.log(23.0))))
    size *= WOMEN_VOLUME ** (1 / 3) if sex == "female" else 1.0
    solid = kind == "non_enhancing"
    # A large tumour outgrows its vessels: only small ones enhance throughout.
    ring = not solid and (rng.random() < 0.7 or size > 14)
    rim = 0.0 if solid else spread(5.6, 0.9, 4.0, 7.5) if ring else 99.0
    shape = [spread(1.0, 0.14, 0.7, 1.35) for _ in range(3)]
    mean = float(np.prod(shape)) ** (1 / 3)
    centre = _centre(rng, size)
    main = Focus(
        centre=centre,
        radii=(size * shape[0] / mean, size * shape[1] / mean, size * shape[2] / mean),
        turn=float(rng.uniform(-40, 40)),
        tilt=float(rng.uniform(-30, 30)),
        rim=rim,
        oedema=spread(5.0, 1.5, 2.5, 8.0) if solid else spread(14.0, 4.5, 5.0, 24.0),
    )
    foci = [main]
    if satellite:
        small = float(rng.uniform(4.5, 6.5))
        foci.append(
            Focus(_beside(rng, centre, size + small), (small, small, small), 0.0, 0.0, 0.0 if solid else 99.0,
                  2.0 if solid else spread(4.0, 1.5, 1.5, 7.0))
        )  # fmt: skip
    return Tumour(
        key=key,
        kind="non_enhancing" if solid else "ring" if ring else "nodule",
        uptake=1.0 if solid else float(rng.choice(UPTAKES, p=UPTAKE_SHARES)),
        haemorrhage=float(rng.uniform(0.25, 0.7)) if ring and rng.random() < 0.3 else 0.0,
        mass_effect=spread(0.25 if solid else 0.45, 0.12, 0.1, 0.7),
        infiltration=spread(6.0, 1.5, 3.0, 9.0),
        foci=tuple(foci),
    )


def _allowed(x: float, y: float, z: float, reach: float) -> bool:
    """Whether a lesion of that reach lies in a cerebral hemisphere: not in the skull, not below the tentorium or the orbit's roof."""
    inner = 1 - 0.55 * reach / 60
    return (
        (x / 60) ** 2 + (y / 68) ** 2 + ((z - 2) / 62) ** 2 < inner**2
        and (y > -27 or z > -10 + 0.5 * reach)
        and (y < 12 or z > -14 - 0.26 * (y - 15) - 0.36 * abs(x) + 0.7 * reach)
        and z > -40 + reach
    )


def _centre(rng: np.random.Generator, reach: float) -> Point:
    """A place in either hemisphere, in its white matter or near the cortex."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    while True:
        x, y, z = rng.uniform(20, 44), rng.uniform(-48, 50), rng.uniform(-24, 44)
        if _allowed(float(x), float(y), float(z), reach):
            return (float(side * x), float(y), float(z))


def _beside(rng: np.random.Generator, centre: Point, apart: float) -> Point:
    """A place for a satellite: clear of the main lesion, mostly in the same hemisphere, sometimes across the midline."""
    across = rng.random() < 0.2
    while True:
        step = rng.standard_normal(3)
        step *= (apart + rng.uniform(10, 24)) / np.sqrt(np.sum(step**2))
        x, y, z = (float(c + s) for c, s in zip(centre, step, strict=True))
        if across:
            x = -x
        if abs(x) > 16 and (x > 0) == ((centre[0] > 0) != across) and _allowed(x, y, z, 6.0):
            return (x, y, z)


def pushed(space: Space, tumour: Tumour, cavity: Array) -> Space:
    """The frame in which healthy anatomy is painted: what lies around the main lesion is pushed away from it.

    `cavity` is the distance to the skull's inner table, which does not give way.
    """
    focus = tumour.foci[0]
    x, y, z = (c - np.float32(m) for c, m in zip((space.x, space.y, space.z), focus.centre, strict=True))
    reach = np.float32(1.6 * float(np.mean(focus.radii)))
    pull = np.float32(tumour.mass_effect) * np.exp(-(x * x + y * y + z * z) / (reach * reach))
    pull = pull * np.clip(-cavity / 14, 0, 1)
    return Space(space.x - pull * x, space.y - pull * y, space.z - pull * z, space.box)


def paint(canvas: Canvas, space: Space, tumour: Tumour, cavity: Array, fields: Mapping[str, Array], grid: Grid) -> None:
    """Paint all lesions. `space` is the frame without mass effect; the canvas has a layer "white", the share of white matter.

    Oedema first, everywhere, so that a satellite's oedema covers no core; it follows white matter, spares the cortex and fades.
    """
    lobes = 0.17 if tumour.kind == "non_enhancing" else 0.14
    cores = [_core(space, focus, cavity, fields, lobes) for focus in tumour.foci]
    # At the scale at which oedema spreads: a gyrus swells as a whole, the outer ribbon of cortex is spared.
    white = ndimage.gaussian_filter(canvas.layers["white"], [4.0 / step for step in grid.spacing], truncate=3.0)
    for focus, core in zip(tumour.foci, cores, strict=True):
        reach = np.float32(focus.oedema) * np.clip(1 + np.float32(0.55) * fields["fingers"], 0.2, 1.6)
        beyond = core - reach
        width = np.float32(min(tumour.infiltration, 1.2 * focus.oedema))
        share = np.clip(np.float32(0.5) - beyond / width, 0, 1) * np.clip(np.float32(1.6) * white, 0, 1)
        canvas.paint(np.maximum(share * (cavity < -2), canvas.coverage(core)), "oedema")
    for focus, core in zip(tumour.foci, cores, strict=True):
        if not focus.rim:
            # A core that takes up nothing has no sharp border either.
            canvas.paint(np.clip(np.float32(0.5) - core / np.float32(4.5), 0, 1), "solid")
            continue
        canvas.fill(core, "enhancing")
        uneven = np.clip(1 + np.float32(0.45) * fields["rim"], 0.35, 2.0)
        necrosis = core + np.float32(focus.rim) * uneven
        canvas.fill(necrosis, "necrosis")
        if tumour.haemorrhage:
            level = np.float32(np.quantile(fields["fingers"], 1 - tumour.haemorrhage))
            blood = np.maximum(necrosis + 1.0, (level - fields["fingers"]) * np.float32(6))
            canvas.fill(blood, "haemorrhage")


def _core(space: Space, focus: Focus, cavity: Array, fields: Mapping[str, Array], lobes: float) -> Array:
    """Distance to the surface of a core: a lobulated ellipsoid that stays inside the skull."""
    distance = space.ellipsoid(focus.centre, focus.radii, turn=focus.turn, tilt=focus.tilt)
    distance = distance + np.float32(lobes * float(np.mean(focus.radii))) * fields["lobes"]
    return smooth_max(distance, cavity + np.float32(3.0), 2.0)
