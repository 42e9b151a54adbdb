"""The small real sample: four scans with a tumour outlined, out of the source archive of pyradiomics.

They do not fit a task of four contrasts, and nothing is made up to make them fit. Of two brains there is the T1-weighted image
after contrast agent alone, so those cases have the socket `t1c` and no other; of two chests there is a CT, so those have `ct`. The
outline is one structure (brain: what enhances, with what it encloses; lung: the gross tumour); it is written as label 3, so that
the regions whole tumour, core and enhancing tumour are all the same structure in these references.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import geometry, image
from benchmark.contract import Source, Split
from benchmark.dataset import CaseFiles
from benchmark.download import PackageFile, extract, fetch
from benchmark.errors import DataError, InfrastructureError

PYRADIOMICS = PackageFile(
    "sdist",
    "pyradiomics",
    "3.0.1",
    "pyradiomics-3.0.1.tar.gz",
    "47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5",
)

LABEL = 3
"""What the outlined structure is written as."""


@dataclass(frozen=True)
class Scan:
    """One scan of one patient, with its outline."""

    name: str
    """Name in the archive: `data/<name>_image.nrrd`, `data/<name>_label.nrrd`."""
    anatomy: str
    """brain or lung."""
    socket: str
    """Input that the image is."""
    split: Split
    image_sha256: str
    label_sha256: str
    title: str

    @property
    def source(self) -> Source:
        """Licence and citation."""
        return Source(
            title=self.title,
            licence="BSD-3-Clause",
            citation="van Griethuysen JJM et al. Computational Radiomics System to Decode the Radiographic Phenotype. "
            "Cancer Res 77:e104 (2017)",
            origin=f"pyradiomics 3.0.1 (source archive), data/{self.name}_image.nrrd and data/{self.name}_label.nrrd",
            sha256=PYRADIOMICS.sha256,
        )


SCANS = (
    Scan(
        "brain1",
        "brain",
        "t1c",
        "canary",
        "fffdb111ee8b428ede7256707393c927a7d5be912f0604cf3c6f1bd5fc9644cf",
        "ae6d8e6b84f7e99d68c210ee2fa6aaaefa0b2df0a84f55efca4feebe2b216059",
        "Brain MR 1 of the test data of pyradiomics: T1 after contrast agent, 25 slices of 6.5 mm, a tumour of 16 ml",
    ),
    Scan(
        "lung1",
        "lung",
        "ct",
        "canary",
        "379fa48bf34cfa961e6f5ec19c0c38757a30b9aa884212ef28dc29b5061c64ed",
        "e9d9a88054d7bc1d3034193ff907ce6b8c6ba28a7bc3a16f23728982d1b6b50a",
        "Lung CT 1 of the test data of pyradiomics: 48 slices of 5 mm, a tumour of 1.4 ml",
    ),
    Scan(
        "brain2",
        "brain",
        "t1c",
        "test",
        "d35a1c6a3e1eb72bae97c5515472fbe057fb38ee8e1e199215d1c3c6f292332e",
        "15189c024936ecc337649b9a10c475117c7c40df0d53c22163f9a2023ed741a5",
        "Brain MR 2 of the test data of pyradiomics: T1 after contrast agent, 23 slices of 6.5 mm, a tumour of 1.8 ml",
    ),
    Scan(
        "lung2",
        "lung",
        "ct",
        "test",
        "aa2b94eec79127ed786798ac8dc3c013010e1692d5787bebfae1a1e9685a4651",
        "cef52738dc51aab69a48fe30639da956d2b911b1c2920439c091fab84727657a",
        "Lung CT 2 of the test data of pyradiomics: 61 slices of 5 mm, a tumour of 48 ml",
    ),
)
"""Every scan of the sample. No tumour of one anatomy is in train: there is nothing to learn from four scans."""


def collect(scan: Scan, cache: Path, progress: Callable[[str], None] | None = None) -> tuple[str, str]:
    """Paths of a scan's image and outline in the cache, fetched when they are not there.

    Raises `InfrastructureError` as `benchmark.download.fetch` and `extract` do.
    """
    pins = (("image", scan.image_sha256), ("label", scan.label_sha256))
    targets = [cache / "images" / f"pyradiomics-{scan.name}-{scan.name}_{part}.nrrd" for part, _ in pins]
    package = fetch(PYRADIOMICS, cache, progress)
    for (part, sha256), target in zip(pins, targets, strict=True):
        extract(package, f"*/data/{scan.name}_{part}.nrrd", target, sha256)
    return str(targets[0]), str(targets[1])


def make_case(scan: Scan, image_path: str, label_path: str) -> CaseFiles:
    """One scan as it is: its only image in its own socket, on its own grid, and the outline."""
    try:
        picture, outline = image.read(Path(image_path)), image.read(Path(label_path))
    except (OSError, ValueError, RuntimeError) as error:
        raise InfrastructureError("checksum", f"{scan.name} cannot be read ({error})") from error
    if differs := geometry.difference(picture, outline):
        raise DataError("reference_invalid", f"the outline of {scan.name} is not on the image's grid: {differs}")
    labels = np.where(np.asarray(outline.array) > 0, LABEL, 0).astype(np.uint8)
    return CaseFiles(inputs={scan.socket: picture}, references={"tumour": picture.like(labels)})
