"""Distances between the surfaces of two masks, exact, with spacing: what HD95, HD, ASSD and NSD are made of.

Surface voxels are the mask minus its erosion by the 6-neighbourhood (4 in a plane); outside the image is background. An axis of
length 1 has no neighbours, so that a picture and a volume of one slice give the same numbers. The design: one compiled pass finds
the border voxels of all labels; around each, offsets sorted by physical length are tried until the first hit; what lies farther
than the table reaches goes to a k-d tree or to a distance transform of the common bounding box, whichever is cheaper. The
`surfel` mode is the definition of Nikolov et al. 2021 (arXiv:1809.04430): corners of the grid, weighted by the area of the
marching-cubes triangles there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from benchmark.metrics import surface_kernels as kernels
from benchmark.metrics.surface_kernels import Points

Spacing = tuple[float, ...]
Mode = Literal["voxel", "surfel"]

RUNS, SAMPLE = 16, 32
"""Runs of neighbouring points tried first, and how many points each: their cost says which search is the cheapest."""

PROBE, TRANSFORM, FAR_QUERY, TREE_POINT = 1.2, 12.0, 2000.0, 200.0
"""Measured costs in ns: a voxel looked at, a voxel transformed, a far query of the k-d tree, a point built into it."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Surface elements of one structure."""

    points: Points
    """Indices (n, 3) of border voxels, or of grid corners in `surfel` mode."""
    areas: NDArray[np.float64] | None = None
    """Weight of each element: area in mm² (length in mm in a plane); None means all alike."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances in mm from each surface element of one structure to the nearest of the other, and the weights."""

    to_prediction: NDArray[np.float64]
    """From each reference element; empty where the reference is."""
    to_reference: NDArray[np.float64]
    """From each predicted element."""
    reference_areas: NDArray[np.float64] | None = None
    """Weights of the reference elements; None means all alike."""
    prediction_areas: NDArray[np.float64] | None = None
    """Weights of the predicted elements."""


def as_volume(array: NDArray[Any], spacing: Spacing) -> tuple[NDArray[Any], Spacing]:
    """The same grid as a C-contiguous 3-D array with its spacing; planes and lines get leading axes of length 1.

    Other memory orders are copied.
    """
    while array.ndim < 3:
        array, spacing = array[np.newaxis], (1.0, *spacing)
    if array.ndim > 3:
        raise ValueError(f"a volume has at most 3 axes, found {array.ndim}")
    return np.ascontiguousarray(array), spacing


def active_axes(shape: tuple[int, ...]) -> tuple[bool, ...]:
    """Which axes have neighbours: those longer than 1; the first one where all have length 1."""
    active = tuple(n > 1 for n in shape)
    return active if any(active) else (True, *active[1:])


def box_of(*volumes: NDArray[Any]) -> tuple[slice, slice, slice]:
    """The part of the grid that holds everything not 0 in volumes (z, y, x), with a margin of one voxel where there is one.

    With the margin, an axis of length 1 in the part is one in the image too, and cropping changes no surface.
    """
    shape = np.array(volumes[0].shape)
    low, high = shape.astype(np.int64), np.zeros(3, np.int64)
    for volume in volumes:
        # numba knows no half floats; their bits tell as well what is not 0 (−0 only widens the box).
        kernels.occupied(volume.view(np.uint16) if volume.dtype == np.float16 else volume, low, high)
    low, high = np.minimum(np.maximum(low - 1, 0), shape), np.minimum(high + 1, shape)
    z, y, x = (slice(int(a), int(b)) if a < b else slice(0, 0) for a, b in zip(low, high, strict=True))
    return z, y, x


def voxel_surface(mask: NDArray[np.bool_]) -> Surface:
    """Border voxels of a mask (z, y, x), C-contiguous."""
    points, _, _ = kernels.border_scan(mask.view(np.uint8), np.array(active_axes(mask.shape)))
    return Surface(points)


def surfel_surface(mask: NDArray[np.bool_], spacing: Spacing) -> Surface:
    """Surface elements of a mask (z, y, x), C-contiguous, as marching cubes would draw them."""
    points, codes = kernels.corner_scan(mask.view(np.uint8))
    return _plane_or_solid(points, codes, mask.shape, spacing)


def _plane_or_solid(points: Points, codes: NDArray[np.uint8], shape: tuple[int, ...], spacing: Spacing) -> Surface:
    """Weights for the codes; in a plane, corners on one side of the slice only and lengths for areas."""
    flat = [axis for axis, length in enumerate(shape) if length == 1]
    if not flat:
        return Surface(points, surfel_areas(spacing)[codes])
    # Along an axis of length 1 each element appears on both sides; the far side's code holds the slice in its first half.
    bits = np.unpackbits(codes[:, None], axis=1).reshape(-1, 2, 2, 2)
    keep = np.ones(len(points), bool)
    for axis in flat:
        keep &= points[:, axis] == 1
        bits = bits.take([0], axis=axis + 1)
    square = bits[keep].reshape(int(keep.sum()), -1)
    if square.shape[1] != 4:  # a line or a single voxel: every end counts alike
        ends = (square.any(axis=1)) & ~(square.all(axis=1)) if square.shape[1] == 2 else square.any(axis=1)
        return Surface(points[keep][ends], np.ones(int(ends.sum())))
    code = square @ np.array([8, 4, 2, 1], np.uint8)
    mixed = (code != 0) & (code != 15)
    across = tuple(s for s, length in zip(spacing, shape, strict=True) if length > 1)
    return Surface(points[keep][mixed], contour_lengths(across)[code[mixed]])


@functools.lru_cache(maxsize=1)
def _corner_triangles() -> tuple[NDArray[np.float64], ...]:
    """Triangles that marching cubes (Lorensen & Cline 1987) draws in a cube of 8 voxels, by code; unit spacing, (n, 3, 3).

    Codes with more than four voxels set are drawn as their complement: that is what settles the ambiguous cases.
    """
    from skimage.measure import marching_cubes

    triangles = []
    for code in range(256):
        cube = np.unpackbits(np.array([code], np.uint8)).reshape(2, 2, 2).astype(float)
        if cube.sum() > 4:
            cube = 1 - cube
        if cube.any():
            vertices, faces, _, _ = marching_cubes(cube, 0.5, method="lorensen", allow_degenerate=True)
            triangles.append(vertices[faces].astype(float))
        else:
            triangles.append(np.zeros((0, 3, 3)))
    return tuple(triangles)


@functools.lru_cache(maxsize=64)
def surfel_areas(spacing: Spacing) -> NDArray[np.float64]:
    """Area in mm² of the surface in a cube of 8 voxels, for each of the 256 codes."""
    areas = np.zeros(256)
    for code, triangles in enumerate(_corner_triangles()):
        scaled = triangles * np.asarray(spacing)
        sides = np.cross(scaled[:, 1] - scaled[:, 0], scaled[:, 2] - scaled[:, 0])
        areas[code] = 0.5 * np.linalg.norm(sides, axis=1).sum()
    return areas


@functools.lru_cache(maxsize=64)
def contour_lengths(spacing: Spacing) -> NDArray[np.float64]:
    """Length in mm of the contour in a square of 4 pixels (bits 8 4 / 2 1), for each of the 16 codes."""
    down, right = spacing
    diagonal = 0.5 * float(np.hypot(down, right))
    lengths = np.full(16, diagonal)
    lengths[[0b0000, 0b1111]] = 0
    lengths[[0b0011, 0b1100]] = right
    lengths[[0b0101, 0b1010]] = down
    lengths[[0b0110, 0b1001]] = 2 * diagonal
    return lengths


def nearest(a: Points, b: Points, spacing: Spacing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact distances in mm from each point of `a` to the nearest of `b`, and back. Both must hold a point."""
    low = np.full(3, np.iinfo(np.int32).max, np.int32)
    high = np.full(3, -1, np.int32)
    kernels.bounds(a, low, high)
    kernels.bounds(b, low, high)
    step = np.asarray(spacing, np.float64)
    offsets, lengths = kernels.offset_table(tuple(step.tolist()), tuple((high > low).tolist()))
    margin = np.abs(offsets).max(axis=0)
    low -= margin
    box = np.zeros(tuple((high - low + 1 + margin).tolist()), np.uint8)
    kernels.stamp(box, a, low, 1)
    kernels.stamp(box, b, low, 2)
    steps = (offsets[:, 0].astype(np.int64) * box.shape[1] + offsets[:, 1]) * box.shape[2] + offsets[:, 2]
    search = _Search(box, low, margin, step, steps, lengths)
    return search.directed(a, b, 2), search.directed(b, a, 1)


@dataclass(frozen=True, eq=False)
class _Search:
    """Both surfaces stamped into one box (bit 1 and bit 2), and what is needed to search it."""

    box: NDArray[np.uint8]
    low: NDArray[np.int32]
    """Index of the box's first voxel in the image."""
    margin: NDArray[np.int32]
    """Empty voxels around the surfaces, as many as the table reaches."""
    step: NDArray[np.float64]
    """Spacing in mm."""
    steps: NDArray[np.int64]
    """The table's offsets in the box's memory."""
    lengths: NDArray[np.float64]
    """The table's offsets in mm."""

    def directed(self, points: Points, targets: Points, bit: int) -> NDArray[np.float64]:
        """Distance from each point to the nearest target, which carry `bit`, by the cheapest of three exact searches."""
        out = np.full(len(points), -1.0)
        stride = max(SAMPLE, len(points) // RUNS)

        def ring(run: int, stride: int) -> tuple[int, int]:
            found: tuple[int, int] = kernels.ring_search(
                self.box, points, self.low, bit, self.steps, self.lengths, self.step, run, stride, out
            )
            return found

        missed, looked = ring(SAMPLE, stride)
        tried = int(np.minimum(SAMPLE, len(points) - np.arange(0, len(points), stride)).sum())
        inner = self.box[tuple(slice(int(m), n - int(m)) for m, n in zip(self.margin, self.box.shape, strict=True))]
        transform = inner.size * TRANSFORM
        if len(points) / tried * (looked * PROBE + missed * FAR_QUERY) < transform:
            missed, _ = ring(len(points), len(points))
            if missed == 0:
                return out
        left = out < 0
        if transform < np.count_nonzero(left) * FAR_QUERY + len(targets) * TREE_POINT:
            planes = kernels.plane_distances(np.ascontiguousarray(inner), bit, self.step[1], self.step[2])
            kernels.column_search(planes, points, self.low + self.margin, self.step[0], out)
        else:
            out[left] = _tree_distances(points[left], targets, tuple(self.step))
        return out


def _tree_distances(points: Points, targets: Points, spacing: Spacing) -> NDArray[np.float64]:
    step = np.asarray(spacing, float)
    tree = cKDTree(targets * step, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(points * step, k=1)[0])


def surface_distances(reference: Surface, prediction: Surface, spacing: Spacing) -> SurfaceDistances:
    """Distances both ways between two surfaces; empty arrays where one of them is empty."""
    if len(reference.points) == 0 or len(prediction.points) == 0:
        return SurfaceDistances(np.zeros(0), np.zeros(0))
    there, back = nearest(reference.points, prediction.points, spacing)
    return SurfaceDistances(there, back, reference.areas, prediction.areas)


def surface_distances_plain(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: Spacing
) -> SurfaceDistances:
    """The `voxel` mode in a few lines of scipy: erosion and a k-d tree. Slower, kept as the oracle of the kernels."""
    points = []
    for mask in (reference, prediction):
        structure = ndimage.generate_binary_structure(mask.ndim, 1)
        for axis, active in enumerate(active_axes(mask.shape)):
            if not active:
                structure = np.where(np.indices(structure.shape)[axis] == 1, structure, False)
        points.append(np.argwhere(mask & ~ndimage.binary_erosion(mask, structure)).astype(np.int32))
    if not len(points[0]) or not len(points[1]):
        return SurfaceDistances(np.zeros(0), np.zeros(0))
    there, back = (_tree_distances(points[i], points[1 - i], spacing) for i in (0, 1))
    return SurfaceDistances(there, back)


def hausdorff(distances: SurfaceDistances, percentile: float = 95.0) -> float:
    """The larger of the two directed percentiles, in mm; 100 gives the Hausdorff distance.

    Unweighted: linear interpolation between order statistics. Weighted: the first element at which the cumulated weight reaches
    the percentile.
    """
    return max(
        _percentile(distances.to_prediction, distances.reference_areas, percentile),
        _percentile(distances.to_reference, distances.prediction_areas, percentile),
    )


def _percentile(values: NDArray[np.float64], weights: NDArray[np.float64] | None, percentile: float) -> float:
    if weights is None:
        position = (len(values) - 1) * percentile / 100
        lower = int(position)
        upper = min(lower + 1, len(values) - 1)
        part = np.partition(values, (lower, upper))
        return float(part[lower] + (part[upper] - part[lower]) * (position - lower))
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order]) / np.sum(weights)
    index = int(np.searchsorted(cumulated, percentile / 100))
    return float(values[order[min(index, len(values) - 1)]])


def average_distance(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance in mm: the mean over the elements of both surfaces together (pooled)."""
    values = np.concatenate([distances.to_prediction, distances.to_reference])
    if distances.reference_areas is None or distances.prediction_areas is None:
        return float(values.mean())
    return float(np.average(values, weights=np.concatenate([distances.reference_areas, distances.prediction_areas])))


def surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
    """Share of both surfaces that lies within `tolerance` mm of the other (normalised surface Dice)."""
    near = [distances.to_prediction <= tolerance, distances.to_reference <= tolerance]
    if distances.reference_areas is None or distances.prediction_areas is None:
        return float((np.count_nonzero(near[0]) + np.count_nonzero(near[1])) / (near[0].size + near[1].size))
    weights = [distances.reference_areas, distances.prediction_areas]
    return float((weights[0][near[0]].sum() + weights[1][near[1]].sum()) / (weights[0].sum() + weights[1].sum()))
