"""What a strip of a canary case shows: records between the rooms that draw and the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmark.contract import Task

Kind = Literal["image", "labels", "points"]
"""What is compared: values of voxels, outlines of labels, or places."""


def compared(task: Task) -> Kind | None:
    """What is compared on the pictures of a task; None where there is nothing to look at, as for single values."""
    socket = task.reference(task.scoring.reference)
    if not task.input(task.display.input).is_volume:
        return None
    if socket.is_volume:
        return "labels" if task.display.overlay else "image"
    return "points" if socket.kind == "points" else None


@dataclass(frozen=True)
class Shown:
    """A picture on a page."""

    path: str
    width: int
    height: int
    alt: str
    label: str
    """What stands below it."""
    marks: tuple[str, str, str, str] = ("", "", "", "")
    """The patient's sides at the left, right, top and bottom; empty where there are none."""


@dataclass(frozen=True)
class StripCell:
    """A submission's part of a strip."""

    name: str
    title: str
    href: str
    pictures: tuple[Shown, ...]
    """Empty where the submission has no output for the case."""
    values: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True)
class Strip:
    """All pictures of one canary case."""

    case: str
    kind: Kind
    given: tuple[Shown, ...]
    """What is the same for all submissions; the first two stand for the case in lists."""
    cells: tuple[StripCell, ...]
    words: str
    """Which slice, in which windows, and what the signs mean."""
    error_window: tuple[str, str, str] = ("", "", "")
    """Ends and middle of the colour bar of error maps."""
    unit: str = ""
    masked: bool = False
    """Whether voxels outside a mask are not scored."""
    labels: Sequence[tuple[str, str]] = field(default=())
    """Name and line style of each label of a segmentation."""
    viewer: str = ""
    """What the slice viewer needs to know, as JSON."""

    def cell(self, name: str) -> StripCell | None:
        return next((cell for cell in self.cells if cell.name == name), None)


@dataclass
class Files:
    """PNG files and scripts of strips, by path in the snapshot."""

    folder: str
    content: dict[str, bytes] = field(default_factory=dict)

    def keep(
        self,
        png: bytes,
        size: tuple[int, int],
        name: str,
        alt: str,
        label: str,
        marks: tuple[str, str, str, str],
    ) -> Shown:
        """Keep a picture of (width, height) under `name` and return what a page shows of it."""
        path = f"{self.folder}{name}.png"
        self.content[path] = png
        return Shown(path, size[0], size[1], alt, label, marks)

    def take(self, others: Mapping[str, bytes]) -> None:
        """Keep further files by their whole path."""
        self.content.update(others)
