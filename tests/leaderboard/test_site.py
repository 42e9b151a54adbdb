"""Publishing: editions that never change, no-ops, the same bytes, and the same end after a kill at any step."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import boards
import pytest

from benchmark import atomic
from benchmark.errors import DataError, UsageError
from leaderboard import pages, site
from leaderboard.records import BoardData


def rescored(data: BoardData, by: float) -> BoardData:
    """The board after a re-scoring that moved every value."""
    rows = tuple(
        row.model_copy(
            update={"aggregates": tuple(a.model_copy(update={"value": a.value + by}) for a in row.aggregates)}
        )
        for row in data.board.rows
    )
    return replace(data, board=data.board.model_copy(update={"rows": rows, "scorer": "radbench 0.2.0"}))


@pytest.fixture(scope="module")
def two() -> list[BoardData]:
    return [boards.heads(canaries=1, shape=(6, 10, 10)), boards.slab(canaries=1, shape=(3, 10, 10))]


def test_layout(tmp_path: Path, two: list[BoardData]) -> None:
    published = site.publish(tmp_path / "site", two, date="2026-11-21")
    assert published.changed and published.path == tmp_path / "site" / "index.html"
    assert published.edition.startswith("2026-11-21-")
    edition = tmp_path / "site" / "editions" / published.edition
    for root in (tmp_path / "site", edition):
        for page in (
            "index.html",
            "tasks/mri_to_ct/index.html",
            "tasks/denoising/index.html",
            "tasks/mri_to_ct/submissions/water/index.html",
        ):
            assert (root / page).is_file()
    record = json.loads((edition / "edition.json").read_text())
    on_disk = boards.files_of(edition)
    assert record["files"] == {p: hashlib.sha256(d).hexdigest() for p, d in on_disk.items() if p != "edition.json"}
    assert [b["task"] for b in record["boards"]] == ["mri_to_ct", "denoising"]
    assert not list(tmp_path.rglob("*.partial"))


def test_the_same_again_changes_nothing_on_any_day(tmp_path: Path, two: list[BoardData]) -> None:
    root = tmp_path / "site"
    first = site.publish(root, two, date="2026-11-21")
    before, times = boards.files_of(root), {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    for date in ("2026-11-21", "2027-01-01"):
        again = site.publish(root, two, date=date)
        assert (again.edition, again.changed) == (first.edition, False)
    assert boards.files_of(root) == before
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == times


def test_two_sites_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made = [boards.heads(canaries=1, shape=(6, 10, 10)), boards.slab(canaries=1, shape=(3, 10, 10))]
        site.publish(tmp_path / name, made, date="2026-11-21")
    assert boards.files_of(tmp_path / "a") == boards.files_of(tmp_path / "b")


def test_rescoring_makes_a_new_edition_and_leaves_the_old_one(tmp_path: Path, two: list[BoardData]) -> None:
    root = tmp_path / "site"
    first = site.publish(root, two, date="2026-11-21")
    old = boards.files_of(root / "editions" / first.edition)
    second = site.publish(root, [rescored(two[0], 1.0)], date="2026-11-22")
    assert second.changed and second.edition != first.edition
    assert boards.files_of(root / "editions" / first.edition) == old
    front = (root / "tasks/mri_to_ct/index.html").read_text()
    assert "53.2" in front and second.edition in front
    # At the front, the task that the newest edition does not have leads to the edition that has it.
    gone = (root / "tasks/denoising/index.html").read_text()
    assert "Not in the newest edition" in gone
    assert f'href="../../editions/{first.edition}/tasks/denoising/index.html"' in gone
    assert f"editions/{second.edition}/tasks/denoising" not in gone
    assert (root / "editions" / first.edition / "tasks/denoising/index.html").exists()
    listing = (root / "editions/index.html").read_text()
    assert listing.index(second.edition + "/index.html") < listing.index(first.edition + "/index.html")
    # Going back to what was published before finds that edition again.
    third = site.publish(root, two, date="2026-11-23")
    assert third.changed and third.edition == first.edition
    assert sorted(p.name for p in (root / "editions").iterdir()) == sorted(
        [first.edition, second.edition, "index.html"]
    )


class Killed(BaseException):
    """Stands in for a kill: nothing in the code catches it on purpose."""


def killed_after(steps: int, count: list[int], real: Callable[..., object]) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        count[0] += 1
        if count[0] > steps:
            raise Killed
        return real(*args, **kwargs)

    return call


def test_killed_at_any_step_and_run_again(
    tmp_path: Path, two: list[BoardData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write and every rename is a step; the site is killed after each in turn, in a state without clean-up."""
    data = two[0]
    first = [replace(data, board=data.board.model_copy(update={"rows": data.board.rows[:2]}))]
    second = [rescored(data, 1.0)]  # with a third submission, whose page is new
    site.publish(tmp_path / "whole", first, date="2026-11-21")
    site.publish(tmp_path / "whole", second, date="2026-11-22")
    wanted = boards.files_of(tmp_path / "whole")
    site.publish(tmp_path / "start", first, date="2026-11-21")
    # The content is the same each time and made before the first write: it is made once, so that the test is quick.
    snapshot = pages.build(second)
    monkeypatch.setattr(pages, "build", lambda *_: snapshot)
    monkeypatch.setattr(
        os, "fsync", lambda _: None
    )  # matters for a power cut, not for a kill, and takes most of the time
    steps = 0
    while True:
        root = tmp_path / f"s{steps}"
        shutil.copytree(tmp_path / "start", root)
        count = [0]
        with monkeypatch.context() as patch:
            # A killed process does not clean up behind itself, so removing is switched off after the kill.
            patch.setattr(Path, "write_bytes", killed_after(steps, count, Path.write_bytes))
            patch.setattr(Path, "replace", killed_after(steps, count, Path.replace))
            patch.setattr(Path, "rename", killed_after(steps, count, Path.rename))
            patch.setattr(atomic.shutil, "rmtree", killed_after(steps, count, atomic.shutil.rmtree))
            try:
                site.publish(root, second, date="2026-11-22")
                finished = True
            except Killed:
                finished = False
        if not finished:
            # What a reader meets meanwhile, from the front page, from the list of editions or from a page that was there before.
            met = [root / p for p in boards.files_of(tmp_path / "start") if p.endswith(".html")]
            for page in met:
                text = page.read_text()
                assert text.endswith("</html>\n")
                for link in re.findall(r'(?:href|src)="([^"#]+)', text):
                    target = Path(os.path.normpath(page.parent / link))
                    assert target.exists(), f"killed after {steps} steps: {page} links to {link}"
                    if target.suffix == ".html" and target not in met:
                        met.append(target)
        site.publish(root, second, date="2026-11-22")
        assert boards.files_of(root) == wanted, f"killed after {steps} steps"
        shutil.rmtree(root)
        if finished:
            break
        steps += 1
    assert steps > 20


def test_sweeps_up_behind_an_older_kill(tmp_path: Path, two: list[BoardData]) -> None:
    root = tmp_path / "site"
    site.publish(root, two, date="2026-11-21")
    before = boards.files_of(root)
    (root / "editions/.2026-11-20-0000000000.partial/tasks").mkdir(parents=True)
    (root / ".index.html.partial").write_text("half")
    (root / "tasks/mri_to_ct/.index.html.partial").write_text("half")
    site.publish(root, two, date="2026-11-21")
    assert boards.files_of(root) == before


def test_a_change_of_any_input_is_a_new_edition(two: list[BoardData]) -> None:
    base = site.digest(pages.build(two))
    data = two[0]
    canary = data.canary[0]
    other = replace(canary, reference=lambda: canary.reference().like(canary.reference().array + 40))
    changed = [
        [two[1], two[0]],
        [replace(data, canary=[other]), two[1]],
        [replace(data, scores={**data.scores, "unet": data.scores["gan"]}), two[1]],
        [replace(data, board=data.board.model_copy(update={"notes": ()})), two[1]],
    ]
    digests = [site.digest(pages.build(item)) for item in changed]
    assert len({base, *digests}) == len(changed) + 1
    assert site.digest(pages.build(two)) == base


def test_two_boards_of_one_task_do_not_meet(tmp_path: Path, two: list[BoardData]) -> None:
    data = two[0]
    real = data.board.dataset.model_copy(update={"kind": "real", "edition": "sample-1"})
    second = replace(data, board=data.board.model_copy(update={"dataset": real}), canary=())
    site.publish(tmp_path / "site", [data, second], date="2026-11-21")
    assert "Phantom" in (tmp_path / "site/tasks/mri_to_ct/index.html").read_text()
    assert "Real sample" in (tmp_path / "site/tasks/mri_to_ct@sample-1/index.html").read_text()
    with pytest.raises(ValueError, match="two boards"):
        site.publish(tmp_path / "site", [data, data, data, data], date="2026-11-21")


@pytest.mark.parametrize("date", ["", "21.11.2026", "2026-13-01", "20261121", "../../x"])
def test_date_is_checked(tmp_path: Path, two: list[BoardData], date: str) -> None:
    with pytest.raises(UsageError):
        site.publish(tmp_path / "site", two, date=date)
    assert not (tmp_path / "site").exists()


def test_broken_record_of_an_edition_is_named(tmp_path: Path, two: list[BoardData]) -> None:
    published = site.publish(tmp_path / "site", two, date="2026-11-21")
    record = tmp_path / "site/editions" / published.edition / "edition.json"
    os.truncate(record, 40)
    with pytest.raises(DataError) as caught:
        site.publish(tmp_path / "site", two, date="2026-11-21")
    assert str(record) in str(caught.value)


def test_an_empty_board_and_an_empty_site_are_pages_too(tmp_path: Path, two: list[BoardData]) -> None:
    empty = replace(two[0], board=two[0].board.model_copy(update={"rows": ()}), scores={}, canary=())
    site.publish(tmp_path / "a", [empty], date="2026-11-21")
    assert "No submission" in (tmp_path / "a/tasks/mri_to_ct/index.html").read_text()
    site.publish(tmp_path / "b", [], date="2026-11-21")
    assert "No task" in (tmp_path / "b/index.html").read_text()
