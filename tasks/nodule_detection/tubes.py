"""Tubes that branch: how a vessel tree grows into a lung, and how tubes are drawn, quickly, on a grid.

Radii follow Murray's law: where a vessel of radius r splits in two alike, each has r × 2^(−1/3) = 0.79 r (Murray CD, PNAS
12:207, 1926), so that the sum of the cubes stays.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.anatomy import Array

MURRAY = 2 ** (-1 / 3)
"""Radius of a child over that of its parent."""

Tubes = NDArray[np.float32]
"""One row a straight piece: start x, y, z, end x, y, z in mm, radius at both ends in mm."""


def grow(
    rng: np.random.Generator,
    root: NDArray[np.float64],
    headings: NDArray[np.float64],
    reach: NDArray[np.float64],
    radius: float,
    levels: int,
    wander: float = 0.55,
) -> Tubes:
    """Trees from `root` (3,), one a heading (n, 3), that split in two `levels` − 1 times; a branch is two pieces with a bend.

    `reach` (n,) is how far, in mm, each tree extends; its branches shorten geometrically so that their sum is about that.
    """
    shrink = 0.82
    first = reach * (1 - shrink) / (1 - shrink**levels)
    start = np.repeat(root[None], len(headings), axis=0)
    heading, length, thick, pieces = headings, first, np.full(len(headings), radius), []
    for level in range(levels):
        for _ in range(2):
            heading = heading + rng.normal(0, 0.18, heading.shape)
            heading /= np.linalg.norm(heading, axis=1, keepdims=True)
            end = start + heading * (length * rng.uniform(0.7, 1.25, len(length)) / 2)[:, None]
            thin = thick * 0.96
            pieces.append(np.column_stack([start, end, thick, thin]))
            start, thick = end, thin
        if level + 1 < levels:
            turn = rng.normal(0, wander, heading.shape)
            turn -= (turn * heading).sum(axis=1, keepdims=True) * heading
            uneven = rng.uniform(0.85, 1.1, len(heading))  # the thinner child leaves at the wider angle
            heading = np.concatenate([heading + turn * uneven[:, None], heading - turn / uneven[:, None]])
            thick = np.concatenate([thick * uneven, thick * (2 - uneven**3) ** (1 / 3)]) * MURRAY
            start, length = np.tile(start, (2, 1)), np.tile(length * shrink, 2)
    return np.concatenate(pieces).astype(np.float32)


@njit(cache=True)
def _draw(
    share: NDArray[np.float32],
    tubes: NDArray[np.float32],
    origin: NDArray[np.float32],
    spacing: NDArray[np.float32],
    voxel: float,
) -> None:
    depth, height, width = share.shape
    for n in range(tubes.shape[0]):
        ax, ay, az, bx, by, bz, r0, r1 = tubes[n]
        reach = max(r0, r1) + voxel
        k0 = max(0, int(np.ceil((min(az, bz) - reach - origin[0]) / spacing[0])))
        k1 = min(depth - 1, int(np.floor((max(az, bz) + reach - origin[0]) / spacing[0])))
        j0 = max(0, int(np.ceil((min(ay, by) - reach - origin[1]) / spacing[1])))
        j1 = min(height - 1, int(np.floor((max(ay, by) + reach - origin[1]) / spacing[1])))
        i0 = max(0, int(np.ceil((min(ax, bx) - reach - origin[2]) / spacing[2])))
        i1 = min(width - 1, int(np.floor((max(ax, bx) + reach - origin[2]) / spacing[2])))
        dx, dy, dz = bx - ax, by - ay, bz - az
        square = dx * dx + dy * dy + dz * dz
        for k in range(k0, k1 + 1):
            pz = origin[0] + k * spacing[0] - az
            for j in range(j0, j1 + 1):
                py = origin[1] + j * spacing[1] - ay
                for i in range(i0, i1 + 1):
                    px = origin[2] + i * spacing[2] - ax
                    t = (px * dx + py * dy + pz * dz) / square if square > 0 else 0.0
                    t = min(1.0, max(0.0, t))
                    ex, ey, ez = px - t * dx, py - t * dy, pz - t * dz
                    radius = r0 + t * (r1 - r0)
                    # A tube thinner than a voxel covers only part of it, also where its axis runs through the middle.
                    most = min(1.0, 3.14159265 * radius * radius / (voxel * voxel))
                    cover = 0.5 + (radius - np.sqrt(ex * ex + ey * ey + ez * ez)) / voxel
                    cover = min(most, max(0.0, cover))
                    if cover > share[k, j, i]:
                        share[k, j, i] = cover


def draw(
    tubes: Tubes, shape: tuple[int, int, int], origin: tuple[float, float, float], spacing: tuple[float, float, float]
) -> Array:
    """Share of each voxel (z, y, x) that tubes cover. `origin` is the first voxel's centre, `spacing` in mm, both (z, y, x)."""
    share = np.zeros(shape, np.float32)
    voxel = float(np.prod(spacing) ** (1 / 3))
    _draw(share, tubes, np.asarray(origin, np.float32), np.asarray(spacing, np.float32), voxel)
    return share
