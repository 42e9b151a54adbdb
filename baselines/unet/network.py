"""Networks that map a stack of slices to a slice, put together from MONAI's parts."""

from __future__ import annotations

import itertools

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

from baselines.config import Config
from baselines.sections import Network


class Translator(nn.Module):
    """A slice in network units from a stack (batch, context, y, x); y and x multiples of 16. Output (batch, 1, y, x).

    With several images the stack is (batch, context × image, y, x); of labels the output is a score each, (batch, label, y, x).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.network is not None
        self.residual = config.data.residual
        self.body = backbone(config.network, config.channels_in, config.channels_out)
        if self.residual:
            start_at_zero(self.body)

    def forward(self, stack: Tensor) -> Tensor:
        """Prediction: the network's output, added to the middle slice where the configuration says `residual`."""
        out: Tensor = self.body(stack)
        middle = stack.shape[1] // 2
        return out + stack[:, middle : middle + 1] if self.residual else out


def backbone(network: Network, channels_in: int, channels_out: int) -> nn.Module:
    """The network of the configuration's kind, with the given channels at both ends."""
    norm = ("group", {"num_groups": network.groups})
    if network.kind == "basic_unet":
        # Bilinear upsampling: transposed convolutions leave a checkerboard in short trainings.
        return BasicUNet(
            spatial_dims=2,
            in_channels=channels_in,
            out_channels=channels_out,
            features=network.features,
            act=network.activation,
            norm=norm,
            upsample="nontrainable",
        )
    widths = [channels_in, *network.features]
    layers = [
        Convolution(2, a, b, act=network.activation, norm=norm if i and network.groups else None, adn_ordering="NA")
        for i, (a, b) in enumerate(itertools.pairwise(widths))
    ]
    return nn.Sequential(*layers, Convolution(2, widths[-1], channels_out, conv_only=True))


def start_at_zero(module: nn.Module) -> None:
    """Make the last convolution give 0, so that a residual network starts as the identity."""
    last = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    named = getattr(module, "final_conv", last[-1])
    with torch.no_grad():
        named.weight.zero_()
        if named.bias is not None:
            named.bias.zero_()


COLD = -4.0
"""Logit of a pixel without a finding at the start of a training: findings are rare."""


def start_cold(module: nn.Module) -> None:
    """Set the last bias so that a heat map starts cold, else the first steps go into cooling everything (Lin et al. 2017)."""
    last = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and layer.bias is not None]
    with torch.no_grad():
        last[-1].bias.fill_(COLD)  # type: ignore[union-attr]
