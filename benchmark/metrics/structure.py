"""Structural similarity: SSIM and MS-SSIM over a mask, as numbers of arrays. `synthesis` declares the metrics.

Two paths give the same value: compiled kernels that stream (`ssim_kernels`), and, with `plain=True`, filters of SciPy over
the whole volume, which serve as oracle and where numba cannot be had.

What the formulas leave open is settled here:

- *Crop.* The map is meant where the whole window of 7³ lies inside, so 3 voxels are cropped off every side.
- *Short axes.* Where an axis has 2 to 6 voxels no window fits: the image is reflected there (as the filter does at every
  border) and that axis is not cropped. An axis of 1 voxel adds nothing to the window: the value is that of the 2-D image
  with its window of 7², sample covariance 49/48.
- *Nothing left.* Where the crop (or the pyramid) leaves no voxel of the mask, each voxel of the mask stands for the nearest
  one that is left. The set is never empty, and the value stays one of this place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.generic]
Floats = NDArray[np.float32]
Mask = NDArray[np.uint8]

WINDOW, MARGIN = 7, 3
SLAB = 48
"""Planes of centres that SSIM takes at a time."""
K1, K2 = 0.01, 0.03
LEVELS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the five scales (Wang 2003)."""
SMALLEST = {"synthrad2025": 97, "wang2003": 112}
"""Axes are padded to at least this many voxels, so that the last of five levels still holds one window."""


def kernels() -> ModuleType:
    """The compiled loops. Imported when first needed: numba takes a third of a second, and compiles once a machine."""
    from benchmark.metrics import ssim_kernels

    return ssim_kernels


def threads() -> int:
    """Threads for one case: 1, or NUMBA_NUM_THREADS where that is set; cases run side by side in processes."""
    try:
        return max(1, int(os.environ.get("NUMBA_NUM_THREADS", "1")))
    except ValueError:
        return 1


@dataclass(frozen=True)
class Frame:
    """Where one level of a pyramid is computed: a block of it that holds the masked voxels and the windows around them."""

    sizes: tuple[int, int, int]
    """Voxels of the whole level."""
    centres: tuple[tuple[int, int], ...]
    """Per axis, the half-open range of places where the map is evaluated."""

    @property
    def block(self) -> tuple[tuple[int, int], ...]:
        """Per axis, the half-open range of voxels that the windows at these centres reach."""
        return tuple((low - MARGIN, high + MARGIN) for low, high in self.centres)

    @classmethod
    def around(cls, sizes: Sequence[int], box: Sequence[tuple[int, int]]) -> Frame:
        """The frame around a bounding box. At least one centre is kept, also where the box lies in the margin."""
        centres = []
        for size, (low, high) in zip(sizes, box, strict=True):
            first = min(max(low, MARGIN), size - MARGIN - 1)
            centres.append((first, max(min(high, size - MARGIN), first + 1)))
        return cls((sizes[0], sizes[1], sizes[2]), tuple(centres))


def bounding_box(mask: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Per axis, the half-open range that holds every true voxel; raises `ValueError` when there is none."""
    planes = np.array([plane.any() for plane in mask])
    if not planes.any():
        raise ValueError("the mask is empty")
    first, last = int(planes.argmax()), len(planes) - int(planes[::-1].argmax())
    if mask.ndim == 1:
        return ((first, last),)
    flat = np.zeros(mask.shape[1:], bool)
    for plane in mask[first:last]:
        np.logical_or(flat, plane, out=flat)
    return ((first, last), *bounding_box(flat))


def _taken(array: Array, block: Sequence[tuple[int, int]], padding: Sequence[tuple[int, str]]) -> Array:
    """A block of the padded array, in coordinates of the padded array, whose padding `before` and mode are given by axis."""
    for axis, ((low, high), (before, mode)) in enumerate(zip(block, padding, strict=True)):
        size = array.shape[axis]
        start, stop = max(low - before, 0), min(high - before, size)
        wanted = np.arange(low - before, high - before)
        if mode == "edge" or (wanted[0] >= 0 and wanted[-1] < size):
            # Cut first: only what lies outside is repeated.
            start, stop = min(start, size - 1), max(stop, 1)
            array = array[(slice(None),) * axis + (slice(start, stop),)]
            left, right = int((wanted < start).sum()), int((wanted >= stop).sum())
            if left or right:
                array = np.pad(array, [(0, 0)] * axis + [(left, right)] + [(0, 0)] * (array.ndim - axis - 1), "edge")
        else:  # reflected about the edge of the outer voxel, as often as it takes
            wanted = np.mod(wanted, 2 * size)
            array = np.take(array, np.where(wanted < size, wanted, 2 * size - 1 - wanted), axis=axis)
    return array


def _prepared(
    image: Array,
    inside: Mask,
    block: Sequence[tuple[int, int]],
    padding: Sequence[tuple[int, str]],
    clip: tuple[float, float],
) -> Floats:
    """The image's block, clipped, 0 outside the mask and shifted so that the lowest value is 0; float32.

    float32 suffices: it rounds a value of 4095 by 2e-4, while C2 is 15,000; every sum after this is float64.
    """
    source = kernels().three_types(_taken(image, block, padding))
    out = np.empty(source.shape, np.float32)
    kernels().clip_and_shift(source, inside, float(clip[0]), float(clip[1]), out)
    return out


def _prepared_plain(
    image: Array,
    inside: Mask,
    block: Sequence[tuple[int, int]],
    padding: Sequence[tuple[int, str]],
    clip: tuple[float, float],
) -> NDArray[np.float64]:
    source = np.where(inside != 0, _taken(image, block, padding), clip[0]).astype(np.float64)
    return np.clip(source, *clip) - clip[0]


def _chosen(inside: Mask, frame: Frame, step: int, origin: Sequence[int]) -> Mask:
    """Which centres of a level count: those whose voxel `step · index` is in the mask, else the nearest to each voxel in it.

    `inside` is the mask in coordinates of level 0 that start at `origin`.
    """
    chosen = np.zeros([high - low for low, high in frame.centres], np.uint8)
    source, target = [], []
    for axis, (low, high) in enumerate(frame.centres):
        first = max(low, -(-origin[axis] // step))  # the first and last centres whose voxel lies in the block
        last = min(high, (origin[axis] + inside.shape[axis] - 1) // step + 1)
        target.append(slice(max(first - low, 0), max(last - low, 0)))
        source.append(slice(first * step - origin[axis], max(last * step - origin[axis], 0), step))
    chosen[tuple(target)] = inside[tuple(source)]
    if not chosen.any():
        places = [
            np.clip((found + start) // step, low, high - 1) - low
            for found, start, (low, high) in zip(np.nonzero(inside), origin, frame.centres, strict=True)
        ]
        chosen[tuple(places)] = 1
    return chosen


def _map_sums(
    x: Floats,
    y: Floats,
    chosen: Mask,
    spread: float,
    *,
    depth: int,
    points: int,
    exponent: float = 0.0,
    luminance: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum of the similarity map over the chosen centres and their number, a plane of centres each."""
    code = kernels()
    unbiased = points / (points - 1) if points > 1 else 1.0
    c1, c2 = (K1 * spread) ** 2, (K2 * spread) ** 2
    starts = range(0, chosen.shape[1], code.STRIP)
    sums = np.zeros((len(starts), chosen.shape[0]))
    counts = np.zeros((len(starts), chosen.shape[0]), np.int64)

    def strip(number: int) -> None:
        first = starts[number]
        last = min(first + code.STRIP, chosen.shape[1])
        code.similarity_strip(
            x, y, chosen, depth, first, last, unbiased, c1, c2, exponent, luminance, sums[number], counts[number]
        )

    workers = min(threads(), len(starts))
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(strip, range(len(starts))))
    else:
        for number in range(len(starts)):
            strip(number)
    return sums.sum(axis=0), counts.sum(axis=0)


def _map_sums_plain(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    chosen: Mask,
    spread: float,
    *,
    depth: int,
    points: int,
    exponent: float = 0.0,
    luminance: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """`_map_sums` by filters over the whole block: uniform means of x, y, x², y², xy, then the formula."""
    size = (depth, WINDOW, WINDOW)
    x, y = x.astype(np.float64), y.astype(np.float64)
    inner = tuple(slice(edge // 2, n - edge // 2) for edge, n in zip(size, x.shape, strict=True))
    ux, uy, uxx, uyy, uxy = (ndimage.uniform_filter(a, size)[inner] for a in (x, y, x * x, y * y, x * y))
    unbiased = points / (points - 1) if points > 1 else 1.0
    c1, c2 = (K1 * spread) ** 2, (K2 * spread) ** 2
    vx, vy, vxy = (unbiased * part for part in (uxx - ux * ux, uyy - uy * uy, uxy - ux * uy))
    values = (2 * vxy + c2) / (vx + vy + c2)
    if luminance:
        values = values * (2 * ux * uy + c1) / (ux * ux + uy * uy + c1)
    if exponent:
        values = np.maximum(values, 0) ** exponent
    return np.where(chosen != 0, values, 0).sum(axis=(1, 2)), chosen.sum(axis=(1, 2), dtype=np.int64)


def _stage(
    plain: bool,
) -> tuple[Callable[..., NDArray[np.floating]], Callable[..., tuple[NDArray[np.float64], NDArray[np.int64]]]]:
    return (_prepared_plain, _map_sums_plain) if plain else (_prepared, _map_sums)


def ssim(
    reference: Array,
    prediction: Array,
    mask: NDArray[np.bool_],
    clip: tuple[float, float],
    *,
    slicewise: bool = False,
    plain: bool = False,
) -> float:
    """Mean structural similarity over the mask, in [-1, 1].

    Arrays of one shape (z, y, x), finite inside the mask, which holds at least one voxel; `clip` = (lo, hi) in their unit,
    the range is hi − lo. Both images are clipped, set to lo outside the mask and shifted by −lo; uniform window 7³, sample
    covariance, K1 = 0.01, K2 = 0.03; mean over the mask, both cropped by 3 voxels. With `slicewise` the window is 7² in the
    plane (y, x), and the value is the mean over the slices that hold voxels of the mask. Wang et al. 2004,
    doi:10.1109/TIP.2003.819861.
    """
    prepare, sums_of = _stage(plain)
    shape = mask.shape
    flat = slicewise or shape[0] == 1
    # Axes too short for a window are reflected and not cropped; so is the slice axis where the window has no depth.
    padding = [(MARGIN if size < WINDOW else 0, "symmetric") for size in shape]
    sizes = [size + 2 * before for size, (before, _) in zip(shape, padding, strict=True)]
    box = [(low + before, high + before) for (low, high), (before, _) in zip(bounding_box(mask), padding, strict=True)]
    frame = Frame.around(sizes, box)
    block, origin = list(frame.block), [low for low, _ in frame.block]
    if flat:  # no window along z: every slice is a centre, none is needed around it
        low, high = bounding_box(mask)[0]
        padding[0] = (0, "symmetric")
        frame = Frame((shape[0], *frame.sizes[1:]), ((low, high), *frame.centres[1:]))
        block[0], origin[0] = (low, high), low
    inside = np.ascontiguousarray(_taken(mask, block, padding)).view(np.uint8)
    true_mask = _unreflected(inside, block, padding, shape)
    if slicewise:
        chosen = np.zeros([high - low for low, high in frame.centres], np.uint8)
        for k in range(len(chosen)):
            if true_mask[k].any():
                single = Frame((1, *frame.sizes[1:]), ((0, 1), *frame.centres[1:]))
                chosen[k] = _chosen(true_mask[k : k + 1], single, 1, (0, *origin[1:]))[0]
    else:
        chosen = _chosen(true_mask, frame, 1, origin)
    points = WINDOW ** sum(size > 1 for size in (shape[1:] if flat else shape))
    depth = 1 if flat else WINDOW
    sums, counts = [], []
    for first in range(0, len(chosen), SLAB):  # so that no copy of a whole volume is ever held
        centres = chosen[first : first + SLAB]
        planes = slice(first, first + len(centres) + depth - 1)
        part = [(block[0][0] + planes.start, block[0][0] + planes.stop), *block[1:]]
        x, y = (prepare(image, inside[planes], part, padding, clip) for image in (reference, prediction))
        found = sums_of(x, y, centres, float(clip[1] - clip[0]), depth=depth, points=points)
        sums.append(found[0])
        counts.append(found[1])
    total, number = np.concatenate(sums), np.concatenate(counts)
    if slicewise:
        return float(np.clip(np.mean(total[number > 0] / number[number > 0]), -1, 1))
    return float(np.clip(total.sum() / number.sum(), -1, 1))


def _unreflected(
    inside: Mask, block: Sequence[tuple[int, int]], padding: Sequence[tuple[int, str]], shape: Sequence[int]
) -> Mask:
    """The mask without the mirror images of itself: reflected voxels fill windows but are not scored."""
    kept = inside
    for axis, ((low, high), (before, _), size) in enumerate(zip(block, padding, shape, strict=True)):
        at = np.arange(low, high)
        mirrored = (at < before) | (at >= before + size)
        if mirrored.any():
            kept = kept.copy() if kept is inside else kept
            kept[(slice(None),) * axis + (mirrored,)] = 0
    return kept


@dataclass(frozen=True)
class Pyramid:
    """The reference's side of MS-SSIM: needed once a reference, 4.6 bytes a voxel of the mask's bounding box."""

    frames: tuple[Frame, ...]
    """One a level."""
    images: tuple[NDArray[np.floating], ...]
    """Blocks of the reference."""
    chosen: tuple[Mask, ...]
    """Centres that count."""
    inside: Mask
    """Block of the mask at level 0."""
    padding: tuple[tuple[int, str], ...]
    """Padding of level 0."""

    @property
    def nbytes(self) -> int:
        """Memory that keeping it takes."""
        return self.inside.nbytes + sum(a.nbytes for a in (*self.images, *self.chosen))


def ms_ssim_reference(
    reference: Array,
    mask: NDArray[np.bool_],
    clip: tuple[float, float],
    variant: str = "synthrad2025",
    *,
    plain: bool = False,
) -> Pyramid:
    """What MS-SSIM needs of the reference and the mask; arguments as for `ms_ssim`."""
    official = variant == "synthrad2025"
    smallest = SMALLEST[variant]
    padding = tuple((max(smallest - size, 0) // 2, "edge") for size in mask.shape)
    sizes = [max(size, smallest) for size in mask.shape]
    support = []
    for (low, high), (before, _), size, whole in zip(bounding_box(mask), padding, mask.shape, sizes, strict=True):
        # A mask that touches the edge of a padded axis goes on into the padding.
        padded = whole > size
        support.append(
            (0 if padded and low == 0 else low + before, whole if padded and high == size else high + before)
        )
    frames = [Frame.around(sizes, support)]
    inside = np.ascontiguousarray(_taken(mask, frames[0].block, padding)).view(np.uint8)
    images = [_stage(plain)[0](reference, inside, frames[0].block, padding, clip)]
    origin = [low for low, _ in frames[0].block]
    chosen = [_chosen(inside, frames[0], 1, origin)]
    for level in range(1, len(LEVELS)):
        if official:  # pairs (2k − 1, 2k)
            sizes = [(size + 1) // 2 for size in sizes]
            support = [
                ((low + 1) // 2, min(high // 2 + 1, size)) for (low, high), size in zip(support, sizes, strict=True)
            ]
        else:  # pairs (2k, 2k + 1)
            sizes = [size // 2 for size in sizes]
            support = [(low // 2, min((high + 1) // 2, size)) for (low, high), size in zip(support, sizes, strict=True)]
        frames.append(Frame.around(sizes, support))
        images.append(_halved(images[-1], frames[-2], frames[-1], official, plain))
        chosen.append(_chosen(inside, frames[-1], 2**level, origin))
    return Pyramid(tuple(frames), tuple(images), tuple(chosen), inside, padding)


def _halved(
    image: NDArray[np.floating], frame: Frame, coarser: Frame, official: bool, plain: bool
) -> NDArray[np.floating]:
    """The next level's block. Outside the image, and outside the mask, everything is 0."""
    shape = [high - low for low, high in coarser.block]
    starts = [2 * low - official - start for (low, _), (start, _) in zip(coarser.block, frame.block, strict=True)]
    if not plain:
        out = np.empty(shape, np.float32)
        kernels().halve(image, *starts, out)
        return out
    for axis, (start, size) in enumerate(zip(starts, shape, strict=True)):
        at = start + np.arange(2 * size)
        pieces = np.take(image, np.clip(at, 0, image.shape[axis] - 1), axis=axis)
        pieces[(slice(None),) * axis + ((at < 0) | (at >= image.shape[axis]),)] = 0
        index = (slice(None),) * axis
        image = (pieces[(*index, slice(0, None, 2))] + pieces[(*index, slice(1, None, 2))]) / 2
    return image


def ms_ssim(
    reference: Array,
    prediction: Array,
    mask: NDArray[np.bool_],
    clip: tuple[float, float],
    variant: str = "synthrad2025",
    *,
    pyramid: Pyramid | None = None,
    plain: bool = False,
) -> float:
    """Multi-scale structural similarity over the mask, in [0, 1]; arrays as for `ssim`.

    `synthrad2025`: five levels, each the mean of (luminance · contrast · structure)^w over the cropped mask; axes shorter
    than 97 are padded to 97 with their edge values; between levels out[k] = (x[2k − 1] + x[2k])/2 along each axis, with x
    before the image taken for 0, and the mask's every second voxel. The product of contrast and structure,
    (2σxσy + C2)/(vx + vy + C2) · (vxy + C3)/(σxσy + C3) with C3 = C2/2, is (2vxy + C2)/(vx + vy + C2), so that four
    statistics suffice. `wang2003`: luminance at the coarsest level alone, the mean before the power, plain means of pairs
    (2k, 2k + 1), axes padded to 112. Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216.
    """
    prepare, sums_of = _stage(plain)
    official = variant == "synthrad2025"
    pyramid = pyramid or ms_ssim_reference(reference, mask, clip, variant, plain=plain)
    image = prepare(prediction, pyramid.inside, pyramid.frames[0].block, pyramid.padding, clip)
    value, points = 1.0, WINDOW**3
    for level, weight in enumerate(LEVELS):
        if level:
            image = _halved(image, pyramid.frames[level - 1], pyramid.frames[level], official, plain)
        last = level == len(LEVELS) - 1
        sums, counts = sums_of(
            pyramid.images[level],
            image,
            pyramid.chosen[level],
            float(clip[1] - clip[0]),
            depth=WINDOW,
            points=points,
            exponent=weight if official else 0.0,
            luminance=official or last,
        )
        mean = max(float(sums.sum() / counts.sum()), 0.0)
        value *= mean if official else mean**weight
    return min(max(value, 0.0), 1.0)
