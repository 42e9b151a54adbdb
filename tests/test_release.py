"""Attributes of single patients are published only where asked for and where nobody stands out."""

from typing import Any

import pytest

from benchmark import release
from benchmark.contract import Case, Task

TASK: dict[str, Any] = {
    "name": "t", "version": "1", "title": "T", "summary": "S", "modality": "CT", "anatomy": "head",
    "inputs": [{"slug": "ct", "kind": "image", "path": "images/ct", "unit": "HU"}],
    "outputs": [{"slug": "out", "kind": "image", "path": "images/out", "unit": "HU"}],
    "references": [{"slug": "ref", "kind": "image", "path": "images/ref", "unit": "HU"}],
    "scoring": {"prediction": "out", "reference": "ref"},
    "metrics": [{"name": "mae", "profile": "synthrad2023"}],
    "ranking": {"rule": "mean_of_ranks", "metrics": ["mae"]},
    "display": {"input": "ct", "window": [0, 1]},
    "attributes": [{"name": "sex", "title": "Sex"}, {"name": "age", "title": "Age"}],
}  # fmt: skip


def task(asked: bool = True, **more: Any) -> Task:
    return Task.model_validate({**TASK, "fairness": {"attributes_by_case": asked, "minimum": 3}, **more})


def cases(*rows: tuple[str, str], site: str = "A", patients: int = 0) -> list[Case]:
    return [
        Case(
            id=f"c{i}",
            split="test",
            attributes={"sex": sex, "age": age, "site": site, **({"patient": f"p{i % patients}"} if patients else {})},
        )
        for i, (sex, age) in enumerate(rows)
    ]


FOUR = [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]


def test_every_combination_needs_the_minimum() -> None:
    assert release.withheld(task(), cases(*FOUR * 3), "real") == ""
    # Each attribute alone has large groups; one crossing does not.
    assert "fewer than 3" in release.withheld(task(), cases(*FOUR * 3, ("f", "unknown")), "real")
    thin = [*FOUR * 3][:-1]
    assert release.withheld(task(), cases(*thin), "real")
    assert "11" not in release.withheld(task(), cases(*thin), "real") and "2" not in release.withheld(
        task(), cases(*thin), "real"
    )


def test_not_known_is_a_group_too() -> None:
    listed = [*cases(*FOUR * 3), Case(id="x", split="test", attributes={"sex": "f"})]
    assert release.withheld(task(), listed, "real")


def test_patients_count_not_cases() -> None:
    assert release.withheld(task(cluster="patient"), cases(*[("f", "old")] * 6, patients=3), "real") == ""
    assert release.withheld(task(cluster="patient"), cases(*[("f", "old")] * 6, patients=2), "real")


def test_the_stratum_counts_though_its_name_is_not_told() -> None:
    both = cases(*FOUR * 3) + [c.model_copy(update={"id": f"b{c.id}"}) for c in cases(*FOUR * 2, site="B")]
    assert release.withheld(task(), both, "real") == ""
    assert release.withheld(task(stratify="site"), both, "real")
    assert all("site" not in item for item in release.attributes(task(stratify="site"), both))


@pytest.mark.parametrize("asked", [False, True])
def test_phantoms_are_told_and_patients_only_when_asked(asked: bool) -> None:
    listed = cases(("f", "old"))
    assert release.withheld(task(asked), listed, "phantom") == ""
    assert release.withheld(task(asked), listed, "real")
    assert (release.withheld(task(asked), cases(*FOUR * 3), "real") == release.UNASKED) is not asked


def test_what_is_told_is_declared_and_known() -> None:
    listed = [Case(id="b", split="test", attributes={"sex": "f", "name": "Ada"}), Case(id="a", split="test")]
    assert release.attributes(task(), listed) == [{"case": "a"}, {"case": "b", "sex": "f"}]
