"""Weights on disk: the same bytes each time, half precision, nothing accepted that does not belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from baselines import catalogue, config, weights
from benchmark.errors import DataError, UsageError

SETTINGS = config.load(catalogue.find("mri_to_ct", "unet").config, "unet")
ARRAYS: weights.Arrays = {"b": np.array([0.1, -2.0], np.float32), "a": np.arange(6, dtype=np.int64).reshape(2, 3)}


def test_round_trip_in_half_precision_and_reproducible_bytes(tmp_path: Path) -> None:
    weights.write(tmp_path / "one.safetensors", ARRAYS, SETTINGS)
    weights.write(tmp_path / "two.safetensors", dict(reversed(list(ARRAYS.items()))), SETTINGS)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    back = weights.read(tmp_path / "one.safetensors", SETTINGS)
    assert load_file(tmp_path / "one.safetensors")["b"].dtype == np.float16
    assert back["b"].dtype == np.float32
    np.testing.assert_array_equal(back["b"], ARRAYS["b"].astype(np.float16))
    np.testing.assert_array_equal(back["a"], ARRAYS["a"])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_values_that_half_precision_cannot_hold_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="parameter w"), np.errstate(over="ignore"):
        weights.write(tmp_path / "w.safetensors", {"w": np.array([value])}, SETTINGS)
    assert not list(tmp_path.iterdir())


def test_weights_of_other_settings_are_refused(tmp_path: Path) -> None:
    weights.write(tmp_path / "w.safetensors", ARRAYS, SETTINGS)
    other = SETTINGS.model_copy(update={"data": SETTINGS.data.model_copy(update={"scale": 500.0})})
    with pytest.raises(DataError, match="trained under other settings"):
        weights.read(tmp_path / "w.safetensors", other)


def test_settings_without_a_say_in_predictions_do_not_matter(tmp_path: Path) -> None:
    weights.write(tmp_path / "w.safetensors", ARRAYS, SETTINGS)
    assert SETTINGS.training is not None
    other = SETTINGS.model_copy(update={"training": SETTINGS.training.model_copy(update={"steps": 1})})
    assert set(weights.read(tmp_path / "w.safetensors", other)) == {"a", "b"}


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:20], lambda b: b"", lambda b: b"x" * len(b)])
def test_broken_files_are_refused(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "w.safetensors"
    weights.write(path, ARRAYS, SETTINGS)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        weights.read(path, SETTINGS)
    assert caught.value.code == "record_invalid"


def test_absent_weights_and_a_method_without_any(tmp_path: Path) -> None:
    assert weights.read(None, SETTINGS) == {}
    with pytest.raises(UsageError, match="radbench train"):
        weights.read(tmp_path / "none.safetensors", SETTINGS)
