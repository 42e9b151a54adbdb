"""Make a baseline's weights and its card: learn from the train split, choose and report on the validation split."""

from __future__ import annotations

import hashlib
import importlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from baselines import card, editions, prediction, weights
from baselines import config as configuration
from baselines.catalogue import Baseline
from baselines.config import Config
from baselines.detection import calibration, scored
from baselines.editions import Example
from benchmark import atomic
from benchmark.contract import Task
from benchmark.dataset import Edition, sha256_of
from benchmark.errors import InfrastructureError, UsageError

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainingReport:
    """What a training gave."""

    baseline: Baseline
    """The baseline, with the weights that were made."""
    steps: int
    """Steps of the optimiser; for a fitted method, settings that were tried."""
    seed: int
    """Seed."""
    device: str
    """`cpu` or `cuda`."""
    hardware: str
    """Processor or GPU."""
    threads: int
    """Processor threads."""
    seconds: float
    """Wall-clock seconds of learning, over all parts of a resumed run; validation not counted."""
    cpu_seconds: float
    """Processor seconds, likewise."""
    resumed_from: int
    """Step at which this process took over from a checkpoint; 0 when it began."""
    cases: dict[str, dict[str, int]]
    """Number of train and val cases by edition."""
    inputs: dict[str, str]
    """Hash of what was learned from, by edition."""
    figures: dict[str, dict[str, float]]
    """Mean of each metric over the val cases, by edition."""
    parameters: int
    """Numbers in the weights file."""
    weights_sha256: str
    """Hash of the weights file; empty for a method without one."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """Lines of the training log."""


def usual_editions(baseline: Baseline) -> tuple[str, ...]:
    """Names of the editions that a baseline is meant to be trained on, as far as they can be had."""
    return configuration.load(baseline.config, baseline.family).data.editions


def has_seed(baseline: Baseline) -> bool:
    """Whether its weights depend on a seed: those of networks do."""
    return configuration.load(baseline.config, baseline.family).training is not None


def train(
    task: Task,
    editions_: Sequence[Edition],
    baseline: Baseline,
    out: Path,
    *,
    steps: int | None = None,
    device: str = "auto",
    seed: int = 0,
    threads: int = 1,
    resume: bool = True,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train a baseline and put weights, card and log into the folder `out`, each whole or absent.

    All editions given are used, each as often as the others: their train splits to learn from, their val splits to choose
    settings and for the figures of the card; canary and test are never opened. `usual_editions` names those that the
    shipped weights are made from. `steps` overrides the
    configuration. The same seed, device and threads give the same weights, also when the training is killed and run
    again (with `resume`, it goes on from its last checkpoint). `progress` is called with dictionaries whose `event` is
    `read`, `step`, `trial`, `validate` or `done`.

    Raises `DataError` when an edition or a split is missing, `UsageError('bad_value')` for steps below 1,
    `InfrastructureError('busy')` when another process trains the same baseline into the same folder.
    """
    if steps is not None and steps < 1:
        raise UsageError("bad_value", f"found {steps} steps", expected="at least 1")
    config = configuration.load(baseline.config, baseline.family)
    if steps is not None and config.training is not None:
        config = config.model_copy(update={"training": config.training.model_copy(update={"steps": steps})})
    report = progress or _silent
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / f".{baseline.family}.{baseline.stem}.lock", timeout=1):
            return _train(task, editions_, baseline, config, out, device, seed, threads, resume, report)
    except Timeout:
        raise InfrastructureError(
            "busy", f"another process is training {baseline.name} for {task.name} in {out}"
        ) from None


def evaluate(
    task: Task,
    given: Sequence[Edition],
    baseline: Baseline,
    *,
    device: str = "auto",
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """Figures of a trained baseline on the val splits, by edition and metric id, as `train` takes them for the card.

    Raises what `train` raises of the editions, and `UsageError('path')` when there are no weights.
    """
    editions.check(task, given)
    config = configuration.load(baseline.config, baseline.family)
    report = progress or _silent
    examples = []
    for edition in given:
        report({"event": "read", "edition": edition.info.edition})
        examples += list(editions.read(task, edition, "val", config.data))
    return _figures(task, given, examples, baseline, threads, device, report)


def _figures(
    task: Task,
    given: Sequence[Edition],
    examples: Sequence[Example],
    baseline: Baseline,
    threads: int,
    device: str,
    report: Progress,
) -> dict[str, dict[str, float]]:
    predictor = prediction.load(baseline, threads=threads, device=device)
    figures = {}
    for edition in given:
        report({"event": "validate", "edition": edition.info.edition})
        held_out = [example for example in examples if example.edition == edition.info.edition]
        figures[edition.info.edition] = editions.score(task, held_out, lambda inputs: predictor(inputs).content)
    return figures


def _silent(_event: dict[str, Any]) -> None:
    """Nobody wants to know."""


def _train(
    task: Task,
    given: Sequence[Edition],
    baseline: Baseline,
    config: Config,
    out: Path,
    device: str,
    seed: int,
    threads: int,
    resume: bool,
    report: Progress,
) -> TrainingReport:
    editions.check(task, given)
    used = list(given)
    examples: dict[str, list[Example]] = {"train": [], "val": []}
    for edition in used:
        report({"event": "read", "edition": edition.info.edition})
        for split in editions.OPEN_SPLITS:
            examples[split] += editions.read(task, edition, split, config.data)
    hashes = {edition.info.edition: hash_of(edition) for edition in used}
    checkpoint = out / f".{baseline.family}.{baseline.stem}.checkpoint"
    if baseline.family == "classical":
        learned = _fit(task, config, examples, report)
    else:
        learned = _optimise(config, examples["train"], hashes, device, seed, threads, checkpoint, resume, report)

    # Figures are those of the file as it is stored and read again. It gets its final name when they are there.
    unfinished = out / f".{baseline.family}.{baseline.stem}.partial.safetensors"
    made, stored = baseline, learned.arrays
    if baseline.weights is not None:
        made = baseline.with_weights(unfinished)
        weights.write(unfinished, stored, config)
        if config.detection:
            scaling = scored.fit(prediction.load(made, threads=threads, device=device), examples["val"])
            stored = calibration.join(stored, scaling)
            weights.write(unfinished, stored, config)
    figures = _figures(task, used, examples["val"], made, threads, device, report)

    final = out / f"{baseline.stem}.safetensors"
    result = TrainingReport(
        baseline=baseline.with_weights(final) if baseline.weights is not None else baseline,
        steps=learned.steps,
        seed=seed,
        device=learned.device,
        hardware=hardware(learned.device),
        threads=threads,
        seconds=learned.seconds,
        cpu_seconds=learned.cpu_seconds,
        resumed_from=learned.resumed_from,
        cases={e.info.edition: {split: len(e.split(split)) for split in editions.OPEN_SPLITS} for e in used},
        inputs=hashes,
        figures=figures,
        parameters=sum(int(array.size) for array in stored.values()),
        weights_sha256=sha256_of(unfinished) if baseline.weights is not None else "",
        log=learned.log,
    )
    infos = [edition.info for edition in used]
    text = card.render(task, config, infos, result)
    lines = [*learned.log, {"event": "val", "figures": figures}]
    atomic.write_text(out / f"{baseline.stem}.log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    if baseline.weights is not None:
        unfinished.replace(final)
    atomic.write_text(out / f"{baseline.stem}.md", text)
    checkpoint.unlink(missing_ok=True)
    report({"event": "done", "figures": figures, "weights": str(final)})
    return result


@dataclass(frozen=True)
class _Learned:
    arrays: weights.Arrays
    steps: int
    device: str
    seconds: float
    cpu_seconds: float
    resumed_from: int
    log: list[dict[str, Any]]


def _fit(task: Task, config: Config, examples: dict[str, list[Example]], report: Progress) -> _Learned:
    """Fit a classical method. The judge is the task's first metric that ranks, on the validation split."""
    from baselines.classical import train as classical
    from benchmark import metrics

    metric = task.metric(task.ranking.metrics[0])
    sign = 1.0 if metrics.find(metric.name).direction == "higher" else -1.0
    log: list[dict[str, Any]] = []

    def judge(predictor: prediction.Predictor) -> float:
        by_edition = [
            editions.score(task, [e for e in examples["val"] if e.edition == name], lambda i: predictor(i).content)
            for name in sorted({example.edition for example in examples["val"]})
        ]
        return sign * sum(values[metric.id] for values in by_edition) / len(by_edition)

    def tried(trial: classical.Trial) -> None:
        line = {"event": "trial", **trial.settings, "metric": metric.id, "value": sign * trial.value}
        log.append(line)
        report(line)

    clock, cpu = time.monotonic(), time.process_time()
    arrays = classical.fit(config, examples["train"], judge, tried)
    count = len(log)
    if log:
        best = (max if sign > 0 else min)(log, key=lambda line: line["value"])
        log.append({**best, "event": "chosen"})
    return _Learned(arrays, count, "cpu", time.monotonic() - clock, time.process_time() - cpu, 0, log)


def _optimise(
    config: Config,
    examples: Sequence[Example],
    hashes: dict[str, str],
    device: str,
    seed: int,
    threads: int,
    checkpoint: Path,
    resume: bool,
    report: Progress,
) -> _Learned:
    """Train a network."""
    import torch  # heavy: only where a network is trained

    from baselines import optimisation, slicewise
    from baselines.detection.batches import CropSampler
    from baselines.patches import Sampler

    assert config.training is not None
    torch.set_num_threads(threads)
    chosen = slicewise.pick_device(device)
    # A network of candidates sees cubes, every other one slices.
    sampler = CropSampler if config.detection and config.detection.scales_mm else Sampler
    module = importlib.import_module(f"baselines.{_family(config)}.train")
    key = hashlib.sha256(
        json.dumps(
            [config.model_dump(mode="json", exclude={"method"}), hashes, seed, threads, chosen.type, torch.__version__],
            sort_keys=True,
        ).encode()
    ).hexdigest()
    outcome = optimisation.run(
        lambda: module.learner(config),
        sampler(examples, config, seed),
        config.training,
        device=chosen,
        seed=seed,
        checkpoint=checkpoint,
        key=key,
        resume=resume,
        report=report,
    )
    return _Learned(
        outcome.state,
        config.training.steps,
        chosen.type,
        outcome.seconds,
        outcome.cpu_seconds,
        outcome.resumed_from,
        outcome.log,
    )


def _family(config: Config) -> str:
    """The family whose sections a configuration has."""
    return "gan" if config.critic else "vae" if config.latent else "unet"


def hash_of(edition: Edition) -> str:
    """Hash of everything in an edition that training reads: inputs and references of the train and val cases."""
    cases = edition.split(*editions.OPEN_SPLITS)
    both = edition.hash_of("inputs", cases) + edition.hash_of("references", cases)
    return hashlib.sha256(both.encode()).hexdigest()


def hardware(device: str) -> str:
    """Name of the GPU or of the processor."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text("utf-8").splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
