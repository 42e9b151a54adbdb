"""Commands that read no image and train nothing begin without the libraries that do: those take longer to load than the commands run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "PIL", "SimpleITK", "baselines", "benchmark.federation.bundle", "benchmark.metrics", "dask", "distributed", "jinja2", "matplotlib",
    "monai", "nibabel", "numba", "pandas", "pyarrow", "pydicom", "scipy", "skimage", "sklearn", "torch",
)  # fmt: skip
RUN = f"""
import json, sys
from benchmark import cli
try:
    cli.main()
finally:
    print(json.dumps(sorted(name for name in {HEAVY} if name in sys.modules)), file=sys.stderr)
"""


def _loaded(work: Path, *words: str) -> list[str]:
    """Which of the heavy ones a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "RADBENCH_WORK": str(work)},
        timeout=300,
    )
    found = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    "words",
    [["--help"], ["store", "check"], ["ledger", "verify"], ["attempts", "x"], ["doctor"]],
    ids=" ".join,
)
def test_a_command_that_reads_no_image_loads_none_of_the_heavy_libraries(tmp_path: Path, words: list[str]) -> None:
    assert _loaded(tmp_path, *words) == []


def test_a_command_that_needs_some_of_them_is_seen_to_load_them(tmp_path: Path) -> None:
    found = _loaded(tmp_path, "publish")
    assert {"scipy", "numba", "benchmark.metrics"} <= set(found)
    assert not {"torch", "monai", "dask", "benchmark.federation.bundle"} & set(found)
