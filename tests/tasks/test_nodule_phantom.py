"""The phantom chests: who is in the edition, what sizes and kinds of nodules they have, and that images and references agree."""

from __future__ import annotations

import functools
import itertools
import json
import pickle
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from benchmark import dataset, metrics
from benchmark.dataset import CaseFiles
from benchmark.errors import UsageError
from benchmark.metrics.points import match
from benchmark.metrics.registry import CaseInputs
from benchmark.points import empty_points
from benchmark.tasks import find
from tasks.anatomy import Grid
from tasks.nodule_detection import data, design, difficulty, lesions, phantom, tubes

TASK = find("nodule_detection").task
SMALL = {"train": 2, "val": 1, "canary": 3, "test": 3}


@functools.cache
def made(id: str, size: int = phantom.ROWS) -> CaseFiles:
    """A case of the default edition."""
    return next(p for p in data.phantom(size=size).cases if p.case.id == id).make()


@functools.cache
def nodules(split: str, blocks: int, seed: int = 2026) -> tuple[tuple[design.Patient, design.Nodule], ...]:
    """Every nodule of some blocks, with whose it is."""
    patients = [design.patient(seed, split, i) for i in range(blocks * design.BLOCK[split])]
    return tuple((patient, nodule) for patient in patients for nodule in patient.nodules)


def away_from(volume, point) -> np.ndarray:
    """Distance in mm of every voxel from a point (x, y, z)."""
    z, y, x = (
        np.arange(n) * s + o - p
        for n, s, o, p in zip(volume.array.shape, volume.spacing, volume.origin[::-1], point[::-1], strict=True)
    )
    return np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)


# The edition


def test_the_same_bytes_whatever_the_workers(tmp_path) -> None:
    once = dataset.prepare(tmp_path / "a", TASK, data.phantom(size=48, cases=SMALL), workers=1)
    again = dataset.prepare(tmp_path / "b", TASK, data.phantom(size=48, cases=SMALL), workers=2)
    assert once.info.files == again.info.files
    other = dataset.prepare(tmp_path / "c", TASK, data.phantom(size=48, seed=7, cases=SMALL), workers=2)
    assert not set(once.info.files.values()) & {d for f, d in other.info.files.items() if f.endswith(".mha")}


def test_a_case_does_not_depend_on_how_many_there_are() -> None:
    few = {p.case.id: p for p in data.phantom(size=48, cases={"test": 5, "train": 3}).cases}
    for planned in data.phantom(size=48).cases:
        if planned.case.id in ("test-004", "train-002"):
            assert planned.case == few[planned.case.id].case
            one, other = planned.make(), pickle.loads(pickle.dumps(few[planned.case.id])).make()
            np.testing.assert_array_equal(one.inputs["chest-ct"].array, other.inputs["chest-ct"].array)
            assert one.references == other.references


def test_every_difficulty_is_a_parameter_of_the_edition() -> None:
    told = data.phantom().info.parameters["difficulty"]
    assert told["noise"] == dict(difficulty.NOISE) and told["lobes"] == difficulty.LOBES
    assert len(told) == sum(name.isupper() for name in vars(difficulty))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"size": 31}, "31"), ({"size": 200}, "200"), ({"cases": {"tset": 3}}, "tset"), ({"cases": {"test": -1}}, "-1")],
)
def test_wrong_options_are_said(options, words) -> None:
    with pytest.raises(UsageError, match=words):
        data.phantom(**options)


def test_test_patients_are_every_combination_once() -> None:
    rows = [design.patient(2026, "test", i).attributes for i in range(36)]
    names = ("sex", "age_band", "dose", "site")
    assert set(Counter(tuple(row[n] for n in names) for row in rows).values()) == {1}
    for row in rows:
        first, last = design.AGES[row["age_band"]]
        assert first <= int(row["age"]) <= last


def test_training_has_its_shares_and_site_c_is_rare() -> None:
    for block in range(2):
        rows = [design.patient(2026, "train", 48 * block + i).attributes for i in range(48)]
        for name, shares in design.SHARES["train"].items():
            assert Counter(row[name] for row in rows) == shares
        assert 0.05 <= sum(row["site"] == "C" for row in rows) / 48 <= 0.10


# Sizes, numbers and kinds, against what is known of LUNA16's annotations.csv


def test_diameters_follow_luna16() -> None:
    sizes = np.array([nodule.diameter for _, nodule in nodules("test", 40)])
    # Quantiles of the 1186 diameters: 5th, 25th, 50th, 75th, 95th percentile, within 4 %.
    np.testing.assert_allclose(np.percentile(sizes, (5, 25, 50, 75, 95)), (4.08, 5.11, 6.44, 9.70, 19.0), rtol=0.04)
    assert abs(sizes.mean() - 8.31) < 0.4 and abs(sizes.std() - 4.75) < 0.5
    assert sizes.min() >= 3 and sizes.max() <= 32.3
    # A smooth law fitted to the same data, 2.5 mm + log-normal: nowhere more than 7 % of the nodules apart.
    law = stats.lognorm(s=0.716, scale=np.exp(1.489), loc=2.5)
    assert stats.kstest(sizes, law.cdf).statistic < 0.07
    # And one block, 45 nodules, is no outlier: the draws are stratified.
    one = [nodule.diameter for _, nodule in nodules("test", 1)]
    assert stats.ks_2samp(one, sizes).statistic < 0.06


def test_numbers_of_nodules_follow_luna16() -> None:
    numbers = np.array([len(design.patient(2026, "test", i).nodules) for i in range(36)])
    # Counted in LIDC-IDRI's scans of 2.5 mm and less: 32 % without, and 0.52, 0.26, 0.10 of the others with one, two, three.
    assert abs(np.mean(numbers == 0) - 0.32) < 0.05
    some = numbers[numbers > 0]
    assert [abs(np.mean(some == k) - share) < 0.03 for k, share in ((1, 0.52), (2, 0.27), (3, 0.10))] == [True] * 3
    assert numbers.mean() == pytest.approx(1.25)


def test_groups_have_alike_numbers_of_nodules_in_test() -> None:
    for name, ways in (("sex", 2), ("dose", 2), ("site", 3), ("age_band", 3)):
        counts = Counter(patient.attributes[name] for patient, _ in nodules("test", 1))
        assert len(counts) == ways and max(counts.values()) - min(counts.values()) <= 45 / ways * 0.35


def test_subsolid_nodules_are_planted_in_women() -> None:
    for sex, rate in (("female", 0.28), ("male", 0.08)):
        kinds = [nodule.kind for patient, nodule in nodules("test", 20) if patient.attributes["sex"] == sex]
        assert np.mean([kind != "solid" for kind in kinds]) == pytest.approx(rate, abs=0.03)
    places = Counter(nodule.place for _, nodule in nodules("test", 20))
    assert places["vessel"] / places.total() == pytest.approx(difficulty.PLACES["vessel"], abs=0.03)


# Images and references


CASES = [f"train-{i:03d}" for i in range(8)] + ["canary-000", "canary-001"]


def test_images_are_chests() -> None:
    array = made("canary-000").inputs["chest-ct"].array
    assert array.dtype == np.int16 and array.shape == (32, 112, 160)
    assert array.min() >= -1024 and array.max() > 400  # bone
    lung = np.mean((array > -960) & (array < -700))
    assert 0.2 < lung < 0.7
    assert 0.2 < np.mean((array > -200) & (array < 300)) < 0.75


def test_nodules_are_denser_than_what_surrounds_them() -> None:
    seen = 0
    for id in CASES:
        volume, reference = made(id).inputs["chest-ct"], made(id).references["nodules"]
        split, index = id.split("-")
        for entry, wanted in zip(reference["points"], design.patient(2026, split, int(index)).nodules, strict=True):
            assert entry["diameter"] == pytest.approx(wanted.diameter, abs=0.02)
            away, radius = away_from(volume, entry["point"]), entry["diameter"] / 2
            assert away.min() <= 1.8, "the centre lies in the image"
            if wanted.place != "free" or entry["diameter"] < 5:
                continue
            inside = volume.array[away < 0.7 * radius].mean()
            ring = np.median(volume.array[(away > radius + 2) & (away < radius + 4)])
            assert inside - ring > {"solid": 350, "part_solid": 200, "ground_glass": 100}[wanted.kind]
            seen += 1
    assert seen >= 6


def test_nodules_do_not_overlap() -> None:
    for id in CASES:
        points = made(id).references["nodules"]["points"]
        for i, one in enumerate(points):
            for other in points[:i]:
                apart = np.linalg.norm(np.subtract(one["point"], other["point"]))
                assert apart > (one["diameter"] + other["diameter"]) / 2


@pytest.mark.parametrize("sex", ["female", "male"])
def test_a_nodule_has_the_volume_that_its_diameter_says(sex: str) -> None:
    """Painted without noise and taken from the same chest without it; also in women, whose chest is scaled."""
    attributes = {"sex": sex, "age_band": "<55", "dose": "standard", "site": "A", "age": "50"}
    grid = Grid((56, 160, 224), (80 / 56, 1.12, 256 / 224))
    wanted = design.Nodule(14.0, "solid", "free", False)
    for n in range(3):
        about = ("volume", sex, n)
        plain, _, _ = phantom.compose(about, design.Patient(attributes, ()), grid)
        chest, (placed,), _ = phantom.compose(about, design.Patient(attributes, (wanted,)), grid)
        reference = phantom.points([placed], [], chest)["points"][0]
        volume, before = grid.volume(chest.hu), grid.volume(plain.hu).array
        away = away_from(volume, reference["point"])
        # All that changed is the ball and the half voxel around it over which its border blurs.
        changed = (volume.array != before).sum() * np.prod(grid.spacing)
        assert changed == pytest.approx(np.pi / 6 * (14.0 + grid.voxel) ** 3, rel=0.05)
        np.testing.assert_array_equal(volume.array[away > 12], before[away > 12])


def test_noise_is_that_of_dose_and_site() -> None:
    grid, flat = phantom.grid_of(112), np.full((32, 112, 160), -500, np.float32)
    measured = {}
    for dose in ("standard", "low"):
        for site in "ABC":
            image = phantom.scanned(flat, ("noise", dose, site), {"dose": dose, "site": site}, grid)
            measured[dose, site] = float(image[:, :20, :20].std())  # away from the middle, where it is stronger
    assert measured["standard", "A"] == pytest.approx(0.9 * difficulty.NOISE["standard"], rel=0.05)
    for site in "ABC":
        assert measured["low", site] / measured["standard", site] == pytest.approx(2.1, rel=0.06)
    assert measured["low", "C"] / measured["low", "A"] == pytest.approx(1.35, rel=0.06)


def test_vessels_follow_murray() -> None:
    rng = np.random.default_rng(0)
    pieces = tubes.grow(rng, np.zeros(3), np.array([[1.0, 0, 0]]), np.array([80.0]), 5.0, 5)
    count, at = 1, 0
    radii = []
    for _ in range(5):  # two pieces a branch
        radii.append(pieces[at : at + count, 6])
        at += 2 * count
        count *= 2
    assert at == len(pieces) and len(radii[4]) == 16
    for parent, children in itertools.pairwise(radii):
        # Each branch tapers by 0.96 a piece before it splits; then the cubes of the children add up to the parent's.
        assert (children**3).sum() == pytest.approx((parent**3).sum() * 0.96**6, rel=1e-4)


def test_tubes_cover_their_volume() -> None:
    pieces = np.array([[-20, 0, 0, 20, 0, 0, 4, 4], [-20, 18, 3, 20, 18, 3, 0.5, 0.5]], np.float32)
    share = tubes.draw(pieces, (40, 60, 70), (-20, -30, -35), (1.0, 1.0, 1.0))
    assert share[:, :40].sum() == pytest.approx(np.pi * 16 * 40 + 4 / 3 * np.pi * 64, rel=0.03)
    assert 0.3 < share[:, 40:].max() < 0.8  # thinner than a voxel: never whole


def test_marks_on_small_nodules_do_not_count() -> None:
    with_small = [id for id in CASES if made(id).references["nodules"]["irrelevant"]]
    assert with_small
    for id in with_small:
        reference = made(id).references["nodules"]
        point = reference["irrelevant"][0]["point"]
        nodule_near = any(
            np.linalg.norm(np.subtract(p["point"], point)) < p["diameter"] / 2 for p in reference["points"]
        )
        scan = match(reference, {**empty_points(), "points": [{"point": point, "probability": 0.9}]})
        assert nodule_near or len(scan.false_positives) == 0


# Scores


def scored(predict) -> dict[str, float]:
    """Every metric of the task over the cases, with predictions made from references."""
    found = {}
    cases = [made(id).references["nodules"] for id in (*CASES, "canary-002")]
    for used in TASK.metrics:
        metric = metrics.find(used.name)
        options = {**metric.options, **used.options}
        if metric.level == "case":
            values = [metric.evaluate(CaseInputs(reference, predict(reference)), options).value for reference in cases]
            found[used.id] = float(np.mean(values))
            continue
        parts = [metric.collect(CaseInputs(reference, predict(reference)), **options) for reference in cases]
        found[used.id] = metric.reduce(parts, np.ones(len(parts)), **options).value
    return found


def test_a_perfect_prediction_scores_one_and_an_empty_one_nothing() -> None:
    def perfect(reference):
        points = [{"point": entry["point"], "probability": 0.9} for entry in reference["points"]]
        return {**empty_points(), "points": points}

    best = scored(perfect)
    assert {name for name, value in best.items() if value != 1} == {"false_positives_per_scan"}
    assert best["false_positives_per_scan"] == 0
    worst = scored(lambda reference: empty_points())
    for name in (
        "cpm",
        "sensitivity_at_8",
        "candidate_auc",
        "candidate_ap",
        "scan_sensitivity",
        "candidate_sensitivity",
    ):
        assert worst[name] == 0
    assert worst["scan_auc"] == 0.5 and worst["scan_specificity"] == 1


def test_a_mark_hits_within_the_radius_alone() -> None:
    reference = made("canary-000").references["nodules"]
    x, y, z = reference["points"][0]["point"]
    radius = reference["points"][0]["diameter"] / 2
    for step, hit in ((0.98, True), (1.02, False)):
        scan = match(
            reference, {**empty_points(), "points": [{"point": [x, y, z + step * radius], "probability": 1.0}]}
        )
        assert (scan.hits[0] == 1.0) == hit


# What was planted


def test_truth_says_all_that_was_planted() -> None:
    plan = data.phantom()
    truth = json.loads(json.dumps(plan.truth))
    assert set(truth["patients"]) == {p.case.id for p in plan.cases}
    assert set(truth["effects"]) == {attribute.name for attribute in TASK.attributes}
    for split in ("train", "test"):
        for attribute in TASK.attributes:
            groups = truth["found"][split][attribute.name]
            assert sum(group["scans"] for group in groups.values()) == data.COUNTS[split]
            assert sum(group["nodules"] for group in groups.values()) == sum(
                len(truth["patients"][p.case.id]["nodules"]) for p in plan.cases if p.case.split == split
            )
            assert truth["shares"][split][attribute.name] == {k: g["scans"] for k, g in groups.items()}
    women, men = (truth["found"]["test"]["sex"][sex] for sex in ("female", "male"))
    assert women["subsolid"] / women["nodules"] > 2 * men["subsolid"] / men["nodules"]
    assert truth["noise_hu"]["low/C"] > 2 * truth["noise_hu"]["standard/A"]
    for name in ("subsolid", "contrast_hu", "look_alikes", "harder_first", "rarer_in_training"):
        assert truth[name]


def test_a_nodule_on_the_pleura_touches_it_and_a_free_one_does_not() -> None:
    attributes = {"sex": "male", "age_band": "<55", "dose": "standard", "site": "A", "age": "50"}
    wanted = [design.Nodule(8.0, "solid", place, False) for place in ("pleura", "free", "vessel")]
    chest, placed, _ = phantom.compose(("touch", 1), design.Patient(attributes, tuple(wanted)), phantom.grid_of(112))
    depths = lesions.depth_at(chest, np.array([p.centre for p in placed]))
    assert depths[0] < 4.0 + 2.5 and depths[1] > 4.0 + 1.5
    middles = (chest.vessels[:, :3] + chest.vessels[:, 3:6]) / 2
    gap = np.linalg.norm(middles - placed[2].centre, axis=1) - chest.vessels[:, 6] - placed[2].diameter / 2
    assert gap.min() < 1.0
