"""A configuration that is wrong is refused with file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest

from baselines import catalogue, config
from benchmark.errors import UsageError

UNET = catalogue.find("mri_to_ct", "unet").config.read_text("utf-8")
TABLE = catalogue.find("mri_to_ct", "classical").config.read_text("utf-8")


@pytest.mark.parametrize(
    ("family", "text", "old", "new", "message"),
    [
        ("unet", UNET, "context = 3", "context = 4", r"data.*context: found 4, expected an odd number"),
        ("unet", UNET, "scale = 1000", "scale = 0", r"data\.scale.*greater than 0"),
        ("unet", UNET, "scale = 1000", "scael = 1000", r"data\.scael.*not permitted"),
        ("unet", UNET, "context = 3", "residual = true", r"data.*residual: expected normalisation"),
        ("unet", UNET, "outside = -1000", "", r"data.*outside: expected exactly where body is given"),
        ("unet", UNET, 'body = "body"', "", r"data.*body: expected the slug"),
        ("unet", UNET, "clip = [-1024, 3000]", "clip = [3000, -1024]", r"data.*clip: found 3000.*lower one first"),
        ("unet", UNET, "features = [16,", "features = [", r"network.*features: found 5 numbers, expected 6"),
        ("unet", UNET, "features = [16,", "features = [12,", r"network.*groups: found 8, expected a divisor"),
        ("unet", UNET, 'kind = "basic_unet"', 'kind = "resnet"', r"network\.kind.*basic_unet"),
        ("unet", UNET, "patch = 64", "patch = 60", r"training\.patch.*multiple of 16"),
        ("unet", UNET, "[loss]\nl1 = 1", "", r"section \[loss\] is missing.*for unet: loss, network, training"),
        ("unet", UNET, "[loss]", "[critic]\n\n[loss]", r"section \[critic\] is not known"),
        ("unet", UNET, "steps = ", "steps = =", r"is not TOML"),
        ("classical", TABLE, "depths_mm = [0, 2,", "depths_mm = [2, 0,", r"fit.*depths_mm: found \[2\.0, 0\.0"),
        ("classical", TABLE, 'statistics = ["mean", "median"]', "", r"fit.*statistics: missing, and table needs it"),
    ],
)
def test_wrong_settings(tmp_path: Path, family: str, text: str, old: str, new: str, message: str) -> None:
    assert old in text
    path = tmp_path / "mri_to_ct.toml"
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        config.load(path, family)
    assert caught.value.code == "bad_value"
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no") as caught:
        config.load(tmp_path / "none.toml", "unet")
    assert caught.value.code == "path"
