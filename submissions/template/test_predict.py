"""Run before building: `pytest test_predict.py`. Keep what checks the grid, the range and the names; add your own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import predict
import pytest
import SimpleITK as sitk


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """An /input folder with one small oblique case."""
    rng = np.random.default_rng(0)
    body = np.zeros((6, 20, 24), np.uint8)
    body[1:5, 4:16, 5:20] = 1
    for name, array in (("mri", rng.uniform(0, 800, body.shape).astype(np.float32) * body), ("body", body)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.5, 1.0, 3.0))
        image.SetOrigin((-12.5, 30.0, 7.0))
        image.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
        (tmp_path / "input/images" / name).mkdir(parents=True)
        sitk.WriteImage(image, tmp_path / "input/images" / name / "some-case.mha")
    (tmp_path / "input/region.json").write_text('"brain"')
    return tmp_path / "input"


def check(case: Path, output: Path) -> None:
    """The result is what the task asks for."""
    result = sitk.ReadImage(output / "images/synthetic-ct/some-case.mha")
    mri = sitk.ReadImage(case / "images/mri/some-case.mha")
    assert result.GetSize() == mri.GetSize()
    np.testing.assert_allclose(result.GetSpacing(), mri.GetSpacing())
    np.testing.assert_allclose(result.GetOrigin(), mri.GetOrigin())
    np.testing.assert_allclose(result.GetDirection(), mri.GetDirection())
    hu, body = (
        sitk.GetArrayFromImage(result),
        sitk.GetArrayFromImage(sitk.ReadImage(case / "images/body/some-case.mha")),
    )
    assert np.isfinite(hu).all() and hu.min() >= -1024 and 20 < hu[body > 0].max() <= 3000
    assert (hu[body == 0] == -1000).all()


def test_a_case_is_predicted_on_its_own_grid(case: Path, tmp_path: Path) -> None:
    predict.run_case(case, tmp_path / "output")
    check(case, tmp_path / "output")


def test_an_empty_body_is_all_air() -> None:
    mri = np.full((2, 3, 4), 5.0, np.float32)
    assert (predict.predict(mri, np.zeros_like(mri)) == -1000).all()


def test_the_server_answers_as_asked(case: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, predict.__file__, "--mode", "invoke", "--port", str(port)]
    server = subprocess.Popen([*command, "--input", str(case), "--output", str(tmp_path / "output")])
    try:
        base = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                assert urllib.request.urlopen(f"{base}/health", timeout=5).status == 200
                break
            except OSError:
                time.sleep(0.2)
        assert urllib.request.urlopen(f"{base}/invoke", data=b"", timeout=30).status == 201
    finally:
        server.terminate()
        server.wait(10)
    check(case, tmp_path / "output")
