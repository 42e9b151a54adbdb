"""Volumes to stacks of slices and back: the numbers that the networks see. Plain arrays, no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.config import Config
from baselines.sections import Data
from benchmark.image import Volume

Array = NDArray[np.float32]
MULTIPLE = 16
"""Slices are padded so that four halvings leave whole numbers."""


def normalise(inputs: Mapping[str, Volume], data: Data) -> Array:
    """The image socket as float32 of about unit size, axes (z, y, x); with several, (z, channel, y, x)."""
    if data.channels:
        shape = grid(inputs, data).array.shape
        none = np.zeros(shape, np.float32)
        return np.stack([quartiles(inputs[slug]) if slug in inputs else none for slug in data.channels], axis=1)
    if data.normalisation == "mr_quartile":
        return quartiles(inputs[data.input])
    image = np.nan_to_num(np.asarray(inputs[data.input].array, np.float32))
    if data.normalisation == "hu":
        return to_units(np.clip(image, *data.clip), data)
    inside = body(inputs, data)
    low, high = np.percentile(image[inside], data.percentiles) if inside.any() else (0.0, 1.0)
    scaled = 2.0 * (image - low) / max(float(high - low), 1e-6) - 1.0
    return np.where(inside, np.clip(scaled, -1.5, 3.0), -1.0).astype(np.float32)


def quartiles(volume: Volume) -> Array:
    """An image that is 0 outside the brain: its median above 0 becomes 0, the distance between its quartiles 2; outside stays 0."""
    image = np.nan_to_num(np.asarray(volume.array, np.float32))
    inside = image > 0
    low, middle, high = np.percentile(image[inside], (25, 50, 75)) if inside.any() else (0.0, 0.0, 1.0)
    scaled = (image - middle) / max(float(high - low) / 2, 1e-6)
    return np.where(inside, np.clip(scaled, -8, 12), 0).astype(np.float32)


def grid(inputs: Mapping[str, Volume], data: Data) -> Volume:
    """The first image that is there: all lie on one grid."""
    return next(inputs[slug] for slug in data.images if slug in inputs)


def classes(reference: NDArray[np.generic], data: Data) -> Array:
    """Labels as the position of each in `data.labels`; a label that is not listed counts as background."""
    out = np.zeros(reference.shape, np.float32)
    for position, label in enumerate(data.labels):
        out[reference == label] = position
    return out


def to_labels(positions: NDArray[np.integer], data: Data) -> NDArray[np.int16]:
    """Positions in `data.labels` as the labels themselves."""
    return np.asarray(data.labels, np.int16)[positions]


def without_specks(labels: NDArray[np.int16], spacing: tuple[float, ...], data: Data) -> NDArray[np.int16]:
    """Labels (z, y, x) less the 26-connected parts below `data.smallest_ml`; spacing in mm."""
    if not data.smallest_ml:
        return labels
    parts, _ = ndimage.label(labels != data.labels[0], np.ones((3, 3, 3)))
    volumes = np.bincount(parts.ravel()) * float(np.prod(spacing)) / 1000
    return np.where(volumes[parts] < data.smallest_ml, np.int16(data.labels[0]), labels)


def body(inputs: Mapping[str, Volume], data: Data) -> NDArray[np.bool_]:
    """Where the body is, axes (z, y, x); everywhere for tasks without an outline. An empty outline means everywhere too."""
    if not data.body:
        return np.ones(inputs[data.input].array.shape, bool)
    inside = np.asarray(inputs[data.body].array) > 0
    return inside if inside.any() else np.ones_like(inside)


def to_units(hu: NDArray[np.floating], data: Data) -> Array:
    """HU to the network's units."""
    return ((hu - data.centre) / data.scale).astype(np.float32)


def to_hu(units: NDArray[np.floating], data: Data) -> Array:
    """The network's units to HU."""
    return (units * data.scale + data.centre).astype(np.float32)


def finish(hu: NDArray[np.floating], inputs: Mapping[str, Volume], data: Data) -> NDArray[np.int16]:
    """A prediction as it is written: limited, constant outside the body, whole HU (as scanners store it)."""
    limited = np.clip(hu, *data.clip)
    if data.outside is not None:
        limited = np.where(body(inputs, data), limited, data.outside)
    return np.rint(limited).astype(np.int16)


def neighbours(count: int, context: int) -> NDArray[np.intp]:
    """Indices (slice, context) of the slices around each slice; beyond the ends the last slice is repeated."""
    offsets = np.arange(context) - context // 2
    return np.clip(np.arange(count)[:, None] + offsets[None, :], 0, count - 1)


def pad_to_multiple(stack: Array, multiple: int = MULTIPLE) -> Array:
    """Repeat the last row and column of (…, y, x) until both are multiples."""
    rows, columns = (-size % multiple for size in stack.shape[-2:])
    return (
        np.pad(stack, [(0, 0)] * (stack.ndim - 2) + [(0, rows), (0, columns)], mode="edge")
        if rows or columns
        else stack
    )


def batches(volume: Array, context: int, pixels: int) -> Iterator[tuple[slice, Array]]:
    """Stacks (slice, context, y, x), as many at a time as hold about `pixels` pixels, padded for the network."""
    index = neighbours(volume.shape[0], context)
    padded = pad_to_multiple(volume)
    size = max(1, pixels // (padded.shape[-1] * padded.shape[-2]))
    for start in range(0, volume.shape[0], size):
        chosen = slice(start, min(start + size, volume.shape[0]))
        yield chosen, stacked(padded, index[chosen])


def stacked(volume: Array, index: NDArray[np.intp]) -> Array:
    """Slices by index (…, context) as channels: (…, context, y, x), or (…, context × channel, y, x) of several images."""
    picked = volume[index]
    return picked.reshape(*index.shape[:-1], -1, *volume.shape[-2:]) if volume.ndim == 4 else picked


def window_in_units(config: Config) -> tuple[float, float] | None:
    """The window of `[loss]` in network units; None where it has none."""
    if config.loss is None or config.loss.window is None:
        return None
    low, high = ((edge - config.data.centre) / config.data.scale for edge in config.loss.window)
    return low, high
