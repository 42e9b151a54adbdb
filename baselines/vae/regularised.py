"""A segmentation U-Net whose encoder is regularised by a VAE branch (Myronenko 2018).

From the encoder's coarsest features a branch draws a latent field and gives the input back. That asks the features to hold what the
image holds, not only what few training labels ask for. At test time the branch is not used.
"""

from __future__ import annotations

import itertools

import torch
from monai.networks.blocks import Convolution, UpSample
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.distributions import Normal

from baselines.config import Config
from baselines.unet.network import backbone
from baselines.vae.network import MAX_LOG_STD


class RegularisedSegmenter(nn.Module):
    """Scores (batch, label, y, x) from a stack (batch, context × image, y, x); y and x multiples of 16."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.network is not None and config.latent is not None
        body = backbone(config.network, config.channels_in, config.channels_out)
        if not isinstance(body, BasicUNet):
            raise TypeError("the VAE branch hangs on the encoder of a basic_unet")
        self.body = body
        latent = config.latent
        self.encode = Convolution(2, config.network.features[4], 2 * latent.channels, kernel_size=1, conv_only=True)
        widths = (latent.channels, *latent.features)
        # The encoder halves the edge four times, so the branch doubles it four times, the last time without a layer of its own.
        self.decode = nn.Sequential(
            *(
                nn.Sequential(
                    Convolution(2, a, b, act="RELU", norm=("group", {"num_groups": 8})),
                    UpSample(2, b, b, scale_factor=2, mode="nontrainable"),
                )
                for a, b in itertools.pairwise(widths)
            ),
            *(UpSample(2, widths[-1], widths[-1], scale_factor=2, mode="nontrainable") for _ in range(5 - len(widths))),
            Convolution(2, widths[-1], config.channels_in, kernel_size=1, conv_only=True),
        )

    def forward(self, stack: Tensor) -> Tensor:
        """Scores alone."""
        out: Tensor = self.body(stack)
        return out

    def both(self, stack: Tensor) -> tuple[Tensor, Tensor, Normal]:
        """Scores, the input given back from a sample of the latent field, and the field's distribution."""
        coarse: list[Tensor] = []
        handle = self.body.down_4.register_forward_hook(lambda _module, _inputs, output: coarse.append(output))
        try:
            scores: Tensor = self.body(stack)
        finally:
            handle.remove()
        mean, log_std = self.encode(coarse[0]).float().chunk(2, dim=1)
        field = Normal(mean, torch.exp(MAX_LOG_STD * torch.tanh(log_std / MAX_LOG_STD)))
        again: Tensor = self.decode(field.rsample().to(stack.dtype))
        return scores, again, field
