"""Hints: marks in other coordinates, labels that nobody counts, probabilities where labels belong."""

from pathlib import Path

import numpy as np
import pytest

from benchmark import hints, image, tasks, validation
from benchmark.contract import Task
from benchmark.errors import SubmissionError
from benchmark.image import Volume
from benchmark.points import empty_points

IMAGE = Volume(np.zeros((30, 40, 50), np.int16), (2.5, 1.6, 1.4), (-100.0, -60.0, -35.0))

CENTRES = [(12, 30, 7), (20, 8, 41)]
"""Voxels (z, y, x) of two lesions."""


def document(points: list[list[float]], **more: float) -> dict:
    return {**empty_points(), "points": [{"point": point, **more} for point in points]}


REFERENCE = document([IMAGE.point(voxel).tolist() for voxel in CENTRES], diameter=6.0)


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda p, v: [-p[0], -p[1], p[2]], "RAS"),
        (lambda p, v: p[::-1], "in the order z, y, x"),
        (lambda p, v: [float(i) for i in v[::-1]], "voxels (x, y, z)"),
        (lambda p, v: [float(i) for i in v], "voxels (z, y, x)"),
    ],
)
def test_marks_in_other_coordinates_are_recognised(turn, words: str) -> None:  # type: ignore[no-untyped-def]
    marks = document(
        [turn(IMAGE.point(voxel).tolist(), voxel) for voxel in CENTRES] + [[300.0, 300.0, 300.0]], probability=0.9
    )
    said = hints.points_hint(REFERENCE, marks, lambda: IMAGE)
    assert words in said
    assert "2 of 2" in said


def test_nothing_is_said_of_marks_that_hit_or_of_none() -> None:
    good = document([IMAGE.point(CENTRES[0]).tolist()], probability=0.5)
    assert hints.points_hint(REFERENCE, good, lambda: IMAGE) == ""
    assert hints.points_hint(REFERENCE, document([]), lambda: IMAGE) == ""
    assert hints.points_hint(empty_points(), good, lambda: IMAGE) == ""
    assert hints.points_hint(REFERENCE, document([[900.0, 800.0, 700.0]], probability=1.0), lambda: IMAGE) == ""


@pytest.fixture
def segmentation() -> Task:
    return tasks.find("segmentation").task


def test_labels_that_no_metric_counts_are_named(segmentation: Task) -> None:
    labels = np.array([[[0, 1, 2, 4]]], np.uint8)
    assert hints.label_hint(segmentation, labels) == (
        "label 4 occurs, which no metric counts; this task's labels are 0, 1, 2, 3"
    )
    assert hints.label_hint(segmentation, np.minimum(labels, 3)) == ""
    assert hints.label_hint(tasks.find("mri_to_ct").task, labels) == ""


def test_probabilities_are_no_labels(segmentation: Task, tmp_path: Path) -> None:
    socket = segmentation.outputs[0]
    for array, ok in (
        (np.array([[[0.0, 3.0, 1.0]]], np.float32), True),
        (np.array([[[0.0, 2 / 3]]], np.float32), False),
    ):
        image.write(tmp_path / "c.mha", Volume(array))
        if ok:
            assert validation.read_prediction(tmp_path / "c.mha", segmentation, socket, None).array.max() == 3
            continue
        with pytest.raises(SubmissionError, match="whole numbers") as caught:
            validation.read_prediction(tmp_path / "c.mha", segmentation, socket, None)
        assert caught.value.code == "not_labels"
