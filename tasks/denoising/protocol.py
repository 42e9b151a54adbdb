"""What every edition of the task shares: the declared doses, the reconstruction, and where metrics are taken."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from tasks.denoising.sinogram import Dose, Geometry, scan

GRID = 256
"""Pixels along each side of the real slices."""

DOSES: dict[str, float] = {"10%": 0.10, "25%": 0.25}
"""The dose levels, as fractions of the full dose."""

FULL_DOSE: dict[tuple[str, str], Dose] = {
    ("real", "chest"): Dose(4e5),
    ("real", "head"): Dose(1e6),
    ("phantom", "chest"): Dose(2.5e5),
    ("phantom", "head"): Dose(2e5),
}
"""Photons a ray at full dose by kind of edition and anatomy. A head protocol uses more than a chest protocol does; phantoms
have wider bins, which would average the noise away."""


def scanner(kind: str, anatomy: str) -> Dose:
    """Full dose of an edition of that kind ("real", "phantom") for that anatomy ("chest", "head")."""
    return FULL_DOSE[kind, anatomy]


def geometry(size: int, pixel: float) -> Geometry:
    """The beam for images of that size (pixels, mm a pixel): 400 views for 256 pixels, in proportion for others."""
    return Geometry(size, pixel, max(size * 25 // 16, 60))


def simulate(
    hu: NDArray[np.generic], pixel: float, full: Dose, dose: str, rng: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Low-dose scan and noise-free reference of slices (z, y, x) in HU with `pixel` mm; both int16 HU."""
    return scan(hu, geometry(hu.shape[1], pixel), full.fraction(DOSES[dose]), rng)


def field_of_view(reference: NDArray[np.int16], margin: int = 2) -> NDArray[np.bool_]:
    """Where metrics are taken: the body in each slice with everything inside it, widened by `margin` pixels.

    Air around the patient and the table are left out, since an error-free background says nothing about a denoiser and
    flatters PSNR and SSIM. The body is what exceeds −400 HU, less what is thinner than five pixels (tables, head
    holders), in pieces of at least 5 % of the largest; lungs and airways inside it are filled.
    """
    disk = scipy.ndimage.iterate_structure(scipy.ndimage.generate_binary_structure(2, 1), 2)
    solid = scipy.ndimage.binary_opening(reference > -400, disk[np.newaxis])
    labels, count = scipy.ndimage.label(solid)
    if count == 0:
        return np.ones(reference.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = (sizes >= 0.05 * sizes.max())[labels]
    wide = scipy.ndimage.binary_dilation(body, disk[np.newaxis], iterations=max(margin // 2, 1))
    return np.stack([scipy.ndimage.binary_fill_holes(part) for part in wide])
