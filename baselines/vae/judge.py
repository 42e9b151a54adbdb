"""A variational autoencoder of cubes whose latent numbers a classifier reads: is there a finding in the middle?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from baselines.config import Config
from baselines.detection.network import Decoder, Encoder
from baselines.vae.network import MAX_LOG_STD


class LatentJudge(nn.Module):
    """Cubes (batch, 1, z, y, x) to logits (batch, 1), by way of the mean of their latent distribution."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.latent is not None and config.detection is not None
        latent, edge = config.latent, config.detection.crop
        self.encoder = Encoder(edge, latent.features, 2 * latent.channels)
        self.decoder = Decoder(edge, latent.features, latent.channels, sharp=False)
        self.classifier = nn.Sequential(
            nn.Linear(latent.channels, 2 * latent.channels), nn.ReLU(), nn.Linear(2 * latent.channels, 1)
        )

    def latent(self, cubes: Tensor) -> Normal:
        """The distribution of the latent numbers (batch, latents)."""
        mean, log_std = self.encoder(cubes).float().chunk(2, dim=1)
        return Normal(mean, torch.exp(MAX_LOG_STD * torch.tanh(log_std / MAX_LOG_STD)))

    def forward(self, cubes: Tensor) -> Tensor:
        """Logits."""
        out: Tensor = self.classifier(self.latent(cubes).mean)
        return out
