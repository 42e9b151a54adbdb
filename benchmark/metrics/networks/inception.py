"""InceptionV3 as the Fréchet inception distance uses it: Szegedy et al. 2016 with the quirks of the 2015 TensorFlow graph.

The weights are those of pytorch-fid (pt_inception-2015-12-05-6726825d.pth), which come from that graph. It differs from the
paper's network in that average pooling leaves the padding out of the average and that the pooling branch of the very last
block takes the maximum. pytorch-fid itself cannot be used without torchvision; parameter names and shapes are the same here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 299
"""Height and width of the input in pixels."""

DIMENSION = 2048
"""Features after the last average pooling."""

Pool = Callable[[Tensor], Tensor]


def average_pool(x: Tensor) -> Tensor:
    """3×3 average over the pixels that exist."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def maximum_pool(x: Tensor) -> Tensor:
    """3×3 maximum, same size."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


def reducing_pool(x: Tensor) -> Tensor:
    """3×3 maximum with stride 2."""
    return F.max_pool2d(x, 3, stride=2)


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int | tuple[int, int] = 1, stride: int = 1, same: bool = True
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if same else 0
        self.conv = nn.Conv2d(channels_in, channels_out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """A block whose branches are joined along the channels; `chains` lists each branch's units by name, "a|b" being a fork."""

    def __init__(self, units: dict[str, Unit], chains: tuple[tuple[str, ...], ...], pool: Pool) -> None:
        super().__init__()
        for name, unit in units.items():
            self.add_module(name, unit)
        self.chains, self.pool = chains, pool

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for chain in self.chains:
            y = x
            for step in chain:
                y = (
                    self.pool(y)
                    if step == "pool"
                    else torch.cat([getattr(self, part)(y) for part in step.split("|")], 1)
                )
            outputs.append(y)
        return torch.cat(outputs, 1)


def block_a(channels: int, pooled: int) -> Mixed:
    """35×35 block: 1×1, 5×5, double 3×3 and pooling."""
    units = {
        "branch1x1": Unit(channels, 64),
        "branch5x5_1": Unit(channels, 48),
        "branch5x5_2": Unit(48, 64, 5),
        "branch3x3dbl_1": Unit(channels, 64),
        "branch3x3dbl_2": Unit(64, 96, 3),
        "branch3x3dbl_3": Unit(96, 96, 3),
        "branch_pool": Unit(channels, pooled),
    }
    chains = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        ("pool", "branch_pool"),
    )
    return Mixed(units, chains, average_pool)


def block_b(channels: int) -> Mixed:
    """35×35 to 17×17."""
    units = {
        "branch3x3": Unit(channels, 384, 3, 2, same=False),
        "branch3x3dbl_1": Unit(channels, 64),
        "branch3x3dbl_2": Unit(64, 96, 3),
        "branch3x3dbl_3": Unit(96, 96, 3, 2, same=False),
    }
    chains = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), ("pool",))
    return Mixed(units, chains, reducing_pool)


def block_c(channels: int, inner: int) -> Mixed:
    """17×17 block with 7×7 filters split into rows and columns."""
    row, column = (1, 7), (7, 1)
    units = {
        "branch1x1": Unit(channels, 192),
        "branch7x7_1": Unit(channels, inner),
        "branch7x7_2": Unit(inner, inner, row),
        "branch7x7_3": Unit(inner, 192, column),
        "branch7x7dbl_1": Unit(channels, inner),
        "branch7x7dbl_2": Unit(inner, inner, column),
        "branch7x7dbl_3": Unit(inner, inner, row),
        "branch7x7dbl_4": Unit(inner, inner, column),
        "branch7x7dbl_5": Unit(inner, 192, row),
        "branch_pool": Unit(channels, 192),
    }
    chains = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{i}" for i in range(1, 6)),
        ("pool", "branch_pool"),
    )
    return Mixed(units, chains, average_pool)


def block_d(channels: int) -> Mixed:
    """17×17 to 8×8."""
    units = {
        "branch3x3_1": Unit(channels, 192),
        "branch3x3_2": Unit(192, 320, 3, 2, same=False),
        "branch7x7x3_1": Unit(channels, 192),
        "branch7x7x3_2": Unit(192, 192, (1, 7)),
        "branch7x7x3_3": Unit(192, 192, (7, 1)),
        "branch7x7x3_4": Unit(192, 192, 3, 2, same=False),
    }
    chains = (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{i}" for i in range(1, 5)), ("pool",))
    return Mixed(units, chains, reducing_pool)


def block_e(channels: int, pool: Pool) -> Mixed:
    """8×8 block with forked 3×3 filters."""
    units = {
        "branch1x1": Unit(channels, 320),
        "branch3x3_1": Unit(channels, 384),
        "branch3x3_2a": Unit(384, 384, (1, 3)),
        "branch3x3_2b": Unit(384, 384, (3, 1)),
        "branch3x3dbl_1": Unit(channels, 448),
        "branch3x3dbl_2": Unit(448, 384, 3),
        "branch3x3dbl_3a": Unit(384, 384, (1, 3)),
        "branch3x3dbl_3b": Unit(384, 384, (3, 1)),
        "branch_pool": Unit(channels, 192),
    }
    chains = (
        ("branch1x1",),
        ("branch3x3_1", "branch3x3_2a|branch3x3_2b"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a|branch3x3dbl_3b"),
        ("pool", "branch_pool"),
    )
    return Mixed(units, chains, pool)


class FIDInception(nn.Module):
    """The network. Input (n, 3, 299, 299) with values in [−1, 1]; `fc` has the 1008 outputs of the TensorFlow graph."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2, same=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, same=False)
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b = block_c(768, 128)
        self.Mixed_6c = block_c(768, 160)
        self.Mixed_6d = block_c(768, 160)
        self.Mixed_6e = block_c(768, 192)
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280, average_pool)
        self.Mixed_7c = block_e(2048, maximum_pool)
        self.fc = nn.Linear(2048, 1008)

    def features(self, x: Tensor) -> Tensor:
        """Globally averaged last feature map, (n, 2048)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = reducing_pool(x)
        x = reducing_pool(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 1008)."""
        return self.fc(self.features(x))


def prepare(images: Tensor) -> Tensor:
    """Images (n, 3, h, w) in [0, 1] as pytorch-fid hands them over: bilinear to 299×299 without antialiasing, then 2·x − 1."""
    return 2.0 * F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False) - 1.0


def load(path: Path) -> FIDInception:
    """The network with the weights of that file; every key must fit."""
    net = FIDInception()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return net.eval().requires_grad_(False)
