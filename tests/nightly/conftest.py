"""Workplaces to hold nights in; made once, and copied for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nightly.scripted import Place


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The toy task with its data and nothing handed in."""
    return Place.make(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def whole(fresh: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two submissions with images of their own, and a third that shares one; run, scored, published."""
    place = fresh.copy(tmp_path_factory.mktemp("whole"))
    place.submit("one", "a", day=1)
    place.submit("two", "b", day=2)
    place.submit("three", "a", team="Others", day=3)
    report = place.night()
    assert report.exit_code == 0, report.person
    return place


@pytest.fixture
def place(fresh: Place, tmp_path: Path) -> Place:
    """As `fresh`, to be changed."""
    return fresh.copy(tmp_path)


@pytest.fixture
def settled(whole: Place, tmp_path: Path) -> Place:
    """As `whole`, to be changed."""
    return whole.copy(tmp_path)
