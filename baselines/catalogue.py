"""Which baselines there are. Found by looking into the family folders; nothing here imports torch.

baselines/<family>/<task>.toml             baseline `<family>`
baselines/<family>/<task>.<variant>.toml   baseline `<family>-<variant>`
                   <same>.safetensors      its weights
                   <same>.md               its card, written by training
                   <same>.seeds.json       how its figures spread over training seeds, where that was measured
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from baselines import config, spread
from benchmark.contract import Method, TrainingSpread
from benchmark.errors import UsageError

Family = Literal["classical", "unet", "gan", "vae"]
FAMILIES: tuple[Family, ...] = get_args(Family)

ROOT = Path(__file__).parent

SHARED_SOURCES = ("catalogue.py", "config.py", "prediction.py", "sections.py", "spread.py", "weights.py")
"""Modules that take part in every prediction."""

_MARKS = tuple(f"detection/{name}.py" for name in ("calibration", "candidates", "lungs", "marks"))
_CUBES = (*_MARKS, "detection/crops.py")
_JUDGING = (*_CUBES, "detection/judging.py", "detection/network.py")
_SLICEWISE = ("slices.py", "slicewise.py", "unet/network.py")

SOURCES: dict[Family, tuple[str, ...]] = {
    "classical": (
        "slices.py",
        *_CUBES,
        *(f"classical/{name}.py" for name in ("blobs", "methods", "predict", "regions")),
    ),
    "unet": (*_SLICEWISE, *_MARKS, "detection/heat.py", "unet/predict.py"),
    "gan": (*_SLICEWISE, *_JUDGING, *(f"gan/{name}.py" for name in ("judge", "network", "predict"))),
    "vae": (*_SLICEWISE, *_JUDGING, *(f"vae/{name}.py" for name in ("judge", "network", "predict", "regularised"))),
}
"""Further modules that determine a family's predictions; a test compares this with what is really imported."""


@dataclass(frozen=True)
class Baseline:
    """A reference model for one task: paths and records, nothing loaded."""

    name: str
    """Name on the command line and in run records, unique within a task."""
    family: Family
    """Folder that holds its code."""
    task: str
    """Task that it is for."""
    method: Method
    """What the leaderboard shows."""
    config: Path
    """Its `<task>.toml`."""
    weights: Path | None
    """Its `<task>.safetensors`, whether or not it has been trained yet; None for a method without parameters."""

    @property
    def stem(self) -> str:
        """Common name of its files, such as `mri_to_ct` or `mri_to_ct.water`."""
        return self.config.name.removesuffix(".toml")

    @property
    def card(self) -> Path:
        """Its model card."""
        return self.config.with_name(f"{self.stem}.md")

    @property
    def seeds(self) -> Path:
        """Its record of other training seeds, whether or not there is one."""
        return self.config.with_name(f"{self.stem}.seeds.json")

    @property
    def sources(self) -> tuple[Path, ...]:
        """The source files that determine what it predicts."""
        return tuple(ROOT / name for name in (*SHARED_SOURCES, *SOURCES[self.family]))

    @property
    def digest(self) -> str:
        """sha256 over sources, configuration and weights: equal digests mean equal predictions on equal machines."""
        total = hashlib.sha256(f"{self.family}/{self.stem}".encode())
        files = [(path.relative_to(ROOT).as_posix(), path) for path in self.sources]
        files += [("config", self.config), *([("weights", self.weights)] if self.weights else [])]
        for name, path in files:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"
            total.update(f"\n{name} {content}".encode())
        return total.hexdigest()

    def with_weights(self, path: Path) -> Baseline:
        """The same baseline with weights from elsewhere, such as a training of one's own."""
        return replace(self, weights=path, method=self.method.model_copy(update={"training": None}))


def baselines(task: str, root: Path = ROOT) -> list[Baseline]:
    """All baselines of a task, floors first: by family, and within one by name. Empty for a task that has none.

    Raises `UsageError('bad_value')` when a configuration is not valid.
    """
    found = []
    for family in FAMILIES:
        paths = [path for path in (root / family).glob("*.toml") if path.name.split(".")[0] == task]
        found += [_read(family, path) for path in sorted(paths, key=lambda path: path.name.count("."), reverse=True)]
    return found


def _read(family: Family, path: Path) -> Baseline:
    task, *variant = path.name.removesuffix(".toml").split(".")
    name = "-".join([family, *variant])
    settings = config.load(path, family)
    about = settings.method
    method = Method(
        name=name,
        title=about.title,
        family=family,
        team="radbench",
        description=about.description,
        citation=about.citation,
        licence=about.licence,
        baseline=True,
    )
    parameter_free = settings.fit is not None and settings.fit.method == "constant"
    weights = None if parameter_free else path.with_name(path.name.removesuffix(".toml") + ".safetensors")
    return with_spread(Baseline(name, family, task, method, path, weights))


def with_spread(baseline: Baseline) -> Baseline:
    """The baseline with what its record of seeds says, if that is about the weights that are here."""
    return replace(baseline, method=baseline.method.model_copy(update={"training": _spread(baseline)}))


def _spread(baseline: Baseline) -> TrainingSpread | None:
    record = spread.read(baseline.seeds)
    if record is None or baseline.weights is None or not baseline.weights.exists():
        return None
    same = hashlib.sha256(baseline.weights.read_bytes()).hexdigest() == record.weights_sha256
    return record.spread if same else None


def find(task: str, name: str, root: Path = ROOT) -> Baseline:
    """The baseline of that name. Raises `UsageError('unknown_name')`, which lists the names, when there is none."""
    present = {baseline.name: baseline for baseline in baselines(task, root)}
    if name in present:
        return present[name]
    near = difflib.get_close_matches(name, present, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UsageError(
        "unknown_name",
        f"task {task!r} has no baseline {name!r}{hint}",
        expected=f"one of {', '.join(present)}" if present else "a task that has baselines",
    )
