"""axe-core finds nothing serious on any kind of page, in both themes, with the tools open and the viewer at work."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import browser
import pytest

AXE = Path(str(resources.files("axe_playwright_python") / "axe.min.js"))
"""axe-core as that package carries it (MPL-2.0; a dependency of the tests alone). Nothing else of the package is used."""

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


def problems(tab: browser.Page) -> list[str]:
    tab.evaluate(AXE.read_text("utf-8") + "; true")
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return tab.evaluate(RUN)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_serious(root: Path, chromium: browser.Page, path: str, dark: bool) -> None:
    fragment, ready = STATES.get(path, ("", ""))
    chromium.open(root / path, dark=dark, fragment=fragment)
    if ready:
        chromium.until(ready)
    assert problems(chromium) == []


def test_the_check_finds_what_is_wrong(tmp_path: Path, chromium: browser.Page) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><title>x</title><img src='a.png'><p style='color:#ccc'>pale</p><button></button>")
    chromium.open(page)
    found = " ".join(problems(chromium))
    assert "image-alt" in found and "color-contrast" in found and "button-name" in found and "html-has-lang" in found
