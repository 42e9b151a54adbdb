"""The pages: well-formed, linked, drawn to scale, honest about the data, closed to injected text and to other hosts."""

import gzip
import itertools
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import boards
import pytest
from markup import Node, Tree

from benchmark.contract import Board
from leaderboard import site
from leaderboard.scale import PAD, WIDTH
from leaderboard.views import board_view


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "site"
    site.publish(root, [boards.heads(), boards.slab()], date="2026-11-21")
    return root


@pytest.fixture(scope="module")
def trees(built: Path) -> dict[str, Tree]:
    return {p.relative_to(built).as_posix(): Tree(p.read_text("utf-8")) for p in sorted(built.rglob("*.html"))}


def test_all_pages_are_there(trees: dict[str, Tree]) -> None:
    front = [p for p in trees if not p.startswith("editions/")]
    # The front, methods, about; two boards with their cases, one audited; three canary cases; eight submissions.
    assert len(front) == 3 + 2 * 2 + 1 + 3 + 8
    assert len(trees) == 2 * len(front) + 1


def test_every_link_leads_to_a_file_of_the_site_and_every_anchor_exists(built: Path, trees: dict[str, Tree]) -> None:
    for path, tree in trees.items():
        for node in [n for tag in ("a", "link", "script", "img") for n in tree.root.all(tag)]:
            target = node.attrs.get("href", node.attrs.get("src", ""))
            parts = urlsplit(target)
            assert not parts.scheme and not parts.netloc, f"{path}: {target} leaves the site"
            if not parts.path:
                assert parts.fragment in tree.ids, f"{path}: no #{parts.fragment}"
                continue
            file = (built / path).parent / unquote(parts.path)
            assert file.resolve().is_relative_to(built.resolve()), f"{path}: {target} leaves the site"
            assert file.is_file(), f"{path}: {target} leads nowhere"


def test_an_edition_stands_alone_but_for_the_way_to_the_newest(built: Path, trees: dict[str, Tree]) -> None:
    """A copy of one edition's folder shows everything: only the line about editions points out of it."""
    for path, tree in trees.items():
        if not path.startswith("editions/2026"):
            continue
        root = built / "/".join(path.split("/")[:2])
        header = next(n for n in tree.root.all("p") if n.has("edition"))
        outside = {id(n) for n in header.all("a")}
        for node in [n for tag in ("a", "link", "script", "img") for n in tree.root.all(tag) if id(n) not in outside]:
            target = urlsplit(node.attrs.get("href", node.attrs.get("src", ""))).path
            assert not target or ((built / path).parent / target).resolve().is_relative_to(root.resolve())


def test_front_pages_point_to_their_permanent_twin(built: Path, trees: dict[str, Tree]) -> None:
    for path, tree in trees.items():
        if path.startswith("editions/"):
            continue
        header = next(n for n in tree.root.all("p") if n.has("edition"))
        twin = ((built / path).parent / header.all("a")[0].attrs["href"]).resolve()
        assert re.fullmatch(
            rf"editions/2026-11-21-[0-9a-f]{{10}}/{re.escape(path)}", twin.relative_to(built.resolve()).as_posix()
        )


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs_inline(built: Path) -> None:
    for page in built.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "http://" not in text and "https://" not in text
        assert "default-src 'none'" in text
        assert not re.search(r"<script(?![^>]* src=)", text) and not re.search(r"\son\w+\s*=", text)
        assert " style=" not in text and "<style" not in text
    for sheet in built.rglob("*.css"):
        assert "url(" not in sheet.read_text() and "@import" not in sheet.read_text()


def rows_by_name(tree: Tree, board: Board) -> dict[str, Node]:
    rows = {n.attrs["data-name"]: n for n in tree.root.all("tr") if "data-name" in n.attrs}
    assert [n.attrs["id"] for n in rows.values()] == [f"s-{name}" for name in rows]
    assert list(rows) == [row.method.name for row in board.rows]
    return rows


@pytest.mark.parametrize(("slug", "make"), [("mri_to_ct", boards.heads), ("denoising", boards.slab)])
def test_intervals_are_drawn_to_the_written_scale(trees: dict[str, Tree], slug: str, make) -> None:
    board = make(canaries=0).board
    tree = trees[f"tasks/{slug}/index.html"]
    table = next(t for t in tree.root.all("table") if t.has("board"))
    scales = []
    for th in table.all("thead")[0].all("th"):
        axis = next((s for s in th.all("span") if s.has("axis")), None)
        if axis is not None:
            ends = [s.words() for s in axis.all("span") if s is not axis and not s.has("hidden")]
            scales.append(tuple(float(e.replace("−", "-")) for e in ends))
    assert len(scales) == len(board.metrics)
    for name, row in rows_by_name(tree, board).items():
        aggregates = next(r for r in board.rows if r.method.name == name).aggregates
        drawings = [s for s in row.all("svg") if s.has("bar")]
        assert len(drawings) == len(aggregates)
        for (low, high), svg, a in zip(scales, drawings, aggregates, strict=True):

            def value(x: str, low: float = low, high: float = high) -> float:
                return low + (float(x) - PAD) / (WIDTH - 2 * PAD) * (high - low)

            line, dots = svg.all("line")[0].attrs, svg.all("circle")
            tolerance = 0.01 / (WIDTH - 2 * PAD) * (high - low)
            clipped = [min(max(v, low), high) for v in (a.low, a.high, a.value)]
            assert value(line["x1"]) == pytest.approx(clipped[0], abs=tolerance)
            assert value(line["x2"]) == pytest.approx(clipped[1], abs=tolerance)
            arrows = [n.attrs["d"] for n in svg.all("path") if n.has("beyond")]
            if low <= a.value <= high:
                assert value(dots[0].attrs["cx"]) == pytest.approx(a.value, abs=tolerance) and not arrows
            else:  # an arrow at the end beyond which the value lies, and no dot that would lie about it
                assert not dots and len(arrows) == 1
                tip = float(re.match(r"M([\d.]+) 8l", arrows[0])[1])
                assert tip > WIDTH - PAD if a.value > high else tip < PAD
                assert name == "water"


def test_a_row_says_value_interval_rank_ties_and_failures(trees: dict[str, Tree]) -> None:
    tree = trees["tasks/mri_to_ct/index.html"]
    rows = rows_by_name(tree, boards.heads(canaries=0).board)
    first, last = rows["unet"].words(), rows["water"].words()
    assert "52.2" in first and "49.1–55.9" in first and "1–2" in first and "tied with Conditional GAN" in first
    assert "0.964" in first and "12 / 0" in first and "0.42" in first
    assert "10 / 2" in last and "tied" not in last
    heads = [th.words() for th in next(t for t in tree.root.all("table") if t.has("board")).all("th")]
    assert any("MAE [HU]← lower is better" in h for h in heads) and any("higher is better →" in h for h in heads)


def test_phantom_or_real_is_said_wherever_scores_show(trees: dict[str, Tree]) -> None:
    for path, tree in trees.items():
        if path.startswith("editions/") and path.endswith("editions/index.html"):
            continue
        for slug, kind in (("mri_to_ct", "phantom"), ("denoising", "real")):
            if f"tasks/{slug}/" in path:
                title = tree.root.all("title")[0].words().lower()
                badges = [n.words() for n in tree.root.all("span") if n.has("badge")]
                assert kind in title and badges and all(kind in b.lower() for b in badges)
                for table in tree.root.all("table"):
                    if table.has("board") or table.has("cases") or table.has("result"):
                        assert kind in table.all("caption")[0].words().lower()
                for image in tree.root.all("img"):
                    assert kind in image.attrs["alt"].lower()
    front = trees["index.html"].root
    cards = [s for s in front.all("section") if s.has("card")]
    assert ["Phantom" in c.words() for c in cards] == [True, False]
    assert ["Real sample" in c.words() for c in cards] == [False, True]


def test_tables_can_be_read_by_ear(trees: dict[str, Tree]) -> None:
    for path, tree in trees.items():
        assert tree.root.all("html")[0].attrs["lang"] == "en"
        assert len(tree.root.all("h1")) == len(tree.root.all("main")) == 1
        for table in tree.root.all("table"):
            assert table.all("caption"), path
            assert all(th.attrs.get("scope") in ("col", "row") for th in table.all("th")), path
            assert all(len(tr.all("th")) == 1 for tr in table.all("tbody")[0].all("tr")), path
            width = len(table.all("thead")[0].all("th"))
            assert all(len(tr.all("td")) + 1 == width for tr in table.all("tbody")[0].all("tr")), path
        for image in tree.root.all("img"):
            assert len(image.attrs["alt"]) > 20 and image.attrs["width"] and image.attrs["height"], path
        levels = [int(n.tag[1]) for n in ordered(tree.root) if re.fullmatch("h[1-6]", n.tag)]
        assert all(b <= a + 1 for a, b in itertools.pairwise(levels)), f"{path}: a heading level is skipped"
        named = [n.attrs["aria-labelledby"].split() for n in ordered(tree.root) if "aria-labelledby" in n.attrs]
        assert {id for ids in named for id in ids} <= tree.ids, path


def ordered(node: Node) -> list[Node]:
    return [node, *(n for child in node.children for n in ordered(child))]


def test_task_page_says_what_the_numbers_are(trees: dict[str, Tree]) -> None:
    text = trees["tasks/mri_to_ct/index.html"].root.words()
    for wanted in (
        "Mean absolute difference over the mask.", "Wang et al.", "2000 HU", "profile = synthrad2023", "CC0-1.0",
        "600 s, 8192 MiB", "Claims on other data", "None of these figures was measured here", "the order of the first two",
        "radbench 0.1.0", "window −1000 to 1600 HU", "BCa, 10,000 draws",
        "on phantom data (edition phantom-1): values over all 12 test cases, with 95\u00a0% intervals",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert "A. Author, 2015" in trees["tasks/denoising/index.html"].root.words()


def test_every_figure_says_by_itself_what_it_stands_on(trees: dict[str, Tree]) -> None:
    """A figure is taken away alone: its caption names kind and edition of the data and the number of cases."""
    found = 0
    for slug, words in (
        ("mri_to_ct", "hantom data (edition phantom-1), 12 test cases"),
        ("denoising", "eal sample data (edition sample-1), 9 test cases"),
    ):
        page = trees[f"tasks/{slug}/index.html"].root
        for figure in page.all("figure"):
            if "plot" in figure.attrs.get("class", ""):
                found += 1
                assert words in figure.all("figcaption")[0].words(), figure.all("figcaption")[0].words()
        captions = [c.words() for c in trees["index.html"].root.all("caption")]
        assert any(words in caption and "95\u00a0% intervals" in caption for caption in captions), slug
    assert found >= 6


def test_optional_inputs_stand_on_the_front(tmp_path: Path) -> None:
    data = boards.heads(canaries=0)
    contrasts = [
        {"slug": slug, "kind": "image", "path": f"images/{slug}", "title": title, "optional": True}
        for slug, title in (("mri", "T1 image"), ("flair", "FLAIR image"))
    ]
    task = data.board.task.model_validate({**boards.HEADS, "inputs": contrasts})
    site.publish(
        tmp_path / "site", [replace(data, board=data.board.model_copy(update={"task": task}))], date="2026-11-21"
    )
    text = Tree((tmp_path / "site/index.html").read_text("utf-8")).root.words()
    assert "T1 image; FLAIR image (a case may lack some of these)" in text


def test_intervals_are_told_as_people_read_them() -> None:
    """Thousands in groups, and a metric without an interval is no kind of interval."""
    data = boards.heads(canaries=0)
    row = data.board.rows[0]
    first, second, third = row.aggregates
    told = (
        first.model_copy(update={"method": "BCa bootstrap, 10000 draws, widened"}),
        second.model_copy(update={"method": "none: all cases equal"}),
        third.model_copy(update={"method": "percentile bootstrap, 1000 draws"}),
    )
    board = data.board.model_copy(update={"rows": (row.model_copy(update={"aggregates": told}),)})
    assert board_view(replace(data, board=board), "mri_to_ct").intervals == (
        "95\u00a0% BCa bootstrap, 10,000 draws, widened; 95\u00a0% percentile bootstrap, 1000 draws; none where all cases equal"
    )


def test_long_ties_are_told_in_few_words() -> None:
    data = boards.heads(canaries=0)
    names = {"unet": "U-Net " + "x" * 200, "gan": "A conditional GAN of some length", "water": "W"}
    rows = tuple(
        row.model_copy(update={
            "method": row.method.model_copy(update={"title": names[row.method.name]}),
            "tied_with": tuple(n for n in names if n != row.method.name),
        })
        for row in data.board.rows
    )  # fmt: skip
    view = board_view(replace(data, board=data.board.model_copy(update={"rows": rows})), "mri_to_ct")
    assert view.lines[0].tied_text == "tied with A conditional GAN of some l…, W"
    assert view.lines[2].tied_text == "tied with U-Net xxxxxxxxxxxxxxxxxxxxx…, A conditional GAN of some l…"


def test_submission_page_has_every_case_with_its_reason(trees: dict[str, Tree]) -> None:
    tree = trees["tasks/mri_to_ct/submissions/water/index.html"]
    table = next(t for t in tree.root.all("table") if t.has("cases"))
    rows = table.all("tbody")[0].all("tr")
    names = [r.all("th")[0].words() for r in rows]
    assert names == sorted(names) and len(set(names)) == 12
    assert all(re.fullmatch(r"t-[a-z2-7]{8}", name) for name in names), "test cases are anonymous"
    bad = [r for r in rows if r.has("bad")]
    assert len(bad) == 2
    assert "invalid (worst value): geometry: found size 32×32×8" in bad[0].words()
    assert "2000.0" in bad[0].words() and bad[0].words().count("Copy size") == 1
    text = tree.root.words()
    assert "@misc{radbench-mri-to-ct-water-2026-11-21-" in text and "sha256:0123456789abcdef" in text
    assert "female" not in table.words(), "attributes of single cases stay off the page"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</title></pre><h1>mine</h1>",
        "{{ 7*7 }}{% raw %}",
        "\x02banner\x03\x02assets\x03\x00\u202e",
    ],
)
def test_text_of_strangers_stays_text(tmp_path: Path, text: str) -> None:
    hostile = boards.retitled(boards.heads(canaries=1, shape=(4, 8, 8)), text)
    published = site.publish(tmp_path / "site", [hostile], date="2026-11-21")
    allowed = {"a", "link", "script", "img", "meta"}
    for page in (tmp_path / "site").rglob("*.html"):
        raw = page.read_text("utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e]", raw)
        tree = Tree(raw)
        assert len(tree.root.all("h1")) == 1
        assert all(re.search(r"static/(sort|board|viewer)\.js$", n.attrs["src"]) for n in tree.root.all("script"))
        assert len([n for n in tree.root.all("p") if n.has("edition")]) == 1
        for node in ordered(tree.root):
            assert not any(name.startswith("on") for name in node.attrs)
            assert node.tag in allowed or not {"src", "href"} & set(node.attrs)
        assert all(n.attrs["src"].endswith(".png") for n in tree.root.all("img"))
    page = Tree((tmp_path / "site/tasks/mri_to_ct/submissions/unet/index.html").read_text("utf-8"))
    shown = re.sub(r"[\x00-\x1f\u202e]", "", text)
    assert page.root.all("h1")[0].words() == shown
    assert published.changed


def test_first_views_are_light(built: Path, trees: dict[str, Tree]) -> None:
    """What a first visit loads, compressed, without pictures, which load as they come into view; viewer data never load unasked."""
    for path in ("index.html", "tasks/mri_to_ct/index.html", "tasks/mri_to_ct/cases/canary-1/index.html"):
        loaded = [built / path]
        for node in [n for tag in ("link", "script") for n in trees[path].root.all(tag)]:
            loaded.append((built / path).parent / node.attrs.get("href", node.attrs.get("src", "")))
        assert 3 <= len(loaded) <= 5
        assert sum(len(gzip.compress(f.read_bytes())) for f in loaded) < 60_000, path
