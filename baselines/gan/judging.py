"""Training of a judge of candidates in an adversarial game over cubes, see `gan.judge`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from baselines.config import Config
from baselines.gan.judge import Critic, Generator, Judge
from baselines.optimisation import Batch, Player

BETAS = (0.5, 0.999)


class Features:
    """The judge is the critic as well. Hinge loss for real or generated (Lim and Ye 2017), cross entropy for the class."""

    def __init__(self, config: Config) -> None:
        assert config.training is not None and config.critic is not None and config.latent is not None
        self.weight, self.latents = config.critic.weight, config.latent.channels
        self.judge, self.generator = Judge(config), Generator(config)
        self.players = {
            "model": Player(self.judge, config.training.learning_rate),
            "generator": Player(self.generator, config.critic.learning_rate, BETAS, one_cycle=False),
        }

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Judge: class of real cubes, and weight times the hinge; generator: to look real, and of its class."""
        # Half as many generated cubes as real ones: at full resolution they are what a step costs.
        wanted = batch.target[::2]
        noise = batch.stack.new_empty(len(wanted), self.latents).normal_()
        if player == "model":
            with torch.no_grad():
                cubes = self.generator(noise, wanted)
            kind, real = self.judge.both(batch.stack)
            _, fake = self.judge.both(cubes)
            entropy = binary_cross_entropy_with_logits(kind.float(), batch.target)
            hinge = relu(1 - real).mean() + relu(1 + fake).mean()
            return entropy + self.weight * hinge, {"entropy": float(entropy.detach()), "hinge": float(hinge.detach())}
        self.judge.requires_grad_(False)
        kind, real = self.judge.both(self.generator(noise, wanted))
        total = binary_cross_entropy_with_logits(kind.float(), wanted) - real.mean()
        self.judge.requires_grad_(True)
        return total, {}


class Augmentation:
    """Generator of findings against a critic; the judge learns from real cubes and, after a while, from generated findings too."""

    def __init__(self, config: Config) -> None:
        assert config.training is not None and config.critic is not None and config.latent is not None
        self.settings, self.latents = config.critic, config.latent.channels
        self.judge, self.generator, self.critic = Judge(config), Generator(config), Critic(config)
        self.players = {
            "model": Player(self.judge, config.training.learning_rate),
            "generator": Player(self.generator, config.critic.learning_rate, BETAS, one_cycle=False),
            "critic": Player(self.critic, config.critic.learning_rate, BETAS, one_cycle=False),
        }

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Judge: cross entropy; generator: to look real; critic: the hinge. The last two see findings alone."""
        finding = batch.target[:, 0] > 0
        if player == "model":
            stack = batch.stack
            if batch.step >= self.settings.warm_up:
                made = finding & (torch.rand_like(batch.target[:, 0]) < self.settings.share)
                if made.any():
                    stack = stack.clone()
                    with torch.no_grad():
                        stack[made] = self._made(batch, batch.target[made]).to(stack.dtype)
            entropy = binary_cross_entropy_with_logits(self.judge(stack).float(), batch.target)
            return entropy, {"entropy": float(entropy.detach())}
        if player == "generator":
            self.critic.requires_grad_(False)
            total = -self.critic(self._made(batch, batch.target[finding])).mean()
            self.critic.requires_grad_(True)
            return total, {}
        with torch.no_grad():
            fake = self._made(batch, batch.target[finding])
        return relu(1 - self.critic(batch.stack[finding])).mean() + relu(1 + self.critic(fake)).mean(), {}

    def _made(self, batch: Batch, kind: Tensor) -> Tensor:
        noise = batch.stack.new_empty(len(kind), self.latents).normal_()
        cubes: Tensor = self.generator(noise, kind)
        return cubes


def learner(config: Config) -> Features | Augmentation:
    """The game that the configuration asks for."""
    assert config.critic is not None
    return Features(config) if config.critic.purpose == "features" else Augmentation(config)
