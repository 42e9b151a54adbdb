"""Batches of cubes for training, findings and candidates that are none: a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines import slices
from baselines.config import Config
from baselines.detection import candidates, crops, lungs, marks
from baselines.editions import Example
from baselines.patches import Patches
from benchmark import points

Array = NDArray[np.float32]

NEAR_MM = 1.5
"""How far, at random, a place is moved in training: candidates do not lie on the centre either."""


@dataclass(frozen=True, eq=False)
class _Scan:
    volume: Array
    spacing: tuple[float, float, float]
    positive: NDArray[np.float64]
    """Voxel indices of findings, and of candidates on them."""
    negative: NDArray[np.float64]
    """Voxel indices of candidates that are none, the roundest first."""


class CropSampler:
    """Draws batches of cubes: a share of findings, the rest candidates that are none. A scan's volume is kept in memory."""

    def __init__(self, examples: Sequence[Example], config: Config, seed: int) -> None:
        assert config.training is not None and config.detection is not None
        self.training, self.settings, self.seed = config.training, config.detection, seed
        self.scans = []
        for example in examples:
            grid = slices.grid(example.inputs, config.data)
            hu = np.nan_to_num(np.asarray(grid.array, np.float32))
            found = candidates.find(hu, grid.spacing, lungs.region(grid, self.settings), self.settings)
            hit, counts = marks.judged(marks.to_places(grid, found.index), example.reference)
            centres, _, irrelevant = points.parse_findings(example.reference)
            own = marks.to_index(grid, centres[~irrelevant])
            volume = slices.normalise(example.inputs, config.data)
            positive = np.concatenate([own, found.index[hit]])
            self.scans.append(_Scan(volume, grid.spacing, positive, found.index[counts & ~hit]))
        self.positive = [(i, k) for i, scan in enumerate(self.scans) for k in range(len(scan.positive))]
        self.with_negative = [i for i, scan in enumerate(self.scans) if len(scan.negative)]
        if not self.positive or not self.with_negative:
            raise ValueError("the examples hold no finding, or nothing else")

    def batch(self, step: int) -> Patches:
        """The batch of a step: cubes (batch, 1, z, y, x), and 1 or 0 (batch, 1) for a finding or none."""
        rng = np.random.default_rng([self.seed, step])
        count = self.training.batch
        wanted = round(self.training.foreground * count)
        cubes = [self._one(rng, *self.positive[int(rng.integers(len(self.positive)))], True) for _ in range(wanted)]
        cubes += [self._one(rng, *self._look_alike(rng), False) for _ in range(count - wanted)]
        target = np.repeat(np.array([1, 0], np.float32), [wanted, count - wanted])[:, None]
        return Patches(np.stack(cubes)[:, None], target, np.ones_like(target))

    def _look_alike(self, rng: np.random.Generator) -> tuple[int, int]:
        """A candidate that is none: any scan, the rounder ones more often, since they are the ones that are mistaken."""
        i = self.with_negative[int(rng.integers(len(self.with_negative)))]
        return i, int(len(self.scans[i].negative) * rng.random() ** 2)

    def _one(self, rng: np.random.Generator, i: int, k: int, positive: bool) -> Array:
        scan = self.scans[i]
        moved = (scan.positive if positive else scan.negative)[k] + rng.uniform(-NEAR_MM, NEAR_MM, 3) / scan.spacing
        pitch = self.settings.pitch_mm * float(rng.uniform(0.9, 1.1))
        cube = crops.cut(scan.volume, scan.spacing, moved[None], self.settings.crop, pitch)[0]
        # A nodule may lie any way round in the plane, and on its head; slices stay slices.
        cube = np.rot90(cube, int(rng.integers(4)), (1, 2))
        for axis in range(3):
            if rng.random() < 0.5:
                cube = np.flip(cube, axis)
        if self.training.gain:
            gain, shift = 1 + self.training.gain * rng.uniform(-1, 1, 2)
            cube = cube * np.float32(gain) + np.float32(shift - 1)
        return np.ascontiguousarray(cube, np.float32)
