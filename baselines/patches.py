"""Training batches: random patches from examples in memory, a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baselines import slices
from baselines.config import Config
from baselines.detection import heat as heatmaps
from baselines.detection import lungs
from baselines.editions import Example

Array = slices.Array


@dataclass(frozen=True, eq=False)
class Patches:
    """A batch, in network units."""

    stack: Array
    """Input (batch, context × image, y, x)."""
    target: Array
    """Reference (batch, 1, y, x); of labels, their positions in `data.labels`; of points, a heat map."""
    weight: Array
    """1 where the reference counts, else 0; (batch, 1, y, x)."""


@dataclass(frozen=True, eq=False)
class _Volume:
    stack: Array
    target: Array
    weight: Array
    index: np.ndarray
    used: np.ndarray


class Sampler:
    """Draws batches. Volumes are normalised once and kept in memory; each edition is drawn equally often."""

    def __init__(self, examples: Sequence[Example], config: Config, seed: int) -> None:
        assert config.training is not None
        self.training, self.seed, self.images = config.training, seed, len(config.data.images)
        groups: dict[str, list[_Volume]] = {}
        for example in examples:
            stack = slices.normalise(example.inputs, config.data)
            target, weight = _target(example, config)
            used = np.flatnonzero(weight.any(axis=(1, 2)))
            if used.size:
                index = slices.neighbours(len(stack), config.data.context)
                volume = _Volume(stack, target, weight, index, used)
                groups.setdefault(example.edition, []).append(volume)
        if not groups:
            raise ValueError("no example has a voxel that counts")
        self.groups = [groups[name] for name in sorted(groups)]

    def batch(self, step: int) -> Patches:
        """The batch of a step: the same for the same seed and step, whatever was drawn before."""
        rng = np.random.default_rng([self.seed, step])
        parts = [self._one(rng) for _ in range(self.training.batch)]
        stack, target, weight = (np.stack(items) for items in zip(*parts, strict=True))
        return Patches(stack, target[:, None], weight[:, None])

    def _one(self, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        group = self.groups[rng.integers(len(self.groups))]
        # Volumes in proportion to their slices, so that every slice of an edition is as likely as every other.
        slots = rng.integers(sum(len(volume.used) for volume in group))
        for volume in group:
            if slots < len(volume.used):
                break
            slots -= len(volume.used)
        k = volume.used[slots]
        edge = self.training.patch
        # Centred near a pixel that counts: patches of nothing teach nothing.
        wanted = volume.weight
        if self.training.foreground and rng.random() < self.training.foreground and volume.target.any():
            wanted = volume.target
            labelled = np.flatnonzero(wanted.any(axis=(1, 2)))
            k = labelled[rng.integers(len(labelled))]
        pixels = volume.weight[k]
        rows, columns = np.nonzero(wanted[k])
        pick = rng.integers(len(rows))
        window = tuple(
            slice(start, start + edge)
            for start in (
                _start(int(rows[pick]), pixels.shape[0], edge, rng),
                _start(int(columns[pick]), pixels.shape[1], edge, rng),
            )
        )
        parts = [slices.stacked(volume.stack, volume.index[k])[:, *window], volume.target[k][window], pixels[window]]
        parts = [_fill(part, edge, "constant" if i == 2 else "edge") for i, part in enumerate(parts)]
        if self.training.gain:
            gains, shifts = 1 + self.training.gain * rng.uniform(-1, 1, (2, self.images)).astype(np.float32)
            repeat = len(parts[0]) // self.images
            parts[0] = parts[0] * np.tile(gains, repeat)[:, None, None] + np.tile(shifts - 1, repeat)[:, None, None]
        for axis, name in ((-1, "columns"), (-2, "rows")):
            if name in self.training.flips and rng.random() < 0.5:
                parts = [np.flip(part, axis) for part in parts]
        return parts[0], parts[1], parts[2]


def _target(example: Example, config: Config) -> tuple[Array, Array]:
    """What the network must give, in its units, and where that counts; both (z, y, x)."""
    mask = example.mask.astype(np.float32)
    if config.detection:
        grid = slices.grid(example.inputs, config.data)
        heat, weight = heatmaps.target(grid, example.reference, config.detection)
        return heat, weight * lungs.region(grid, config.detection) * mask
    if config.data.labels:
        return slices.classes(example.reference, config.data), mask
    return slices.to_units(np.clip(example.reference, *config.data.clip), config.data), mask


def _start(pixel: int, size: int, edge: int, rng: np.random.Generator) -> int:
    """A random start of a window of `edge` that holds the pixel and stays inside where it can."""
    low, high = max(0, pixel - edge + 1), min(pixel, size - edge)
    return int(rng.integers(low, high + 1)) if high >= low else 0


def _fill(part: Array, edge: int, mode: str) -> Array:
    """Pad (…, y, x) at the far sides up to the edge: volumes smaller than a patch."""
    missing = [edge - size for size in part.shape[-2:]]
    if not any(missing):
        return part
    return np.pad(part, [(0, 0)] * (part.ndim - 2) + [(0, m) for m in missing], mode=mode)  # type: ignore[call-overload]
