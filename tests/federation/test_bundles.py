"""What leaves a site: nothing that names anybody, small groups withheld, hashes that show every change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.contract import Attribute, Task
from benchmark.errors import DataError, UsageError
from benchmark.federation import bundle, making
from benchmark.metrics.points import Scan
from tests.federation.hospitals import PEOPLE, Hospital


@pytest.mark.parametrize("sums_only", [False, True])
def test_no_string_of_the_edition_is_in_the_bytes(north: Hospital, task: Task, tmp_path: Path, sums_only: bool) -> None:
    path = tmp_path / "north.json"
    bundle.write(north.bundle(task, sums_only=sums_only), path)
    text = path.read_text()
    declared = {"F", "M", "0-39", "40-64", "65+", "NORTH"}
    secret = {case.id for case in north.edition.cases} | set(PEOPLE) | {north.key.hex()}
    secret |= {value for case in north.edition.cases for value in case.attributes.values()} - declared
    secret |= {case.attributes["scanner"].split()[-1] for case in north.edition.cases}
    secret |= {part for file in north.edition.info.files for part in (file, Path(file).name)}
    secret |= set(north.edition.info.files.values()) | {str(north.root), north.edition.info.title, ".mha"}
    secret |= {score.reason for score in north.scored.scores if score.reason}
    secret -= {case.attributes["age"] for case in north.edition.cases}  # two digits, which stand in any number
    assert len(secret) > 100
    assert [word for word in secret if word in text] == []
    assert not re.search(r"\d{4}-\d\d-\d\d|\d\d:\d\d", text), "no date and no time"
    # Ages: no number of the file is one.
    ages = {float(case.attributes["age"]) for case in north.edition.cases}
    unlabelled = re.sub(r'"group": ".*"', "", text)  # which name the task's own bands
    numbers = {float(n) for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", unlabelled)}
    assert not ages & numbers
    assert all(
        word in declared | {"other", "unknown"} for g in json.loads(text)["groups"] for word in g["group"].split(" × ")
    )
    assert json.loads(text)["left_out"] == ["scanner"]


def test_every_string_field_is_held_to_a_pattern_or_a_vocabulary() -> None:
    """A schema walk: wherever the record allows a string, there is a pattern, an enumeration, or it is one of two checked elsewhere."""
    open_fields = []

    def walk(node: object, where: str) -> None:
        if isinstance(node, dict):
            if node.get("type") == "string" and not {"pattern", "enum", "const"} & node.keys():
                open_fields.append(where)
            for key, value in node.items():
                walk(value, f"{where}.{key}")
        elif isinstance(node, list):
            for value in node:
                walk(value, where)

    walk(bundle.Bundle.model_json_schema(), "")
    assert sorted(set(open_fields)) == [
        ".$defs.CaseLine.properties.code",  # held to the catalogue when it is read
        ".$defs.GroupLine.properties.group",  # held to the task's declared words when it is merged
    ]


def test_small_groups_and_what_would_reveal_them_are_withheld(north: Hospital, task: Task) -> None:
    groups = {(g.partition, g.group): g for g in north.bundle(task).groups}
    assert groups["sex", "M"].suppressed == "small" and groups["sex", "M"].n is None and not groups["sex", "M"].means
    # 14 − 12 women would leave the two men.
    assert groups["sex", "F"].suppressed == "complementary" and not groups["sex", "F"].means
    assert groups["age_band", "0-39"].suppressed == "" and groups["age_band", "0-39"].n == 5
    rows = [s for s in north.scored.scores if s.metric == "mae"]
    ages = {case.id: case.attributes["age_band"] for case in north.edition.cases}
    mean = np.mean([s.value for s in rows if ages[s.case] == "0-39"])
    assert groups["age_band", "0-39"].means["mae"] == float(f"{mean:.3g}")


def test_an_undeclared_value_becomes_other(north: Hospital, task: Task) -> None:
    narrow = tuple(
        Attribute(name=a.name, title=a.title, values=("0-39",)) if a.name == "age_band" else a for a in task.attributes
    )
    found = north.bundle(task.model_copy(update={"attributes": narrow}))
    assert {g.group for g in found.groups if g.partition == "age_band"} == {"0-39", "other"}


def test_too_few_patients_say_nothing(north: Hospital, task: Task) -> None:
    strict = task.model_copy(update={"fairness": task.fairness.model_copy(update={"minimum": 15})})
    with pytest.raises(UsageError, match=r"14 patients.*at least 15"):
        north.bundle(strict)


def test_ids_hang_on_the_key_and_the_case(north: Hospital, task: Task) -> None:
    one, again = north.bundle(task), north.bundle(task, submission="other")
    assert [c.id for c in one.cases] == [c.id for c in again.cases] == sorted(c.id for c in one.cases)
    assert one.references == again.references
    other = making.make(task, north.edition, north.scored.scores, {}, site="north", key=b"x" * 32, submission="magic")
    assert not {c.id for c in one.cases} & {c.id for c in other.cases} and other.references != one.references


def test_reasons_are_codes(north: Hospital, task: Task) -> None:
    (failed,) = [c for c in north.bundle(task).cases if c.code]
    assert failed.code == "missing" and set(failed.status.values()) == {"missing"}


def test_the_same_bytes_and_every_change_is_seen(north: Hospital, task: Task, tmp_path: Path) -> None:
    path, twin = tmp_path / "a.json", tmp_path / "b.json"
    bundle.write(north.bundle(task), path)
    bundle.write(north.bundle(task), twin)
    assert path.read_bytes() == twin.read_bytes()
    assert bundle.read(path) == north.bundle(task)
    content = json.loads(path.read_text())
    content["cases"][0]["values"]["mae"] += 1e-9
    twin.write_text(json.dumps(content))
    with pytest.raises(DataError, match="has the hash"):
        bundle.read(twin)
    for broken, words in (
        ("{", "is not JSON"),
        ("[]", "is not a bundle"),
        (json.dumps({**content, "note": "free text"}), "extra_forbidden"),
        (json.dumps({**content, "site": "Dr. Smith's"}), "site"),
    ):
        twin.write_text(broken)
        with pytest.raises(DataError, match=words):
            bundle.read(twin)


def test_an_error_about_a_bundle_does_not_quote_it(north: Hospital, task: Task, tmp_path: Path) -> None:
    content = north.bundle(task).model_dump(mode="json")
    content["digest"] = "patient Smith"
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        bundle.read(tmp_path / "a.json")
    assert "Smith" not in error.value.sentence and "digest" in error.value.sentence


def test_the_signature_shows_another_key_and_another_byte(north: Hospital, task: Task, tmp_path: Path) -> None:
    path, signed = tmp_path / "a.json", tmp_path / "a.json.hmac"
    bundle.write(north.bundle(task), path)
    signed.write_text(bundle.signature(path, b"shared") + "\n")
    bundle.check_signature(path, signed, b"shared")
    with pytest.raises(DataError, match="not what was signed"):
        bundle.check_signature(path, signed, b"another")
    path.write_text(path.read_text() + " ")
    with pytest.raises(DataError, match="not what was signed"):
        bundle.check_signature(path, signed, b"shared")


def test_features_of_images_stay_in_the_house_and_marks_may_leave(north: Hospital, task: Task) -> None:
    from benchmark.contract import TaskMetric

    sets = task.model_copy(update={"metrics": (*task.metrics, TaskMetric(id="kid", name="kid_lite0"))})
    cases = [case.id for case in north.edition.cases]
    with pytest.raises(UsageError, match="features of its image"):
        making.make(
            sets,
            north.edition,
            north.scored.scores,
            {"kid": dict.fromkeys(cases, np.ones(4))},
            site="n",
            key=b"k",
            submission="m",
        )
    froc = task.model_copy(update={"metrics": (*task.metrics, TaskMetric(id="cpm", name="cpm"))})
    part = Scan(np.array([0.123456789, -np.inf]), np.array([0.5, 0.98765432]), 0.98765432)
    found = making.make(
        froc,
        north.edition,
        north.scored.scores,
        {"cpm": dict.fromkeys(cases, part)},
        site="n",
        key=b"k",
        submission="m",
    )
    (table,) = found.parts
    scan = next(iter(table.scans.values()))
    assert scan.hits == (0.1235, None) and scan.false_positives == (0.9877, 0.5) and scan.highest == 0.9877


def test_the_bundle_in_the_docs_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "federated.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (tmp_path / "example.json").write_text(example)
    found = bundle.read(tmp_path / "example.json")
    assert [g.suppressed for g in found.groups] == ["complementary", "small"] and found.n == 5
    listed = set(re.findall(r"`([a-z0-9_.]+)`", text.split("## A bundle in full")[0]))
    fields = set(bundle.Bundle.model_fields) - {"format", "schema_version", "kind", "data", "minimum", "n", "patients"}
    assert fields <= listed, "the page names every field"
