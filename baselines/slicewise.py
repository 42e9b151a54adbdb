"""Run a slice-to-slice network over a volume; load its weights strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from baselines import slices, weights
from baselines.config import Config
from benchmark.errors import DataError
from benchmark.image import Volume

PIXELS = 65536
"""Pixels in one forward pass: larger ones are slower on a CPU, since the feature maps leave its cache."""

MARGIN = 8
"""Pixels around the mask of a heat map that the network sees."""

Forward = Callable[[Tensor], tuple[Tensor, ...]]
"""Stack (slice, context, y, x) to maps (slice, 1, y, x) in network units: the prediction, then maps of differences."""


def load(module: nn.Module, arrays: weights.Arrays, device: torch.device) -> nn.Module:
    """Put parameters into a network: every name and shape must match. Raises `DataError('record_invalid')`."""
    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise DataError(
            "record_invalid",
            f"the weights do not fit the network ({' '.join(str(error).split())[:300]})",
            action="Train this baseline again.",
        ) from None
    return module.to(device).eval().requires_grad_(False)


def pick_device(device: str) -> torch.device:
    """`auto`: CUDA when there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def centre(stack: Tensor) -> Tensor:
    """The slice in the middle of each stack, shape (slice, 1, y, x)."""
    middle = stack.shape[1] // 2
    return stack[:, middle : middle + 1]


@torch.inference_mode()
def run(forward: Forward, inputs: Mapping[str, Volume], config: Config, device: torch.device) -> list[np.ndarray]:
    """Predict a volume: float32 maps (z, y, x) in HU, the first one the prediction, the others HU differences."""
    data = config.data
    volume = slices.normalise(inputs, data)
    _, rows, columns = volume.shape
    collected: list[list[np.ndarray]] = []
    for _, stack in slices.batches(volume, data.context, PIXELS):
        maps = forward(torch.from_numpy(stack).to(device))
        collected.append([m[:, 0, :rows, :columns].float().cpu().numpy() for m in maps])
    prediction, *others = (np.concatenate(parts) for parts in zip(*collected, strict=True))
    return [slices.to_hu(prediction, data), *(other * np.float32(data.scale) for other in others)]


@torch.inference_mode()
def label(
    scores: Callable[[Tensor], Tensor], inputs: Mapping[str, Volume], config: Config, device: torch.device
) -> np.ndarray:
    """Label a volume: int16 (z, y, x), the label of the highest score, less specks. Where every image is 0 there is background."""
    data = config.data
    volume = slices.normalise(inputs, data)
    rows, columns = volume.shape[-2:]
    parts = [
        scores(torch.from_numpy(stack).to(device)).argmax(1)[:, :rows, :columns].cpu().numpy()
        for _, stack in slices.batches(volume, data.context, PIXELS)
    ]
    inside = np.any([np.asarray(inputs[slug].array) != 0 for slug in data.images if slug in inputs], axis=0)
    found = np.where(inside, slices.to_labels(np.concatenate(parts), data), data.labels[0]).astype(np.int16)
    return slices.without_specks(found, slices.grid(inputs, data).spacing, data)


@torch.inference_mode()
def heat(
    logits: Callable[[Tensor], Tensor],
    inputs: Mapping[str, Volume],
    config: Config,
    device: torch.device,
    inside: np.ndarray,
) -> np.ndarray:
    """A heat map, float32 (z, y, x) in 0 … 1, computed in the part of the volume that holds the mask `inside`; 0 elsewhere."""
    volume = slices.normalise(inputs, config.data)
    found = np.zeros(volume.shape, np.float32)
    if not inside.any():
        return found
    z, y, x = (np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
    # Whole slices are left out, after the stack is made; in the plane, a margin keeps what the mask's border sees.
    plane = tuple(slice(max(0, int(a[0]) - MARGIN), int(a[-1]) + 1 + MARGIN) for a in (y, x))
    cut = volume[:, *plane]
    rows, columns = cut.shape[-2:]
    index = slices.neighbours(len(cut), config.data.context)[z]
    padded = slices.pad_to_multiple(cut)
    size = max(1, PIXELS // (padded.shape[-1] * padded.shape[-2]))
    for start in range(0, len(z), size):
        chosen = slice(start, start + size)
        stack = torch.from_numpy(slices.stacked(padded, index[chosen])).to(device)
        warm = logits(stack).float().sigmoid()[:, 0, :rows, :columns].cpu().numpy()
        found[z[chosen], plane[0], plane[1]] = warm
    return found
