"""A conditional VAE for images, in the manner of the probabilistic U-Net (Kohl et al. 2018), with a field of latents.

A U-Net turns the input x into feature maps. A coarse latent field z, drawn from a prior p(z|x) or, in training, from a
posterior q(z|x, y) that also sees the output y, is upsampled and joined to the features; 1×1 convolutions make the output.
A second head gives the scale of a Laplace likelihood p(y|x, z) at each pixel: what no coarse latent can explain, such as noise.
"""

from __future__ import annotations

import itertools

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.distributions import Normal

from baselines.config import Config
from baselines.unet.network import backbone, start_at_zero

MAX_LOG_STD = 3.0
"""Bound of the logarithm of a latent's standard deviation, against overflow early in training."""


MAX_LOG_SCALE = 8.0
"""Bound of the logarithm of a pixel's Laplace scale, likewise."""


class Encoder(nn.Module):
    """Strided convolutions from (batch, channels, y, x) to a normal distribution over (batch, latents, y/2ⁿ, x/2ⁿ)."""

    def __init__(self, channels_in: int, features: tuple[int, ...], latents: int) -> None:
        super().__init__()
        widths = (channels_in, *features)
        self.layers = nn.Sequential(
            *(
                Convolution(2, a, b, strides=2, act="RELU", norm=("group", {"num_groups": 8}))
                for a, b in itertools.pairwise(widths)
            ),
            Convolution(2, widths[-1], 2 * latents, kernel_size=1, conv_only=True),
        )

    def forward(self, x: Tensor) -> Normal:
        """The distribution; computed in float32 also under mixed precision."""
        mean, log_std = self.layers(x).float().chunk(2, dim=1)
        return Normal(mean, torch.exp(MAX_LOG_STD * torch.tanh(log_std / MAX_LOG_STD)))


class ConditionalVAE(nn.Module):
    """Stacks (batch, context, y, x) to output slices (batch, 1, y, x), given a latent field."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.network is not None and config.latent is not None
        context, latent = config.data.context, config.latent
        width = config.network.features[-1]
        self.residual = config.data.residual
        self.reduction = 2 ** len(latent.features)
        self.latents = latent.channels
        self.trunk = backbone(config.network, context, width)
        self.prior = Encoder(context, latent.features, latent.channels)
        self.posterior = Encoder(context + 1, latent.features, latent.channels)
        self.combine = nn.Sequential(
            Convolution(2, width + latent.channels, width, kernel_size=1, act="RELU", norm=None),
            Convolution(2, width, width, kernel_size=1, act="RELU", norm=None),
            Convolution(2, width, 1, kernel_size=1, conv_only=True),
        )
        if self.residual:
            start_at_zero(self.combine)
        self.spread = nn.Sequential(
            Convolution(2, width, width, kernel_size=1, act="RELU", norm=None),
            Convolution(2, width, 1, kernel_size=1, conv_only=True),
        )

    def decode(self, stack: Tensor, features: Tensor, latent: Tensor) -> Tensor:
        """An output slice from the trunk's features and a latent field."""
        field = nn.functional.interpolate(latent, scale_factor=self.reduction, mode="bilinear", align_corners=False)
        out: Tensor = self.combine(torch.cat([features, field.to(features.dtype)], dim=1))
        middle = stack.shape[1] // 2
        return out + stack[:, middle : middle + 1] if self.residual else out

    def log_scale(self, features: Tensor) -> Tensor:
        """Logarithm of the Laplace scale of each pixel, (batch, 1, y, x), float32. Its gradient stays in this head.

        Trained through the features, the likelihood would make the network give up on pixels that are hard: bone and air.
        """
        raw: Tensor = self.spread(features.detach())
        return MAX_LOG_SCALE * torch.tanh(raw.float() / MAX_LOG_SCALE)

    def sample(self, stack: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs for standard normal noise (samples, batch or 1, latents, y/2ⁿ, x/2ⁿ), and the Laplace scale around them.

        Shapes (samples, batch, 1, y, x) and (batch, 1, y, x).
        """
        features = self.trunk(stack)
        prior = self.prior(stack)
        outputs = torch.stack([self.decode(stack, features, prior.mean + prior.stddev * one) for one in noise])
        return outputs, self.log_scale(features).exp()
