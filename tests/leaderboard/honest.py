"""Boards whose numbers are true: made from random per-case scores by the harness itself, and published from a store."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import boards
import numpy as np
import places

from benchmark import publishing, scoring, store
from benchmark.contract import Case, CaseRun, DatasetInfo, Method, RunRecord, Score, Task
from benchmark.dataset import Edition
from benchmark.metrics.points import Scan
from leaderboard.records import Published

UNITS = {"mae": "HU", "psnr": "dB", "ssim": ""}
MEANS = {"mae": 60.0, "psnr": 29.0, "ssim": 0.9}
SIGNS = {"mae": 1.0, "psnr": -1.0, "ssim": -1.0}
SPREAD = {"mae": 6.0, "psnr": 1.5, "ssim": 0.02}

SECRET = "Zaphod-Lab"
"""A team that wants to stay hidden; it occurs in nothing else."""


def task(**changes: Any) -> Task:
    attributes = [{"name": "site", "title": "Site"}, {"name": "sex", "title": "Sex"}]
    return Task.model_validate({**boards.HEADS, "attributes": attributes, **changes})


def cases(n: int = 24, clusters: int = 0) -> tuple[Case, ...]:
    return tuple(
        Case(
            id=f"case-{i:03d}",
            split="test",
            attributes={
                "site": "ABC"[(5 * i) % 3], "sex": ("female", "male")[i % 2],
                **({"patient": f"patient-{(7 * i) % clusters:02d}"} if clusters else {}),
            },
        )
        for i in range(n)
    )  # fmt: skip


def method(name: str, **more: Any) -> Method:
    return Method(name=name, **{"title": f"Model {name}", **more})


class Place:
    """A store and a site, and what is in the store."""

    def __init__(
        self,
        root: Path,
        declared: Task | None = None,
        tested: Sequence[Case] | None = None,
        kind: Literal["phantom", "real"] = "phantom",
    ) -> None:
        self.store, self.site = root / "store", root / "site"
        self.task = declared or task(stratify="site")
        self.cases = tuple(tested or cases())
        info = DatasetInfo(
            task=self.task.name, task_version="1", edition="phantom", kind=kind, title="Heads", description="By formula.",
            licence="CC0-1.0", files={"references/x": "00"}, counts={"test": len(self.cases)}, parameters={"seed": 7},
        )  # fmt: skip
        self.edition = Edition(root / "data", info, self.cases)
        self.scored: dict[str, tuple[RunRecord, store.ScoreRecord]] = {}

    def add(
        self, who: Method, skill: float, *, seed: int = 0, run: str = "run-1", failed: int = 0, reason: str = ""
    ) -> None:
        """A submission whose errors are worse by `skill` spreads; the first `failed` cases have no valid output."""
        rng = np.random.default_rng(seed)
        hard = np.random.default_rng(99).normal(size=len(self.cases))
        table = []
        for i, case in enumerate(self.cases):
            noise = 0.5 * rng.normal()
            for metric in self.task.metrics:
                shift = SIGNS[metric.id] * (skill + hard[i] + noise)
                value = MEANS[metric.id] + SPREAD[metric.id] * shift
                said: dict[str, Any] = {"value": value, "status": "ok"}
                if i < failed:
                    said = {
                        "value": boards.WORST[metric.id],
                        "status": "invalid",
                        "reason": reason or "crashed: it ended.",
                    }
                table.append(Score(case=case.id, metric=metric.id, unit=UNITS[metric.id], **said))
        key = f"score-{who.name}-{run}"
        record = store.ScoreRecord(
            key=key, run=f"{run}-{who.name}", task=self.task.name, task_version="1", edition="phantom", method=who,
            scorer=store.scorer_version(), aggregates=tuple(scoring.aggregate(self.task, self.cases, table)),
        )  # fmt: skip
        store.save_score(self.store, record, table)
        ran = RunRecord(
            key=record.run, task=self.task.name, edition="phantom", method=who, digest=f"sha256:{run}-{who.name}",
            engine="process/invoke", hardware="2 cores", start_seconds=1.0, flags=(f"{who.title} kept state.",),
            cases=tuple(CaseRun(case=case.id, seconds=0.5) for case in self.cases),
        )  # fmt: skip
        self.scored[who.name] = (ran, record)

    def publish(self, day: str = "2026-11-21", base_url: str | None = None) -> Published:
        entry = (self.task, self.edition, list(self.scored.values()))
        return publishing.publish_boards([entry], self.store, self.site, day, base_url)


def standard(root: Path, **more: Any) -> Place:
    """Three submissions: two that are tied, and a poor one with a failed case."""
    place = Place(root, **more)
    place.add(method("alpha", family="unet", team="Team A"), 0.0, seed=1)
    place.add(method("beta", family="gan", team="Team B"), 0.05, seed=2)
    place.add(method("floor", family="classical", baseline=True), 2.0, seed=3, failed=1)
    return place


def hidden(root: Path, until: date, **more: Any) -> Place:
    """The same and one under embargo, whose failure speaks its name."""
    place = standard(root, **more)
    secret = method(
        "zaphod-net", title=f"Network of {SECRET}", family="diffusion", team=SECRET, description=f"Made by {SECRET}.",
        citation=f"{SECRET}, 2026", licence=f"{SECRET} licence", embargo=until,
    )  # fmt: skip
    place.add(
        secret, -0.5, seed=4, run="run-zaphodrun", failed=1,
        reason=f"crashed: the model ended with: /home/{SECRET}/zaphod-net/predict.py: error. Read the log.",
    )  # fmt: skip
    return place


SCANS = tuple(
    Case(id=f"scan-{i:02d}", split="test", attributes={"site": "AB"[i % 2], "sex": ("female", "male")[i // 2 % 2]})
    for i in range(20)
)


def scans(seed: int, found: float) -> dict[str, Scan]:
    """What each scan adds to metrics of detection where this share of the lesions is found; the last has no output."""
    rng = np.random.default_rng(seed)
    own = {}
    for i, case in enumerate(SCANS):
        hits = np.where(rng.random(i % 3) < found, rng.beta(4, 2, i % 3), -np.inf)
        false = rng.beta(1, 4, rng.integers(0, 5))
        own[case.id] = Scan(hits, false, float(max([*hits, *false], default=-np.inf)))
    own[SCANS[-1].id] = Scan(np.full(1, -np.inf), np.zeros(0), -np.inf, missing=True)
    return own


def detecting(root: Path, skills: Mapping[str, float], **changes: Any) -> Place:
    """Submissions that find these shares of the lesions."""
    declared = Task.model_validate({**places.CHEST, **changes})
    place = Place(root, declared=declared, tested=SCANS)
    for seed, (name, found) in enumerate(skills.items()):
        who, own = method(name), scans(seed, found)
        parts = {metric.id: own for metric in declared.metrics}
        listed = {id: [own[case.id] for case in SCANS] for id in parts}
        record = store.ScoreRecord(
            key=f"score-{name}", run=f"run-{name}", task=declared.name, task_version="1", edition="phantom", method=who,
            scorer=store.scorer_version(), aggregates=tuple(scoring.aggregate(declared, SCANS, [], listed)),
        )  # fmt: skip
        store.save_score(place.store, record, [], parts)
        ran = RunRecord(
            key=record.run, task=declared.name, edition="phantom", method=who, digest=f"sha256:{name}", engine="process/invoke",
            hardware="2 cores", start_seconds=1.0, cases=tuple(CaseRun(case=case.id, seconds=0.5) for case in SCANS),
        )  # fmt: skip
        place.scored[name] = (ran, record)
    return place
