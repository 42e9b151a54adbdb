"""Text in pixels is found, at several sizes and polarities; images without text are left alone."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from benchmark import tasks
from benchmark.dicom import burned_in


def scan(seed: int = 0, shape: tuple[int, int] = (256, 256)) -> NDArray[np.int16]:
    """A noisy disc in air with a clipped bright rim, as bone is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    r = np.hypot(y - shape[0] / 2, x - shape[1] / 2)
    values = np.where(r < 100, 300, -1000) + rng.normal(0, 30, shape)
    values[(r > 96) & (r < 100)] = 3000
    return np.clip(values, -1000, 1500).astype(np.int16)


def with_text(plane: NDArray[np.int16], text: str, size: int, value: int) -> NDArray[np.int16]:
    canvas = Image.new("1", plane.shape[::-1])
    ImageDraw.Draw(canvas).text((6, 6), text, fill=1, font=ImageFont.load_default(size))
    out = plane.copy()
    out[np.asarray(canvas)] = value
    return out


@pytest.mark.parametrize("size", [10, 14, 24])
@pytest.mark.parametrize("value", [4095, -2000])
def test_a_line_of_text_is_found(size: int, value: int) -> None:
    volume = np.stack([scan(0), with_text(scan(1), "WANDERSCHMIDT 1947", size, value), scan(2)])
    assert burned_in.looks_written(volume) == [1]


def test_images_without_text_are_left_alone() -> None:
    assert burned_in.looks_written(np.stack([scan(k) for k in range(8)])) == []
    rng = np.random.default_rng(3)
    assert burned_in.looks_written(rng.integers(0, 256, (4, 128, 128))) == []
    assert burned_in.looks_written(np.zeros((2, 32, 32))) == []


@pytest.mark.parametrize("name", ["mri_to_ct", "denoising", "segmentation"])
def test_phantoms_are_left_alone(name: str) -> None:
    folder = tasks.find(name)
    case = next(p for p in folder.maker("phantom")().cases if p.case.split == "test").make()
    images = [s.slug for s in (*folder.task.inputs, *folder.task.references) if s.kind == "image"]
    for slug, content in (*case.inputs.items(), *case.references.items()):
        if slug in images:
            assert burned_in.looks_written(content.array) == [], slug


def test_what_headers_say() -> None:
    header = Dataset()
    header.Modality = "US"
    assert "ultrasound" in burned_in.said(header)[0]
    header.BurnedInAnnotation = "NO"
    assert burned_in.said(header) == []
    header.BurnedInAnnotation = "YES"
    assert "BurnedInAnnotation YES" in burned_in.said(header)[0]
    header = Dataset()
    header.SOPClassUID, header.Modality = "1.2.840.10008.5.1.4.1.1.7.2", "CT"
    assert "secondary capture" in burned_in.said(header)[0]
    header = Dataset()
    header.Modality, header.BodyPartExamined = "MR", "BRAIN"
    assert "face" in burned_in.said(header)[0]
    assert "face" in burned_in.said(Dataset(), "head")[0] and burned_in.said(Dataset(), "chest") == []
