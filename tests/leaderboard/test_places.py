"""Contours and rings lie where labels and nodules are, in true size, and each sign says what the metric says."""

from __future__ import annotations

import io
import itertools
import json
import math
import re
from dataclasses import replace

import boards
import numpy as np
import places
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markup import Tree
from PIL import Image

from benchmark.image import Volume
from benchmark.metrics.points import match
from leaderboard import contours, ink, pages, rings
from leaderboard.records import BoardData
from leaderboard.shown import Strip
from leaderboard.strips import strips
from leaderboard.views import board_view


def made(data: BoardData) -> tuple[Strip, dict[str, np.ndarray]]:
    found, files = strips(data, board_view(data, "t"))
    decoded = {
        path.removeprefix("tasks/t/pictures/canary-1/"): np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(
            int
        )
        for path, png in files.items()
        if path.endswith(".png")
    }
    return found[0], decoded


def where(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Places (row, column) of pixels that are nearly of that colour."""
    return np.argwhere(np.abs(picture - np.array(colour)).max(axis=2) < 40)


# ---- labels ----


def test_contours_run_around_the_label_on_the_slice_with_most_of_it() -> None:
    strip, pictures = made(places.labelled())
    assert "slice 4 of 6: the slice with most of the reference" in strip.words
    reference = pictures["reference.png"]
    k = reference.shape[1] / 30
    orange = where(reference, ink.REFERENCE) / k
    # The rim reaches over rows and columns 5 to 14, that is from 5 to 15 in widths of a voxel; the core from 8 to 12.
    assert orange.min(axis=0) == pytest.approx([5, 5], abs=0.35) and orange.max(axis=0) == pytest.approx(
        [15, 15], abs=0.35
    )
    inner = orange[(np.abs(orange - 10) < 3.5).all(axis=1)]
    assert inner.min(axis=0) == pytest.approx([8, 8], abs=0.35) and inner.max(axis=0) == pytest.approx(
        [12, 12], abs=0.35
    )
    assert not len(where(reference, ink.PREDICTION))


def test_prediction_and_reference_are_seen_in_two_colours_even_where_they_coincide() -> None:
    _, pictures = made(places.labelled())
    picture = pictures["predictions/near.png"]
    k = picture.shape[1] / 30
    both = [where(picture, colour) / k for colour in (ink.REFERENCE, ink.PREDICTION)]
    for places_of in both:  # along the common right border at column 15
        assert (np.abs(places_of - [10, 15]).max(axis=1) < 1.5).any()
    left = [p[np.abs(p[:, 0] - 10) < 0.5][:, 1].min() for p in both]
    assert left == [pytest.approx(5, abs=0.35), pytest.approx(6, abs=0.35)]


def test_labels_differ_by_line_style_and_the_legend_names_them_in_the_tasks_order() -> None:
    strip, _ = made(places.labelled())
    assert strip.labels == (("core", "whole line"), ("rim", "dashed"))
    plane = np.zeros((20, 20), np.float32)
    plane[2:18, 2:18] = 1
    plane[6:14, 6:14] = 2
    lines = contours.lines(plane, [2, 1], (200, 200), ink.REFERENCE, 2.0)
    assert [line.dash for line in lines] == [ink.DASHES[0], ink.DASHES[1], ink.DASHES[1]]  # the rim has two borders
    whole, pieces = ink.dashed(lines[0].points, lines[0].dash), ink.dashed(lines[1].points, lines[1].dash)
    assert len(whole) == 1 and len(pieces) > 5


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=8), st.sampled_from(ink.DASHES[1:])
)
def test_dashes_cover_their_share_of_the_line(points: list[tuple[float, float]], dash: tuple[float, ...]) -> None:
    line = np.array(points)
    total = float(np.hypot(*np.diff(line, axis=0).T).sum())
    drawn = sum(float(np.hypot(*np.diff(stroke, axis=0).T).sum()) for stroke in ink.dashed(line, dash))
    period, on = sum(dash), sum(dash[::2])
    whole, rest = divmod(total, period)
    expected, place = whole * on, 0.0
    for i, length in enumerate(dash):
        expected += (i % 2 == 0) * min(max(rest - place, 0), length)
        place += length
    assert drawn == pytest.approx(expected, abs=1e-6 * max(1.0, total))


def test_disagreement_says_who_has_what() -> None:
    strip, pictures = made(places.labelled())
    picture = pictures["errors/near.png"]
    k = picture.shape[1] / 30

    def at(row: float, column: float) -> np.ndarray:
        return picture[round(row * k), round(column * k)]

    def like(colour: tuple[int, int, int]) -> np.ndarray:
        return 0.2 * contours.DIM * 128 + 0.8 * np.array(colour)

    assert at(10.5, 5.5) == pytest.approx(like(ink.REFERENCE), abs=2), "missed"
    assert at(6, 21) == pytest.approx(like(ink.PREDICTION), abs=2), "added"
    core = picture[round(8.5 * k) : round(11.5 * k), round(8.5 * k) : round(11.5 * k)].reshape(-1, 3)
    share = np.mean(np.abs(core - like(ink.OTHER)).max(axis=1) < 3)
    assert 0.4 < share < 0.6, "another label: stripes, so that it differs by more than colour"
    assert np.ptp(at(2, 2)) == 0, "where both agree there is the input"
    cell = strip.cell("near")
    assert cell is not None and "10 voxels missed, 4 added, 16 with another label" in cell.pictures[1].alt
    none = strip.cell("none")
    assert none is not None and none.pictures == () and none.reason == "No output."


# ---- points ----


def test_signs_say_what_the_metric_says() -> None:
    found = rings.findings(places.NODULES)
    assert [(f.number, f.radius) for f in found] == [(1, 6.0), (2, 4.0), (3, 3.0), (0, 5.0)]
    own = rings.marks(found, places.MARKS, 100, 2.0)
    assert [(m.probability, m.kind, m.on) for m in own] == [
        (0.93, "hit", (1,)), (0.8, "ignored", ()), (0.77, "false", ()), (0.41, "hit", (2,)), (0.05, "false", ()),
    ]  # fmt: skip


coordinates = st.tuples(*[st.floats(0, 20, width=16)] * 3).map(list)


@given(
    st.lists(st.tuples(coordinates, st.floats(1, 12)), max_size=4),
    st.lists(st.tuples(coordinates, st.floats(1, 12)), max_size=2),
    st.lists(st.tuples(coordinates, st.floats(0, 1)), max_size=6),
    st.integers(1, 7),
)
def test_any_marks_are_sorted_as_the_metric_counts_them(lesions, scars, predicted, most) -> None:
    reference = {
        "points": [{"point": p, "diameter": d} for p, d in lesions],
        "irrelevant": [{"point": p, "diameter": d} for p, d in scars],
    }
    prediction = {"points": [{"point": p, "probability": v} for p, v in predicted]}
    scan = match(reference, prediction, max_marks=most)
    found = rings.findings(reference)
    own = rings.marks(found, prediction, most, 1.0)
    assert sorted(m.probability for m in own if m.kind == "false") == sorted(scan.false_positives)
    best = [max((m.probability for m in own if f.number in m.on), default=-math.inf) for f in found if f.counts]
    assert sorted(best) == sorted(scan.hits)


def ring_on(pane: rings.Pane, found: rings.Finding) -> np.ndarray:
    """Distance in mm of the ring's pixels from the centre's place in the picture."""
    picture = rings.picture(pane, (-1000, 400), [found])
    array = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    x, y, _ = pane.place(found.point)
    pixels = where(array, ink.REFERENCE)
    distance = np.hypot(pixels[:, 1] + 0.5 - x, pixels[:, 0] + 0.5 - y) / pane.scale
    return distance[distance < found.radius * 1.15] if len(distance) else distance


def test_rings_are_true_to_scale_and_shrink_away_from_the_middle() -> None:
    volume = places.chest().canary[0].input()
    big = rings.findings(places.NODULES)[0]
    middle = rings.slice_at(volume, big.point)
    assert middle == 10  # z = 120 mm, from 100 in steps of 2
    for offset in range(4):
        full = rings.whole(volume, middle + offset)
        distance = ring_on(full, big)
        wanted = 36 - (2 * offset) ** 2
        if wanted <= 0:
            assert not len(distance)
        else:
            assert float(np.median(distance)) == pytest.approx(math.sqrt(wanted), abs=0.3)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (False, True, False)])
def test_rings_lie_on_the_nodule_however_the_scan_is_stored(order: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    """A bright ball of air's opposite: the ring must run around it."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in places.SHAPE), indexing="ij")
    point = [x + places.ORIGIN[0], y + places.ORIGIN[1], 2.0 * z + places.ORIGIN[2]]
    ball = sum((p - c) ** 2 for p, c in zip(point, places.BIG, strict=True)) < 36
    volume = places.stored(
        Volume(np.where(ball, 400.0, -1000.0).astype(np.float32), places.SPACING, places.ORIGIN), order, flips
    )
    big = rings.findings(places.NODULES)[0]
    pane = rings.detail(volume, big.point)
    ground = pane.ground((-1000, 400))
    px, py, distance = pane.place(big.point)
    assert distance < volume.spacing[0] / 2 + 1e-9
    rows, columns = np.nonzero(ground > 128)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (
        pytest.approx(py, abs=pane.scale),
        pytest.approx(px, abs=pane.scale),
    )
    area = len(rows) / pane.scale**2
    assert area == pytest.approx(math.pi * (36 - distance**2), rel=0.2)


def test_the_strip_shows_slices_at_the_nodules_with_found_missed_and_false() -> None:
    strip, pictures = made(places.chest())
    assert [shown.label for shown in strip.given] == ["Slice 11", "Nodule 1, slice 11", "Nodule 2, slice 16"]
    assert "3 nodules (12.0, 8.0, 6.0 mm)" in strip.words
    good, empty, none = (strip.cell(name) for name in ("good", "empty", "none"))
    assert good is not None and empty is not None and none is not None
    assert (
        "nodule 1 with probability 0.93; nodule 2 with probability 0.41; nodule 3 without a mark; 1 false mark (0.77)"
        in (good.pictures[0].alt)
    )
    assert good.values == (("Nodules found at 0.4", "2 of 3"), ("False marks at 0.4", "1"))
    assert empty.values == (("Nodules found at 0.4", "0 of 3"), ("False marks at 0.4", "0"))
    assert none.pictures == () and none.reason == "No output."
    whole = pictures["predictions/good-0.png"]
    assert (
        len(where(whole, ink.PREDICTION)) > 20
        and len(where(whole, ink.FALSE)) > 20
        and len(where(whole, ink.PALE)) > 20
    )
    reference = pictures["reference-0.png"]
    assert not len(where(reference, ink.PREDICTION)) and not len(where(reference, ink.FALSE))
    # A missed nodule has a dashed ring: less ink than the same ring with a mark on it.
    assert len(where(pictures["predictions/empty-1.png"], ink.REFERENCE)) < 0.85 * len(
        where(pictures["predictions/good-1.png"], ink.REFERENCE)
    )


def test_a_scan_without_nodules_shows_the_most_probable_false_mark() -> None:
    strip, _ = made(places.chest(reference={"type": "Multiple points", "points": []}))
    assert [shown.label for shown in strip.given] == ["Slice 11", "Most probable false mark of all, slice 11"]
    assert strip.words.startswith("No nodule in the scan.")


def test_the_viewer_knows_where_signs_are_however_the_scan_is_stored() -> None:
    told = []
    for order, flips in (((0, 1, 2), (False,) * 3), ((2, 0, 1), (True, False, True))):
        data = places.turned(places.chest(), order, flips)  # type: ignore[arg-type]
        strip, _ = made(data)
        told.append(json.loads(strip.viewer))
    for key in ("findings", "marks", "spacing"):
        assert told[0][key] == told[1][key]
    first = told[0]
    assert first["kind"] == "points" and set(first["volumes"]) == {"input"}
    # z, y, x in voxels: (120 − 100) / 2, 0 + 30, −10 + 40
    assert first["findings"][0] == {"at": [10.0, 30.0, 30.0], "radius": 6.0, "number": 1}
    assert [m["p"] for m in first["marks"]["good"]] == [0.93, 0.8, 0.77, 0.41] and first["marks"]["empty"] == []
    assert [m["name"] for m in first["models"]] == ["good", "empty"]


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}"])
def test_strangers_text_stays_text_around_pictures(text: str) -> None:
    for page in pages.build([places.chest(text)]).pages.values():
        tree = Tree(page)
        assert all(re.search(r"static/\w+\.js$", n.attrs["src"]) for n in tree.root.all("script"))
        assert all(n.attrs["src"].endswith(".png") for n in tree.root.all("img"))


def test_the_same_pictures_are_the_same_bytes() -> None:
    one, two = (pages.build([places.chest(), places.labelled(), boards.slab()]).assets for _ in range(2))
    assert {p: one[p] for p in one if p.endswith(".png")} == {p: two[p] for p in two if p.endswith(".png")}


# ---- curves ----


def test_the_board_draws_froc_and_roc_with_the_rows_own_numbers() -> None:
    data = places.chest()
    page = Tree(pages.build([data]).pages["tasks/nodules/index.html"])
    drawings = {n.attrs["id"]: n for n in page.root.all("svg") if "id" in n.attrs}
    assert {"froc", "roc-scans", "roc-candidates"} <= set(drawings)
    froc = drawings["froc"]
    assert [t.words() for t in froc.all("text") if t.has("tick")][:7] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    traces = [n.attrs["d"] for n in froc.all("path") if n.has("trace") and n.attrs["d"].count("L") > 5]
    assert len(traces) == 3
    own = next(curve for curve in data.board.rows[0].curves if curve.kind == "froc")
    points = [tuple(map(float, p.split())) for p in traces[-1][1:].split("L")]  # the first row is drawn last, on top
    assert len(points) == len(own.x)
    for (x, y), rate, value in zip(points, own.x, own.y, strict=True):
        assert x == pytest.approx(58 + (372 - 58) * math.log(rate / 0.125) / math.log(64), abs=0.01)
        assert y == pytest.approx(322 - (322 - 16) * value, abs=0.01)
    table = next(t for t in page.root.all("table") if "so many false positives" in t.all("caption")[0].words())
    first = [row.all("td")[0].words() for row in table.all("tbody")[0].all("tr")]
    assert first[0].startswith(f"{own.y[0]:.3f}") and f"{own.low[6]:.3f}–{own.high[6]:.3f}" in first[6]


def test_a_board_without_detections_has_no_curves() -> None:
    page = Tree(pages.build([boards.heads(canaries=0)]).pages["tasks/mri_to_ct/index.html"])
    assert not [n for n in page.root.all("svg") if n.attrs.get("id") in ("froc", "roc-scans", "roc-candidates")]


def test_tables_of_cases_leave_out_metrics_of_the_whole_set() -> None:
    data = boards.heads(canaries=0)
    scores = {name: [s for s in table if s.metric != "psnr"] for name, table in data.scores.items()}
    made = pages.build([replace(data, scores=scores)]).pages
    for path, kind in (("cases/index.html", "hard"), ("submissions/gan/index.html", "cases")):
        table = next(t for t in Tree(made[f"tasks/mri_to_ct/{path}"]).root.all("table") if t.has(kind))
        heads = " ".join(th.words() for th in table.all("thead")[0].all("th"))
        assert "MAE" in heads and "SSIM" in heads and "PSNR" not in heads
    assert "How hard each case is" not in pages.build([places.chest()]).pages["tasks/nodules/cases/index.html"]
