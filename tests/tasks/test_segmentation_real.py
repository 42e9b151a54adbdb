"""Real images of the segmentation task: BraTS's trees, written here as they are distributed, and the small sample."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark import dataset
from benchmark.contract import Case, DatasetInfo, Task
from benchmark.dataset import CaseFiles, Plan, PlannedCase
from benchmark.download import cache_folder
from benchmark.errors import DataError, InfrastructureError
from benchmark.image import Volume
from benchmark.tasks import find
from tasks.denoising import sample as denoising_sample
from tasks.segmentation import brats, data, sample

TASK = find("segmentation").task
SHAPE = (6, 5, 4)  # x, y, z as the files have it
NAMES = {
    "brats2021": ("_", ("t1", "t1ce", "t2", "flair"), (0, 1, 2, 4)),
    "brats2023": ("-", ("t1n", "t1c", "t2w", "t2f"), (0, 1, 2, 3)),
}
AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
"""What BraTS's files have: LPS axes, origin (0, −239, 0) in LPS."""


def voxels(id: str, labels: tuple[int, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Images by socket and segmentation (x, y, z) of a made-up patient."""
    rng = np.random.default_rng(list(id.encode()))
    images = {slug: rng.integers(0, 900, SHAPE).astype(np.int16) for slug in ("t1n", "t1c", "t2w", "t2f")}
    return images, rng.choice(labels, SHAPE).astype(np.uint8)


def write(root: Path, id: str, release: str, *, seg: bool = True) -> Path:
    """One case folder as the release has it."""
    separator, names, labels = NAMES[release]
    folder = root / id
    folder.mkdir(parents=True)
    images, segmentation = voxels(id, labels)
    files = dict(zip(names, images.values(), strict=True)) | ({"seg": segmentation} if seg else {})
    for name, array in files.items():
        nib.save(nib.Nifti1Image(array, AFFINE), folder / f"{id}{separator}{name}.nii.gz")
    return folder


@pytest.fixture()
def tree_2021(tmp_path: Path) -> Path:
    root = tmp_path / "RSNA_ASNR_MICCAI_BraTS2021_TrainingData"
    for i in range(12):
        write(root, f"BraTS2021_{i:05d}", "brats2021")
    write(root, "BraTS2021_00099", "brats2021", seg=False)
    (root / "clinical.csv").write_text(
        "BraTS21ID,Age,Gender,Site,Field strength\n"
        "BraTS2021_00000,39.9,F,TCGA,1.5\nBraTS2021_00001,64,Male,UCSF,3\nBraTS2021_00002,NA,,,\n"
        "BraTS2021_00003,65,m,UCSF,3.0 T\nBraTS2021_77777,50,F,UCSF,3\n"
    )
    return root


@pytest.fixture()
def tree_2023(tmp_path: Path) -> Path:
    root = tmp_path / "brats" / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
    for i in range(8):
        for visit in range(1 + i % 2):
            write(root, f"BraTS-GLI-{i:05d}-{visit:03d}", "brats2023")
    return root


def broken(path: Path, release: str) -> DataError:
    with pytest.raises(DataError) as error:
        for p in data.IMPORTERS[release](path).cases:
            p.make()
    return error.value


def test_2021_labels_become_those_of_2023(tree_2021: Path) -> None:
    plan = data.IMPORTERS["brats2021"](tree_2021)
    assert len(plan.cases) == 12 and plan.info.kind == "real" and plan.info.edition == "brats2021" and plan.compress
    assert "1 without a segmentation were left out" in plan.info.description and "Baid" in plan.info.citation
    files = next(p for p in plan.cases if p.case.id == "brats2021_00005").make()
    images, segmentation = voxels("BraTS2021_00005", (0, 1, 2, 4))
    labels = files.references["tumour"].array
    assert labels.dtype == np.uint8 and set(np.unique(labels)) == {0, 1, 2, 3}
    wanted = segmentation.transpose(2, 1, 0)
    assert np.array_equal(labels == 3, wanted == 4)
    for label in (0, 1, 2):
        assert np.array_equal(labels == label, wanted == label)
    for slug, array in images.items():
        found = files.inputs[slug]
        assert found.array.dtype == np.int16 and np.array_equal(found.array, array.transpose(2, 1, 0)), slug
        assert found.spacing == (1.0, 1.0, 1.0) and found.origin == (0.0, -239.0, 0.0)


def test_2021_attributes_from_a_table(tree_2021: Path) -> None:
    rows = {p.case.id: p.case.attributes for p in data.IMPORTERS["brats2021"](tree_2021).cases}
    keys = ("sex", "age", "age_band", "scanner", "site")
    want = {
        "brats2021_00000": ("female", "39", "<40", "1.5T", "TCGA"),
        "brats2021_00001": ("male", "64", "40-64", "3T", "UCSF"),
        "brats2021_00002": ("unknown",) * 5,
        "brats2021_00003": ("male", "65", "65+", "3T", "UCSF"),
        "brats2021_00004": ("unknown",) * 5,
    }
    for id, values in want.items():
        assert tuple(rows[id][k] for k in keys) == values, id
    (tree_2021 / "clinical.csv").unlink()
    plan = data.IMPORTERS["brats2021"](tree_2021)
    assert "No table" in plan.info.description
    assert {p.case.attributes["sex"] for p in plan.cases} == {"unknown"}


@pytest.mark.parametrize("above", [0, 1])
def test_2023_visits_of_a_patient_stay_together(tree_2023: Path, above: int, tmp_path: Path) -> None:
    plan = data.IMPORTERS["brats2023"]([tree_2023, tree_2023.parent][above])
    assert len(plan.cases) == 12
    splits: dict[str, set[str]] = {}
    for p in plan.cases:
        assert p.case.attributes["patient"] == p.case.id[: len("brats-gli-00000")]
        splits.setdefault(p.case.attributes["patient"], set()).add(p.case.split)
    assert len(splits) == 8 and all(len(found) == 1 for found in splits.values())
    assert TASK.cluster == "patient"
    images, segmentation = voxels("BraTS-GLI-00003-001", (0, 1, 2, 3))
    edition = dataset.prepare(tmp_path / "data", TASK, plan, workers=1)
    found = edition.read_input(TASK.input("t2f"), "brats-gli-00003-001")
    assert np.array_equal(found.array, images["t2f"].transpose(2, 1, 0))
    reference = edition.read_reference(TASK.reference("tumour"), "brats-gli-00003-001")
    assert np.array_equal(reference.array, segmentation.transpose(2, 1, 0))


def test_a_mapping_by_patient_or_older_id(tree_2023: Path) -> None:
    (tree_2023 / "mapping.csv").write_text("BraTS2023,BraTS2021,Site\nBraTS-GLI-00003-000,BraTS2021_00003,7\n")
    (tree_2023 / "people.csv").write_text("patient,age,sex\nBraTS-GLI-00001,71,F\n")
    rows = {p.case.id: p.case.attributes for p in data.IMPORTERS["brats2023"](tree_2023).cases}
    assert rows["brats-gli-00003-000"]["site"] == "7"
    for visit in ("000", "001"):
        assert rows[f"brats-gli-00001-{visit}"]["age_band"] == "65+"
        assert rows[f"brats-gli-00001-{visit}"]["sex"] == "female"


def test_planning_reads_no_image(tree_2021: Path) -> None:
    for path in tree_2021.rglob("*.nii.gz"):
        path.write_bytes(b"not an image")
    plan = data.IMPORTERS["brats2021"](tree_2021)
    with pytest.raises(DataError, match="cannot be read") as error:
        pickle.loads(pickle.dumps(plan.cases[0].make))()
    assert error.value.code == "unreadable_volume"


def test_splits_are_dealt_by_hash_and_hold_every_split() -> None:
    patients = [f"p{i:04d}" for i in range(200)]
    splits = brats.assign(patients)
    assert Counter(splits.values()) == {"test": 50, "val": 20, "canary": 1, "train": 129}
    assert splits == brats.assign(patients[::-1])
    assert [splits[p] for p in patients] != sorted(splits[p] for p in patients)
    assert brats.assign(["one"]) == {"one": "test"}


def test_wrong_trees_say_what_they_are(tree_2021: Path, tree_2023: Path, tmp_path: Path) -> None:
    error = broken(tree_2023, "brats2021")
    assert error.code == "import_layout" and "radbench import brats2023" in error.sentence
    assert "radbench import brats2021" in broken(tree_2021, "brats2023").sentence

    (tree_2021 / "BraTS2021_00003" / "BraTS2021_00003_t1ce.nii.gz").unlink()
    error = broken(tree_2021, "brats2021")
    assert error.code == "import_layout" and "has no BraTS2021_00003_t1ce.nii.gz" in error.found
    assert "{t1,t1ce,t2,flair,seg}" in error.expected

    unlabelled = tmp_path / "validation"
    write(unlabelled, "BraTS-GLI-00001-000", "brats2023", seg=False)
    error = broken(unlabelled, "brats2023")
    assert error.code == "import_layout" and "none of the 1 cases" in error.found

    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "BraTS-GLI-00001-000-t1c.nii.gz").touch()
    error = broken(loose, "brats2023")
    assert error.code == "import_layout" and "do not lie in folders named by id" in error.found

    other = tmp_path / "other"
    other.mkdir()
    (other / "readme.txt").touch()
    assert "readme.txt" in broken(other, "brats2021").found
    (other / "readme.txt").unlink()
    assert "holds nothing" in broken(other, "brats2021").found
    assert broken(tmp_path / "absent", "brats2023").code == "import_layout"

    twice = tmp_path / "twice"
    for name in ("a", "b"):
        write(twice / name, "BraTS2021_00001", "brats2021")
    error = broken(twice, "brats2021")
    assert error.code == "import_layout" and "is there twice" in error.found


def test_strange_labels_and_grids_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", "BraTS-GLI-00001-000", "brats2023")
    path = folder / "BraTS-GLI-00001-000-seg.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, 4, np.uint8), AFFINE), path)
    error = broken(tmp_path / "t", "brats2023")
    assert error.code == "reference_invalid" and "label 4" in error.found
    nib.save(nib.Nifti1Image(np.full(SHAPE, 3, np.float32), AFFINE), path)
    assert (data.IMPORTERS["brats2023"](tmp_path / "t").cases[0].make().references["tumour"].array == 3).all()
    shifted = AFFINE.copy()
    shifted[2, 3] = 2
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), shifted), folder / "BraTS-GLI-00001-000-t2w.nii.gz")
    error = broken(tmp_path / "t", "brats2023")
    assert error.code == "reference_invalid" and "t2w" in error.found and "origin" in error.found


def test_a_broken_table(tree_2021: Path) -> None:
    (tree_2021 / "clinical.csv").write_bytes(b"\xff\xfe\x00bad")
    error = broken(tree_2021, "brats2021")
    assert error.code == "import_layout" and "clinical.csv" in error.found


# Inputs that a case lacks


def planned(inputs: dict[str, Volume]) -> Plan:
    volume = Volume(np.ones((2, 3, 4), np.int16))
    info = DatasetInfo(
        task="segmentation", task_version="1", edition="few", kind="real", title="t", description="d", licence="l"
    )
    case = Case(id="a", split="test")
    return Plan(info, [PlannedCase(case, lambda: CaseFiles(inputs, {"tumour": volume}))])


def test_an_optional_input_is_absent_and_not_filled_in(tmp_path: Path) -> None:
    volume = Volume(np.ones((2, 3, 4), np.int16))
    edition = dataset.prepare(tmp_path, TASK, planned({"t1c": volume}), workers=1)
    assert edition.has_input(TASK.input("t1c"), "a") and not edition.has_input(TASK.input("t2f"), "a")
    listed = json.loads((edition.input_folder("a") / "inputs.json").read_text())
    assert [item["interface"]["slug"] for item in listed] == ["t1c"]
    assert sorted(p.name for p in (edition.input_folder("a") / "images").iterdir()) == ["t1c"]
    with pytest.raises(DataError, match="no volume among its inputs"):
        dataset.prepare(tmp_path / "none", TASK, planned({}), workers=1)


def test_only_inputs_can_be_optional(tmp_path: Path) -> None:
    record = TASK.model_dump(mode="json")
    record["outputs"][0]["optional"] = True
    with pytest.raises(ValueError, match="expected on inputs alone"):
        Task.model_validate(record)
    required = TASK.model_dump(mode="json")
    for socket in required["inputs"]:
        socket["optional"] = False
    built = planned({"t1c": Volume(np.ones((2, 3, 4), np.int16))})
    with pytest.raises(DataError, match="no content for input 't1n'"):
        dataset.prepare(tmp_path, Task.model_validate(required), built, workers=1)


# The sample


def test_the_archive_is_pinned_once() -> None:
    assert sample.PYRADIOMICS == denoising_sample.PYRADIOMICS
    pins = {scan.member.rpartition("/")[2]: scan.sha256 for scan in denoising_sample.SCANS.values()}
    for scan in sample.SCANS:
        if scan.anatomy == "lung":
            assert pins[f"{scan.name}_image.nrrd"] == scan.image_sha256


def test_without_a_registry_the_sample_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> Path:
        raise InfrastructureError("no_registry", "nothing there")

    monkeypatch.setattr(sample, "fetch", fail)
    with pytest.raises(InfrastructureError) as error:
        data.sample(tmp_path)
    assert error.value.code == "no_registry"


@pytest.fixture(scope="module")
def real() -> dict[str, PlannedCase]:
    try:
        plan = data.sample(cache_folder())
    except InfrastructureError as error:
        if error.code != "no_registry":
            raise
        pytest.skip(f"NOT TESTED on real scans: {error.sentence}")
    assert "say nothing about anybody else" in plan.info.description
    return {p.case.id: p for p in plan.cases}


def test_real_scans_are_as_they_are(real: dict[str, PlannedCase]) -> None:
    # Volumes of the outlines in ml, counted from the files on their own.
    want = {
        "brain1": (25, 16.41, "t1c"),
        "brain2": (23, 1.80, "t1c"),
        "lung1": (48, 1.36, "ct"),
        "lung2": (61, 48.43, "ct"),
    }
    for id, (slices, ml, socket) in want.items():
        files = pickle.loads(pickle.dumps(real[id])).make()
        assert set(files.inputs) == {socket}
        picture, labels = files.inputs[socket], files.references["tumour"]
        assert picture.array.shape == labels.array.shape and picture.array.shape[0] == slices
        assert set(np.unique(labels.array)) == {0, 3}
        assert (labels.array > 0).sum() * np.prod(labels.spacing) / 1000 == pytest.approx(ml, abs=0.01)
        values = picture.array[labels.array > 0]
        if socket == "ct":
            assert -300 < np.median(values) < 150  # soft tissue in the lung, not air
        else:
            # It enhances: brighter than the brain on the other side, mirrored at the middle of the head.
            columns = np.flatnonzero(picture.array.max(axis=(0, 1)) > 300)
            mirrored = picture.array[:, :, np.clip(columns[0] + columns[-1] - np.arange(256), 0, 255)]
            assert np.median(values) > 1.1 * np.median(mirrored[labels.array > 0]), id
    assert {p.case.split for p in real.values()} == {"canary", "test"}
    assert {p.case.attributes["anatomy"] for p in real.values()} == {"brain", "lung"}
