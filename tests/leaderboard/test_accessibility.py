"""axe-core finds nothing serious on any kind of page, in both themes, with the tools open and the viewer at work."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import boards
import browser
import pytest

from leaderboard import site

AXE = Path(str(resources.files("axe_playwright_python") / "axe.min.js"))
"""axe-core as that package carries it (MPL-2.0; a dependency of the tests alone). Nothing else of the package is used."""

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason="NO BROWSER: install Chromium (Debian: apt-get install chromium)"
)

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

RUN = f"""axe.run(document, {{runOnly: {TAGS}}}).then(found => found.violations
.filter(v => ['serious', 'critical'].includes(v.impact))
.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' (' + n.failureSummary + ')').join('; ')))"""

PAGES = [
    "index.html",
    "tasks/mri_to_ct/index.html",
    "tasks/denoising/index.html",
    "tasks/many/index.html",
    "tasks/many/rows-2.html",
    "tasks/mri_to_ct/cases/index.html",
    "tasks/mri_to_ct/cases/canary-2/index.html",
    "tasks/mri_to_ct/fairness/index.html",
    "tasks/mri_to_ct/submissions/water/index.html",
    "tasks/denoising/submissions/vae/index.html",
    "methods/index.html",
    "about/index.html",
    "editions/index.html",
]

STATES = {
    "tasks/mri_to_ct/index.html": (
        "compare=unet,gan&group=sex.1&sort=mae:descending",
        "document.querySelector('th[aria-sort]')",
    ),
    "tasks/mri_to_ct/cases/canary-2/index.html": (
        "model=gan&plane=coronal",
        "document.querySelector('.viewer').dataset.ready",
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("axe") / "site"
    site.publish(root, [boards.heads(), boards.slab(), boards.many()], date="2026-11-21")
    return root


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


def problems(tab: browser.Page) -> list[str]:
    tab.evaluate(AXE.read_text("utf-8") + "; true")
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return tab.evaluate(RUN)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_serious(root: Path, tab: browser.Page, path: str, dark: bool) -> None:
    fragment, ready = STATES.get(path, ("", ""))
    tab.open(root / path, dark=dark, fragment=fragment)
    if ready:
        tab.evaluate(
            f"new Promise(done => {{ (function look() {{ if ({ready}) done(1); else setTimeout(look, 20); }})() }})"
        )
    assert problems(tab) == []


def test_the_check_finds_what_is_wrong(tmp_path: Path, tab: browser.Page) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><title>x</title><img src='a.png'><p style='color:#ccc'>pale</p><button></button>")
    tab.open(page)
    found = " ".join(problems(tab))
    assert "image-alt" in found and "color-contrast" in found and "button-name" in found and "html-has-lang" in found
