"""A reference model, run again by the night that follows; and by the one after a night that was killed in the middle of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import dataset, store, tasks
from benchmark.nightly.config import Config, Nightly
from benchmark.workplace import Workplace
from tests.nightly import otherdays

CONFIG = Config(
    nightly=Nightly(tasks=("mri_to_ct",), baselines={"mri_to_ct": ("classical-water",)}, disk_low_gb=0),
    executor={"workers": 1},
)


@pytest.mark.timeout(600)
def test_a_reference_model_is_reproduced_also_after_a_kill(tmp_path: Path) -> None:
    work, folder = Workplace(tmp_path / "work"), tasks.find("mri_to_ct")
    plan = folder.maker("phantom")(size=32, cases={"canary": 1, "test": 2})
    dataset.prepare(work.data, folder.task, plan, workers=1)
    first = otherdays.night(work, CONFIG, (), days=0)
    assert first is not None and first.exit_code == 0 and first.reproduced is None, first
    (run,) = first.runs
    report = otherdays.killed_and_again(work, CONFIG, (), days=1)
    assert report.exit_code == 0 and report.reproduced is not None and not report.site.changed
    assert report.reproduced.run == run.key and report.reproduced.result.same
    assert report.reproduced.result.cases == 3
    found = store.load_reproduction(work.store, run.key)
    assert found == report.reproduced.result
    assert [(line["run"], line["same"]) for line in otherdays.reproductions(work)] == [(run.key, True)]
