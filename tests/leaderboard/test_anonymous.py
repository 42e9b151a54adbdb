"""Sealed cases: stable anonymous ids that cannot be guessed from the case's own, in an order that gives nothing away."""

from __future__ import annotations

import re
from dataclasses import replace

import boards

from benchmark.contract import Case
from leaderboard import anonymous
from leaderboard.anonymous import aliases, anonymised, key_of


def test_ids_are_stable_whatever_else_is_on_the_board() -> None:
    data = boards.heads(canaries=0)
    some = replace(
        data, cases=data.cases[:5], scores={k: [s for s in v if s.case <= "case-005"] for k, v in data.scores.items()}
    )
    assert {k: v for k, v in aliases(data).items() if k <= "case-005"} == aliases(some)
    assert len(set(aliases(data).values())) == 12


def test_without_the_sealed_files_an_id_cannot_be_found_by_trying() -> None:
    data = boards.heads(canaries=0)
    keys = {case.id: key_of(case, {f"references/{case.id}/ct.mha": f"sha-{case.id}"}) for case in data.cases}
    known = aliases(replace(data, case_keys=keys))
    assert not set(known.values()) & set(aliases(data).values())
    other = {**keys, "case-001": "other content"}
    changed = aliases(replace(data, case_keys=other))
    assert [id for id in known if known[id] != changed[id]] == ["case-001"]


def test_the_key_is_of_the_references_of_that_case_alone() -> None:
    case = Case(id="c1", split="test")
    files = {
        "references/c1/ct.mha": "a",
        "references/c1/mask.mha": "b",
        "references/c10/ct.mha": "c",
        "inputs/c1/mr.mha": "d",
    }
    assert key_of(case, files) == key_of(case, {k: v for k, v in files.items() if k.startswith("references/c1/")})
    assert key_of(case, {**files, "references/c1/ct.mha": "x"}) != key_of(case, files)
    assert key_of(case, {"inputs/c1/mr.mha": "d"}) == ""


def test_values_stay_with_their_case_and_order_is_that_of_the_new_names() -> None:
    data = boards.heads(canaries=0)
    names, shown = aliases(data), anonymised(data)
    for name, table in data.scores.items():
        old = {(names[s.case], s.metric): (s.value, s.status) for s in table}
        new = {(s.case, s.metric): (s.value, s.status) for s in shown.scores[name]}
        assert old == new
        order = [s.case for s in shown.scores[name]]
        assert order == sorted(order)
    assert [c.id for c in shown.cases] == sorted(names.values())
    assert shown.cases[0].attributes == {"sex": "female"}, "attributes stay: strata and patients are drawn by them"


def test_a_reason_does_not_name_the_case_either() -> None:
    data = boards.heads(canaries=0)
    table = [
        s.model_copy(update={"reason": f"found /output/{s.case}.mha, not {s.case}0; case {s.case}."})
        for s in data.scores["unet"]
    ]
    shown = anonymised(replace(data, scores={**data.scores, "unet": table})).scores["unet"]
    for s in shown:
        assert re.fullmatch(rf"found /output/{s.case}\.mha, not case-\d+0; case {s.case}\.", s.reason)


def test_public_cases_keep_their_names() -> None:
    data = boards.heads(canaries=0)
    public = replace(data, board=data.board.model_copy(update={"split": "val"}))
    assert anonymised(public) is public


def test_a_collision_makes_all_ids_longer(monkeypatch) -> None:
    data = boards.heads(canaries=0)
    monkeypatch.setattr(anonymous, "DIGITS", 1)
    found = aliases(data)
    assert len(set(found.values())) == 12 and len({len(v) for v in found.values()}) == 1


def test_copies_are_whole_records() -> None:
    data = boards.heads(canaries=0)
    old, new = data.scores["unet"][0], anonymised(data).scores["unet"][0]
    again = type(new).model_validate(new.model_dump())
    assert again == new and hash(new.model_dump_json()) and new != old
