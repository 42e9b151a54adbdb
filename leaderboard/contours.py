"""Segmentations as contours: reference and prediction in two colours, labels by line style, and where the two differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import find_contours

from leaderboard import ink, pictures

LONG_SIDE = 384
"""Longer side in pixels: contours are finer than tissue and want more of them."""

DIM = 0.55
"""Brightness of the tissue below the areas of disagreement."""


def lines(
    labels: NDArray[np.float32],
    values: Sequence[int],
    size: tuple[int, int],
    colour: tuple[int, int, int],
    width: float,
) -> list[ink.Line]:
    """Contours of each label of an upright slice in a picture of (height, width), in the line style of its place in `values`.

    They run halfway between voxels of the label and others, so that an area and its contour agree to half a voxel.
    """
    rows, columns = labels.shape
    found = []
    for i, value in enumerate(values):
        inside = np.pad(labels == value, 1).astype(np.float32)  # a label at the border has a contour there too
        for contour in find_contours(inside, 0.5):
            # A voxel k, its middle at k, reaches from k − ½ to k + ½; the padding moved all by one.
            x, y = (contour[:, 1] - 0.5) * size[1] / columns, (contour[:, 0] - 0.5) * size[0] / rows
            points = np.stack([x, y], axis=1)
            found.append(ink.Line(points, colour, width, ink.DASHES[i % len(ink.DASHES)]))
    return found


def outlined(
    ground: NDArray[np.float32],
    pixel: tuple[float, float],
    window: tuple[float, float],
    values: Sequence[int],
    *,
    reference: NDArray[np.float32],
    prediction: NDArray[np.float32] | None = None,
) -> pictures.Picture:
    """The input with the reference's contours, and the prediction's, thinner, on top: both are seen where they coincide."""
    size = pictures.size_of(ground.shape, pixel, LONG_SIDE)
    drawn = lines(reference, values, size, ink.REFERENCE, 2.0 if prediction is None else 3.0)
    if prediction is not None:
        drawn += lines(prediction, values, size, ink.PREDICTION, 1.6)
    return pictures.png(ink.drawn(pictures.levels(ground, size, window), drawn), *window)


def differing(
    ground: NDArray[np.float32],
    pixel: tuple[float, float],
    window: tuple[float, float],
    reference: NDArray[np.float32],
    prediction: NDArray[np.float32],
) -> pictures.Picture:
    """Areas on the dimmed input: orange what only the reference has, blue what only the prediction has, purple stripes where both
    have a label, but not the same."""
    size = pictures.size_of(ground.shape, pixel, LONG_SIDE)
    colour = np.repeat((DIM * pictures.levels(ground, size, window))[..., None], 3, axis=2)
    truth, guess = (pictures.resize(plane, size, labels=True) for plane in (reference, prediction))
    stripes = (np.add.outer(np.arange(size[0]), np.arange(size[1])) // 3) % 2 == 0
    for where, paint in (
        ((truth != 0) & (guess == 0), ink.REFERENCE),
        ((truth == 0) & (guess != 0), ink.PREDICTION),
        ((truth != 0) & (guess != 0) & (truth != guess) & stripes, ink.OTHER),
    ):
        colour[where] = 0.2 * colour[where] + 0.8 * np.array(paint)
    return pictures.png(Image.fromarray(np.round(colour).astype(np.uint8)), *window)


def counts(reference: NDArray[np.float32], prediction: NDArray[np.float32]) -> tuple[int, int, int]:
    """Voxels of a slice that only the reference has, that only the prediction has, and that have another label in each."""
    missed = int(((reference != 0) & (prediction == 0)).sum())
    added = int(((prediction != 0) & (reference == 0)).sum())
    other = int(((reference != 0) & (prediction != 0) & (reference != prediction)).sum())
    return missed, added, other
