"""One Chromium and one site for all tests that look at pages as a reader does."""

from collections.abc import Iterator
from pathlib import Path

import boards
import browser
import pytest

from leaderboard import site


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    """A tab of a browser, whatever its pages and the checks in them say and ask for."""
    if browser.find() is None:
        pytest.skip(
            "NO BROWSER: install Chromium (Debian: apt-get install chromium) to check the pages as readers see them"
        )
    with browser.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def tab(chromium: browser.Page) -> Iterator[browser.Page]:
    """The same tab; no test may leave a console message, a failed load or a request to anything but the disk."""
    chromium.problems.clear()
    chromium.requests.clear()
    yield chromium
    assert chromium.problems == []
    assert [url for url in chromium.requests if not url.startswith("file:")] == []


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a board of images, one of a slab, and one of many rows; treat as read-only."""
    root = tmp_path_factory.mktemp("browser") / "site"
    site.publish(root, [boards.heads(), boards.slab(), boards.many()], date="2026-11-21")
    return root
