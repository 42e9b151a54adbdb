"""The baselines' own Containerfiles, built on a local base and run as containers, give what the process engine gives."""

from pathlib import Path

import numpy as np
import pytest

from baselines import catalogue
from benchmark import dataset, image, tasks
from benchmark.container import ContainerEngine, Runtime
from benchmark.container.process import ProcessEngine
from benchmark.contract import Limits
from tests.container import base

ROOT = Path(__file__).parents[2]

TORCH = ("monai", "torch")


@pytest.mark.parametrize(
    ("family", "name", "extra"),
    [
        ("classical", "classical", ()),
        pytest.param("unet", "unet", TORCH, marks=pytest.mark.slow),
        pytest.param("gan", "gan", TORCH, marks=pytest.mark.slow),
        pytest.param("vae", "vae", TORCH, marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("clean")
def test_a_baseline_gives_the_same_in_its_container(
    engine: Runtime, tmp_path: Path, family: str, name: str, extra: tuple[str, ...]
) -> None:
    folder = tasks.find("mri_to_ct")
    plan = folder.maker("phantom")(size=32, cases={"canary": 1, "test": 1})
    edition = dataset.prepare(tmp_path / "data", folder.task, plan, workers=1)
    reference = f"{base.REPOSITORY}/baseline-{family}:test"
    text = (ROOT / "baselines" / family / "Containerfile").read_text("utf-8") + "ENV RADBENCH_TASK=mri_to_ct\n"
    base.build_folder(ROOT, text, reference, f"--build-arg=BASE={base.science_image(extra)}")
    limits = Limits(seconds=120, start_seconds=120, memory_mb=4096, output_mb=32, shm_mb=64)
    engines = {
        "container": ContainerEngine(base.taken_in(reference), engine),
        "process": ProcessEngine(catalogue.find("mri_to_ct", name)),
    }
    results = {}
    for label, used in engines.items():
        with used.session(limits, tmp_path / f"{label}.log") as session:
            for case in edition.split("canary", "test"):
                outcome = session.run(edition.input_folder(case.id), tmp_path / label / case.id)
                assert outcome.ok, outcome.reason + outcome.log.decode("utf-8", "replace")
        files = sorted(path for path in (tmp_path / label).rglob("*") if path.is_file())
        results[label] = {str(path.relative_to(tmp_path / label)): image.read(path) for path in files}
    assert results["container"].keys() == results["process"].keys() and len(results["process"]) == 2
    for key, volume in results["process"].items():
        other = results["container"][key]
        np.testing.assert_array_equal(other.array, volume.array)
        assert (other.spacing, other.origin) == (volume.spacing, volume.origin)
    base.podman("rmi", "--force", reference)
