"""The pictures of a board's canary cases, as files of the snapshot and as what the templates lay out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Socket
from benchmark.image import Volume
from leaderboard import numbers, pictures
from leaderboard import viewer as viewing
from leaderboard.records import BoardData, CanaryCase
from leaderboard.views import BoardView, Shown, Strip, StripCell, canary_values

_SIDES = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}


def strips(data: BoardData, view: BoardView) -> tuple[tuple[Strip, ...], dict[str, bytes]]:
    """Strips in the order of the canary cases, and their PNG files by path in the snapshot.

    Raises `ValueError` for a case of another split: pictures of sealed cases must never be made.
    """
    made: list[Strip] = []
    files: dict[str, bytes] = {}
    if not view.pictured:
        return (), {}  # points and values have no slices to show
    for canary in data.canary:
        if canary.case.split != "canary":
            raise ValueError(f"case {canary.case.id} is of split {canary.case.split!r}; only canary cases are pictured")
        strip, pngs = _strip(canary, data, view)
        made.append(strip)
        files.update(pngs)
    return tuple(made), files


def _strip(canary: CanaryCase, data: BoardData, view: BoardView) -> tuple[Strip, dict[str, bytes]]:
    task, case = data.board.task, canary.case.id
    display, socket = task.display, task.reference(task.scoring.reference)
    reference, mask, ground = canary.reference(), canary.mask(), canary.input()
    look = pictures.view_of(reference, mask)
    turned = pictures.orient(ground, pictures.matching_slice(reference, look.index, ground))
    truth = pictures.plane_of(reference, look)
    inside = None if mask is None else look.lay(mask.array[look.index]) != 0
    seen = pictures.plane_of(ground, turned)
    window = pictures.input_window(display, seen)
    files: dict[str, bytes] = {}

    def keep(picture: pictures.Picture, name: str, alt: str) -> Shown:
        path = f"{view.folder}pictures/{case}/{name}.png"
        files[path] = picture.png
        return Shown(path, picture.width, picture.height, alt)

    place = f"{_plane_name(look)} slice {look.index + 1} of {look.count}".strip()
    kind = f"{view.badge} canary case {case}, {place}"
    sides = f", the patient's {_SIDES[look.marks[0]]} on the left" if look.marks[0] else ""
    first = keep(pictures.grey(seen, turned.pixel, window), "input", f"Input of {kind}{sides}")
    same_grid = seen.shape == truth.shape
    overlay = display.overlay and same_grid
    if overlay:
        picture = pictures.outline(seen, truth, look.pixel, window, prediction=False)
    else:
        picture = pictures.grey(truth, look.pixel, display.window)
    second = keep(picture, "reference", f"Reference of {kind}{sides}")
    limits = pictures.error_range(display)
    cells = []
    predictions: list[tuple[str, str, Volume]] = []
    for line in view.lines:
        name, title = line.row.method.name, line.row.method.title
        if name not in canary.predictions and name not in canary.scores:
            continue
        load = canary.predictions.get(name)
        predicted = load() if load is not None else None
        values, reason = canary_values(canary, name, view.columns)
        shown = wrong = None
        if predicted is not None and predicted.array.shape == reference.array.shape:
            plane = pictures.plane_of(predicted, look)
            if len(predictions) < viewing.MODELS:
                predictions.append((name, title, predicted))
            if overlay:
                one = pictures.outline(seen, plane, look.pixel, window, prediction=True)
                two = pictures.disagreement(truth, plane, look.pixel)
            else:
                one = pictures.grey(plane, look.pixel, display.window)
                two = pictures.diverging(plane - truth, inside, look.pixel, limits)
            shown = keep(one, f"predictions/{name}", f"Prediction of {title} for {kind}{sides}")
            wrong = keep(two, f"errors/{name}", _error_alt(title, kind + sides, plane, truth, inside, socket, overlay))
        cells.append(StripCell(name, title, line.href, shown, wrong, values, reason or ("" if shown else "No output.")))
    unit = f" {socket.unit}" if socket.unit else ""
    loaded = viewing.Loaded(ground, reference, mask, predictions, look.index)
    description, scripts = viewing.viewer(task, case, view.folder, loaded)
    strip = Strip(
        case, first, second, tuple(cells), look.marks,
        place,
        f"{numbers.plain(display.window[0])} to {numbers.plain(display.window[1])}{unit}",
        _input_window_text(window, display.input_window == (0, 0), task.input(display.input).unit),
        (numbers.plain(limits[0]), "0", f"{'+' if limits[1] > 0 else ''}{numbers.plain(limits[1])}"),
        socket.unit, overlay, mask is not None, description,
    )  # fmt: skip
    return strip, files | scripts


def _plane_name(view: pictures.View) -> str:
    sides = {frozenset("LR"): 0, frozenset("AP"): 1, frozenset("SI"): 2}
    axes = {sides[frozenset(pair)] for pair in (view.marks[:2], view.marks[2:]) if all(pair)}
    return {frozenset((0, 1)): "axial", frozenset((0, 2)): "coronal", frozenset((1, 2)): "sagittal"}.get(
        frozenset(axes), ""
    )


def _input_window_text(window: tuple[float, float], by_percentile: bool, unit: str) -> str:
    low, high = (numbers.plain(float(f"{v:.3g}")) if by_percentile else numbers.plain(v) for v in window)
    tail = " (1st to 99th percentile)" if by_percentile else ""
    return f"{low} to {high}{' ' + unit if unit else ''}{tail}"


def _error_alt(
    title: str,
    kind: str,
    plane: NDArray[np.float32],
    truth: NDArray[np.float32],
    inside: NDArray[np.bool_] | None,
    socket: Socket,
    overlay: bool,
) -> str:
    """Says in words what the colours say: how large the error is in this slice, and to which side it leans."""
    if overlay:
        added, missed = int(((plane != 0) & (truth == 0)).sum()), int(((plane == 0) & (truth != 0)).sum())
        return f"Disagreement of {title} with the reference, {kind}: in the slice {added} voxels added, {missed} missed"
    error = plane - truth
    scored = error if inside is None or not inside.any() else error[inside]
    mean, size = float(scored.mean()), float(np.abs(scored).mean())
    unit = f" {socket.unit}" if socket.unit else ""
    return (
        f"Error map, prediction of {title} minus reference, {kind}: mean absolute error in the slice "
        f"{numbers.plain(float(f'{size:.3g}'))}{unit}, mean error {numbers.plain(float(f'{mean:.3g}'))}{unit}"
    )
