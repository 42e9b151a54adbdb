"""Algorithm images in the manner of SynthRAD 2023 and 2025 run on `mri_to_ct` unchanged."""

from pathlib import Path

import numpy as np
import pytest

from benchmark import dataset, geometry, image, inference, scoring, submission, tasks, trial
from benchmark.container import ContainerEngine, Runtime, intake
from benchmark.container.staging import SUFFIXES, stage
from benchmark.contract import Limits, Method
from benchmark.dataset import Edition
from benchmark.errors import SubmissionError
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


OF_2023 = """
import json
from pathlib import Path
import SimpleITK as sitk

def only(folder):
    (path,) = Path(folder).iterdir()
    assert path.name.endswith(".nii.gz"), path  # what its loader was told to look for
    return path

mr, body = only("/input/images/mri"), only("/input/images/body")
assert mr.name == body.name
image, mask = sitk.ReadImage(str(mr)), sitk.ReadImage(str(body))
assert mask.GetPixelID() == sitk.sitkUInt8 and sorted(set(sitk.GetArrayViewFromImage(mask).ravel().tolist())) == [0, 1]
assert image.GetSize() == mask.GetSize()
region = json.loads(Path("/input/region.json").read_text())
assert region == "brain", region
ct = sitk.Cast(mask, sitk.sitkInt16) * 1000 - 1000
Path("/output/images/synthetic-ct").mkdir(parents=True)
out = Path("/output/images/synthetic-ct") / mr.name
sitk.WriteImage(ct, str(out), True)
entry = {"outputs": [{"type": "metaio_image", "filename": str(out)}], "inputs": [{"type": "String", "filename": "/input/region.json"}]}
Path("/output/results.json").write_text(json.dumps([entry]))
"""


def image_of_2023() -> str:
    return base.build(
        "synthrad2023", CONTAINERFILE, {"process.py": OF_2023, "weights.txt": "here = True\n"}, base.science_image()
    )


def test_an_image_of_2023_is_given_the_files_that_it_looks_for(
    engine: Runtime, edition: Edition, tmp_path: Path
) -> None:
    """Its loader looks for `.nii.gz`: refused as it stands, it runs when its manifest asks for NIfTI; both are runs of their own."""
    reference = image_of_2023()
    record = intake(reference, engine)
    (tmp_path / "submission.toml").write_text(
        f"""
task = "mri_to_ct"
task_version = "1"
image = "{reference}"
digest = "{record.digest}"
contact = "somebody"
[method]
name = "of-2023"
title = "Of 2023"
[requests]
inputs = "nifti"
""",
        "utf-8",
    )
    task = tasks.find("mri_to_ct").task
    said: list[str] = []
    verdict = trial.run(
        task, edition, trial.source(str(tmp_path / "submission.toml")), engine,
        trials=tmp_path / "trials", root=tmp_path / "store", say=said.append,
    )  # fmt: skip
    assert verdict.outcome == "passed", (verdict, said)
    assert [case.ok for case in verdict.cases] == [True]
    plain, asked = (ContainerEngine(record, engine, inputs=form) for form in ("mha", "nifti"))
    assert "inputs nifti" in asked.flags and plain.flags != asked.flags and asked.cold().inputs == "nifti"
    limits = Limits(seconds=60, memory_mb=1024, output_mb=16, shm_mb=64)
    with plain.session(limits, tmp_path / "log.txt") as session:
        outcome = session.run(edition.input_folder(edition.cases[0].id), tmp_path / "out")
    assert outcome.code == "crashed" and b"AssertionError" in outcome.log


def test_staged_volumes_are_the_same_in_both_formats(edition: Edition, tmp_path: Path) -> None:
    case = edition.split("canary")[0].id
    for form, suffix in SUFFIXES.items():
        target = tmp_path / form
        (target / "old").mkdir(parents=True)
        stage(edition.input_folder(case), target, form)
        files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
        assert files == [f"images/body/{case}{suffix}", f"images/mri/{case}{suffix}", "inputs.json", "region.json"]
        assert not (target / "old").exists()
        for path in target.rglob("*"):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)
        for slug in ("mri", "body"):
            found = image.read(target / f"images/{slug}/{case}{suffix}")
            truth = image.read(edition.input_folder(case) / f"images/{slug}/{case}.mha")
            assert not geometry.difference(truth, found)
            assert np.allclose(found.origin, truth.origin, atol=1e-4) and found.array.dtype == truth.array.dtype
            np.testing.assert_array_equal(found.array, truth.array)
        again = tmp_path / f"{form}2"
        again.mkdir()
        stage(edition.input_folder(case), again, form)
        assert all((again / name).read_bytes() == (target / name).read_bytes() for name in files)


def test_a_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "submission.toml").write_text(
        'task="mri_to_ct"\ntask_version="1"\nimage="x"\ncontact="abc"\n[method]\nname="a"\ntitle="A"\n[requests]\ninputs="dicom"\n'
    )
    with pytest.raises(SubmissionError, match=r"requests\.inputs.*'mha' or 'nifti'"):
        submission.load(tmp_path / "submission.toml")
