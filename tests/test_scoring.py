"""Loose predictions of every broken kind take the declared worst value with a reason, and never raise."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import image, scoring, store, validation
from benchmark.dataset import Edition
from benchmark.image import AXIAL, Volume
from benchmark.metrics import find
from benchmark.tasks import TaskFolder


def truth(edition: Edition, toy: TaskFolder, case: str) -> Volume:
    volume = edition.read_reference(toy.task.reference("truth"), case)
    assert isinstance(volume, Volume)
    return volume


@pytest.fixture
def predictions(toy: TaskFolder, toy_edition: Edition, tmp_path: Path) -> Path:
    """Predictions that are off by exactly 10 HU everywhere."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    for case in toy_edition.split("test"):
        g = truth(toy_edition, toy, case.id)
        image.write(folder / f"{case.id}.mha", g.like(g.array + np.int16(10)))
    return folder


def score(toy: TaskFolder, edition: Edition, folder: Path) -> scoring.Scored:
    return scoring.score_loose(toy.task, edition, folder)


def test_values_by_hand(toy: TaskFolder, toy_edition: Edition, predictions: Path) -> None:
    scored = score(toy, toy_edition, predictions)
    assert len(scored.scores) == 5 * 2
    mae = [s for s in scored.scores if s.metric == "mae"]
    assert [s.value for s in mae] == [10.0] * 5
    assert {s.unit for s in mae} == {"HU"}
    psnr = next(s for s in scored.scores if s.metric == "psnr")
    assert psnr.value == pytest.approx(10 * np.log10(4024**2 / 100), rel=1e-12)
    assert [a.value for a in scored.aggregates] == [10.0, pytest.approx(psnr.value)]
    assert scored.aggregates[0].n == 5 and scored.aggregates[0].n_worst == 0


def test_nifti_and_output_trees_score_alike(toy: TaskFolder, toy_edition: Edition, predictions: Path) -> None:
    one, two = predictions / "c5.mha", predictions / "c6.mha"
    image.write(predictions / "c5.nii.gz", image.read(one))
    one.unlink()
    (predictions / "c6" / "images" / "clean").mkdir(parents=True)
    two.rename(predictions / "c6" / "images" / "clean" / "anything.mha")
    assert next(a.value for a in score(toy, toy_edition, predictions).aggregates) == 10.0


Change = Callable[[Path, Volume], None]


def _write(path: Path, volume: Volume) -> None:
    image.write(path, volume)


def _wrong_shape(path: Path, g: Volume) -> None:
    _write(path, Volume(g.array[:, :-1], g.spacing, g.origin))


def _flipped(path: Path, g: Volume) -> None:
    direction = AXIAL.copy()
    direction[:, 2] *= -1
    x, y, z = g.origin
    _write(path, Volume(g.array[:, :, ::-1], g.spacing, (x + g.spacing[2] * (g.array.shape[2] - 1), y, z), direction))


def _moved(path: Path, g: Volume) -> None:
    _write(path, Volume(g.array, g.spacing, (g.origin[0] + 1, *g.origin[1:])))


def _nan_inside(path: Path, g: Volume) -> None:
    array = g.array.astype(np.float32)
    array[3, 3, 3] = np.nan
    _write(path, g.like(array))


def _infinite_inside(path: Path, g: Volume) -> None:
    array = g.array.astype(np.float32)
    array[3, 3, 3] = np.inf
    _write(path, g.like(array))


def _truncated(path: Path, g: Volume) -> None:
    _write(path, g)
    path.write_bytes(path.read_bytes()[:-40])


def _empty_file(path: Path, g: Volume) -> None:
    path.write_bytes(b"")


def _text(path: Path, g: Volume) -> None:
    path.write_text("this is not an image")


def _missing(path: Path, g: Volume) -> None:
    path.unlink()


def _two_files(path: Path, g: Volume) -> None:
    image.write(path.with_name(path.name.replace(".mha", ".nii.gz")), g)


def _link(path: Path, g: Volume) -> None:
    other = path.with_name(".elsewhere")
    path.rename(other)
    path.symlink_to(other)


def _pipe(path: Path, g: Volume) -> None:
    path.unlink()
    os.mkfifo(path)


def _too_large(path: Path, g: Volume) -> None:
    with path.open("ab") as handle:
        handle.truncate(5 * 2**20)  # the toy task allows 4 MiB


def _lying_header(path: Path, g: Volume) -> None:
    _write(path, g)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 10 8 6", b"DimSize = 99999 99999 99999"))


BROKEN: dict[str, tuple[Change, str, list[str]]] = {
    "wrong shape": (_wrong_shape, "geometry", ["y has 7 voxels where 8 were expected"]),
    "flipped axis": (_flipped, "geometry", ["flipped along x", "grid of the input"]),
    "moved origin": (_moved, "geometry", ["origin", "11 mm where 10 mm"]),
    "NaN inside the mask": (_nan_inside, "non_finite", ["1"]),
    "infinity inside the mask": (_infinite_inside, "non_finite", ["1"]),
    "truncated file": (_truncated, "unreadable", ["c7.mha"]),
    "empty file": (_empty_file, "unreadable", ["c7.mha"]),
    "text": (_text, "unreadable", ["c7.mha"]),
    "missing": (_missing, "missing", ["c7.mha"]),
    "two files": (_two_files, "extra_output", ["2 predictions"]),
    "link": (_link, "unreadable", ["a link"]),
    "pipe": (_pipe, "unreadable", ["a device or pipe"]),
    "too large": (_too_large, "output_too_large", ["5 MiB", "at most 4 MiB"]),
    "lying header": (_lying_header, "unreadable", ["c7.mha"]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_prediction_takes_the_worst_value_and_a_reason(
    toy: TaskFolder, toy_edition: Edition, predictions: Path, kind: str
) -> None:
    change, code, words = BROKEN[kind]
    change(predictions / "c7.mha", truth(toy_edition, toy, "c7"))
    scored = score(toy, toy_edition, predictions)
    for metric in ("mae", "psnr"):
        row = next(s for s in scored.scores if (s.case, s.metric) == ("c7", metric))
        assert row.value == find(metric).worst_value()
        assert row.status == ("missing" if code == "missing" else "invalid")
        assert row.reason.startswith(f"{code}: "), row.reason
        for word in words:
            assert word in row.reason, row.reason
    aggregate = scored.aggregates[0]
    assert (aggregate.n, aggregate.n_worst) == (5, 1)
    assert aggregate.value == pytest.approx((4 * 10 + find("mae").worst_value()) / 5)


def test_nan_outside_the_mask_is_nobodys_business(toy: TaskFolder, toy_edition: Edition, predictions: Path) -> None:
    g = truth(toy_edition, toy, "c7")
    array = g.array.astype(np.float32) + 10
    array[0, 0, 0] = np.nan
    image.write(predictions / "c7.mha", g.like(array))
    assert score(toy, toy_edition, predictions).aggregates[0].value == pytest.approx(10.0)


def test_an_extra_case_is_listed_with_a_reason_and_changes_no_mean(
    toy: TaskFolder, toy_edition: Edition, predictions: Path
) -> None:
    before = score(toy, toy_edition, predictions).aggregates
    image.write(predictions / "zz9.mha", truth(toy_edition, toy, "c7"))
    scored = score(toy, toy_edition, predictions)
    assert scored.aggregates == before
    row = next(s for s in scored.scores if s.case == "zz9" and s.metric == "mae")
    assert row.value == find("mae").worst_value()
    assert row.reason.startswith("unknown_case: ") and "zz9" in row.reason
    assert list(scored.ignored) == ["zz9"]


def test_mirrored_content_on_the_right_grid_gets_a_hint(
    toy: TaskFolder, toy_edition: Edition, predictions: Path
) -> None:
    g = truth(toy_edition, toy, "c7")
    image.write(predictions / "c7.mha", g.like(np.ascontiguousarray(g.array[:, :, ::-1])))
    scored = score(toy, toy_edition, predictions)
    assert "flipping it along x" in scored.hints["c7"]


def test_the_table_survives_the_way_to_disk_and_back(toy: TaskFolder, toy_edition: Edition, predictions: Path) -> None:
    _truncated(predictions / "c7.mha", truth(toy_edition, toy, "c7"))
    scores = score(toy, toy_edition, predictions).scores
    assert store.scores_from_csv(store.scores_to_csv(scores)) == scores


def test_points_are_checked() -> None:
    good = {"type": "Multiple points", "points": [{"point": [1, 2, 3.5], "probability": 0.5}]}
    validation.check_points(good, "x.json")
    for bad in (
        [],
        {"type": "Points", "points": []},
        {"type": "Multiple points", "points": [{"point": [1, 2], "probability": 0.5}]},
        {"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": 1.5}]},
        {"type": "Multiple points", "points": [{"point": [1, 2, True], "probability": 0.5}]},
        {"type": "Multiple points", "points": ["x"]},
    ):
        with pytest.raises(validation.SubmissionError, match=r"x\.json"):
            validation.check_points(bad, "x.json")


def test_reference_cache_stays_within_its_bound(toy: TaskFolder, toy_edition: Edition) -> None:
    cache = scoring.ReferenceCache(max_bytes=2500)  # one toy case holds 960 + 480 bytes
    for case in toy_edition.cases:
        cache.get(toy.task, toy_edition, case)
        assert len(cache._entries) <= 2
    first = cache.get(toy.task, toy_edition, toy_edition.cases[-1])
    assert cache.get(toy.task, toy_edition, toy_edition.cases[-1]) is first
