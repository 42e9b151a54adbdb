"""Contours and rings in the viewer: where they are, on which slices, and that they can be turned off and stay so in the address."""

from pathlib import Path

import browser
import places
import pytest

from leaderboard import site

READY = "document.querySelector('.viewer').dataset.ready"
ORANGE, BLUE, YELLOW = (230, 159, 0), (86, 180, 233), (240, 228, 66)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("overlays") / "site"
    site.publish(root, [places.chest("<b>Model</b>"), places.labelled()], date="2026-11-21")
    return root


def painted(tab: browser.Page, pane: int, colour: tuple[int, int, int]) -> dict[str, float]:
    """How many pixels of a pane are of a colour, and the box around them in parts of the pane."""
    return tab.evaluate(
        f"(() => {{ const c = document.createElement('canvas'), o = document.querySelectorAll('.panes canvas')[{pane}];"
        " c.width = o.width; c.height = o.height; const x = c.getContext('2d', {willReadFrequently: true}); x.drawImage(o, 0, 0);"
        " const d = x.getImageData(0, 0, c.width, c.height).data; let n = 0, l = 9, r = -1, t = 9, b = -1;"
        " for (let k = 0; k < d.length; k += 4) {"
        f"   if (Math.abs(d[k] - {colour[0]}) + Math.abs(d[k + 1] - {colour[1]}) + Math.abs(d[k + 2] - {colour[2]}) > 12) continue;"
        "   const p = k / 4, u = (p % c.width) / c.width, v = Math.floor(p / c.width) / c.height;"
        "   n += 1; l = Math.min(l, u); r = Math.max(r, u); t = Math.min(t, v); b = Math.max(b, v); }"
        " return {n: n, left: l, right: r, top: t, bottom: b}; })()"
    )


def toggle(tab: browser.Page, layer: str) -> None:
    before = tab.evaluate(READY)
    tab.evaluate(f"document.querySelector('.controls input[data-layer={layer}]').click()")
    tab.until(f"{READY} !== '{before}'")


def test_contours_can_be_turned_off_one_by_one(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/tumours/cases/canary-1/index.html"
    tab.open(page, fragment="model=near")
    tab.until(READY)
    assert tab.evaluate("document.querySelector('.controls output').textContent") == "4 of 6"
    orange, blue = painted(tab, 1, ORANGE), painted(tab, 1, BLUE)
    # Reference: columns and rows 5 to 15 of 30 and 20; the prediction lacks column 5 and has a spot at columns 20 to 22.
    assert [orange[k] for k in ("left", "right", "top", "bottom")] == pytest.approx(
        [5 / 30, 15 / 30, 5 / 20, 15 / 20], abs=0.012
    )
    assert [blue[k] for k in ("left", "right")] == pytest.approx([6 / 30, 22 / 30], abs=0.012)
    assert painted(tab, 0, ORANGE)["n"] == 0, "the input stays plain"
    toggle(tab, "reference")
    assert painted(tab, 1, ORANGE)["n"] == 0 and painted(tab, 1, BLUE)["n"] > 100
    toggle(tab, "prediction")
    assert painted(tab, 1, BLUE)["n"] == 0
    assert "off=prediction,reference" in tab.evaluate("decodeURIComponent(location.hash)")
    tab.open(page, fragment="model=near&off=reference")
    tab.until(READY)
    assert painted(tab, 1, ORANGE)["n"] == 0 and painted(tab, 1, BLUE)["n"] > 100
    assert not tab.evaluate("document.querySelector('.controls input[data-layer=reference]').checked")


def test_the_disagreement_has_the_colour_of_who_has_it(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/tumours/cases/canary-1/index.html", fragment="model=near")
    tab.until(READY)
    missed, added = painted(tab, 2, ORANGE), painted(tab, 2, BLUE)
    assert missed["left"] > 4.5 / 30 and missed["right"] < 6.5 / 30
    assert added["left"] > 19.5 / 30 and added["right"] < 22.5 / 30


def test_borders_are_traced_around_every_piece_and_hole(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/tumours/cases/canary-1/index.html")
    ways = tab.evaluate(
        "radbench.overlays.trace({columns: 5, rows: 5, values: [1,1,1,0,0, 1,0,1,0,0, 1,1,1,0,0, 0,0,0,1,0, 0,0,0,0,2]}, 1)"
    )
    lengths = sorted(len(way) for way in ways)
    assert (
        sum(lengths) == 12 + 4 + 4
    )  # around the ring, around its hole, around the single one that touches it at a corner
    steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for way in ways for a, b in zip(way, [*way[1:], way[0]], strict=True)]
    assert set(steps) == {1}, "every way is closed and goes along edges"


def test_rings_and_marks_are_on_the_slices_they_belong_to(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/nodules/cases/canary-1/index.html"
    for slice_, radius in ((10, 6.0), (12, 20**0.5), (8, 20**0.5), (13, 0.0)):
        # At 13 the big nodule just ends (6 mm above its middle); the small one, at slice 15, ends there too (4 mm).
        tab.open(page, fragment=f"model=good&off=prediction&slice={slice_}")
        tab.until(READY)
        found = painted(tab, 1, ORANGE)
        if radius == 0:
            assert found["n"] == 0
            continue
        # The ring's left end, in mm from the left: the middle lies at column 30 of 80, 1 mm each; its diameter stands on the right.
        assert found["left"] * 80 == pytest.approx(30.5 - radius, abs=0.5)
        assert found["bottom"] * 60 == pytest.approx(30.5 + radius, abs=0.5)
    tab.open(page, fragment="model=good&slice=10")
    tab.until(READY)
    assert painted(tab, 1, BLUE)["n"] > 50 and painted(tab, 1, YELLOW)["n"] > 50
    tab.open(page, fragment="model=good&slice=16&off=reference")
    tab.until(READY)
    assert painted(tab, 1, BLUE)["n"] > 50 and painted(tab, 1, YELLOW)["n"] == 0, "the hit on the small one alone"


def test_a_nodule_is_gone_to_and_other_planes_show_it(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/nodules/cases/canary-1/index.html"
    tab.open(page, fragment="model=good&off=prediction")
    tab.until(READY)
    before = tab.evaluate(READY)
    tab.evaluate(
        "(() => { const s = [...document.querySelectorAll('.controls select')]"
        ".find(s => [...s.options].some(o => o.text === '2 (8.0 mm)'));"
        " s.value = '2'; s.dispatchEvent(new Event('change')); })()"
    )
    tab.until(f"{READY} !== '{before}'")
    assert tab.evaluate("document.querySelector('.controls output').textContent") == "16 of 20"
    tab.open(page, fragment="model=good&off=prediction&plane=coronal&slice=30")
    tab.until(READY)
    found = painted(tab, 1, ORANGE)
    assert found["left"] * 80 == pytest.approx(24.5, abs=0.5)
    assert found["bottom"] * 40 == pytest.approx(40 - 21 + 6, abs=0.7), "the head is at the top"


def test_titles_are_shown_as_they_are_written(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/nodules/cases/canary-1/index.html", fragment="model=good")
    tab.until(READY)
    assert tab.evaluate("document.querySelector('.controls select').options[0].text") == "<b>Model</b>"
    assert tab.evaluate("document.querySelectorAll('.controls b').length") == 0
