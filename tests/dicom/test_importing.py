"""`radbench import dicom` from outside: what it makes of a hospital's tree, what it refuses, and that nobody is named in what it made."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest

from benchmark import dataset, image, tasks
from benchmark.dataset import Edition
from benchmark.dicom import importing
from benchmark.image import Volume
from tests.command import RADBENCH
from tests.dicom.hospital import ROOT, SECRETS, volume, write_series, write_tree

SERIES = (
    "--series",
    "mri=MR:*t1*",
    "--series",
    "ct=CT",
    "--series",
    "body=outline:mri",
    "--series",
    "mask=outline:mri",
)
LIKE = '[series.ct]\nmodality = "CT"\nlike = "mri"\n[series.mri]\nmodality = "MR"\ndescription = "*T1*"\n'
OUTLINES = '[series.body]\noutline = "mri"\n[series.mask]\noutline = "mri"\n[values]\nregion = "brain"\n[attributes]\nsite = "A"\n'


def radbench(work: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RADBENCH, *map(str, arguments), "--work", str(work)],
        capture_output=True,
        text=True,
        timeout=200,
        env=dict(os.environ),
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def imported(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The work folder after an import of everything, and what was printed."""
    work = tmp_path_factory.mktemp("work")
    (work / "map.toml").write_text('edition = "ward"\n' + LIKE + OUTLINES)
    done = radbench(
        work, "import", "dicom", tree, "--task", "mri_to_ct", "--map", work / "map.toml", "--deidentify", "--workers", 1
    )
    assert done.returncode == 0, done.stderr
    return work, done


@pytest.fixture(scope="module")
def edition(imported: tuple[Path, object]) -> Edition:
    return dataset.load(imported[0] / "data", tasks.load_task("mri_to_ct"), "ward", check=True)


def test_files_that_carry_identity_are_refused_with_names_of_attributes_and_no_values(
    tree: Path, tmp_path: Path
) -> None:
    done = radbench(tmp_path, "import", "dicom", tree, "--task", "mri_to_ct", *SERIES, "--value", "region=brain")
    assert done.returncode == 5 and "[identity]" in done.stderr
    assert "--deidentify" in done.stderr and "(66)" in done.stderr  # every one of 2 · (18 + 15) files
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("dataset.json"))
    assert [secret for secret in SECRETS if secret in done.stderr.replace(str(tree), "")] == []


def test_the_edition_has_a_case_a_patient_with_groups_and_pseudonyms(edition: Edition) -> None:
    assert len(edition.cases) == 2 and {case.split for case in edition.cases} == {"test"}
    rows = sorted((case.attributes for case in edition.cases), key=lambda row: row["sex"])
    assert [
        (row["sex"], row["age_band"], row["manufacturer"], row["field_strength"], row["scanner"], row["site"])
        for row in rows
    ] == [
        ("female", "65+", "Siemens", "1.5T", "1.5T", "A"),
        ("male", "65+", "Siemens", "1.5T", "1.5T", "A"),
    ]  # born 1947, scanned 2024, 1.494 tesla
    assert len({row["patient"] for row in rows}) == 2
    assert all(case.id.startswith("case-") and len(case.id) == 21 for case in edition.cases)


def everything_below(root: Path) -> bytes:
    """All bytes of all files, compressed streams unpacked too, and all names."""
    found = b""
    for path in sorted(root.rglob("*")):
        found += str(path.relative_to(root)).encode() + b"\n"
        if path.is_file():
            content = path.read_bytes()
            found += content
            if path.suffix == ".mha":
                head, _, body = content.partition(b"ElementDataFile = LOCAL\n")
                assert b"CompressedData = True" in head
                found += zlib.decompress(body)
            elif path.suffix == ".gz":
                found += gzip.decompress(content)
    return found


def test_no_original_string_is_in_any_byte_of_what_was_made(
    imported: tuple[Path, subprocess.CompletedProcess[str]], tree: Path
) -> None:
    work, done = imported
    assert all(secret.encode() in everything_below(tree) for secret in SECRETS)  # else the test could not fail
    made = (
        everything_below(work / "data")
        + everything_below(work / "deidentification")
        + (done.stdout + done.stderr).encode()
    )
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        assert [secret for secret in (*SECRETS, ROOT) if secret.encode(encoding) in made] == []
    assert str(tree).encode() not in made


def test_the_report_counts_by_attribute(imported: tuple[Path, object]) -> None:
    folder = imported[0] / "deidentification" / "mri_to_ct" / "ward"
    report = json.loads((folder / "report.json").read_text())
    changes = {(c["attribute"], c["action"]): c["files"] for c in report["changes"]}
    assert changes["PatientName", "removed"] == 66 and changes["StudyInstanceUID", "replaced"] == 66
    assert changes["DerivationImageSequence.DerivationCodeSequence.InstitutionName", "replaced"] == 66
    assert (report["files"], report["series"], report["cases"], report["deidentified"]) == (66, 4, 2, True)
    assert report["left_out"]["series that no socket asks for"] == 1
    assert (
        report["left_out"]["DICOM objects without pixels"] == 1 and report["left_out"]["files that are not DICOM"] == 1
    )
    assert any("face" in warning for warning in report["warnings"])
    text = (folder / "report.txt").read_text()
    assert "PatientName" in text and "66 files" in text


def test_volumes_are_those_of_the_files_and_the_ct_lies_on_the_grid_of_the_mr(edition: Edition) -> None:
    task = tasks.load_task("mri_to_ct")
    for case in edition.cases:
        mr, ct = edition.read_input(task.input("mri"), case.id), edition.read_reference(task.reference("ct"), case.id)
        mask = edition.read_reference(task.reference("mask"), case.id).array
        assert mr.array.shape == ct.array.shape == mask.shape == (18, 40, 40)
        assert mr.spacing == ct.spacing == (4.0, 2.0, 2.0)
        # Inside the ball both are linear in x with one slope, each about its own middle: 39 mm and 41.25 mm.
        inside = np.zeros(mr.array.shape, bool)
        inside[7:11, 15:26, 15:26] = True
        columns = np.broadcast_to(np.arange(40) * 2.0, mr.array.shape)
        assert np.array_equal(mr.array[inside], (400 + 2 * columns)[inside])
        assert np.abs(ct.array[inside] - (400 + 2 * columns)[inside]).max() <= 1
        radius = (3 * mask.sum() * 16 / (4 * np.pi)) ** (1 / 3)
        assert abs(radius - 30) < 1.5  # the outline is the ball


def test_a_second_import_changes_nothing_and_another_key_gives_other_names(
    imported: tuple[Path, object], tree: Path, edition: Edition, tmp_path: Path
) -> None:
    work = imported[0]
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in edition.root.rglob("*") if p.is_file()}
    command = (
        "import",
        "dicom",
        tree,
        "--task",
        "mri_to_ct",
        "--map",
        work / "map.toml",
        "--deidentify",
        "--workers",
        1,
    )
    assert radbench(work, *command).returncode == 0
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in edition.root.rglob("*") if p.is_file()} == before
    assert radbench(tmp_path, *command).returncode == 0
    other = (tmp_path / "data/mri_to_ct/ward/cases.csv").read_text()
    ids = {row["case"] for row in csv.DictReader(other.splitlines())}
    assert not ids & {case.id for case in edition.cases}
    key = work / "secrets" / "deidentification.key"
    assert key.stat().st_mode & 0o077 == 0


def test_clean_files_need_no_deidentification(tmp_path: Path) -> None:
    clean = write_tree(tmp_path / "clean", identity=False)
    options = ("--series", "low-dose-ct=CT", "--attribute", "dose=25%", "--edition", "plain")
    done = radbench(tmp_path, "import", "dicom", clean, "--task", "denoising", *options)
    assert done.returncode == 0, done.stderr
    assert "can be predicted, and not scored" in done.stderr
    rows = list(csv.DictReader((tmp_path / "data/denoising/plain/cases.csv").read_text().splitlines()))
    assert [row["dose"] for row in rows] == ["25%", "25%"] and {row["sex"] for row in rows} == {"unknown"}
    assert {row["scan"] for row in rows} == {row["patient"] for row in rows}  # the task's cluster
    # The files name no patient: that does not make one patient of all of them.
    assert len({row["patient"] for row in rows}) == 2


def test_no_broken_value_is_quoted(tmp_path: Path) -> None:
    """What pydicom says of a value that breaks the standard's rules has the value in it."""
    size = (2.0, 2.0, 2.0)
    with pydicom.config.disable_value_validation():
        broken = {"PatientAge": "Wanderschmidt", "PatientBirthDate": "Feldkirch", "FrameOfReferenceUID": "Ottoline"}
        write_series(
            tmp_path / "tree",
            volume((6, 8, 8), size),
            size,
            modality="CT",
            description="",
            patient=1,
            series=1,
            **broken,
        )
    options = ("--series", "low-dose-ct=CT", "--attribute", "dose=25%", "--deidentify")
    done = radbench(tmp_path, "import", "dicom", tmp_path / "tree", "--task", "denoising", *options)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr and not any(secret in done.stderr for secret in SECRETS)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "no task was named"),
        (("--task", "mri_to_ct"), 2, "nothing says what becomes of 'body'"),
        (("--task", "segmentation"), 2, "The tree holds: "),
        (
            ("--task", "mri_to_ct", "--series", "xray=CR"),
            2,
            "has no socket 'xray'; expected one of mri, body, region, ct, mask",
        ),
        (("--task", "denoising", "--series", "low-dose-ct=MR"), 5, "series of one study fit 'low-dose-ct'"),
        (("--task", "denoising", "--series", "low-dose-ct=PT"), 5, "MR 't1 mprage SAG Feldkirch', 18 files of 40×40"),
        (("--task", "denoising", "--series", "low-dose-ct"), 2, "expected NAME=VALUE"),
        (
            ("--task", "denoising", "--series", "low-dose-ct=CT", "--series", "mask=outline:nothing"),
            2,
            "no series becomes 'nothing'",
        ),
        (("--task", "denoising", "--split", "exam"), 2, "split: found 'exam'"),
        (("--task", "denoising", "--map", "/nowhere.toml"), 2, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    tree: Path, tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = radbench(tmp_path, "import", "dicom", tree, *options)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_options_of_dicom_are_refused_for_other_layouts(tree: Path, tmp_path: Path) -> None:
    done = radbench(tmp_path, "import", "synthrad2023", tree, "--deidentify")
    assert done.returncode == 2 and "an option of `import dicom`" in done.stderr


def test_resampling_takes_labels_from_the_nearest_voxel_and_the_smallest_value_outside() -> None:
    grid = Volume(np.zeros((4, 4, 4), np.int16))
    half = Volume(np.full((2, 4, 4), 5, np.uint8))
    assert set(np.unique(importing.resampled(half, grid, labels=True).array)) == {0, 5}
    ct = Volume(np.array([[[-1000, 100]]], np.int16), spacing=(1.0, 1.0, 2.0))
    fine = importing.resampled(ct, Volume(np.zeros((1, 1, 4), np.int16)))
    assert fine.array.ravel().tolist() == [-1000, -450, 100, -1000]


def test_an_unreadable_series_is_said_with_its_reason(tmp_path: Path) -> None:
    clean = write_tree(tmp_path / "clean", identity=False)
    next(p for p in (clean / "first" / "b").iterdir() if p.name.endswith("_7.dcm")).unlink()
    done = radbench(tmp_path, "import", "dicom", clean, "--task", "denoising", "--series", "low-dose-ct=CT")
    assert done.returncode == 5 and "[unreadable_volume]" in done.stderr and "not evenly spaced" in done.stderr
    assert image.AXIAL.shape == (3, 3)
