"""The page of errors is what the catalogue says, and the catalogue is what the code raises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import errors, errors_document
from benchmark.errors import CATALOGUE, Kind, RadbenchError

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "baselines", "tasks", "leaderboard")
TYPES = {kind.__name__: kind for kind in RadbenchError.__subclasses__()}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path != ROOT / "benchmark/errors.py":
                yield path, ast.parse(path.read_text("utf-8"))


def raised(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Type, code and line of every error that a module makes with a code that is written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in TYPES:
                yield name, str(node.args[0].value), node.lineno


def test_the_page_is_current() -> None:
    text = errors_document.TARGET.read_text("utf-8")
    assert text == errors_document.render(), "run `python -m benchmark.errors_document`"


def test_every_code_that_is_raised_is_declared_for_its_type() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}({code!r})"
        for path, tree in sources()
        for name, code, line in raised(tree)
        if code not in CATALOGUE[TYPES[name].group]
    ]
    assert not wrong


def test_every_declared_code_is_used() -> None:
    used = {(TYPES[name].group, code) for _, tree in sources() for name, code, _ in raised(tree)}
    declared = {(group, code) for group, kinds in CATALOGUE.items() for code in kinds}
    assert sorted(declared - used) == []


def test_every_type_has_a_group_and_every_group_a_type() -> None:
    assert {group.type for group in errors_document.GROUPS.values()} == set(TYPES.values())
    assert list(errors_document.GROUPS) == list(CATALOGUE)
    assert all(group.type.group == name for name, group in errors_document.GROUPS.items())


@pytest.mark.parametrize(
    "kind", [kind for kinds in CATALOGUE.values() for kind in kinds.values()], ids=lambda k: k.code
)
def test_meaning_and_action_are_sentences(kind: Kind) -> None:
    assert errors.CATALOGUE and kind.code == kind.code.lower() and " " not in kind.code
    for text in (kind.meaning, kind.action):
        assert text.endswith(".") and text[0].isupper() and "\n" not in text


def test_a_new_code_appears_with_all_its_facts() -> None:
    page = errors_document.render({"data": {"made_up": Kind("made_up", "It is a | of two.", "Mend it.")}})
    assert "| `made_up` | It is a \\| of two. | the organiser's | no | Mend it. |" in page
    assert "| `SubmissionError` | the participant's | yes | 3 |" in page
