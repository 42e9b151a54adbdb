"""Which baselines there are, what their digests stand for, and that the shipped files belong together."""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from baselines import catalogue, config, prediction, weights
from baselines.catalogue import FAMILIES, ROOT
from benchmark import tasks
from benchmark.dataset import sha256_of
from benchmark.errors import UsageError

TASKS = ("mri_to_ct", "denoising", "segmentation", "nodule_detection")
SHIPPED = [baseline for task in TASKS for baseline in catalogue.baselines(task)]
TRAINED = [baseline for baseline in SHIPPED if baseline.weights is not None]


def name_of(baseline: catalogue.Baseline) -> str:
    return f"{baseline.task}-{baseline.name}"


@pytest.mark.parametrize("task", TASKS)
def test_every_family_has_a_baseline_for_every_task(task: str) -> None:
    found = catalogue.baselines(task)
    assert {baseline.family for baseline in found} == set(FAMILIES)
    names = [baseline.name for baseline in found]
    assert len(set(names)) == len(names)
    assert all(baseline.method.baseline and baseline.method.name == baseline.name for baseline in found)
    assert all(baseline.method.citation and baseline.method.description for baseline in found)


def test_the_floor_comes_first_and_has_nothing_to_learn() -> None:
    water = catalogue.baselines("mri_to_ct")[0]
    assert (water.name, water.weights, water.stem) == ("classical-water", None, "mri_to_ct.water")


def test_a_task_without_baselines_has_none() -> None:
    assert catalogue.baselines("no_such_task") == []


def test_an_unknown_name_is_answered_with_the_names() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'unet'.*classical-water, classical, unet, gan, vae") as caught:
        catalogue.find("mri_to_ct", "u-net")
    assert caught.value.code == "unknown_name"


def test_looking_up_baselines_loads_no_network_library() -> None:
    code = (
        "import sys; from baselines import catalogue; catalogue.baselines('mri_to_ct'); "
        "print([m for m in ('torch', 'monai', 'skimage', 'SimpleITK') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert out.stdout.strip() == "[]"


def imported(path: Path) -> set[Path]:
    """Modules of this package that a module imports, read from its source."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("baselines"):
            continue
        for name in {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}:
            candidate = ROOT.parent / (name.replace(".", "/") + ".py")
            if candidate.exists():
                found.add(candidate)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_digest_covers_every_module_that_a_prediction_imports(family: catalogue.Family) -> None:
    reached: set[Path] = set()
    waiting = {ROOT / "prediction.py", ROOT / family / "predict.py"}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        waiting |= imported(path) - reached
    declared = {ROOT / name for name in (*catalogue.SHARED_SOURCES, *catalogue.SOURCES[family])}
    assert reached == declared


@pytest.fixture
def copied(tmp_path: Path) -> catalogue.Baseline:
    """A baseline whose configuration and weights may be changed."""
    shipped = catalogue.find("mri_to_ct", "unet")
    path = tmp_path / "mri_to_ct.toml"
    shutil.copy(shipped.config, path)
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    return dataclasses.replace(shipped, config=path, weights=tmp_path / "w.safetensors")


def test_the_digest_changes_with_weights_and_configuration_and_nothing_else(copied: catalogue.Baseline) -> None:
    assert copied.weights is not None
    first = copied.digest
    assert re.fullmatch("[0-9a-f]{64}", first)
    copied.card.write_text("a card says nothing about predictions", "utf-8")
    assert copied.digest == first
    copied.weights.write_bytes(b"Weights")
    second = copied.digest
    copied.config.write_text(copied.config.read_text("utf-8") + "\n", "utf-8")
    third = copied.digest
    copied.weights.unlink()
    assert len({first, second, third, copied.digest}) == 4


def test_the_digest_changes_with_a_source(
    copied: catalogue.Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT, tmp_path / "sources", ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    monkeypatch.setattr(catalogue, "ROOT", tmp_path / "sources")
    first = copied.digest
    network = tmp_path / "sources" / "unet" / "network.py"
    network.write_text(network.read_text("utf-8") + "# changed\n", "utf-8")
    assert copied.digest != first


def test_digests_tell_all_baselines_apart() -> None:
    assert len({baseline.digest for baseline in SHIPPED}) == len(SHIPPED)


@pytest.mark.parametrize("baseline", TRAINED, ids=name_of)
def test_shipped_weights_are_small_fit_their_settings_and_are_those_of_the_card(baseline: catalogue.Baseline) -> None:
    assert baseline.weights is not None
    assert baseline.weights.stat().st_size <= 2 * 1024**2
    arrays = weights.read(baseline.weights, config.load(baseline.config, baseline.family))
    card = baseline.card.read_text("utf-8")
    assert f"sha256 `{sha256_of(baseline.weights)}`" in card
    remark = config.load(baseline.config, baseline.family).method.remark
    assert f"test splits were not opened.\n\n{remark}{chr(10) * 2 * bool(remark)}## Figures" in card
    assert f"{sum(array.size for array in arrays.values()):,} numbers" in card
    assert f"radbench train {baseline.task} {baseline.name} --seed" in card


@pytest.mark.parametrize("baseline", SHIPPED, ids=name_of)
def test_every_shipped_baseline_loads(baseline: catalogue.Baseline) -> None:
    assert callable(prediction.load(baseline, device="cpu"))


@pytest.mark.parametrize("baseline", TRAINED, ids=name_of)
def test_the_card_has_a_figure_for_every_metric_of_the_task(baseline: catalogue.Baseline) -> None:
    card = baseline.card.read_text("utf-8").split("## Figures on")[1].split("\n## ")[0]
    task = tasks.load_task(baseline.task)
    header = next(line for line in card.splitlines() if line.startswith("| edition"))
    rows = [line for line in card.splitlines() if line.startswith("| `")]
    assert header.count("|") == len(task.metrics) + 3
    assert rows
    for row in rows:
        numbers = [float(cell) for cell in row.strip("| ").split("|")[1:]]
        assert len(numbers) == len(task.metrics) + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_container_is_built_from_files_that_exist_and_does_not_run_as_root(family: str) -> None:
    text = (ROOT / family / "Containerfile").read_text("utf-8")
    assert 'LABEL org.grand-challenge.api-method="invoke"' in text
    assert f"RADBENCH_BASELINE={family}" in text
    assert 'ENTRYPOINT ["python", "-m", "baselines.entry"]' in text
    user = re.search(r"^USER (\d+)", text, re.MULTILINE)
    assert user is not None and int(user.group(1)) > 0
    for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (ROOT.parent / source).exists(), source
    for needed in re.findall(r"--requirement (\S+)", text):
        assert (ROOT.parent / needed).exists(), needed
