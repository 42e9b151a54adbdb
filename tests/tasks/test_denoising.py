"""The editions of the low-dose CT task: what they promise, and that they are the same each time."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmark import dataset, tasks
from benchmark.dataset import CaseFiles
from benchmark.download import cache_folder
from benchmark.errors import InfrastructureError, UsageError
from benchmark.image import Volume
from tasks.denoising import data, phantom, sample
from tasks.denoising.protocol import DOSES, field_of_view, geometry, scanner

TASK = tasks.find("denoising").task
FEW = {"train": 2, "val": 0, "canary": 1, "test": 4}


def arrays(files: CaseFiles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Low dose, reference, mask."""
    low, reference, mask = files.inputs["low-dose-ct"], files.references["full-dose-ct"], files.references["mask"]
    assert isinstance(low, Volume)
    assert isinstance(reference, Volume)
    assert isinstance(mask, Volume)
    return low.array, reference.array, mask.array


# Phantom


def test_phantom_has_the_promised_cases() -> None:
    plan = data.phantom()
    assert plan.info.edition == "phantom"
    assert Counter(p.case.split for p in plan.cases) == {"train": 40, "val": 8, "canary": 3, "test": 20}
    cells = {
        split: Counter(
            (p.case.attributes["anatomy"], p.case.attributes["dose"]) for p in plan.cases if p.case.split == split
        )
        for split in ("train", "test")
    }
    assert cells["train"] == {("chest", "25%"): 22, ("chest", "10%"): 8, ("head", "25%"): 8, ("head", "10%"): 2}
    assert set(cells["test"].values()) == {5}
    assert len(cells["test"]) == 4
    assert plan.truth["train_cases"] == {"chest at 25%": 22, "chest at 10%": 8, "head at 25%": 8, "head at 10%": 2}
    scans = [p.case.attributes[TASK.cluster] for p in plan.cases]
    assert len(set(scans)) == len(scans)  # one subject a case: no subject in two splits
    for attribute in TASK.attributes:
        assert {p.case.attributes[attribute.name] for p in plan.cases} == set(attribute.values) - {"abdomen"}


def test_other_sizes_and_seeds_are_other_editions() -> None:
    assert data.phantom(size=64, cases=FEW).info.edition == "phantom-64"
    assert data.phantom(size=64, cases=FEW).info != data.phantom(size=64, seed=1, cases=FEW).info
    with pytest.raises(UsageError, match="pixels"):
        data.phantom(size=8)
    with pytest.raises(UsageError, match="split"):
        data.phantom(cases={"tset": 3})


def test_same_bytes_twice_and_whatever_the_workers(tmp_path: Path) -> None:
    one = dataset.prepare(tmp_path / "one", TASK, data.phantom(size=48, cases=FEW), workers=1)
    two = dataset.prepare(tmp_path / "two", TASK, data.phantom(size=48, cases=FEW), workers=2)
    assert one.info == two.info
    assert len(one.info.files) == 7 * 4 + 2
    other = dataset.prepare(tmp_path / "three", TASK, data.phantom(size=48, seed=7, cases=FEW), workers=1)
    changed = [name for name, digest in other.info.files.items() if digest != one.info.files[name]]
    assert sum(name.endswith(".mha") for name in changed) == 7 * 3


def test_a_case_does_not_depend_on_the_others() -> None:
    alone = {p.case.id: p for p in data.phantom(size=48, cases={"test": 2}).cases}
    among = {p.case.id: p for p in data.phantom(size=48, cases=FEW).cases}
    for id, planned in alone.items():
        copy = pickle.loads(pickle.dumps(among[id]))
        for a, b in zip(arrays(planned.make()), arrays(copy.make()), strict=True):
            np.testing.assert_array_equal(a, b)


def test_volumes_are_what_the_task_declares() -> None:
    for planned in data.phantom(size=64, cases={"canary": 2}).cases:
        files = planned.make()
        low, reference, mask = arrays(files)
        assert low.shape == reference.shape == mask.shape == (phantom.SLICES, 64, 64)
        assert low.dtype == reference.dtype == np.int16
        assert set(np.unique(mask)) == {0, 1}
        volume = files.inputs["low-dose-ct"]
        assert isinstance(volume, Volume)
        assert volume.spacing[0] == phantom.SLICE_MM
        assert volume.spacing[1] * 64 == phantom.EXTENT[planned.case.attributes["anatomy"]]
        np.testing.assert_allclose(volume.point([2.5, 31.5, 31.5]), 0, atol=1e-9)


def subject(anatomy: str, level: str, dose: str = "10%") -> phantom.Subject:
    return phantom.Subject(f"{anatomy}-x", "train", anatomy, dose, level, ("1", 0))


LEVELS = [("chest", "shoulders"), ("chest", "hila"), ("chest", "liver"), ("head", "skull base"), ("head", "ventricles"),
          ("head", "vertex")]  # fmt: skip


@pytest.mark.parametrize(("anatomy", "level"), LEVELS)
def test_reference_is_the_same_at_every_dose_and_noise_is_not(anatomy: str, level: str) -> None:
    error = {}
    references = []
    for dose in DOSES:
        low, reference, mask = arrays(phantom.make_case(subject(anatomy, level, dose), 96))
        references.append(reference)
        error[dose] = (low.astype(float) - reference)[mask > 0]
    np.testing.assert_array_equal(*references)
    assert 8 < error["25%"].std() < 60
    # √(0.25/0.10) = 1.58 from the photons, more where electronics weigh and photons run out
    assert 1.5 < error["10%"].std() / error["25%"].std() < 2.6
    assert abs(error["25%"].mean()) < 0.1 * error["25%"].std()


@pytest.mark.parametrize(("anatomy", "level"), LEVELS)
def test_phantoms_have_the_tissues_that_they_are_made_of(anatomy: str, level: str) -> None:
    hu = phantom.anatomy(subject(anatomy, level), 128)
    share = {
        "air": (hu < -950).mean(), "lung": ((hu > -920) & (hu < -750)).mean(), "fat": ((hu > -140) & (hu < -60)).mean(),
        "flesh": ((hu > 0) & (hu < 110)).mean(), "bone": (hu > 300).mean(),
    }  # fmt: skip
    assert share["air"] > 0.4
    assert share["bone"] > 0.004
    assert share["flesh"] > 0.04
    if anatomy == "chest":
        assert share["fat"] > 0.02
        assert (share["lung"] > 0.05) == (level != "liver")
    else:
        assert share["lung"] < 0.01


def test_patients_lie_on_their_backs() -> None:
    """Rows run to the back: the spine is below the middle, the orbits above it, the table under the patient."""
    down = np.arange(128)[:, np.newaxis] * np.ones((1, 128))
    hu = phantom.anatomy(subject("chest", "liver"), 128)[3]
    middle = down[hu > -500].mean()
    # The liver lies on the patient's right, at low x; the spine is the bone within 25 mm of the midline.
    assert down[:, 56:72][hu[:, 56:72] > 300].mean() > middle + 5
    head = phantom.anatomy(subject("head", "skull base"), 128)[3]
    body = field_of_view(head[np.newaxis].astype(np.int16))[0]
    assert down[body & (head < -700)].mean() < down[body].mean()
    table = (hu > -400) & ~field_of_view(hu[np.newaxis].astype(np.int16))[0]
    assert table.sum() == 0 or down[table].min() > middle


def test_the_same_subject_on_any_grid() -> None:
    for anatomy, level in (("chest", "hila"), ("head", "ventricles")):
        coarse = phantom.anatomy(subject(anatomy, level), 70)
        fine = phantom.anatomy(subject(anatomy, level), 140).reshape(phantom.SLICES, 70, 2, 70, 2).mean((2, 4))
        assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.985


def test_lesions_lie_where_the_truth_says(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, agree = data.phantom(cases={"test": 6}), []
    for who in phantom.subjects("test", 6, (data.VERSION, 2026)):
        listed = plan.truth["lesions"][who.id]
        assert 2 <= len(listed) <= 5
        with_lesions = phantom.anatomy(who, 128)
        with monkeypatch.context() as patch:
            patch.setattr(phantom, "lesions", lambda _: [])
            without = phantom.anatomy(who, 128)
        change = with_lesions - without
        assert 0 < (np.abs(change) > 1).mean() < 0.05
        expected = np.zeros_like(change)
        pixel = phantom.EXTENT[who.anatomy] / 128
        z, y, x = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * s for n, s in zip((6, 128, 128), (3, pixel, pixel), strict=True)),
                              indexing="ij")  # fmt: skip
        for lesion in listed:
            assert 5 <= abs(lesion["contrast"]) <= 40
            reach = np.sqrt((x - lesion["x"]) ** 2 + (y - lesion["y"]) ** 2 + (z - lesion["z"]) ** 2)
            expected += np.where(reach < lesion["radius"] - pixel, lesion["contrast"], 0)
            core = reach < min(lesion["radius"] / 2, pixel)
            assert core.sum() == 0 or np.abs(change[core]).max() > 0
        agree.append(np.abs(change - expected)[np.abs(expected) > 0] < 1)
    assert np.concatenate(agree).mean() > 0.8  # the rest is where lesions meet each other or other tissue


# Where metrics are taken


def test_mask_holds_the_body_with_its_lungs_and_no_table() -> None:
    hu = np.full((2, 100, 100), -1000, np.int16)
    y, x = np.mgrid[:100, :100]
    body = ((x - 50) / 35) ** 2 + ((y - 45) / 25) ** 2 <= 1
    lung = ((np.abs(x - 50) - 15) / 9) ** 2 + ((y - 45) / 12) ** 2 <= 1
    hu[:, body] = 40
    hu[:, lung] = -850
    hu[:, 80:83, 10:90] = 100  # a table
    mask = field_of_view(hu)
    assert mask[:, body].all()
    assert not mask[:, 78:].any()
    assert not mask[:, :10].any()
    grown = mask[0].sum() - body.sum()
    assert 0 < grown < 2.6 * 2 * np.pi * 35  # two or so pixels around
    assert field_of_view(np.full((1, 20, 20), -1000, np.int16)).all()  # nothing there: all of it


def test_the_beam_is_declared() -> None:
    info = data.phantom(size=64, cases=FEW).info
    assert info.parameters["full_dose_photons_per_ray"]["chest"] == scanner("phantom", "chest").photons
    assert info.parameters["dose_fractions"] == {"10%": 0.1, "25%": 0.25}
    assert geometry(256, 1.0).views == 400
    assert geometry(128, 1.0).views == 200


# Real sample, without the network


def test_no_scan_on_both_sides() -> None:
    slabs = data._slabs()
    sides = {"public": set(), "sealed": set()}  # type: dict[str, set[str]]
    for scan, split, _, _ in slabs:
        sides["sealed" if split == "test" else "public"].add(scan.name)
    assert not sides["public"] & sides["sealed"]
    assert sides["sealed"] == {"pyradiomics-lung2", "invesalius-cranium"}
    train = {scan.name for scan, split, _, _ in slabs if split == "train"}
    assert not train & {scan.name for scan, split, _, _ in slabs if split in ("val", "canary")}
    depth = {"lidc-idri-0001": 133, "pyradiomics-lung1": 48, "pyradiomics-lung2": 61, "invesalius-cranium": 108}
    taken: dict[tuple[str, str, str], set[int]] = {}
    for scan, split, first, dose in slabs:
        slices = set(range(first, first + sample.SLAB))
        assert max(slices) < depth[scan.name]
        before = taken.setdefault((scan.name, "public" if split in ("val", "canary") else split, dose), set())
        assert not before & slices  # no slice twice at one dose; val and canary share a scan and no slice
        before |= slices
    assert Counter(split for _, split, _, _ in slabs) == {"train": 32, "val": 4, "canary": 2, "test": 20}


def test_blocks_are_averaged_and_padding_is_marked() -> None:
    hu = np.zeros((1, 512, 512), np.float32)
    hu[0, :2, :2] = [[0, 10], [20, 31]]
    hu[0, :2, 2:4] = [[-2048, 50], [50, 50]]
    hu[0, :2, 4:6] = [[-1100, -1024], [-1024, -1024]]
    hu[0, :2, 6:8] = 5000
    out = sample.reduced(hu)
    assert out.shape == (1, 256, 256)
    assert out[0, 0, :4].tolist() == [15, sample.OUTSIDE, -1024, 3071]
    same = np.random.default_rng(0).integers(-1000, 1000, (1, 256, 256)).astype(np.int16)
    np.testing.assert_array_equal(sample.reduced(same), same)


def test_flipped_axes_are_turned_back() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    direction = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(sample._axial(Volume(array, direction=direction)), array[::-1, ::-1])
    np.testing.assert_array_equal(sample._axial(Volume(array)), array)
    turned = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(InfrastructureError):
        sample._axial(Volume(array, direction=turned))


def failing(code: str, kind: str) -> object:
    """A stand-in for `prepare_scan` to which packages of that kind are out of reach."""

    def prepare_scan(scan: sample.Scan, cache: Path, progress: object = None) -> Path:
        if scan.package.kind == kind:
            raise InfrastructureError(code, "this machine has no apt-get")
        return cache / scan.name

    return prepare_scan


def test_without_the_head_it_is_another_edition(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sample, "prepare_scan", failing("no_registry", "deb"))
    said: list[str] = []
    plan = data.sample(tmp_path, said.append)
    assert plan.info.edition == "sample-chest"
    assert len(said) == 1
    assert "this machine has no apt-get" in said[0]
    assert "sample-chest" in said[0]
    assert {p.case.attributes["anatomy"] for p in plan.cases} == {"chest"}
    assert "invesalius-cranium" not in plan.info.parameters["scans"]
    assert len(plan.info.sources) == 3


@pytest.mark.parametrize(("code", "kind"), [("checksum", "deb"), ("no_registry", "wheel"), ("no_registry", "sdist")])
def test_what_else_is_missing_stops_it(code: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sample, "prepare_scan", failing(code, kind))
    with pytest.raises(InfrastructureError) as caught:
        data.sample(tmp_path)
    assert caught.value.code == code


# Real sample, with the network


@pytest.fixture(scope="module")
def real() -> dict[str, dataset.PlannedCase]:
    try:
        plan = data.sample(cache_folder())
    except InfrastructureError as error:
        if error.code != "no_registry":
            raise
        pytest.skip(f"NOT TESTED on real scans: {error.sentence}")
    if plan.info.edition != "sample":
        pytest.skip("NOT TESTED on real scans: the Debian package with the head scan cannot be had here")
    return {p.case.id: p for p in plan.cases}


def test_real_scans_have_their_splits(real: dict[str, dataset.PlannedCase]) -> None:
    by_split: dict[str, set[str]] = {}
    for planned in real.values():
        by_split.setdefault(planned.case.split, set()).add(planned.case.attributes["scan"])
    assert by_split == {
        "train": {"lidc-idri-0001"}, "val": {"pyradiomics-lung1"}, "canary": {"pyradiomics-lung1"},
        "test": {"pyradiomics-lung2", "invesalius-cranium"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("id", "lowest", "highest"),
    [
        ("lidc-idri-0001-z067-d10", 20, 32),
        ("pyradiomics-lung1-z008-d25", 26, 36),
        ("pyradiomics-lung2-z026-d10", 18, 28),
        ("invesalius-cranium-z025-d10", 22, 32),
    ],
)
def test_real_cases(real: dict[str, dataset.PlannedCase], id: str, lowest: float, highest: float) -> None:
    planned = real[id]
    files = planned.make()
    low, reference, mask = arrays(files)
    assert low.shape == (8, 256, 256)
    assert low.min() >= -1024
    inside = mask > 0
    # The body fills a good part of the image and is mostly flesh; a chest has lungs in it.
    assert 0.2 < inside.mean() < 0.8
    assert 20 < np.median(reference[inside & (reference > -20) & (reference < 120)]) < 70
    lung = (inside & (reference < -700)).sum() / inside.sum()
    assert lung > 0.15 if planned.case.attributes["anatomy"] == "chest" else lung < 0.15
    # Rows run to the back: dense bone (spine, or back of the skull base) lies behind the air in a head, and a spine
    # behind the middle of a chest.
    down = np.broadcast_to(np.arange(256)[:, np.newaxis], reference.shape)
    across = np.abs(np.arange(256) - np.median(np.nonzero(inside)[2])) < 15
    if planned.case.attributes["anatomy"] == "chest":
        spine = (reference > 250) & across & (down > down[inside].mean())
        sternum = (reference > 250) & across & (down < down[inside].mean() - 30)
        assert spine.sum() > 2 * sternum.sum()
    else:
        assert down[inside & (reference < -700)].mean() < down[inside].mean()
    # The noise leaves room for a denoiser and is not absurd.
    clipped = [np.clip(image.astype(float), -150, 249)[inside] for image in (low, reference)]
    psnr = 10 * np.log10(399**2 / np.mean((clipped[0] - clipped[1]) ** 2))
    assert lowest < psnr < highest
    np.testing.assert_array_equal(low, arrays(pickle.loads(pickle.dumps(planned)).make())[0])


def test_heads_are_the_right_way_up(real: dict[str, dataset.PlannedCase]) -> None:
    """Slices run to the head: the vertex, with less in it, comes last; the lungs come after the belly."""
    head = [arrays(real[f"invesalius-cranium-z{z:03d}-d25"].make())[2].mean() for z in (25, 86)]
    assert head[0] > head[1]
    chest = [arrays(real[f"lidc-idri-0001-z{z:03d}-d25"].make())[1] for z in (0, 75)]
    assert (chest[0] < -700).mean() < (chest[1] < -700).mean()


def test_real_noise_differs_by_dose_and_reference_does_not(real: dict[str, dataset.PlannedCase]) -> None:
    low10, reference10, mask = arrays(real["pyradiomics-lung2-z013-d10"].make())
    low25, reference25, _ = arrays(real["pyradiomics-lung2-z013-d25"].make())
    np.testing.assert_array_equal(reference10, reference25)
    spread = [(low.astype(float) - reference10)[mask > 0].std() for low in (low10, low25)]
    assert 1.5 < spread[0] / spread[1] < 2.5
