"""Train a baseline with several seeds and say how far its figures on the validation split spread.

The shipped weights are those of one seed that was fixed beforehand; they are evaluated, not trained again. The other seeds are
trained alike, each into a folder of its own, and one that is there from the same data, settings and code is not trained again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from baselines import card, slicewise, training
from baselines import config as configuration
from baselines.catalogue import ROOT, Baseline
from baselines.spread import Column, Seed, SeedRecord
from benchmark import atomic
from benchmark.contract import Task
from benchmark.dataset import Edition, sha256_of
from benchmark.errors import DataError, UsageError
from benchmark.metrics.registry import REGISTRY

SHIPPED = 0
"""The seed whose weights this repository ships."""

NOT_LEARNING = {"card.py", "catalogue.py", "entry.py", "seeds.py", "server.py", "spread.py"}
"""Modules of this package that no training depends on."""

Progress = Callable[[int, dict[str, Any]], None]
"""Called with the seed and an event of `training`."""


def measure(
    task: Task,
    given: Sequence[Edition],
    baseline: Baseline,
    out: Path,
    *,
    count: int = 3,
    device: str = "auto",
    threads: int = 1,
    resume: bool = True,
    progress: Progress | None = None,
) -> SeedRecord:
    """Figures of seeds 0 to `count` - 1 on the val splits; the record is also written to `<out>/<task>.seeds.json`.

    Weights that the baseline has already count as seed 0's; their card must name the very data that is given. Other seeds go to
    `<out>/seed-<n>/`. Raises `UsageError('bad_value')` for fewer than 2 seeds or a baseline that no seed has a part in,
    `DataError('edition_broken')` when the shipped weights come from other data, and what `training.train` raises.
    """
    if count < 2:
        raise UsageError("bad_value", f"found {count} seeds", expected="at least 2")
    if not training.has_seed(baseline):
        raise UsageError("bad_value", f"{baseline.name} is fitted without a seed", expected="a network")
    inputs = {edition.info.edition: training.hash_of(edition) for edition in given}
    found = []
    for seed in range(count):

        def report(event: dict[str, Any], seed: int = seed) -> None:
            if progress:
                progress(seed, event)

        weights = baseline.weights
        if seed == SHIPPED and weights is not None and weights.exists():
            _check_card(baseline, inputs)
            figures = training.evaluate(task, given, baseline, device=device, threads=threads, progress=report)
            found.append(Seed(seed=seed, weights_sha256=sha256_of(weights), figures=figures))
        else:
            found.append(
                _one(task, given, baseline, inputs, out / f"seed-{seed}", seed, device, threads, resume, report)
            )
    record = SeedRecord(
        task=task.name,
        task_version=task.version,
        baseline=baseline.name,
        shipped=SHIPPED,
        command=f"radbench train {task.name} {baseline.name} --seeds {count}",
        hardware=training.hardware(slicewise.pick_device(device).type),
        inputs=inputs,
        cases={edition.info.edition: len(edition.split("val")) for edition in given},
        metrics=columns(task, found[0].figures[given[0].info.edition]),
        seeds=tuple(found),
    )
    write(out / baseline.seeds.name, record)
    return record


def write(path: Path, record: SeedRecord) -> None:
    """Write a record, whole or not at all."""
    atomic.write_text(path, record.model_dump_json(indent=1) + "\n")


def install(baseline: Baseline, record: SeedRecord) -> None:
    """Put a record beside the baseline's weights, and its table into their card."""
    write(baseline.seeds, record)
    atomic.write_text(baseline.card, card.with_spread(baseline.card.read_text("utf-8"), record))


def columns(task: Task, ids: Sequence[str] | dict[str, float]) -> tuple[Column, ...]:
    """What the figures of these metric ids are called."""
    made = []
    for id in ids:
        metric = REGISTRY[task.metric(id).name]
        title = card.title_of(task, id)
        made.append(Column(id=id, title=title, unit=metric.unit, direction=metric.direction))
    return tuple(made)


def _check_card(baseline: Baseline, inputs: dict[str, str]) -> None:
    """The card of the shipped weights says by hash what they learned from."""
    lines = baseline.card.read_text("utf-8").splitlines() if baseline.card.exists() else []
    for edition, sha in inputs.items():
        if not any(line.startswith(f"- `{edition}` (") and sha[:16] in line for line in lines):
            raise DataError(
                "edition_broken",
                f"the weights of {baseline.name} did not learn from the edition {edition!r} that is here ({sha[:16]})",
                expected=f"the data that {baseline.card} names",
                action="Prepare that edition, or train the baseline anew with --install.",
            )


def _one(
    task: Task,
    given: Sequence[Edition],
    baseline: Baseline,
    inputs: dict[str, str],
    folder: Path,
    seed: int,
    device: str,
    threads: int,
    resume: bool,
    report: Callable[[dict[str, Any]], None],
) -> Seed:
    """A seed's training, or what is there from an equal one; its figures are taken anew."""
    note = folder / "trained.json"
    key = _key(baseline, inputs, seed, device, threads)
    weights = folder / f"{baseline.stem}.safetensors"
    known = json.loads(note.read_text("utf-8")) if resume and note.exists() and weights.exists() else {}
    if known.get("key") == key and known.get("weights_sha256") == sha256_of(weights):
        figures = training.evaluate(
            task, given, baseline.with_weights(weights), device=device, threads=threads, progress=report
        )
        times = known["seconds"], known["cpu_seconds"]
        return Seed(
            seed=seed, weights_sha256=known["weights_sha256"], seconds=times[0], cpu_seconds=times[1], figures=figures
        )
    made = training.train(
        task, given, baseline, folder, device=device, seed=seed, threads=threads, resume=resume, progress=report
    )
    result = Seed(
        seed=seed,
        weights_sha256=made.weights_sha256,
        seconds=round(made.seconds, 1),
        cpu_seconds=round(made.cpu_seconds, 1),
        figures=made.figures,
    )
    kept = {"key": key, **result.model_dump(include={"weights_sha256", "seconds", "cpu_seconds"})}
    atomic.write_text(note, json.dumps(kept, indent=1) + "\n")
    return result


def _key(baseline: Baseline, inputs: dict[str, str], seed: int, device: str, threads: int) -> str:
    """Hash of what a training depends on: data, settings, seed, machine's kind, and the code of this package."""
    settings = configuration.load(baseline.config, baseline.family).model_dump(mode="json", exclude={"method"})
    code = {path: path.read_bytes() for path in sorted(ROOT.rglob("*.py")) if path.name not in NOT_LEARNING}
    total = hashlib.sha256(json.dumps([settings, inputs, seed, slicewise.pick_device(device).type, threads]).encode())
    for path, content in code.items():
        total.update(path.relative_to(ROOT).as_posix().encode() + hashlib.sha256(content).digest())
    return total.hexdigest()
