"""Pages and scripts from the published tables: the published ones, but for pictures; one digit changed on a page is found."""

import json
import shutil
from pathlib import Path

import boards
import honest
import places
import pytest
from tampering import digit_changed, newest

from leaderboard import remade, site, verification


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = honest.standard(tmp_path_factory.mktemp("remade"))
    place.publish("2026-11-20", "https://example.org/board")
    return place.site


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("index.html", r'data-low="\d+\.\d(\d)'),
        ("methods/index.html", r"first (\d)000"),
        ("static/sort.js", r" (\d)"),
        ("ro-crate-metadata.json", r'"contentSize": "(\d)'),
        ("tasks/mri_to_ct/index.html", r'data-value="\d+\.\d(\d)'),
        ("tasks/mri_to_ct/index.html", r'<svg[^>]*? viewBox="0 0 (\d)'),
        ("tasks/mri_to_ct/cases.js", r"\d\.(\d)"),
        ("tasks/mri_to_ct/groups/sex-0.js", r"\d\.\d\d\d(\d)"),
        ("tasks/mri_to_ct/fairness/index.html", r'class="value[^"]*">\d+\.(\d)'),
        ("tasks/mri_to_ct/cases/index.html", r'class="value">\d+\.(\d)'),
        ("tasks/mri_to_ct/submissions/beta/index.html", r'class="num">\d+\.(\d)'),
    ],
)
def test_one_digit_of_a_page_is_found_behind_mended_hashes(published: Path, file: str, pattern: str) -> None:
    edition = newest(published)
    with digit_changed(edition, edition / file, pattern):
        found = verification.verify(published).differences
    assert [text for text in found if f"{edition / file}: line" in text and "the tables give" in text]


def test_pages_of_other_code_are_said_to_go_by_their_hashes(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "code", lambda: "other")
    found = verification.verify(published)
    assert found.differences == [] and any("made by other code" in text for text in found.unchecked)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boards of images, labels and points with canary cases; their numbers are made up, which is no matter here."""
    root = tmp_path_factory.mktemp("pictured") / "site"
    site.publish(root, MADE_UP, date="2026-11-21")
    return root


MADE_UP = [boards.heads(), places.labelled(), places.chest()]


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics as the made-up boards describe them, which is not as the registry does."""
    infos = {data.board.task.name: data.board.metrics for data in MADE_UP}
    monkeypatch.setattr(remade, "describe", lambda task: infos[task.name])


def of_pages(root: Path) -> list[str]:
    """Differences of pages alone."""
    edition = newest(root)
    record = json.loads((edition / "edition.json").read_text())
    data = [verification.read_board(edition / "tasks" / item["slug"]) for item in record["boards"]]
    found = verification.Verified()
    verification._pages(edition, record, data, found)
    return found.differences


@pytest.mark.usefixtures("described")
def test_pages_with_pictures_are_the_same_beside_them(pictured: Path, tmp_path: Path) -> None:
    assert of_pages(pictured) == []
    root = tmp_path / "site"
    shutil.copytree(pictured, root)
    page = newest(root) / "tasks/mri_to_ct/index.html"
    text = page.read_text()
    lines = remade.without_pictures(text)
    assert 'id="pictures"' in text and not any("Canary cases are public" in line or ".png" in line for line in lines)
    assert "</html>" in lines[-1] and any('id="metrics"' in line for line in lines), "what follows the pictures stays"
    page.write_text(text.replace("Canary cases are public", "Canary cases are private", 1))
    assert of_pages(root) == [], "beside pictures is what their hashes alone can tell"
    page.write_text(text.replace('data-value="', 'data-value="1', 1))
    assert len(of_pages(root)) == 1 and "mri_to_ct" in of_pages(root)[0]


def test_nested_sections_go_whole() -> None:
    page = 'a\n<section aria-labelledby="pictures">\n<section class="strip">x</section>\ny\n</section>\nb\n<section>c</section>\n'
    assert remade.without_pictures(page) == ["a", "b", "<section>c</section>"]
