"""Strips of detections: slices at the nodules, with rings of true size and marks with their probability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmark import metrics
from benchmark.contract import Task
from benchmark.image import Volume
from leaderboard import pictures, rings
from leaderboard import viewer as viewing
from leaderboard.records import BoardData, CanaryCase
from leaderboard.shown import Files, Shown, Strip, StripCell
from leaderboard.strips import frame
from leaderboard.views import BoardView, canary_values

DETAILS = 2
"""So many nodules, the largest ones, have a detail in the strip; all of them are in the viewer."""


def strip(canary: CanaryCase, data: BoardData, view: BoardView) -> tuple[Strip, dict[str, bytes]]:
    """The strip of one case and its files."""
    task, case = data.board.task, canary.case.id
    ground, found = canary.input(), rings.findings(canary.reference())
    most, threshold = option(task, "max_marks", 100), option(task, "threshold", 0.5)
    predicted = list(frame.lines_of(canary, view))
    marks = {
        line.row.method.name: rings.marks(found, content, int(most), ground.spacing[0])
        for line, content in predicted
        if isinstance(content, Mapping)
    }
    panes = _panes(ground, found, marks.values())
    window = pictures.input_window(task.display, pictures.plane_of(ground, panes[0][1].view))
    files = Files(f"{view.folder}pictures/{case}/")

    def keep(picture: pictures.Picture, name: str, alt: str, label: str, pane: rings.Pane) -> Shown:
        return files.keep(picture.png, (picture.width, picture.height), name, alt, label, pane.view.marks)

    kind = f"{view.badge} canary case {case}"
    given = []
    for number, (label, pane) in enumerate(panes):
        drawn = rings.picture(pane, window, found, sizes=True)
        where = f"{kind}, {frame.place(pane.view)}{frame.sides(pane.view)}"
        given.append(keep(drawn, f"reference-{number}", f"Reference, {label}, {where}: {_nodules(found)}", label, pane))
    cells = []
    for line, _ in predicted:
        name, title = line.row.method.name, line.row.method.title
        values, reason = canary_values(canary, name, view.columns)
        shown: list[Shown] = []
        if name in marks:
            own = marks[name]
            for number, (label, pane) in enumerate(panes):
                drawn = rings.picture(pane, window, found, own)
                where = f"{kind}, {frame.place(pane.view)}{frame.sides(pane.view)}"
                words = f"Marks of {title}, {label}, {where}. In the whole scan: {_said(found, own)}"
                shown.append(keep(drawn, f"predictions/{name}-{number}", words, label, pane))
            values = (*values, *_counts(found, own, threshold))
        cells.append(StripCell(name, title, line.href, tuple(shown), values, reason or ("" if shown else "No output.")))
    titles = [(line.row.method.name, line.row.method.title) for line, _ in predicted if line.row.method.name in marks]
    loaded = viewing.Loaded(
        ground, None, None, (), panes[0][1].view.index,
        points=viewing.Points(found, tuple((name, title, marks[name]) for name, title in titles[: viewing.MODELS])),
    )  # fmt: skip
    description, scripts = viewing.viewer(task, case, view.folder, loaded)
    files.take(scripts)
    unit = task.input(task.display.input).unit
    words = (
        f"{_nodules(found)} in the scan. Details are {rings.DETAIL:g} mm wide. Window {frame.window_text(window, unit)}. Marks below "
        f"a probability of {rings.SHOWN_FROM:g} are not drawn.{frame.sides_sentence(panes[0][1].view)}"
    )
    return Strip(case, "points", tuple(given), tuple(cells), words, viewer=description), files.content


def _panes(
    ground: Volume, found: Sequence[rings.Finding], predicted: Iterable[Sequence[rings.Mark]]
) -> list[tuple[str, rings.Pane]]:
    """Label and pane of each picture: the whole slice of the largest nodule, then a detail of each of the largest.

    A scan without nodules shows the most probable false mark of all submissions, so that all are seen at the same place.
    """
    lesions = [f for f in found if f.counts]
    if lesions:
        first = rings.whole(ground, rings.slice_at(ground, lesions[0].point))
        panes = [(f"Slice {first.view.index + 1}", first)]
        for f in lesions[:DETAILS]:
            pane = rings.detail(ground, f.point)
            panes.append((f"Nodule {f.number}, slice {pane.view.index + 1}", pane))
        return panes
    marks = sorted((m for own in predicted for m in rings.shown(own)), key=lambda m: (-m.probability, m.point))
    if not marks:
        middle = rings.whole(ground, (ground.array.shape[0] - 1) // 2)
        return [(f"Slice {middle.view.index + 1}", middle)]
    first = rings.whole(ground, rings.slice_at(ground, marks[0].point))
    pane = rings.detail(ground, marks[0].point)
    return [
        (f"Slice {first.view.index + 1}", first),
        (f"Most probable false mark of all, slice {pane.view.index + 1}", pane),
    ]


def _nodules(found: Sequence[rings.Finding]) -> str:
    sizes = [f"{2 * f.radius:.1f}" for f in found if f.counts]
    if not sizes:
        return "No nodule"
    return f"{len(sizes)} nodule{'s' if len(sizes) > 1 else ''} ({', '.join(sizes)} mm)"


def _said(found: Sequence[rings.Finding], own: Sequence[rings.Mark]) -> str:
    """In words what the signs say."""
    drawn = rings.shown(own)
    best = {f.number: max((m.probability for m in drawn if f.number in m.on), default=None) for f in found if f.counts}
    hits = [f"nodule {n} with probability {rings.probability(p)}" for n, p in best.items() if p is not None]
    missed = [f"nodule {n} without a mark" for n, p in best.items() if p is None]
    false = [rings.probability(m.probability) for m in drawn if m.kind == "false"]
    marks = (
        f"{len(false)} false mark{'s' if len(false) != 1 else ''}{' (' + ', '.join(false[:5]) + ')' if false else ''}"
    )
    return "; ".join([*hits, *missed, marks])


def _counts(found: Sequence[rings.Finding], own: Sequence[rings.Mark], threshold: float) -> tuple[tuple[str, str], ...]:
    """What the scan gives at the task's operating point."""
    called = [m for m in own if m.probability >= threshold]
    lesions = [f for f in found if f.counts]
    hit = {number for m in called for number in m.on}
    return (
        (f"Nodules found at {threshold:g}", f"{len(hit)} of {len(lesions)}"),
        (f"False marks at {threshold:g}", str(sum(m.kind == "false" for m in called))),
    )


def option(task: Task, name: str, otherwise: float) -> float:
    """What the task's metrics fix under that name, first come; their own default, else `otherwise`."""
    for used in task.metrics:
        value = used.options.get(name, metrics.find(used.name).options.get(name))
        if isinstance(value, int | float):
            return float(value)
    return otherwise
