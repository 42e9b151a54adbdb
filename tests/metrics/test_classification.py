"""Classification metrics and their intervals against scikit-learn, torchmetrics and scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from benchmark.errors import DataError
from benchmark.metrics import REGISTRY, CaseInputs, classification, find, roc

NAMES = sorted(name for name, metric in REGISTRY.items() if metric.family == "classification")


def value(name, truth, predictions, weights=None, **options):
    metric = find(name)
    merged = {**metric.options, **options}
    parts = [metric.collect(CaseInputs(t, p), **merged) for t, p in zip(truth, predictions, strict=True)]
    return metric.reduce(parts, np.ones(len(parts)) if weights is None else weights, **merged)


def binary(seed, n=80):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    return truth, np.clip(rng.normal(0.4 + 0.2 * truth, 0.25), 0, 1).round(2)


def graded(seed, n=120, classes=5):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    p = (
        rng.dirichlet(np.ones(classes), n)
        + 0.5 * np.eye(classes)[np.clip(truth + rng.integers(-1, 2, n), 0, classes - 1)]
    )
    return truth, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_binary_against_sklearn_and_torchmetrics(seed):
    truth, p = binary(seed)
    called = p >= 0.45
    assert value("auc", truth, p).value == pytest.approx(sk.roc_auc_score(truth, p))
    assert value("average_precision", truth, p).value == pytest.approx(sk.average_precision_score(truth, p))
    assert value("sensitivity", truth, p, threshold=0.45).value == pytest.approx(sk.recall_score(truth, called))
    assert value("specificity", truth, p, threshold=0.45).value == pytest.approx(sk.recall_score(1 - truth, ~called))
    strict = p > 0.5  # 0.5 against 0.5: the lower class
    assert value("balanced_accuracy", truth, p).value == pytest.approx(sk.balanced_accuracy_score(truth, strict))
    assert value("accuracy", truth, p).value == pytest.approx(sk.accuracy_score(truth, strict))
    assert value("quadratic_kappa", truth, p).value == pytest.approx(
        sk.cohen_kappa_score(truth, strict, weights="quadratic")
    )
    assert value("brier", truth, p).value == pytest.approx(sk.brier_score_loss(truth, p))
    fpr, tpr, _ = sk.roc_curve(truth, p, drop_intermediate=False)
    assert value("sensitivity_at_specificity", truth, p, specificity=0.8).value == pytest.approx(
        tpr[fpr <= 0.2 + 1e-12].max()
    )
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import binary_calibration_error

    want = binary_calibration_error(torch.tensor(np.minimum(p + 1e-9, 1)), torch.tensor(truth), n_bins=15).item()
    assert value("ece", truth, np.minimum(p + 1e-9, 1)).value == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_several_classes_against_sklearn_and_torchmetrics(seed):
    truth, p = graded(seed)
    predictions, best = p.tolist(), p.argmax(axis=1)
    assert value("auc", truth, predictions).value == pytest.approx(sk.roc_auc_score(truth, p, multi_class="ovr"))
    ap = np.mean([sk.average_precision_score(truth == k, p[:, k]) for k in range(5)])
    assert value("average_precision", truth, predictions).value == pytest.approx(ap)
    assert value("balanced_accuracy", truth, predictions).value == pytest.approx(
        sk.balanced_accuracy_score(truth, best)
    )
    assert value("quadratic_kappa", truth, predictions).value == pytest.approx(
        sk.cohen_kappa_score(truth, best, weights="quadratic")
    )
    assert value("brier", truth, predictions).value == pytest.approx(
        ((p - np.eye(5)[truth]) ** 2).sum(axis=1).mean() / 2
    )
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import multiclass_calibration_error

    want = multiclass_calibration_error(torch.tensor(p), torch.tensor(truth), num_classes=5, n_bins=15).item()
    assert value("ece", truth, predictions).value == pytest.approx(want, abs=1e-6)


def test_ways_to_write_a_prediction():
    assert classification.parse_probabilities(0.25) == (0.75, 0.25)
    assert classification.parse_probabilities([0.25]) == (0.75, 0.25)
    assert classification.parse_probabilities({"probability": 1}) == (0.0, 1.0)
    assert classification.parse_probabilities({"probabilities": [0.2, 0.3, 0.5]}) == pytest.approx((0.2, 0.3, 0.5))
    assert classification.parse_label({"label": 2}) == classification.parse_label(2.0) == 2


BAD = [None, "x", float("nan"), float("inf"), -0.1, 1.1, [], [0.9, 0.9], [[0.5, 0.5]], {"p": 1}, [0.5, None], {}]


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_missing_prediction_is_the_worst_there_is(name, bad):
    truth, p = binary(1, 30)
    metric = find(name)
    plain = value(name, truth, p)
    for k in (int(np.argmax(truth == 0)), int(np.argmax(truth == 1))):
        got = value(name, truth, [bad if i == k else v for i, v in enumerate(p)])
        if name == "ece":
            continue  # calibration of one case can lower or raise the whole
        assert got.value <= plain.value + 1e-12 if metric.direction == "higher" else got.value >= plain.value - 1e-12
    everything = value(name, truth, [bad] * len(truth))
    assert everything.value == pytest.approx(metric.worst, abs=0.08)  # kappa is −1 only for balanced classes
    if name not in ("quadratic_kappa", "average_precision"):
        assert everything.value == pytest.approx(metric.worst)


@pytest.mark.parametrize("bad", [None, "x", -1, 0.5, float("nan"), {"class": 1}, [1, 2]], ids=str)
def test_an_unusable_label_is_a_data_error(bad):
    with pytest.raises(DataError):
        classification.parse_label(bad)


@pytest.mark.parametrize("name", NAMES)
def test_where_a_class_is_absent(name):
    metric = find(name)
    for truth, p in [([], []), ([1, 1], [0.9, 0.2]), ([0], [0.1]), ([3, 3], [0.1, 0.9])]:
        got = value(name, truth, p)
        assert metric.range[0] <= got.value <= metric.range[1] and np.isfinite(got.value)
        assert got.status == "ok" or (got.status == "ref_empty" and got.value == metric.worst)
    assert value("auc", [1, 1], [0.9, 0.2]).status == "ref_empty"
    assert value("quadratic_kappa", [1, 1], [0.9, 0.9]).value == 1.0
    for options in ({"bins": 0}, {"bins": 1.5}):
        with pytest.raises(DataError):
            value("ece", [0, 1], [0.1, 0.9], **options)
    with pytest.raises(DataError):
        value("sensitivity_at_specificity", [0, 1], [0.1, 0.9], specificity=2)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from(NAMES), st.booleans())
def test_bounded_and_a_bootstrap_is_a_reweighting(seed, n, name, several):
    truth, p = graded(seed, n, 3) if several else binary(seed, n)
    metric = find(name)
    parts = [metric.collect(CaseInputs(int(t), q.tolist()), **metric.options) for t, q in zip(truth, p, strict=True)]
    counts = np.random.default_rng(seed).integers(0, 3, n).astype(float)
    if several and name in ("auc", "average_precision", "brier", "ece", "quadratic_kappa"):
        counts = np.maximum(counts, 1)  # the classes of the set stay the classes of the draw
    repeated = [part for part, k in zip(parts, counts, strict=True) for _ in range(int(k))]
    got, want = (
        metric.reduce(parts, counts, **metric.options),
        metric.reduce(repeated, np.ones(len(repeated)), **metric.options),
    )
    assert got.status == want.status and got.value == pytest.approx(want.value, abs=1e-9)
    assert metric.range[0] - 1e-12 <= got.value <= metric.range[1] + 1e-12


@pytest.mark.parametrize("name", [n for n in NAMES if n != "ece"])
def test_perfect(name):
    best = 1.0 if find(name).direction == "higher" else 0.0
    assert value(name, [0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0]).value == best
    assert value(name, [0, 1, 2], np.eye(3).tolist()).value == best


# --- intervals -----------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_proportion_intervals_equal_scipy(n, share, level):
    k = round(n * share)
    exact = binomtest(k, n).proportion_ci(level, method="exact")
    assert roc.clopper_pearson(k, n, level)[:2] == pytest.approx((exact.low, exact.high), abs=1e-9)
    score = binomtest(k, n).proportion_ci(level, method="wilson")
    assert roc.wilson(k, n, level)[:2] == pytest.approx((score.low, score.high), abs=1e-9)


def test_no_trial_says_nothing():
    assert roc.wilson(0, 0)[:2] == roc.clopper_pearson(0, 0)[:2] == (0.0, 1.0)


def delong_by_definition(truth, score):
    """Placement values by the double loop of the 1988 paper."""
    ones, zeros = score[truth == 1], score[truth == 0]
    kernel = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    v10, v01 = kernel.mean(axis=1), kernel.mean(axis=0)
    return kernel.mean(), v10.var(ddof=1) / len(ones) + v01.var(ddof=1) / len(zeros)


@pytest.mark.parametrize("seed", range(5))
def test_delong_by_definition(seed):
    truth, p = binary(seed)
    auc, variance = delong_by_definition(truth, p)
    low, high, method = roc.auc_interval(truth, p)
    assert method == "delong"
    assert (low, high) == pytest.approx(
        (max(0, auc - 1.959963985 * variance**0.5), min(1, auc + 1.959963985 * variance**0.5))
    )


def test_delong_covers_what_it_should():
    """Two normal populations one standard deviation apart: the true AUC is Φ(1/√2)."""
    rng = np.random.default_rng(0)
    truth, hits = np.repeat([0, 1], 40), 0
    for _ in range(400):
        low, high, _ = roc.auc_interval(truth, rng.normal(truth, 1.0))
        hits += low <= 0.7602499389065233 <= high
    assert 0.91 <= hits / 400 <= 0.98


def test_a_perfect_classifier_is_not_certain():
    """DeLong's variance is 0 there; the interval must not shrink to a point, and must shrink with n."""
    few = roc.auc_interval([0] * 5 + [1] * 5, range(10))
    many = roc.auc_interval([0] * 50 + [1] * 50, range(100))
    assert few.method == many.method == "newcombe" and few.high == many.high == 1.0
    assert 0.5 < few.low < 0.75 < 0.9 < many.low < 1.0
    upside_down = roc.auc_interval([1] * 5 + [0] * 5, range(10))
    assert upside_down.low == 0.0 and upside_down.high == pytest.approx(1 - few.low)
    alone = roc.auc_interval([0, 1], [0.3, 0.3])
    assert alone.method == "newcombe" and 0 <= alone.low < 0.5 < alone.high <= 1
    with pytest.raises(ValueError, match="both classes"):
        roc.auc_interval([1, 1], [0.1, 0.2])


def test_scores_may_be_infinite_but_not_nan():
    assert roc.areas(roc.ranked([1, 0], [np.inf, -np.inf]), [1, 1]).auc[0] == 1.0
    with pytest.raises(ValueError, match="NaN"):
        roc.ranked([1, 0], [np.nan, 1])
