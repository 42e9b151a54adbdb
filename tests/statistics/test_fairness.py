"""The audit as a whole: who is shown, what counts, what is found, what is said."""

import numpy as np
import people
import pytest
from scipy import stats

from benchmark import audit
from benchmark.contract import Case
from benchmark.errors import DataError
from benchmark.metrics.classification import Labelled
from benchmark.metrics.points import Scan
from benchmark.statistics import fairness as statistics
from benchmark.statistics import population
from benchmark.statistics.fairness import FPR, TPR

F15, F3 = {"sex": "female", "scanner": "1.5T"}, {"sex": "female", "scanner": "3T"}
M15, M3 = {"sex": "male", "scanner": "1.5T"}, {"sex": "male", "scanner": "3T"}
BALANCED = [(12, F15), (12, F3), (12, M15), (12, M3)]


def by_scanner(case: Case) -> float:
    return 30.0 if case.attributes.get("scanner") == "1.5T" else 25.0


def test_planted_gap_is_found_and_the_absent_one_is_not() -> None:
    cases = people.cases(*BALANCED)
    people_, (found,) = audit.fairness(people.task(), cases, "real", [people.table(cases, by_scanner)])
    assert [p.name for p in people_.partitions] == ["sex", "scanner", "sex*scanner"]
    gap = found.gap("scanner", "mae")
    assert (gap.worst, gap.best) == ("1.5T", "3T")
    assert gap.gap == pytest.approx(5, abs=1) and gap.more_than_chance and gap.p_holm is not None
    assert gap.null_high is not None and gap.null_high < gap.gap
    assert not found.gap("sex", "mae").more_than_chance
    assert found.gap("scanner", "psnr").worst == "1.5T"  # more is better there
    assert any("Scanner" in s and "MAE" in s and "1.5T" in s for s in found.findings)
    assert found.tests == 6


def test_values_and_intervals_are_those_of_the_group() -> None:
    cases = people.cases(*BALANCED)
    rows = people.table(cases, by_scanner)
    _, (found,) = audit.fairness(people.task(), cases, "real", [rows])
    women = {case.id for case in cases if case.attributes["sex"] == "female"}
    values = np.array([row.value for row in rows if row.metric == "mae" and row.case in women])
    cell = found.gap("sex", "mae").value("female")
    assert (cell.value, cell.n, cell.n_worst) == (pytest.approx(values.mean()), 24, 0)
    low, high = stats.t.interval(0.95, 23, values.mean(), stats.sem(values))
    assert cell.low == pytest.approx(low, abs=0.25) and cell.high == pytest.approx(high, abs=0.25)
    assert "BCa" in cell.method


def test_a_model_that_fails_on_one_group_shows_it() -> None:
    cases = people.cases(*BALANCED)
    failed = [case.id for case in cases if case.attributes["sex"] == "male"][:20]
    _, (found,) = audit.fairness(people.task(), cases, "real", [people.table(cases, lambda c: 25.0, failed=failed)])
    gap = found.gap("sex", "mae")
    assert gap.worst == "male" and gap.more_than_chance
    assert gap.value("male").n_worst == 20 and gap.value("male").n == 24
    assert gap.value("male").value == pytest.approx((20 * 4024 + 4 * 25) / 24, rel=0.01)


def test_unknown_is_a_group_of_its_own_and_in_no_gap() -> None:
    cases = people.cases(*BALANCED, (11, {"sex": "unknown", "scanner": "3T"}), (1, {"scanner": "3T"}))
    rows = people.table(cases, lambda c: 1000.0 if c.attributes.get("sex", "unknown") == "unknown" else 25.0)
    who, (found,) = audit.fairness(people.task(), cases, "real", [rows])
    group = who.partition("sex").groups[-1]
    assert (group.name, group.n, group.unknown, group.compared) == ("unknown", 12, True, False)
    gap = found.gap("sex", "mae")
    assert gap.value("unknown").value == pytest.approx(1000, abs=1)
    assert gap.gap is not None and gap.gap < 2 and {gap.best, gap.worst} == {"female", "male"}
    assert "Sex: not known for 12 of 60 cases; they are in no gap." in who.unmeasurable


def test_small_groups_have_no_number_anywhere() -> None:
    cases = people.cases((20, F3), (15, M3), (4, {"sex": "diverse", "scanner": "3T"}))
    rows = people.table(cases, lambda c: 777.0 if c.attributes["sex"] == "diverse" else 25.0)
    who, (found,) = audit.fairness(people.task(), cases, "real", [rows])
    sex = {group.name: group for group in who.partition("sex").groups}
    assert sex["diverse"].suppressed == "small" and sex["diverse"].n is None and sex["diverse"].patients is None
    assert sex["male"].suppressed == "complementary"  # else the four follow from the total
    gap = found.gap("sex", "mae")
    assert gap.value("diverse").value is None and gap.value("male").value is None and gap.gap is None
    text = found.model_dump_json() + who.model_dump_json()
    assert "777" not in text and "776" not in text
    phantoms, (shown,) = audit.fairness(people.task(), cases, "phantom", [rows])
    assert phantoms.partition("sex").groups[1].suppressed == ""  # phantoms are nobody's images
    assert shown.gap("sex", "mae").gap is not None


def test_missing_attributes_are_said() -> None:
    cases = people.cases((20, {"sex": "female", "scanner": "3T"}))
    who, (found,) = audit.fairness(people.task(), cases, "real", [people.table(cases, lambda c: 1.0)])
    assert "Scanner: no case is 1.5T." in who.unmeasurable
    assert any(s.startswith("Sex: no gap.") for s in who.unmeasurable)
    assert found.tests == 0 and found.findings == ("No gap could be tested.",)


def test_confounded_attributes_are_named_and_tested_with_the_other_held_fixed() -> None:
    cases = people.cases((22, F15), (6, F3), (6, M15), (22, M3))
    who, (found,) = audit.fairness(people.task(), cases, "real", [people.table(cases, by_scanner)])
    (link,) = who.associations
    assert link.strong and link.cramers_v == pytest.approx(0.56, abs=0.05) and link.p < 0.01
    assert link.sentence.startswith("Sex and Scanner go together")
    sex, scanner = found.gap("sex", "mae"), found.gap("scanner", "mae")
    assert sex.more_than_chance and scanner.more_than_chance  # by themselves both look like gaps
    assert sex.given[0].attribute == "scanner" and sex.given[0].p > 0.05 and "may be Scanner's" in sex.note
    assert scanner.given[0].p < 0.01 and "Also with Sex held fixed" in scanner.note


def test_within_strata_labels_are_traded_where_the_task_is_stratified() -> None:
    cases = people.cases((22, F15), (6, F3), (6, M15), (22, M3))
    _, (found,) = audit.fairness(people.task(stratify="scanner"), cases, "real", [people.table(cases, by_scanner)])
    assert found.gap("sex", "mae").within == "scanner" and not found.gap("sex", "mae").more_than_chance
    assert found.gap("scanner", "mae").within == "" and found.gap("scanner", "mae").more_than_chance


def test_listing_cases_or_submissions_otherwise_changes_nothing() -> None:
    cases = people.cases(*BALANCED)
    tables = [people.table(cases, by_scanner, seed) for seed in range(3)]
    _, a = audit.fairness(people.task(), cases, "real", tables)
    order = np.random.default_rng(0).permutation(len(cases))
    _, b = audit.fairness(people.task(), [cases[i] for i in order], "real", [tables[i][::-1] for i in (2, 0, 1)])
    for one, other in zip([a[2], a[0], a[1]], b, strict=True):
        for x, y in zip(one.gaps, other.gaps, strict=True):
            assert (x.p, x.best, x.worst) == (y.p, y.best, y.worst)
            assert x.gap == pytest.approx(y.gap, rel=1e-12) and x.gap_low == pytest.approx(y.gap_low, rel=1e-9)


def test_measures_tested_one_at_a_time_are_those_tested_together(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sex and scanner go together: one is held fixed for the other.
    cases = people.cases((12, F15), (4, F3), (4, M15), (12, M3))
    tables = [people.table(cases, by_scanner, seed) for seed in range(3)]
    together = audit.fairness(people.task(), cases, "real", tables)
    assert any(gap.given for gap in together[1][0].gaps)
    monkeypatch.setattr(statistics, "COLUMNS", 3)
    assert audit.fairness(people.task(), cases, "real", tables) == together


def test_patients_with_several_cases_count_once() -> None:
    cases = [
        Case(id=f"c{i:03d}", split="test", attributes={"patient": f"p{i // 6:02d}", **(F3 if i // 6 % 2 else M3)})
        for i in range(72)
    ]
    who = population.group(people.task(cluster="patient"), cases, "real").population
    assert (who.n, who.patients) == (72, 12)
    assert {group.suppressed for group in who.partition("sex").groups} == {"small"}  # six patients each
    who = population.group(people.task(cluster="patient"), cases, "phantom").population
    assert [group.patients for group in who.partition("sex").groups] == [6, 6]


def test_family_wise_error_of_whole_audits_is_held() -> None:
    """Six correlated gaps a submission, none planted: any finding is false, in at most 5 % of submissions (three standard errors)."""
    cases = people.cases(*BALANCED)
    trials = 240
    tables = [people.table(cases, lambda c: 25.0, seed) for seed in range(trials)]
    _, found = audit.fairness(people.task(), cases, "real", tables, permutations=999)
    false = np.mean([any(gap.more_than_chance for gap in one.gaps) for one in found])
    assert false <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


DETECT = {
    "outputs": [{"slug": "out", "kind": "points", "path": "points.json"}],
    "metrics": [{"name": "scan_auc"}, {"name": "scan_sensitivity"}],
    "ranking": {"metrics": ["scan_auc"]},
}


def scans(cases: list[Case], sensitivity: dict[str, float]) -> list[Scan]:
    """Every other scan has a lesion; it is found (0.9) as often as its group's sensitivity says, in turn."""
    made, seen = [], dict.fromkeys(sensitivity, 0)
    for i, case in enumerate(cases):
        if i % 2:
            made.append(Scan(np.array([]), np.array([0.3]), 0.3))
            continue
        sex = case.attributes["sex"]
        seen[sex] += 1
        hit = 0.9 if (seen[sex] * sensitivity[sex]) % 1 < sensitivity[sex] - 1e-9 or sensitivity[sex] == 1 else 0.1
        made.append(Scan(np.array([hit]), np.array([]), hit))
    return made


def test_rates_of_detection_by_group() -> None:
    cases = people.cases((40, F3), (40, M3))
    found_scans = scans(cases, {"female": 1.0, "male": 0.5})
    parts = {"scan_auc": found_scans, "scan_sensitivity": found_scans}
    _, (found,) = audit.fairness(people.task(**DETECT), cases, "real", [[]], [parts])
    rate = found.gap("sex", TPR)
    assert [cell.value for cell in rate.values] == [1.0, 0.5] and [cell.n for cell in rate.values] == [20, 20]
    expected = stats.binomtest(10, 20).proportion_ci(method="wilson")
    assert rate.value("male").low == pytest.approx(expected.low) and rate.value("male").method == "wilson"
    assert rate.more_than_chance and rate.worst == "male"
    assert found.gap("sex", FPR).gap == 0
    assert found.odds[0].difference == 0.5 and found.odds[0].fpr_gap == 0
    assert found.gap("sex", "scan_sensitivity").gap == pytest.approx(0.5)
    auc = found.gap("sex", "scan_auc")
    assert auc.value("female").value == 1.0 and auc.value("male").value == pytest.approx(0.5)


def test_a_missing_scan_is_called_wrong() -> None:
    cases = people.cases((40, F3), (40, M3))
    gone = Scan(np.array([-np.inf]), np.array([]), -np.inf, missing=True)
    empty = Scan(np.array([]), np.array([]), -np.inf, missing=True)
    good = scans(cases, {"female": 1.0, "male": 1.0})
    broken = [
        (gone if scan.positive else empty) if case.attributes["sex"] == "male" else scan
        for case, scan in zip(cases, good, strict=True)
    ]
    parts = {"scan_auc": broken, "scan_sensitivity": broken}
    _, (found,) = audit.fairness(people.task(**DETECT), cases, "real", [[]], [parts])
    assert found.gap("sex", TPR).value("male").value == 0 and found.gap("sex", FPR).value("male").value == 1
    assert found.odds[0].difference == 1


def test_rates_need_enough_of_their_class() -> None:
    cases = people.cases((40, F3), (40, M3))
    labels = [Labelled(int(i < 20 or 40 <= i < 43), (0.2, 0.8) if i % 3 else (0.8, 0.2)) for i in range(80)]
    task = people.task(
        outputs=[{"slug": "out", "kind": "value", "path": "out.json"}],
        metrics=[{"name": "auc"}],
        ranking={"metrics": ["auc"]},
    )
    _, (found,) = audit.fairness(task, cases, "real", [[]], [{"auc": labels}])
    rate = found.gap("sex", TPR)
    assert rate.value("male").value is None and "3 of the 5" in rate.value("male").reason
    assert rate.gap is None and rate.value("female").value is not None
    assert found.gap("sex", FPR).gap is not None and not found.odds
    assert found.gap("sex", "auc").value("male").value is None


def test_set_metrics_without_parts_are_named_as_not_measured() -> None:
    cases = people.cases((40, F3), (40, M3))
    _, (found,) = audit.fairness(people.task(**DETECT), cases, "real", [[]])
    assert found.gaps == () and len(found.unmeasurable) == 2
    assert "AUC (scans) has no value by case" in found.unmeasurable[0]


def test_a_table_that_lacks_a_case_is_refused() -> None:
    cases = people.cases(*BALANCED)
    with pytest.raises(DataError, match="no mae of case c000"):
        audit.fairness(people.task(), cases, "real", [people.table(cases[1:], by_scanner)])


def test_a_row_of_a_crossing_does_not_leave_a_few_people_over() -> None:
    #           1.5T   3T   7T
    #   female   12     3    3     six women follow from the row's total: 12 more are withheld
    #   male     20    20   20
    #   other    20     4    4
    rows = {"female": (12, 3, 3), "male": (20, 20, 20), "other": (20, 4, 4)}
    cases = people.cases(
        *(
            (n, {"sex": sex, "scanner": scanner})
            for sex, row in rows.items()
            for scanner, n in zip(("1.5T", "3T", "7T"), row, strict=True)
        )
    )
    who = population.group(people.task(), cases, "real").population
    cells = {group.name: group.suppressed for group in who.partition("sex*scanner").groups}
    assert cells["female × 3T"] == cells["female × 7T"] == "small"
    assert cells["female × 1.5T"] == "complementary"
    assert [group.suppressed for group in who.partition("sex").groups] == ["", "", ""]
