"""Compiled loops of structural similarity and of errors voxel by voxel. Single-threaded, outside the GIL, cached on disk.

The plain path does five filters of three passes each over the whole volume and is bound by memory. Here a window of 7³ is
built while planes stream by: sums over 7 planes are kept for a strip of rows (they fit the second-level cache), sums over 7
rows follow from those, and the sums over 7 columns are taken in the loop that evaluates the formula. Only four statistics
are needed: Σx, Σy, Σ(x² + y²), Σxy. Voxels are float32, every sum is float64.

The inner loops take contiguous rows and write to one array each: that is what lets LLVM prove them free of aliases and
turn them into vector instructions.
"""

# mypy: ignore-errors
# (numba types its functions itself, by the signatures given)
from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

WINDOW = 7
"""Edge of the uniform window, in voxels."""

STRIP = 48
"""Centre rows in a strip; with its 6 further rows and 4 float64 sums it stays in the second-level cache."""


def _given(dtype, axes):
    """An input: read-only, so that both writable arrays and views of files or constants are accepted."""
    return types.Array(dtype, axes, "C", readonly=True)


I2, F4, F8, U1 = types.int16, types.float32, types.float64, types.uint8
KINDS = (I2, F4, F8)
"""Types of images that loops are compiled for; others are converted to one that holds them exactly."""

# Reordering sums is what vectors need; NaN and infinity keep their meaning, since the checks for them live here too.
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(inline="always")
def _slide(total, new_a, new_b, old_a, old_b, drop):
    """total += a·b of the row that enters, minus that of the row that leaves."""
    if drop:
        for i in range(total.size):
            total[i] += np.float64(new_a[i]) * np.float64(new_b[i]) - np.float64(old_a[i]) * np.float64(old_b[i])
    else:
        for i in range(total.size):
            total[i] += np.float64(new_a[i]) * np.float64(new_b[i])


@njit(inline="always")
def _slide_sum(total, new, old, drop):
    if drop:
        for i in range(total.size):
            total[i] += np.float64(new[i]) - np.float64(old[i])
    else:
        for i in range(total.size):
            total[i] += np.float64(new[i])


@njit(inline="always")
def _slide_power(total, new_a, new_b, old_a, old_b, drop):
    """total += a² + b² of the row that enters, minus that of the row that leaves."""
    if drop:
        for i in range(total.size):
            a, b, c, d = np.float64(new_a[i]), np.float64(new_b[i]), np.float64(old_a[i]), np.float64(old_b[i])
            total[i] += (a * a + b * b) - (c * c + d * d)
    else:
        for i in range(total.size):
            a, b = np.float64(new_a[i]), np.float64(new_b[i])
            total[i] += a * a + b * b


@njit(inline="always")
def _slide_rows(total, new, old, drop):
    if drop:
        for i in range(total.size):
            total[i] += new[i] - old[i]
    else:
        for i in range(total.size):
            total[i] += new[i]


@njit(inline="always")
def _seven(row, i):
    return ((row[i] + row[i + 1]) + (row[i + 2] + row[i + 3])) + ((row[i + 4] + row[i + 5]) + row[i + 6])


@njit(inline="always")
def _powers(values, bits, exponent, n):
    """values[:n] **= exponent in place, for values in [0, 1] or just above; `bits` is the same memory as int64.

    log2 by its series in (m − 1)/(m + 1), exp2 by Taylor's; both are good to 1e-14 and, unlike libm's pow, vectorise.
    """
    for i in range(n):
        # Below 1e-300 the value is taken for zero; the detour keeps the logarithm finite.
        values[i] = values[i] if values[i] > 1e-300 else 1e-300
    for i in range(n):
        raw = bits[i]
        # Shift the exponent so that the mantissa lies in [√½, √2).
        biased = (raw - np.int64(0x3FE6A09E667F3BCD)) >> np.int64(52)
        bits[n + i] = biased
        bits[i] = raw - (biased << np.int64(52))
    for i in range(n):
        s = (values[i] - 1.0) / (values[i] + 1.0)
        q = s * s
        series = 1 / 17
        series = series * q + 1 / 15
        series = series * q + 1 / 13
        series = series * q + 1 / 11
        series = series * q + 1 / 9
        series = series * q + 1 / 7
        series = series * q + 1 / 5
        series = series * q + 1 / 3
        series = series * q + 1.0
        values[i] = exponent * (np.float64(bits[n + i]) + 2.8853900817779268 * s * series)
    for i in range(n):
        t = values[i]
        whole = np.floor(t + 0.5)
        bits[n + i] = (np.int64(whole) + np.int64(1023)) << np.int64(52)
        f = (t - whole) * 0.6931471805599453
        e = 1 / 479001600
        e = e * f + 1 / 39916800
        e = e * f + 1 / 3628800
        e = e * f + 1 / 362880
        e = e * f + 1 / 40320
        e = e * f + 1 / 5040
        e = e * f + 1 / 720
        e = e * f + 1 / 120
        e = e * f + 1 / 24
        e = e * f + 1 / 6
        e = e * f + 0.5
        e = e * f + 1.0
        values[i] = e * f + 1.0
    for i in range(n):
        values[i] *= values[n + i]


@njit(
    types.void(
        *(_given(F4, 3), _given(F4, 3), _given(U1, 3)),
        *(types.int64, types.int64, types.int64),
        *(F8, F8, F8, F8, types.boolean, F8[::1], types.int64[::1]),
    ),
    cache=True,
    nogil=True,
    fastmath=FAST,
    error_model="numpy",
)
def similarity_strip(x, y, mask, depth, first, last, unbiased, c1, c2, exponent, luminance, sums, counts):
    """Sums of a similarity map over the masked centres of rows first ≤ row < last, one sum a plane of centres.

    `x`, `y`: float32 (planes, rows, columns). `mask`: uint8, one entry for each place where the whole window of
    (`depth`, 7, 7) voxels lies inside, so smaller by window − 1. `depth` is 7 or 1 (slice by slice). `unbiased` is the
    factor of the sample covariance, n/(n − 1). With `exponent` 0 the plain map is summed, else max(map, 0)^exponent; without
    `luminance` the map is contrast times structure alone. `sums` and `counts` have one entry a plane of centres.
    """
    planes, columns = x.shape[0], x.shape[2]
    width = mask.shape[2]
    rows = last - first + WINDOW - 1
    plane = np.zeros((4, rows, columns))
    line = np.zeros((4, columns))
    values = np.empty(2 * width)
    bits = values.view(np.int64)
    share = 1.0 / (depth * WINDOW * WINDOW)
    for z in range(planes):
        drop = z >= depth
        out = max(z - depth, 0)
        for r in range(rows):
            xn, yn, xo, yo = x[z, first + r], y[z, first + r], x[out, first + r], y[out, first + r]
            _slide_sum(plane[0, r], xn, xo, drop)
            _slide_sum(plane[1, r], yn, yo, drop)
            _slide_power(plane[2, r], xn, yn, xo, yo, drop)
            _slide(plane[3, r], xn, yn, xo, yo, drop)
        centre = z - depth + 1
        if centre < 0:
            continue
        line[:] = 0.0
        for r in range(rows):
            for q in range(4):
                _slide_rows(line[q], plane[q, r], plane[q, max(r - WINDOW, 0)], r >= WINDOW)
            row = r - WINDOW + 1
            if row < 0:
                continue
            inside = mask[centre, first + row]
            start, stop, count = width, 0, 0
            for i in range(width):
                count += np.int64(inside[i])
            if count == 0:
                continue
            for i in range(width):
                if inside[i]:
                    start = i
                    break
            for i in range(width - 1, -1, -1):
                if inside[i]:
                    stop = i + 1
                    break
            sx, sy, sp, sc = line[0, start:], line[1, start:], line[2, start:], line[3, start:]
            chosen = inside[start:stop]
            n = chosen.size
            total = 0.0
            for i in range(n):
                ux, uy = _seven(sx, i) * share, _seven(sy, i) * share
                power, cross = _seven(sp, i) * share, _seven(sc, i) * share
                product, squares = ux * uy, ux * ux + uy * uy
                top = 2.0 * unbiased * (cross - product) + c2
                bottom = unbiased * (power - squares) + c2
                if luminance:
                    top *= 2.0 * product + c1
                    bottom *= squares + c1
                values[i] = top / bottom
            if exponent > 0.0:
                _powers(values, bits, exponent, n)
            for i in range(n):
                total += values[i] * np.float64(chosen[i])
            sums[centre] += total
            counts[centre] += count


@njit(
    [types.void(_given(kind, 3), _given(U1, 3), F8, F8, F4[:, :, ::1]) for kind in KINDS],
    cache=True,
    nogil=True,
    fastmath=FAST,
)
def clip_and_shift(source, mask, low, high, out):
    """out = clip(source, low, high) − low inside the mask and 0 outside, whatever stands there."""
    for k in range(source.shape[0]):
        for j in range(source.shape[1]):
            row, inside, to = source[k, j], mask[k, j], out[k, j]
            for i in range(row.size):
                value = np.float64(row[i])
                value = min(max(value, low), high) - low
                to[i] = np.float32(value) if inside[i] else np.float32(0.0)


@njit(
    types.void(_given(F4, 3), types.int64, types.int64, types.int64, F4[:, :, ::1]),
    cache=True,
    nogil=True,
    fastmath=FAST,
)
def halve(source, k0, j0, i0, out):
    """Mean over 2³ voxels: out[k] takes source[k0 + 2k] and source[k0 + 2k + 1]; what lies outside counts as 0."""
    planes, rows, columns = source.shape
    line = np.zeros(columns + 2)
    inner = line[1 : columns + 1]
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            line[:] = 0.0
            for dk in range(2):
                z = k0 + 2 * k + dk
                if z < 0 or z >= planes:
                    continue
                for dj in range(2):
                    y = j0 + 2 * j + dj
                    if y < 0 or y >= rows:
                        continue
                    row = source[z, y]
                    for i in range(columns):
                        inner[i] += np.float64(row[i])
            to = out[k, j]
            for i in range(to.size):
                at = i0 + 2 * i
                total = 0.0
                if 0 <= at < columns:
                    total += inner[at]
                if -1 <= at < columns - 1:
                    total += inner[at + 1]
                to[i] = np.float32(0.125 * total)


ERRORS = 7
"""Σ|d|, Σd², Σg², Σd² clipped to the first range, to the second, unusable voxels of p and of g."""


@njit(
    [types.void(_given(kind, 1), _given(kind, 1), _given(U1, 1), _given(F8, 1), F8[::1]) for kind in KINDS],
    cache=True,
    nogil=True,
    fastmath=FAST,
)
def errors(reference, prediction, mask, clips, sums):
    """Add to `sums` the seven sums of `ERRORS` over the masked voxels; `clips` holds two ranges (low, high, low, high).

    A voxel is usable when its magnitude is at most float32's largest: NaN, infinity and what would overflow are not.
    """
    largest = 3.4028234663852886e38
    absolute = square = power = first = second = 0.0
    bad_p = bad_g = 0
    for i in range(mask.size):
        w = 1.0 if mask[i] else 0.0
        g, p = np.float64(reference[i]), np.float64(prediction[i])
        good_g, good_p = abs(g) <= largest, abs(p) <= largest
        bad_g += np.int64(mask[i] != 0 and not good_g)
        bad_p += np.int64(mask[i] != 0 and not good_p)
        g = g if good_g else 0.0
        p = p if good_p else 0.0
        d = (g - p) * w
        absolute += abs(d)
        square += d * d
        power += g * g * w
        c = min(max(g, clips[0]), clips[1]) - min(max(p, clips[0]), clips[1])
        first += c * c * w
        e = min(max(g, clips[2]), clips[3]) - min(max(p, clips[2]), clips[3])
        second += e * e * w
    sums[0] += absolute
    sums[1] += square
    sums[2] += power
    sums[3] += first
    sums[4] += second
    sums[5] += np.float64(bad_p)
    sums[6] += np.float64(bad_g)


@njit(
    [types.void(_given(kind, 1), _given(kind, 1), _given(U1, 1), F8, F8, F8[::1]) for kind in KINDS],
    cache=True,
    nogil=True,
    fastmath=FAST,
)
def tissue_errors(reference, prediction, mask, air_below, bone_above, sums):
    """Add Σ|d| over air, soft tissue and bone to sums[:3] and their masked voxels to sums[3:], by the reference's value."""
    air = soft = bone = n_air = n_soft = n_bone = 0.0
    for i in range(mask.size):
        g, p = np.float64(reference[i]), np.float64(prediction[i])
        d = abs(g - p) if mask[i] else 0.0
        w = 1.0 if mask[i] else 0.0
        low, high = g < air_below, g > bone_above
        air += d if low else 0.0
        n_air += w if low else 0.0
        bone += d if high else 0.0
        n_bone += w if high else 0.0
        soft += 0.0 if (low or high) else d
        n_soft += 0.0 if (low or high) else w
    sums[0] += air
    sums[1] += soft
    sums[2] += bone
    sums[3] += n_air
    sums[4] += n_soft
    sums[5] += n_bone


def three_types(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same values, aligned and in C order, as a type that kernels are compiled for: int16, float32 or float64."""
    if array.dtype in (np.uint8, np.int8, np.bool_):
        array = array.astype(np.int16)
    elif array.dtype in (np.float16, np.uint16):
        array = array.astype(np.float32)
    elif array.dtype not in (np.int16, np.float32):
        array = array.astype(np.float64, copy=False)
    return np.require(array, requirements=("C", "A"))
