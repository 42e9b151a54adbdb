"""SynthRAD's trees, written here as they are distributed: tiny volumes by nibabel and SimpleITK, overviews by openpyxl."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
import pytest
import SimpleITK as sitk

from benchmark import dataset
from benchmark.errors import DataError
from benchmark.tasks import find
from tasks.mri_to_ct import data, overview, synthrad

TASK = find("mri_to_ct").task
SHAPE = (5, 6, 7)  # x, y, z as the files have it


def voxels(seed: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MR, CT, mask (x, y, z) of a made-up patient."""
    rng = np.random.default_rng(list(seed.encode()))
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    return rng.integers(0, 900, SHAPE).astype(np.int16), rng.integers(-1024, 2000, SHAPE).astype(np.int16), mask


def write_2023(folder: Path, *, ct: bool = True, affine: np.ndarray | None = None) -> None:
    folder.mkdir(parents=True)
    mr, hu, mask = voxels(folder.name)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
    affine[:3, 3] = 20, 30, -40
    for name, array in (("mr", mr.astype(np.float32)), ("ct", hu.astype(np.float32)), ("mask", mask)):
        if name != "ct" or ct:
            nib.save(nib.Nifti1Image(array, affine), folder / f"{name}.nii.gz")


def write_2025(folder: Path, *, ct: str | None = "ct") -> None:
    folder.mkdir(parents=True)
    mr, hu, mask = voxels(folder.name)
    for name, array in (("mr", mr), (ct, hu), ("mask", mask)):
        if name:
            picture = sitk.GetImageFromArray(array.transpose(2, 1, 0))
            picture.SetSpacing((1.0, 1.0, 3.0))
            picture.SetOrigin((-120.5, -101.0, 33.0))
            sitk.WriteImage(picture, str(folder / f"{name}.mha"), True)


def write_overview(path: Path, sheets: dict[str, tuple[list[str], list[list[object]]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, (head, rows) in sheets.items():
        sheet = book.create_sheet(title)
        for row in (head, *rows):
            sheet.append(row)
    book.save(path)


HEAD = ["ID", "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "PatientSex", "PatientAge"]


@pytest.fixture()
def tree_2023(tmp_path: Path) -> Path:
    """12 brains at A, 4 at B, 4 pelves at C, and two validation brains without CT."""
    root = tmp_path / "SynthRAD2023"
    for letter, site, n in (("B", "A", 12), ("B", "B", 4), ("P", "C", 4)):
        for i in range(n):
            write_2023(root / "Task1" / {"B": "brain", "P": "pelvis"}[letter] / f"1{letter}{site}{i + 1:03d}")
    for i in (90, 91):
        write_2023(root / "Task1" / "brain" / f"1BA0{i}", ct=False)
    mr = [
        ["1BA001", "SIEMENS", "Avanto", 1.5, "F", "039Y"],
        ["1BA002", "Siemens Healthineers", "Skyra", "3", "M", "040Y"],
        ["1BA003", "Philips Medical Systems", "Ingenia", "3.0", "-", "065Y"],
        ["1BA004", "-", "-", "empty", "empty", "-"],
        ["1BA005", "GE MEDICAL SYSTEMS", "SIGNA", "15000", "O", "007M"],
        ["1BA006", "Philips", None, None, None, None],
    ]
    ct = [["1BA003", "Philips", "Brilliance", "-", "F", "065Y"], ["1BA007", "Philips", "Brilliance", "-", "M", "073Y"]]
    write_overview(root / "Task1/brain/overview/1_brain_train.xlsx", {"CT": (HEAD, ct), "MR": (HEAD, mr)})
    write_overview(
        root / "Task1/pelvis/overview/1_pelvis_train.xlsx", {"MR": (HEAD, [["1PC001", "X", "Y", 3, "M", "70Y"]])}
    )
    return root


@pytest.fixture()
def tree_2025(tmp_path: Path) -> Path:
    """Two archives, unpacked side by side: centres A to C, and D in one of its own."""
    root = tmp_path / "synthrad2025"
    for region in ("HN", "TH", "AB"):
        for i in range(4):
            write_2025(root / "Task1_Train/Task1" / region / f"1{region}A{i + 1:03d}")
    write_2025(root / "Task1_Train/Task1/HN/1HNB001", ct="ct_def")
    for i in range(5):
        write_2025(root / "Task1_Train_D/Task1/HN" / f"1HND{i + 1:03d}")
    rows = [["1HNA001", "ViewRay", "MRIdian", 0.35, "F", "071Y"], ["1HND005", "Siemens", "Sola", 1.494, "M", "55"]]
    write_overview(root / "Task1_Train/Task1/HN/overviews/1_HN_train_parameters.xlsx", {"MR": (HEAD, rows)})
    return root


def attributes(plan: dataset.Plan) -> dict[str, dict[str, str]]:
    return {p.case.id: p.case.attributes for p in plan.cases}


@pytest.mark.parametrize("below", ["", "Task1", ".."])
def test_2023_from_the_root_from_task1_and_from_above(tree_2023: Path, below: str) -> None:
    plan = data.IMPORTERS["synthrad2023"](tree_2023 / below)
    assert len(plan.cases) == 20
    assert plan.info.edition == "synthrad2023" and plan.info.kind == "real" and plan.compress
    assert "2 without a CT were left out" in plan.info.description
    assert plan.info.licence == "CC BY-NC 4.0" and "Thummerer" in plan.info.citation
    rows = attributes(plan)
    want = {
        "1ba001": ("female", "<40", "1.5T", "Siemens"),
        "1ba002": ("male", "40-64", "3T", "Siemens"),
        "1ba003": ("female", "65+", "3T", "Philips"),  # sex stands in the CT sheet only
        "1ba004": ("unknown", "unknown", "unknown", "unknown"),
        "1ba005": ("unknown", "<40", "1.5T", "Ge"),
        "1ba006": ("unknown", "unknown", "unknown", "Philips"),
        "1ba007": ("male", "65+", "unknown", "Philips"),
        "1ba008": ("unknown", "unknown", "unknown", "unknown"),
    }
    for id, values in want.items():
        assert tuple(rows[id][k] for k in ("sex", "age_band", "scanner", "manufacturer")) == values, id
    assert rows["1pc001"]["region"] == "pelvis" and rows["1pc001"]["site"] == "C" and rows["1pc001"]["age"] == "70"
    assert rows["1bb001"]["region"] == "brain" and rows["1bb001"]["site"] == "B"


def test_2023_prepared_edition_holds_the_files_values(tree_2023: Path, tmp_path: Path) -> None:
    plan = data.IMPORTERS["synthrad2023"](tree_2023)
    edition = dataset.prepare(tmp_path / "data", TASK, plan, workers=1)
    mr, ct, mask = voxels("1BB002")
    found = edition.read_input(TASK.input("mri"), "1bb002")
    assert np.array_equal(found.array, mr.transpose(2, 1, 0))
    reference = edition.read_reference(TASK.reference("ct"), "1bb002")
    assert reference.array.dtype == np.int16 and np.array_equal(reference.array, ct.transpose(2, 1, 0))
    assert np.array_equal(edition.read_input(TASK.input("body"), "1bb002").array, mask.transpose(2, 1, 0))
    assert np.array_equal(edition.read_reference(TASK.reference("mask"), "1bb002").array, mask.transpose(2, 1, 0))
    # NIfTI's (20, 30, −40) in RAS is (−20, −30, −40) in LPS, where the x and y axes now run forwards.
    assert np.allclose(reference.origin, (-20, -30, -40))
    assert np.allclose(reference.direction, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert json.loads((edition.input_folder("1pc001") / "region.json").read_text()) == "pelvis"
    again = dataset.prepare(tmp_path / "again", TASK, data.IMPORTERS["synthrad2023"](tree_2023), workers=2)
    assert again.info == edition.info


def test_2025_regions_centres_and_a_ct_that_was_deformed(tree_2025: Path) -> None:
    plan = data.IMPORTERS["synthrad2025"](tree_2025)
    assert len(plan.cases) == 18
    rows = attributes(plan)
    assert {r["region"] for r in rows.values()} == {"Head and Neck", "Thorax", "Abdomen"}
    assert (rows["1hna001"]["scanner"], rows["1hna001"]["sex"], rows["1hna001"]["age_band"]) == (
        "0.35T",
        "female",
        "65+",
    )
    assert rows["1hnd005"]["scanner"] == "1.5T" and rows["1hnd005"]["site"] == "D"
    for id, region in (("1hnb001", "Head and Neck"), ("1aba002", "Abdomen")):
        files = next(p for p in plan.cases if p.case.id == id).make()
        mr, ct, _ = voxels(id.upper())
        assert files.inputs["region"] == region
        assert np.array_equal(files.references["ct"].array, ct.transpose(2, 1, 0))
        assert np.array_equal(files.inputs["mri"].array, mr.transpose(2, 1, 0))
        assert files.references["ct"].spacing == (3.0, 1.0, 1.0) and files.references["ct"].origin == (
            -120.5,
            -101.0,
            33.0,
        )
    only_d = data.IMPORTERS["synthrad2025"](tree_2025 / "Task1_Train_D")
    assert len(only_d.cases) == 5 and "No overview spreadsheet was found" in only_d.info.description


def test_planning_reads_no_image(tree_2023: Path) -> None:
    for path in tree_2023.rglob("*.nii.gz"):
        path.write_bytes(b"not an image")
    plan = data.IMPORTERS["synthrad2023"](tree_2023)
    assert len(plan.cases) == 20
    with pytest.raises(DataError, match=r"1BA001.*cannot be read") as error:
        pickle.loads(pickle.dumps(plan.cases[0].make))()
    assert error.value.code == "unreadable_volume"


def test_splits_are_stratified_stable_and_by_patient() -> None:
    def many(site: str, n: int, region: str = "brain") -> list[synthrad.Patient]:
        letter = region[0].upper()
        return [
            synthrad.Patient(f"1{letter}{site}{i:03d}", Path("nowhere"), region, site, "ct.nii.gz") for i in range(n)
        ]

    first = synthrad.assign(many("A", 60) + many("B", 40))
    for site, n in (("A", 60), ("B", 40)):
        mine = [split for id, split in first.items() if id[2] == site]
        counts = {s: mine.count(s) for s in ("test", "val", "canary", "train")}
        assert counts == {"test": n // 4, "val": n // 10, "canary": 1, "train": n - n // 4 - n // 10 - 1}
    later = synthrad.assign(many("C", 30) + many("B", 40)[::-1] + many("A", 60) + many("A", 9, "pelvis"))
    assert all(later[id] == split for id, split in first.items())
    assert list(first.values()) != sorted(first.values())  # not in the order of the numbers
    # Centres of two patients each still give a test case together.
    small = synthrad.assign(many("A", 2) + many("B", 2) + many("C", 2))
    assert sorted(small.values()).count("test") == 2


def broken(tree: Path, release: str) -> DataError:
    with pytest.raises(DataError) as error:
        plan = data.IMPORTERS[release](tree)
        for p in plan.cases:
            p.make()
    return error.value


def test_wrong_trees_say_what_they_are(tree_2023: Path, tree_2025: Path, tmp_path: Path) -> None:
    swapped = broken(tree_2025, "synthrad2023")
    assert swapped.code == "import_layout" and "radbench import synthrad2025" in swapped.sentence
    assert "radbench import synthrad2023" in broken(tree_2023, "synthrad2025").sentence

    cbct = tmp_path / "second"
    (cbct / "Task2/brain/2BA001").mkdir(parents=True)
    (cbct / "Task2/brain/2BA001/cbct.nii.gz").touch()
    for path in (cbct, cbct / "Task2"):
        error = broken(path, "synthrad2023")
        assert error.code == "import_layout" and "task 2" in error.found and "Task1/{brain,pelvis}" in error.expected

    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "readme.txt").touch()
    error = broken(loose, "synthrad2023")
    assert error.code == "import_layout" and "readme.txt" in error.found
    assert broken(tmp_path / "absent", "synthrad2025").code == "import_layout"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds nothing" in broken(empty, "synthrad2025").found


def test_task1_is_imported_where_task2_lies_beside_it(tree_2023: Path) -> None:
    (tree_2023 / "Task2/brain/2BA001").mkdir(parents=True)
    (tree_2023 / "Task2/brain/2BA001/cbct.nii.gz").touch()
    assert len(data.IMPORTERS["synthrad2023"](tree_2023).cases) == 20


def test_no_ct_at_all_a_missing_file_and_a_patient_twice(tree_2023: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    write_2023(hidden / "Task1/brain/1BA050", ct=False)
    error = broken(hidden, "synthrad2023")
    assert "none of the 1 patients" in error.found

    (tree_2023 / "Task1/brain/1BA003/mask.nii.gz").unlink()
    error = broken(tree_2023, "synthrad2023")
    assert error.code == "import_layout" and "1BA003 has no mask.nii.gz" in error.found

    twice = tmp_path / "twice"
    for name in ("one", "two"):
        write_2023(twice / name / "Task1/brain/1BA001")
    assert "1BA001 is there twice" in broken(twice, "synthrad2023").found


def test_grids_that_differ_an_empty_mask_and_a_broken_ct_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "Task1/brain/1BA001"
    write_2023(folder)
    mr, ct, mask = voxels("1BA001")
    good = nib.load(folder / "ct.nii.gz").affine

    shifted = good.copy()
    shifted[2, 3] += 2
    nib.save(nib.Nifti1Image(mr, shifted), folder / "mr.nii.gz")
    error = broken(tmp_path, "synthrad2023")
    assert error.code == "reference_invalid" and "mr.nii.gz" in error.found and "origin" in error.found

    nib.save(nib.Nifti1Image(mr, good), folder / "mr.nii.gz")
    nib.save(nib.Nifti1Image(mask[:, :, :-1], good), folder / "mask.nii.gz")
    error = broken(tmp_path, "synthrad2023")
    assert error.code == "reference_invalid" and "mask.nii.gz" in error.found

    nib.save(nib.Nifti1Image(mask * 0, good), folder / "mask.nii.gz")
    assert "is empty" in broken(tmp_path, "synthrad2023").found

    nib.save(nib.Nifti1Image(mask, good), folder / "mask.nii.gz")
    holes = ct.astype(np.float32)
    holes[0, 0, 0] = np.nan  # outside the mask: allowed
    nib.save(nib.Nifti1Image(holes, good), folder / "ct.nii.gz")
    files = data.IMPORTERS["synthrad2023"](tmp_path).cases[0].make()
    assert files.references["ct"].array.dtype == np.float32
    holes[2, 2, 2] = np.inf
    nib.save(nib.Nifti1Image(holes, good), folder / "ct.nii.gz")
    assert "not finite" in broken(tmp_path, "synthrad2023").found


def test_fractions_of_hounsfield_units_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "Task1/pelvis/1PA001"
    write_2023(folder)
    _, ct, _ = voxels("1PA001")
    good = nib.load(folder / "ct.nii.gz").affine
    nib.save(nib.Nifti1Image(ct + np.float32(0.25), good), folder / "ct.nii.gz")
    files = data.IMPORTERS["synthrad2023"](tmp_path).cases[0].make()
    assert np.array_equal(files.references["ct"].array, (ct + np.float32(0.25)).transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("text", "years"),
    [("073Y", 73), ("18M", 1.5), ("52W", 52 * 7 / 365.25), ("64", 64), ("064y", 64), ("", None), ("old", None)],
)
def test_ages(text: str, years: float | None) -> None:
    assert overview.age({"patientage": text}) == (None if years is None else pytest.approx(years))


@pytest.mark.parametrize(
    ("text", "label"),
    [("1.5", "1.5T"), ("1.494", "1.5T"), ("3", "3T"), ("30000", "3T"), ("0.345", "0.35T"), ("7.0", "7T"), ("1,5", "1.5T"),
     ("", "unknown"), ("high", "unknown"), ("-3", "unknown")],
)  # fmt: skip
def test_field_strengths(text: str, label: str) -> None:
    assert overview.field_strength({"magneticfieldstrength": text}) == label


def test_an_overview_that_is_no_spreadsheet(tree_2023: Path) -> None:
    book = tree_2023 / "Task1/brain/overview/1_brain_train.xlsx"
    book.write_bytes(b"PK no")
    error = broken(tree_2023, "synthrad2023")
    assert error.code == "import_layout" and "1_brain_train.xlsx" in error.found
    write_overview(book, {"MR": (["Patient", "Sex"], [["1BA001", "F"]])})
    assert "no sheet" in broken(tree_2023, "synthrad2023").found
