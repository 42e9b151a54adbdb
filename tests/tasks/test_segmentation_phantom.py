"""The phantom brains: who is in the edition, what their images hold, and that nothing depends on anything else."""

from __future__ import annotations

import functools
import json
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from benchmark import dataset, metrics
from benchmark.dataset import CaseFiles
from benchmark.errors import UsageError
from benchmark.metrics.registry import CaseInputs
from benchmark.tasks import find
from tasks import head
from tasks.anatomy import place
from tasks.segmentation import contrasts, data, phantom, tumour

TASK = find("segmentation").task
SMALL = {"train": 3, "val": 1, "canary": 1, "test": 2}
FOUR = contrasts.CONTRASTS


@functools.cache
def made(id: str, size: int = 64) -> CaseFiles:
    """A case of the default edition."""
    return next(p for p in data.phantom(size=size).cases if p.case.id == id).make()


def arrays(files: CaseFiles) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Contrasts and labels."""
    return {name: files.inputs[name].array for name in FOUR}, files.references["tumour"].array


@functools.cache
def painted(uptake: float = 0.35, sex: str = "male", age: int = 45, kind: str = "enhancing", n: int = 3) -> tuple:
    """A canvas free of noise and blur, its brain mask, its tumour, its palettes."""
    key = ("test", sex, age, kind, n)
    lesion = tumour.draw(key, sex=sex, kind=kind, satellite=False)
    palettes = contrasts.palettes("1.5T", uptake, np.random.default_rng(1))
    canvas, inside = phantom.paint(head.draw(key, sex=sex, age=age), lesion, phantom.grid_of(64), palettes)
    return canvas, inside, lesion, palettes


def where(labels: np.ndarray, *names: str) -> np.ndarray:
    return np.isin(labels, [contrasts.MATERIALS.index(name) for name in names])


# The edition


def test_the_same_bytes_whatever_the_workers(tmp_path) -> None:
    plan = data.phantom(size=32, cases=SMALL)
    once = dataset.prepare(tmp_path / "a", TASK, plan, workers=1)
    again = dataset.prepare(tmp_path / "b", TASK, data.phantom(size=32, cases=SMALL), workers=3)
    assert once.info == again.info
    assert len(once.info.files) == 7 * 6 + 2  # four contrasts, list, labels; table and truth
    for name in once.info.files:
        assert (once.root / name).read_bytes() == (again.root / name).read_bytes(), name
    other = dataset.prepare(tmp_path / "c", TASK, data.phantom(size=32, seed=7, cases=SMALL), workers=1)
    changed = [name for name in once.info.files if name.endswith(".mha") and "/t1c/" in name]
    assert changed and all(once.info.files[name] != other.info.files[name] for name in changed)
    json.dumps(once.truth, allow_nan=False)
    assert once.info.edition == "phantom-32" and once.info.counts == SMALL


def test_a_case_depends_on_no_other() -> None:
    few = data.phantom(size=32, cases={"train": 2, "val": 0, "canary": 0, "test": 1})
    many = {p.case.id: p for p in data.phantom(size=32, cases={"train": 60}).cases}
    for p in few.cases:
        assert p.case == many[p.case.id].case
        again = arrays(pickle.loads(pickle.dumps(many[p.case.id].make))())
        first = arrays(p.make())
        assert np.array_equal(first[1], again[1])
        assert all(np.array_equal(first[0][name], again[0][name]) for name in FOUR)


def test_volumes_are_what_the_task_declares() -> None:
    files = made("canary-000")
    assert set(files.inputs) == set(FOUR) == {s.slug for s in TASK.inputs} - {"ct"}
    images, labels = arrays(files)
    assert {a.shape for a in images.values()} == {(48, 64, 64)} == {labels.shape}
    assert {a.dtype for a in images.values()} == {np.dtype(np.int16)} and labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    volume = files.references["tumour"]
    assert volume.spacing == (3.0, 2.75, 2.75)
    np.testing.assert_allclose(volume.point([23.5, 31.5, 31.5]), 0, atol=1e-6)
    # One brain mask for all contrasts, and no label outside it.
    masks = [a > 0 for a in images.values()]
    assert all(np.array_equal(masks[0], mask) for mask in masks)
    assert not labels[~masks[0]].any()


def test_the_planted_shares_and_rates() -> None:
    plan = data.phantom()
    rows = {s: [p.case for p in plan.cases if p.case.split == s] for s in ("train", "val", "canary", "test")}
    assert {s: len(r) for s, r in rows.items()} == {"train": 48, "val": 8, "canary": 3, "test": 24}
    for name, shares in phantom.TRAIN_BLOCK.items():
        assert sum(shares.values()) == 48
        assert Counter(c.attributes[name] for c in rows["train"]) == shares
        assert plan.truth["shares"]["train"][name] == dict(sorted(shares.items()))
    test = [c.attributes for c in rows["test"]]
    for name, n in (("sex", 12), ("scanner", 12), ("site", 8), ("age_band", 8)):
        assert set(Counter(r[name] for r in test).values()) == {n}, name
    for a, b, n in (("site", "scanner", 4), ("site", "sex", 4), ("scanner", "sex", 6), ("site", "age_band", 8 / 3)):
        pairs = Counter((r[a], r[b]) for r in test)
        assert all(abs(count - n) <= 1 for count in pairs.values()), (a, b, pairs)
    people = plan.truth["patients"]
    for split in ("train", "test"):
        for band, rate in plan.truth["rates"]["non_enhancing"]["age_band"].items():
            mine = [people[c.id]["kind"] for c in rows[split] if c.attributes["age_band"] == band]
            assert mine.count("non_enhancing") == round(rate * len(mine)), (split, band)
        for sex, rate in plan.truth["rates"]["satellite"]["sex"].items():
            mine = [people[c.id]["satellites"] for c in rows[split] if c.attributes["sex"] == sex]
            assert sum(mine) == round(rate * len(mine)), (split, sex)
        # Neither stands in for the other: silent tumours are shared by the sexes, satellites by the sites.
        silent = Counter(c.attributes["sex"] for c in rows[split] if people[c.id]["kind"] == "non_enhancing")
        assert abs(silent["female"] - silent["male"]) <= 1
        more = Counter(c.attributes["site"] for c in rows[split] if people[c.id]["satellites"])
        if split == "test":
            assert max(more.values()) - min(more.values()) <= 1
    for case in (c for r in rows.values() for c in r):
        first, last = phantom.AGES[case.attributes["age_band"]]
        assert first <= int(case.attributes["age"]) <= last


def test_bad_options_are_refused_in_words() -> None:
    for options in ({"size": 16}, {"size": 66}, {"size": 200}, {"cases": {"train": -1}}, {"cases": {"exam": 3}}):
        with pytest.raises(UsageError) as error:
            data.phantom(**options)
        assert error.value.expected


# Tumours


def test_womens_tumours_are_smaller_by_what_truth_says() -> None:
    volumes = {
        sex: [
            np.prod(tumour.draw(("v", i), sex=sex, kind="enhancing", satellite=False).foci[0].radii) for i in range(40)
        ]
        for sex in ("female", "male")
    }
    ratio = np.array(volumes["female"]) / np.array(volumes["male"])
    np.testing.assert_allclose(
        ratio, data.phantom(cases=dict.fromkeys(SMALL, 0)).truth["sizes"]["core_volume_female_to_male"]
    )


def test_every_tumour_lies_in_the_brain_and_has_what_its_kind_has() -> None:
    plan = data.phantom()
    for p in plan.cases[::6]:
        who = plan.truth["patients"][p.case.id]
        _, labels = arrays(made(p.case.id))
        voxel = 3 * 2.75 * 2.75 / 1000
        core, oedema, enhancing = (np.isin(labels, k).sum() * voxel for k in ([1, 3], [2], [3]))
        assert 0.5 * who["core_ml"] < core < 1.9 * who["core_ml"] + 1.5, p.case.id
        assert oedema > 0.5
        assert (enhancing == 0) == (who["kind"] == "non_enhancing"), p.case.id
        if who["kind"] == "ring":
            # The rim lies around the necrosis: what touches necrosis is mostly enhancing tumour.
            necrosis = labels == 1
            if necrosis.sum() > 20:
                shell = ndimage.binary_dilation(necrosis) & ~necrosis
                assert (labels[shell] == 3).mean() > 0.6
        # No oedema without a core.
        parts, n = ndimage.label(labels > 0, np.ones((3, 3, 3)))
        assert all(np.isin(labels[parts == k], [1, 3]).any() for k in range(1, n + 1))
        assert n <= 1 + who["satellites"] + 1


def test_satellites_are_lesions_of_their_own() -> None:
    for i in range(30):
        main, small = tumour.draw(("s", i), sex="male", kind="enhancing", satellite=True).foci
        apart = math.dist(main.centre, small.centre)
        assert apart > max(main.radii) * 0.75 + max(small.radii) + 5
        assert max(small.radii) < min(main.radii) + 1


def test_the_brain_gives_way_to_the_tumour() -> None:
    """Along a ray from the lesion, tissue is shown farther out than it would lie without mass effect, and the skull stays."""
    grid = phantom.grid_of(64)
    lesion = tumour.draw(("push",), sex="male", kind="enhancing", satellite=False)
    space = place(grid)
    cavity = np.full(grid.shape, -40.0, np.float32)
    pushed = tumour.pushed(space, lesion, cavity)
    c = lesion.foci[0].centre
    before = np.sqrt((space.x - c[0]) ** 2 + (space.y - c[1]) ** 2 + (space.z - c[2]) ** 2)
    after = np.sqrt((pushed.x - c[0]) ** 2 + (pushed.y - c[1]) ** 2 + (pushed.z - c[2]) ** 2)
    assert (after <= before + 1e-3).all()
    ring = (before > 12) & (before < 18)
    assert (before - after)[ring].mean() > 1
    still = tumour.pushed(space, lesion, np.zeros(grid.shape, np.float32))
    np.testing.assert_allclose(still.x, space.x)


# Contrasts


def test_signals_by_hand() -> None:
    white = contrasts.RELAXATION["1.5T"]["white_matter"]  # T1 500, T2 70, PD .77
    # FLASH 18 ms, 30°: E1 = exp(−.036) = .964640; .77·.5·.035360/(1 − .835403)
    assert contrasts.t1_weighted(white, "1.5T") == pytest.approx(0.082710, rel=1e-4)
    # Spin echo: .77·(1 − e^−9)·e^(−100/70)
    assert contrasts.t2_weighted(white) == pytest.approx(0.77 * (1 - math.exp(-9)) * math.exp(-100 / 70), rel=1e-12)
    fluid = contrasts.RELAXATION["1.5T"]["csf"]
    assert contrasts.inversion_time(fluid) == pytest.approx(
        2569 * math.log(2 / (1 + math.exp(-9000 / 2569))), rel=1e-12
    )
    assert contrasts.fluid_attenuated(fluid, fluid) == pytest.approx(0, abs=1e-12)  # fluid is nulled


@pytest.mark.parametrize("scanner", ["1.5T", "3T"])
def test_contrasts_are_a_radiologists(scanner: str) -> None:
    p = contrasts.palettes(scanner, 0.3, np.random.default_rng(0))
    assert p["t1n"]["csf"] < p["t1n"]["grey_matter"] < p["t1n"]["white_matter"]
    assert p["t2w"]["white_matter"] < p["t2w"]["grey_matter"] < p["t2w"]["oedema"] < p["t2w"]["csf"]
    flair = p["t2f"]
    assert flair["csf"] < 0.02 < flair["white_matter"] < flair["grey_matter"] * 1.02 < flair["oedema"]
    assert flair["lesion"] > 0.9 * flair["oedema"]  # the distractor is as bright as the tumour
    for name in ("enhancing", "vessel", "choroid", "dura"):
        assert p["t1c"][name] > 1.3 * p["t1n"][name], name
    for name in ("white_matter", "grey_matter", "csf", "oedema", "necrosis", "solid"):
        assert p["t1c"][name] == p["t1n"][name], name
    silent = contrasts.palettes(scanner, 1.0, np.random.default_rng(0))
    assert silent["t1c"]["enhancing"] == silent["t1n"]["enhancing"]
    assert p["t1n"]["haemorrhage"] > p["t1n"]["white_matter"]  # bright before contrast agent: a trap for a threshold


def test_noise_bias_and_the_dark_outside() -> None:
    grid = phantom.grid_of(64)
    flat, inside = np.ones(grid.shape, np.float32), np.ones(grid.shape, bool)
    inside[:3] = False
    worst = 0.0
    for scanner in ("1.5T", "3T"):
        for site in "ABC":
            q = contrasts.quality(scanner, site)
            worst = max(worst, q.noise)
            key = ("noise", scanner, site)
            image, clean = (
                contrasts.scan(flat, grid, "t2f", inside, key, quality).astype(float)
                for quality in (q, contrasts.Quality(q.bias, 0.0, q.blur))
            )
            assert not image[:3].any() and (image[3:] > 0).all()
            noise = (image - clean)[3:]
            assert noise.std() / clean[3:].mean() == pytest.approx(q.noise / 100, rel=0.12)
            spread = clean[3:].max() / clean[3:].min()
            full = (1 + q.bias / 2) / (1 - q.bias / 2)
            assert 1 + 0.6 * (full - 1) < spread <= full * 1.01
    assert worst <= 5.0 and contrasts.quality("1.5T", "C").bias == 0.40
    for worse, better in (("C", "B"), ("B", "A")):
        a, b = contrasts.quality("3T", worse), contrasts.quality("3T", better)
        assert a.noise > b.noise and a.bias > b.bias and a.blur > b.blur
    assert contrasts.quality("1.5T", "A").noise > contrasts.quality("3T", "A").noise


# What makes it honest


def test_there_are_distractors() -> None:
    canvas, inside, _, _ = painted(age=80, n=5)
    labels = np.where(inside, canvas.labels, 0)
    voxel = 3 * 2.75 * 2.75 / 1000
    assert where(labels, "lesion").sum() * voxel > 2  # white-matter lesions of the old, in ml
    assert where(labels, "vessel", "blood").sum() > 60
    young, mask, _, _ = painted(age=25, n=5)
    assert where(np.where(mask, young.labels, 0), "lesion").sum() < where(labels, "lesion").sum()
    # Seen from T1 after contrast agent, vessels are nearly as bright as the tumour's rim.
    bright = canvas.layers["t1c"][where(labels, "vessel", "blood", "choroid")]
    rim = canvas.layers["t1c"][where(labels, "enhancing")]
    assert np.median(bright) > 0.65 * np.median(rim)


def test_what_enhances_shows_in_the_subtraction_only_when_it_takes_up() -> None:
    for uptake, low, high in ((0.3, 0.4, 2.0), (1.0, -1e-4, 1e-4)):
        canvas, _, _, _ = painted(uptake=uptake)
        rim = where(canvas.labels, "enhancing")
        difference = (canvas.layers["t1c"] - canvas.layers["t1n"])[rim]
        assert low < np.median(difference) < high


def test_no_single_threshold_solves_it() -> None:
    """The best FLAIR threshold of all, chosen on the very case, stays below what a careful method reaches."""
    scores = []
    for i in range(0, 24, 3):
        images, labels = arrays(made(f"test-{i:03d}"))
        flair, truth = images["t2f"], labels > 0
        levels = np.quantile(flair[flair > 0], np.linspace(0.5, 0.995, 40))
        scores.append(max(2 * (truth & (flair > t)).sum() / (truth.sum() + (flair > t).sum()) for t in levels))
    assert 0.45 < np.mean(scores) < 0.82


def test_the_reference_itself_is_perfect_and_nothing_is_worst() -> None:
    """Every metric of the task on every kind of tumour: perfect for the reference, not perfect for an empty output."""
    plan = data.phantom()
    kinds = {plan.truth["patients"][p.case.id]["kind"]: p.case.id for p in plan.cases[::6]}
    assert {"ring", "non_enhancing"} <= set(kinds)
    for kind, id in kinds.items():
        _, labels = arrays(made(id))
        perfect = CaseInputs(labels, labels, None, (3.0, 2.75, 2.75))
        nothing = CaseInputs(labels, np.zeros_like(labels), None, (3.0, 2.75, 2.75))
        for used in TASK.metrics:
            metric = metrics.find(used.name)
            best = 1.0 if metric.direction == "higher" else 0.0
            assert metric.evaluate(perfect, used.options).value == pytest.approx(best), (kind, used.id)
            if not (used.id.endswith("_et") and kind == "non_enhancing"):
                assert metric.evaluate(nothing, used.options).value != best, (kind, used.id)


def test_regions_are_those_of_brats() -> None:
    labels = {"wt": [1, 2, 3], "tc": [1, 3], "et": [3]}
    for used in TASK.metrics:
        assert used.options["labels"] == labels[used.id[-2:]]
    assert [m for m in TASK.ranking.metrics if m.startswith("dice")] == ["dice_wt", "dice_tc", "dice_et"]
    assert TASK.metric("lesion_f1_wt").options["dilation"] == 3


def test_larger_grids_show_the_same_brain() -> None:
    coarse, fine = made("canary-000", 64), made("canary-000", 128)
    truth = fine.references["tumour"].array > 0
    pooled = truth.reshape(48, 2, 64, 2, 64, 2).mean(axis=(1, 3, 5)) > 0.5
    small = coarse.references["tumour"].array > 0
    assert 2 * (pooled & small).sum() / (pooled.sum() + small.sum()) > 0.8
