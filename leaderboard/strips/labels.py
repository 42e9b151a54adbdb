"""Strips of segmentations: contours of reference and predictions on the input, on the slice with most of what was to be found."""

from __future__ import annotations

import numpy as np

from benchmark.image import Volume
from leaderboard import contours, ink, pictures
from leaderboard import viewer as viewing
from leaderboard.records import BoardData, CanaryCase
from leaderboard.shown import Files, Shown, Strip, StripCell
from leaderboard.strips import frame
from leaderboard.views import BoardView, canary_values


def strip(canary: CanaryCase, data: BoardData, view: BoardView) -> tuple[Strip, dict[str, bytes]]:
    """The strip of one case and its files."""
    task, case = data.board.task, canary.case.id
    display = task.display
    reference, ground = canary.reference(), canary.input()
    assert isinstance(reference, Volume)
    look = pictures.view_of(reference, reference)
    # The input's values at the reference's voxels, so that contours lie where they belong whatever the input's grid.
    seen = pictures.plane_of(reference.like(viewing.on_grid(ground, reference)), look)
    truth = pictures.plane_of(reference, look)
    window = pictures.input_window(display, seen)
    predicted = [(line, content) for line, content in frame.lines_of(canary, view)]
    fitting = {
        line.row.method.name: content
        for line, content in predicted
        if isinstance(content, Volume) and content.array.shape == reference.array.shape
    }
    values = label_values(display.labels, [reference, *fitting.values()])
    files = Files(f"{view.folder}pictures/{case}/")

    def keep(picture: pictures.Picture, name: str, alt: str, label: str) -> Shown:
        return files.keep(picture.png, (picture.width, picture.height), name, alt, label, look.marks)

    place, sides = frame.place(look), frame.sides(look)
    kind = f"{view.badge} canary case {case}, {place}"
    size = pictures.size_of(seen.shape, look.pixel, contours.LONG_SIDE)
    plain = pictures.png(ink.drawn(pictures.levels(seen, size, window), ()), *window)
    outlined = contours.outlined(seen, look.pixel, window, values, reference=truth)
    areas = ", ".join(f"{name_of(display.labels, v)} {int((truth == v).sum())} voxels" for v in values)
    given = (
        keep(
            outlined, "reference", f"Reference of {kind}{sides}, as orange contours on the input: {areas}", "Reference"
        ),
        keep(plain, "input", f"Input of {kind}{sides}", "Input"),
    )
    cells = []
    models: list[tuple[str, str, Volume]] = []
    for line, _ in predicted:
        name, title = line.row.method.name, line.row.method.title
        pairs, reason = canary_values(canary, name, view.columns)
        shown: tuple[Shown, ...] = ()
        if name in fitting:
            if len(models) < viewing.MODELS:
                models.append((name, title, fitting[name]))
            plane = pictures.plane_of(fitting[name], look)
            one = contours.outlined(seen, look.pixel, window, values, reference=truth, prediction=plane)
            two = contours.differing(seen, look.pixel, window, truth, plane)
            missed, added, other = contours.counts(truth, plane)
            alt = f"Contours of {title} in blue and of the reference in orange, {kind}{sides}"
            words = (
                f"Disagreement of {title} with the reference, {kind}{sides}: in the slice {missed} voxels missed, {added} added, "
                f"{other} with another label"
            )
            shown = (
                keep(one, f"predictions/{name}", alt, "Prediction and reference"),
                keep(two, f"errors/{name}", words, "Disagreement"),
            )
        cells.append(StripCell(name, title, line.href, shown, pairs, reason or ("" if shown else "No output.")))
    loaded = viewing.Loaded(ground, reference, None, models, look.index, labels=tuple(values))
    description, scripts = viewing.viewer(task, case, view.folder, loaded)
    files.take(scripts)
    unit, by_percentile = task.input(display.input).unit, display.input_window == (0, 0)
    most = "the slice with most of the reference; " if truth.any() else ""
    words = (
        f"{frame.sentence(place)}: {most}input {task.input(display.input).title or display.input}, window "
        f"{frame.window_text(window, unit, by_percentile=by_percentile)}.{frame.sides_sentence(look)}"
    )
    names = tuple((name_of(display.labels, v), ink.DASH_NAMES[i % len(ink.DASH_NAMES)]) for i, v in enumerate(values))
    return Strip(
        case, "labels", given, tuple(cells), words, labels=names if len(names) > 1 else (), viewer=description
    ), files.content


def label_values(named: dict[int, str], volumes: list[Volume]) -> list[int]:
    """All labels there are: those with a name in the order of their names, then others that occur, without the background."""
    found = {int(v) for volume in volumes for v in np.unique(volume.array) if np.isfinite(v)}
    return [*named, *sorted(found - named.keys() - {0})]


def name_of(named: dict[int, str], value: int) -> str:
    """The name of a label."""
    return named.get(value, f"label {value}")
