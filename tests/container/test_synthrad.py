"""Algorithm images in the manner of SynthRAD 2023 and 2025 run on `mri_to_ct` unchanged."""

from pathlib import Path

import pytest

from benchmark import dataset, image, inference, scoring, tasks
from benchmark.container import ContainerEngine, Runtime, intake
from benchmark.contract import Limits, Method
from benchmark.dataset import Edition
from tests.container import base

pytestmark = pytest.mark.usefixtures("clean")

PROCESS = '''
"""The shape of the public algorithm templates: read region and images, write the output under the input's name, and results.json."""
import json, os
from pathlib import Path
import numpy as np
import SimpleITK as sitk

class Algorithm:
    def __init__(self):
        self.input, self.output = Path("/input"), Path("/output/images/synthetic-ct")
        self.results_file = Path("/output/results.json")
        self.output.mkdir(parents=True, exist_ok=True)
        self.results = []

    def process(self):
        region = json.load(open(self.input / "region.json"))
        assert isinstance(region, str), region
        for path in sorted((self.input / "images/mri").iterdir()):
            mr = sitk.ReadImage(str(path))
            mask = sitk.ReadImage(str(self.input / "images/body" / path.name))
            inside = sitk.GetArrayFromImage(mask)
            ct = sitk.GetImageFromArray(np.where(inside > 0, 0, -1000).astype("int16"))
            ct.CopyInformation(mr)
            sitk.WriteImage(ct, str(self.output / (path.name.split(".")[0] + SUFFIX)))
            self.results.append({"outputs": [{"type": "metaio_image", "filename": path.name}], "inputs": [], "error_messages": []})
        self.results_file.write_text(json.dumps(self.results))

Algorithm().process()
'''

CONTAINERFILE = """
RUN groupadd -r algorithm && useradd -m --no-log-init -r -g algorithm algorithm
RUN mkdir -p /opt/algorithm /input /output && chown algorithm:algorithm /opt/algorithm /input /output
VOLUME ["/input", "/output"]
USER algorithm
WORKDIR /opt/algorithm
ENV PATH="/home/algorithm/.local/bin:${PATH}"
COPY --chown=algorithm:algorithm process.py /opt/algorithm/
COPY --chown=algorithm:algorithm weights.txt /home/algorithm/.local/lib/python3.11/site-packages/installed_by_user.py
ENTRYPOINT python -c 'import installed_by_user' && python -m process $0 $@
LABEL nl.diagnijmegen.rse.algorithm.name=synthrad
"""
"""As in the templates: a system user with a home of its own that `pip install --user` wrote to, volumes, a shell entry point."""


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    folder = tasks.find("mri_to_ct")
    plan = folder.maker("phantom")(size=32, cases={"canary": 1, "test": 1})
    return dataset.prepare(tmp_path_factory.mktemp("data"), folder.task, plan, workers=1)


@pytest.mark.parametrize("suffix", [".mha", ".nii.gz"])
def test_an_algorithm_image_runs_unchanged(engine: Runtime, edition: Edition, tmp_path: Path, suffix: str) -> None:
    """2025 writes .mha, 2023 .nii.gz; both under the name of the input."""
    files = {"process.py": PROCESS.replace("SUFFIX", repr(suffix)), "weights.txt": "here = True\n"}
    reference = base.build(f"synthrad{suffix[1:4]}", CONTAINERFILE, files, base.science_image())
    record = intake(reference, engine)
    assert record.user == "algorithm" and record.mode == "exec"
    container = ContainerEngine(record, engine)
    task = tasks.find("mri_to_ct").task
    task = task.model_copy(update={"limits": Limits(seconds=60, memory_mb=1024, output_mb=16, shm_mb=64)})
    run = inference.run(
        task, edition, Method(name="s", title="S"), container.digest, container, root=tmp_path / "store"
    )
    assert [case.code for case in run.cases] == ["", ""], run
    folder = tmp_path / "store/runs" / run.key / "predictions" / run.cases[0].case
    (written,) = (folder / "images/synthetic-ct").iterdir()
    assert written.name == run.cases[0].case + suffix
    assert set(image.read(written).array.ravel().tolist()) == {-1000, 0}
    assert (folder / "results.json").exists()
    score = scoring.score_run(task, edition, run, tmp_path / "store")
    assert score.aggregates[0].n == 1 and score.aggregates[0].n_worst == 0
