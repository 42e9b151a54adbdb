"""Strips of images: one slice of input, reference, predictions and their errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Socket
from benchmark.image import Volume
from leaderboard import numbers, pictures
from leaderboard import viewer as viewing
from leaderboard.records import BoardData, CanaryCase
from leaderboard.shown import Files, Shown, Strip, StripCell
from leaderboard.strips import frame
from leaderboard.views import BoardView, canary_values


def strip(canary: CanaryCase, data: BoardData, view: BoardView) -> tuple[Strip, dict[str, bytes]]:
    """The strip of one case and its files."""
    task, case = data.board.task, canary.case.id
    display, socket = task.display, task.reference(task.scoring.reference)
    reference, mask, ground = canary.reference(), canary.mask(), canary.input()
    assert isinstance(reference, Volume)
    look = pictures.view_of(reference, mask)
    turned = pictures.orient(ground, pictures.matching_slice(reference, look.index, ground))
    truth = pictures.plane_of(reference, look)
    inside = None if mask is None else look.lay(mask.array[look.index]) != 0
    seen = pictures.plane_of(ground, turned)
    window = pictures.input_window(display, seen)
    files = Files(f"{view.folder}pictures/{case}/")

    def keep(picture: pictures.Picture, name: str, alt: str, label: str) -> Shown:
        return files.keep(picture.png, (picture.width, picture.height), name, alt, label, look.marks)

    place, sides = frame.place(look), frame.sides(look)
    kind = f"{view.badge} canary case {case}, {place}"
    first = keep(pictures.grey(seen, turned.pixel, window), "input", f"Input of {kind}{sides}", "Input")
    second = keep(
        pictures.grey(truth, look.pixel, display.window), "reference", f"Reference of {kind}{sides}", "Reference"
    )
    limits = pictures.error_range(display)
    cells = []
    predictions: list[tuple[str, str, Volume]] = []
    for line, predicted in frame.lines_of(canary, view):
        name, title = line.row.method.name, line.row.method.title
        values, reason = canary_values(canary, name, view.columns)
        shown: tuple[Shown, ...] = ()
        if isinstance(predicted, Volume) and predicted.array.shape == reference.array.shape:
            plane = pictures.plane_of(predicted, look)
            if len(predictions) < viewing.MODELS:
                predictions.append((name, title, predicted))
            one = pictures.grey(plane, look.pixel, display.window)
            two = pictures.diverging(plane - truth, inside, look.pixel, limits)
            alt = _error_alt(title, kind + sides, plane, truth, inside, socket)
            shown = (
                keep(one, f"predictions/{name}", f"Prediction of {title} for {kind}{sides}", "Prediction"),
                keep(two, f"errors/{name}", alt, "Prediction − reference"),
            )
        cells.append(StripCell(name, title, line.href, shown, values, reason or ("" if shown else "No output.")))
    description, scripts = viewing.viewer(
        task, case, view.folder, viewing.Loaded(ground, reference, mask, predictions, look.index)
    )
    files.take(scripts)
    words = (
        f"{frame.sentence(place)}. Reference and predictions: window {frame.window_text(display.window, socket.unit)}. "
        f"Input: window {_input_window(data, window)}.{frame.sides_sentence(look)}"
    )
    return Strip(
        case, "image", (second, first), tuple(cells), words,
        (numbers.plain(limits[0]), "0", f"{'+' if limits[1] > 0 else ''}{numbers.plain(limits[1])}"),
        socket.unit, mask is not None, viewer=description,
    ), files.content  # fmt: skip


def _input_window(data: BoardData, window: tuple[float, float]) -> str:
    display = data.board.task.display
    unit = data.board.task.input(display.input).unit
    return frame.window_text(window, unit, by_percentile=display.input_window == (0, 0))


def _error_alt(
    title: str,
    kind: str,
    plane: NDArray[np.float32],
    truth: NDArray[np.float32],
    inside: NDArray[np.bool_] | None,
    socket: Socket,
) -> str:
    """Says in words what the colours say: how large the error is in this slice, and to which side it leans."""
    error = plane - truth
    scored = error if inside is None or not inside.any() else error[inside]
    mean, size = float(scored.mean()), float(np.abs(scored).mean())
    unit = frame.unit_of(socket)
    return (
        f"Error map, prediction of {title} minus reference, {kind}: mean absolute error in the slice "
        f"{numbers.plain(float(f'{size:.3g}'))}{unit}, mean error {numbers.plain(float(f'{mean:.3g}'))}{unit}"
    )
