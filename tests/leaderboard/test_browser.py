"""The site in a real browser: it loads from disk, sorts, reads without JavaScript, fits a phone, asks no other host."""

from collections.abc import Iterator
from pathlib import Path

import boards
import browser
import pytest

from leaderboard import site

pytestmark = pytest.mark.skipif(
    browser.find() is None,
    reason="NO BROWSER: install Chromium (Debian: apt-get install chromium) to check the pages as a reader sees them",
)

RANKS = "[...document.querySelectorAll('table.board tbody tr')].map(r => r.dataset.name).join(' ')"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser") / "site"
    site.publish(root, [boards.heads(), boards.slab()], date="2026-11-21")
    return root


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(autouse=True)
def quiet(tab: browser.Page) -> Iterator[None]:
    """No test may leave a console message, a failed load or a request to anything but the disk."""
    tab.problems.clear()
    tab.requests.clear()
    yield
    assert tab.problems == []
    assert [url for url in tab.requests if not url.startswith("file:")] == []


def test_every_page_loads_with_its_pictures_and_style(root: Path, tab: browser.Page) -> None:
    for path in sorted(p for p in root.rglob("*.html")):
        tab.open(path)
        assert tab.evaluate("document.styleSheets.length") == 1
        assert tab.evaluate("[...document.images].every(i => { i.loading = 'eager'; return true; })")
        loaded = "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth === i.width || i.naturalWidth > 0)))"
        assert all(tab.evaluate(loaded)), path
    assert any(url.endswith("site.css") for url in tab.requests)


def test_columns_sort_and_go_back(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/denoising/index.html")
    assert tab.evaluate(RANKS) == "vae unet gan nlm identity"
    mae = "document.querySelectorAll('table.board thead button')[4]"
    assert "MAE" in tab.evaluate(f"{mae}.textContent")
    orders, states = [], []
    for _ in range(3):
        tab.evaluate(f"{mae}.click()")
        orders.append(tab.evaluate(RANKS))
        states.append(tab.evaluate(f"{mae}.closest('th').getAttribute('aria-sort')"))
    assert orders == ["vae unet gan nlm identity", "identity nlm gan unet vae", "vae unet gan nlm identity"]
    assert states == ["ascending", "descending", None]
    tab.evaluate("document.querySelectorAll('table.board thead button')[1].click()")
    assert tab.evaluate(RANKS) == "gan vae identity nlm unet"  # by title


def test_sorting_works_from_the_keyboard(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/submissions/water/index.html")
    tab.evaluate("document.querySelectorAll('table.cases thead button')[1].focus()")
    tab.press("Enter", 13)
    first = tab.evaluate("document.querySelector('table.cases tbody tr').className")
    assert first == "bad"  # the worst error comes first: two failed cases stand on top
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_reads_without_javascript(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/index.html", script=False)
    document = tab._send("DOM.getDocument", {"depth": -1})["root"]["nodeId"]
    rows = tab._send("DOM.querySelectorAll", {"nodeId": document, "selector": "table.board tbody tr"})["nodeIds"]
    buttons = tab._send("DOM.querySelectorAll", {"nodeId": document, "selector": "button"})["nodeIds"]
    assert len(rows) == 3 and buttons == []


@pytest.mark.parametrize("width", [360, 400, 768, 1280])
def test_no_page_is_wider_than_the_window(root: Path, tab: browser.Page, width: int) -> None:
    for path in (
        "index.html",
        "tasks/mri_to_ct/index.html",
        "tasks/denoising/submissions/vae/index.html",
        "tasks/mri_to_ct/cases/index.html",
        "tasks/mri_to_ct/cases/canary-2/index.html",
        "methods/index.html",
        "about/index.html",
        "editions/index.html",
    ):
        tab.open(root / path, width=width)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path


def test_theme_follows_the_reader(root: Path, tab: browser.Page) -> None:
    grounds = []
    for dark in (False, True):
        tab.open(root / "index.html", dark=dark)
        grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(18, 22, 26)"]


def test_no_picture_is_stretched(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/index.html")
    tab.evaluate("Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode(); }))")
    shown, real = (
        tab.evaluate(f"[...document.images].map(i => {what})")
        for what in (
            "i.getBoundingClientRect().width / i.getBoundingClientRect().height",
            "i.naturalWidth / i.naturalHeight",
        )
    )
    assert len(shown) == 2 + 2 * 2 and shown == pytest.approx(real, rel=0.01)
