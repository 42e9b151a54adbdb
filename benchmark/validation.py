"""Is what a model wrote what the task asks for? Content when it is, a `SubmissionError` with a reason when it is not.

Everything found here was written by a stranger: no link is followed, sizes are checked before anything is read, and a
broken file becomes a sentence, never a traceback.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import geometry, image
from benchmark.contract import Case, Socket, Task
from benchmark.errors import SubmissionError
from benchmark.image import Volume

VOLUME_SUFFIXES = (".mha", ".nii.gz", ".nii")
"""Formats in which a volume may be handed in."""

LARGEST = float(np.finfo(np.float64).max)
JSON_MB = 16
"""Largest JSON output in MiB, whatever the task allows for volumes: parsed, it takes forty times the memory."""
LEAST_VOXELS = 2**22
"""Volumes of so many voxels are read whatever the reference's size."""


def output_file(folder: Path, socket: Socket) -> Path:
    """The one file of an output socket below a case's `/output` folder.

    Raises `SubmissionError`: `missing` (nothing there), `extra_output` (several), `unreadable` (a link, a device, a folder).
    """
    path = folder / socket.path
    for part in (
        folder.joinpath(*Path(socket.path).parts[: depth + 1]) for depth in range(len(Path(socket.path).parts))
    ):
        if part.is_symlink():
            raise SubmissionError(
                "unreadable", f"{part.relative_to(folder)} is a link", expected="a plain file or folder"
            )
    if not socket.is_volume:
        if not path.exists():
            raise SubmissionError("missing", f"no file {socket.path}")
        return _plain(path, folder)
    if not path.is_dir():
        raise SubmissionError("missing", f"no folder {socket.path}", expected=f"one volume in {socket.path}/")
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if not entries:
        raise SubmissionError("missing", f"{socket.path}/ is empty", expected="one volume")
    if len(entries) > 1:
        names = ", ".join(entry.name for entry in entries[:3]) + (" …" if len(entries) > 3 else "")
        raise SubmissionError(
            "extra_output", f"{socket.path}/ holds {len(entries)} entries ({names})", expected="one volume"
        )
    return _plain(entries[0], folder)


def loose_file(folder: Path, case: Case, socket: Socket) -> Path:
    """The file of a case among loose predictions: `<case>.mha`, `<case>.nii.gz` or `<case>.json`, or `<case>/` as an output tree."""
    if (folder / case.id).is_dir():
        tree = folder / case.id
        if (tree / socket.path).exists() or not any(tree.glob("*")):
            return output_file(tree, socket)
    suffixes = VOLUME_SUFFIXES if socket.is_volume else (".json",)
    found = [folder / f"{case.id}{suffix}" for suffix in suffixes if (folder / f"{case.id}{suffix}").exists()]
    if not found:
        names = " or ".join(f"{case.id}{suffix}" for suffix in suffixes[:2])
        raise SubmissionError("missing", f"no prediction for case {case.id}", expected=f"{names} in {folder.name}/")
    if len(found) > 1:
        raise SubmissionError("extra_output", f"{len(found)} predictions for case {case.id}", expected="one file")
    return _plain(found[0], folder)


def loose_names(folder: Path) -> set[str]:
    """The case names that loose predictions carry; hidden files are left out."""
    names = set()
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            names.add(entry.name)
        else:
            suffix = next((s for s in (*VOLUME_SUFFIXES, ".json") if entry.name.endswith(s)), "")
            if suffix:
                names.add(entry.name.removesuffix(suffix))
    return names


def read_prediction(path: Path, task: Task, socket: Socket, grid: Volume | None) -> Any:
    """Read and check the output of one socket: a `Volume` on the reference's grid, or a parsed JSON value.

    `grid` is the reference volume. Raises `SubmissionError` with one of the codes `output_too_large`, `unreadable`,
    `not_scalar`, `not_numeric`, `not_labels`, `geometry`, `schema`. Non-finite voxels are left to the metrics, which know the mask.
    """
    most = task.limits.output_mb if socket.is_volume else min(task.limits.output_mb, JSON_MB)
    limit, size = most * 2**20, path.lstat().st_size
    if size > limit:
        raise SubmissionError(
            "output_too_large", f"{path.name} has {size / 2**20:.0f} MiB", expected=f"at most {most} MiB"
        )
    if not socket.is_volume:
        return _read_json(path, socket)
    if not path.name.endswith(VOLUME_SUFFIXES):
        raise SubmissionError("unreadable", f"{path.name} is not a volume", expected=" or ".join(VOLUME_SUFFIXES))
    try:
        volume = image.read(path, max_voxels=_most_voxels(grid, limit))
    except (ValueError, RuntimeError, OSError, EOFError, KeyError, OverflowError, MemoryError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SubmissionError(
            "unreadable", f"{path.name} cannot be read: {first}", expected="a readable volume"
        ) from None
    if volume.array.dtype.kind not in "iufb":
        raise SubmissionError("not_numeric", f"{path.name} holds {volume.array.dtype}", expected="integers or floats")
    if volume.array.ndim != 3:
        raise SubmissionError("not_scalar", f"{path.name} has {volume.array.ndim} dimensions", expected="3: z, y, x")
    if grid is not None and (words := geometry.difference(grid, volume)):
        raise SubmissionError("geometry", f"{path.name}: {words}")
    if socket.kind == "segmentation" and volume.array.dtype.kind == "f":
        values = volume.array[np.isfinite(volume.array)]
        if (between := values[values != np.round(values)]).size:
            raise SubmissionError(
                "not_labels", f"{path.name} holds {between[0]:g}", expected="whole numbers, one a label"
            )
    return volume


def _most_voxels(grid: Volume | None, limit: int) -> int:
    """So many voxels are unpacked: a wrong grid can still be explained, and a small file cannot take all memory."""
    return min(image.MAX_VOXELS, limit if grid is None else max(64 * grid.array.size, LEAST_VOXELS))


def _plain(path: Path, folder: Path) -> Path:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        raise SubmissionError("unreadable", f"{path.relative_to(folder)} is {kind}", expected="a plain file")
    return path


def _read_json(path: Path, socket: Socket) -> Any:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            raise ValueError("a key occurs twice")
        return dict(pairs)

    def no_constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    try:
        value = json.loads(path.read_text("utf-8"), object_pairs_hook=no_duplicates, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(
            "unreadable", f"{path.name} is not JSON: {error}", expected="valid JSON in UTF-8"
        ) from None
    if socket.kind == "points":
        check_points(value, path.name)
    return value


def check_points(value: Any, name: str) -> None:
    """Raise `SubmissionError('schema')` unless `value` is Grand Challenge's "Multiple points" with finite numbers, in mm."""
    if (
        not isinstance(value, dict)
        or value.get("type") != "Multiple points"
        or not isinstance(value.get("points"), list)
    ):
        raise SubmissionError(
            "schema",
            f'{name} is not of the type "Multiple points"',
            expected='{"type": "Multiple points", "points": [...], "version": {"major": 1, "minor": 0}}',
        )
    for index, point in enumerate(value["points"]):
        position = point.get("point") if isinstance(point, dict) else None
        ok = isinstance(position, list) and len(position) == 3 and all(_number(v) for v in position)
        if not ok:
            raise SubmissionError(
                "schema", f"{name}: points[{index}].point is {position!r}", expected="[x, y, z] in mm"
            )
        probability = point.get("probability")
        if not (_number(probability) and 0 <= probability <= 1):
            raise SubmissionError(
                "schema", f"{name}: points[{index}].probability is {probability!r}", expected="a number from 0 to 1"
            )


def _number(value: Any) -> bool:
    # An integer may be longer than any float; NaN compares as false.
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST
