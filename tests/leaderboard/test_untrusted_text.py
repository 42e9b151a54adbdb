"""Text that nobody of ours wrote, wherever it may come in: remarks, hardware, groups, labels, claims, commands. It stays text."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import boards
import places
import pytest
from markup import Node, Tree

from leaderboard import downloads, pages
from leaderboard.records import BoardData

TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></script><h1>mine</h1>",
    "{{ 7*7 }}{% raw %}",
    '=HYPERLINK("http://x";1)',
    "\\input{/etc/passwd}$x^2$%",
    "\u2028alert(1)\u2029",
]

LINKING = {"a", "link", "script", "img", "meta"}


def everywhere(text: str) -> list[BoardData]:
    """Boards with the text in remarks, hardware, training, names of groups and of labels, titles of sockets, and claims."""
    heads = boards.retitled(boards.heads(canaries=1, shape=(4, 8, 8)), text)
    population = heads.board.population
    assert population is not None

    def renamed(name: str) -> str:
        return text if name == "male" else name

    partitions = tuple(
        p.model_copy(update={"title": text, "groups": tuple(g.model_copy(update={
            "name": renamed(g.name), "values": tuple(map(renamed, g.values))}) for g in p.groups)})
        for p in population.partitions
    )  # fmt: skip
    rows = tuple(
        row.model_copy(update={"fairness": row.fairness.model_copy(update={"findings": (text,), "gaps": tuple(
            gap.model_copy(update={"best": renamed(gap.best), "worst": renamed(gap.worst), "values": tuple(
                v.model_copy(update={"group": renamed(v.group), "reason": text}) for v in gap.values)})
            for gap in row.fairness.gaps)})})
        for row in heads.board.rows
        if row.fairness is not None
    )  # fmt: skip
    task = heads.board.task
    task = task.model_copy(update={
        "claims": tuple(c.model_copy(update={"metric": text, "traditional": text, "generative": text, "source": text, "beside": "ssim"})
                        for c in task.claims),
    })  # fmt: skip
    population = population.model_copy(update={"partitions": partitions, "unmeasurable": (text,)})
    heads = replace(heads, board=heads.board.model_copy(update={"rows": rows, "population": population, "task": task}))

    labelled = places.labelled()
    own = labelled.board.task
    socket = own.inputs[0].model_copy(update={"title": text})
    own = own.model_copy(update={
        "display": own.display.model_copy(update={"labels": {2: text, 1: text}}), "inputs": (socket,), "title": text, "summary": text,
    })  # fmt: skip
    labelled = replace(labelled, board=labelled.board.model_copy(update={"task": own}))
    return [heads, labelled, places.chest(text)]


def nodes(node: Node) -> list[Node]:
    return [node, *(n for child in node.children for n in nodes(child))]


@pytest.mark.parametrize("text", TEXTS)
def test_pages_hold_no_markup_of_strangers(text: str) -> None:
    snapshot = pages.build(everywhere(text))
    seen = 0
    for path, page in snapshot.pages.items():
        tree = Tree(page)
        assert len(tree.root.all("h1")) == 1, path
        for node in nodes(tree.root):
            assert not any(name.startswith("on") for name in node.attrs), path
            assert node.tag in LINKING or not {"src", "href"} & set(node.attrs), path
        assert all(re.search(r"static/(sort|board|viewer)\.js$", n.attrs["src"]) for n in tree.root.all("script")), path
        assert all(n.attrs["src"].endswith(".png") for n in tree.root.all("img")), path
        shown = tree.root.words() + "".join(v for n in nodes(tree.root) for v in n.attrs.values())
        seen += re.sub(r"[\u2028\u2029]", "", text).strip() in re.sub(r"[\u2028\u2029]", "", shown)
    assert seen > 8, "the text is there, as text"


@pytest.mark.parametrize("text", TEXTS)
def test_scripts_hand_over_nothing_but_data(text: str) -> None:
    snapshot = pages.build(everywhere(text))
    scripts = {p: c.decode() for p, c in snapshot.assets.items() if p.startswith("tasks/") and p.endswith(".js")}
    assert scripts
    for path, script in scripts.items():
        match = re.fullmatch(r"radbench\.receive\((\"[^\"\\]*\"), (.*)\);\n", script, re.S)
        assert match, path
        json.loads(match[2])
        assert "<" not in script and "\u2028" not in script and "\u2029" not in script, path
    for page in snapshot.pages.values():
        for node in nodes(Tree(page).root):
            if "data-viewer" in node.attrs:
                spec = json.loads(node.attrs["data-viewer"])
                assert all(re.fullmatch(r"tasks/[\w/.-]+\.js", v["path"]) for v in spec["volumes"].values())
            if "data-groups" in node.attrs:
                json.loads(node.attrs["data-groups"])


@pytest.mark.parametrize("text", [*TEXTS, "+1+1", "-2", "@SUM(A1)", "\t=1", "ok\n=1", "＝1"])
def test_tables_hold_no_formula_and_latex_no_command(text: str) -> None:
    for data in everywhere(text):
        files = downloads.board_files(data, "t", "").files
        for path, content in files.items():
            if path.endswith(".csv"):
                for row in csv.reader(io.StringIO(content.decode())):
                    for cell in row:
                        try:
                            float(cell)
                        except ValueError:
                            parts = re.split(r"[;\t\n|]", cell)
                            assert not any(part.strip().startswith(tuple("=+-@＝＋－＠")) for part in parts), (
                                path,
                                cell,
                            )
            if path.endswith(".tex"):
                assert "\\input{" not in content.decode() and "$x^2$" not in content.decode()
