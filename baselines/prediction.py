"""From a case's input folder to its output folder with one baseline."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines import config as configuration
from baselines import weights
from baselines.catalogue import Baseline
from benchmark import image
from benchmark.contract import Task
from benchmark.errors import UsageError
from benchmark.image import Volume

SUFFIXES = (".mha", ".mhd", ".nii.gz", ".nii", ".nrrd")
"""Image files that a socket's folder may hold."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a baseline says about one case."""

    content: NDArray[np.int16] | Mapping[str, Any]
    """The output in HU, or labels: axes (z, y, x), on the grid of the input image. Of points: the JSON."""
    extras: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Further maps on the same grid by name, such as `uncertainty` in HU."""


Predictor = Callable[[Mapping[str, Volume]], Prediction]
"""Input volumes by socket slug to a prediction. It never sees a reference."""


def load(baseline: Baseline, *, threads: int = 1, device: str = "auto") -> Predictor:
    """Load a baseline's weights and give its prediction function.

    Raises `UsageError` when it has not been trained and `DataError` when its weights are broken or do not fit.
    """
    settings = configuration.load(baseline.config, baseline.family)
    arrays = weights.read(baseline.weights, settings)
    if baseline.family != "classical":
        import torch  # heavy: only where a network runs

        torch.set_num_threads(threads)
    module = importlib.import_module(f"baselines.{baseline.family}.predict")
    predictor: Predictor = module.predictor(settings, arrays, device)
    return predictor


def needed(baseline: Baseline) -> tuple[str, ...]:
    """Slugs of the input sockets that a baseline reads, the image first."""
    return configuration.load(baseline.config, baseline.family).data.sockets


def run_case(
    predictor: Predictor, baseline: Baseline, task: Task, source: Path, target: Path, *, extras: bool = False
) -> list[Path]:
    """Read the case below `source`, write the output (and, if asked, the extra maps) below `target`; the files written.

    A volume has the name of the input image with the suffix `.mha`, and its geometry. An optional input may be absent.
    Raises `UsageError('path')` when an input is not there as declared, or none is that the baseline knows.
    """
    sockets = [task.input(slug) for slug in needed(baseline)]
    files = {s.slug: image_file(source / s.path) for s in sockets if not s.optional or (source / s.path).exists()}
    if not files:
        raise UsageError(
            "path",
            f"{source} has no input that this baseline knows",
            expected=f"at least one of {', '.join(s.slug for s in sockets)}",
            action="Run it on cases that have one.",
        )
    inputs = {slug: image.read(path) for slug, path in files.items()}
    first = next(iter(files))
    shown = inputs[first]
    for slug, volume in inputs.items():
        if volume.array.shape != shown.array.shape:
            raise UsageError(
                "bad_value",
                f"{files[slug]} has shape {volume.array.shape}",
                expected=f"that of {files[first]}, {shown.array.shape}",
                action="Put both on one grid.",
            )
    prediction = predictor(inputs)
    case = stem(files[first])
    output = task.output(task.scoring.prediction)
    written = [target / output.file(case)]
    written[0].parent.mkdir(parents=True, exist_ok=True)
    if isinstance(prediction.content, Mapping):
        written[0].write_text(json.dumps(prediction.content) + "\n", "utf-8")
    else:
        image.write(written[0], shown.like(prediction.content))
    for name, array in prediction.extras.items() if extras else ():
        path = target / "images" / name / f"{case}.mha"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.write(path, shown.like(array))
        written.append(path)
    return written


def image_file(folder: Path) -> Path:
    """The only image file in a socket's folder. Raises `UsageError('path')` when there is none or more than one."""
    found = sorted(path for path in folder.glob("*") if path.is_file() and path.name.lower().endswith(SUFFIXES))
    if len(found) != 1:
        raise UsageError(
            "path",
            f"{folder} holds {len(found)} image files",
            expected=f"one, with a suffix among {', '.join(SUFFIXES)}",
            action="Put exactly one image into that folder.",
        )
    return found[0]


def stem(path: Path) -> str:
    """File name without its image suffix."""
    return next((path.name[: -len(s)] for s in SUFFIXES if path.name.lower().endswith(s)), path.stem)
