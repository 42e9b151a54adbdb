"""Networks over cubes in an adversarial game: a judge of candidates, and a generator of cubes.

Two games. `features`: the judge also tells real cubes from generated ones, and shares what it learns between both questions (the
semi-supervised GAN of Salimans et al. 2016 and Odena 2016). `augmentation`: a generator makes findings against a critic of its
own, and a plain judge learns from real and generated ones (Frid-Adar et al. 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.config import Config
from baselines.detection.network import Decoder, Encoder


class Judge(nn.Module):
    """Cubes (batch, 1, z, y, x) to logits (batch, 1) of a finding in the middle; `both` adds those of a cube being real."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.critic is not None and config.detection is not None
        self.body = Encoder(config.detection.crop, features(config), 2 if config.critic.purpose == "features" else 1)

    def both(self, cubes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a finding and of being real, (batch, 1) each."""
        out = self.body(cubes)
        return out[:, :1], out[:, -1:]

    def forward(self, cubes: Tensor) -> Tensor:
        """Logits of a finding."""
        return self.both(cubes)[0]


class Generator(nn.Module):
    """Noise (batch, latents) and class (batch, 1; 1 is a finding) to cubes (batch, 1, z, y, x)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.latent is not None and config.detection is not None
        self.body = Decoder(config.detection.crop, config.latent.features, config.latent.channels + 1, sharp=True)

    def forward(self, noise: Tensor, kind: Tensor) -> Tensor:
        """The cubes."""
        out: Tensor = self.body(torch.cat([noise, 2 * kind - 1], dim=1))
        return out


class Critic(nn.Module):
    """Cubes (batch, 1, z, y, x) to how real they look, (batch, 1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.detection is not None
        self.body = Encoder(config.detection.crop, features(config), 1)

    def forward(self, cubes: Tensor) -> Tensor:
        """The scores."""
        out: Tensor = self.body(cubes)
        return out


def features(config: Config) -> tuple[int, ...]:
    """Channels of the judge's and the critic's layers."""
    assert config.critic is not None
    return tuple(config.critic.channels * 2**i for i in range(config.critic.layers))
