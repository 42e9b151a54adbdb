"""Small 3-D networks over cubes, put together from MONAI's parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from monai.networks.blocks import Convolution, UpSample
from numpy.typing import NDArray
from torch import Tensor, nn

GROUPS = 8
CUBES = 16
"""Cubes in one forward pass: with more of them the feature maps leave a processor's cache."""


class Encoder(nn.Module):
    """Cubes (batch, 1, z, y, x) to numbers (batch, outputs): a layer at full resolution, then one a halving."""

    def __init__(self, edge: int, features: Sequence[int], outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        widths = (features[0], *features)
        self.layers = nn.Sequential(
            Convolution(3, 1, widths[0], act="RELU", norm=("group", {"num_groups": GROUPS})),
            *(
                Convolution(3, a, b, strides=2, act="RELU", norm=("group", {"num_groups": GROUPS}))
                for a, b in itertools.pairwise(widths)
            ),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(features[-1] * small(edge, features) ** 3, outputs)

    def forward(self, cubes: Tensor) -> Tensor:
        """The numbers."""
        out: Tensor = self.head(self.layers(cubes))
        return out


class Decoder(nn.Module):
    """Numbers (batch, inputs) to cubes (batch, 1, z, y, x), the way back.

    `sharp`: with a layer at full resolution. Without it the last doubling interpolates, which a CPU does four times as fast.
    """

    def __init__(self, edge: int, features: Sequence[int], inputs: int, *, sharp: bool) -> None:
        super().__init__()
        self.edge, self.width = small(edge, features), features[-1]
        self.start = nn.Linear(inputs, self.width * self.edge**3)
        widths = (*reversed(features), features[0])[: None if sharp else -1]
        layers = [
            nn.Sequential(
                UpSample(3, a, a, scale_factor=2, mode="nontrainable", interp_mode="nearest", align_corners=None),
                Convolution(3, a, b, act="RELU", norm=("group", {"num_groups": GROUPS})),
            )
            for a, b in itertools.pairwise(widths)
        ]
        last = Convolution(3, widths[-1], 1, kernel_size=1, conv_only=True)
        plain = [] if sharp else [UpSample(3, 1, 1, scale_factor=2, mode="nontrainable", interp_mode="trilinear")]
        self.layers = nn.Sequential(*layers, last, *plain)

    def forward(self, numbers: Tensor) -> Tensor:
        """The cubes."""
        first = self.start(numbers).unflatten(1, (self.width, self.edge, self.edge, self.edge))
        out: Tensor = self.layers(first)
        return out


def small(edge: int, features: Sequence[int]) -> int:
    """Edge of a cube after one halving a layer. Raises `ValueError` where nothing would be left."""
    if edge % 2 ** len(features):
        raise ValueError(f"a cube of {edge} samples cannot be halved {len(features)} times")
    return int(edge // 2 ** len(features))


MIRRORS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (4,))
"""Axes along which a cube is mirrored for a further opinion; their mean is the judgement."""


@torch.inference_mode()
def logits(model: nn.Module, cubes: NDArray[np.float32], device: torch.device) -> NDArray[np.float64]:
    """The model's number for each cube (n, z, y, x), mean over its mirror images: (n,)."""
    parts = [np.zeros(0)]
    for start in range(0, len(cubes), CUBES):
        batch = torch.from_numpy(cubes[start : start + CUBES, None]).to(device)
        opinions = torch.stack([model(batch.flip(axes) if axes else batch).float().reshape(-1) for axes in MIRRORS])
        parts.append(opinions.mean(0).cpu().numpy().astype(np.float64))
    return np.concatenate(parts)
