"""The audit of a stored submission: from scores in the store to table, HTML and JSON, through the command."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from benchmark import audit, audit_report, board, dataset, image, metrics, publishing, scoring, store, tasks
from benchmark.audit import Audit
from benchmark.contract import CaseRun, Method, RunRecord
from benchmark.dataset import Edition
from benchmark.errors import DataError, UsageError
from benchmark.image import Volume
from benchmark.tasks import TaskFolder
from tests.command import RADBENCH

EVIL = "<script>alert('x')</script> & co"


@pytest.fixture(scope="module")
def place(toy_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which two submissions have been run and scored: one even, one that fails on half of site B."""
    root = tmp_path_factory.mktemp("audit")
    shutil.copytree(toy_tasks / "toy", root / "tasks" / "toy")
    code = root / "tasks" / "toy" / "data.py"
    code.write_text(code.read_text().replace('["test"] * 5', '["test"] * 24'))
    folder = tasks.find("toy", [root / "tasks"])
    edition = dataset.prepare(root / "work" / "data", folder.task, folder.maker("phantom")(), workers=1)
    for name, broken in (("even", False), ("uneven", True)):
        _run(root / "work" / "store", folder, edition, name, broken)
    return root


def _run(root: Path, folder: TaskFolder, edition: Edition, name: str, broken: bool) -> None:
    cases = edition.split("canary", "test")
    key = store.inference_key(name, folder.task, edition, cases, [])
    runs = []
    for i, case in enumerate(cases):
        failed = broken and case.attributes["site"] == "B" and i % 4 == 2
        runs.append(
            CaseRun(case=case.id, seconds=1.0, code="crashed" if failed else "", reason="It ended." if failed else "")
        )
        truth = edition.read_reference(folder.task.reference("truth"), case.id)
        assert isinstance(truth, Volume)
        target = store.run_folder(root, key) / "predictions" / case.id / "images" / "clean"
        target.mkdir(parents=True)
        image.write(target / f"{case.id}.mha", truth.like(truth.array + np.int16(5 + i % 3)))
    record = RunRecord(
        key=key,
        task="toy",
        edition="phantom",
        method=Method(name=name, title=EVIL if broken else "Even", team=EVIL),
        digest=name,
        engine="process/exec",
        hardware="none",
        start_seconds=0.1,
        cases=tuple(runs),
    )
    (store.run_folder(root, key) / "run.json").write_text(record.model_dump_json())
    scoring.score_run(folder.task, edition, record, root)


def _audit(place: Path, name: str) -> Audit:
    folder = tasks.find("toy", [place / "tasks"])
    edition = dataset.load(place / "work" / "data", folder.task, "phantom")
    root = place / "work" / "store"
    scored = publishing.scored(folder.task, edition, root)
    return audit.of_store(folder.task, edition, scored, name, root, board.describe(folder.task))


def radbench(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *RADBENCH,
            "audit",
            *arguments,
            "--tasks",
            str(place / "tasks"),
            "--work",
            str(place / "work"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_was_measured_on_whom_and_what_not(place: Path) -> None:
    found = _audit(place, "uneven")
    sites = {group.name: group.n for group in found.population.partition("site").groups}
    assert sites == {"A": 12, "B": 12} and found.population.n == 24
    gap = found.fairness.gap("site", "mae")
    assert gap.worst == "B" and gap.value("B").n_worst == 6 and gap.value("A").n_worst == 0
    assert gap.value("B").value == pytest.approx((6 * float(metrics.find("mae").worst) + 6 * 6) / 12, rel=0.01)
    assert gap.more_than_chance
    assert {item.metric: item.n_worst for item in found.aggregates} == {"mae": 6, "psnr": 6}
    assert not _audit(place, "even").fairness.gap("site", "mae").more_than_chance
    assert any("phantoms" in sentence for sentence in found.limits)
    assert any("Only the attributes that the task declares" in sentence for sentence in found.limits)


def test_the_command_prints_and_writes(place: Path, tmp_path: Path) -> None:
    result = radbench(place, "toy", "uneven", "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "worst for B" in result.stdout and "Found" in result.stdout and "What this does not say" in result.stdout
    data = json.loads((tmp_path / "audit.json").read_text())
    assert Audit.model_validate(data) == _audit(place, "uneven")
    again = radbench(place, "toy", "uneven", "--out", str(tmp_path / "again"), "--json")
    assert json.loads(again.stdout) == data
    for name in ("audit.html", "audit.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_an_unknown_submission_is_answered_with_the_names(place: Path) -> None:
    result = radbench(place, "toy", "nobody")
    assert result.returncode == 2 and "even, uneven" in result.stderr and "Traceback" not in result.stderr
    with pytest.raises(UsageError, match="radbench run toy"):
        folder = tasks.find("toy", [place / "tasks"])
        edition = dataset.load(place / "work" / "data", folder.task, "phantom")
        audit.of_store(folder.task, edition, [], "even", place, [])


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_escaped_and_needs_nothing_else(place: Path) -> None:
    page = audit_report.html(_audit(place, "uneven"))
    parser = Balance()
    parser.feed(page)
    assert parser.open == [] and "script" not in parser.seen
    assert "&lt;script&gt;" in page and EVIL not in page
    assert not re.search(r"(src|href)=|@import|url\(", page)
    assert "What could not be measured" in page and "worst for B" in page and "6 failed" in page
    for text in ("None", "nan", "Undefined"):
        assert not re.search(rf">[^<]*\b{text}\b(?! of)[^<]*<", page), text


def test_numbers_are_written_for_people() -> None:
    assert [audit_report.number(v) for v in (None, 0.123456, 12345.6, float("inf"), 0.0)] == [
        "—",
        "0.1235",
        "12346",
        "∞",
        "0",
    ]
    assert [audit_report.p_text(v) for v in (None, 0.5, 0.0002)] == ["—", "0.500", "0.0002"]


def test_boards_carry_the_audit_and_the_rules(place: Path) -> None:
    folder = tasks.find("toy", [place / "tasks"])
    edition = dataset.load(place / "work" / "data", folder.task, "phantom")
    root = place / "work" / "store"
    made = board.make(folder.task, edition, publishing.scored(folder.task, edition, root), root)
    assert [row.method.name for row in made.rows] == ["even", "uneven"]
    assert made.population is not None and made.agreement is not None
    by_name = {row.method.name: row.fairness for row in made.rows}
    for name, fairness in by_name.items():
        alone = _audit(place, name).fairness
        assert fairness is not None and [g.p for g in fairness.gaps] == [g.p for g in alone.gaps]
    assert {order.rule for order in made.agreement.orders} >= {"mean_of_ranks", "significance", "synthrad2023"}
    assert board.Board.model_validate_json(made.model_dump_json()) == made


def test_performance_and_fairness_as_the_rule_of_a_board(place: Path) -> None:
    folder = tasks.find("toy", [place / "tasks"])
    edition = dataset.load(place / "work" / "data", folder.task, "phantom")
    root = place / "work" / "store"
    scored = publishing.scored(folder.task, edition, root)
    ranking = {
        "rule": "performance_and_fairness",
        "metrics": ["mae"],
        "attributes": ["site"],
        "bounds": {"mae": [200, 0]},
    }
    task = folder.task.model_validate({**folder.task.model_dump(), "ranking": ranking})
    made = board.make(task, edition, scored, root)
    assert [row.method.name for row in made.rows] == ["even", "uneven"]
    assert made.agreement is not None and made.agreement.orders[0].rule == "performance_and_fairness"
    cases = sorted(edition.split("test"), key=lambda case: case.drawing)
    tables = [store.load_case_scores(root, score.key) for _, score in scored]
    losses = np.stack(list(scoring.iterate_losses(task, cases, tables, [s.aggregates for _, s in scored])))
    names = [run.method.name for run, _ in scored]
    scaled = board.bounded(task, losses)[names.index("uneven"), :, 0]
    site = np.array([case.attributes["site"] for case in cases])
    values = np.clip(losses[names.index("uneven"), :, 0] / 200, 0, 1)  # by hand: MAE over 200 HU
    np.testing.assert_allclose(scaled, values)
    found = board.ranked(task, cases, tables, [s.aggregates for _, s in scored]).statistic[names.index("uneven")]
    gap = abs(values[site == "A"].mean() - values[site == "B"].mean())
    assert found == pytest.approx(0.5 * values.mean() + 0.5 * gap)
    unbounded = task.model_validate({**task.model_dump(), "ranking": {**ranking, "bounds": {}}})
    if np.isfinite(metrics.find("mae").range).all():
        board.make(unbounded, edition, scored, root)  # the metric's own range will do
    else:
        with pytest.raises(DataError, match=r"ranking\.bounds\.mae"):
            board.make(unbounded, edition, scored, root)


def test_the_contract_refuses_rankings_that_do_not_fit(place: Path) -> None:
    task = tasks.find("toy", [place / "tasks"]).task.model_dump()
    for ranking, words in (
        ({"metrics": ["mae", "psnr"], "groups": [{"name": "image", "metrics": ["mae"]}]}, "expected each of"),
        ({"metrics": ["mae"], "rule": "performance_and_fairness"}, "at least one attribute"),
        ({"metrics": ["mae"], "rule": "performance_and_fairness", "attributes": ["age"]}, "ranking.attributes"),
        ({"metrics": ["mae"], "bounds": {"psnr": [0, 1]}}, "bounds.psnr"),
    ):
        with pytest.raises(ValueError, match=words):
            tasks.Task.model_validate({**task, "ranking": ranking})
    weighted = tasks.Task.model_validate(
        {
            **task,
            "ranking": {
                "metrics": ["mae", "psnr"],
                "groups": [
                    {"name": "dose", "weight": 3, "metrics": ["mae"]},
                    {"name": "image", "weight": 1, "metrics": ["psnr"]},
                ],
            },
        }
    )
    assert weighted.ranking.weights == (1.5, 0.5)
