"""Two hospitals with images of their own, and the numbers that one submission has there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import dataset, image, scoring
from benchmark.contract import Case, DatasetInfo, Task
from benchmark.dataset import CaseFiles, Edition, Plan, PlannedCase
from benchmark.federation import making
from benchmark.federation.bundle import Bundle
from benchmark.image import Volume
from benchmark.scoring import Scored
from tests.conftest import write_toy

PEOPLE = (
    "smith",
    "jones",
    "garcia",
    "mueller",
    "rossi",
    "novak",
    "silva",
    "kowalski",
    "nagy",
    "berg",
    "costa",
    "ito",
    "lund",
    "weiss",
)


def toy_task(root: Path) -> Task:
    """The toy task with more attributes: sex and age band declare their values, scanner and age do not."""
    from benchmark import tasks

    folder = write_toy(root)
    path = folder / "toy" / "task.toml"
    more = """
[[attributes]]
name = "sex"
title = "Sex"
values = ["F", "M"]

[[attributes]]
name = "age_band"
title = "Age"
values = ["0-39", "40-64", "65+"]

[[attributes]]
name = "scanner"
title = "Scanner"

[fairness]
minimum = 4

[scoring]"""
    path.write_text(path.read_text().replace("[scoring]", more, 1).replace('stratify = "site"', ""))
    return tasks.find("toy", [folder]).task


@dataclass(frozen=True)
class Make:
    """Makes one case."""

    seed: int
    index: int

    def __call__(self) -> CaseFiles:
        rng = np.random.default_rng([self.seed, self.index])
        truth = Volume(rng.normal(0, 50, (5, 6, 7)).astype(np.int16), (2.0, 1.5, 1.0), (0.0, 0.0, 0.0))
        mask = truth.like(np.ones((5, 6, 7), np.uint8))
        return CaseFiles({"noisy": truth}, {"truth": truth, "mask": mask})


def attributes(site: str, n: int) -> dict[str, str]:
    """Attributes of the nth patient: two of fourteen are men in a hospital, which is too few to be shown."""
    return {
        "site": site.upper(),
        "sex": "M" if n in (3, 8) else "F",
        "age_band": ("0-39", "40-64", "65+")[n % 3],
        "scanner": f"Acme Magnum 3T serial {site}{n:03d}",
        "age": str(41 + 3 * n),
        "born": f"19{60 + n}-04-{n + 1:02d}",
    }


@dataclass(frozen=True)
class Hospital:
    """A hospital, what one submission scored there, and its key."""

    name: str
    edition: Edition
    scored: Scored
    key: bytes
    root: Path

    def bundle(self, task: Task, **more: object) -> Bundle:
        """Its bundle."""
        given = {"submission": "magic", "digest": "sha256:" + "a" * 64, "engine": "podman/exec", **more}
        return making.make(task, self.edition, self.scored.scores, {}, site=self.name, key=self.key, **given)  # type: ignore[arg-type]


def hospital(root: Path, task: Task, name: str, *, seed: int, patients: int = 14, spread: float = 4.0) -> Hospital:
    """Prepare the hospital's edition, predict with a model that errs by chance, and score it."""
    planned = [
        PlannedCase(
            Case(id=f"{PEOPLE[n]}-{name[:2]}{n:02d}", split="test", attributes=attributes(name, n)), Make(seed, n)
        )
        for n in range(patients)
    ]
    info = DatasetInfo(
        task=task.name, task_version=task.version, edition="own", kind="real", title="Own images", description="Of patients.",
        licence="none",
    )  # fmt: skip
    edition = dataset.prepare(root / name / "data", task, Plan(info, planned), workers=1)
    predictions = root / name / "predictions"
    predictions.mkdir()
    rng = np.random.default_rng(seed + 100)
    for number, case in enumerate(edition.split("test")):
        truth = edition.read_reference(task.reference("truth"), case.id)
        error = rng.normal(seed, spread, truth.array.shape).round().astype(np.int16)
        if number != 5:  # one case has no output
            image.write(predictions / f"{case.id}.mha", truth.like(truth.array + error))
    scored = scoring.score_loose(task, edition, predictions)
    return Hospital(name, edition, scored, bytes([seed]) * 32, root / name)
