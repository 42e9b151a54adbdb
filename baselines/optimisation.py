"""The training loop that all networks share: deterministic, resumable, with mixed precision on a GPU.

Everything random in a step comes from (seed, step): the batch from numpy, the rest from torch seeded anew at each step. A
run that was killed and goes on from its checkpoint therefore ends with the same bits as one that was never stopped.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from baselines.patches import Patches
from baselines.sections import Loss, Training
from benchmark import atomic

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Batch:
    """`patches.Patches` on the device."""

    stack: Tensor
    target: Tensor
    weight: Tensor
    step: int = 0
    """Steps before this one."""


@dataclass(frozen=True)
class Player:
    """A network with an optimiser of its own: one in regression, two in an adversarial game."""

    module: nn.Module
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    one_cycle: bool = True
    """A one-cycle schedule up to `learning_rate`, else constant."""


class Batches(Protocol):
    """What draws the batches."""

    def batch(self, step: int) -> Patches:
        """The batch of a step, whatever was drawn before."""
        ...


class Learner(Protocol):
    """What a family's `train.py` provides: networks and their losses. The player `model` is the one that is kept."""

    players: dict[str, Player]

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Loss of a player and named numbers for the log. Called for each player in turn, `model` first."""
        ...


@dataclass
class Outcome:
    """What the loop gives back."""

    state: dict[str, np.ndarray]
    """Averaged parameters of `model`."""
    log: list[dict[str, Any]]
    """A line of the training log now and then."""
    seconds: float
    """Wall-clock seconds, over all parts of a resumed run."""
    cpu_seconds: float
    """Processor seconds, likewise."""
    resumed_from: int
    """Step at which this process took over; 0 when it began."""


@dataclass
class _Progress:
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)


def masked_l1(prediction: Tensor, batch: Batch) -> Tensor:
    """Mean absolute error where the reference counts."""
    return masked_mean((prediction - batch.target).abs(), batch.weight)


def labelling(loss: Loss, labels: tuple[int, ...], scores: Tensor, batch: Batch) -> Tensor:
    """The terms of `[loss]` for labels: cross entropy and soft Dice of regions, over the pixels that count.

    `scores` (batch, label, y, x) before the softmax. The Dice is taken over the whole batch, so that a slice without a region does
    not count for more than its pixels.
    """
    scores, target = scores.float(), batch.target[:, 0].long()
    total = scores.new_zeros(())
    if loss.cross_entropy:
        errors = nn.functional.cross_entropy(scores, target, reduction="none")[:, None]
        total = total + loss.cross_entropy * masked_mean(errors, batch.weight)
    if loss.dice:
        found, wanted = scores.softmax(1), one_hot(target, len(labels))
        for region in (regions := loss.regions or tuple((label,) for label in labels[1:])):
            members = [labels.index(label) for label in region]
            a, b = (x[:, members].sum(1, keepdim=True) * batch.weight for x in (found, wanted))
            total = total + loss.dice / len(regions) * (1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1))
    return total


def heat(loss: Loss, logits: Tensor, batch: Batch) -> Tensor:
    """Quality focal loss of a heat map: the mean of |reference - p|^focal times the cross entropy, warm pixels `warm` times as heavy."""
    logits = logits.float()
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, batch.target, reduction="none")
    hard = (batch.target - logits.sigmoid()).abs() ** loss.focal
    return masked_mean(hard * entropy * (1 + loss.warm * batch.target), batch.weight)


def one_hot(target: Tensor, count: int) -> Tensor:
    """Positions (batch, y, x) as (batch, count, y, x) of 0 and 1."""
    return nn.functional.one_hot(target, count).movedim(-1, 1).float()


def reconstruction(loss: Loss, window: tuple[float, float] | None, prediction: Tensor, batch: Batch) -> Tensor:
    """The L1 terms of `[loss]`; `window` is the configuration's, in network units."""
    prediction = prediction.float()
    total = loss.l1 * masked_l1(prediction, batch)
    if window is not None and loss.window_weight:
        error = (prediction.clamp(*window) - batch.target.clamp(*window)).abs()
        total = total + loss.window_weight * masked_mean(error, batch.weight)
    return total


def masked_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean where the weight is 1; 0 where it is nowhere."""
    return (error * weight).sum() / weight.sum().clamp_min(1.0)


def run(
    make: Callable[[], Learner],
    sampler: Batches,
    training: Training,
    *,
    device: torch.device,
    seed: int,
    checkpoint: Path,
    key: str,
    resume: bool,
    report: Report,
) -> Outcome:
    """Train and return the averaged parameters.

    `checkpoint` is written every `training.checkpoint_every` steps and left in place: the caller removes it when the result is
    safe. One that was written under another `key` (settings, data, device) is not used.
    """
    with _deterministic():
        torch.manual_seed(seed)
        learner = make()
        for player in learner.players.values():
            player.module.to(device).train()
        loop = _Loop(learner, training, device)
        progress = loop.restore(checkpoint, key) if resume else None
        progress = progress or _Progress()
        resumed_from = progress.step
        clock, cpu = time.monotonic() - progress.seconds, time.process_time() - progress.cpu_seconds
        while progress.step < training.steps:
            step = progress.step
            torch.manual_seed(_mix(seed, step))
            patches = sampler.batch(step)
            stack, target, weight = (
                torch.from_numpy(np.ascontiguousarray(a)).to(device)
                for a in (patches.stack, patches.target, patches.weight)
            )
            batch = Batch(stack, target, weight, step)
            numbers = loop.step(batch)
            progress.step += 1
            progress.seconds, progress.cpu_seconds = time.monotonic() - clock, time.process_time() - cpu
            last = progress.step == training.steps
            line = {"event": "step", "step": progress.step, "steps": training.steps, **numbers}
            if progress.step % _every(training.steps) == 0 or last:
                progress.log.append(line)
            if progress.step % training.checkpoint_every == 0 or last:
                loop.save(checkpoint, key, progress)
            report({**line, "seconds": progress.seconds})
        state = {name: tensor.detach().cpu().numpy() for name, tensor in loop.average.items()}
        return Outcome(state, progress.log, progress.seconds, progress.cpu_seconds, resumed_from)


def _every(steps: int) -> int:
    """Steps between lines of the log: about 50 lines a training."""
    return max(1, steps // 50)


def _mix(seed: int, step: int) -> int:
    """A seed for torch from (seed, step)."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Loop:
    """Players with their optimisers, schedules and scalers, and the moving average of `model`."""

    def __init__(self, learner: Learner, training: Training, device: torch.device) -> None:
        self.learner, self.training, self.device = learner, training, device
        self.half = torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
        # Scaling is for float16 alone: bfloat16 has float32's range.
        scaling = device.type == "cuda" and self.half is torch.float16
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.schedules: dict[str, torch.optim.lr_scheduler.LRScheduler] = {}
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        for name, player in learner.players.items():
            optimiser = torch.optim.AdamW(
                player.module.parameters(),
                lr=player.learning_rate,
                betas=player.betas,
                weight_decay=training.weight_decay,
            )
            self.optimisers[name] = optimiser
            if player.one_cycle:
                self.schedules[name] = torch.optim.lr_scheduler.OneCycleLR(
                    optimiser, max_lr=player.learning_rate, total_steps=training.steps + 1, cycle_momentum=False
                )
            self.scalers[name] = torch.amp.GradScaler(device.type, enabled=scaling)
        self.average = {name: value.detach().clone() for name, value in self._model.state_dict().items()}

    @property
    def _model(self) -> nn.Module:
        return self.learner.players["model"].module

    def step(self, batch: Batch) -> dict[str, float]:
        """One step of every player; the numbers for the log. Raises `FloatingPointError` when a loss is not finite."""
        numbers: dict[str, float] = {}
        for name in self.learner.players:
            optimiser, scaler = self.optimisers[name], self.scalers[name]
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(self.device.type, dtype=self.half, enabled=self.device.type == "cuda"):
                loss, parts = self.learner.loss(name, batch)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss of {name} is not finite; lower the learning rate")
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            if name in self.schedules:
                self.schedules[name].step()
            numbers |= {"loss" if name == "model" else f"loss_{name}": float(loss.detach()), **parts}
        with torch.no_grad():
            for key, value in self._model.state_dict().items():
                self.average[key].lerp_(value, 1.0 - self.training.ema)
        return numbers

    def save(self, path: Path, key: str, progress: _Progress) -> None:
        """Write a checkpoint, atomically."""
        content = {
            "key": key,
            "progress": vars(progress),
            "average": self.average,
            "players": {name: player.module.state_dict() for name, player in self.learner.players.items()},
            **{kind: {name: item.state_dict() for name, item in getattr(self, kind).items()} for kind in _PARTS},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        atomic.write_bytes(path, buffer.getvalue())

    def restore(self, path: Path, key: str) -> _Progress | None:
        """Go on from a checkpoint of the same training; None when there is none."""
        if not path.exists():
            return None
        try:
            content = torch.load(path, map_location=self.device, weights_only=True)
        except Exception:
            return None  # of an older format, or not a checkpoint at all: begin anew
        if content.get("key") != key:
            return None
        for name, player in self.learner.players.items():
            player.module.load_state_dict(content["players"][name])
        for kind in _PARTS:
            for name, item in getattr(self, kind).items():
                item.load_state_dict(content[kind][name])
        self.average = content["average"]
        return _Progress(**content["progress"])


_PARTS: Sequence[str] = ("optimisers", "schedules", "scalers")


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """Deterministic kernels for the time of a training; operations that have none warn."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark_mode = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark_mode
