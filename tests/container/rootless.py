"""A program for `test_rootless`: runs two images with rootless Podman as whoever calls it, and prints what came of it as JSON.

Control groups of version 1 give an ordinary user no limits and no pause, so that discovery refuses them; the engine is
therefore put together by hand, and the server started afresh for each case.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmark.container import ContainerEngine, Runtime, intake
from benchmark.container.discovery import INITS, find_engine
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError


def main(references: list[str]) -> None:
    """Run each image on two cases."""
    executable = shutil.which("podman")
    assert executable is not None
    init = any(Path(path).exists() for path in INITS)
    runtime = Runtime(name="podman", executable=executable, rootless=True, init=init, nofile=1024, nproc=512)
    try:
        found = find_engine("podman").model_dump()
    except InfrastructureError as error:
        found = {"code": error.code, "found": error.found}
    limits = Limits(seconds=60, start_seconds=60, memory_mb=256, output_mb=8, shm_mb=32, log_kb=16, cpus=1, pids=64)
    results: dict[str, object] = {"engine": found}
    for reference in references:
        image = intake(reference, runtime)
        engine = ContainerEngine(image, runtime, cold=image.mode == "invoke")
        outcomes = []
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "case").mkdir()
            with engine.session(limits, folder / "log") as session:
                for number in range(2):
                    (folder / "case/value.json").write_text(str(number))
                    outcome = session.run(folder / "case", folder / f"out{number}")
                    written = folder / f"out{number}/n.json"
                    owner = written.stat().st_uid if written.exists() else -1
                    text = written.read_text() if written.exists() else ""
                    outcomes.append([outcome.code, outcome.reason, owner, text])
        results[image.mode] = outcomes
    results["left"] = subprocess.check_output([executable, "ps", "--all", "--quiet"], text=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
