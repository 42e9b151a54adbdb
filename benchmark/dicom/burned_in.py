"""Text in pixels, which no profile of attributes removes: what headers say of it, and what pixels look like.

A warning, not a verdict: text is burned in as a line of thin strokes of one extreme value, and that is what `looks_written` looks for.
Handwriting, text in grey or on an uneven background, and vertical text are not found.
"""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""SOP classes of pictures taken of a screen or a film begin so."""

RISKY = {"US": "ultrasound", "IVUS": "ultrasound", "ES": "endoscopy", "XC": "photographs", "SC": "secondary capture", "OT": "other images",
         "RF": "fluoroscopy", "XA": "angiography", "DG": "screen captures"}  # fmt: skip
"""Modalities whose devices like to write on the image."""

FACES = ("HEAD", "BRAIN", "SKULL", "FACE", "NECK", "ORBIT", "EAR", "SINUS", "JAW")
"""Words of BodyPartExamined with which a face is in the image."""

HEIGHT = (5, 80)
"""Rows of a letter, in pixels."""

LETTERS = 6
"""So many marks of one height on one line look like writing."""


def said(header: Dataset, anatomy: str = "") -> list[str]:
    """What a header says of text or faces in the pixels, in sentences. `anatomy` is the task's, for headers without a body part."""
    found = []
    state = str(header.get("BurnedInAnnotation", "") or "").upper()
    if state == "YES":
        found.append("the header says that annotation is burned in (BurnedInAnnotation YES)")
    modality = str(header.get("Modality", "") or "").upper()
    if state != "NO":
        if str(header.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE) or header.get("ConversionType"):
            found.append("secondary capture: a picture of a screen or film often shows the patient's name")
        elif modality in RISKY:
            found.append(f"{RISKY[modality]} often has the patient's name burned in, and the header does not deny it")
    part = str(header.get("BodyPartExamined", "") or anatomy).upper()
    if any(word in part for word in FACES):
        found.append("a face can be rebuilt from a scan of the head; it is not removed")
    return found


def looks_written(array: NDArray[Any]) -> list[int]:
    """Slices of a volume (z, y, x) that seem to have a line of text: six or more marks of one height on one line, all of the volume's
    largest or smallest value, which lie close together and fill their boxes only in part."""
    extremes = [value for value in (array.max(), array.min()) if array.size and array.max() > array.min()]
    # A background is no writing: marks are few.
    return [
        k
        for k, plane in enumerate(array)
        if any(0 < (marks := plane == value).sum() < 0.2 * plane.size and _has_line(marks) for value in extremes)
    ]


def _has_line(marks: NDArray[np.bool_]) -> bool:
    labels, count = cc3d.connected_components(marks.astype(np.uint8), connectivity=8, return_N=True)
    if count < LETTERS:
        return False
    found = cc3d.statistics(labels)
    letters = []
    for box, size in zip(found["bounding_boxes"][1:], found["voxel_counts"][1:], strict=True):
        rows, columns = box[0].stop - box[0].start, box[1].stop - box[1].start
        if HEIGHT[0] <= rows <= HEIGHT[1] and columns <= 2 * rows and 0.12 <= size / (rows * columns) <= 0.9:
            letters.append((box[0].start, box[0].stop, box[1].start, box[1].stop))
    return any(_on_line(letters, first) >= LETTERS for first in letters)


def _on_line(letters: list[tuple[int, int, int, int]], first: tuple[int, int, int, int]) -> int:
    """How many marks follow `first` to the right, on its line, each no further than three heights from the one before."""
    top, bottom, _, right = first
    height = bottom - top
    count = 1
    for other in sorted(letters, key=lambda box: box[2]):
        if other[2] < right:
            continue
        alike = abs(other[1] - bottom) <= max(1, 0.15 * height) and abs((other[1] - other[0]) - height) <= max(
            1, 0.4 * height
        )
        if alike and other[2] - right <= 3 * height:
            count, right = count + 1, other[3]
    return count
