"""Generator and critic of the conditional GAN."""

from __future__ import annotations

from monai.networks.nets import PatchDiscriminator
from torch import nn

from baselines.config import Config
from baselines.unet.network import Translator


def generator(config: Config) -> nn.Module:
    """The U-Net of the `unet` family: what sets the two families apart is the loss alone."""
    return Translator(config)


def critic(config: Config) -> nn.Module:
    """MONAI's PatchGAN critic. It sees the input stack and an output slice, (batch, context + 1, y, x).

    Instance normalisation, as pix2pix with small batches; the last of its outputs is the patch-wise score.
    """
    assert config.critic is not None
    # Of labels it sees each image of the middle slice through each label but the background (SegAN's image × mask).
    maps = len(config.data.images) * (config.channels_out - 1) if config.data.labels else config.data.context + 1
    return PatchDiscriminator(
        spatial_dims=2,
        channels=config.critic.channels,
        in_channels=maps,
        num_layers_d=config.critic.layers,
        norm="INSTANCE",
    )
