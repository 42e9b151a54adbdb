"""Training of the conditional GAN: pix2pix (Isola et al. 2017) with a least-squares adversarial loss."""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from torch import Tensor

from baselines.config import Config
from baselines.gan import judging
from baselines.gan.network import critic, generator
from baselines.optimisation import Batch, Player, labelling, masked_l1, one_hot, reconstruction
from baselines.slices import window_in_units


class Game:
    """Generator against critic. The critic judges pairs of input stack and output slice, patch by patch."""

    def __init__(self, config: Config) -> None:
        assert config.loss is not None and config.training is not None and config.critic is not None
        self.loss_terms, self.window, self.weight = config.loss, window_in_units(config), config.critic.weight
        self.generator, self.critic = generator(config), critic(config)
        self.adversarial = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)
        self.players = {
            "model": Player(self.generator, config.training.learning_rate),
            "critic": Player(self.critic, config.critic.learning_rate, betas=(0.5, 0.999), one_cycle=False),
        }
        self.fake: Tensor | None = None

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Generator: L1 plus the weighted adversarial term; critic: mean of its losses on real and generated pairs."""
        if player == "model":
            fake = self.generator(batch.stack)
            self.fake = fake.detach()
            self.critic.requires_grad_(False)
            adversarial = self.adversarial(self._judge(batch, fake), target_is_real=True, for_discriminator=False)
            self.critic.requires_grad_(True)
            total = reconstruction(self.loss_terms, self.window, fake, batch) + self.weight * adversarial
            l1 = float(masked_l1(self.fake.float(), batch))
            return total, {"l1": l1, "adversarial": float(adversarial.detach())}
        assert self.fake is not None
        on_fake = self.adversarial(self._judge(batch, self.fake), target_is_real=False, for_discriminator=True)
        on_real = self.adversarial(self._judge(batch, batch.target), target_is_real=True, for_discriminator=True)
        return 0.5 * (on_fake + on_real), {}

    def _judge(self, batch: Batch, output: Tensor) -> Tensor:
        # Outside the mask both kinds are alike, so that the critic cannot tell them apart by what nobody scores.
        shown = output * batch.weight
        score: Tensor = self.critic(torch.cat([batch.stack, shown.to(batch.stack.dtype)], dim=1))[-1].float()
        return score


class LabelGame(Game):
    """The same game for labels: the critic judges the images seen through each label's map (after SegAN, Xue et al. 2018)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.labels, self.images, self.context = config.data.labels, len(config.data.images), config.data.context

    def loss(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Generator: the labels' loss plus the weighted adversarial term; critic: mean of its losses on both kinds of maps."""
        if player == "model":
            scores = self.generator(batch.stack)
            maps = scores.float().softmax(1)
            self.fake = maps.detach()
            self.critic.requires_grad_(False)
            adversarial = self.adversarial(self._judge(batch, maps), target_is_real=True, for_discriminator=False)
            self.critic.requires_grad_(True)
            total = labelling(self.loss_terms, self.labels, scores, batch) + self.weight * adversarial
            return total, {"adversarial": float(adversarial.detach())}
        assert self.fake is not None
        real = one_hot(batch.target[:, 0].long(), len(self.labels))
        on_fake = self.adversarial(self._judge(batch, self.fake), target_is_real=False, for_discriminator=True)
        on_real = self.adversarial(self._judge(batch, real), target_is_real=True, for_discriminator=True)
        return 0.5 * (on_fake + on_real), {}

    def _judge(self, batch: Batch, output: Tensor) -> Tensor:
        start = self.context // 2 * self.images
        middle = batch.stack[:, start : start + self.images]
        seen = middle[:, :, None] * (output[:, 1:] * batch.weight)[:, None].to(middle.dtype)
        score: Tensor = self.critic(seen.flatten(1, 2))[-1].float()
        return score


def learner(config: Config) -> Game | judging.Features | judging.Augmentation:
    """Networks and losses of this family."""
    if config.detection:
        return judging.learner(config)
    return LabelGame(config) if config.data.labels else Game(config)
