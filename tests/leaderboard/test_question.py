"""Traditional or generative: the best of each kind by the first metric, the same rows beside each claim, claims named as claims."""

from dataclasses import replace

import boards
import pytest
from markup import Tree

from benchmark import tasks
from benchmark.board import notes
from benchmark.contract import Task
from leaderboard import pages
from leaderboard.question import question
from leaderboard.views import board_view


def asked(data):
    found = question(board_view(data, "t"))
    assert found is not None
    return found


def claiming(**claim):
    data = boards.heads(canaries=0)
    task = Task.model_validate({**boards.HEADS, "claims": [{**boards.HEADS["claims"][0], **claim}]})
    return replace(data, board=data.board.model_copy(update={"task": task}))


def test_the_first_metric_chooses_and_the_claims_metric_shows_the_same_rows() -> None:
    found = asked(claiming(beside="ssim"))
    assert [panel.column.info.id for panel in found.panels] == ["mae", "ssim"]
    for panel in found.panels:
        assert [kind.line and kind.line.row.method.name for kind in panel.kinds] == ["water", "unet", "gan"]
    assert [kind.cell and kind.cell.value for kind in found.panels[1].kinds] == ["0.520", "0.964", "0.960"]
    assert [kind.spread != "" for kind in found.panels[1].kinds] == [False, False, True]
    assert len(asked(claiming()).panels) == 1
    assert len(asked(claiming(beside="mae")).panels) == 1, "the first metric is there already"


def test_the_sentences_of_a_board_name_the_models_of_the_front() -> None:
    """A generative model is no "learned" one in the one place and a learned one in the other: here it is the best of all."""
    data = boards.slab(canaries=0)
    shown = {kind.kind: kind.line for kind in asked(data).panels[0].kinds}
    assert data.board.rows[0].method.generative
    sentences = notes(data.board.task, data.board.dataset, data.cases, data.board.rows, drawn=True)
    for kind in ("learned", "generative"):
        line = shown[kind]
        assert line is not None
        assert sum(f"the best {kind} model ({line.row.method.title}: " in said for said in sentences) == 1, sentences


def test_a_row_that_is_best_in_the_claims_metric_alone_is_not_chosen_for_it() -> None:
    data = boards.slab(canaries=0)  # two classical rows: non-local means is better in the first metric
    rows = list(data.board.rows)
    last = rows[4].model_copy(update={"aggregates": tuple(
        a.model_copy(update={"value": 0.99, "low": 0.98, "high": 1.0}) if a.metric == "ssim_windowed" else a for a in rows[4].aggregates
    )})  # fmt: skip
    task = Task.model_validate(
        {**boards.SLAB, "claims": [{"metric": "SSIM", "traditional": "0.8", "generative": "0.9", "source": "s", "beside": "ssim_windowed"}]}
    )  # fmt: skip
    data = replace(data, board=data.board.model_copy(update={"task": task, "rows": (*rows[:4], last)}))
    for panel in asked(data).panels:
        assert panel.kinds[0].line is not None and panel.kinds[0].line.row.method.name == "nlm"


def test_a_claim_beside_a_metric_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"claims\.beside: found 'dice', expected one of"):
        claiming(beside="dice")


def test_the_page_says_that_claims_are_claims() -> None:
    page = Tree(pages.build([claiming(beside="ssim")]).pages["index.html"])
    ask = next(s for s in page.root.all("section") if s.has("ask"))
    claimed = next(d for d in ask.all("div") if d.has("claimed")).words()
    assert "What papers claim, on other data" in claimed and "0.94" in claimed and "Not measured here" in claimed
    assert "0.94" not in "".join(t.words() for t in ask.all("table")), "no claim stands among what was measured"
    captions = [t.all("caption")[0].words() for t in ask.all("table")]
    assert len(captions) == 2 and all("phantom data" in c for c in captions)


def test_every_task_that_ships_answers_the_question_in_what_papers_claim() -> None:
    wanted = {
        "mri_to_ct": {("—", "0.94")}, "segmentation": {("0.75", "0.89")},
        "nodule_detection": {("85 %", "94 %"), ("78 %", "90 %")}, "denoising": set(),
    }  # fmt: skip
    for name, figures in wanted.items():
        task = tasks.find(name).task
        assert {(c.traditional, c.generative) for c in task.claims} == figures
        assert all(claim.beside for claim in task.claims)
