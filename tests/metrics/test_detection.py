"""FROC, CPM and rates against LUNA16's procedure spelled out with scikit-learn, and by hand."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmark.errors import DataError, SubmissionError
from benchmark.metrics import REGISTRY, CaseInputs, detection, find, points

NAMES = sorted(name for name, metric in REGISTRY.items() if metric.family == "detection")


def reference(*findings, irrelevant=()):
    make = lambda found: [{"point": list(p), "diameter": d} for p, d in found]  # noqa: E731
    return {"type": "Multiple points", "points": make(findings), "irrelevant": make(irrelevant)}


def marks(*found):
    return {"type": "Multiple points", "points": [{"point": list(p), "probability": q} for p, q in found]}


def value(name, cases, weights=None, **options):
    metric = find(name)
    merged = {**metric.options, **options}
    parts = [metric.collect(CaseInputs(a, b), **merged) for a, b in cases]
    return metric.reduce(parts, np.ones(len(parts)) if weights is None else weights, **merged)


def crowd(seed, n=25):
    """Scans with lesions, irrelevant findings, marks on and off them, doubles, ties and empty ones."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(n):
        findings = [(rng.uniform(0, 60, 3), rng.choice([4.0, 8.0, 20.0, -1.0])) for _ in range(rng.poisson(1.2))]
        irrelevant = [(rng.uniform(0, 60, 3), rng.choice([-1.0, 12.0])) for _ in range(rng.poisson(0.8))]
        where = [p + rng.normal(0, 2.5, 3) for p, _ in findings + irrelevant for _ in range(rng.integers(0, 3))]
        where += list(rng.uniform(0, 60, (rng.poisson(6), 3)))
        cases.append(
            (reference(*findings, irrelevant=irrelevant), marks(*((p, round(rng.beta(2, 3), 2)) for p in where)))
        )
    return cases


def luna16_step_by_step(cases):
    """The published evaluation: matching mark by mark, roc_curve on what is left, scaled to false positives a scan."""
    truth, probability, excluded = [], [], []
    for ref, pred in cases:
        left = dict(enumerate(pred["points"]))
        for state in ("points", "irrelevant"):
            for finding in ref[state]:
                diameter = finding["diameter"] if finding["diameter"] >= 0 else 10.0
                matches = []
                for key, mark in enumerate(pred["points"]):
                    squared = sum((x - y) ** 2 for x, y in zip(mark["point"], finding["point"], strict=True))
                    if squared < (diameter / 2) ** 2:
                        matches.append(mark["probability"])
                        left.pop(key, None)
                if state == "points":
                    truth.append(1.0)
                    probability.append(max(matches, default=-1e9))
                    excluded.append(not matches)
        truth += [0.0] * len(left)
        probability += [mark["probability"] for mark in left.values()]
        excluded += [False] * len(left)
    truth, probability, excluded = map(np.array, (truth, probability, excluded))
    fpr, tpr, _ = sk.roc_curve(truth[~excluded], probability[~excluded])
    found, false = truth[~excluded].sum(), (1 - truth[~excluded]).sum()
    fps, sens = fpr * false / len(cases), tpr * found / truth.sum()
    return fps, sens, truth, probability, excluded


@pytest.mark.parametrize("seed", range(6))
def test_equals_luna16(seed):
    cases = crowd(seed)
    fps, sens, truth, probability, excluded = luna16_step_by_step(cases)
    for rate in (0.125, 0.3, 1.0, 2.0, 4.0, 8.0):
        assert value("froc_sensitivity", cases, rate=rate).value == pytest.approx(np.interp(rate, fps, sens), rel=1e-12)
    assert value("cpm", cases).value == pytest.approx(np.interp(detection.RATES, fps, sens).mean(), rel=1e-12)
    kept = ~excluded
    assert value("candidate_auc", cases).value == pytest.approx(sk.roc_auc_score(truth[kept], probability[kept]))
    ap = sk.average_precision_score(truth[kept], probability[kept]) * truth[kept].sum() / truth.sum()
    assert value("candidate_ap", cases).value == pytest.approx(ap)
    for threshold in (0.2, 0.5):
        called = probability >= threshold
        want = {
            "candidate_sensitivity": called[truth == 1].mean(),
            "candidate_specificity": (~called[truth == 0]).mean(),
            "false_positives_per_scan": called[truth == 0].sum() / len(cases),
        }
        for name, expected in want.items():
            assert value(name, cases, threshold=threshold).value == pytest.approx(expected)
    x, y, thresholds = detection.froc_curve([points.match(*case) for case in cases])
    corners = np.abs(np.stack([x, y])[:, :, None] - np.stack([fps, sens])[:, None, :]).max(axis=0).min(axis=0)
    assert corners.max() < 1e-12  # roc_curve leaves out points within straight stretches, ours keeps them
    assert np.all(np.diff(x) >= 0) and np.all(np.diff(y) >= 0) and np.all(np.diff(thresholds) < 0)


@pytest.mark.parametrize("seed", range(3))
def test_scan_level_against_sklearn(seed):
    cases = crowd(seed, 40)
    scans = [points.match(*case) for case in cases]
    truth = [scan.positive for scan in scans]
    score = [scan.highest if np.isfinite(scan.highest) else -1 for scan in scans]
    assert value("scan_auc", cases).value == pytest.approx(sk.roc_auc_score(truth, score))
    assert value("scan_ap", cases).value == pytest.approx(sk.average_precision_score(truth, score))
    called = np.array(score) >= 0.6
    assert value("scan_sensitivity", cases, threshold=0.6).value == pytest.approx(sk.recall_score(truth, called))
    assert value("scan_specificity", cases, threshold=0.6).value == pytest.approx(
        sk.recall_score(~np.array(truth), ~called)
    )


# --- matching by hand ----------------------------------------------------------------------------------------------------


def test_matching_rules_by_hand():
    ref = reference(((0, 0, 0), 10.0), ((100, 0, 0), -1.0), irrelevant=[((50, 0, 0), 6.0)])
    scan = points.match(
        ref,
        marks(
            ((4.999, 0, 0), 0.3),  # hits the first
            ((0, 1, 0), 0.8),  # so does this: the more probable one counts
            ((5, 0, 0), 0.9),  # on the sphere: no hit, a false positive
            ((104.9, 0, 0), 0.2),  # an unknown diameter is 10 mm: hits the second
            ((52.9, 0, 0), 0.99),  # on the irrelevant finding: ignored
            ((53, 0, 0), 0.1),  # just outside it: a false positive
        ),
    )
    assert scan.hits.tolist() == [0.8, 0.2] and sorted(scan.false_positives) == [0.1, 0.9]
    assert scan.highest == 0.9 and scan.positive and not scan.missing


def test_a_mark_in_two_overlapping_lesions_finds_both():
    scan = points.match(reference(((0, 0, 0), 10), ((4, 0, 0), 10)), marks(((2, 0, 0), 0.7)))
    assert scan.hits.tolist() == [0.7, 0.7] and not scan.false_positives.size


def test_radius_and_probability_are_optional():
    ref = {"points": [{"point": [0, 0, 0], "radius": 3}]}
    scan = points.match(ref, {"points": [{"point": [2.9, 0, 0]}]})
    assert scan.hits.tolist() == [1.0]


def test_at_most_so_many_marks():
    """As LUNA16: above the probability of the first mark that is left out, so that ties with it go as well."""
    probabilities = np.array([0.9, 0.5, 0.5, 0.4, 0.7])
    assert points.strongest(probabilities, 2).tolist() == [True, False, False, False, True]
    assert points.strongest(probabilities, 3).tolist() == [True, False, False, False, True]
    assert points.strongest(probabilities, 5).all() and points.strongest(probabilities, 0).all()


def test_a_perfect_detection_scores_one():
    """PI-CAI's counts overwrite the last threshold with "infinitely many false positives" unless a missed lesion has put a
    confidence of 0 there: its sensitivity at 1 false positive a scan of one perfect detection is 0, of two 0.5. Ours is 1."""

    def picai_sensitivity(confidences):  # the counts of picai_eval 1.4.13, metrics.py, for hits only
        thresholds = np.unique(confidences)[::-1]
        tp = np.array([sum(c >= t for c in confidences) for t in thresholds], float)
        fp = np.zeros_like(tp)
        if len(tp) >= 2:
            tp[-1], fp[-1] = tp[-2], np.inf
        else:
            tp, fp = np.array([0.0, 0.0]), np.array([0.0, np.inf])
        return tp[fp <= 1].max() / len(confidences)

    one = [(reference(((0, 0, 0), 8)), marks(((0, 0, 0), 0.9)))]
    two = [*one, (reference(((0, 0, 0), 8)), marks(((0, 0, 0), 0.8)))]
    assert picai_sensitivity([0.9]) == 0.0 and picai_sensitivity([0.9, 0.8]) == 0.5
    for cases in (one, two):
        for name in ("cpm", "froc_sensitivity", "candidate_ap", "candidate_auc", "candidate_sensitivity"):
            assert value(name, cases).value == 1.0
        assert value("false_positives_per_scan", cases).value == 0.0


# --- edges ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prediction",
    [
        None,
        {},
        [],
        "points",
        {"points": 3},
        {"points": [3]},
        {"points": [{"point": [1, 2]}]},
        {"points": [{"point": [1, 2, "x"]}]},
        {"points": [{"point": [1, 2, [3]]}]},
        {"points": [{"point": [1, 2, float("nan")]}]},
        {"points": [{"point": [1, 2, 3], "probability": None}]},
        {"points": [{"point": [1, 2, 3], "probability": float("inf")}]},
    ],
)
def test_an_unusable_prediction_is_a_missing_scan(prediction):
    sick, well = reference(((0, 0, 0), 8)), reference()
    good = [(sick, marks(((0, 0, 0), 0.9))), (well, marks())]
    assert points.match(sick, prediction).missing
    cases = [*good, (sick, prediction), (well, prediction)]
    assert value("cpm", cases).value == 0.5
    assert value("scan_sensitivity", cases).value == value("scan_specificity", cases).value == 0.5
    assert value("scan_auc", cases).value == pytest.approx(0.25)  # right only where good meets good


@pytest.mark.parametrize(
    "bad",
    [
        {"points": [{"point": [0, 0, 0]}]},
        {"points": [{"point": [0, 0, 0], "diameter": float("nan")}]},
        {"points": [{"point": [0, 0, float("inf")], "diameter": 3}]},
        {"points": [{"diameter": 3}]},
        [1],
        None,
    ],
)
def test_an_unusable_reference_is_a_data_error(bad):
    with pytest.raises(DataError):
        points.match(bad, marks())


def test_far_away_marks_are_only_false():
    scan = points.match(reference(((0, 0, 0), 8)), marks(((1e300, -1e300, 0), 0.9)))
    assert scan.hits[0] == -np.inf and scan.false_positives.tolist() == [0.9]


@pytest.mark.parametrize("name", NAMES)
def test_where_a_class_is_absent(name):
    metric = find(name)
    well, sick = (reference(), marks(((0, 0, 0), 0.9))), (reference(((0, 0, 0), 8)), marks(((0, 0, 0), 0.9)))
    for cases in ([], [well], [sick], [(reference(), marks())]):
        got = value(name, cases)
        assert metric.range[0] <= got.value <= metric.range[1] and got.status in ("ok", "ref_empty")
        assert got.status == "ok" or (got.value == metric.worst and got.reason)
    if name in ("cpm", "froc_sensitivity", "scan_auc", "candidate_ap", "candidate_sensitivity"):
        assert value(name, [well]).status == "ref_empty"


def test_bad_rates():
    with pytest.raises(DataError):
        value("cpm", crowd(0), rates=[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 8), st.sampled_from(NAMES))
def test_bounded_and_a_bootstrap_is_a_reweighting(seed, n, name):
    """Weights are counts: drawing a scan twice is the same as having it twice."""
    cases = crowd(seed, n)
    metric = find(name)
    merged = dict(metric.options)
    parts = [metric.collect(CaseInputs(a, b), **merged) for a, b in cases]
    counts = np.random.default_rng(seed).integers(0, 4, n).astype(float)
    repeated = [part for part, k in zip(parts, counts, strict=True) for _ in range(int(k))]
    got = metric.reduce(parts, counts, **merged) if n else metric.reduce([], counts, **merged)
    want = metric.reduce(repeated, np.ones(len(repeated)), **merged)
    assert got.status == want.status and got.value == pytest.approx(want.value, abs=1e-12)
    assert metric.range[0] <= got.value <= metric.range[1]
    if n:
        both = metric.reduce_many(parts, np.stack([counts, np.ones(n)]), **merged)
        plain = metric.reduce(parts, np.ones(n), **merged)
        assert both[0] == pytest.approx(got.value, abs=1e-12) or (np.isnan(both[0]) and got.status == "ref_empty")
        assert both[1] == pytest.approx(plain.value, abs=1e-12) or (np.isnan(both[1]) and plain.status == "ref_empty")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_more_false_marks_never_help_and_more_hits_never_hurt(seed):
    cases = crowd(seed, 12)
    worse = [(a, {"points": [*b["points"], {"point": [999, 0, 0], "probability": 0.6}]}) for a, b in cases]
    better = [
        (a, {"points": [*b["points"], *({"point": f["point"], "probability": 1.0} for f in a["points"])]})
        for a, b in cases
    ]
    assert value("cpm", worse).value <= value("cpm", cases).value + 1e-12
    assert value("cpm", better).value >= value("cpm", cases).value - 1e-12
    assert value("cpm", better).value == pytest.approx(1.0) or not any(a["points"] for a, _ in cases)


def test_band_holds_the_curve():
    scans = [points.match(*case) for case in crowd(3, 60)]
    counts = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), 400)
    low, high = detection.froc_band(scans, counts)
    x, y, _ = detection.froc_curve(scans)
    at = np.interp(detection.RATES, x, y)
    assert np.all(low <= at) and np.all(at <= high)
    assert np.all((high - low)[3:] > 0.05)
    empty = detection.froc_band([points.match(reference(), marks())], np.ones((3, 1)))
    assert empty[0].tolist() == [0.0] * 7 and empty[1].tolist() == [1.0] * 7


def test_parts_are_small_and_can_be_pickled():
    part = points.match(*crowd(1, 1)[0])
    again = pickle.loads(pickle.dumps(part))
    assert np.array_equal(again.hits, part.hits) and again.highest == part.highest
    json.dumps(reference(((0, 0, 0), 8)))


# --- LUNA16's files ------------------------------------------------------------------------------------------------------


def test_luna16_files(tmp_path):
    (tmp_path / "a.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,1,2,3,6.5\n1.2,30,2,3,4\n9.9,0,0,0,5\n"
    )
    (tmp_path / "x.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.3,10,10,10,-1\n")
    (tmp_path / "s.csv").write_text("1.2\n1.3\n\n")
    (tmp_path / "r.csv").write_text("seriesuid,coordX,coordY,coordZ,probability\n1.2,1,2,5,0.9\n1.3,10,10,12,0.8\n")
    refs = points.read_luna16(tmp_path / "a.csv", tmp_path / "x.csv", tmp_path / "s.csv")
    assert list(refs) == ["1.2", "1.3"] and len(refs["1.2"]["points"]) == 2
    preds = points.read_luna16_marks(tmp_path / "r.csv")
    cases = [(refs[uid], preds.get(uid, points.empty_points())) for uid in refs]
    assert value("cpm", cases).value == 0.5 and value("scan_specificity", cases).value == 1.0
    assert set(points.read_luna16(tmp_path / "a.csv")) == {"1.2", "9.9"}


def test_luna16_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.csv").write_text("seriesuid,x\n1,2\n")
    with pytest.raises(DataError, match="coordX"):
        points.read_luna16(tmp_path / "a.csv")
    with pytest.raises(DataError):
        points.read_luna16(tmp_path / "none.csv")
    with pytest.raises(SubmissionError, match="probability"):
        points.read_luna16_marks(tmp_path / "a.csv")
    (tmp_path / "r.csv").write_text("seriesuid,coordX,coordY,coordZ,probability\n1,2,3,x,1\n")
    with pytest.raises(SubmissionError):
        points.read_luna16_marks(tmp_path / "r.csv")


def test_leaving_a_scan_out_is_no_way_to_gain():
    false = (reference(((0, 0, 0), 8)), marks(((0, 0, 0), 0.9), ((99, 0, 0), 0.9)))
    for name in ("false_positives_per_scan", "cpm", "scan_auc", "candidate_ap"):
        metric = find(name)
        sign = 1 if metric.direction == "higher" else -1
        well = (reference(), marks())
        given, left_out = value(name, [false, well]), value(name, [(false[0], None), well])
        assert sign * left_out.value <= sign * given.value, name
    assert value("candidate_specificity", [(false[0], None)]).value == 0
    assert value("false_positives_per_scan", [(false[0], None)]).value == 100
