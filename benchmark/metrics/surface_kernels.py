"""Compiled kernels of the surface metrics: border voxels in one pass, exact nearest distances around them.

All are single-threaded and cached on disk. `surface.py` holds the pure scipy twins that serve as oracle.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Points = NDArray[np.int32]
"""Voxel indices, shape (n, 3)."""

TABLE_SIZE = 8192
"""How many offsets the search around a voxel may try before it leaves the voxel to the search for far points."""

REACH = 64
"""How many voxels an offset may reach along an axis: the margin that the search needs."""

SHORT = 48
"""Beyond so many offsets it pays to work out where the walk may begin."""


@njit(cache=True)
def occupied(volume: Any, low: Any, high: Any) -> None:
    """Widen the box [low, high) so that it holds every voxel of `volume` (z, y, x) that is not 0."""
    nz, ny, nx = volume.shape
    columns = np.zeros(nx, np.uint8)
    for z in range(nz):
        for y in range(ny):
            row = volume[z, y]
            seen = np.uint8(0)
            for x in range(nx):
                seen |= np.uint8(row[x] != 0)
            if seen:
                low[0] = min(low[0], z)
                high[0] = max(high[0], z + 1)
                low[1] = min(low[1], y)
                high[1] = max(high[1], y + 1)
                for x in range(nx):
                    columns[x] |= np.uint8(row[x] != 0)
    for x in range(nx):
        if columns[x]:
            low[2] = min(low[2], x)
            high[2] = max(high[2], x + 1)


@njit(cache=True)
def border_scan(field: Any, active: Any) -> tuple[Any, Any, Any]:
    """Border voxels of every label of a label volume, in one pass over the rows.

    A voxel belongs to the border of its label when one of its 6 neighbours has another label; outside the image is
    background. Along an axis that is not `active` (length 1) there are no neighbours.

    `field` is (z, y, x), C-contiguous, unsigned, 0 is background. Returns indices (n, 3) in raster order, the label of each,
    and how many voxels are not background.
    """
    nz, ny, nx = field.shape
    capacity = 1 << 14
    points = np.empty((capacity, 3), np.int32)
    labels = np.empty(capacity, field.dtype)
    n = 0
    foreground = 0
    outside = np.zeros(nx, field.dtype)
    edge = np.zeros((nx + 7) // 8 * 8, np.uint8)
    words = edge.view(np.uint64)
    for z in range(nz):
        for y in range(ny):
            row = field[z, y]
            seen = field.dtype.type(0)
            for x in range(nx):
                seen |= row[x]
            if seen == 0:
                continue
            if active[0]:
                below = field[z - 1, y] if z > 0 else outside
                above = field[z + 1, y] if z < nz - 1 else outside
            else:
                below = row
                above = row
            if active[1]:
                front = field[z, y - 1] if y > 0 else outside
                back = field[z, y + 1] if y < ny - 1 else outside
            else:
                front = row
                back = row
            inside = 0
            for x in range(nx):
                v = row[x]
                inside += v != 0
                edge[x] = (v != 0) & ((v != below[x]) | (v != above[x]) | (v != front[x]) | (v != back[x]))
            foreground += inside
            if active[2]:
                for x in range(1, nx):
                    edge[x] |= (row[x] != 0) & (row[x] != row[x - 1])
                for x in range(nx - 1):
                    edge[x] |= (row[x] != 0) & (row[x] != row[x + 1])
                edge[0] |= row[0] != 0
                edge[nx - 1] |= row[nx - 1] != 0
            if n + nx > capacity:
                capacity = max(2 * capacity, n + nx)
                more_points = np.empty((capacity, 3), np.int32)
                more_points[:n] = points[:n]
                points = more_points
                more_labels = np.empty(capacity, field.dtype)
                more_labels[:n] = labels[:n]
                labels = more_labels
            for w in range(words.size):
                if words[w] != 0:
                    for x in range(8 * w, min(8 * w + 8, nx)):
                        if edge[x]:
                            points[n, 0] = z
                            points[n, 1] = y
                            points[n, 2] = x
                            labels[n] = row[x]
                            n += 1
    return points[:n].copy(), labels[:n].copy(), foreground


@njit(cache=True)
def corner_scan(mask: Any) -> tuple[Any, Any]:
    """Corners of the voxel grid whose 2×2×2 neighbourhood is mixed, with the 8-bit code of that neighbourhood.

    Corner (z, y, x) lies between voxels (z−1 … z, y−1 … y, x−1 … x), so that the grid of corners is one longer along each axis.
    Bits are 128, 64, 32, 16, 8, 4, 2, 1 in raster order of the eight voxels. `mask` is (z, y, x), C-contiguous uint8 of 0 and 1.
    """
    nz, ny, nx = mask.shape
    capacity = 1 << 14
    points = np.empty((capacity, 3), np.int32)
    codes = np.empty(capacity, np.uint8)
    n = 0
    outside = np.zeros(nx, np.uint8)
    pair = np.zeros(nx + 1, np.uint8)
    filled = np.zeros((nz + 2, ny + 2), np.uint8)
    for z in range(nz):
        for y in range(ny):
            row = mask[z, y]
            seen = np.uint8(0)
            for x in range(nx):
                seen |= row[x]
            filled[z + 1, y + 1] = seen
    for z in range(nz + 1):
        for y in range(ny + 1):
            if not (filled[z, y] | filled[z, y + 1] | filled[z + 1, y] | filled[z + 1, y + 1]):
                continue
            a = mask[z - 1, y - 1] if z > 0 and y > 0 else outside
            b = mask[z - 1, y] if z > 0 and y < ny else outside
            c = mask[z, y - 1] if z < nz and y > 0 else outside
            d = mask[z, y] if z < nz and y < ny else outside
            for x in range(nx):
                pair[x] = (a[x] << 6) | (b[x] << 4) | (c[x] << 2) | d[x]
            if n + nx + 1 > capacity:
                capacity = max(2 * capacity, n + nx + 1)
                more_points = np.empty((capacity, 3), np.int32)
                more_points[:n] = points[:n]
                points = more_points
                more_codes = np.empty(capacity, np.uint8)
                more_codes[:n] = codes[:n]
                codes = more_codes
            left = np.uint8(0)
            for x in range(nx + 1):
                right = pair[x] if x < nx else np.uint8(0)
                code = np.uint8((left << 1) | right)
                left = right
                if code != 0 and code != 255:
                    points[n, 0] = z
                    points[n, 1] = y
                    points[n, 2] = x
                    codes[n] = code
                    n += 1
    return points[:n].copy(), codes[:n].copy()


@njit(cache=True)
def bounds(points: Any, low: Any, high: Any) -> None:
    """Widen the box [low, high] (inclusive) so that it holds all points."""
    for i in range(points.shape[0]):
        for k in range(3):
            v = points[i, k]
            if v < low[k]:
                low[k] = v
            if v > high[k]:
                high[k] = v


@njit(cache=True)
def stamp(box: Any, points: Any, low: Any, bit: int) -> None:
    """Set `bit` in the box at every point."""
    for i in range(points.shape[0]):
        box[points[i, 0] - low[0], points[i, 1] - low[1], points[i, 2] - low[2]] |= bit


@njit(cache=True)
def ring_search(
    box: Any, points: Any, low: Any, bit: int, steps: Any, lengths: Any, spacing: Any, run: int, stride: int, out: Any
) -> tuple[int, int]:
    """Exact distance to the nearest voxel that has `bit`, where that lies within the table, for runs of points.

    Runs of `run` points begin at every `stride`-th point. `steps` are the offsets of the table in memory, sorted by their physical
    `lengths`, so that the first hit is the nearest; the box has a margin that they cannot leave. A distance changes by no more
    than the way from one point to the next, which tells where the walk through the table may begin. A point without a hit
    gets −1. Returns how many those are, and how many voxels were looked at.
    """
    ny, nx = box.shape[1:]
    flat = box.reshape(-1)
    total = steps.shape[0]
    short = lengths[min(SHORT, total - 1)]
    missed = 0
    looked = 0
    for start in range(0, points.shape[0], stride):
        bound = 0.0
        for i in range(start, min(start + run, points.shape[0])):
            first = 0
            if i > start and bound > short:
                dz = (points[i, 0] - points[i - 1, 0]) * spacing[0]
                dy = (points[i, 1] - points[i - 1, 1]) * spacing[1]
                dx = (points[i, 2] - points[i - 1, 2]) * spacing[2]
                least = (bound - math.sqrt(dz * dz + dy * dy + dx * dx)) * (1 - 1e-9)
                if least > 0:
                    first = int(np.searchsorted(lengths, least))
            here = ((points[i, 0] - low[0]) * ny + points[i, 1] - low[1]) * nx + points[i, 2] - low[2]
            found = -1
            for j in range(first, total):
                if flat[here + steps[j]] & bit:
                    found = j
                    break
            if found >= 0:
                bound = lengths[found]
                out[i] = bound
                looked += found - first
            else:
                bound = lengths[total - 1]
                out[i] = -1.0
                looked += total - first
                missed += 1
    return missed, looked


@njit(cache=True)
def plane_distances(box: Any, bit: int, sy: float, sx: float) -> Any:
    """Squared distance in mm² to the nearest voxel of the same plane z that has `bit`; infinity in a plane without one.

    First along rows, then the lower envelope of parabolas along columns (Felzenszwalb & Huttenlocher 2012).
    """
    nz, ny, nx = box.shape
    out = np.empty((nz, ny, nx), np.float64)
    height = np.empty((ny, nx), np.float64)
    vertex = np.empty(ny, np.int64)
    value = np.empty(ny, np.float64)
    start = np.empty(ny + 1, np.float64)
    s2 = sy * sy
    for z in range(nz):
        anything = False
        for y in range(ny):
            last = -1
            for x in range(nx):
                if box[z, y, x] & bit:
                    last = x
                    anything = True
                height[y, x] = np.inf if last < 0 else (x - last) * sx
            last = -1
            for x in range(nx - 1, -1, -1):
                if box[z, y, x] & bit:
                    last = x
                if last >= 0:
                    d = (last - x) * sx
                    if d < height[y, x]:
                        height[y, x] = d
        if not anything:
            out[z] = np.inf
            continue
        for x in range(nx):
            k = -1
            for y in range(ny):
                h = height[y, x]
                if h == np.inf:
                    continue
                f = h * h
                while True:
                    if k < 0:
                        k = 0
                        vertex[0] = y
                        value[0] = f
                        start[0] = -np.inf
                        break
                    p = vertex[k]
                    cross = ((f - value[k]) / s2 + (y * y - p * p)) / (2.0 * (y - p))
                    if cross <= start[k]:
                        k -= 1
                        continue
                    k += 1
                    vertex[k] = y
                    value[k] = f
                    start[k] = cross
                    break
            n = k
            if n < 0:
                for y in range(ny):
                    out[z, y, x] = np.inf
                continue
            k = 0
            for y in range(ny):
                while k < n and start[k + 1] < y:
                    k += 1
                d = (y - vertex[k]) * sy
                out[z, y, x] = d * d + value[k]
    return out


@njit(cache=True)
def column_search(planes: Any, points: Any, low: Any, sz: float, out: Any) -> None:
    """Distance of every point whose `out` is still negative: the last axis of the transform, walked only where it is asked."""
    nz = planes.shape[0]
    for i in range(points.shape[0]):
        if out[i] >= 0:
            continue
        z = points[i, 0] - low[0]
        y = points[i, 1] - low[1]
        x = points[i, 2] - low[2]
        best = planes[z, y, x]
        for k in range(1, nz):
            step = (k * sz) * (k * sz)
            if step >= best:
                break
            if z >= k:
                best = min(best, planes[z - k, y, x] + step)
            if z + k < nz:
                best = min(best, planes[z + k, y, x] + step)
        out[i] = math.sqrt(best)


@functools.lru_cache(maxsize=64)
def offset_table(spacing: tuple[float, ...], active: tuple[bool, ...]) -> tuple[Points, NDArray[np.float64]]:
    """All voxel offsets within a radius, sorted by physical length: (m, 3) offsets and their lengths in mm.

    All offsets within the radius are there; it is as large as about `TABLE_SIZE` of them and `REACH` allow. Offsets along axes
    that are not active are 0.
    """
    step = np.asarray(spacing, float)
    live = np.asarray(active, bool)
    dimensions = int(live.sum())
    if dimensions == 0:
        return np.zeros((1, 3), np.int32), np.zeros(1)
    ball = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}[dimensions]
    radius = (TABLE_SIZE * float(np.prod(step[live])) / ball) ** (1 / dimensions)
    radius = min(radius, REACH * float(step[live].min()))
    while np.prod(2 * np.floor(radius / step[live]) + 1) > 4 * TABLE_SIZE:
        radius *= 0.8  # spacing is so uneven that the ball is a disc or a line
    reach = np.where(live, np.floor(radius / step), 0).astype(int)
    axes = [np.arange(-r, r + 1) for r in reach]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sqrt(((grid * step) ** 2).sum(axis=1))
    keep = np.flatnonzero(lengths <= radius)
    keep = keep[np.argsort(lengths[keep], kind="stable")]
    return np.ascontiguousarray(grid[keep], np.int32), np.ascontiguousarray(lengths[keep])
