"""The importer of the Mayo Clinic's low-dose CT data, on small series in both of its layouts."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmark import dataset, image, tasks
from benchmark.errors import DataError
from benchmark.image import Volume
from tasks.denoising import data, ldct

TASK = tasks.find("denoising").task


def series(folder: Path, *, slices: int = 20, noise: float = 0.0, suffix: str = ".dcm", height: float = 0.0) -> None:
    """A DICOM series: a ball of flesh with the number of the slice in it."""
    y, x = np.mgrid[:40, :40]
    hu = np.full((slices, 40, 40), -1024.0)
    hu[:, np.hypot(x - 20, y - 20) < 15] = 40
    hu += np.arange(slices)[:, np.newaxis, np.newaxis]
    hu += noise * np.random.default_rng(0).standard_normal(hu.shape)
    written = folder.parent / "written"
    image.write(written, Volume(hu.round().astype(np.int16), (3.0, 0.75, 0.75), (-10.0, -20.0, height)))
    written.rename(folder)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"1-{number:03d}{suffix}")


def tcia(root: Path, patients: list[str]) -> Path:
    for patient in patients:
        study = root / "LDCT-and-Projection-data" / patient / "08-21-2018-84608"
        series(study / "1.000000-Full Dose Images-59704")
        series(study / "1.000000-Low Dose Images-39882", noise=30)
        (study / "1.000000-Full dose projections-24362").mkdir()
    return root


def test_tcia_layout(tmp_path: Path) -> None:
    root = tcia(tmp_path / "manifest", ["C002", "L004", "N005"])
    ge = root / "LDCT-and-Projection-data" / "C009" / "study" / "1.000000-Full Dose Images-1"
    series(ge)  # projections alone at low dose
    plan = data.IMPORTERS["ldct"](root)
    assert plan.info.edition == "ldct"
    assert plan.info.kind == "real"
    assert plan.info.parameters["left_out"] == ["C009"]
    attributes = {
        p.case.attributes["scan"]: (p.case.attributes["anatomy"], p.case.attributes["dose"]) for p in plan.cases
    }
    assert attributes == {"C002": ("chest", "10%"), "L004": ("abdomen", "25%"), "N005": ("head", "25%")}
    edition = dataset.prepare(tmp_path / "data", TASK, plan, workers=1)
    assert len(edition.cases) == 6  # two slabs of 8 out of 20 slices, each
    case = next(c for c in edition.cases if c.id == "c002-z0012")
    low = edition.read_input(TASK.inputs[0], case.id)
    full = edition.read_reference(TASK.reference("full-dose-ct"), case.id)
    mask = edition.read_reference(TASK.reference("mask"), case.id)
    assert full.array[:, 20, 20].tolist() == list(range(52, 60))
    assert low.array.dtype == np.int16
    assert 20 < (low.array.astype(float) - full.array)[mask.array > 0].std() < 40
    assert low.spacing == pytest.approx((3.0, 0.75, 0.75))
    assert low.origin == pytest.approx((-10, -20, 36))
    assert mask.array[0, 20, 20] == 1
    assert mask.array[0, 0, 0] == 0


def test_grand_challenge_layout(tmp_path: Path) -> None:
    for patient in ("L067", "L506"):
        for thickness in ("1mm", "3mm"):
            slices = 9 if thickness == "3mm" else 24
            series(tmp_path / patient / f"full_{thickness}", slices=slices, suffix=".IMA")
            series(tmp_path / patient / f"quarter_{thickness}", slices=slices, noise=20, suffix=".IMA")
    plan = data.IMPORTERS["ldct"](tmp_path)
    assert plan.info.parameters["patients"] == {"L067": 9, "L506": 9}  # the 3 mm series
    assert {p.case.attributes["dose"] for p in plan.cases} == {"25%"}
    one = plan.cases[0].make()
    two = pickle.loads(pickle.dumps(plan.cases[0])).make()
    np.testing.assert_array_equal(one.inputs["low-dose-ct"].array, two.inputs["low-dose-ct"].array)  # type: ignore[union-attr]


def test_splits_are_by_patient_and_stable() -> None:
    pairs = [ldct.Pair(f"{letter}{n:03d}", Path(), Path(), 100) for letter in "CLN" for n in range(20)]
    splits = {pair.patient: split for split, pair in ldct._splits(pairs)}
    assert Counter(splits.values()) == {"train": 33, "val": 6, "canary": 3, "test": 18}
    assert splits == {pair.patient: split for split, pair in ldct._splits(pairs[::-1])}
    for letter in "CLN":
        assert {split for patient, split in splits.items() if patient[0] == letter} == {
            "train",
            "val",
            "canary",
            "test",
        }
    alone = [split for split, _ in ldct._splits(pairs[:2])]
    assert alone == ["train", "test"]


def test_slabs_do_not_overlap() -> None:
    for slices in (8, 9, 20, 75, 80, 81, 300, 560):
        starts = ldct._starts(slices)
        assert starts
        assert starts[-1] + ldct.SLAB <= slices
        assert all(b - a >= ldct.SLAB for a, b in itertools.pairwise(starts))


def test_what_is_not_that_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        data.IMPORTERS["ldct"](tmp_path / "nowhere")
    with pytest.raises(DataError, match="no folder named as a patient"):
        data.IMPORTERS["ldct"](tmp_path)
    series(tmp_path / "C001" / "study" / "1.000000-Full Dose Images-1")
    with pytest.raises(DataError, match="none with both series"):
        data.IMPORTERS["ldct"](tmp_path)
    series(tmp_path / "C001" / "study" / "1.000000-Low Dose Images-2", slices=19)
    with pytest.raises(DataError, match="20 slices at full dose and 19 at low dose"):
        data.IMPORTERS["ldct"](tmp_path)


def test_series_on_different_grids_are_refused(tmp_path: Path) -> None:
    series(tmp_path / "C001" / "study" / "1.000000-Full Dose Images-1")
    series(tmp_path / "C001" / "study" / "1.000000-Low Dose Images-2", height=5.0)
    plan = data.IMPORTERS["ldct"](tmp_path)
    with pytest.raises(DataError, match="both series on one grid"):
        plan.cases[0].make()
