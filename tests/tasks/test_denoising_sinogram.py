"""The physics of the low-dose CT task: against closed forms, scikit-image, and what noise must do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from skimage.transform import iradon, radon

from tasks.denoising.sinogram import (
    HU_RANGE,
    MU_WATER,
    Dose,
    Geometry,
    attenuation,
    count,
    hounsfield,
    project,
    reconstruct,
    scan,
)

SMALL = Geometry(size=96, pixel=2.0, views=150)


def coordinates(geometry: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (columns) and y (rows) of the pixels, s of the bins, in mm."""
    pixels = (np.arange(geometry.size) - (geometry.size - 1) / 2) * geometry.pixel
    bins = (np.arange(geometry.bins) - (geometry.bins - 1) / 2) * geometry.pixel
    return pixels[np.newaxis], pixels[:, np.newaxis], bins


def disk_image(geometry: Geometry, x: float, y: float, radius: float, mu: float, fine: int = 8) -> np.ndarray:
    """A disk painted with partial volume, (1, y, x)."""
    n = geometry.size * fine
    at = (np.arange(n) - (n - 1) / 2) * geometry.pixel / fine
    inside = (at[np.newaxis] - x) ** 2 + (at[:, np.newaxis] - y) ** 2 <= radius**2
    share = inside.reshape(geometry.size, fine, geometry.size, fine).mean((1, 3))
    return (mu * share[np.newaxis]).astype(np.float32)


def disk_sinogram(geometry: Geometry, x: float, y: float, radius: float, mu: float) -> np.ndarray:
    """Line integrals of a disk in closed form, 2μ√(r² − (s − s₀)²), (1, view, bin)."""
    bins = coordinates(geometry)[2]
    middle = x * np.cos(geometry.angles) + y * np.sin(geometry.angles)
    half = np.maximum(radius**2 - (bins - middle[:, np.newaxis]) ** 2, 0)
    return (2 * mu * np.sqrt(half))[np.newaxis].astype(np.float32)


@pytest.mark.parametrize(("x", "y", "radius"), [(0, 0, 60), (31, -17, 40), (-40, 52, 14)])
def test_projection_of_a_disk_is_its_chord(x: float, y: float, radius: float) -> None:
    found = project(disk_image(SMALL, x, y, radius, MU_WATER), SMALL)
    exact = disk_sinogram(SMALL, x, y, radius, MU_WATER)
    chord = 2 * MU_WATER * radius
    assert np.abs(found - exact).mean() < 0.003 * chord
    well_inside = exact > 0.5 * chord
    assert np.abs(found - exact)[well_inside].max() < 0.8 * MU_WATER * SMALL.pixel


def test_projection_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(5)
    image = np.zeros((64, 64), np.float32)
    image[14:50, 14:50] = np.kron(rng.random((9, 9)), np.ones((4, 4)))
    geometry = Geometry(64, 1.0, 24)
    ours = project(image[np.newaxis], geometry)[0]
    theirs = radon(image, theta=-np.rad2deg(geometry.angles), circle=False).T
    # scikit-image turns about pixel size // 2, ours about the middle of the image; compare on bins by interpolation.
    middle = theirs.shape[1] // 2
    for view, angle in enumerate(geometry.angles):
        shift = 0.5 * np.cos(angle) + 0.5 * np.sin(angle)
        at = coordinates(geometry)[2] - shift + middle
        other = np.interp(at, np.arange(theirs.shape[1]), theirs[view])
        assert np.corrcoef(ours[view], other)[0, 1] > 0.995
        assert np.abs(ours[view] - other).mean() < 0.02 * ours[view].max()


def test_every_view_holds_all_the_matter() -> None:
    rng = np.random.default_rng(1)
    image = rng.random((2, 96, 96)).astype(np.float32)
    total = image.sum((1, 2), dtype=np.float64) * SMALL.pixel**2
    seen = project(image, SMALL).sum(2, dtype=np.float64) * SMALL.pixel
    np.testing.assert_allclose(seen, np.broadcast_to(total[:, np.newaxis], seen.shape), rtol=0.02)


def test_projection_is_linear_and_slices_do_not_mix() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 3, 96, 96)).astype(np.float32)
    np.testing.assert_allclose(
        project(2 * a - 3 * b, SMALL), 2 * project(a, SMALL) - 3 * project(b, SMALL), rtol=1e-4, atol=2e-3
    )
    np.testing.assert_array_equal(project(a, SMALL)[1:2], project(a[1:2], SMALL))
    sinogram = project(a, SMALL)
    np.testing.assert_array_equal(reconstruct(sinogram, SMALL)[1:2], reconstruct(sinogram[1:2], SMALL))
    both = reconstruct(sinogram + 2 * project(b, SMALL), SMALL)
    np.testing.assert_allclose(
        both, reconstruct(sinogram, SMALL) + 2 * reconstruct(project(b, SMALL), SMALL), atol=1e-3
    )


@pytest.mark.parametrize("cutoff", [1.0, 1.6, np.inf])
@pytest.mark.parametrize(("x", "y", "radius"), [(0, 0, 70), (20, -25, 45)])
def test_water_is_zero_and_air_is_minus_a_thousand(x: float, y: float, radius: float, cutoff: float) -> None:
    geometry = Geometry(128, 1.6, 200)
    hu = hounsfield(reconstruct(disk_sinogram(geometry, x, y, radius, MU_WATER), geometry, cutoff))[0]
    across, down, _ = coordinates(geometry)
    distance = np.hypot(across - x, down - y)
    inside, outside = distance < radius - 8, (distance > radius + 8) & (np.hypot(across, down) < 90)
    assert abs(hu[inside].mean()) < 2
    assert np.abs(hu[inside]).max() < 12
    assert abs(hu[outside].mean() + 1000) < 3


def test_whole_pipeline_keeps_ct_numbers() -> None:
    geometry = Geometry(128, 1.6, 200)
    water = disk_image(geometry, 0, 0, 75, 1.0)
    insert = disk_image(geometry, 30, 10, 15, 1.0)
    hu = -1000 + 1000 * water + 60 * insert
    _, reference = scan(hu, geometry, Dose(1e6), np.random.default_rng(0))
    assert reference.dtype == np.int16
    across, down, _ = coordinates(geometry)
    assert reference[0][np.hypot(across + 30, down) < 20].mean() == pytest.approx(0, abs=2)
    assert reference[0][np.hypot(across - 30, down - 10) < 10].mean() == pytest.approx(60, abs=2)


def test_reconstruction_agrees_with_scikit_image() -> None:
    geometry = Geometry(96, 1.0, 180)
    sinogram = disk_sinogram(geometry, 9, -12, 25, 1.0)
    ours = reconstruct(sinogram, geometry, np.inf)[0]
    theirs = iradon(sinogram[0].T, theta=-np.rad2deg(geometry.angles), output_size=96, filter_name="ramp", circle=False)
    # Their centre is pixel 48 and bin bins // 2, ours half-way between pixels: compare well inside the disk.
    across, down, _ = coordinates(geometry)
    inside = np.hypot(across - 9, down + 12) < 20
    assert np.abs(ours - theirs)[inside].mean() < 0.01
    assert ours[inside].mean() == pytest.approx(theirs[inside].mean(), abs=0.003)


def test_counts_have_the_declared_variance() -> None:
    """Var p' ≈ (e^p/N₀)(1 + σ_e² e^p/N₀), by the delta method."""
    rng = np.random.default_rng(3)
    for p, photons, electronic in ((0.0, 1e4, 0.0), (2.0, 1e5, 0.0), (3.0, 1e4, 20.0), (1.0, 4e4, 8.0)):
        noisy = count(np.full((1, 300, 300), p, np.float32), Dose(photons, electronic), rng).astype(np.float64)
        mean_count = photons * np.exp(-p)
        expected = (1 + electronic**2 / mean_count) / mean_count
        assert noisy.var() == pytest.approx(expected, rel=0.03)
        assert noisy.mean() == pytest.approx(p, abs=4 * np.sqrt(expected) / 300 + expected)


def test_noise_of_the_image_goes_as_one_over_the_root_of_dose() -> None:
    geometry = Geometry(64, 4.0, 100)
    clean = disk_sinogram(geometry, 0, 0, 100, MU_WATER).repeat(6, 0)
    spread = {}
    for photons in (1e6, 2.5e5, 1e5):
        noisy = count(clean, Dose(photons, 0.0), np.random.default_rng(7))
        spread[photons] = (hounsfield(reconstruct(noisy, geometry)) - hounsfield(reconstruct(clean, geometry)))[
            :, 20:44, 20:44
        ].std()
    assert spread[2.5e5] / spread[1e6] == pytest.approx(2, rel=0.05)
    assert spread[1e5] / spread[1e6] == pytest.approx(np.sqrt(10), rel=0.06)


def test_electronic_noise_weighs_more_at_low_dose() -> None:
    full = Dose(1e5, 8.0)
    assert full.fraction(0.1) == Dose(1e4, 8.0)
    p = np.full((1, 200, 200), 5.0, np.float32)

    def variance(dose: Dose) -> float:
        return float(count(p, dose, np.random.default_rng(0)).astype(np.float64).var())

    with_electronics = variance(full.fraction(0.1)) / variance(full)
    without = variance(Dose(1e4, 0.0)) / variance(Dose(1e5, 0.0))
    assert with_electronics > 1.2 * without


def test_noise_has_the_texture_of_a_reconstruction() -> None:
    """Noise power rises with frequency under the ramp and falls again under the window: it is not white."""
    geometry = Geometry(128, 2.0, 200)
    clean = disk_sinogram(geometry, 0, 0, 200, 0.002).repeat(8, 0)
    noise = reconstruct(count(clean, Dose(1e5, 0.0), np.random.default_rng(0)) - clean, geometry)[:, 32:96, 32:96]
    taper = np.outer(np.hanning(64), np.hanning(64))
    power = (np.abs(np.fft.fftshift(np.fft.fft2(noise * taper), axes=(1, 2))) ** 2).mean(0)
    radius = np.hypot(*np.meshgrid(np.arange(64) - 32, np.arange(64) - 32))
    low, middle, high = (power[(radius >= a) & (radius < b)].mean() for a, b in ((1, 4), (14, 20), (40, 46)))
    # Expected of f·W(f)², W the Hann window times the interpolation's response: 2.3 and far below one.
    assert 1.7 < middle / low < 3
    assert middle > 3 * high


def test_starved_rays_stay_finite_and_streak() -> None:
    geometry = Geometry(64, 6.0, 90)
    hu = np.full((2, 64, 64), -1000.0)
    hu[:, 24:40, 4:60] = 400.0  # as wide as shoulders: no photon comes through along x
    low, reference = scan(hu, geometry, Dose(2e4), np.random.default_rng(0))
    assert low.min() >= HU_RANGE[0]
    assert low.max() <= HU_RANGE[1]
    error = (low.astype(float) - reference)[:, 28:36, 12:52]
    along, across = np.abs(np.diff(error, axis=2)).mean(), np.abs(np.diff(error, axis=1)).mean()
    assert across > 1.5 * along  # streaks run along x


def test_same_generator_same_bytes() -> None:
    hu = np.random.default_rng(0).uniform(-1000, 500, (3, 64, 64))
    geometry = Geometry(64, 3.0, 100)
    first = scan(hu, geometry, Dose(1e5), np.random.default_rng(11))
    again = scan(hu, geometry, Dose(1e5), np.random.default_rng(11))
    other = scan(hu, geometry, Dose(1e5), np.random.default_rng(12))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes() == other[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


def test_padding_counts_as_air() -> None:
    assert attenuation(np.array([-2048, -1024, -1000]))[:3].tolist() == [0, 0, 0]
    assert attenuation(np.array([0]))[0] == pytest.approx(MU_WATER)
    np.testing.assert_allclose(hounsfield(attenuation(np.array([-500.0, 0, 1500]))), [-500, 0, 1500], atol=1e-3)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        project(np.zeros((2, 96, 95), np.float32), SMALL)
    with pytest.raises(ValueError, match="expected"):
        reconstruct(np.zeros((2, SMALL.views, SMALL.bins + 1), np.float32), SMALL)
    wide = dataclasses.replace(SMALL, size=100)
    assert wide.bins >= 100 * np.sqrt(2)
