"""The site in a real browser: it loads from disk, sorts, reads without JavaScript, fits a phone, asks no other host."""

import re
from dataclasses import replace
from pathlib import Path

import boards
import browser
import pytest

from leaderboard import site

RANKS = "[...document.querySelectorAll('table.board tbody tr')].map(r => r.dataset.name).join(' ')"


def test_every_page_loads_with_its_pictures_and_style(root: Path, tab: browser.Page) -> None:
    for path in sorted(p for p in root.rglob("*.html") if "model-" not in p.as_posix() or "model-007" in p.as_posix()):
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


@pytest.mark.parametrize("width", [390, 1280])
def test_an_endless_name_leaves_the_numbers_in_sight(tmp_path: Path, tab: browser.Page, width: int) -> None:
    """First columns stay where they are when a table scrolls: one as wide as the window would hide every number."""
    data = boards.retitled(boards.many(9), "Endless" * 40)
    site.publish(tmp_path / "site", [boards.audited(data)], date="2026-11-21")
    for path in ("fairness/index.html", "index.html"):
        tab.open(tmp_path / "site/tasks/many" / path, width=width)
        widest = tab.evaluate(
            "Math.max(...[...document.querySelectorAll('.heat tbody th, .board tbody th, .agreement thead th')]"
            ".map(th => th.getBoundingClientRect().width))"
        )
        assert 40 < widest < 0.6 * width, path
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_no_label_of_a_chart_is_cut_off(tmp_path: Path, tab: browser.Page) -> None:
    data = boards.many(12)
    rows = tuple(
        r.model_copy(update={"method": r.method.model_copy(update={"title": f"Team {i:02d} nnU-Net ensemble of five"})})
        for i, r in enumerate(data.board.rows)
    )
    data = replace(data, board=data.board.model_copy(update={"rows": rows}))
    site.publish(tmp_path / "site", [data], date="2026-11-21")
    for width in (390, 1280):
        tab.open(tmp_path / "site/tasks/many/index.html", width=width)
        outside = tab.evaluate(
            "[...document.querySelectorAll('svg.chart text')].filter(t => { const own = t.getBoundingClientRect(),"
            " all = t.closest('svg').getBoundingClientRect();"
            " return own.width && (own.left < all.left - 0.5 || own.right > all.right + 0.5); }).map(t => t.textContent)"
        )
        assert outside == [], width
    assert tab.evaluate("document.querySelectorAll('svg.chart.difference .label').length") == 12


@pytest.mark.parametrize("width", [360, 400, 768, 1280])
def test_no_page_is_wider_than_the_window(root: Path, tab: browser.Page, width: int) -> None:
    for path in (
        "index.html",
        "tasks/mri_to_ct/index.html",
        "tasks/denoising/submissions/vae/index.html",
        "tasks/mri_to_ct/cases/index.html",
        "tasks/mri_to_ct/fairness/index.html",
        "tasks/many/index.html",
        "tasks/mri_to_ct/cases/canary-2/index.html",
        "methods/index.html",
        "about/index.html",
        "editions/index.html",
    ):
        tab.open(root / path, width=width)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_board_of_many_metrics_keeps_every_number_on_paper(
    tmp_path: Path, tab: browser.Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifteen metrics fit the width of A4 across with 1 cm of margin, as a printer would lay them out."""
    ids = [f"mae_{i}" for i in range(15)]
    for id in ids:
        monkeypatch.setitem(boards.METRICS, id, boards.METRICS["mae"])
        monkeypatch.setitem(boards.WORST, id, 2000.0)
    task = {**boards.HEADS, "metrics": [{"name": "mae", "id": id} for id in ids], "claims": []}
    task["ranking"] = {"metrics": ids[:3]}
    rows = [
        boards.row(
            n, f"A method called {n}", "unet", dict.fromkeys(ids, (52.25, 10.25, 110.25)), (i + 1, 1, 3), tied=("a",)
        )
        for i, n in enumerate("abc")
    ]
    data = boards.assemble(
        task, "phantom", rows, cases=6, canaries=0, failing=set(), shape=(4, 8, 8), spacing=(3.0, 3.0, 3.0), noise=40
    )
    site.publish(tmp_path / "site", [data], date="2026-11-21")
    paper = round((29.7 - 2) / 2.54 * 96)
    tab.open(tmp_path / "site/tasks/mri_to_ct/index.html", width=paper)
    tab._send("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert tab.evaluate("document.querySelectorAll('table.board tbody td.metric').length") == 45
        assert (
            tab.evaluate("getComputedStyle(document.querySelector('section:has(> .scroll > .board)')).page") == "across"
        )
        assert tab.evaluate("document.querySelector('table.board').getBoundingClientRect().right") <= paper
    finally:
        tab._send("Emulation.setEmulatedMedia", {"media": ""})


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


VISIBLE = (
    "[...document.querySelectorAll('table.board tbody tr')].filter(r => !r.hidden).map(r => r.dataset.name).join(' ')"
)
HASH = "decodeURIComponent(location.hash)"


def press(tab: browser.Page, label: str) -> None:
    """Click the control with that label text, inside the tools."""
    tab.evaluate(
        f"[...document.querySelectorAll('.tools label')].find(l => l.textContent.trim() === '{label}').querySelector('input').click()"
    )


def test_rows_are_found_and_filtered_and_the_address_brings_it_back(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/denoising/index.html"
    tab.open(page)
    press(tab, "Classical")
    assert tab.evaluate(VISIBLE) == "vae unet gan"
    press(tab, "Learned")
    assert tab.evaluate(VISIBLE) == "vae gan"
    assert tab.evaluate("document.querySelector('.count').textContent") == "2 of 5 rows"
    tab.evaluate("(() => { const i = document.querySelector('.tools input[type=search]'); i.value = 'Conditional VAE'; "
                 "i.dispatchEvent(new Event('input')); })()")  # fmt: skip
    tab.until(f"{VISIBLE} === 'vae'")
    tab.evaluate("document.querySelectorAll('table.board thead button')[4].click()")
    tab.until("location.hash.includes('sort')")
    kept = tab.evaluate("location.hash")
    assert tab.evaluate(HASH) == "#kind=generative&q=Conditional VAE&sort=mae:ascending"
    tab.open(page, fragment=kept[1:])
    tab.until("document.querySelector('th[aria-sort]')")
    assert tab.evaluate(VISIBLE) == "vae"
    assert tab.evaluate("document.querySelector('th[aria-sort]').dataset.metric") == "mae"
    assert tab.evaluate("document.querySelector('.tools input[type=search]').value") == "Conditional VAE"


def test_metrics_can_be_left_out(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/index.html")
    shown = "[...document.querySelectorAll('table.board thead th.metric')].filter(h => !h.hidden).map(h => h.dataset.metric).join(' ')"
    cells = "[...document.querySelector('table.board tbody tr').cells].filter(c => c.matches('.metric') && !c.hidden).length"
    assert tab.evaluate(shown) == "mae psnr ssim"
    press(tab, "PSNR")
    assert tab.evaluate(shown) == "mae ssim" and tab.evaluate(cells) == 2
    assert tab.evaluate(HASH) == "#metrics=mae,ssim"
    tab.open(root / "tasks/mri_to_ct/index.html", fragment="metrics=ssim")
    assert tab.evaluate(shown) == "ssim"


def test_two_rows_are_compared_case_by_case(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/index.html")
    for name in ("unet", "water"):
        tab.evaluate(f"document.querySelector('tr[data-name={name}] .pick input').click()")
    tab.until(
        "document.querySelector('[data-wins=mae]') && document.querySelector('[data-wins=mae]').textContent !== '…'",
    )
    text = tab.evaluate("document.querySelector('.compare').textContent")
    assert "U-Net, L1 against All water" in text and "the data settle this order" in text
    data = boards.heads(canaries=0)
    wins = {"mae": 0, "psnr": 0}
    for metric, sign in (("mae", -1), ("psnr", 1)):
        values = [{s.case: s.value for s in data.scores[n] if s.metric == metric} for n in ("unet", "water")]
        wins[metric] = sum(sign * (values[0][c] - values[1][c]) > 0 for c in values[0])
        shown = tab.evaluate(f"document.querySelector('[data-wins={metric}]').textContent")
        assert shown == f"{wins[metric]} : {12 - wins[metric]} of 12"
    assert "−380.8" in text  # 52.2 − 433.0
    assert tab.evaluate(HASH) == "#compare=unet,water"
    tab.open(root / "tasks/mri_to_ct/index.html", fragment="compare=unet,gan")
    assert "do not settle" in tab.evaluate("document.querySelector('.compare').textContent")
    # A third choice replaces the first.
    tab.evaluate("document.querySelector('tr[data-name=water] .pick input').click()")
    assert tab.evaluate(HASH) == "#compare=gan,water"


def test_a_subgroup_takes_the_place_of_all_cases(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/index.html", fragment="group=sex.1")
    value = "document.querySelector('tr[data-name=unet] td.metric .value').textContent"
    wanted = boards.heads(canaries=0).board.rows[0].fairness.gap("sex", "mae").values[1].value
    tab.until(f"{value} === '{wanted:.1f}'")
    assert "Sex: male alone, n = 5" in tab.evaluate("document.querySelector('main').textContent")
    caption = "document.querySelector('#board-caption').textContent"
    assert "values over Sex: male alone, n = 5 of the 12 test cases, with" in tab.evaluate(caption)
    tab.evaluate(
        "(() => { const s = [...document.querySelectorAll('.tools select')].pop(); s.value = ''; s.dispatchEvent(new Event('change')); })()"
    )
    tab.until(f"{value} === '52.2'")
    assert tab.evaluate(HASH) == ""
    assert "values over all 12 test cases, with" in tab.evaluate(caption)


def test_a_comparison_shows_the_values_that_the_table_shows(root: Path, tab: browser.Page) -> None:
    """Whichever comes first, the choice of rows or that of a subgroup: also from an address alone."""
    tab.open(root / "tasks/mri_to_ct/index.html", fragment="compare=unet,gan&group=sex.1")
    tab.until("document.querySelector('.compare caption').textContent.includes('Sex: male alone, n = 5')")
    wanted = boards.heads(canaries=0).board.rows[0].fairness.gap("sex", "mae").values[1].value
    first = "document.querySelector('.compare tbody td').firstChild.textContent"
    assert tab.evaluate(first) == f"{wanted:.1f}"
    tab.evaluate(
        "(() => { const s = [...document.querySelectorAll('.tools select')].pop(); s.value = ''; s.dispatchEvent(new Event('change')); })()"
    )
    tab.until(f"{first} === '52.2'")
    assert "Values over all cases" in tab.evaluate("document.querySelector('.compare caption').textContent")


def test_the_script_draws_bars_where_the_page_drew_them(root: Path, tab: browser.Page) -> None:
    """Switching to a subgroup and back goes through the script's own drawing: the same coordinates must come out."""
    tab.open(root / "tasks/mri_to_ct/index.html")
    bars = "JSON.stringify([...document.querySelectorAll('table.board svg.bar')].map(s => [...s.querySelectorAll('.range, .dot, .beyond, .on')].map(n => [n.getAttribute('class'), n.getAttribute('d'), Number(n.getAttribute('x1')), Number(n.getAttribute('x2')), Number(n.getAttribute('cx'))]).sort()))"  # noqa: E501
    texts = "[...document.querySelectorAll('table.board td.metric')].map(t => t.textContent).join('|')"
    before = tab.evaluate(bars), tab.evaluate(texts)
    select = "[...document.querySelectorAll('.tools select')].pop()"
    for group, condition in (
        ("sex.1", "!document.querySelector('.tools + .small').hidden"),
        ("", "document.querySelector('.tools + .small').hidden"),
    ):
        tab.evaluate(f"(() => {{ const s = {select}; s.value = '{group}'; s.dispatchEvent(new Event('change')); }})()")
        tab.until(condition)
        if group:
            assert tab.evaluate(bars) != before[0]
    assert (tab.evaluate(bars), tab.evaluate(texts)) == before


def test_axes_of_the_scatter_can_be_chosen(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/index.html", fragment="x=ssim&y=mae")
    heading = "document.querySelector('#scatter .{}-axis .axis-name').textContent"
    assert "SSIM" in tab.evaluate(heading.format("x")) and "MAE [HU]" in tab.evaluate(heading.format("y"))
    spot = tab.evaluate("document.querySelector('#scatter [data-name=gan]').getAttribute('transform')")
    x, y = (float(v) for v in spot.removeprefix("translate(").removesuffix(")").split(" "))
    low, high = (
        float(tab.evaluate(f"document.querySelector('th[data-metric=ssim]').dataset.{end}")) for end in ("low", "high")
    )
    assert low + (x - 66) / (500 - 66) * (high - low) == pytest.approx(0.96, abs=1e-4)
    low, high = (
        float(tab.evaluate(f"document.querySelector('th[data-metric=mae]').dataset.{end}")) for end in ("low", "high")
    )
    assert low + (322 - y) / (322 - 16) * (high - low) == pytest.approx(54.0, abs=0.05)


def test_the_script_places_signs_and_labels_where_the_page_did(root: Path, tab: browser.Page) -> None:
    state = "JSON.stringify([...document.querySelectorAll('#scatter .point, #scatter .label, #scatter .tick')].map(n => [n.getAttribute('transform'), n.getAttribute('x'), n.getAttribute('y'), n.textContent]).map(a => a.map(v => v && v.replace(/-?[0-9.]+/g, m => Math.round(Number(m) * 10) / 10))).sort())"  # noqa: E501
    tab.open(root / "tasks/denoising/index.html", script=False)
    tab.open(root / "tasks/denoising/index.html")
    before = tab.evaluate(state)
    tab.open(root / "tasks/denoising/index.html", fragment="x=psnr_windowed")
    assert tab.evaluate(state) == before


def test_a_long_board_has_pages_and_the_script_brings_them_together(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/many/index.html"
    tab.open(page, script=False)
    rows = "document.querySelectorAll('table.board tbody tr').length"
    tab.open(page)
    assert tab.evaluate(rows) == 50
    assert not any(url.endswith("rows.js") for url in tab.requests)
    tab.evaluate("document.querySelectorAll('table.board thead button')[2].click()")  # MAE, best first
    tab.until(f"{rows} === 120")
    tab.evaluate("document.querySelectorAll('table.board thead button')[2].click()")  # worst first
    tab.until("document.querySelector('table.board tbody tr').dataset.name === 'model-119'")
    own = "document.querySelector('tr[data-name=model-119]')"
    assert "Model 119" in tab.evaluate(f"{own}.textContent") and "tied with Model 118" in tab.evaluate(
        f"{own}.textContent"
    )
    link = tab.evaluate(f"{own}.querySelector('a').href")
    assert Path(link.removeprefix("file://")).is_file()
    # What the script made is what the further page shows without it.
    script = tab.evaluate(
        f"[...{own}.cells].map(c => c.textContent.replace('compare', '').replace(/\\s+/g, ' ').trim()).join('|')"
    )
    tab.open(root / "tasks/many/rows-3.html")
    plain = tab.evaluate(f"[...{own}.cells].map(c => c.textContent.replace(/\\s+/g, ' ').trim()).join('|')")
    assert script == plain.replace("the data allow ", "")
    assert tab.evaluate(rows) == 20


def test_the_viewer_shows_the_scored_values_in_every_plane(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/mri_to_ct/cases/canary-2/index.html"
    tab.open(page)
    assert not any("/cases/" in url and url.endswith(".js") for url in tab.requests), "nothing is loaded unasked"
    tab.evaluate("document.querySelector('.viewer button').click()")
    tab.until("document.querySelector('.viewer').dataset.ready === '1'")
    assert tab.evaluate("document.querySelectorAll('.panes canvas').length") == 4
    data = boards.heads()
    canary = data.canary[1]
    reference, prediction = canary.reference().array, canary.predictions["gan"]().array
    for state, at in {
        "plane=axial&slice=7": lambda u, v: (7, v, u),
        "plane=coronal&slice=9": lambda u, v: (19 - v, 9, u),
        "plane=sagittal&slice=15": lambda u, v: (19 - v, u, 15),
    }.items():
        tab.open(page, fragment=f"model=gan&{state}")
        tab.until("document.querySelector('.viewer').dataset.ready")
        for u, v in ((12, 9), (4, 14)):
            columns, lines = 24, 24 if "axial" in state else 20
            tab.evaluate(
                "(() => { const c = document.querySelectorAll('.panes canvas')[1], b = c.getBoundingClientRect();"
                f"c.dispatchEvent(new PointerEvent('pointermove', {{clientX: b.left + b.width * {(u + 0.5) / columns}, clientY: b.top + b.height * {(v + 0.5) / lines}}})); }})()"  # noqa: E501
            )
            text = tab.evaluate("document.querySelector('.readout').textContent").replace("−", "-")
            found = [float(m) for m in re.findall(r"(?:reference|prediction) (-?[\d.]+) HU", text)]
            place = at(u, v)
            assert found == [round(float(reference[place])), pytest.approx(float(prediction[place]), abs=0.5)], text


def test_windows_and_slices_of_the_viewer_change_the_picture_and_the_address(root: Path, tab: browser.Page) -> None:
    page = root / "tasks/mri_to_ct/cases/canary-2/index.html"
    tab.open(page, fragment="model=unet")
    tab.until("document.querySelector('.viewer').dataset.ready")
    grey = (
        "(() => { const c = document.querySelectorAll('.panes canvas')[1], o = document.createElement('canvas'); o.width = o.height = 1;"
        "const x = o.getContext('2d', {willReadFrequently: true}); x.drawImage(c, -c.width / 2, -c.height / 2);"
        "return x.getImageData(0, 0, 1, 1).data[0]; })()"
    )
    before, ready = tab.evaluate(grey), "document.querySelector('.viewer').dataset.ready"
    assert before == pytest.approx(255 * (8 + 1000) / 2600, abs=6)  # 8 HU in the task's window, −1000 to 1600
    count = tab.evaluate(ready)
    tab.evaluate(
        "(() => { const s = [...document.querySelectorAll('.controls select')]"
        ".find(s => [...s.options].some(o => o.text === 'Brain')); s.value = '0,80'; s.dispatchEvent(new Event('change')); })()"
    )
    tab.until(f"{ready} !== '{count}'")
    assert tab.evaluate(grey) == pytest.approx(255 * 8 / 80, abs=6)
    assert "window=0,80" in tab.evaluate(HASH)
    tab.evaluate(
        "(() => { const r = document.querySelector('.controls input[type=range]'); r.value = '3'; r.dispatchEvent(new Event('input')); })()"
    )
    tab.until("location.hash.includes('slice=3')")
    assert tab.evaluate("document.querySelector('.controls output').textContent") == "4 of 20"


def test_the_viewer_is_absent_without_javascript_and_the_slice_is_there(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/cases/canary-2/index.html", script=False)
    document = tab._send("DOM.getDocument", {"depth": -1})["root"]["nodeId"]
    hidden = tab._send("DOM.querySelectorAll", {"nodeId": document, "selector": ".viewer-part[hidden]"})["nodeIds"]
    images = tab._send("DOM.querySelectorAll", {"nodeId": document, "selector": ".strip img"})["nodeIds"]
    assert len(hidden) == 1 and len(images) == 2 + 2 * 3


def test_a_citation_is_copied_or_at_least_marked(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/denoising/submissions/vae/index.html")
    text = tab.evaluate("document.querySelector('.cite pre').textContent")
    assert text.startswith("@misc{")
    tab.evaluate("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }; true")
    tab.evaluate("document.querySelector('.cite button').click()")
    tab.until("document.querySelector('.cite [role=status]').textContent === 'Copied.'")
    assert tab.evaluate("window.copied") == text
    tab.evaluate("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); true")
    tab.evaluate("document.querySelector('.cite button').click()")
    tab.until("document.querySelector('.cite [role=status]').textContent.startsWith('Marked')")
    assert tab.evaluate("getSelection().toString().trim()") == text.strip()


def test_cases_and_fairness_tables_sort(root: Path, tab: browser.Page) -> None:
    tab.open(root / "tasks/mri_to_ct/cases/index.html")
    tab.evaluate("document.querySelectorAll('table.hard thead button')[1].click()")
    values = tab.evaluate(
        "[...document.querySelectorAll('table.hard tbody tr')].map(r => Number(r.cells[1].dataset.value))"
    )
    assert values == sorted(values, reverse=True)
    tab.open(root / "tasks/mri_to_ct/fairness/index.html")
    tab.evaluate("[...document.querySelectorAll('table.heat thead button')][1].click()")
    assert tab.evaluate("document.querySelector('table.heat tbody tr th').textContent") == "All water"
